//! Who may what, whatever he does it with: each person, by click, by words and by command; and clicks that are not what
//! they seem.

use serde_json::{Value, json};

use crate::support::feishu_sim::Say;
use crate::support::world::*;

/// An open group: whoever is in it is a member.
const OPEN: &str = GROUP;
/// A group that is not: whoever has no right of his own is a stranger there.
const CLOSED: &str = "oc_closed";
const OTHERS: &str = "tenant_other";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Who {
    user: &'static str,
    chat: &'static str,
    outside: bool,
}

const OUTSIDER: Who = Who { user: "ou_out", chat: OPEN, outside: true };
const STRANGER_HERE: Who = Who { user: STRANGER, chat: CLOSED, outside: false };
const MEMBER: Who = Who { user: "ou_mei", chat: OPEN, outside: false };
const REQUESTER: Who = Who { user: LI, chat: OPEN, outside: false };
const APPROVER: Who = Who { user: "ou_han", chat: OPEN, outside: false };
const ADMIN: Who = Who { user: "ou_ada", chat: OPEN, outside: false };
const OWNER_HERE: Who = Who { user: OWNER, chat: OPEN, outside: false };
const ALL: [Who; 7] = [OUTSIDER, STRANGER_HERE, MEMBER, REQUESTER, APPROVER, ADMIN, OWNER_HERE];

async fn world() -> World {
    let mut world = World::prepare(Kind::Embedded, "").await;
    let names = [("ou_out", "Otto"), ("ou_mei", "Mei"), ("ou_han", "Han"), ("ou_ada", "Ada"), ("ou_far", "Fa")];
    names.into_iter().for_each(|(user, name)| world.sim.add_user(user, name));
    world.sim.add_group(CLOSED, "Closed", &[OWNER, LI, STRANGER]);
    world.up().await;
    for text in ["@bot /approver @ou_han", "@bot /admin @ou_ada"] {
        let said = world.sim.say(OPEN, OWNER, text);
        assert!(world.answer(&said).await.said().contains("now"), "{text}");
    }
    world
}

/// Words of somebody, answering a message; nothing comes back to those who may not talk.
fn says(world: &World, who: Who, to: Option<&str>, text: &str) -> String {
    world.sim.post(Say {
        chat: who.chat.to_owned(),
        user: who.user.to_owned(),
        text: format!("@bot {text}"),
        parent: to.map(str::to_owned),
        tenant: who.outside.then(|| OTHERS.to_owned()),
        ..Say::default()
    })
}

async fn clicks(world: &World, who: Who, card: &str, value: &Value) -> String {
    let tenant = if who.outside { OTHERS } else { "tenant_sim" };
    world.sim.click_from(tenant, card, who.user, value.clone(), Value::Null).await.to_string()
}

/// Rows of the audit, newest first.
fn audit(world: &World) -> Vec<Value> {
    serde_json::from_str(&world.run(&["audit", "--json"]).0).unwrap()
}

fn open_gates(world: &World) -> u64 {
    world.status().and_then(|status| status["gates_open"].as_u64()).unwrap_or(99)
}

/// The words of the bot about a message, or nothing for those who get none.
async fn told(world: &World, who: Who, message: &str) -> String {
    if who.outside || who.chat == CLOSED {
        world.sim.wait_ack(message).await;
        return String::new();
    }
    world.answer(message).await.said()
}

/// Those who may not talk were told nothing, or once that the group is closed, and got no sign.
async fn nobody_was_answered(world: &World) {
    // What comes after their messages is through: so is whatever they caused.
    let last = world.sim.say(OWNER_CHAT, OWNER, "/whoami");
    world.answer(&last).await;
    let mut told = Vec::new();
    for (chat, user) in [(OPEN, OUTSIDER.user), (CLOSED, STRANGER)] {
        for message in world.sim.messages(chat).into_iter().filter(|one| one.sender == user) {
            assert!(message.receipts().is_empty(), "{message:?}");
            told.extend(world.sim.answers_to(&message.id).into_iter().map(|said| (chat, said.text())));
        }
    }
    assert!(told.len() <= 1, "{told:?}");
    assert!(told.iter().all(|(chat, text)| *chat == CLOSED && text.contains("not set up")), "{told:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_decide_what() {
    let world = world().await;
    let file = world.file("ran.txt");
    let ran = |world: &World| world.nonces(&file).values().sum::<usize>();
    let mark = format!("echo x >> {}", file.display());
    let mut expected = 0;
    // What is asked, who may by a click, who may by words.
    let rows: [(String, &[Who], &[Who]); 3] = [
        (
            "[[request ls -la]]".to_owned(),
            &[REQUESTER, APPROVER, ADMIN, OWNER_HERE],
            &[REQUESTER, APPROVER, ADMIN, OWNER_HERE],
        ),
        (format!("[[request {mark}]]"), &[APPROVER, ADMIN, OWNER_HERE], &[APPROVER, ADMIN, OWNER_HERE]),
        // What is red is never allowed by words.
        (format!("[[request sudo -n true; {mark}]]"), &[OWNER_HERE], &[]),
    ];
    for (ask, by_click, by_words) in &rows {
        let appends = ask.contains("ran.txt");
        for chat in [OPEN, CLOSED] {
            let request = || world.sim.say(chat, LI, &format!("@bot {ask} [[say done]]"));
            let asked = request();
            let card = world.card_with(&asked, "Allow once").await;
            let value = card.button("Allow once").unwrap();
            let here = || ALL.into_iter().filter(move |who| who.chat == chat);
            for who in here().filter(|who| !by_click.contains(who)) {
                let before = audit(&world).len();
                let toast = clicks(&world, who, &card.id, &value).await;
                assert!(toast.contains("Only"), "{who:?} {ask}: {toast}");
                let rows = audit(&world);
                assert_eq!(rows.len(), before + 1, "{who:?} {ask}: {rows:?}");
                assert_eq!(rows[0]["who"], who.user);
                assert!(rows[0]["what"].as_str().unwrap().ends_with("refused"), "{}", rows[0]);
                assert_eq!(rows[0]["chat"], chat);
            }
            for who in here().filter(|who| !by_words.contains(who)) {
                let message = says(&world, who, Some(&asked), "y");
                let said = told(&world, who, &message).await;
                assert!(said.is_empty() || said.contains("Only") || said.contains("on the card"), "{who:?}: {said}");
            }
            assert_eq!((open_gates(&world), ran(&world)), (1, expected), "{ask}: nothing was decided");
            let last = [(OWNER_HERE, true)];
            let ways = by_click.iter().map(|who| (*who, true)).chain(by_words.iter().map(|who| (*who, false)));
            let ways: Vec<(Who, bool)> = if chat == OPEN { ways.collect() } else { last.to_vec() };
            let mut first = Some((asked, card));
            for (who, click) in ways {
                let (asked, card) = match first.take() {
                    Some(open) => open,
                    None => {
                        let asked = request();
                        let card = world.card_with(&asked, "Allow once").await;
                        (asked, card)
                    }
                };
                if click {
                    let toast = clicks(&world, who, &card.id, &card.button("Allow once").unwrap()).await;
                    assert!(toast.contains("Recorded"), "{who:?} {ask}: {toast}");
                } else {
                    says(&world, who, Some(&asked), "y");
                }
                assert_eq!(world.answer(&asked).await.said(), "done", "{who:?} {ask}");
                expected += usize::from(appends);
                assert_eq!(ran(&world), expected, "{who:?} {ask}");
            }
        }
    }
    // A member decides nothing outside of the project in a task of her own either: not by number, not all at once.
    let asked = says(&world, MEMBER, None, &format!("[[request {mark}]] [[say done]]"));
    let card = world.card_with(&asked, "Allow once").await;
    let toast = clicks(&world, MEMBER, &card.id, &card.button("Allow once").unwrap()).await;
    assert!(toast.contains("Only"), "{toast}");
    for (words, want) in [("y", "Only"), ("a1", "Only"), ("all y", "nothing was decided")] {
        let message = says(&world, MEMBER, Some(&asked), words);
        let said = told(&world, MEMBER, &message).await;
        assert!(said.contains(want), "{words}: {said}");
    }
    assert_eq!((open_gates(&world), ran(&world)), (1, expected));
    // To say no is the safe direction: whoever asked may.
    let toast = clicks(&world, MEMBER, &card.id, &card.button("Decline").unwrap()).await;
    assert!(toast.contains("Recorded"), "{toast}");
    assert_eq!(world.answer(&asked).await.said(), "done");
    assert_eq!(ran(&world), expected);
    nobody_was_answered(&world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_press_the_other_buttons_of_a_request() {
    let world = world().await;
    let own: &[Who] = &[REQUESTER, APPROVER, ADMIN, OWNER_HERE];
    let deciders: &[Who] = &[APPROVER, ADMIN, OWNER_HERE];
    let outside = format!("[[request echo x >> {}]]", world.file("never.txt").display());
    for (ask, button, may, by) in [
        ("[[request ls]]", "Decline", own, REQUESTER),
        (&outside, "Decline", own, APPROVER),
        ("[[request ls -l]]", "For this task", own, REQUESTER),
        ("[[request ls -a]]", "For 12 hours", own, REQUESTER),
        ("[[request ls -R]]", "Always", deciders, APPROVER),
        ("[[ask Which?|Alpha|Beta]]", "Beta", own, REQUESTER),
        ("[[ask Who?|Alpha|Beta]]", "Alpha", own, ADMIN),
    ] {
        let asked = world.sim.say(OPEN, LI, &format!("@bot {ask} [[say done]]"));
        let card = world.card_with(&asked, button).await;
        let value = card.button(button).unwrap();
        for who in ALL.into_iter().filter(|who| !may.contains(who)) {
            let before = audit(&world).len();
            let toast = clicks(&world, who, &card.id, &value).await;
            assert!(!toast.contains("Recorded"), "{who:?} {ask} {button}: {toast}");
            assert_eq!(audit(&world).len(), before + 1, "{who:?} {ask} {button}");
        }
        assert_eq!(open_gates(&world), 1, "{ask} {button}: nothing was decided");
        let toast = clicks(&world, by, &card.id, &value).await;
        assert!(toast.contains("Recorded"), "{by:?} {ask} {button}: {toast}");
        assert!(world.answer(&asked).await.said().starts_with("done"));
    }
    assert!(!world.file("never.txt").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_press_what_begins_and_joins_a_task() {
    let world = world().await;
    let may = [REQUESTER, APPROVER, ADMIN, OWNER_HERE];
    let others = || ALL.into_iter().filter(|who| !may.contains(who));
    let count = |world: &World, what: &str| world.status().unwrap()["turns"][what].as_u64().unwrap();
    // A message that waits behind a task.
    let first = world.sim.say(OPEN, LI, "@bot [[sleep 1800000]] [[say never]]");
    world.wait("it to run", |world| (count(world, "running") == 1).then_some(())).await;
    let queued = world.sim.reply(&first, LI, "@bot [[say never]]");
    let card = world.card_with(&queued, "Cancel").await;
    for button in ["Steer", "Cancel"] {
        for who in others() {
            let toast = clicks(&world, who, &card.id, &card.button(button).unwrap()).await;
            assert!(toast.contains("Only") || toast.contains("may not"), "{who:?} {button}: {toast}");
        }
    }
    assert_eq!((count(&world, "running"), count(&world, "queued")), (1, 1));
    let toast = clicks(&world, APPROVER, &card.id, &card.button("Cancel").unwrap()).await;
    assert!(toast.contains("Cancelled"), "{toast}");
    // The task is cut by a death, and offers what can be done about it.
    world.kill_runtime().await;
    let cut = world.card_with(&first, "Continue").await;
    for button in ["Continue", "Run again", "Dismiss"] {
        for who in others() {
            let toast = clicks(&world, who, &cut.id, &cut.button(button).unwrap()).await;
            assert!(toast.contains("Only") || toast.contains("may not"), "{who:?} {button}: {toast}");
        }
    }
    let toast = clicks(&world, REQUESTER, &cut.id, &cut.button("Dismiss").unwrap()).await;
    assert!(toast.contains("dismissed"), "{toast}");
    // An old message is asked about.
    let hour = std::time::Duration::from_secs(3600);
    world.warp(hour).await;
    let old = world.sim.say(OPEN, LI, "@bot [[say at last]]");
    let asks = world.card_with(&old, "Do it").await;
    for button in ["Do it", "Cancel"] {
        for who in others() {
            let toast = clicks(&world, who, &asks.id, &asks.button(button).unwrap()).await;
            assert!(toast.contains("Only") || toast.contains("may not"), "{who:?} {button}: {toast}");
        }
    }
    assert_eq!((count(&world, "running"), count(&world, "queued")), (0, 0));
    clicks(&world, ADMIN, &asks.id, &asks.button("Do it").unwrap()).await;
    assert_eq!(world.answer(&old).await.said(), "at last");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_change_how_a_chat_works() {
    let world = world().await;
    let deciders: &[Who] = &[APPROVER, ADMIN, OWNER_HERE];
    for (command, may, refusal) in [
        ("/settings autonomy ask", deciders, "not yours to make"),
        ("/settings autonomy edit", &[ADMIN, OWNER_HERE], "not yours to make"),
        ("/settings autonomy trusted", &[], "not yours to make"),
        ("/settings busy steer", deciders, "not yours to make"),
        ("/settings noise full", deciders, "not yours to make"),
        ("/cd /nowhere", &[ADMIN, OWNER_HERE], "Only"),
    ] {
        for who in ALL {
            let before = audit(&world).len();
            let said = told(&world, who, &says(&world, who, None, command)).await;
            let rows = audit(&world);
            if who.outside || who.chat == CLOSED {
                assert_eq!(rows.len(), before, "{who:?} {command}");
            } else if may.contains(&who) {
                assert!(!said.contains(refusal), "{who:?} {command}: {said}");
            } else {
                assert!(said.contains(refusal), "{who:?} {command}: {said}");
                assert_eq!((rows.len(), &rows[0]["who"]), (before + 1, &json!(who.user)), "{who:?} {command}");
                assert!(rows[0]["what"].as_str().unwrap().ends_with("refused"), "{}", rows[0]);
            }
        }
    }
    // By the card of somebody who may: it is for him alone.
    let asked = world.sim.say(OPEN, ADMIN.user, "@bot /settings");
    let card = world.card_with(&asked, "Save").await;
    let value = card.button("Save").unwrap();
    for who in [OUTSIDER, MEMBER, REQUESTER] {
        let tenant = if who.outside { OTHERS } else { "tenant_sim" };
        let form = json!({"busy": "reject"});
        let toast = world.sim.click_from(tenant, &card.id, who.user, value.clone(), form).await.to_string();
        assert!(toast.contains("may not") || toast.contains("Only"), "{who:?}: {toast}");
    }
    nobody_was_answered(&world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_stop_and_cancel() {
    let world = world().await;
    let running = |world: &World, n: u64| (world.status()?["turns"]["running"] == n).then_some(());
    let idle = |world: &World| {
        let turns = world.status()?["turns"].clone();
        (["running", "waiting", "submitting"].iter().all(|state| turns[*state] == 0)).then_some(())
    };
    // Everybody who may talk may stop, by the card, the word and the command.
    for chat in [OPEN, CLOSED] {
        for who in ALL.into_iter().filter(|who| who.chat == chat) {
            let may = who != OUTSIDER && who != STRANGER_HERE;
            let asked = world.sim.say(chat, LI, "@bot [[escalate true]] [[say never]]");
            let card = world.card_with(&asked, "Stop").await;
            let toast = clicks(&world, who, &card.id, &card.button("Stop").unwrap()).await;
            assert_eq!(toast.contains("stopping"), may, "{who:?}: {toast}");
            if may {
                world.wait("it to be stopped", idle).await;
            }
            for text in ["停", "/stop"] {
                let asked = world.sim.say(chat, LI, "@bot [[sleep 1800000]] [[say never]]");
                world.wait("it to run", |world| running(world, 1)).await;
                let message = says(&world, who, Some(&asked), text);
                if !may {
                    told(&world, who, &message).await;
                    assert!(running(&world, 1).is_some(), "{who:?} {text}");
                    says(&world, Who { user: OWNER, chat, outside: false }, Some(&asked), "/stop");
                }
                world.wait("it to be stopped", |world| running(world, 0)).await;
            }
            if !may {
                clicks(&world, Who { user: OWNER, chat, outside: false }, &card.id, &card.button("Stop").unwrap())
                    .await;
            }
            world.wait("nothing open", |world| (open_gates(world) == 0).then_some(())).await;
        }
    }
    // A queued message is its sender's, or a decider's.
    for (who, may) in [(MEMBER, false), (REQUESTER, true), (APPROVER, true), (ADMIN, true), (OWNER_HERE, true)] {
        let first = world.sim.say(OPEN, LI, "@bot [[sleep 1800000]] [[say never]]");
        world.wait("it to run", |world| running(world, 1)).await;
        world.sim.reply(&first, LI, "@bot [[say never]]");
        let queued = |world: &World, n: u64| (world.status()?["turns"]["queued"] == n).then_some(());
        world.wait("one to queue", |world| queued(world, 1)).await;
        let said = told(&world, who, &says(&world, who, Some(&first), "/cancel 1")).await;
        assert_eq!(said.contains("cancelled: 1"), may, "{who:?}: {said}");
        if !may {
            assert!(said.contains("Li's") && queued(&world, 1).is_some(), "{said}");
            assert_eq!(audit(&world)[0]["what"], "action refused");
            says(&world, OWNER_HERE, Some(&first), "/cancel 1");
        }
        world.wait("none to queue", |world| queued(world, 0)).await;
        says(&world, OWNER_HERE, Some(&first), "/stop");
        world.wait("it to be stopped", |world| running(world, 0)).await;
    }
    nobody_was_answered(&world).await;
    world.settled().await;
    world.assert_nothing_runs_on_cards(&[OPEN, CLOSED]);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_look_and_rule() {
    let world = world().await;
    // The command, and who may.
    let deciders: &[Who] = &[APPROVER, ADMIN, OWNER_HERE];
    for (command, may) in [
        ("/rules", deciders),
        ("/rules revoke R1", deciders),
        ("/audit", deciders),
        ("/deny @ou_far", &[ADMIN, OWNER_HERE]),
        ("/approver @ou_far", &[ADMIN, OWNER_HERE]),
        ("/admin @ou_far", &[OWNER_HERE]),
        ("/unlock", &[OWNER_HERE]),
        ("/lock", &[OWNER_HERE]),
    ] {
        for who in ALL {
            let before = audit(&world).len();
            let said = told(&world, who, &says(&world, who, None, command)).await;
            if may.contains(&who) {
                assert!(!said.contains("Only"), "{who:?} {command}: {said}");
            } else if !who.outside && who.chat == OPEN {
                assert!(said.contains("Only"), "{who:?} {command}: {said}");
                let rows = audit(&world);
                assert_eq!(rows.len(), before + 1, "{who:?} {command}");
                assert_eq!((&rows[0]["what"], &rows[0]["who"]), (&json!("command refused"), &json!(who.user)));
            } else {
                assert_eq!(audit(&world).len(), before, "{who:?} {command}");
            }
            let locked = world.status().unwrap()["locked"] == json!(true);
            assert_eq!(locked, command == "/lock" && who == OWNER_HERE, "{who:?} {command}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn clicks_that_are_not_what_they_seem_do_nothing() {
    let world = world().await;
    let file = world.file("ran.txt");
    let ask = format!("@bot [[escalate echo x >> {}]] [[say done]]", file.display());
    let asked = world.sim.say(OPEN, LI, &ask);
    let card = world.card_with(&asked, "Allow once").await;
    let value = card.button("Allow once").unwrap();
    let elsewhere = world.sim.say(OWNER_CHAT, OWNER, "/rules revoke R9");
    let elsewhere = world.answer(&elsewhere).await;
    let refused = |toast: String, says: &str, why: &str| {
        assert!(toast.contains(says), "{toast}");
        let row = &audit(&world)[0];
        assert_eq!((&row["what"], &row["detail"]), (&json!("click refused"), &json!(why)));
    };

    // An id that nobody drew, and the button of another chat's card.
    let toast = clicks(&world, OWNER_HERE, &card.id, &json!({"b": "f".repeat(32)})).await;
    refused(toast, "not mine", "not a button of ours");
    let toast = clicks(&world, OWNER_HERE, &elsewhere.id, &value).await;
    refused(toast, "not mine", "drawn for another chat");
    assert_eq!((open_gates(&world), world.nonces(&file).len()), (1, 0));

    // Pressed once, it is used; whoever presses again is told who was first.
    assert!(clicks(&world, OWNER_HERE, &card.id, &value).await.contains("Recorded"));
    assert_eq!(world.answer(&asked).await.said(), "done");
    let toast = clicks(&world, APPROVER, &card.id, &value).await;
    refused(toast, "Already decided by Wang", "used before");
    let decline = card.button("Decline").unwrap();
    let toast = clicks(&world, OWNER_HERE, &card.id, &decline).await;
    refused(toast, "Already decided by Wang", "used before");
    assert_eq!(world.nonces(&file).values().sum::<usize>(), 1);

    // The process that asked is gone.
    let asked = world.sim.say(OPEN, LI, &ask);
    let card = world.card_with(&asked, "Allow once").await;
    let value = card.button("Allow once").unwrap();
    world.kill_both().await;
    world.wait("the request to be void", |world| (open_gates(world) == 0).then_some(())).await;
    let toast = clicks(&world, OWNER_HERE, &card.id, &value).await;
    refused(toast, "ally restarted", "of a former process");
    assert_eq!(world.nonces(&file).values().sum::<usize>(), 1);
}
