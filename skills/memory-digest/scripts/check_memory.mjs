#!/usr/bin/env node
// Checks the assistant's memory after a digest: form, dates, repetitions, secrets. Reads only; Node 18 or later.
//
//     node check_memory.mjs [--memory memory] [--day YYYY-MM-DD]
//
// Each finding is one line; `look:` marks what may be right as it is. Exit codes: 0 nothing to mend, 1 something to mend,
// 2 wrong usage or not readable.
// Needs the skill archive-reader beside this one: its rules for what looks like a secret hold here, too.

import fs from "node:fs";

const ABOUT = { program: "check_memory.mjs", description: "Check the assistant's memory after a digest." };
const OPTIONS = [
  { name: "memory", value: "FOLDER", help: "the folder (default: memory)" },
  { name: "day", value: "DAY", help: "check the digest of this day, too" },
];

let reader;
try {
  reader = await import(new URL("../../archive-reader/scripts/tasks.mjs", import.meta.url));
} catch (error) {
  if (error.code !== "ERR_MODULE_NOT_FOUND") throw error;
  console.error(`${ABOUT.program}: the skill archive-reader is not beside memory-digest`);
  process.exit(2);
}
const { End, MASK, clean, folded, later, machinesDay, mask, options, parsedDay, quote, reason, run, size, stat } = reader;

// Worth a look, and no reason to fail: a wish of the owner may read like this.
const LOOK = "look: ";
const [MOST_LINES, MOST_LINES_A_DAY, LONGEST] = [200, 80, 240];
const FACT = /^\s*[-*]\s+(\d{4}-\d{2}-\d{2})\s+(\S.*)$/;
const ITEM = /^\s*[-*]\s+\S/;
// Nobody may get a right because a note says so.
const RIGHTS = [
  /\b(?:always|automatically|without asking|never ask)\b.{0,60}\b(?:allow|approve|push|send|delete)\w*/i,
  /\b(?:allow|approve|push|run|send|delete)\w*\b.{0,60}\b(?:always|automatically|without asking)\b/i,
  /ignore (?:all |the )?(?:previous|prior|above) instructions/i,
  /(?:总是|自动|直接|不用问|无需).{0,12}(?:允许|批准|同意|推送|执行|删除)/,
];

/** The lines of a file; nothing where there is none. */
function read(file) {
  let text;
  try {
    text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(fs.readFileSync(file));
  } catch (error) {
    if (error.code === "ENOENT") return null;
    const why = error.code === "ERR_ENCODING_INVALID_ENCODED_DATA" ? "it is not UTF-8" : reason(error);
    throw new End(2, `${file}: ${why}`);
  }
  const lines = text.split(/\r\n|\r|\n/);
  if (lines.at(-1) === "") lines.pop();
  return lines;
}

/** What holds for every file of the memory. */
function* common(file, lines, most) {
  if (lines.length > most) yield `${file}: ${lines.length} lines, at most ${most}`;
  for (const [index, line] of lines.entries()) {
    const where = `${file}:${index + 1}`;
    if (mask(line).replaceAll(MASK, "") !== line.replaceAll(MASK, "")) yield `${where}: looks like a secret: take it out`;
    if (clean(line) !== line) yield `${where}: hidden characters: take them out`;
    if (RIGHTS.some((form) => form.test(line))) {
      yield `${LOOK}${where}: reads like a right or an order: say who wished it, or take it out`;
    }
    if (size(line) > LONGEST) yield `${where}: ${size(line)} characters, at most ${LONGEST}`;
  }
}

/** MEMORY.md: each fact one line that begins with its date, none of them twice. */
function* factsOf(file, lines, tomorrow) {
  const facts = [];
  for (const [index, line] of lines.entries()) {
    const where = `${file}:${index + 1}`;
    const [, day, fact] = FACT.exec(line) ?? [];
    if (!day) {
      if (ITEM.test(line)) yield `${where}: no date: write \`- YYYY-MM-DD fact\``;
      continue;
    }
    if (!parsedDay(day)) {
      yield `${where}: ${day} is no day`;
      continue;
    }
    if (day > tomorrow) yield `${where}: ${day} has not come yet`;
    const words = plain(fact);
    for (const { number, words: other } of facts) {
      const alike = likeness(words, other);
      if (alike === 1) yield `${where}: the same as line ${number}: keep one`;
      else if (alike > 0.9) yield `${where}: nearly the same as line ${number}: keep one, or say what differs`;
      else continue;
      break;
    }
    facts.push({ number: index + 1, words });
  }
}

/** The letters and digits of a text, without regard to capitals. */
function plain(text) {
  return [...folded(text).replace(/[^\p{L}\p{N}]+/gu, " ").trim()];
}

/** How alike two texts are, from 0 to 1: twice the length of what they share in the same order, by that of both. */
function likeness(one, other) {
  const both = one.length + other.length;
  if (both === 0) return 1;
  // No more is shared than there is of each character; most pairs end here.
  const there = new Map();
  for (const letter of other) there.set(letter, (there.get(letter) ?? 0) + 1);
  let most = 0;
  for (const letter of one) {
    const left = there.get(letter) ?? 0;
    if (left > 0) most += 1;
    there.set(letter, left - 1);
  }
  if ((2 * most) / both <= 0.9) return (2 * most) / both;
  return (2 * shared(one, other)) / both;
}

/** Length of the longest piece that both hold, and of what they share before and behind it. */
function shared(one, other) {
  let [length, end, otherEnd] = [0, 0, 0];
  let before = [];
  for (let i = 0; i < one.length; i += 1) {
    const here = [];
    for (let j = 0; j < other.length; j += 1) {
      if (one[i] !== other[j]) continue;
      here[j] = (before[j - 1] ?? 0) + 1;
      if (here[j] > length) [length, end, otherEnd] = [here[j], i + 1, j + 1];
    }
    before = here;
  }
  if (length === 0) return 0;
  const head = shared(one.slice(0, end - length), other.slice(0, otherEnd - length));
  return head + length + shared(one.slice(end), other.slice(otherEnd));
}

/** The digest of a day: one title with the day, no part twice. */
function* digestOf(file, lines, day) {
  const title = `# ${day}`;
  if (lines[0]?.trim() !== title) yield `${file}:1: the first line must be \`${title}\``;
  const titles = lines.filter((line) => /^#{1,2} /.test(line)).map((line) => line.trim());
  const times = (one) => titles.filter((other) => other === one).length;
  for (const one of [...new Set(titles)].sort()) {
    if (times(one) > 1) yield `${file}: \`${one}\` is there ${times(one)} times: the file was appended to, write it anew`;
  }
  if (titles.filter((one) => one.startsWith("# ")).length > 1 && times(title) < 2) {
    yield `${file}: more than one title: a file holds one day`;
  }
}

function main() {
  const { given, wrong } = options(ABOUT, OPTIONS, process.argv.slice(2));
  const memory = (given.memory ?? "memory").replace(/(?<=.)\/+$/, "");
  const day = given.day && parsedDay(given.day);
  if (given.day && !day) throw wrong(`${quote(given.day)} is no day: write YYYY-MM-DD`);
  if (!stat(memory)?.isDirectory()) throw new End(2, `${memory} is not there`);
  const found = [];
  const facts = read(`${memory}/MEMORY.md`);
  if (facts) {
    found.push(...common(`${memory}/MEMORY.md`, facts, MOST_LINES));
    found.push(...factsOf(`${memory}/MEMORY.md`, facts, later(machinesDay(), 1)));
  }
  if (day) {
    const file = `${memory}/${day}.md`;
    const lines = read(file);
    if (lines) found.push(...common(file, lines, MOST_LINES_A_DAY), ...digestOf(file, lines, day));
    else found.push(`${file}: is not there`);
  }
  const out = found.length > 0 ? found : ["nothing to mend"];
  return { out: `${out.join("\n")}\n`, code: found.some((line) => !line.startsWith(LOOK)) ? 1 : 0 };
}

run(ABOUT.program, main);
