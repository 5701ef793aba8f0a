//! Numbers about this process since it began, for a monitoring system. Counted where things happen, and cheap; no text, no
//! name and no id of anybody is among them. docs/operations.md lists them.

use std::sync::LazyLock;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use prometheus_client::encoding::text;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

type Labels = Vec<(&'static str, String)>;
type Number = Gauge<f64, AtomicU64>;

static ALL: LazyLock<Metrics> = LazyLock::new(Metrics::new);

/// A person thinks between seconds and days about a request.
const WAITS_S: [f64; 9] = [5.0, 15.0, 60.0, 300.0, 900.0, 3_600.0, 14_400.0, 86_400.0, 604_800.0];
/// From a fast disk to one that nobody wants.
const COMMITS_S: [f64; 10] = [0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.1, 0.5, 2.5, 10.0];

struct Metrics {
    registry: Registry,
    events: Family<Labels, Counter>,
    turns: Family<Labels, Counter>,
    platform_errors: Family<Labels, Counter>,
    runtime_starts: Counter,
    gate_wait: Histogram,
    commits: Histogram,
    now: Family<Labels, Number>,
    outbox: Family<Labels, Number>,
    outbox_age: Number,
    gates_open: Number,
    ledger_bytes: Number,
}

impl Metrics {
    fn new() -> Self {
        let (events, turns, platform_errors) = (Family::default(), Family::default(), Family::default());
        let runtime_starts = Counter::default();
        let (gate_wait, commits) = (Histogram::new(WAITS_S), Histogram::new(COMMITS_S));
        let (now, outbox, build): (Family<Labels, Number>, Family<Labels, Number>, Family<Labels, Number>) =
            Default::default();
        let (outbox_age, gates_open, ledger_bytes) = (Number::default(), Number::default(), Number::default());
        let mut registry = Registry::with_prefix("ally");
        registry.register("events", "Events that a channel handed in, by what became of them", Family::clone(&events));
        registry.register("turns", "Tasks that ended, by outcome", Family::clone(&turns));
        registry.register(
            "platform_errors",
            "Calls that a platform refused or did not answer, by its code",
            Family::clone(&platform_errors),
        );
        registry.register("runtime_starts", "Runtimes that came up", runtime_starts.clone());
        registry.register_with_unit(
            "gate_wait",
            "From a request to the decision about it",
            Unit::Seconds,
            gate_wait.clone(),
        );
        registry.register_with_unit("ledger_commit", "Commits of the ledger", Unit::Seconds, commits.clone());
        registry.register("turns_now", "Tasks that are not over, by state", Family::clone(&now));
        registry.register("outbox_now", "Messages and cards on their way out, by state", Family::clone(&outbox));
        registry.register_with_unit(
            "outbox_oldest",
            "Age of the oldest message that was not sent; 0 without one",
            Unit::Seconds,
            outbox_age.clone(),
        );
        registry.register("gates_open", "Requests that wait for a person", gates_open.clone());
        registry.register_with_unit("ledger_size", "The ledger's file", Unit::Bytes, ledger_bytes.clone());
        registry.register("build", "1, with the version of ally", Family::clone(&build));
        build.get_or_create(&vec![("version", env!("CARGO_PKG_VERSION").to_owned())]).set(1.0);
        Self {
            registry,
            events,
            turns,
            platform_errors,
            runtime_starts,
            gate_wait,
            commits,
            now,
            outbox,
            outbox_age,
            gates_open,
            ledger_bytes,
        }
    }
}

/// How it stands at the moment of a scrape.
#[derive(Debug, Clone, Default)]
pub struct Standing {
    /// State and number.
    pub turns: Vec<(&'static str, u64)>,
    /// The same of what is on its way out.
    pub outbox: Vec<(&'static str, u64)>,
    /// Nothing waits: `None`.
    pub outbox_oldest: Option<Duration>,
    pub gates_open: u64,
    pub ledger_bytes: u64,
}

/// A channel handed in an event: stored and acknowledged, or not, so that it comes again.
pub fn event(channel: &str, stored: bool) {
    let result = if stored { "stored" } else { "failed" };
    let labels = vec![("channel", channel.to_owned()), ("result", result.to_owned())];
    ALL.events.get_or_create(&labels).inc();
}

/// A task is over.
pub fn turn(outcome: &str) {
    ALL.turns.get_or_create(&vec![("outcome", outcome.to_owned())]).inc();
}

/// A call failed: `code` is the platform's, or says in a word why there is none.
pub fn platform_error(channel: &str, code: &str) {
    let labels = vec![("channel", channel.to_owned()), ("code", code.to_owned())];
    ALL.platform_errors.get_or_create(&labels).inc();
}

/// A runtime came up.
pub fn runtime_started() {
    ALL.runtime_starts.inc();
}

/// Somebody decided a request.
pub fn gate_decided(waited_ms: i64) {
    ALL.gate_wait.observe(waited_ms.max(0) as f64 / 1000.0);
}

/// The ledger committed.
pub fn committed(took: Duration) {
    ALL.commits.observe(took.as_secs_f64());
}

/// Everything, in the OpenMetrics text format.
///
/// # Errors
/// None that a string could give.
pub fn text(standing: &Standing) -> Result<String, std::fmt::Error> {
    for (family, numbers) in [(&ALL.now, &standing.turns), (&ALL.outbox, &standing.outbox)] {
        for (state, count) in numbers {
            family.get_or_create(&vec![("state", (*state).to_owned())]).set(*count as f64);
        }
    }
    ALL.outbox_age.set(standing.outbox_oldest.map_or(0.0, |age| age.as_secs_f64()));
    ALL.gates_open.set(standing.gates_open as f64);
    ALL.ledger_bytes.set(standing.ledger_bytes as f64);
    let mut out = String::new();
    text::encode(&mut out, &ALL.registry)?;
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As a scraper reads them: a name, labels, a number; each family announced with its type.
    #[test]
    fn what_is_counted_stands_in_the_text() {
        event("test", true);
        event("test", false);
        turn("test");
        platform_error("test", "99991400");
        runtime_started();
        gate_decided(42_000);
        committed(Duration::from_millis(3));
        let standing = Standing {
            turns: vec![("queued", 2)],
            outbox: vec![("ready", 1)],
            outbox_oldest: Some(Duration::from_secs(90)),
            gates_open: 3,
            ledger_bytes: 4096,
        };
        let text = text(&standing).unwrap();
        for line in [
            "# TYPE ally_events counter",
            "ally_events_total{channel=\"test\",result=\"stored\"} 1",
            "ally_events_total{channel=\"test\",result=\"failed\"} 1",
            "ally_turns_total{outcome=\"test\"} 1",
            "ally_platform_errors_total{channel=\"test\",code=\"99991400\"} 1",
            "# TYPE ally_gate_wait_seconds histogram",
            "# TYPE ally_ledger_commit_seconds histogram",
            "ally_turns_now{state=\"queued\"} 2.0",
            "ally_outbox_now{state=\"ready\"} 1.0",
            "ally_outbox_oldest_seconds 90.0",
            "ally_gates_open 3.0",
            "ally_ledger_size_bytes 4096.0",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is missing in\n{text}");
        }
        assert!(text.contains("ally_gate_wait_seconds_bucket{le=\"60.0\"}") && text.ends_with("# EOF\n"), "{text}");
    }
}
