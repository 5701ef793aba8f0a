//! The app: a new one by a code that is scanned, or one that is there, by its id and its secret.

use std::io::IsTerminal;
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use tokio::io::AsyncReadExt;
use tokio::time::Instant;

use super::ask::{Stop, or_leave, over};
use super::{MadeApp, PendingCode, Setup, qr};
use crate::channels::feishu::register::{Begun, Brand, Registration, Rights, Scanned};
use crate::cli::error::{CliError, Code};
use crate::cli::output::{self, dim};
use crate::clock::Clock;
use crate::config::{Change, Setting, is_app_id, variable};

/// What the app is called until its owner names it otherwise.
const NAME: &str = "ally";
/// However short a platform wants it.
const SHORTEST: Duration = Duration::from_millis(200);
/// Looks that fail in a row before it is worth a word.
const FAILURES: u32 = 3;
/// Of a terminal that does not tell its width.
const COLUMNS: usize = 80;

impl Setup<'_> {
    /// There is an app. One that is there is kept, unless another one is asked for.
    pub(super) async fn app(&mut self) -> Result<(), Stop> {
        if self.args.rights.is_some() {
            self.rights().await?;
        }
        if let Some(app) = self.kept.app.clone() {
            return self.made(app);
        }
        if let Some(id) = self.args.app_id.clone() {
            return self.named(&id).await;
        }
        if let Some(id) = self.app_there()?.filter(|_| !self.args.new_app || self.kept.made_new) {
            self.done(&format!("飞书应用 {id}"), &format!("Feishu app {id}"));
            return Ok(());
        }
        if !self.ask.is_person() && !self.args.new_app {
            return Err(CliError::new("there is no app yet, and nobody to ask").hint(
                "加上 --new-app（扫码新建），或 --app-id ID 加 --app-secret-stdin（或 --app-secret-env NAME）",
                "add --new-app (a code to be scanned), or --app-id ID with --app-secret-stdin (or --app-secret-env NAME)",
            ).into());
        }
        if self.kept.code.as_ref().is_some_and(|code| code.until_ms <= Clock::default().now_ms()) {
            self.kept.code = None;
            self.keep()?;
        }
        let brand = self.brand().await?;
        let scans = self.args.new_app || self.kept.code.is_some() || {
            let question = self.say("飞书应用：", "The app:");
            let options = [
                self.say("扫码新建（推荐）", "make a new one by scanning a code (recommended)"),
                self.say("已有应用", "I have one already"),
            ];
            self.ask.choose(&self.context, &question, &options, 1).await? == 1
        };
        if self.kept.code.is_none() && self.args.rights.is_none() && self.former_app().is_some() {
            self.kept.group_context = None;
        }
        let rights = self.rights().await?;
        if scans { self.scanned(rights).await } else { self.pasted(brand).await }
    }

    /// The id of the app that is set, with its secret, and not switched off. Half of both is none: that is to be mended here.
    fn app_there(&self) -> Result<Option<String>, Stop> {
        let set = |key| variable(&self.context.environment, key).is_some();
        if !(set("FEISHU_APP_ID") && set("FEISHU_APP_SECRET")) {
            return Ok(None);
        }
        Ok(self.config()?.feishu.map(|feishu| feishu.app_id))
    }

    /// The platform of the app that is set.
    pub(super) fn present_brand(&self) -> Brand {
        let url = variable(&self.context.environment, "FEISHU_BASE_URL");
        match url.is_some_and(|url| url.starts_with(Brand::Lark.base_url())) {
            true => Brand::Lark,
            false => Brand::Feishu,
        }
    }

    async fn brand(&mut self) -> Result<Brand, Stop> {
        if let Some(brand) = self.args.domain {
            return Ok(brand);
        }
        // Of a code the platform tells it itself.
        if self.kept.code.is_some() || self.args.new_app {
            return Ok(Brand::Feishu);
        }
        let question = self.say("平台：", "The platform:");
        let options = [self.say("飞书", "Feishu"), "Lark".to_owned()];
        let chosen = self.ask.choose(&self.context, &question, &options, 1).await?;
        Ok(if chosen == 1 { Brand::Feishu } else { Brand::Lark })
    }

    /// By its id, from the arguments.
    async fn named(&mut self, id: &str) -> Result<(), Stop> {
        if !is_app_id(id) {
            return Err(CliError::new(format!("\"{id}\" is not the id of an app"))
                .hint(
                    "在开发者后台的“凭证与基础信息”里复制 App ID：cli_ 加字母和数字",
                    "copy the App ID from the developer console (Credentials): cli_ and letters and digits",
                )
                .into());
        }
        let secret = match (&self.args.app_secret_env, self.args.app_secret_stdin) {
            (Some(name), _) => Some(self.context.environment.get(name).map(str::to_owned).ok_or_else(|| {
                CliError::new(format!("the variable {name} is not set")).hint(
                    "把 App Secret 放进这个环境变量再运行",
                    "put the app secret into that variable of the environment, then run it again",
                )
            })?),
            (None, true) => {
                let mut text = String::new();
                tokio::io::stdin().read_to_string(&mut text).await.map_err(CliError::from)?;
                Some(text)
            }
            (None, false) => None,
        };
        let known = match self.app_there()? {
            Some(there) if there == id => self.config()?.feishu.map(|feishu| feishu.app_secret),
            _ => None,
        };
        if secret.as_ref().is_some_and(|secret| secret.trim().is_empty()) {
            return Err(CliError::new("the secret that was given is empty")
                .hint(
                    "在开发者后台的“凭证与基础信息”里复制 App Secret",
                    "copy the App Secret from the developer console (Credentials)",
                )
                .into());
        }
        let secret = match (secret, known) {
            (Some(secret), _) => SecretString::from(secret.trim().to_owned()),
            (None, Some(known)) => known,
            (None, None) if self.ask.is_person() => self.secret().await?,
            (None, None) => {
                return Err(CliError::new("the secret of this app is not known")
                    .hint(
                        "加上 --app-secret-stdin，或 --app-secret-env NAME",
                        "add --app-secret-stdin, or --app-secret-env NAME",
                    )
                    .into());
            }
        };
        self.forget_rights_of_another(id);
        self.take(id, &secret, self.args.domain)
    }

    /// By its id and its secret, from the terminal.
    pub(super) async fn pasted(&mut self, brand: Brand) -> Result<(), Stop> {
        let page = self.base_url().unwrap_or_else(|| brand.base_url().to_owned());
        output::note(&self.say(
            &format!("打开 {page}/app → 你的应用 → 凭证与基础信息"),
            &format!("open {page}/app → your app → Credentials & basic info"),
        ));
        let id = loop {
            let id = self.ask.line("App ID:").await?;
            if is_app_id(&id) {
                break id;
            }
            output::note(&self.say("App ID 以 cli_ 开头", "an App ID begins with cli_"));
        };
        let secret = self.secret().await?;
        self.take(&id, &secret, Some(brand))
    }

    async fn secret(&mut self) -> Result<SecretString, Stop> {
        loop {
            let question = self.say("App Secret（不显示）:", "App Secret (not shown):");
            let secret = SecretString::from(self.ask.hidden(&question).await?);
            if !secret.expose_secret().is_empty() {
                return Ok(secret);
            }
        }
    }

    /// Keeps it. People have another id with each app, so the owner of another one is nobody here.
    fn take(&mut self, id: &str, secret: &SecretString, brand: Option<Brand>) -> Result<(), Stop> {
        let mut changes = self.of_app(id, secret, brand)?;
        if self.former_app().is_some_and(|former| former != id) {
            changes.push((Setting::Owner, Change::Default));
            self.is_another();
        }
        self.kept.made_new = false;
        self.change(&changes)?;
        self.done(&format!("飞书应用 {id}"), &format!("Feishu app {id}"));
        Ok(())
    }

    /// What was chosen for a former app was not chosen for this one.
    fn forget_rights_of_another(&mut self, id: &str) {
        if self.args.rights.is_none() && self.former_app().is_some_and(|former| former != id) {
            self.kept.group_context = None;
        }
    }

    pub(super) fn former_app(&self) -> Option<String> {
        variable(&self.context.environment, "FEISHU_APP_ID")
    }

    fn of_app(&self, id: &str, secret: &SecretString, brand: Option<Brand>) -> Result<Vec<(Setting, Change)>, Stop> {
        for key in ["FEISHU_APP_ID", "FEISHU_APP_SECRET"] {
            let wanted = if key == "FEISHU_APP_ID" { id } else { secret.expose_secret() };
            // It would win over what is written down.
            if self.context.environment.get(key).is_some_and(|set| set != wanted) {
                return Err(CliError::new(format!("{key} is set in the environment, to another app's"))
                    .code(Code::Config)
                    .hint(
                        format!("先 `unset {key}`，再运行一次：环境变量优先于 .env"),
                        format!("run `unset {key}`, then this again: the environment wins over .env"),
                    )
                    .into());
            }
        }
        let mut changes = vec![
            (Setting::AppId, Change::Text(id.to_owned())),
            (Setting::AppSecret, Change::Text(secret.expose_secret().to_owned())),
        ];
        let own = self.base_url();
        changes.extend(address(self.args.base_url.as_deref(), own.as_deref(), brand).map(|to| (Setting::BaseUrl, to)));
        let set = |key| variable(&self.context.environment, key).is_some();
        if set("FEISHU_APP_ID") && set("FEISHU_APP_SECRET") && self.app_there()?.is_none() {
            // There were credentials, and the channel is switched off.
            changes.push((Setting::Feishu, Change::Yes));
        }
        Ok(changes)
    }

    /// An address that is neither of the two public ones.
    fn base_url(&self) -> Option<String> {
        let set = self.args.base_url.clone().or_else(|| variable(&self.context.environment, "FEISHU_BASE_URL"));
        let is_public =
            |url: &String| [Brand::Feishu, Brand::Lark].iter().any(|brand| url.starts_with(brand.base_url()));
        set.filter(|url| !is_public(url))
    }

    /// By a code that somebody scans: that person is the owner.
    async fn scanned(&mut self, rights: Rights) -> Result<(), Stop> {
        for key in ["FEISHU_APP_ID", "FEISHU_APP_SECRET"] {
            if self.context.environment.get(key).is_some() {
                return Err(CliError::new(format!(
                    "{key} is set in the environment, and would win over the new app's"
                ))
                .code(Code::Config)
                .hint(format!("先 `unset {key}`，再运行一次"), format!("run `unset {key}`, then this again"))
                .into());
            }
        }
        let proxy = crate::app::proxy(&self.context.environment)?;
        let base = self.base_url().unwrap_or_else(|| Brand::Feishu.base_url().to_owned());
        let mut registration = Registration::new(&base, proxy.as_ref()).map_err(CliError::from)?;
        loop {
            let (begun, until) = self.code(&mut registration, rights).await?;
            self.show(&begun, rights);
            let scanned = self.wait(&mut registration, &begun, until).await?;
            self.kept.code = None;
            let again = match scanned {
                Scanned::Done(app) => {
                    return self.made(MadeApp {
                        app_id: app.app_id,
                        app_secret: app.app_secret.expose_secret().to_owned(),
                        lark: app.brand == Brand::Lark,
                        by: app.by.map(|by| by.to_string()),
                    });
                }
                Scanned::Denied => {
                    self.wrong(
                        &self.say("扫码的人没有同意，没有新建应用", "whoever scanned it said no; no app was made"),
                    );
                    self.say("回车换一个码", "Enter for another code")
                }
                Scanned::Expired | Scanned::NotYet => {
                    self.wrong(&self.say("这个码过期了，没有新建应用", "this code is no longer good; no app was made"));
                    self.say("回车换一个码", "Enter for another code")
                }
            };
            self.keep()?;
            if !self.ask.is_person() {
                return Err(CliError::new("no app was made")
                    .code(Code::Temporary)
                    .hint("再运行一次，及时扫码", "run it again, and scan the code in time")
                    .into());
            }
            self.ask.line(&or_leave(&self.context, &again)).await?;
        }
    }

    /// The code of before where it is still good, else a fresh one.
    async fn code(&mut self, registration: &mut Registration, rights: Rights) -> Result<(Begun, Instant), Stop> {
        let now_ms = Clock::default().now_ms();
        let until =
            |until_ms: i64| Instant::now() + Duration::from_millis(u64::try_from(until_ms - now_ms).unwrap_or(0));
        let group_context = rights == Rights::GroupContext;
        let fits = |code: &PendingCode| code.until_ms > now_ms && code.group_context == group_context;
        if let Some(code) = self.kept.code.clone().filter(fits) {
            let left = Duration::from_millis(u64::try_from(code.until_ms - now_ms).unwrap_or(0));
            let begun = Begun {
                device_code: code.device_code,
                link: code.link,
                short_link: code.short_link,
                interval: Duration::from_secs(code.interval_s),
                expires: left,
            };
            return Ok((begun, until(code.until_ms)));
        }
        let begun = loop {
            let asking = self.say("正在取码", "asking for a code");
            match crate::cli::doctor::with_progress(asking, registration.begin(NAME, rights)).await {
                Ok(begun) => break begun,
                Err(error) => {
                    let told = self.say(&format!("取不到码：{error}"), &format!("no code: {error}"));
                    if !self.ask.is_person() {
                        return Err(CliError::new(told)
                            .code(Code::Temporary)
                            .hint("看网络和代理，再运行一次", "look at the network and the proxy, then run it again")
                            .into());
                    }
                    self.wrong(&told);
                    let again = self
                        .say("看网络和代理，回车再试", "look at the network and the proxy, then Enter to try again");
                    self.ask.line(&or_leave(&self.context, &again)).await?;
                }
            }
        };
        let until_ms = Clock::default().now_ms() + i64::try_from(begun.expires.as_millis()).unwrap_or(i64::MAX / 2);
        self.kept.code = Some(PendingCode {
            device_code: begun.device_code.clone(),
            link: begun.link.clone(),
            short_link: begun.short_link.clone(),
            interval_s: begun.interval.as_secs(),
            until_ms,
            group_context,
        });
        self.keep()?;
        Ok((begun.clone(), Instant::now() + begun.expires))
    }

    fn show(&self, begun: &Begun, rights: Rights) {
        output::note(&self.say(
            "用飞书扫码（Lark 用 Lark）。扫码的人就是所有者",
            "Scan this with Feishu (or Lark). Whoever scans becomes the owner",
        ));
        if rights == Rights::GroupContext {
            output::note(&self.say(
                "群上下文要企业管理员审批；批准以前，别的都能用",
                "an administrator has to approve the group context; all else works before that",
            ));
        }
        let stdout = std::io::stdout();
        if stdout.is_terminal() {
            let columns = rustix::termios::tcgetwinsize(&stdout).map_or(0, |size| usize::from(size.ws_col));
            let columns = if columns == 0 { COLUMNS } else { columns };
            match qr::lines(&[&begun.link, &begun.short_link], columns) {
                // A reader that went away is told of elsewhere.
                Some(lines) => drop(output::raw(&qr::painted(&lines))),
                None => output::note(&self.say(
                    "终端太窄，画不下码：打开下面的链接，或把窗口拉宽再来",
                    "the terminal is too narrow for the code: open the link below, or widen the window and run it again",
                )),
            }
        }
        drop(output::line(&begun.link));
    }

    /// Until somebody has scanned it, or it is too old.
    async fn wait(&mut self, registration: &mut Registration, begun: &Begun, until: Instant) -> Result<Scanned, Stop> {
        let is_terminal = std::io::stderr().is_terminal();
        let (mut failures, mut look_at) = (0, Instant::now() + registration.rest(begun).max(SHORTEST));
        loop {
            let now = Instant::now();
            if now >= until {
                // Perhaps in the last moment.
                let last = registration.look(begun).await;
                return Ok(last.ok().filter(|last| matches!(last, Scanned::Done(_))).unwrap_or(Scanned::Expired));
            }
            let left = until.saturating_duration_since(now).as_secs();
            if is_terminal {
                let waits = self.say(
                    &format!("等扫码，还有 {}:{:02}", left / 60, left % 60),
                    &format!("waiting for the scan, {}:{:02} left", left / 60, left % 60),
                );
                over(&or_leave(&self.context, &waits));
            }
            let tick = (now + Duration::from_secs(1)).min(look_at).min(until);
            tokio::select! {
                () = tokio::time::sleep_until(tick) => {}
                // Enter says nothing here; `q` leaves.
                typed = self.ask.typed() => drop(typed?),
            }
            if Instant::now() < look_at {
                continue;
            }
            let looked = registration.look(begun).await;
            look_at = Instant::now() + registration.rest(begun).max(SHORTEST);
            match looked {
                Ok(Scanned::NotYet) => failures = 0,
                Ok(scanned) => {
                    if is_terminal {
                        over("");
                    }
                    return Ok(scanned);
                }
                Err(error) => {
                    failures += 1;
                    if failures == FAILURES {
                        output::note("");
                        output::note(&dim(&self.say(
                            &format!("问不到结果，继续试：{error}"),
                            &format!("the outcome cannot be asked; it is tried again: {error}"),
                        )));
                    }
                }
            }
        }
    }

    /// Everything that is known of it is kept before anything else is done: nobody tells the secret twice.
    fn made(&mut self, app: MadeApp) -> Result<(), Stop> {
        (self.kept.app, self.kept.code) = (Some(app.clone()), None);
        self.kept.made_new = self.args.new_app;
        if self.former_app().is_some_and(|former| former != app.app_id) {
            self.is_another();
        }
        self.keep()?;
        let brand = if app.lark { Brand::Lark } else { Brand::Feishu };
        let mut changes = self.of_app(&app.app_id, &SecretString::from(app.app_secret), Some(brand))?;
        let owner = app.by.clone().map_or(Change::Default, Change::Text);
        changes.push((Setting::Owner, owner));
        self.change(&changes)?;
        self.kept.app = None;
        self.keep()?;
        let id = &app.app_id;
        match app.by {
            Some(_) => self.done(
                &format!("飞书应用 {id}，扫码的人是所有者"),
                &format!("Feishu app {id}; whoever scanned is its owner"),
            ),
            None => self.done(&format!("飞书应用 {id}"), &format!("Feishu app {id}")),
        }
        Ok(())
    }
}

/// What becomes of the platform's address: what was given, nothing where somebody has an address of their own, else the brand's.
fn address(given: Option<&str>, own: Option<&str>, brand: Option<Brand>) -> Option<Change> {
    match (given, own, brand) {
        (Some(given), _, _) => Some(Change::Text(given.to_owned())),
        (None, Some(_), _) | (None, None, None) => None,
        (None, None, Some(Brand::Feishu)) => Some(Change::Default),
        (None, None, Some(Brand::Lark)) => Some(Change::Text(Brand::Lark.base_url().to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_app_of_lark_is_called_at_larks_address() {
        let of = |given, own, brand| match address(given, own, brand) {
            Some(Change::Text(text)) => text,
            Some(_) => "the default".to_owned(),
            None => "as it was".to_owned(),
        };
        let (own, given) = (Some("https://feishu.example.com"), Some("http://127.0.0.1:1"));
        for (given, own, brand, want) in [
            (None, None, Some(Brand::Lark), "https://open.larksuite.com"),
            (None, None, Some(Brand::Feishu), "the default"),
            (None, None, None, "as it was"),
            (None, own, Some(Brand::Lark), "as it was"),
            (given, own, Some(Brand::Feishu), "http://127.0.0.1:1"),
        ] {
            assert_eq!(of(given, own, brand), want, "{given:?} {own:?} {brand:?}");
        }
    }
}
