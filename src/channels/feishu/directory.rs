//! Names of people, and what quoted and forwarded messages say.

use std::time::Duration;

use tokio::time::Instant;

use super::wire::MessageItem;
use super::{Feishu, convert};
use crate::bridge::ports::FetchError;
use crate::domain::ids::{ChatId, MessageId, UserId};
use crate::domain::view::Quoted;

/// Messages of one forward that are read; the official SDK reads as many.
const MAX_FORWARDED: usize = 50;
/// Pages of 100 members that are searched for a name.
const MAX_MEMBER_PAGES: usize = 5;
/// What a group message needs to be read by its id, besides the plain right to read.
const GROUP_MESSAGES: &str = "im:message.group_msg";

/// So long nobody asks for a name again that could not be found out.
const NAMELESS: Duration = Duration::from_secs(600);

/// A search for a name. It counts as failed when it ends in any way but with a name.
struct Nameless<'a> {
    feishu: &'a Feishu,
    key: (Option<ChatId>, UserId),
    named: bool,
}

impl<'a> Nameless<'a> {
    /// `None` when the last search failed a short while ago.
    fn begin(feishu: &'a Feishu, chat: Option<&ChatId>, user: &UserId) -> Option<Self> {
        let key = (chat.cloned(), user.clone());
        let mut nameless = feishu.nameless.lock().expect("no code panics while it holds this lock");
        nameless.retain(|_, since| since.elapsed() < NAMELESS);
        (!nameless.contains_key(&key)).then(|| Nameless { feishu, key, named: false })
    }
}

impl Drop for Nameless<'_> {
    fn drop(&mut self) {
        if !self.named {
            let mut nameless = self.feishu.nameless.lock().expect("no code panics while it holds this lock");
            nameless.insert(self.key.clone(), Instant::now());
        }
    }
}

impl Feishu {
    /// A person's name: from the batch of basic profiles, which knows no contact range, else from the chat's members.
    pub(super) async fn name_of(&self, chat: Option<&ChatId>, user: &UserId) -> Option<String> {
        if let Some(name) = self.known_name(user) {
            return Some(name);
        }
        // Also when whoever asked gives up waiting: the next message does not ask at once again.
        let mut nameless = Nameless::begin(self, chat, user)?;
        let users = self.client.users(&[user.as_str()]).await.unwrap_or_default();
        let named = users.into_iter().find(|one| one.user_id.as_deref() == Some(user.as_str()));
        let name = match named.and_then(|one| one.name).filter(|name| !name.is_empty()) {
            Some(name) => name,
            None => self.member_name(chat?, user).await?,
        };
        nameless.named = true;
        self.names.lock().expect("no code panics while it holds this lock").insert(user.clone(), name.clone());
        Some(name)
    }

    fn known_name(&self, user: &UserId) -> Option<String> {
        self.names.lock().expect("no code panics while it holds this lock").get(user).cloned()
    }

    async fn member_name(&self, chat: &ChatId, user: &UserId) -> Option<String> {
        let mut page = None;
        for _ in 0..MAX_MEMBER_PAGES {
            let (members, next) = self.client.members(chat.as_str(), page.as_deref()).await.ok()?;
            let found = members.into_iter().find(|member| member.member_id.as_deref() == Some(user.as_str()));
            if let Some(member) = found {
                return member.name.filter(|name| !name.is_empty());
            }
            page = Some(next?);
        }
        None
    }

    /// The message itself, or what a forward holds, oldest first.
    pub(super) async fn read_quoted(&self, message: &MessageId) -> Result<Vec<Quoted>, FetchError> {
        let items = self.client.message(message.as_str()).await.map_err(|error| error.into_fetch(GROUP_MESSAGES))?;
        let Some(first) = items.first() else { return Err(FetchError::Gone) };
        if first.deleted == Some(true) {
            return Err(FetchError::Gone);
        }
        let mut wanted: Vec<&MessageItem> = if first.msg_type.as_deref() == Some("merge_forward") {
            // Forwards inside are flat: their own line says nothing that their children do not.
            let inside = items.iter().filter(|item| item.upper_message_id.is_some());
            inside.filter(|item| item.msg_type.as_deref() != Some("merge_forward")).collect()
        } else {
            vec![first]
        };
        wanted
            .sort_by_key(|item| item.create_time.as_deref().and_then(|at| at.parse::<i64>().ok()).unwrap_or_default());
        let mut quoted = Vec::new();
        for item in wanted.into_iter().take(MAX_FORWARDED) {
            quoted.push(Quoted {
                message: item.message_id.clone().map(Into::into),
                who: self.sender_of(item).await,
                text: convert::item_text(item),
            });
        }
        Ok(quoted)
    }

    async fn sender_of(&self, item: &MessageItem) -> String {
        let Some(sender) = &item.sender else { return String::new() };
        let id = sender.id.clone().unwrap_or_default();
        if sender.sender_type.as_deref() != Some("user") {
            let bot = self.bot.read().expect("no code panics while it holds this lock");
            let own = bot.identity.as_ref().filter(|_| id == self.config.app_id);
            return own.map_or_else(|| "bot".to_owned(), |identity| identity.name.clone());
        }
        let chat = item.chat_id.as_deref().map(ChatId::from);
        let name = tokio::time::timeout(super::NAME, self.name_of(chat.as_ref(), &UserId::from(id.as_str()))).await;
        name.ok().flatten().unwrap_or(id)
    }
}
