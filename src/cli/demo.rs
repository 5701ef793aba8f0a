//! `ally demo`: everything real but the model and the home, which go away at the end.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{ExitCode, Stdio};
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::process::{Child, Command};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::error::{CliError, Code};
use super::output::{self, Progress};
use super::{Context, chat, start};
use crate::config::{Config, Environment, Paths, RuntimeConfig, write_missing, write_private};
use crate::tasks::{OnExit, Tasks};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Send one message, print the answer and leave
    #[arg(long, value_name = "TEXT")]
    say: Option<String>,
    /// Allow what the agent asks for (with --say)
    #[arg(long, requires = "say")]
    yes: bool,
    /// Keep the home for a look at it afterwards
    #[arg(long)]
    keep: bool,
}

/// Hidden: the scripted model alone, for a look at it from outside.
#[derive(Debug, clap::Args)]
pub(super) struct ModelArgs {
    /// Address to listen on; port 0 takes a free one
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,
}

pub(super) async fn model(args: &ModelArgs) -> Result<ExitCode, CliError> {
    let listener = TcpListener::bind(args.listen).await?;
    output::line(&format!("http://{}", listener.local_addr()?))?;
    let cancel = CancellationToken::new();
    tokio::select! {
        served = crate::demo::serve(listener, cancel.clone()) => served?,
        _ = tokio::signal::ctrl_c() => cancel.cancel(),
    }
    Ok(ExitCode::SUCCESS)
}

pub(super) async fn run(context: &Context, args: &Args) -> Result<ExitCode, CliError> {
    let folder = demo_folder(&context.environment)?;
    let home = tempfile::Builder::new().prefix("demo-").tempdir_in(&folder)?;
    let tasks = Tasks::default();
    let ended = in_home(context, args, home.path(), &tasks).await;
    tasks.stop(Duration::from_secs(2)).await;
    if args.keep {
        let kept = home.keep();
        output::note(
            &context.say(&format!("目录留在 {}", kept.display()), &format!("the home is kept: {}", kept.display())),
        );
    }
    ended
}

/// Below the person's own cache: codex does not like a home below the system's temporary folder.
pub(super) fn demo_folder(environment: &Environment) -> Result<PathBuf, CliError> {
    let cache = environment
        .cache_folder()
        .ok_or_else(|| CliError::new("there is no home directory").hint("设置 HOME", "set HOME").code(Code::Config))?;
    let folder = cache.join("ally");
    std::fs::create_dir_all(&folder)?;
    Ok(folder)
}

async fn in_home(context: &Context, args: &Args, home: &Path, tasks: &Tasks) -> Result<ExitCode, CliError> {
    let paths = Paths::of_home(home.to_owned(), context.environment.get("XDG_RUNTIME_DIR").map(Path::new));
    write_missing(&paths)?;
    // Nothing of the person's own settings or credentials comes along.
    write_private(&paths.config, "[feishu]\nenabled = false\n")?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let model = format!("http://{}", listener.local_addr()?);
    tasks.spawn("demo.model", OnExit::LogOnly, |cancel| crate::demo::serve(listener, cancel));

    let kind = runtime_kind(context, &paths).await;
    if kind == "codex" {
        write_private(&paths.codex.join("config.toml"), &crate::demo::codex_config(&format!("{model}/v1")))?;
    }
    let mut daemon = Command::new(std::env::current_exe()?)
        .args(["run", "--with-parent", "--quiet"])
        .env("ALLY_HOME", home)
        // Commands run in login shells: nobody's profile shall decide how the demo goes, nor be changed by it.
        .env("HOME", home)
        .env("ALLY_RUNTIME", kind)
        .env("ALLY_LANG", context.lang.as_str())
        .env_remove("FEISHU_APP_ID")
        .env_remove("FEISHU_APP_SECRET")
        .env_remove("FEISHU_BASE_URL")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .process_group(0)
        .spawn()?;
    let result = tokio::select! {
        // The chat takes a Ctrl-C as "leave".
        biased;
        talked = talk(context, args, &paths, &mut daemon, kind) => talked,
        () = interrupted() => Err(CliError::new("interrupted")),
    };
    end(&mut daemon).await?;
    result
}

async fn talk(
    context: &Context,
    args: &Args,
    paths: &Paths,
    daemon: &mut Child,
    kind: &str,
) -> Result<ExitCode, CliError> {
    wait_ready(context, paths, daemon).await?;
    output::note(&output::dim(
        &context
            .say(&format!("演示：{kind}，剧本模型，没有联网"), &format!("demo: {kind}, scripted model, no network")),
    ));
    chat::in_home(paths, context.lang, &chat::args_for_demo(args.say.clone(), args.yes)).await
}

/// Whatever wants us to end: the home must go, too.
pub(super) async fn interrupted() {
    let mut signals = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()].map(signal);
    let [Ok(int), Ok(term), Ok(hup)] = &mut signals else { return std::future::pending().await };
    tokio::select! {
        _ = int.recv() => {}
        _ = term.recv() => {}
        _ = hup.recv() => {}
    }
}

/// Codex when it can be started, else the runtime inside ally; says which and why.
async fn runtime_kind(context: &Context, paths: &Paths) -> &'static str {
    if context.environment.get("ALLY_RUNTIME") == Some("embedded") {
        return "embedded";
    }
    let config: Result<Config, _> = crate::config::load(&with_home(&context.environment, paths));
    let named = match config.map(|config| config.runtime) {
        Ok(RuntimeConfig::Codex(codex)) => codex.program,
        _ => None,
    };
    let program = named.unwrap_or_else(|| PathBuf::from("codex"));
    let version = Command::new(&program)
        .arg("--version")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .status();
    match tokio::time::timeout(Duration::from_secs(20), version).await {
        Ok(Ok(status)) if status.success() => "codex",
        _ => {
            output::note(&context.say(
                "没有找到 codex（需要 npm，见 README），改用内置运行时",
                "codex was not found (it needs npm, see README); the runtime inside ally is used instead",
            ));
            "embedded"
        }
    }
}

fn with_home(environment: &Environment, paths: &Paths) -> Environment {
    let home = paths.home.display().to_string();
    let mut values = vec![("ALLY_HOME", home.as_str())];
    for key in ["HOME", "PATH", "ALLY_RUNTIME_BIN"] {
        if let Some(value) = environment.get(key) {
            values.push((key, value));
        }
    }
    Environment::of(values)
}

async fn wait_ready(context: &Context, paths: &Paths, daemon: &mut Child) -> Result<(), CliError> {
    let mut progress = Progress::new(context.say("正在准备演示", "preparing the demo"));
    loop {
        if let Some(status) = daemon.try_wait()? {
            return Err(CliError::new(format!("the demo's daemon ended ({status})")).hint(
                "原因在上面；没有的话：`ally demo --keep`，看它的 logs/",
                "the reason stands above; if not: `ally demo --keep`, and look into its logs/",
            ));
        }
        if start::ready(paths).await.is_some() {
            return Ok(());
        }
        if progress.elapsed() > Duration::from_secs(60) {
            return Err(CliError::new("the demo's daemon is not ready after 60 s")
                .code(Code::Temporary)
                .hint("再试一次；`ally demo --keep` 留下 logs/", "try again; `ally demo --keep` keeps its logs/"));
        }
        progress.tick();
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Closing its stdin ends the daemon; then it is killed, but never before its own supervisor has had its whole patience.
async fn end(daemon: &mut Child) -> Result<(), CliError> {
    drop(daemon.stdin.take());
    match tokio::time::timeout(Duration::from_secs(120), daemon.wait()).await {
        Ok(status) => status.map(|_| ()).map_err(Into::into),
        Err(_) => Ok(daemon.kill().await?),
    }
}
