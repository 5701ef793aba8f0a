//! New apps by a code that somebody scans (the device flow of RFC 8628, as the platform has it).

use serde_json::{Value, json};

use super::rest::Call;
use super::state::State;
use super::{APP_ID, APP_SECRET};

pub const PATH: &str = "/oauth/v1/app/registration";

/// How a code stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Registration {
    /// Nobody has scanned it.
    Open,
    Agreed(String),
    /// To Feishu, of an app on Lark: without its secret.
    ToldByFeishu,
    Refused,
    Expired,
    /// Its app was told once, and is not told again.
    Told,
}

/// What somebody does with the newest code.
pub fn settle(state: &mut State, to: Registration) {
    state.registrations.last_mut().expect("a code was asked for").1 = to;
}

pub fn answer(state: &mut State, call: &Call) -> (u16, Value) {
    if call.method != "POST" {
        return failed("invalid_request");
    }
    match call.field("action") {
        "begin" => begin(state, call),
        "poll" => poll(state, call),
        _ => failed("invalid_request"),
    }
}

fn failed(error: &str) -> (u16, Value) {
    (400, json!({ "error": error, "error_description": format!("{error} (simulated)") }))
}

fn begin(state: &mut State, call: &Call) -> (u16, Value) {
    let wanted = [("archetype", "PersonalAgent"), ("auth_method", "client_secret"), ("request_user_info", "open_id")];
    if wanted.iter().any(|(key, value)| call.field(key) != *value) {
        return failed("invalid_request");
    }
    let device = state.fresh("device");
    state.registrations.push((device.clone(), Registration::Open));
    let (interval, expires_in) = state.rules.registration;
    let page = "https://open.feishu.cn/page/launcher";
    let user_code = format!("ABCD-{:04}", state.registrations.len());
    (
        200,
        json!({"device_code": device, "user_code": user_code, "verification_uri": page, "interval": interval,
            "verification_uri_complete": format!("{page}?user_code={user_code}"), "expires_in": expires_in}),
    )
}

fn poll(state: &mut State, call: &Call) -> (u16, Value) {
    let brand = state.rules.tenant_brand;
    let device = call.field("device_code");
    let Some((_, found)) = state.registrations.iter_mut().find(|(code, _)| code == device) else {
        return failed("invalid_grant");
    };
    match found {
        Registration::Open => failed("authorization_pending"),
        Registration::Refused => failed("access_denied"),
        Registration::Expired => failed("expired_token"),
        Registration::Told => failed("invalid_grant"),
        // Of an app on Lark only Lark tells the secret, when it is asked after that.
        Registration::Agreed(user) if brand == "lark" => {
            let info = json!({ "open_id": user.clone(), "tenant_brand": brand });
            *found = Registration::ToldByFeishu;
            (200, json!({ "client_id": APP_ID, "user_info": info }))
        }
        Registration::ToldByFeishu => {
            *found = Registration::Told;
            (200, json!({ "client_id": APP_ID, "client_secret": APP_SECRET, "user_info": { "tenant_brand": brand } }))
        }
        Registration::Agreed(user) => {
            let user = user.clone();
            *found = Registration::Told;
            let info = json!({ "open_id": user, "tenant_brand": brand });
            (200, json!({ "client_id": APP_ID, "client_secret": APP_SECRET, "user_info": info }))
        }
    }
}
