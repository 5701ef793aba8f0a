//! Plays one round in a world that runs, and brings everything to its end as people would: decides what is asked, says
//! what becomes of what was cut off, and starts again what does not come back by itself.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use serde_json::json;

use super::oracle;
use super::plan::*;
use crate::crash::things::PIXEL;
use crate::support::feishu_sim::{Say, SimMessage};
use crate::support::world::*;

/// What was said in a round.
#[derive(Debug, Clone)]
pub struct Sent {
    pub id: String,
    pub place: usize,
    pub what: What,
    /// Stands in its answer and nowhere else.
    pub mark: String,
    pub recalled: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    Task(Task),
    Steer,
    Stop,
    Typed(bool),
    /// A file without words of its own.
    File,
}

impl Sent {
    /// The command's effect, where it has one.
    pub fn nonce(&self) -> Option<String> {
        match self.what {
            What::Task(Task::Shell | Task::SlowShell | Task::Request) => Some(format!("n-{}", self.mark)),
            _ => None,
        }
    }
}

/// Everything that is known of a round from the outside.
pub struct Played {
    pub round: Round,
    /// The simulator had so many messages when it began.
    pub from: usize,
    pub sent: Vec<Sent>,
    /// By the message that they were about: cards on which *Allow* was pressed, and those on which a turn was to run again.
    pub allowed: BTreeMap<String, BTreeSet<String>>,
    pub resumed: BTreeMap<String, BTreeSet<String>>,
    /// The death that was to come came.
    pub died: bool,
    pub took: Duration,
    pub story: Vec<String>,
    pub problems: Vec<String>,
    /// Turns by outcome.
    pub outcomes: BTreeMap<String, usize>,
}

impl Played {
    /// Whether this death may end the supervisor, too.
    fn may_end_all(&self) -> bool {
        let Death { who, how, .. } = &self.round.death;
        matches!(who, Who::Supervisor | Who::All) || matches!(how, How::Power { .. })
    }
}

/// A button that was pressed.
struct Press {
    at: Instant,
    /// The platform's name for the click.
    click: String,
}

/// A long answer has so many.
pub const PARAGRAPHS: usize = 30;

/// A button that does nothing is pressed again after this.
const PRESS_AGAIN: Duration = Duration::from_millis(1500);

pub struct Player<'w> {
    world: &'w mut World,
    played: Played,
    began: Instant,
    /// By card and what it shows.
    pressed: BTreeMap<String, Press>,
    asleep: Vec<u32>,
    /// When something was last said about a picture that waited for words.
    worded: Option<Instant>,
    /// Waits for the bridge's death to end the runtime, too.
    follower: Option<tokio::task::JoinHandle<()>>,
}

enum Event {
    Step(Step),
    Death,
    Awake,
}

pub async fn play(world: &mut World, round: Round, patience: Duration) -> Played {
    let from = world.sim.messages_since(0).1;
    let played = Played {
        round,
        from,
        sent: Vec::new(),
        allowed: BTreeMap::new(),
        resumed: BTreeMap::new(),
        died: false,
        took: Duration::ZERO,
        story: Vec::new(),
        problems: Vec::new(),
        outcomes: BTreeMap::new(),
    };
    let began = Instant::now();
    let (pressed, asleep) = (BTreeMap::new(), Vec::new());
    let mut player = Player { world, played, began, pressed, asleep, worded: None, follower: None };
    player.act().await;
    player.come_to_rest(patience).await;
    let Player { world, mut played, .. } = player;
    played.took = began.elapsed();
    oracle::judge(world, &mut played, from);
    played
}

impl Player<'_> {
    fn note(&mut self, what: String) {
        self.played.story.push(format!("{:>6} ms  {what}", self.began.elapsed().as_millis()));
    }

    /// Everything at its time.
    async fn act(&mut self) {
        let round = self.played.round.clone();
        let mut events: Vec<(Duration, Event)> =
            round.steps.iter().map(|step| (step.at, Event::Step(step.clone()))).collect();
        events.push((round.death.after, Event::Death));
        if let How::Stop(ms) = round.death.how {
            events.push((round.death.after + Duration::from_millis(ms), Event::Awake));
        }
        events.sort_by_key(|(at, _)| *at);
        for (at, event) in events {
            tokio::time::sleep_until((self.began + at).into()).await;
            match event {
                Event::Step(step) => self.step(&step),
                Event::Death => self.die(),
                Event::Awake => {
                    let asleep = std::mem::take(&mut self.asleep);
                    asleep.iter().for_each(|pid| kill(*pid, "-CONT"));
                    self.note(format!("{asleep:?} go on"));
                }
            }
        }
    }

    // -------------------------------------------------------------------------------------------- people

    fn step(&mut self, step: &Step) {
        match step.deed {
            Deed::Ask(task) => self.ask(step.place, task),
            Deed::QueueOfFive => (0..5).for_each(|_| self.ask(step.place, Task::Words)),
            Deed::Steer => {
                let mark = self.mark();
                self.say(step.place, What::Steer, format!("/steer [[say {mark}]]"), mark);
            }
            Deed::Stop => {
                let mark = self.mark();
                self.say(step.place, What::Stop, "/stop".to_owned(), mark);
            }
            Deed::Type(yes) => {
                let mark = self.mark();
                self.say(step.place, What::Typed(yes), if yes { "y" } else { "n" }.to_owned(), mark);
            }
            Deed::Recall => {
                let newest = self.played.sent.iter_mut().rfind(|sent| sent.place == step.place && !sent.recalled);
                if let Some(sent) = newest {
                    sent.recalled = true;
                    let id = sent.id.clone();
                    self.world.sim.recall(&id);
                    self.note(format!("{id} is recalled"));
                }
            }
            Deed::Redeliver => {
                if let Some(sent) = self.played.sent.iter().rfind(|sent| sent.place == step.place) {
                    let id = sent.id.clone();
                    self.world.sim.redeliver(&id);
                    self.note(format!("{id} is delivered once more"));
                }
            }
            Deed::Press => {
                let chat = PLACES[step.place].chat;
                let card = self.cards().into_iter().rfind(|card| card.chat == chat);
                if let Some(card) = card {
                    self.press(&card);
                }
            }
        }
    }

    fn mark(&self) -> String {
        format!("w{}x{}.", self.played.round.seed, self.played.sent.len())
    }

    fn ask(&mut self, place: usize, task: Task) {
        let mark = self.mark();
        let command = format!("echo n-{mark} >> nonces");
        let text = match task {
            Task::Words => format!("[[say {mark}]]"),
            Task::Shell => format!("[[say At once]] [[shell {command}]] [[say {mark}]]"),
            Task::SlowShell => format!("[[say At once]] [[shell {command}; sleep 0.3]] [[say {mark}]]"),
            Task::Stream => format!("[[stream 15 20]] [[say {mark}]]"),
            Task::Long => format!("[[say {}]]", long(&mark)),
            Task::Request => format!("[[escalate {command}]] [[say {mark}]]"),
            Task::Question => format!("[[ask Which of both, {mark}?|Pears|Plums]] [[say {mark}]]"),
            Task::Picture => format!("[[say {mark}]]"),
            Task::Fails => format!("[[sleep 50]] [[fail 400]] {mark}"),
        };
        if task == Task::Picture && !PLACES[place].in_topic {
            self.picture(place);
        }
        self.say(place, What::Task(task), text, mark);
    }

    fn picture(&mut self, place: usize) {
        let Place { chat, .. } = PLACES[place];
        let mark = self.mark();
        let key = format!("img_{mark}");
        self.world.sim.add_resource(&key, "a.png", PIXEL);
        let raw = Some(("image".to_owned(), json!({ "image_key": key }).to_string()));
        let (chat, user) = (chat.to_owned(), PLACES[place].master().to_owned());
        let id = self.world.sim.post(Say { chat, user, raw, ..Say::default() });
        self.note(format!("{id}: a picture"));
        self.played.sent.push(Sent { id, place, what: What::File, mark, recalled: false });
    }

    fn say(&mut self, place: usize, what: What, text: String, mark: String) {
        let Place { chat, in_topic } = PLACES[place];
        let user = PLACES[place].master();
        let root = self.played.sent.iter().find(|sent| sent.place == place).map(|sent| sent.id.clone());
        let id = match (in_topic, root) {
            (true, Some(root)) => self.world.sim.reply(&root, user, &format!("@bot {text}")),
            (true, None) => self.world.sim.say(chat, user, &format!("@bot {text}")),
            (false, _) => self.world.sim.say(chat, user, &text),
        };
        let short: String = text.chars().take(90).collect();
        self.note(format!("{id} in place {place}: {short}"));
        self.played.sent.push(Sent { id, place, what, mark, recalled: false });
    }

    // -------------------------------------------------------------------------------------------- death

    fn die(&mut self) {
        let Death { who, how, when, .. } = self.played.round.death.clone();
        if let When::At(place) = when {
            let file = self.world.paths().crash_point();
            let runtime = self.world.pid("runtime").filter(|_| who == Who::Both);
            std::fs::write(&file, place).unwrap();
            self.follower = runtime.map(|runtime| tokio::spawn(end_after(file, runtime)));
            return self.note(format!("{who:?} to die at {place}"));
        }
        if let How::Power { rest } = how {
            let others = self.world.lose_power(rest);
            self.played.died = true;
            return self.note(format!("the power goes; {others} files are others than before"));
        }
        let mut pids = Vec::new();
        if matches!(who, Who::Supervisor | Who::All) {
            pids.extend(self.world.supervisor_pid());
        }
        if matches!(who, Who::Bridge | Who::Both | Who::All) {
            pids.extend(self.world.bridge_pid());
        }
        if matches!(who, Who::Runtime | Who::Both | Who::All) {
            pids.extend(self.world.pid("runtime"));
        }
        let signal = match how {
            How::Kill | How::Power { .. } => "-KILL",
            How::Term => "-TERM",
            How::Stop(_) => "-STOP",
        };
        pids.iter().for_each(|pid| kill(*pid, signal));
        self.played.died = !pids.is_empty();
        self.note(format!("{who:?} gets {signal}: {pids:?}"));
        if let How::Stop(_) = how {
            self.asleep = pids;
        }
    }

    // -------------------------------------------------------------------------------------------- the end

    /// Until nothing is under way and nothing is asked.
    async fn come_to_rest(&mut self, patience: Duration) {
        let crash_point = self.world.paths().crash_point();
        let mut quiet = 0;
        let mut delivered = Instant::now();
        let mut has_ended = false;
        loop {
            if !self.world.keep_running() {
                quiet = 0;
                if !self.played.may_end_all() && !has_ended {
                    has_ended = true;
                    self.played.problems.push("the supervisor ended, and nobody had ended it".to_owned());
                }
            }
            if delivered.elapsed() > Duration::from_millis(250) && self.world.sim.connections() > 0 {
                self.world.sim.deliver_again();
                delivered = Instant::now();
            }
            let cards = self.cards();
            let waits = oracle::what_is_under_way(self.world, &self.played);
            match (&waits, cards.is_empty()) {
                (None, true) => quiet += 1,
                _ => quiet = 0,
            }
            // Twice, because what was read first may have changed while the rest was read.
            if quiet >= 2 {
                break;
            }
            cards.iter().for_each(|card| self.press(card));
            if waits.as_deref().is_some_and(|waits| waits.ends_with(oracle::FILES_WAIT) && !waits.contains(',')) {
                self.say_what_the_file_is_for();
            }
            if self.began.elapsed() > patience {
                let shown: Vec<String> = cards.iter().map(SimMessage::text).collect();
                let waits = waits.unwrap_or_default();
                self.played.problems.push(format!("stuck: {waits}; cards that ask: {shown:?}"));
                let again: Vec<&SimMessage> = cards.iter().filter(|card| self.is_recorded(card)).collect();
                for card in again {
                    let about = card.replied_to.as_deref().unwrap_or("nothing");
                    let problem = format!("lost: what was pressed about {about} was taken, and it asks still");
                    self.played.problems.push(problem);
                }
                break;
            }
            tokio::time::sleep(Duration::from_millis(40)).await;
        }
        if let Some(follower) = self.follower.take() {
            follower.abort();
        }
        if let When::At(place) = self.played.round.death.when {
            self.played.died = std::fs::remove_file(crash_point).is_err();
            let died = if self.played.died { "died" } else { "did not come by" };
            self.note(format!("the bridge {died} at {place}"));
        }
        self.note("all is at rest".to_owned());
    }

    /// A picture whose words were recalled, or were an answer to a question, or came long before it.
    fn say_what_the_file_is_for(&mut self) {
        let newest = self.played.sent.iter().rfind(|sent| sent.what == What::File && !sent.recalled);
        let Some(place) = newest.map(|sent| sent.place) else { return };
        if self.worded.is_none_or(|at| at.elapsed() > Duration::from_secs(3)) {
            self.worded = Some(Instant::now());
            self.ask(place, Task::Words);
        }
    }

    /// The bot's cards of this round on which somebody is asked something.
    fn cards(&self) -> Vec<SimMessage> {
        let (all, _) = self.world.sim.messages_since(self.played.from);
        all.into_iter().filter(|card| card.by_bot() && way_on(card).is_some()).collect()
    }

    /// Whoever pressed was told that it is recorded.
    fn is_recorded(&self, card: &SimMessage) -> bool {
        let press = self.pressed.get(&key_of(card));
        press.and_then(|press| self.world.sim.toast(&press.click)).is_some_and(|kind| kind == "success")
    }

    fn press(&mut self, card: &SimMessage) {
        let Some((about, ways)) = way_on(card) else { return };
        let key = key_of(card);
        // What was told to be recorded is not pressed again, however long the card asks.
        if self.pressed.get(&key).is_some_and(|press| press.at.elapsed() < PRESS_AGAIN) || self.is_recorded(card) {
            return;
        }
        // By the words that were said and not by ids: those differ from run to run.
        let sent = self.played.sent.iter().find(|sent| sent.id == about);
        let (mark, place) = sent.map_or((String::new(), None), |sent| (sent.mark.clone(), Some(sent.place)));
        let again = self.played.resumed.get(&about).map_or(0, BTreeSet::len);
        let way = match again {
            // Nobody goes on for ever.
            3.. => ways[ways.len() - 1],
            _ => ways[self.played.round.choose(&format!("{mark}{}{again}", ways[0]), ways.len())],
        };
        let Some(value) = card.button(way) else { return };
        let of_card = |all: &mut BTreeMap<String, BTreeSet<String>>| {
            all.entry(about.clone()).or_default().insert(card.id.clone());
        };
        match way {
            "Allow once" => of_card(&mut self.played.allowed),
            "Continue" | "Run again" => of_card(&mut self.played.resumed),
            _ => {}
        }
        let user = place.map_or(OWNER, |place| PLACES[place].master());
        // Some press twice, which is as good as once.
        let times = 1 + usize::from(self.played.round.choose(&format!("{mark} twice {again}"), 5) == 0);
        let clicks: Vec<String> = (0..times).map(|_| self.world.sim.press(card, user, value.clone())).collect();
        self.pressed.insert(key, Press { at: Instant::now(), click: clicks[0].clone() });
        self.note(format!("{way:?} is pressed for {about}"));
    }
}

/// A card, and what it shows.
fn key_of(card: &SimMessage) -> String {
    format!("{}{}", card.id, card.content.len())
}

/// The runtime dies as soon as the bridge has died at its place.
async fn end_after(place: std::path::PathBuf, runtime: u32) {
    while place.exists() {
        tokio::time::sleep(Duration::from_millis(3)).await;
    }
    kill(runtime, "-KILL");
}

/// The message that a card is about, and the ways that it offers, where it waits for one of them.
fn way_on(card: &SimMessage) -> Option<(String, &'static [&'static str])> {
    if card.msg_type != "interactive" {
        return None;
    }
    let buttons = card.buttons();
    let has = |label: &str| buttons.iter().any(|button| button == label);
    let ways: &[&str] = if has("Allow once") {
        &["Allow once", "Allow once", "Decline"]
    } else if has("Pears") {
        &["Pears", "Plums"]
    } else if has("Dismiss") {
        match has("Continue") {
            true => &["Continue", "Run again", "Dismiss"],
            false => &["Run again", "Dismiss"],
        }
    } else if has("Do it") {
        &["Do it"]
    } else if has("Try again") {
        &["Try again"]
    } else if has("Skip") {
        &["Skip"]
    } else {
        return None;
    };
    Some((card.replied_to.clone().unwrap_or_default(), ways))
}

/// An answer of several messages, which begins and ends with the mark.
pub fn long(mark: &str) -> String {
    let paragraphs: String = (0..PARAGRAPHS).map(|n| format!("Paragraph {n}. {}\n\n", "word ".repeat(60))).collect();
    format!("{mark}\n\n{paragraphs}the end of {mark}")
}
