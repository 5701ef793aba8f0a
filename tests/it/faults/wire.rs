//! A bad line between ally and Feishu: frames that are lost, late, cut, out of order; a connection that is dead and does
//! not say so. The person sees an answer, once; at worst it is late.

use std::time::Duration;

use crate::support::proxy::{Line, Proxy, Toxic, Way};
use crate::support::world::*;

/// Longer than the platform waits before it delivers again for the first time.
const REDELIVERY: Duration = Duration::from_secs(16);

async fn behind_a_line(settings: &str) -> (World, Proxy) {
    let mut world = World::prepare(Kind::Embedded, settings).await;
    let proxy = world.proxy_to_feishu().await;
    world.sim.rules(|rules| rules.ping_interval = 1);
    world.up().await;
    (world, proxy)
}

/// Answered with these words, once, by one task; and its reaction tells that it is done.
async fn assert_answered_once(world: &World, message: &str, words: &str) {
    assert_eq!(world.answer(message).await.said(), words);
    world.settled().await;
    let said: Vec<_> = world.answers(message).iter().map(|one| one.said()).collect();
    assert_eq!(said, [words], "once");
    assert_eq!(world.sim.message(message).receipts(), ["DONE"]);
    let uses = world.ledger(|tx| {
        let turns = ally::ledger::report::turns(tx, false, false, 1000)?;
        Ok(turns.iter().filter(|turn| turn.prompt.contains(words)).count())
    });
    assert_eq!(uses, 1, "one task");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_was_lost_on_the_way_is_answered_when_it_comes_again() {
    let (world, proxy) = behind_a_line("").await;
    proxy.set(Line::Socket, Way::In, Toxic { lose: true, ..Toxic::default() });
    let message = world.sim.say(OWNER_CHAT, OWNER, "[[say found]]");
    world.wait("its frame to be lost", |_| (proxy.lost(Line::Socket, Way::In) > 0).then_some(())).await;
    proxy.heal();
    assert!(world.sim.message(&message).receipts().is_empty(), "no reaction: not received");
    world.sim.advance(REDELIVERY);
    assert_answered_once(&world, &message, "found").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ack_that_was_lost_makes_no_second_task() {
    let (world, proxy) = behind_a_line("").await;
    proxy.set(Line::Socket, Way::Out, Toxic { lose: true, ..Toxic::default() });
    let message = world.sim.say(OWNER_CHAT, OWNER, "[[say once]]");
    assert_eq!(world.answer(&message).await.said(), "once");
    assert!(world.sim.acks(&message).is_empty(), "the platform heard nothing");
    proxy.heal();
    world.sim.advance(REDELIVERY);
    assert_eq!(world.sim.wait_ack(&message).await.code, 200);
    assert_answered_once(&world, &message, "once").await;
}

/// After 15 s, 5 min, 1 h and 6 h, each time with its ack lost, and with a restart in between.
#[tokio::test(flavor = "multi_thread")]
async fn all_four_redeliveries_are_recognised() {
    let (mut world, proxy) = behind_a_line("").await;
    let swallow = || proxy.set(Line::Socket, Way::Out, Toxic { lose: true, ..Toxic::default() });
    swallow();
    let message = world.sim.say(OWNER_CHAT, OWNER, "[[say once]]");
    assert_eq!(world.answer(&message).await.said(), "once");
    for seconds in [16, 301, 3_601] {
        let lost = proxy.lost(Line::Socket, Way::Out);
        world.sim.advance(Duration::from_secs(seconds));
        world.wait("the next ack to be lost", |_| (proxy.lost(Line::Socket, Way::Out) > lost).then_some(())).await;
    }
    proxy.heal();
    world.down().await;
    world.up().await;
    world.sim.advance(Duration::from_secs(21_601));
    assert_eq!(world.sim.wait_ack(&message).await.code, 200, "the last one, which comes to another process");
    assert_answered_once(&world, &message, "once").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_line_that_is_dead_and_does_not_say_so_is_left() {
    let (world, proxy) = behind_a_line("").await;
    let before = world.sim.connected();
    proxy.kill_present();
    let message = world.sim.say(OWNER_CHAT, OWNER, "[[say heard again]]");
    world.wait("another connection", |world| (world.sim.connected() > before).then_some(())).await;
    // A second try may have gone into the dead line as well.
    world.sim.advance(Duration::from_secs(301));
    assert_answered_once(&world, &message, "heard again").await;
    world.ready().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_line_is_only_slow() {
    let (world, proxy) = behind_a_line("").await;
    let slow = Toxic { delay: Duration::from_millis(150), piece: Some(300), ..Toxic::default() };
    for (line, way) in
        [(Line::Socket, Way::In), (Line::Socket, Way::Out), (Line::Calls, Way::In), (Line::Calls, Way::Out)]
    {
        proxy.set(line, way, slow.clone());
    }
    let message = world.sim.say(OWNER_CHAT, OWNER, "[[say in time]]");
    let ack = world.sim.wait_ack(&message).await;
    assert!(ack.code == 200 && ack.took < Duration::from_secs(3), "{ack:?}");
    assert_answered_once(&world, &message, "in time").await;
    assert_eq!(world.sim.connected(), 1, "slow is not dead");
}

/// Later than the platform waits for an ack.
#[tokio::test(flavor = "multi_thread")]
async fn a_line_that_is_too_slow_makes_no_second_task() {
    let (world, proxy) = behind_a_line("").await;
    proxy.set(Line::Socket, Way::Out, Toxic { delay: Duration::from_millis(3_500), ..Toxic::default() });
    let message = world.sim.say(OWNER_CHAT, OWNER, "[[say once]]");
    world.sim.advance(REDELIVERY);
    assert_answered_once(&world, &message, "once").await;
    proxy.heal();
    assert!(world.sim.wait_ack(&message).await.took > Duration::ZERO);
    world.sim.advance(Duration::from_secs(301));
    world.ready().await;
    assert_answered_once(&world, &message, "once").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn frames_that_break_off_come_again() {
    let (world, proxy) = behind_a_line("").await;
    // In the frame's head, in its protobuf, in the middle of the words.
    for (n, bytes) in [1, 40, 400].into_iter().enumerate() {
        let before = world.sim.connected();
        proxy.set(Line::Socket, Way::In, Toxic { cut_after: Some(bytes), ..Toxic::default() });
        let message = world.sim.say(OWNER_CHAT, OWNER, &format!("[[say cut {n}]]"));
        world.wait("another connection", |world| (world.sim.connected() > before).then_some(())).await;
        world.sim.advance(REDELIVERY);
        assert_answered_once(&world, &message, &format!("cut {n}")).await;
    }
}

/// What the platform answers to a call breaks off: whether it was done is unknown, and it is never done twice.
#[tokio::test(flavor = "multi_thread")]
async fn answers_of_the_platform_that_break_off_send_nothing_twice() {
    let (world, proxy) = behind_a_line("").await;
    for (n, bytes) in [0, 10, 250].into_iter().enumerate() {
        let message = world.sim.say(OWNER_CHAT, OWNER, &format!("[[sleep 1500]] [[say cut {n}]]"));
        world.wait("its reaction", |world| (!world.sim.message(&message).receipts().is_empty()).then_some(())).await;
        world.settled_surfaces().await;
        proxy.set(Line::Calls, Way::In, Toxic { cut_after: Some(bytes), ..Toxic::default() });
        assert_answered_once(&world, &message, &format!("cut {n}")).await;
        proxy.heal();
    }
    assert_eq!(world.sim.connected(), 1, "the long connection is another one");
}

#[tokio::test(flavor = "multi_thread")]
async fn frames_out_of_order_are_each_answered_in_their_place() {
    let (world, _proxy) = behind_a_line("").await;
    world.sim.rules(|rules| rules.fragment = Some(100));
    let first = world.sim.hold_back(OWNER_CHAT, OWNER, &format!("[[say first]] {}", "x".repeat(500)));
    let second = world.sim.hold_back(OWNER_CHAT, OWNER, &format!("[[say second]] {}", "y".repeat(500)));
    world.sim.deliver(&second);
    world.sim.deliver(&first);
    assert_answered_once(&world, &first, "first").await;
    assert_answered_once(&world, &second, "second").await;
    assert_eq!(world.sim.connected(), 1);
}

/// No network at all for a while, with a task under way.
#[tokio::test(flavor = "multi_thread")]
async fn a_network_that_is_away_holds_back_answers_and_loses_none() {
    let (world, proxy) = behind_a_line("").await;
    let running = world.sim.say(OWNER_CHAT, OWNER, "[[sleep 2000]] [[say made meanwhile]]");
    world.wait("the turn to run", |world| (world.status()?["turns"]["running"] == 1).then_some(())).await;
    proxy.listen(false);
    proxy.cut_present();
    let away = world.sim.say(OWNER_CHAT, OWNER, "[[say came later]]");
    world
        .wait("the answer to wait", |world| {
            let status = world.status()?;
            (status["outbox"]["problem"].is_string() && status["channels"][0]["state"] == "retrying").then_some(())
        })
        .await;
    proxy.listen(true);
    // What is delivered while nobody is connected is one try less.
    world.ready().await;
    world.sim.advance(REDELIVERY);
    assert_answered_once(&world, &running, "made meanwhile").await;
    world.sim.advance(Duration::from_secs(301));
    assert_answered_once(&world, &away, "came later").await;
    world.ready().await;
}

/// There is none when ally starts.
#[tokio::test(flavor = "multi_thread")]
async fn a_start_without_a_network_is_connected_when_there_is_one() {
    let mut world = World::prepare_in("zh", Kind::Embedded, "").await;
    let proxy = world.proxy_to_feishu().await;
    proxy.listen(false);
    world.up_unconnected().await;
    let told = world
        .wait("the trouble in status", |world| {
            let status = world.status()?;
            let feishu = &status["channels"][0];
            (feishu["state"] == "retrying").then(|| feishu["problem"].as_str().map(str::to_owned))?
        })
        .await;
    assert!(told.contains("连不上飞书") && told.contains("会一直自己再试"), "{told}");
    let (shown, well) = world.run(&["status"]);
    assert!(well && shown.contains(&told), "{shown}");
    let message = world.sim.say(GROUP, OWNER, "@bot [[say 连上了]]");
    proxy.listen(true);
    world.ready().await;
    world.sim.advance(Duration::from_secs(301));
    assert_answered_once(&world, &message, "连上了").await;
}
