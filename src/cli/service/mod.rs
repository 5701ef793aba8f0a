//! `ally service`: has systemd or launchd start ally and keep it running.

mod units;

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::{ExitCode, Stdio};
use std::time::Duration;

use serde::Serialize;
use tokio::process::Command;

use self::units::{Manager, Unit};
use super::Context;
use super::error::{CliError, Code};
use super::output;
use crate::config::{Environment, Paths};
use crate::supervisor::{self, Presence};

const UNIT: &str = "ally.service";
const LABEL: &str = "dev.ally";
/// A manager starts us and waits until we are ready.
const PATIENCE: Duration = Duration::from_secs(180);

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    /// Have ally started with the system (or the login), and again when it ends by itself
    Install(Install),
    /// Stop it and take the unit away; the home stays
    Uninstall {
        /// The unit of the system, not the person's own
        #[arg(long)]
        system: bool,
    },
    /// Tell whether it is installed, and what the service manager says of it
    Status {
        /// The unit of the system, not the person's own
        #[arg(long)]
        system: bool,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

#[derive(Debug, clap::Args)]
struct Install {
    /// A unit of the system: it runs without any login (needs root)
    #[arg(long)]
    system: bool,
    /// With --system: the account whose agents these are
    #[arg(long, value_name = "NAME", requires = "system")]
    account: Option<String>,
    /// Print the unit only
    #[arg(long)]
    print: bool,
    /// With --print: for this service manager instead of the system's own
    #[arg(long, value_enum, requires = "print")]
    manager: Option<Manager>,
}

impl Args {
    pub(super) fn only_looks(&self) -> bool {
        match &self.verb {
            Verb::Install(install) => install.print,
            Verb::Uninstall { .. } => false,
            Verb::Status { .. } => true,
        }
    }
}

pub(super) async fn run(context: &Context, args: &Args) -> Result<ExitCode, CliError> {
    match &args.verb {
        Verb::Install(args) => install(context, args).await?,
        Verb::Uninstall { system } => uninstall(context, &Place::find(context, *system)?).await?,
        Verb::Status { system, json } => return status(context, &Place::find(context, *system)?, *json).await,
    }
    Ok(ExitCode::SUCCESS)
}

/// Where the unit lies, and whom it belongs to.
struct Place {
    manager: Manager,
    system: bool,
    file: PathBuf,
}

impl Place {
    fn find(context: &Context, system: bool) -> Result<Self, CliError> {
        let manager = Manager::of_this_system();
        let home = context.environment.home().map(Path::to_owned).ok_or_else(|| {
            CliError::new("there is no home directory").hint("设置 HOME", "set HOME").code(Code::Config)
        })?;
        let file = match (manager, system) {
            (Manager::Systemd, true) => PathBuf::from("/etc/systemd/system").join(UNIT),
            (Manager::Systemd, false) => {
                let set = context.environment.get("XDG_CONFIG_HOME").map(PathBuf::from);
                let folder = set.filter(|path| path.is_absolute()).unwrap_or_else(|| home.join(".config"));
                folder.join("systemd/user").join(UNIT)
            }
            (Manager::Launchd, true) => {
                return Err(CliError::new("ally is no daemon of the whole Mac: its agents run as one person").hint(
                    "不带 --system 再运行：登录后自动启动",
                    "run it without --system: it starts with the login",
                ));
            }
            (Manager::Launchd, false) => home.join("Library/LaunchAgents").join(format!("{LABEL}.plist")),
        };
        Ok(Self { manager, system, file })
    }

    /// systemctl with what it needs to find the right manager.
    async fn systemctl(&self, args: &[&str]) -> Result<Asked, CliError> {
        let all: Vec<&str> = if self.system { args.to_vec() } else { [&["--user"], args].concat() };
        ask("systemctl", &all).await
    }

    /// The same for what must work.
    async fn systemctl_must(&self, args: &[&str]) -> Result<String, CliError> {
        let asked = self.systemctl(args).await?;
        asked.well(&format!("systemctl {}", args.join(" ")))
    }

    /// Fails where there is nobody who could keep anything running.
    async fn needs_manager(&self) -> Result<(), CliError> {
        if self.manager == Manager::Launchd {
            let asked = ask("launchctl", &["print", &domain()]).await?;
            return match asked.ok {
                true => Ok(()),
                false => Err(CliError::new(format!("nobody is logged in at this Mac's screen: {}", asked.told()))
                    .hint(
                        "登录到桌面再试；现在先运行：`ally start`",
                        "log in at its screen first; until then: `ally start`",
                    )),
            };
        }
        let asked = self.systemctl(&["show-environment"]).await?;
        if asked.ok {
            return Ok(());
        }
        let whose = if self.system { "the system's" } else { "this account's" };
        let what = format!("{whose} systemd does not answer: {}", asked.told());
        Err(match self.system {
            true => CliError::new(what).hint(
                "这台机器不是由 systemd 启动的（容器？）。在后台运行：`ally start`；由别的程序看管：让它运行 `ally run`",
                "this machine was not started by systemd (a container?). In the background: `ally start`; below another service manager: have it run `ally run`",
            ),
            false => CliError::new(what).hint(
                "以这个账号直接登录（不是 su 或 sudo）再试，或用 `ally service install --system`；不用服务：`ally start`",
                "log in as this account itself (not by su or sudo), or use `ally service install --system`; without a service: `ally start`",
            ),
        })
    }
}

/// Has the service manager start the service of this home, where one is installed; else nobody is asked. What it starts
/// otherwise it would not keep running.
pub(super) async fn start_installed(context: &Context, home: &Path) -> Result<bool, CliError> {
    for system in [false, true] {
        let Ok(place) = Place::find(context, system) else { continue };
        let text = std::fs::read_to_string(&place.file).unwrap_or_default();
        if !units::is_of(&text, place.manager, home) || place.needs_manager().await.is_err() {
            continue;
        }
        if needs_root(&place) {
            return Err(only_root(&place, "start"));
        }
        match place.manager {
            // It is waited for elsewhere.
            Manager::Systemd => drop(place.systemctl_must(&["start", "--no-block", UNIT]).await?),
            Manager::Launchd => drop(ask("launchctl", &["kickstart", &target()]).await?.well("launchctl kickstart")?),
        }
        return Ok(true);
    }
    Ok(false)
}

/// Nothing is stopped that only somebody else could start again.
///
/// # Errors
/// Where a unit of the system keeps this home, and we are not root.
pub(super) async fn may_restart(context: &Context, home: &Path) -> Result<(), CliError> {
    let Ok(place) = Place::find(context, true) else { return Ok(()) };
    let text = std::fs::read_to_string(&place.file).unwrap_or_default();
    if units::is_of(&text, place.manager, home) && needs_root(&place) && place.needs_manager().await.is_ok() {
        return Err(only_root(&place, "restart"));
    }
    Ok(())
}

fn needs_root(place: &Place) -> bool {
    place.system && !rustix::process::geteuid().is_root()
}

fn only_root(place: &Place, verb: &str) -> CliError {
    CliError::new(format!("{} keeps this ally, and only root may {verb} what is the system's", place.file.display()))
        .hint(format!("运行 `sudo systemctl {verb} ally`"), format!("run `sudo systemctl {verb} ally`"))
}

/// Whether there is a service manager that would keep ally running for this person.
///
/// # Errors
/// Why not.
pub(super) async fn is_offered(context: &Context) -> Result<(), CliError> {
    Place::find(context, false)?.needs_manager().await
}

/// Whether the service of this home is installed, for the person or for the system.
pub(super) fn is_installed(context: &Context, home: &Path) -> bool {
    [false, true].into_iter().filter_map(|system| Place::find(context, system).ok()).any(|place| {
        let text = std::fs::read_to_string(&place.file).unwrap_or_default();
        units::is_of(&text, place.manager, home)
    })
}

/// Installs the person's own service, which starts ally.
pub(super) async fn install_own(context: &Context) -> Result<(), CliError> {
    install(context, &Install { system: false, account: None, print: false, manager: None }).await
}

/// What a program said.
struct Asked {
    ok: bool,
    out: String,
    err: String,
}

impl Asked {
    fn told(&self) -> String {
        let text = if self.err.trim().is_empty() { &self.out } else { &self.err };
        text.trim().to_owned()
    }

    fn well(self, what: &str) -> Result<String, CliError> {
        if self.ok {
            return Ok(self.out);
        }
        Err(CliError::new(format!("`{what}` did not work: {}", self.told())).hint(
            "`ally service install --print` 打印单元，可以自己安装",
            "`ally service install --print` prints the unit, to be installed by hand",
        ))
    }
}

async fn ask(program: &str, args: &[&str]) -> Result<Asked, CliError> {
    let mut command = Command::new(program);
    command.args(args).stdin(Stdio::null()).kill_on_drop(true);
    let output = match tokio::time::timeout(PATIENCE, command.output()).await {
        Ok(Ok(output)) => output,
        Ok(Err(error)) if error.kind() == io::ErrorKind::NotFound => {
            return Err(CliError::new(format!("there is no `{program}` on this machine, so nothing could keep ally running")).hint(
                "在后台运行：`ally start`；由别的程序看管：让它运行 `ally run`。`ally service install --print` 打印单元",
                "in the background: `ally start`; below another service manager: have it run `ally run`. `ally service install --print` prints the unit",
            ));
        }
        Ok(Err(error)) => return Err(CliError::new(format!("`{program}` could not be run: {error}"))),
        Err(_) => {
            let late = format!("`{program} {}` did not end within {} s", args.join(" "), PATIENCE.as_secs());
            return Err(CliError::new(late)
                .code(Code::Temporary)
                .hint("看 `ally status` 和 `ally logs`", "see `ally status` and `ally logs`"));
        }
    };
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    Ok(Asked { ok: output.status.success(), out: text(output.stdout), err: text(output.stderr) })
}

async fn install(context: &Context, args: &Install) -> Result<(), CliError> {
    let account = match args.system {
        true => Some(account(context, args.account.as_deref())?),
        false => None,
    };
    let environment = match &account {
        Some(account) => environment_of(context, account)?,
        None => context.environment.clone(),
    };
    let paths = Paths::find(&environment)?;
    // Printing changes nothing, and needs nothing to be there; nor does root make files in somebody's home.
    let grace = match args.print || args.system {
        true => crate::config::load(&environment)?.turn.grace,
        false => context.config()?.turn.grace,
    };
    let program = std::env::current_exe()?;
    if args.system && !args.print && context.environment.get("SUDO_USER").is_some() {
        let path = environment.get("PATH").unwrap_or_default();
        output::note(&context.say(
            &format!("! 服务的 PATH 是 sudo 的：{path}。需要别的：`sudo env PATH=\"$PATH\" ally service install --system`"),
            &format!("! the service gets sudo's PATH: {path}. If codex or node lie elsewhere: `sudo env PATH=\"$PATH\" ally service install --system`"),
        ));
    }
    let (unit, left) = Unit::new(program, &paths.home, &environment, grace, account);
    for name in left {
        output::note(&match name.starts_with("FEISHU_") {
            true => context.say(
                &format!("! {name} 只在这里的环境变量里，没有写进单元：请写进 {}", paths.env.display()),
                &format!("! {name} stands in this environment only and is not in the unit: put it into {}", paths.env.display()),
            ),
            false => context.say(
                &format!("! {name} 里有密码，没有写进单元：用 `systemctl edit` 或别的办法交给它"),
                &format!("! {name} holds a password and is not in the unit: give it to the service by `systemctl edit`, or leave it out"),
            ),
        });
    }
    if args.print {
        return output::raw(unit.text(args.manager.unwrap_or_else(Manager::of_this_system)).trim_end());
    }
    let place = Place::find(context, args.system)?;
    place.needs_manager().await?;
    let text = unit.text(place.manager);
    let is_there = std::fs::read_to_string(&place.file).is_ok_and(|found| found == text);
    let runs = is_active(&place).await?;
    if !runs && let Presence::Running { pid } = supervisor::presence(&paths) {
        let pid = pid.map_or_else(|| "?".to_owned(), |pid| pid.to_string());
        return Err(CliError::new(format!("ally runs already (pid {pid}), and not as a service"))
            .code(Code::Temporary)
            .hint("先 `ally stop`，再运行一次", "run `ally stop` first, then this again"));
    }
    write(&place.file, &text)?;
    start(&place, runs).await?;
    let file = place.file.display();
    output::note(&match (runs, is_there) {
        (true, true) => context.say(&format!("已经装好了（{file}）"), &format!("it is installed already ({file})")),
        (true, false) => context.say(
            &format!("单元已更新（{file}）；正在运行的还是原来的，没有任务时没有任务时 `ally restart --all` 换上"),
            &format!("the unit is new ({file}); the one that runs goes on as it is until `ally restart --all`"),
        ),
        (false, _) => context.say(
            &format!("ally 已装成服务并在运行（{file}）"),
            &format!("ally is installed and runs as a service ({file})"),
        ),
    });
    lingers(context, &place).await
}

/// Whose agents a system unit runs: the named one, else whoever called `sudo`, else the present one; never root.
fn account(context: &Context, named: Option<&str>) -> Result<String, CliError> {
    let sudo = context.environment.get("SUDO_USER");
    let account = named.or(sudo).map_or_else(|| context.environment.user(), str::to_owned);
    let plain = account.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c)) && !account.is_empty();
    if account == "root" || !plain {
        return Err(CliError::new(format!("agents do not run as \"{account}\"")).code(Code::Config).hint(
            "用 --account 写明一个普通账号，并设 ALLY_HOME 为它的 ally 目录",
            "name an ordinary account by --account, and set ALLY_HOME to its home of ally",
        ));
    }
    Ok(account)
}

/// The environment of the account whose agents these are: root's home is not theirs.
fn environment_of(context: &Context, account: &str) -> Result<Environment, CliError> {
    let environment = &context.environment;
    if environment.get("ALLY_HOME").is_some() || environment.user() == account {
        return Ok(environment.clone());
    }
    let users = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let mut rows = users.lines().map(|line| line.split(':').collect::<Vec<_>>());
    let home = rows.find(|row| row.first() == Some(&account)).and_then(|row| row.get(5).copied());
    let home = home.filter(|home| home.starts_with('/')).ok_or_else(|| {
        CliError::new(format!("the home of the account \"{account}\" is not known")).code(Code::Config).hint(
            "写明它：`sudo env ALLY_HOME=… ally service install --system`",
            "name it: `sudo env ALLY_HOME=… ally service install --system`",
        )
    })?;
    let environment = environment.with("HOME", home);
    let paths = Paths::find(&environment)?;
    if !paths.home.is_dir() {
        return Err(CliError::new(format!("there is no {}", paths.home.display())).code(Code::Config).hint(
            format!("先以 {account} 运行一次 `ally start`，再 `ally stop`"),
            format!("as {account} run `ally start` once, and `ally stop`, first"),
        ));
    }
    Ok(environment)
}

fn write(file: &Path, text: &str) -> Result<(), CliError> {
    let written = || {
        file.parent().map_or(Ok(()), std::fs::create_dir_all)?;
        let fresh = file.with_extension("new");
        let mut open = OpenOptions::new().write(true).create(true).truncate(true).mode(0o644).open(&fresh)?;
        open.write_all(text.as_bytes())?;
        open.sync_all()?;
        std::fs::rename(&fresh, file)
    };
    written().map_err(|error: io::Error| {
        let what = CliError::new(format!("{} cannot be written: {error}", file.display()));
        match error.kind() {
            io::ErrorKind::PermissionDenied => what.hint(
                "用 sudo 运行，或用 `ally service install --system --print` 打印出来自己放过去",
                "run it by sudo, or print it (`ally service install --system --print`) and put it there yourself",
            ),
            _ => what,
        }
    })
}

/// `runs`: it goes on as it is.
async fn start(place: &Place, runs: bool) -> Result<(), CliError> {
    match place.manager {
        Manager::Systemd => {
            place.systemctl_must(&["daemon-reload"]).await?;
            let verb = if runs { &["enable", UNIT][..] } else { &["enable", "--now", UNIT] };
            place.systemctl_must(verb).await?;
        }
        // It would be ended, and what runs in it, before it could be begun anew.
        Manager::Launchd if runs => {}
        Manager::Launchd => {
            let file = place.file.display().to_string();
            // Of a former installation; one that is not there is no mistake.
            ask("launchctl", &["bootout", &target()]).await?;
            ask("launchctl", &["bootstrap", &domain(), &file]).await?.well("launchctl bootstrap")?;
        }
    }
    Ok(())
}

fn domain() -> String {
    format!("gui/{}", rustix::process::getuid().as_raw())
}

fn target() -> String {
    format!("{}/{LABEL}", domain())
}

async fn is_active(place: &Place) -> Result<bool, CliError> {
    Ok(match place.manager {
        Manager::Systemd => place.systemctl(&["is-active", "--quiet", UNIT]).await?.ok,
        Manager::Launchd => ask("launchctl", &["print", &target()]).await?.ok,
    })
}

/// A person's own units end with the last logout, unless somebody has said otherwise.
async fn lingers(context: &Context, place: &Place) -> Result<(), CliError> {
    if place.system || place.manager == Manager::Launchd {
        return Ok(());
    }
    let user = context.environment.user();
    // Without loginctl nobody ends anything at a logout.
    let Ok(asked) = ask("loginctl", &["show-user", &user, "--property=Linger"]).await else { return Ok(()) };
    if asked.out.trim() != "Linger=yes" {
        output::note(&context.say(
            &format!("hint: 注销后也要运行：`loginctl enable-linger {user}`"),
            &format!("hint: to have it run without a login as well: `loginctl enable-linger {user}`"),
        ));
    }
    Ok(())
}

async fn uninstall(context: &Context, place: &Place) -> Result<(), CliError> {
    let is_there = place.file.exists();
    if is_there {
        match place.manager {
            Manager::Systemd => {
                place.needs_manager().await?;
                place.systemctl_must(&["disable", "--now", UNIT]).await?;
            }
            Manager::Launchd => {
                ask("launchctl", &["bootout", &target()]).await?;
            }
        }
        std::fs::remove_file(&place.file).map_err(|error| {
            CliError::new(format!("{} cannot be removed: {error}", place.file.display()))
                .hint("用 sudo 运行", "run it by sudo")
        })?;
        if place.manager == Manager::Systemd {
            place.systemctl_must(&["daemon-reload"]).await?;
        }
    }
    let file = place.file.display();
    output::note(&match is_there {
        true => context.say(
            &format!("服务已停止并移除（{file}）；数据都还在"),
            &format!("the service is stopped and gone ({file}); all data stays"),
        ),
        false => context.say("没有装成服务", "it is not installed as a service"),
    });
    Ok(())
}

/// What `ally service status --json` says.
#[derive(Debug, Serialize)]
struct Report {
    installed: bool,
    file: PathBuf,
    /// In the service manager's words; nothing where there is none.
    state: Option<String>,
    starts_by_itself: Option<bool>,
    restarts: Option<u64>,
    /// What ally told it last.
    says: Option<String>,
    problem: Option<String>,
}

async fn status(context: &Context, place: &Place, json: bool) -> Result<ExitCode, CliError> {
    let report = look(place).await;
    if json {
        output::json(&report)?;
    } else {
        show(context, &report)?;
    }
    Ok(match report.state.as_deref() {
        Some("active") => ExitCode::SUCCESS,
        _ => ExitCode::from(Code::NotRunning as u8),
    })
}

async fn look(place: &Place) -> Report {
    let file = place.file.clone();
    let mut report = Report {
        installed: file.exists(),
        file,
        state: None,
        starts_by_itself: None,
        restarts: None,
        says: None,
        problem: None,
    };
    if let Err(error) = place.needs_manager().await {
        report.problem = Some(error.message);
        return report;
    }
    if place.manager == Manager::Launchd {
        let told = ask("launchctl", &["print", &target()]).await.map(|asked| asked.out).unwrap_or_default();
        report.state = Some(if told.contains("state = running") { "active" } else { "inactive" }.to_owned());
        return report;
    }
    let wanted = "--property=ActiveState,UnitFileState,NRestarts,StatusText";
    match place.systemctl_must(&["show", UNIT, wanted]).await {
        Ok(text) => {
            let value = |key: &str| {
                let line = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
                line.filter(|value| !value.is_empty()).map(str::to_owned)
            };
            report.state = value("ActiveState");
            report.starts_by_itself = Some(value("UnitFileState").as_deref() == Some("enabled"));
            report.restarts = value("NRestarts").and_then(|count| count.parse().ok());
            report.says = value("StatusText");
        }
        Err(error) => report.problem = Some(error.message),
    }
    report
}

fn show(context: &Context, report: &Report) -> Result<(), CliError> {
    let file = report.file.display();
    output::line(&match report.installed {
        true => context.say(&format!("已装成服务：{file}"), &format!("installed: {file}")),
        false => context.say("没有装成服务", "not installed as a service"),
    })?;
    if let Some(state) = &report.state {
        let mut parts = vec![context.say(&format!("状态：{state}"), &format!("state: {state}"))];
        parts.extend(report.starts_by_itself.map(|by_itself| match by_itself {
            true => context.say("自动启动", "starts by itself"),
            false => context.say("不自动启动", "does not start by itself"),
        }));
        parts.extend(
            report
                .restarts
                .filter(|count| *count > 0)
                .map(|count| context.say(&format!("被重启 {count} 次"), &format!("restarted {count} times"))),
        );
        output::line(&parts.join(&context.say("，", ", ")))?;
    }
    if let Some(says) = &report.says {
        output::line(&context.say(&format!("ally 说：{says}"), &format!("ally says: {says}")))?;
    }
    if let Some(problem) = &report.problem {
        output::line(&output::paint(anstyle::AnsiColor::Red, &format!("! {problem}")))?;
    }
    if !report.installed {
        output::note(&context.say("hint: 运行 `ally service install`", "hint: run `ally service install`"));
    }
    Ok(())
}
