//! Measures the whole daemon: a process of this very binary in a throw-away home, before a simulated Feishu, with the real
//! codex behind a scripted model or with the runtime inside ally. `ally bench` prints what comes of it.
//!
//! What depends on the disk is told beside a bare commit that alternates with it in the same run, because machines are
//! shared and noisy. The simulator has one home, `tests/it/support`, where the official SDK judges it; here it is only
//! compiled in.

mod ack;
mod facts;
mod fill;
mod growth;
mod load;
mod log;
mod machine;
mod rest;
mod site;
mod soak;
mod turn;

#[path = "../../tests/it/support"]
#[allow(dead_code, unused_imports, missing_docs, reason = "measuring uses a part of the simulator")]
mod support {
    pub mod feishu_sim;
}

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Serialize, Serializer};

use crate::domain::view::Both;
use crate::runtimes::codex::locate;
use crate::words::{BenchMsg, both_of_bench};

pub use fill::fill;
pub use soak::{Look, Soaked, soak};

/// How much is measured, and where.
#[derive(Debug, Clone)]
pub struct Options {
    /// Homes are made here, on a disk: below a temporary folder of memory no commit costs anything.
    pub folder: PathBuf,
    /// The native codex, where there is one.
    pub codex: Option<PathBuf>,
    /// A tenth of the time and of the turns: to see that it works, not to believe it.
    pub quick: bool,
}

impl Options {
    fn scaled(&self, whole: u64) -> u64 {
        if self.quick { (whole / 10).max(1) } else { whole }
    }

    fn seconds(&self, whole: u64) -> Duration {
        Duration::from_secs(self.scaled(whole).max(3))
    }
}

/// A measurement with a target.
#[derive(Debug, Clone, Serialize)]
pub struct Row {
    /// What is measured.
    #[serde(serialize_with = "english")]
    pub what: Both,
    /// What came of it.
    #[serde(serialize_with = "english")]
    pub measured: Both,
    /// What it must be.
    #[serde(serialize_with = "english")]
    pub target: Both,
    /// Whether it is.
    pub met: bool,
    /// All figures behind it, by name.
    pub figures: Vec<Figure>,
}

/// What programs read has one language.
fn english<S: Serializer>(text: &Both, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&text.en)
}

/// Figures that need no words.
fn bare(figures: impl Into<String>) -> Both {
    let en = figures.into();
    Both { zh: en.clone(), en }
}

/// One number.
#[derive(Debug, Clone, Serialize)]
pub struct Figure {
    /// With its unit: `p50_ms`.
    pub name: String,
    /// The number.
    pub value: f64,
}

fn figure(name: impl Into<String>, value: f64) -> Figure {
    // Three digits behind the point are more than any of these is good for.
    Figure { name: name.into(), value: (value * 1000.0).round() / 1000.0 }
}

/// A group of rows that are measured together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    /// Event → ack, beside bare commits.
    Ack,
    /// A message through the real codex: each leg of its way.
    Turn,
    /// Memory and processor time at rest, and processor time of cheap commands.
    Rest,
    /// Start with a large ledger, and start → connection.
    Start,
    /// Many messages at once with the platform's limits on, and the calls of a long turn.
    Chat,
    /// 200 events a second over a thousand conversations.
    Load,
    /// A message's work on ledgers of three sizes.
    Growth,
}

impl Part {
    /// In the order in which they are measured.
    pub const ALL: [Part; 7] = [Part::Ack, Part::Turn, Part::Rest, Part::Start, Part::Chat, Part::Load, Part::Growth];

    /// The name on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Part::Ack => "ack",
            Part::Turn => "turn",
            Part::Rest => "rest",
            Part::Start => "start",
            Part::Chat => "chat",
            Part::Load => "load",
            Part::Growth => "growth",
        }
    }

    /// By that name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|part| part.as_str() == name)
    }
}

/// The codex that ally installed for a home, if it did.
pub fn installed_codex(runtimes: &Path) -> Option<PathBuf> {
    locate::native_below(&locate::pinned_folder(runtimes))
}

/// Measures one part.
///
/// # Errors
/// What kept it from being measured: a daemon that did not start, or a wait that was in vain.
pub async fn measure(part: Part, options: &Options) -> anyhow::Result<Vec<Row>> {
    match part {
        Part::Ack => ack::rows(options).await,
        Part::Turn => turn::rows(options).await,
        Part::Rest => rest::rows(options).await,
        Part::Start => growth::start(options).await,
        Part::Chat => load::chat(options).await,
        Part::Load => load::rows(options).await,
        Part::Growth => growth::rows(options).await,
    }
}

/// A row that this machine cannot give.
fn not_measured(what: BenchMsg<'_>, why: BenchMsg<'_>) -> Row {
    let why = both_of_bench(why);
    let measured = Both {
        zh: both_of_bench(BenchMsg::NotMeasured { why: &why.zh }).zh,
        en: both_of_bench(BenchMsg::NotMeasured { why: &why.en }).en,
    };
    Row { what: both_of_bench(what), measured, target: bare(""), met: false, figures: Vec::new() }
}
