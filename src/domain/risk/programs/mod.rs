//! What known programs do with their words. A program that is not listed is not known.

mod args;
mod builds;
mod databases;
mod downloads;
mod files;
mod find;
mod git;
mod makes;
mod network;
mod packages;
mod scripts;
mod system;
mod texts;

use super::Class;
use super::paths;
use super::shell::{Judge, Stdin, program_name};
use super::words::Word;
use args::Args;

/// Builtins whose words set variables.
pub(super) const DECLARES: [&str; 5] = ["declare", "local", "export", "readonly", "typeset"];

/// Programs that print or change nothing, whatever their words are.
const INERT: [&str; 23] = [
    "echo", "true", "false", ":", "sleep", "seq", "basename", "dirname", "expr", "return", "exit", "break", "continue",
    "shift", "clear", "times", "uname", "nproc", "whoami", "groups", "tty", "cal", "uptime",
];

/// Parts of the names of secrets.
const SECRET_HINTS: [&str; 9] = ["env", "ssh", ".pem", ".key", "id_", "rc", "aws", "credential", "secret"];

/// One call of a program.
struct Call<'c, 'j, 'p> {
    judge: &'c mut Judge<'j>,
    args: Args<'c>,
    stdin: &'p Stdin,
}

impl Call<'_, '_, '_> {
    fn read(&self, word: &Word) -> Class {
        paths::read(word, &self.judge.dirs, self.judge.place)
    }

    fn read_all(&self, word: &Word) -> Class {
        paths::read_all(word, &self.judge.dirs, self.judge.place)
    }

    fn list(&self, word: &Word) -> Class {
        paths::list(word, &self.judge.dirs, self.judge.place)
    }

    fn write(&self, word: &Word) -> Class {
        paths::write(word, &self.judge.dirs, self.judge.place)
    }

    fn write_into(&self, word: &Word) -> Class {
        paths::write_into(word, &self.judge.dirs, self.judge.place)
    }

    /// The current directory must be the project's for what works on it without naming it.
    fn here(&self) -> Class {
        self.write_into(&Word::fixed("")).max(Class::Write)
    }

    fn here_read(&self) -> Class {
        self.read(&Word::fixed(""))
    }
}

/// Judges a call. `function`: the line defines a function of this name, whose body is judged by itself.
pub(super) fn judge(judge: &mut Judge<'_>, word: &str, args: &[Word], stdin: &Stdin, function: bool) -> Class {
    let Some(name) = program_name(word) else { return builds::own_script(judge, word, args) };
    let dynamic = args.iter().any(|arg| arg.dynamic);
    if INERT.contains(&name) {
        return Class::Read;
    }
    if let Some(class) = texts::test_or_print(judge, name, args) {
        return class;
    }
    if let Some(class) = system::always(name) {
        return class;
    }
    let mut call = Call { judge, args: Args(args), stdin };
    match known(&mut call, name) {
        // What destroys does so whatever it is given; the rest is not known.
        Some(class) if dynamic => class.max(Class::Unknown),
        Some(class) => class,
        // The line's own function: its body is judged where it stands.
        None if function => Class::Read,
        None => Class::Unknown,
    }
}

fn known(call: &mut Call<'_, '_, '_>, name: &str) -> Option<Class> {
    if name == "git" {
        return Some(git::judge(call));
    }
    let local = system::judge(call, name).or_else(|| texts::judge(call, name));
    local.or_else(|| find::judge(call, name)).or_else(|| files::judge(call, name)).or_else(|| {
        let class = builds::judge(call, name).or_else(|| network::judge(call, name))?;
        Some(class.max(named_secrets(call)))
    })
}

/// Secrets that are named anywhere in the words: `-d @.env`, `--env-file=.env`, `x=@key.pem`.
fn named_secrets(call: &Call<'_, '_, '_>) -> Class {
    let secret = |text: &str| !text.is_empty() && call.read(&Word::fixed(text)) == Class::Secret;
    let within = |arg: &Word| {
        let text = arg.text.trim_start_matches("file://");
        let home = call.judge.place.home.display().to_string();
        let parts = text.split(['@', '=', ',', ';', '<']).map(|part| match part.strip_prefix("~/") {
            Some(rest) => format!("{home}/{rest}"),
            None => part.to_owned(),
        });
        let attached = text.strip_prefix('-').and_then(|rest| rest.get(1..)).unwrap_or_default();
        !text.contains("://") && (parts.into_iter().any(|part| secret(&part)) || secret(attached))
    };
    if call.args.0.iter().any(within) { Class::Secret } else { Class::Read }
}

/// What it means that the line sets a variable: some change what other programs do.
pub(super) fn variable(name: &str) -> Class {
    const HARMLESS: [&str; 33] = [
        "RUST_LOG",
        "RUST_BACKTRACE",
        "CI",
        "NODE_ENV",
        "LANG",
        "TZ",
        "TERM",
        "NO_COLOR",
        "FORCE_COLOR",
        "CLICOLOR",
        "CLICOLOR_FORCE",
        "COLUMNS",
        "LINES",
        "DEBUG",
        "VERBOSE",
        "CARGO_INCREMENTAL",
        "GOOS",
        "GOARCH",
        "CGO_ENABLED",
        "PYTHONUNBUFFERED",
        "PYTHONDONTWRITEBYTECODE",
        "PYTHONIOENCODING",
        "DJANGO_SETTINGS_MODULE",
        "FLASK_ENV",
        "RAILS_ENV",
        "RACK_ENV",
        "MIX_ENV",
        "PORT",
        "INSTA_UPDATE",
        "PROPTEST_CASES",
        "UPDATE_SNAPSHOTS",
        "GIT_TERMINAL_PROMPT",
        "BABEL_ENV",
    ];
    let proxy = name.ends_with("_proxy") || ["histfile", "path", "cdpath", "fpath"].contains(&name);
    let own = name.starts_with(|c: char| c.is_ascii_lowercase() || c == '_')
        && !name.contains(|c: char| c.is_ascii_uppercase())
        && !name.starts_with("npm_")
        && !name.starts_with("__")
        && !proxy;
    let single = name.len() == 1 && name != "_";
    let known = HARMLESS.contains(&name) || name.starts_with("LC_") || name.starts_with("CARGO_TERM_");
    if own || known || single { Class::Read } else { Class::Unknown }
}

/// What it means that a variable gets this value.
pub(super) fn assignment(name: &str, value: Option<&Word>, judge: &Judge<'_>) -> Class {
    match (name, value) {
        ("CARGO_TARGET_DIR" | "CARGO_HOME" | "GOCACHE" | "TMPDIR", Some(value)) => {
            paths::write(value, &judge.dirs, judge.place)
        }
        ("PAGER" | "GIT_PAGER", Some(value)) if !value.dynamic && value.text == "cat" => Class::Read,
        ("PYTHONPATH", Some(value)) if !value.text.contains(':') => {
            match paths::read(value, &judge.dirs, judge.place) {
                Class::Read => Class::Write,
                _ => Class::Unknown,
            }
        }
        _ => variable(name),
    }
}

/// What it means to use a variable of the environment that the line does not set.
pub(super) fn environment(name: &str) -> Class {
    const HARMLESS: [&str; 20] = [
        "USER",
        "SHELL",
        "PATH",
        "LANG",
        "OLDPWD",
        "RANDOM",
        "SECONDS",
        "HOSTNAME",
        "LOGNAME",
        "TMPDIR",
        "CI",
        "TERM",
        "BASH_VERSION",
        "EUID",
        "UID",
        "LINENO",
        "OSTYPE",
        "PIPESTATUS",
        "PPID",
        "EPOCHSECONDS",
    ];
    let upper = name.to_uppercase();
    let secret = ["KEY", "TOKEN", "SECRET", "PASS", "PWD", "CRED", "AUTH", "PRIVATE", "COOKIE", "SESSION", "DSN"];
    if HARMLESS.contains(&name) || name == "PWD" || (name.len() == 1 && name != "_") {
        Class::Read
    } else if secret.iter().any(|word| upper.contains(word)) && name != "OLDPWD" {
        Class::Secret
    } else if name.starts_with(|c: char| c.is_ascii_lowercase()) {
        Class::Read
    } else {
        Class::Unknown
    }
}

/// Whether a program only reads the files that it is given.
pub(super) fn reads_only(word: &str) -> bool {
    program_name(word).is_some_and(|name| INERT.contains(&name) || texts::is_reader(name) || name == "comm")
}

/// What stands for the names of files below the current directory, or of some of those it was given, if that is what
/// the command prints.
pub(super) fn prints_names(argv: &[Word], stdin: &Stdin) -> Option<&'static str> {
    let (name, args) = argv.split_first()?;
    let args = Args(args);
    if args.0.iter().any(|arg| arg.dynamic) {
        return None;
    }
    // Without `./` in front, a name may be read as an option.
    let bare = |is: bool| is.then_some("*");
    let given = |is: bool| stdin.names.filter(|_| is);
    match name.text.as_str() {
        // Those that tell secrets and hidden files apart from the rest only.
        _ if args.0.iter().any(|arg| SECRET_HINTS.iter().any(|hint| arg.text.contains(hint))) => None,
        "rg" | "fd"
            if args.has('u', "--unrestricted")
                || args.has('H', "--hidden")
                || args.has('.', "--no-ignore")
                || args.any(&["--search-path", "--base-directory", "--exec", "--format"]) =>
        {
            None
        }
        "find" => find::prints_names(args).then_some("./*"),
        "fd" => bare(true),
        "rg" => bare(args.exactly(&["-l", "--files", "--files-with-matches"]) && !args.has('f', "--file")),
        // It goes into hidden files as well.
        "grep" => {
            let deep = args.has('r', "--recursive") || args.has('R', "--dereference-recursive") || args.has('d', "");
            let said = args.values("", "--include").iter().any(|pattern| !paths::finds_secrets(&pattern.text));
            bare(args.has('l', "--files-with-matches") && (said || !deep))
        }
        "git" => bare(args.first() == "ls-files" && !args.has('o', "--others") && !args.has('i', "--ignored")),
        "sort" | "uniq" => given(args.positionals().is_empty()),
        "head" | "tail" => given(args.0.iter().all(|arg| arg.text.starts_with('-') || arg.text.parse::<u32>().is_ok())),
        _ => None,
    }
}
