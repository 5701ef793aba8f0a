//! What must be so when a round is over, by somebody who knows all that was said and pressed: nothing lost, nothing
//! doubled, nothing left hanging.

use std::collections::{BTreeMap, BTreeSet};

use ally::ledger::{LedgerError, Transaction};

use super::plan::*;
use super::play::{PARAGRAPHS, Played, Sent, What};
use crate::support::feishu_sim::SimMessage;
use crate::support::world::*;

/// What the ledger says of one message.
#[derive(Debug, Clone, Default)]
struct Known {
    /// The number of its row.
    seq: i64,
    /// State, reason and steer of its row.
    row: Option<(String, Option<String>, Option<String>)>,
    /// Turns that answer it, oldest first.
    turns: Vec<KnownTurn>,
    /// The turn that it is part of has ended.
    has_ended: bool,
    /// Requests of its turns that their process took along.
    void: i64,
}

#[derive(Debug, Clone)]
struct KnownTurn {
    id: String,
    state: String,
    outcome: Option<String>,
    /// Why it was stopped, if it was.
    stopped: Option<String>,
    /// It was given to the runtime so often.
    attempts: i64,
    /// Somebody allowed something in it.
    allowed: bool,
    /// Words were added to it.
    was_steered: bool,
}

impl KnownTurn {
    fn ended_as(&self, outcome: &str) -> bool {
        self.outcome.as_deref() == Some(outcome)
    }

    /// It was cut off by no wish of a person: he is asked what becomes of it.
    fn was_cut_off(&self) -> bool {
        let by_shutdown = self.stopped.as_deref() == Some("shutdown");
        self.ended_as("lost") || (self.ended_as("interrupted") && by_shutdown)
    }
}

fn look(tx: &Transaction<'_>, message: &str) -> Result<Known, LedgerError> {
    let row = "SELECT i.state, i.reason, i.steer, t.state IS NULL OR t.state = 'settled', i.seq
               FROM inbound i LEFT JOIN turns t ON t.id = i.turn WHERE i.message_id = ?1 AND i.kind = 'message'";
    let mut statement = tx.prepare(row)?;
    let mut rows = statement
        .query_map([message], |row| Ok(((row.get(0)?, row.get(1)?, row.get(2)?), row.get(3)?, row.get(4)?)))?;
    let (row, has_ended, seq) = match rows.next().transpose()? {
        Some((row, ended, seq)) => (Some(row), ended, seq),
        None => (None, false, 0),
    };
    let turns = "SELECT id, state, outcome, stop_reason, attempt,
                   EXISTS (SELECT 1 FROM gates g WHERE g.turn = t.id AND g.decision LIKE '%\"allow\"%'),
                   EXISTS (SELECT 1 FROM inbound i WHERE i.turn = t.id AND i.steer IN ('sent', 'taken'))
                 FROM turns t WHERE reply_to = ?1 ORDER BY created_at_ms, id";
    let mut statement = tx.prepare(turns)?;
    let turns = statement.query_map([message], |row| {
        let (id, state, outcome, stopped) = (row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?);
        Ok(KnownTurn {
            id,
            state,
            outcome,
            stopped,
            attempts: row.get(4)?,
            allowed: row.get(5)?,
            was_steered: row.get(6)?,
        })
    })?;
    let turns = turns.collect::<Result<_, _>>()?;
    let void = "SELECT count(*) FROM gates g JOIN turns t ON t.id = g.turn WHERE t.reply_to = ?1 AND g.state = 'void'";
    let void = tx.query_row(void, [message], |row| row.get(0))?;
    Ok(Known { seq, row, turns, has_ended, void })
}

/// How many rows there are of each kind that is not at rest.
const AT_WORK: &str = "SELECT 'turns ' || state, count(*) FROM turns WHERE state <> 'settled' GROUP BY state
    UNION ALL SELECT 'messages ' || state, count(*) FROM messages WHERE state IN ('ready', 'sending') GROUP BY state
    UNION ALL SELECT 'cards', count(*) FROM surfaces
        WHERE state <> 'gone' AND (shown_hash IS NULL OR shown_hash <> wanted_hash) HAVING count(*) > 0
    UNION ALL SELECT 'inbound ' || state, count(*) FROM inbound WHERE state IN ('received', 'waiting') GROUP BY state";

/// What is under way where nothing but files without words wait.
pub const FILES_WAIT: &str = " inbound waiting";

/// Why it is not over yet, if it is not.
pub fn what_is_under_way(world: &World, played: &Played) -> Option<String> {
    let file = world.home.path().join("ally/ledger.db");
    let look = |tx: &Transaction<'_>| {
        let mut statement = tx.prepare(AT_WORK)?;
        let rows =
            statement.query_map([], |row| Ok(format!("{} {}", row.get::<_, i64>(1)?, row.get::<_, String>(0)?)))?;
        let mut under_way: Vec<String> = rows.collect::<Result<_, _>>()?;
        let mut statement = tx.prepare("SELECT 1 FROM inbound WHERE message_id = ?1")?;
        for sent in played.sent.iter().filter(|sent| !sent.recalled) {
            if !statement.exists([&sent.id])? {
                under_way.push(format!("{} has not come", sent.id));
            }
        }
        Ok(under_way)
    };
    match ally::ledger::report::offline(&file, look) {
        Ok(Some(under_way)) if under_way.is_empty() => None,
        Ok(Some(under_way)) => Some(under_way.join(", ")),
        other => Some(format!("the ledger cannot be read now: {:?}", other.err())),
    }
}

/// Compares what is there with what was said; what does not fit goes into `problems`.
pub fn judge(world: &World, played: &mut Played, from: usize) {
    let seen = world.sim.messages_since(from).0;
    let done = Done { effects: nonces(world), inputs: inputs(world) };
    let mut problems = Vec::new();
    played.outcomes.clear();
    for sent in played.sent.clone() {
        let known = world.ledger(|tx| look(tx, &sent.id));
        for turn in &known.turns {
            *played.outcomes.entry(turn.outcome.clone().unwrap_or_default()).or_default() += 1;
        }
        let judged = Judged { kind: world.kind, played, sent: &sent, known: &known, seen: &seen, done: &done };
        let mut found = judged.all();
        if !found.is_empty() {
            found.push(format!("   known of it: {known:?}"));
            found.extend(
                judged.replies().map(|one| format!("   it was told ({}): {}", one.msg_type, short(&one.text()))),
            );
        }
        problems.extend(found.into_iter().map(|problem| format!("{} ({:?}): {problem}", sent.id, sent.what)));
    }
    for card in seen.iter().filter(|one| one.by_bot() && one.msg_type == "interactive") {
        problems.extend(still_claims(card).map(|what| format!("a card {what}: {}", short(&card.text()))));
    }
    for broken in world.ledger(ally::ledger::check::run) {
        problems.push(format!("ally doctor ledger: {broken:?}"));
    }
    played.problems.extend(problems);
}

/// From the other side: whatever the bot said in all these rounds was said about something that somebody had said, and no
/// mark stands where nobody asked for it. Rounds that are over were judged before; nothing may have become of them since.
pub fn judge_all(world: &World, rounds: &mut [Played]) -> Vec<String> {
    let mut problems = Vec::new();
    let all = world.sim.messages_since(0).0;
    let sent: BTreeMap<String, Sent> =
        rounds.iter().flat_map(|played| &played.sent).map(|sent| (sent.id.clone(), sent.clone())).collect();
    for one in all.iter().filter(|one| one.by_bot()) {
        match one.replied_to.as_ref().map(|about| (about, sent.get(about))) {
            None if !is_free(one) => problems.push(format!("{} was said to nobody: {}", one.id, short(&one.text()))),
            Some((about, None)) => {
                problems.push(format!("{} was said about {about}, which nobody said: {}", one.id, short(&one.text())));
            }
            _ => {}
        }
    }
    let answers: Vec<(&SimMessage, String)> =
        all.iter().filter(|one| one.by_bot() && is_answer(one)).map(|one| (one, one.text())).collect();
    for one in sent.values().filter(|one| matches!(one.what, What::Task(_) | What::Steer)) {
        let known = world.ledger(|tx| look(tx, &one.id));
        let completed = known.turns.iter().filter(|turn| turn.ended_as("completed")).count();
        // A steer stands in the answer of the turn that took it, what answered a question in that of the turn that asked.
        let has_answered = known.row.as_ref().is_some_and(|(state, ..)| state == "decision");
        let most = match one.what {
            // At its beginning and at its end.
            What::Task(Task::Long) => 2 * completed.max(has_answered.into()),
            What::Steer => completed.max(1),
            _ => completed.max(has_answered.into()),
        };
        let holds = |text: &str| text.contains(one.mark.as_str());
        let places: Vec<String> = (answers.iter().filter(|(_, text)| holds(text)))
            .map(|(answer, text)| format!("to {:?}: {}", answer.replied_to, short(text)))
            .collect();
        if places.len() > most {
            let (id, what) = (&one.id, one.what);
            problems.push(format!(
                "doubled: the mark of {id} ({what:?}) stands in {places:#?}, in {most} it is due; {known:?}"
            ));
        }
    }
    for played in rounds {
        let former = std::mem::take(&mut played.problems);
        judge(world, played, played.from);
        problems
            .extend(played.problems.iter().map(|problem| format!("later, of round {}: {problem}", played.round.seed)));
        played.problems = former;
    }
    problems
}

/// What may be said without anybody having said something: to the owner, about ally itself, and where the message that it
/// would answer was taken back.
fn is_free(one: &SimMessage) -> bool {
    one.chat == OWNER_CHAT || one.parent.is_none()
}

/// What the runtime did and was told, in all rounds.
struct Done {
    /// How often each command had its effect.
    effects: BTreeMap<String, usize>,
    /// How often the runtime took each input, by our id without the attempt.
    inputs: BTreeMap<String, usize>,
}

struct Judged<'a> {
    kind: Kind,
    played: &'a Played,
    sent: &'a Sent,
    known: &'a Known,
    seen: &'a [SimMessage],
    done: &'a Done,
}

impl Judged<'_> {
    fn all(&self) -> Vec<String> {
        let mut problems = Vec::new();
        problems.extend(self.one_outcome());
        problems.extend(self.answers());
        problems.extend(self.other_ends());
        problems.extend(self.effects());
        problems.extend(self.inputs());
        problems.extend(self.receipt());
        problems.extend(self.doubled_words());
        problems
    }

    fn replies(&self) -> impl Iterator<Item = &SimMessage> {
        self.seen.iter().filter(|one| one.by_bot() && one.replied_to.as_ref() == Some(&self.sent.id))
    }

    /// How many cards about it were pressed. The cards of what is recalled answer nothing any more.
    fn pressed(&self, all: &BTreeMap<String, BTreeSet<String>>) -> usize {
        let of = |about: &str| all.get(about).map_or(0, BTreeSet::len);
        of(&self.sent.id) + if self.sent.recalled { of("") } else { 0 }
    }

    fn completed(&self) -> usize {
        self.known.turns.iter().filter(|turn| turn.ended_as("completed")).count()
    }

    /// How many of its turns certainly did all that it asks for. codex heeds what it was told last: words that were added
    /// at once may be all that it does.
    fn certainly_done(&self) -> usize {
        let heeds_the_last = self.kind == Kind::Codex;
        let turns = self.known.turns.iter().filter(|turn| turn.ended_as("completed"));
        turns.filter(|turn| !(heeds_the_last && turn.was_steered)).count()
    }

    /// It is recorded, came to an end, and became as many turns as people wanted.
    fn one_outcome(&self) -> Vec<String> {
        let Some((state, reason, steer)) = &self.known.row else {
            let problem = (!self.sent.recalled).then(|| "lost: it is not in the ledger".to_owned());
            return problem.into_iter().collect();
        };
        let mut problems = Vec::new();
        if !self.known.has_ended || matches!(state.as_str(), "received" | "waiting") {
            problems.push(format!("stuck: it is {state} ({reason:?})"));
        }
        let turns = self.known.turns.len();
        let most = 1 + self.pressed(&self.played.resumed);
        if turns > most {
            problems.push(format!("doubled: {turns} turns where at most {most} were wanted"));
        }
        let is_own = state == "turn" && steer.is_none() && !matches!(self.sent.what, What::File);
        if is_own && turns == 0 {
            problems.push("lost: it became a turn, and there is none".to_owned());
        }
        if matches!(self.sent.what, What::Task(_)) && !self.sent.recalled && !self.may_become(state) {
            problems.push(format!("lost: it became {state} ({reason:?}), and nobody asked for that"));
        }
        // Only so many may wait. What is more is marked, and told once a minute.
        let is_marked = |one: &SimMessage| one.id == self.sent.id && one.receipts() == ["CrossMark"];
        let is_full = reason.as_deref() == Some("queue full") && self.seen.iter().any(is_marked);
        // Nor does a word decide what nobody had seen.
        let is_early = reason.as_deref() == Some("shortcut") && matches!(self.sent.what, What::Typed(_));
        let was_told = self.replies().filter(|one| is_answer(one)).count() == 1;
        if state == "refused" && !(is_full || (was_told && is_early)) {
            problems.push(format!("lost: it was refused ({reason:?})"));
        }
        if self.known.void > 0 && self.goes_on() {
            problems.push(format!("{} requests are void, and their process lives", self.known.void));
        }
        for turn in &self.known.turns {
            let outcome = turn.outcome.as_deref().unwrap_or("none");
            if turn.state != "settled" || !self.may_end_as(outcome) {
                problems.push(format!("a turn ended as {outcome}, and nothing was done that explains it"));
            }
            if outcome == "lost" && turn.attempts == 0 {
                problems.push("lost: a turn that was never given to the runtime".to_owned());
            }
        }
        problems
    }

    /// What may become of a task that nobody took back.
    fn may_become(&self, state: &str) -> bool {
        let beside = |is: &dyn Fn(&Sent) -> bool| {
            self.played.sent.iter().any(|sent| sent.place == self.sent.place && sent.id != self.sent.id && is(sent))
        };
        match state {
            "turn" | "refused" => true,
            // Words after a question are its answer.
            "decision" => beside(&|sent| matches!(sent.what, What::Task(Task::Question | Task::Request))),
            "cancelled" => beside(&|sent| sent.what == What::Stop || sent.recalled),
            _ => false,
        }
    }

    /// Whether something happened in this round that lets a turn end so.
    fn may_end_as(&self, outcome: &str) -> bool {
        let Death { who, how, .. } = &self.played.round.death;
        let of_place =
            |what: What| self.played.sent.iter().any(|sent| sent.place == self.sent.place && sent.what == what);
        let recalled = self.played.sent.iter().any(|sent| sent.place == self.sent.place && sent.recalled);
        let stopped = of_place(What::Stop) || recalled;
        // Its bridge may live a moment longer, also where both are killed.
        let has_drained = matches!(who, Who::Supervisor | Who::All);
        match outcome {
            "completed" => true,
            "failed" => self.sent.what == What::Task(Task::Fails),
            // A drain is a wish to stop as well; a supervisor that dies has its bridge drain.
            "interrupted" => stopped || (self.played.died && (*how == How::Term || has_drained)),
            "cancelled" => stopped,
            "lost" => self.played.died && !matches!(how, How::Stop(_)) && !self.goes_on(),
            "merged" => self.sent.what == What::Steer,
            _ => false,
        }
    }

    /// Whatever died, the runtime did not.
    fn goes_on(&self) -> bool {
        self.played.round.death.who == Who::Bridge
    }

    /// Each answer is there once, and whole.
    fn answers(&self) -> Option<String> {
        if !matches!(self.sent.what, What::Task(_) | What::Steer) {
            return None;
        }
        let (mark, completed) = (&self.sent.mark, self.completed());
        if self.sent.recalled {
            // The answer to what is not there any more stands somewhere else, or was not sent.
            return None;
        }
        let texts: Vec<String> = self.replies().filter(|one| is_answer(one)).map(SimMessage::text).collect();
        let count = |needle: &str| texts.iter().filter(|text| text.contains(needle)).count();
        let times: Vec<usize> = match self.sent.what {
            What::Task(Task::Long) => {
                let parts = (0..PARAGRAPHS).map(|n| format!("Paragraph {n}. "));
                parts.chain([format!("the end of {mark}")]).map(|part| count(&part)).collect()
            }
            _ => vec![count(mark)],
        };
        if let Some(more) = times.iter().find(|times| **times > completed) {
            return Some(format!("doubled: {completed} turns are done, and their answer is there {more} times"));
        }
        let least = self.certainly_done();
        if times.iter().any(|times| *times < least) {
            return Some(format!("lost: {completed} turns are done, and their answer is there {times:?} times"));
        }
        let one_after_another = texts.join("\n");
        let shown: Vec<usize> = (one_after_another.match_indices("Paragraph "))
            .filter_map(|(at, word)| one_after_another[at + word.len()..].split('.').next()?.parse().ok())
            .collect();
        let as_written: Vec<usize> = (0..times[0]).flat_map(|_| 0..PARAGRAPHS).collect();
        let is_long = self.sent.what == What::Task(Task::Long);
        (is_long && shown != as_written).then(|| format!("its parts are out of order: {shown:?}"))
    }

    /// An end without an answer is told as well, once.
    fn other_ends(&self) -> Vec<String> {
        if self.sent.recalled || !matches!(self.sent.what, What::Task(_)) {
            return Vec::new();
        }
        // Somebody may have decided before it could be shown.
        let says = |one: &SimMessage, any: &[&str]| {
            let mut shown = one.history.iter().chain([&one.content]);
            one.msg_type == "interactive" && shown.any(|content| any.iter().any(|words| content.contains(words)))
        };
        let tells_the_cut = |one: &SimMessage| says(one, &["the task did not finish"]);
        let tells_a_failure = |one: &SimMessage| says(one, &["Run again", "chosen by"]) && !tells_the_cut(one);
        let turns = |is: &dyn Fn(&KnownTurn) -> bool| self.known.turns.iter().filter(|turn| is(turn)).count();
        let cut_off =
            ("was cut off", turns(&KnownTurn::was_cut_off), self.replies().filter(|one| tells_the_cut(one)).count());
        let failed = (
            "failed",
            turns(&|turn| turn.ended_as("failed")),
            self.replies().filter(|one| tells_a_failure(one)).count(),
        );
        let mut problems = Vec::new();
        for (what, turns, cards) in [cut_off, failed] {
            let kind = if cards > turns { "doubled" } else { "lost" };
            if cards != turns {
                problems.push(format!("{kind}: {turns} of its turns {what}, and {cards} cards say so"));
            }
        }
        problems
    }

    /// What a command did, it did as often as it was run, and never without having been allowed.
    fn effects(&self) -> Option<String> {
        let effects = self.done.effects.get(&self.sent.nonce()?).copied().unwrap_or(0);
        let turns = self.known.turns.len();
        if effects > turns {
            return Some(format!("doubled: its command ran {effects} times in {turns} turns"));
        }
        let due = match self.sent.what {
            What::Task(Task::Request) => {
                let typed = |sent: &&Sent| sent.place == self.sent.place && sent.what == What::Typed(true);
                let allowed = self.pressed(&self.played.allowed) + self.played.sent.iter().filter(typed).count();
                if effects > allowed {
                    return Some(format!("doubled: its command ran {effects} times and was allowed {allowed} times"));
                }
                self.known.turns.iter().filter(|turn| turn.ended_as("completed") && turn.allowed).count()
            }
            _ => self.certainly_done(),
        };
        (effects < due).then(|| format!("lost: its command ran {effects} times and was due {due} times"))
    }

    /// The runtime took what a turn asks for once, however often it was given.
    fn inputs(&self) -> Option<String> {
        let steer = format!("steer.{}", self.known.seq);
        let heard = self.done.inputs.get(&steer).copied().unwrap_or(0);
        let was_taken = self.known.row.as_ref().is_some_and(|(_, _, steer)| steer.as_deref() == Some("taken"));
        if heard > 1 {
            return Some(format!("doubled: the runtime took these added words {heard} times"));
        }
        if was_taken && heard == 0 {
            return Some("lost: they count as added, and the runtime never took them".to_owned());
        }
        let doubled =
            self.known.turns.iter().find(|turn| self.done.inputs.get(&turn.id).is_some_and(|times| *times > 1))?;
        Some(format!(
            "doubled: the runtime took the words of turn {} {} times",
            doubled.id, self.done.inputs[&doubled.id]
        ))
    }

    /// One sign under it, and the last one.
    fn receipt(&self) -> Option<String> {
        let is_task = matches!(self.sent.what, What::Task(_)) && !self.known.turns.is_empty();
        let message = self.seen.iter().find(|one| one.id == self.sent.id).filter(|one| is_task && !one.recalled)?;
        let newest = self.known.turns.last()?;
        let due = if newest.ended_as("completed") || newest.ended_as("merged") { "DONE" } else { "CrossMark" };
        let receipts = message.receipts();
        (receipts != [due]).then(|| format!("its receipts are {receipts:?}, where {due} is due"))
    }

    /// ally's own words about it are not said twice.
    fn doubled_words(&self) -> Option<String> {
        let mut said: BTreeMap<String, usize> = BTreeMap::new();
        for one in self.replies().filter(|one| is_answer(one) && one.msg_type != "file") {
            *said.entry(one.content.clone()).or_default() += 1;
        }
        let most = self.known.turns.len().max(1);
        let (text, times) = said.into_iter().find(|(_, times)| *times > most)?;
        Some(format!("doubled: it was told {times} times {}", short(&text)))
    }
}

/// A long answer is a card as well, but has no buttons and no header, and never changes.
fn is_answer(one: &SimMessage) -> bool {
    let is_plain = || {
        let card: serde_json::Value = serde_json::from_str(&one.content).unwrap_or_default();
        card["header"].is_null() && one.history.is_empty() && one.buttons().is_empty()
    };
    one.msg_type != "interactive" || is_plain()
}

/// What a card claims that is not so when everything is over.
fn still_claims(card: &SimMessage) -> Option<&'static str> {
    let buttons = card.buttons();
    let has = |labels: &[&str]| labels.iter().any(|label| buttons.iter().any(|button| button == label));
    if has(&["Stop", "Keep waiting"]) || card.text().contains("Running") {
        return Some("says that something runs");
    }
    if has(&["Steer", "Cancel", "Cancel all"]) {
        return Some("says that something waits");
    }
    has(&["Allow once", "Decline", "Send", "Skip", "Pears", "Do it"]).then_some("asks something")
}

/// How often each effect happened, in all directories.
fn nonces(world: &World) -> BTreeMap<String, usize> {
    let mut all = BTreeMap::new();
    let folders = std::fs::read_dir(world.home.path().join("ally/workspaces")).into_iter().flatten().flatten();
    for folder in folders {
        for (nonce, times) in world.nonces(&folder.path().join("nonces")) {
            *all.entry(nonce).or_default() += times;
        }
    }
    all
}

/// How often the runtime took each input of ours, by its id without the attempt, out of the runtime's own files.
pub fn inputs(world: &World) -> BTreeMap<String, usize> {
    let home = world.home.path().join("ally");
    let (mut folders, mut all) = (vec![home.join("embedded"), home.join("codex/sessions")], BTreeMap::new());
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let text = std::fs::read_to_string(&path).unwrap_or_default();
            for id in text.lines().filter_map(input) {
                // A turn's has the attempt behind it, added words have the number of their row.
                let is_added = id.starts_with("steer.");
                let (own, _) = id.rsplit_once('.').filter(|_| !is_added).unwrap_or((&id, ""));
                *all.entry(own.to_owned()).or_default() += 1;
            }
        }
    }
    all
}

/// Our id of an input that a line of a runtime's history tells.
fn input(line: &str) -> Option<String> {
    let line: serde_json::Value = serde_json::from_str(line).ok()?;
    let ended = &line["payload"]["item"];
    let is_ours = line["line"] == "input";
    let is_codex = line["payload"]["type"] == "item_completed" && ended["type"] == "UserMessage";
    let id = if is_ours { &line["client"] } else { &ended["client_id"] };
    (is_ours || is_codex).then(|| id.as_str().map(str::to_owned))?
}

fn short(text: &str) -> String {
    text.replace('\n', " / ").chars().take(160).collect()
}
