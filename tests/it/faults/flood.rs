//! More than can be done: what is over a limit is refused with a word and a mark, and everything else is done.

use crate::support::world::*;

/// How many messages have the mark of what was not taken.
fn refused(world: &World, messages: &[String]) -> usize {
    messages.iter().filter(|message| world.sim.message(message).receipts() == ["CrossMark"]).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn five_hundred_messages_in_one_chat() {
    let world = World::start(Kind::Embedded).await;
    world.sim.rules(|rules| rules.chat_limit = false);
    let file = world.file("x.txt");
    let first = world.sim.say(OWNER_CHAT, OWNER, &format!("[[escalate echo x >> {}]] [[say first]]", file.display()));
    let card = world.card_with(&first, "Allow once").await;
    let flood: Vec<String> =
        (0..500).map(|n| world.sim.say(OWNER_CHAT, OWNER, &format!("[[say answer {n}]]"))).collect();
    world.wait("the refusals to be seen", |world| (refused(world, &flood) == 495).then_some(())).await;
    let told = flood.iter().map(|message| world.answers(message).len()).sum::<usize>();
    assert!((1..=3).contains(&told), "it is said, and not five hundred times: {told}");
    world.sim.click(&card.id, "Allow once", OWNER).await;
    assert_eq!(world.answer(&first).await.said(), "first");
    for (n, message) in flood.iter().take(5).enumerate() {
        assert_eq!(world.answer(message).await.said(), format!("answer {n}"), "the first ones wait and run");
    }
    world.settled().await;
    let next = world.sim.say(OWNER_CHAT, OWNER, "[[say still here]]");
    assert_eq!(world.answer(&next).await.said(), "still here");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_chats_with_five_each() {
    let world = World::start(Kind::Embedded).await;
    let mut sent = Vec::new();
    for n in 0..200 {
        let chat = format!("oc_{n}");
        world.sim.add_direct(&chat, OWNER);
        sent.extend((0..5).map(|k| (world.sim.say(&chat, OWNER, &format!("[[say {n} {k}]]")), format!("{n} {k}"))));
    }
    for (message, want) in &sent {
        assert_eq!(world.answer(message).await.said(), *want);
    }
    world.settled().await;
    for (message, _) in &sent {
        assert_eq!(world.answers(message).len(), 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chat_and_the_whole_have_limits_of_their_own() {
    let settings = "[conversation]\nparallel = 1\n[limits]\nqueue_per_chat = 2\nqueue = 3\n";
    let mut world = World::prepare(Kind::Embedded, settings).await;
    world.up().await;
    let file = world.file("x.txt");
    let held = world.sim.say(GROUP, OWNER, &format!("@bot [[escalate echo x >> {}]] [[say held]]", file.display()));
    let card = world.card_with(&held, "Allow once").await;
    world.sim.add_direct("oc_li", LI);
    // A task that waits for a person lets others work: each of these has its own conversation and waits in it.
    let waits = |n: usize| format!("[[escalate echo y{n} >> {}]] [[say done {n}]]", file.display());
    let mut cards = vec![card];
    for (n, (chat, user)) in [(OWNER_CHAT, OWNER), ("oc_li", LI)].into_iter().enumerate() {
        let message = world.sim.say(chat, user, &waits(n));
        cards.push(world.card_with(&message, "Allow once").await);
    }
    let queued: Vec<String> =
        (0..2).map(|n| world.sim.reply(&held, OWNER, &format!("@bot [[say queued {n}]]"))).collect();
    world.wait("both to wait", |world| (world.status()?["turns"]["queued"] == 2).then_some(())).await;
    let third = world.sim.reply(&held, LI, "@bot [[say too many here]]");
    assert!(world.answer(&third).await.text().contains("2 tasks already wait in this chat"));
    let fits = world.sim.say(OWNER_CHAT, OWNER, "[[say fits]]");
    world.wait("three to wait", |world| (world.status()?["turns"]["queued"] == 3).then_some(())).await;
    let over = world.sim.say("oc_li", LI, "[[say too many]]");
    assert!(world.answer(&over).await.text().contains("3 tasks already wait for me in all"));
    for card in &cards {
        world.sim.click(&card.id, "Allow once", OWNER).await;
    }
    world.settled().await;
    for (message, want) in [(&queued[0], "queued 0"), (&queued[1], "queued 1"), (&fits, "fits")] {
        assert_eq!(world.answer(message).await.said(), want);
    }
}
