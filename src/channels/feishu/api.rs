//! The endpoints that ally calls, one function each: paths, parameters and what is read from the answer.

use std::path::Path;
use std::time::Duration;

use reqwest::Response;
use reqwest::multipart::{Form, Part};
use serde_json::{Value, json};

use super::client::{Answer, Client, is_token, judge, not_answered};
use super::error::ApiError;
use super::is_person;
use super::wire::{
    Bot, BotReply, CreateRequest, Items, Member, Members, MessageItem, Reactions, ReplyRequest, User, Users,
};
use crate::bridge::ports::Sent;
use crate::domain::delivery::Target;
use crate::domain::ids::ResourceKey;

/// The longest that a download takes as a whole: 100 MB, the platform's most, over a slow line.
pub const DOWNLOAD: Duration = Duration::from_secs(600);
/// The longest silence within one.
const SILENCE: Duration = Duration::from_secs(20);

/// A message ready to be sent: `content` is JSON in a string, `uuid` at most 50 characters.
pub struct Draft<'a> {
    pub msg_type: &'a str,
    pub content: String,
    pub uuid: &'a str,
}

/// Where a list of messages is read from.
pub enum Container<'a> {
    Thread(&'a str),
    /// From this Unix time on, in seconds (the list's own unit).
    Chat(&'a str, i64),
}

impl Client {
    /// `POST im/v1/messages` or `…/{id}/reply`: by whether there is something to answer.
    pub async fn send_message(&self, target: &Target, draft: &Draft<'_>) -> Result<Sent, ApiError> {
        let answer = match &target.reply_to {
            Some(message) => {
                let path = format!("/open-apis/im/v1/messages/{message}/reply");
                let body = ReplyRequest {
                    msg_type: draft.msg_type,
                    content: &draft.content,
                    reply_in_thread: target.in_topic,
                    uuid: draft.uuid,
                };
                self.call("reply", Some(target.chat.as_str()), |http| http.post(&path).json(&body)).await?
            }
            None => {
                let body = CreateRequest {
                    receive_id: target.chat.as_str(),
                    msg_type: draft.msg_type,
                    content: &draft.content,
                    uuid: draft.uuid,
                };
                let kind = if is_person(target.chat.as_str()) { "open_id" } else { "chat_id" };
                self.call("send", Some(target.chat.as_str()), |http| {
                    http.post("/open-apis/im/v1/messages").query(&[("receive_id_type", kind)]).json(&body)
                })
                .await?
            }
        };
        let platform_ms = answer.platform_ms;
        // Code 0 with a body that cannot be read is sent all the same.
        let item: MessageItem = answer.data("send").unwrap_or_default();
        let platform_ms = item.create_time.as_deref().and_then(|at| at.parse().ok()).or(platform_ms);
        Ok(Sent { message: item.message_id.map(Into::into), topic: item.thread_id.map(Into::into), platform_ms })
    }

    /// `PATCH im/v1/messages/{id}`: our own card, at most 14 days old, 5 a second for each message.
    pub async fn patch_card(&self, message: &str, card: &Value) -> Result<(), ApiError> {
        let path = format!("/open-apis/im/v1/messages/{message}");
        let body = json!({ "content": card.to_string() });
        self.call("update the card", Some(message), |http| http.patch(&path).json(&body)).await.map(drop)
    }

    /// Gives the reaction's id.
    pub async fn add_reaction(&self, message: &str, emoji: &str) -> Result<String, ApiError> {
        let path = format!("/open-apis/im/v1/messages/{message}/reactions");
        let body = json!({ "reaction_type": { "emoji_type": emoji } });
        let answer = self.call("add a reaction", None, |http| http.post(&path).json(&body)).await?;
        let data: Value = answer.data("add a reaction")?;
        Ok(data["reaction_id"].as_str().unwrap_or_default().to_owned())
    }

    pub async fn remove_reaction(&self, message: &str, reaction: &str) -> Result<(), ApiError> {
        let path = format!("/open-apis/im/v1/messages/{message}/reactions/{reaction}");
        self.call("remove a reaction", None, |http| http.delete(&path)).await.map(drop)
    }

    /// Ids and names of the reactions that this app put on a message; of the rest of a crowd's only the first pages.
    pub async fn own_reactions(&self, message: &str, app_id: &str) -> Result<Vec<(String, String)>, ApiError> {
        const WHAT: &str = "list reactions";
        const PAGES: usize = 5;
        let path = format!("/open-apis/im/v1/messages/{message}/reactions");
        let mut own = Vec::new();
        let mut page: Option<String> = None;
        for _ in 0..PAGES {
            let mut query = vec![("page_size", "50".to_owned())];
            query.extend(page.map(|token| ("page_token", token)));
            let answer = self.call(WHAT, None, |http| http.get(&path).query(&query)).await?;
            let listed: Reactions = answer.data(WHAT)?;
            let items = listed.items.unwrap_or_default().into_iter();
            let items = items.filter(|item| item.operator.operator_id.as_deref() == Some(app_id));
            own.extend(items.filter_map(|item| Some((item.reaction_id?, item.reaction_type.emoji_type?))));
            page = listed.page_token.filter(|token| !token.is_empty() && listed.has_more == Some(true));
            if page.is_none() {
                break;
            }
        }
        Ok(own)
    }

    /// Opens a message's resource: the answer's body is the file. `is_image` must match what the key is.
    pub async fn resource(&self, message: &str, key: &str, is_image: bool) -> Result<Response, ApiError> {
        const WHAT: &str = "download";
        let path = format!("/open-apis/im/v1/messages/{message}/resources/{key}");
        let kind = if is_image { "image" } else { "file" };
        let open = || self.open(WHAT, None, |http| http.get(&path).query(&[("type", kind)]));
        let (mut response, token) = open().await?;
        if response.status().is_success() {
            return Ok(response);
        }
        let error = refusal(WHAT, response).await;
        if !is_token(&error) {
            self.note(WHAT, None, &error);
            return Err(error);
        }
        self.invalidate(&token);
        (response, _) = open().await?;
        if response.status().is_success() { Ok(response) } else { Err(refusal(WHAT, response).await) }
    }

    /// `POST im/v1/images` (≤ 10 MB). The key can be sent any number of times.
    pub async fn upload_image(&self, path: &Path, name: &str) -> Result<ResourceKey, ApiError> {
        let bytes = read(path).await?;
        let answer = self
            .call("upload a picture", None, |http| {
                let part = Part::bytes(bytes.clone()).file_name(name.to_owned());
                http.post("/open-apis/im/v1/images")
                    .multipart(Form::new().text("image_type", "message").part("image", part))
            })
            .await?;
        key_of(answer, "upload a picture", "image_key")
    }

    /// `POST im/v1/files` (≤ 30 MB), always as `stream`: a video sent as a plain file stays a plain file.
    pub async fn upload_file(&self, path: &Path, name: &str) -> Result<ResourceKey, ApiError> {
        let bytes = read(path).await?;
        let answer = self
            .call("upload a file", None, |http| {
                let part = Part::bytes(bytes.clone()).file_name(name.to_owned());
                let form = Form::new().text("file_type", "stream").text("file_name", name.to_owned());
                http.post("/open-apis/im/v1/files").multipart(form.part("file", part))
            })
            .await?;
        key_of(answer, "upload a file", "file_key")
    }

    /// `GET im/v1/messages/{id}`: the message and, for a forward, everything in it.
    pub async fn message(&self, message: &str) -> Result<Vec<MessageItem>, ApiError> {
        let path = format!("/open-apis/im/v1/messages/{message}");
        let answer = self.call("read a message", None, |http| http.get(&path)).await?;
        Ok(answer.data::<Items>("read a message")?.items.unwrap_or_default())
    }

    /// The card as it was sent: a list gives cards back in pieces, and not all of them.
    pub async fn card_content(&self, message: &str) -> Result<Option<String>, ApiError> {
        let path = format!("/open-apis/im/v1/messages/{message}");
        let original = [("card_msg_content_type", "user_card_content")];
        let answer = self.call("read a card", None, |http| http.get(&path).query(&original)).await?;
        let item = answer.data::<Items>("read a card")?.items.unwrap_or_default().into_iter().next();
        Ok(item.and_then(|item| item.body).and_then(|body| body.content))
    }

    /// One page of messages, newest first, with the token of the next one.
    pub async fn list(&self, from: &Container<'_>, page: Option<&str>) -> Result<Items, ApiError> {
        let mut query = vec![("sort_type", "ByCreateTimeDesc".to_owned()), ("page_size", "50".to_owned())];
        match from {
            // A thread takes no times.
            Container::Thread(id) => {
                query.extend([("container_id_type", "thread".to_owned()), ("container_id", (*id).to_owned())]);
            }
            Container::Chat(id, since) => query.extend([
                ("container_id_type", "chat".to_owned()),
                ("container_id", (*id).to_owned()),
                ("start_time", since.to_string()),
            ]),
        }
        query.extend(page.map(|token| ("page_token", token.to_owned())));
        let answer =
            self.call("list messages", None, |http| http.get("/open-apis/im/v1/messages").query(&query)).await?;
        answer.data("list messages")
    }

    /// `GET bot/v3/info`: who we are in mentions. The fields stand beside `code`.
    pub async fn bot(&self) -> Result<Option<Bot>, ApiError> {
        let answer = self.call("ask who the bot is", None, |http| http.get("/open-apis/bot/v3/info")).await?;
        Ok(answer.parse::<BotReply>("ask who the bot is")?.bot)
    }

    pub async fn chat_name(&self, chat: &str) -> Result<Option<String>, ApiError> {
        let data = self.chat(chat).await?;
        Ok(data["name"].as_str().filter(|name| !name.is_empty()).map(str::to_owned))
    }

    /// Whether people of other companies are in it. Told to those inside only.
    pub async fn is_external(&self, chat: &str) -> Result<Option<bool>, ApiError> {
        Ok(self.chat(chat).await?["external"].as_bool())
    }

    async fn chat(&self, chat: &str) -> Result<Value, ApiError> {
        let path = format!("/open-apis/im/v1/chats/{chat}");
        self.call("read a chat", None, |http| http.get(&path)).await?.data("read a chat")
    }

    /// Names without the limits of the contact range, at most 10 ids a call.
    pub async fn users(&self, ids: &[&str]) -> Result<Vec<User>, ApiError> {
        let body = json!({ "user_ids": ids });
        let answer = self
            .call("read names", None, |http| {
                http.post("/open-apis/contact/v3/users/basic_batch").query(&[("user_id_type", "open_id")]).json(&body)
            })
            .await?;
        Ok(answer.data::<Users>("read names")?.users.unwrap_or_default())
    }

    /// A page of a chat's members: names without any contact right.
    pub async fn members(&self, chat: &str, page: Option<&str>) -> Result<(Vec<Member>, Option<String>), ApiError> {
        let path = format!("/open-apis/im/v1/chats/{chat}/members");
        let mut query = vec![("member_id_type", "open_id"), ("page_size", "100")];
        query.extend(page.map(|token| ("page_token", token)));
        let answer = self.call("read a chat's members", None, |http| http.get(&path).query(&query)).await?;
        let members: Members = answer.data("read a chat's members")?;
        let next = members.page_token.filter(|_| members.has_more == Some(true));
        Ok((members.items.unwrap_or_default(), next))
    }
}

async fn refusal(what: &'static str, response: Response) -> ApiError {
    let status = response.status().as_u16();
    match judge(what, response).await {
        Err(error) => error,
        Ok(_) => ApiError::NotFeishu { what, status, wait: None, platform_ms: None },
    }
}

async fn read(path: &Path) -> Result<Vec<u8>, ApiError> {
    tokio::fs::read(path)
        .await
        .map_err(|error| ApiError::Local { what: "read the file to upload", reason: error.to_string() })
}

fn key_of(answer: Answer, what: &'static str, field: &str) -> Result<ResourceKey, ApiError> {
    let platform_ms = answer.platform_ms;
    let data: Value = answer.data(what)?;
    match data[field].as_str() {
        Some(key) => Ok(key.into()),
        None => Err(ApiError::NotFeishu { what, status: 200, wait: None, platform_ms }),
    }
}

/// Writes an open answer into `into`, at most `max_bytes`. A file that was begun and not finished is removed.
pub async fn save(
    mut response: Response,
    into: &Path,
    max_bytes: u64,
) -> Result<u64, crate::bridge::ports::FetchError> {
    use crate::bridge::ports::FetchError;
    use tokio::io::AsyncWriteExt;

    if response.content_length().is_some_and(|length| length > max_bytes) {
        return Err(FetchError::TooLarge { max_bytes });
    }
    let local = |error: std::io::Error| FetchError::Unavailable { reason: error.to_string() };
    let mut file = tokio::fs::File::create(into).await.map_err(local)?;
    let mut written = 0_u64;
    let end = tokio::time::Instant::now() + DOWNLOAD;
    let outcome = loop {
        // A big file may take long; a silent one may not, and none may for ever.
        let silent = tokio::time::Instant::now() + SILENCE;
        let piece = tokio::time::timeout_at(end.min(silent), response.chunk()).await;
        match piece {
            Err(_) => break Err(FetchError::Unavailable { reason: "timed out".to_owned() }),
            Ok(Err(error)) => break Err(not_answered("download", error).into_fetch("im:message:readonly")),
            Ok(Ok(None)) => break file.flush().await.map_err(local).map(|()| written),
            Ok(Ok(Some(bytes))) => {
                written += bytes.len() as u64;
                if written > max_bytes {
                    break Err(FetchError::TooLarge { max_bytes });
                }
                if let Err(error) = file.write_all(&bytes).await {
                    break Err(local(error));
                }
            }
        }
    };
    if outcome.is_err() {
        drop(file);
        // Best effort: what is left is overwritten by the next try.
        let _ = tokio::fs::remove_file(into).await;
    }
    outcome
}
