//! A channel that is connected to a simulator, with an intake that does what the test says.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use ally::bridge::ports::{Accepted, BotIdentity, Boxed, Channel, Intake, NotStored, Outgoing};
use ally::channels::feishu::{Feishu, FeishuConfig, Timing};
use ally::clock::Clock;
use ally::domain::delivery::{Body, Target};
use ally::domain::ids::{ChannelName, DeliveryId};
use ally::domain::message::{Decoded, Event};
use ally::domain::view::{Lang, Toast, ToastKind};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::support::feishu_sim::{APP_ID, APP_SECRET, FeishuSim};

pub const DIRECT: &str = "oc_direct";
pub const GROUP: &str = "oc_group";
pub const TOM: &str = "ou_tom";

/// Takes everything, at once, unless the test wants it otherwise.
pub struct Recorder {
    pub seen: Mutex<Vec<(String, Decoded)>>,
    pub bots: Mutex<Vec<BotIdentity>>,
    pub anomalies: Mutex<Vec<&'static str>>,
    /// No commit ends while this is true.
    pub held: watch::Sender<bool>,
    pub broken: watch::Sender<bool>,
}

impl Recorder {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            seen: Mutex::default(),
            bots: Mutex::default(),
            anomalies: Mutex::default(),
            held: watch::channel(false).0,
            broken: watch::channel(false).0,
        })
    }

    pub fn hold(&self, held: bool) {
        self.held.send_replace(held);
    }

    pub fn break_disk(&self, broken: bool) {
        self.broken.send_replace(broken);
    }

    pub fn keys(&self) -> Vec<String> {
        self.seen.lock().expect("not poisoned").iter().map(|(_, decoded)| decoded.dedupe_key.clone()).collect()
    }

    pub fn events(&self) -> Vec<Event> {
        self.seen.lock().expect("not poisoned").iter().map(|(_, decoded)| decoded.event.clone()).collect()
    }

    pub fn anomalies(&self) -> Vec<&'static str> {
        self.anomalies.lock().expect("not poisoned").clone()
    }
}

impl Intake for Recorder {
    fn accept(&self, _: &ChannelName, raw: String, decoded: Decoded) -> Boxed<'static, Result<Accepted, NotStored>> {
        let is_click = matches!(decoded.event, Event::Click(_));
        self.seen.lock().expect("not poisoned").push((raw, decoded));
        let mut held = self.held.subscribe();
        let broken = self.broken.subscribe();
        Box::pin(async move {
            held.wait_for(|held| !held).await.expect("the recorder lives");
            if *broken.borrow() {
                return Err(NotStored { reason: "disk full".to_owned(), may_be_told: true });
            }
            if is_click {
                let (zh, en) = ("已允许".to_owned(), "Allowed".to_owned());
                return Ok(Accepted::Answer(Toast { kind: ToastKind::Success, zh, en }));
            }
            Ok(Accepted::Stored)
        })
    }

    fn bot_known(&self, _: &ChannelName, bot: BotIdentity) {
        self.bots.lock().expect("not poisoned").push(bot);
    }

    fn anomaly(&self, _: &ChannelName, what: &'static str) {
        self.anomalies.lock().expect("not poisoned").push(what);
    }
}

pub struct Rig {
    pub sim: FeishuSim,
    pub feishu: Arc<Feishu>,
    pub intake: Arc<Recorder>,
    cancel: CancellationToken,
    running: Option<tokio::task::JoinHandle<anyhow::Result<()>>>,
}

pub fn quick() -> Timing {
    Timing {
        first: Duration::from_millis(50),
        longest: Duration::from_millis(200),
        refused: Duration::from_millis(100),
        ..Timing::default()
    }
}

pub fn config(sim: &FeishuSim, secret: &str) -> FeishuConfig {
    FeishuConfig {
        app_id: APP_ID.to_owned(),
        app_secret: secret.to_owned().into(),
        base_url: sim.base_url(),
        proxy: None,
    }
}

pub async fn world() -> FeishuSim {
    let sim = FeishuSim::start().await;
    sim.add_user(TOM, "Tom");
    sim.add_user("ou_li", "Li");
    sim.add_direct(DIRECT, TOM);
    sim.add_group(GROUP, "Team", &[TOM, "ou_li"]);
    sim
}

impl Rig {
    /// A connected channel that knows its bot.
    pub async fn start() -> Self {
        Self::with(world().await, quick()).await
    }

    pub async fn with(sim: FeishuSim, timing: Timing) -> Self {
        let rig = Self::begin(sim, timing, APP_SECRET);
        rig.sim.wait_connected(1).await;
        rig.sim.wait_for("the bot", |_| rig.feishu.health().bot_name).await;
        rig
    }

    /// Starts and waits for nothing.
    pub fn begin(sim: FeishuSim, timing: Timing, secret: &str) -> Self {
        let feishu =
            Feishu::with_timing(config(&sim, secret), Clock::default(), timing).expect("a valid configuration");
        let intake = Recorder::new();
        let cancel = CancellationToken::new();
        let running = tokio::spawn(Arc::clone(&feishu).run(Arc::clone(&intake) as Arc<dyn Intake>, cancel.clone()));
        Self { sim, feishu, intake, cancel, running: Some(running) }
    }

    /// Stops as the daemon would, and checks that this works.
    pub async fn stop(mut self) {
        self.cancel.cancel();
        let running = self.running.take().expect("stopped once");
        let ended = tokio::time::timeout(Duration::from_secs(10), running).await;
        ended.expect("run ends soon after cancel").expect("no panic").expect("no error");
    }

    pub async fn wait_seen(&self, count: usize) {
        self.sim.wait_for("events at the intake", |_| (self.intake.keys().len() >= count).then_some(())).await;
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        self.cancel.cancel();
    }
}

pub fn notice(chat: &str, reply_to: Option<&str>, text: &str) -> Outgoing {
    let delivery = DeliveryId::fresh();
    Outgoing {
        key: ally::domain::delivery::send_key(&delivery),
        delivery,
        target: Target { chat: chat.into(), reply_to: reply_to.map(Into::into), in_topic: false },
        body: Body::Notice { text: text.to_owned() },
        form: 0,
        lang: Lang::En,
        resource: None,
    }
}
