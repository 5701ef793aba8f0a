//! Package managers and what they run.

use super::Call;
use super::args::{Args, Known};
use super::builds::{BIN, tasks};
use crate::domain::risk::Class;
use crate::domain::risk::words::Word;

const CARGO: Known = Known {
    alone: &["-q", "--quiet", "-v", "-vv", "--verbose", "--locked", "--offline", "--frozen"],
    taking: &["--color", "-C", "--manifest-path"],
};
const GO: Known = Known { alone: &[], taking: &["-C"] };
/// `-w` stands alone for pnpm only.
const NPM: Known = Known {
    alone: &[
        "-s",
        "--silent",
        "-q",
        "--quiet",
        "-d",
        "--verbose",
        "--no-audit",
        "--no-fund",
        "--ignore-scripts",
        "--offline",
        "--prefer-offline",
        "--no-progress",
        "-y",
        "--yes",
        "-g",
        "--global",
    ],
    taking: &["--prefix", "-C", "--loglevel", "-w", "--workspace"],
};
const PNPM: Known = Known {
    alone: &["-r", "--recursive", "-w", "-s", "--silent", "--offline", "--prefer-offline", "-g", "--global"],
    taking: &["--prefix", "-C", "--dir", "--cwd", "--filter", "-F", "--loglevel"],
};
const PACKAGES: Known = Known {
    alone: &[
        "-q",
        "--quiet",
        "-v",
        "--verbose",
        "--no-input",
        "--offline",
        "--no-color",
        "--no-interaction",
        "-n",
        "--disable-pip-version-check",
    ],
    taking: &["--directory", "--project", "--color"],
};
const UNLISTED: Known = Known { alone: &["-q", "--quiet", "-v", "--verbose", "-y", "--version"], taking: &[] };

pub(super) fn judge(call: &mut Call<'_, '_, '_>, name: &str, build: Class) -> Option<Class> {
    let args = call.args;
    let known = match name {
        "cargo" => &CARGO,
        "go" => &GO,
        "npm" | "yarn" | "bun" => &NPM,
        "pnpm" => &PNPM,
        "pip" | "pip3" | "uv" | "poetry" | "pipenv" | "conda" | "mamba" | "gem" | "bundle" | "composer" | "mix"
        | "dotnet" | "swift" | "pod" | "flutter" | "dart" | "rebar3" | "stack" | "cabal" | "opam" | "luarocks"
        | "cpan" | "cpanm" | "deno" | "nuget" | "vcpkg" | "conan" | "rustup" | "nvm" | "mise" | "asdf" => &PACKAGES,
        "brew" | "port" | "nix" | "nix-shell" | "nix-env" | "guix" => &UNLISTED,
        "npx" | "bunx" | "pnpx" | "uvx" | "pipx" => {
            let first = args.options().count();
            let tool = args.0.get(first).map_or("", |word| word.text.as_str());
            let quiet =
                args.0.iter().take(first).all(|arg| matches!(arg.text.as_str(), "-y" | "--yes" | "--no-install"));
            return Some(match name == "npx" && quiet && BIN.contains(&tool) {
                true => build.max(tasks(args.0, false)).max(Class::Fetch),
                false => npx(call, build),
            });
        }
        "apt" | "apt-get" | "apt-cache" | "dpkg" | "rpm" | "yum" | "dnf" | "apk" | "pacman" | "zypper" | "snap"
        | "flatpak" => return Some(system(call, name)),
        _ => return None,
    };
    // `cargo +nightly build`
    let skip = usize::from(name == "cargo" && args.first().starts_with('+') && !args.first().contains('/'));
    let args = args.rest(skip);
    let (sub, rest) = match args.subcommand(known) {
        Some(at) => (args.0[at].text.as_str(), args.rest(at + 1)),
        None if args.positionals().is_empty() => ("", args),
        // What is taken for the subcommand may be the value of an option.
        None => return Some(Class::Unknown),
    };
    Some(match name {
        "cargo" => cargo(call, sub, build),
        "go" => go(call, sub, rest, build),
        "npm" | "pnpm" | "yarn" | "bun" => npm(call, name, (sub, rest), build),
        "brew" | "port" | "nix" | "nix-shell" | "nix-env" | "guix" => match sub {
            "list" | "info" | "leaves" | "deps" => Class::ReadOut,
            "" if args.first() == "--version" => Class::ReadOut,
            "search" | "outdated" => Class::Fetch,
            "uninstall" | "remove" | "cleanup" => Class::Destroy,
            "install" | "upgrade" | "update" | "reinstall" if name == "brew" => Class::WriteOut,
            _ => Class::Unknown,
        },
        _ => packages(call, name, (sub, rest), build),
    })
}

/// `npx` with options in front: only those that change nothing are known.
fn npx(call: &Call<'_, '_, '_>, build: Class) -> Class {
    let tool = call.args.subcommand(&UNLISTED).map_or("", |at| call.args.0[at].text.as_str());
    let runs = call.args.any(&["--call", "--package", "--node-options", "--shell", "--script-shell"])
        || call.args.has('c', "")
        || call.args.has('p', "");
    match BIN.contains(&tool) && !runs {
        true => build.max(tasks(call.args.0, false)).max(Class::Fetch),
        false => Class::Unknown,
    }
}

/// The packages of the system.
fn system(call: &Call<'_, '_, '_>, name: &str) -> Class {
    let args = call.args;
    let first = args.0.iter().map(|arg| arg.text.as_str()).find(|text| !text.starts_with('-')).unwrap_or_default();
    match (name, first) {
        (
            "apt" | "apt-cache" | "dnf" | "yum" | "apk" | "snap",
            "list" | "show" | "search" | "info" | "policy" | "depends",
        ) if args.first() == first => Class::ReadOut,
        ("dpkg", _)
            if args.has('l', "--list")
                || args.has('L', "--listfiles")
                || args.has('S', "--search")
                || args.any(&["-s"]) =>
        {
            match args.0.len() <= 2 {
                true => Class::ReadOut,
                false => Class::Privilege,
            }
        }
        // `--eval`, `--pipe` and macros run commands.
        ("rpm", _) if args.first().starts_with("-q") => {
            match args.options().all(|option| option[1..].chars().all(|c| "qalicdRsfp".contains(c))) {
                true => Class::ReadOut,
                false => Class::Unknown,
            }
        }
        _ => Class::Privilege,
    }
}

fn cargo(call: &Call<'_, '_, '_>, sub: &str, build: Class) -> Class {
    let args = call.args;
    let told = |arg: &Word| ["linker", "plugin", "codegen"].iter().any(|part| arg.text.contains(part));
    if args.any(&["--config", "-Z"]) || matches!(sub, "rustc" | "rustdoc") && args.0.iter().any(told) {
        return Class::Unknown;
    }
    match sub {
        "build" | "b" | "check" | "c" | "test" | "t" | "clippy" | "fmt" | "doc" | "d" | "bench" | "nextest" | "run"
        | "r" | "expand" | "rustc" | "rustdoc" | "llvm-cov" | "insta" | "new" | "init" | "miri" | "machete"
        | "hack" | "fuzz" | "tarpaulin" => {
            // What runs afterwards is the project's own program, with words of its own.
            let own = matches!(sub, "run" | "r")
                && args.0.iter().any(|arg| tasks(std::slice::from_ref(arg), false) > Class::Write && arg.text != "run");
            build.max(if own { Class::Unknown } else { Class::Write })
        }
        "tree" | "metadata" | "locate-project" | "pkgid" | "verify-project" | "read-manifest" => {
            call.here_read().max(if build > Class::Write { build } else { Class::Read })
        }
        "fetch" | "update" | "add" | "vendor" | "generate-lockfile" | "audit" | "deny" | "outdated" | "search"
        | "info" => build.max(Class::Fetch),
        "remove" => build,
        "fix" => build,
        "install" => Class::WriteOut,
        "clean" | "uninstall" => build.max(Class::Destroy),
        "package" => build,
        "publish" | "yank" | "owner" => Class::Publish,
        "login" | "logout" => Class::Privilege,
        _ => Class::Unknown,
    }
}

fn go(call: &Call<'_, '_, '_>, sub: &str, rest: Args<'_>, build: Class) -> Class {
    let runs = ["toolexec", "exec", "vettool", "overlay", "modfile", "compiler"];
    let told = |arg: &Word| {
        let name = arg.text.trim_start_matches('-').split('=').next().unwrap_or_default();
        arg.text.starts_with('-') && runs.contains(&name) || arg.text.contains("extld") || arg.text.contains("plugin")
    };
    if call.args.0.iter().any(told) {
        return Class::Unknown;
    }
    let second = rest.positionals().first().map(|word| word.text.clone()).unwrap_or_default();
    match (sub, second.as_str()) {
        ("build" | "test" | "vet" | "fmt" | "fix", _) => build,
        ("run" | "generate", _) if rest.0.iter().any(|word| word.text.contains('@')) => Class::Unknown,
        ("run" | "generate", _) => build,
        ("list" | "doc" | "version", _) => call.here_read(),
        ("env", _) if call.args.any(&["-w", "-u"]) => Class::WriteOut,
        ("env", _) => Class::ReadOut,
        ("mod", "download" | "tidy" | "verify" | "vendor" | "graph" | "why") | ("get" | "work", _) => {
            build.max(Class::Fetch)
        }
        ("mod", "init" | "edit") => build,
        ("install", _) => Class::WriteOut,
        ("clean", _) => build.max(Class::Destroy),
        _ => Class::Unknown,
    }
}

fn npm(call: &Call<'_, '_, '_>, name: &str, (sub, rest): (&str, Args<'_>), build: Class) -> Class {
    let args = call.args;
    let global = args.any(&["-g", "--location"]) || args.has('g', "--global");
    // They name programs, or files with settings that do.
    let runs =
        ["--script-shell", "--node-options", "--userconfig", "--init-module", "--onload-script", "--git", "--call"];
    let runs = args.any(&runs)
        || args.any(&["--shell", "--editor", "--viewer", "--node-gyp"])
        || args.0.iter().any(|arg| arg.text.starts_with("--globalc"));
    if runs {
        return Class::Unknown;
    }
    // A script's name stands behind `run`, and behind it are its words.
    let script = rest.positionals().into_iter().cloned().collect::<Vec<_>>();
    match sub {
        "test" | "t" => build.max(tasks(&script, false)),
        "run" | "run-script" if script.is_empty() => call.here_read(),
        // Shows the environment.
        "run" | "run-script" if script[0].text == "env" && name != "bun" => Class::Secret,
        "run" | "run-script" => build.max(tasks(&script, false)),
        "build" | "lint" | "format" | "typecheck" | "check" if name != "npm" && name != "bun" => build,
        "ls" | "list" | "why" | "explain" | "root" | "prefix" | "bin" | "help" | "query" => match global {
            true => Class::ReadOut,
            false => call.here_read(),
        },
        "install" | "i" | "ci" | "add" | "update" | "up" | "upgrade" | "install-test" | "rebuild" | "dedupe"
        | "import" => {
            let class = build.max(Class::Fetch);
            if global { class.max(Class::WriteOut) } else { class }
        }
        "" if name == "yarn" => build.max(Class::Fetch),
        "view" | "info" | "show" | "search" | "outdated" | "audit" | "ping" | "fund"
            if !args.0.iter().any(|arg| arg.text == "fix") =>
        {
            Class::Fetch
        }
        "audit" => build.max(Class::Fetch),
        "uninstall" | "remove" | "rm" | "un" | "prune" if !global => build.max(Class::Autorun),
        "uninstall" | "remove" => Class::Destroy,
        "version" if script.is_empty() => call.here_read(),
        "publish" | "unpublish" | "deprecate" | "dist-tag" | "owner" | "access" | "team" | "star" | "hook" | "org" => {
            Class::Publish
        }
        "login" | "adduser" | "logout" => Class::Privilege,
        "whoami" | "profile" => Class::Publish,
        "token" => Class::Secret,
        "config" | "c" | "get" => {
            match args.0.iter().any(|arg| matches!(arg.text.as_str(), "set" | "delete" | "edit" | "fix")) {
                true => Class::WriteOut.max(Class::Autorun),
                false => Class::Secret,
            }
        }
        "pkg" => build.max(Class::Autorun),
        "init" if args.exactly(&["-y", "--yes"]) && script.is_empty() => build.max(Class::Autorun),
        "pack" => build,
        "cache" => Class::Destroy,
        _ => Class::Unknown,
    }
}

fn packages(call: &mut Call<'_, '_, '_>, name: &str, (sub, rest): (&str, Args<'_>), build: Class) -> Class {
    let args = call.args;
    // Code from elsewhere.
    if name == "deno" && args.0.iter().any(|arg| arg.text.contains(':')) {
        return Class::Unknown;
    }
    match (name, sub) {
        ("uv" | "poetry" | "pipenv" | "bundle", "run" | "exec") => {
            let inner = rest.0;
            let options = inner.first().is_some_and(|arg| arg.text.starts_with('-'));
            let class = if options { Class::Unknown } else { call.judge.words(inner, call.stdin) };
            class.max(build).max(if name == "uv" { Class::Fetch } else { Class::Write })
        }
        ("pip" | "pip3" | "uv" | "conda" | "gem" | "poetry", "list" | "show" | "freeze" | "tree" | "check") => {
            Class::ReadOut
        }
        ("pip" | "pip3" | "conda" | "gem", "uninstall" | "remove" | "cleanup") => Class::Destroy,
        (
            "pip" | "pip3" | "gem" | "poetry" | "uv" | "conda" | "composer",
            "config" | "auth" | "signin" | "self" | "cache",
        ) => Class::Privilege,
        ("gem", "push" | "yank" | "owner")
        | ("poetry" | "uv", "publish")
        | ("pod", "trunk")
        | ("mix", "hex.publish")
        | ("dart", "publish") => Class::Publish,
        ("dotnet", "build" | "test" | "format")
        | ("mix", "test" | "compile" | "format")
        | ("swift", "build" | "test")
        | ("flutter" | "dart", "test" | "analyze" | "format")
        | ("stack" | "cabal", "build" | "test")
        | ("deno", "test" | "check" | "fmt" | "lint") => build,
        ("rustup", "show" | "which" | "target" | "component" | "toolchain")
            if sub == "show" || args.0.iter().any(|arg| arg.text == "list") =>
        {
            Class::ReadOut
        }
        ("rustup", _) | ("nvm" | "mise" | "asdf", "install" | "use") => Class::WriteOut,
        ("nvm" | "mise" | "asdf", "ls" | "list" | "current" | "which") => Class::ReadOut,
        ("dotnet", "clean") | ("mix", "clean" | "ecto.drop" | "ecto.reset") => Class::Destroy,
        (
            _,
            "install" | "add" | "update" | "upgrade" | "sync" | "download" | "fetch" | "search" | "lock" | "restore"
            | "pip" | "get" | "deps.get" | "require" | "index",
        ) if !matches!(name, "deno" | "mix" | "swift") || sub == "deps.get" => {
            let far = args.any(&["--user", "--system", "-g", "--global", "--target", "-t", "--root"]);
            let removes = args.0.iter().any(|arg| arg.text == "uninstall");
            let class = build.max(Class::Fetch).max(if far { Class::WriteOut } else { Class::Read });
            if removes { class.max(Class::Destroy) } else { class }
        }
        _ => Class::Unknown,
    }
}
