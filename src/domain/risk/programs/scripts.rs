//! Interpreters: shells and the rest.

use super::{Args, Call, builds, packages};
use crate::domain::risk::Class;

pub(super) fn judge(call: &mut Call<'_, '_, '_>, name: &str, build: Class) -> Option<Class> {
    let args = call.args;
    Some(match name {
        "python" | "python3" | "python2" | "pypy3" => python(call, build),
        "node" => match args.first() {
            "--check" | "-c" if args.0.len() == 2 => call.read(&args.0[1]),
            "--test" if args.options().count() == 1 => build,
            _ => Class::Unknown,
        },
        "bash" | "sh" | "dash" | "zsh" | "ksh" | "ash" => shell(call),
        // With a file or a text of their own: nobody reads that for us.
        "perl" | "ruby" | "php" | "lua" | "R" | "Rscript" | "julia" | "osascript" | "tclsh" | "expect" | "vim"
        | "vi" | "nvim" | "ex" | "ed" | "emacs" | "nano" | "ts-node" | "tsx" | "ghci" | "scala" | "groovy" | "java"
        | "pwsh" | "fish" => match (name, args.first()) {
            // They check a file. (`php -c` names a configuration and runs what it is given.)
            ("php", "-l") | ("ruby", "-c" | "-wc") if args.0.len() == 2 && !args.0[1].text.starts_with('-') => {
                call.read(&args.0[1])
            }
            _ => Class::Unknown,
        },
        _ => return None,
    })
}

fn python(call: &mut Call<'_, '_, '_>, build: Class) -> Class {
    let words = call.args.0;
    let at =
        words.iter().position(|arg| !matches!(arg.text.as_str(), "-u" | "-B" | "-I" | "-q")).unwrap_or(words.len());
    let (Some(first), rest) = (words.get(at), words.get(at + 2..).unwrap_or_default()) else { return Class::Unknown };
    let module = words.get(at + 1).map(|arg| arg.text.as_str()).unwrap_or_default();
    match (first.text.as_str(), module) {
        ("-m", "unittest" | "compileall" | "py_compile") => build,
        ("-m", "pytest" | "mypy" | "ruff" | "black" | "isort" | "flake8" | "pylint" | "tox" | "nox" | "coverage") => {
            let args = Args(rest);
            let class = builds::judge(&mut Call { judge: call.judge, args, stdin: call.stdin }, module);
            class.unwrap_or(Class::Unknown).max(build)
        }
        ("-m", "venv") => rest
            .iter()
            .filter(|arg| !arg.text.starts_with('-'))
            .map(|arg| call.write(arg))
            .max()
            .unwrap_or(Class::Unknown)
            .max(build),
        ("-m", "pip") => {
            let args = Args(rest);
            packages::judge(&mut Call { judge: call.judge, args, stdin: call.stdin }, "pip", build)
                .unwrap_or(Class::Unknown)
        }
        ("-m", "json.tool") => match rest {
            [] => Class::Read,
            [source] => call.read(source),
            [source, target] => call.read(source).max(call.write(target)),
            _ => Class::Unknown,
        },
        ("-m", "twine") => Class::Publish,
        _ => Class::Unknown,
    }
}

/// `bash -c '…'`, `bash -n FILE`, and a script from a here-document.
fn shell(call: &mut Call<'_, '_, '_>) -> Class {
    let words = call.args.0;
    let mut command = false;
    let mut read_only = false;
    let mut at = 0;
    while let Some(word) = words.get(at) {
        let text = word.text.as_str();
        match text {
            "-" | "--" => {
                at += 1;
                break;
            }
            "--login" | "--noprofile" | "--norc" | "--posix" => {}
            // Reads and runs what a file holds.
            _ if text.starts_with("--") => return Class::Unknown,
            "-o" | "+o" => {
                let option = words.get(at + 1).map(|word| word.text.as_str());
                if !matches!(option, Some("pipefail" | "errexit" | "nounset" | "xtrace" | "noglob")) {
                    return Class::Unknown;
                }
                at += 1;
            }
            // Takes back what came before.
            _ if text.starts_with('+') => return Class::Unknown,
            _ if text.starts_with('-') => {
                if !text[1..].chars().all(|c| "lceuxvnfs".contains(c)) {
                    return Class::Unknown;
                }
                command |= text.contains('c');
                read_only |= text.contains('n');
            }
            _ => break,
        }
        at += 1;
    }
    let rest = &words[at.min(words.len())..];
    match (command, rest) {
        (true, [script, ..]) => {
            if script.glob && script.dynamic {
                return Class::Unknown;
            }
            call.judge.script(&script.text);
            Class::Read
        }
        (false, [file]) if read_only => call.read(file),
        (false, []) => match call.stdin.text.clone() {
            Some(text) => {
                call.judge.script(&text);
                Class::Read
            }
            None => Class::Unknown,
        },
        _ => Class::Unknown,
    }
}
