//! Rules of the source tree that no compiler checks. A failure names file, line, rule and what to do instead.

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

/// What every module but `domain` may use.
const LEAVES: [&str; 6] = ["clock", "crash", "metrics", "tasks", "words", "telemetry"];

/// Top-level module → what it may use beside itself and the leaves. The map of `src/lib.rs`.
const MAY_USE: [(&str, &[&str]); 20] = [
    ("domain", &[]),
    ("clock", &[]),
    ("crash", &[]),
    ("tasks", &[]),
    ("telemetry", &[]),
    ("metrics", &[]),
    ("words", &["domain"]),
    ("config", &["domain"]),
    ("ledger", &["domain"]),
    ("bridge", &["ledger", "domain"]),
    ("channels", &["bridge", "domain"]),
    ("runtimes", &["bridge", "demo", "domain"]),
    ("control", &["config", "domain"]),
    ("supervisor", &["config", "domain"]),
    ("routines", &["ledger", "domain"]),
    ("demo", &["domain"]),
    ("doctor", &["bridge", "channels", "config", "control", "domain", "ledger", "runtimes", "supervisor"]),
    (
        "app",
        &[
            "bridge",
            "routines",
            "channels",
            "config",
            "control",
            "demo",
            "doctor",
            "domain",
            "ledger",
            "runtimes",
            "supervisor",
        ],
    ),
    ("bench", &["bridge", "channels", "config", "control", "demo", "domain", "ledger", "runtimes"]),
    (
        "cli",
        &[
            "app",
            "bench",
            "channels",
            "config",
            "control",
            "demo",
            "doctor",
            "domain",
            "ledger",
            "runtimes",
            "supervisor",
        ],
    ),
];

struct Source {
    /// Path below `src/`, with `/`.
    path: String,
    /// Without the unit tests at its end.
    code: String,
    whole: String,
}

impl Source {
    /// `channels/feishu/card.rs` → `channels`; `app.rs` → `app`.
    fn module(&self) -> &str {
        let first = self.path.split('/').next().unwrap_or_default();
        first.strip_suffix(".rs").unwrap_or(first)
    }

    /// Lines with their numbers, comments left out.
    fn lines(&self) -> impl Iterator<Item = (usize, &str)> {
        self.code.lines().enumerate().filter(|(_, line)| !line.trim_start().starts_with("//")).map(|(n, l)| (n + 1, l))
    }
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn sources() -> Vec<Source> {
    let src = root().join("src");
    files(&src)
        .into_iter()
        .filter(|path| path.extension().is_some_and(|extension| extension == "rs"))
        .map(|path| {
            let whole = fs::read_to_string(&path).unwrap();
            let below = path.strip_prefix(&src).unwrap().display().to_string().replace('\\', "/");
            Source { path: below, code: without_tests(&whole), whole }
        })
        .collect()
}

/// Cuts the `mod tests` at the end of a file.
fn without_tests(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    let tests = lines.windows(2).position(|pair| {
        pair[0].starts_with("#[cfg(")
            && pair[0].contains("test")
            && pair[1].trim_end().ends_with('{')
            && pair[1].starts_with("mod ")
    });
    lines[..tests.unwrap_or(lines.len())].join("\n")
}

fn files(folder: &Path) -> Vec<PathBuf> {
    const SKIPPED: [&str; 5] = ["target", ".git", ".runtimes", "node_modules", "Cargo.lock"];
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default().to_owned();
        if SKIPPED.contains(&name.as_str()) || path.is_symlink() {
            continue;
        }
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found.sort();
    found
}

#[derive(Default)]
struct Complaints(String);

impl Complaints {
    fn add(&mut self, place: &str, line: usize, what: &str) {
        let _ = writeln!(self.0, "  {place}:{line}: {what}");
    }

    #[track_caller]
    fn check(self, rule: &str) {
        assert!(self.0.is_empty(), "\n{rule}\n{}", self.0);
    }
}

/// Everything that a file names as `crate::…`: `a::b` for `crate::a::b` and for `crate::{a::b, …}`.
fn crate_paths(code: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for (start, _) in code.match_indices("crate::") {
        let before = code[..start].chars().next_back();
        let line_start = code[..start].rfind('\n').map_or(0, |at| at + 1);
        if before.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == '$')
            || code[line_start..start].trim_start().starts_with("//")
        {
            continue;
        }
        let line = code[..start].matches('\n').count() + 1;
        let rest = &code[start + "crate::".len()..];
        match rest.strip_prefix('{') {
            Some(group) => found.extend(group_items(group).into_iter().map(|item| (line, item))),
            None => found.push((line, path_at(rest))),
        }
    }
    found
}

fn path_at(text: &str) -> String {
    let end = text.find(|c: char| !(c.is_alphanumeric() || c == '_' || c == ':')).unwrap_or(text.len());
    text[..end].trim_end_matches(':').to_owned()
}

/// The items of `{a::b, c::{d, e}}`, one level deep.
fn group_items(group: &str) -> Vec<String> {
    let (mut depth, mut item, mut items) = (0, String::new(), Vec::new());
    for c in group.chars() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => items.push(path_at(std::mem::take(&mut item).trim())),
            c if depth == 0 => item.push(c),
            _ => {}
        }
    }
    items.push(path_at(item.trim()));
    items.retain(|item| !item.is_empty());
    items
}

#[test]
fn modules_depend_in_one_direction() {
    let mut complaints = Complaints::default();
    for source in sources().iter().filter(|source| !matches!(source.module(), "lib" | "main")) {
        let module = source.module();
        let Some((_, allowed)) = MAY_USE.iter().find(|(name, _)| *name == module) else {
            complaints.add(&source.path, 1, "this module is not in MAY_USE: add it, and to the doc of src/lib.rs");
            continue;
        };
        for (line, path) in crate_paths(&source.code) {
            let mut names = path.split("::");
            let used = names.next().unwrap_or_default();
            // Macros and types of the crate's root have no module.
            if !MAY_USE.iter().any(|(name, _)| *name == used) {
                continue;
            }
            let below = names.next().unwrap_or_default();
            let leaf = LEAVES.contains(&used) && module != "domain";
            if used != module && !leaf && !allowed.contains(&used) {
                complaints.add(&source.path, line, &format!("{module} may not use {used}"));
            }
            if matches!(module, "channels" | "runtimes") && used == "bridge" && below != "ports" {
                complaints.add(&source.path, line, &format!("of the bridge, {module} may use `ports` only"));
            }
            let adapter = source.path.split('/').nth(1).unwrap_or_default();
            let beside = module == used && matches!(module, "channels" | "runtimes") && adapter != below;
            let shared = ["process", "rpc"].contains(&below) || adapter.ends_with(".rs");
            if beside && !shared {
                complaints.add(&source.path, line, &format!("adapters do not use each other ({used}::{below})"));
            }
        }
    }
    complaints.check("Direction of dependencies (src/lib.rs): pass a value or a port instead.");
}

/// Complains about lines with one of `needles` outside of the `homes` (path prefixes).
fn only_in(homes: &[&str], needles: &[&str], rule: &str) {
    let mut complaints = Complaints::default();
    for source in sources() {
        if homes.iter().any(|home| source.path.starts_with(home)) {
            continue;
        }
        for (number, line) in source.lines() {
            if let Some(needle) = needles.iter().find(|needle| line.contains(**needle)) {
                complaints.add(&source.path, number, needle);
            }
        }
    }
    complaints.check(rule);
}

#[test]
fn only_the_ledger_knows_sql() {
    only_in(&["ledger/"], &["rusqlite", "refinery"], "SQL belongs into src/ledger/: give it a function there.");
}

#[test]
fn only_tasks_spawns() {
    let needles = ["tokio::spawn(", "task::spawn(", "spawn_local(", "thread::spawn(", "thread::Builder"];
    // The ledger's writer is a thread of its own, because SQLite blocks.
    only_in(&["tasks.rs", "ledger/"], &needles, "Spawn with `Tasks::spawn`, so that the task has a name and an owner.");
}

#[test]
fn only_the_clock_reads_the_time() {
    let needles = ["SystemTime::now", "Utc::now", "Local::now"];
    only_in(&["clock.rs"], &needles, "Take the time from a `Clock`, so that tests can move it.");
}

#[test]
fn only_config_reads_the_environment() {
    only_in(
        &["config/"],
        &["env::var(", "env::var_os(", "env::vars(", "env::vars_os("],
        "Read the environment in src/config/environment.rs and pass the value on.",
    );
}

#[test]
fn only_wire_files_know_foreign_json() {
    let mut complaints = Complaints::default();
    for source in sources() {
        let adapter = source.path.starts_with("channels/") || source.path.starts_with("runtimes/");
        if !adapter || source.path.ends_with("wire.rs") {
            continue;
        }
        for (number, line) in source.lines() {
            if line.contains("derive(") && line.contains("Deserialize") {
                complaints.add(&source.path, number, "derives Deserialize");
            }
        }
    }
    complaints.check("Types that mirror the other side belong into the adapter's wire.rs.");
}

#[test]
fn files_say_what_they_are_and_stay_small() {
    let mut complaints = Complaints::default();
    for source in sources() {
        if !source.whole.starts_with("//!") {
            complaints.add(&source.path, 1, "does not begin with a `//!` that says what it owns");
        }
        let lines = source.whole.lines().count();
        if lines > 900 {
            complaints.add(&source.path, lines, "is longer than 900 lines: split it by responsibility");
        }
    }
    complaints.check("Every file begins with its purpose and can be read in one sitting.");
}

#[test]
fn nothing_is_left_for_later() {
    let mut complaints = Complaints::default();
    let rust = files(&root()).into_iter().filter(|path| path.extension().is_some_and(|e| e == "rs"));
    for path in rust.filter(|path| !path.ends_with("tests/tidy.rs")) {
        let below = path.strip_prefix(root()).unwrap().display().to_string();
        for (number, line) in fs::read_to_string(&path).unwrap().lines().enumerate() {
            for needle in ["#[ignore", "todo!(", "unimplemented!(", "dbg!("] {
                if line.contains(needle) {
                    complaints.add(&below, number + 1, needle);
                }
            }
        }
    }
    complaints.check("Finish it or take it out: a skipped test and an open end look like work that was done.");
}

#[test]
fn no_registry_and_no_machine_is_named() {
    // Put together here, so that this file does not complain about itself.
    let needles: Vec<String> = [
        ("registry.", "npmjs"),
        ("static.", "crates"),
        ("index.", "crates"),
        ("pypi", ".org"),
        ("/ro", "ot/"),
        ("/wo", "rk/"),
    ]
    .map(|(a, b)| format!("{a}{b}"))
    .into();
    let mut complaints = Complaints::default();
    for path in files(&root()) {
        let Ok(text) = fs::read_to_string(&path) else { continue };
        let below = path.strip_prefix(root()).unwrap().display().to_string();
        for (number, line) in text.lines().enumerate() {
            for needle in needles.iter().filter(|needle| line.contains(needle.as_str())) {
                complaints.add(&below, number + 1, needle);
            }
        }
    }
    complaints.check("Which registry and which folders a machine uses is that machine's own setting.");
}

#[test]
fn every_promise_names_tests_that_exist() {
    let file = "docs/promises.md";
    let text = fs::read_to_string(root().join(file)).unwrap();
    let mut complaints = Complaints::default();
    for (number, line) in text.lines().enumerate().filter(|(_, line)| line.starts_with("| ")) {
        let named: Vec<&str> = line.split('`').skip(1).step_by(2).filter(|name| name.contains("::")).collect();
        if named.is_empty() && line != "| Promise | Tests |" {
            complaints.add(file, number + 1, "a promise without a test");
        }
        for name in named.into_iter().filter(|name| !is_a_test(name)) {
            complaints.add(file, number + 1, name);
        }
    }
    complaints.check("Name a test by its file (below src/, or it/… below tests/) and its function.");
}

/// What can go wrong outside of ally. Each has a row in docs/reliability.md.
const FAULTS: [&str; 45] = [
    "frame lost",
    "ack lost",
    "redelivered",
    "half-open line",
    "slow line",
    "frame cut",
    "answer cut",
    "out of order",
    "no network",
    "not readable",
    "token refused",
    "app refused",
    "rate 429",
    "rate of a chat",
    "rate of the app",
    "platform 5xx",
    "HTML for JSON",
    "error in a 200",
    "time-out",
    "card too old",
    "card too big",
    "content refused",
    "recalled",
    "bot removed",
    "chat disbanded",
    "model unreachable",
    "model 401",
    "model 429",
    "model 500",
    "stream cut",
    "model silent",
    "codex floods",
    "codex hangs",
    "codex ends",
    "codex garbage",
    "codex missing",
    "codex version",
    "disk full",
    "read-only home",
    "ledger gone",
    "ledger damaged",
    "clock jumps",
    "suspend",
    "power cut",
    "a day offline",
];

#[test]
fn every_fault_has_a_row_and_every_row_its_tests() {
    let file = "docs/reliability.md";
    let text = fs::read_to_string(root().join(file)).unwrap();
    let sources = sources().into_iter().map(|source| source.whole).collect::<String>().replace("\\\"", "\"");
    let mut complaints = Complaints::default();
    let mut missing = FAULTS.to_vec();
    for (number, line) in text.lines().enumerate().filter(|(_, line)| line.starts_with("| ")) {
        let cells: Vec<&str> = line.trim_matches('|').split(" | ").map(str::trim).collect();
        if cells[0] == "Fault" {
            continue;
        }
        missing.retain(|fault| *fault != cells[0]);
        if !FAULTS.contains(&cells[0]) {
            complaints.add(file, number + 1, "a fault that is not in FAULTS");
        }
        if cells.len() != 6 || cells.iter().any(|cell| cell.is_empty()) {
            complaints.add(file, number + 1, "not six filled columns");
        }
        let named: Vec<&str> = cells[cells.len() - 1].split('`').skip(1).step_by(2).collect();
        if named.is_empty() {
            complaints.add(file, number + 1, "a fault without a test");
        }
        for name in named.into_iter().filter(|name| !is_a_test(name)) {
            complaints.add(file, number + 1, name);
        }
        // What is quoted is what people read: it stands in the sources, with `…` for what differs.
        for quoted in line.split('“').skip(1).filter_map(|rest| rest.split('”').next()) {
            for piece in quoted.split('…').filter(|piece| !sources.contains(piece.trim())) {
                complaints.add(file, number + 1, &format!("nobody says: {piece}"));
            }
        }
    }
    missing.iter().for_each(|fault| complaints.add(file, 1, &format!("no row: {fault}")));
    complaints.check("Each fault has a row: what it is, what people see, what status says, how it heals, its tests.");
}

/// `it/people/gates::some_test` or `domain/access::some_test`.
fn is_a_test(name: &str) -> bool {
    let Some((file, function)) = name.split_once("::") else { return false };
    let folder = if file.starts_with("it/") { "tests" } else { "src" };
    // A module within a file (`it/faults/disk/full`) counts as the file.
    let place = |file: &str| root().join(folder).join(file).with_extension("rs");
    let outer = file.rsplit_once('/').map_or(file, |(outer, _)| outer);
    let Ok(text) = fs::read_to_string(place(file)).or_else(|_| fs::read_to_string(place(outer))) else { return false };
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    lines.windows(2).any(|pair| {
        let is_test = pair[0] == "#[test]" || pair[0].starts_with("#[tokio::test");
        is_test && pair[1].trim_start_matches("async ").starts_with(&format!("fn {function}("))
    })
}

/// What a bridge must be able to die at: one place before and one after, or the one that lies between.
const DEATHS: [(&str, &[&str]); 26] = [
    ("W1", &["w1.before", "w1.after"]),
    ("W1b", &["w1b.before", "w1b.after"]),
    ("W2", &["w2.before", "w2.after"]),
    ("W3", &["w3.before", "w3.after"]),
    ("W4", &["w4.before", "w4.after"]),
    ("W5", &["w5.before", "w5.after"]),
    ("W5a", &["w5a.before", "w5a.after"]),
    ("W6", &["w6.before", "w6.after"]),
    ("W7", &["w7.before", "w7.after"]),
    ("the end of a request", &["gate.over.before", "gate.over.after"]),
    ("a burial", &["bury.before", "bury.after"]),
    ("a timer", &["reminder.before", "reminder.after"]),
    ("a run of a routine", &["routine.before", "routine.after"]),
    ("a call of a tool", &["tool.before", "tool.after"]),
    ("the archive", &["archive.before", "archive.after"]),
    ("a migration", &["migration.before", "migration.after"]),
    ("a restore", &["restore.before", "restore.after"]),
    ("the middle of a restore", &["restore.middle"]),
    ("a group of writes", &["commit.before", "commit.after"]),
    ("the middle of a group of writes", &["commit.middle"]),
    ("a process runs and we do not know", &["spawn.told"]),
    ("the runtime has a turn and we do not know", &["w2.told"]),
    ("the runtime has a decision and we do not know", &["w5a.told"]),
    ("the platform has a message and we do not know", &["w7.told"]),
    ("the platform has a file and we do not know", &["upload.told"]),
    ("the platform has a card and we do not know", &["card.told"]),
];

#[test]
fn there_is_a_place_to_die_at_around_every_write_and_each_is_tried() {
    let mut complaints = Complaints::default();
    let wanted: Vec<&str> = DEATHS.iter().flat_map(|(_, places)| places.iter().copied()).collect();
    let sources = sources();
    let tests: String = files(&root().join("tests/it/crash"))
        .into_iter()
        .filter(|path| !path.components().any(|part| part.as_os_str() == "walk"))
        .map(|path| fs::read_to_string(path).unwrap())
        .collect();
    for (what, places) in DEATHS {
        let stands = |place: &str| {
            let call = format!("crash::point(\"{place}\")");
            sources.iter().filter(|source| source.code.contains(&call)).map(|source| source.path.as_str()).collect()
        };
        let found: Vec<Vec<&str>> = places.iter().map(|place| stands(place)).collect();
        for (place, files) in places.iter().zip(&found) {
            if files.is_empty() || !ally::crash::PLACES.contains(place) {
                complaints.add("crash.rs", 1, &format!("nobody dies at {place} ({what})"));
            }
            if !tests.contains(&format!("\"{place}\"")) {
                complaints.add("tests/it/crash", 1, &format!("no test dies at {place} ({what})"));
            }
        }
        if let [before, after] = found.as_slice()
            && before != after
        {
            complaints.add("crash.rs", 1, &format!("before and after {what} stand in different files"));
        }
    }
    for place in ally::crash::PLACES.iter().filter(|place| !wanted.contains(place)) {
        complaints.add("crash.rs", 1, &format!("{place} belongs to nothing in DEATHS"));
    }
    complaints.check("Each write has a place to die at on both sides of it, and a test that dies there.");
}

#[test]
fn paths_are_found_in_all_their_forms() {
    let code = "use crate::a::b;\nuse crate::{c::d, e::{f, g}};\nlet x = crate::h::i();\n// crate::j\n";
    let found: Vec<String> = crate_paths(code).into_iter().map(|(_, path)| path).collect();
    assert_eq!(found, ["a::b", "c::d", "e", "h::i"]);
}
