//! What is wrong with a configuration: all of it at once, each with its place and its remedy.

use std::fmt;
use std::path::{Path, PathBuf};

/// One thing that is wrong, where it stands, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The file, where it is one; the environment otherwise.
    pub file: Option<PathBuf>,
    /// 1-based line, where known.
    pub line: Option<usize>,
    /// Dotted key of `ally.toml`, or the name of a variable.
    pub key: String,
    /// What is so.
    pub what: String,
    /// What to do.
    pub remedy: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.file, self.line) {
            (Some(file), Some(line)) => write!(f, "{}:{line}: ", file.display())?,
            (Some(file), None) => write!(f, "{}: ", file.display())?,
            (None, _) => f.write_str("environment: ")?,
        }
        if !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        write!(f, "{}\n      → {}", self.what, self.remedy)
    }
}

/// Everything that is wrong. Never empty as an error.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Problems {
    list: Vec<Problem>,
}

impl Problems {
    /// Notes one problem more.
    pub fn add(&mut self, problem: Problem) {
        self.list.push(problem);
    }

    /// All problems, by place.
    pub fn list(&self) -> &[Problem] {
        &self.list
    }

    /// `Ok` when nothing was noted.
    pub fn into_result(mut self) -> Result<(), Problems> {
        self.list.sort_by(|a, b| (&a.file, a.line).cmp(&(&b.file, b.line)));
        if self.list.is_empty() { Ok(()) } else { Err(self) }
    }

    /// A single problem with a file or folder.
    pub fn of_file(path: &Path, what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self {
            list: vec![Problem {
                file: Some(path.to_owned()),
                line: None,
                key: String::new(),
                what: what.into(),
                remedy: remedy.into(),
            }],
        }
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.list.len() {
            1 => f.write_str("one problem in the configuration:")?,
            n => write!(f, "{n} problems in the configuration:")?,
        }
        for problem in &self.list {
            write!(f, "\n  {problem}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}

/// The known name that a wrong one was probably meant to be.
pub fn did_you_mean<'a>(wrong: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    known
        .into_iter()
        .map(|name| (distance(wrong, name), name))
        .filter(|(distance, name)| *distance <= 1 + name.chars().count() / 4)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}

/// Levenshtein distance.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, ca) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, cb) in b.iter().enumerate() {
            let substituted = diagonal + usize::from(ca != *cb);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_names_are_found() {
        let known = ["turn.idle_timeout", "turn.grace", "lang"];
        assert_eq!(did_you_mean("turn.idle_timout", known), Some("turn.idle_timeout"));
        assert_eq!(did_you_mean("langg", known), Some("lang"));
        assert_eq!(did_you_mean("colour", known), None);
    }

    #[test]
    fn a_problem_names_its_place() {
        let problem = Problem {
            file: Some("/h/ally.toml".into()),
            line: Some(3),
            key: "lang".to_owned(),
            what: "is 1".to_owned(),
            remedy: "write zh or en".to_owned(),
        };
        assert_eq!(problem.to_string(), "/h/ally.toml:3: lang: is 1\n      → write zh or en");
    }
}
