//! What the bridge relies on, whichever channel it is.

use std::path::PathBuf;
use std::sync::Arc;

use ally::bridge::ports::{Attachment, CardOut, Channel, Lookup, Outgoing};
use ally::channels::feishu::{Feishu, FeishuConfig};
use ally::channels::local::{LocalChannel, LocalConfig};
use ally::clock::Clock;
use ally::domain::delivery::{Body, Disposition, Obstacle, Target, send_key};
use ally::domain::ids::{ChatId, DeliveryId, MessageId};
use ally::domain::view::{Lang, NoticeView, Receipt, View};

use crate::support::feishu_sim::{APP_ID, APP_SECRET, FeishuSim};

/// A place with one chat, that channels come to and go from.
struct Site {
    folder: tempfile::TempDir,
    sim: Option<FeishuSim>,
    chat: ChatId,
    /// No message ever reaches it.
    nowhere: ChatId,
    obstacle: Obstacle,
}

impl Site {
    /// A fresh channel, as after a restart.
    fn channel(&self) -> Arc<dyn Channel> {
        match &self.sim {
            Some(sim) => {
                let (app_id, base_url) = (APP_ID.to_owned(), sim.base_url());
                let config = FeishuConfig { app_id, app_secret: APP_SECRET.to_owned().into(), base_url, proxy: None };
                Feishu::new(config, Clock::default()).expect("a valid configuration")
            }
            None => {
                let config = LocalConfig { folder: self.folder.path().join("local"), user: "ann".to_owned() };
                Arc::new(LocalChannel::new(config, Clock::default()))
            }
        }
    }

    /// How many messages and cards of the chat say this.
    fn count(&self, words: &str) -> usize {
        match &self.sim {
            Some(sim) => sim.messages(self.chat.as_str()).iter().filter(|one| one.text().contains(words)).count(),
            None => {
                let file = self.folder.path().join("local").join(format!("{}.jsonl", self.chat));
                let text = std::fs::read_to_string(file).unwrap_or_default();
                text.lines().filter(|line| line.contains(words)).count()
            }
        }
    }

    fn file(&self) -> PathBuf {
        let path = self.folder.path().join("a.txt");
        std::fs::write(&path, "words").expect("written");
        path
    }

    fn outgoing(&self, body: Body) -> Outgoing {
        let delivery = DeliveryId::fresh();
        let (key, target) = (send_key(&delivery), Target { chat: self.chat.clone(), reply_to: None, in_topic: false });
        Outgoing { delivery, key, target, body, form: 0, lang: Lang::En, resource: None }
    }

    fn notice(&self, text: &str) -> Outgoing {
        self.outgoing(Body::Notice { text: text.to_owned() })
    }

    fn card(&self, text: &str) -> CardOut {
        let Outgoing { delivery, key, target, .. } = self.notice("");
        CardOut { delivery, key, target, view: view(text), lang: Lang::En }
    }
}

fn view(text: &str) -> View {
    View::Notice(NoticeView { text: text.to_owned(), buttons: Vec::new() })
}

fn lookup(out: &Outgoing, since_ms: i64) -> Lookup {
    Lookup {
        delivery: out.delivery.clone(),
        target: out.target.clone(),
        topic: None,
        since_ms,
        body: out.body.clone(),
        form: out.form,
        lang: out.lang,
        resource: out.resource.clone(),
        known: Vec::new(),
    }
}

/// The first form that goes through, and what the last one said where none does.
async fn down_the_ladder(channel: &dyn Channel, mut out: Outgoing) -> Result<u32, Disposition> {
    for form in 0..10 {
        out.form = form;
        match channel.send(&out).await {
            Ok(_) => return Ok(form),
            Err(error) if error.disposition == Disposition::NextForm => {}
            Err(error) => return Err(error.disposition),
        }
    }
    panic!("the ladder of forms does not end");
}

#[tokio::test]
async fn feishu_keeps_the_contract() {
    let sim = FeishuSim::start().await;
    sim.add_user("ou_tom", "Tom");
    sim.add_direct("oc_direct", "ou_tom");
    let folder = tempfile::tempdir().expect("a folder");
    let (chat, nowhere) = ("oc_direct".into(), "oc_nowhere".into());
    keeps_the_contract(Site { folder, sim: Some(sim), chat, nowhere, obstacle: Obstacle::Left }).await;
}

#[tokio::test]
async fn local_keeps_the_contract() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::create_dir(folder.path().join("local")).expect("a folder");
    let (chat, nowhere) = ("main".into(), "../nowhere".into());
    keeps_the_contract(Site { folder, sim: None, chat, nowhere, obstacle: Obstacle::Here }).await;
}

async fn keeps_the_contract(site: Site) {
    let channel = site.channel();
    let since = Clock::default().now_ms();
    messages(&site, &*channel, since).await;
    cards(&site, &*channel).await;
    files_and_receipts(&site, &*channel).await;
    for raw in ["", "no json", "7"] {
        assert!(channel.decode(raw).is_err(), "{raw:?}");
    }
}

async fn messages(site: &Site, channel: &dyn Channel, since: i64) {
    // A key is spent once: one after the other, at the same time, and after a restart.
    let out = site.notice("spent once");
    assert_eq!(channel.find_sent(&lookup(&out, since)).await, Ok(None), "not sent yet");
    let at_once = futures_util::future::join_all((0..3).map(|_| channel.send(&out))).await;
    let ids: Vec<MessageId> = at_once.into_iter().filter_map(|sent| sent.expect("sent").message).collect();
    let again = site.channel().send(&out).await.expect("sent").message.expect("an id");
    assert!(ids.iter().all(|id| *id == again), "{ids:?} {again}");
    assert_eq!(site.count("spent once"), 1);

    // What was sent is found, by another process too, and nothing else is.
    assert_eq!(site.channel().find_sent(&lookup(&out, since)).await, Ok(Some(again.clone())));
    assert_eq!(channel.find_sent(&lookup(&site.notice("never sent"), since)).await, Ok(None));

    // It can be quoted; what is not there cannot.
    let quoted = channel.quoted(&again).await.expect("readable");
    assert!(quoted.len() == 1 && quoted[0].text.contains("spent once"), "{quoted:?}");
    assert!(channel.quoted(&"om_nobody_knows".into()).await.is_err());

    // A chat that cannot be reached ends the delivery, and there is a word for it.
    let mut lost = site.notice("for nobody");
    lost.target.chat = site.nowhere.clone();
    let error = channel.send(&lost).await.expect_err("nobody there");
    assert_eq!((error.disposition, channel.obstacle(&error)), (Disposition::Undeliverable, site.obstacle), "{error}");

    // A message to answer that is not there: said, or sent without it.
    let mut orphan = site.notice("an answer to nothing");
    orphan.target.reply_to = Some("om_nobody_knows".into());
    if let Err(error) = channel.send(&orphan).await {
        assert_eq!(error.disposition, Disposition::WithoutReply, "{error}");
        orphan.target.reply_to = None;
        channel.send(&orphan).await.expect("sent without reply");
    }
    assert_eq!(site.count("an answer to nothing"), 1, "one key for reply and create");

    // A part of the size that the channel names goes through; what is too long ends the ladder, not the chat.
    let part = "字\"\\".repeat(channel.limits().part_chars / 3);
    let answer = Body::Answer { markdown: part, part: 1, parts: 1, footer: None, mention: None };
    assert!(down_the_ladder(channel, site.outgoing(answer)).await.is_ok());
    let long = down_the_ladder(channel, site.notice(&"x".repeat(400_000))).await;
    assert!(matches!(long, Ok(_) | Err(Disposition::NoForm)), "{long:?}");
    let strange = site.notice("strange \u{0}\u{1b}[2J\u{202e}");
    assert!(down_the_ladder(channel, strange).await.is_ok());
}

async fn cards(site: &Site, channel: &dyn Channel) {
    if !channel.limits().cards {
        return;
    }
    let card = site.card("the first picture");
    let id = channel.create_card(&card).await.expect("sent").message.expect("an id");
    let again = site.channel().create_card(&card).await.expect("sent").message;
    assert_eq!(again.as_ref(), Some(&id), "a key is spent once");
    assert_eq!(site.count("the first picture"), 1);
    // Changed as often as one likes, to the same picture too, and by another process.
    for (process, text) in [(channel, "the second picture"), (channel, "the second picture")] {
        process.update_card(&id, &view(text), Lang::En).await.expect("changed");
    }
    site.channel().update_card(&id, &view("the third picture"), Lang::En).await.expect("changed");
    assert!(site.count("the third picture") >= 1);
    let error = channel.update_card(&"om_nobody_knows".into(), &view("x"), Lang::En).await.expect_err("no such card");
    assert_eq!(error.disposition, Disposition::WithoutReply, "so that it is drawn anew: {error}");
    let mut lost = site.card("for nobody");
    lost.target.chat = site.nowhere.clone();
    let error = channel.create_card(&lost).await.expect_err("nobody there");
    assert_eq!(error.disposition, Disposition::Undeliverable, "{error}");
}

async fn files_and_receipts(site: &Site, channel: &dyn Channel) {
    let body = Body::File { name: "a.txt".to_owned(), sha256: "0".to_owned(), bytes: 5 };
    let mut out = site.outgoing(body.clone());
    let resource = channel.upload(&body, &site.file()).await.expect("uploaded");
    out.resource = Some(resource);
    let sent = channel.send(&out).await.expect("sent").message.expect("an id");
    assert_eq!(channel.send(&out).await.expect("sent").message.as_ref(), Some(&sent));

    let into = site.folder.path().join("fetched");
    let nothing = Attachment { message: sent.clone(), key: "no_such_key".into(), is_image: false };
    assert!(channel.download(&nothing, &into, 100).await.is_err());
    assert!(!into.exists(), "nothing is left of it");

    if channel.limits().reactions {
        let first = channel.react(&sent, Receipt::Accepted).await.expect("added");
        channel.unreact(&sent, &first).await.expect("removed");
        let last = channel.react(&sent, Receipt::Done).await.expect("added");
        assert_ne!(first, last, "each can be taken away by itself");
    }
}
