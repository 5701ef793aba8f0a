//! Builds, tests, package managers and interpreters.

use super::Call;
use crate::domain::risk::shell::Judge;
use crate::domain::risk::words::Word;
use crate::domain::risk::{Class, paths};

/// The project's own programs that build and test it.
const OWN: [&str; 5] = ["./gradlew", "./mvnw", "./configure", "./x.py", "./b"];
const BIN: [&str; 15] = [
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
    "cypress",
    "tsx",
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
    let known = bin.is_some_and(|name| BIN[..13].contains(&name)) || OWN[..3].contains(&word);
    if known { here.max(tasks(args)).max(outs) } else { named }
}

/// Words that lead out of the project count as changes there.
fn path_like(judge: &Judge<'_>, arg: &Word) -> Class {
    let value = arg.text.split_once('=').map_or(arg.text.as_str(), |(_, value)| value);
    let path = !value.starts_with('-')
        && (value.starts_with('/') || value.contains("../") || value == ".." || value.starts_with('~'));
    // `-f../x`, `-o/tmp/x`.
    let attached = arg.text.strip_prefix('-').and_then(|rest| rest.find(['/', '~', '.']).map(|at| &rest[at..]));
    let attached = attached.filter(|text| text.starts_with(['/', '~']) || text.contains(".."));
    match (path, attached) {
        (true, _) => paths::write(&Word::fixed(value), &judge.dirs, judge.place),
        (_, Some(path)) if !arg.text.starts_with("--") && !path.starts_with("...") => {
            paths::write(&Word::fixed(path), &judge.dirs, judge.place)
        }
        _ => Class::Read,
    }
}

/// Targets and scripts by name: some deploy, some clean.
fn tasks(args: &[Word]) -> Class {
    let mut class = Class::Write;
    for arg in args.iter().filter(|arg| !arg.text.starts_with('-')) {
        for word in arg.text.to_lowercase().split(|c: char| !c.is_alphanumeric()) {
            class = class.max(match word {
                "deploy" | "publish" | "release" | "upload" | "push" | "ship" | "promote" => Class::Publish,
                "clean" | "distclean" | "purge" | "drop" | "reset" | "destroy" | "wipe" | "nuke" | "mrproper"
                | "uninstall" => Class::Destroy,
                "install" | "setup" | "bootstrap" | "migrate" | "seed" | "up" | "start" | "serve" => Class::Unknown,
                _ => Class::Write,
            });
        }
    }
    class
}

pub(super) fn judge(call: &mut Call<'_, '_, '_>, name: &str) -> Option<Class> {
    let args = call.args;
    let first =
        args.0.iter().map(|arg| arg.text.as_str()).find(|text| !text.starts_with(['-', '+'])).unwrap_or_default();
    // `python3 --version` and the like, alone.
    if args.0.len() == 1
        && matches!(args.first(), "--version" | "-V" | "-version" | "--help" | "version")
        && is_tool(name)
    {
        return Some(Class::Read);
    }
    let here = call.here();
    let outs = args.0.iter().map(|arg| path_like(call.judge, arg)).max().unwrap_or(Class::Read);
    let dir = directory(call);
    let build = here.max(outs).max(dir);
    Some(match name {
        "make" | "gmake" | "ninja" | "just" | "rake" | "ant" | "mvn" | "gradle" | "bazel" | "task" | "meson"
        | "scons" => {
            let evals =
                args.any(&["--eval", "-E", "--init-script", "-I", "--shell", "--command", "-c"]) && name != "mvn";
            let sets = args.0.iter().any(|arg| {
                arg.text.contains('=') && arg.text.contains(['$', '`', ';', '|']) || arg.text.starts_with("SHELL=")
            });
            let stdin = call.stdin.given && args.any(&["-"]) || args.any(&["-f-", "-f/dev/fd/0", "/dev/stdin"]);
            let fetches = (name == "bazel" && matches!(first, "fetch" | "sync" | "run"))
                || (name == "mvn" && args.0.iter().any(|a| a.text.contains("dependency:")));
            if evals || sets || stdin {
                return Some(Class::Unknown);
            }
            build.max(tasks(args.0)).max(if fetches { Class::Fetch } else { Class::Read })
        }
        "cmake" | "ctest" => {
            match args.any(&["-P", "-E", "--install", "-S"]) && !args.any(&["-B"]) || tasks(args.0) > Class::Write {
                true => Class::Unknown,
                false => build,
            }
        }
        "cargo" => cargo(call, first, build),
        "rustfmt" | "gofmt" | "black" | "isort" | "prettier" | "eslint" | "tsc" | "ruff" | "mypy" | "pyright"
        | "flake8" | "pylint" | "clang-format" | "clang-tidy" | "shfmt" | "stylua" | "golangci-lint" | "biome"
        | "stylelint" | "jest" | "vitest" | "mocha" | "webpack" | "rollup" | "esbuild" | "tox" | "nox" | "phpunit"
        | "rspec" | "rubocop" | "swiftformat" | "swiftlint" | "ktlint" | "hadolint" | "yamllint" | "markdownlint"
        | "rustc" | "gcc" | "g++" | "cc" | "c++" | "clang" | "clang++" | "javac" | "protoc" | "coverage" => {
            let file = args.0.iter().map(|arg| call.read(arg)).max().unwrap_or(Class::Read);
            let plugin = args.any(&["-fplugin", "-wrapper", "-B", "-load", "--plugin"])
                || args.0.iter().any(|arg| arg.text.starts_with('@'));
            let plugin = plugin && name != "prettier";
            build.max(if file == Class::Secret { Class::Secret } else { Class::Read }).max(if plugin {
                Class::Unknown
            } else {
                Class::Read
            })
        }
        "pytest" | "py.test" => build.max(if args.has('p', "") { Class::Unknown } else { Class::Write }),
        "go" => go(call, first, build),
        "npm" | "pnpm" | "yarn" | "bun" => npm(call, name, first, build),
        "npx" | "bunx" | "pnpx" | "uvx" | "pipx" => match args.any(&["-c", "--call", "--package", "-p"]) {
            false if BIN[..13].contains(&first) && name == "npx" => build.max(tasks(args.0)).max(Class::Fetch),
            _ => Class::Unknown,
        },
        "pip" | "pip3" | "uv" | "poetry" | "pipenv" | "conda" | "mamba" | "gem" | "bundle" | "composer" | "mix"
        | "dotnet" | "swift" | "pod" | "flutter" | "dart" | "rebar3" | "stack" | "cabal" | "opam" | "luarocks"
        | "cpan" | "cpanm" | "deno" | "nuget" | "vcpkg" | "conan" | "rustup" | "nvm" | "mise" | "asdf" => {
            packages(call, name, first, build)
        }
        "brew" | "port" | "nix" | "nix-shell" | "nix-env" | "guix" => match first {
            "list" | "info" | "--version" | "leaves" | "deps" => Class::ReadOut,
            "search" | "outdated" => Class::Fetch,
            "uninstall" | "remove" | "cleanup" => Class::Destroy,
            "install" | "upgrade" | "update" | "reinstall" if name == "brew" => Class::WriteOut,
            _ => Class::Unknown,
        },
        "apt" | "apt-get" | "apt-cache" | "dpkg" | "rpm" | "yum" | "dnf" | "apk" | "pacman" | "zypper" | "snap"
        | "flatpak" => match (name, first) {
            (
                "apt" | "apt-cache" | "dnf" | "yum" | "apk" | "snap",
                "list" | "show" | "search" | "info" | "policy" | "depends",
            ) => Class::ReadOut,
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
            ("rpm", _) if args.first().starts_with("-q") => Class::ReadOut,
            _ => Class::Privilege,
        },
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
            ("perl" | "ruby" | "php", "-c" | "-l" | "-wc")
                if args.0.len() == 2 && name != "perl" && (name, args.first()) != ("ruby", "-l") =>
            {
                call.read(&args.0[1])
            }
            _ => Class::Unknown,
        },
        _ => return None,
    })
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
    dirs.extend(
        call.args.values("f", "").into_iter().filter(|word| !word.text.is_empty() && call.args.first() == "-f"),
    );
    dirs.iter().map(|dir| call.write_into(dir)).max().unwrap_or(Class::Read)
}

fn cargo(call: &Call<'_, '_, '_>, sub: &str, build: Class) -> Class {
    let args = call.args;
    if args.any(&["--config", "-Z"]) {
        return Class::Unknown;
    }
    match sub {
        "build" | "b" | "check" | "c" | "test" | "t" | "clippy" | "fmt" | "doc" | "d" | "bench" | "nextest" | "run"
        | "r" | "expand" | "rustc" | "rustdoc" | "llvm-cov" | "insta" | "new" | "init" | "miri" | "machete"
        | "hack" | "fuzz" | "tarpaulin" => {
            // What runs afterwards is the project's own program, with words of its own.
            let own = matches!(sub, "run" | "r")
                && args.0.iter().any(|arg| tasks(std::slice::from_ref(arg)) > Class::Write && arg.text != "run");
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

fn go(call: &Call<'_, '_, '_>, sub: &str, build: Class) -> Class {
    if call.args.any(&["-toolexec", "--toolexec", "-exec", "--exec", "-vettool", "--vettool", "-overlay", "-modfile"]) {
        return Class::Unknown;
    }
    let second = call.args.positionals().get(1).map(|word| word.text.clone()).unwrap_or_default();
    match (sub, second.as_str()) {
        ("build" | "test" | "vet" | "fmt" | "fix", _) => build,
        ("run", target) if target.contains('@') => Class::Unknown,
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

fn npm(call: &Call<'_, '_, '_>, name: &str, sub: &str, build: Class) -> Class {
    let args = call.args;
    let global = args.any(&["-g", "--global", "--location"]);
    if args.any(&["--script-shell", "--node-options", "--userconfig", "--globalconfig"]) {
        return Class::Unknown;
    }
    // A script's name stands behind `run`, and behind it are its words.
    let script = args.positionals().into_iter().skip(1).cloned().collect::<Vec<_>>();
    match sub {
        "test" | "t" => build.max(tasks(&script)),
        "run" | "run-script" if script.is_empty() => call.here_read(),
        "run" | "run-script" => build.max(tasks(&script)),
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
        "view" | "info" | "show" | "search" | "outdated" | "audit" | "ping" | "fund" if !args.any(&["fix"]) => {
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
        "init" if args.any(&["-y", "--yes"]) && script.is_empty() => build.max(Class::Autorun),
        "pack" => build,
        "cache" => Class::Destroy,
        _ => Class::Unknown,
    }
}

fn packages(call: &mut Call<'_, '_, '_>, name: &str, sub: &str, build: Class) -> Class {
    let args = call.args;
    match (name, sub) {
        ("uv" | "poetry" | "pipenv" | "bundle", "run" | "exec") => {
            let at = args.0.iter().position(|arg| arg.text == sub).unwrap_or(0) + 1;
            let inner = &args.0[at..];
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
        ("rustup", "show" | "which" | "target" | "component" | "toolchain") if sub == "show" || args.any(&["list"]) => {
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
            let removes = args.any(&["uninstall"]);
            let class = build.max(Class::Fetch).max(if far { Class::WriteOut } else { Class::Read });
            if removes { class.max(Class::Destroy) } else { class }
        }
        _ => Class::Unknown,
    }
}

fn python(call: &mut Call<'_, '_, '_>, build: Class) -> Class {
    let words = call.args.0;
    let at =
        words.iter().position(|arg| !matches!(arg.text.as_str(), "-u" | "-B" | "-I" | "-q")).unwrap_or(words.len());
    let (Some(first), rest) = (words.get(at), words.get(at + 2..).unwrap_or_default()) else { return Class::Unknown };
    let module = words.get(at + 1).map(|arg| arg.text.as_str()).unwrap_or_default();
    match (first.text.as_str(), module) {
        (
            "-m",
            "pytest" | "unittest" | "mypy" | "ruff" | "black" | "isort" | "flake8" | "pylint" | "compileall"
            | "py_compile" | "tox" | "nox" | "coverage",
        ) => {
            let plugins = module == "pytest" && rest.iter().any(|arg| arg.text.starts_with("-p"));
            build.max(if plugins { Class::Unknown } else { Class::Write })
        }
        ("-m", "venv") => rest
            .iter()
            .filter(|arg| !arg.text.starts_with('-'))
            .map(|arg| call.write(arg))
            .max()
            .unwrap_or(Class::Unknown)
            .max(build),
        ("-m", "pip") => {
            let args = super::Args(rest);
            let sub = args.first().to_owned();
            packages(&mut Call { judge: call.judge, args, stdin: call.stdin }, "pip", &sub, build)
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
