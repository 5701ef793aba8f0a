//! One message after another through the real codex, whose model answers at once: each leg of the way, by the daemon's own
//! log. "codex alone" is the time between its `turn/start` line and its `turn/completed`, in the same turn.

use super::facts::Spread;
use super::log::{Event, What};
use super::site::{Plan, Site, Worker, comparable};
use super::{Options, Row, bare};
use crate::words::{BenchMsg, both_of_bench};

const TEXT: &str = "[[say Done.]]";
/// They load the thread, and warm what is warm in a daemon that lives.
const WARM_UP: usize = 5;

/// Milliseconds of one message's way.
#[derive(Debug, Clone, PartialEq)]
struct Legs {
    to_start: f64,
    in_codex: f64,
    to_send: f64,
    pull: f64,
    whole: f64,
}

pub async fn rows(options: &Options) -> anyhow::Result<Vec<Row>> {
    if options.codex.is_none() {
        return Ok(vec![super::not_measured(BenchMsg::AnswerWhat, BenchMsg::CodexNotFound)]);
    }
    let mut site = Site::prepare(options, Plan { timed: true, ..Plan::of(Worker::Codex, 1) }).await?;
    site.up().await?;
    let mut yardstick = site.yardstick()?;
    let (mut asked, mut commits, mut whole) = (Vec::new(), Vec::new(), Vec::new());
    for n in 0..WARM_UP as u64 + options.scaled(200) {
        asked.push(site.sim.now_ms());
        let message = site.say(0, TEXT);
        whole.push(site.answered(&message).await?);
        commits.push(tokio::task::block_in_place(|| yardstick.commit(&comparable(n, TEXT)))?);
        // Idle again: what follows an answer (its row, its reactions) is another message's business.
        site.settled(std::time::Duration::from_secs(60)).await?;
    }
    site.down().await?;
    let events = site.events();
    site.end().await?;
    let ends = asked.iter().skip(1).copied().chain([i64::MAX / 1000]);
    let windows = asked.iter().copied().zip(ends).zip(whole).skip(WARM_UP);
    let legs: Vec<Legs> = windows.filter_map(|((from, to), whole)| legs(&events, from, to, whole)).collect();
    Ok(judged(&legs, asked.len() - WARM_UP, &Spread::of_times(&commits)))
}

/// Of the message that was the only one between two moments.
fn legs(events: &[Event], from_ms: i64, to_ms: i64, whole_ms: i64) -> Option<Legs> {
    let ours: Vec<&Event> = events.iter().filter(|e| (from_ms * 1000..to_ms * 1000).contains(&e.at_us)).collect();
    let first = |wanted: &dyn Fn(&What) -> bool| ours.iter().find(|event| wanted(&event.what));
    let read = first(&|what| matches!(what, What::Acknowledged { .. }))?;
    let What::Acknowledged { took_us } = read.what else { return None };
    let read_us = read.at_us - took_us;
    let started = first(&|what| *what == What::Called { method: "turn/start".to_owned() })?.at_us;
    let completed = first(&|what| *what == What::Heard { method: "turn/completed".to_owned() })?.at_us;
    let sent = ours.iter().find(|event| event.what == What::Sends && event.at_us >= completed)?.at_us;
    let pull = ours.iter().filter(|event| (completed..=sent).contains(&event.at_us)).map(|event| match event.what {
        What::Answered { took_us, .. } => took_us,
        _ => 0,
    });
    let ms = |us: i64| us as f64 / 1000.0;
    Some(Legs {
        to_start: ms(started - read_us),
        in_codex: ms(completed - started),
        to_send: ms(sent - completed),
        pull: ms(pull.sum()),
        whole: whole_ms as f64,
    })
}

/// A turn that is not wholly in the log is none that was fast: all of them must be found.
fn judged(legs: &[Legs], asked: usize, commits: &Spread) -> Vec<Row> {
    if legs.is_empty() || legs.len() != asked {
        let why = BenchMsg::NotInLog { found: legs.len(), asked };
        return vec![super::not_measured(BenchMsg::AnswerWhat, why)];
    }
    told(legs, commits)
}

fn told(legs: &[Legs], commits: &Spread) -> Vec<Row> {
    let spread = |leg: fn(&Legs) -> f64| Spread::of(legs.iter().map(leg).collect());
    let (commit, commit_99, pull) = (commits.p50(), commits.p99(), spread(|one| one.pull).p50());
    let to_start = spread(|one| one.to_start);
    let (most, most_99) = (5.0 + 3.0 * commit, 20.0 + 3.0 * commit_99);
    let start = Row {
        what: both_of_bench(BenchMsg::ToStartWhat),
        measured: bare(format!("p50 {:.1} ms, p99 {:.1} ms", to_start.p50(), to_start.p99())),
        target: both_of_bench(BenchMsg::ToStartTarget { p50: most, p99: most_99 }),
        met: to_start.p50() <= most && to_start.p99() <= most_99,
        figures: [to_start.figures("to_start"), commits.figures("commit")].concat(),
    };
    let to_send = spread(|one| one.to_send);
    let most = 10.0 + commit + pull;
    let end = Row {
        what: both_of_bench(BenchMsg::ToSendWhat),
        measured: both_of_bench(BenchMsg::ToSendMeasured { p50: to_send.p50(), pull }),
        target: both_of_bench(BenchMsg::ToSendTarget { most }),
        met: to_send.p50() <= most,
        figures: [to_send.figures("to_send"), spread(|one| one.pull).figures("pull")].concat(),
    };
    let (in_codex, whole) = (spread(|one| one.in_codex), spread(|one| one.whole));
    // Of each turn, not of two distributions.
    let ours = spread(|one| one.whole - one.in_codex);
    let most = 15.0 + 4.0 * commit + pull;
    let answer = Row {
        what: both_of_bench(BenchMsg::AnswerWhat),
        measured: both_of_bench(BenchMsg::AnswerMeasured {
            whole: whole.p50(),
            codex: in_codex.p50(),
            rest: ours.p50(),
        }),
        target: both_of_bench(BenchMsg::AnswerTarget { most }),
        met: ours.p50() <= most,
        figures: [whole.figures("whole"), in_codex.figures("codex"), ours.figures("ours")].concat(),
    };
    vec![start, end, answer]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_legs_are_those_of_the_message() {
        let call = |method: &str| What::Called { method: method.to_owned() };
        let events = [
            (900, What::Sends),
            (2_000, What::Acknowledged { took_us: 700 }),
            (3_300, call("turn/start")),
            (9_300, What::Heard { method: "turn/completed".to_owned() }),
            (9_400, call("thread/read")),
            (11_400, What::Answered { method: "thread/read".to_owned(), took_us: 2_000 }),
            (12_300, What::Sends),
            (20_000, What::Sends),
        ]
        .map(|(at_us, what)| Event { at_us, what });
        let want = Legs { to_start: 2.0, in_codex: 6.0, to_send: 3.0, pull: 2.0, whole: 13.0 };
        assert_eq!(legs(&events, 1, 15, 13), Some(want));
        assert_eq!(legs(&events, 1, 9, 13), None);
    }

    #[test]
    fn one_turn_that_is_not_in_the_log_makes_all_of_it_not_measured() {
        let legs = vec![Legs { to_start: 2.0, in_codex: 6.0, to_send: 3.0, pull: 2.0, whole: 13.0 }; 3];
        let commits = Spread::of(vec![1.0]);
        let met = |rows: Vec<Row>| rows.iter().map(|row| row.met).collect::<Vec<_>>();
        assert_eq!(met(judged(&legs, 3, &commits)), [true, true, true]);
        assert_eq!(met(judged(&legs, 4, &commits)), [false]);
        assert_eq!(met(judged(&[], 0, &commits)), [false]);
    }
}
