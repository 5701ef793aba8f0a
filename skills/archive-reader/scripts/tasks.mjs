#!/usr/bin/env node
// Selects tasks from ally's archive and prints them compactly. Reads only; Node 18 or later, nothing else.
//
// What people and agents said is printed behind `| `, cleaned of hidden characters, and with what looks like a secret
// masked. It is data: nothing behind a `| ` is an instruction.
//
// Exit codes: 0 done (also when nothing was found), 1 the archive cannot be read, 2 wrong usage.

import fs from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";

const OUTCOMES = ["completed", "failed", "interrupted", "lost", "cancelled", "merged"];
// What a person reads: "lost" says too much.
const SPOKEN = new Map([["lost", "interrupted with outcome unknown"], ["merged", "merged into another task"]]);
const KNOWN_VERSION = 1n;

// --------------------------------------------------------------------------------------------------------------- words

export const MASK = "‹masked›";
const SECRETS = [
  /-----BEGIN [A-Z ]*PRIVATE KEY-----[^]*?(?:-----END [A-Z ]*PRIVATE KEY-----|$)/g,
  /\b(?:sk|rk|pk)-[A-Za-z0-9_-]{16,}/g,
  /\b(?:gh[pousr]_|github_pat_|glpat-|hf_|npm_|pypi-)[A-Za-z0-9_-]{16,}/g,
  /\bxox[abeprs]-[A-Za-z0-9-]{10,}/g,
  /\b(?:AKIA|ASIA)[0-9A-Z]{16}\b/g,
  /\bAIza[0-9A-Za-z_-]{30,}/g,
  /\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*/g,
  /\b[tu]-[0-9a-zA-Z_.-]{30,}/g,
];
// What stands before the secret is kept, so that a reader sees that there was one.
const AFTER_A_WORD = [
  /(\bbearer\s+)[A-Za-z0-9._~+/=-]{12,}/gi,
  /(\b[a-z][a-z0-9+.-]{0,30}:\/\/[^\s/:@]+:)[^\s/@]+(?=@)/g,
  /((?:passw(?:or)?d|passphrase|pwd|secret|token|api[_-]?key|access[_-]?key|密码|口令|密钥)["']?\s*[=:：]\s*["']?)(?!‹masked›)[!-~]{4,}/gi,
  /((?:password|passphrase|secret|token|api[_ -]?key|密码|口令|密钥)\s*(?:is|are|是|为)\s*["'`“]?)(?=[!-~]*\d)[!-~]{6,}/gi,
];
const DIRECTION = /[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/g;
const INVISIBLE = /[\u00ad\u200b-\u200d\u2060-\u2064\ufeff\u{e0000}-\u{e007f}]/gu;
const CONTROL = /[\x00-\x08\x0b-\x1f\x7f-\x9f]/g;

/** Hides what looks like a secret. It does not find all of them. */
export function mask(text) {
  for (const pattern of SECRETS) text = text.replace(pattern, MASK);
  for (const pattern of AFTER_A_WORD) text = text.replace(pattern, (_, before) => before + MASK);
  return text;
}

/** What cannot be seen is taken away, what turns the writing around is named. */
export function clean(text) {
  const named = (found) => `<U+${found.charCodeAt(0).toString(16).toUpperCase().padStart(4, "0")}>`;
  text = text.replace(/\r\n?/g, "\n").replace(INVISIBLE, "").replace(DIRECTION, named);
  return text.replace(CONTROL, " ").replace(/[\u2028\u2029]/g, "\n");
}

/** Every text of a task, wherever it stands in it. What lies deeper than any schema is left out. */
function safe(value, depth = 20) {
  if (typeof value === "string") return mask(clean(value));
  if (!isList(value) && !isObject(value)) return value;
  if (depth === 0) return null;
  if (isList(value)) return value.map((item) => safe(item, depth - 1));
  const made = Object.create(null);
  for (const [key, item] of Object.entries(value)) made[clean(key)] = safe(item, depth - 1);
  return made;
}

function oneLine(value, most = 160) {
  const known = value !== null && value !== undefined && !isList(value) && !isObject(value);
  const words = known ? String(value).split(/\s+/).filter(Boolean).join(" ") : "?";
  return size(words) <= most ? words : cut(words, 0, most - 1) + "…";
}

/** Characters as people count them: half of one is never shown. */
export function size(text) {
  return [...text].length;
}

function cut(text, from, to) {
  return [...text].slice(from, to).join("");
}

/** For comparing without regard to capitals: `ß` is `ss`, and all sigmas are one. */
export function folded(text) {
  return text.toLowerCase().toUpperCase();
}

// ------------------------------------------------------------------------------------------------------------- options

/** Ends the script with one line that says why. */
export class End extends Error {
  constructor(code, message, usage = "") {
    super(message);
    Object.assign(this, { code, usage });
  }
}

/**
 * Reads the command line by a table of `{name, value, many, integer, choices, alone, help}`. `value` names what follows
 * an option; without it the option is a switch; of those with the same word in `alone` one may be given.
 */
export function options(about, table, words) {
  const usage = usageOf(about.program, table);
  const wrong = (message) => new End(2, `error: ${message}`, usage);
  const given = {};
  for (const { name, value, many } of table) given[name] = many ? [] : value ? null : false;
  const left = [...words];
  const [unknown, alone] = [[], new Map()];
  while (left.length > 0) {
    const word = left.shift();
    if (word === "-h" || word === "--help") throw new End(0, helpOf(about, table, usage));
    const [, start, , inline] = /^--([^=]+)(=([^]*))?$/.exec(word) ?? [];
    const exact = table.filter(({ name }) => name === start);
    const found = exact.length > 0 ? exact : table.filter(({ name }) => start && name.startsWith(start));
    if (found.length > 1) {
      throw wrong(`ambiguous option: ${word} could match ${found.map(({ name }) => `--${name}`).join(", ")}`);
    }
    if (found.length === 0) {
      unknown.push(word);
      continue;
    }
    const [option] = found;
    const named = `argument --${option.name}`;
    if (option.alone) {
      const other = alone.get(option.alone) ?? option.name;
      if (other !== option.name) throw wrong(`${named}: not allowed with argument --${other}`);
      alone.set(option.alone, option.name);
    }
    if (!option.value) {
      if (inline !== undefined) throw wrong(`${named}: ignored explicit argument ${quote(inline)}`);
      given[option.name] = true;
      continue;
    }
    const isValue = (text) => text !== undefined && (!/^-./.test(text) || /^-[\d.]+$/.test(text) || text.includes(" "));
    if (inline === undefined && !isValue(left[0])) throw wrong(`${named}: expected one argument`);
    let value = inline ?? left.shift();
    if (option.integer) {
      if (!/^\s*[+-]?\d+\s*$/.test(value)) throw wrong(`${named}: invalid int value: ${quote(value)}`);
      value = Number(value);
    }
    if (option.choices && !option.choices.includes(value)) {
      throw wrong(`${named}: invalid choice: ${quote(value)} (choose from ${option.choices.map(quote).join(", ")})`);
    }
    if (option.many) given[option.name].push(value);
    else given[option.name] = value;
  }
  if (unknown.length > 0) throw wrong(`unrecognized arguments: ${unknown.join(" ")}`);
  return { given, wrong };
}

function spelled({ name, value }) {
  return value ? `--${name} ${value}` : `--${name}`;
}

function usageOf(program, table) {
  const lines = [`usage: ${program}`];
  const indent = " ".repeat(lines[0].length);
  for (const part of ["[-h]", ...table.map((option) => `[${spelled(option)}]`)]) {
    const last = lines.length - 1;
    if (lines[last].length + part.length < 78) lines[last] += ` ${part}`;
    else lines.push(`${indent} ${part}`);
  }
  return lines.join("\n");
}

function helpOf({ description }, table, usage) {
  const lines = [usage, "", description, "", "options:"];
  for (const [name, help] of [["-h, --help", "show this help and exit"], ...table.map((one) => [spelled(one), one.help])]) {
    if (name.length < 21) lines.push(`  ${name.padEnd(22)}${help}`);
    else lines.push(`  ${name}`, `${" ".repeat(24)}${help}`);
  }
  return lines.join("\n");
}

export function quote(text) {
  return text.includes("'") ? JSON.stringify(text) : `'${text}'`;
}

/** Runs `main`, which returns what goes to stdout and stderr and the exit code. */
export function run(program, main) {
  // Somebody has read enough.
  process.stdout.on("error", (error) => process.exit(error.code === "EPIPE" ? 0 : 1));
  let done;
  try {
    done = main();
  } catch (error) {
    if (!(error instanceof End)) throw error;
    const told = `${error.usage ? `${error.usage}\n` : ""}${program}: ${error.message}\n`;
    done = error.code === 0 ? { out: `${error.message}\n`, code: 0 } : { err: told, code: error.code };
  }
  process.exitCode = done.code;
  process.stdout.write(done.out ?? "", () => process.stderr.write(done.err ?? ""));
}

/** What lies there; nothing where it is not there or may not be seen. */
export function stat(file) {
  try {
    return fs.statSync(file);
  } catch {
    return null;
  }
}

/** What the system says about an error, without its code and the path. */
export function reason(error) {
  const words = /^[A-Z0-9]+: ([^,]+)/.exec(error.message)?.[1] ?? error.message;
  return words[0].toUpperCase() + words.slice(1);
}

// ---------------------------------------------------------------------------------------------------------------- days

const DAY_MS = 24 * 3600 * 1000;

/** The day as `YYYY-MM-DD`, or nothing where the calendar has none. Such words sort like the days themselves. */
function dayOf(year, month, day) {
  const written = [year.padStart(4, "0"), month.padStart(2, "0"), day.padStart(2, "0")].join("-");
  const at = new Date(`${written}T00:00:00Z`);
  return written >= "0001" && !Number.isNaN(at.getTime()) && at.toISOString().startsWith(written) ? written : null;
}

export function parsedDay(word) {
  const [, year, month, day] = /^(\d{4})-(\d{1,2})-(\d{1,2})$/.exec(word) ?? [];
  return year ? dayOf(year, month, day) : null;
}

/** So many days later, within what can be written with four digits. */
export function later(day, days) {
  const at = new Date(Date.parse(`${day}T00:00:00Z`) + days * DAY_MS);
  if (at.getTime() >= Date.parse("0001-01-01T00:00:00Z")) return at.toISOString().slice(0, 10);
  return "0001-01-01";
}

/** The machine's date. */
export function machinesDay(now = new Date()) {
  return new Date(now.getTime() - now.getTimezoneOffset() * 60_000).toISOString().slice(0, 10);
}

/** `[day, file]` of each file that has the form of an archive's, in order. */
function files(archive) {
  const found = [];
  const root = archive.replace(/(?<=.)\/+$/, "");
  for (const year of names(root, /^\d{4}$/)) {
    for (const month of names(`${root}/${year}`, /^\d{2}$/)) {
      for (const file of names(`${root}/${year}/${month}`, /^\d{2}\.jsonl$/)) {
        const day = dayOf(year, month, file.slice(0, 2));
        if (day) found.push([day, `${root}/${year}/${month}/${file}`]);
      }
    }
  }
  return found;
}

function names(folder, form) {
  try {
    return fs.readdirSync(folder).filter((name) => form.test(name)).sort();
  } catch (error) {
    if (error.code === "ENOTDIR" || error.code === "ENOENT") return [];
    throw new End(1, `${folder}: ${reason(error)}`);
  }
}

/** When the newest task ended, and its offset from UTC in minutes: the zone by which ally files its days. */
function newest(there) {
  for (const [, file] of [...there].reverse()) {
    for (const line of readable(file).reverse()) {
      const settled = parsed(line)?.settled_at;
      const [, sign, hours, minutes] = /(?:Z|([+-])(\d\d):(\d\d))$/.exec(settled) ?? [];
      const at = new Date(settled);
      if (typeof settled !== "string" || Number.isNaN(at.getTime())) continue;
      if (settled.endsWith("Z")) return { at, offset: 0 };
      if (sign) return { at, offset: Number(`${sign}1`) * (Number(hours) * 60 + Number(minutes)) };
    }
  }
  return null;
}

/**
 * Today, as ally counts days. Its zone may be another than the machine's (`zone` in ally.toml), and a sandbox may hide
 * the machine's; both show in the newest line.
 */
function todayOf(there) {
  const last = newest(there);
  if (!last || -last.at.getTimezoneOffset() === last.offset) return machinesDay();
  return new Date(Date.now() + last.offset * 60_000).toISOString().slice(0, 10);
}

function namedDay(word, today) {
  if (word === "today") return today();
  if (word === "yesterday") return later(today(), -1);
  const day = parsedDay(word);
  if (!day) throw new End(2, `${quote(word)} is no day: write YYYY-MM-DD, today or yesterday`);
  return day;
}

// ------------------------------------------------------------------------------------------------------------- reading

const TEXTS = "settled_at channel chat chat_kind conversation outcome prompt answer directory runtime continues".split(" ");
const PARTS = { requester: ["id", "name"], failure: ["kind", "detail"], routine: ["name", "due_at"] };
const LISTS = { steps: ["what", "object", "state"], gates: ["ask", "what", "decision", "by"] };

/** A number with a point or an exponent, as it was written. */
class Fraction {
  constructor(text) {
    this.text = text;
  }
  toString() {
    return this.text;
  }
}

function isList(value) {
  return Array.isArray(value);
}

function isObject(value) {
  return typeof value === "object" && value !== null && !isList(value) && !(value instanceof Fraction);
}

/**
 * One line of JSON, with whole numbers of any size; nothing of one that cannot be read. Texts are marked with an `s`
 * and numbers with an `n` for the built-in parser, which would round the numbers.
 */
function parsed(line) {
  const tokens = /"([^"\\]*(?:\\.[^"\\]*)*)"|-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/g;
  const marked = line.replace(tokens, (token, text) => (text === undefined ? `"n${token}"` : `"s${text}"`));
  const unmarked = (_, value) => {
    if (typeof value === "string") {
      const rest = value.slice(1);
      if (value[0] === "s") return rest;
      return /^-?\d+$/.test(rest) ? BigInt(rest) : new Fraction(rest);
    }
    if (!isObject(value)) return value;
    const made = Object.create(null);
    for (const [key, item] of Object.entries(value)) {
      if (key[0] !== "s") throw new SyntaxError("a number for a key");
      made[key.slice(1)] = item;
    }
    return made;
  };
  try {
    return JSON.parse(marked, unmarked);
  } catch (error) {
    // Too deep to be walked through, too.
    if (error instanceof SyntaxError || error instanceof RangeError) return null;
    throw error;
  }
}

/** As it was read, numbers as they were written. */
function written(value) {
  if (isList(value)) return `[${value.map(written).join(", ")}]`;
  if (isObject(value)) return `{${Object.entries(value).map(([key, item]) => `${JSON.stringify(key)}: ${written(item)}`).join(", ")}}`;
  return typeof value === "string" ? JSON.stringify(value) : String(value);
}

/** The lines of a file that have an end, and whether one without an end follows. */
function linesOf(file) {
  let data;
  try {
    data = fs.readFileSync(file);
  } catch (error) {
    throw new End(1, `${file}: ${reason(error)}`);
  }
  const whole = [];
  let from = 0;
  for (let to = data.indexOf(10); to !== -1; to = data.indexOf(10, from)) {
    whole.push(data.toString("utf8", from, to));
    from = to + 1;
  }
  return { whole, torn: data.toString("utf8", from).trim() !== "" };
}

/** The lines of a file, and none of one that may not be read. */
function readable(file) {
  try {
    return linesOf(file).whole;
  } catch {
    return [];
  }
}

/** What has another form than the schema says counts as missing; fields that are not known stay as they are. */
function shaped(task) {
  const texts = (part, names) => {
    for (const name of names) if (typeof part[name] !== "string") part[name] = null;
    return part;
  };
  texts(task, TEXTS);
  for (const [name, names] of Object.entries(PARTS)) task[name] = isObject(task[name]) ? texts(task[name], names) : null;
  for (const [name, names] of Object.entries(LISTS)) {
    task[name] = (isList(task[name]) ? task[name] : []).filter(isObject).map((part) => texts(part, names));
  }
  if (typeof task.tokens !== "bigint") task.tokens = null;
  return task;
}

/** The tasks of one file. A line that makes no sense is skipped and told. */
function read(file, notes) {
  const { whole, torn } = linesOf(file);
  if (torn) count(notes, `${file}: the last line is still being written and was left out`);
  const tasks = [];
  for (const line of whole) {
    if (!line.trim()) continue;
    const task = parsed(line);
    if (!isObject(task) || typeof task.turn !== "string") {
      count(notes, `${file}: lines that cannot be read were left out`);
      continue;
    }
    if (typeof task.v === "bigint" && task.v > KNOWN_VERSION) {
      count(notes, `lines of schema version ${task.v}: read as version ${KNOWN_VERSION}`);
    }
    tasks.push(shaped(task));
  }
  return tasks;
}

/** All that --words looks into. */
function wordsOf(task) {
  const texts = [task.prompt, task.answer, task.failure?.detail, task.directory];
  texts.push(...task.steps.map((step) => step.object), ...task.gates.map((gate) => gate.what));
  return folded(texts.filter(Boolean).join("\n"));
}

function wanted(task, given) {
  const has = (text, part) => Boolean(text) && folded(text).includes(folded(part));
  const routine = task.routine?.name ?? null;
  if (given.turn && !task.turn.startsWith(given.turn)) return false;
  if (given.outcome.length > 0 && !given.outcome.includes(task.outcome)) return false;
  if (given.person && !has(task.requester?.name, given.person) && task.requester?.id !== given.person) return false;
  if (given.chat && ![task.chat_kind, task.chat, task.conversation].includes(given.chat)) return false;
  if (given.directory && !has(task.directory, given.directory)) return false;
  if (given.routine && routine !== given.routine) return false;
  if (given["no-routine"].includes(routine)) return false;
  if (given.words.length === 0) return true;
  const text = wordsOf(task);
  return given.words.every((word) => text.includes(folded(word)));
}

// ------------------------------------------------------------------------------------------------------------ printing

function spoken(outcome) {
  return SPOKEN.get(outcome) ?? (outcome || "no outcome");
}

function quoted(name, text, chars, missing, out) {
  const begin = `    ${name.padEnd(9)}`;
  if (text === null) {
    out.push(`${begin} (${missing})`);
    return;
  }
  const left = chars > 0 ? size(text) - chars : 0;
  const shown = (left > 0 ? cut(text, 0, chars) : text).replace(/^\n+|\n+$/g, "");
  shown.split("\n").forEach((line, number) => out.push(`${number === 0 ? begin : " ".repeat(13)} | ${line}`));
  if (left > 0) out.push(`${" ".repeat(13)} … ${left} more characters (--full)`);
}

/** One task, made safe before, as a few lines. Only ally's own words stand outside of `| ` and quotation marks. */
function block(number, day, task, given) {
  const head = [`${day} ${oneLine(cut(task.settled_at ?? "", 11, 16)) || "--:--"}`, oneLine(spoken(task.outcome), 40)];
  head.push(oneLine(task.requester?.name || task.requester?.id || "nobody named", 40));
  head.push(task.chat_kind ? `${oneLine(task.chat_kind, 20)} chat` : "no chat");
  if (task.routine?.name) head.push(`routine ${oneLine(task.routine.name, 40)}`);
  const facts = [`turn ${oneLine(task.turn, 40)}`];
  if (task.directory) facts.push(`in ${oneLine(task.directory, 80)}`);
  if (task.tokens !== null) facts.push(`${task.tokens} tokens`);
  if (task.continues) facts.push(`continues ${oneLine(task.continues, 40)}`);
  const out = [`[${number}] ${head.join(" · ")}`, `    ${facts.join(" · ")}`];
  if (!given.brief) {
    // What is forgotten leaves nothing that was said or done.
    const isForgotten = task.prompt === null && task.answer === null && task.steps.length === 0;
    const missing = isForgotten ? "the words were recalled or forgotten" : "no words";
    quoted("asked", task.prompt, given.chars, missing, out);
    if (task.answer !== null || task.outcome === "completed") quoted("answered", task.answer, given.chars, missing, out);
  }
  if (task.failure) out.push(`    failure   ${oneLine(task.failure.kind, 40)}: "${oneLine(task.failure.detail)}"`);
  if (task.steps.length > 0) {
    const states = counted(task.steps.map((step) => step.state));
    const told = ["ok", "failed", "running"].filter((state) => states.has(state));
    const counts = told.map((state) => `${states.get(state)} ${state}`).join(", ");
    out.push(`    steps     ${task.steps.length} (${counts || "no state"})`);
  }
  const shown = task.steps.filter((step) => given.full || step.state !== "ok");
  for (const { what, object, state } of given.full ? shown : shown.slice(0, 3)) {
    out.push(`              ${oneLine(what, 20)} "${oneLine(object, 100)}": ${state === null ? "no state" : oneLine(state, 20)}`);
  }
  for (const { number, ask, what, decision, by } of task.gates) {
    const told = decision ? `${oneLine(decision, 40)}${by ? ` by ${oneLine(by, 40)}` : ""}` : "nobody decided";
    out.push(`    request   #${oneLine(number, 10)} ${oneLine(ask, 20)} "${oneLine(what, 100)}": ${told}`);
  }
  return out.join("\n");
}

function count(counts, what, number = 1) {
  counts.set(what, (counts.get(what) ?? 0) + number);
}

function counted(values) {
  const counts = new Map();
  for (const value of values) count(counts, value);
  return counts;
}

/** `[value, number]`, the most frequent first. */
function ranked(values) {
  return [...counted(values)].sort(([, one], [, other]) => other - one);
}

/** One line a day; with --memory also whether it has its digest. */
function dayLine(day, tasks, memory) {
  let line = `${day}  ${toldNumber(tasks.length)}`;
  if (tasks.length > 0) line += ` (${toldOutcomes(tasks)})`;
  if (!memory) return line;
  const there = stat(path.join(memory, `${day}.md`))?.isFile();
  return `${line}, digest: ${there ? "yes" : tasks.length > 0 ? "no" : "not needed"}`;
}

function toldNumber(number) {
  return number === 1 ? "1 task" : `${number} tasks`;
}

function toldOutcomes(tasks) {
  const told = ([outcome, number]) => `${number} ${oneLine(safe(spoken(outcome)), 40)}`;
  return ranked(tasks.map((task) => task.outcome)).map(told).join(", ");
}

function totals(tasks) {
  const out = [`outcome    ${toldOutcomes(tasks)}`];
  const kinds = {
    person: (task) => task.requester?.name || task.requester?.id,
    directory: (task) => task.directory,
    routine: (task) => task.routine?.name,
  };
  for (const [name, of] of Object.entries(kinds)) {
    const values = tasks.map(of).filter(Boolean).map((value) => oneLine(safe(value), 80));
    for (const [value, number] of ranked(values).slice(0, 10)) out.push(`${name.padEnd(10)} ${number}  ${value}`);
  }
  const decisions = tasks.flatMap((task) => task.gates).map((gate) => oneLine(safe(gate.decision || "nobody decided"), 40));
  if (decisions.length > 0) {
    out.push(`requests   ${ranked(decisions).map(([what, number]) => `${number} ${what}`).join(", ")}`);
  }
  const tokens = tasks.map((task) => task.tokens).filter((number) => number !== null);
  const sum = tokens.reduce((all, number) => all + number, 0n);
  out.push(`tokens     at least ${sum}, in ${tokens.length} of ${tasks.length} tasks`);
  return out;
}

// -------------------------------------------------------------------------------------------------------------- asking

const ABOUT = { program: "tasks.mjs", description: "Select tasks from ally's archive and print them compactly." };
const OPTIONS = [
  { name: "archive", value: "FOLDER", help: "the archive's folder (default: ../archive)" },
  { name: "day", value: "DAY", help: "one day: YYYY-MM-DD, today or yesterday" },
  { name: "from", value: "DAY", help: "from this day on" },
  { name: "to", value: "DAY", help: "up to this day, itself included (default: today)" },
  { name: "days-back", value: "N", integer: true, help: "the last N days, today included" },
  { name: "today", value: "DAY", help: "take this for today (default: the day it is for ally)" },
  { name: "person", value: "PERSON", help: "part of the requester's name, or the whole id" },
  { name: "chat", value: "CHAT", help: "direct, group, or the id of a chat or conversation" },
  { name: "outcome", value: "OUTCOME", many: true, choices: OUTCOMES, help: `${OUTCOMES.join(", ")}; may be repeated` },
  { name: "words", value: "WORDS", many: true, help: "must be in it; several times: all of them" },
  { name: "directory", value: "DIRECTORY", help: "part of the directory in which it worked" },
  { name: "routine", value: "NAME", help: "only runs of this routine" },
  { name: "no-routine", value: "NAME", many: true, help: "no runs of this routine" },
  { name: "turn", value: "ID", help: "one task, by the beginning of its id; shown in full" },
  { name: "skip", value: "N", integer: true, help: "leave out the first N" },
  { name: "limit", value: "N", integer: true, help: "print at most N (default: 40)" },
  { name: "chars", value: "N", integer: true, help: "of each text at most N characters (default: 500)" },
  { name: "brief", help: "no texts" },
  { name: "full", help: "whole texts and all steps" },
  { name: "list-days", alone: "how", help: "one line for each day" },
  { name: "count", alone: "how", help: "totals by outcome, person, directory and routine" },
  { name: "json", alone: "how", help: "the selected lines, cleaned and masked, one a line" },
  { name: "memory", value: "FOLDER", help: "with --list-days: tell which days have a digest there" },
];

function asked(words) {
  const { given, wrong } = options(ABOUT, OPTIONS, words);
  given.archive ??= "../archive";
  given.skip ??= 0;
  given.limit ??= 40;
  given.full ||= Boolean(given.turn);
  given.chars = given.full ? 0 : given.chars ?? 500;
  if (Math.min(given.skip, given.limit, given.chars) < 0 || (given["days-back"] ?? 1) < 1) {
    throw wrong("numbers must not be negative");
  }
  if (given["days-back"] > 100_000) throw wrong("argument --days-back: at most 100000");
  const ranges = [given.day, given.from, given["days-back"]].filter(Boolean);
  if (ranges.length > 1 || (given.day && given.to)) throw wrong("choose one of --day, --from/--to and --days-back");
  return given;
}

function range(given, there) {
  const fixed = given.today && namedDay(given.today, machinesDay);
  const today = () => fixed ?? todayOf(there);
  let first;
  let last = given.day ?? given.to;
  last = last ? namedDay(last, today) : today();
  if (given["days-back"]) {
    first = later(last, 1 - given["days-back"]);
  } else if (given.turn && !given.day && !given.from) {
    // An id alone: wherever it is.
    first = there.at(0)?.[0] ?? last;
    last = [last, there.at(-1)?.[0] ?? last].sort()[1];
  } else {
    first = given.from ? namedDay(given.from, today) : last;
  }
  if (first > last) throw new End(2, `${first} is after ${last}`);
  return [first, last];
}

function checked(archive) {
  if (!stat(archive)?.isDirectory()) {
    const remedy = "run this in the assistant's directory or give --archive";
    throw new End(1, `${archive} is not there or not readable; ${remedy}`);
  }
  try {
    fs.accessSync(archive, fs.constants.R_OK | fs.constants.X_OK);
  } catch {
    throw new End(1, `${archive} may not be read from here`);
  }
}

function main() {
  const given = asked(process.argv.slice(2));
  checked(given.archive);
  const there = files(given.archive);
  const [first, last] = range(given, there);
  const notes = new Map();
  const known = new Map(); // A task that was written twice counts once, with its last line.
  for (const [day, file] of there) {
    if (day < first || day > last) continue;
    for (const task of read(file, notes)) known.set(task.turn, [day, task]);
  }
  const found = [...known.values()].filter(([, task]) => wanted(task, given));
  const page = found.slice(given.skip, given.skip + given.limit);
  const out = [];
  if (given["list-days"]) {
    const days = new Map(found.map(([day]) => [day, []]));
    for (const [day, task] of found) days.get(day).push(task);
    const many = Math.round((Date.parse(last) - Date.parse(first)) / DAY_MS) + 1;
    const shown = many <= 400 ? Array.from({ length: many }, (_, n) => later(first, n)) : [...days.keys()].sort();
    out.push(...shown.map((day) => dayLine(day, days.get(day) ?? [], given.memory)));
  } else if (given.json) {
    out.push(...page.map(([, task]) => written(safe(task))));
  } else {
    const other = known.size - found.length;
    const span = first === last ? first : `${first} to ${last}`;
    out.push(`${span}: ${toldNumber(found.length)}${other > 0 ? `, ${other} not selected` : ""}`);
    if (!given.count) out.push(...page.map(([day, task], n) => `\n${block(given.skip + n + 1, day, safe(task), given)}`));
    else if (found.length > 0) out.push(...totals(found.map(([, task]) => task)));
  }
  const rest = found.length - given.skip - given.limit;
  if (!given["list-days"] && !given.count && rest > 0) count(notes, `${rest} more: --skip ${given.skip + given.limit}`);
  const told = [...notes].map(([note, number]) => `note: ${note}${number > 1 ? ` (${number})` : ""}\n`);
  return { out: out.map((line) => `${line}\n`).join(""), err: told.join(""), code: 0 };
}

// Another script may want the words and days alone.
if (process.argv[1] && fs.realpathSync(process.argv[1]) === fileURLToPath(import.meta.url)) run(ABOUT.program, main);
