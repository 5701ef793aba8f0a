//! Clients of databases.

use super::Call;
use crate::domain::risk::Class;

/// Statements: reading is only believed of one plain `SELECT` or the like.
pub(super) fn judge(call: &Call<'_, '_, '_>, name: &str) -> Class {
    let args = call.args;
    if args.0.len() == 1 && matches!(args.first(), "--version" | "-V") {
        return Class::Read;
    }
    let texts: Vec<String> = args.0.iter().map(|arg| arg.text.to_lowercase()).collect();
    let text = format!("{} {}", texts.join(" "), call.stdin.text.clone().unwrap_or_default().to_lowercase());
    // Line breaks and tabs part words as well.
    let text = format!(" {} ", text.split_whitespace().collect::<Vec<_>>().join(" "));
    let destroys =
        ["drop ", "truncate ", "delete ", "flushall", "flushdb", "deletemany", ".drop(", "remove(", " del ", "unlink "];
    if destroys.iter().any(|word| text.contains(word)) {
        return Class::Destroy;
    }
    // Their own commands run programs and read files.
    const RUNS: [&str; 16] = [
        "\\",
        ".shell",
        ".system",
        "copy ",
        ".import",
        ".output",
        " system ",
        " source ",
        " pager ",
        " tee ",
        " edit ",
        "outfile",
        "dumpfile",
        "load data",
        "load_file",
        "pg_read",
    ];
    let quoted = text.replace(['\'', '"', ';'], " ");
    if RUNS.iter().any(|word| text.contains(word) || quoted.contains(word)) {
        return Class::Unknown;
    }
    let file = matches!(name, "sqlite3" | "duckdb");
    let plain = args.positionals();
    if !file {
        // Statements that stand in a file.
        let told =
            ["-c", "--command", "-e", "--execute", "--eval", "-l", "--list"].iter().any(|option| args.any(&[option]))
                || name == "redis-cli";
        let hidden =
            args.any(&["-f", "--file", "--pipe", "--init-command"]) || call.stdin.given && call.stdin.text.is_none();
        // Output that goes to a file or a program, and settings that name some.
        let quiet = "AtqXx1nHeEwWzs0b";
        let flows = args.any(&["--output", "--log-file", "--tee", "--pager", "--plugin-dir", "--rdb", "--variable"])
            || args.0.iter().any(|arg| arg.text.starts_with("--defaults-"))
            || name == "psql"
                && args.options().any(|option| {
                    !option.starts_with("--")
                        && option[1..].trim_start_matches(|c| quiet.contains(c)).starts_with(['o', 'L', 'f'])
                })
            || name == "redis-cli" && (args.any(&["--eval", "--functions-rdb"]) || args.has('x', ""));
        let hidden = hidden || flows;
        return if told && !hidden { Class::Publish } else { Class::Unknown };
    }
    let [path, statement] = plain.as_slice() else { return Class::Unknown };
    if args.options().any(|o| !matches!(o, "-readonly" | "-json" | "-csv" | "-header" | "-column" | "-line")) {
        return Class::Unknown;
    }
    let statement = statement.text.trim().to_lowercase();
    // It reads files and the environment by functions of many names.
    let looks = matches!(statement.as_str(), ".tables" | ".schema");
    if name == "duckdb" && !looks {
        return Class::Unknown;
    }
    let runs = ["edit", "load_extension", "writefile", "readfile", "fsdir", "lsdir", "zipfile"];
    if runs.iter().any(|word| statement.contains(word)) {
        return Class::Unknown;
    }
    let reads = looks
        || statement.starts_with("select ")
            && !["load_extension", "writefile", "readfile", "edit", "attach", "fsdir", "lsdir", "zipfile", ";"]
                .iter()
                .any(|word| statement.trim_end_matches(';').contains(word));
    if reads {
        call.read(path)
    } else if statement.starts_with('.') {
        Class::Unknown
    } else {
        call.write(path).max(Class::Write).max(Class::Publish)
    }
}
