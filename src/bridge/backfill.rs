//! Finds what nobody delivered: after a downtime, a long silence of a channel, or a time in which the ledger took nothing,
//! known chats are listed since the last thing that came before, and what the ledger lacks takes the way of any other
//! message from W1 on.
//!
//! The gap is noted in the ledger as soon as that can be written, and stands until everything was looked through: a death in
//! the middle begins anew, and a message's own key makes every repetition harmless. Nothing waits for any of this.

mod pass;

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use self::pass::{Pass, Read};
use super::core::{Core, is_outage};
use super::intake::notice;
use super::ports::Channel;
use super::say;
use crate::domain::delivery::Target;
use crate::domain::ids::*;
use crate::ledger::chats::{self, Gap};
use crate::ledger::said;
use crate::tasks::OnExit;
use crate::words::NoticeMsg;

/// A shorter silence is a connection that was opened anew: whatever was not acknowledged is delivered again.
const SHORT_MS: i64 = 30_000;
/// Chats that are looked through at most, those first that were last used.
const MAX_CHATS: u32 = 5_000;
/// When it is tried again what could not be looked through; longer each time …
const AGAIN: Duration = Duration::from_secs(60);
/// … but never longer than this.
const LONGEST: Duration = Duration::from_secs(3600);
/// A chat that cannot be read while others can is given up after so many tries.
const PASSES: u32 = 6;

/// Times at which channels had missed something, until the ledger knows of it.
#[derive(Default)]
pub struct Silences(Mutex<HashMap<ChannelName, Silence>>);

#[derive(Clone, Copy)]
struct Silence {
    at_ms: i64,
    /// How often something was missed since.
    times: u64,
}

impl Silences {
    fn all(&self) -> MutexGuard<'_, HashMap<ChannelName, Silence>> {
        self.0.lock().expect("no code panics while it holds this lock")
    }

    /// False where an earlier one waits to be noted already.
    fn add(&self, channel: &ChannelName, at_ms: i64) -> bool {
        let mut all = self.all();
        let silence = all.entry(channel.clone()).or_insert(Silence { at_ms, times: 0 });
        silence.times += 1;
        silence.times == 1
    }

    /// False where more was missed meanwhile.
    fn noted(&self, channel: &ChannelName, times: u64) -> bool {
        let mut all = self.all();
        let same = all.get(channel).is_none_or(|silence| silence.times == times);
        if same {
            all.remove(channel);
        }
        same
    }
}

/// A channel hears again.
pub(super) fn hears(core: &Arc<Core>, channel: &ChannelName, silent_ms: Option<i64>) {
    // A clock that was set back does not tell how long it was.
    if silent_ms.is_none_or(|ms| !(0..SHORT_MS).contains(&ms)) {
        missed(core, channel);
    }
}

/// Something came while the ledger took nothing. The platform delivers it again, but not for ever.
pub(super) fn not_taken(core: &Arc<Core>, channel: &ChannelName) {
    missed(core, channel);
}

fn missed(core: &Arc<Core>, channel: &ChannelName) {
    let now = core.now_ms();
    let reads_back = core.channel(channel).is_some_and(|channel| channel.reads_back());
    if !reads_back || !core.silences.add(channel, now) {
        return;
    }
    let (core, channel) = (Arc::clone(core), channel.clone());
    core.tasks.clone().spawn("gap", OnExit::Ignore, move |_| async move {
        // In an outage of the ledger `run` notes it, when that is over.
        let _ = note(&core, &channel).await;
        core.wakes.backfill.notify_one();
        Ok(())
    });
}

/// Has the ledger remember what this channel has missed.
async fn note(core: &Core, channel: &ChannelName) -> anyhow::Result<()> {
    loop {
        let Some(silence) = core.silences.all().get(channel).copied() else { return Ok(()) };
        let (name, now) = (channel.clone(), core.now_ms());
        core.ledger.write(move |tx| chats::open_gap(tx, &name, silence.at_ms, now)).await?;
        if core.silences.noted(channel, silence.times) {
            return Ok(());
        }
    }
}

/// What was looked through of a gap, as far as this process knows.
#[derive(Default)]
struct Tried {
    gap: Option<Gap>,
    done: HashSet<ChatId>,
    /// How often a chat could not be read while others could.
    failed: HashMap<ChatId, u32>,
    passes: u32,
}

impl Tried {
    fn begin(&mut self, gap: Gap) {
        if self.gap != Some(gap) {
            *self = Self { gap: Some(gap), ..Self::default() };
        }
        self.passes += 1;
    }

    fn wait(&self) -> Duration {
        AGAIN.saturating_mul(2_u32.saturating_pow(self.passes.saturating_sub(1).min(16))).min(LONGEST)
    }
}

/// Looks through every gap, when the bot knows who it is.
pub async fn run(core: Arc<Core>, cancel: CancellationToken) -> anyhow::Result<()> {
    let mut tried: HashMap<ChannelName, Tried> = HashMap::new();
    while core.until_writable(&cancel).await {
        let mut wait = None;
        for (name, channel) in &core.channels {
            if !channel.reads_back() || core.bot(name).is_none() {
                continue;
            }
            let tried = tried.entry(name.clone()).or_default();
            let looked = async {
                note(&core, name).await?;
                look_through(&core, name, channel.as_ref(), tried).await
            };
            let again = match cancel.run_until_cancelled(looked).await {
                None => return Ok(()),
                Some(Ok(complete)) => (!complete).then(|| tried.wait()),
                Some(Err(error)) => {
                    if !is_outage(&error) {
                        warn!(channel = %name, error = %format!("{error:#}"), "What was missed could not be looked for; it is tried again");
                    }
                    Some(AGAIN)
                }
            };
            wait = wait.into_iter().chain(again).min();
        }
        tokio::select! {
            () = cancel.cancelled() => break,
            () = core.wakes.backfill.notified() => {}
            () = tokio::time::sleep(wait.unwrap_or_default()), if wait.is_some() => {}
        }
    }
    Ok(())
}

/// False when a place could not be read for now: the gap stays.
async fn look_through(
    core: &Arc<Core>,
    name: &ChannelName,
    channel: &dyn Channel,
    tried: &mut Tried,
) -> anyhow::Result<bool> {
    let key = name.clone();
    let Some(gap) = core.ledger.read(move |tx| chats::gap(tx, &key)).await? else { return Ok(true) };
    tried.begin(gap);
    let key = name.clone();
    let known = core.ledger.read(move |tx| chats::known(tx, &key, MAX_CHATS)).await?;
    let mut pass = Pass::new(core, name, channel, gap);
    let (mut read_any, mut unread, mut in_part) = (false, Vec::new(), Vec::new());
    for known in known.iter().filter(|known| !tried.done.contains(&known.chat)).collect::<Vec<_>>() {
        match pass.chat(known).await? {
            Read::Whole => read_any = true,
            Read::InPart => {
                read_any = true;
                in_part.push(known.chat.clone());
            }
            Read::NotNow => {
                unread.push(known.chat.clone());
                continue;
            }
            Read::Never => {}
        }
        tried.done.insert(known.chat.clone());
    }
    // Where nothing could be read the platform is in trouble, and not a chat.
    let others_are_read = read_any || !tried.done.is_empty();
    for chat in unread.iter().filter(|_| others_are_read) {
        let failed = tried.failed.entry(chat.clone()).or_default();
        *failed += 1;
        if *failed >= PASSES {
            warn!(channel = %name, chat = %chat, "A chat could not be looked through for what was missed; it is given up");
            tried.done.insert(chat.clone());
            in_part.push(chat.clone());
        }
    }
    let complete = unread.iter().all(|chat| tried.done.contains(chat));
    info!(channel = %name, chats = known.len(), found = pass.found, complete, "Looked for what was missed");
    let (key, lacking, lang, now) = (name.clone(), pass.lacking(), core.config.lang, core.now_ms());
    core.ledger
        .write(move |tx| {
            if let Some(scope) = lacking {
                chats::set_lacking(tx, &key, scope.as_deref())?;
            }
            for chat in in_part {
                // Once a day: a restart looks at the last minutes again.
                if said::first_time(tx, &format!("missed:{key}:{chat}:{}", now / 86_400_000), now)? {
                    let text = say::notice(lang, NoticeMsg::MissedInPart);
                    let target = Target { chat, reply_to: None, in_topic: false };
                    notice(tx, &key, target, None, None, text, lang, now)?;
                }
            }
            if complete { chats::close_gap(tx, &key, gap) } else { Ok(()) }
        })
        .await?;
    core.wakes.outbox.notify_one();
    Ok(complete)
}
