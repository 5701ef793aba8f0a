//! Recalls, reactions, and groups that the bot is taken into, thrown out of, or that are no more.

use crate::support::world::*;

async fn running(world: &World, count: u64) {
    world.wait("the turn to run", |world| (world.status()?["turns"]["running"] == count).then_some(())).await;
}

/// Everything in the owner's chat that nobody asked for.
fn told_owner(world: &World, words: &str) -> usize {
    world.sim.messages(OWNER_CHAT).iter().filter(|one| one.by_bot() && one.text().contains(words)).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recall_of_a_running_request_offers_a_stop() {
    let mut world = World::prepare_in("zh", Kind::Embedded, "").await;
    world.up().await;
    let message = world.sim.say(OWNER_CHAT, OWNER, "[[sleep 60000]] [[say never]]");
    running(&world, 1).await;
    world.sim.recall(&message);
    let offer = world
        .wait("the offer", |world| {
            let all = world.sim.messages(OWNER_CHAT).into_iter();
            all.filter(|one| one.by_bot()).find(|one| one.text().contains("消息已撤回") && one.button("停止").is_some())
        })
        .await;
    world.sim.click(&offer.id, "停止", OWNER).await;
    world.settled().await;
    let offer = world.sim.message(&offer.id);
    assert!(offer.buttons().is_empty() && offer.text().contains("那个任务已结束"), "{}", offer.text());
    assert!(world.answers(&message).is_empty());
    // A recall that comes again, and one of a message that nobody knows, which then comes late.
    world.sim.recall(&message);
    let next = world.sim.say(OWNER_CHAT, OWNER, "[[say 下一条]]");
    assert_eq!(world.answer(&next).await.said(), "下一条");
}

/// Nobody stops it: what was asked for is still told, where there is nothing left to answer.
#[tokio::test(flavor = "multi_thread")]
async fn an_answer_to_a_recalled_message_goes_to_the_chat() {
    let world = World::start(Kind::Embedded).await;
    let message = world.sim.say(OWNER_CHAT, OWNER, "[[sleep 2500]] [[say done all the same]]");
    running(&world, 1).await;
    world.sim.recall(&message);
    world.wait("the answer", |world| (told_owner(world, "done all the same") == 1).then_some(())).await;
    world.settled().await;
    assert_eq!(told_owner(&world, "done all the same"), 1);
    world.assert_nothing_runs_on_cards(&[OWNER_CHAT]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recall_that_comes_before_its_message_cancels_it() {
    let world = World::start(Kind::Embedded).await;
    let late = world.sim.hold_back(OWNER_CHAT, OWNER, "[[say never]]");
    let recall = world.sim.recall(&late);
    assert_eq!(world.sim.wait_delivery(&recall).await.code, 200);
    world.sim.deliver(&late);
    world.sim.wait_ack(&late).await;
    let next = world.sim.say(OWNER_CHAT, OWNER, "[[say next]]");
    assert_eq!(world.answer(&next).await.said(), "next");
    world.settled().await;
    assert!(world.answers(&late).is_empty());
    let turns: serde_json::Value = serde_json::from_str(&world.run(&["turns", "--json"]).0).unwrap();
    assert_eq!(turns.as_array().unwrap().len(), 1, "the recalled one made none");
}

#[tokio::test(flavor = "multi_thread")]
async fn reactions_do_no_harm() {
    let world = World::start(Kind::Embedded).await;
    let message = world.sim.say(OWNER_CHAT, OWNER, "[[sleep 800]] [[say done]]");
    running(&world, 1).await;
    let mut deliveries = vec![
        world.sim.react_event(&message, OWNER, "THUMBSUP", true),
        world.sim.react_event(&message, OWNER, "THUMBSUP", false),
        world.sim.react_event(&message, STRANGER, "SMILE", true),
        world.sim.react_event("om_nobody_knows", OWNER, "SMILE", true),
    ];
    let answer = world.answer(&message).await;
    assert_eq!(answer.said(), "done");
    deliveries.push(world.sim.react_event(&answer.id, OWNER, "THUMBSUP", true));
    for delivery in &deliveries {
        assert_eq!(world.sim.wait_delivery(delivery).await.code, 200);
    }
    world.settled().await;
    assert_eq!(world.answers(&message).len(), 1);
    assert_eq!(world.sim.message(&message).receipts().len(), 1, "one reaction of ally's, whatever others put there");
}

/// The bot can no longer speak in the group: its answer goes to nobody, the owner learns that, and nothing loops.
async fn out_of(world: &World, told: &str, leave: impl Fn(&World)) {
    // The owner's own chat must be known before anything can be told there.
    let hello = world.sim.say(OWNER_CHAT, OWNER, "[[say hello]]");
    world.answer(&hello).await;
    let running_one = world.sim.say(GROUP, OWNER, "@bot [[sleep 60000]] [[say too late]]");
    running(world, 1).await;
    let queued = world.sim.reply(&running_one, OWNER, "@bot [[say never]]");
    world.wait("the queue", |world| (world.status()?["turns"]["queued"] == 1).then_some(())).await;
    leave(world);
    world.settled().await;
    assert!(world.answers(&running_one).is_empty() && world.answers(&queued).is_empty());
    world.wait("the owner to be told", |world| (told_owner(world, told) == 1).then_some(())).await;
    world.settled().await;
    let calls = world.sim.requests().len();
    tokio::time::sleep(std::time::Duration::from_secs(2)).await;
    assert!(world.sim.requests().len() <= calls + 1, "it goes on calling: {:?}", &world.sim.requests()[calls..]);
    let next = world.sim.say(OWNER_CHAT, OWNER, "[[say still here]]");
    assert_eq!(world.answer(&next).await.said(), "still here");
}

#[tokio::test(flavor = "multi_thread")]
async fn thrown_out_of_a_group_its_work_ends() {
    let world = World::start(Kind::Embedded).await;
    out_of(&world, "I am no longer in \"Team\"", |world| {
        world.sim.throw_out(GROUP, OWNER);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disbanded_group_ends_its_work() {
    let mut world = World::prepare_in("zh", Kind::Embedded, "").await;
    world.up().await;
    out_of(&world, "我已不在「Team」里", |world| {
        world.sim.disband(GROUP, OWNER);
    })
    .await;
}

/// The event is late or never comes: the answer itself finds the door closed.
#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_finds_the_door_closed_goes_to_the_owner_once() {
    let world = World::start(Kind::Embedded).await;
    let hello = world.sim.say(OWNER_CHAT, OWNER, "[[say hello]]");
    world.answer(&hello).await;
    let message = world.sim.say(GROUP, OWNER, "@bot [[sleep 500]] [[say secret words]]");
    running(&world, 1).await;
    world.sim.remove_bot(GROUP);
    world.wait("the owner to be told", |world| (told_owner(world, "was not delivered") == 1).then_some(())).await;
    world.settled().await;
    assert!(world.answers(&message).is_empty());
    assert_eq!(world.status().unwrap()["outbox"]["undeliverable"], 1);
    let listed = world.run(&["turns", "--undelivered", "--json"]).0;
    assert_eq!(
        serde_json::from_str::<serde_json::Value>(&listed).unwrap().as_array().map(Vec::len),
        Some(1),
        "{listed}"
    );
    assert_eq!(told_owner(&world, "was not delivered"), 1, "once");
    assert_eq!(told_owner(&world, "\"Team\" was not delivered: I am no longer in that chat."), 1, "in plain words");
    assert_eq!(told_owner(&world, "code 230002"), 0);
    assert_eq!(told_owner(&world, "secret words"), 0, "what belongs into a group is not said elsewhere");
}

#[tokio::test(flavor = "multi_thread")]
async fn taken_into_a_group_the_owner_is_told_how_to_open_it() {
    let world = World::start(Kind::Embedded).await;
    let hello = world.sim.say(OWNER_CHAT, OWNER, "[[say hello]]");
    world.answer(&hello).await;
    world.sim.add_group("oc_new", "Newcomers", &[OWNER]);
    let added = world.sim.add_bot("oc_new", OWNER);
    assert_eq!(world.sim.wait_delivery(&added).await.code, 200);
    world.wait("a word to the owner", |world| (told_owner(world, "added to \"Newcomers\"") == 1).then_some(())).await;
    assert!(world.sim.messages("oc_new").is_empty(), "nothing is said in the group itself");
}
