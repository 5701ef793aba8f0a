//! What a service manager is to read: our templates, filled in and quoted.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::config::Environment;
use crate::supervisor;

/// Beside what the supervisor gives the bridge: for itself and what is left behind.
const MORE: Duration = Duration::from_secs(15);

/// What the daemon gets of the environment in which it is installed, where it is set.
const KEPT: [&str; 17] = [
    "PATH",
    "LANG",
    "LC_ALL",
    "TZ",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "HTTPS_PROXY",
    "https_proxy",
    "HTTP_PROXY",
    "http_proxy",
    "NO_PROXY",
    "no_proxy",
    "ALLY_LANG",
    "ALLY_RUNTIME",
    "ALLY_RUNTIME_BIN",
    "FEISHU_BASE_URL",
    "XDG_CACHE_HOME",
];

/// What others must not read there, and the service needs where it stands in the environment only.
const SECRET: [&str; 2] = ["FEISHU_APP_ID", "FEISHU_APP_SECRET"];

/// Who keeps ally running.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Manager {
    /// Linux
    Systemd,
    /// macOS
    Launchd,
}

impl Manager {
    pub(super) fn of_this_system() -> Self {
        if cfg!(target_os = "macos") { Manager::Launchd } else { Manager::Systemd }
    }
}

/// What the templates leave open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Unit {
    pub(super) program: PathBuf,
    pub(super) environment: Vec<(String, String)>,
    pub(super) stop: Duration,
    /// Whose agents a system unit runs; `None` is a person's own unit.
    pub(super) account: Option<String>,
    /// Where launchd puts what is said before there is a log.
    pub(super) log: PathBuf,
}

impl Unit {
    /// Also names what was left out, because others could read it there.
    pub(super) fn new(
        program: PathBuf,
        home: &Path,
        environment: &Environment,
        grace: Duration,
        account: Option<String>,
    ) -> (Self, Vec<&'static str>) {
        let mut kept = vec![("ALLY_HOME".to_owned(), home.display().to_string())];
        let mut left = Vec::new();
        for name in KEPT {
            match environment.get(name) {
                // An address with a login.
                Some(value) if name.to_lowercase().ends_with("proxy") && value.contains('@') => left.push(name),
                Some(value) => kept.push((name.to_owned(), value.to_owned())),
                None => {}
            }
        }
        left.extend(SECRET.into_iter().filter(|name| environment.get(name).is_some()));
        let stop = grace + supervisor::AFTER_GRACE + supervisor::AFTER_TERM + MORE;
        let log = home.join("logs/daemon.log");
        (Self { program, environment: kept, stop, account, log }, left)
    }

    /// The text of the file.
    pub(super) fn text(&self, manager: Manager) -> String {
        let stop_seconds = self.stop.as_secs().to_string();
        match manager {
            Manager::Systemd => {
                let lines: Vec<String> = self
                    .environment
                    .iter()
                    .map(|(name, value)| format!("Environment={}", quoted(&format!("{name}={value}"))))
                    .collect();
                let template = match self.account {
                    Some(_) => include_str!("../../../templates/service/ally-system.service"),
                    None => include_str!("../../../templates/service/ally.service"),
                };
                let program = quoted(&self.program.display().to_string());
                let account = self.account.as_deref().unwrap_or_default();
                fill(
                    template,
                    &[
                        ("program", &program),
                        ("environment", &lines.join("\n")),
                        ("stop_seconds", &stop_seconds),
                        ("account", account),
                    ],
                )
            }
            Manager::Launchd => {
                let lines: Vec<String> = self
                    .environment
                    .iter()
                    .map(|(name, value)| format!("\t\t<key>{}</key>\n\t\t<string>{}</string>", xml(name), xml(value)))
                    .collect();
                fill(
                    include_str!("../../../templates/service/dev.ally.plist"),
                    &[
                        ("program", &xml(&self.program.display().to_string())),
                        ("environment", &lines.join("\n")),
                        ("stop_seconds", &stop_seconds),
                        ("log", &xml(&self.log.display().to_string())),
                    ],
                )
            }
        }
    }
}

/// Whether an installed unit is for this home.
pub(super) fn is_of(text: &str, manager: Manager, home: &Path) -> bool {
    let home = home.display().to_string();
    text.contains(&match manager {
        Manager::Systemd => format!("Environment={}\n", quoted(&format!("ALLY_HOME={home}"))),
        Manager::Launchd => format!("<key>ALLY_HOME</key>\n\t\t<string>{}</string>", xml(&home)),
    })
}

/// Each placeholder once and in one pass: what is filled in is not looked at again.
fn fill(template: &str, values: &[(&str, &str)]) -> String {
    let mut text = String::with_capacity(template.len() * 2);
    let mut rest = template;
    while let Some((before, after)) = rest.split_once("{{") {
        let (name, after) = after.split_once("}}").unwrap_or((after, ""));
        text.push_str(before);
        text.push_str(values.iter().find(|(key, _)| *key == name).map_or("", |(_, value)| value));
        rest = after;
    }
    text + rest
}

/// A word in a unit file.
fn quoted(text: &str) -> String {
    let mut word = String::with_capacity(text.len() + 2);
    word.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => word.extend(['\\', c]),
            // A specifier otherwise.
            '%' => word.push_str("%%"),
            '\n' => word.push_str("\\n"),
            c => word.push(c),
        }
    }
    word.push('"');
    word
}

fn xml(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn unit(account: Option<&str>) -> Unit {
        let environment = Environment::of([
            ("PATH", "/usr/bin:/home/li/my tools"),
            ("HTTPS_PROXY", "http://li:secret@proxy.example:3128"),
            ("http_proxy", "http://proxy.example:3128"),
            ("FEISHU_APP_SECRET", "secret"),
        ]);
        let (program, home) = (PathBuf::from("/opt/50% of $all/ally"), Path::new("/home/li/a \"home\" & <more>"));
        let (unit, left) = Unit::new(program, home, &environment, Duration::from_secs(20), account.map(str::to_owned));
        assert_eq!(left, ["HTTPS_PROXY", "FEISHU_APP_SECRET"], "others could read the password");
        unit
    }

    /// Keys by section, as systemd reads them: the last word for each, and all of `Environment`.
    fn parse(text: &str) -> BTreeMap<String, Vec<String>> {
        /// What our units may say. A mistyped key would only be a warning to systemd.
        const KNOWN: [(&str, &[&str]); 3] = [
            ("Unit", &["Description", "Wants", "After", "StartLimitIntervalSec", "StartLimitBurst"]),
            (
                "Service",
                &[
                    "User",
                    "Type",
                    "NotifyAccess",
                    "WatchdogSec",
                    "ExecStart",
                    "ExecReload",
                    "Environment",
                    "WorkingDirectory",
                    "UMask",
                    "Restart",
                    "RestartSec",
                    "RestartPreventExitStatus",
                    "TimeoutStartSec",
                    "TimeoutStopSec",
                    "KillMode",
                    "OOMPolicy",
                    "SyslogIdentifier",
                ],
            ),
            ("Install", &["WantedBy"]),
        ];
        let (mut section, mut found) = ("", BTreeMap::<String, Vec<String>>::new());
        for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
            if let Some(name) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
                section = name;
                continue;
            }
            let (key, value) = line.split_once('=').unwrap_or_else(|| panic!("no assignment: {line}"));
            let known = KNOWN.iter().find(|(name, _)| *name == section).map(|(_, keys)| *keys).unwrap_or_default();
            assert!(known.contains(&key), "[{section}] {key} is not known");
            assert!(!value.is_empty() && !value.contains("{{"), "{line}");
            found.entry(format!("{section}.{key}")).or_default().push(value.to_owned());
        }
        found
    }

    #[test]
    fn a_unit_says_what_systemd_needs_to_know() {
        let found = parse(&unit(None).text(Manager::Systemd));
        let one = |key: &str| found.get(key).map(|values| values.join("|")).unwrap_or_default();
        assert_eq!(
            one("Service.ExecStart"),
            "\"/opt/50%% of $all/ally\" run --quiet",
            "of a program no variable is read"
        );
        assert_eq!(
            found["Service.Environment"],
            [
                "\"ALLY_HOME=/home/li/a \\\"home\\\" & <more>\"",
                "\"PATH=/usr/bin:/home/li/my tools\"",
                "\"http_proxy=http://proxy.example:3128\""
            ]
        );
        assert_eq!((one("Service.Type"), one("Service.NotifyAccess")), ("notify".to_owned(), "main".to_owned()));
        assert_eq!(one("Service.TimeoutStopSec"), "100", "20 + 35 + 30 + 15");
        assert_eq!(one("Install.WantedBy"), "default.target");
        assert!(!found.contains_key("Service.User"));
        // What hangs is ended by the supervisor first: it keeps what the runtimes do.
        let watchdog: u64 = one("Service.WatchdogSec").parse().unwrap();
        assert!(watchdog > 120 && one("Service.KillMode") == "mixed" && one("Service.OOMPolicy") == "continue");
    }

    #[test]
    fn a_unit_is_known_by_its_home() {
        for manager in [Manager::Systemd, Manager::Launchd] {
            let text = unit(None).text(manager);
            assert!(is_of(&text, manager, Path::new("/home/li/a \"home\" & <more>")));
            assert!(!is_of(&text, manager, Path::new("/home/li/a")) && !is_of("", manager, Path::new("/")));
        }
    }

    #[test]
    fn a_system_unit_runs_as_somebody() {
        let found = parse(&unit(Some("li")).text(Manager::Systemd));
        assert_eq!(found["Service.User"], ["li"]);
        assert_eq!(found["Install.WantedBy"], ["multi-user.target"]);
        assert_eq!(found["Unit.After"], found["Unit.Wants"]);
    }

    /// Values of a property list. Just enough of XML, and strict about it.
    #[derive(Debug, PartialEq)]
    enum Plist {
        Text(String),
        Number(i64),
        Bool(bool),
        List(Vec<Plist>),
        Dict(BTreeMap<String, Plist>),
    }

    struct Reader<'a>(&'a str);

    impl Reader<'_> {
        fn skip(&mut self) {
            self.0 = self.0.trim_start();
            while let Some(rest) = self.0.strip_prefix("<!--") {
                let (comment, rest) = rest.split_once("-->").expect("a comment ends");
                assert!(!comment.contains("--"), "not allowed in XML: {comment}");
                self.0 = rest.trim_start();
            }
        }

        fn take(&mut self, what: &str) -> bool {
            self.skip();
            match self.0.strip_prefix(what) {
                Some(rest) => {
                    self.0 = rest;
                    true
                }
                None => false,
            }
        }

        fn text_until(&mut self, end: &str) -> String {
            let (text, rest) = self.0.split_once(end).unwrap_or_else(|| panic!("no {end}"));
            self.0 = rest;
            assert!(!text.contains('<'), "{text}");
            for entity in text.split('&').skip(1) {
                assert!(["amp;", "lt;", "gt;"].iter().any(|known| entity.starts_with(known)), "{text}");
            }
            text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
        }

        fn value(&mut self) -> Plist {
            if self.take("<string>") {
                Plist::Text(self.text_until("</string>"))
            } else if self.take("<integer>") {
                Plist::Number(self.text_until("</integer>").parse().unwrap())
            } else if self.take("<true/>") {
                Plist::Bool(true)
            } else if self.take("<false/>") {
                Plist::Bool(false)
            } else if self.take("<array>") {
                let mut items = Vec::new();
                while !self.take("</array>") {
                    items.push(self.value());
                }
                Plist::List(items)
            } else {
                assert!(self.take("<dict>"), "no value: {:.40}", self.0);
                let mut dict = BTreeMap::new();
                while !self.take("</dict>") {
                    assert!(self.take("<key>"), "no key: {:.40}", self.0);
                    let key = self.text_until("</key>");
                    let value = self.value();
                    assert!(dict.insert(key.clone(), value).is_none(), "{key} stands there twice");
                }
                Plist::Dict(dict)
            }
        }
    }

    #[test]
    fn a_property_list_says_what_launchd_knows() {
        let text = unit(None).text(Manager::Launchd);
        let mut reader = Reader(&text);
        assert!(reader.take("<?xml version=\"1.0\" encoding=\"UTF-8\"?>") && reader.take("<!DOCTYPE plist PUBLIC "));
        reader.0 = reader.0.split_once('>').unwrap().1;
        assert!(reader.take("<plist version=\"1.0\">"));
        let Plist::Dict(found) = reader.value() else { panic!("no dictionary") };
        assert!(reader.take("</plist>") && reader.0.trim().is_empty());
        let keys: Vec<&str> = found.keys().map(String::as_str).collect();
        // From launchd.plist(5).
        let known = [
            "EnvironmentVariables",
            "ExitTimeOut",
            "KeepAlive",
            "Label",
            "ProgramArguments",
            "RunAtLoad",
            "StandardErrorPath",
            "StandardOutPath",
            "ThrottleInterval",
            "Umask",
        ];
        assert_eq!(keys, known);
        let words = |words: &[&str]| Plist::List(words.iter().map(|word| Plist::Text((*word).to_owned())).collect());
        assert_eq!(found["ProgramArguments"], words(&["/opt/50% of $all/ally", "run", "--quiet"]));
        let Plist::Dict(environment) = &found["EnvironmentVariables"] else { panic!("no dictionary") };
        assert_eq!(environment["ALLY_HOME"], Plist::Text("/home/li/a \"home\" & <more>".to_owned()));
        let fails: BTreeMap<String, Plist> = [("SuccessfulExit".to_owned(), Plist::Bool(false))].into();
        assert_eq!(found["KeepAlive"], Plist::Dict(fails));
        assert_eq!((&found["Umask"], &found["ExitTimeOut"]), (&Plist::Number(0o077), &Plist::Number(100)));
    }
}
