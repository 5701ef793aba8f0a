//! What the owner is told of ally itself, in the direct chat: that it crashed again and again, that a platform refuses it,
//! that the disk is nearly full, that a long outage is over, that something was approved. Seldom and in plain words: each cause at most once an hour,
//! with how often it was; at night only what concerns safety, the rest in the morning. What waits is in the ledger.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use chrono::Timelike;
use chrono_tz::Tz;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::core::{Core, is_outage};
use super::greeting;
use super::host::HostState;
use super::intake::notice;
use super::pictures::Frame;
use super::ports::{Channel, ChannelState};
use super::say;
use crate::domain::delivery::Target;
use crate::domain::ids::{ChannelName, ChatId};
use crate::domain::schedule;
use crate::domain::view::Lang;
use crate::ledger::{LedgerError, Transaction, conversations, inbound, said};
use crate::words::NoticeMsg;

/// How often it is looked. Nobody waits for any of this.
const LOOK: Duration = Duration::from_secs(30);
/// One cause is told so often at most.
const PACE_MS: i64 = 3_600_000;
/// A shorter outage is nobody's business.
const LONG: Duration = Duration::from_secs(600);
/// A platform may refuse for a moment, while an app is changed.
const REFUSED: Duration = Duration::from_secs(60);
/// A bridge that lived so long after crashes works again.
const STEADY: Duration = Duration::from_secs(60);
/// With less than this the disk is nearly full, and with twice as much no longer.
const LOW_BYTES: u64 = 512 << 20;
/// From and to, in minutes of the day.
const NIGHT: (u32, u32) = (22 * 60, 8 * 60 + 30);
/// What was told so long ago says nothing any more.
const KEPT_MS: i64 = 86_400_000;
const META: &str = "notices";
const APPROVED: &str = "approved:";

/// What a notice is about. Told once an hour each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cause {
    /// The bridge died again and again.
    Crashes,
    /// A platform lets ally not in.
    Refused(ChannelName),
    /// The disk is nearly full.
    Disk,
    /// A platform could not be reached for long, and can be again.
    Offline(ChannelName),
    /// The runtime did not work for long, and does again.
    Runtime,
    /// The sandbox does not keep what it promises.
    Sandbox,
    /// An administrator has approved something that was waited for: by its name.
    Approved(&'static str),
}

impl Cause {
    fn key(&self) -> String {
        match self {
            Cause::Crashes => "crashes".to_owned(),
            Cause::Refused(channel) => format!("refused:{channel}"),
            Cause::Disk => "disk".to_owned(),
            Cause::Offline(channel) => format!("offline:{channel}"),
            Cause::Runtime => "runtime".to_owned(),
            Cause::Sandbox => "sandbox".to_owned(),
            Cause::Approved(what) => format!("{APPROVED}{what}"),
        }
    }
}

/// Somebody waits for this word: it keeps no pace, its newest form alone counts, and it goes also to an owner who never wrote to
/// the bot.
fn is_waited_for(key: &str) -> bool {
    key.starts_with(APPROVED)
}

/// What waits to be told of this is told no more.
pub fn forget(tx: &Transaction<'_>, cause: &Cause) -> Result<(), LedgerError> {
    let mut all = read(tx)?;
    let mut drop_waiting = |state: &mut State| {
        state.times = 0;
        state.waits.take().is_some()
    };
    if all.get_mut(&cause.key()).is_some_and(&mut drop_waiting) {
        said::set_meta(tx, META, &serde_json::to_string(&all)?)?;
    }
    Ok(())
}

/// Told at any hour.
fn is_security(key: &str) -> bool {
    key == "sandbox"
}

/// A bridge that died again and again before this one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Crashed {
    pub deaths: u64,
    pub from_ms: i64,
    pub to_ms: i64,
    /// How the last one ended, in the system's words.
    pub last_exit: String,
}

/// What is known of one cause.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct State {
    /// When it was last told.
    told_ms: Option<i64>,
    /// What is still to be told: the newest word.
    waits: Option<Text>,
    /// How often it was since it was last told.
    times: u32,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Text {
    zh: String,
    en: String,
}

impl State {
    fn is_due(&self, key: &str, now_ms: i64, night: bool) -> bool {
        let rests = !is_waited_for(key) && self.told_ms.is_some_and(|told| (told..told + PACE_MS).contains(&now_ms));
        self.waits.is_some() && !rests && (is_security(key) || !night)
    }
}

/// Looks after everything that is told, until `cancel`.
pub async fn run(core: Arc<Core>, crashed: Option<Crashed>, cancel: CancellationToken) -> anyhow::Result<()> {
    let began = Instant::now();
    let mut steady = None;
    if let Some(crashed) = crashed {
        report(crashes(&core, &crashed).await);
        steady = Some(crashed);
    }
    let mut watch = Watch::default();
    while !cancel.is_cancelled() {
        if began.elapsed() >= STEADY
            && let Some(crashed) = steady.take()
        {
            report(steady_again(&core, &crashed).await);
        }
        report(watch.look(&core).await);
        report(send_waiting(&core).await);
        let rest = if steady.is_some() { STEADY.saturating_sub(began.elapsed()).min(LOOK) } else { LOOK };
        let _ = cancel.run_until_cancelled(tokio::time::sleep(rest)).await;
    }
    Ok(())
}

fn report(done: Result<(), LedgerError>) {
    if let Err(error) = done.map_err(anyhow::Error::from)
        && !is_outage(&error)
    {
        warn!(error = %format!("{error:#}"), "The owner could not be told of something");
    }
}

/// Once for each time that it kept crashing, by the first bridge that gets so far.
async fn crashes(core: &Core, crashed: &Crashed) -> Result<(), LedgerError> {
    let keys = [format!("crash-loop:{}", crashed.from_ms), so_far(crashed)];
    let (now, Crashed { deaths, from_ms, to_ms, last_exit }) = (core.now_ms(), crashed);
    let (from, to) = (say::at(*from_ms, now), say::at(*to_ms, now));
    let times = usize::try_from(*deaths).unwrap_or(usize::MAX);
    tell(core, &Cause::Crashes, &keys, |lang| {
        say::notice(lang, NoticeMsg::CrashedAgainAndAgain { times, from, to, how: last_exit })
    })
    .await
}

/// Where it went on after that was told.
async fn steady_again(core: &Core, crashed: &Crashed) -> Result<(), LedgerError> {
    let to = say::at(crashed.to_ms, core.now_ms());
    let times = usize::try_from(crashed.deaths).unwrap_or(usize::MAX);
    tell(core, &Cause::Crashes, &[so_far(crashed)], |lang| say::notice(lang, NoticeMsg::SteadyAgain { times, to }))
        .await
}

fn so_far(crashed: &Crashed) -> String {
    format!("crash-loop:{}:{}", crashed.from_ms, crashed.deaths)
}

/// Tells the owner, or has it wait. With `once` only the first time that the first of these keys is used; the others are
/// used up by it.
pub async fn tell(
    core: &Core,
    cause: &Cause,
    once: &[String],
    words: impl Fn(Lang) -> String,
) -> Result<(), LedgerError> {
    let (once, now_ms) = (once.to_vec(), core.now_ms());
    tell_if(core, cause, words, move |tx| is_first(tx, &once, now_ms)).await
}

/// Tells the owner, or has it wait, where `is_news` says that it is to be told. Whatever that notes is noted with the word or not
/// at all: a death between them would keep it from ever being told.
pub async fn tell_if(
    core: &Core,
    cause: &Cause,
    words: impl Fn(Lang) -> String,
    is_news: impl FnOnce(&Transaction<'_>) -> Result<bool, LedgerError> + Send + 'static,
) -> Result<(), LedgerError> {
    let text = Text { zh: words(Lang::Zh), en: words(Lang::En) };
    let (key, now_ms) = (cause.key(), core.now_ms());
    let (ways, night) = (ways(core), is_night(core.config.zone, now_ms));
    let (name, english) = (key.clone(), text.en.clone());
    let write = move |tx: &Transaction<'_>| {
        let is_news = is_news(tx)?;
        if is_news {
            note(tx, &ways, key, text, now_ms, night)?;
        }
        Ok(is_news)
    };
    if core.ledger.write(write).await? {
        info!(cause = %name, "The owner is to be told: {english}");
        core.wakes.outbox.notify_one();
    }
    Ok(())
}

/// Whether the first of these keys is used for the first time; the others are used up by it.
fn is_first(tx: &Transaction<'_>, once: &[String], now_ms: i64) -> Result<bool, LedgerError> {
    let Some((first, others)) = once.split_first() else { return Ok(true) };
    if !said::first_time(tx, first, now_ms)? {
        return Ok(false);
    }
    for key in others {
        said::first_time(tx, key, now_ms)?;
    }
    Ok(true)
}

fn note(
    tx: &Transaction<'_>,
    ways: &[Way],
    key: String,
    text: Text,
    now_ms: i64,
    night: bool,
) -> Result<(), LedgerError> {
    let mut all = read(tx)?;
    // Of what somebody waits for only the newest word counts.
    let newest = is_waited_for(&key);
    let state = all.entry(key).or_default();
    state.times = if newest { 1 } else { state.times + 1 };
    state.waits = Some(text);
    send(tx, ways, all, now_ms, night)
}

/// Sends what had to wait and need not any more.
async fn send_waiting(core: &Core) -> Result<(), LedgerError> {
    let (now_ms, night) = (core.now_ms(), is_night(core.config.zone, core.now_ms()));
    let due = core.ledger.read(move |tx| Ok(read(tx)?.iter().any(|(key, state)| state.is_due(key, now_ms, night))));
    if due.await? {
        let ways = ways(core);
        core.ledger.write(move |tx| send(tx, &ways, read(tx)?, now_ms, night)).await?;
        core.wakes.outbox.notify_one();
    }
    Ok(())
}

fn read(tx: &Transaction<'_>) -> Result<BTreeMap<String, State>, LedgerError> {
    Ok(said::meta(tx, META)?.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default())
}

/// Everything that is due, to the first place where the owner can be told.
fn send(
    tx: &Transaction<'_>,
    ways: &[Way],
    mut all: BTreeMap<String, State>,
    now_ms: i64,
    night: bool,
) -> Result<(), LedgerError> {
    let before = read(tx)?;
    for (key, state) in &mut all {
        if !state.is_due(key, now_ms, night) {
            continue;
        }
        let Some((frame, target, lang)) = place(tx, ways, is_waited_for(key))? else { continue };
        let Some(text) = state.waits.take() else { continue };
        let mut text = if lang == Lang::Zh { text.zh } else { text.en };
        if state.times > 1 {
            text = say::notice(lang, NoticeMsg::HappenedTimes { text: &text, times: state.times });
        }
        notice(tx, &frame.channel, target, None, None, text, lang, now_ms)?;
        (state.told_ms, state.times) = (Some(now_ms), 0);
    }
    all.retain(|_, state| state.waits.is_some() || state.told_ms.is_some_and(|told| now_ms - told < KEPT_MS));
    if all != before {
        said::set_meta(tx, META, &serde_json::to_string(&all)?)?;
    }
    Ok(())
}

/// A channel, and where its owner is reached who has not written to the bot yet.
struct Way {
    frame: Frame,
    otherwise: Option<ChatId>,
}

/// The owner's direct chat, of the first channel that has one. An owner without one is written to where that has worked
/// before, or `at_any_rate`: what cannot be delivered is gone, and otherwise it waits.
fn place<'a>(
    tx: &Transaction<'_>,
    ways: &'a [Way],
    at_any_rate: bool,
) -> Result<Option<(&'a Frame, Target, Lang)>, LedgerError> {
    for Way { frame, otherwise } in ways {
        let Some(owner) = &frame.access.owner else { continue };
        let known = inbound::direct_chat_of(tx, &frame.channel, owner)?;
        let is_reached = at_any_rate || (known.is_none() && greeting::has_arrived(tx, &frame.channel, owner)?);
        let Some(home) = known.or_else(|| otherwise.clone().filter(|_| is_reached)) else { continue };
        let newest = conversations::newest_of_chat(tx, &frame.channel, &home)?;
        let lang = newest.map_or(frame.lang, |conversation| conversation.lang);
        return Ok(Some((frame, Target { chat: home, reply_to: None, in_topic: false }, lang)));
    }
    Ok(None)
}

/// One that refuses us comes last: what is said there is heard once a person has mended it.
fn ways(core: &Core) -> Vec<Way> {
    let mut channels: Vec<_> = core.channels.iter().collect();
    channels.sort_by_key(|(name, channel)| (channel.health().state == ChannelState::Refused, (*name).clone()));
    let way = |(name, channel): (&ChannelName, &Arc<dyn Channel>)| {
        let frame = core.frame(name);
        let otherwise = frame.access.owner.as_ref().and_then(|owner| channel.chat_with(owner));
        Way { frame, otherwise }
    };
    channels.into_iter().map(way).collect()
}

fn is_night(zone: Tz, now_ms: i64) -> bool {
    let Some(at) = schedule::shown(zone, now_ms) else { return false };
    let minute = at.hour() * 60 + at.minute();
    minute >= NIGHT.0 || minute < NIGHT.1
}

/// What was seen the last time. Spans are monotonic: a clock that was set makes no outage.
#[derive(Default)]
struct Watch {
    down: HashMap<ChannelName, Down>,
    refused: HashMap<ChannelName, Instant>,
    /// Channels of which the ledger knows that nothing refuses them, and those of which it knows the opposite.
    well: HashSet<ChannelName>,
    ill: HashSet<ChannelName>,
    /// What the ledger knows of the disk, once it was asked.
    disk_is_low: Option<bool>,
    runtime: Option<Down>,
}

#[derive(Clone, Copy)]
struct Down {
    since: Instant,
    since_ms: i64,
}

impl Down {
    fn now(core: &Core) -> Self {
        Self { since: Instant::now(), since_ms: core.now_ms() }
    }

    fn was_long(self) -> bool {
        self.since.elapsed() >= LONG
    }
}

impl Watch {
    async fn look(&mut self, core: &Core) -> Result<(), LedgerError> {
        for (name, channel) in &core.channels {
            let health = channel.health();
            self.connection(core, name, health.state == ChannelState::Connected).await?;
            if health.state != ChannelState::Refused {
                self.refused.remove(name);
                if health.state == ChannelState::Connected && !self.well.contains(name) {
                    is_over(core, &Cause::Refused(name.clone())).await?;
                    self.ill.remove(name);
                    self.well.insert(name.clone());
                }
                continue;
            }
            let since = *self.refused.entry(name.clone()).or_insert_with(Instant::now);
            if since.elapsed() >= REFUSED && !self.ill.contains(name) {
                let problem = health.problem.clone();
                let why = |lang| problem.as_ref().map_or_else(String::new, |problem| problem.text(lang).to_owned());
                begins(core, &Cause::Refused(name.clone()), |lang| {
                    say::notice(lang, NoticeMsg::ChannelRefuses { channel: name.as_str(), problem: &why(lang) })
                })
                .await?;
                self.well.remove(name);
                self.ill.insert(name.clone());
            }
        }
        self.runtime(core).await?;
        self.disk(core).await
    }

    async fn connection(&mut self, core: &Core, name: &ChannelName, connected: bool) -> Result<(), LedgerError> {
        if !connected {
            self.down.entry(name.clone()).or_insert_with(|| Down::now(core));
            return Ok(());
        }
        let Some(down) = self.down.remove(name).filter(|down| down.was_long()) else { return Ok(()) };
        let now = core.now_ms();
        let (from, to) = (say::at(down.since_ms, now), say::at(now, now));
        let channel = name.as_str();
        tell(core, &Cause::Offline(name.clone()), &[], |lang| {
            say::notice(lang, NoticeMsg::OfflineOver { channel, from, to })
        })
        .await
    }

    async fn runtime(&mut self, core: &Core) -> Result<(), LedgerError> {
        match core.host.state() {
            HostState::Trouble(_) | HostState::Stuck(_) => {
                self.runtime.get_or_insert_with(|| Down::now(core));
                Ok(())
            }
            HostState::Live(_) => {
                let Some(down) = self.runtime.take().filter(|down| down.was_long()) else { return Ok(()) };
                let now = core.now_ms();
                let (from, to) = (say::at(down.since_ms, now), say::at(now, now));
                let runtime = say::runtime(core.host.kind(), None);
                tell(core, &Cause::Runtime, &[], |lang| {
                    say::notice(lang, NoticeMsg::RuntimeOutageOver { runtime: &runtime, from, to })
                })
                .await
            }
            HostState::Starting | HostState::Stopped => Ok(()),
        }
    }

    async fn disk(&mut self, core: &Core) -> Result<(), LedgerError> {
        let home = &core.config.ally_home;
        let Some(free) = free_bytes(home) else { return Ok(()) };
        let is_low = match free {
            _ if free >= 2 * LOW_BYTES => false,
            _ if free < LOW_BYTES => true,
            _ => return Ok(()),
        };
        if self.disk_is_low == Some(is_low) {
            return Ok(());
        }
        let path = home.display().to_string();
        let megabytes = usize::try_from(free >> 20).unwrap_or(usize::MAX);
        match is_low {
            true => {
                begins(core, &Cause::Disk, |lang| say::notice(lang, NoticeMsg::DiskLow { path: &path, megabytes }))
                    .await
            }
            false => is_over(core, &Cause::Disk).await,
        }?;
        self.disk_is_low = Some(is_low);
        Ok(())
    }
}

/// Where it is noted that a state lasts; it outlives a bridge, which has not begun it.
fn lasting(cause: &Cause) -> String {
    format!("lasts:{}", cause.key())
}

fn is_noted(tx: &Transaction<'_>, key: &str) -> Result<bool, LedgerError> {
    Ok(said::meta(tx, key)?.is_some_and(|value| !value.is_empty()))
}

/// Tells the owner that a state has begun, unless that is noted.
async fn begins(core: &Core, cause: &Cause, words: impl Fn(Lang) -> String) -> Result<(), LedgerError> {
    let lasting = lasting(cause);
    let is_news = move |tx: &Transaction<'_>| {
        let is_news = !is_noted(tx, &lasting)?;
        said::set_meta(tx, &lasting, "1")?;
        Ok(is_news)
    };
    tell_if(core, cause, words, is_news).await
}

/// Where it begins again it is told again.
async fn is_over(core: &Core, cause: &Cause) -> Result<(), LedgerError> {
    let lasting = lasting(cause);
    let key = lasting.clone();
    if !core.ledger.read(move |tx| is_noted(tx, &key)).await? {
        return Ok(());
    }
    core.ledger.write(move |tx| said::set_meta(tx, &lasting, "")).await
}

/// What the person that ally runs as may still use where this folder lies.
fn free_bytes(folder: &std::path::Path) -> Option<u64> {
    let found = rustix::fs::statvfs(folder).ok()?;
    found.f_bavail.checked_mul(found.f_frsize)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bridge::pictures::tests::frame;
    use crate::domain::access::Access;
    use crate::ledger::inbound::{InboundState, NewInbound};
    use crate::ledger::{Ledger, LedgerLock, Places, messages};

    const HOUR_MS: i64 = 3_600_000;

    fn at(hour: i64, minute: i64) -> i64 {
        // A day in winter; UTC.
        1_767_225_600_000 + hour * HOUR_MS + minute * 60_000
    }

    fn text(words: &str) -> Text {
        Text { zh: format!("{words} 中"), en: words.to_owned() }
    }

    #[test]
    fn the_night_is_that_of_the_zone() {
        for (hour, minute, want) in [(21, 59, false), (22, 0, true), (3, 0, true), (8, 29, true), (8, 30, false)] {
            assert_eq!(is_night(Tz::UTC, at(hour, minute)), want, "{hour}:{minute}");
        }
        assert!(is_night(chrono_tz::Asia::Shanghai, at(15, 0)), "23:00 there");
        assert!(!is_night(chrono_tz::Asia::Shanghai, at(1, 0)), "9:00 there");
    }

    #[test]
    fn one_cause_is_told_once_an_hour_and_only_safety_at_night() {
        let fresh = State { waits: Some(text("one")), ..State::default() };
        assert!(fresh.is_due("disk", 0, false) && !fresh.is_due("disk", 0, true) && fresh.is_due("sandbox", 0, true));
        assert!(!State::default().is_due("disk", 0, false), "there is nothing to say");
        let told = State { told_ms: Some(HOUR_MS), ..fresh };
        assert!(!told.is_due("disk", HOUR_MS + 1, false) && !told.is_due("sandbox", HOUR_MS + 1, false));
        assert!(told.is_due("disk", 2 * HOUR_MS, false));
        assert!(told.is_due("disk", 0, false), "a clock that was set back holds up nothing");
    }

    /// The owner's words, so that there is a direct chat.
    fn meet(tx: &Transaction<'_>) -> Result<(), LedgerError> {
        let row = NewInbound {
            channel: "local".into(),
            dedupe_key: "first".to_owned(),
            kind: "message",
            state: InboundState::Command,
            reason: None,
            chat: Some("main".into()),
            chat_kind: Some("direct"),
            message: Some("m".into()),
            sender: Some("wang".into()),
            raw: None,
            sent_at_ms: Some(1),
            received_at_ms: 1,
        };
        inbound::admit(tx, &row).map(drop)
    }

    #[tokio::test]
    async fn what_waits_is_told_later_with_how_often_it_was_and_never_twice() {
        let dir = tempfile::tempdir().unwrap();
        let places = Places { file: dir.path().join("ledger.db"), backups: dir.path().join("backups") };
        let lock = LedgerLock::take(&dir.path().join("lock"), &places.file).unwrap();
        let ledger = Ledger::open(&places, &lock).unwrap();
        let told = ledger.write(|tx| {
            let access = std::sync::Arc::new(Access { owner: Some("wang".into()), ..Access::default() });
            let ways = [Way { frame: Frame { access, ..frame() }, otherwise: None }];
            let note_once = |key: &str, once: &[String], words: &str, at: i64, night: bool| {
                if is_first(tx, once, at)? { note(tx, &ways, key.to_owned(), text(words), at, night) } else { Ok(()) }
            };
            let mut sent = Vec::new();
            let look = |tx: &Transaction<'_>, sent: &mut Vec<String>| {
                for head in messages::due(tx, i64::MAX / 4, 10)?.heads {
                    let message = messages::get(tx, &head.id)?;
                    sent.push(format!("{:?}", message.body));
                    messages::undeliverable(tx, &message.id, "looked at")?;
                }
                Ok::<(), LedgerError>(())
            };
            note_once("disk", &[], "nobody", at(12, 0), false)?;
            look(tx, &mut sent)?;
            assert!(sent.is_empty(), "the owner has no chat");
            meet(tx)?;
            send(tx, &ways, read(tx)?, at(12, 1), false)?;
            look(tx, &mut sent)?;
            note_once("disk", &[], "second", at(12, 30), false)?;
            note_once("disk", &[], "third", at(12, 40), false)?;
            send(tx, &ways, read(tx)?, at(12, 59), false)?;
            look(tx, &mut sent)?;
            assert_eq!(sent.len(), 1, "{sent:?}");
            send(tx, &ways, read(tx)?, at(13, 1), false)?;
            look(tx, &mut sent)?;
            let once = ["loop:1".to_owned(), "loop:1:10".to_owned()];
            note_once("crashes", &once, "loop", at(23, 0), true)?;
            note_once("crashes", &once, "again", at(23, 30), true)?;
            note_once("crashes", &once[1..], "more", at(23, 40), true)?;
            let later = ["loop:1".to_owned(), "loop:1:14".to_owned()];
            note_once("crashes", &later, "later", at(23, 50), true)?;
            assert!(said::first_time(tx, &later[1], at(23, 50))?, "who lives on is told that it went on");
            look(tx, &mut sent)?;
            assert_eq!(sent.len(), 2, "at night: {sent:?}");
            send(tx, &ways, read(tx)?, at(32, 30), false)?;
            look(tx, &mut sent)?;
            send(tx, &ways, read(tx)?, at(40, 0), false)?;
            look(tx, &mut sent)?;
            Ok((sent, read(tx)?.into_keys().collect::<Vec<_>>()))
        });
        let (sent, left) = told.await.unwrap();
        assert_eq!(sent.len(), 3, "{sent:?}");
        assert!(sent[0].contains("nobody") && sent[1].contains("third (it happened 2 times)"), "{sent:?}");
        assert!(sent[2].contains("loop") && !sent[2].contains("again") && !sent[2].contains("times"), "{sent:?}");
        assert_eq!(left, ["crashes"], "what was told a day ago is forgotten");
    }
}
