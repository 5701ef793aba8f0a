//! The long connection: kept open for ever, and never believed to be alive without a sign.
//!
//! One loop owns the socket. It reads, hands each event to the intake in the order of the frames (which queues it at
//! once) and goes on reading; a task of its own waits for the commit and gives the ack back to the loop to be written.
//! Those tasks outlive the connection: a commit that was begun is finished, only its ack has nowhere to go, and the
//! platform delivers the event again (15 s, 5 min, 1 h, 6 h), which the ledger recognises.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use prost::Message as _;
use serde_json::json;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_tungstenite::tungstenite::Message;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use super::Feishu;
use super::convert::{self, CARD_ACTION};
use super::dial::{Connection, DialError, dial};
use super::frames::{Fragments, Verdict, ack, toast};
use super::wire::{ClientConfig, Envelope, Frame, METHOD_CONTROL, METHOD_DATA};
use crate::bridge::ports::{Accepted, BotIdentity, ChannelState, Intake};
use crate::crash;
use crate::domain::ids::{MessageId, UserId};
use crate::domain::message::{ChatKind, Event};
use crate::domain::view::Both;
use crate::tasks::{OnExit, Tasks};
use crate::words::{self, ChannelMsg, ToastMsg};

/// Acks that wait to be written. More than the events that can be on the way within the 3 s of an ack; a full queue only
/// makes the ack tasks wait.
const ACK_QUEUE: usize = 256;
/// Seconds between pings, where the server says nothing.
const PING_SECONDS: i64 = 120;
/// How often the wall clock is compared with monotonic time.
const WAKE_CHECK: Duration = Duration::from_secs(5);
/// A wall clock that ran ahead by this much means that the machine slept: the connection is dead, though nothing said so.
const SLEPT: Duration = Duration::from_secs(30);
/// Writing one frame; a peer that takes longer is gone.
const WRITE: Duration = Duration::from_secs(10);

/// The waits of the connection. The defaults are the product's; tests shorten them.
#[derive(Debug, Clone)]
pub struct Timing {
    /// TCP, TLS and WebSocket upgrade together.
    pub connect: Duration,
    /// Within this time after a ping anything must come.
    pub pong: Duration,
    /// Added to twice the ping interval: the longest silence.
    pub grace: Duration,
    /// Longest first wait after a connection was lost.
    pub first: Duration,
    /// Longest wait between two tries.
    pub longest: Duration,
    /// A connection that held this long ends the counting of failures.
    pub healthy: Duration,
    /// Between tries while the platform refuses us.
    pub refused: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(10),
            pong: Duration::from_secs(30),
            grace: Duration::from_secs(5),
            first: Duration::from_secs(1),
            longest: Duration::from_secs(60),
            healthy: Duration::from_secs(60),
            refused: Duration::from_secs(300),
        }
    }
}

/// What the server says about coming back. It may only make it sooner: a chat does not wait two minutes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Comeback {
    /// Spreads the first tries of all clients of a server that went down.
    nonce: Duration,
    interval: Duration,
}

impl Comeback {
    fn new(timing: &Timing) -> Self {
        Self { nonce: timing.first, interval: timing.longest }
    }

    /// What is missing, or nonsense, stays as it was.
    fn learn(&mut self, config: &ClientConfig) {
        let told = |value: Option<i64>| value.and_then(|value| u64::try_from(value).ok()).map(Duration::from_secs);
        self.nonce = told(config.reconnect_nonce).unwrap_or(self.nonce);
        self.interval = told(config.reconnect_interval).filter(|told| !told.is_zero()).unwrap_or(self.interval);
    }
}

/// Longest wait before try number `failures` (counted from 0); the wait itself is drawn uniformly below it.
fn longest_wait(failures: u32, comeback: Comeback, timing: &Timing) -> Duration {
    match failures {
        0 => comeback.nonce.min(timing.first),
        n => (timing.first * 2_u32.saturating_pow(n.min(16) - 1)).min(timing.longest).min(comeback.interval),
    }
}

fn seconds(value: Option<i64>, default: i64, at_most: i64) -> Duration {
    let value = value.filter(|value| *value > 0).unwrap_or(default).min(at_most);
    Duration::from_secs(value.unsigned_abs())
}

/// Connects, serves and connects again until `cancel` fires. Nothing else ends it.
pub async fn keep_connected(feishu: &Arc<Feishu>, intake: &Arc<dyn Intake>, tasks: &Tasks, cancel: CancellationToken) {
    let timing = &feishu.timing;
    let mut failures = 0;
    let mut comeback = Comeback::new(timing);
    while !cancel.is_cancelled() {
        let dialled = tokio::select! {
            () = cancel.cancelled() => break,
            dialled = dial(&feishu.client.http, &feishu.config, timing.connect) => dialled,
        };
        let wait = match dialled {
            Ok(connection) => {
                comeback.learn(&connection.config);
                let began = Instant::now();
                let mut session = Session::new(feishu, intake, tasks, &connection, comeback);
                let lost = session.serve(connection.socket, &cancel).await;
                comeback = session.comeback;
                if cancel.is_cancelled() {
                    break;
                }
                failures = if began.elapsed() >= timing.healthy { 0 } else { failures };
                // What ended this line may have ended those of the calls, without a word.
                feishu.client.http.reconnect();
                warn!(reason = lost.why(), "Long connection lost");
                feishu.set_state(ChannelState::Retrying, Some(lost.told()));
                jitter(longest_wait(failures, comeback, timing))
            }
            Err(DialError::Unavailable { reason }) => {
                debug!(reason, failures, "Long connection not opened");
                let told = words::both(ChannelMsg::Unreached { why: &reason });
                feishu.set_state(ChannelState::Retrying, Some(told));
                jitter(longest_wait(failures, comeback, timing))
            }
            Err(DialError::Refused { problem }) => {
                warn!(problem = problem.en, "Long connection refused");
                feishu.set_state(ChannelState::Refused, Some(problem));
                timing.refused
            }
        };
        failures += 1;
        tokio::select! {
            () = cancel.cancelled() => {}
            () = tokio::time::sleep(wait) => {}
        }
    }
}

fn jitter(longest: Duration) -> Duration {
    longest.mul_f64(fastrand::f64())
}

/// Tells a machine that slept from one that only worked hard.
struct Wake {
    wall_ms: i64,
    at: Instant,
}

impl Wake {
    /// Whether the wall clock gained more than [`SLEPT`] on monotonic time since the last look.
    fn slept(&mut self, wall_ms: i64, at: Instant) -> bool {
        let wall = wall_ms - self.wall_ms;
        let mono = i64::try_from(at.duration_since(self.at).as_millis()).unwrap_or(i64::MAX);
        (self.wall_ms, self.at) = (wall_ms, at);
        wall.saturating_sub(mono) > SLEPT.as_millis() as i64
    }
}

/// How a connection ended.
enum Lost {
    Closed,
    Silent,
    Slept,
    /// In the system's words.
    Broke(String),
}

impl Lost {
    /// For the log.
    fn why(&self) -> &str {
        match self {
            Lost::Closed => "closed by the platform",
            Lost::Silent => "it fell silent",
            Lost::Slept => "the machine slept",
            Lost::Broke(why) => why,
        }
    }

    fn told(&self) -> Both {
        words::both(match self {
            Lost::Closed => ChannelMsg::LineClosed,
            Lost::Silent => ChannelMsg::LineSilent,
            Lost::Slept => ChannelMsg::MachineSlept,
            Lost::Broke(why) => ChannelMsg::LineBroke { why },
        })
    }
}

/// One connection.
struct Session<'a> {
    feishu: &'a Arc<Feishu>,
    intake: &'a Arc<dyn Intake>,
    tasks: &'a Tasks,
    service: i32,
    ping_every: Duration,
    comeback: Comeback,
    fragments: Fragments,
    acks: mpsc::Sender<Answered>,
    acked: mpsc::Receiver<Answered>,
}

/// An ack that waits to be written, and when its event was read.
struct Answered {
    frame: Frame,
    started: Instant,
}

impl Answered {
    fn new(frame: Frame, verdict: &Verdict, started: Instant) -> Self {
        Self { frame: ack(frame, verdict, started.elapsed()), started }
    }
}

impl<'a> Session<'a> {
    fn new(
        feishu: &'a Arc<Feishu>,
        intake: &'a Arc<dyn Intake>,
        tasks: &'a Tasks,
        connection: &Connection,
        comeback: Comeback,
    ) -> Session<'a> {
        let (acks, acked) = mpsc::channel(ACK_QUEUE);
        info!(device.id = connection.device, "Long connection open");
        feishu.set_state(ChannelState::Connected, None);
        intake.hears(&feishu.name, feishu.silent_ms());
        Session {
            feishu,
            intake,
            tasks,
            service: connection.service,
            ping_every: seconds(connection.config.ping_interval, PING_SECONDS, 3600),
            comeback,
            fragments: Fragments::default(),
            acks,
            acked,
        }
    }

    /// Serves the connection until it is lost; says why.
    async fn serve<S>(&mut self, mut socket: S, cancel: &CancellationToken) -> Lost
    where
        S: StreamExt<Item = Result<Message, tokio_tungstenite::tungstenite::Error>> + SinkExt<Message> + Unpin,
    {
        let mut heard = Instant::now();
        let mut pinged: Option<Instant> = None;
        let mut next_ping = heard;
        let mut wake = Wake { wall_ms: self.feishu.clock.machine_ms(), at: heard };
        let mut wake_check = tokio::time::interval(WAKE_CHECK);
        wake_check.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            let timing = &self.feishu.timing;
            let silent_at = heard + 2 * self.ping_every + timing.grace;
            let deadline = pinged.map_or(silent_at, |at| silent_at.min(at + timing.pong));
            tokio::select! {
                () = cancel.cancelled() => {
                    // Best effort: the platform notices either way.
                    let _ = tokio::time::timeout(Duration::from_secs(1), socket.close()).await;
                    return Lost::Closed;
                }
                () = tokio::time::sleep_until(deadline) => return Lost::Silent,
                () = tokio::time::sleep_until(next_ping) => {
                    let now = Instant::now();
                    if !write(&mut socket, &Frame::ping(self.service)).await {
                        return Lost::Broke("a ping could not be written".to_owned());
                    }
                    pinged.get_or_insert(now);
                    next_ping = now + self.ping_every;
                }
                _ = wake_check.tick() => {
                    if wake.slept(self.feishu.clock.machine_ms(), Instant::now()) {
                        return Lost::Slept;
                    }
                }
                Some(answered) = self.acked.recv() => {
                    if !write(&mut socket, &answered.frame).await {
                        return Lost::Broke("an acknowledgement could not be written".to_owned());
                    }
                    let took = u64::try_from(answered.started.elapsed().as_micros()).unwrap_or(u64::MAX);
                    debug!(took_us = took, "Event acknowledged");
                }
                message = socket.next() => {
                    (heard, pinged) = (Instant::now(), None);
                    // A broken connection is noticed long after the last thing was heard on it.
                    if matches!(message, Some(Ok(_))) {
                        self.feishu.heard();
                    }
                    match message {
                        None => return Lost::Closed,
                        Some(Err(error)) => return Lost::Broke(error.to_string()),
                        Some(Ok(Message::Close(_))) => return Lost::Closed,
                        Some(Ok(message)) => self.take(message),
                    }
                }
            }
        }
    }

    fn take(&mut self, message: Message) {
        let started = Instant::now();
        let bytes = match message {
            Message::Binary(bytes) => bytes,
            Message::Text(_) => return self.odd("text_frame"),
            _ => return,
        };
        match Frame::decode(bytes.as_ref()) {
            Err(_) => self.odd("bad_frame"),
            Ok(frame) if frame.method == METHOD_CONTROL => self.control(&frame),
            Ok(frame) if frame.method == METHOD_DATA => match self.fragments.push(&frame, started) {
                Ok(None) => {}
                Ok(Some(payload)) => self.event(frame, payload, started),
                Err(what) => self.odd(what),
            },
            Ok(_) => self.odd("unknown_method"),
        }
    }

    fn odd(&self, what: &'static str) {
        warn!(anomaly = what, "Odd frame survived: {what}");
        self.intake.anomaly(&self.feishu.name, what);
    }

    /// A pong may carry a new configuration, whole or in part: it holds from now on.
    fn control(&mut self, frame: &Frame) {
        if frame.header("type") != Some("pong") {
            return;
        }
        let payload = frame.payload.as_deref().unwrap_or_default();
        let Ok(config) = serde_json::from_slice::<ClientConfig>(payload) else { return };
        self.comeback.learn(&config);
        if let Some(interval) = config.ping_interval {
            self.ping_every = seconds(Some(interval), PING_SECONDS, 3600);
        }
    }

    /// Reads an event and hands it on. What cannot be read now will not be readable in six hours: it is taken.
    fn event(&mut self, frame: Frame, payload: Vec<u8>, started: Instant) {
        let is_card = frame.header("type") == Some("card");
        if is_card {
            self.feishu.hint_at_card_frames();
        }
        let read = String::from_utf8(payload).ok().and_then(|raw| Envelope::read(&raw).ok().map(|read| (raw, read)));
        let Some((raw, envelope)) = read else {
            self.odd("bad_payload");
            return self.answer(frame, nothing(is_card), started);
        };
        self.feishu.learn_tenant(self.intake, envelope.tenant());
        let callback = is_card || envelope.kind() == CARD_ACTION;
        match convert::decode(&envelope, self.feishu.bot_id().as_ref()) {
            Err(error) => {
                warn!(event.kind = envelope.kind(), reason = error.reason, "Event cannot be read");
                self.intake.anomaly(&self.feishu.name, "unreadable_event");
                self.answer(frame, nothing(callback), started);
            }
            Ok(decoded) if matches!(decoded.event, Event::Ignored { .. }) => {
                debug!(event.kind = envelope.kind(), "Event of no interest");
                self.answer(frame, nothing(callback), started);
            }
            Ok(decoded) => {
                let event = decoded.event.clone();
                // Queued before it returns: events commit in the order of their frames.
                let accepted = self.intake.accept(&self.feishu.name, raw, decoded);
                self.spawn_ack(frame, event, accepted, callback, started);
            }
        }
    }

    fn spawn_ack(
        &self,
        frame: Frame,
        event: Event,
        accepted: crate::bridge::ports::Boxed<'static, Result<Accepted, crate::bridge::ports::NotStored>>,
        callback: bool,
        started: Instant,
    ) {
        let (feishu, acks) = (Arc::clone(self.feishu), self.acks.clone());
        self.tasks.spawn("feishu-ack", OnExit::LogOnly, |_| async move {
            let early = match callback {
                false if crash::has_fault("ack before commit") => Some(nothing(callback)),
                true if crash::has_fault("toast before commit") => {
                    Some(Verdict::Answer(toast(&words::toast(ToastMsg::Recorded))))
                }
                _ => None,
            };
            if let Some(verdict) = early {
                let _ = acks.send(Answered::new(frame, &verdict, started)).await;
                let _ = accepted.await;
                return Ok(());
            }
            let mut may_be_told = false;
            let verdict = match accepted.await {
                Ok(Accepted::Answer(shown)) => Verdict::Answer(toast(&shown)),
                Ok(Accepted::Stored) => nothing(callback),
                Err(error) => {
                    warn!(error = %error, "Event not stored");
                    may_be_told = error.may_be_told;
                    not_stored(callback)
                }
            };
            let refused = verdict == Verdict::NotTaken;
            // Closed when the connection is gone: then the platform delivers again.
            let _ = acks.send(Answered::new(frame, &verdict, started)).await;
            if refused && may_be_told {
                feishu.say_not_stored(&event).await;
            }
            Ok(())
        });
    }

    fn answer(&self, frame: Frame, verdict: Verdict, started: Instant) {
        if let Err(mpsc::error::TrySendError::Full(answered)) =
            self.acks.try_send(Answered::new(frame, &verdict, started))
        {
            let acks = self.acks.clone();
            self.tasks.spawn("feishu-ack", OnExit::LogOnly, |_| async move {
                let _ = acks.send(answered).await;
                Ok(())
            });
        }
    }
}

/// Taken, with nothing to show. A callback without a body is an error in the client.
fn nothing(callback: bool) -> Verdict {
    if callback { Verdict::Answer(json!({})) } else { Verdict::Taken }
}

/// Messages are delivered again; clicks never are, so the person must know at once.
fn not_stored(callback: bool) -> Verdict {
    if !callback {
        return Verdict::NotTaken;
    }
    Verdict::Answer(toast(&words::toast(ToastMsg::NotRecorded)))
}

async fn write<S: SinkExt<Message> + Unpin>(socket: &mut S, frame: &Frame) -> bool {
    let message = Message::binary(frame.encode_to_vec());
    matches!(tokio::time::timeout(WRITE, socket.send(message)).await, Ok(Ok(())))
}

impl Feishu {
    /// Only apps whose callbacks are not (yet) published as long connection get card frames. Said once a process.
    fn hint_at_card_frames(&self) {
        if !self.card_frames_hinted.swap(true, Ordering::Relaxed) {
            warn!("A card callback came in a card frame: publish the app with callbacks over the long connection");
        }
    }

    /// Finds out who the bot is, however long it takes; events are served meanwhile.
    pub(super) async fn identify(&self, intake: &Arc<dyn Intake>, cancel: &CancellationToken) {
        let mut failures = 0;
        loop {
            match self.client.bot().await {
                Ok(Some(bot)) if bot.open_id.as_deref().is_some_and(|id| !id.is_empty()) => {
                    return self.learn_bot(
                        intake,
                        bot.open_id.unwrap_or_default().into(),
                        bot.app_name.unwrap_or_default(),
                    );
                }
                Ok(_) => self.bot_unknown(ChannelMsg::BotUnnamed),
                Err(error) => self.bot_unknown(ChannelMsg::BotUnknown { why: &error.to_string() }),
            }
            failures += 1;
            let wait = jitter(longest_wait(failures, Comeback::new(&self.timing), &self.timing));
            tokio::select! {
                () = cancel.cancelled() => return,
                () = tokio::time::sleep(wait) => {}
            }
        }
    }

    /// Events are served all the same; what a group says waits, because nobody can tell whether it is said to the bot.
    fn bot_unknown(&self, why: ChannelMsg<'_>) {
        let problem = words::both(why);
        let reason = problem.en.clone();
        let mut bot = self.bot.write().expect("no code panics while it holds this lock");
        if bot.unknown.replace(problem).is_none() {
            warn!(reason, "It is not known who the bot is: group messages wait");
        }
    }

    fn learn_bot(&self, intake: &Arc<dyn Intake>, user: UserId, name: String) {
        let mut bot = self.bot.write().expect("no code panics while it holds this lock");
        let identity = BotIdentity { user, name, tenant: bot.tenant.clone() };
        (bot.identity, bot.unknown) = (Some(identity.clone()), None);
        // Told under the lock: who is told last knows all.
        intake.bot_known(&self.name, identity);
    }

    /// The bot's tenant is said nowhere but in the head of every event.
    fn learn_tenant(&self, intake: &Arc<dyn Intake>, tenant: Option<&str>) {
        let Some(tenant) = tenant else { return };
        if self.bot.read().expect("no code panics while it holds this lock").tenant.is_some() {
            return;
        }
        let mut bot = self.bot.write().expect("no code panics while it holds this lock");
        bot.tenant = Some(tenant.to_owned());
        if let Some(identity) = &mut bot.identity {
            identity.tenant = Some(tenant.to_owned());
            intake.bot_known(&self.name, identity.clone());
        }
    }

    /// Tells the person whose message the ledger did not take. Only where they spoke to the bot.
    async fn say_not_stored(&self, event: &Event) {
        let Event::Message(message) = event else { return };
        if message.chat_kind == ChatKind::Group && !message.mentions_bot {
            return;
        }
        if self.was_told(&message.message) {
            return;
        }
        match self.send_not_stored(message).await {
            Ok(()) => self.remember_told(&message.message),
            Err(error) => warn!(error = %error, "The sender could not be told that the message was not stored"),
        }
    }

    /// The platform forgets a key after an hour, and delivers again for seven.
    fn was_told(&self, message: &MessageId) -> bool {
        self.told_not_stored.lock().expect("no code panics while it holds this lock").contains(message)
    }

    fn remember_told(&self, message: &MessageId) {
        const REMEMBERED: usize = 1000;
        let mut told = self.told_not_stored.lock().expect("no code panics while it holds this lock");
        told.push_back(message.clone());
        if told.len() > REMEMBERED {
            told.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Barrier, Mutex};

    use super::*;
    use crate::bridge::ports::{Boxed, NotStored};
    use crate::channels::feishu::FeishuConfig;
    use crate::clock::Clock;
    use crate::domain::ids::ChannelName;
    use crate::domain::message::Decoded;

    /// Remembers the last identity that it was told.
    #[derive(Default)]
    struct Told(Mutex<Option<BotIdentity>>);

    impl Intake for Told {
        fn accept(&self, _: &ChannelName, _: String, _: Decoded) -> Boxed<'static, Result<Accepted, NotStored>> {
            Box::pin(async { Ok(Accepted::Stored) })
        }

        fn bot_known(&self, _: &ChannelName, bot: BotIdentity) {
            *self.0.lock().unwrap() = Some(bot);
        }

        fn anomaly(&self, _: &ChannelName, _: &'static str) {}
    }

    fn feishu() -> Arc<Feishu> {
        let config = FeishuConfig {
            app_id: "cli_1".to_owned(),
            app_secret: "x".to_owned().into(),
            base_url: "http://127.0.0.1:1".to_owned(),
            proxy: None,
        };
        Feishu::new(config, Clock::default()).expect("valid")
    }

    #[test]
    fn the_tenant_is_known_however_the_bot_and_an_event_race() {
        let feishu = feishu();
        for _ in 0..500 {
            *feishu.bot.write().unwrap() = Default::default();
            let (told, start) = (Arc::new(Told::default()), Barrier::new(2));
            let intake: Arc<dyn Intake> = Arc::clone(&told) as Arc<dyn Intake>;
            std::thread::scope(|scope| {
                scope.spawn(|| {
                    start.wait();
                    feishu.learn_tenant(&intake, Some("t1"));
                });
                start.wait();
                feishu.learn_bot(&intake, "ou_bot".into(), "ally".to_owned());
            });
            let last = told.0.lock().unwrap().clone().expect("told");
            assert_eq!(last.tenant.as_deref(), Some("t1"));
        }
    }

    #[test]
    fn waits_grow_from_a_second_to_a_minute() {
        let timing = Timing::default();
        let mut comeback = Comeback::new(&timing);
        let waits = |comeback: Comeback| {
            let longest = (0..9).map(|n| longest_wait(n, comeback, &timing).as_secs());
            longest.chain([longest_wait(u32::MAX, comeback, &timing).as_secs()]).collect::<Vec<_>>()
        };
        let usual = [1, 1, 2, 4, 8, 16, 32, 60, 60, 60];
        assert_eq!(waits(comeback), usual);
        let mut told = |text: &str| {
            comeback.learn(&serde_json::from_str(text).expect("a configuration"));
            waits(comeback)
        };
        assert_eq!(told(r#"{"ReconnectInterval":120,"ReconnectNonce":30,"ReconnectCount":3}"#), usual, "never later");
        assert_eq!(told(r#"{"ReconnectInterval":5,"ReconnectNonce":0}"#), [0, 1, 2, 4, 5, 5, 5, 5, 5, 5]);
        assert_eq!(told(r#"{"ReconnectInterval":0,"ReconnectNonce":-1}"#), [0, 1, 2, 4, 5, 5, 5, 5, 5, 5], "kept");
    }

    #[test]
    fn intervals_of_a_server_are_not_trusted() {
        for (value, want) in [(None, 120), (Some(0), 120), (Some(-5), 120), (Some(1), 1), (Some(1_000_000), 3600)] {
            assert_eq!(seconds(value, PING_SECONDS, 3600).as_secs(), want, "{value:?}");
        }
    }

    #[test]
    fn sleep_is_a_wall_clock_that_ran_ahead() {
        let at = Instant::now();
        let mut wake = Wake { wall_ms: 0, at };
        assert!(!wake.slept(1000, at + Duration::from_secs(1)));
        assert!(!wake.slept(100_000, at + Duration::from_secs(100)), "busy, not asleep");
        assert!(wake.slept(200_000, at + Duration::from_secs(101)));
        assert!(!wake.slept(100_000, at + Duration::from_secs(102)), "a clock that was set back");
    }
}
