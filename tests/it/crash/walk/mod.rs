//! A random walk: rounds of random messages, clicks, recalls and redeliveries, each with one death at a random moment or
//! at a named place, from a seed; and an oracle that knows what was said. `./ally.sh crash` runs as many as one wants, the
//! tests a fixed set.

mod faults;
mod oracle;
mod plan;
mod play;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

pub(super) use self::oracle::inputs;
use self::plan::{Cast, Death, Round, Task, When, Who};
use self::play::Played;
use crate::support::feishu_sim::UuidRepeat;
use crate::support::world::*;

/// So many neighbouring seeds share a world.
const BLOCK: u64 = 20;

/// What a block's world is like.
#[derive(Debug, Clone)]
struct Stage {
    kind: Kind,
    /// Another program than the one under test: a release build, without named places.
    program: Option<PathBuf>,
    /// Deliberate faults of it.
    fault: Option<&'static str>,
    /// The power goes.
    power: bool,
    /// Where the bridge dies and what is asked for, where that is not drawn from everything.
    places: &'static [&'static str],
    tasks: &'static [Task],
    with_runtime: bool,
    /// How long a round may take to come to rest.
    patience: Duration,
}

impl Stage {
    /// Most have the runtime that is part of ally; one in ten has the real codex, one in ten loses its power, and one in ten is
    /// a release build where there is one.
    fn of_block(block: u64) -> Self {
        let (kind, program) = match block % 10 {
            7 => (Kind::Codex, None),
            3 => (Kind::Embedded, release_build()),
            _ => (Kind::Embedded, None),
        };
        let (places, tasks) = (&[], &[]);
        let power = cfg!(target_os = "linux") && block % 10 == 4;
        let patience = Duration::from_secs(60);
        Self { kind, program, fault: None, power, places, tasks, with_runtime: false, patience }
    }

    fn cast(&self) -> Cast {
        let Self { power: has_power, places, tasks, with_runtime, .. } = *self;
        Cast { has_places: self.program.is_none(), has_power, places, tasks, with_runtime }
    }

    async fn build(&self, seed: u64) -> World {
        // In codex's sandbox most chats may not write, and a command's effect is what is counted.
        let may_write = if self.kind == Kind::Codex { "[runtime.codex]\nsandbox = \"workspace-write\"\n" } else { "" };
        let mut world = World::prepare(self.kind, &format!("{may_write}[turn]\ngrace = \"300ms\"\n")).await;
        if let Some(program) = &self.program {
            world.use_program(program.clone());
        }
        if self.power {
            world.with_power_to_lose();
        }
        world.sim.add_direct(plan::LI_CHAT, LI);
        world.sim.add_group(plan::OTHER_GROUP, "Works", &[OWNER, LI]);
        world.sim.rules(|rules| {
            rules.chat_limit = false;
            // What was not written down cannot be found by asking what was said: the writes alone must do. (Where a repeated
            // key is refused as well, nobody could tell the id of a card that was sent and not written down.)
            rules.refuse_lists = seed / BLOCK % 4 == 2;
            if seed / BLOCK % 2 == 1 {
                rules.uuid_repeat = UuidRepeat::Refused;
            }
        });
        let settings = world.home.path().join("ally/ally.toml");
        let text = std::fs::read_to_string(&settings).unwrap();
        let chats = format!("chats = [\"{GROUP}\", \"{}\"]", plan::OTHER_GROUP);
        std::fs::write(&settings, text.replace(&format!("chats = [\"{GROUP}\"]"), &chats)).unwrap();
        let faults: Vec<&str> = ["restart at once"].into_iter().chain(self.fault).collect();
        world.set_faults(&faults);
        world.up().await;
        world
    }
}

/// What came of many rounds.
#[derive(Debug, Default)]
struct Summary {
    rounds: usize,
    /// Deaths by who, how and where.
    deaths: BTreeMap<String, usize>,
    outcomes: BTreeMap<String, usize>,
    messages: usize,
    missed: usize,
    /// How long it took, and its seed.
    slowest: (Duration, u64),
    failed: Vec<(u64, Vec<String>)>,
}

impl Summary {
    fn add(&mut self, played: &Played) {
        self.rounds += 1;
        self.messages += played.sent.len();
        self.slowest = self.slowest.max((played.took, played.round.seed));
        for (outcome, times) in &played.outcomes {
            *self.outcomes.entry(outcome.clone()).or_default() += times;
        }
        let Death { who, how, when, .. } = &played.round.death;
        match (played.died, when) {
            (false, _) => self.missed += 1,
            (true, When::At(place)) => *self.deaths.entry(format!("{who:?} at {place}")).or_default() += 1,
            (true, When::Now) => {
                let how = format!("{how:?}");
                let how = how.split(['(', ' ']).next().unwrap_or_default();
                *self.deaths.entry(format!("{who:?} {how}")).or_default() += 1;
            }
        }
        if !played.problems.is_empty() {
            self.failed.push((played.round.seed, played.problems.clone()));
        }
    }

    /// The last look at a world and all of its rounds.
    fn add_end(&mut self, world: &World, mut rounds: Vec<Played>, has_failed: bool) {
        let (Some(seed), false) = (rounds.last().map(|played| played.round.seed), has_failed) else { return };
        let problems = oracle::judge_all(world, &mut rounds);
        if problems.is_empty() {
            return;
        }
        let seeds: Vec<u64> = rounds.iter().map(|played| played.round.seed).collect();
        eprintln!("\nafter the rounds {seeds:?} of one world:");
        problems.iter().for_each(|problem| eprintln!("  ! {problem}"));
        self.failed.push((seed, problems));
    }

    fn join(&mut self, other: Summary) {
        self.rounds += other.rounds;
        self.messages += other.messages;
        self.missed += other.missed;
        self.slowest = self.slowest.max(other.slowest);
        for (from, into) in [(other.deaths, &mut self.deaths), (other.outcomes, &mut self.outcomes)] {
            from.into_iter().for_each(|(key, times)| *into.entry(key).or_default() += times);
        }
        self.failed.extend(other.failed);
    }

    fn count(&self, word: &str) -> usize {
        self.failed.iter().flat_map(|(_, problems)| problems).filter(|problem| problem.contains(word)).count()
    }

    fn table(&self, took: Duration) -> String {
        let list = |all: &BTreeMap<String, usize>| {
            all.iter().map(|(what, times)| format!("    {times:>6}  {what}\n")).collect::<String>()
        };
        format!(
            "{} rounds in {} s, {} messages; the slowest took {} ms (seed {})\n  deaths ({} rounds had none: the place was not passed)\n{}  turns by their end\n{}  {} lost, {} doubled, {} stuck; {} rounds failed\n",
            self.rounds,
            took.as_secs(),
            self.messages,
            self.slowest.0.as_millis(),
            self.slowest.1,
            self.missed,
            list(&self.deaths),
            list(&self.outcomes),
            self.count("lost:"),
            self.count("doubled:"),
            self.count("stuck:"),
            self.failed.len(),
        )
    }
}

/// Plays rounds in one world, until one fails. Before a world goes, all of its rounds are judged once more.
async fn block(stage: &Stage, seeds: impl Iterator<Item = u64>, told: impl Fn(&Played)) -> Summary {
    let mut summary = Summary::default();
    let mut world: Option<World> = None;
    let mut rounds: Vec<Played> = Vec::new();
    for seed in seeds {
        let round = Round::draw(seed, stage.cast());
        if world.is_none() {
            world = Some(stage.build(seed).await);
        }
        let Some(here) = world.as_mut() else { continue };
        let own_wait = stage.program.is_some() && matches!(round.death.who, Who::Bridge | Who::Both);
        let played = play::play(here, round, stage.patience).await;
        told(&played);
        summary.add(&played);
        let has_failed = !played.problems.is_empty();
        if has_failed {
            tell(here, &played);
        }
        rounds.push(played);
        // What comes after a failure would only be about the same, and a real supervisor waits longer each time.
        if has_failed || own_wait {
            summary.add_end(here, std::mem::take(&mut rounds), has_failed);
            world = None;
        }
    }
    if let Some(here) = &world {
        summary.add_end(here, rounds, false);
    }
    summary
}

/// The whole story of a round that failed.
fn tell(world: &World, played: &Played) {
    let Played { round, story, problems, .. } = played;
    let mut text = format!("\nround {} failed; again: ./ally.sh crash --seed {0} --rounds 1\n", round.seed);
    text += &format!("  {:?}\n", round.death);
    problems.iter().for_each(|problem| text += &format!("  ! {problem}\n"));
    story.iter().for_each(|line| text += &format!("  {line}\n"));
    let log = world.whole_log();
    let lines: Vec<&str> = log.lines().collect();
    text += &format!("  the log:\n{}\n", lines[lines.len().saturating_sub(60)..].join("\n"));
    eprintln!("{text}");
}

/// Many rounds, several worlds at a time.
async fn walk(first: u64, rounds: u64, worlds: usize) -> Summary {
    let began = Instant::now();
    let mut blocks: Vec<(u64, Vec<u64>)> = Vec::new();
    for seed in first..first + rounds {
        match blocks.last_mut() {
            Some((block, seeds)) if *block == seed / BLOCK => seeds.push(seed),
            _ => blocks.push((seed / BLOCK, vec![seed])),
        }
    }
    blocks.reverse();
    let left = std::sync::Arc::new(std::sync::Mutex::new(blocks));
    let done = std::sync::Arc::new(std::sync::atomic::AtomicU64::new(0));
    let mut players = tokio::task::JoinSet::new();
    for _ in 0..worlds {
        let (left, done) = (std::sync::Arc::clone(&left), std::sync::Arc::clone(&done));
        players.spawn(async move {
            let mut summary = Summary::default();
            loop {
                let next = left.lock().unwrap().pop();
                let Some((number, seeds)) = next else { return summary };
                let told = |played: &Played| {
                    let so_far = done.fetch_add(1, std::sync::atomic::Ordering::Relaxed) + 1;
                    if so_far.is_multiple_of(10) || so_far == rounds || !played.problems.is_empty() {
                        eprintln!("{so_far} of {rounds} rounds, {} s", began.elapsed().as_secs());
                    }
                };
                summary.join(block(&Stage::of_block(number), seeds.into_iter(), told).await);
            }
        });
    }
    let mut summary = Summary::default();
    while let Some(played) = players.join_next().await {
        summary.join(played.expect("no player panics"));
    }
    summary
}

/// A program without named places, where one is named.
fn release_build() -> Option<PathBuf> {
    let program = PathBuf::from(std::env::var_os("ALLY_CRASH_RELEASE")?);
    assert!(is_program(&program), "{}", no_program(&program));
    Some(program)
}

fn is_program(path: &std::path::Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    path.metadata().is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
}

fn no_program(path: &std::path::Path) -> String {
    format!(
        "ALLY_CRASH_RELEASE names {}, which is no program: build one with `./ally.sh crash`, or leave it out",
        path.display()
    )
}

#[test]
fn a_release_build_that_is_none_is_told_before_anything_is_played() {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let missing = folder.path().join("ally");
    assert!(!is_program(&missing) && !is_program(folder.path()));
    std::fs::write(&missing, "no program").unwrap();
    assert!(!is_program(&missing), "nobody may run it");
    assert!(no_program(&missing).contains("`./ally.sh crash`"));
    assert!(is_program(std::path::Path::new(env!("CARGO_BIN_EXE_ally"))));
}

fn asked_for(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// Rounds that once failed, one seed a line; what follows it says why.
const ONCE_FAILED: &str = include_str!("seeds.txt");

fn once_failed() -> impl Iterator<Item = u64> {
    ONCE_FAILED.lines().filter_map(|line| line.split_whitespace().next()?.parse().ok())
}

fn assert_nothing_was_found(summary: &Summary, began: Instant) -> String {
    let table = summary.table(began.elapsed());
    eprintln!("{table}");
    assert!(summary.failed.is_empty(), "{:#?}", summary.failed);
    table
}

/// `./ally.sh crash` says how many rounds, and from which seed.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nothing_is_lost_nothing_is_doubled_nothing_hangs() {
    let first = asked_for("ALLY_CRASH_SEED").unwrap_or(1);
    let rounds = asked_for("ALLY_CRASH_ROUNDS").unwrap_or(40);
    let worlds = asked_for("ALLY_CRASH_WORLDS").unwrap_or(3);
    // Before anything is played, and not in the block that needs it.
    let _ = release_build();
    let began = Instant::now();
    let summary = walk(first, rounds, worlds as usize).await;
    let table = assert_nothing_was_found(&summary, began);
    assert!(summary.rounds > 0 && summary.missed * 4 < summary.rounds, "next to nothing died");
    if summary.rounds >= 500 {
        let died_at = |place: &&str| summary.deaths.keys().any(|death| death.ends_with(&format!(" at {place}")));
        let never: Vec<&str> = plan::ON_THE_WAY.into_iter().filter(|place| !died_at(place)).collect();
        assert!(never.is_empty(), "nobody died at {never:?}");
    }
    if let Some(report) = std::env::var_os("ALLY_CRASH_REPORT") {
        std::fs::write(report, table).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nor_where_something_once_was() {
    let (began, mut summary) = (Instant::now(), Summary::default());
    for seed in once_failed() {
        summary.join(walk(seed, 1, 1).await);
    }
    assert_nothing_was_found(&summary, began);
}

/// The block of the first hundred rounds and more that has the real codex.
#[tokio::test(flavor = "multi_thread")]
async fn nor_with_the_real_codex() {
    let began = Instant::now();
    assert_eq!(Stage::of_block(7).kind, Kind::Codex);
    assert_nothing_was_found(&walk(7 * BLOCK, 6, 1).await, began);
}

/// A machine whose power goes keeps what was synced, and nothing else.
#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn nor_when_the_power_goes() {
    let began = Instant::now();
    assert!(Stage::of_block(4).power);
    let summary = walk(4 * BLOCK, 8, 1).await;
    assert_nothing_was_found(&summary, began);
}
