//! `git config`: what settings are read and changed.

use super::Call;
use crate::domain::risk::Class;

/// Settings that change only how something looks or is signed with a name.
const LOOKS: [&str; 9] = [
    "core.quotepath",
    "user.name",
    "user.email",
    "init.defaultbranch",
    "diff.renames",
    "log.date",
    "core.abbrev",
    "commit.gpgsign",
    "core.pager=cat",
];
/// Sections of which that holds for all: with one name below, not with parts of their own.
const LOOKING_SECTIONS: [&str; 4] = ["color.", "advice.", "column.", "status."];
/// Options that do not change what is looked at or set.
const PLAIN: [&str; 20] = [
    "--get",
    "--get-all",
    "--local",
    "--global",
    "--system",
    "--worktree",
    "--add",
    "--replace-all",
    "--unset",
    "--unset-all",
    "--all",
    "--list",
    "-l",
    "--show-origin",
    "--show-scope",
    "--name-only",
    "--null",
    "-z",
    "--bool",
    "--int",
];

/// Whether a setting, `name` or `name=value`, is only about looks.
pub(super) fn is_look(setting: &str) -> bool {
    let setting = setting.to_lowercase();
    let name = setting.split('=').next().unwrap_or_default();
    let section = |start: &&str| name.strip_prefix(*start).is_some_and(|rest| !rest.contains('.'));
    LOOKS.contains(&name) || LOOKS.contains(&setting.as_str()) || LOOKING_SECTIONS.iter().any(section)
}

pub(super) fn judge(call: &Call<'_, '_, '_>) -> Class {
    let args = call.args;
    let (here, change) = (call.here_read(), call.here());
    let plain = args.positionals();
    let other = args.0.iter().map(|arg| arg.text.as_str()).find(|text| text.starts_with('-') && !PLAIN.contains(text));
    if let Some(option) = other {
        // `--get-regexp` and `--get-urlmatch` may show any of them; the rest reads other files, or starts an editor.
        return match option {
            _ if option.starts_with("--get-") || option == "--regexp" => Class::Secret,
            "--rename-section" | "--remove-section" => change.max(Class::Autorun),
            _ => Class::Unknown,
        };
    }
    let words: Vec<&str> = plain.iter().map(|word| word.text.as_str()).collect();
    let verb = match words.first() {
        Some(verb @ &("get" | "set" | "unset" | "list" | "edit" | "rename-section" | "remove-section")) => *verb,
        _ => "",
    };
    let keys = &words[usize::from(!verb.is_empty())..];
    let takes = args.any(&["--unset", "--unset-all"]);
    let gets = args.exactly(&["--get", "--get-all"]) || verb == "get" || verb.is_empty() && keys.len() == 1 && !takes;
    // A list shows the tokens that are in addresses and headers.
    if verb == "list" || args.exactly(&["--list", "-l"]) {
        return Class::ReadOut;
    }
    if gets && !takes {
        let told = |key: &&str| {
            ["token", "extraheader", "password", "credential", "http."]
                .iter()
                .any(|part| key.to_lowercase().contains(part))
        };
        return if keys.iter().any(told) { Class::Secret } else { here };
    }
    match verb {
        "edit" => return Class::Unknown,
        "rename-section" | "remove-section" => return change.max(Class::Autorun),
        _ => {}
    }
    let far = args.any(&["--global", "--system"]);
    match (keys.first().is_some_and(|key| is_look(key)), far) {
        (true, false) => change,
        (true, true) => Class::WriteOut,
        // Names a program that git runs, or where it sends things.
        _ => change.max(Class::Autorun),
    }
}
