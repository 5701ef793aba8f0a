//! Compilers, and tools that check, format and test.

use super::args::{Args, Known};
use super::{Call, Stdin, makes, packages, scripts};
use crate::domain::risk::shell::Judge;
use crate::domain::risk::words::Word;
use crate::domain::risk::{Class, paths};

/// The tools of a project that are found in its `node_modules`.
pub(super) const BIN: [&str; 13] = [
    "eslint",
    "prettier",
    "tsc",
    "jest",
    "vitest",
    "mocha",
    "webpack",
    "vite",
    "biome",
    "stylelint",
    "rollup",
    "esbuild",
    "playwright",
];
const TOX: Known = Known {
    alone: &["-q", "-v", "-vv", "-p", "--recreate", "-r", "--notest", "-l"],
    taking: &["-e", "-c", "-k", "-s", "-t"],
};
const COVERAGE: Known =
    Known { alone: &["--branch", "-a", "-p"], taking: &["--source", "--omit", "--include", "--data-file"] };
/// How `rustc -C` may be told to make code; the rest names programs.
const CODEGEN: [&str; 10] = [
    "opt-level",
    "debuginfo",
    "target-cpu",
    "target-feature",
    "codegen-units",
    "lto",
    "panic",
    "overflow-checks",
    "debug-assertions",
    "strip",
];
/// Options of compilers and checkers that load code or run other programs.
const LOADS: [&str; 14] = [
    "-wrapper",
    "-B",
    "-load",
    "--load",
    "-specs",
    "--specs",
    "--ld-path",
    "-Xclang",
    "-Xlinker",
    "--config",
    "-J",
    "-processor",
    "--processor",
    "-Z",
];

/// A program given by its path.
pub(super) fn own_script(judge: &mut Judge<'_>, word: &str, args: &[Word]) -> Class {
    let here = paths::write_into(&Word::fixed(""), &judge.dirs, judge.place).max(Class::Write);
    if args.iter().any(|arg| arg.dynamic) {
        return Class::Unknown;
    }
    let outs = args.iter().map(|arg| path_like(judge, arg)).max().unwrap_or(Class::Read);
    let bin = word.strip_prefix("./").unwrap_or(word).strip_prefix("node_modules/.bin/");
    // The same program in another place.
    let named = match word.rsplit('/').next() {
        Some("ally") => Class::Privilege,
        name => name.and_then(super::system::always).unwrap_or(Class::Unknown).max(Class::Unknown),
    };
    let build = here.max(outs);
    match word {
        "./gradlew" | "./mvnw" => {
            let mut call = Call { judge, args: Args(args), stdin: &Stdin::default() };
            makes::judge(&mut call, &word[2..], build).unwrap_or(named)
        }
        "./configure" => build.max(tasks(args, false)),
        _ if bin.is_some_and(|name| BIN.contains(&name)) => build.max(tasks(args, false)),
        _ => named,
    }
}

/// Words that lead out of the project, or to what runs by itself, count as changes there.
fn path_like(judge: &Judge<'_>, arg: &Word) -> Class {
    let value = arg.text.split_once('=').map_or(arg.text.as_str(), |(_, value)| value);
    let leads_out = |text: &str| text.starts_with(['/', '~']) || text.contains("../") || text == "..";
    let judged = |text: &str| {
        // A pattern stands for sources; the directory is said.
        let said = match text.rsplit_once('/') {
            Some((dir, last)) if last.contains('*') => dir,
            None if text.contains('*') => "",
            _ => text,
        };
        let into = paths::write_into(&Word { text: said.to_owned(), ..arg.clone() }, &judge.dirs, judge.place);
        match leads_out(text) {
            true => into.max(paths::write(&Word::fixed(text), &judge.dirs, judge.place)),
            false if into >= Class::Autorun && !arg.dynamic => into,
            false => Class::Read,
        }
    };
    // `-f../x`, `-o/tmp/x`.
    let attached = arg.text.strip_prefix('-').and_then(|rest| rest.find(['/', '~', '.']).map(|at| &rest[at..]));
    let attached = attached.filter(|text| text.len() > 1 && !text.starts_with("...") && !arg.text.starts_with("--"));
    match (value.starts_with('-'), attached) {
        (false, _) => judged(value),
        (true, Some(path)) => judged(path),
        (true, None) => Class::Read,
    }
}

/// The parts of a name: `publishToSonatype`, `deploy-prod`, `:app:clean`.
fn parts(name: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut lower = false;
    for c in name.chars() {
        if !c.is_alphanumeric() || c.is_uppercase() && lower {
            parts.push(String::new());
        }
        lower = c.is_lowercase();
        if c.is_alphanumeric() {
            parts.last_mut().into_iter().for_each(|part| part.extend(c.to_lowercase()));
        }
    }
    parts
}

/// Targets and scripts by name: some deploy, some clean. `shortened`: the tool takes beginnings of names.
pub(super) fn tasks(args: &[Word], shortened: bool) -> Class {
    const PUBLISH: [&str; 7] = ["deploy", "publish", "release", "upload", "push", "ship", "promote"];
    const DESTROY: [&str; 10] =
        ["clean", "purge", "drop", "reset", "destroy", "wipe", "nuke", "uninstall", "distclean", "mrproper"];
    const UNKNOWN: [&str; 9] = ["install", "setup", "bootstrap", "migrate", "seed", "up", "start", "serve", "exec"];
    let mut class = Class::Write;
    for arg in args.iter().filter(|arg| !arg.text.starts_with('-')) {
        let file = arg.text.contains(['/', '.']);
        for part in parts(&arg.text).iter().filter(|part| !part.is_empty()) {
            let is = |verb: &&str| {
                part == verb
                    || !file && verb.len() > 4 && part.starts_with(*verb)
                    || shortened && verb.len() < 8 && verb.starts_with(part.as_str())
            };
            let unknown = if UNKNOWN.contains(&part.as_str()) { Class::Unknown } else { Class::Write };
            class = class.max(unknown).max(match () {
                () if DESTROY.iter().any(is) => Class::Destroy,
                () if PUBLISH.iter().any(is) => Class::Publish,
                () => Class::Write,
            });
        }
    }
    class
}

pub(super) fn judge(call: &mut Call<'_, '_, '_>, name: &str) -> Option<Class> {
    let args = call.args;
    // `python3 --version` and the like, alone.
    if args.0.len() == 1
        && matches!(args.first(), "--version" | "-V" | "-version" | "--help" | "version")
        && is_tool(name)
    {
        return Some(Class::Read);
    }
    let outs = args.0.iter().map(|arg| path_like(call.judge, arg)).max().unwrap_or(Class::Read);
    let build = call.here().max(outs).max(directory(call));
    let other = makes::judge(call, name, build).or_else(|| packages::judge(call, name, build));
    if let Some(class) = other.or_else(|| scripts::judge(call, name, build)) {
        return Some(class);
    }
    let class = match name {
        "rustfmt" | "gofmt" | "black" | "isort" | "prettier" | "eslint" | "tsc" | "ruff" | "mypy" | "pyright"
        | "flake8" | "clang-format" | "shfmt" | "stylua" | "golangci-lint" | "biome" | "stylelint" | "jest"
        | "vitest" | "mocha" | "webpack" | "rollup" | "esbuild" | "phpunit" | "rspec" | "rubocop" | "swiftformat"
        | "swiftlint" | "ktlint" | "hadolint" | "yamllint" | "markdownlint" => {
            let plugin = args.any(&["--plugin", "--python-executable", "--install-types"]) && name != "prettier";
            if plugin || listed(args) { Class::Unknown } else { Class::Write }
        }
        "pylint" if args.any(&["--init-hook", "--load-plugins"]) || listed(args) => Class::Unknown,
        "pylint" => Class::Write,
        "clang-tidy" | "rustc" | "gcc" | "g++" | "cc" | "c++" | "clang" | "clang++" | "javac" | "protoc" => {
            let codegen = args.values("C", "--codegen");
            let told = |value: &Word| !CODEGEN.contains(&value.text.split('=').next().unwrap_or_default());
            let loads = args.any(&LOADS)
                || args.0.iter().any(|arg| loads(&arg.text))
                || name == "rustc" && codegen.iter().any(told);
            if loads || listed(args) { Class::Unknown } else { Class::Write }
        }
        "tox" | "nox" => tox(args),
        "coverage" => coverage(call),
        "pytest" | "py.test" => pytest(call),
        _ => return None,
    };
    let file = args.0.iter().map(|arg| call.read(arg)).max().unwrap_or(Class::Read);
    Some(build.max(class).max(if file == Class::Secret { Class::Secret } else { Class::Read }))
}

/// Options that stand in a file.
fn listed(args: Args<'_>) -> bool {
    args.0.iter().any(|arg| arg.text.starts_with('@'))
}

/// Whether an option of a compiler loads code, or names a program.
fn loads(text: &str) -> bool {
    LOADS.iter().any(|option| text.starts_with(option))
        || text.starts_with('-') && text.contains("plugin")
        || text.starts_with("-fuse-ld=") && text.contains('/')
}

/// What stands behind `--` goes to the tests.
fn tox(args: Args<'_>) -> Class {
    let end = args.0.iter().position(|arg| arg.text == "--").unwrap_or(args.0.len());
    match Args(&args.0[..end]).plain(&TOX).as_deref() {
        Some([]) => Class::Write,
        Some([verb]) if ["run", "r", "p", "run-parallel", "list", "l"].contains(&verb.text.as_str()) => Class::Write,
        _ => Class::Unknown,
    }
}

fn coverage(call: &mut Call<'_, '_, '_>) -> Class {
    let args = call.args;
    match args.first() {
        "report" | "html" | "xml" | "json" | "lcov" | "combine" => Class::Write,
        "erase" => Class::Destroy,
        "run" => {
            let rest = args.rest(1);
            let at = rest.0.iter().position(|arg| arg.text == "-m").unwrap_or(rest.0.len());
            let module = rest.0.get(at + 1).map_or("", |arg| arg.text.as_str());
            let known = Args(&rest.0[..at]).plain(&COVERAGE).is_some_and(|plain| plain.is_empty());
            match (known, module) {
                (true, "unittest") => Class::Write,
                (true, "pytest") => pytest(&Call { judge: call.judge, args: rest.rest(at + 2), stdin: call.stdin }),
                _ => Class::Unknown,
            }
        }
        _ => Class::Unknown,
    }
}

fn pytest(call: &Call<'_, '_, '_>) -> Class {
    let args = call.args;
    // Plugins, and settings that name them.
    if args.has('p', "--pdbcls") || args.has('c', "--config-file") || args.has('o', "--override-ini") {
        return Class::Unknown;
    }
    // Everything in that directory goes.
    let base = args.values("", "--basetemp");
    base.iter().map(|dir| call.write(dir).max(Class::Destroy)).max().unwrap_or(Class::Write)
}

fn is_tool(name: &str) -> bool {
    [
        "python", "python3", "node", "npm", "pnpm", "yarn", "cargo", "rustc", "go", "java", "ruby", "perl", "php",
        "make", "cmake", "gcc", "clang", "bash", "pip", "pip3", "uv", "bun", "deno", "rustup", "mvn", "gradle",
        "dotnet", "swift", "tsc", "npx",
    ]
    .contains(&name)
}

/// Another directory to work in, as many tools take it.
fn directory(call: &Call<'_, '_, '_>) -> Class {
    let long = [
        "--directory",
        "--prefix",
        "--cwd",
        "--manifest-path",
        "--project",
        "--target-dir",
        "--rootdir",
        "--dir",
        "--file",
    ];
    let mut dirs = call.args.values("C", "");
    for name in long {
        dirs.extend(call.args.values("", name));
    }
    dirs.extend(call.args.values("f", "").into_iter().filter(|_| call.args.first() == "-f"));
    dirs.iter().map(|dir| call.write_into(dir)).max().unwrap_or(Class::Read)
}
