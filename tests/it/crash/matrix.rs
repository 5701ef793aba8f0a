//! Who dies (bridge, runtime, supervisor, all) × how (KILL, TERM, standing still for a while) × what was going on, nine
//! things at once in a world each: exactly one outcome of each, and nothing twice. Where only the bridge died, or nobody
//! did, everything goes on.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use ally::ledger::{LedgerError, Transaction};
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::death::find;
use super::walk::inputs;
use crate::support::feishu_sim::{Fault, SimMessage};
use crate::support::world::*;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Who {
    Bridge,
    Runtime,
    Supervisor,
    All,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum How {
    Kill,
    Term,
    /// Stands still for three seconds.
    Stop,
}

const HOW: [How; 3] = [How::Kill, How::Term, How::Stop];

const TEXT: &str = "oc_text";
const TOOL: &str = "oc_tool";
const REQUEST: &str = "oc_request";
const QUESTION: &str = "oc_question";
const STEER: &str = "oc_steer";
const STOP: &str = "oc_stop";
const QUEUE: &str = "oc_queue";
const UPLOAD: &str = "oc_upload";
const LONG: &str = "oc_long";
const CHATS: [&str; 9] = [TEXT, TOOL, REQUEST, QUESTION, STEER, STOP, QUEUE, UPLOAD, LONG];

const SETTINGS: &str = "[conversation]\nparallel = 12\n[turn]\ngrace = \"300ms\"\n";
/// So many worlds at a time: each begins nine threads at once.
static ROOM: Semaphore = Semaphore::const_new(3);
/// A button that does nothing is pressed again after this.
const PRESS_AGAIN: Duration = Duration::from_secs(2);

struct Play {
    world: World,
    who: Who,
    how: How,
    /// Messages that ask for something, by chat, in their order.
    said: BTreeMap<&'static str, Vec<String>>,
    steer: String,
    pressed: BTreeMap<String, Instant>,
    /// Cards on which somebody said what becomes of a turn that was cut, by the message.
    dismissed: BTreeMap<String, BTreeSet<String>>,
}

fn paragraphs(count: usize) -> String {
    (0..count).map(|n| format!("Paragraph {n}. {}\n\n", "word ".repeat(60))).collect()
}

impl Play {
    async fn begin(who: Who, how: How) -> Self {
        let mut world = World::prepare(Kind::Codex, SETTINGS).await;
        world.add_chats(&CHATS);
        world.set_faults(&["restart at once"]);
        world.up().await;
        let (said, pressed) = (BTreeMap::new(), BTreeMap::new());
        let mut play = Self { world, who, how, said, steer: String::new(), pressed, dismissed: BTreeMap::new() };
        play.get_everything_under_way().await;
        play
    }

    fn say(&mut self, chat: &'static str, text: &str) -> String {
        let message = self.world.sim.say(chat, OWNER, text);
        self.said.entry(chat).or_default().push(message.clone());
        message
    }

    fn only(&self, chat: &str) -> &str {
        &self.said[chat][0]
    }

    /// Each of the nine is in its middle when this returns. What would be over by itself comes last.
    async fn get_everything_under_way(&mut self) {
        let tool = "echo n1 >> nonces.txt; while [ ! -e go ]; do sleep 0.1; done; echo n2 >> nonces.txt";
        self.say(TOOL, &format!("[[shell {tool}]] [[say done]]"));
        self.say(STEER, "[[shell echo 1 > steer.txt; while [ ! -e go ]; do sleep 0.1; done]] [[say unsteered]]");
        self.say(STOP, "[[shell echo 1 > stop.txt; sleep 300]] [[say never]]");
        for file in ["nonces.txt", "steer.txt", "stop.txt"] {
            self.world.patiently(3, file, |_| self.below(file)).await;
        }
        let approved = self.world.file("approved.txt");
        let request = self.say(REQUEST, &format!("[[escalate echo n1 >> {}]] [[say allowed]]", approved.display()));
        let question = self.say(QUESTION, "[[ask Which one?|Alpha|Beta]] [[say thanks]]");
        for (message, label) in [(&request, "Allow once"), (&question, "2 Beta")] {
            let asks = |world: &World| world.cards(message).iter().find_map(|card| card.button(label));
            self.world.patiently(3, label, asks).await;
        }
        self.say(TEXT, "[[stream 160 50]]");
        let first = self.say(QUEUE, "[[stream 160 50]]");
        let begun = |_: &World| (self.outcomes(&first) == ["running"]).then_some(());
        self.world.patiently(3, "the first of the queue to begin", begun).await;
        (0..5).for_each(|n| drop(self.say(QUEUE, &format!("[[say queued {n}]]"))));
        let upload = "POST /open-apis/im/v1/files";
        self.world.sim.fault(upload, Fault::Delay(Duration::from_secs(2)), 1);
        self.say(UPLOAD, &format!("[[say {}]]", paragraphs(200)));
        let uploads = |world: &World| world.sim.requests().iter().any(|line| line.starts_with(upload)).then_some(());
        self.world.patiently(3, "the upload", uploads).await;
        let long = self.say(LONG, &format!("[[say {}]]", paragraphs(30)));
        let first_part = |world: &World| world.sim.answers_to(&long).into_iter().find(is_answer);
        self.world.patiently(3, "the first part", first_part).await;
        self.steer = self.world.sim.say(STEER, OWNER, "/steer [[say steered]]");
        let stop = self.world.sim.say(STOP, OWNER, "/stop");
        self.world.sim.wait_ack(&self.steer).await;
        self.world.sim.wait_ack(&stop).await;
    }

    /// The file of this name that a command wrote.
    fn below(&self, file: &str) -> Option<PathBuf> {
        find(&self.world.home.path().join("ally/workspaces"), file)
    }

    /// What waits for us goes on.
    fn let_commands_end(&self) {
        for file in ["nonces.txt", "steer.txt"] {
            std::fs::write(self.below(file).unwrap().with_file_name("go"), "").unwrap();
        }
    }

    async fn die(&mut self) {
        let mut pids = Vec::new();
        if matches!(self.who, Who::Supervisor | Who::All) {
            pids.extend(self.world.supervisor_pid());
        }
        if matches!(self.who, Who::Runtime | Who::All) {
            pids.extend(self.world.pid("runtime"));
        }
        if matches!(self.who, Who::Bridge | Who::All) {
            pids.extend(self.world.bridge_pid());
        }
        let wanted = if self.who == Who::All { 3 } else { 1 };
        assert_eq!(pids.len(), wanted, "{:?}", self.who);
        let signal = match self.how {
            How::Kill => "-KILL",
            How::Term => "-TERM",
            How::Stop => "-STOP",
        };
        pids.iter().for_each(|pid| kill(*pid, signal));
        if self.how == How::Stop {
            tokio::time::sleep(Duration::from_secs(3)).await;
            pids.iter().for_each(|pid| kill(*pid, "-CONT"));
        }
    }

    /// The runtime lived through it, and so did all that it did.
    fn goes_on(&self) -> bool {
        self.who == Who::Bridge || self.how == How::Stop
    }

    // -------------------------------------------------------------------------------------------- people

    /// People answer what is asked and dismiss what was cut, until nothing is under way.
    async fn come_to_rest(&mut self) -> Vec<String> {
        let until = Instant::now() + 3 * PATIENCE;
        let mut quiet = 0;
        while quiet < 2 {
            if !self.world.keep_running() {
                quiet = 0;
            }
            self.world.sim.deliver_again();
            let asking: Vec<SimMessage> = self.cards().filter(|card| way_on(card).is_some()).collect();
            let under_way = self.under_way();
            quiet = if asking.is_empty() && under_way.is_empty() { quiet + 1 } else { 0 };
            asking.iter().for_each(|card| self.press(card));
            if Instant::now() > until {
                let asking: Vec<String> = asking.iter().map(SimMessage::text).collect();
                return vec![format!("stuck: {under_way:?}, and cards ask {asking:?}")];
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        Vec::new()
    }

    fn cards(&self) -> impl Iterator<Item = SimMessage> {
        let all = CHATS.iter().flat_map(|chat| self.world.sim.messages(chat)).collect::<Vec<_>>();
        all.into_iter().filter(|one| one.by_bot() && one.msg_type == "interactive")
    }

    fn press(&mut self, card: &SimMessage) {
        let Some(label) = way_on(card) else { return };
        let key = format!("{} {label}", card.id);
        if self.pressed.get(&key).is_some_and(|at| at.elapsed() < PRESS_AGAIN) {
            return;
        }
        self.pressed.insert(key, Instant::now());
        if label == "Dismiss" {
            let about = card.replied_to.clone().unwrap_or_default();
            self.dismissed.entry(about).or_default().insert(card.id.clone());
        }
        let value: Value = card.button(label).unwrap_or(json!(null));
        self.world.sim.press(card, OWNER, value);
    }

    fn under_way(&self) -> Vec<String> {
        let all: Vec<String> = self.said.values().flatten().cloned().collect();
        let look = |tx: &Transaction<'_>| under_way(tx, &all);
        match ally::ledger::report::offline(&self.world.paths().ledger, look) {
            Ok(Some(under_way)) => under_way,
            other => vec![format!("the ledger cannot be read: {:?}", other.err())],
        }
    }

    // -------------------------------------------------------------------------------------------- the oracle

    fn judge(&self) -> Vec<String> {
        let mut problems = Vec::new();
        let words: [(&str, &[&str]); 5] = [
            (TEXT, &["w160"]),
            (TOOL, &["done"]),
            (REQUEST, &["allowed"]),
            (QUESTION, &["thanks"]),
            (STEER, &["unsteered", "steered"]),
        ];
        for (chat, last_words) in words {
            problems.extend(self.one_outcome(chat, self.only(chat), last_words));
        }
        let queue = &self.said[QUEUE];
        problems.extend(self.one_outcome(QUEUE, &queue[0], &["w160"]));
        for (n, message) in queue[1..].iter().enumerate() {
            problems.extend(self.one_outcome(QUEUE, message, &[&format!("queued {n}")]));
        }
        problems.extend(self.order_of_the_queue());
        problems.extend(self.steered());
        problems.extend(self.stopped());
        problems.extend(self.long_answers());
        problems.extend(self.effects());
        for card in self.cards() {
            problems.extend(still_claims(&card).map(|what| format!("a card {what}: {}", card.text())));
        }
        let broken = self.world.ledger(ally::ledger::check::run);
        problems.extend(broken.into_iter().map(|broken| format!("ally doctor ledger: {broken:?}")));
        if self.goes_on() {
            let void = self.world.ledger(|tx| {
                let sql = "SELECT count(*) FROM gates WHERE state <> 'answered'";
                Ok(tx.query_row(sql, [], |row| row.get::<_, i64>(0))?)
            });
            problems.extend((void > 0).then(|| format!("{void} requests were not answered")));
        }
        problems
    }

    /// Outcomes of the turns that answer a message.
    fn outcomes(&self, message: &str) -> Vec<String> {
        self.world.ledger(|tx| {
            let sql = "SELECT coalesce(outcome, state) FROM turns WHERE reply_to = ?1 ORDER BY id";
            let mut statement = tx.prepare(sql)?;
            let rows = statement.query_map([message], |row| row.get(0))?;
            Ok(rows.collect::<Result<Vec<String>, _>>()?)
        })
    }

    /// The answer, or somebody was asked what becomes of it; never both.
    fn one_outcome(&self, chat: &str, message: &str, last_words: &[&str]) -> Option<String> {
        let (answers, outcomes) = (self.world.answers(message), self.outcomes(message));
        let asked = self.dismissed.get(message).map_or(0, BTreeSet::len);
        let whole = answers.iter().all(|said| last_words.iter().any(|word| said.said().ends_with(word)));
        let fits = match outcomes.as_slice() {
            [one] if one == "completed" => answers.len() == 1 && asked == 0 && whole,
            [one] if one == "interrupted" || one == "lost" => answers.is_empty() && asked == 1 && !self.goes_on(),
            _ => false,
        };
        let answers: Vec<String> = answers.iter().map(SimMessage::text).collect();
        (!fits).then(|| format!("{chat}: {outcomes:?}, answered {answers:?}, asked about {asked} times"))
    }

    fn order_of_the_queue(&self) -> Option<String> {
        let all = self.world.sim.messages(QUEUE).into_iter().filter(SimMessage::by_bot).map(|one| one.said());
        let order: Vec<String> = all.filter(|said| said.starts_with("queued ")).collect();
        (!order.is_sorted()).then(|| format!("the queue went on in another order: {order:?}"))
    }

    /// Taken by the agent, named where the turn was cut, or a turn of its own.
    fn steered(&self) -> Option<String> {
        // Its receipt is that of the task which took it.
        let (seq, steer) = self.world.ledger(|tx| {
            let sql = "SELECT seq, coalesce(steer, '') FROM inbound WHERE message_id = ?1";
            Ok(tx.query_row(sql, [&self.steer], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?)))?)
        });
        let heard = inputs(&self.world).get(&format!("steer.{seq}")).copied().unwrap_or(0);
        let taken = steer == "taken" && heard == 1;
        let named = self.world.cards(self.only(STEER)).iter().any(|card| card.text().contains("steered"));
        let own = self.world.answers(&self.steer).iter().filter(|said| said.said() == "steered").count();
        (own > 1 || !(taken || own == 1 || (named && !self.goes_on()))).then(|| {
            format!("the words for the running task: {steer}, heard {heard} times, named {named}, {own} answers")
        })
    }

    fn stopped(&self) -> Option<String> {
        let (answers, outcomes) = (self.world.answers(self.only(STOP)), self.outcomes(self.only(STOP)));
        let ended = match outcomes.as_slice() {
            [one] if one == "interrupted" => true,
            [one] if one == "lost" => !self.goes_on(),
            _ => false,
        };
        let never = answers.iter().all(|said| !said.text().contains("never"));
        (!ended || !never).then(|| format!("what was stopped ended as {outcomes:?}"))
    }

    fn said_to(&self, chat: &str) -> impl Iterator<Item = SimMessage> {
        self.world.sim.answers_to(self.only(chat)).into_iter().filter(is_answer)
    }

    /// They had been committed before anything died: each is there, whole and once.
    fn long_answers(&self) -> Vec<String> {
        let mut problems = Vec::new();
        let parts: Vec<SimMessage> = self.said_to(LONG).collect();
        let whole: String = parts.iter().map(|part| part.text()).collect();
        let places: Vec<_> = (0..30).map(|n| whole.find(&format!("Paragraph {n}."))).collect();
        if whole.matches("Paragraph ").count() != 30 || !places.is_sorted() || places[0].is_none() {
            problems.push(format!("the long answer came in {} parts, its paragraphs at {places:?}", parts.len()));
        }
        let parts: Vec<SimMessage> = self.said_to(UPLOAD).collect();
        let files = parts.iter().filter(|part| part.msg_type == "file").count();
        if (parts.len(), files) != (2, 1) {
            problems.push(format!("of the uploaded answer there are {} messages, {files} files", parts.len()));
        }
        problems
    }

    /// What commands did, they did at most once, and once where they came to their end.
    fn effects(&self) -> Vec<String> {
        let tool = self.below("nonces.txt").unwrap_or_default();
        let done = |chat: &str| self.outcomes(self.only(chat)) == ["completed"];
        let wanted = [
            (TOOL, self.world.nonces(&tool), vec!["n1", "n2"]),
            (REQUEST, self.world.nonces(&self.world.file("approved.txt")), vec!["n1"]),
        ];
        let mut problems = Vec::new();
        for (chat, nonces, all) in wanted {
            let missing = done(chat) && all.iter().any(|nonce| !nonces.contains_key(*nonce));
            if missing || nonces.values().any(|times| *times > 1) {
                problems.push(format!("{chat}: its commands ran {nonces:?}"));
            }
        }
        problems
    }
}

/// What is not at rest, by kind.
fn under_way(tx: &Transaction<'_>, said: &[String]) -> Result<Vec<String>, LedgerError> {
    let sql = "SELECT 'turns ' || state, count(*) FROM turns WHERE state <> 'settled' GROUP BY state
        UNION ALL SELECT 'messages ' || state, count(*) FROM messages WHERE state IN ('ready', 'sending') GROUP BY state
        UNION ALL SELECT 'cards', count(*) FROM surfaces
            WHERE state <> 'gone' AND (shown_hash IS NULL OR shown_hash <> wanted_hash) HAVING count(*) > 0
        UNION ALL SELECT 'inbound ' || state, count(*) FROM inbound WHERE state IN ('received', 'waiting') GROUP BY state";
    let mut statement = tx.prepare(sql)?;
    let rows = statement.query_map([], |row| Ok(format!("{} {}", row.get::<_, i64>(1)?, row.get::<_, String>(0)?)))?;
    let mut under_way: Vec<String> = rows.collect::<Result<_, _>>()?;
    let mut statement = tx.prepare("SELECT 1 FROM inbound WHERE message_id = ?1")?;
    for message in said {
        if !statement.exists([message])? {
            under_way.push(format!("{message} has not come"));
        }
    }
    Ok(under_way)
}

/// A long answer is a card as well, but has no buttons and no header, and never changes.
fn is_answer(one: &SimMessage) -> bool {
    let is_plain = || {
        let card: Value = serde_json::from_str(&one.content).unwrap_or_default();
        card["header"].is_null() && one.history.is_empty() && one.buttons().is_empty()
    };
    one.by_bot() && (one.msg_type != "interactive" || is_plain())
}

/// What somebody presses on a card that waits for him.
fn way_on(card: &SimMessage) -> Option<&'static str> {
    ["Allow once", "2 Beta", "Dismiss", "Do it"].into_iter().find(|label| card.button(label).is_some())
}

/// What a card claims that is not so when everything is over.
fn still_claims(card: &SimMessage) -> Option<&'static str> {
    let has = |labels: &[&str]| labels.iter().any(|label| card.button(label).is_some());
    if has(&["Stop", "Keep waiting"]) || card.text().contains("Running") {
        return Some("says that something runs");
    }
    if has(&["Steer", "Cancel"]) {
        return Some("says that something waits");
    }
    has(&["Allow", "Decline", "Send", "Skip", "Alpha"]).then_some("asks something")
}

async fn play(who: Who, how: How) -> Vec<String> {
    let _room = ROOM.acquire().await.expect("it is never closed");
    let began = Instant::now();
    let mut play = Play::begin(who, how).await;
    let died = began.elapsed();
    play.die().await;
    play.let_commands_end();
    let mut problems = play.come_to_rest().await;
    problems.extend(play.judge());
    eprintln!("{who:?} {how:?}: at {} ms of {} ms, {problems:?}", died.as_millis(), began.elapsed().as_millis());
    if !problems.is_empty() {
        let lines: Vec<String> = CHATS
            .iter()
            .flat_map(|chat| play.world.sim.messages(chat))
            .map(|one| {
                format!("  {} {} {}: {:.200}", one.chat, one.sender, one.msg_type, one.text().replace('\n', " / "))
            })
            .collect();
        eprintln!("{}\n{}", lines.join("\n"), play.world.log());
    }
    problems.into_iter().map(|problem| format!("{who:?} {how:?}: {problem}")).collect()
}

/// The three ways, each in a world of its own.
async fn in_every_way(who: Who) {
    let mut worlds = JoinSet::new();
    HOW.into_iter().for_each(|how| drop(worlds.spawn(play(who, how))));
    let problems: Vec<String> = worlds.join_all().await.into_iter().flatten().collect();
    assert!(problems.is_empty(), "{problems:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_bridge_dies_in_the_middle_of_everything() {
    in_every_way(Who::Bridge).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_runtime_dies_in_the_middle_of_everything() {
    in_every_way(Who::Runtime).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_supervisor_dies_in_the_middle_of_everything() {
    in_every_way(Who::Supervisor).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn all_die_in_the_middle_of_everything() {
    in_every_way(Who::All).await;
}
