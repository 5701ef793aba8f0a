//! The thin REST client: one call, its deadline, its limits and its verdict.
//!
//! The body is parsed whatever the HTTP status says: refusals come with 200 or 400. Nothing here ever writes a token, a
//! secret or a whole URL into an error.

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, RwLock};
use std::time::Duration;

use anyhow::Context;
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use reqwest::header::HeaderMap;
use reqwest::{RequestBuilder, Response};
use rustls::ClientConfig;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::time::Instant;

use super::error::{ApiError, FeishuCode, Refusal, scopes_in, sub_code};
use super::proxy::Proxy;
use super::time::PlatformTime;
use super::tls;
use super::token::Tokens;
use super::wire::Reply;
use crate::clock::Clock;
use crate::metrics;

/// Deadline of one call, from connect to the last byte of the answer.
const CALL: Duration = Duration::from_secs(20);
const CONNECT: Duration = Duration::from_secs(8);
/// Calls of one endpoint. The platform takes 50/s and 1000/min: a full bucket and what comes in together stay below.
const PER_SECOND: u32 = 40;
const BURST: u32 = 10;
const PER_MINUTE: u32 = 600;
const MINUTE_BURST: u32 = 300;
/// Least time between two messages to one chat. The platform takes 5/s, shared by all bots of the chat.
const CHAT_SPACING: Duration = Duration::from_millis(250);
/// The most bytes of an answer that are read: fifty of the longest messages and something.
const MAX_ANSWER: usize = 16 << 20;
/// The longest that an answer's text is quoted in an error.
const MSG_CHARS: usize = 300;

/// The transport: where to, and how an answer is read.
pub struct Http {
    base: String,
    proxy: Option<Proxy>,
    client: RwLock<reqwest::Client>,
    pub time: PlatformTime,
}

/// What came back with code 0.
pub struct Answer {
    pub body: Value,
    pub platform_ms: Option<i64>,
}

impl Answer {
    /// Reads the whole body (for the endpoints whose fields stand beside `code`).
    pub fn parse<T: DeserializeOwned>(self, what: &'static str) -> Result<T, ApiError> {
        let platform_ms = self.platform_ms;
        serde_json::from_value(self.body).map_err(|_| ApiError::NotFeishu {
            what,
            status: 200,
            wait: None,
            platform_ms,
        })
    }

    /// Reads `data`. An absent one is an empty object.
    pub fn data<T: DeserializeOwned>(mut self, what: &'static str) -> Result<T, ApiError> {
        let data = self.body.get_mut("data").map(Value::take).filter(|data| !data.is_null());
        self.body = data.unwrap_or_else(|| Value::Object(serde_json::Map::new()));
        self.parse(what)
    }
}

impl Http {
    /// `base` without a trailing slash. Without `proxy` there is none at all (the environment was read by the caller).
    pub fn new(base: &str, proxy: Option<&Proxy>, clock: Clock) -> anyhow::Result<Self> {
        let address = reqwest::Url::parse(base).context("the platform's address is not valid")?;
        let proxy = proxy.filter(|proxy| proxy.serves(&address)).cloned();
        let client = RwLock::new(fresh(proxy.as_ref())?);
        Ok(Self { base: base.trim_end_matches('/').to_owned(), proxy, client, time: PlatformTime::new(clock) })
    }

    /// The network is another one, or its lines are dead: no call begins on a line of before.
    pub fn reconnect(&self) {
        // It was built once with the same settings.
        if let Ok(client) = fresh(self.proxy.as_ref()) {
            *self.client.write().expect("no code panics while it holds this lock") = client;
        }
    }

    fn request(&self, method: reqwest::Method, path: &str) -> RequestBuilder {
        let client = self.client.read().expect("no code panics while it holds this lock");
        client.request(method, format!("{}{path}", self.base))
    }

    pub fn get(&self, path: &str) -> RequestBuilder {
        self.request(reqwest::Method::GET, path)
    }

    pub fn post(&self, path: &str) -> RequestBuilder {
        self.request(reqwest::Method::POST, path)
    }

    pub fn patch(&self, path: &str) -> RequestBuilder {
        self.request(reqwest::Method::PATCH, path)
    }

    pub fn delete(&self, path: &str) -> RequestBuilder {
        self.request(reqwest::Method::DELETE, path)
    }

    /// Sends one request and judges its answer.
    pub async fn execute(&self, what: &'static str, request: RequestBuilder) -> Result<Answer, ApiError> {
        let response = self.open(what, request.timeout(CALL)).await?;
        judge(what, response).await.inspect_err(count)
    }

    /// Sends one request and gives the answer's head.
    pub async fn open(&self, what: &'static str, request: RequestBuilder) -> Result<Response, ApiError> {
        // A call whose body may take long has no deadline of its own; its head has this one.
        let answer = tokio::time::timeout(CALL, request.send()).await;
        let answer = answer.map_err(|_| ApiError::NoAnswer { what, reason: "timed out".to_owned() });
        let answer = answer.and_then(|answer| answer.map_err(|error| not_answered(what, error))).inspect_err(count)?;
        self.time.heard(date_of(answer.headers()));
        Ok(answer)
    }
}

fn fresh(proxy: Option<&Proxy>) -> anyhow::Result<reqwest::Client> {
    let mut builder = reqwest::Client::builder()
        .connect_timeout(CONNECT)
        .user_agent(concat!("ally/", env!("CARGO_PKG_VERSION")))
        .pool_idle_timeout(Duration::from_secs(30))
        .tls_backend_preconfigured(ClientConfig::clone(&tls::config()))
        .no_proxy();
    if let Some(proxy) = proxy {
        builder = builder.proxy(proxy.for_http()?);
    }
    builder.build().context("build the HTTP client")
}

/// For those who watch the numbers: by the platform's code, or in a word why there is none.
fn count(error: &ApiError) {
    let code = match error {
        ApiError::Refused(refusal) => refusal.code.to_string(),
        ApiError::Credentials { code, .. } => code.to_string(),
        ApiError::NotFeishu { .. } => "no platform".to_owned(),
        ApiError::NotReached { .. } => "no connection".to_owned(),
        ApiError::NoAnswer { .. } => "no answer".to_owned(),
        ApiError::Local { .. } => "local".to_owned(),
    };
    metrics::platform_error("feishu", &code);
}

/// Whether a URL's host is this machine: never through a proxy.
pub fn is_loopback(url: &str) -> bool {
    let Ok(url) = reqwest::Url::parse(url) else { return false };
    match url.host_str() {
        Some("localhost") => true,
        Some(host) => host.trim_matches(['[', ']']).parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback()),
        None => false,
    }
}

pub fn not_answered(what: &'static str, error: reqwest::Error) -> ApiError {
    let (connect, builder) = (error.is_connect(), error.is_builder());
    // The URL may hold ids that belong into no log.
    let error = error.without_url();
    let reason = if error.is_timeout() { "timed out".to_owned() } else { cause(&error) };
    match (connect, builder) {
        (true, _) => ApiError::NotReached { what, reason },
        (_, true) => ApiError::Local { what, reason },
        _ => ApiError::NoAnswer { what, reason },
    }
}

/// The innermost reason: what lies around it names only the layers of the client.
fn cause(error: &dyn std::error::Error) -> String {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}

/// Reads the body and tells success from refusal by `code`, not by the HTTP status.
pub async fn judge(what: &'static str, response: Response) -> Result<Answer, ApiError> {
    let status = response.status().as_u16();
    let platform_ms = date_of(response.headers());
    let wait = wait_of(response.headers());
    let log_id = header(response.headers(), "x-tt-logid");
    // Whoever opened the answer for something else than JSON set no deadline for the rest of it.
    let read = tokio::time::timeout(CALL, whole(what, response)).await;
    let body = read.unwrap_or_else(|_| Err(ApiError::NoAnswer { what, reason: "timed out".to_owned() }))?;
    let Ok(body) = serde_json::from_slice::<Value>(&body) else {
        return Err(ApiError::NotFeishu { what, status, wait, platform_ms });
    };
    let reply = Reply::deserialize(&body).unwrap_or_default();
    match reply.code {
        Some(0) => Ok(Answer { body, platform_ms }),
        None => Err(ApiError::NotFeishu { what, status, wait, platform_ms }),
        Some(code) => {
            let msg: String = reply.msg.unwrap_or_default().chars().take(MSG_CHARS).collect();
            let detail = reply.error.unwrap_or_default();
            let mut scopes: Vec<String> =
                detail.permission_violations.into_iter().filter_map(|violation| violation.subject).collect();
            if scopes.is_empty() && code == 99991672 {
                scopes = scopes_in(&msg);
            }
            let sub = sub_code(&msg).filter(|_| code == 230099);
            let log_id = log_id.or(detail.log_id);
            Err(refusal_by_status(status, Refusal { what, code, sub, msg, log_id, wait, scopes, platform_ms }))
        }
    }
}

async fn whole(what: &'static str, mut response: Response) -> Result<Vec<u8>, ApiError> {
    let mut body = Vec::new();
    while let Some(piece) = response.chunk().await.map_err(|error| not_answered(what, error))? {
        if body.len() + piece.len() > MAX_ANSWER {
            return Err(ApiError::NoAnswer { what, reason: format!("more than {MAX_ANSWER} bytes") });
        }
        body.extend_from_slice(&piece);
    }
    Ok(body)
}

/// A code that nobody documented means nothing beside an HTTP status that says "my trouble" or "too many".
fn refusal_by_status(status: u16, refusal: Refusal) -> ApiError {
    if (status >= 500 || status == 429) && FeishuCode::of(refusal.code) == FeishuCode::Unknown {
        let Refusal { what, wait, platform_ms, .. } = refusal;
        return ApiError::NotFeishu { what, status, wait, platform_ms };
    }
    ApiError::Refused(Box::new(refusal))
}

fn header(headers: &HeaderMap, name: &str) -> Option<String> {
    headers.get(name)?.to_str().ok().map(str::to_owned)
}

/// Seconds, sometimes with a fraction.
fn wait_of(headers: &HeaderMap) -> Option<Duration> {
    let text = header(headers, "x-ogw-ratelimit-reset").or_else(|| header(headers, "retry-after"))?;
    let seconds: f64 = text.trim().parse().ok()?;
    Duration::try_from_secs_f64(seconds.clamp(0.0, 300.0)).ok()
}

/// The platform's clock. Whole seconds, so it is at most a second behind.
fn date_of(headers: &HeaderMap) -> Option<i64> {
    let text = header(headers, "date")?;
    chrono::DateTime::parse_from_rfc2822(&text).ok().map(|date| date.timestamp_millis())
}

/// Calls with a token, within the limits.
pub struct Client {
    pub http: Arc<Http>,
    tokens: Tokens,
    limits: Limits,
}

impl Client {
    pub fn new(http: Http, tokens: Tokens) -> Self {
        Self { http: Arc::new(http), tokens, limits: Limits::new() }
    }

    /// Gets a token, where there is none.
    pub async fn log_in(&self) -> Result<(), ApiError> {
        self.tokens.get(&self.http).await.map(drop)
    }

    /// Makes one call; once more with a fresh token if the platform calls the token invalid.
    ///
    /// `lane` is the chat or the message whose own limit counts, if one does. `request` is built anew for each attempt.
    pub async fn call(
        &self,
        what: &'static str,
        lane: Option<&str>,
        request: impl Fn(&Http) -> RequestBuilder,
    ) -> Result<Answer, ApiError> {
        let (response, token) = self.open(what, lane, |http| request(http).timeout(CALL)).await?;
        let outcome = judge(what, response).await;
        match outcome {
            Err(error) if is_token(&error) => {
                self.tokens.invalidate(&token);
                let (response, _) = self.open(what, lane, |http| request(http).timeout(CALL)).await?;
                self.noted(what, lane, judge(what, response).await)
            }
            outcome => self.noted(what, lane, outcome),
        }
    }

    /// Opens an answer whose body is not JSON when all is well, and gives the token that was used. The caller judges.
    pub async fn open(
        &self,
        what: &'static str,
        lane: Option<&str>,
        request: impl Fn(&Http) -> RequestBuilder,
    ) -> Result<(Response, SecretString), ApiError> {
        self.limits.wait(what, lane).await;
        let token = self.tokens.get(&self.http).await?;
        let response = self.http.open(what, request(&self.http).bearer_auth(token.expose_secret())).await?;
        Ok((response, token))
    }

    /// The platform called this token invalid: the next call fetches another, once for all who noticed.
    pub fn invalidate(&self, token: &SecretString) {
        self.tokens.invalidate(token);
    }

    /// A refusal that the caller judged: for speed, it holds back the next call.
    pub fn note(&self, what: &'static str, lane: Option<&str>, error: &ApiError) {
        self.limits.note(what, lane, error);
    }

    fn noted(
        &self,
        what: &'static str,
        lane: Option<&str>,
        outcome: Result<Answer, ApiError>,
    ) -> Result<Answer, ApiError> {
        if let Err(error) = &outcome {
            self.note(what, lane, error);
        }
        outcome
    }
}

pub fn is_token(error: &ApiError) -> bool {
    error.code().is_some_and(|code| FeishuCode::of(code) == FeishuCode::Token)
}

/// How fast we may call: each endpoint (by the name of what it does), and each chat or patched message by itself.
struct Limits {
    seconds: DefaultKeyedRateLimiter<&'static str>,
    minutes: DefaultKeyedRateLimiter<&'static str>,
    lanes: DefaultKeyedRateLimiter<String>,
    cool: Mutex<HashMap<String, Instant>>,
    /// Who calls an endpoint next. The limiters keep no order, and wake all who wait for the same moment.
    queues: Mutex<HashMap<&'static str, Arc<tokio::sync::Mutex<()>>>>,
}

/// Key of the whole app in the table of cool-downs; nothing else is called so.
const WHOLE_APP: &str = "";

impl Limits {
    fn new() -> Self {
        let few = |count: u32| NonZeroU32::new(count).expect("not zero");
        // A burst of one: two buckets' worth within a second would be over the platform's limit.
        let lane = Quota::with_period(CHAT_SPACING).expect("not zero");
        Self {
            seconds: RateLimiter::keyed(Quota::per_second(few(PER_SECOND)).allow_burst(few(BURST))),
            minutes: RateLimiter::keyed(Quota::per_minute(few(PER_MINUTE)).allow_burst(few(MINUTE_BURST))),
            lanes: RateLimiter::keyed(lane),
            cool: Mutex::new(HashMap::new()),
            queues: Mutex::default(),
        }
    }

    async fn wait(&self, what: &'static str, lane: Option<&str>) {
        self.cooled(WHOLE_APP).await;
        self.cooled(what).await;
        if let Some(lane) = lane {
            self.cooled(lane).await;
            self.lanes.until_key_ready(&lane.to_owned()).await;
            if self.lanes.len() > 1000 {
                self.lanes.retain_recent();
            }
        }
        let queue =
            Arc::clone(self.queues.lock().expect("no code panics while it holds this lock").entry(what).or_default());
        let _next = loop {
            let next = queue.lock().await;
            // It may have been refused while we queued; a chat that rests holds up no other.
            let Some(lane) = lane.filter(|lane| self.rests_until(lane).is_some()) else { break next };
            drop(next);
            self.cooled(lane).await;
        };
        self.cooled(WHOLE_APP).await;
        self.cooled(what).await;
        self.minutes.until_key_ready(&what).await;
        self.seconds.until_key_ready(&what).await;
    }

    async fn cooled(&self, key: &str) {
        // It may be longer by the time that it should be over.
        loop {
            let Some(until) = self.rests_until(key) else { return };
            tokio::time::sleep_until(until).await;
        }
    }

    fn rests_until(&self, key: &str) -> Option<Instant> {
        let until = self.cool.lock().expect("no code panics while it holds this lock").get(key).copied();
        until.filter(|until| *until > Instant::now())
    }

    /// A refusal for speed holds back everything that shares the limit, not just the call that met it, and nothing else.
    fn note(&self, what: &'static str, lane: Option<&str>, error: &ApiError) {
        const SECOND: Duration = Duration::from_secs(1);
        let (key, wait) = match error {
            // A limit of the chat or the message.
            ApiError::Refused(refusal) if refusal.code == 230020 => (lane.unwrap_or(what), refusal.wait),
            ApiError::Refused(refusal) if refusal.code == 99991400 => (what, refusal.wait),
            ApiError::NotFeishu { status: 429, wait, .. } => (WHOLE_APP, *wait),
            _ => return,
        };
        let now = Instant::now();
        let until = now + wait.unwrap_or(SECOND);
        let mut cool = self.cool.lock().expect("no code panics while it holds this lock");
        cool.retain(|_, until| *until > now);
        let cooled = cool.entry(key.to_owned()).or_insert(until);
        // A call that was under way before the longer refusal knows less than it.
        *cooled = until.max(*cooled);
    }
}

#[cfg(test)]
mod tests {
    use futures_util::StreamExt;

    use super::*;

    #[test]
    fn loopback_is_recognised_in_all_its_spellings() {
        for (url, want) in [
            ("http://127.0.0.1:8080", true),
            ("ws://localhost:1/x", true),
            ("http://[::1]:9", true),
            ("https://open.feishu.cn", false),
            ("not a url", false),
        ] {
            assert_eq!(is_loopback(url), want, "{url}");
        }
    }

    #[test]
    fn waits_are_read_as_fractions_of_a_second() {
        let mut headers = HeaderMap::new();
        headers.insert("x-ogw-ratelimit-reset", "0.5".parse().expect("ascii"));
        headers.insert("date", "Sat, 21 Nov 2026 05:00:00 GMT".parse().expect("ascii"));
        assert_eq!(wait_of(&headers), Some(Duration::from_millis(500)));
        assert_eq!(date_of(&headers), Some(1_795_237_200_000));
        headers.insert("x-ogw-ratelimit-reset", "soon".parse().expect("ascii"));
        assert_eq!(wait_of(&headers), None);
    }

    fn answer(status: u16, body: impl futures_util::Stream<Item = Vec<u8>> + Send + 'static) -> Response {
        let pieces = body.map(Ok::<_, std::convert::Infallible>);
        let answer = axum::http::Response::builder().status(status).body(reqwest::Body::wrap_stream(pieces));
        answer.expect("an answer").into()
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_never_ends_is_given_up() {
        let began = Instant::now();
        let hangs = judge("read", answer(400, futures_util::stream::pending())).await;
        assert!(matches!(hangs, Err(ApiError::NoAnswer { .. })), "its fate is not known");
        assert_eq!(began.elapsed(), CALL);
        let huge = judge("read", answer(200, futures_util::stream::repeat(vec![b' '; 1 << 20]))).await;
        assert!(matches!(huge, Err(ApiError::NoAnswer { reason, .. }) if reason.contains("bytes")));
    }

    #[tokio::test(start_paused = true)]
    async fn a_file_that_never_ends_is_given_up() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("file");
        let began = Instant::now();
        let trickle = futures_util::stream::unfold((), |()| async {
            tokio::time::sleep(Duration::from_secs(10)).await;
            Some((vec![0], ()))
        });
        let saved = super::super::api::save(answer(200, trickle), &path, 1 << 20).await;
        assert!(matches!(saved, Err(crate::bridge::ports::FetchError::Unavailable { .. })), "{saved:?}");
        assert!(began.elapsed() <= super::super::api::DOWNLOAD && !path.exists());
    }

    fn refused(code: i64, wait: Option<u64>) -> ApiError {
        let wait = wait.map(Duration::from_secs);
        ApiError::Refused(Box::new(Refusal { what: "send", code, wait, ..Refusal::default() }))
    }

    #[tokio::test(start_paused = true)]
    async fn a_refusal_for_speed_holds_back_what_shares_the_limit_and_nothing_else() {
        let limits = Limits::new();
        limits.note("send", Some("oc_1"), &refused(230020, None));
        limits.note("add a reaction", None, &refused(230020, None));
        limits.note("list messages", None, &refused(99991400, Some(30)));
        let before = Instant::now();
        for free in ["oc_2", "send", "reply", WHOLE_APP] {
            limits.cooled(free).await;
        }
        assert_eq!(before.elapsed(), Duration::ZERO);
        for held in ["oc_1", "add a reaction"] {
            limits.cooled(held).await;
            assert_eq!(before.elapsed().as_secs(), 1, "{held}");
        }
        limits.cooled("list messages").await;
        assert_eq!(before.elapsed().as_secs(), 30);
    }

    #[tokio::test(start_paused = true)]
    async fn a_cool_down_is_never_shortened() {
        let limits = Limits::new();
        let before = Instant::now();
        limits.note("send", None, &refused(99991400, Some(60)));
        limits.note("send", None, &refused(99991400, Some(1)));
        let growing = async {
            tokio::time::sleep(Duration::from_secs(30)).await;
            limits.note("send", None, &refused(99991400, Some(60)));
        };
        tokio::join!(limits.cooled("send"), growing);
        assert_eq!(before.elapsed().as_secs(), 90);
    }

    #[test]
    fn what_an_endpoint_takes_is_never_exceeded() {
        let clock = governor::clock::FakeRelativeClock::default();
        let quota = |quota: Quota, burst: u32| quota.allow_burst(NonZeroU32::new(burst).expect("not zero"));
        let per = |count: u32| NonZeroU32::new(count).expect("not zero");
        for (quota, window, most) in [
            (quota(Quota::per_second(per(PER_SECOND)), BURST), Duration::from_secs(1), 50),
            (quota(Quota::per_minute(per(PER_MINUTE)), MINUTE_BURST), Duration::from_secs(60), 1000),
        ] {
            let limiter = RateLimiter::direct_with_clock(quota, clock.clone());
            let steps = 1000;
            let mut taken = 0;
            for _ in 0..steps {
                while limiter.check().is_ok() {
                    taken += 1;
                }
                clock.advance(window / steps);
            }
            assert!(taken <= most && taken * 2 > most, "{taken} within {window:?}");
        }
    }
}
