//! What a failed call means. One table, by code; never by text, except for the sub-code that 230099 hides in its message
//! and where one sub-code means two things (11310).
//!
//! The official SDKs' classifiers contradict the official tables (they take rate limits for lost rights), so this is our own,
//! after `im-v1/message/{create,reply,update,delete}`, `im-v1/message-card/patch` and the general error table.

use std::time::Duration;

use crate::bridge::ports::{FetchError, SendError};
use crate::domain::delivery::{Disposition, Obstacle};
use crate::words::ChannelMsg;

/// A call that did not succeed, by how much is certain.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ApiError {
    /// The platform refused it.
    #[error("{0}")]
    Refused(Box<Refusal>),
    /// An answer that is not Feishu's JSON (a proxy's page, a gateway in trouble).
    #[error("{what}: HTTP status {status} without an answer of the platform")]
    NotFeishu { what: &'static str, status: u16, wait: Option<Duration>, platform_ms: Option<i64> },
    /// No connection: certainly nothing arrived.
    #[error("{what}: no connection: {reason}")]
    NotReached { what: &'static str, reason: String },
    /// The request left and no answer came.
    #[error("{what}: no answer: {reason}")]
    NoAnswer { what: &'static str, reason: String },
    /// Something on our side (a file that cannot be read).
    #[error("{what}: {reason}")]
    Local { what: &'static str, reason: String },
    /// The app's credentials are wrong or the app may not be used; `code` is the token endpoint's.
    #[error("{what}: the app may not log in (code {code}): {msg}")]
    Credentials { what: &'static str, code: i64, msg: String },
}

/// A refusal with everything that the platform told.
#[derive(Debug, Clone, Default)]
pub struct Refusal {
    pub what: &'static str,
    pub code: i64,
    /// The code inside a refusal of card content (230099).
    pub sub: Option<i64>,
    pub msg: String,
    /// What the platform's support wants to hear.
    pub log_id: Option<String>,
    /// How long the gateway asked us to wait.
    pub wait: Option<Duration>,
    /// Rights of which any one would do (99991672).
    pub scopes: Vec<String>,
    pub platform_ms: Option<i64>,
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: code {}", self.what, self.code)?;
        if let Some(id) = &self.log_id {
            write!(f, " (log id {id})")?;
        }
        write!(f, ": {}", self.msg)
    }
}

/// The app lacks a right, or the version that has it was not published.
pub const MISSING_RIGHT: i64 = 99991672;

/// What a code is about, as far as it decides what to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FeishuCode {
    /// Too many calls: certainly not done.
    RateLimited,
    /// The same uuid is being sent right now.
    BeingSent,
    /// Trouble on the platform's side; it may have been done.
    Platform,
    /// Trouble or a lock that ends by itself; certainly not done.
    Busy,
    /// A token that is not valid (any more).
    Token,
    /// Only a person can mend it: credentials, app state, rights, address list, quota.
    Configuration,
    /// The monthly quota of calls is used up.
    Quota,
    /// Refused for what is in it.
    Content,
    /// Refused for the message that it answers or touches.
    Target,
    /// This chat or person cannot be reached, or the thing may not be done at all.
    Gone,
    /// Not in any table.
    Unknown,
}

impl FeishuCode {
    pub fn of(code: i64) -> Self {
        match code {
            99991400 | 230020 | 11232 | 11247 | 1000004 | 1000005 => FeishuCode::RateLimited,
            230049 => FeishuCode::BeingSent,
            300000 | 300120 | 234002 | 234041 | 234042 | 1000040343 => FeishuCode::Platform,
            200810 | 231015 | 232096 => FeishuCode::Busy,
            99991663..=99991665 => FeishuCode::Token,
            10003 | 10012..=10015 | 20002 | 99991543 => FeishuCode::Configuration,
            99991401 | 99991661 | 99991662 | 99991668 | 99991671..=99991673 | 99991677 | 99991679 => {
                FeishuCode::Configuration
            }
            230006 | 234007 => FeishuCode::Configuration,
            99991403 => FeishuCode::Quota,
            230001 | 230022 | 230025 | 230028 | 230055 | 230099 | 99992402 => FeishuCode::Content,
            234006 | 234010 | 234011 | 234039 => FeishuCode::Content,
            11310 | 100290 | 200380 | 200381 | 200550 | 200570 | 200621 | 200732 | 200737 => FeishuCode::Content,
            200861 | 200914 | 200915 | 300220 | 300230 | 300240 => FeishuCode::Content,
            230011 | 230019 | 230110 | 231003 | 230050 | 99992354 => FeishuCode::Target,
            230002 | 230009 | 230012 | 230013 | 230017 | 230018 | 230026 | 230027 | 230029 | 230031 => FeishuCode::Gone,
            230034 | 230035 | 230036 | 230038 | 230053 | 230054 | 230071 | 230072 | 230075 => FeishuCode::Gone,
            231001 | 231002 | 231005 | 231007 | 231008 | 231010 | 231011 | 231017 => FeishuCode::Gone,
            231019..=231022 | 231203 | 232009 | 234003 | 234037 | 234038 | 234043 => FeishuCode::Gone,
            99992351..=99992364 => FeishuCode::Gone,
            _ => FeishuCode::Unknown,
        }
    }
}

/// The wait where the platform names none. Whoever tries again knows how often it was tried and waits longer each time.
const WAIT_MS: u64 = 1000;

impl ApiError {
    /// What the failure means for what was to be done. Its wait is the least one: what the platform asked for, if it did.
    pub fn disposition(&self) -> Disposition {
        let wait_ms = WAIT_MS;
        match self {
            ApiError::NotReached { .. } => Disposition::RetryAfter { wait_ms },
            ApiError::NoAnswer { .. } => Disposition::Ambiguous { wait_ms },
            // The gateway answers 429 before it hands anything on; any other page proves nothing.
            ApiError::NotFeishu { status: 429, wait, .. } => {
                Disposition::RetryAfter { wait_ms: wait.map_or(wait_ms, millis) }
            }
            ApiError::NotFeishu { .. } => Disposition::Ambiguous { wait_ms },
            ApiError::Local { .. } => Disposition::Undeliverable,
            ApiError::Credentials { .. } => Disposition::Paused { wait_ms: 60_000 },
            ApiError::Refused(refusal) => refused(refusal),
        }
    }

    pub fn code(&self) -> Option<i64> {
        match self {
            ApiError::Refused(refusal) => Some(refusal.code),
            ApiError::Credentials { code, .. } => Some(*code),
            _ => None,
        }
    }

    pub fn platform_ms(&self) -> Option<i64> {
        match self {
            ApiError::Refused(refusal) => refusal.platform_ms,
            ApiError::NotFeishu { platform_ms, .. } => *platform_ms,
            _ => None,
        }
    }

    pub fn what(&self) -> &'static str {
        match self {
            ApiError::Refused(refusal) => refusal.what,
            ApiError::NotFeishu { what, .. }
            | ApiError::NotReached { what, .. }
            | ApiError::NoAnswer { what, .. }
            | ApiError::Local { what, .. }
            | ApiError::Credentials { what, .. } => what,
        }
    }

    /// What happened, without what was to be done.
    fn detail(&self) -> String {
        let whole = self.to_string();
        whole.strip_prefix(self.what()).and_then(|rest| rest.strip_prefix(": ")).unwrap_or(&whole).to_owned()
    }

    /// The error as the bridge wants it.
    pub fn into_send(self) -> SendError {
        SendError {
            what: self.what(),
            code: self.code(),
            detail: self.detail(),
            disposition: self.disposition(),
            platform_ms: self.platform_ms(),
        }
    }

    /// The error of a read. `needs` is the right to name when the platform names none.
    pub fn into_fetch(self, needs: &str) -> FetchError {
        match &self {
            ApiError::Refused(refusal) => refusal.as_fetch(needs),
            ApiError::Local { reason, .. } => FetchError::Unavailable { reason: reason.clone() },
            _ => FetchError::Unavailable { reason: self.to_string() },
        }
    }
}

impl Refusal {
    fn as_fetch(&self, needs: &str) -> FetchError {
        match (self.code, FeishuCode::of(self.code)) {
            (MISSING_RIGHT, _) => {
                FetchError::NotAllowed { scope: self.scopes.first().cloned().unwrap_or_else(|| needs.to_owned()) }
            }
            (230027, _) => FetchError::NotAllowed { scope: needs.to_owned() },
            (234037, _) => FetchError::TooLarge { max_bytes: 100 << 20 },
            (_, FeishuCode::Target) => FetchError::Gone,
            (_, FeishuCode::Gone | FeishuCode::Content) => FetchError::Unreadable { reason: self.to_string() },
            _ => FetchError::Unavailable { reason: self.to_string() },
        }
    }
}

fn millis(wait: Duration) -> u64 {
    u64::try_from(wait.as_millis()).unwrap_or(u64::MAX).max(1)
}

fn refused(refusal: &Refusal) -> Disposition {
    const MINUTE: u64 = 60_000;
    let wait_ms = WAIT_MS;
    match FeishuCode::of(refusal.code) {
        FeishuCode::RateLimited => Disposition::RetryAfter { wait_ms: refusal.wait.map_or(wait_ms, millis) },
        FeishuCode::BeingSent => Disposition::Ambiguous { wait_ms: wait_ms.max(1500) },
        FeishuCode::Platform => Disposition::Ambiguous { wait_ms },
        FeishuCode::Busy => Disposition::RetryAfter { wait_ms },
        // Comes here only when a fresh token was refused too.
        FeishuCode::Token => Disposition::Paused { wait_ms: MINUTE },
        FeishuCode::Configuration => Disposition::Paused { wait_ms: 5 * MINUTE },
        FeishuCode::Quota => Disposition::Paused { wait_ms: 60 * MINUTE },
        FeishuCode::Content if refusal.sub.is_some_and(|sub| FeishuCode::of(sub) == FeishuCode::Busy) => {
            Disposition::RetryAfter { wait_ms }
        }
        FeishuCode::Content => Disposition::NextForm,
        FeishuCode::Target => Disposition::WithoutReply,
        FeishuCode::Gone => Disposition::Undeliverable,
        // A definite refusal that nobody documented: a simpler form may pass, and the ladder of forms ends.
        FeishuCode::Unknown => Disposition::NextForm,
    }
}

/// What only a person can mend.
pub fn advice(code: i64) -> Option<ChannelMsg<'static>> {
    match FeishuCode::of(code) {
        FeishuCode::Configuration if matches!(code, 10003 | 10012..=10015 | 20002 | 99991543) => {
            Some(ChannelMsg::CheckCredentials { code })
        }
        FeishuCode::Configuration => Some(ChannelMsg::CheckApp { code }),
        FeishuCode::Quota => Some(ChannelMsg::QuotaUsed { code }),
        _ => None,
    }
}

/// What a code that ends a delivery says about its chat.
pub fn obstacle(code: i64) -> Obstacle {
    match code {
        230002 | 232009 => Obstacle::Left,
        230013 | 230018 | 230027 | 230035 | 230053 | 231022 => Obstacle::Forbidden,
        _ => Obstacle::Refused { code },
    }
}

/// Reads `ErrCode: <n>` out of the message of a 230099: the only place that has it.
pub fn sub_code(msg: &str) -> Option<i64> {
    let rest = &msg[msg.find("ErrCode:")? + "ErrCode:".len()..];
    let digits: String = rest.trim_start().chars().take_while(char::is_ascii_digit).collect();
    digits.parse().ok()
}

/// The rights that a 99991672 names in square brackets in its message, for answers without `permission_violations`.
pub fn scopes_in(msg: &str) -> Vec<String> {
    let Some((_, rest)) = msg.split_once('[') else { return Vec::new() };
    let Some((list, _)) = rest.split_once(']') else { return Vec::new() };
    list.split(',').map(|scope| scope.trim().to_owned()).filter(|scope| !scope.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused_with(code: i64, msg: &str) -> ApiError {
        ApiError::Refused(Box::new(Refusal {
            what: "send",
            code,
            sub: sub_code(msg),
            msg: msg.to_owned(),
            scopes: scopes_in(msg),
            ..Refusal::default()
        }))
    }

    #[track_caller]
    fn check(codes: &[i64], want: Disposition) {
        for code in codes {
            assert_eq!(refused_with(*code, "").disposition(), want, "code {code}");
        }
    }

    #[test]
    fn every_documented_code() {
        use Disposition::*;
        check(&[99991400, 230020, 11232, 11247, 1000004, 1000005], RetryAfter { wait_ms: 1000 });
        check(&[200810, 231015, 232096], RetryAfter { wait_ms: 1000 });
        check(&[230049], Ambiguous { wait_ms: 1500 });
        check(&[300120, 300000, 234002, 234041, 234042], Ambiguous { wait_ms: 1000 });
        check(&[99991663, 99991664, 99991665], Paused { wait_ms: 60_000 });
        check(&[10003, 10012, 10013, 10014, 10015, 20002, 99991543], Paused { wait_ms: 300_000 });
        check(&[99991661, 99991662, 99991668, 99991671, 99991672, 99991673], Paused { wait_ms: 300_000 });
        check(&[99991677, 99991401, 230006, 234007], Paused { wait_ms: 300_000 });
        check(&[99991403], Paused { wait_ms: 3_600_000 });
        check(&[230001, 230022, 230025, 230028, 230055, 230099, 99992402], NextForm);
        check(&[234006, 234010, 234011, 234039], NextForm);
        check(&[230011, 230019, 230050, 230110, 231003, 99992354], WithoutReply);
        check(&[230002, 230009, 230012, 230013, 230017, 230018, 230026, 230027, 230029], Undeliverable);
        check(&[230031, 230034, 230035, 230036, 230038, 230053, 230054, 230071, 230072], Undeliverable);
        check(&[230075, 231001, 231002, 231005, 231007, 231008, 231010, 231011, 231017], Undeliverable);
        check(&[231019, 231020, 231021, 231022, 231203, 232009, 99992351, 99992361, 99992364], Undeliverable);
        check(&[4711], NextForm);
    }

    #[test]
    fn the_code_inside_a_refused_card() {
        let msg =
            "Failed to create card content, ext=ErrCode: 11310; ErrMsg: card table number over limit; ErrPath: ROOT";
        assert_eq!(sub_code(msg), Some(11310));
        assert_eq!(sub_code("no code here"), None);
        assert_eq!(refused_with(230099, msg).disposition(), Disposition::NextForm);
        let busy = refused_with(230099, "ErrCode: 200810; in interaction");
        assert_eq!(busy.disposition(), Disposition::RetryAfter { wait_ms: 1000 });
    }

    #[test]
    fn only_an_answer_proves_that_nothing_was_sent() {
        let lost = ApiError::NoAnswer { what: "send", reason: "timed out".to_owned() };
        assert_eq!(lost.disposition(), Disposition::Ambiguous { wait_ms: 1000 });
        let unreached = ApiError::NotReached { what: "send", reason: "refused".to_owned() };
        assert_eq!(unreached.disposition(), Disposition::RetryAfter { wait_ms: 1000 });
        let page = ApiError::NotFeishu { what: "send", status: 502, wait: None, platform_ms: None };
        assert_eq!(page.disposition(), Disposition::Ambiguous { wait_ms: 1000 });
    }

    #[test]
    fn a_missing_right_names_its_scopes() {
        let msg = "Access denied. One of the following scopes is required: [im:message:send, im:message].";
        assert_eq!(scopes_in(msg), ["im:message:send", "im:message"]);
        let error = refused_with(99991672, msg).into_fetch("im:other");
        assert_eq!(error, FetchError::NotAllowed { scope: "im:message:send".to_owned() });
    }
}
