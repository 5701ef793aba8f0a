//! Whatever a ledger holds and whatever is forgotten of it: it stays sound, nothing that anybody still waits for is touched,
//! and of what is over and old no word is left.

use ally::domain::action::Action;
use ally::domain::delivery::{Body, Target};
use ally::domain::gate::{Ask, Decision};
use ally::domain::ids::*;
use ally::domain::level::Level;
use ally::domain::message::ChatKind;
use ally::domain::risk::Class;
use ally::domain::rule::Judged;
use ally::domain::turn::{Outcome, TurnEvent, TurnState};
use ally::domain::view::{Lang, NoticeView, View};
use ally::ledger::conversations::{HeldWhy, NewConversation};
use ally::ledger::gates::NewGate;
use ally::ledger::inbound::{Admission, InboundState, NewInbound};
use ally::ledger::messages::NewMessage;
use ally::ledger::surfaces::{Picture, SurfaceKind, Wanted};
use ally::ledger::turns::{NewTurn, Settlement, Submission};
use ally::ledger::{Ledger, LedgerError, LedgerLock, Places, Transaction};
use ally::ledger::{
    audit, buttons, check, conversations, gates, generations, inbound, messages, prune, surfaces, turns,
};
use proptest::prelude::*;

/// No word of ally's own.
const WORDS: &str = "quokka";
const DAY_MS: i64 = 86_400_000;
const NOW_MS: i64 = 1000 * DAY_MS;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum What {
    Command,
    /// Somebody is asked whether it is still wanted.
    Late,
    /// It was not wanted any more.
    Unwanted,
    Companion,
    Received,
    Queued,
    Submitting,
    Running,
    Waiting,
    Settled(Outcome, Told, Rest),
}

/// How far its answer came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Told {
    Sent,
    Undeliverable,
    Ready,
    Sending,
}

/// What is left of a turn after its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rest {
    Nothing,
    /// It holds its conversation.
    Holds,
    /// A queued turn goes on with it.
    Continued,
}

impl What {
    fn is_over(self) -> bool {
        match self {
            What::Command | What::Unwanted => true,
            What::Settled(_, told, rest) => told == Told::Sent && rest == Rest::Nothing,
            _ => false,
        }
    }
}

fn what() -> impl Strategy<Value = What> {
    use What::*;
    let outcome = prop::sample::select(vec![
        Outcome::Completed,
        Outcome::Failed,
        Outcome::Interrupted,
        Outcome::Lost,
        Outcome::Cancelled,
    ]);
    let told = prop::sample::select(vec![Told::Sent, Told::Sent, Told::Undeliverable, Told::Ready, Told::Sending]);
    let rest = prop::sample::select(vec![Rest::Nothing, Rest::Nothing, Rest::Nothing, Rest::Holds, Rest::Continued]);
    prop_oneof![
        4 => prop::sample::select(vec![Command, Late, Unwanted, Companion, Received, Queued, Submitting, Running, Waiting]),
        5 => (outcome, told, rest).prop_map(|(outcome, told, rest)| Settled(outcome, told, rest)),
    ]
}

/// One message in a chat of its own, and what became of it.
struct Story {
    what: What,
    at_ms: i64,
    seq: InboundSeq,
}

fn text() -> String {
    format!("{WORDS} {}", WORDS.repeat(40))
}

fn tell(tx: &Transaction<'_>, n: usize, what: What, at_ms: i64, process: Generation) -> Result<Story, LedgerError> {
    let chat = ChatId::new(format!("chat-{n}"));
    let row = NewInbound {
        channel: "c".into(),
        dedupe_key: format!("m{n}"),
        kind: "message",
        state: InboundState::Received,
        reason: None,
        chat: Some(chat.clone()),
        chat_kind: Some("direct"),
        message: Some(format!("m{n}").into()),
        sender: Some("u".into()),
        raw: Some(text()),
        sent_at_ms: Some(at_ms),
        received_at_ms: at_ms,
    };
    let Admission::New(seq) = inbound::admit(tx, &row)? else { panic!("{n} is new") };
    audit::note(tx, "u", "did", "", "", at_ms)?;
    match what {
        What::Received => {}
        What::Command => {
            inbound::resolve(tx, seq, InboundState::Command, None, None)?;
            let reply = say(tx, (None, None), &chat, None, at_ms)?;
            messages::sent(tx, &reply, Some(&format!("reply {n}").into()), at_ms)?;
            card(tx, None, &chat, SurfaceKind::Notice, &format!("command:{}", seq.0), true, at_ms)?;
        }
        What::Late => {
            inbound::resolve(tx, seq, InboundState::Waiting, Some("late"), None)?;
            card(tx, None, &chat, SurfaceKind::Stale, &format!("late:{}", seq.0), false, at_ms)?;
        }
        What::Unwanted => {
            inbound::resolve(tx, seq, InboundState::Cancelled, Some("late"), None)?;
            card(tx, None, &chat, SurfaceKind::Stale, &format!("late:{}", seq.0), true, at_ms)?;
        }
        What::Companion => inbound::resolve(tx, seq, InboundState::Waiting, Some("companion"), None)?,
        _ => turn_of(tx, n, what, at_ms, (process, seq, chat))?,
    }
    Ok(Story { what, at_ms, seq })
}

fn turn_of(
    tx: &Transaction<'_>,
    n: usize,
    what: What,
    at_ms: i64,
    (process, seq, chat): (Generation, InboundSeq, ChatId),
) -> Result<(), LedgerError> {
    let place = NewConversation {
        channel: "c".into(),
        chat: chat.clone(),
        chat_kind: ChatKind::Direct,
        root: None,
        routine: None,
        topic: None,
        directory: "/d".into(),
        lang: Lang::En,
        runtime_kind: "r".to_owned(),
        runtime_home: "/h".to_owned(),
    };
    let conversation = conversations::resolve(tx, &place, at_ms)?.id;
    let new = NewTurn {
        conversation: conversation.clone(),
        ord: None,
        requester: "u".into(),
        requester_name: "U".to_owned(),
        title: text(),
        reply_to: None,
        prompt: ally::bridge::prompt_of(&text()),
        continues: None,
        directory: None,
        network_by: None,
        not_before_ms: 0,
    };
    let turn = turns::insert(tx, &new, at_ms)?;
    let read = || turns::get(tx, &turn);
    inbound::resolve(tx, seq, InboundState::Turn, None, Some(&turn))?;
    if matches!(what, What::Queued | What::Settled(Outcome::Cancelled, ..)) {
        return match what {
            What::Settled(outcome, told, rest) => end(tx, (&new, &turn), (outcome, told, rest), at_ms),
            _ => Ok(()),
        };
    }
    let submission = Submission {
        thread: format!("thread-{n}").into(),
        cursor: None,
        generation: process,
        boot_id: "boot".to_owned(),
        position: None,
        at_ms,
        level: Level::Edit,
        network: false,
    };
    turns::submit(tx, &read()?, &submission)?;
    card(tx, Some(&conversation), &chat, SurfaceKind::Live, turn.as_str(), false, at_ms)?;
    if what == What::Submitting {
        return Ok(());
    }
    turns::started(tx, &read()?, &format!("native-{n}").into(), at_ms)?;
    if what == What::Running {
        return Ok(());
    }
    let gate = NewGate {
        conversation: conversation.clone(),
        turn: turn.clone(),
        number: 1,
        generation: process,
        native: format!("gate-{n}").into(),
        ask: Ask::Permissions { wanted: vec![text()], directory: "/d".to_owned(), network_only: false },
        claim: Some(text()),
        choices: Vec::new(),
        judged: Judged { class: Class::Unknown, why: Some(text()), sandboxed: false, needs_network: false },
        card: None,
        repeats: None,
        opened_at_ms: at_ms,
    };
    let gate = gates::open(tx, &gate)?.expect("it is new");
    turns::advance(tx, &read()?, TurnEvent::GateOpened)?;
    let is_over = what != What::Waiting;
    card(tx, Some(&conversation), &chat, SurfaceKind::Gate, gate.as_str(), is_over, at_ms)?;
    card(tx, Some(&conversation), &chat, SurfaceKind::Notice, &format!("near:{gate}:{turn}"), is_over, at_ms)?;
    let action = Action::Allow { gate: gate.clone() };
    let bits = ButtonId::from_bits(n as u128);
    buttons::ensure(tx, &"c".into(), &chat, gate.as_str(), &action, bits, at_ms)?;
    let What::Settled(outcome, told, rest) = what else { return Ok(()) };
    let decision = Decision::Decline { reason: Some(text()) };
    gates::decide(tx, &gates::get(tx, &gate)?, &decision, &"u".into(), "U", at_ms)?;
    gates::answering(tx, &gates::get(tx, &gate)?)?;
    gates::resolved(tx, &gates::get(tx, &gate)?)?;
    turns::advance(tx, &read()?, TurnEvent::GatesClosed)?;
    end(tx, (&new, &turn), (outcome, told, rest), at_ms)
}

fn say(
    tx: &Transaction<'_>,
    (conversation, turn): (Option<&ConversationId>, Option<&TurnId>),
    chat: &ChatId,
    sending: Option<i64>,
    at_ms: i64,
) -> Result<DeliveryId, LedgerError> {
    let new = NewMessage {
        conversation: conversation.cloned(),
        turn: turn.cloned(),
        channel: "c".into(),
        target: Target { chat: chat.clone(), reply_to: None, in_topic: false },
        body: Body::Notice { text: text() },
        lang: Lang::En,
        after: None,
        sending,
    };
    messages::insert(tx, &new, at_ms)
}

/// A card that people see, with words in it.
fn card(
    tx: &Transaction<'_>,
    conversation: Option<&ConversationId>,
    chat: &ChatId,
    kind: SurfaceKind,
    subject: &str,
    is_final: bool,
    at_ms: i64,
) -> Result<(), LedgerError> {
    let wanted = Wanted {
        kind,
        subject: subject.to_owned(),
        conversation: conversation.cloned(),
        channel: "c".into(),
        target: Target { chat: chat.clone(), reply_to: None, in_topic: false },
        lang: Lang::En,
        picture: Some(Picture::Card(Box::new(View::Notice(NoticeView { text: text(), buttons: Vec::new() })))),
        not_before_ms: 0,
        is_final,
        create_final: true,
    };
    surfaces::want(tx, &wanted, at_ms)?;
    let found = surfaces::find(tx, kind, subject)?.expect("it is wanted");
    if found.platform_id.is_none() {
        surfaces::creating(tx, &found.id, at_ms)?;
    }
    surfaces::shown(tx, &found.id, Some(&format!("card of {subject}")), Some(&found.wanted_hash), 0, at_ms)
}

fn end(
    tx: &Transaction<'_>,
    (new, turn): (&NewTurn, &TurnId),
    (outcome, told, rest): (Outcome, Told, Rest),
    at_ms: i64,
) -> Result<(), LedgerError> {
    let conversation = conversations::get(tx, &new.conversation)?;
    let how = Settlement { answer: Some(text()), ..Settlement::default() };
    turns::settle(tx, &turns::get(tx, turn)?, outcome, &how, at_ms)?;
    // It waited, and something was asked about it.
    card(tx, Some(&conversation.id), &conversation.chat, SurfaceKind::Queue, turn.as_str(), true, at_ms)?;
    for subject in [format!("failed:{turn}"), format!("recalled:{turn}"), format!("watchdog:{turn}:1")] {
        card(tx, Some(&conversation.id), &conversation.chat, SurfaceKind::Notice, &subject, false, at_ms)?;
    }
    let waited = format!("held:{}:{at_ms}", conversation.id);
    card(tx, Some(&conversation.id), &conversation.chat, SurfaceKind::Notice, &waited, true, at_ms)?;
    if outcome != Outcome::Cancelled {
        card(tx, Some(&conversation.id), &conversation.chat, SurfaceKind::Live, turn.as_str(), true, at_ms)?;
    }
    if outcome == Outcome::Lost {
        card(tx, Some(&conversation.id), &conversation.chat, SurfaceKind::Interrupted, turn.as_str(), true, at_ms)?;
    }
    let sending = (told != Told::Ready).then_some(at_ms);
    let delivery = say(tx, (Some(&conversation.id), Some(turn)), &conversation.chat, sending, at_ms)?;
    match told {
        Told::Sent => messages::sent(tx, &delivery, Some(&format!("answer {turn}").into()), at_ms)?,
        Told::Undeliverable => messages::undeliverable(tx, &delivery, "gone")?,
        Told::Ready | Told::Sending => {}
    }
    match rest {
        Rest::Nothing => Ok(()),
        Rest::Holds => conversations::hold(tx, &conversation.id, HeldWhy::Lost, Some(turn)),
        Rest::Continued => {
            let next = NewTurn { continues: Some(turn.clone()), ..new.clone() };
            turns::insert(tx, &next, at_ms).map(drop)
        }
    }
}

/// What was asked is decided, what waited is told or will never be: all but what a runtime has, and what just came.
fn end_all(tx: &Transaction<'_>, stories: &[Story]) -> Result<(), LedgerError> {
    for message in messages::due(tx, NOW_MS, usize::MAX)?.heads {
        messages::sent(tx, &message.id, Some(&format!("at last {}", message.id).into()), NOW_MS)?;
    }
    for story in stories {
        let row = inbound::get(tx, story.seq)?;
        if let What::Late | What::Companion = story.what {
            inbound::resolve(tx, story.seq, InboundState::Cancelled, row.reason.as_deref(), None)?;
        }
        if story.what == What::Late {
            let chat = row.chat.clone().expect("it came in a chat");
            card(tx, None, &chat, SurfaceKind::Stale, &format!("late:{}", story.seq.0), true, story.at_ms)?;
        }
        let Some(turn) = &row.turn else { continue };
        let conversation = turns::get(tx, turn)?.conversation;
        if matches!(story.what, What::Settled(_, _, Rest::Holds)) {
            conversations::release(tx, &conversation)?;
        }
        for waiting in turns::unsettled(tx, &conversation)?.iter().filter(|turn| turn.state == TurnState::Queued) {
            turns::settle(tx, waiting, Outcome::Cancelled, &Settlement::default(), NOW_MS)?;
        }
    }
    Ok(())
}

/// All rows of a story as they are, in words.
fn rows(file: &rusqlite::Connection, story: &Story) -> String {
    const OF_TURN: &str = "(SELECT turn FROM inbound WHERE seq = ?1)";
    let of_turn_or_gate =
        format!("IN (SELECT turn FROM inbound WHERE seq = ?1 UNION SELECT id FROM gates WHERE turn = {OF_TURN})");
    let all = [
        "SELECT * FROM inbound WHERE seq = ?1".to_owned(),
        format!("SELECT * FROM turns WHERE id = {OF_TURN}"),
        format!("SELECT * FROM turns WHERE continues = {OF_TURN}"),
        format!("SELECT * FROM gates WHERE turn = {OF_TURN}"),
        format!("SELECT * FROM messages WHERE turn = {OF_TURN} ORDER BY id"),
        "SELECT * FROM messages WHERE turn IS NULL AND chat = (SELECT chat FROM inbound WHERE seq = ?1)".to_owned(),
        "SELECT * FROM surfaces WHERE subject IN ('late:' || ?1, 'command:' || ?1)".to_owned(),
        format!(
            "SELECT * FROM surfaces WHERE conversation = (SELECT conversation FROM turns WHERE id = {OF_TURN}) ORDER BY id"
        ),
        format!("SELECT * FROM surfaces WHERE subject {of_turn_or_gate} ORDER BY id"),
        format!("SELECT * FROM buttons WHERE subject {of_turn_or_gate} ORDER BY id"),
    ];
    let mut told = String::new();
    for sql in all {
        let mut statement = file.prepare(&sql).unwrap();
        let columns = statement.column_count();
        let mut rows = statement.query([story.seq.0]).unwrap();
        while let Some(row) = rows.next().unwrap() {
            for column in 0..columns {
                told += &format!("{:?} ", row.get::<_, rusqlite::types::Value>(column).unwrap());
            }
            told.push('\n');
        }
    }
    told
}

async fn play(events: Vec<(What, i64)>, keep_days: i64, audit_days: i64, step_rows: u32) {
    let dir = tempfile::tempdir().unwrap();
    let places = Places { file: dir.path().join("ledger.db"), backups: dir.path().join("backups") };
    let lock = LedgerLock::take(&dir.path().join("lock"), &places.file).unwrap();
    let ledger = Ledger::open(&places, &lock).unwrap();
    let stories = ledger.write(move |tx| {
        let process = generations::begin(tx, "r", "/h", 0)?;
        generations::live(tx, process, "1")?;
        let tell = |(n, (what, at_ms)): (usize, &(What, i64))| tell(tx, n, *what, *at_ms, process);
        events.iter().enumerate().map(tell).collect::<Result<Vec<_>, _>>()
    });
    let stories = stories.await.unwrap();
    assert_eq!(ledger.read(check::run).await.unwrap(), [], "as it was made");
    let file = rusqlite::Connection::open(&places.file).unwrap();
    let before: Vec<String> = stories.iter().map(|story| rows(&file, story)).collect();
    let (before_ms, audit_before_ms) = (NOW_MS - keep_days * DAY_MS, NOW_MS - audit_days * DAY_MS);
    let step = prune::Step { now_ms: NOW_MS, before_ms, audit_before_ms, rows: step_rows };
    while ledger.write(move |tx| prune::step(tx, step)).await.unwrap() {}
    assert_eq!(ledger.read(check::run).await.unwrap(), [], "after it has forgotten");
    for (story, before) in stories.iter().zip(before) {
        let now = rows(&file, story);
        if story.what.is_over() && story.at_ms < before_ms {
            assert!(!now.contains(WORDS), "{:?} is over and old, and has words left:\n{now}", story.what);
        } else {
            assert_eq!(now, before, "{:?} is not over, or not old", story.what);
        }
    }
    let stories = ledger.write(move |tx| end_all(tx, &stories).map(|()| stories)).await.unwrap();
    let late = prune::Step { now_ms: NOW_MS + 2 * DAY_MS, before_ms: NOW_MS + DAY_MS, ..step };
    while ledger.write(move |tx| prune::step(tx, late)).await.unwrap() {}
    assert_eq!(ledger.read(check::run).await.unwrap(), [], "after it has forgotten all");
    for story in &stories {
        let now = rows(&file, story);
        let is_kept = matches!(story.what, What::Settled(_, Told::Undeliverable, _));
        let is_over =
            !is_kept && !matches!(story.what, What::Received | What::Submitting | What::Running | What::Waiting);
        assert_eq!(!now.contains(WORDS), is_over, "{:?} was passed by before:\n{now}", story.what);
    }
    let kept = ledger.read(|tx| audit::since(tx, None, 0, u32::MAX)).await.unwrap();
    assert_eq!(kept.len(), stories.iter().filter(|story| story.at_ms >= audit_before_ms).count());
    ledger.close().await;
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_not_over_stays_as_it_is_and_of_the_rest_no_word(
        mut events in proptest::collection::vec((what(), 0..1000_i64), 1..40),
        keep_days in 0..1000_i64,
        audit_more in 0..400_i64,
        step_rows in 1..20_u32,
    ) {
        // Rows come in the order of time.
        events.sort_by_key(|(_, day)| *day);
        let events = events.into_iter().map(|(what, day)| (what, day * DAY_MS)).collect();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(play(events, keep_days, keep_days + audit_more, step_rows));
    }
}
