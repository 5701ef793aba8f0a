//! Build tools that run the project's own rules. Options and settings that are not known may run anything.

use super::Call;
use super::args::{Args, Known};
use super::builds::tasks;
use crate::domain::risk::Class;
use crate::domain::risk::shell::Judge;
use crate::domain::risk::words::Word;

const MAKE: Known = Known {
    alone: &[
        "-k",
        "--keep-going",
        "-n",
        "--dry-run",
        "--just-print",
        "-s",
        "--silent",
        "--quiet",
        "-B",
        "--always-make",
        "-i",
        "--ignore-errors",
        "-q",
        "--question",
        "-r",
        "-R",
        "-w",
        "--print-directory",
        "--no-print-directory",
        "--trace",
        "-d",
        "-p",
        "-j",
        "--jobs",
        "-O",
        "--output-sync",
        "--warn-undefined-variables",
    ],
    taking: &[
        "-C",
        "--directory",
        "-f",
        "--file",
        "--makefile",
        "-l",
        "-o",
        "-W",
        "-j",
        "--jobs",
        "-O",
        "--output-sync",
    ],
};
const NINJA: Known = Known { alone: &["-v", "-n", "--verbose", "--quiet"], taking: &["-C", "-f", "-j", "-k", "-l"] };
const JUST: Known = Known {
    alone: &["-n", "--dry-run", "-q", "--quiet", "-v", "--verbose", "-l", "--list", "--summary", "--yes"],
    taking: &["-f", "--justfile", "-d", "--working-directory"],
};
const RAKE: Known = Known {
    alone: &["-n", "-q", "-s", "-v", "-T", "-P", "-m", "-t", "--trace", "--tasks", "--quiet", "--verbose"],
    taking: &["-f", "-j"],
};
const ANT: Known = Known { alone: &["-q", "-v", "-d", "-projecthelp", "-p"], taking: &["-f", "-buildfile", "-D"] };
const MVN: Known = Known {
    alone: &[
        "-q",
        "--quiet",
        "-B",
        "--batch-mode",
        "-o",
        "--offline",
        "-U",
        "-e",
        "-X",
        "-V",
        "-N",
        "-ntp",
        "-am",
        "-amd",
        "-fae",
        "-ff",
        "-fn",
        "--no-transfer-progress",
    ],
    taking: &["-pl", "-P", "-T", "-f", "-D", "-rf"],
};
const GRADLE: Known = Known {
    alone: &[
        "-q",
        "--quiet",
        "-i",
        "--info",
        "-d",
        "--debug",
        "-s",
        "--stacktrace",
        "-S",
        "--full-stacktrace",
        "--daemon",
        "--no-daemon",
        "--offline",
        "--parallel",
        "--no-parallel",
        "--build-cache",
        "--no-build-cache",
        "--continue",
        "-a",
        "--rerun-tasks",
        "--refresh-dependencies",
        "-m",
        "--dry-run",
        "--configuration-cache",
        "--no-configuration-cache",
        "--profile",
    ],
    taking: &["--console", "--warning-mode", "--tests", "-x", "-p", "--project-dir", "-P", "-D", "--max-workers"],
};
const BAZEL: Known = Known {
    alone: &["-k", "--keep_going", "--verbose_failures", "--nocache_test_results", "-s"],
    taking: &["--config", "--test_output", "--test_filter", "-c", "--compilation_mode", "--jobs", "-j"],
};
const TASK: Known = Known {
    alone: &[
        "-l",
        "--list",
        "-a",
        "--list-all",
        "-v",
        "--verbose",
        "-s",
        "--silent",
        "-f",
        "--force",
        "-n",
        "--dry",
        "-p",
    ],
    taking: &["-d", "--dir", "-t", "--taskfile"],
};
const MESON: Known = Known {
    alone: &["-v", "--verbose", "--reconfigure", "--wipe", "--print-errorlogs", "--clean"],
    taking: &["-C", "-j", "-D", "--buildtype", "--prefix", "--suite"],
};
const SCONS: Known = Known { alone: &["-Q", "-s", "-k", "-n", "-c"], taking: &["-f", "-C", "-j"] };
const CMAKE: Known = Known {
    alone: &["--fresh", "-Wno-dev", "-Wdev", "--verbose", "-v", "--clean-first", "-j", "--parallel", "-LA", "-L", "-N"],
    taking: &["-S", "-B", "-G", "-D", "-A", "--build", "--config", "-j", "--parallel", "-t", "--target", "--preset"],
};
const CTEST: Known = Known {
    alone: &[
        "--output-on-failure",
        "-V",
        "-VV",
        "-N",
        "-Q",
        "--verbose",
        "--extra-verbose",
        "--rerun-failed",
        "--progress",
        "--stop-on-failure",
    ],
    taking: &["-R", "-E", "-L", "-LE", "-j", "--parallel", "-C", "--test-dir", "--timeout", "--preset", "--repeat"],
};
/// Subcommands of `bazel` and `meson` that build and look.
const BAZEL_VERBS: [&str; 13] = [
    "build", "test", "query", "cquery", "aquery", "info", "version", "fetch", "sync", "run", "coverage", "mod", "clean",
];
const MESON_VERBS: [&str; 5] = ["setup", "compile", "test", "configure", "introspect"];
/// Plugins of Maven whose goals only build and look.
const MVN_PLUGINS: [&str; 10] = [
    "dependency",
    "versions",
    "help",
    "surefire",
    "failsafe",
    "compiler",
    "checkstyle",
    "spotless",
    "source",
    "javadoc",
];

/// `build`: what it means to build here, and where the words lead.
pub(super) fn judge(call: &mut Call<'_, '_, '_>, name: &str, build: Class) -> Option<Class> {
    let known = match name {
        "make" | "gmake" => &MAKE,
        "ninja" => &NINJA,
        "just" => &JUST,
        "rake" => &RAKE,
        "ant" => &ANT,
        "mvn" | "mvnw" => &MVN,
        "gradle" | "gradlew" => &GRADLE,
        "bazel" => &BAZEL,
        "task" => &TASK,
        "meson" => &MESON,
        "scons" => &SCONS,
        "cmake" => &CMAKE,
        "ctest" => &CTEST,
        _ => return None,
    };
    let args = call.args;
    let Some(plain) = args.plain(known) else { return Some(Class::Unknown) };
    let verb = plain.first().map_or("", |word| word.text.as_str());
    let stdin = ["-f", "--file", "--makefile"].iter().any(|option| {
        let files = args.values(option.strip_prefix("--").map_or("f", |_| ""), option);
        files.iter().any(|file| file.text == "-" || file.text.starts_with("/dev"))
    });
    let runs = match name {
        "mvn" | "mvnw" => plain.iter().any(|goal| match goal.text.split_once(':') {
            Some((plugin, _)) => !MVN_PLUGINS.contains(&plugin),
            None => false,
        }),
        "bazel" => !verb.is_empty() && !BAZEL_VERBS.contains(&verb),
        "meson" => !MESON_VERBS.contains(&verb),
        _ => false,
    };
    let fetches = name == "bazel" && matches!(verb, "fetch" | "sync" | "run" | "mod")
        || name.starts_with("mvn") && plain.iter().any(|goal| goal.text.starts_with("dependency:"));
    // Behind `--`: options of yet another tool.
    let passed = plain.iter().any(|word| word.text.starts_with('-'));
    if runs || stdin || passed {
        return Some(Class::Unknown);
    }
    let set = settings(call.judge, args, name);
    let done = tasks(args.0, name.starts_with("gradle"));
    // To install is to change other places.
    let done = if matches!(name, "cmake" | "ctest") && done > Class::Write { Class::Unknown } else { done };
    let removes = name == "scons" && args.has('c', "") || name == "meson" && args.any(&["--wipe", "--clean"]);
    let more = if removes { Class::Destroy } else { Class::Write };
    Some(build.max(set).max(done).max(more).max(if fetches { Class::Fetch } else { Class::Read }))
}

/// What it means that `CC=x`, `-DX=y` and the like are set: numbers, names and flags are usual, commands are not.
fn settings(judge: &mut Judge<'_>, args: Args<'_>, tool: &str) -> Class {
    let mut class = Class::Read;
    for word in args.0 {
        let set = match word.text.strip_prefix("-D").or_else(|| word.text.strip_prefix("-P")) {
            Some(set) => set,
            None if word.text.starts_with('-') => continue,
            None => word.text.as_str(),
        };
        if let Some((name, value)) = set.split_once('=') {
            class = class.max(setting(judge, name.trim_end_matches([':', '?', '+', '!']), value, tool));
        }
    }
    class
}

fn setting(judge: &mut Judge<'_>, name: &str, value: &str, tool: &str) -> Class {
    // They change how everything runs.
    const RUNS: [&str; 10] = [
        "shell",
        "shellflags",
        "makeflags",
        "mflags",
        "gnumakeflags",
        "makefiles",
        "make",
        "makefile_list",
        "path",
        "bash_env",
    ];
    let lower = name.to_lowercase();
    let plain_name = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
        || !tool.ends_with("make") && name.chars().all(|c| c.is_ascii_alphanumeric() || "_.-:".contains(c));
    let java =
        ["exec", "jvm", "agent", "org.gradle", "plugin", "argline", "class"].iter().any(|part| lower.contains(part));
    let plain = |c: char| c.is_alphanumeric() || "_.,:+@%-/=#* ".contains(c);
    if !plain_name || RUNS.contains(&lower.as_str()) || java || !value.chars().all(plain) {
        return Class::Unknown;
    }
    let flags =
        |word: &str| word.starts_with('-') && !["plugin", "load", "specs", "-B"].iter().any(|p| word.contains(p));
    let mut words = value.split(' ').filter(|word| !word.is_empty());
    let (first, more) = (words.next().unwrap_or_default(), words.clone().next().is_some());
    if first.starts_with('-') || more {
        return if value.split(' ').all(|word| word.is_empty() || flags(word)) { Class::Read } else { Class::Unknown };
    }
    if first.contains('/') {
        // A directory is usual; a program from there is not.
        let place =
            ["dir", "path", "prefix", "root", "file", "out", "output", "dest", "src", "target", "args", "files"];
        return if place.iter().any(|end| lower.ends_with(end)) { Class::Read } else { Class::Unknown };
    }
    // A command that does more than to build; what is no command is a value.
    match judge.words(&[Word::fixed(first)], &super::Stdin::default()) {
        class if class > Class::Write && class != Class::Unknown => class,
        Class::Unknown if ["sh", "bash", "zsh", "eval", "exec", "perl", "ruby", "xargs"].contains(&first) => {
            Class::Unknown
        }
        _ => Class::Read,
    }
}
