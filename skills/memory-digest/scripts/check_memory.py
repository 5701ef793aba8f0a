#!/usr/bin/env python3
"""Check the assistant's memory after a digest: form, dates, repetitions, secrets. Reads only; Python 3.8 or later.

    python3 check_memory.py [--memory memory] [--day YYYY-MM-DD]

Each finding is one line; `look:` marks what may be right as it is. Exit codes: 0 nothing to mend, 1 something to mend,
2 wrong usage or not readable.
Needs the skill archive-reader beside this one: its rules for what looks like a secret hold here, too.
"""
from __future__ import annotations

import argparse
import datetime as dt
import difflib
import re
import sys
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "archive-reader" / "scripts"))
try:
    from tasks import MASK, clean, mask
except ImportError:
    print("check_memory.py: the skill archive-reader is not beside memory-digest", file=sys.stderr)
    sys.exit(2)

# Worth a look, and no reason to fail: a wish of the owner may read like this.
LOOK = "look: "
MOST_LINES, MOST_LINES_A_DAY, LONGEST = 200, 80, 240
FACT = re.compile(r"^\s*[-*]\s+(\d{4}-\d{2}-\d{2})\s+(\S.*)$")
ITEM = re.compile(r"^\s*[-*]\s+\S")
# Nobody may get a right because a note says so.
RIGHTS = re.compile(
    r"(?i)\b(?:always|automatically|without asking|never ask)\b.{0,60}\b(?:allow|approve|push|send|delete)\w*"
    r"|\b(?:allow|approve|push|run|send|delete)\w*\b.{0,60}\b(?:always|automatically|without asking)\b"
    r"|ignore (?:all |the )?(?:previous|prior|above) instructions"
    r"|(?:总是|自动|直接|不用问|无需).{0,12}(?:允许|批准|同意|推送|执行|删除)"
)


def read(path):
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        print("check_memory.py: %s: %s" % (path, error), file=sys.stderr)
        sys.exit(2)


def plain(text):
    return re.sub(r"[\W_]+", " ", text.casefold()).strip()


def common(path, text, most):
    """What holds for every file of the memory."""
    lines = text.splitlines()
    if len(lines) > most:
        yield "%s: %d lines, at most %d" % (path, len(lines), most)
    for number, line in enumerate(lines, 1):
        where = "%s:%d" % (path, number)
        if mask(line).replace(MASK, "") != line.replace(MASK, ""):
            yield where + ": looks like a secret: take it out"
        if clean(line) != line:
            yield where + ": hidden characters: take them out"
        if RIGHTS.search(line):
            yield LOOK + where + ": reads like a right or an order: say who wished it, or take it out"
        if len(line) > LONGEST:
            yield "%s: %d characters, at most %d" % (where, len(line), LONGEST)


def facts_of(path, text, today):
    """MEMORY.md: each fact one line that begins with its date, none of them twice."""
    facts = []
    for number, line in enumerate(text.splitlines(), 1):
        where = "%s:%d" % (path, number)
        fact = FACT.match(line)
        if not fact:
            if ITEM.match(line):
                yield where + ": no date: write `- YYYY-MM-DD fact`"
            continue
        try:
            day = dt.date.fromisoformat(fact.group(1))
        except ValueError:
            yield "%s: %s is no day" % (where, fact.group(1))
            continue
        if day > today + dt.timedelta(days=1):
            yield "%s: %s has not come yet" % (where, day)
        words = plain(fact.group(2))
        for other_number, other in facts:
            if words == other:
                yield "%s: the same as line %d: keep one" % (where, other_number)
                break
            if difflib.SequenceMatcher(None, words, other).ratio() > 0.9:
                yield "%s: nearly the same as line %d: keep one, or say what differs" % (where, other_number)
                break
        facts.append((number, words))


def digest_of(path, text, day):
    """The digest of a day: one title with the day, no part twice."""
    lines = text.splitlines()
    if not lines or lines[0].strip() != "# " + day:
        yield "%s:1: the first line must be `# %s`" % (path, day)
    titles = [line.strip() for line in lines if re.match(r"^#{1,2} ", line)]
    for title in sorted({title for title in titles if titles.count(title) > 1}):
        yield "%s: `%s` is there %d times: the file was appended to, write it anew" % (path, title, titles.count(title))
    if sum(title.startswith("# ") for title in titles) > 1 and titles.count("# " + day) < 2:
        yield "%s: more than one title: a file holds one day" % path


def main():
    parser = argparse.ArgumentParser(description="Check the assistant's memory after a digest.")
    parser.add_argument("--memory", default="memory", help="the folder (default: memory)")
    parser.add_argument("--day", help="check the digest of this day, too")
    args = parser.parse_args()
    if args.day:
        try:
            dt.datetime.strptime(args.day, "%Y-%m-%d")
        except ValueError:
            parser.error("%r is no day: write YYYY-MM-DD" % args.day)
    memory = Path(args.memory)
    if not memory.is_dir():
        print("check_memory.py: %s is not there" % memory, file=sys.stderr)
        return 2
    found = []
    path = memory / "MEMORY.md"
    if path.exists():
        text = read(path)
        found += common(path, text, MOST_LINES)
        found += facts_of(path, text, dt.date.today())
    if args.day:
        path = memory / (args.day + ".md")
        if path.exists():
            text = read(path)
            found += common(path, text, MOST_LINES_A_DAY)
            found += digest_of(path, text, args.day)
        else:
            found.append("%s: is not there" % path)
    for line in found:
        print(line)
    if not found:
        print("nothing to mend")
    return 1 if any(not line.startswith(LOOK) for line in found) else 0


if __name__ == "__main__":
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(encoding="utf-8", errors="replace")
    sys.exit(main())
