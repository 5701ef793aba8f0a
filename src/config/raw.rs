//! `ally.toml` as it was written: keys with their lines. Whoever asks for a key takes it; what is left at the end is
//! unknown. Unlike a derived deserialiser this does not stop at the first mistake.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::duration;
use super::problem::{Problem, Problems, did_you_mean};

/// A value with the line that it stands on.
#[derive(Debug, Clone, PartialEq)]
pub struct At<T> {
    /// 1-based.
    pub line: usize,
    /// What is written there.
    pub value: T,
}

#[derive(Debug, Clone, PartialEq)]
enum Value {
    Bool(bool),
    Integer(i64),
    Text(String),
    List(Vec<Value>),
    /// An empty table, kept so that an unknown one is noticed.
    Table,
    Other(&'static str),
}

impl Value {
    fn kind(&self) -> &'static str {
        match self {
            Value::Bool(_) => "true or false",
            Value::Integer(_) => "a number",
            Value::Text(_) => "a text",
            Value::List(_) => "a list",
            Value::Table => "a table",
            Value::Other(kind) => kind,
        }
    }
}

/// The file's keys, not yet judged.
#[derive(Debug)]
pub struct Raw {
    file: PathBuf,
    entries: BTreeMap<String, At<Value>>,
    asked: BTreeSet<&'static str>,
}

impl Raw {
    /// Reads the text of `file`; what is not TOML becomes a problem and the rest is still read.
    pub fn parse(file: &Path, text: &str, problems: &mut Problems) -> Self {
        let mut raw = Self { file: file.to_owned(), entries: BTreeMap::new(), asked: BTreeSet::new() };
        let (table, errors) = DeTable::parse_recoverable(text);
        for error in errors {
            problems.add(Problem {
                file: Some(file.to_owned()),
                line: error.span().map(|span| line_of(text, span.start)),
                key: String::new(),
                what: error.message().trim().replace('\n', "; "),
                remedy: "texts stand in quotes, lists in [ ], and each key on a line of its own".to_owned(),
            });
        }
        raw.flatten(text, "", table.get_ref());
        raw
    }

    fn flatten(&mut self, text: &str, prefix: &str, table: &DeTable<'_>) {
        for (name, value) in table {
            let key = match prefix {
                "" => name.get_ref().to_string(),
                prefix => format!("{prefix}.{}", name.get_ref()),
            };
            let line = line_of(text, name.span().start);
            match value.get_ref() {
                DeValue::Table(inner) if !inner.is_empty() => self.flatten(text, &key, inner),
                _ => {
                    self.entries.insert(key, At { line, value: convert(value) });
                }
            }
        }
    }

    fn take<T>(
        &mut self,
        key: &'static str,
        wanted: &str,
        problems: &mut Problems,
        read: impl FnOnce(&Value) -> Option<T>,
    ) -> Option<At<T>> {
        self.asked.insert(key);
        let entry = self.entries.remove(key)?;
        match read(&entry.value) {
            Some(value) => Some(At { line: entry.line, value }),
            None => {
                let what = format!("must be {wanted}, and this is {}", entry.value.kind());
                problems.add(self.problem(key, entry.line, what, format!("write {wanted}")));
                None
            }
        }
    }

    /// A problem with a key of this file.
    pub fn problem(&self, key: &str, line: usize, what: impl Into<String>, remedy: impl Into<String>) -> Problem {
        Problem {
            file: Some(self.file.clone()),
            line: (line > 0).then_some(line),
            key: key.to_owned(),
            what: what.into(),
            remedy: remedy.into(),
        }
    }

    /// Takes a text.
    pub fn text(&mut self, key: &'static str, problems: &mut Problems) -> Option<At<String>> {
        let found = self.take(key, "a text in quotes", problems, |value| match value {
            Value::Text(text) => Some(text.clone()),
            _ => None,
        })?;
        if found.value.trim().is_empty() {
            problems.add(self.problem(key, found.line, "is empty", "fill it in, or remove the line for the default"));
            return None;
        }
        Some(found)
    }

    /// Takes `true` or `false`.
    pub fn bool(&mut self, key: &'static str, problems: &mut Problems) -> Option<At<bool>> {
        self.take(key, "true or false", problems, |value| match value {
            Value::Bool(value) => Some(*value),
            _ => None,
        })
    }

    /// Takes a number within `range`.
    pub fn number(
        &mut self,
        key: &'static str,
        range: std::ops::RangeInclusive<i64>,
        problems: &mut Problems,
    ) -> Option<i64> {
        let found = self.take(key, "a whole number", problems, |value| match value {
            Value::Integer(value) => Some(*value),
            _ => None,
        })?;
        if range.contains(&found.value) {
            return Some(found.value);
        }
        let remedy = format!("write a number from {} to {}", range.start(), range.end());
        problems.add(self.problem(key, found.line, format!("{} is out of range", found.value), remedy));
        None
    }

    /// Takes a list of texts.
    pub fn list(&mut self, key: &'static str, problems: &mut Problems) -> At<Vec<String>> {
        let found = self.take(key, "a list of texts: [\"…\", \"…\"]", problems, |value| match value {
            Value::List(items) => items
                .iter()
                .map(|item| match item {
                    Value::Text(text) => Some(text.clone()),
                    _ => None,
                })
                .collect(),
            _ => None,
        });
        found.unwrap_or(At { line: 0, value: Vec::new() })
    }

    /// Takes a duration.
    pub fn duration(&mut self, key: &'static str, problems: &mut Problems) -> Option<Duration> {
        let found = self.take(key, "a duration such as \"30m\", \"2h\" or \"90s\"", problems, |value| match value {
            Value::Text(text) => Some(text.clone()),
            _ => None,
        })?;
        let duration = duration::parse(&found.value);
        if duration.is_none() {
            problems.add(self.problem(
                key,
                found.line,
                format!("\"{}\" is not a duration", found.value),
                "write it like \"30m\", \"2h\" or \"90s\"",
            ));
        }
        duration
    }

    /// Takes a duration in which something can happen.
    pub fn span(&mut self, key: &'static str, problems: &mut Problems) -> Option<Duration> {
        let line = self.entries.get(key).map_or(0, |entry| entry.line);
        let span = self.duration(key, problems)?;
        if span.is_zero() {
            let remedy = "write a longer one, or remove the line for the default";
            problems.add(self.problem(key, line, "is no time at all", remedy));
            return None;
        }
        Some(span)
    }

    /// Takes one of a few words.
    pub fn choice<T: Copy>(
        &mut self,
        key: &'static str,
        words: &[(&str, T)],
        problems: &mut Problems,
    ) -> Option<At<T>> {
        let found = self.text(key, problems)?;
        if let Some((_, value)) = words.iter().find(|(word, _)| *word == found.value) {
            return Some(At { line: found.line, value: *value });
        }
        let known = words.iter().map(|(word, _)| format!("\"{word}\"")).collect::<Vec<_>>().join(", ");
        let remedy = match did_you_mean(&found.value, words.iter().map(|(word, _)| *word)) {
            Some(near) => format!("did you mean \"{near}\"? It takes {known}"),
            None => format!("it takes {known}"),
        };
        problems.add(self.problem(key, found.line, format!("\"{}\" is not known", found.value), remedy));
        None
    }

    /// Reports everything that nobody asked for.
    pub fn finish(self, problems: &mut Problems) {
        for (key, entry) in &self.entries {
            let prefix = format!("{key}.");
            if entry.value == Value::Table && self.asked.iter().any(|asked| asked.starts_with(&prefix)) {
                continue;
            }
            let remedy = match did_you_mean(key, self.asked.iter().copied()) {
                Some(near) => format!("did you mean `{near}`?"),
                None => "remove it; templates/ally.toml lists every key".to_owned(),
            };
            problems.add(self.problem(key, entry.line, "there is no such key", remedy));
        }
    }
}

fn convert(value: &Spanned<DeValue<'_>>) -> Value {
    match value.get_ref() {
        DeValue::Boolean(value) => Value::Bool(*value),
        DeValue::Integer(number) => i64::from_str_radix(&number.as_str().replace('_', ""), number.radix())
            .map_or(Value::Other("too large a number"), Value::Integer),
        DeValue::String(text) => Value::Text(text.to_string()),
        DeValue::Array(items) => Value::List(items.iter().map(convert).collect()),
        DeValue::Table(_) => Value::Table,
        DeValue::Float(_) => Value::Other("a fraction"),
        DeValue::Datetime(_) => Value::Other("a date"),
    }
}

fn line_of(text: &str, offset: usize) -> usize {
    text.as_bytes()[..offset.min(text.len())].iter().filter(|byte| **byte == b'\n').count() + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> (Raw, Problems) {
        let mut problems = Problems::default();
        let raw = Raw::parse(Path::new("ally.toml"), text, &mut problems);
        (raw, problems)
    }

    #[test]
    fn every_mistake_is_told_with_its_line() {
        let (mut raw, mut problems) =
            read("lang = 1\n\n[turn]\nidle_timout = \"3m\"\ngrace = \"soon\"\n[colour]\nred = 1\n");
        assert_eq!(raw.text("lang", &mut problems), None);
        assert_eq!(raw.duration("turn.idle_timeout", &mut problems), None);
        assert_eq!(raw.duration("turn.grace", &mut problems), None);
        raw.finish(&mut problems);
        let told = problems.into_result().unwrap_err().to_string();
        for want in [
            "4 problems",
            "ally.toml:1: lang",
            "ally.toml:4: turn.idle_timout",
            "did you mean `turn.idle_timeout`",
            "ally.toml:5: turn.grace: \"soon\" is not a duration",
            "ally.toml:7: colour.red",
        ] {
            assert!(told.contains(want), "{want} is missing in\n{told}");
        }
    }

    #[test]
    fn no_time_at_all_is_a_mistake_where_something_must_happen() {
        let (mut raw, mut problems) = read("[turn]\ngrace = \"0s\"\nidle_timeout = \"0s\"\n");
        assert_eq!(raw.duration("turn.grace", &mut problems), Some(Duration::ZERO));
        assert_eq!(raw.span("turn.idle_timeout", &mut problems), None);
        let told = problems.into_result().unwrap_err().to_string();
        assert!(told.contains("ally.toml:3: turn.idle_timeout: is no time at all"), "{told}");
    }

    #[test]
    fn what_is_not_toml_is_told_beside_the_rest() {
        let (mut raw, mut problems) = read("lang = zh\n[turn]\ngrace = 5\n");
        raw.duration("turn.grace", &mut problems);
        let told = problems.into_result().unwrap_err().to_string();
        assert!(told.contains("ally.toml:1") && told.contains("ally.toml:3: turn.grace"), "{told}");
    }

    #[test]
    fn an_empty_known_table_is_no_mistake() {
        let (mut raw, mut problems) = read("[turn]\n[turns]\n");
        raw.duration("turn.grace", &mut problems);
        raw.finish(&mut problems);
        assert_eq!(problems.list().len(), 1, "{problems}");
    }
}
