//! The bridge dies around a call of the agent's tools: each message arrives once, and the agent learns what became of it.

use std::time::Duration;

use super::points::{arm, died};
use crate::people::mcp::{at_work, said_in_all};
use crate::support::world::*;

#[tokio::test(flavor = "multi_thread")]
async fn a_death_in_the_middle_of_a_call_loses_and_doubles_nothing() {
    let world = World::start(Kind::Embedded).await;
    let (_, mut server) = at_work(&world, OWNER_CHAT).await;
    for place in ["tool.before", "commit.before", "commit.after", "tool.after", "w7.told"] {
        arm(&world, place);
        let text = format!("through {place}");
        let told = server.say(&text);
        assert!(told.as_ref().is_ok_and(|told| told.starts_with("Sent")), "{place}: {told:?}");
        died(&world, place).await;
        let sent = |world: &World| {
            world.sim.messages(OWNER_CHAT).into_iter().filter(|sent| sent.by_bot() && sent.text() == text).count()
        };
        world.wait(&text, |world| (sent(world) > 0).then_some(())).await;
        world
            .wait("the outbox to be empty", |world| {
                let outbox = &world.status()?["outbox"];
                (outbox["ready"] == 0 && outbox["sending"] == 0).then_some(())
            })
            .await;
        assert_eq!(sent(&world), 1, "{place}");
    }
    // A daemon that is away for longer than a moment is waited for, too.
    let pid = world.pid("bridge").unwrap();
    kill(pid, "-STOP");
    let late = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_secs(2));
        kill(pid, "-CONT");
    });
    assert!(server.say("patiently").is_ok());
    late.join().unwrap();
    server.end();
    world.assert_sound();
}

/// With the real codex the process that asks lives on while the bridge does not.
#[tokio::test(flavor = "multi_thread")]
async fn the_bridge_dies_while_codex_waits_for_a_tool() {
    let world = World::start(Kind::Codex).await;
    arm(&world, "tool.after");
    let script = "[[tool ally.send_message {\"text\": \"through\"}]] [[say done]]";
    let message = world.sim.say(OWNER_CHAT, OWNER, script);
    died(&world, "tool.after").await;
    let all = said_in_all(&world, &message, 2).await;
    assert_eq!((all[0].1.as_str(), all[1].1.as_str()), ("through", "done"));
}
