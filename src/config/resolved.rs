//! From wishes to decisions: every default filled in, every path absolute, every mistake noted.

use std::collections::HashSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use chrono_tz::Tz;
use secrecy::SecretString;

use super::Environment;
use super::directory::{Unfit, unfit};
use super::paths::{Paths, expand};
use super::problem::{Problem, Problems};
use super::raw::{At, Raw};
use super::secrets;
use super::warnings::warnings;
use crate::domain::ids::{ChatId, UserId};
use crate::domain::limits::Limits;
use crate::domain::schedule;
use crate::domain::view::Lang;

/// Everything that is settled before the program starts.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where everything lies.
    pub paths: Paths,
    /// Language of what ally itself says where a chat has not chosen one.
    pub lang: Lang,
    /// In which routines that name none are due; the days of the archive are its days.
    pub zone: Tz,
    /// Log filter.
    pub log_filter: String,
    /// The Feishu channel; `None` is off.
    pub feishu: Option<FeishuConfig>,
    /// Name of the person at this machine; `local:<user>` owns the local channel.
    pub local_user: String,
    /// Locks that hold across homes, one an app: two connections of one app split its events at random.
    pub app_locks: PathBuf,
    /// What does the work.
    pub runtime: RuntimeConfig,
    /// How chats become conversations.
    pub conversation: ConversationConfig,
    /// The configured floor of rights.
    pub access: AccessConfig,
    /// Limits of a turn.
    pub turn: TurnConfig,
    /// What happens to late messages.
    pub intake: IntakeConfig,
    pub gates: GatesConfig,
    /// How much is taken.
    pub limits: LimitsConfig,
    /// Former states of the assistant's directory are kept.
    pub autosave: bool,
    /// The loopback port that tells numbers to a scraper; `None`: none does.
    pub metrics_port: Option<u16>,
    /// The whole environment of every child.
    pub child_environment: Vec<(String, String)>,
    /// Legal, and worth a warning in `status`.
    pub warnings: Vec<String>,
}

/// Credentials of the Feishu app.
#[derive(Debug, Clone)]
pub struct FeishuConfig {
    /// App id, `cli_…`.
    pub app_id: String,
    /// App secret.
    pub app_secret: SecretString,
    /// Without a slash at its end.
    pub base_url: String,
    /// The proxy on the way there.
    pub proxy: Option<ProxyConfig>,
}

/// A proxy from the environment.
#[derive(Debug, Clone)]
pub struct ProxyConfig {
    /// A valid `http://` or `https://` address. It may hold a password.
    pub address: SecretString,
    /// `NO_PROXY` as it stands.
    pub except: String,
}

/// Which runtime, with its settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RuntimeConfig {
    /// The real codex as a child process.
    Codex(CodexConfig),
    /// In process, for trying things out.
    Embedded,
}

/// Settings of the codex child.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CodexConfig {
    /// The program that a person named, absolute; `None` leaves the choice to the adapter.
    pub program: Option<PathBuf>,
    /// `CODEX_HOME`.
    pub home: PathBuf,
    /// Further arguments, before `app-server`'s own.
    pub args: Vec<String>,
    /// Model, where codex's own choice is not wanted.
    pub model: Option<String>,
    /// Codex's sandbox mode instead of the level's own.
    pub sandbox: Option<String>,
    /// When codex asks, instead of when the level says so.
    pub approval_policy: Option<String>,
}

/// How chats become conversations.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConversationConfig {
    /// Working directory of conversations.
    pub directory: Directory,
    /// Folders below which a chat may be brought to another directory.
    pub roots: Vec<PathBuf>,
    /// What one conversation is in a group.
    pub scope: Scope,
    /// What a message does while a turn runs.
    pub busy: Busy,
    /// Turns at the same time, over all conversations.
    pub parallel: usize,
    /// Several turns may run in one directory.
    pub shared_directory: bool,
}

/// Where a conversation works.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Directory {
    /// All in this one.
    Fixed(PathBuf),
    /// Each chat in its own below this one.
    OwnBelow(PathBuf),
}

/// What one conversation is in a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// Each topic.
    Topic,
    /// The whole chat.
    Chat,
}

/// What a message does while a turn runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Busy {
    /// It waits.
    Queue,
    /// It goes into the running turn.
    Steer,
    /// It is refused.
    Reject,
}

/// The configured floor of rights.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AccessConfig {
    /// Owner in Feishu; the local channel has its own.
    pub owner: Option<UserId>,
    /// May talk anywhere and decide.
    pub users: HashSet<UserId>,
    /// Groups whose members may talk.
    pub chats: HashSet<ChatId>,
}

/// Limits of a turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TurnConfig {
    /// Without any sign of life.
    pub idle_timeout: Duration,
    /// Without any sign of life inside a tool call.
    pub tool_timeout: Duration,
    /// Absolute cap; `None` is none.
    pub max_time: Option<Duration>,
    /// What running turns get when ally stops.
    pub grace: Duration,
}

/// What happens to requests that nobody answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GatesConfig {
    /// Those who may decide are reminded once after this long; `None`: never.
    pub remind_after: Option<Duration>,
}

/// How much is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LimitsConfig {
    /// Tasks that wait, and attachments of one.
    pub queue: Limits,
    /// Bytes of one attachment that are fetched at most.
    pub attachment_bytes: u64,
}

/// What happens to late messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IntakeConfig {
    /// An older message is asked about before it runs.
    pub stale_after: Duration,
    /// What the platform never delivered and ally found by itself is asked about when it is older than this.
    pub backfill_run: Duration,
}

impl Config {
    /// What a bot that nobody owns needs, unless somebody claimed it in the chat.
    pub fn unclaimed(&self, claimed: bool) -> Option<String> {
        let unclaimed = self.feishu.is_some() && self.access.owner.is_none() && !claimed;
        unclaimed.then(|| match self.lang {
            Lang::Zh => "这个机器人还没有所有者：运行 `ally pair`，把码私聊发给它".to_owned(),
            Lang::En => "nobody owns this bot yet: run `ally pair` and send the code to the bot".to_owned(),
        })
    }
}

const LANGS: [(&str, Lang); 2] = [("zh", Lang::Zh), ("en", Lang::En)];
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);

/// Reads both files and decides everything; all problems at once.
pub fn resolve(paths: Paths, environment: &Environment) -> Result<Config, Problems> {
    let mut problems = Problems::default();
    let text = read_settings(&paths.config, &mut problems);
    let mut raw = Raw::parse(&paths.config, &text, &mut problems);
    let dotenv = secrets::read(&paths.env, &mut problems);
    let variable = |key: &str| {
        let set = environment.get(key).map(|value| At { line: 0, value: value.to_owned() });
        set.or_else(|| dotenv.get(key).cloned())
    };

    let mut resolver = Resolver {
        raw: &mut raw,
        problems: &mut problems,
        variable: &variable,
        paths: &paths,
        search_path: environment.get("PATH"),
    };
    let home = environment.home().unwrap_or(&paths.home);
    let lang = resolver.lang(environment);
    let zone = resolver.zone(environment);
    let feishu = resolver.feishu(environment);
    let runtime = resolver.runtime(home);
    let conversation = resolver.conversation(home);
    let access = resolver.access();
    let turn = resolver.turn();
    let intake = resolver.intake();
    let gates = resolver.gates();
    let limits = resolver.limits();
    let autosave = raw.bool("assistant.autosave", &mut problems).is_some_and(|found| found.value);
    let metrics_port = raw.number("metrics.port", 1..=65_535, &mut problems).and_then(|port| u16::try_from(port).ok());
    raw.finish(&mut problems);
    problems.into_result()?;

    let mut warnings = warnings(&runtime, lang);
    if zone.is_none() {
        warnings.push(match lang {
            Lang::Zh => "不知道这台电脑在哪个时区，定时任务按 UTC。在 ally.toml 里写 zone = \"Asia/Shanghai\"".to_owned(),
            Lang::En => "the zone of this machine is not known, so routines go by UTC. Write zone = \"Europe/Berlin\" into ally.toml".to_owned(),
        });
    }
    Ok(Config {
        lang,
        zone: zone.unwrap_or(Tz::UTC),
        log_filter: environment.log_filter(),
        feishu,
        local_user: environment.user(),
        app_locks: environment.cache_folder().map_or_else(|| paths.run.clone(), |cache| cache.join("ally")),
        runtime,
        conversation,
        access,
        turn,
        intake,
        gates,
        limits,
        autosave,
        metrics_port,
        child_environment: environment.for_children(),
        warnings,
        paths,
    })
}

impl Config {
    /// What in the settings weakens or replaces the sandbox.
    pub fn safety_warnings(&self) -> Vec<String> {
        warnings(&self.runtime, self.lang)
    }
}

/// The language that the two files or `ALLY_LANG` ask for, whatever else is wrong in them.
pub fn lang(paths: &Paths, environment: &Environment) -> Option<Lang> {
    let mut ignored = Problems::default();
    let dotenv = secrets::read(&paths.env, &mut ignored);
    let named = environment.get("ALLY_LANG").or_else(|| dotenv.get("ALLY_LANG").map(|found| found.value.as_str()));
    if let Some(lang) = named.and_then(Lang::parse) {
        return Some(lang);
    }
    let text = read_settings(&paths.config, &mut ignored);
    let mut raw = Raw::parse(&paths.config, &text, &mut ignored);
    raw.choice("lang", &LANGS, &mut ignored).map(|found| found.value)
}

/// The environment's proxy, `http://` where it names no scheme. Its value is never shown: it may hold a password.
pub fn proxy(environment: &Environment) -> Result<Option<ProxyConfig>, Problem> {
    let Some((key, text)) = environment.https_proxy() else { return Ok(None) };
    let address = if text.contains("://") { text.to_owned() } else { format!("http://{text}") };
    let known = match reqwest::Url::parse(&address) {
        Ok(url) if !matches!(url.scheme(), "http" | "https") => Err("names a kind of proxy that ally cannot use"),
        Ok(url) if url.host_str().is_some_and(|host| !host.is_empty()) => Ok(()),
        _ => Err("is not a usable address"),
    };
    match known {
        Ok(()) => Ok(Some(ProxyConfig { address: address.into(), except: environment.no_proxy().to_owned() })),
        Err(what) => Err(Problem {
            file: None,
            line: None,
            key: key.to_owned(),
            what: what.to_owned(),
            remedy:
                "write http://host:port or https://host:port, with user:password@ before the host if it wants a login \
                     (special characters percent-encoded), or unset it"
                    .to_owned(),
        }),
    }
}

fn read_settings(path: &Path, problems: &mut Problems) -> String {
    match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
        Err(error) => {
            problems.add(Problem {
                file: Some(path.to_owned()),
                line: None,
                key: String::new(),
                what: format!("cannot be read: {error}"),
                remedy: "make it a text file of your own".to_owned(),
            });
            String::new()
        }
    }
}

/// One section a method. All of them note problems and go on with the default.
struct Resolver<'a> {
    raw: &'a mut Raw,
    problems: &'a mut Problems,
    /// The environment's value, or that of `.env` with its line.
    variable: &'a dyn Fn(&str) -> Option<At<String>>,
    paths: &'a Paths,
    search_path: Option<&'a str>,
}

impl Resolver<'_> {
    fn variable(&self, key: &str) -> Option<String> {
        (self.variable)(key).map(|found| found.value)
    }

    fn note_variable(&mut self, key: &str, what: impl Into<String>, remedy: impl Into<String>) {
        let line = (self.variable)(key).map(|found| found.line).filter(|line| *line > 0);
        self.problems.add(Problem {
            file: line.map(|_| self.paths.env.clone()),
            line,
            key: key.to_owned(),
            what: what.into(),
            remedy: remedy.into(),
        });
    }

    fn lang(&mut self, environment: &Environment) -> Lang {
        let configured = self.raw.choice("lang", &LANGS, self.problems);
        match self.variable("ALLY_LANG") {
            Some(text) => Lang::parse(&text).unwrap_or_else(|| {
                self.note_variable("ALLY_LANG", format!("\"{text}\" is not a known language"), "set it to zh or en");
                Lang::default()
            }),
            None => configured.map(|found| found.value).or_else(|| environment.lang()).unwrap_or_default(),
        }
    }

    /// The configured one, else the machine's; `None` where that is not known.
    fn zone(&mut self, environment: &Environment) -> Option<Tz> {
        if let Some(found) = self.raw.text("zone", self.problems) {
            return match schedule::zone(&found.value) {
                Ok(zone) => Some(zone),
                Err(_) => {
                    let what = format!("there is no zone \"{}\"", found.value);
                    let remedy = "write a name like \"Asia/Shanghai\" or \"Europe/Berlin\", or remove the line";
                    self.problems.add(self.raw.problem("zone", found.line, what, remedy));
                    Some(Tz::UTC)
                }
            };
        }
        let named = environment.get("TZ").and_then(|name| schedule::zone(name.trim_start_matches(':')).ok());
        named.or_else(|| schedule::zone(&iana_time_zone::get_timezone().ok()?).ok())
    }

    /// On when there are credentials, unless the file says otherwise.
    fn feishu(&mut self, environment: &Environment) -> Option<FeishuConfig> {
        let enabled = self.raw.bool("feishu.enabled", self.problems);
        let app_id = self.variable("FEISHU_APP_ID");
        let app_secret = self.variable("FEISHU_APP_SECRET");
        let base_url = self.base_url();
        let wanted = match &enabled {
            Some(enabled) => enabled.value,
            None => app_id.is_some() || app_secret.is_some(),
        };
        if !wanted {
            return None;
        }
        for (key, missing) in [("FEISHU_APP_ID", app_id.is_none()), ("FEISHU_APP_SECRET", app_secret.is_none())] {
            if missing {
                let remedy = format!(
                    "put {key}=… into {} (Feishu developer console → your app → Credentials), or set [feishu] enabled = false",
                    self.paths.env.display()
                );
                self.problems.add(Problem {
                    file: Some(self.paths.env.clone()),
                    line: None,
                    key: key.to_owned(),
                    what: "is missing, and the Feishu channel is on".to_owned(),
                    remedy,
                });
            }
        }
        if let Some(id) = &app_id
            && !is_id(id, "cli_")
        {
            let remedy = "copy the App ID from the developer console (Credentials): cli_ and letters and digits";
            self.note_variable("FEISHU_APP_ID", "is not the id of an app", remedy);
        }
        let proxy = self.proxy(environment);
        Some(FeishuConfig { app_id: app_id?, app_secret: SecretString::from(app_secret?), base_url: base_url?, proxy })
    }

    fn proxy(&mut self, environment: &Environment) -> Option<ProxyConfig> {
        proxy(environment).unwrap_or_else(|problem| {
            self.problems.add(problem);
            None
        })
    }

    fn base_url(&mut self) -> Option<String> {
        let Some(text) = self.variable("FEISHU_BASE_URL") else {
            return Some("https://open.feishu.cn".to_owned());
        };
        let remedy = "use https://open.feishu.cn or https://open.larksuite.com; http:// is for this machine only";
        match reqwest::Url::parse(&text) {
            Ok(url) if url.scheme() == "https" || (url.scheme() == "http" && is_loopback(&url)) => {
                Some(text.trim_end_matches('/').to_owned())
            }
            Ok(url) if url.scheme() == "http" => {
                self.note_variable("FEISHU_BASE_URL", "would send the app secret in clear", remedy);
                None
            }
            _ => {
                self.note_variable("FEISHU_BASE_URL", "is not a usable address", remedy);
                None
            }
        }
    }

    fn runtime(&mut self, home: &Path) -> RuntimeConfig {
        const KINDS: [(&str, bool); 2] = [("codex", true), ("embedded", false)];
        let configured = self.raw.choice("runtime.kind", &KINDS, self.problems);
        let codex = self.codex(home);
        let wants_codex = match self.variable("ALLY_RUNTIME") {
            None => configured.is_none_or(|found| found.value),
            Some(kind) => match KINDS.iter().find(|(word, _)| *word == kind) {
                Some((_, codex)) => *codex,
                None => {
                    let what = format!("\"{kind}\" is not a runtime");
                    self.note_variable("ALLY_RUNTIME", what, "set it to codex or embedded");
                    true
                }
            },
        };
        if wants_codex { RuntimeConfig::Codex(codex) } else { RuntimeConfig::Embedded }
    }

    fn codex(&mut self, home: &Path) -> CodexConfig {
        const SANDBOXES: [(&str, &str); 3] = [
            ("read-only", "read-only"),
            ("workspace-write", "workspace-write"),
            ("danger-full-access", "danger-full-access"),
        ];
        const POLICIES: [(&str, &str); 3] =
            [("untrusted", "untrusted"), ("on-request", "on-request"), ("never", "never")];
        let configured = self.raw.text("runtime.codex.bin", self.problems);
        let program = match (self.variable("ALLY_RUNTIME_BIN"), configured) {
            (Some(program), _) => self.program(&program, "ALLY_RUNTIME_BIN", 0, home),
            (None, Some(found)) => self.program(&found.value, "runtime.codex.bin", found.line, home),
            (None, None) => None,
        };
        let codex_home = match self.raw.text("runtime.codex.home", self.problems) {
            Some(found) => {
                let path = self.absolute(&found.value, home);
                if !path.is_dir() {
                    let what = format!("there is no folder {}", path.display());
                    let problem =
                        self.raw.problem("runtime.codex.home", found.line, what, "create it, or remove the line");
                    self.problems.add(problem);
                }
                path
            }
            None => self.paths.codex.clone(),
        };
        let sandbox = self.raw.choice("runtime.codex.sandbox", &SANDBOXES, self.problems);
        let policy = self.raw.choice("runtime.codex.approval_policy", &POLICIES, self.problems);
        CodexConfig {
            program,
            home: codex_home,
            args: self.raw.list("runtime.codex.args", self.problems).value,
            model: self.raw.text("runtime.codex.model", self.problems).map(|found| found.value),
            sandbox: sandbox.map(|found| found.value.to_owned()),
            approval_policy: policy.map(|found| found.value.to_owned()),
        }
    }

    /// A path, or a plain name that is looked up in `PATH`. Whoever names a program gets that one or a problem.
    fn program(&mut self, text: &str, key: &str, line: usize, home: &Path) -> Option<PathBuf> {
        let (found, what) = if text.contains('/') {
            let path = self.absolute(text, home);
            let what = match path.is_file() {
                true => format!("{} cannot be executed", path.display()),
                false => format!("there is no program {}", path.display()),
            };
            (Some(path).filter(|path| is_program(path)), what)
        } else {
            (on_path(text, self.search_path), format!("there is no program \"{text}\" in PATH"))
        };
        if found.is_none() {
            let remedy = "install codex, name its whole path, or remove this for ally's own choice";
            match line {
                0 => self.note_variable(key, what, remedy),
                line => self.problems.add(self.raw.problem(key, line, what, remedy)),
            }
        }
        found
    }

    /// `~/` is the person's home; anything relative is relative to `$ALLY_HOME`, never to where ally was started.
    fn absolute(&self, text: &str, home: &Path) -> PathBuf {
        self.paths.home.join(expand(text, home))
    }

    fn conversation(&mut self, home: &Path) -> ConversationConfig {
        const SCOPES: [(&str, Scope); 2] = [("topic", Scope::Topic), ("chat", Scope::Chat)];
        const BUSY: [(&str, Busy); 3] = [("queue", Busy::Queue), ("steer", Busy::Steer), ("reject", Busy::Reject)];
        let directory = match self.raw.text("conversation.directory", self.problems) {
            Some(found) => {
                let path = self.absolute(&found.value, home);
                self.check_directory(&path, found.line, home);
                Directory::Fixed(path)
            }
            None => Directory::OwnBelow(self.paths.workspaces.clone()),
        };
        let roots = self.roots(&directory, home);
        ConversationConfig {
            directory,
            roots,
            scope: self.raw.choice("conversation.scope", &SCOPES, self.problems).map_or(Scope::Topic, |s| s.value),
            busy: self.raw.choice("conversation.busy", &BUSY, self.problems).map_or(Busy::Queue, |b| b.value),
            parallel: self.raw.number("conversation.parallel", 1..=256, self.problems).unwrap_or(4) as usize,
            shared_directory: self.raw.bool("conversation.shared_directory", self.problems).is_some_and(|s| s.value),
        }
    }

    /// Where none are named: beside the configured directory, or below the home of the person.
    fn roots(&mut self, directory: &Directory, home: &Path) -> Vec<PathBuf> {
        let named = self.raw.list("conversation.roots", self.problems);
        let roots: Vec<PathBuf> = named.value.iter().map(|root| self.absolute(root, home)).collect();
        if let Some(missing) = roots.iter().find(|root| !root.is_dir() || root.parent().is_none()) {
            let what = format!("{} is no folder below which projects lie", missing.display());
            let problem =
                self.raw.problem("conversation.roots", named.line, what, "name folders that are there, and not /");
            self.problems.add(problem);
        }
        match directory {
            _ if !roots.is_empty() => roots,
            Directory::Fixed(path) => match path.parent().filter(|parent| parent.parent().is_some()) {
                Some(parent) => vec![parent.to_owned()],
                None => vec![path.clone()],
            },
            Directory::OwnBelow(_) => vec![home.to_owned()],
        }
    }

    fn check_directory(&mut self, path: &Path, line: usize, home: &Path) {
        let Some(unfit) = unfit(path, home, &self.paths.home) else { return };
        let (what, remedy) = match &unfit {
            Unfit::Unreadable(why) => {
                (format!("{} cannot be read: {why}", path.display()), "create it, or name another folder")
            }
            Unfit::TooWide => (
                format!("{} is too wide: ally's own data or your whole home lies in it", path.display()),
                "name the folder of one project",
            ),
        };
        let problem = self.raw.problem("conversation.directory", line, what, remedy);
        self.problems.add(problem);
    }

    fn access(&mut self) -> AccessConfig {
        let owner = self.raw.text("access.owner", self.problems);
        let users = self.raw.list("access.users", self.problems);
        let chats = self.raw.list("access.chats", self.problems);
        if let Some(owner) = &owner {
            self.check_ids("access.owner", owner.line, std::slice::from_ref(&owner.value), "ou_");
        }
        self.check_ids("access.users", users.line, &users.value, "ou_");
        self.check_ids("access.chats", chats.line, &chats.value, "oc_");
        AccessConfig {
            owner: owner.map(|found| UserId::new(found.value)),
            users: users.value.into_iter().map(UserId::new).collect(),
            chats: chats.value.into_iter().map(ChatId::new).collect(),
        }
    }

    /// An id of another kind would let nobody in, silently.
    fn check_ids(&mut self, key: &str, line: usize, ids: &[String], prefix: &str) {
        for id in ids.iter().filter(|id| !is_id(id, prefix)) {
            let what = format!("\"{id}\" is not an id of the form {prefix}…");
            let remedy = match key {
                "access.owner" => "write your open id (ou_…), or remove the line and run `ally pair`",
                "access.users" => "write open ids (ou_…), or let people in with `/allow @name` in the chat",
                _ => "write ids of chats (oc_…), or open a group with `/allow` in it",
            };
            self.problems.add(self.raw.problem(key, line, what, remedy));
        }
    }

    fn turn(&mut self) -> TurnConfig {
        TurnConfig {
            idle_timeout: self.raw.span("turn.idle_timeout", self.problems).unwrap_or(30 * MINUTE),
            tool_timeout: self.raw.span("turn.tool_timeout", self.problems).unwrap_or(2 * HOUR),
            max_time: self.raw.span("turn.max_time", self.problems),
            grace: self.raw.duration("turn.grace", self.problems).unwrap_or(Duration::from_secs(20)),
        }
    }

    fn gates(&mut self) -> GatesConfig {
        let after = self.raw.duration("gates.remind_after", self.problems).unwrap_or(30 * MINUTE);
        GatesConfig { remind_after: (!after.is_zero()).then_some(after) }
    }

    fn limits(&mut self) -> LimitsConfig {
        let by_itself = Limits::default();
        let keep_days = self.raw.number("ledger.keep_days", 0..=100_000, self.problems);
        let keep_days = keep_days.and_then(|days| u32::try_from(days).ok()).unwrap_or(by_itself.keep_days);
        let mut number = |key, most, default| self.raw.number(key, 1..=most, self.problems).unwrap_or(default);
        let megabytes = number("limits.attachment_mb", 100, 100);
        LimitsConfig {
            queue: Limits {
                per_person: number("limits.queue_per_person", 1000, by_itself.per_person),
                per_conversation: number("limits.queue_per_conversation", 10_000, by_itself.per_conversation),
                per_chat: number("limits.queue_per_chat", 10_000, by_itself.per_chat),
                in_all: number("limits.queue", 100_000, by_itself.in_all),
                attachments: number("limits.attachments", 200, by_itself.attachments as i64) as usize,
                keep_days,
            },
            attachment_bytes: megabytes.unsigned_abs() << 20,
        }
    }

    fn intake(&mut self) -> IntakeConfig {
        IntakeConfig {
            stale_after: self.raw.span("intake.stale_after", self.problems).unwrap_or(30 * MINUTE),
            backfill_run: self.raw.duration("intake.backfill_run", self.problems).unwrap_or(10 * MINUTE),
        }
    }
}

fn on_path(name: &str, path: Option<&str>) -> Option<PathBuf> {
    let folders = std::env::split_paths(path?).filter(|folder| folder.is_absolute());
    folders.map(|folder| folder.join(name)).find(|candidate| is_program(candidate))
}

/// A regular file that somebody may execute.
fn is_program(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    path.metadata().is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}

/// An id of the platform: its kind, then letters and digits.
pub(super) fn is_id(text: &str, prefix: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    text.strip_prefix(prefix).is_some_and(|rest| !rest.is_empty() && rest.chars().all(plain))
}

fn is_loopback(url: &reqwest::Url) -> bool {
    let Some(host) = url.host_str() else { return false };
    let host = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;

    struct Home {
        folder: tempfile::TempDir,
    }

    impl Home {
        fn new(settings: &str, dotenv: &str) -> Self {
            let folder = tempfile::tempdir().unwrap();
            let paths = Paths::of_home(folder.path().join("home"), None);
            paths.create().unwrap();
            super::super::write_private(&paths.config, settings).unwrap();
            super::super::write_private(&paths.env, dotenv).unwrap();
            Self { folder }
        }

        fn load(&self, environment: &[(&str, &str)]) -> Result<Config, Problems> {
            let home = self.folder.path().join("home").display().to_string();
            let user = self.folder.path().display().to_string();
            let mut all = vec![("ALLY_HOME", home.as_str()), ("HOME", user.as_str())];
            all.extend_from_slice(environment);
            super::super::load(&Environment::of(all))
        }
    }

    #[test]
    fn a_proxy_is_understood_or_is_a_problem_that_shows_no_password() {
        let home = Home::new("", "FEISHU_APP_ID=cli_1\nFEISHU_APP_SECRET=hush\n");
        for (value, want) in [
            ("proxy.example:3128", "http://proxy.example:3128"),
            ("me:w%40rd@proxy.example:3128", "http://me:w%40rd@proxy.example:3128"),
            ("https://proxy.example", "https://proxy.example"),
        ] {
            let config = home.load(&[("https_proxy", value), ("no_proxy", "feishu.cn")]).unwrap();
            let proxy = config.feishu.as_ref().unwrap().proxy.clone().unwrap();
            assert_eq!((proxy.address.expose_secret(), proxy.except.as_str()), (want, "feishu.cn"));
            assert!(!format!("{:?}", config.feishu).contains("w%40rd"));
        }
        for value in ["socks5://me:word@proxy.example:1080", "http://me:word@:3128", "http://", "me:word@a b"] {
            let problems = home.load(&[("HTTPS_PROXY", value)]).unwrap_err();
            let text = problems.to_string();
            assert!(
                text.contains("HTTPS_PROXY") && text.contains("percent-encoded") && !text.contains("word@p"),
                "{text}"
            );
            assert_eq!(problems.list().len(), 1, "{value}");
        }
        let without = Home::new("", "").load(&[("HTTPS_PROXY", "socks5://proxy.example")]);
        assert!(without.unwrap().feishu.is_none(), "nobody needs it");
    }

    #[test]
    fn the_templates_are_a_legal_configuration() {
        let home = Home::new(include_str!("../../templates/ally.toml"), include_str!("../../templates/env"));
        let config = home.load(&[]).unwrap();
        assert!(config.feishu.is_none());
        assert_eq!(config.turn.idle_timeout, 30 * MINUTE);
        assert!(matches!(config.runtime, RuntimeConfig::Codex(codex) if codex.sandbox.is_none()));
    }

    #[test]
    fn every_key_of_the_template_is_known() {
        let enabled: String = include_str!("../../templates/ally.toml")
            .lines()
            .map(|line| {
                let key = line.strip_prefix("# ").filter(|rest| rest.contains(" = ") && !rest.starts_with(' '));
                format!("{}\n", key.unwrap_or(line))
            })
            .collect();
        let home = Home::new(&enabled, "FEISHU_APP_ID=cli_a\nFEISHU_APP_SECRET=b\n");
        let told = home.load(&[]).err().map(|problems| problems.to_string()).unwrap_or_default();
        assert!(!told.contains("no such key") && !told.contains("must be"), "{told}");
    }

    #[test]
    fn the_environment_wins_over_the_file() {
        let home = Home::new("", "FEISHU_APP_ID=cli_file\nFEISHU_APP_SECRET=hush\n");
        let config = home.load(&[("FEISHU_APP_ID", "cli_env"), ("ALLY_RUNTIME", "embedded")]).unwrap();
        let feishu = config.feishu.clone().unwrap();
        assert_eq!(feishu.app_id, "cli_env");
        assert_eq!(feishu.base_url, "https://open.feishu.cn");
        assert_eq!(config.runtime, RuntimeConfig::Embedded);
        assert!(!format!("{config:?}").contains("hush"), "secrets never show");
    }

    #[test]
    fn all_problems_come_together() {
        let home = Home::new(
            "[feishu]\nenabled = true\n[runtime]\nkind = \"codexx\"\n[conversation]\ndirectory = \"~/nowhere\"\nparallel = 0\n",
            "",
        );
        let told = home.load(&[("FEISHU_BASE_URL", "http://example.com")]).unwrap_err().to_string();
        for want in [
            "FEISHU_APP_ID: is missing",
            "FEISHU_APP_SECRET: is missing",
            "did you mean \"codex\"",
            "conversation.directory",
            "0 is out of range",
            "FEISHU_BASE_URL: would send the app secret in clear",
        ] {
            assert!(told.contains(want), "{want} is missing in\n{told}");
        }
    }

    #[test]
    fn plain_http_is_for_this_machine_only() {
        let home = Home::new("", "FEISHU_APP_ID=cli_a\nFEISHU_APP_SECRET=b\n");
        for (url, want) in [
            ("http://127.0.0.1:8080/", Some("http://127.0.0.1:8080")),
            ("http://[::1]:1", Some("http://[::1]:1")),
            ("http://localhost:1", Some("http://localhost:1")),
            ("https://open.larksuite.com", Some("https://open.larksuite.com")),
            ("http://127.0.0.1.evil.example", None),
            ("ftp://127.0.0.1", None),
            ("nonsense", None),
        ] {
            let got = home.load(&[("FEISHU_BASE_URL", url)]).ok().and_then(|config| config.feishu);
            assert_eq!(got.map(|feishu| feishu.base_url).as_deref(), want, "{url}");
        }
    }

    #[test]
    fn a_named_program_is_found_in_the_search_path_or_told() {
        use std::os::unix::fs::PermissionsExt;
        let home = Home::new("[runtime.codex]\nbin = \"my-codex\"\n", "");
        let folder = home.folder.path().join("bin");
        let program = folder.join("my-codex");
        let path = format!("relative:/nowhere:{}", folder.display());
        let of = |environment: &[(&str, &str)]| {
            home.load(environment).map(|config| match config.runtime {
                RuntimeConfig::Codex(codex) => codex.program,
                RuntimeConfig::Embedded => None,
            })
        };
        let told = of(&[("PATH", &path)]).unwrap_err().to_string();
        assert!(told.contains("ally.toml:2: runtime.codex.bin: there is no program \"my-codex\" in PATH"), "{told}");
        fs::create_dir(&folder).unwrap();
        fs::write(&program, "#!/bin/sh\n").unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o644)).unwrap();
        assert!(of(&[("PATH", &path)]).is_err(), "a file that cannot be executed is no program");
        let told = of(&[("ALLY_RUNTIME_BIN", &program.display().to_string())]).unwrap_err().to_string();
        assert!(told.contains("ALLY_RUNTIME_BIN") && told.contains("cannot be executed"), "{told}");
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        assert_eq!(of(&[("PATH", &path)]).unwrap(), Some(program.clone()));
        let told = of(&[("PATH", &path), ("ALLY_RUNTIME_BIN", "other")]).unwrap_err().to_string();
        assert!(told.contains("environment: ALLY_RUNTIME_BIN: there is no program \"other\" in PATH"), "{told}");
    }

    #[test]
    fn ids_of_another_kind_and_problems_of_the_env_file_are_told_with_their_line() {
        let home = Home::new(
            "[access]\nowner = \"7xk2\"\nusers = [\"ou_a1\", \"li@example.com\"]\nchats = [\"ou_b\"]\n",
            "# note\nFEISHU_APP_ID=../x # mine\nFEISHU_APP_SECRET=b\nFEISHU_BASE_URL=nonsense\nALLY_LANG=fr\n",
        );
        let told = home.load(&[("ALLY_RUNTIME", "other")]).unwrap_err().to_string();
        for want in [
            ".env:2: FEISHU_APP_ID: is not the id of an app",
            ".env:4: FEISHU_BASE_URL: is not a usable address",
            ".env:5: ALLY_LANG: \"fr\"",
            "environment: ALLY_RUNTIME: \"other\"",
            "ally.toml:2: access.owner: \"7xk2\" is not an id of the form ou_",
            "ally.toml:3: access.users: \"li@example.com\"",
            "ally.toml:4: access.chats: \"ou_b\" is not an id of the form oc_",
        ] {
            assert!(told.contains(want), "{want} is missing in\n{told}");
        }
        assert!(!told.contains("ou_a1"), "{told}");
    }

    #[test]
    fn what_was_missed_runs_for_ten_minutes_or_as_long_as_is_said() {
        let by_itself = Home::new("", "").load(&[]).unwrap();
        assert_eq!(by_itself.warnings, [] as [&str; 0]);
        assert_eq!(by_itself.intake.backfill_run, 10 * MINUTE);
        for (text, want) in [("1h", HOUR), ("0s", Duration::ZERO)] {
            let home = Home::new(&format!("[intake]\nbackfill_run = \"{text}\"\n"), "");
            assert_eq!(home.load(&[]).unwrap().intake.backfill_run, want);
        }
    }

    #[test]
    fn roots_are_folders_and_have_a_default() {
        let told = Home::new("[conversation]\nroots = [\"~/nowhere\", \"/\"]\n", "").load(&[]).unwrap_err().to_string();
        assert!(told.contains("ally.toml:2: conversation.roots"), "{told}");
        let by_itself = Home::new("", "").load(&[]).unwrap().conversation;
        assert_eq!(by_itself.roots.len(), 1, "the person's home");
    }

    #[test]
    fn a_directory_that_holds_ally_itself_is_refused() {
        let home = Home::new("[conversation]\ndirectory = \"~\"\n", "");
        assert!(home.load(&[]).unwrap_err().to_string().contains("too wide"));
    }
}
