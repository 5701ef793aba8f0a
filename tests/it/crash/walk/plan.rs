//! What happens in a round, drawn from its seed: who says what and when, and who dies how at which moment.

use std::time::Duration;

use fastrand::Rng;

use crate::support::world::{GROUP, LI, OWNER, OWNER_CHAT};

/// Li's own chat with the bot, and a second group.
pub const LI_CHAT: &str = "oc_li";
pub const OTHER_GROUP: &str = "oc_works";

/// A round's conversations: two chats, two topics of a group, one topic of another.
pub const PLACES: [Place; 5] = [
    Place { chat: OWNER_CHAT, in_topic: false },
    Place { chat: LI_CHAT, in_topic: false },
    Place { chat: GROUP, in_topic: true },
    Place { chat: GROUP, in_topic: true },
    Place { chat: OTHER_GROUP, in_topic: true },
];

#[derive(Debug, Clone, Copy)]
pub struct Place {
    pub chat: &'static str,
    pub in_topic: bool,
}

impl Place {
    /// Who decides and presses buttons here.
    pub fn master(self) -> &'static str {
        if self.chat == LI_CHAT { LI } else { OWNER }
    }
}

/// What a message asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Task {
    Words,
    /// Words, then a command, then more words.
    Shell,
    /// The command takes a while.
    SlowShell,
    Stream,
    Long,
    Request,
    Question,
    Picture,
    Fails,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deed {
    Ask(Task),
    QueueOfFive,
    /// Words for whatever runs.
    Steer,
    Stop,
    /// `y` or `n`, typed.
    Type(bool),
    /// Takes the newest message of the conversation back.
    Recall,
    /// The platform delivers the newest message of the conversation again.
    Redeliver,
    /// Presses the newest button that asks for a decision.
    Press,
}

#[derive(Debug, Clone)]
pub struct Step {
    pub at: Duration,
    /// Index into [`PLACES`].
    pub place: usize,
    pub deed: Deed,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Who {
    Bridge,
    Runtime,
    /// The bridge, and the runtime right after it.
    Both,
    Supervisor,
    All,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum How {
    Kill,
    Term,
    /// Stands still for so long.
    Stop(u64),
    /// All ends, and of ally's files is left what was synced; also, or not, what was never synced at all.
    Power {
        rest: bool,
    },
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum When {
    /// The next time that it comes by this place.
    At(&'static str),
    Now,
}

#[derive(Debug, Clone)]
pub struct Death {
    pub after: Duration,
    pub who: Who,
    pub how: How,
    pub when: When,
}

/// What rounds may hold.
#[derive(Debug, Clone, Copy)]
pub struct Cast {
    /// The program has named places.
    pub has_places: bool,
    /// It is known what a disk would keep.
    pub has_power: bool,
    /// Only these places and tasks, where any are named.
    pub places: &'static [&'static str],
    pub tasks: &'static [Task],
    /// Whoever dies there takes the runtime along.
    pub with_runtime: bool,
}

#[derive(Debug, Clone)]
pub struct Round {
    pub seed: u64,
    pub steps: Vec<Step>,
    pub death: Death,
}

/// Places that a running daemon passes on the way of a message.
pub const ON_THE_WAY: [&str; 26] = [
    "w1.before",
    "w1.after",
    "w1b.before",
    "w1b.after",
    "w2.before",
    "w2.after",
    "w2.told",
    "w3.before",
    "w3.after",
    "w4.before",
    "w4.after",
    "w5.before",
    "w5.after",
    "w5a.before",
    "w5a.after",
    "w5a.told",
    "gate.over.before",
    "gate.over.after",
    "w6.before",
    "w6.after",
    "w7.before",
    "w7.told",
    "w7.after",
    "commit.middle",
    "commit.after",
    "card.told",
];

impl Round {
    pub fn draw(seed: u64, cast: Cast) -> Self {
        // Neighbouring seeds begin alike in this generator.
        let mut rng = Rng::with_seed(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x5ce6_d572);
        let mut steps = Vec::new();
        for place in 0..PLACES.len() {
            let mut at = rng.u64(0..150);
            for _ in 0..rng.usize(1..=3) {
                let deed = deed(&mut rng, place, cast.tasks);
                steps.push(Step { at: Duration::from_millis(at), place, deed });
                at += rng.u64(0..180);
                for deed in beside(&mut rng, deed) {
                    at += rng.u64(0..120);
                    steps.push(Step { at: Duration::from_millis(at), place, deed });
                }
            }
        }
        steps.sort_by_key(|step| step.at);
        Self { seed, steps, death: death(&mut rng, cast) }
    }

    /// A choice that belongs to something of the round, whatever happened before it.
    pub fn choose(&self, what: &str, among: usize) -> usize {
        let hash = what.bytes().fold(self.seed ^ 0xcbf2_9ce4_8422_2325, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
        });
        Rng::with_seed(hash).usize(0..among)
    }
}

fn deed(rng: &mut Rng, place: usize, only: &[Task]) -> Deed {
    // Nobody in Li's own chat may decide but the owner, who is not there.
    let may_ask = PLACES[place].chat != LI_CHAT;
    if !only.is_empty() {
        let task = only[rng.usize(0..only.len())];
        let asks = matches!(task, Task::Request | Task::Question);
        return Deed::Ask(if asks && !may_ask { Task::Words } else { task });
    }
    Deed::Ask(match rng.u8(0..100) {
        0..20 => Task::Words,
        20..42 => Task::Shell,
        42..52 => Task::SlowShell,
        52..60 => Task::Stream,
        60..66 => Task::Long,
        66..84 if may_ask => Task::Request,
        66..84 => Task::Shell,
        84..90 if may_ask => Task::Question,
        84..90 => Task::Words,
        90..93 => Task::Picture,
        93..95 => Task::Fails,
        _ => return Deed::QueueOfFive,
    })
}

fn beside(rng: &mut Rng, deed: Deed) -> Vec<Deed> {
    let mut beside = Vec::new();
    match deed {
        Deed::Ask(Task::Request | Task::Question) => match rng.u8(0..10) {
            0..5 => beside.push(Deed::Press),
            5 => beside.push(Deed::Type(true)),
            6 => beside.push(Deed::Type(false)),
            _ => {}
        },
        Deed::Ask(Task::SlowShell | Task::Stream) => match rng.u8(0..10) {
            0..3 => beside.push(Deed::Steer),
            3..5 => beside.push(Deed::Stop),
            _ => {}
        },
        _ => {}
    }
    match rng.u8(0..20) {
        0 => beside.push(Deed::Recall),
        1..4 => beside.push(Deed::Redeliver),
        4 => beside.push(Deed::Stop),
        _ => {}
    }
    beside
}

fn death(rng: &mut Rng, cast: Cast) -> Death {
    let after = Duration::from_millis(rng.u64(0..450));
    if cast.has_power {
        let how = How::Power { rest: rng.bool() };
        return Death { after, who: Who::All, how, when: When::Now };
    }
    if cast.has_places && !cast.places.is_empty() {
        let when = When::At(cast.places[rng.usize(0..cast.places.len())]);
        let who = if cast.with_runtime { Who::Both } else { Who::Bridge };
        return Death { after, who, how: How::Kill, when };
    }
    if cast.has_places && rng.u8(0..100) < 45 {
        let when = When::At(ON_THE_WAY[rng.usize(0..ON_THE_WAY.len())]);
        let who = if rng.u8(0..100) < 35 { Who::Both } else { Who::Bridge };
        return Death { after, who, how: How::Kill, when };
    }
    let who = match rng.u8(0..100) {
        0..35 => Who::Runtime,
        35..45 => Who::Both,
        45..65 => Who::Bridge,
        65..82 => Who::Supervisor,
        _ => Who::All,
    };
    let how = match rng.u8(0..100) {
        0..66 => How::Kill,
        66..84 => How::Term,
        _ => How::Stop(rng.u64(100..800)),
    };
    Death { after, who, how, when: When::Now }
}
