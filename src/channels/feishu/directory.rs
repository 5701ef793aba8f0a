//! Names of people, and what quoted, forwarded and earlier messages say.

use std::collections::HashMap;
use std::time::Duration;

use tokio::time::Instant;
use tracing::warn;

use super::api::Container;
use super::error::MISSING_RIGHT;
use super::lookup::created;
use super::wire::MessageItem;
use super::{Feishu, convert};
use crate::bridge::ports::{FetchError, Span};
use crate::domain::ids::{ChatId, MessageId, UserId};
use crate::domain::view::Quoted;

/// Messages of one forward that are read; the official SDK reads as many.
const MAX_FORWARDED: usize = 50;
/// Pages of 100 members that are searched for a name.
const MAX_MEMBER_PAGES: usize = 5;
/// Pages of 50 messages that are read back.
const MAX_SAID_PAGES: usize = 4;
/// Names that are remembered; the one that was told longest ago makes way.
const MAX_NAMES: usize = 10_000;
/// Ids that one call takes.
const BATCH: usize = 10;
/// What a group message needs to be read by its id, besides the plain right to read.
pub const GROUP_MESSAGES: &str = "im:message.group_msg";

/// So long a name is right without asking again.
const FRESH: Duration = Duration::from_secs(6 * 3600);
/// So long nobody asks for a name again that could not be found out, nor for any without the right to.
const NAMELESS: Duration = Duration::from_secs(600);

/// What is known of names, and what is known not to be.
#[derive(Default)]
pub(super) struct Names {
    /// With the time at which it was told. An organisation's names are few and small; [`MAX_NAMES`] holds all the same.
    known: HashMap<UserId, (String, Instant)>,
    /// Those that could not be found out, where, and when that was tried.
    nameless: HashMap<(Option<ChatId>, UserId), Instant>,
    /// When the right to read names was last missing.
    refused: Option<Instant>,
}

impl Names {
    fn is_fresh(&self, user: &UserId) -> bool {
        self.known.get(user).is_some_and(|(_, at)| at.elapsed() < FRESH)
    }

    fn learn(&mut self, user: &UserId, name: String) {
        if self.known.len() >= MAX_NAMES && !self.known.contains_key(user) {
            let oldest = self.known.iter().min_by_key(|(_, (_, at))| *at).map(|(user, _)| user.clone());
            if let Some(oldest) = oldest {
                self.known.remove(&oldest);
            }
        }
        self.known.insert(user.clone(), (name, Instant::now()));
    }
}

/// A search for names. Those count as failed that end in any way but with a name.
struct Search<'a> {
    feishu: &'a Feishu,
    chat: Option<&'a ChatId>,
    left: Vec<UserId>,
}

impl<'a> Search<'a> {
    /// For those that are not known, or not any more, and whose last search did not fail a short while ago.
    fn begin(feishu: &'a Feishu, chat: Option<&'a ChatId>, users: &[UserId]) -> Self {
        let mut left: Vec<UserId> = Vec::new();
        let mut names = feishu.names.lock().expect("no code panics while it holds this lock");
        names.nameless.retain(|_, since| since.elapsed() < NAMELESS);
        for user in users {
            let tried = names.nameless.contains_key(&(chat.cloned(), user.clone()));
            if !tried && !names.is_fresh(user) && !left.contains(user) {
                left.push(user.clone());
            }
        }
        drop(names);
        Self { feishu, chat, left }
    }

    fn found(&mut self, user: &UserId, name: Option<String>) {
        let Some(name) = name.filter(|name| !name.is_empty()) else { return };
        if self.left.iter().any(|one| one == user) {
            self.left.retain(|one| one != user);
            self.feishu.names.lock().expect("no code panics while it holds this lock").learn(user, name);
        }
    }
}

impl Drop for Search<'_> {
    fn drop(&mut self) {
        // Also when whoever asked gives up waiting: the next message does not ask at once again.
        let mut names = self.feishu.names.lock().expect("no code panics while it holds this lock");
        for user in self.left.drain(..) {
            names.nameless.insert((self.chat.cloned(), user), Instant::now());
        }
    }
}

impl Feishu {
    /// A person's name.
    pub(super) async fn name_of(&self, chat: Option<&ChatId>, user: &UserId) -> Option<String> {
        self.look_up(chat, std::slice::from_ref(user)).await;
        self.known_name(user)
    }

    /// Finds names out: from the batch of basic profiles, which knows no contact range, else from the chat's members.
    async fn look_up(&self, chat: Option<&ChatId>, users: &[UserId]) {
        let mut search = Search::begin(self, chat, users);
        for batch in search.left.clone().chunks(BATCH) {
            if !self.may_read_names() {
                break;
            }
            let ids: Vec<&str> = batch.iter().map(UserId::as_str).collect();
            match self.client.users(&ids).await {
                Ok(users) => {
                    for user in users {
                        search.found(&UserId::from(user.user_id.unwrap_or_default().as_str()), user.name);
                    }
                }
                Err(error) if error.code() == Some(MISSING_RIGHT) => self.names_refused(),
                Err(_) => {}
            }
        }
        let Some(chat) = chat.filter(|chat| !chat.as_str().is_empty()) else { return };
        let mut page = None;
        for _ in 0..MAX_MEMBER_PAGES {
            if search.left.is_empty() {
                return;
            }
            let Ok((members, next)) = self.client.members(chat.as_str(), page.as_deref()).await else { return };
            for member in members {
                search.found(&UserId::from(member.member_id.unwrap_or_default().as_str()), member.name);
            }
            page = next;
            if page.is_none() {
                return;
            }
        }
    }

    /// Whatever was told last: an old name is better than none.
    fn known_name(&self, user: &UserId) -> Option<String> {
        let names = self.names.lock().expect("no code panics while it holds this lock");
        names.known.get(user).map(|(name, _)| name.clone())
    }

    fn may_read_names(&self) -> bool {
        let names = self.names.lock().expect("no code panics while it holds this lock");
        names.refused.is_none_or(|since| since.elapsed() >= NAMELESS)
    }

    fn names_refused(&self) {
        let before = {
            let mut names = self.names.lock().expect("no code panics while it holds this lock");
            names.refused.replace(Instant::now())
        };
        if before.is_none() {
            warn!(
                "The app lacks contact:user.basic_profile:readonly: names come from the lists of members, as far as those tell them"
            );
        }
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
        wanted.sort_by_key(|item| created(item));
        wanted.truncate(MAX_FORWARDED);
        Ok(self.with_names(&wanted).await)
    }

    /// What people said within a span, oldest first.
    pub(super) async fn read_span(&self, span: &Span) -> Result<Vec<Quoted>, FetchError> {
        let container = match &span.topic {
            Some(topic) => Container::Thread(topic.as_str()),
            None => Container::Chat(span.chat.as_str(), span.after_ms.max(0) / 1000),
        };
        let mut said: Vec<MessageItem> = Vec::new();
        let mut page: Option<String> = None;
        for _ in 0..MAX_SAID_PAGES {
            let listed = self.client.list(&container, page.as_deref()).await;
            let listed = listed.map_err(|error| error.into_fetch(GROUP_MESSAGES))?;
            let items = listed.items.unwrap_or_default();
            // Newest first: what is older than the span ends it.
            let over = items.last().is_none_or(|item| created(item) <= span.after_ms);
            said.extend(items.into_iter().filter(|item| is_said(item) && within(item, span)));
            page = listed.page_token.filter(|token| !token.is_empty() && listed.has_more == Some(true) && !over);
            if page.is_none() || said.len() >= span.limit {
                break;
            }
        }
        said.truncate(span.limit);
        said.reverse();
        Ok(self.with_names(&said.iter().collect::<Vec<_>>()).await)
    }

    async fn with_names(&self, items: &[&MessageItem]) -> Vec<Quoted> {
        let people: Vec<UserId> = items.iter().filter_map(|item| person(item)).collect();
        let chat = items.iter().find_map(|item| item.chat_id.as_deref()).map(ChatId::from);
        // Who cannot be named in time is called by the id.
        let _ = tokio::time::timeout(super::NAME, self.look_up(chat.as_ref(), &people)).await;
        let quoted = |item: &&MessageItem| Quoted {
            message: item.message_id.clone().map(Into::into),
            who: self.sender_of(item),
            text: convert::item_text(item),
        };
        items.iter().map(quoted).collect()
    }

    fn sender_of(&self, item: &MessageItem) -> String {
        if let Some(user) = person(item) {
            return self.known_name(&user).unwrap_or_else(|| user.to_string());
        }
        let Some(sender) = &item.sender else { return String::new() };
        let bot = self.bot.read().expect("no code panics while it holds this lock");
        let own = bot.identity.as_ref().filter(|_| sender.id.as_deref() == Some(self.config.app_id.as_str()));
        own.map_or_else(|| "bot".to_owned(), |identity| identity.name.clone())
    }
}

/// The person who sent it, where it was one.
fn person(item: &MessageItem) -> Option<UserId> {
    let sender = item.sender.as_ref().filter(|sender| sender.sender_type.as_deref() == Some("user"))?;
    sender.id.as_deref().map(UserId::from)
}

fn is_said(item: &MessageItem) -> bool {
    person(item).is_some() && item.deleted != Some(true) && !convert::item_text(item).is_empty()
}

fn within(item: &MessageItem, span: &Span) -> bool {
    let at = created(item);
    span.after_ms < at && at <= span.until_ms
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_name_grows_old_and_is_kept_until_there_is_another() {
        let (mut names, ann) = (Names::default(), UserId::from("ou_ann"));
        names.learn(&ann, "Ann".to_owned());
        tokio::time::advance(FRESH - Duration::from_secs(1)).await;
        assert!(names.is_fresh(&ann));
        tokio::time::advance(Duration::from_secs(1)).await;
        assert!(!names.is_fresh(&ann) && names.known.contains_key(&ann), "asked for again, and told meanwhile");
        names.learn(&ann, "Anna".to_owned());
        assert!(names.is_fresh(&ann));
        for n in 0..MAX_NAMES {
            tokio::time::advance(Duration::from_millis(1)).await;
            names.learn(&UserId::from(format!("ou_{n}").as_str()), "Bo".to_owned());
        }
        assert!(names.known.len() == MAX_NAMES && !names.known.contains_key(&ann), "the oldest made way");
    }
}
