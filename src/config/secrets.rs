//! `.env`: credentials in a file of the owner's alone. The environment overrides it.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::problem::{Problem, Problems, did_you_mean};

/// What `.env` and the environment may set.
pub const KNOWN: [&str; 6] =
    ["FEISHU_APP_ID", "FEISHU_APP_SECRET", "FEISHU_BASE_URL", "ALLY_LANG", "ALLY_RUNTIME", "ALLY_RUNTIME_BIN"];

/// Reads `.env`; a missing file is an empty one. Values never appear in a problem.
pub fn read(path: &Path, problems: &mut Problems) -> BTreeMap<String, String> {
    let text = match fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return BTreeMap::new(),
        Ok(found) if found.mode() & 0o077 != 0 => {
            let what = format!("others can read it (mode {:04o}), so it was not read", found.mode() & 0o7777);
            problems.add(problem(path, None, "", what, format!("chmod 600 {}", path.display())));
            return BTreeMap::new();
        }
        _ => match fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) => {
                let what = format!("cannot be read: {error}");
                problems.add(problem(path, None, "", what, "make it a text file of your own".to_owned()));
                return BTreeMap::new();
            }
        },
    };
    parse(path, &text, problems)
}

fn parse(path: &Path, text: &str, problems: &mut Problems) -> BTreeMap<String, String> {
    let mut values = BTreeMap::new();
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
            values.insert(key.to_owned(), value.to_owned());
        }
    }
    values
}

fn unquote(value: &str) -> &str {
    for quote in ['"', '\''] {
        if let Some(inner) = value.strip_prefix(quote).and_then(|rest| rest.strip_suffix(quote)) {
            return inner;
        }
    }
    value
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
        assert_eq!(values.get("FEISHU_APP_SECRET").map(String::as_str), Some("a b=c"));
        assert_eq!(values.len(), 2, "an empty value counts as none");
        let told = problems.to_string();
        assert!(told.contains(".env:4: FEISHU_APP_SECRT") && told.contains("did you mean FEISHU_APP_SECRET"), "{told}");
        assert!(told.contains(".env:5"), "{told}");
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
