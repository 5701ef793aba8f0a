//! A Feishu that runs in the test's process and speaks the platform's own bytes: token, REST, and the long connection
//! with its protobuf frames. It shares no code with the adapter, and the official SDK is its judge (`feishu::sdk`).
//!
//! It outlives the bridge: a test may stop and start `ally` as often as it wants and keep one simulator.

mod registration;
mod rest;
mod rules;
mod socket;
mod state;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use tokio_util::sync::{CancellationToken, DropGuard};

use self::registration::Registration;
pub use self::rules::{Console, Fault, Rules, UuidRepeat};
pub use self::state::{AckRecord, SimMessage};
use self::state::{Chat, ChatMode, Delivery, State};

pub const APP_ID: &str = "cli_a1b2c3d4e5f60718";
pub const APP_SECRET: &str = "simulated-secret-that-must-never-be-logged";
pub const BOT: &str = "ou_bot";
pub const TENANT: &str = "tenant_sim";

/// Handle of a running simulator. Clones are the same simulator; it ends with the last one.
#[derive(Clone)]
pub struct FeishuSim {
    inner: Arc<Inner>,
    _guard: Arc<DropGuard>,
}

struct Inner {
    address: std::net::SocketAddr,
    state: Mutex<State>,
    ended: CancellationToken,
}

/// A message as a person would type it. In `text`, `@bot` becomes a mention of the bot and `@all` one of everybody.
#[derive(Debug, Clone, Default)]
pub struct Say {
    pub chat: String,
    pub user: String,
    pub text: String,
    /// The message that is answered (its thread is kept).
    pub parent: Option<String>,
    /// Opens a topic, or writes a new message into an existing one, without answering anything.
    pub thread: Option<String>,
    /// What is answered lies in a topic, and this does not: a quote in the group's stream.
    pub in_stream: bool,
    /// Message type and content as they stand on the wire, instead of `text`; `@_user_1` is the bot.
    pub raw: Option<(String, String)>,
    /// Another company's tenant.
    pub tenant: Option<String>,
}

impl FeishuSim {
    pub async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("bound");
        let ended = CancellationToken::new();
        let inner = Arc::new(Inner { address, state: Mutex::default(), ended: ended.clone() });
        tokio::spawn(rest::serve(listener, Arc::clone(&inner)));
        tokio::spawn(socket::redeliver(Arc::clone(&inner)));
        Self { inner, _guard: Arc::new(ended.drop_guard()) }
    }

    /// What goes into `base_url`.
    pub fn base_url(&self) -> String {
        format!("http://{}", self.inner.address)
    }

    // ---------------------------------------------------------------------------------------- the world

    pub fn add_user(&self, user: &str, name: &str) {
        self.with(|state| state.users.insert(user.to_owned(), name.to_owned()));
    }

    /// A chat between `user` and the bot.
    pub fn add_direct(&self, chat: &str, user: &str) {
        self.add_chat(chat, "", ChatMode::Direct, &[user]);
    }

    pub fn add_group(&self, chat: &str, name: &str, members: &[&str]) {
        self.add_chat(chat, name, ChatMode::Group, members);
    }

    /// A group in which every message lies in a topic.
    pub fn add_topic_group(&self, chat: &str, name: &str, members: &[&str]) {
        self.add_chat(chat, name, ChatMode::Topic, members);
    }

    fn add_chat(&self, chat: &str, name: &str, mode: ChatMode, members: &[&str]) {
        let members = members.iter().map(|user| (*user).to_owned()).collect();
        let new = Chat { name: name.to_owned(), mode, members, bot_in: true, external: false };
        self.with(|state| state.chats.insert(chat.to_owned(), new));
    }

    /// People of other companies are in the chat, or not any more.
    pub fn let_outsiders_in(&self, chat: &str, external: bool) {
        self.with(|state| state.chats.get_mut(chat).expect("a chat of the test").external = external);
    }

    /// The bot is thrown out of the chat (without an event).
    pub fn remove_bot(&self, chat: &str) {
        self.with(|state| state.chats.get_mut(chat).expect("a chat of the test").bot_in = false);
    }

    /// A person marks a message with a reaction (without an event).
    pub fn mark(&self, message: &str, user: &str, emoji: &str) {
        self.with(|state| {
            let id = state.fresh("r");
            let found = state.messages.iter_mut().find(|one| one.id == message).expect("a message of the test");
            found.reactions.push((id, emoji.to_owned(), user.to_owned()));
        });
    }

    /// Changes how the platform behaves from now on.
    pub fn rules(&self, change: impl FnOnce(&mut Rules)) {
        self.with(|state| change(&mut state.rules));
    }

    /// Lets the next `times` calls whose `METHOD /path` (or path) begins with `prefix` go wrong.
    pub fn fault(&self, prefix: &str, fault: Fault, times: usize) {
        self.with(|state| {
            state.faulty = true;
            state.faults.push((prefix.to_owned(), fault, times));
        });
    }

    /// From now on all goes well again.
    pub fn no_more_faults(&self) {
        self.with(|state| state.faults.clear());
    }

    /// Moves the platform's clock.
    pub fn advance(&self, by: Duration) {
        self.with(|state| state.offset_ms += by.as_millis() as i64);
    }

    pub fn now_ms(&self) -> i64 {
        self.with(|state| state.now_ms())
    }

    /// All tokens that were given out are invalid from now on.
    pub fn revoke_tokens(&self) {
        self.with(|state| state.tokens.clear());
    }

    /// What was uploaded for a message that shows a file or a picture: its name and its bytes.
    pub fn resource_of(&self, message: &SimMessage) -> Option<(String, Vec<u8>)> {
        let content: Value = serde_json::from_str(&message.content).ok()?;
        let key = content["file_key"].as_str().or_else(|| content["image_key"].as_str())?.to_owned();
        self.with(|state| state.resources.get(&key).cloned())
    }

    /// Puts bytes behind a key, so that a message that names it can be downloaded from.
    pub fn add_resource(&self, key: &str, name: &str, bytes: &[u8]) {
        self.with(|state| state.resources.insert(key.to_owned(), (name.to_owned(), bytes.to_vec())));
    }

    // ---------------------------------------------------------------------------------------- new apps

    /// Somebody scans the newest code, and agrees: the app is theirs.
    pub fn scan(&self, user: &str) {
        self.with(|state| registration::settle(state, Registration::Agreed(user.to_owned())));
    }

    /// Somebody scans it, and says no.
    pub fn refuse_scan(&self) {
        self.with(|state| registration::settle(state, Registration::Refused));
    }

    /// The newest code is too old.
    pub fn expire_code(&self) {
        self.with(|state| registration::settle(state, Registration::Expired));
    }

    /// How many codes were asked for.
    pub fn codes(&self) -> usize {
        self.with(|state| state.registrations.len())
    }

    // ---------------------------------------------------------------------------------------- people

    /// Says something; gives the message's id.
    pub fn say(&self, chat: &str, user: &str, text: &str) -> String {
        self.post(Say { chat: chat.to_owned(), user: user.to_owned(), text: text.to_owned(), ..Say::default() })
    }

    /// Many messages of which the bot is told nothing.
    pub fn chatter(&self, chat: &str, user: &str, count: usize) {
        for n in 0..count {
            let (chat, user, text) = (chat.to_owned(), user.to_owned(), format!("chatter {n}"));
            self.with(|state| state.say(&Say { chat, user, text, ..Say::default() }));
        }
    }

    /// Answers (quotes) a message; inside a topic when that lies in one.
    pub fn reply(&self, parent: &str, user: &str, text: &str) -> String {
        let chat = self.message(parent).chat;
        let (user, text) = (user.to_owned(), text.to_owned());
        self.post(Say { chat, user, text, parent: Some(parent.to_owned()), ..Say::default() })
    }

    /// Says something whose event does not come, until [`FeishuSim::deliver`].
    pub fn hold_back(&self, chat: &str, user: &str, text: &str) -> String {
        self.post_back(Say { chat: chat.to_owned(), user: user.to_owned(), text: text.to_owned(), ..Say::default() })
    }

    /// The same for any message.
    pub fn post_back(&self, say: Say) -> String {
        self.with(|state| {
            let (id, payload) = state.say(&say);
            state.held.insert(id.clone(), payload);
            id
        })
    }

    /// The event of a message that was held back.
    pub fn deliver(&self, message: &str) {
        let payload = self.with(|state| state.held.remove(message)).expect("a message that was held back");
        self.emit("im.message.receive_v1", Some(message.to_owned()), payload);
    }

    pub fn post(&self, say: Say) -> String {
        let (id, payload) = self.with(|state| state.say(&say));
        self.emit("im.message.receive_v1", Some(id.clone()), payload);
        id
    }

    /// Several messages forwarded as one; `inside` are (sender, text).
    pub fn forward(&self, chat: &str, user: &str, inside: &[(&str, &str)]) -> String {
        let raw = Some(("merge_forward".to_owned(), json!({"content": "Merged and Forwarded Message"}).to_string()));
        let id = self.post(Say { chat: chat.to_owned(), user: user.to_owned(), raw, ..Say::default() });
        self.with(|state| state.put_inside(&id, inside));
        id
    }

    /// Delivers a message's event once more, with another event id.
    pub fn redeliver(&self, message: &str) {
        let payload = self.with(|state| {
            let old = state.deliveries.iter().find(|one| one.message.as_deref() == Some(message));
            old.expect("a message that was delivered").event.clone()
        });
        self.emit("im.message.receive_v1", Some(message.to_owned()), payload);
    }

    /// Takes a message back; the event that says so never comes.
    pub fn recall_unheard(&self, message: &str) {
        self.with(|state| {
            let found = state.messages.iter_mut().find(|one| one.id == message).expect("a message of the test");
            found.recalled = true;
        });
    }

    /// Gives the id of the event's delivery.
    pub fn recall(&self, message: &str) -> String {
        let chat = self.with(|state| {
            let found = state.messages.iter_mut().find(|one| one.id == message).expect("a message of the test");
            found.recalled = true;
            found.chat.clone()
        });
        let body = json!({"message_id": message, "chat_id": chat, "recall_time": self.now_ms().to_string(),
                          "recall_type": "message_owner"});
        self.emit("im.message.recalled_v1", None, body)
    }

    /// The platform knows nothing of a message any more.
    pub fn lose(&self, message: &str) {
        self.with(|state| state.messages.retain(|one| one.id != message));
    }

    /// A person puts a reaction on a message, or takes it away.
    pub fn react_event(&self, message: &str, user: &str, emoji: &str, added: bool) -> String {
        let body = json!({"message_id": message, "reaction_type": {"emoji_type": emoji}, "operator_type": "user",
            "user_id": {"union_id": "on_x", "user_id": null, "open_id": user}, "action_time": self.now_ms().to_string()});
        let what = if added { "created" } else { "deleted" };
        self.emit(&format!("im.message.reaction.{what}_v1"), None, body)
    }

    /// The bot is taken into a group.
    pub fn add_bot(&self, chat: &str, by: &str) -> String {
        self.with(|state| state.chats.get_mut(chat).expect("a chat of the test").bot_in = true);
        self.membership("im.chat.member.bot.added_v1", chat, by)
    }

    /// The bot is thrown out of a group.
    pub fn throw_out(&self, chat: &str, by: &str) -> String {
        self.remove_bot(chat);
        self.membership("im.chat.member.bot.deleted_v1", chat, by)
    }

    /// The group is no more.
    pub fn disband(&self, chat: &str, by: &str) -> String {
        self.remove_bot(chat);
        self.membership("im.chat.disbanded_v1", chat, by)
    }

    fn membership(&self, kind: &str, chat: &str, by: &str) -> String {
        let name = self.with(|state| state.chats[chat].name.clone());
        let body = json!({"chat_id": chat, "operator_id": {"union_id": "on_x", "user_id": null, "open_id": by},
            "external": false, "operator_tenant_key": TENANT, "name": name,
            "i18n_names": {"zh_cn": name, "en_us": name, "ja_jp": name}});
        self.emit(kind, None, body)
    }

    /// A click as it comes in a card frame, in the shape from before there were envelopes.
    pub async fn click_in_card_frame(&self, card: &str, user: &str, value: Value) -> Value {
        let (chat, token) = (self.message(card).chat, self.with(|state| state.fresh("c")));
        let body = json!({"open_id": user, "user_id": "867", "open_message_id": card, "open_chat_id": chat,
            "tenant_key": TENANT, "token": token,
            "action": {"value": value, "tag": "button", "timezone": "Asia/Shanghai"}});
        let ack = self.wait_delivery(&self.emit_card_frame(&body.to_string())).await;
        assert_eq!(ack.code, 200, "a click is always answered with 200");
        ack.data.expect("the answer to a click has data")
    }

    /// Any payload in a card frame; gives the id of its delivery.
    pub fn emit_card_frame(&self, payload: &str) -> String {
        socket::emit_card(&self.inner, payload.to_owned())
    }

    /// Any payload in an event frame; gives the id of its delivery.
    pub fn emit_event_frame(&self, payload: &str) -> String {
        socket::emit_payload(&self.inner, payload.to_owned())
    }

    /// Presses the first button of a card whose text contains `button`; gives the ack's data (`{}` or a toast).
    pub async fn click(&self, card: &str, button: &str, user: &str) -> Value {
        self.click_form(card, button, user, Value::Null).await
    }

    /// The same with a form's values by field name.
    pub async fn click_form(&self, card: &str, button: &str, user: &str, form: Value) -> Value {
        let message = self.message(card);
        let value = message.button(button).unwrap_or_else(|| panic!("no button {button:?} in {}", message.content));
        self.click_value(card, user, value, form).await
    }

    /// A click with any value, as a tampered client could send it.
    pub async fn click_value(&self, card: &str, user: &str, value: Value, form: Value) -> Value {
        self.click_from(TENANT, card, user, value, form).await
    }

    /// The same of a person of some company.
    pub async fn click_from(&self, tenant: &str, card: &str, user: &str, value: Value, form: Value) -> Value {
        let chat = self.message(card).chat;
        let mut action = json!({"value": value, "tag": "button", "timezone": "Asia/Shanghai"});
        if !form.is_null() {
            action["form_value"] = form;
            action["name"] = json!("submit_1");
        }
        let body = json!({"operator": {"tenant_key": tenant, "user_id": null, "open_id": user, "union_id": "on_x"},
            "token": "c-295ee57216a5dc9de90fefd0aadb4b1d7d", "action": action, "host": "im_message",
            "context": {"open_message_id": card, "open_chat_id": chat}});
        let delivery = self.emit("card.action.trigger", None, body);
        let ack = self.wait_delivery(&delivery).await;
        assert_eq!(ack.code, 200, "a click is always answered with 200");
        ack.data.expect("the answer to a click has data")
    }

    /// Presses a button and waits for nothing: nobody may be there to answer. Gives the click's delivery.
    pub fn press(&self, card: &SimMessage, user: &str, value: Value) -> String {
        let body = json!({"operator": {"tenant_key": TENANT, "user_id": null, "open_id": user, "union_id": "on_x"},
            "token": "c-295ee57216a5dc9de90fefd0aadb4b1d7d", "host": "im_message",
            "action": {"value": value, "tag": "button", "timezone": "Asia/Shanghai"},
            "context": {"open_message_id": card.id, "open_chat_id": card.chat}});
        self.emit("card.action.trigger", None, body)
    }

    /// The kind of the toast that whoever pressed saw, if anybody answered.
    pub fn toast(&self, click: &str) -> Option<String> {
        let ack = self.with(|state| {
            let delivery = state.deliveries.iter().find(|delivery| delivery.id == click)?;
            delivery.acks.iter().find(|ack| ack.code == 200).cloned()
        })?;
        Some(ack.data?["toast"]["type"].as_str()?.to_owned())
    }

    /// Whatever was not acknowledged is delivered again now, as it is after the platform's own waits, and however often it
    /// was tried; gives how much. A click is delivered once.
    pub fn deliver_again(&self) -> usize {
        self.with(|state| {
            let now = state.now_ms();
            let open = state.deliveries.iter_mut().filter(|one| one.acks.iter().all(|ack| ack.code != 200));
            open.filter(|one| one.kind != "card.action.trigger").map(|one| one.due_ms = Some(now)).count()
        })
    }

    /// Sends any event; gives the id of its delivery.
    pub fn emit(&self, kind: &str, message: Option<String>, event: Value) -> String {
        socket::emit(&self.inner, kind, message, event)
    }

    // ---------------------------------------------------------------------------------------- the wire

    /// Breaks all connections.
    pub fn drop_connections(&self) {
        self.with(|state| state.connections.drain(..).for_each(|one| one.gone.cancel()));
    }

    /// Writes bytes that are no frame (`text`: as a text message).
    pub fn send_garbage(&self, bytes: &[u8], text: bool) {
        self.with(|state| state.connections.iter().for_each(|one| one.send(bytes.to_vec(), text)));
    }

    pub fn connections(&self) -> usize {
        self.with(|state| state.connections.len())
    }

    /// How often a connection was opened.
    pub fn connected(&self) -> usize {
        self.with(|state| state.connected)
    }

    // ---------------------------------------------------------------------------------------- what is seen

    /// Everything in a chat, oldest first.
    pub fn messages(&self, chat: &str) -> Vec<SimMessage> {
        self.with(|state| state.messages.iter().filter(|one| one.chat == chat && !one.inside).cloned().collect())
    }

    /// Everything in all chats since there were so many messages, and how many there are.
    pub fn messages_since(&self, count: usize) -> (Vec<SimMessage>, usize) {
        self.with(|state| (state.messages[count..].to_vec(), state.messages.len()))
    }

    pub fn message(&self, id: &str) -> SimMessage {
        self.with(|state| state.messages.iter().find(|one| one.id == id).cloned()).expect("a message of the test")
    }

    /// What the bot sent as an answer to a message, oldest first.
    pub fn answers_to(&self, message: &str) -> Vec<SimMessage> {
        let chat = self.message(message).chat;
        let all = self.messages(&chat).into_iter();
        all.filter(|one| one.by_bot() && one.replied_to.as_deref() == Some(message)).collect()
    }

    /// All requests so far, as `METHOD /path`.
    pub fn requests(&self) -> Vec<String> {
        self.with(|state| state.requests.clone())
    }

    /// Messages that had two reactions of the bot at a time, unless calls went wrong on purpose.
    pub fn doubled(&self) -> Vec<String> {
        self.with(|state| if state.faulty { Vec::new() } else { state.doubled.clone() })
    }

    /// Acks of a message's deliveries, in the order in which they came.
    pub fn acks(&self, message: &str) -> Vec<AckRecord> {
        self.with(|state| {
            let own = state.deliveries.iter().filter(|one| one.message.as_deref() == Some(message));
            own.flat_map(|one| one.acks.clone()).collect()
        })
    }

    /// Deliveries that were acknowledged with 200.
    pub fn taken(&self) -> usize {
        self.with(|state| state.deliveries.iter().filter(|one| one.acks.iter().any(|ack| ack.code == 200)).count())
    }

    pub async fn wait_ack(&self, message: &str) -> AckRecord {
        self.wait_for("an ack of the message", |sim| sim.acks(message).into_iter().next()).await
    }

    pub async fn wait_delivery(&self, delivery: &str) -> AckRecord {
        self.wait_for("an ack of the delivery", |sim| {
            sim.with(|state| {
                let found = state.deliveries.iter().find(|one: &&Delivery| one.id == delivery);
                found.and_then(|one| one.acks.first().cloned())
            })
        })
        .await
    }

    pub async fn wait_connected(&self, times: usize) {
        self.wait_for("a connection", |sim| (sim.connected() >= times && sim.connections() > 0).then_some(())).await;
    }

    /// Waits for something to be so.
    ///
    /// # Panics
    /// After 20 s, with `what`.
    pub async fn wait_for<T>(&self, what: &str, mut look: impl FnMut(&Self) -> Option<T>) -> T {
        let waiting = async {
            loop {
                if let Some(found) = look(self) {
                    return found;
                }
                // Some conditions lie outside the simulator, so it cannot wake us.
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        let waited = tokio::time::timeout(Duration::from_secs(20), waiting).await;
        waited.unwrap_or_else(|_| panic!("waited in vain for {what}"))
    }

    fn with<T>(&self, look: impl FnOnce(&mut State) -> T) -> T {
        self.inner.with(look)
    }
}

impl Inner {
    fn with<T>(&self, look: impl FnOnce(&mut State) -> T) -> T {
        look(&mut self.state.lock().expect("no test panics inside the simulator"))
    }
}
