//! The tables, and what holds for any line.

use std::path::Path;

use proptest::prelude::*;

use super::*;

const PLACE: fn() -> Place<'static> = || Place {
    project: Path::new("/home/li/shop"),
    directory: Path::new("/home/li/shop"),
    home: Path::new("/home/li"),
    temp: Some(Path::new("/tmp/ally-1")),
    ally_home: Path::new("/home/li/.ally"),
};

/// The rows of the table: class and line.
fn rows() -> Vec<(Class, String)> {
    let text = include_str!("table.txt");
    let rows = text.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
    rows.map(|row| {
        let (class, line) = row.split_once(' ').expect(row);
        // `\n` stands for a line break, but not within `printf '…\n'`.
        let line = if line.contains("<<") { line.replace("\\n", "\n") } else { line.to_owned() };
        (Class::parse(class).expect(row), line)
    })
    .collect()
}

#[test]
fn the_table_of_commands() {
    let rows = rows();
    assert!(rows.len() >= 1100, "only {} rows", rows.len());
    let mut wrong = String::new();
    for (class, line) in &rows {
        let verdict = command(line, &PLACE());
        if verdict.class != *class {
            wrong +=
                &format!("\n  {} is {}, judged {} for {:?}", line, class.as_str(), verdict.class.as_str(), verdict.why);
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

/// The class of one path that changes.
fn change(path: &str) -> Class {
    file_change([Path::new(path)], &PLACE())
}

#[test]
fn the_table_of_file_changes() {
    use Class::*;
    for (class, path) in [
        (Write, "/home/li/shop/src/main.rs"),
        (Write, "/home/li/shop/文档/需求 说明.md"),
        (Write, "/home/li/shop/README.md"),
        (Write, "/home/li/shop/Makefile"),
        (Write, "/home/li/shop/.gitignore"),
        (Write, "/home/li/shop/.github/ISSUE_TEMPLATE/bug.md"),
        (Write, "/tmp/ally-1/x.txt"),
        (Autorun, "/home/li/shop/.git/config"),
        (Autorun, "/home/li/shop/sub/.git/hooks/pre-commit"),
        (Autorun, "/home/li/shop/.husky/pre-commit"),
        (Autorun, "/home/li/shop/.envrc"),
        (Autorun, "/home/li/shop/.github/workflows/ci.yml"),
        (Autorun, "/home/li/shop/.github/actions/a/action.yml"),
        (Autorun, "/home/li/shop/.gitlab-ci.yml"),
        (Autorun, "/home/li/shop/Jenkinsfile"),
        (Autorun, "/home/li/shop/.vscode/tasks.json"),
        (Autorun, "/home/li/shop/AGENTS.md"),
        (Autorun, "/home/li/shop/agents.md"),
        (Autorun, "/home/li/shop/sub/AGENTS.override.md"),
        (Autorun, "/home/li/shop/.codex/config.toml"),
        (Autorun, "/home/li/shop/package.json"),
        (Autorun, "/home/li/shop/web/package.json"),
        (Autorun, "/home/li/shop/build.rs"),
        (Autorun, "/home/li/shop/.cargo/config.toml"),
        (Autorun, "/home/li/shop/tests/conftest.py"),
        (Autorun, "/home/li/shop/.env"),
        (Autorun, "/home/li/shop/certs/server.pem"),
        (Autorun, "/home/li/shop"),
        (WriteOut, "/home/li/.zshrc"),
        (WriteOut, "/home/li/shop2/a.txt"),
        (WriteOut, "/tmp/x"),
        (WriteOut, "/usr/local/bin/x"),
        (WriteOut, "/home/li/other/.git/config"),
        (Privilege, "/home/li/.ally/ally.toml"),
        (Privilege, "/home/li/.ally/codex/config.toml"),
        (Privilege, "/home/li/.codex/config.toml"),
        (Privilege, "/home/li/.ssh/authorized_keys"),
        (Privilege, "/home/li/Library/LaunchAgents/a.plist"),
        (Privilege, "/etc/sudoers.d/x"),
        (Privilege, "/etc/systemd/system/x.service"),
        (Privilege, "/dev/sda"),
        (Unknown, "src/main.rs"),
        (Unknown, "/home/li/shop/../x"),
        (Unknown, ""),
    ] {
        assert_eq!(change(path), class, "{path}");
    }
    let both = ["/home/li/shop/a.txt", "/home/li/.zshrc"].map(Path::new);
    assert_eq!(file_change(both, &PLACE()), Class::WriteOut);
    assert_eq!(file_change([], &PLACE()), Class::Unknown, "nobody can say what changes");
}

/// A workspace below ally's own folder is a project like any other; the rest of that folder is not.
#[test]
fn a_workspace_in_the_home_of_ally() {
    let project = Path::new("/home/li/.ally/workspaces/chat");
    let place = Place { project, directory: project, ..PLACE() };
    for (class, line) in [
        (Class::Read, "cat a.txt"),
        (Class::Write, "touch a.txt"),
        (Class::Secret, "cat ../other/a.txt"),
        (Class::Secret, "cat ../../ledger.db"),
        (Class::Privilege, "touch ../other/a.txt"),
        (Class::ReadOut, "ls .."),
        (Class::ReadOut, "cat ../../runtimes/x/package.json"),
    ] {
        assert_eq!(command(line, &place).class, class, "{line}");
    }
}

#[test]
fn the_directory_counts() {
    let place = Place { directory: Path::new("/home/li/shop/src"), ..PLACE() };
    assert_eq!(command("cat ../README.md", &place).class, Class::Read);
    assert_eq!(command("cat ../../x", &place).class, Class::ReadOut);
    let outside = Place { directory: Path::new("/home/li/other"), ..PLACE() };
    assert_eq!(command("cat README.md", &outside).class, Class::ReadOut);
    assert_eq!(command("make", &outside).class, Class::WriteOut);
    assert_eq!(command("git status", &outside).class, Class::ReadOut);
}

#[test]
fn the_worst_part_is_named() {
    let verdict = command("ls && rm -rf build; git push", &PLACE());
    assert_eq!((verdict.class, verdict.why.as_str()), (Class::Destroy, "rm -rf build"));
    let classes: Vec<Class> = verdict.parts.iter().map(|part| part.class).collect();
    assert_eq!(classes, [Class::Read, Class::Destroy, Class::Publish]);
}

#[test]
fn what_is_too_long_or_too_deep_is_unknown() {
    let deep = |open: &str, inner: &str, close: &str| open.repeat(2000) + inner + &close.repeat(2000);
    let mut lines = vec![
        String::new(),
        " \n".to_owned(),
        format!("echo {}", "x".repeat(MAX_LINE)),
        deep("(", "ls", ")"),
        deep("$(", "ls", ")"),
        deep("{ ", "ls;", "}"),
        deep("if ", "ls", "; then ls; fi"),
        deep("while ", "ls", "; do ls; done"),
        deep("case x in a) ", "ls", ";; esac"),
        "ls \u{202e}".to_owned(),
        "ls \u{0}".to_owned(),
        "ls \r rm x".to_owned(),
        // What the parser panics at.
        "ls 99999999999999999999>x".to_owned(),
        "ls ~99999999999999999999".to_owned(),
    ];
    let mut nested = "ls".to_owned();
    for _ in 0..9 {
        nested = format!("bash -c '{}'", nested.replace('\'', "'\\''"));
        if nested.len() > MAX_LINE {
            break;
        }
        lines.push(nested.clone());
    }
    for line in &lines[..14] {
        assert_eq!(command(line, &PLACE()).class, Class::Unknown, "{:.40}", line);
    }
    for line in &lines[14..] {
        assert!([Class::Read, Class::Unknown].contains(&command(line, &PLACE()).class), "{line:.40}");
    }
    // As deep as it is still judged: neither the stack nor the clock gives out.
    for (open, close) in
        [("(", ")"), ("$(", ")"), ("{ ", ";}"), ("echo \"$(", ")\""), ("if ls; then ", "; fi"), ("<(", ")"), ("`", "`")]
    {
        for depth in [1, 5, 20, 48] {
            command(&(open.repeat(depth) + "rm x" + &close.repeat(depth)), &PLACE());
        }
    }
}

#[test]
fn classes_have_names_and_tiers() {
    for class in Class::ALL {
        assert_eq!(Class::parse(class.as_str()), Some(class));
    }
    assert_eq!(Class::parse("nothing"), None);
    let mut sorted = Class::ALL;
    sorted.sort();
    assert_eq!(sorted, Class::ALL, "in the order of what has to be asked");
    assert!(Class::ALL.windows(2).all(|pair| pair[0].tier() <= pair[1].tier()), "a higher class has no lower tier");
}

/// Ways to put lines together in which each of them still runs, or may.
fn compound(how: usize, a: &str, b: &str) -> String {
    match how % 12 {
        0 => format!("{a}; {b}"),
        1 => format!("{a} && {b}"),
        2 => format!("{a} || {b}"),
        3 => format!("{a}\n{b}"),
        4 => format!("{a} & {b}"),
        5 => format!("({a}); {b}"),
        6 => format!("{{ {a}; }}; {b}"),
        7 => format!("if true; then {a}; fi; {b}"),
        8 => format!("{a}; for i in 1 2; do {b}; done"),
        9 => format!("while true; do {a}; done; {b}"),
        10 => format!("f() {{ {a}; }}; f; {b}"),
        _ => format!("! {a}; {b}"),
    }
}

/// The rows that can stand in the middle of a line.
fn joinable() -> Vec<(Class, String)> {
    // The parser takes no `case` in brackets: such a line is unknown.
    let broken = ["if", "ls |", "\"unclosed", "cat <(", "case x in a) ls;; *) pwd;; esac"];
    let mut rows = rows();
    rows.retain(|(_, line)| !broken.contains(&line.as_str()) && !line.contains("<<") && !line.ends_with('&'));
    rows
}

/// Whether a line gives a value to a variable that a later one reads.
fn sets_what_is_used(line: &str, later: &str) -> bool {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    line.match_indices('=').any(|(at, _)| {
        let from = line[..at].rfind(|c| !is_part(c)).map_or(0, |before| before + 1);
        let name = &line[from..at];
        !name.is_empty() && [format!("${name}"), format!("${{{name}")].iter().any(|used| later.contains(used.as_str()))
    })
}

/// The rows that are one call of plain words.
fn simple() -> Vec<(Class, Vec<String>)> {
    let plain = |c: char| c.is_ascii_alphanumeric() || " -_=./:@,+~".contains(c);
    let mut rows = rows();
    rows.retain(|(_, line)| line.chars().all(plain) && !line.split(' ').next().is_some_and(|word| word.contains('=')));
    rows.into_iter().map(|(class, line)| (class, line.split(' ').map(str::to_owned).collect())).collect()
}

/// Complains about changed lines that are judged as less than the rows they come from. What is worse than unknown may
/// become that: it is asked in the same way.
fn lowers_nothing(changed: impl Iterator<Item = (Class, String)>) {
    let wrong: Vec<String> = changed
        .filter_map(|(class, line)| {
            let judged = command(&line, &PLACE()).class;
            (judged < class.min(Class::Unknown)).then(|| format!("{line} is {judged:?}, without the change {class:?}"))
        })
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn an_option_that_is_not_known_lowers_nothing() {
    lowers_nothing(simple().into_iter().flat_map(|(class, words)| {
        [1, words.len()].map(|at| {
            let mut words = words.clone();
            words.insert(at, "--unheard-of".to_owned());
            (class, words.join(" "))
        })
    }));
}

#[test]
fn a_shortened_option_lowers_nothing() {
    lowers_nothing(simple().into_iter().flat_map(|(class, words)| {
        let name = |word: &str| word.split('=').next().unwrap_or_default().len();
        // What is left is an option of its own.
        let whole = ["--output", "--cookie", "--get", "--file"];
        let long: Vec<usize> = (1..words.len()).filter(|at| words[*at].starts_with("--")).collect();
        let cuts = long.into_iter().flat_map(|at| (5..name(&words[at])).map(move |kept| (at, kept)));
        let cuts = cuts.filter(|(at, kept)| !whole.contains(&&words[*at][..*kept]));
        let shorter = |(at, kept): (usize, usize)| {
            let mut words = words.clone();
            words[at] = format!("{}{}", &words[at][..kept], &words[at][name(&words[at])..]);
            (class, words.join(" "))
        };
        cuts.map(shorter).collect::<Vec<_>>()
    }));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_compound_is_no_better_than_its_worst_part(a: prop::sample::Index, b: prop::sample::Index, c: prop::sample::Index, how in 0..12usize, then in 0..12usize) {
        let rows = joinable();
        let [a, b, c] = [a, b, c].map(|index| &rows[index.index(rows.len())]);
        // What a row says of a variable that nobody knows does not hold behind one that sets it.
        prop_assume!(!sets_what_is_used(&a.1, &b.1) && !sets_what_is_used(&a.1, &c.1) && !sets_what_is_used(&b.1, &c.1));
        let worst = a.0.max(b.0).max(c.0);
        let line = compound(then, &compound(how, &a.1, &b.1), &c.1);
        let verdict = command(&line, &PLACE());
        prop_assert!(verdict.class >= worst, "{line}\nis {worst:?}, judged {verdict:?}");
    }

    #[test]
    fn harmless_company_lowers_nothing(row: prop::sample::Index, how in 0..14usize) {
        let rows = joinable();
        let (class, line) = &rows[row.index(rows.len())];
        let quoted = line.replace('\'', "'\\''");
        let with = match how {
            0 => format!("  {line}"),
            1 => format!("ls; {line}"),
            2 => format!("true && {line}"),
            3 => format!("{line}; true"),
            4 => format!("{line}\nls"),
            5 => format!("# a comment\n{line}"),
            6 => format!("{line} # a comment"),
            7 => format!("({line})"),
            8 => format!("bash -c '{quoted}'"),
            9 => format!("/bin/bash -lc '{quoted}'"),
            10 => format!("time {line}"),
            11 => format!("echo a | {{ {line}; }}"),
            12 => format!("cd src; cd ..; {line}"),
            _ => format!("set -e; {line}"),
        };
        let verdict = command(&with, &PLACE());
        prop_assert!(verdict.class >= *class, "{with}\nis {class:?}, judged {verdict:?}");
    }

    #[test]
    fn no_line_makes_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        command(&String::from_utf8_lossy(&bytes), &PLACE());
    }

    #[test]
    fn no_pieces_make_it_panic(pieces in prop::collection::vec(prop::sample::select(PIECES), 0..30)) {
        let line = pieces.concat();
        let verdict = command(&line, &PLACE());
        prop_assert!(!verdict.parts.is_empty());
    }

    #[test]
    fn a_program_that_is_not_known_is_never_harmless(name in "zz[a-z]{10}", rest in "[a-z ./-]{0,20}") {
        let line = format!("{name} {rest}");
        prop_assert!(command(&line, &PLACE()).class >= Class::Unknown);
    }
}

const PIECES: &[&str] = &[
    "ls", "rm", "git", "cat", "find", "sed", "awk", "tar", "curl", "bash", "xargs", "env", "-c", "-exec", "-i", "-o",
    "-e", "--", "{}", ";", "(", ")", "((", "))", "$(", "`", "\"", "'", "$'", "{", "}", "${", "x=", "<<E\n", "\nE\n",
    "|", "||", "&", "&&", ";;", "\n", " ", " ", " ", "<", "<(", ">", ">>", "&>", "if", "then", "fi", "for", "in", "do",
    "done", "case", "esac", "while", "[[", "]]", "[", "]", "!", "coproc", "\\", "*", "?", "~", "#", "é", "中文", "=(",
    "1", "2>", "$x", "$@", "@", "+", "-", ",", "..", "/", "s/a/b/", ":", "%", "^",
];
