//! The binary as a person calls it. Each test has a home of its own and leaves nothing behind.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Output;

use assert_cmd::Command;

mod ledger;
mod numbers;
mod service;

/// A home of its own; its daemon, if one was started, ends with it.
struct Home {
    folder: tempfile::TempDir,
}

impl Home {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join("home").join(name)
    }

    fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ally"));
        command
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("HOME", self.folder.path())
            .env("ALLY_HOME", self.folder.path().join("home"))
            .env("ALLY_RUNTIME", "embedded")
            .timeout(std::time::Duration::from_secs(60));
        command
    }

    fn ally(&self, args: &[&str]) -> Output {
        self.command().args(args).output().unwrap()
    }

    fn supervisor(&self) -> String {
        let lock = fs::read_to_string(self.path("run/supervisor.lock")).unwrap();
        lock.lines().next().unwrap().to_owned()
    }

    /// Writes a file of mode 0600 into the home.
    fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        if self.path("run/supervisor.lock").exists() {
            let _ = self.command().args(["stop", "--now"]).output();
        }
    }
}

#[track_caller]
fn check(output: &Output, code: i32, stdout: &[&str], stderr: &[&str]) {
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(code), "stdout:\n{out}\nstderr:\n{err}");
    for want in stdout {
        assert!(out.contains(want), "{want:?} is missing in stdout:\n{out}");
    }
    for want in stderr {
        assert!(err.contains(want), "{want:?} is missing in stderr:\n{err}");
    }
}

#[test]
fn help_lists_the_verbs_and_the_exit_codes() {
    let verbs =
        ["start", "stop", "restart", "run", "status", "logs", "chat", "turns", "pair", "doctor", "demo", "version"];
    let output = Home::new().ally(&["--help"]);
    check(&output, 0, &verbs, &[]);
    check(&output, 0, &["Exit codes:", "78"], &[]);
    assert!(!String::from_utf8_lossy(&output.stdout).contains("demo-model"), "hidden");
    check(&Home::new().ally(&["strat"]), 2, &[], &["start"]);
}

#[test]
fn version_is_told_to_programs() {
    let output = Home::new().ally(&["version", "--json"]);
    let value: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(value["version"], env!("CARGO_PKG_VERSION"));
}

#[test]
fn all_problems_of_the_configuration_come_together() {
    let home = Home::new();
    home.write("ally.toml", "lang = \"fr\"\n\n[turn]\nidle_timout = \"3m\"\ngrace = 5\n\n[feishu]\nenabled = true\n");
    home.write(".env", "FEISHU_APP_ID=cli_1\n");
    let output = home.ally(&["start"]);
    check(
        &output,
        78,
        &[],
        &[
            "4 problems",
            "ally.toml:1: lang",
            "ally.toml:4: turn.idle_timout",
            "did you mean `turn.idle_timeout`",
            "ally.toml:5: turn.grace",
            "FEISHU_APP_SECRET: is missing",
        ],
    );
    check(&home.ally(&["run"]), 78, &[], &["4 problems"]);
}

#[test]
fn credentials_that_others_can_read_are_refused() {
    let home = Home::new();
    home.write(".env", "FEISHU_APP_ID=cli_1\nFEISHU_APP_SECRET=planted-secret\n");
    fs::set_permissions(home.path(".env"), fs::Permissions::from_mode(0o644)).unwrap();
    let output = home.ally(&["start"]);
    check(&output, 78, &[], &["others can read it", "chmod 600"]);
    assert!(!String::from_utf8_lossy(&output.stderr).contains("planted-secret"));
}

#[test]
fn status_works_without_a_daemon() {
    let home = Home::new();
    check(&home.ally(&["status"]), 69, &["stopped"], &["ally start"]);
    let output = home.ally(&["status", "--json"]);
    check(&output, 69, &[], &[]);
    let value: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(value["state"], "stopped");
    assert!(!home.path("").exists(), "looking makes nothing");
}

#[test]
fn commands_that_need_the_daemon_say_how_to_start_it() {
    let home = Home::new();
    for args in [&["chat", "--say", "hi"][..], &["turns"], &["pair"]] {
        check(&home.ally(args), 69, &[], &["error: ally is not running", "hint: run `ally start`"]);
    }
    let chinese = home.command().env("ALLY_LANG", "zh").arg("turns").output().unwrap();
    check(&chinese, 69, &[], &["hint: 运行 `ally start`"]);
    check(&home.ally(&["stop"]), 0, &[], &["not running"]);
}

#[test]
fn the_daemon_starts_restarts_and_ends_without_a_trace() {
    let home = Home::new();
    check(&home.ally(&["start"]), 0, &[], &["ally is running"]);
    for (name, mode) in [("", 0o700), ("ally.toml", 0o600), (".env", 0o600), ("run/token", 0o600), ("run", 0o700)] {
        let found = fs::metadata(home.path(name)).unwrap().permissions().mode() & 0o777;
        assert_eq!(found, mode, "{name}");
    }
    check(&home.ally(&["start"]), 0, &[], &["already running"]);
    check(&home.ally(&["run"]), 75, &[], &["another ally", "ally stop"]);
    check(&home.ally(&["status"]), 0, &["running"], &[]);
    check(&home.ally(&["restart"]), 0, &[], &["ally is restarted"]);
    check(&home.ally(&["restart", "--all"]), 0, &[], &["ally has stopped", "ally is running"]);
    check(&home.ally(&["logs", "-n", "100"]), 0, &["The bridge is ready"], &[]);
    check(&home.ally(&["stop"]), 0, &[], &["ally has stopped"]);
    check(&home.ally(&["status"]), 69, &["stopped"], &[]);
    assert!(!home.path("run/control.sock").exists() && !home.path("run/bridge.pid").exists());
}

/// An earlier ally ends by the signal that has this one's supervisor replace its bridge.
#[test]
fn a_restart_from_a_version_that_cannot_hand_over_starts_all_of_it_anew() {
    let home = Home::new();
    check(&home.ally(&["start"]), 0, &[], &[]);
    check(&home.ally(&["stop"]), 0, &[], &[]);
    let lock = home.path("run/supervisor.lock");
    let held = fs::OpenOptions::new().read(true).write(true).open(&lock).unwrap();
    held.lock().unwrap();
    // Whoever has the open file holds the lock.
    let mut earlier = std::process::Command::new("sleep").arg("300").stdin(held).spawn().unwrap();
    fs::write(&lock, format!("{}\nholds 0\n", earlier.id())).unwrap();
    check(&home.ally(&["restart"]), 0, &[], &["started anew", "ally has stopped", "ally is running"]);
    earlier.wait().unwrap();
    check(&home.ally(&["restart"]), 0, &[], &["ally is restarted"]);
}

#[test]
fn a_bridge_that_dies_is_started_again() {
    let home = Home::new();
    check(&home.ally(&["start"]), 0, &[], &[]);
    let bridge = || {
        let note = fs::read_to_string(home.path("run/bridge.pid")).ok()?;
        note.split_whitespace().next().map(str::to_owned)
    };
    let first = bridge().unwrap();
    assert!(std::process::Command::new("kill").args(["-KILL", &first]).status().unwrap().success());
    let until = std::time::Instant::now() + std::time::Duration::from_secs(20);
    while bridge().is_none_or(|pid| pid == first) || home.ally(&["status"]).status.code() != Some(0) {
        assert!(std::time::Instant::now() < until, "the bridge did not come back");
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    check(&home.ally(&["logs"]), 0, &["The bridge died"], &[]);
}

#[test]
fn a_bridge_that_hangs_is_killed() {
    let home = Home::new();
    check(&home.ally(&["start"]), 0, &[], &[]);
    let note = fs::read_to_string(home.path("run/bridge.pid")).unwrap();
    let first = note.split_whitespace().next().unwrap().to_owned();
    assert!(std::process::Command::new("kill").args(["-STOP", &first]).status().unwrap().success());
    let until = std::time::Instant::now() + std::time::Duration::from_secs(40);
    loop {
        // Three heartbeats of five seconds.
        std::thread::sleep(std::time::Duration::from_millis(500));
        let now = fs::read_to_string(home.path("run/bridge.pid")).unwrap_or_default();
        if !now.is_empty() && now != note {
            break;
        }
        assert!(std::time::Instant::now() < until, "the supervisor waits for ever");
    }
    check(&home.ally(&["logs"]), 0, &["silent for three heartbeats"], &[]);
}

/// First the supervisor wakes and then the bridge, so that no beat is there when the supervisor looks.
#[test]
fn a_pause_of_all_kills_nobody() {
    let home = Home::new();
    check(&home.ally(&["start"]), 0, &[], &[]);
    let note = fs::read_to_string(home.path("run/bridge.pid")).unwrap();
    let bridge = note.split_whitespace().next().unwrap().to_owned();
    let supervisor = home.supervisor();
    let send = |signal: &str, pid: &str| {
        assert!(std::process::Command::new("kill").args([signal, pid]).status().unwrap().success());
    };
    send("-STOP", &supervisor);
    send("-STOP", &bridge);
    // Longer than the three heartbeats after which a silent bridge is killed.
    std::thread::sleep(std::time::Duration::from_secs(17));
    send("-CONT", &supervisor);
    let until = std::time::Instant::now() + std::time::Duration::from_secs(20);
    loop {
        let log = String::from_utf8_lossy(&home.ally(&["logs"]).stdout).into_owned();
        assert!(!log.contains("silent for three heartbeats"), "{log}");
        if log.contains("ally was paused") {
            break;
        }
        assert!(std::time::Instant::now() < until, "{log}");
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    send("-CONT", &bridge);
    check(&home.ally(&["status"]), 0, &["running", &format!("bridge {bridge}")], &[]);
    assert_eq!(fs::read_to_string(home.path("run/bridge.pid")).unwrap(), note);
}

#[test]
fn a_daemon_that_keeps_dying_is_told_as_such() {
    let home = Home::new();
    home.write("run/ledger.lock", "");
    let held = fs::File::options().read(true).write(true).open(home.path("run/ledger.lock")).unwrap();
    held.try_lock().unwrap();
    check(&home.ally(&["start", "--timeout", "2s"]), 75, &[], &["not ready", "error: another ", "hint: "]);
    let until = std::time::Instant::now() + std::time::Duration::from_secs(20);
    while !home.path("run/crashes.json").exists() {
        assert!(std::time::Instant::now() < until, "no death is written down");
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    let logs = home.path("logs").display().to_string();
    check(&home.ally(&["status"]), 70, &["failing", "exit status: 74", &logs, "ally logs"], &[]);
    let status: serde_json::Value = serde_json::from_slice(&home.ally(&["status", "--json"]).stdout).unwrap();
    assert!(status["state"] == "failing" && status["crashes"]["count"].as_u64() > Some(0), "{status}");
    check(&home.ally(&["start"]), 70, &[], &["failing", "exit status: 74", "ally restart"]);
    check(&home.ally(&["stop"]), 0, &[], &["ally has stopped"]);
    check(&home.ally(&["status"]), 69, &["stopped"], &["ally start"]);
}

#[test]
fn an_app_that_another_home_holds_is_told_in_the_terminal() {
    let home = Home::new();
    let cache = home.folder.path().join("cache");
    fs::create_dir_all(cache.join("ally")).unwrap();
    let _held = ally::supervisor::Lock::take(&cache.join("ally/cli_a1.lock")).unwrap();
    home.write(".env", "FEISHU_APP_ID=cli_a1\nFEISHU_APP_SECRET=s\nFEISHU_BASE_URL=http://127.0.0.1:9\n");
    for verb in ["start", "run"] {
        let told = home.command().env("XDG_CACHE_HOME", &cache).arg(verb).output().unwrap();
        let pid = format!("pid {}", std::process::id());
        check(&told, 75, &[], &["cli_a1 is connected from another home", &pid, "hint: stop the other one"]);
        let text = String::from_utf8_lossy(&told.stderr).into_owned();
        assert!(text.find("error: the Feishu app") < text.find("hint: stop the other"), "{text}");
    }
}

#[test]
fn what_others_wrote_cannot_paint_the_terminal() {
    let home = Home::new();
    check(&home.ally(&["start"]), 0, &[], &[]);
    let hostile = "\u{1b}]0;owned\u{7}\u{9b}2J\u{202e} [[say hi\u{1b}[2J]]";
    check(&home.ally(&["chat", "--say", hostile]), 0, &["hi⟦U+001B⟧[2J"], &[]);
    let turns: serde_json::Value = serde_json::from_slice(&home.ally(&["turns", "--json"]).stdout).unwrap();
    assert!(turns[0]["title"].as_str().is_some_and(|title| title.contains('\u{1b}')), "raw for programs: {turns}");
    let id = turns[0]["id"].as_str().unwrap().to_owned();
    home.write("logs/ally.2999-01-01.log", "{\"message\":\"\u{9b}2J\"}\n\u{1b}[2J no json\n");
    for args in [&["turns"][..], &["turns", "show", &id], &["status"], &["logs"]] {
        let output = home.ally(args);
        check(&output, 0, &[], &[]);
        let text = String::from_utf8(output.stdout).unwrap();
        let bad: Vec<char> = text.chars().filter(|c| (c.is_control() && *c != '\n') || *c == '\u{202e}').collect();
        assert!(bad.is_empty(), "{args:?}: {bad:?} in {text:?}");
    }
    check(&home.ally(&["turns"]), 0, &["⟦U+001B⟧]0;owned"], &[]);
}

#[test]
fn a_pipe_learns_that_its_task_failed() {
    let home = Home::new();
    check(&home.ally(&["start"]), 0, &[], &[]);
    let piped = |text: &str| home.command().arg("chat").write_stdin(text.to_owned()).output().unwrap();
    check(&piped("[[say fine]]\n"), 0, &["fine"], &[]);
    check(&piped("[[fail 500]]\n"), 1, &[], &["did not finish", "ally turns"]);
}

#[test]
fn the_language_of_the_settings_is_the_commands() {
    let home = Home::new();
    // Also where something else is wrong in there.
    home.write("ally.toml", "lang = \"zh\"\n[turn]\ngrace = 5\n");
    check(&home.ally(&["stop"]), 0, &[], &["没有在运行"]);
    let english = home.command().env("ALLY_LANG", "en").arg("stop").output().unwrap();
    check(&english, 0, &[], &["not running"]);
}

#[test]
fn a_torn_log_is_shown_as_far_as_it_goes() {
    let home = Home::new();
    home.write("logs/ally.2026-01-01.log", "");
    fs::write(home.path("logs/ally.2026-01-01.log"), b"\xff\xfe torn\n{\"message\":\"whole\"}\n").unwrap();
    check(&home.ally(&["logs"]), 0, &["torn", "whole"], &[]);
}

#[test]
fn a_daemon_that_hangs_is_told_as_such() {
    let home = Home::new();
    check(&home.ally(&["start"]), 0, &[], &[]);
    let note = fs::read_to_string(home.path("run/bridge.pid")).unwrap();
    let bridge = note.split_whitespace().next().unwrap();
    assert!(std::process::Command::new("kill").args(["-STOP", bridge]).status().unwrap().success());
    check(&home.ally(&["status"]), 70, &["silent", "does not answer", "ally restart"], &[]);
}

#[test]
fn an_agent_may_look_and_not_steer() {
    let home = Home::new();
    check(&home.ally(&["start"]), 0, &[], &[]);
    let marked = |args: &[&str]| home.command().env("ALLY_GENERATION", "x:1").args(args).output().unwrap();
    check(&marked(&["status"]), 0, &["running"], &[]);
    for args in [&["chat", "--say", "y"][..], &["stop"], &["pair"]] {
        check(&marked(args), 1, &[], &["below a runtime"]);
    }
    check(&home.ally(&["status"]), 0, &["running"], &[]);
}

#[test]
fn a_supervisor_that_is_killed_takes_the_bridge_along() {
    let home = Home::new();
    check(&home.ally(&["start"]), 0, &[], &[]);
    assert!(std::process::Command::new("kill").args(["-KILL", &home.supervisor()]).status().unwrap().success());
    let until = std::time::Instant::now() + std::time::Duration::from_secs(20);
    while home.path("run/control.sock").exists() {
        assert!(std::time::Instant::now() < until, "the bridge lives on");
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    check(&home.ally(&["start"]), 0, &[], &["ally is running"]);
}
