//! Changes to the two files of a home that `ally setup` makes: single lines, with everything around them left as it is.
//! What cannot be changed that way is told, and nothing is written.

use std::fs;
use std::io;
use std::path::Path;

use toml::{Table, Value};

use super::paths::Paths;
use super::problem::Problems;
use super::secrets;
use super::template::write_private;

/// A setting that `ally setup` knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Setting {
    /// `lang`.
    Lang,
    /// `[feishu] enabled`.
    Feishu,
    /// `[runtime.codex] home`.
    CodexHome,
    /// `[conversation] directory`.
    Directory,
    /// `[access] owner`.
    Owner,
    /// In `.env`.
    AppId,
    /// In `.env`.
    AppSecret,
    /// In `.env`.
    BaseUrl,
}

/// Where a setting stands.
enum Place {
    /// Table and key in `ally.toml`.
    Toml(&'static str, &'static str),
    /// Variable in `.env`.
    Env(&'static str),
}

impl Setting {
    fn place(self) -> Place {
        match self {
            Setting::Lang => Place::Toml("", "lang"),
            Setting::Feishu => Place::Toml("feishu", "enabled"),
            Setting::CodexHome => Place::Toml("runtime.codex", "home"),
            Setting::Directory => Place::Toml("conversation", "directory"),
            Setting::Owner => Place::Toml("access", "owner"),
            Setting::AppId => Place::Env("FEISHU_APP_ID"),
            Setting::AppSecret => Place::Env("FEISHU_APP_SECRET"),
            Setting::BaseUrl => Place::Env("FEISHU_BASE_URL"),
        }
    }
}

/// What becomes of a setting.
#[derive(Clone)]
pub enum Change {
    /// It has this text.
    Text(String),
    /// It is `true`.
    Yes,
    /// Its line goes, and the default holds.
    Default,
}

impl Change {
    fn value(&self) -> Option<Value> {
        match self {
            Change::Text(text) => Some(Value::String(text.clone())),
            Change::Yes => Some(Value::Boolean(true)),
            Change::Default => None,
        }
    }
}

/// Writes the changes of `ally.toml` first and those of `.env` after them, each file in one step: with the credentials
/// everything else is there.
///
/// # Errors
/// Which line has to be changed by hand, or why a file cannot be written.
pub fn write(paths: &Paths, changes: &[(Setting, Change)]) -> Result<(), Problems> {
    let edited = |path: &Path, edit: &dyn Fn(&str) -> Result<String, String>| {
        let problem = |what: String, remedy: &str| Problems::of_file(path, what, remedy);
        let before = match fs::read_to_string(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            read => {
                read.map_err(|error| problem(format!("cannot be read: {error}"), "make it a text file of your own"))?
            }
        };
        let after = edit(&before).map_err(|line| {
            let what = format!("holds this in a form that ally cannot change: {line}");
            problem(what, "write that line yourself, then run `ally setup` again")
        })?;
        Ok((after != before).then_some(after))
    };
    let write = |path: &Path, after: &str| {
        // The file itself is replaced, not a link to it.
        let real = path.canonicalize().unwrap_or_else(|_| path.to_owned());
        write_private(&real, after).map_err(|error| {
            let what = format!("cannot be written: {error}");
            Problems::of_file(path, what, "make the folder writable, or set ALLY_HOME to another place")
        })
    };
    let config = edited(&paths.config, &|text| {
        let mut text = text.to_owned();
        for (setting, change) in changes {
            if let Place::Toml(table, key) = setting.place() {
                text = in_toml(&text, table, key, change.value().as_ref())?;
            }
        }
        Ok(text)
    })?;
    let env = edited(&paths.env, &|text| {
        let mut text = text.to_owned();
        for (setting, change) in changes {
            if let Place::Env(key) = setting.place() {
                let value = match change {
                    Change::Text(value) => Some(value.as_str()),
                    Change::Yes => Some("true"),
                    Change::Default => None,
                };
                text = in_env(&paths.env, &text, key, value)?;
            }
        }
        Ok(text)
    })?;
    // Both can be changed, or neither is.
    for (path, after) in [(&paths.config, config), (&paths.env, env)] {
        if let Some(after) = after {
            write(path, &after)?;
        }
    }
    Ok(())
}

/// The text with one key changed; the line to be written by hand where that does not work.
fn in_toml(text: &str, table: &str, key: &str, value: Option<&Value>) -> Result<String, String> {
    let literal = match value {
        // A JSON string is a TOML string as well.
        Some(Value::String(text)) => Some(serde_json::Value::from(text.as_str()).to_string()),
        Some(Value::Boolean(value)) => Some(value.to_string()),
        _ => None,
    };
    let line = literal.map(|literal| format!("{key} = {literal}"));
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    let headers = |line: &String| line.trim_start().starts_with('[');
    let begin = match table {
        "" => Some(0),
        _ => lines.iter().position(|line| is_header(line, table)).map(|at| at + 1),
    };
    match begin {
        Some(begin) => {
            let end = lines[begin..].iter().position(headers).map_or(lines.len(), |at| begin + at);
            let of = |sign: &str| lines[begin..end].iter().position(|line| sets(line, sign, key)).map(|at| begin + at);
            match (of(""), line.clone()) {
                (Some(at), Some(line)) => lines[at] = format!("{line}{}", remark(&lines[at])),
                (Some(at), None) => drop(lines.remove(at)),
                (None, Some(line)) => {
                    // Below the remark that explains it, where there is one.
                    let at = of("#").map_or(if table.is_empty() { end } else { begin }, |at| at + 1);
                    lines.insert(at, line);
                }
                (None, None) => {}
            }
        }
        None => {
            if let Some(line) = line.clone() {
                lines.extend([String::new(), format!("[{table}]"), line]);
            }
        }
    }
    let after = lines.join("\n") + "\n";
    let shown = match (table, line) {
        ("", Some(line)) => line,
        (_, Some(line)) => format!("[{table}] {line}"),
        (_, None) => format!("[{table}] {key} (to be removed)"),
    };
    let (Ok(old), Ok(new)) = (text.parse::<Table>(), after.parse::<Table>()) else { return Err(shown) };
    let path: Vec<&str> = table.split('.').filter(|name| !name.is_empty()).chain([key]).collect();
    if take(&mut new.clone(), &path).as_ref() != value || without(old, &path) != without(new, &path) {
        return Err(shown);
    }
    Ok(after)
}

/// What a person wrote behind a value, with the blank before it.
fn remark(line: &str) -> &str {
    let starts = line.match_indices(" #").map(|(at, _)| at);
    starts.into_iter().find(|at| line[..*at].parse::<Table>().is_ok()).map_or("", |at| &line[at..])
}

/// `[table]`, perhaps with a remark behind it.
fn is_header(line: &str, table: &str) -> bool {
    let inner = line.trim_start().strip_prefix('[').and_then(|rest| rest.split_once(']'));
    inner.is_some_and(|(name, _)| name.trim() == table)
}

/// `key = …` behind this sign.
fn sets(line: &str, sign: &str, key: &str) -> bool {
    let Some(rest) = line.trim_start().strip_prefix(sign) else { return false };
    rest.trim_start().strip_prefix(key).is_some_and(|rest| rest.trim_start().starts_with('='))
}

fn take(table: &mut Table, path: &[&str]) -> Option<Value> {
    match path {
        [] => None,
        [key] => table.remove(*key),
        [name, rest @ ..] => take(table.get_mut(*name)?.as_table_mut()?, rest),
    }
}

/// Without that key, and without tables in which nothing stands.
fn without(mut table: Table, path: &[&str]) -> Table {
    take(&mut table, path);
    prune(&mut table);
    table
}

fn prune(table: &mut Table) {
    table.retain(|_, value| match value {
        Value::Table(inner) => {
            prune(inner);
            !inner.is_empty()
        }
        _ => true,
    });
}

/// The same of a file of variables. The line that is told holds no value: it may be a secret.
fn in_env(path: &Path, text: &str, key: &str, value: Option<&str>) -> Result<String, String> {
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    let is_set = |line: &String| {
        sets(line, "", key) || line.trim_start().strip_prefix("export ").is_some_and(|l| sets(l, "", key))
    };
    // The last one counts.
    let former = lines.iter().rposition(is_set);
    match (former, value) {
        (Some(at), Some(value)) => lines[at] = assignment(key, value),
        (Some(_), None) => lines.retain(|line| !is_set(line)),
        (None, Some(value)) => {
            let at = lines.iter().position(|line| sets(line, "#", key)).map_or(lines.len(), |at| at + 1);
            lines.insert(at, assignment(key, value));
        }
        (None, None) => {}
    }
    let after = lines.join("\n") + "\n";
    let read = |text: &str| {
        let mut values = secrets::parse(path, text, &mut Problems::default());
        let own = values.remove(key).map(|found| found.value);
        (own, values.into_iter().map(|(key, found)| (key, found.value)).collect::<Vec<_>>())
    };
    let ((_, others), (own, same)) = (read(text), read(&after));
    if own.as_deref() == value && others == same { Ok(after) } else { Err(format!("{key}=…")) }
}

fn assignment(key: &str, value: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "_-./:+=@".contains(c);
    match value.chars().all(is_plain) {
        true => format!("{key}={value}"),
        false => format!("{key}='{value}'"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::write_missing;

    fn text(value: &str) -> Change {
        Change::Text(value.to_owned())
    }

    #[test]
    fn what_a_person_wrote_behind_a_value_stays() {
        let zh = Value::String("zh".to_owned());
        let after = in_toml("lang = \"en\" # as Li wants it\n", "", "lang", Some(&zh));
        assert_eq!(after.as_deref(), Ok("lang = \"zh\" # as Li wants it\n"));
        let after = in_toml("lang = \"a # b\"\n", "", "lang", Some(&zh));
        assert_eq!(after.as_deref(), Ok("lang = \"zh\"\n"));
    }

    #[test]
    fn the_template_keeps_its_remarks() {
        let temp = tempfile::tempdir().unwrap();
        let paths = Paths::of_home(temp.path().join("ally"), None);
        write_missing(&paths).unwrap();
        let before = fs::read_to_string(&paths.config).unwrap();
        let changes = [
            (Setting::Lang, text("zh")),
            (Setting::Owner, text("ou_1")),
            (Setting::Directory, text("/home/li/a \"b\"/项目")),
            (Setting::CodexHome, text("~/.codex")),
            (Setting::AppId, text("cli_1")),
            (Setting::AppSecret, text("a#b c")),
            (Setting::BaseUrl, text("https://open.larksuite.com")),
        ];
        write(&paths, &changes).unwrap();
        let after = fs::read_to_string(&paths.config).unwrap();
        assert!(before.lines().all(|line| after.contains(line)), "{after}");
        let table: Table = after.parse().unwrap();
        assert_eq!(table["lang"].as_str(), Some("zh"));
        assert_eq!(table["access"]["owner"].as_str(), Some("ou_1"));
        assert_eq!(table["conversation"]["directory"].as_str(), Some("/home/li/a \"b\"/项目"));
        assert_eq!(table["runtime"]["codex"]["home"].as_str(), Some("~/.codex"));
        let env = fs::read_to_string(&paths.env).unwrap();
        let mut problems = Problems::default();
        let values = secrets::parse(&paths.env, &env, &mut problems);
        assert_eq!(values["FEISHU_APP_SECRET"].value, "a#b c");
        assert_eq!(values["FEISHU_BASE_URL"].value, "https://open.larksuite.com");
        assert!(problems.list().is_empty(), "{problems}");
        // The same again changes nothing, and another value takes its place.
        write(&paths, &changes).unwrap();
        assert_eq!(fs::read_to_string(&paths.config).unwrap(), after);
        write(&paths, &[(Setting::Owner, text("ou_2")), (Setting::BaseUrl, Change::Default)]).unwrap();
        let again = fs::read_to_string(&paths.config).unwrap();
        assert_eq!(again, after.replace("ou_1", "ou_2"));
        assert!(!fs::read_to_string(&paths.env).unwrap().contains("larksuite.com\nFEISHU"), "the line is gone");
        write(&paths, &[(Setting::Owner, Change::Default)]).unwrap();
        assert!(!fs::read_to_string(&paths.config).unwrap().contains("\nowner"));
    }

    #[test]
    fn a_file_in_another_form_is_left_alone() {
        for (before, table, key) in [
            ("access = { owner = \"ou_1\" }\n", "access", "owner"),
            ("access.owner = \"ou_1\"\n", "access", "owner"),
            ("not toml\n", "", "lang"),
        ] {
            let told = in_toml(before, table, key, Some(&Value::String("ou_2".to_owned()))).unwrap_err();
            assert!(told.contains(key), "{told}");
        }
        let added =
            in_toml("[feishu]\nenabled = false # off\n", "access", "owner", Some(&Value::String("x".to_owned())));
        assert_eq!(added.unwrap(), "[feishu]\nenabled = false # off\n\n[access]\nowner = \"x\"\n");
        let turned = in_toml("[feishu] # it\nenabled = false\n", "feishu", "enabled", Some(&Value::Boolean(true)));
        assert_eq!(turned.unwrap(), "[feishu] # it\nenabled = true\n");
    }

    #[test]
    fn a_secret_stands_in_no_message() {
        let told = in_env(Path::new(".env"), "", "FEISHU_APP_SECRET", Some("hush'\nx")).unwrap_err();
        assert_eq!(told, "FEISHU_APP_SECRET=…");
        let set = in_env(Path::new(".env"), "export FEISHU_APP_ID=a\n", "FEISHU_APP_ID", Some("b")).unwrap();
        assert_eq!(set, "FEISHU_APP_ID=b\n");
    }
}
