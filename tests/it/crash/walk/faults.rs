//! The test of the test: with each deliberate fault of [`ally::crash::FAULTS`] the walk fails, and says of what kind it is.

use std::time::Duration;

use super::plan::Task;
use super::{Stage, Summary, block};
use crate::support::world::Kind;

/// Rounds within which a fault must be found.
const ROUNDS: u64 = 25;

#[derive(Default)]
struct Fault {
    name: &'static str,
    /// It shows when the power goes.
    power: bool,
    /// Where the bridge dies: there the fault shows.
    places: &'static [&'static str],
    tasks: &'static [Task],
    /// It shows where the runtime dies as well: what outlives the bridge is not judged.
    with_runtime: bool,
    /// Stands in what is found.
    found: &'static str,
    /// What is lost does not come to rest either. Otherwise a round that did not is only slow.
    stuck: bool,
}

async fn is_found(fault: Fault) {
    let stage = Stage {
        kind: Kind::Embedded,
        program: None,
        fault: Some(fault.name),
        power: fault.power,
        places: fault.places,
        tasks: fault.tasks,
        with_runtime: fault.with_runtime,
        patience: Duration::from_secs(8),
    };
    let mut found = Summary::default();
    for seed in 1..=ROUNDS {
        let round = block(&stage, std::iter::once(seed), |_| {}).await;
        let is_found = round.count(fault.found) > 0 && (fault.stuck || round.count("stuck:") == 0);
        found.join(round);
        if is_found {
            // It is the fault that was found, and not the round.
            let patience = Duration::from_secs(60);
            let sound = Stage { fault: None, patience, ..stage.clone() };
            let without = block(&sound, std::iter::once(seed), |_| {}).await;
            assert!(without.failed.is_empty(), "without the fault: {:#?}", without.failed);
            return;
        }
    }
    panic!("nobody noticed {:?} in {ROUNDS} rounds: {:#?}", fault.name, found.failed);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ack_before_its_commit_is_noticed() {
    let (places, tasks) = (["commit.before"].as_slice(), [Task::Words].as_slice());
    is_found(Fault { name: "ack before commit", places, tasks, found: "lost:", stuck: true, ..Fault::default() }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_click_that_is_told_to_be_recorded_before_it_is_is_noticed() {
    let (places, tasks) = (["commit.before"].as_slice(), [Task::Request].as_slice());
    let found = "lost: what was pressed";
    is_found(Fault { name: "toast before commit", places, tasks, found, stuck: true, ..Fault::default() }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forgotten_redelivery_is_noticed() {
    let (places, tasks) = (["w1.after"].as_slice(), [Task::Words].as_slice());
    is_found(Fault { name: "no dedupe", places, tasks, found: "doubled:", ..Fault::default() }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_without_a_key_is_noticed() {
    let (places, tasks) = (["w7.told"].as_slice(), [Task::Words].as_slice());
    is_found(Fault { name: "no uuid", places, tasks, found: "doubled:", ..Fault::default() }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_end_that_only_the_stream_told_is_noticed() {
    let (places, tasks) = (["w6.after"].as_slice(), [Task::Shell].as_slice());
    is_found(Fault { name: "settle from the stream", places, tasks, found: "lost:", ..Fault::default() }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_turn_that_runs_again_by_itself_is_noticed() {
    let (places, tasks) = (["commit.after"].as_slice(), [Task::SlowShell].as_slice());
    is_found(Fault {
        name: "submit again without asking",
        places,
        tasks,
        with_runtime: true,
        found: "doubled:",
        ..Fault::default()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_decision_that_is_honoured_twice_is_noticed() {
    let (places, tasks) = (["gate.over.before"].as_slice(), [Task::Request].as_slice());
    is_found(Fault {
        name: "w5a not committed",
        places,
        tasks,
        with_runtime: true,
        found: "doubled:",
        ..Fault::default()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_is_taken_for_sent_is_noticed() {
    let (places, tasks) = (["w7.before"].as_slice(), [Task::Words].as_slice());
    is_found(Fault { name: "doubt counts as sent", places, tasks, found: "lost:", ..Fault::default() }).await;
}

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn a_commit_that_only_the_memory_knows_is_noticed() {
    let (name, found) = ("commit without sync", "lost:");
    is_found(Fault { name, power: true, found, stuck: true, ..Fault::default() }).await;
}
