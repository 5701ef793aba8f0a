//! Makes an app by a code that somebody scans: the platform's device flow (`oauth/v1/app/registration`, as the official SDK for
//! Node and the platform's own command line use it). Nothing is logged in here: the answer holds the app's secret.

use std::io::Write;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use flate2::Compression;
use flate2::write::GzEncoder;
use secrecy::SecretString;
use serde_json::json;

use super::client::{is_loopback, not_answered};
use super::directory::GROUP_MESSAGES;
use super::error::ApiError;
use super::proxy::Proxy;
use super::wire::Registering;
use crate::domain::ids::UserId;

/// Where apps of both brands are registered; those of Lark are told by the second.
const FEISHU: &str = "https://accounts.feishu.cn";
const LARK: &str = "https://accounts.larksuite.com";
const PATH: &str = "/oauth/v1/app/registration";
/// What the platform recommends where it names no time.
const INTERVAL: Duration = Duration::from_secs(5);
const EXPIRES: Duration = Duration::from_secs(600);
/// Added to the interval when it is asked too often (RFC 8628).
const SLOWER: Duration = Duration::from_secs(5);
const CALL: Duration = Duration::from_secs(20);

/// The rights that ally needs or uses, by their names in the console.
pub const SCOPES: [&str; 13] = [
    "im:message.p2p_msg:readonly",
    "im:message.group_at_msg:readonly",
    "im:message:send_as_bot",
    "im:message:readonly",
    "im:message:update",
    "im:message.reactions:write_only",
    "im:message.reactions:read",
    "im:resource",
    "cardkit:card:write",
    "im:chat:read",
    "im:chat.members:bot_access",
    "contact:user.basic_profile:readonly",
    "application:application:self_manage",
];
/// Which rights an app is to have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rights {
    /// Direct chats, mentions in groups, answers and cards: usually nobody has to approve them.
    Basic,
    /// What others say in groups as well, where it is quoted or was missed: an administrator has to approve that.
    GroupContext,
}

impl Rights {
    /// By their names in the console.
    fn scopes(self) -> Vec<&'static str> {
        let more = (self == Rights::GroupContext).then_some(GROUP_MESSAGES);
        SCOPES.into_iter().chain(more).collect()
    }
}

/// The events that ally wants.
pub const EVENTS: [&str; 5] = [
    "im.message.receive_v1",
    "im.message.recalled_v1",
    "im.chat.member.bot.added_v1",
    "im.chat.member.bot.deleted_v1",
    "im.chat.disbanded_v1",
];
/// How clicks come.
pub const CALLBACK: &str = "card.action.trigger";

/// Which platform somebody's company is on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Brand {
    /// In China.
    Feishu,
    /// Everywhere else.
    Lark,
}

impl Brand {
    /// Where apps of this brand are called.
    pub fn base_url(self) -> &'static str {
        match self {
            Brand::Feishu => "https://open.feishu.cn",
            Brand::Lark => "https://open.larksuite.com",
        }
    }
}

/// A registration that was begun and waits for somebody to scan its code.
#[derive(Debug, Clone)]
pub struct Begun {
    /// By it the platform knows which one is meant. Whoever has it gets the app's secret.
    pub device_code: String,
    /// The page that the code leads to, with all that the app is to have.
    pub link: String,
    /// The same page without that, for a terminal in which the whole code finds no room.
    pub short_link: String,
    /// Between two looks.
    pub interval: Duration,
    /// From the beginning on.
    pub expires: Duration,
}

/// An app, and who made it.
#[derive(Debug, Clone)]
pub struct Registered {
    /// `cli_…`.
    pub app_id: String,
    /// Its secret, which is told only this once.
    pub app_secret: SecretString,
    /// Whoever scanned; nobody where the platform does not say it.
    pub by: Option<UserId>,
    /// Where it is.
    pub brand: Brand,
}

/// What became of it so far.
#[derive(Debug, Clone)]
pub enum Scanned {
    /// Nobody has, or nobody has agreed yet.
    NotYet,
    /// The person said no.
    Denied,
    /// The code is too old: another one is needed.
    Expired,
    /// It is made.
    Done(Registered),
}

/// The device flow of one platform.
pub struct Registration {
    http: reqwest::Client,
    feishu: String,
    lark: String,
    slower: Duration,
}

impl Registration {
    /// Of the platform itself; `base_url` names it only where that is on this machine, as a simulated one is.
    ///
    /// # Errors
    /// A proxy whose address is not valid.
    pub fn new(base_url: &str, proxy: Option<&Proxy>) -> anyhow::Result<Self> {
        let here = is_loopback(base_url);
        let mut builder =
            reqwest::Client::builder().timeout(CALL).user_agent(concat!("ally/", env!("CARGO_PKG_VERSION"))).no_proxy();
        if let Some(proxy) = proxy.filter(|_| !here) {
            builder = builder.proxy(proxy.for_http()?);
        }
        let own = base_url.trim_end_matches('/');
        let base = |platform: &str| if here { own } else { platform }.to_owned();
        Ok(Self { http: builder.build()?, feishu: base(FEISHU), lark: base(LARK), slower: Duration::ZERO })
    }

    /// Begins; the code is good for some minutes. `name` is what the app is to be called, which the person may change, as they
    /// may each of the rights.
    ///
    /// # Errors
    /// As of every call of the platform; nothing was made.
    pub async fn begin(&mut self, name: &str, rights: Rights) -> Result<Begun, ApiError> {
        const WHAT: &str = "begin the registration";
        let form = [
            ("action", "begin"),
            ("archetype", "PersonalAgent"),
            ("auth_method", "client_secret"),
            ("request_user_info", "open_id"),
        ];
        self.slower = Duration::ZERO;
        let reply = self.ask(WHAT, &self.feishu, &form).await?;
        if reply.device_code.is_empty() || reply.verification_uri_complete.is_empty() {
            return Err(refused(WHAT, &reply));
        }
        let seconds = |given: Option<u64>, default: Duration| given.map_or(default, Duration::from_secs);
        Ok(Begun {
            link: link(&reply.verification_uri_complete, name, addons(rights).as_deref()),
            short_link: link(&reply.verification_uri_complete, name, None),
            interval: seconds(reply.interval, INTERVAL),
            expires: seconds(reply.expires_in.or(reply.expire_in), EXPIRES),
            device_code: reply.device_code,
        })
    }

    /// Looks whether somebody has scanned it. To be called no sooner than [`Registration::rest`] after the last time.
    ///
    /// # Errors
    /// As of every call of the platform: worth another look.
    pub async fn look(&mut self, begun: &Begun) -> Result<Scanned, ApiError> {
        const WHAT: &str = "look whether the code was scanned";
        let form = [("action", "poll"), ("device_code", begun.device_code.as_str())];
        let reply = self.ask(WHAT, &self.feishu, &form).await?;
        match reply.error.as_str() {
            "" => {}
            "authorization_pending" => return Ok(Scanned::NotYet),
            "slow_down" => {
                self.slower += SLOWER;
                return Ok(Scanned::NotYet);
            }
            "access_denied" => return Ok(Scanned::Denied),
            "expired_token" | "invalid_grant" => return Ok(Scanned::Expired),
            _ => return Err(refused(WHAT, &reply)),
        }
        let brand = if reply.user_info.tenant_brand == "lark" { Brand::Lark } else { Brand::Feishu };
        let first = reply.user_info.open_id.clone();
        // Of an app on Lark only Lark tells the secret.
        let reply = match brand {
            Brand::Lark if reply.client_secret.is_empty() => self.ask(WHAT, &self.lark, &form).await?,
            _ => reply,
        };
        if reply.client_id.is_empty() || reply.client_secret.is_empty() {
            return Err(refused(WHAT, &reply));
        }
        let by = [reply.user_info.open_id, first].into_iter().find(|id| !id.is_empty()).map(UserId::from);
        Ok(Scanned::Done(Registered {
            app_id: reply.client_id,
            app_secret: SecretString::from(reply.client_secret),
            by,
            brand,
        }))
    }

    /// Between two looks.
    pub fn rest(&self, begun: &Begun) -> Duration {
        begun.interval + self.slower
    }

    async fn ask(&self, what: &'static str, base: &str, form: &[(&str, &str)]) -> Result<Registering, ApiError> {
        let body = form
            .iter()
            .map(|(name, value)| {
                let value = percent_encoding::utf8_percent_encode(value, percent_encoding::NON_ALPHANUMERIC);
                format!("{name}={value}")
            })
            .collect::<Vec<_>>()
            .join("&");
        let request = self
            .http
            .post(format!("{base}{PATH}"))
            .header("content-type", "application/x-www-form-urlencoded")
            .body(body);
        let response = request.send().await.map_err(|error| not_answered(what, error))?;
        let status = response.status().as_u16();
        let text = response.text().await.map_err(|error| not_answered(what, error))?;
        // What is not settled yet comes as an error as well (RFC 8628).
        serde_json::from_str(&text).map_err(|_| ApiError::NotFeishu { what, status, wait: None, platform_ms: None })
    }
}

fn refused(what: &'static str, reply: &Registering) -> ApiError {
    let why = [reply.error.as_str(), reply.error_description.as_str()];
    let reason = why.into_iter().filter(|text| !text.is_empty()).collect::<Vec<_>>().join(": ");
    let reason = if reason.is_empty() { "the answer lacks what it must hold".to_owned() } else { reason };
    ApiError::NoAnswer { what, reason }
}

/// What the code holds: the platform's page, with what the app is to have. It is a proposal: what the platform does not know, or
/// does not do for this company, it leaves out without a word, so it is checked afterwards.
fn link(page: &str, name: &str, addons: Option<&str>) -> String {
    let joint = if page.contains('?') { '&' } else { '?' };
    let name = percent_encoding::utf8_percent_encode(name, percent_encoding::NON_ALPHANUMERIC);
    let mut link = format!("{page}{joint}from=sdk&source=ally&tp=sdk&name={name}");
    if let Some(addons) = addons {
        link.push_str(&format!("&addons={addons}"));
    }
    link
}

/// Rights, events and the callback, packed as the platform wants them.
fn addons(rights: Rights) -> Option<String> {
    let wanted = json!({
        "preset": true,
        "scopes": { "tenant": rights.scopes(), "user": [] },
        "events": { "items": { "tenant": EVENTS, "user": [] } },
        "callbacks": { "items": [CALLBACK] },
    });
    let mut packed = GzEncoder::new(Vec::new(), Compression::best());
    packed.write_all(wanted.to_string().as_bytes()).ok()?;
    Some(URL_SAFE_NO_PAD.encode(packed.finish().ok()?))
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    #[test]
    fn the_code_holds_what_the_app_is_to_have() {
        let page = "https://accounts.example/page?user_code=AB";
        let wanted = |rights| {
            let packed = URL_SAFE_NO_PAD.decode(addons(rights).expect("addons")).expect("base64");
            let mut text = String::new();
            flate2::read::GzDecoder::new(packed.as_slice()).read_to_string(&mut text).expect("gzip");
            serde_json::from_str::<serde_json::Value>(&text).expect("JSON")
        };
        let reads_groups = |rights| wanted(rights)["scopes"]["tenant"].to_string().contains(GROUP_MESSAGES);
        assert!(reads_groups(Rights::GroupContext) && !reads_groups(Rights::Basic));
        let link = link(page, "ally of Wang & co", addons(Rights::GroupContext).as_deref());
        let url = reqwest::Url::parse(&link).expect("an address");
        let of = |key: &str| url.query_pairs().find(|(name, _)| name == key).map(|(_, value)| value.into_owned());
        assert_eq!((of("user_code").as_deref(), of("name").as_deref()), (Some("AB"), Some("ally of Wang & co")));
        assert_eq!(of("addons"), addons(Rights::GroupContext));
        let wanted = wanted(Rights::GroupContext);
        assert_eq!(wanted["events"]["items"]["tenant"][0], "im.message.receive_v1");
        assert_eq!(wanted["callbacks"]["items"][0], CALLBACK);
        // What finds room in a terminal of 80 columns: see `ally setup`, which draws it.
        assert!(link.len() <= 520, "{}", link.len());
    }
}
