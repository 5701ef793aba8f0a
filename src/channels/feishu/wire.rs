//! Everything that Feishu writes and reads, as it stands on the wire, and nothing else knows it.
//!
//! Long connection: protobuf package `pbbp2` (proto2, nine fields; required fields are written even when they are 0).
//! REST and events: JSON. Every field is optional and unknown ones are ignored: the platform adds and drops fields
//! without notice, and an event that cannot be read is worse than one that lacks a name.
//! Source: `docs` of the open platform, `server-docs/im-v1` and `event-subscription-guide`.

use serde::{Deserialize, Serialize};
use serde_json::Value;

// -------------------------------------------------------------------------------------------------- long connection

/// Control frames: ping and pong.
pub const METHOD_CONTROL: i32 = 0;
/// Data frames: events and card callbacks.
pub const METHOD_DATA: i32 = 1;

#[derive(Clone, PartialEq, prost::Message)]
pub struct Header {
    #[prost(string, required, tag = "1")]
    pub key: String,
    #[prost(string, required, tag = "2")]
    pub value: String,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct Frame {
    #[prost(uint64, required, tag = "1")]
    pub seq_id: u64,
    #[prost(uint64, required, tag = "2")]
    pub log_id: u64,
    #[prost(int32, required, tag = "3")]
    pub service: i32,
    #[prost(int32, required, tag = "4")]
    pub method: i32,
    #[prost(message, repeated, tag = "5")]
    pub headers: Vec<Header>,
    #[prost(string, optional, tag = "6")]
    pub payload_encoding: Option<String>,
    #[prost(string, optional, tag = "7")]
    pub payload_type: Option<String>,
    #[prost(bytes = "vec", optional, tag = "8")]
    pub payload: Option<Vec<u8>>,
    #[prost(string, optional, tag = "9")]
    pub log_id_new: Option<String>,
}

impl Frame {
    /// The client's ping. `service` comes from the query of the socket's URL.
    pub fn ping(service: i32) -> Self {
        let kind = Header { key: "type".to_owned(), value: "ping".to_owned() };
        Frame { service, method: METHOD_CONTROL, headers: vec![kind], ..Frame::default() }
    }

    pub fn header(&self, key: &str) -> Option<&str> {
        self.headers.iter().find(|header| header.key == key).map(|header| header.value.as_str())
    }
}

/// Payload of an ack frame. `data` is base64 of JSON: a JSON array of bytes is taken by nobody.
#[derive(Debug, Serialize)]
pub struct Ack {
    pub code: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data: Option<String>,
}

#[derive(Debug, Serialize)]
pub struct EndpointRequest<'a> {
    #[serde(rename = "AppID")]
    pub app_id: &'a str,
    #[serde(rename = "AppSecret")]
    pub app_secret: &'a str,
}

#[derive(Debug, Default, Deserialize)]
pub struct EndpointData {
    #[serde(rename = "URL")]
    pub url: Option<String>,
    #[serde(rename = "ClientConfig")]
    pub client_config: Option<ClientConfig>,
}

/// All values in seconds. Any of them may be missing or 0. `ReconnectCount` is not read: ally never gives up.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct ClientConfig {
    #[serde(rename = "PingInterval")]
    pub ping_interval: Option<i64>,
    #[serde(rename = "ReconnectInterval")]
    pub reconnect_interval: Option<i64>,
    #[serde(rename = "ReconnectNonce")]
    pub reconnect_nonce: Option<i64>,
}

// -------------------------------------------------------------------------------------------------- REST

#[derive(Debug, Serialize)]
pub struct TokenRequest<'a> {
    pub app_id: &'a str,
    pub app_secret: &'a str,
}

#[derive(Debug, Deserialize)]
pub struct TokenReply {
    pub tenant_access_token: Option<String>,
    /// Seconds.
    pub expire: Option<u64>,
}

/// Envelope of every REST answer. Old endpoints (`bot/v3/info`, token) have their fields beside `code`.
#[derive(Debug, Default, Deserialize)]
pub struct Reply {
    pub code: Option<i64>,
    #[serde(default)]
    pub msg: Option<String>,
    #[serde(default)]
    pub error: Option<ErrorDetail>,
}

#[derive(Debug, Clone, Default, Deserialize)]
pub struct ErrorDetail {
    pub log_id: Option<String>,
    #[serde(default)]
    pub permission_violations: Vec<Violation>,
}

#[derive(Debug, Clone, Deserialize)]
pub struct Violation {
    pub subject: Option<String>,
}

#[derive(Debug, Serialize)]
pub struct CreateRequest<'a> {
    pub receive_id: &'a str,
    pub msg_type: &'a str,
    /// JSON in a string.
    pub content: &'a str,
    pub uuid: &'a str,
}

#[derive(Debug, Serialize)]
pub struct ReplyRequest<'a> {
    pub msg_type: &'a str,
    pub content: &'a str,
    pub reply_in_thread: bool,
    pub uuid: &'a str,
}

#[derive(Debug, Deserialize)]
pub struct BotReply {
    pub bot: Option<Bot>,
}

#[derive(Debug, Deserialize)]
pub struct Bot {
    pub open_id: Option<String>,
    pub app_name: Option<String>,
}

/// A message as REST gives it back (create, reply, get, list).
#[derive(Debug, Clone, Default, Deserialize)]
pub struct MessageItem {
    pub message_id: Option<String>,
    pub root_id: Option<String>,
    pub parent_id: Option<String>,
    pub thread_id: Option<String>,
    pub upper_message_id: Option<String>,
    pub msg_type: Option<String>,
    pub create_time: Option<String>,
    pub deleted: Option<bool>,
    pub chat_id: Option<String>,
    pub sender: Option<ItemSender>,
    pub body: Option<ItemBody>,
    #[serde(default)]
    pub mentions: Option<Vec<ItemMention>>,
}

#[derive(Debug, Clone, Default, Deserialize)]
pub struct ItemSender {
    pub id: Option<String>,
    pub sender_type: Option<String>,
    pub tenant_key: Option<String>,
}

#[derive(Debug, Clone, Default, Deserialize)]
pub struct ItemBody {
    pub content: Option<String>,
}

#[derive(Debug, Clone, Default, Deserialize)]
pub struct ItemMention {
    pub key: Option<String>,
    /// An `open_id`, unless other ids were asked for.
    pub id: Option<String>,
    pub name: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
pub struct Items {
    #[serde(default)]
    pub items: Option<Vec<MessageItem>>,
    pub has_more: Option<bool>,
    pub page_token: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
pub struct Reactions {
    #[serde(default)]
    pub items: Option<Vec<ReactionItem>>,
    pub has_more: Option<bool>,
    pub page_token: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
pub struct ReactionItem {
    pub reaction_id: Option<String>,
    #[serde(default)]
    pub operator: ReactionOperator,
    #[serde(default)]
    pub reaction_type: ReactionKind,
}

/// `operator_id` is an app id where `operator_type` is `app`.
#[derive(Debug, Default, Deserialize)]
pub struct ReactionOperator {
    pub operator_id: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
pub struct ReactionKind {
    pub emoji_type: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
pub struct Members {
    #[serde(default)]
    pub items: Option<Vec<Member>>,
    pub has_more: Option<bool>,
    pub page_token: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
pub struct Member {
    pub member_id: Option<String>,
    pub name: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
pub struct Users {
    #[serde(default)]
    pub users: Option<Vec<User>>,
}

#[derive(Debug, Default, Deserialize)]
pub struct User {
    pub user_id: Option<String>,
    pub name: Option<String>,
}

// -------------------------------------------------------------------------------------------------- events

/// Envelope of an event of version 2.0. Version 1 has no `header` (its kind is `event.type`, its id `uuid`).
#[derive(Debug, Deserialize)]
pub struct Envelope {
    pub header: Option<EventHeader>,
    pub uuid: Option<String>,
    #[serde(default)]
    pub event: Value,
}

#[derive(Debug, Default, Deserialize)]
pub struct EventHeader {
    pub event_id: Option<String>,
    pub event_type: Option<String>,
    pub tenant_key: Option<String>,
}

#[derive(Debug, Clone, Default, Deserialize)]
pub struct Ids {
    pub open_id: Option<String>,
}

#[derive(Debug, Deserialize)]
pub struct MessageEvent {
    pub sender: Option<EventSender>,
    pub message: Option<EventMessage>,
}

#[derive(Debug, Default, Deserialize)]
pub struct EventSender {
    pub sender_id: Option<Ids>,
    pub sender_type: Option<String>,
    pub tenant_key: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
pub struct EventMessage {
    pub message_id: Option<String>,
    pub root_id: Option<String>,
    pub parent_id: Option<String>,
    pub thread_id: Option<String>,
    /// Unix milliseconds in a string.
    pub create_time: Option<String>,
    pub chat_id: Option<String>,
    pub chat_type: Option<String>,
    pub message_type: Option<String>,
    pub content: Option<String>,
    #[serde(default)]
    pub mentions: Option<Vec<EventMention>>,
}

#[derive(Debug, Clone, Default, Deserialize)]
pub struct EventMention {
    pub key: Option<String>,
    pub id: Option<Ids>,
    pub name: Option<String>,
}

#[derive(Debug, Deserialize)]
pub struct CardEvent {
    pub operator: Option<Operator>,
    pub action: Option<Action>,
    pub context: Option<CardContext>,
    // Older shape of the callback: the same beside the context, and the person beside the operator.
    pub open_message_id: Option<String>,
    pub open_chat_id: Option<String>,
    pub open_id: Option<String>,
    pub tenant_key: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
pub struct Operator {
    pub open_id: Option<String>,
    pub tenant_key: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
pub struct Action {
    #[serde(default)]
    pub value: Value,
    pub name: Option<String>,
    #[serde(default)]
    pub form_value: Option<serde_json::Map<String, Value>>,
    #[serde(default)]
    pub input_value: Value,
    #[serde(default)]
    pub option: Value,
    #[serde(default)]
    pub options: Value,
}

#[derive(Debug, Default, Deserialize)]
pub struct CardContext {
    pub open_message_id: Option<String>,
    pub open_chat_id: Option<String>,
}

#[derive(Debug, Deserialize)]
pub struct ReactionEvent {
    pub message_id: Option<String>,
    pub reaction_type: Option<Emoji>,
    pub operator_type: Option<String>,
    pub user_id: Option<Ids>,
    pub action_time: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
pub struct Emoji {
    pub emoji_type: Option<String>,
}

#[derive(Debug, Deserialize)]
pub struct RecallEvent {
    pub message_id: Option<String>,
    pub chat_id: Option<String>,
}

#[derive(Debug, Deserialize)]
pub struct MembershipEvent {
    pub chat_id: Option<String>,
    pub operator_id: Option<Ids>,
}

// ------------------------------------------------------------------------------------------------------ registration

/// How a registration stands: of one that is begun where its code is scanned, of one that is over the app.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Registering {
    pub device_code: String,
    pub verification_uri_complete: String,
    pub interval: Option<u64>,
    pub expires_in: Option<u64>,
    pub expire_in: Option<u64>,
    /// Also of one that nobody has scanned yet.
    pub error: String,
    pub error_description: String,
    pub client_id: String,
    pub client_secret: String,
    pub user_info: Registrant,
}

/// Who scanned.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Registrant {
    pub open_id: String,
    pub tenant_brand: String,
}

#[cfg(test)]
mod tests {
    use super::*;
    use prost::Message;

    #[test]
    fn required_fields_are_written_even_when_they_are_zero() {
        let bytes = Frame::ping(335).encode_to_vec();
        let tags: Vec<u8> = bytes.iter().copied().take(5).collect();
        // field 1 = 0, field 2 = 0, then field 3
        assert_eq!(tags, [0x08, 0, 0x10, 0, 0x18]);
        let back = Frame::decode(bytes.as_slice()).expect("our own frame");
        assert_eq!(back.header("type"), Some("ping"));
        assert_eq!((back.service, back.method), (335, METHOD_CONTROL));
    }

    #[test]
    fn an_ack_carries_base64_or_nothing() {
        let plain = serde_json::to_string(&Ack { code: 200, data: None }).expect("plain data");
        assert_eq!(plain, r#"{"code":200}"#);
        let full = serde_json::to_string(&Ack { code: 200, data: Some("e30=".to_owned()) }).expect("plain data");
        assert_eq!(full, r#"{"code":200,"data":"e30="}"#);
    }
}
