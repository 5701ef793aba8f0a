//! The line to Feishu, and what stands about the app in the developer console, as far as the platform tells it.

use std::path::PathBuf;

use super::processes::{self, Others};
use super::{Daemon, Sheet, age, joined};
use crate::channels::feishu::inspect::{AppInfo, Inspector, Listed, Published, Range};
use crate::channels::feishu::{ApiError, FeishuConfig, GROUP_MESSAGES, MISSING_RIGHT};
use crate::clock::Clock;
use crate::config::{Config, ProxyConfig};
use crate::control::{Approval, ChannelReport, DaemonState};
use crate::domain::access::Access;
use crate::domain::finding::{Check, Finding};
use crate::domain::ids::ChannelName;
use crate::domain::view::Lang;
use crate::ledger::{inbound, report, said};
use crate::supervisor;
use crate::words::{DoctorMsg, without_scope};

/// Rights without which something essential does not work; any one of a line will do. `im:message` alone covers most.
const NEEDED: [&[&str]; 7] = [
    &["im:message.p2p_msg:readonly", "im:message.p2p_msg"],
    &["im:message.group_at_msg:readonly", "im:message.group_at_msg", "im:message.group_msg"],
    &["im:message:send_as_bot", "im:message:send", "im:message"],
    &["im:message:readonly", "im:message"],
    &["im:message:update", "im:message"],
    &["im:message.reactions:write_only", "im:message"],
    &["im:resource"],
];
/// Rights without which something is missed. What streams into cards is not among them: ally does not use it.
const USEFUL: [&[&str]; 5] = [
    &["im:message.reactions:read", "im:message"],
    &["im:chat:read", "im:chat:readonly", "im:chat"],
    &["im:chat.members:bot_access"],
    &["contact:user.basic_profile:readonly", "contact:user.base:readonly"],
    &["application:application:self_manage", "admin:app.info:readonly"],
];
/// Without this one nothing arrives.
const MESSAGES: &str = "im.message.receive_v1";
/// Without these something is not heard of.
const MORE_EVENTS: [&str; 4] =
    ["im.message.recalled_v1", "im.chat.member.bot.added_v1", "im.chat.member.bot.deleted_v1", "im.chat.disbanded_v1"];
const CALLBACK: &str = "card.action.trigger";
/// How the platform calls the long connection.
const LONG_CONNECTION: &str = "websocket";
/// A clock that is further off is worth a word, and one that is much further off makes times wrong.
const OFF_S: i64 = 30;
const FAR_OFF_S: i64 = 300;
/// The platform answers a ping every two minutes: longer silence is a dead line that nobody has noticed.
const QUIET_MS: i64 = 10 * 60_000;
/// State of a bot that works.
const ENABLED: i64 = 2;
/// Codes of an app that is disabled or not installed.
const DISABLED: [i64; 2] = [99991662, 99991673];
/// Codes of an app without a bot.
const NO_BOT: [i64; 2] = [230006, 11205];

/// What is needed to look at the app.
pub struct Case<'a> {
    /// The settings.
    pub config: &'a Config,
    /// The same for the adapter; `None`: the channel is off.
    pub app: Option<&'a FeishuConfig>,
    /// The daemon as it was found.
    pub daemon: &'a Daemon,
    /// Who may do what.
    pub access: &'a Access,
    /// Whether the app is to read what others say in groups.
    pub group_context: bool,
    /// The time.
    pub clock: Clock,
}

/// The whole channel. Nothing but the first line where it is off.
pub async fn examine(sheet: &mut Sheet, case: &Case<'_>) {
    let Some(app) = case.app else {
        let file = case.config.paths.env.display().to_string();
        return sheet.note(Check::Feishu, DoctorMsg::FeishuOff, DoctorMsg::FeishuOffRemedy { file: &file });
    };
    sheet.ok(Check::Feishu, DoctorMsg::FeishuOn { app: &app.app_id, host: &app.base_url });
    let link = Link { app };
    let inspector = match Inspector::new(app, case.clock.clone()) {
        Ok(inspector) => Some(inspector),
        Err(error) => {
            let found = DoctorMsg::NotReached { host: &app.base_url, why: &error.to_string() };
            sheet.bad(Check::Reach, found, DoctorMsg::ReachRemedy);
            None
        }
    };
    let logged_in = match &inspector {
        Some(inspector) => log_in(sheet, case, &link, inspector).await,
        None => LoggedIn::NotReached,
    };
    twice(sheet, case);
    connection(sheet, case, &link);
    owner(sheet, case);
    match (inspector, logged_in) {
        (Some(inspector), LoggedIn::Yes) => console(sheet, case, &link, &inspector).await,
        (_, not) => {
            let why = if not == LoggedIn::Refused { DoctorMsg::NotWithoutLogin } else { DoctorMsg::NotWithoutReach };
            for check in [Check::Bot, Check::Version, Check::Range, Check::Scopes, Check::Events, Check::Callback] {
                sheet.unknown(check, why);
            }
        }
    }
    click(sheet, case);
}

/// Pages of the developer console.
struct Link<'a> {
    app: &'a FeishuConfig,
}

impl Link<'_> {
    fn page(&self) -> String {
        format!("{}/app/{}", self.app.base_url, self.app.app_id)
    }

    fn scopes(&self, wanted: &[&str]) -> String {
        format!("{}/auth?q={}&op_from=openapi&token_type=tenant", self.page(), wanted.join(","))
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum LoggedIn {
    Yes,
    Refused,
    NotReached,
}

/// Whether it can be reached at all, what time it is there, and whether it takes the credentials.
async fn log_in(sheet: &mut Sheet, case: &Case<'_>, link: &Link<'_>, inspector: &Inspector) -> LoggedIn {
    let (outcome, ms) = inspector.reach().await;
    let host = &link.app.base_url;
    let reached = outcome.is_ok();
    match outcome {
        Ok(()) => sheet.ok(Check::Reach, DoctorMsg::Reached { ms }),
        Err(ApiError::NotFeishu { status, .. }) => {
            let found = DoctorMsg::NotAnswer { host, status: u32::from(status) };
            sheet.bad(Check::Reach, found, DoctorMsg::NotAnswerRemedy);
        }
        Err(error) => {
            let why = error.to_string();
            let proxy = case.config.feishu.as_ref().and_then(|feishu| feishu.proxy.as_ref()).map(shown);
            let remedy = match &proxy {
                Some(proxy) => DoctorMsg::ReachProxyRemedy { proxy },
                None => DoctorMsg::ReachRemedy,
            };
            sheet.bad(Check::Reach, DoctorMsg::NotReached { host, why: &why }, remedy);
        }
    }
    clock(sheet, reached, inspector.ahead_ms());
    if !reached {
        sheet.unknown(Check::Credentials, DoctorMsg::NotWithoutReach);
        return LoggedIn::NotReached;
    }
    match inspector.log_in().await {
        Ok(()) => {
            sheet.ok(Check::Credentials, DoctorMsg::CredentialsFine);
            LoggedIn::Yes
        }
        Err(ApiError::Credentials { code, .. }) => {
            let (link, file) = (link.page(), case.config.paths.env.display().to_string());
            let remedy = DoctorMsg::CredentialsRemedy { link: &link, file: &file };
            sheet.bad(Check::Credentials, DoctorMsg::CredentialsBad { code }, remedy);
            LoggedIn::Refused
        }
        Err(error) => {
            sheet.unknown(Check::Credentials, DoctorMsg::Refused { why: &error.to_string() });
            LoggedIn::NotReached
        }
    }
}

/// An address without its password.
fn shown(proxy: &ProxyConfig) -> String {
    use secrecy::ExposeSecret;
    let address = proxy.address.expose_secret();
    let (scheme, rest) = address.split_once("://").unwrap_or(("http", address));
    format!("{scheme}://{}", rest.rsplit_once('@').map_or(rest, |(_, host)| host))
}

fn clock(sheet: &mut Sheet, reached: bool, ahead_ms: Option<i64>) {
    let check = Check::Clock;
    let Some(ahead_ms) = ahead_ms.filter(|_| reached) else {
        let why = if reached { DoctorMsg::ClockUnknown } else { DoctorMsg::NotWithoutReach };
        return sheet.unknown(check, why);
    };
    let seconds = ahead_ms.abs() / 1000;
    let found = match ahead_ms {
        ..0 => DoctorMsg::ClockBehind { seconds },
        _ => DoctorMsg::ClockAhead { seconds },
    };
    match seconds {
        _ if seconds < OFF_S => sheet.ok(check, DoctorMsg::ClockFine { seconds }),
        _ if seconds < FAR_OFF_S => sheet.note(check, found, DoctorMsg::ClockRemedy),
        _ => sheet.bad(check, found, DoctorMsg::ClockRemedy),
    }
}

/// The platform gives each event to one connection at random, so there must be one only.
fn twice(sheet: &mut Sheet, case: &Case<'_>) {
    let Some(feishu) = &case.config.feishu else { return };
    let check = Check::Twice;
    let lock: PathBuf = case.config.app_locks.join(format!("{}.lock", feishu.app_id));
    let ours = case.daemon.status.as_ref().and_then(|status| status.pids.bridge);
    let ours = ours.or_else(|| supervisor::left_bridge(&case.config.paths));
    let holder = supervisor::holder(&lock).map(Option::unwrap_or_default);
    // Ours may be running and not answer: then nobody is accused.
    let is_known = ours.is_some() || case.daemon.state == DaemonState::Stopped;
    if let Some(pid) = holder.filter(|pid| is_known && Some(*pid) != ours) {
        return sheet.bad(check, DoctorMsg::TwiceHeld { pid }, DoctorMsg::TwiceHeldRemedy);
    }
    match processes::naming(&feishu.app_id, &case.config.paths.home) {
        Others::NotShown => sheet.ok(check, DoctorMsg::TwiceFineHere),
        Others::Seen(seen) if seen.is_empty() => sheet.ok(check, DoctorMsg::TwiceFine),
        Others::Seen(seen) => {
            let what = joined(&seen, sheet.lang);
            sheet.note(check, DoctorMsg::TwiceSuspected { what: &what }, DoctorMsg::TwiceSuspectedRemedy);
        }
    }
}

fn connection(sheet: &mut Sheet, case: &Case<'_>, link: &Link<'_>) {
    let Some(status) = &case.daemon.status else {
        return sheet.unknown(Check::Connection, DoctorMsg::ConnectionOff);
    };
    match status.channels.iter().find(|channel| channel.name == "feishu") {
        None => sheet.note(Check::Connection, DoctorMsg::ConnectionNew, DoctorMsg::DaemonOtherRemedy),
        Some(channel) => judge_connection(sheet, channel, &link.page()),
    }
}

fn judge_connection(sheet: &mut Sheet, channel: &ChannelReport, page: &str) {
    let check = Check::Connection;
    let why = channel.problem.as_deref();
    match (channel.state.as_str(), channel.last_frame_age_ms) {
        ("connected", Some(ms)) if ms > QUIET_MS => {
            sheet.bad(check, DoctorMsg::ConnectionQuiet { age: &age(ms) }, DoctorMsg::ConnectionQuietRemedy);
        }
        ("connected", Some(ms)) => sheet.ok(check, DoctorMsg::ConnectionLive { age: &age(ms) }),
        ("connected", None) => sheet.ok(check, DoctorMsg::ConnectionFresh),
        ("connecting", _) if why.is_none() => sheet.unknown(check, DoctorMsg::DaemonStarting),
        ("refused", _) => {
            let found = DoctorMsg::ConnectionBroken { why: why.unwrap_or("?") };
            sheet.bad(check, found, DoctorMsg::ConnectionRefusedRemedy { link: page });
        }
        (state, _) => {
            let found = DoctorMsg::ConnectionBroken { why: why.unwrap_or(state) };
            sheet.bad(check, found, DoctorMsg::ConnectionRemedy);
        }
    }
}

fn owner(sheet: &mut Sheet, case: &Case<'_>) {
    let Some(owner) = &case.access.owner else {
        return sheet.bad(Check::Owner, DoctorMsg::OwnerNone, DoctorMsg::OwnerRemedy);
    };
    let named = report::offline(&case.config.paths.ledger, |tx| said::name_of(tx, &ChannelName::from("feishu"), owner));
    let name = named.ok().flatten().flatten().map_or_else(|| owner.to_string(), |(name, _)| name);
    sheet.ok(Check::Owner, DoctorMsg::OwnerFine { who: &name });
}

/// What was set up in the developer console.
async fn console(sheet: &mut Sheet, case: &Case<'_>, link: &Link<'_>, inspector: &Inspector) {
    bot(sheet, link, inspector).await;
    let app = inspector.app().await;
    let may_not = matches!(&app, Err(error) if error.code() == Some(MISSING_RIGHT));
    let published = match &app {
        Ok(_) => inspector.published().await.map_err(|error| error.to_string()),
        Err(error) => Err(error.to_string()),
    };
    match (&app, &published) {
        (Ok(app), Ok(published)) => version(sheet, link, app, published.as_ref()),
        (_, Err(why)) => untold(sheet, link, Check::Version, may_not, why),
        (Err(error), _) => untold(sheet, link, Check::Version, may_not, &error.to_string()),
    }
    match &published {
        Ok(published) => {
            let listed = match &case.access.owner {
                Some(owner) => inspector.listed(owner.as_str()).await.ok().flatten(),
                None => None,
            };
            range(sheet, link, published.as_ref().and_then(|published| published.range), listed);
        }
        Err(why) => untold(sheet, link, Check::Range, may_not, why),
    }
    match &app {
        Ok(app) => scopes(sheet, case.group_context, link, &app.scopes, true),
        Err(error) => match inspector.granted().await {
            // The organisation's list leaves rights out that hold.
            Ok(granted) if !granted.is_empty() => scopes(sheet, case.group_context, link, &granted, false),
            _ => untold(sheet, link, Check::Scopes, may_not, &error.to_string()),
        },
    }
    match &published {
        Ok(published) => events(sheet, link, published.as_ref()),
        Err(why) => untold(sheet, link, Check::Events, may_not, why),
    }
    match &app {
        Ok(app) => callback(sheet, link, app),
        Err(error) => untold(sheet, link, Check::Callback, may_not, &error.to_string()),
    }
}

fn untold(sheet: &mut Sheet, link: &Link<'_>, check: Check, may_not: bool, why: &str) {
    if may_not {
        let page = link.scopes(&["application:application:self_manage"]);
        sheet.unknown_but(check, DoctorMsg::NeedsSelfManage, DoctorMsg::NeedsSelfManageRemedy { link: &page });
    } else {
        sheet.unknown(check, DoctorMsg::Refused { why });
    }
}

async fn bot(sheet: &mut Sheet, link: &Link<'_>, inspector: &Inspector) {
    let (check, page) = (Check::Bot, link.page());
    let remedy = DoctorMsg::BotStateRemedy { link: &page };
    let missing = DoctorMsg::BotMissingRemedy { link: &page };
    match inspector.bot().await {
        Ok(Some(bot)) => match bot.activate_status {
            ENABLED => sheet.ok(check, DoctorMsg::BotFine { name: &bot.name }),
            0 => sheet.bad(check, DoctorMsg::BotInit, remedy),
            1 => sheet.bad(check, DoctorMsg::BotDisabled, remedy),
            3 => sheet.bad(check, DoctorMsg::BotPending, remedy),
            4 => sheet.bad(check, DoctorMsg::BotUpgrade, remedy),
            _ => sheet.bad(check, DoctorMsg::BotExpired, remedy),
        },
        Ok(None) => sheet.bad(check, DoctorMsg::BotMissing, missing),
        Err(error) => match error.code() {
            Some(code) if NO_BOT.contains(&code) => sheet.bad(check, DoctorMsg::BotMissing, missing),
            Some(code) if DISABLED.contains(&code) => sheet.bad(check, DoctorMsg::BotDisabled, remedy),
            _ => sheet.unknown(check, DoctorMsg::Refused { why: &error.to_string() }),
        },
    }
}

fn version(sheet: &mut Sheet, link: &Link<'_>, app: &AppInfo, published: Option<&Published>) {
    let (check, page) = (Check::Version, link.page());
    match (published, &app.online_version, &app.waiting_version) {
        (None, None, waiting) => {
            let remedy = match waiting {
                Some(_) => DoctorMsg::VersionPendingRemedy { link: &page },
                None => DoctorMsg::VersionRemedy { link: &page },
            };
            sheet.bad(check, DoctorMsg::VersionNone, remedy);
        }
        (_, _, Some(waiting)) => {
            let remedy = DoctorMsg::VersionPendingRemedy { link: &page };
            sheet.note(check, DoctorMsg::VersionPending { version: waiting }, remedy);
        }
        (published, online, None) => {
            let version = published.map(|published| published.version.as_str()).filter(|version| !version.is_empty());
            let version = version.or(online.as_deref()).unwrap_or_default();
            sheet.ok(check, DoctorMsg::VersionFine { version });
        }
    }
}

/// Who may use it at all: whoever may not finds no bot, and is told nothing.
fn range(sheet: &mut Sheet, link: &Link<'_>, range: Option<Range>, owner: Option<Listed>) {
    let (check, lang, page) = (Check::Range, sheet.lang, link.page());
    let remedy = DoctorMsg::RangeRemedy { link: &page };
    let by_name_alone = |range: &Range| range.people > 0 && range.departments + range.groups == 0;
    match (range, owner) {
        (_, Some(Listed { may_not: true, .. })) => sheet.bad(check, DoctorMsg::RangeForbidden, remedy),
        (Some(Range { everybody: true, .. }), _) => sheet.ok(check, DoctorMsg::RangeAll),
        (Some(range), Some(Listed { may: false, .. })) if by_name_alone(&range) => {
            sheet.note(check, DoctorMsg::RangeNotOwner, remedy);
        }
        (Some(Range { people, departments, groups, .. }), _) => {
            let parts = [
                (people, DoctorMsg::RangePeople { n: people }),
                (departments, DoctorMsg::RangeDepartments { n: departments }),
                (groups, DoctorMsg::RangeGroups { n: groups }),
            ];
            let told = parts.into_iter().filter(|(n, _)| *n > 0).map(|(_, words)| words.text(lang));
            let who = joined(&told.collect::<Vec<_>>(), lang);
            let who = if who.is_empty() { DoctorMsg::RangeNobody.text(lang) } else { who };
            sheet.note(check, DoctorMsg::RangeSome { who: &who }, remedy);
        }
        (None, Some(Listed { may: true, .. })) => sheet.ok(check, DoctorMsg::RangeOwnerOnly),
        (None, _) => sheet.unknown(check, DoctorMsg::RangeUntold),
    }
}

/// The lines of which the app has no right at all, by their first one.
fn lacking(wanted: &[&[&'static str]], has: &[String]) -> Vec<&'static str> {
    let missing = wanted.iter().filter(|any| !any.iter().any(|scope| has.iter().any(|had| had == scope)));
    missing.map(|any| any[0]).collect()
}

/// `is_sure`: what is missing in the list is missing indeed.
fn scopes(sheet: &mut Sheet, group_context: bool, link: &Link<'_>, has: &[String], is_sure: bool) {
    let (check, lang) = (Check::Scopes, sheet.lang);
    let explained = |scopes: &[&str]| {
        let each = scopes.iter().map(|scope| match lang {
            Lang::Zh => format!("`{scope}`（{}）", without_scope(scope, lang)),
            Lang::En => format!("`{scope}` ({})", without_scope(scope, lang)),
        });
        joined(&each.collect::<Vec<_>>(), lang)
    };
    let (needed, mut useful) = (lacking(&NEEDED, has), lacking(&USEFUL, has));
    if group_context {
        useful.extend(lacking(&[&[GROUP_MESSAGES]], has));
    }
    let page = link.scopes(&[needed.clone(), useful.clone()].concat());
    let remedy = DoctorMsg::ScopesRemedy { link: &page };
    let what = explained(&needed);
    match (needed.is_empty(), useful.is_empty(), is_sure) {
        (false, _, true) => sheet.bad(check, DoctorMsg::ScopesMissing { what: &what }, remedy),
        (false, _, false) => sheet.note(check, DoctorMsg::ScopesMissing { what: &what }, remedy),
        (true, false, _) => sheet.note(check, DoctorMsg::ScopesLess { what: &explained(&useful) }, remedy),
        (true, true, _) => {
            let n = NEEDED.len() + USEFUL.len() + usize::from(group_context);
            sheet.ok(check, DoctorMsg::ScopesFine { n });
        }
    }
}

fn events(sheet: &mut Sheet, link: &Link<'_>, published: Option<&Published>) {
    let (check, page) = (Check::Events, link.page());
    let remedy = DoctorMsg::EventsRemedy { link: &page };
    let has = published.map(|published| published.events.as_slice()).unwrap_or_default();
    let wanted = [MESSAGES].into_iter().chain(MORE_EVENTS);
    let missing: Vec<String> = wanted.filter(|event| !has.iter().any(|had| had == event)).map(str::to_owned).collect();
    let what = joined(&missing, sheet.lang);
    match missing.first() {
        None => sheet.ok(check, DoctorMsg::EventsFine),
        Some(first) if first == MESSAGES => sheet.bad(check, DoctorMsg::EventsMissing { what: &what }, remedy),
        Some(_) => sheet.note(check, DoctorMsg::EventsMissing { what: &what }, remedy),
    }
}

fn callback(sheet: &mut Sheet, link: &Link<'_>, app: &AppInfo) {
    let (check, page) = (Check::Callback, link.page());
    let remedy = DoctorMsg::CallbackRemedy { link: &page };
    match &app.callback {
        None => sheet.unknown_but(check, DoctorMsg::CallbackUntold, DoctorMsg::ClickTryRemedy),
        Some(callback) if !callback.subscribed.iter().any(|one| one == CALLBACK) => {
            sheet.bad(check, DoctorMsg::CallbackMissing, remedy);
        }
        Some(callback) if callback.kind != LONG_CONNECTION => {
            sheet.bad(check, DoctorMsg::CallbackElsewhere { how: &callback.kind }, remedy);
        }
        Some(_) => sheet.ok(check, DoctorMsg::CallbackFine),
    }
}

/// The last click that came proves more than any setting.
fn click(sheet: &mut Sheet, case: &Case<'_>) {
    let now = case.clock.now_ms();
    let last = report::offline(&case.config.paths.ledger, |tx| inbound::last_click(tx, &ChannelName::from("feishu")));
    match last.ok().flatten().flatten() {
        Some(at_ms) => sheet.ok(Check::Click, DoctorMsg::ClickSeen { age: &age(now - at_ms) }),
        None => sheet.unknown_but(Check::Click, DoctorMsg::ClickNever, DoctorMsg::ClickTryRemedy),
    }
}

/// Whether only an administrator can go on with it.
pub fn waits_for_administrator(finding: &Finding, lang: Lang) -> bool {
    let handed_in = DoctorMsg::VersionPendingRemedy { link: "" }.text(lang);
    finding.found == DoctorMsg::BotPending.text(lang)
        || finding.remedy.as_ref().is_some_and(|remedy| remedy.starts_with(&handed_in))
}

/// Where the wide right to read groups is asked for.
pub fn group_context_page(app: &FeishuConfig) -> String {
    Link { app }.scopes(&[GROUP_MESSAGES])
}

/// How it stands with what an administrator has to approve.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// It is in force.
    Approved,
    /// It was refused, or taken back.
    Refused,
    /// Not yet.
    Waits {
        /// The version that was handed in, where there is one.
        version: Option<String>,
    },
    /// The app may not read about itself.
    Untold,
}

/// Asks how it stands. `version` is the one that is waited for, where that is known.
///
/// # Errors
/// What the platform says instead of telling it: worth another look.
pub async fn standing(inspector: &Inspector, what: Approval, version: Option<&str>) -> Result<Standing, ApiError> {
    let app = match inspector.app().await {
        Ok(app) => app,
        Err(error) if error.code() == Some(MISSING_RIGHT) => return standing_untold(inspector, what).await,
        Err(error) => return Err(error),
    };
    match what {
        Approval::GroupContext if app.scopes.iter().any(|scope| scope == GROUP_MESSAGES) => Ok(Standing::Approved),
        Approval::GroupContext => Ok(Standing::Waits { version: None }),
        Approval::Version => {
            let is_on = inspector.bot().await?.is_some_and(|bot| bot.activate_status == ENABLED);
            Ok(judge_version(&app, is_on, version))
        }
    }
}

/// What is known all the same.
async fn standing_untold(inspector: &Inspector, what: Approval) -> Result<Standing, ApiError> {
    let is_there = match what {
        Approval::GroupContext => inspector.granted().await?.iter().any(|scope| scope == GROUP_MESSAGES),
        Approval::Version => match inspector.bot().await? {
            Some(bot) if bot.activate_status == ENABLED => true,
            _ => return Ok(Standing::Waits { version: None }),
        },
    };
    Ok(if is_there { Standing::Approved } else { Standing::Untold })
}

/// Whether the bot works, and by the version that was waited for.
fn judge_version(app: &AppInfo, is_on: bool, version: Option<&str>) -> Standing {
    match (&app.waiting_version, &app.online_version, version) {
        (_, Some(online), Some(version)) if online == version && is_on => Standing::Approved,
        (Some(waiting), _, _) => Standing::Waits { version: Some(waiting.clone()) },
        // Where the bot does not work nobody could be told.
        (None, Some(online), Some(version)) if online != version && is_on => Standing::Refused,
        (None, Some(_), _) if is_on => Standing::Approved,
        (None, _, _) => Standing::Waits { version: None },
    }
}

/// What came of a card that was sent to be pressed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pressed {
    /// The click came back.
    Came,
    /// The card could not be shown.
    NotShown {
        /// In the system's words.
        why: String,
    },
    /// Nothing came.
    Missing {
        /// So long it was waited for.
        seconds: i64,
    },
    /// There is no chat with an owner.
    NoOwner,
    /// There is no daemon.
    NotRunning,
}

/// Puts what came of `--press` in the place of the last click.
pub fn pressed(sheet: &mut Sheet, app: &FeishuConfig, came: &Pressed) {
    let (check, page) = (Check::Click, Link { app }.page());
    let place = sheet.findings.iter().position(|finding| finding.id == check);
    match came {
        Pressed::Came => sheet.ok(check, DoctorMsg::ClickCame),
        Pressed::NotShown { why } => {
            sheet.bad(check, DoctorMsg::ClickNotShown { why }, DoctorMsg::ClickNotShownRemedy);
        }
        Pressed::Missing { seconds } => {
            let remedy = DoctorMsg::ClickMissingRemedy { link: &page };
            sheet.bad(check, DoctorMsg::ClickMissing { seconds: *seconds }, remedy);
        }
        Pressed::NoOwner => sheet.bad(check, DoctorMsg::ClickNoOwner, DoctorMsg::ClickNoOwnerRemedy),
        Pressed::NotRunning => sheet.bad(check, DoctorMsg::ClickNotRunning, DoctorMsg::StartRemedy),
    }
    if let Some(place) = place
        && let Some(last) = sheet.findings.pop()
    {
        sheet.findings[place] = last;
    }
    debug_assert_eq!(sheet.findings.iter().filter(|finding| finding.id == check).count(), 1);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::finding::Grade;

    fn app() -> FeishuConfig {
        FeishuConfig {
            app_id: "cli_1".to_owned(),
            app_secret: "s".to_owned().into(),
            base_url: "https://open.feishu.cn".to_owned(),
            proxy: None,
        }
    }

    fn found(look: impl FnOnce(&mut Sheet, &Link<'_>)) -> Finding {
        let (mut sheet, app) = (Sheet::new(Lang::En), app());
        look(&mut sheet, &Link { app: &app });
        sheet.findings.remove(0)
    }

    #[test]
    fn the_clock_is_judged_by_how_far_it_is_off() {
        for (ahead, reached, want) in [
            (Some(-1_500), true, Grade::Ok),
            (Some(40_000), true, Grade::Note),
            (Some(-3_600_000), true, Grade::Bad),
            (None, true, Grade::Unknown),
            (Some(0), false, Grade::Unknown),
        ] {
            assert_eq!(found(|sheet, _| clock(sheet, reached, ahead)).grade, want, "{ahead:?} {reached}");
        }
        assert!(found(|sheet, _| clock(sheet, true, Some(-3_600_000))).found.contains("3600 s behind"));
    }

    #[test]
    fn who_may_use_it_is_told_and_only_a_ban_is_bad() {
        let all = Range { everybody: true, ..Range::default() };
        let (few, team) = (Range { people: 2, ..Range::default() }, Range { departments: 1, ..Range::default() });
        let (on, off, banned) = (
            Some(Listed { may: true, may_not: false }),
            Some(Listed::default()),
            Some(Listed { may: true, may_not: true }),
        );
        for (given, owner, grade, words) in [
            (Some(all), on, Grade::Ok, "everybody"),
            (Some(all), off, Grade::Ok, "everybody"),
            (Some(all), banned, Grade::Bad, "may not use it"),
            (Some(few), on, Grade::Note, "only for people: 2"),
            (Some(few), None, Grade::Note, "only for people: 2"),
            (Some(few), off, Grade::Note, "the owner is not on the list"),
            // Perhaps as one of the department.
            (Some(team), off, Grade::Note, "only for departments: 1"),
            (Some(Range::default()), None, Grade::Note, "only for its maker"),
            (Some(Range::default()), off, Grade::Note, "only for its maker"),
            (None, on, Grade::Ok, "the owner may use it"),
            (None, off, Grade::Unknown, "not tell"),
        ] {
            let finding = found(|sheet, link| range(sheet, link, given, owner));
            assert_eq!(finding.grade, grade, "{given:?} {owner:?}");
            assert!(finding.found.contains(words), "{finding:?}");
        }
    }

    #[test]
    fn one_wide_right_stands_for_many() {
        let has = ["im:message", "im:resource", "im:message.p2p_msg", "im:message.group_msg"].map(str::to_owned);
        assert_eq!(lacking(&NEEDED, &has), [""; 0]);
        let missing = found(|sheet, link| scopes(sheet, false, link, &has[..1], true));
        assert_eq!(missing.grade, Grade::Bad);
        assert!(missing.found.contains("`im:resource` (no files out)"), "{missing:?}");
        let remedy = missing.remedy.unwrap();
        assert!(remedy.contains("https://open.feishu.cn/app/cli_1/auth?q=im:message.p2p_msg:readonly,"), "{remedy}");
        assert_eq!(found(|sheet, link| scopes(sheet, false, link, &has[..1], false)).grade, Grade::Note, "not sure");
    }

    #[test]
    fn a_line_that_fell_silent_is_bad() {
        let channel = |state: &str, age: Option<i64>| ChannelReport {
            name: "feishu".to_owned(),
            state: state.to_owned(),
            last_frame_age_ms: age,
            problem: None,
            bot_name: None,
        };
        for (state, age, want) in [
            ("connected", Some(4_000), Grade::Ok),
            ("connected", None, Grade::Ok),
            ("connected", Some(20 * 60_000), Grade::Bad),
            ("retrying", Some(4_000), Grade::Bad),
            ("refused", None, Grade::Bad),
            ("connecting", None, Grade::Unknown),
        ] {
            assert_eq!(found(|sheet, _| judge_connection(sheet, &channel(state, age), "p")).grade, want, "{state}");
        }
    }

    #[test]
    fn what_an_administrator_has_to_do_is_told_apart() {
        let waiting = AppInfo { waiting_version: Some("v".to_owned()), ..AppInfo::default() };
        for (app, want) in [(waiting, true), (AppInfo::default(), false)] {
            let finding = found(|sheet, link| version(sheet, link, &app, None));
            assert_eq!(waits_for_administrator(&finding, Lang::En), want, "{finding:?}");
        }
    }

    #[test]
    fn an_approval_is_that_of_the_version_that_was_handed_in() {
        let app = |waiting: &str, online: &str| {
            let given = |id: &str| Some(id.to_owned()).filter(|id| !id.is_empty());
            AppInfo { waiting_version: given(waiting), online_version: given(online), ..AppInfo::default() }
        };
        let waits = |version: &str| Standing::Waits { version: Some(version.to_owned()) };
        let unknown = Standing::Waits { version: None };
        for (app, is_on, version, want) in [
            (app("2", "1"), true, None, waits("2")),
            (app("2", "1"), true, Some("2"), waits("2")),
            (app("", "2"), true, Some("2"), Standing::Approved),
            (app("3", "2"), true, Some("2"), Standing::Approved),
            // Another one was handed in instead of it.
            (app("3", "1"), true, Some("2"), waits("3")),
            (app("", "1"), true, Some("2"), Standing::Refused),
            (app("", ""), false, Some("2"), unknown.clone()),
            (app("", "1"), false, Some("2"), unknown.clone()),
            // Only the bot was waited for.
            (app("", "1"), false, None, unknown.clone()),
            (app("", "1"), true, None, Standing::Approved),
            // In force, and the bot is not enabled yet.
            (app("", "2"), false, Some("2"), unknown),
        ] {
            assert_eq!(judge_version(&app, is_on, version), want, "{app:?} {is_on} {version:?}");
        }
    }

    #[test]
    fn a_proxy_is_shown_without_its_password() {
        let of = |address: &str| shown(&ProxyConfig { address: address.to_owned().into(), except: String::new() });
        assert_eq!(of("http://li:p%40ss@proxy:3128"), "http://proxy:3128");
        assert_eq!(of("https://proxy:1"), "https://proxy:1");
    }

    #[test]
    fn what_came_of_a_press_takes_the_place_of_the_last_click() {
        let mut sheet = Sheet::new(Lang::En);
        sheet.unknown(Check::Click, DoctorMsg::ClickNever);
        sheet.ok(Check::Program, DoctorMsg::CallbackFine);
        pressed(&mut sheet, &app(), &Pressed::Missing { seconds: 60 });
        assert_eq!(sheet.findings.iter().map(|one| one.id).collect::<Vec<_>>(), [Check::Click, Check::Program]);
        assert_eq!(sheet.findings[0].grade, Grade::Bad);
        pressed(&mut sheet, &app(), &Pressed::Came);
        assert_eq!(sheet.findings[0].grade, Grade::Ok);
        let mut alone = Sheet::new(Lang::En);
        pressed(&mut alone, &app(), &Pressed::NoOwner);
        assert_eq!(alone.findings.len(), 1);
    }
}
