//! The tenant access token: fetched once for everybody, renewed early, dropped when the platform says so.
//!
//! `POST auth/v3/tenant_access_token/internal` gives the same token while 30 min or more of it are left and a new one
//! after that, with the old one still valid. Renewing 10 min before the end is therefore without a gap.

use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::client::Http;
use super::error::ApiError;
use super::wire::{TokenReply, TokenRequest};

/// Renewed when this much is left, or half of it for tokens that do not live that long.
const EARLY: Duration = Duration::from_secs(600);

pub struct Tokens {
    app_id: String,
    secret: SecretString,
    /// Held over the fetch on purpose: it is what makes a hundred callers wait for one request.
    cached: Mutex<Option<Cached>>,
}

#[derive(Clone)]
struct Cached {
    token: SecretString,
    renew_at: Instant,
    dead_at: Instant,
}

impl Tokens {
    pub fn new(app_id: String, secret: SecretString) -> Self {
        Self { app_id, secret, cached: Mutex::new(None) }
    }

    /// A token that is valid for a while yet.
    pub async fn get(&self, http: &Http) -> Result<SecretString, ApiError> {
        let mut cached = self.cached.lock().await;
        let now = Instant::now();
        if let Some(have) = cached.as_ref().filter(|have| now < have.renew_at) {
            return Ok(have.token.clone());
        }
        match self.fetch(http, now).await {
            Ok(fresh) => {
                let token = fresh.token.clone();
                *cached = Some(fresh);
                Ok(token)
            }
            // The old one still works: trouble at renewal is no trouble yet.
            Err(error) => match cached.as_ref().filter(|have| now < have.dead_at) {
                Some(have) => Ok(have.token.clone()),
                None => Err(error),
            },
        }
    }

    /// Forgets `token` if it is still the one in use; a newer one that another task fetched meanwhile stays.
    pub async fn invalidate(&self, token: &SecretString) {
        let mut cached = self.cached.lock().await;
        if cached.as_ref().is_some_and(|have| have.token.expose_secret() == token.expose_secret()) {
            *cached = None;
        }
    }

    async fn fetch(&self, http: &Http, now: Instant) -> Result<Cached, ApiError> {
        const WHAT: &str = "fetch the tenant token";
        let body = TokenRequest { app_id: &self.app_id, app_secret: self.secret.expose_secret() };
        let request = http.post("/open-apis/auth/v3/tenant_access_token/internal").json(&body);
        let answer = http.execute(WHAT, request).await.map_err(credentials)?;
        let reply: TokenReply = answer.parse(WHAT)?;
        let Some(token) = reply.tenant_access_token.filter(|token| !token.is_empty()) else {
            return Err(ApiError::NotFeishu { what: WHAT, status: 200, wait: None, platform_ms: None });
        };
        let lives = Duration::from_secs(reply.expire.unwrap_or(7200));
        let early = EARLY.min(lives / 2);
        Ok(Cached { token: token.into(), renew_at: now + (lives - early), dead_at: now + lives })
    }
}

/// Any refusal by the token endpoint is about the credentials; the docs and the field disagree on which code means what.
fn credentials(error: ApiError) -> ApiError {
    match error {
        ApiError::Refused(refusal)
            if matches!(refusal.code, 10003 | 10012..=10015 | 20002 | 99991543 | 99991662 | 99991673) =>
        {
            ApiError::Credentials { what: refusal.what, code: refusal.code, msg: refusal.msg }
        }
        other => other,
    }
}
