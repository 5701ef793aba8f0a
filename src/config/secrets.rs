//! `.env`: credentials in a file of the owner's alone. The environment overrides it.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::problem::{Problem, Problems, did_you_mean};
use super::raw::At;

/// What `.env` and the environment may set.
pub const KNOWN: [&str; 6] =
    ["FEISHU_APP_ID", "FEISHU_APP_SECRET", "FEISHU_BASE_URL", "ALLY_LANG", "ALLY_RUNTIME", "ALLY_RUNTIME_BIN"];

/// What a file of credentials sets, each with its line.
pub type Values = BTreeMap<String, At<String>>;

/// Reads `.env`; a missing file is an empty one. Values never appear in a problem.
pub fn read(path: &Path, problems: &mut Problems) -> Values {
    let text = match fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Values::new(),
        Ok(found) if found.mode() & 0o077 != 0 => {
            let what = format!("others can read it (mode {:04o}), so it was not read", found.mode() & 0o7777);
            problems.add(problem(path, None, "", what, format!("chmod 600 {}", path.display())));
            return Values::new();
        }
        _ => match fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) => {
                let what = format!("cannot be read: {error}");
                problems.add(problem(path, None, "", what, "make it a text file of your own".to_owned()));
                return Values::new();
            }
        },
    };
    parse(path, &text, problems)
}

pub(super) fn parse(path: &Path, text: &str, problems: &mut Problems) -> Values {
    let mut values = Values::new();
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        let line = line.strip_prefix("export ").unwrap_or(line);
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let Some((key, value)) = line.split_once('=') else {
            let what = "is not KEY=value".to_owned();
            problems.add(problem(path, Some(index + 1), "", what, "write KEY=value, or # before a remark".to_owned()));
            continue;
        };
        let (key, value) = (key.trim(), unquote(value.trim()));
        if !KNOWN.contains(&key) {
            let remedy = match did_you_mean(key, KNOWN) {
                Some(near) => format!("did you mean {near}?"),
                None => format!("remove it; it takes {}", KNOWN.join(", ")),
            };
            problems.add(problem(path, Some(index + 1), key, "there is no such key".to_owned(), remedy));
        } else if !value.is_empty() {
            values.insert(key.to_owned(), At { line: index + 1, value: value.to_owned() });
        }
    }
    values
}

/// A value without its quotes and the remark after it. A `#` without a space before it belongs to the value.
fn unquote(value: &str) -> &str {
    for quote in ['"', '\''] {
        if let Some((inner, after)) = value.strip_prefix(quote).and_then(|rest| rest.split_once(quote))
            && (after.trim().is_empty() || is_remark(after))
        {
            return inner;
        }
    }
    match value.char_indices().find(|(at, c)| c.is_whitespace() && is_remark(&value[*at..])) {
        Some((at, _)) => &value[..at],
        None if value.starts_with('#') => "",
        None => value,
    }
}

fn is_remark(text: &str) -> bool {
    text.starts_with(char::is_whitespace) && text.trim_start().starts_with('#')
}

fn problem(path: &Path, line: Option<usize>, key: &str, what: String, remedy: String) -> Problem {
    Problem { file: Some(path.to_owned()), line, key: key.to_owned(), what, remedy }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn values_are_read_and_strange_keys_are_told() {
        let mut problems = Problems::default();
        let text =
            "# note\nFEISHU_APP_ID=cli_1\nexport FEISHU_APP_SECRET='a b=c'\nFEISHU_APP_SECRT=x\nnonsense\nALLY_LANG=\n";
        let values = parse(Path::new(".env"), text, &mut problems);
        let secret = At { line: 3, value: "a b=c".to_owned() };
        assert_eq!(values.get("FEISHU_APP_SECRET"), Some(&secret));
        assert_eq!(values.len(), 2, "an empty value counts as none");
        let told = problems.to_string();
        assert!(told.contains(".env:4: FEISHU_APP_SECRT") && told.contains("did you mean FEISHU_APP_SECRET"), "{told}");
        assert!(told.contains(".env:5"), "{told}");
    }

    #[test]
    fn a_remark_is_no_part_of_a_value() {
        for (text, want) in [
            ("x # note", "x"),
            ("x\t# note", "x"),
            ("x#y", "x#y"),
            ("\"a # b\" # note", "a # b"),
            ("'a'", "a"),
            ("# nothing yet", ""),
            ("a 'b' c", "a 'b' c"),
            ("'a'b", "'a'b"),
        ] {
            assert_eq!(unquote(text), want, "{text}");
        }
    }

    #[test]
    fn a_file_that_others_can_read_is_refused() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join(".env");
        fs::write(&path, "FEISHU_APP_SECRET=hush\n").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        let mut problems = Problems::default();
        assert!(read(&path, &mut problems).is_empty());
        let told = problems.to_string();
        assert!(told.contains("0640") && told.contains("chmod 600") && !told.contains("hush"), "{told}");
    }
}
