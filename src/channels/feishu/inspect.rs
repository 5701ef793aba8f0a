//! What the platform tells of our own app: for `ally doctor`, which asks and changes nothing.
//!
//! None of it needs a daemon, and none of it opens a connection: events would go to it.

use serde_json::{Value, json};
use tokio::time::Instant;

use super::FeishuConfig;
use super::client::{Client, Http};
use super::error::ApiError;
use super::token::Tokens;
use crate::clock::Clock;

/// Versions that are looked through for the newest published one; the platform gives them newest first.
const VERSIONS: &str = "20";
/// Pages of a hundred members that are searched for one.
const MEMBER_PAGES: usize = 5;

/// Asks about one app.
pub struct Inspector {
    client: Client,
    app_id: String,
    clock: Clock,
}

/// The bot as `bot/v3/info` tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BotInfo {
    pub name: String,
    /// 2 is enabled.
    pub activate_status: i64,
}

/// The app as `application/v6/applications` tells it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AppInfo {
    pub scopes: Vec<String>,
    /// The version that is in force, where one is.
    pub online_version: Option<String>,
    /// The one that waits for a review.
    pub waiting_version: Option<String>,
    /// How clicks are sent, where the platform tells it: `websocket` or an address of somebody's.
    pub callback: Option<Callback>,
}

/// How the platform calls back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Callback {
    pub kind: String,
    pub subscribed: Vec<String>,
}

/// A published version.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Published {
    pub version: String,
    pub events: Vec<String>,
    /// Whom it was published for, where the platform tells it.
    pub range: Option<Range>,
}

/// Whom a version was published for, as whoever made it asked; an administrator may have changed it since.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Range {
    /// Everybody in the organisation; the rest is empty then.
    pub everybody: bool,
    pub people: usize,
    pub departments: usize,
    pub groups: usize,
}

/// How a person stands in the lists of those who may use the app. A person who may as one of a department or a group need not
/// stand in the first.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Listed {
    pub may: bool,
    pub may_not: bool,
}

/// A chat as seen from inside or outside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChatInfo {
    pub name: String,
    pub is_direct: bool,
    pub external: Option<bool>,
    /// Not disbanded.
    pub is_there: bool,
    pub bot_in: bool,
}

impl Inspector {
    /// # Errors
    /// When an address is not valid.
    pub fn new(config: &FeishuConfig, clock: Clock) -> anyhow::Result<Self> {
        let http = Http::new(&config.base_url, config.proxy.as_ref(), clock.clone())?;
        let tokens = Tokens::new(config.app_id.clone(), config.app_secret.clone());
        Ok(Self { client: Client::new(http, tokens), app_id: config.app_id.clone(), clock })
    }

    /// Whether the platform answers at all, and how long that took. Nobody says who they are, so it refuses.
    pub async fn reach(&self) -> (Result<(), ApiError>, i64) {
        let (began, http) = (Instant::now(), &self.client.http);
        let answered = http.execute("reach the platform", http.get("/open-apis/bot/v3/info")).await;
        let ms = i64::try_from(began.elapsed().as_millis()).unwrap_or(i64::MAX);
        let reached = match answered {
            Ok(_) | Err(ApiError::Refused(_)) => Ok(()),
            Err(error) => Err(error),
        };
        (reached, ms)
    }

    /// Whether the app may log in.
    ///
    /// # Errors
    /// Why it may not.
    pub async fn log_in(&self) -> Result<(), ApiError> {
        self.client.log_in().await
    }

    /// How far our clock is ahead of the platform's, after an answer.
    pub fn ahead_ms(&self) -> Option<i64> {
        let platform = self.client.http.time.now_ms()?;
        Some(self.clock.now_ms() - platform)
    }

    /// `None`: the app has no bot.
    pub async fn bot(&self) -> Result<Option<BotInfo>, ApiError> {
        const WHAT: &str = "ask who the bot is";
        let answer = self.client.call(WHAT, None, |http| http.get("/open-apis/bot/v3/info")).await?;
        let body: Value = answer.parse(WHAT)?;
        let bot = &body["bot"];
        Ok(bot["activate_status"].as_i64().map(|activate_status| BotInfo {
            name: bot["app_name"].as_str().unwrap_or_default().to_owned(),
            activate_status,
        }))
    }

    /// Needs `application:application:self_manage`.
    pub async fn app(&self) -> Result<AppInfo, ApiError> {
        const WHAT: &str = "ask about the app";
        let path = format!("/open-apis/application/v6/applications/{}", self.app_id);
        let query = [("lang", "zh_cn"), ("user_id_type", "open_id")];
        let answer = self.client.call(WHAT, None, |http| http.get(&path).query(&query)).await?;
        let data: Value = answer.data(WHAT)?;
        let app = &data["app"];
        let callback = &app["callback_info"];
        Ok(AppInfo {
            scopes: strings(&app["scopes"], |scope| &scope["scope"]),
            online_version: text(&app["online_version_id"]),
            waiting_version: text(&app["unaudit_version_id"]),
            callback: text(&callback["callback_type"])
                .map(|kind| Callback { kind, subscribed: strings(&callback["subscribed_callbacks"], |one| one) }),
        })
    }

    /// The newest version that is published, where one is.
    pub async fn published(&self) -> Result<Option<Published>, ApiError> {
        const WHAT: &str = "ask about versions";
        let path = format!("/open-apis/application/v6/applications/{}/app_versions", self.app_id);
        let query = [("lang", "zh_cn"), ("order", "0"), ("page_size", VERSIONS)];
        let answer = self.client.call(WHAT, None, |http| http.get(&path).query(&query)).await?;
        let data: Value = answer.data(WHAT)?;
        let is_out = |one: &&Value| one["status"].as_i64() == Some(1) && text(&one["publish_time"]).is_some();
        let found = data["items"].as_array().into_iter().flatten().find(is_out);
        Ok(found.map(|version| {
            let mut events = strings(&version["event_infos"], |event| &event["event_type"]);
            // Older versions name them in a list of their own.
            events.extend(strings(&version["events"], |event| event));
            Published {
                version: text(&version["version"]).or_else(|| text(&version["version_id"])).unwrap_or_default(),
                events,
                range: range(&version["remark"]["visibility"]),
            }
        }))
    }

    /// How a person stands in the lists of those who may use the app. Needs `application:application:self_manage`.
    /// `None`: it does not tell.
    pub async fn listed(&self, user: &str) -> Result<Option<Listed>, ApiError> {
        const WHAT: &str = "ask who may use the app";
        let path = format!("/open-apis/application/v6/applications/{}/visibility/check_white_black_list", self.app_id);
        let (query, people) = ([("user_id_type", "open_id")], json!({ "user_ids": [user] }));
        let answer = self.client.call(WHAT, None, |http| http.post(&path).query(&query).json(&people)).await?;
        let data: Value = answer.data(WHAT)?;
        let of = |list: &str| data["user_visibility_list"][0][list].as_bool();
        Ok(of("in_white_list").map(|may| Listed { may, may_not: of("in_black_list").unwrap_or_default() }))
    }

    /// The rights that the organisation has granted; needs no right itself, and is not complete for every app.
    pub async fn granted(&self) -> Result<Vec<String>, ApiError> {
        const WHAT: &str = "ask about rights";
        let answer = self.client.call(WHAT, None, |http| http.get("/open-apis/application/v6/scopes")).await?;
        let data: Value = answer.data(WHAT)?;
        let given =
            data["scopes"].as_array().into_iter().flatten().filter(|one| one["grant_status"].as_i64() == Some(1));
        Ok(given.filter_map(|one| text(&one["scope_name"])).collect())
    }

    /// A chat, and whether the bot is in it.
    pub async fn chat(&self, chat: &str) -> Result<ChatInfo, ApiError> {
        const WHAT: &str = "read a chat";
        const IN: &str = "ask whether the bot is in a chat";
        let path = format!("/open-apis/im/v1/chats/{chat}");
        let data: Value = self.client.call(WHAT, None, |http| http.get(&path)).await?.data(WHAT)?;
        let inside = format!("{path}/members/is_in_chat");
        let told: Value = self.client.call(IN, None, |http| http.get(&inside)).await?.data(IN)?;
        Ok(ChatInfo {
            name: data["name"].as_str().unwrap_or_default().to_owned(),
            is_direct: data["chat_mode"] == json!("p2p"),
            external: data["external"].as_bool(),
            is_there: data["chat_status"].as_str().is_none_or(|status| status == "normal"),
            bot_in: told["is_in_chat"].as_bool().unwrap_or(true),
        })
    }

    /// How a person of a group is called, where they are in it.
    pub async fn member(&self, chat: &str, user: &str) -> Result<Option<String>, ApiError> {
        let mut page = None;
        for _ in 0..MEMBER_PAGES {
            let (members, next) = self.client.members(chat, page.as_deref()).await?;
            if let Some(found) = members.into_iter().find(|member| member.member_id.as_deref() == Some(user)) {
                return Ok(Some(found.name.unwrap_or_default()));
            }
            page = next;
            if page.is_none() {
                break;
            }
        }
        Ok(None)
    }
}

fn range(told: &Value) -> Option<Range> {
    let listed = |of: &str| told["visible_list"][of].as_array().map_or(0, Vec::len);
    let everybody = told["is_all"].as_bool()?;
    Some(match everybody {
        true => Range { everybody, ..Range::default() },
        false => Range {
            everybody,
            people: listed("open_ids"),
            departments: listed("department_ids"),
            groups: listed("group_ids"),
        },
    })
}

fn text(value: &Value) -> Option<String> {
    value.as_str().filter(|text| !text.is_empty()).map(str::to_owned)
}

fn strings<'a>(list: &'a Value, of: impl Fn(&'a Value) -> &'a Value) -> Vec<String> {
    list.as_array().into_iter().flatten().filter_map(|one| text(of(one))).collect()
}
