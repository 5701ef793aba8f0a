//! How the simulated platform behaves, and how it can be made to misbehave.

use std::time::Duration;

/// What a repeated `uuid` gets within its hour. The platform does not document it, so both are possible.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UuidRepeat {
    FirstMessage,
    /// 230049, without any id.
    Refused,
}

#[derive(Debug, Clone)]
pub struct Rules {
    /// Seconds, as the bootstrap tells it.
    pub ping_interval: i64,
    pub uuid_repeat: UuidRepeat,
    /// 5 messages a second to one chat, then 230020.
    pub chat_limit: bool,
    /// Redelivery after 15 s, 5 min, 1 h, 6 h, times this.
    pub time_scale: f64,
    /// Events are cut into pieces of this many bytes.
    pub fragment: Option<usize>,
    /// Nothing is answered and nothing is sent on open connections; they stay open.
    pub half_open: bool,
    /// Code and text of the next bootstraps.
    pub bootstrap_error: Option<i64>,
    /// `Handshake-Status` and `Handshake-Autherrcode` of the next upgrades.
    pub handshake_error: Option<(u16, i64)>,
    /// Sub-code (of 230099) with which every card is refused.
    pub refuse_cards: Option<(i64, &'static str)>,
    /// Lists of messages are refused with 230027.
    pub refuse_lists: bool,
    /// The same for groups only.
    pub refuse_group_lists: bool,
    /// The same for one chat, as for one with outsiders.
    pub refuse_list_of: Option<&'static str>,
    /// `basic_batch` is refused for want of its scope.
    pub refuse_profiles: bool,
    /// Seconds that a token lives.
    pub token_seconds: u64,
    /// Of a new app: between two looks, and how long its code is good, in seconds.
    pub registration: (u64, u64),
    /// Whose app it becomes.
    pub tenant_brand: &'static str,
    /// People whom the bot may not write to.
    pub out_of_range: Option<&'static str>,
    /// What stands about the app in the developer console.
    pub console: Console,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            ping_interval: 120,
            uuid_repeat: UuidRepeat::FirstMessage,
            chat_limit: true,
            time_scale: 1.0,
            fragment: None,
            half_open: false,
            bootstrap_error: None,
            handshake_error: None,
            refuse_cards: None,
            refuse_lists: false,
            refuse_group_lists: false,
            refuse_list_of: None,
            refuse_profiles: false,
            token_seconds: 7200,
            registration: (0, 600),
            tenant_brand: "feishu",
            out_of_range: None,
            console: Console::default(),
        }
    }
}

/// The app as its owner has set it up. By default all is well.
#[derive(Debug, Clone)]
pub struct Console {
    /// `None`: no bot was added.
    pub activate_status: Option<i64>,
    pub scopes: Vec<&'static str>,
    /// What the organisation's own list of rights says; it is not complete for every app.
    pub granted: Vec<&'static str>,
    pub online_version: Option<&'static str>,
    pub waiting_version: Option<&'static str>,
    pub events: Vec<&'static str>,
    /// The departments that may use it; nobody's: everybody may.
    pub departments: Vec<&'static str>,
    /// Who is on the list of those who may not.
    pub banned: Option<&'static str>,
    /// How clicks are sent, and which callbacks are subscribed to.
    pub callback: Option<(&'static str, Vec<&'static str>)>,
}

impl Default for Console {
    fn default() -> Self {
        Self {
            activate_status: Some(2),
            scopes: vec![
                "im:message.p2p_msg:readonly",
                "im:message.group_at_msg:readonly",
                "im:message:send_as_bot",
                "im:message:readonly",
                "im:message:update",
                "im:message.reactions:write_only",
                "im:message.reactions:read",
                "im:resource",
                "im:chat:read",
                "im:chat.members:bot_access",
                "contact:user.basic_profile:readonly",
                "application:application:self_manage",
            ],
            granted: Vec::new(),
            online_version: Some("oav_1"),
            waiting_version: None,
            events: vec![
                "im.message.receive_v1",
                "im.message.recalled_v1",
                "im.chat.member.bot.added_v1",
                "im.chat.member.bot.deleted_v1",
                "im.chat.disbanded_v1",
            ],
            departments: Vec::new(),
            banned: None,
            callback: Some(("websocket", vec!["card.action.trigger"])),
        }
    }
}

/// One way in which a call goes wrong.
#[derive(Debug, Clone)]
pub enum Fault {
    /// Refused before anything happened.
    BeforeEffect {
        status: u16,
        code: i64,
    },
    /// It happens, and the caller gets a 500 page.
    AfterEffect,
    /// It happens, and the connection breaks before the answer.
    AfterEffectDrop,
    /// It happens, and the answer never comes.
    AfterEffectHang,
    Delay(Duration),
    /// No answer at all.
    Hang,
    /// A proxy's page instead of JSON; nothing happened.
    Html {
        status: u16,
    },
    /// 429 with `x-ogw-ratelimit-reset`.
    TooMany {
        reset: &'static str,
    },
}
