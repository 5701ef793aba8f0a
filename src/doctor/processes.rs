//! Other programs on this computer that know the same app: each of them may hold a connection that takes a share of the
//! events.

use std::collections::HashSet;
use std::fs;

/// Programs that are told by name at most.
const NAMED: usize = 5;

/// What was found.
pub(super) enum Others {
    /// Processes with their names and numbers.
    Seen(Vec<String>),
    /// This system does not show processes.
    NotShown,
}

/// Processes of this account whose command line or environment names the app, but for those of this home and whoever
/// called us. Where the app stands in our own environment, every program of the terminal has it: then only command lines
/// count.
pub(super) fn naming(app_id: &str, home: &std::path::Path) -> Others {
    let Ok(entries) = fs::read_dir("/proc") else { return Others::NotShown };
    let own = lineage(std::process::id());
    let inherited = own.iter().any(|pid| mentions(&read(*pid, "environ"), app_id));
    let ours = format!("ALLY_HOME={}", home.display());
    let mut seen = Vec::new();
    for pid in entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok()) {
        if own.contains(&pid) {
            continue;
        }
        let (line, environ) = (read(pid, "cmdline"), read(pid, "environ"));
        let is_ours = entries_of(&environ).any(|entry| entry == ours.as_bytes());
        let named = mentions(&line, app_id) || (!inherited && mentions(&environ, app_id));
        if named && !is_ours && !is_supervised(&environ) {
            let name = String::from_utf8_lossy(&read(pid, "comm")).trim().to_owned();
            seen.push(format!("{name} ({pid})"));
        }
    }
    seen.sort();
    seen.truncate(NAMED);
    Others::Seen(seen)
}

/// Whatever runs below a runtime got its environment from ally.
fn is_supervised(environ: &[u8]) -> bool {
    entries_of(environ).any(|entry| entry.starts_with(b"ALLY_GENERATION="))
}

fn entries_of(environ: &[u8]) -> impl Iterator<Item = &[u8]> {
    environ.split(|byte| *byte == 0)
}

fn mentions(bytes: &[u8], app_id: &str) -> bool {
    !app_id.is_empty() && bytes.windows(app_id.len()).any(|window| window == app_id.as_bytes())
}

fn read(pid: u32, what: &str) -> Vec<u8> {
    // It may have ended, or belong to somebody else.
    fs::read(format!("/proc/{pid}/{what}")).unwrap_or_default()
}

/// A process and those that it came from.
fn lineage(pid: u32) -> HashSet<u32> {
    let (mut found, mut next) = (HashSet::new(), Some(pid));
    while let Some(pid) = next.filter(|pid| *pid > 1 && found.insert(*pid)) {
        let stat = String::from_utf8_lossy(&read(pid, "stat")).into_owned();
        next = stat.rsplit_once(')').and_then(|(_, rest)| rest.split_whitespace().nth(1)?.parse().ok());
    }
    found
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::path::Path;
    use std::process::Command;

    use super::*;

    #[test]
    fn another_program_with_the_app_is_seen_and_our_own_is_not() {
        let app = format!("cli_{}", uuid::Uuid::new_v4().simple());
        let mut other = Command::new("sleep").arg("60").env("SOME_APP", &app).spawn().unwrap();
        let mut ours = Command::new("sleep").arg("60").env("APP", &app).env("ALLY_HOME", "/h/ally").spawn().unwrap();
        let seen = || match naming(&app, Path::new("/h/ally")) {
            Others::Seen(seen) => seen,
            Others::NotShown => Vec::new(),
        };
        let until = std::time::Instant::now() + std::time::Duration::from_secs(20);
        // A process that is just being started shows nothing yet.
        while seen().is_empty() && std::time::Instant::now() < until {
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        let found = seen();
        for child in [&mut other, &mut ours] {
            child.kill().unwrap();
            child.wait().unwrap();
        }
        assert_eq!(found, [format!("sleep ({})", other.id())]);
        assert!(lineage(std::process::id()).contains(&std::process::id()));
    }
}
