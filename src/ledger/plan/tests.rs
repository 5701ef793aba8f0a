//! What a plan shows, and every look-up of the ledger once, over the newest schema.

use rusqlite::Transaction;

use super::*;
use crate::domain::delivery::{Body, Target};
use crate::domain::ids::*;
use crate::domain::message::ChatKind;
use crate::domain::view::{Lang, Receipt};
use crate::ledger::conversations::NewConversation;
use crate::ledger::inbound::InboundState;
use crate::ledger::open::{self, Places};
use crate::ledger::surfaces::SurfaceKind;
use crate::ledger::turns::NewTurn;
use crate::ledger::{
    LedgerError, alive, archive, audit, buttons, chats, conversations, gates, generations, inbound, messages, prune,
    report, restored, routines, rules, settings, surfaces, threads, tools, turns,
};

fn ledger() -> (Connection, tempfile::TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let places = Places { file: dir.path().join("ledger.db"), backups: dir.path().join("backups") };
    (open::writer(&places).unwrap(), dir)
}

#[test]
fn a_scan_is_seen_in_each_of_its_disguises() {
    let (ledger, _dir) = ledger();
    for sql in [
        "SELECT * FROM turns WHERE state = 'queued'",
        "SELECT t.id FROM turns t JOIN conversations c ON c.id = t.conversation WHERE t.title = ?1",
        "SELECT * FROM inbound WHERE state = 'waiting' ORDER BY seq",
        "SELECT * FROM inbound WHERE channel = ?1 AND sent_at_ms > ?2",
        "SELECT * FROM gates WHERE conversation = ?1 AND state = 'open'",
        "UPDATE surfaces SET next_at_ms = 0 WHERE state = 'shown'",
        "SELECT max(number) FROM gates WHERE opened_at_ms > 1",
        "SELECT count(*) FROM audit",
    ] {
        assert!(!slow_steps(&ledger, sql).unwrap().is_empty(), "{sql}");
    }
    for sql in [
        "SELECT * FROM turns WHERE id = ?1",
        "SELECT * FROM turns WHERE state <> 'settled' AND state = 'queued'",
        "SELECT * FROM grants",
    ] {
        assert_eq!(slow_steps(&ledger, sql).unwrap(), Vec::<String>::new(), "{sql}");
    }
}

#[test]
#[should_panic(expected = "from end to end")]
fn a_scan_is_refused_before_it_runs() {
    let (mut ledger, _dir) = ledger();
    let tx = ledger.transaction().unwrap();
    let _ = crate::ledger::sql::run(&tx, "UPDATE turns SET title = '' WHERE title = 'never'", []);
}

#[test]
fn every_look_up_finds_its_rows_by_an_index() {
    let (mut ledger, _dir) = ledger();
    let tx = ledger.transaction().unwrap();
    look_up_everything(&tx).unwrap();
}

/// Each function runs its statements, and so has them checked. An empty ledger is enough: plans do not depend on rows.
fn look_up_everything(tx: &Transaction<'_>) -> Result<(), LedgerError> {
    let (channel, chat, user) = (ChannelName::from("local"), ChatId::from("c"), UserId::from("u"));
    let (message, gate, native) = (MessageId::from("m"), GateId::from("g"), NativeTurnId::from("n"));
    let new = NewConversation {
        channel: channel.clone(),
        chat: chat.clone(),
        chat_kind: ChatKind::Direct,
        root: None,
        routine: None,
        topic: None,
        directory: "/d".into(),
        lang: Lang::En,
        runtime_kind: "codex".to_owned(),
        runtime_home: "/h".to_owned(),
    };
    let here = conversations::resolve(tx, &new, 1)?.id;
    conversations::find(tx, &channel, &chat, None)?;
    conversations::find_topic(tx, &channel, &chat, &TopicId::from("t"))?;
    conversations::get(tx, &here)?;
    conversations::at_work(tx, &channel, &chat)?;
    conversations::recent(tx, &channel, &chat, 1, 1)?;
    conversations::on_thread(tx, &channel, &chat, &ThreadId::from("t"))?;
    conversations::works_elsewhere(tx, &channel, &chat, std::path::Path::new("/d"))?;
    conversations::set_lang(tx, &channel, &chat, Lang::En)?;
    conversations::with_work(tx)?;
    conversations::directories(tx)?;
    let (thread, owner) = (ThreadId::from("t"), threads::Owner { channel: &channel, chat: &chat, home: "/h" });
    threads::used(tx, owner, &thread, std::path::Path::new("/d"), "t", 1)?;
    threads::recent(tx, owner, 1)?;
    threads::is_known(tx, &thread)?;
    threads::set_name(tx, &channel, &chat, &thread, "n")?;
    threads::set_planned(tx, &channel, &chat, &thread)?;
    threads::copied(tx, &here, &ThreadId::from("copy"))?;
    let found = threads::get(tx, &channel, &chat, &thread)?.ok_or(LedgerError::Missing("the thread"))?;
    conversations::go_on_with(tx, &here, &found)?;
    conversations::set_directory(tx, &channel, &chat, std::path::Path::new("/d"))?;
    conversations::newest_of_chat(tx, &channel, &chat)?;
    conversations::kind_of_chat(tx, &channel, &chat)?;
    conversations::of_routine(tx, &channel, &chat, "r")?;

    let new = NewTurn {
        conversation: here.clone(),
        ord: None,
        requester: user.clone(),
        requester_name: "U".to_owned(),
        title: "t".to_owned(),
        reply_to: None,
        prompt: "{}".to_owned(),
        continues: None,
        directory: None,
        network_by: None,
        not_before_ms: 0,
    };
    let turn = turns::insert(tx, &new, 1)?;
    turns::get(tx, &turn)?;
    turns::unsettled(tx, &here)?;
    turns::all_active(tx)?;
    turns::active_in_chat(tx, &channel, &chat)?;
    turns::grant_network(tx, &turn, &user)?;
    turns::last_settled(tx, &here)?;
    turns::lost_since(tx, 1)?;
    turns::queued_in(tx, &channel, &chat)?;
    turns::settled_in(tx, &channel, &chat, 1)?;
    turns::spent_since(tx, &here, 1)?;
    turns::queued_in_directory(tx, std::path::Path::new("/d"), &here)?;
    turns::queue_depth(tx, &here, &user)?;
    turns::settled_as(tx, &here, &native)?;

    inbound::tombstone(tx, &channel, &message, 1)?;
    let row = inbound::by_message(tx, &channel, &message)?.ok_or(LedgerError::Missing("the inbound row"))?.seq;
    inbound::received(tx, 1)?;
    inbound::last_click(tx, &channel)?;
    inbound::received_behind(tx, &channel, &chat, row, 1)?;
    inbound::get(tx, row)?;
    inbound::spent(tx, &[row], 1)?;
    inbound::of_chat(tx, &[row], &channel, &chat)?;
    inbound::waiting(tx, &channel, &chat, "late")?;
    inbound::waiting_for_words(tx)?;
    inbound::waiting_for_words_of(tx, &channel, &chat, &user, 1)?;
    inbound::count_steers(tx, &turn)?;
    inbound::is_expected(tx, &channel, &chat)?;
    inbound::of_queued_turns(tx, &channel, &chat)?;
    inbound::asked_about(tx, &channel, &chat)?;
    inbound::late_in(tx, &channel, &chat, 20)?;
    inbound::cancel_waiting(tx, &channel, &chat, "stopped")?;
    inbound::of_turn(tx, &turn)?;
    inbound::resolve(tx, row, InboundState::Cancelled, None, None)?;
    inbound::steers(tx, &turn, "wanted")?;
    inbound::direct_chat_of(tx, &channel, &user)?;
    inbound::turns_before(tx, &channel, &chat, row, 1)?;

    chats::note(tx, &channel, &chat, ChatKind::Direct, 1)?;
    chats::is_known(tx, &channel, &chat)?;
    chats::known(tx, &channel, 1)?;
    chats::topics(tx, &channel, &chat, 1, 1)?;
    chats::open_gap(tx, &channel, 1, 1)?;

    let target = Target { chat: chat.clone(), reply_to: None, in_topic: false };
    let new = messages::NewMessage {
        conversation: Some(here.clone()),
        turn: Some(turn.clone()),
        channel: channel.clone(),
        target,
        body: Body::Notice { text: "n".to_owned() },
        lang: Lang::En,
        after: None,
        sending: None,
    };
    let delivery = messages::insert(tx, &new, 1)?;
    messages::due(tx, 1, 1)?;
    messages::get(tx, &delivery)?;
    messages::by_platform(tx, &channel, &message)?;
    messages::answer_waits(tx, &channel, &message)?;
    messages::newest_platform_ids(tx, &channel, 1)?;
    messages::count_unanswered(tx)?;
    messages::forget_waits(tx, 1)?;

    surfaces::want_receipt(tx, &channel, &chat, &message, Receipt::Done, 1)?;
    let over = surfaces::Wanted {
        kind: SurfaceKind::Live,
        subject: turn.as_str().to_owned(),
        conversation: Some(here.clone()),
        channel: channel.clone(),
        target: Target { chat: chat.clone(), reply_to: None, in_topic: false },
        lang: Lang::En,
        picture: None,
        not_before_ms: 0,
        is_final: true,
        create_final: false,
    };
    surfaces::want(tx, &over, 1)?;
    surfaces::due(tx, 1, 1)?;
    surfaces::due_now(tx, &delivery, 1)?;
    surfaces::find(tx, SurfaceKind::Live, "s")?;
    surfaces::waiting_since(tx, 1)?;
    if let Some(shown) = surfaces::find(tx, SurfaceKind::Live, "none")? {
        let wanted = crate::domain::view::View::Notice(crate::domain::view::NoticeView {
            text: String::new(),
            buttons: Vec::new(),
        });
        surfaces::reissue(tx, &shown, &wanted, 1)?;
    }
    surfaces::under(tx, SurfaceKind::Notice, "s")?;
    surfaces::by_platform(tx, &channel, &message)?;
    surfaces::forget_unanswered(tx)?;
    surfaces::forget_waits(tx, 1)?;
    surfaces::unfinished_live(tx)?;
    surfaces::told_in(tx, &delivery)?;

    gates::by_native(tx, Generation(1), &NativeGateId::from("n"))?;
    assert_eq!(gates::get(tx, &gate), Err(LedgerError::Missing("the request")));
    gates::of_turn(tx, &turn)?;
    gates::open_in(tx, &here)?;
    gates::decided_by_itself(tx, &turn, "policy")?;
    gates::open_in_chat(tx, &channel, &chat)?;
    gates::all_open(tx)?;
    gates::unfinished_of(tx, Generation(1))?;
    gates::decided_before(tx, &turn, "f")?;
    gates::was_honoured(tx, &gate)?;
    gates::of_card(tx, &gate)?;
    gates::waiting(tx)?;
    audit::note(tx, "u", "stop", turn.as_str(), "", 1)?;
    audit::note_in(tx, (&channel, &ChatId::from("other")), "u", "locked", "", "", 1)?;
    audit::since(tx, None, 1, 10)?;
    assert_eq!(audit::since(tx, Some((&channel, &chat)), 1, 10)?.len(), 1, "the turn tells where it was");
    rules::in_force(tx, &channel, &chat, "/d", 1)?;
    rules::listed(tx, None, 1)?;
    rules::listed(tx, Some((&channel, &chat)), 1)?;
    rules::get(tx, 1)?;
    rules::end_with(tx, &turn, 1)?;
    rules::end_hours(tx, &channel, &chat, 1)?;
    settings::get(tx, &channel, &chat, settings::Setting::Autonomy)?;
    settings::get_dated(tx, &channel, &chat, settings::Setting::Autonomy)?;
    settings::of_chat(tx, &channel, &chat)?;
    settings::set(tx, &channel, &chat, settings::Setting::Noise, Some("quiet"), &user, 1)?;
    settings::set(tx, &channel, &chat, settings::Setting::Noise, None, &user, 1)?;
    settings::set(tx, &channel, &chat, settings::Setting::Autonomy, None, &user, 1)?;
    generations::not_dead(tx)?;
    let stop = crate::domain::action::Action::Stop { turn: turn.clone() };
    let button = buttons::ensure(tx, &channel, &chat, "s", &stop, "b".into(), 1)?;
    buttons::get(tx, &button)?;
    assert_eq!(buttons::of_subject(tx, "s")?, [button]);

    let new = routines::NewRoutine {
        name: "r".to_owned(),
        source: routines::Source::File,
        text: "t".to_owned(),
        made_in: None,
        made_by: user.clone(),
        made_name: "U".to_owned(),
    };
    routines::put(tx, &new, false, 1)?;
    routines::get(tx, "r")?;
    routines::listed(tx)?;
    routines::checked(tx, "r", 1)?;
    let due = crate::domain::routine::Due { at_ms: 1, late: false };
    let conversation = turns::get(tx, &turn)?.conversation;
    let call = tools::NewCall {
        id: "call",
        conversation: &conversation,
        turn: &turn,
        tool: crate::domain::tool::Tool::SendMessage,
        told: "sent",
    };
    tools::note(tx, &call, 1)?;
    tools::told(tx, "call", &conversation)?;
    tools::made(tx, &conversation, &turn)?;
    let run = routines::claim(tx, "r", due, 1)?.ok_or(LedgerError::Missing("the run"))?;
    routines::claim_by_hand(tx, "r", "U", 2)?;
    let skipped = crate::domain::routine::Skipped { first_ms: 3, last_ms: 4, count: 2 };
    routines::skip(tx, "r", skipped, routines::RunOutcome::Missed, 4)?;
    routines::begin(tx, &run, &turn)?;
    routines::again(tx, &run, &turn, "why")?;
    routines::goes_on(tx, &turn, &turn)?;
    let run = routines::of_turn(tx, &turn)?.ok_or(LedgerError::Missing("the run"))?;
    routines::open(tx, "r")?;
    routines::with_open(tx)?;
    routines::over(tx, &run, routines::RunOutcome::Completed, None, 5)?;
    routines::history(tx, "r", 1)?;
    routines::over_since(tx, 1)?;
    routines::set_state(tx, "r", routines::RoutineState::Paused, 6)?;
    archive::waiting(tx, 1)?;
    archive::to_forget(tx, 1)?;
    archive::unknown(tx, vec![turn.clone()])?;
    archive::written(tx, &[(turn.clone(), true)])?;
    archive::all_after(tx, archive::Cursor::START, 1)?;

    turns::all_working(tx)?;
    restored::marks(tx)?;
    restored::mark(tx)?;
    restored::hold(tx, 1)?;
    restored::held(tx, 1)?;
    restored::was_there(tx, &turn)?;
    restored::set_recognised_by(tx, &restored::recognised_by(tx)?)?;
    restored::inbound_held(tx)?;
    let nowhere = Target { chat: chat.clone(), reply_to: None, in_topic: false };
    surfaces::show_after_all(tx, SurfaceKind::Notice, "s", &nowhere)?;
    restored::former(tx, &here)?;
    restored::go_on(tx)?;
    restored::drop_rest(tx)?;
    restored::unknown_on(tx, &here)?;
    restored::in_doubt(tx)?;
    restored::nothing_unknown(tx, &here)?;
    let old = prune::Step { now_ms: 1, before_ms: i64::MAX, audit_before_ms: 1, rows: 10 };
    turns::settle(tx, &turns::get(tx, &turn)?, crate::domain::turn::Outcome::Cancelled, &Default::default(), 1)?;
    prune::step(tx, old)?;
    prune::files_needed(tx)?;
    alive::has_work(tx)?;
    report::counts(tx, 1)?;
    for (undelivered, active) in [(false, false), (true, false), (false, true), (true, true)] {
        report::turns(tx, undelivered, active, 10)?;
    }
    assert!(report::turn(tx, &turn.as_str()[..13])?.is_some(), "found by the beginning of its id");
    report::gates(tx)?;
    Ok(())
}

#[test]
fn no_look_up_is_forgotten() {
    let here = include_str!("tests.rs");
    for (module, text) in [
        ("alive", include_str!("../alive.rs")),
        ("archive", include_str!("../archive.rs")),
        ("audit", include_str!("../audit.rs")),
        ("buttons", include_str!("../buttons.rs")),
        ("chats", include_str!("../chats.rs")),
        ("conversations", include_str!("../conversations.rs")),
        ("gates", include_str!("../gates.rs")),
        ("inbound", include_str!("../inbound.rs")),
        ("messages", include_str!("../messages.rs")),
        ("prune", include_str!("../prune.rs")),
        ("report", include_str!("../report.rs")),
        ("restored", include_str!("../restored.rs")),
        ("routines", include_str!("../routines.rs")),
        ("rules", include_str!("../rules.rs")),
        ("settings", include_str!("../settings.rs")),
        ("surfaces", include_str!("../surfaces.rs")),
        ("threads", include_str!("../threads.rs")),
        ("tools", include_str!("../tools.rs")),
        ("turns", include_str!("../turns.rs")),
    ] {
        for function in text.split("\npub fn ").skip(1) {
            let name = function.split('(').next().unwrap();
            // What changes one row by its key cannot scan.
            let by_key =
                ["WHERE id = ?1", "WHERE seq = ?1", "WHERE number = ?1"].iter().any(|key| function.contains(key));
            let looks = function.contains("SELECT ")
                || ["UPDATE ", "DELETE "].iter().any(|word| function.contains(word)) && !by_key;
            assert!(!looks || here.contains(&format!("{module}::{name}(")), "{module}::{name} is not looked at");
        }
    }
}
