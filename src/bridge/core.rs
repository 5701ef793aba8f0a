//! What every part of the bridge shares: the ledger, the clock, the channels, and who wakes whom.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, RwLock};
use std::time::Duration;

use chrono_tz::Tz;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::conversation::Registry;
use super::host::Host;
use super::leases::Leases;
use super::overtake::Fetching;
use super::pictures::Frame;
use super::ports::{BotIdentity, Channel, Examiner};
use super::rights;
use crate::clock::Clock;
use crate::domain::access::Access;
use crate::domain::gate::Decision;
use crate::domain::ids::*;
use crate::domain::limits::Limits;
pub use crate::domain::setting::Busy;
use crate::domain::view::Lang;
use crate::ledger::alive::Outage;
use crate::ledger::{Ledger, LedgerError, Transaction, grants, inbound, said, settings};
use crate::tasks::Tasks;

/// How the bridge behaves. Resolved: nothing in here has to be decided again.
#[derive(Debug, Clone)]
pub struct BridgeConfig {
    pub lang: Lang,
    /// Working directory of every conversation; `None`: one of its own below `workspaces`.
    pub directory: Option<PathBuf>,
    pub workspaces: PathBuf,
    /// Below these a chat may be brought to another directory.
    pub roots: Vec<PathBuf>,
    /// The home of the person that ally runs as.
    pub user_home: PathBuf,
    pub ally_home: PathBuf,
    /// Attachments that people sent, one folder an inbound row.
    pub attachments: PathBuf,
    /// Files on their way out, by SHA-256.
    pub outbox: PathBuf,
    pub scope: Scope,
    pub busy: Busy,
    /// Running turns in all.
    pub parallel: usize,
    /// Several turns may run in one directory at the same time.
    pub shared_directory: bool,
    pub idle_timeout: Duration,
    pub tool_timeout: Duration,
    pub max_time: Option<Duration>,
    /// What running turns get at a stop.
    pub grace: Duration,
    /// A message older than this asks before it runs.
    pub stale_after: Duration,
    /// A message that nobody delivered asks when it is older than this.
    pub backfill_run: Duration,
    /// Those who may decide a request are reminded once after this long; `None`: never.
    pub remind_after: Option<Duration>,
    /// The configured floor of rights, by channel.
    pub floor: HashMap<ChannelName, Arc<Access>>,
    /// Bytes of one attachment that are fetched at most.
    pub max_attachment: u64,
    /// How much may wait.
    pub limits: Limits,
    /// The zone in which a routine that names none is due, and by which the archive's days are told.
    pub zone: Tz,
    /// Where routines work that name no directory.
    pub assistant: PathBuf,
    /// Routines that are files.
    pub routines: PathBuf,
    /// What settled turns are told in, a file a day.
    pub archive: PathBuf,
    /// The repository that keeps former states of the assistant's directory; `None`: they are not kept.
    pub autosave: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// Each topic of a group is a conversation.
    Topic,
    /// The whole group is one.
    Chat,
}

/// How often a ledger that takes no writes is tried.
const OUTAGE_CHECK: Duration = Duration::from_secs(1);

pub struct Core {
    pub ledger: Ledger,
    pub clock: Clock,
    pub tasks: Tasks,
    pub config: BridgeConfig,
    pub channels: HashMap<ChannelName, Arc<dyn Channel>>,
    pub host: Host,
    pub registry: Registry,
    pub leases: Leases,
    pub wakes: Wakes,
    pub fetching: Fetching,
    /// When this bridge began.
    pub since_ms: i64,
    access: RwLock<HashMap<ChannelName, Arc<Access>>>,
    refreshing: tokio::sync::Mutex<()>,
    bots: RwLock<HashMap<ChannelName, BotIdentity>>,
    outages: RwLock<Outages>,
    /// What channels missed and the ledger does not know of yet.
    pub(super) silences: super::backfill::Silences,
    /// Who holds it writes the archive.
    pub(super) archive: tokio::sync::Mutex<super::archive::Days>,
    /// What is wrong with routines' files.
    pub routine_problems: super::routines::Problems,
    /// When the ledger was last found to be put back; what was sent before may have been dealt with.
    restored_ms: AtomicI64,
    /// What a ledger that was put back calls unfinished waits for an owner who had no chat to be asked in.
    pub owner_is_to_be_asked: AtomicBool,
    /// What the keys of the agents' tools come from, once it was read.
    pub(super) tools: tokio::sync::OnceCell<[u8; 32]>,
    /// Who looks for `/doctor`; nobody in tests of single parts.
    examiner: OnceLock<Arc<dyn Examiner>>,
    /// Secret answers on their way to the runtime. Never stored: what a dead bridge knew is asked for again.
    secrets: Mutex<HashMap<GateId, Decision>>,
}

/// When nothing could be done: ally was down, the machine slept, or no runtime came up.
#[derive(Debug, Default)]
struct Outages {
    past: Vec<Outage>,
    since_ms: Option<i64>,
}

/// One per worker that waits for rows.
#[derive(Debug, Default)]
pub struct Wakes {
    pub intake: Notify,
    pub companions: Notify,
    pub outbox: Notify,
    pub painter: Notify,
    pub backfill: Notify,
    pub routines: Notify,
    pub archive: Notify,
    pub reminders: Notify,
}

impl Core {
    pub fn new(
        ledger: Ledger,
        clock: Clock,
        tasks: Tasks,
        config: BridgeConfig,
        channels: Vec<Arc<dyn Channel>>,
        host: Host,
    ) -> Self {
        let channels: HashMap<_, _> = channels.into_iter().map(|channel| (channel.name(), channel)).collect();
        let leases = Leases::new(config.parallel, config.shared_directory);
        Self {
            ledger,
            since_ms: clock.now_ms(),
            clock,
            tasks,
            channels,
            host,
            registry: Registry::default(),
            leases,
            wakes: Wakes::default(),
            fetching: Fetching::default(),
            access: RwLock::new(config.floor.clone()),
            refreshing: tokio::sync::Mutex::default(),
            bots: RwLock::default(),
            outages: RwLock::default(),
            silences: super::backfill::Silences::default(),
            archive: tokio::sync::Mutex::default(),
            routine_problems: super::routines::Problems::default(),
            restored_ms: AtomicI64::new(i64::MIN),
            owner_is_to_be_asked: AtomicBool::new(false),
            tools: tokio::sync::OnceCell::new(),
            examiner: OnceLock::new(),
            secrets: Mutex::default(),
            config,
        }
    }

    pub fn now_ms(&self) -> i64 {
        self.clock.now_ms()
    }

    /// Waits out an outage of the ledger: whoever acts first and writes afterwards would act again and again. False when
    /// the work is over.
    pub async fn until_writable(&self, cancel: &CancellationToken) -> bool {
        while !cancel.is_cancelled() {
            if self.ledger.is_writable().await {
                return true;
            }
            tokio::select! {
                () = cancel.cancelled() => {}
                () = tokio::time::sleep(OUTAGE_CHECK) => {}
            }
        }
        false
    }

    /// What is configured of a channel's rights.
    fn floor(&self, channel: &ChannelName) -> Arc<Access> {
        self.config.floor.get(channel).cloned().unwrap_or_default()
    }

    /// The rights on a channel as they stand.
    pub fn access(&self, channel: &ChannelName) -> Arc<Access> {
        self.access.read().expect("no code panics while it holds this lock").get(channel).cloned().unwrap_or_default()
    }

    /// Reads the grants anew: floor plus ledger. After each change of a right, and at the start.
    pub async fn refresh_access(&self) -> Result<(), LedgerError> {
        // One after the other: an older reading must never replace a newer one.
        let _turn = self.refreshing.lock().await;
        for channel in self.channels.keys().cloned() {
            let name = channel.clone();
            let read = move |tx: &Transaction<'_>| Ok((grants::of_channel(tx, &name)?, settings::is_locked(tx)?));
            let (granted, locked) = self.ledger.read(read).await?;
            let mut access = rights::granted(&self.floor(&channel), granted);
            access.locked = locked;
            let mut all = self.access.write().expect("no code panics while it holds this lock");
            // Within the lock: the bot may come to be known in this very moment.
            access.tenant = self.bot(&channel).and_then(|bot| bot.tenant);
            all.insert(channel, Arc::new(access));
        }
        Ok(())
    }

    pub fn bot(&self, channel: &ChannelName) -> Option<BotIdentity> {
        self.bots.read().expect("no code panics while it holds this lock").get(channel).cloned()
    }

    pub fn set_bot(&self, channel: &ChannelName, bot: BotIdentity) {
        let tenant = bot.tenant.clone();
        self.bots.write().expect("no code panics while it holds this lock").insert(channel.clone(), bot);
        if let Some(access) = self.access.write().expect("no code panics while it holds this lock").get_mut(channel) {
            Arc::make_mut(access).tenant = tenant;
        }
    }

    /// What a picture needs besides the rows, as of now.
    pub fn frame(&self, channel: &ChannelName) -> Frame {
        Frame {
            channel: channel.clone(),
            access: self.access(channel),
            floor: self.floor(channel),
            lang: self.config.lang,
            bot_name: self.bot(channel).map_or_else(|| "ally".to_owned(), |bot| bot.name),
            workspaces: self.config.workspaces.clone(),
            zone: self.config.zone,
            login: self.host.login(),
            now_ms: self.now_ms(),
            platform_ms: self.platform_ms(channel),
        }
    }

    /// The clock of a channel's platform, ours where it is not known.
    pub fn platform_ms(&self, channel: &ChannelName) -> i64 {
        self.channel(channel).and_then(|channel| channel.platform_ms()).unwrap_or_else(|| self.now_ms())
    }

    /// Since when people see something, at the least: `told` is the platform's own word for it. Its clock is known to the
    /// second, and a word of before must not count as one about it.
    pub fn seen_since_ms(&self, channel: &ChannelName, told: Option<i64>) -> i64 {
        told.unwrap_or_else(|| self.platform_ms(channel) - 1_000)
    }

    pub fn set_outages(&self, outages: Vec<Outage>) {
        self.outages.write().expect("no code panics while it holds this lock").past = outages;
    }

    pub fn set_restored(&self, at_ms: Option<i64>) {
        self.restored_ms.store(at_ms.unwrap_or(i64::MIN), Ordering::Release);
    }

    /// Whether the ledger was ever put back to an earlier state of itself.
    pub fn was_put_back(&self) -> bool {
        self.restored_ms.load(Ordering::Acquire) != i64::MIN
    }

    /// Whether what was sent then may have been dealt with by a state of the ledger that is gone.
    pub fn is_before_restore(&self, sent_at_ms: i64) -> bool {
        sent_at_ms < self.restored_ms.load(Ordering::Acquire)
    }

    /// The same of a message. No look at the ledger where it was never put back.
    pub async fn is_before_restore_of(&self, channel: &ChannelName, message: &MessageId) -> Result<bool, LedgerError> {
        if !self.was_put_back() {
            return Ok(false);
        }
        let (channel, message) = (channel.clone(), message.clone());
        let row = self.ledger.read(move |tx| inbound::by_message(tx, &channel, &message)).await?;
        Ok(row.and_then(|row| row.sent_at_ms).is_some_and(|sent| self.is_before_restore(sent)))
    }

    /// Since when nothing can be done; `None` when all goes well again.
    pub fn set_outage_since(&self, since_ms: Option<i64>) {
        self.outages.write().expect("no code panics while it holds this lock").since_ms = since_ms;
    }

    pub fn outage_since(&self) -> Option<i64> {
        self.outages.read().expect("no code panics while it holds this lock").since_ms
    }

    pub fn was_ever_down(&self) -> bool {
        let outages = self.outages.read().expect("no code panics while it holds this lock");
        outages.since_ms.is_some() || !outages.past.is_empty()
    }

    /// How long ally was down, or the machine slept, within a span.
    pub fn down_within(&self, from_ms: i64, to_ms: i64) -> i64 {
        let outages = self.outages.read().expect("no code panics while it holds this lock");
        let present = outages.since_ms.map(|from_ms| Outage { from_ms, to_ms: i64::MAX });
        outages.past.iter().chain(&present).map(|outage| outage.within(from_ms, to_ms)).sum()
    }

    pub fn channel(&self, name: &ChannelName) -> Option<&Arc<dyn Channel>> {
        self.channels.get(name)
    }

    /// Said once, by whoever put the parts together.
    pub fn set_examiner(&self, examiner: Arc<dyn Examiner>) {
        let _ = self.examiner.set(examiner);
    }

    pub fn examiner(&self) -> Option<&Arc<dyn Examiner>> {
        self.examiner.get()
    }

    pub fn keep_secret(&self, gate: &GateId, decision: Decision) {
        self.secrets.lock().expect("no code panics while it holds this lock").insert(gate.clone(), decision);
    }

    pub fn has_secret(&self, gate: &GateId) -> bool {
        self.secrets.lock().expect("no code panics while it holds this lock").contains_key(gate)
    }

    pub fn take_secret(&self, gate: &GateId) -> Option<Decision> {
        self.secrets.lock().expect("no code panics while it holds this lock").remove(gate)
    }

    /// Learns the names of those whose clicks are told by name although they never wrote.
    pub async fn learn_names(&self, channel: &ChannelName) {
        let access = self.access(channel);
        let approvers = access.approvers.iter().map(|(_, user)| user);
        for user in access.owner.iter().chain(&access.admins).chain(approvers).chain(&access.users) {
            // No chat is at hand; a directory look-up needs none.
            self.name_of(channel, &ChatId::new(""), user).await;
        }
    }

    /// A chat's name for people; its id when nobody can tell.
    pub async fn chat_name(&self, channel: &ChannelName, chat: &ChatId) -> String {
        let named = match self.channel(channel) {
            Some(adapter) => adapter.chat_name(chat).await.filter(|name| !name.is_empty()),
            None => None,
        };
        named.unwrap_or_else(|| chat.to_string())
    }

    /// A person's name, from the ledger if it is fresh, else from the channel; the id when nobody knows it.
    pub async fn name_of(&self, channel: &ChannelName, chat: &ChatId, user: &UserId) -> String {
        /// Names change rarely; a day is soon enough.
        const FRESH_MS: i64 = 86_400_000;
        let (key, id) = (channel.clone(), user.clone());
        let known = self.ledger.read(move |tx| said::name_of(tx, &key, &id)).await.ok().flatten();
        let now = self.now_ms();
        if let Some((name, at)) = &known
            && now - at < FRESH_MS
        {
            return name.clone();
        }
        let Some(adapter) = self.channel(channel) else { return user.to_string() };
        match adapter.user_name(chat, user).await {
            Some(name) => {
                let (key, id, learned) = (channel.clone(), user.clone(), name.clone());
                // Only a convenience: a name that is not kept is asked for again.
                drop(self.ledger.write(move |tx| said::learn_name(tx, &key, &id, &learned, now)));
                name
            }
            None => known.map_or_else(|| user.to_string(), |(name, _)| name),
        }
    }
}

/// The machine's trouble with the ledger, which the ledger itself puts into the log: once, not for everyone it stops.
pub fn is_outage(error: &anyhow::Error) -> bool {
    error.downcast_ref::<LedgerError>().is_some_and(LedgerError::is_outage)
}

/// What is left to report of a task that is tried again.
pub fn unless_outage(result: anyhow::Result<()>) -> anyhow::Result<()> {
    result.or_else(|error| if is_outage(&error) { Ok(()) } else { Err(error) })
}

/// Between two looks of a worker for which nothing is to do.
pub const IDLE_POLL: Duration = Duration::from_secs(5);

/// How long a worker rests that events wake: until its next row is due. The poll is the fallback of a clock that was set
/// and, where no row waits at all, of a lost wake-up: an idle process shall not wake for it every second.
pub fn rest(next_due_ms: Option<i64>, now_ms: i64) -> Duration {
    const POLL_MS: i64 = 1000;
    next_due_ms
        .map_or(IDLE_POLL, |at| Duration::from_millis(at.saturating_sub(now_ms).clamp(1, POLL_MS).unsigned_abs()))
}

/// 128 random bits for a button.
pub fn fresh_button() -> ButtonId {
    let mut bytes = [0u8; 16];
    getrandom::fill(&mut bytes).expect("the system has randomness");
    ButtonId::from_bits(u128::from_le_bytes(bytes))
}
