//! The bridge dies around a run of a routine and around its line in the archive: one run, one effect, one answer, one line.

use super::points::{arm, died};
use crate::people::routines::{add, json, told, with_owner};
use crate::support::world::*;

const ROUTINE: &str =
    "schedule: every 1h\nprompt: \"[[shell echo ran >> effect.txt]] [[say all is well]]\"\nautonomy: edit\n";

fn effects(world: &World) -> usize {
    std::fs::read_to_string(world.file("ally/assistant/effect.txt")).unwrap_or_default().lines().count()
}

/// The lines of a day's file that are about a routine's runs.
fn archived(world: &World) -> usize {
    let mut folders = vec![world.file("ally/archive")];
    let mut count = 0;
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).into_iter().flatten().flatten() {
            match entry.path() {
                path if path.is_dir() => folders.push(path),
                path => {
                    let text = std::fs::read_to_string(path).unwrap();
                    count += text.lines().filter(|line| line.contains("\"routine\":{\"name\":\"check\"")).count();
                }
            }
        }
    }
    count
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_is_played_once_wherever_the_bridge_dies() {
    let world = with_owner(Kind::Codex).await;
    add(&world, "check", ROUTINE);
    for (n, place) in ["routine.before", "routine.after", "w2.told", "w6.before", "w6.after"].into_iter().enumerate() {
        arm(&world, place);
        // The wish may have been taken by the process that died.
        let _ = world.run(&["routine", "run", "check"]);
        died(&world, place).await;
        let over = |world: &World| {
            let runs = json(world, &["routine", "history", "check", "--json"]);
            let over = runs.as_array()?.iter().filter(|run| run["state"] == "over").count();
            (over == n + 1).then_some(runs)
        };
        let runs = world.wait(&format!("the run to be over after {place}"), over).await;
        assert_eq!(runs[0]["outcome"], "completed", "{place}: {runs}");
        world.settled().await;
        assert_eq!(effects(&world), n + 1, "at {place}");
        assert_eq!(told(&world, "all is well").len(), n + 1, "at {place}");
    }
    world.assert_sound();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_line_of_the_archive_is_neither_lost_nor_doubled() {
    let world = with_owner(Kind::Embedded).await;
    add(&world, "check", ROUTINE);
    for (n, place) in ["archive.before", "archive.after"].into_iter().enumerate() {
        arm(&world, place);
        assert!(world.run(&["routine", "run", "check"]).1);
        died(&world, place).await;
        world.wait("the line", |world| (archived(world) == n + 1).then_some(())).await;
        let next = world.sim.say(OWNER_CHAT, OWNER, "[[say on]]");
        world.answer(&next).await;
        // A step after it: nothing comes twice.
        tokio::time::sleep(std::time::Duration::from_secs(1)).await;
        assert_eq!(archived(&world), n + 1, "at {place}");
    }
}
