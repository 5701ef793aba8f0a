//! `ally service`, with programs in place of the service manager's own: what they are told, and what people are.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use super::{Home, check};

/// A `systemctl` that writes down what it is told and remembers whether the unit runs.
const SYSTEMCTL: &str = r#"#!/bin/sh
echo "systemctl $*" >> "$HOME/told"
[ -e "$HOME/no-bus" ] && { echo "Failed to connect to bus: No medium found" >&2; exit 1; }
case "$*" in
  *"enable --now"*) touch "$HOME/active";;
  *"disable --now"*) rm -f "$HOME/active";;
  *"start --no-block"*) ALLY_HOME="$HOME/home" PATH=/usr/bin:/bin "$PROGRAM" run --quiet > /dev/null 2>&1 &;;
  *is-active*) [ -e "$HOME/active" ] || exit 3;;
  *show\ ally.service*)
    if [ -e "$HOME/active" ]; then printf 'ActiveState=active\nUnitFileState=enabled\nNRestarts=2\nStatusText=running\n'
    else printf 'ActiveState=inactive\nUnitFileState=\nNRestarts=0\nStatusText=\n'; fi;;
esac
"#;
const LOGINCTL: &str = "#!/bin/sh\necho \"loginctl $*\" >> \"$HOME/told\"\necho Linger=no\n";

impl Home {
    /// Only these programs are found.
    fn with_programs(&self, programs: &[(&str, &str)]) -> String {
        let folder = self.folder.path().join("programs");
        fs::create_dir_all(&folder).unwrap();
        for (name, text) in programs {
            fs::write(folder.join(name), text).unwrap();
            fs::set_permissions(folder.join(name), fs::Permissions::from_mode(0o755)).unwrap();
        }
        folder.display().to_string()
    }

    fn service(&self, path: &str, args: &[&str]) -> std::process::Output {
        let args = [&["service"], args].concat();
        self.command().env("PATH", path).env("USER", "li").args(args).output().unwrap()
    }

    fn told(&self) -> Vec<String> {
        let told = fs::read_to_string(self.folder.path().join("told")).unwrap_or_default();
        let _ = fs::remove_file(self.folder.path().join("told"));
        told.lines().map(str::to_owned).collect()
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_service_is_installed_shown_and_taken_away() {
    let home = Home::new();
    let path = format!("{}:/usr/bin:/bin", home.with_programs(&[("systemctl", SYSTEMCTL), ("loginctl", LOGINCTL)]));
    let file = home.folder.path().join(".config/systemd/user/ally.service");
    check(&home.service(&path, &["status"]), 69, &["not installed"], &["ally service install"]);
    home.told();
    check(&home.service(&path, &["install"]), 0, &[], &["runs as a service", "loginctl enable-linger li"]);
    let wanted = [
        "systemctl --user show-environment",
        "systemctl --user is-active --quiet ally.service",
        "systemctl --user daemon-reload",
        "systemctl --user enable --now ally.service",
        "loginctl show-user li --property=Linger",
    ];
    assert_eq!(home.told(), wanted);
    let text = fs::read_to_string(&file).unwrap();
    let program = format!("ExecStart=\"{}\" run --quiet", env!("CARGO_BIN_EXE_ally"));
    let its_home = format!("Environment=\"ALLY_HOME={}\"", home.path("").display().to_string().trim_end_matches('/'));
    assert!(text.contains(&program) && text.contains(&its_home) && text.contains("Type=notify"), "{text}");
    check(
        &home.service(&path, &["status"]),
        0,
        &["installed: ", "state: active", "restarted 2 times", "ally says: running"],
        &[],
    );
    let json: serde_json::Value = serde_json::from_slice(&home.service(&path, &["status", "--json"]).stdout).unwrap();
    assert!(json["installed"] == true && json["state"] == "active" && json["restarts"] == 2, "{json}");
    check(&home.service(&path, &["install"]), 0, &[], &["installed already"]);
    // What runs is not cut by a new unit.
    home.write("ally.toml", "[turn]\ngrace = \"3m\"\n");
    home.told();
    check(&home.service(&path, &["install"]), 0, &[], &["goes on as it is until `ally restart --all`"]);
    assert!(!home.told().iter().any(|line| line.contains("--now")));
    assert!(fs::read_to_string(&file).unwrap().contains("TimeoutStopSec=260"), "the grace and what follows it");
    check(&home.service(&path, &["uninstall"]), 0, &[], &["stopped and gone"]);
    assert!(!file.exists() && home.path("ally.toml").exists());
    check(&home.service(&path, &["uninstall"]), 0, &[], &["not installed"]);
}

/// What it would start itself, nobody would keep running.
#[cfg(target_os = "linux")]
#[test]
fn a_start_of_what_is_a_service_is_the_managers() {
    let home = Home::new();
    let path = format!("{}:/usr/bin:/bin", home.with_programs(&[("systemctl", SYSTEMCTL)]));
    check(&home.service(&path, &["install"]), 0, &[], &[]);
    let run = |args: &[&str]| {
        let mut command = home.command();
        command.env("PATH", &path).env("PROGRAM", env!("CARGO_BIN_EXE_ally")).args(args).output().unwrap()
    };
    home.told();
    for (args, said) in [(&["start"][..], "ally is running"), (&["restart", "--all"], "ally has stopped")] {
        check(&run(args), 0, &[], &[said]);
        let told = home.told();
        assert!(told.contains(&"systemctl --user start --no-block ally.service".to_owned()), "{told:?}");
    }
    check(&run(&["stop"]), 0, &[], &["ally has stopped"]);
    // The unit of another home.
    let other = Home::new();
    fs::create_dir_all(other.folder.path().join(".config/systemd/user")).unwrap();
    let unit = home.folder.path().join(".config/systemd/user/ally.service");
    fs::copy(unit, other.folder.path().join(".config/systemd/user/ally.service")).unwrap();
    check(&other.command().env("PATH", &path).arg("start").output().unwrap(), 0, &[], &["ally is running"]);
    assert!(other.told().is_empty());
}

#[cfg(target_os = "linux")]
#[test]
fn where_nothing_can_keep_it_running_it_is_said_what_to_do() {
    let home = Home::new();
    let nothing = home.with_programs(&[]);
    let said = ["no `systemctl` on this machine", "hint: in the background: `ally start`", "--print"];
    check(&home.service(&nothing, &["install"]), 1, &[], &said);
    let path = format!("{}:/usr/bin:/bin", home.with_programs(&[("systemctl", SYSTEMCTL)]));
    fs::write(home.folder.path().join("no-bus"), "").unwrap();
    let said = ["this account's systemd does not answer", "No medium found", "hint: log in as this account"];
    check(&home.service(&path, &["install"]), 1, &[], &said);
    check(&home.service(&path, &["status"]), 69, &["not installed", "does not answer"], &[]);
    check(
        &home.service(&path, &["install", "--system", "--account", "root"]),
        78,
        &[],
        &["agents do not run as \"root\""],
    );
    assert!(!home.folder.path().join(".config").exists(), "nothing is left half done");
}

#[cfg(target_os = "linux")]
#[test]
fn one_that_runs_already_is_not_started_twice() {
    let home = Home::new();
    let path = format!("{}:/usr/bin:/bin", home.with_programs(&[("systemctl", SYSTEMCTL)]));
    check(&home.ally(&["start"]), 0, &[], &[]);
    check(&home.service(&path, &["install"]), 75, &[], &["runs already", "run `ally stop` first"]);
    check(&home.ally(&["stop"]), 0, &[], &[]);
}

/// By systemd's own reader where this machine has it, which says each key that it does not know.
#[test]
fn units_are_printed_as_systemd_and_launchd_read_them() {
    let home = Home::new();
    let print = |args: &[&str]| {
        let output = home.ally(&[&["service", "install", "--print"], args].concat());
        check(&output, 0, &[], &[]);
        String::from_utf8(output.stdout).unwrap()
    };
    assert!(print(&["--manager", "launchd"]).contains("<string>dev.ally</string>"));
    for (whose, args) in [
        ("--user", &["--manager", "systemd"][..]),
        ("--system", &["--manager", "systemd", "--system", "--account", "daemon"]),
    ] {
        let folder = home.folder.path().join(whose.trim_start_matches('-'));
        fs::create_dir_all(&folder).unwrap();
        let file = folder.join("ally.service");
        fs::write(&file, print(args)).unwrap();
        let verified = std::process::Command::new("systemd-analyze")
            .args(["verify", "--man=no", whose])
            .arg(&file)
            .env("XDG_RUNTIME_DIR", home.folder.path())
            .output();
        match verified {
            Ok(found) => {
                let said = String::from_utf8_lossy(&[found.stdout, found.stderr].concat()).into_owned();
                let about_it = said.lines().filter(|line| line.contains("ally.service")).collect::<Vec<_>>();
                assert!(about_it.is_empty() && found.status.success(), "{whose}: {said}");
            }
            // The unit tests read them strictly anyway.
            Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::NotFound, "{error}"),
        }
    }
    assert!(!home.path("").exists(), "printing makes nothing");
}
