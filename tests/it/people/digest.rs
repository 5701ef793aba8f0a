//! The nightly digest, from its due time to the note in the chat and the file in the memory, on a real day of the archive.

use std::time::Duration;

use super::routines::{add, json, told, with_owner};
use crate::support::world::*;

/// What the model is scripted to do with the skill: it reads the day from the archive by the skill's own script, writes it down
/// anew, has the other script check it, and ends with one note.
fn routine(day: &str) -> String {
    let script = format!(
        "set -e; S=.agents/skills; node $S/archive-reader/scripts/tasks.mjs --day {day} --no-routine nightly-digest > notes/day.txt; \
         printf '# {day}\\n\\n2 tasks: 2 completed.\\n\\n## Done\\n- said hello, twice (Wang)\\n' > memory/{day}.md; \
         grep -c hello notes/day.txt; node $S/memory-digest/scripts/check_memory.mjs --day {day}"
    );
    let prompt =
        format!("Write the digest of {day}. [[shell {script}]] [[stream 20 100]] [[say Digest of {day}: 2 tasks.]]");
    let prompt = serde_json::Value::from(prompt).to_string();
    format!("schedule: every 1h\nskill: memory-digest\nprompt: {prompt}\nautonomy: edit\ntimeout: 10m\n")
}

async fn a_day(kind: Kind) -> (World, String) {
    let world = with_owner(kind).await;
    let second = world.sim.say(OWNER_CHAT, OWNER, "[[say hello again]]");
    world.answer(&second).await;
    let archived = |world: &World| {
        let lines = json(world, &["archive", "rebuild", "--json"])["turns"].as_u64()?;
        (lines == 2).then_some(())
    };
    world.wait("both tasks in the archive", archived).await;
    // The newest file there is.
    let mut folder = world.file("ally/archive");
    let mut day = String::new();
    for _ in 0..3 {
        let mut names: Vec<_> = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        names.sort();
        folder = names.pop().unwrap();
        let name = folder.file_stem().unwrap().to_str().unwrap().to_owned();
        day = if day.is_empty() { name } else { format!("{day}-{name}") };
    }
    (world, day)
}

fn notes(world: &World, day: &str) -> usize {
    told(world, &format!("Digest of {day}: 2 tasks.")).len()
}

fn digests(world: &World) -> Vec<String> {
    let files = std::fs::read_dir(world.file("ally/assistant/memory")).unwrap();
    files.map(|file| file.unwrap().file_name().to_str().unwrap().to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_nightly_digest_is_written_and_told_once_whatever_dies() {
    let (world, day) = a_day(Kind::Codex).await;
    add(&world, "nightly-digest", &routine(&day));
    // In the middle of it the bridge dies: the run goes on, and comes to its one end.
    world.warp(Duration::from_secs(3600)).await;
    world.wait("the digest to be begun", |world| (!digests(world).is_empty()).then_some(())).await;
    world.kill_bridge().await;
    world.wait("the note", |world| (notes(world, &day) == 1).then_some(())).await;
    world.settled().await;
    let text = std::fs::read_to_string(world.file(&format!("ally/assistant/memory/{day}.md"))).unwrap();
    assert!(text.starts_with(&format!("# {day}\n")), "{text}");
    assert_eq!(digests(&world), [format!("{day}.md")]);
    let over = |world: &World| {
        let runs = json(world, &["routine", "history", "nightly-digest", "--json"]);
        (runs[0]["state"] == "over").then_some(runs)
    };
    let runs = world.wait("the run to be over", over).await;
    assert_eq!((&runs[0]["outcome"], runs[0]["count"].as_i64()), (&"completed".into(), Some(1)), "{runs}");
    // The skill itself was before the model.
    let sessions = world.file("ally/codex/sessions");
    assert!(holds(&sessions, "A day is written anew, never appended to"), "codex found the skill");
    for skill in std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/skills")).unwrap() {
        let name = skill.unwrap().file_name().into_string().unwrap();
        assert!(holds(&sessions, &format!("- {name}: ")), "{name} is offered to the agent");
    }

    // Once more, and everything dies: nobody knows what it did, and it is not repeated by itself.
    let reading = world.file("ally/assistant/notes/day.txt");
    std::fs::remove_file(&reading).unwrap();
    assert!(world.run(&["routine", "run", "nightly-digest"]).1);
    world.wait("its command to have begun", |_| reading.exists().then_some(())).await;
    world.kill_both().await;
    let lost = |world: &World| {
        let runs = json(world, &["routine", "history", "nightly-digest", "--json"]);
        // The first was due by a clock that was ahead, and stands before it.
        runs.as_array()?.iter().any(|run| run["outcome"] == "lost").then_some(())
    };
    world.wait("the run to be over", lost).await;
    assert_eq!(notes(&world, &day), 1, "it was not told");
    assert!(world.run(&["routine", "run", "nightly-digest"]).1);
    world.wait("the note", |world| (notes(world, &day) == 2).then_some(())).await;
    world.settled().await;
    let again = std::fs::read_to_string(world.file(&format!("ally/assistant/memory/{day}.md"))).unwrap();
    assert_eq!(again, text, "the same day, the same digest");
    assert_eq!(digests(&world), [format!("{day}.md")]);
    world.assert_sound();
}

fn holds(folder: &std::path::Path, what: &str) -> bool {
    std::fs::read_dir(folder).into_iter().flatten().flatten().any(|entry| match entry.path() {
        path if path.is_dir() => holds(&path, what),
        path => std::fs::read(path).is_ok_and(|bytes| String::from_utf8_lossy(&bytes).contains(what)),
    })
}
