//! What the levels promise, with the real codex: an agent that wants secrets gets none of their bytes.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use ally::bridge::ports::*;
use ally::domain::gate::{Ask, Decision};
use ally::domain::safety::{Outcome, Promise, Tried};
use ally::runtimes::codex::CodexConfig;

use crate::support::runtimes::{Alive, Site, start};
use crate::support::world::{Kind, World};

/// Stands in every file that nobody may read. Cut in two, so that no command line holds it.
const SECRET: [&str; 2] = ["plain-text-of", "-the-secret"];

/// A machine with secrets: a person's home, ally's own files, a project with secrets in it, and somebody else's.
struct Grounds {
    site: Site,
}

impl Grounds {
    async fn new(name: &str) -> Grounds {
        let site = Site::new(name).await;
        for file in [
            "user/.ssh/id_rsa",
            "user/.aws/credentials",
            "user/notes.txt",
            "ally.toml",
            ".env",
            "ledger.db",
            "ledger.db-wal",
            "run/token",
            "other/src/main.rs",
            "work/.env",
            "work/.env.local",
            "work/deep/er/.env",
            "work/key.pem",
            "work/id_ed25519",
            "work/server.key",
            "work/.envs/.production/.postgres",
            "work/.env.d/x",
            "work/sub/.aws/credentials",
        ] {
            let path = site.root.join(file);
            std::fs::create_dir_all(path.parent().expect("a folder")).expect("made");
            std::fs::write(path, SECRET.concat()).expect("written");
        }
        // Exported to every login shell.
        let export = format!("export TOKEN={}\n", SECRET.concat());
        for file in ["user/.profile", "user/.bash_profile", "user/.bashrc"] {
            std::fs::write(site.root.join(file), &export).expect("written");
        }
        std::fs::write(site.work().join(".env.example"), "an example").expect("written");
        // What git ignores is a secret all the same.
        std::fs::write(site.work().join(".gitignore"), ".env*\n").expect("written");
        Grounds { site }
    }

    fn config(&self) -> CodexConfig {
        let root = &self.site.root;
        CodexConfig {
            private: [".env", "ally.toml", "run", "ledger.db"].map(|name| root.join(name)).to_vec(),
            private_families: vec![root.join("ledger.db")],
            ..self.site.codex_config()
        }
    }

    fn posture(&self, level: Level) -> Posture {
        Posture { denied: vec![self.site.root.join("other")], ..Posture::of(level) }
    }

    async fn start(&self) -> Alive {
        start(&*self.site.codex_with(self.config()), 1).await.expect("codex starts")
    }

    async fn open(&self, alive: &Alive, posture: &Posture) -> ally::domain::ids::ThreadId {
        let how = Open { thread: None, directory: self.site.work(), posture: posture.clone() };
        alive.runtime.open(&how).await.expect("a thread")
    }

    /// The `TMPDIR` of the commands.
    fn temp(&self) -> PathBuf {
        self.site.temp()
    }

    /// All that the commands wrote into the folder for it, which is the one place that every level may write to.
    fn told(&self) -> String {
        let told: PathBuf = self.temp().join("told");
        let text = std::fs::read_to_string(&told).unwrap_or_default();
        let _ = std::fs::remove_file(told);
        text
    }
}

/// Reads everything that must not be read, and something that may, to the end.
fn greedy(root: &Path) -> String {
    let root = root.display();
    format!(
        "(cat ~/.ssh/id_rsa ~/.aws/credentials {root}/ally.toml {root}/.env {root}/ledger.db {root}/ledger.db-wal \
         {root}/run/token {root}/other/src/main.rs .env .env.local deep/er/.env key.pem id_ed25519 server.key \
         .envs/.production/.postgres .env.d/x sub/.aws/credentials .env.example; env; \
         cat /proc/*/environ | tr '\\0' '\\n'; cp -r . $TMPDIR/copy; grep -r secret $TMPDIR/copy; echo end) > $TMPDIR/told 2>&1"
    )
}

/// Says whether the network is there: a connection to the model.
fn reach(site: &Site) -> String {
    let address = site.model.trim_start_matches("http://").trim_end_matches("/v1");
    let (host, port) = address.split_once(':').expect("an address");
    format!("[[shell (exec 3<>/dev/tcp/{host}/{port}) 2> /dev/null && echo yes > $TMPDIR/told; true]]")
}

/// One turn in which every gate is answered with yes; gives what was asked.
async fn play(alive: &mut Alive, thread: &ally::domain::ids::ThreadId, posture: &Posture, text: &str) -> Vec<Ask> {
    let client = format!("{}.1", uuid::Uuid::now_v7());
    let submit = Submit {
        thread: thread.clone(),
        client: ally::domain::ids::ClientId::new(&client),
        input: Prompt { text: text.to_owned(), ..Prompt::default() },
        model: None,
        effort: None,
        has_planned: false,
        posture: posture.clone(),
    };
    alive.runtime.submit(&submit).await.expect("taken");
    let mut asked = Vec::new();
    loop {
        let next = alive.until("gate or end", |fact| match fact {
            Fact::GateOpened(gate) => Some(Some((**gate).clone())),
            Fact::TurnEnded { .. } => Some(None),
            _ => None,
        });
        let Some(gate) = next.await else { return asked };
        alive.answer(thread, &gate, Decision::Allow).await;
        asked.push(gate.ask);
    }
}

#[tokio::test]
async fn no_level_gives_a_byte_of_a_secret_away() {
    let grounds = Grounds::new("secrets").await;
    let mut alive = grounds.start().await;
    let root = grounds.site.root.clone();
    for level in Level::ALL {
        for network in [false, true] {
            let posture = Posture { network, ..grounds.posture(level) };
            let thread = grounds.open(&alive, &posture).await;
            for wish in ["shell", "escalate"] {
                let text = format!("[[{wish} {}]]", greedy(&root));
                let asked = play(&mut alive, &thread, &posture, &text).await;
                let told = grounds.told();
                assert!(told.ends_with("end\n"), "{level:?} {wish}: it ran to its end: {told}");
                assert!(told.contains("an example"), "{level:?} {wish}: {told}");
                for secret in [&SECRET.concat(), "planted"] {
                    assert!(!told.contains(secret), "{level:?} {wish} gave {secret} away: {told}");
                }
                let want = usize::from(wish == "escalate" || level == Level::Ask);
                assert_eq!(asked.len(), want, "{level:?} {wish}: {asked:?}");
            }
            let _ = std::fs::remove_dir_all(grounds.temp().join("copy"));
        }
    }
    alive.runtime.shutdown().await;
}

#[tokio::test]
async fn each_level_writes_where_it_may() {
    let grounds = Grounds::new("writes").await;
    let mut alive = grounds.start().await;
    for (level, project) in [(Level::Ask, true), (Level::Safe, false), (Level::Edit, true), (Level::Trusted, true)] {
        let posture = grounds.posture(level);
        let thread = grounds.open(&alive, &posture).await;
        let file = grounds.site.work().join("made");
        let text = "[[shell touch made; touch ../made; touch .git/x .codex/x; touch $TMPDIR/told; cat ~/notes.txt]]";
        play(&mut alive, &thread, &posture, text).await;
        assert_eq!(file.exists(), project, "{level:?}");
        assert!(!grounds.site.root.join("made").exists(), "{level:?}");
        assert!(grounds.temp().join("told").exists(), "{level:?}");
        grounds.told();
        let _ = std::fs::remove_file(file);
    }
    alive.runtime.shutdown().await;
}

/// Each directory has temporary files of its own. What else ally sets for commands stays.
#[tokio::test]
async fn temporary_files_are_of_one_directory() {
    let grounds = Grounds::new("temp").await;
    let mut alive = grounds.start().await;
    let posture = grounds.posture(Level::Safe);
    let thread = grounds.open(&alive, &posture).await;
    play(&mut alive, &thread, &posture, "[[shell env > $TMPDIR/told]]").await;
    let told = grounds.told();
    for set in [format!("TMPDIR={}", grounds.temp().display()), "SHLVL=2".to_owned()] {
        assert!(told.lines().any(|line| line == set), "{set}: {told}");
    }
    assert!(told.contains("ALLY_GENERATION="), "the mark of the process: {told}");

    std::fs::write(grounds.temp().join("note"), SECRET.concat()).expect("written");
    let elsewhere = grounds.site.root.join("elsewhere");
    std::fs::create_dir(&elsewhere).expect("made");
    let how = Open { thread: None, directory: elsewhere.clone(), posture: posture.clone() };
    let thread = alive.runtime.open(&how).await.expect("a thread");
    let note = grounds.temp().join("note").display().to_string();
    for wish in ["shell", "escalate"] {
        let text =
            format!("[[{wish} (cat {note} || cat {}/../*/note; echo end) > $TMPDIR/told]]", grounds.temp().display());
        play(&mut alive, &thread, &posture, &text).await;
        let told = ally::runtimes::codex::temp_of(&grounds.site.root.join("tmp"), &elsewhere).join("told");
        assert_eq!(std::fs::read_to_string(told).expect("told"), "end\n", "{wish}");
    }
    alive.runtime.shutdown().await;
}

/// The next turn says its own posture; nothing of the one before is left.
#[tokio::test]
async fn level_and_network_are_those_of_the_turn() {
    let grounds = Grounds::new("turns").await;
    let mut alive = grounds.start().await;
    let edit = grounds.posture(Level::Edit);
    let thread = grounds.open(&alive, &edit).await;
    let reach = format!("{} [[shell touch made]]", reach(&grounds.site));
    let made = grounds.site.work().join("made");
    for (level, network, reaches, writes) in [
        (Level::Edit, false, false, true),
        (Level::Edit, true, true, true),
        (Level::Edit, false, false, true),
        (Level::Trusted, false, true, true),
        (Level::Safe, false, false, false),
        (Level::Safe, true, true, false),
        (Level::Ask, false, false, true),
    ] {
        let posture = Posture { level, network, ..edit.clone() };
        play(&mut alive, &thread, &posture, &reach).await;
        let got = (grounds.told() == "yes\n", made.exists());
        assert_eq!(got, (reaches, writes), "{level:?} network {network}");
        let _ = std::fs::remove_file(&made);
    }
    alive.runtime.shutdown().await;
}

/// The other way to the network: the agent asks for it. A granted request ends with its turn and opens nothing denied.
#[tokio::test]
async fn a_granted_permission_is_for_the_task_and_opens_no_secret() {
    let grounds = Grounds::new("permit").await;
    let mut alive = grounds.start().await;
    let root = grounds.site.root.display().to_string();
    for level in [Level::Safe, Level::Edit] {
        let posture = grounds.posture(level);
        let thread = grounds.open(&alive, &posture).await;
        let reach = reach(&grounds.site);
        let asked = play(&mut alive, &thread, &posture, &format!("[[permit network]] {reach}")).await;
        assert!(matches!(&asked[..], [Ask::Permissions { network_only: true, .. }]), "{asked:?}");
        assert_eq!(grounds.told(), "yes\n", "{level:?}");
        play(&mut alive, &thread, &posture, &reach).await;
        assert_eq!(grounds.told(), "", "{level:?}: gone with the task");

        let wishes = ["user/.ssh", "work/.env", "other", ".env"].map(|path| format!("[[permit read {root}/{path}]]"));
        let greedy = greedy(&grounds.site.root);
        let text = format!("{} [[shell {greedy}]]", wishes.join(" "));
        let asked = play(&mut alive, &thread, &posture, &text).await;
        assert_eq!(asked.len(), wishes.len(), "{asked:?}");
        let told = grounds.told();
        assert!(told.ends_with("end\n") && !told.contains(&SECRET.concat()), "{level:?}: {told}");
        let text = format!("[[permit write {root}/user]] [[escalate {greedy}]]");
        play(&mut alive, &thread, &posture, &text).await;
        let told = grounds.told();
        assert!(told.ends_with("end\n") && !told.contains(&SECRET.concat()), "{level:?}: {told}");
        let _ = std::fs::remove_dir_all(grounds.temp().join("copy"));
    }
    alive.runtime.shutdown().await;
}

/// Codex restores no profile by itself, and a loaded thread keeps the one that it has.
#[tokio::test]
async fn a_posture_survives_resume_and_fork_and_changes_with_the_next_open() {
    let grounds = Grounds::new("kept").await;
    let launcher = grounds.site.codex_with(grounds.config());
    let edit = grounds.posture(Level::Edit);
    let text = format!("[[escalate {}]]", greedy(&grounds.site.root));
    let first = start(&*launcher, 1).await.expect("codex starts");
    let mut alive = first;
    let thread = grounds.open(&alive, &edit).await;
    play(&mut alive, &thread, &edit, &text).await;
    assert!(!grounds.told().contains(&SECRET.concat()));
    alive.runtime.shutdown().await;

    let mut alive = start(&*launcher, 2).await.expect("codex starts again");
    let how = Open { thread: Some(thread.clone()), directory: grounds.site.work(), posture: edit.clone() };
    assert_eq!(alive.runtime.open(&how).await, Ok(thread.clone()));
    play(&mut alive, &thread, &edit, &text).await;
    assert!(!grounds.told().contains(&SECRET.concat()), "after a resume");
    let how = Fork { thread: thread.clone(), directory: grounds.site.work(), posture: edit.clone() };
    let fork = alive.runtime.fork(&how).await.expect("a copy");
    play(&mut alive, &fork, &edit, &text).await;
    assert!(!grounds.told().contains(&SECRET.concat()), "in a fork");

    // A project that was bound since then.
    let late = grounds.site.root.join("late");
    std::fs::create_dir(&late).expect("made");
    std::fs::write(late.join("x"), SECRET.concat()).expect("written");
    let read = format!("[[escalate cat {}/x > $TMPDIR/told]]", late.display());
    play(&mut alive, &thread, &edit, &read).await;
    assert_eq!(grounds.told(), SECRET.concat(), "denied is what was named");
    let mut posture = edit.clone();
    posture.denied.push(late);
    assert!(!edit.serves(&posture));
    let how = Open { thread: Some(thread.clone()), directory: grounds.site.work(), posture: posture.clone() };
    assert_eq!(alive.runtime.open(&how).await, Ok(thread.clone()));
    play(&mut alive, &thread, &posture, &read).await;
    assert_eq!(grounds.told(), "");
    alive.runtime.shutdown().await;
}

/// Starting a thread would mark its project as trusted, and trusted projects start programs outside of any sandbox.
#[tokio::test]
async fn a_projects_own_codex_configuration_starts_nothing() {
    let grounds = Grounds::new("distrust").await;
    let work = grounds.site.work();
    std::fs::create_dir(work.join(".codex")).expect("made");
    let mark = grounds.site.root.join("evil");
    let server = format!(
        "[mcp_servers.evil]\ncommand = \"/bin/sh\"\nargs = [\"-c\", \"touch {0}\"]\nstartup_timeout_sec = 2\n",
        mark.display()
    );
    std::fs::write(work.join(".codex/config.toml"), server).expect("written");
    let mut alive = grounds.start().await;
    let posture = grounds.posture(Level::Edit);
    let thread = grounds.open(&alive, &posture).await;
    play(&mut alive, &thread, &posture, "[[shell true]]").await;
    let config = std::fs::read_to_string(grounds.site.root.join("codex/config.toml")).expect("a configuration");
    assert!(!config.contains("trust_level"), "{config}");
    alive.runtime.shutdown().await;
    assert!(!mark.exists());
}

/// A patch may put a file elsewhere: that place is asked about as well.
#[tokio::test]
async fn a_move_is_asked_about_by_where_it_goes() {
    let grounds = Grounds::new("moves").await;
    let mut alive = grounds.start().await;
    std::fs::write(grounds.site.work().join("a.txt"), "old\n").expect("written");
    let posture = grounds.posture(Level::Safe);
    let thread = grounds.open(&alive, &posture).await;
    let patch = "*** Begin Patch\n*** Update File: a.txt\n*** Move to: src/b.txt\n@@\n-old\n+new\n*** End Patch";
    let asked = play(&mut alive, &thread, &posture, &format!("[[shell apply_patch <<'END'\n{patch}\nEND\n]]")).await;
    let [Ask::FileChange { changes, .. }] = &asked[..] else { panic!("{asked:?}") };
    let shown: Vec<_> = changes.iter().map(|change| (change.kind.as_str(), change.path.as_str())).collect();
    let work = grounds.site.work();
    let of = |name: &str| work.join(name).display().to_string();
    assert_eq!(shown, [("update", of("a.txt").as_str()), ("move", of("src/b.txt").as_str())]);
    assert!(grounds.site.work().join("src/b.txt").exists());
    alive.runtime.shutdown().await;
}

/// With a network every unix socket that is seen can be spoken to, and what listens there runs outside of the sandbox.
#[tokio::test]
async fn no_socket_of_others_is_reached_with_the_network() {
    let grounds = Grounds::new("sockets").await;
    let mut alive = grounds.start().await;
    // As tmux, ssh-agent and a chat of another project do, and one of the project's own.
    let shared = tempfile::Builder::new().prefix("ally-").tempdir_in("/tmp").expect("a folder");
    std::fs::create_dir_all(grounds.site.root.join("tmp/of/other")).expect("made");
    let sockets = [
        shared.path().join("default"),
        grounds.site.root.join("user/.ssh/agent"),
        grounds.site.root.join("tmp/of/other/s"),
        grounds.site.root.join("tmp/s"),
        grounds.site.work().join("own"),
    ];
    let _listening = sockets.each_ref().map(|path| std::os::unix::net::UnixListener::bind(path).expect("a socket"));
    let connect = "perl -MIO::Socket::UNIX -e 'for (@ARGV) { print \"$_\\n\" if IO::Socket::UNIX->new($_) }'";
    let paths = sockets.each_ref().map(|path| path.display().to_string());
    for (level, network) in [(Level::Trusted, false), (Level::Edit, true), (Level::Safe, true)] {
        let posture = Posture { network, ..grounds.posture(level) };
        let thread = grounds.open(&alive, &posture).await;
        let text = format!("[[shell {connect} {} > $TMPDIR/told; touch /tmp/ally-was-here]]", paths.join(" "));
        play(&mut alive, &thread, &posture, &text).await;
        assert_eq!(grounds.told().trim(), paths[4], "{level:?}");
        assert!(!Path::new("/tmp/ally-was-here").exists());
    }
    alive.runtime.shutdown().await;
}

fn outcome(tried: &[Tried], promise: Promise) -> &Outcome {
    &tried.iter().find(|tried| tried.promise == promise).expect("tried").outcome
}

/// Notes what comes into a folder, however soon it goes again.
struct Watched {
    over: Arc<AtomicBool>,
    seen: JoinHandle<BTreeSet<OsString>>,
}

impl Watched {
    fn begin(folder: &Path) -> Self {
        let (folder, over) = (folder.to_owned(), Arc::new(AtomicBool::new(false)));
        let names = move || std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().file_name());
        let before: BTreeSet<OsString> = names().collect();
        let ends = Arc::clone(&over);
        let watch = move || {
            let mut seen = BTreeSet::new();
            while !ends.load(Ordering::Relaxed) {
                seen.extend(names().filter(|name| !before.contains(name)));
                std::thread::sleep(Duration::from_millis(1));
            }
            seen
        };
        Self { over, seen: std::thread::spawn(watch) }
    }

    fn end(self) -> BTreeSet<OsString> {
        self.over.store(true, Ordering::Relaxed);
        self.seen.join().unwrap()
    }
}

#[tokio::test]
async fn the_probe_finds_that_everything_holds() {
    let grounds = Grounds::new("probe").await;
    let root = grounds.site.root.clone();
    let probe = Probe { folder: root.join("probe"), denied: vec![root.join("other")] };
    let project = Watched::begin(&root.join("other"));
    // Also when the project has a folder for its temporary files, as it has from then on.
    for time in ["first", "second"] {
        let tried = grounds.site.codex_with(grounds.config()).probe(&probe).await;
        for promise in Promise::ALL {
            assert_eq!(outcome(&tried, promise), &Outcome::Held, "{promise:?} the {time} time");
        }
    }
    assert_eq!(project.end(), BTreeSet::new(), "somebody may work there just now");
    assert!(!probe.folder.exists());
}

#[tokio::test]
async fn the_probe_finds_what_does_not_hold() {
    let grounds = Grounds::new("probed").await;
    let root = grounds.site.root.clone();
    let probe = Probe { folder: root.join("probe"), denied: vec![root.join("other")] };
    let of = |sandbox: &str| CodexConfig { sandbox: Some(sandbox.to_owned()), ..grounds.config() };
    let tried = grounds.site.codex_with(of("danger-full-access")).probe(&probe).await;
    for promise in
        [Promise::Secrets, Promise::Private, Promise::Others, Promise::Writes, Promise::Network, Promise::Sockets]
    {
        assert!(matches!(outcome(&tried, promise), Outcome::NotHeld { .. }), "{promise:?}: {tried:?}");
    }
    let Outcome::NotHeld { what } = outcome(&tried, Promise::Sockets) else { unreachable!() };
    assert!(what.iter().any(|path| path.starts_with("/tmp/")), "{what:?}");
    let Outcome::NotHeld { what } = outcome(&tried, Promise::Private) else { unreachable!() };
    for secret in ["user/.ssh", "ally.toml", "ledger.db-wal"] {
        assert!(what.iter().any(|path| path.ends_with(secret)), "{secret}: {what:?}");
    }
    let tried = grounds.site.codex_with(of("workspace-write")).probe(&probe).await;
    assert_eq!(outcome(&tried, Promise::Network), &Outcome::Held);
    assert!(matches!(outcome(&tried, Promise::Secrets), Outcome::NotHeld { .. }));

    // Without a program nothing is proven, and nothing is installed.
    let nowhere = CodexConfig { runtimes_dir: root.join("nothing"), ..grounds.config() };
    let tried = grounds.site.codex_with(nowhere).probe(&probe).await;
    assert!(tried.iter().all(|tried| matches!(tried.outcome, Outcome::Unknown { .. })), "{tried:?}");
    assert!(!root.join("nothing").exists());
}

/// A command that lacks its tools gets nothing either, and that proves nothing.
#[tokio::test]
async fn a_probe_without_tools_proves_nothing() {
    let grounds = Grounds::new("toolless").await;
    let root = grounds.site.root.clone();
    std::fs::create_dir(root.join("bin")).expect("made");
    let probe = Probe { folder: root.join("probe"), denied: vec![root.join("other")] };
    let mut config = grounds.config();
    config.env.retain(|(name, _)| name != "PATH");
    config.env.push(("PATH".into(), root.join("bin").into()));
    config.args.extend(["-c".to_owned(), format!("shell_environment_policy.set.PATH={:?}", root.join("bin"))]);
    let tried = grounds.site.codex_with(config).probe(&probe).await;
    for promise in [Promise::Secrets, Promise::Private, Promise::Others, Promise::Writes, Promise::Environment] {
        assert!(matches!(outcome(&tried, promise), Outcome::Unknown { .. }), "{promise:?}: {tried:?}");
    }
}

/// Told by the daemon, and by the doctor, with a code of its own.
#[tokio::test]
async fn a_sandbox_that_does_not_hold_is_told() {
    let mut world = World::prepare(Kind::Codex, "[runtime.codex]\nsandbox = \"danger-full-access\"\n").await;
    let doctor = |world: &World, args: &[&str]| {
        let output = world.ally(&[&["doctor", "security"], args].concat()).output().expect("ally runs");
        (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let (code, told) = doctor(&world, &["--json"]);
    let report: serde_json::Value = serde_json::from_str(&told).expect("JSON");
    assert_eq!(code, Some(77), "{told}");
    assert_eq!(report["tried"][1]["promise"], "secrets");
    assert_eq!(report["tried"][1]["outcome"], "not_held");
    assert!(report["warnings"][0].as_str().is_some_and(|text| text.contains("levels do not")), "{told}");
    let (_, told) = doctor(&world, &[]);
    assert!(told.contains("✕ secrets in a project cannot be read: this does not hold"), "{told}");
    assert!(!world.home.path().join("ally/probe/doctor").exists());

    world.up().await;
    world
        .wait("a warning about the sandbox", |world| {
            let status = world.status()?;
            let warnings: Vec<&str> = status["warnings"].as_array()?.iter().filter_map(|text| text.as_str()).collect();
            let of_network = |text: &&str| text.contains("there is no network without a grant");
            (warnings.iter().any(of_network) && warnings.iter().any(|text| text.contains("levels do not")))
                .then_some(())
        })
        .await;
    world.down().await;

    let file = world.home.path().join("ally/ally.toml");
    let settings = std::fs::read_to_string(&file).expect("settings");
    std::fs::write(&file, settings.replace("sandbox = ", "# sandbox = ")).expect("written");
    let (code, told) = doctor(&world, &[]);
    assert_eq!((code, told.matches('✓').count()), (Some(0), 8), "{told}");
}
