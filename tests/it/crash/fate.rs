//! Answers whose fate nobody knows: neither lost nor sent twice.

use std::time::Duration;

use crate::support::feishu_sim::{Fault, UuidRepeat};
use crate::support::world::*;

/// Longer than the platform knows a key.
const LONG: Duration = Duration::from_secs(2 * 3600);

/// A message whose answer is attempted once with this fault, and then never answered until the key is forgotten.
async fn long_after(world: &World, text: &str, first: Fault) -> String {
    long_after_both(world, text, first, Fault::Html { status: 502 }).await
}

/// The same, with what every later attempt meets.
async fn long_after_both(world: &World, text: &str, first: Fault, later: Fault) -> String {
    let message = world.sim.say(OWNER_CHAT, OWNER, &format!("[[sleep 1000]] [[say {text}]]"));
    let path = format!("POST /open-apis/im/v1/messages/{message}/reply");
    world.sim.fault(&path, first, 1);
    world.sim.fault(&path, later, 1000);
    let attempts = |world: &World| world.sim.requests().iter().filter(|line| **line == path).count();
    world.wait("a second attempt", |world| (attempts(world) > 1).then_some(())).await;
    world.sim.advance(LONG);
    world.warp(LONG).await;
    message
}

#[tokio::test(flavor = "multi_thread")]
async fn an_old_answer_that_is_in_the_chat_is_not_sent_again() {
    let world = World::start(Kind::Embedded).await;
    let message = long_after(&world, "found", Fault::AfterEffect).await;
    world.settled().await;
    assert_eq!(world.answers(&message).len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_later_refusal_takes_no_doubt_away() {
    let world = World::start(Kind::Embedded).await;
    let busy = Fault::TooMany { reset: "0.1" };
    let message = long_after_both(&world, "doubted", Fault::AfterEffectDrop, busy).await;
    world.sim.no_more_faults();
    world.settled().await;
    assert_eq!(world.answers(&message).len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_old_answer_that_is_not_in_the_chat_is_sent() {
    let world = World::start(Kind::Embedded).await;
    let message = long_after(&world, "lost", Fault::Html { status: 502 }).await;
    let listed = |line: &String| line.as_str() == "GET /open-apis/im/v1/messages";
    world.wait("the look-up", |world| world.sim.requests().iter().any(listed).then_some(())).await;
    world.sim.no_more_faults();
    world.settled().await;
    assert_eq!(world.answers(&message).len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_cannot_be_looked_for_is_sent_as_a_possible_repeat_and_holds_up_nothing() {
    const LIST: &str = "GET /open-apis/im/v1/messages";
    let world = World::start(Kind::Embedded).await;
    let listed = |world: &World| world.sim.requests().iter().filter(|line| line.starts_with(LIST)).count();
    world.sim.fault(LIST, Fault::Html { status: 502 }, 1000);
    let message = long_after(&world, "doubtful", Fault::AfterEffect).await;
    world.wait("the look-up", |world| (listed(world) > 0).then_some(())).await;
    let next = world.sim.say(OWNER_CHAT, OWNER, "[[say next]]");
    // It was never attempted: however long it waits, there is nothing to look for.
    world.wait("the next answer", |world| (world.status()?["outbox"]["ready"] == 1).then_some(())).await;
    world.sim.no_more_faults();
    world.sim.fault(LIST, Fault::Html { status: 502 }, 1000);
    world.warp(LONG).await;
    assert_eq!(world.answer(&next).await.said(), "next");
    let said: Vec<String> = world.answers(&message).iter().map(|answer| answer.said()).collect();
    assert_eq!(said, ["doubtful".to_owned(), "(may be a repeat)\n\ndoubtful".to_owned()]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_platform_that_keeps_refusing_is_asked_less_and_less() {
    let world = World::start(Kind::Embedded).await;
    let message = world.sim.say(OWNER_CHAT, OWNER, "[[sleep 1000]] [[say patience]]");
    let path = format!("POST /open-apis/im/v1/messages/{message}/reply");
    world.sim.fault(&path, Fault::TooMany { reset: "0.1" }, 4);
    let attempts = |world: &World| world.sim.requests().iter().filter(|line| **line == path).count();
    world.wait("the first attempt", |world| (attempts(world) == 1).then_some(())).await;
    let began = std::time::Instant::now();
    world.wait("the fourth attempt", |world| (attempts(world) >= 4).then_some(())).await;
    // The first attempt is noticed late, never early.
    assert!(began.elapsed() >= Duration::from_secs(2), "of at least 0.5, 1 and 2 s: {:?}", began.elapsed());
    assert_eq!(world.answer(&message).await.said(), "patience");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reaction_of_unknown_fate_does_not_stay_beside_the_next() {
    for (fault, killed) in [(Fault::AfterEffect, false), (Fault::AfterEffectHang, true)] {
        let world = World::start(Kind::Embedded).await;
        world.sim.fault("POST /open-apis/im/v1/messages/", fault, 1);
        let message = world.sim.say(OWNER_CHAT, OWNER, "[[sleep 2000]] [[say done]]");
        let put = |world: &World| !world.sim.message(&message).receipts().is_empty();
        world.wait("the first reaction", |world| put(world).then_some(())).await;
        if killed {
            world.kill_bridge().await;
        }
        world.settled().await;
        world.wait("one reaction", |world| (world.sim.message(&message).receipts().len() == 1).then_some(())).await;
        assert_ne!(world.sim.message(&message).receipts(), ["Get"], "and it is the last one");
    }
}

/// A message of which every reaction goes wrong, and a count of the tries.
fn without_reactions(world: &World, text: &str, fault: Fault) -> (String, impl Fn(&World) -> usize + use<>) {
    // The first one comes before the message's id is known here.
    world.sim.fault("POST /open-apis/im/v1/messages/", fault.clone(), 1);
    let message = world.sim.say(OWNER_CHAT, OWNER, text);
    let path = format!("POST /open-apis/im/v1/messages/{message}/reactions");
    world.sim.fault(&path, fault, 1000);
    (message, move |world: &World| world.sim.requests().iter().filter(|line| **line == path).count())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receipt_outlasts_a_platform_in_trouble() {
    for fault in [Fault::TooMany { reset: "0.1" }, Fault::Html { status: 502 }] {
        let world = World::start(Kind::Embedded).await;
        let (message, tries) = without_reactions(&world, "[[say done]]", fault);
        world.wait("many tries", |world| (tries(world) > 3).then_some(())).await;
        world.sim.no_more_faults();
        world.settled().await;
        assert_eq!(world.sim.message(&message).receipts(), ["DONE"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receipt_that_was_refused_makes_way_for_the_next() {
    let world = World::start(Kind::Embedded).await;
    let refused = Fault::BeforeEffect { status: 400, code: 231001 };
    let (message, tries) = without_reactions(&world, "[[sleep 600000]]", refused);
    world.wait("the tries", |world| (tries(world) > 1).then_some(())).await;
    world.settled_surfaces().await;
    world.sim.no_more_faults();
    world.sim.say(OWNER_CHAT, OWNER, "/stop");
    world.settled().await;
    assert_eq!(world.sim.message(&message).receipts().len(), 1);
}

/// A message whose answer was sent once and not acknowledged, and then `then` until told otherwise.
async fn unacknowledged(world: &World, text: &str, then: Fault) -> String {
    let message = world.sim.say(OWNER_CHAT, OWNER, &format!("[[sleep 1000]] [[say {text}]]"));
    let path = format!("POST /open-apis/im/v1/messages/{message}/reply");
    world.sim.fault(&path, Fault::AfterEffect, 1);
    world.sim.fault(&path, then, 1000);
    let attempts = |world: &World| world.sim.requests().iter().filter(|line| **line == path).count();
    world.wait("the second attempt", |world| (attempts(world) > 1).then_some(())).await;
    message
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_jumps_makes_no_second_answer() {
    let mut world = World::prepare(Kind::Embedded, "[intake]\nstale_after = \"1d\"\n").await;
    world.up().await;
    let forth = unacknowledged(&world, "forth", Fault::Html { status: 502 }).await;
    world.warp(LONG).await;
    world.sim.no_more_faults();
    world.settled().await;
    let back = unacknowledged(&world, "back", Fault::Html { status: 502 }).await;
    // The next bridge has the machine's time again, two hours before this one's.
    world.kill_bridge().await;
    world.sim.no_more_faults();
    world.settled().await;
    for (message, text) in [(forth, "forth"), (back, "back")] {
        let said: Vec<String> = world.answers(&message).iter().map(|answer| answer.said()).collect();
        assert_eq!(said, [text]);
        // A look-up begins with the message that was answered.
        let looked = format!("GET /open-apis/im/v1/messages/{message}");
        assert!(!world.sim.requests().contains(&looked), "the key was known all the time: nothing is looked for");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_the_platform_has_forgotten_is_not_used_again_whatever_our_clock_says() {
    let world = World::start(Kind::Embedded).await;
    let message = unacknowledged(&world, "once", Fault::Html { status: 502 }).await;
    // Our clock stays where it is: for this machine no time has passed.
    world.sim.advance(LONG);
    world.kill_bridge().await;
    world.sim.no_more_faults();
    world.settled().await;
    assert_eq!(world.answers(&message).len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_for_speed_says_nothing_of_the_attempt_before_it() {
    let world = World::start(Kind::Embedded).await;
    let message = unacknowledged(&world, "once", Fault::TooMany { reset: "0.1" }).await;
    world.sim.advance(LONG);
    world.warp(LONG).await;
    world.sim.no_more_faults();
    world.settled().await;
    assert_eq!(world.answers(&message).len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_card_that_came_without_an_answer_is_still_brought_to_its_end() {
    let world = World::start(Kind::Embedded).await;
    let message = world.sim.say(OWNER_CHAT, OWNER, "[[sleep 600000]]");
    let path = format!("POST /open-apis/im/v1/messages/{message}/reply");
    world.sim.fault(&path, Fault::AfterEffectDrop, 1);
    world.sim.fault(&path, Fault::TooMany { reset: "0.1" }, 1000);
    let attempts = |world: &World| world.sim.requests().iter().filter(|line| **line == path).count();
    world.wait("a refused repeat", |world| (attempts(world) > 2).then_some(())).await;
    world.sim.say(OWNER_CHAT, OWNER, "/stop");
    world.wait("the end", |world| (world.status()?["turns"]["running"] == 0).then_some(())).await;
    world.sim.no_more_faults();
    world.settled().await;
    assert_eq!(world.cards(&message).len(), 1);
    world.assert_nothing_runs_on_cards(&[OWNER_CHAT]);
}

/// A card whose creation had no answer, on a platform that answers its key with "being sent" and no id.
async fn card_without_an_id(world: &World) -> String {
    world.sim.rules(|rules| rules.uuid_repeat = UuidRepeat::Refused);
    let message = world.sim.say(OWNER_CHAT, OWNER, "[[sleep 600000]]");
    world.sim.fault(&format!("POST /open-apis/im/v1/messages/{message}/reply"), Fault::AfterEffectDrop, 1);
    world.wait("the card", |world| world.cards(&message).into_iter().next()).await;
    message
}

#[tokio::test(flavor = "multi_thread")]
async fn a_card_without_an_id_is_found_by_its_buttons() {
    let world = World::start(Kind::Embedded).await;
    let message = card_without_an_id(&world).await;
    world.settled_surfaces().await;
    world.sim.say(OWNER_CHAT, OWNER, "/stop");
    world.settled().await;
    assert_eq!(world.cards(&message).len(), 1);
    world.assert_nothing_runs_on_cards(&[OWNER_CHAT]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_card_that_cannot_be_found_is_replaced_by_one_that_tells_the_end() {
    let world = World::start(Kind::Embedded).await;
    world.sim.rules(|rules| rules.refuse_lists = true);
    let message = card_without_an_id(&world).await;
    let second = world.wait("another card", |world| world.cards(&message).into_iter().nth(1)).await;
    world.sim.say(OWNER_CHAT, OWNER, "/stop");
    world.settled().await;
    assert_eq!(world.cards(&message).len(), 2);
    assert!(world.sim.message(&second.id).text().contains("Stopped"), "{}", world.sim.message(&second.id).text());
}

/// An answer that the platform takes while the ledger can record nothing. That lasts `long`, or not.
async fn unrecorded(world: &World, long: bool) -> String {
    let message = world.sim.say(OWNER_CHAT, OWNER, "[[sleep 1000]] [[say once]]");
    let path = format!("POST /open-apis/im/v1/messages/{message}/reply");
    world.sim.fault(&path, Fault::Delay(Duration::from_secs(2)), 1);
    world.sim.fault(&path, Fault::TooMany { reset: "0.1" }, if long { 0 } else { 1000 });
    let attempts = |world: &World| world.sim.requests().iter().filter(|line| **line == path).count();
    world.wait("the attempt", |world| (attempts(world) > 0).then_some(())).await;
    let other = rusqlite::Connection::open(world.home.path().join("ally/ledger.db")).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    world.answer(&message).await;
    world.wait("the trouble", |world| world.status()?["ledger"]["problem"].as_str().map(drop)).await;
    if long {
        world.sim.advance(LONG);
        world.warp(LONG).await;
    }
    other.execute_batch("ROLLBACK").unwrap();
    if !long {
        world.wait("the next attempt", |world| (attempts(world) > 1).then_some(())).await;
    }
    message
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_whose_sending_could_not_be_recorded_is_not_sent_again() {
    for long in [true, false] {
        let world = World::start(Kind::Embedded).await;
        let message = unrecorded(&world, long).await;
        if !long {
            // Refused for speed: that says nothing of the attempt that was taken.
            world.sim.advance(LONG);
            world.warp(LONG).await;
            world.sim.no_more_faults();
        }
        world.settled().await;
        assert_eq!(world.answers(&message).len(), 1, "{long}");
    }
}

const UPLOAD: &str = "POST /open-apis/im/v1/files";

/// Two answers of the group, of which the first has a file that cannot be uploaded.
async fn a_file_that_stays(world: &World, fault: Fault) -> Vec<String> {
    world.sim.fault(UPLOAD, fault, 1000);
    let message = world.sim.say(GROUP, OWNER, "@bot [[stream 8000 0]]");
    let uploads = |world: &World| world.sim.requests().iter().filter(|line| line.as_str() == UPLOAD).count();
    world.wait("the upload", |world| (uploads(world) > 0).then_some(())).await;
    let next = world.sim.say(GROUP, OWNER, "@bot [[say next]]");
    let left = |world: &World| world.answers(&message).iter().any(|one| one.text().contains("could not be uploaded"));
    world.wait("an end of the uploads", |world| (left(world) || uploads(world) > 1).then_some(())).await;
    if !left(world) {
        world.warp(Duration::from_secs(11 * 60)).await;
    }
    world.wait("the words instead", |world| left(world).then_some(())).await;
    assert_eq!(world.answer(&next).await.said(), "next");
    world.settled().await;
    let told = world.sim.messages(OWNER_CHAT).into_iter().filter(|one| one.by_bot());
    told.map(|one| one.text()).filter(|text| text.contains("im:resource")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_may_not_be_uploaded_holds_up_nothing_and_the_owner_learns_why() {
    let world = World::start(Kind::Embedded).await;
    // Where the owner can be told.
    let hello = world.sim.say(OWNER_CHAT, OWNER, "[[say hello]]");
    world.answer(&hello).await;
    let told = a_file_that_stays(&world, Fault::BeforeEffect { status: 400, code: 99991672 }).await;
    assert!(told.len() == 1 && told[0].contains(GROUP), "{told:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_never_gets_through_holds_up_nothing() {
    let world = World::start(Kind::Embedded).await;
    assert_eq!(a_file_that_stays(&world, Fault::Html { status: 413 }).await, [""; 0]);
}
