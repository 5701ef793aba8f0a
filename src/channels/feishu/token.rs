//! The tenant access token: fetched once for everybody, renewed early, dropped when the platform says so.
//!
//! `POST auth/v3/tenant_access_token/internal` gives the same token while 30 min or more of it are left and a new one
//! after that, with the old one still valid. Renewing 10 min before the end is therefore without a gap, and nobody who
//! has a valid token waits for it.

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared};
use secrecy::{ExposeSecret, SecretString};
use tokio::time::Instant;

use super::client::Http;
use super::error::{ApiError, FeishuCode};
use super::wire::{TokenReply, TokenRequest};
use crate::tasks::{OnExit, Tasks};

/// Renewed when this much is left, or half of it for tokens that do not live that long.
const EARLY: Duration = Duration::from_secs(600);
/// The longest that a fetch takes, and that anybody waits for it.
const FETCH: Duration = Duration::from_secs(10);
/// So long a failure is everybody's answer: a hundred who wait do not ask one after the other.
const FAILED: Duration = Duration::from_secs(3);

pub struct Tokens {
    app: Arc<App>,
    state: Arc<Mutex<State>>,
    /// The fetch runs by itself, so that it does not end with whoever happened to begin it.
    tasks: Tasks,
}

struct App {
    id: String,
    secret: SecretString,
}

#[derive(Default)]
struct State {
    cached: Option<Cached>,
    /// The one fetch that is under way.
    fetching: Option<Fetching>,
    /// The last failure, and until when it is not asked again.
    failed: Option<(ApiError, Instant)>,
}

type Fetching = Shared<BoxFuture<'static, Result<SecretString, ApiError>>>;

#[derive(Clone)]
struct Cached {
    token: SecretString,
    renew_at: Instant,
    dead_at: Instant,
}

impl Tokens {
    pub fn new(id: String, secret: SecretString) -> Self {
        Self { app: Arc::new(App { id, secret }), state: Arc::default(), tasks: Tasks::default() }
    }

    /// A token that is valid now. Only who has none waits for the platform.
    pub async fn get(&self, http: &Arc<Http>) -> Result<SecretString, ApiError> {
        let fetching = {
            let mut state = lock(&self.state);
            let now = Instant::now();
            let valid = state.cached.as_ref().filter(|have| now < have.dead_at).cloned();
            if let Some(have) = valid.as_ref().filter(|have| now < have.renew_at) {
                return Ok(have.token.clone());
            }
            let failed = state.failed.as_ref().filter(|(_, until)| now < *until).map(|(error, _)| error.clone());
            match (valid, failed) {
                (Some(have), Some(_)) => return Ok(have.token),
                (None, Some(error)) => return Err(error),
                (Some(have), None) => {
                    // It goes on without us.
                    drop(self.fetching(&mut state, http));
                    return Ok(have.token);
                }
                (None, None) => self.fetching(&mut state, http),
            }
        };
        fetching.await
    }

    /// Forgets `token` if it is still the one in use; a newer one that another task fetched meanwhile stays.
    pub fn invalidate(&self, token: &SecretString) {
        let mut state = lock(&self.state);
        if state.cached.as_ref().is_some_and(|have| have.token.expose_secret() == token.expose_secret()) {
            state.cached = None;
        }
    }

    /// The fetch that is under way, begun if there is none.
    fn fetching(&self, state: &mut State, http: &Arc<Http>) -> Fetching {
        if let Some(fetching) = &state.fetching {
            return fetching.clone();
        }
        let (http, app, kept) = (Arc::clone(http), Arc::clone(&self.app), Arc::clone(&self.state));
        let fetching = async move {
            let fetched = tokio::time::timeout(FETCH, fetch(&http, &app)).await;
            let fetched = fetched.unwrap_or_else(|_| Err(unreached("timed out".to_owned())));
            let mut state = lock(&kept);
            state.fetching = None;
            match fetched {
                Ok(fresh) => {
                    let token = fresh.token.clone();
                    (state.cached, state.failed) = (Some(fresh), None);
                    Ok(token)
                }
                Err(error) => {
                    state.failed = Some((error.clone(), Instant::now() + FAILED));
                    Err(error)
                }
            }
        };
        let fetching = fetching.boxed().shared();
        state.fetching = Some(fetching.clone());
        let driven = fetching.clone();
        self.tasks.spawn("feishu-token", OnExit::LogOnly, move |_| async move {
            // Whoever needs the token gets the error too, and says it.
            driven.await.map(drop).or(Ok(()))
        });
        fetching
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().expect("no code panics while it holds this lock")
}

const WHAT: &str = "fetch the tenant token";

async fn fetch(http: &Http, app: &App) -> Result<Cached, ApiError> {
    let asked_at = Instant::now();
    let body = TokenRequest { app_id: &app.id, app_secret: app.secret.expose_secret() };
    let request = http.post("/open-apis/auth/v3/tenant_access_token/internal").json(&body);
    let answer = http.execute(WHAT, request).await.map_err(without_token)?;
    let reply: TokenReply = answer.parse(WHAT).map_err(without_token)?;
    let Some(token) = reply.tenant_access_token.filter(|token| !token.is_empty()) else {
        return Err(unreached("the answer holds none".to_owned()));
    };
    let lives = Duration::from_secs(reply.expire.unwrap_or(7200));
    let early = EARLY.min(lives / 2);
    Ok(Cached { token: token.into(), renew_at: asked_at + (lives - early), dead_at: asked_at + lives })
}

fn unreached(reason: String) -> ApiError {
    ApiError::NotReached { what: WHAT, reason }
}

/// What a failed fetch means for the call that needed the token: that certainly was not made, whatever became of the fetch.
/// A refusal is about the credentials; the docs and the field disagree on which code means what.
fn without_token(error: ApiError) -> ApiError {
    match error {
        ApiError::Refused(refusal)
            if matches!(refusal.code, 10003 | 10012..=10015 | 20002 | 99991543 | 99991662 | 99991673) =>
        {
            ApiError::Credentials { what: refusal.what, code: refusal.code, msg: refusal.msg }
        }
        ApiError::Refused(refusal)
            if matches!(
                FeishuCode::of(refusal.code),
                FeishuCode::RateLimited | FeishuCode::Configuration | FeishuCode::Quota
            ) =>
        {
            ApiError::Refused(refusal)
        }
        ApiError::NotFeishu { status: 429, .. } => error,
        ApiError::NoAnswer { reason, .. } => unreached(reason),
        ApiError::Refused(_) | ApiError::NotFeishu { .. } => unreached(error.to_string()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    /// An address that takes connections and never says anything, and how many it has taken.
    async fn silence() -> (Arc<Http>, Arc<AtomicUsize>) {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let base = format!("http://{}", listener.local_addr().expect("bound"));
        let taken = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&taken);
        tokio::spawn(async move {
            let mut open = Vec::new();
            while let Ok((tcp, _)) = listener.accept().await {
                counted.fetch_add(1, Ordering::Relaxed);
                open.push(tcp);
            }
        });
        (Arc::new(Http::new(&base, None, crate::clock::Clock::default()).expect("valid")), taken)
    }

    fn tokens() -> Tokens {
        Tokens::new("cli_1".to_owned(), "secret".to_owned().into())
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_platform_costs_everybody_one_deadline_together() {
        let (http, taken) = silence().await;
        let tokens = tokens();
        let began = Instant::now();
        let all = futures_util::future::join_all((0..20).map(|_| tokens.get(&http))).await;
        assert!(all.iter().all(|one| matches!(one, Err(ApiError::NotReached { .. }))), "certainly nothing was sent");
        assert!(began.elapsed() < 2 * FETCH, "{:?}", began.elapsed());
        let later = Instant::now();
        tokens.get(&http).await.expect_err("remembered");
        assert_eq!(later.elapsed(), Duration::ZERO);
        assert!(taken.load(Ordering::Relaxed) <= 1);
        tokio::time::sleep(FAILED).await;
        tokens.get(&http).await.expect_err("asked again");
        assert!(later.elapsed() >= FETCH);
    }

    #[tokio::test(start_paused = true)]
    async fn who_has_a_valid_token_does_not_wait_for_the_next() {
        let (http, _) = silence().await;
        let tokens = tokens();
        let now = Instant::now();
        lock(&tokens.state).cached =
            Some(Cached { token: "t-old".to_owned().into(), renew_at: now, dead_at: now + Duration::from_secs(600) });
        for _ in 0..3 {
            let token = tokens.get(&http).await.expect("valid");
            assert_eq!((token.expose_secret(), now.elapsed()), ("t-old", Duration::ZERO));
        }
        assert!(lock(&tokens.state).fetching.is_some(), "it is being renewed");
        tokio::time::sleep(Duration::from_secs(600)).await;
        tokens.get(&http).await.expect_err("the old one is dead");
    }
}
