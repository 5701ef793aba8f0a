//! What the simulated platform knows.

use std::collections::HashMap;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::registration::Registration;
use super::rules::{Fault, Rules};
use super::{APP_ID, BOT, Say, TENANT};

#[derive(Default)]
pub struct State {
    pub rules: Rules,
    pub faults: Vec<(String, Fault, usize)>,
    pub users: HashMap<String, String>,
    pub chats: HashMap<String, Chat>,
    pub messages: Vec<SimMessage>,
    /// By key: file name and bytes.
    pub resources: HashMap<String, (String, Vec<u8>)>,
    /// By uuid: when it was first seen, and the message that came of it.
    pub sent: HashMap<String, (i64, String)>,
    /// By chat: when messages were sent.
    pub recent: HashMap<String, Vec<i64>>,
    pub tokens: Vec<String>,
    pub tickets: Vec<String>,
    pub connections: Vec<Connection>,
    pub connected: usize,
    /// By device code, the newest last.
    pub registrations: Vec<(String, Registration)>,
    pub deliveries: Vec<Delivery>,
    /// Events that are not sent yet, by message.
    pub held: HashMap<String, Value>,
    pub requests: Vec<String>,
    /// Messages on which a reaction of the bot was put beside another one of its own.
    pub doubled: Vec<String>,
    /// A call went wrong on purpose.
    pub faulty: bool,
    pub offset_ms: i64,
    counter: u64,
}

pub struct Chat {
    pub name: String,
    pub mode: ChatMode,
    pub members: Vec<String>,
    pub bot_in: bool,
    /// People of other companies are in it.
    pub external: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChatMode {
    Direct,
    Group,
    Topic,
}

pub struct Connection {
    pub gone: CancellationToken,
    /// Bytes, and whether they go as text.
    pub out: mpsc::UnboundedSender<(Vec<u8>, bool)>,
}

impl Connection {
    pub fn send(&self, bytes: Vec<u8>, text: bool) {
        // A closed queue is a connection that just went away.
        let _ = self.out.send((bytes, text));
    }
}

/// One event on its way, with all its attempts.
pub struct Delivery {
    pub id: String,
    /// `type` of its frames: `event` or `card`.
    pub frame: &'static str,
    pub kind: String,
    pub message: Option<String>,
    pub event: Value,
    pub payload: String,
    pub attempts: usize,
    pub due_ms: Option<i64>,
    pub sent_at: Instant,
    pub acks: Vec<AckRecord>,
}

#[derive(Debug, Clone)]
pub struct AckRecord {
    pub code: i64,
    /// What stood in `data`, out of its base64.
    pub data: Option<Value>,
    pub took: Duration,
    /// The ack carried `biz_rt` and all headers of the frame.
    pub well_formed: bool,
}

#[derive(Debug, Clone)]
pub struct SimMessage {
    pub id: String,
    pub chat: String,
    pub root: Option<String>,
    pub parent: Option<String>,
    pub thread: Option<String>,
    /// The message that the reply call named (in a topic `parent` is the root).
    pub replied_to: Option<String>,
    pub msg_type: String,
    pub content: String,
    /// `open_id` of a person, app id of a bot.
    pub sender: String,
    /// Reaction id, emoji and who added it.
    pub reactions: Vec<(String, String, String)>,
    /// Contents before each update.
    pub history: Vec<String>,
    pub recalled: bool,
    pub created_ms: i64,
    pub uuid: Option<String>,
    pub mentions: Vec<Value>,
    /// Belongs into a forward.
    pub upper: Option<String>,
    pub inside: bool,
}

impl SimMessage {
    pub fn by_bot(&self) -> bool {
        self.sender == APP_ID
    }

    /// Everything in it that people can read.
    pub fn text(&self) -> String {
        let Ok(content) = serde_json::from_str::<Value>(&self.content) else { return self.content.clone() };
        let mut out = Vec::new();
        texts(&content, &mut out);
        out.join("\n")
    }

    /// The words without what is said once under a chat's first answers.
    pub fn said(&self) -> String {
        const HINTS: [&str; 4] = [
            "No reaction on a message = ",
            "New conversation; to continue ",
            "消息上没有表情",
            "新会话，不记得别的话题",
        ];
        let text = self.text();
        let lines = text.lines().filter(|line| !HINTS.iter().any(|hint| line.starts_with(hint)));
        lines.collect::<Vec<_>>().join("\n").trim().to_owned()
    }

    /// Emojis that the bot has put on it.
    pub fn receipts(&self) -> Vec<&str> {
        self.reactions.iter().filter(|(_, _, who)| who == APP_ID).map(|(_, emoji, _)| emoji.as_str()).collect()
    }

    /// The texts of a card's buttons.
    pub fn buttons(&self) -> Vec<String> {
        let content = serde_json::from_str(&self.content).unwrap_or_default();
        let mut out = Vec::new();
        buttons(&content, &mut out);
        out.into_iter().map(|(text, _)| text).collect()
    }

    /// The callback value of the first button whose text or value contains `wanted`.
    pub fn button(&self, wanted: &str) -> Option<Value> {
        let content = serde_json::from_str(&self.content).unwrap_or_default();
        let mut out = Vec::new();
        buttons(&content, &mut out);
        let fits = |(text, value): &(String, Value)| text.contains(wanted) || value.to_string().contains(wanted);
        out.into_iter().find(fits).map(|(_, value)| value)
    }
}

fn texts(value: &Value, out: &mut Vec<String>) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| texts(item, out)),
        Value::Object(fields) => {
            for (key, field) in fields {
                match field {
                    Value::String(text) if matches!(key.as_str(), "text" | "content" | "title") => {
                        out.push(text.clone());
                    }
                    Value::String(_) => {}
                    // The list's preview is not what stands in the message.
                    _ if key == "config" => {}
                    other => texts(other, out),
                }
            }
        }
        _ => {}
    }
}

fn buttons(value: &Value, out: &mut Vec<(String, Value)>) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| buttons(item, out)),
        Value::Object(fields) => {
            if value["tag"] == "button" && value["disabled"] != json!(true) {
                let text = value["text"]["content"].as_str().unwrap_or_default().to_owned();
                let behaviors = value["behaviors"].as_array().into_iter().flatten();
                let callback = behaviors.filter(|one| one["type"] == "callback").map(|one| one["value"].clone()).next();
                out.push((text, callback.unwrap_or_else(|| value["value"].clone())));
            }
            fields.values().for_each(|field| buttons(field, out));
        }
        _ => {}
    }
}

impl State {
    pub fn now_ms(&self) -> i64 {
        let real = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_millis();
        real as i64 + self.offset_ms
    }

    /// A fresh id in the platform's style.
    pub fn fresh(&mut self, prefix: &str) -> String {
        self.counter += 1;
        format!("{prefix}_{:032x}", u128::from(self.counter) | 0x5ce6_d572_0000_0000_0000_0000_0000_0000)
    }

    /// The chat of a person with the bot, which is opened where there is none.
    pub fn direct_with(&mut self, user: &str) -> String {
        let is_theirs = |chat: &Chat| chat.mode == ChatMode::Direct && chat.members.iter().any(|member| member == user);
        if let Some((id, _)) = self.chats.iter().find(|(_, chat)| is_theirs(chat)) {
            return id.clone();
        }
        let id = format!("oc_direct_{user}");
        let members = vec![user.to_owned()];
        let chat = Chat { name: String::new(), mode: ChatMode::Direct, members, bot_in: true, external: false };
        self.chats.insert(id.clone(), chat);
        id
    }

    pub fn find(&self, message: &str) -> Option<&SimMessage> {
        self.messages.iter().find(|one| one.id == message)
    }

    fn blank(&mut self, chat: &str, sender: &str, msg_type: &str, content: String) -> SimMessage {
        SimMessage {
            id: self.fresh("om"),
            chat: chat.to_owned(),
            root: None,
            parent: None,
            thread: None,
            replied_to: None,
            msg_type: msg_type.to_owned(),
            content,
            sender: sender.to_owned(),
            reactions: Vec::new(),
            history: Vec::new(),
            recalled: false,
            created_ms: self.now_ms(),
            uuid: None,
            mentions: Vec::new(),
            upper: None,
            inside: false,
        }
    }

    /// A message of the bot: `parent` is what the reply call names.
    pub fn sent_by_bot(&mut self, chat: &str, kind: &str, content: String, parent: Option<(&str, bool)>) -> SimMessage {
        let mut message = self.blank(chat, APP_ID, kind, content);
        if let Some((parent, in_thread)) = parent {
            self.attach(&mut message, parent, in_thread);
        } else if self.chats[chat].mode == ChatMode::Topic {
            message.thread = Some(self.fresh("omt"));
        }
        self.messages.push(message.clone());
        message
    }

    /// Puts a reply where the platform puts it: in the target's topic if it has one.
    fn attach(&mut self, message: &mut SimMessage, parent: &str, in_thread: bool) {
        let target = self.find(parent).expect("checked before").clone();
        let root = target.root.clone().unwrap_or_else(|| target.id.clone());
        message.replied_to = Some(parent.to_owned());
        message.thread = target.thread.clone();
        if message.thread.is_none() && in_thread {
            let thread = self.fresh("omt");
            let place = self.messages.iter_mut().find(|one| one.id == target.id).expect("found before");
            place.thread = Some(thread.clone());
            message.thread = Some(thread);
        }
        // In a topic every reply answers the root.
        message.parent = Some(if message.thread.is_some() { root.clone() } else { target.id });
        message.root = Some(root);
    }

    /// A message of a person, and the body of its event.
    pub fn say(&mut self, say: &Say) -> (String, Value) {
        // People are mentioned by their id: `@ou_li`.
        let mut named: Vec<(String, String)> = self
            .users
            .iter()
            .filter(|(id, _)| say.text.contains(&format!("@{id}")))
            .map(|(id, name)| (id.clone(), name.clone()))
            .collect();
        named.sort();
        let (kind, content) = match &say.raw {
            Some((kind, content)) => (kind.clone(), content.clone()),
            None => {
                let mut text = say.text.replace("@bot", "@_user_1").replace("@all", "@_all");
                for (n, (id, _)) in named.iter().enumerate() {
                    text = text.replace(&format!("@{id}"), &format!("@_user_{}", n + 2));
                }
                ("text".to_owned(), json!({ "text": text }).to_string())
            }
        };
        let mut mentions = Vec::new();
        if content.contains("@_user_1") {
            mentions.push(json!({"key": "@_user_1", "id": {"union_id": "on_bot", "user_id": null, "open_id": BOT},
                                 "mentioned_type": "bot", "name": "ally", "tenant_key": TENANT}));
        }
        for (n, (id, name)) in named.iter().enumerate() {
            mentions.push(json!({"key": format!("@_user_{}", n + 2), "mentioned_type": "user", "name": name,
                                 "id": {"union_id": format!("on_{id}"), "user_id": null, "open_id": id},
                                 "tenant_key": TENANT}));
        }
        let mut message = self.blank(&say.chat, &say.user, &kind, content);
        message.mentions = mentions;
        message.thread.clone_from(&say.thread);
        if let Some(parent) = &say.parent {
            self.attach(&mut message, parent, false);
            if say.in_stream {
                message.thread = None;
            }
        }
        let mode = self.chats.get(&say.chat).expect("a chat of the test").mode;
        if mode == ChatMode::Topic && message.thread.is_none() {
            message.thread = Some(self.fresh("omt"));
        }
        let body = json!({"message_id": message.id, "root_id": message.root, "parent_id": message.parent,
            "thread_id": message.thread, "create_time": message.created_ms.to_string(),
            "update_time": message.created_ms.to_string(), "chat_id": say.chat,
            "chat_type": if mode == ChatMode::Direct { "p2p" } else { "group" },
            "message_type": kind, "content": message.content, "mentions": message.mentions});
        let tenant = say.tenant.as_deref().unwrap_or(TENANT);
        let sender = json!({"sender_id": {"union_id": format!("on_{}", say.user), "user_id": null, "open_id": say.user},
                            "sender_type": "user", "tenant_key": tenant});
        let id = message.id.clone();
        self.messages.push(message);
        (id, json!({"sender": sender, "message": body}))
    }

    pub fn put_inside(&mut self, forward: &str, inside: &[(&str, &str)]) {
        let chat = self.find(forward).expect("just made").chat.clone();
        for (who, text) in inside {
            let mut child = self.blank(&chat, who, "text", json!({ "text": text }).to_string());
            child.upper = Some(forward.to_owned());
            child.inside = true;
            self.messages.push(child);
        }
    }

    /// A message as REST gives it.
    pub fn item(&self, message: &SimMessage) -> Value {
        let by_app = message.by_bot();
        let mentions: Vec<Value> = message
            .mentions
            .iter()
            .map(|one| {
                json!({"key": one["key"], "id": one["id"]["open_id"], "id_type": "open_id", "name": one["name"],
                              "tenant_key": TENANT})
            })
            .collect();
        let body = if message.recalled { "This message was recalled".to_owned() } else { read_back(message) };
        json!({"message_id": message.id, "root_id": message.root, "parent_id": message.parent,
            "thread_id": message.thread, "upper_message_id": message.upper, "msg_type": message.msg_type,
            "create_time": message.created_ms.to_string(), "update_time": message.created_ms.to_string(),
            "deleted": message.recalled, "updated": !message.history.is_empty(), "chat_id": message.chat,
            "sender": {"id": message.sender, "id_type": if by_app { "app_id" } else { "open_id" },
                       "sender_type": if by_app { "app" } else { "user" }, "tenant_key": TENANT},
            "body": {"content": body}, "mentions": mentions})
    }
}

/// `md` as it comes back: plain text nodes, links and blocks of code.
fn nodes(markdown: &str) -> Vec<Value> {
    let mut out = Vec::new();
    let mut code: Option<(String, String)> = None;
    for line in markdown.lines() {
        match (line.strip_prefix("```"), &mut code) {
            (Some(language), None) => code = Some((language.to_uppercase(), String::new())),
            (Some(_), Some((language, text))) => {
                out.push(json!([{"tag": "code_block", "language": language, "text": text}]));
                code = None;
            }
            (None, Some((_, text))) => text.push_str(&format!("{line}\n")),
            (None, None) => out.push(json!(spans(&line.replace("**", "").replace('`', "")))),
        }
    }
    out
}

fn spans(line: &str) -> Vec<Value> {
    let text = |text: &str| json!({"tag": "text", "text": text, "style": []});
    let link = line.split_once('[').and_then(|(before, rest)| {
        let (label, rest) = rest.split_once("](")?;
        let (target, after) = rest.split_once(')')?;
        Some((before, label, target, after))
    });
    match link {
        Some((before, label, target, after)) => {
            vec![text(before), json!({"tag": "a", "text": label, "href": target, "style": []}), text(after)]
        }
        None => vec![text(line)],
    }
}

/// A message's content as it comes back: posts without their language, mentions by key; of cards a poor remainder.
fn read_back(message: &SimMessage) -> String {
    let content: Value = serde_json::from_str(&message.content).unwrap_or_default();
    match message.msg_type.as_str() {
        "post" if message.by_bot() => {
            let mut out = Vec::new();
            // What is read back has no locale around it.
            let content = content.as_object().and_then(|locales| locales.values().next()).cloned().unwrap_or_default();
            for paragraph in content["content"].as_array().into_iter().flatten() {
                match paragraph[0]["tag"].as_str() {
                    Some("md") => out.extend(nodes(paragraph[0]["text"].as_str().unwrap_or_default())),
                    Some("at") => out.push(json!([{"tag": "at", "user_id": "@_user_1", "user_name": "Tom"}])),
                    _ => out.push(paragraph.clone()),
                }
            }
            json!({"title": content["title"].as_str().unwrap_or_default(), "content": out}).to_string()
        }
        "interactive" => {
            let first: String = message.text().lines().take(2).collect::<Vec<_>>().join("\n");
            json!({"title": null, "elements": nodes(&first)}).to_string()
        }
        _ => message.content.clone(),
    }
}
