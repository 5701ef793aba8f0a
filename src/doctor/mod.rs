//! `ally doctor`: looks at everything that ally needs to work, and says of what does not work what to do about it.
//!
//! `home`, `feishu`, `runtime` and `chat` each look at one part and write [`Finding`]s into a [`Sheet`], in the order in
//! which one depends on the other. `processes` looks for programs that hold the same app, `bundle` makes a file that can
//! be sent to somebody. None of it changes anything, and all of it works beside a daemon and without one.

pub mod bundle;
pub mod chat;
pub mod feishu;
pub mod home;
mod processes;
pub mod runtime;

use crate::control::{CrashReport, DaemonState, StatusReport};
use crate::domain::finding::{Check, Finding, Grade};
use crate::domain::view::Lang;
use crate::words::{self, DoctorMsg};

/// What a round of checks has found so far.
#[derive(Debug)]
pub struct Sheet {
    /// In which language it is told.
    pub lang: Lang,
    /// In the order in which they were looked at.
    pub findings: Vec<Finding>,
}

impl Sheet {
    /// An empty one.
    pub fn new(lang: Lang) -> Self {
        Self { lang, findings: Vec::new() }
    }

    /// Whether a check has been written down as broken.
    pub fn is_bad(&self, check: Check) -> bool {
        self.findings.iter().any(|finding| finding.id == check && finding.grade == Grade::Bad)
    }

    fn put(&mut self, id: Check, grade: Grade, found: String, remedy: Option<String>) {
        self.findings.push(Finding { id, grade, what: words::check(id, self.lang).to_owned(), found, remedy });
    }

    fn ok(&mut self, id: Check, found: DoctorMsg<'_>) {
        self.put(id, Grade::Ok, found.text(self.lang), None);
    }

    fn note(&mut self, id: Check, found: DoctorMsg<'_>, remedy: DoctorMsg<'_>) {
        self.put(id, Grade::Note, found.text(self.lang), Some(remedy.text(self.lang)));
    }

    fn bad(&mut self, id: Check, found: DoctorMsg<'_>, remedy: DoctorMsg<'_>) {
        self.put(id, Grade::Bad, found.text(self.lang), Some(remedy.text(self.lang)));
    }

    fn unknown(&mut self, id: Check, found: DoctorMsg<'_>) {
        self.put(id, Grade::Unknown, found.text(self.lang), None);
    }

    fn unknown_but(&mut self, id: Check, found: DoctorMsg<'_>, remedy: DoctorMsg<'_>) {
        self.put(id, Grade::Unknown, found.text(self.lang), Some(remedy.text(self.lang)));
    }
}

/// The daemon as whoever asks has found it.
#[derive(Debug, Clone)]
pub struct Daemon {
    /// What it is doing.
    pub state: DaemonState,
    /// What it says of itself, where it answers.
    pub status: Option<StatusReport>,
    /// The deaths of one that does not come up.
    pub crashes: Option<CrashReport>,
}

impl Daemon {
    fn is_there(&self) -> bool {
        self.status.is_some()
    }
}

/// A span of time as people say it, the same in both languages.
fn age(ms: i64) -> String {
    let seconds = ms.max(0) / 1000;
    match seconds {
        0..=59 => format!("{seconds} s"),
        60..=3599 => format!("{} min", seconds / 60),
        3600..=86_399 => format!("{} h", seconds / 3600),
        _ => format!("{} d", seconds / 86_400),
    }
}

/// Several things in a row.
fn joined(things: &[String], lang: Lang) -> String {
    things.join(if lang == Lang::Zh { "、" } else { ", " })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_are_short() {
        for (ms, want) in [(4_200, "4 s"), (200_000, "3 min"), (7_300_000, "2 h"), (200_000_000, "2 d"), (-1, "0 s")] {
            assert_eq!(age(ms), want);
        }
    }

    #[test]
    fn a_broken_check_is_remembered_as_such() {
        let mut sheet = Sheet::new(Lang::En);
        sheet.ok(Check::Reach, DoctorMsg::Reached { ms: 3 });
        sheet.bad(Check::Owner, DoctorMsg::OwnerNone, DoctorMsg::OwnerRemedy);
        assert!(sheet.is_bad(Check::Owner) && !sheet.is_bad(Check::Reach));
        assert_eq!(sheet.findings[1].lines().lines().count(), 2);
    }
}
