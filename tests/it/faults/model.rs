//! A model that cannot be reached, refuses, breaks off or says nothing, behind the real codex.

use std::time::Duration;

use crate::support::proxy::{Line, Toxic, Way};
use crate::support::world::*;

/// What status says of the newest task.
fn said_of_the_newest(world: &World) -> String {
    world.status().map(|status| status["runtime"]["warnings"].to_string()).unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_that_nobody_reaches_is_told_and_the_task_can_be_run_again() {
    let mut world = World::prepare(Kind::Codex, "").await;
    let proxy = world.proxy_to_model().await;
    world.up().await;
    proxy.listen(false);
    let message = world.sim.say(OWNER_CHAT, OWNER, "[[say reached]]");
    let card = world.card_with(&message, "Run again").await;
    let told = ["The model cannot be reached", "steps already done stay", "network and proxy"];
    assert!(told.iter().all(|words| card.text().contains(words)), "{}", card.text());
    assert!(said_of_the_newest(&world).contains("The newest task did not finish: the model cannot be reached"));
    proxy.listen(true);
    world.sim.click(&card.id, "Run again", OWNER).await;
    assert_eq!(world.answer(&message).await.said(), "reached");
    world.settled().await;
    assert_eq!(said_of_the_newest(&world), "[]", "a task that went well takes it back");
}

/// In Chinese, with the account's trouble.
#[tokio::test(flavor = "multi_thread")]
async fn what_the_newest_task_failed_of_stands_in_status() {
    let mut world = World::prepare_in("zh", Kind::Embedded, "").await;
    world.up().await;
    for (script, words) in [("[[http 401]]", "没有登录"), ("[[http 429]]", "繁忙"), ("[[usage_limit]]", "额度用完")]
    {
        let message = world.sim.say(OWNER_CHAT, OWNER, script);
        world.card_with(&message, "重新运行").await;
        let told = said_of_the_newest(&world);
        assert!(told.contains("最近一个任务没有完成") && told.contains(words), "{script}: {told}");
    }
    let message = world.sim.say(OWNER_CHAT, OWNER, "[[say 好了]]");
    assert_eq!(world.answer(&message).await.said(), "好了");
    assert_eq!(said_of_the_newest(&world), "[]");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_breaks_off_repeats_no_step_by_itself() {
    let mut world = World::prepare(Kind::Codex, "").await;
    world.up().await;
    let script = "[[shell echo n1 >> done-here]] [[say half]] [[cut]]";
    let message = world.sim.say(OWNER_CHAT, OWNER, script);
    let card = world.card_with(&message, "Run again").await;
    assert!(card.text().contains("The task is not finished, steps already done stay"), "{}", card.text());
    world.settled().await;
    let mut places = std::fs::read_dir(world.home.path().join("ally/workspaces")).unwrap().flatten();
    let done = places.find_map(|place| std::fs::read_to_string(place.path().join("done-here")).ok());
    assert_eq!(done.unwrap(), "n1\n", "once, though codex asked the model more than once");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_that_falls_silent_is_asked_about_and_can_be_stopped() {
    let mut world = World::prepare(Kind::Codex, "").await;
    let proxy = world.proxy_to_model().await;
    world.up().await;
    proxy.set(Line::Calls, Way::In, Toxic { lose: true, ..Toxic::default() });
    let message = world.sim.say(OWNER_CHAT, OWNER, "[[say heard]]");
    world.wait("the turn to run", |world| (world.status()?["turns"]["running"] == 1).then_some(())).await;
    world.wait("the model's answer to be lost", |_| (proxy.lost(Line::Calls, Way::In) > 0).then_some(())).await;
    let half_an_hour = Duration::from_secs(31 * 60);
    world.warp(half_an_hour).await;
    world.sim.advance(half_an_hour);
    let asks = |world: &World| world.cards(&message).into_iter().find(|card| card.button("Keep waiting").is_some());
    let question = world.wait("the question", asks).await;
    assert!(question.text().contains("No sign of life for 31 minutes"), "{}", question.text());
    world.sim.click(&question.id, "Stop", OWNER).await;
    world.settled().await;
    proxy.heal();
    let next = world.sim.say(OWNER_CHAT, OWNER, "[[say heard]]");
    assert_eq!(world.answer(&next).await.said(), "heard");
    world.settled().await;
    world.assert_nothing_runs_on_cards(&[OWNER_CHAT]);
}
