//! A ledger or a home that cannot be used, at `ally start`: what is wrong, what to do, and the exit code.

use std::os::unix::fs::MetadataExt;
use std::time::{Duration, Instant};

use super::*;

/// A home whose daemon ran once.
fn used() -> Home {
    let home = Home::new();
    check(&home.ally(&["start"]), 0, &[], &["ally is running"]);
    check(&home.ally(&["stop"]), 0, &[], &[]);
    home
}

fn english(home: &Home, args: &[&str]) -> Output {
    home.command().env("ALLY_LANG", "en").args(args).output().unwrap()
}

fn until_running(home: &Home) {
    let until = Instant::now() + Duration::from_secs(30);
    while home.ally(&["status"]).status.code() != Some(0) || !home.path("run/control.sock").exists() {
        assert!(Instant::now() < until, "it does not come up");
        std::thread::sleep(Duration::from_millis(100));
    }
}

#[test]
fn a_newer_ledger_is_not_touched() {
    let home = used();
    let ledger = rusqlite::Connection::open(home.path("ledger.db")).unwrap();
    let newer = "INSERT INTO refinery_schema_history (version, name, applied_on, checksum) VALUES (99, 'x', 'x', '1')";
    ledger.execute(newer, []).unwrap();
    drop(ledger);
    let before = fs::read(home.path("ledger.db")).unwrap();
    let began = Instant::now();
    let said = ["written by a newer ally", "schema 99", "hint: install the ally that wrote it"];
    check(&english(&home, &["start"]), 78, &[], &said);
    assert!(began.elapsed() < Duration::from_secs(10), "it is not tried again and again");
    let chinese = home.command().env("ALLY_LANG", "zh").arg("start").output().unwrap();
    check(&chinese, 78, &[], &["安装写下它的那个版本的 ally"]);
    assert_eq!(fs::read(home.path("ledger.db")).unwrap(), before);
    check(&home.ally(&["status"]), 69, &["stopped"], &[]);
}

#[test]
fn a_damaged_ledger_is_kept_and_the_backups_are_named() {
    let home = used();
    let damaged = vec![0xa5; 64 * 1024];
    fs::write(home.path("ledger.db"), &damaged).unwrap();
    check(&english(&home, &["start"]), 78, &[], &["is damaged", "backups folder"]);
    assert_eq!(fs::read(home.path("ledger.db")).unwrap(), damaged);
    check(&english(&home, &["status"]), 69, &["stopped", "not a database"], &[]);
}

/// As an interrupted restore left it once, or somebody who cleaned up.
#[test]
fn an_empty_ledger_is_not_begun_where_one_was() {
    let home = used();
    let copy = home.path("backups/mine.db").display().to_string();
    check(&english(&home, &["backup", &copy]), 0, &["mine.db"], &[]);
    fs::remove_file(home.path("ledger.db")).unwrap();
    let said =
        ["is not there, and there was one", "run/high-water", &format!("hint: put a copy back: `ally restore {copy}`")];
    check(&english(&home, &["start"]), 78, &[], &said);
    assert!(!home.path("ledger.db").exists());
    check(&english(&home, &["restore", &copy]), 0, &[], &["restored"]);
    check(&english(&home, &["start"]), 0, &[], &["ally is running"]);
    check(&home.ally(&["stop"]), 0, &[], &[]);
    // Somebody wants it so.
    fs::remove_file(home.path("ledger.db")).unwrap();
    fs::remove_file(home.path("run/high-water")).unwrap();
    check(&english(&home, &["start"]), 0, &[], &["ally is running"]);
    check(&home.ally(&["stop"]), 0, &[], &[]);
}

#[test]
fn a_ledger_that_another_ally_holds_is_waited_for() {
    let home = used();
    // As a restore does, or a bridge that still drains.
    let lock = fs::File::options().read(true).write(true).open(home.path("run/ledger.lock")).unwrap();
    lock.try_lock().unwrap();
    let output = english(&home, &["start", "--timeout", "2s"]);
    check(&output, 75, &[], &["not ready after 2 s", "another ally", "is using the ledger", "ally status"]);
    drop(lock);
    until_running(&home);
}

#[test]
fn a_ledger_that_another_program_writes_is_waited_for() {
    let home = used();
    let other = rusqlite::Connection::open(home.path("ledger.db")).unwrap();
    other.execute_batch("PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE").unwrap();
    let output = english(&home, &["start", "--timeout", "8s"]);
    check(&output, 75, &[], &["another program is using the ledger", "lsof"]);
    drop(other);
    until_running(&home);
}

/// Whoever may write everywhere (root) becomes somebody who may not.
#[test]
fn a_home_that_may_not_be_written_is_named() {
    use std::os::unix::process::CommandExt;
    const NOBODY: u32 = 65534;
    let home = used();
    for path in ["", "run", "logs"] {
        fs::set_permissions(home.path(path), fs::Permissions::from_mode(0o500)).unwrap();
    }
    let probe = home.path("probe");
    let root = fs::write(&probe, "x").is_ok();
    let _ = fs::remove_file(&probe);
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_ally"));
    command
        .env_clear()
        .envs([("PATH", "/usr/bin:/bin"), ("ALLY_RUNTIME", "embedded"), ("ALLY_LANG", "en")])
        .env("HOME", home.folder.path())
        .env("ALLY_HOME", home.path(""))
        .arg("start");
    if root {
        let program = home.folder.path().join("ally");
        fs::copy(env!("CARGO_BIN_EXE_ally"), &program).unwrap();
        for path in ["", "run", "logs", "ally.toml", ".env"] {
            std::os::unix::fs::chown(home.path(path), Some(NOBODY), None).unwrap();
        }
        fs::set_permissions(home.folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let (_, args) = (command.get_program(), ["start"]);
        let mut other = std::process::Command::new(program);
        other.args(args).envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
        other.uid(NOBODY);
        command = other;
    }
    let output = command.output().unwrap();
    for path in ["", "run", "logs"] {
        fs::set_permissions(home.path(path), fs::Permissions::from_mode(0o700)).unwrap();
    }
    check(&output, 78, &[], &["cannot be used", "0700"]);
}

#[test]
fn the_doctor_writes_the_file_anew_only_while_nobody_has_it() {
    let home = Home::new();
    check(&english(&home, &["doctor", "ledger", "--compact"]), 1, &[], &["there is no ledger"]);
    check(&home.ally(&["start"]), 0, &[], &["ally is running"]);
    let before = fs::metadata(home.path("ledger.db")).unwrap();
    check(&english(&home, &["doctor", "ledger", "--compact"]), 75, &[], &["ally is running", "run `ally stop` first"]);
    check(&home.ally(&["stop"]), 0, &[], &[]);
    check(&english(&home, &["doctor", "ledger", "--compact"]), 0, &["hold"], &["written anew"]);
    let after = fs::metadata(home.path("ledger.db")).unwrap();
    assert_ne!(after.ino(), before.ino());
    check(&home.ally(&["doctor", "ledger", "--compact", "--json"]), 0, &["\"compacted\"", "\"after\""], &[]);
    check(&home.ally(&["start"]), 0, &[], &["ally is running"]);
    check(&home.ally(&["stop"]), 0, &[], &[]);
}

#[test]
fn the_doctor_checks_the_ledger_with_and_without_a_daemon() {
    let home = Home::new();
    check(&english(&home, &["doctor", "ledger"]), 1, &[], &["there is no ledger yet", "hint: run `ally start` first"]);
    check(&home.ally(&["start"]), 0, &[], &["ally is running"]);
    check(&english(&home, &["doctor", "ledger"]), 0, &["hold"], &[]);
    check(&home.ally(&["stop"]), 0, &[], &[]);
    check(&home.ally(&["doctor", "ledger", "--json"]), 0, &["\"broken\": []"], &[]);
    let ledger = rusqlite::Connection::open(home.path("ledger.db")).unwrap();
    let row = "INSERT INTO inbound (channel, dedupe_key, kind, state, received_at_ms) VALUES ('c', 'k', 'message', 'received', 1)";
    ledger.execute(row, []).unwrap();
    check(&english(&home, &["doctor", "ledger"]), 1, &["what is not done yet has its words", "inbound:1"], &[]);
    let chinese = home.command().env("ALLY_LANG", "zh").args(["doctor", "ledger"]).output().unwrap();
    check(&chinese, 1, &["没处理完的消息都留着内容"], &[]);
    check(&home.ally(&["doctor", "ledger", "--json"]), 1, &["\"inbound_has_words\""], &[]);
}
