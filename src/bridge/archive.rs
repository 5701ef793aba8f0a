//! The archive: each settled turn as a line in the file of its day. It comes after the ledger and never before it: what was not
//! written when the bridge died is written by the next one, and nothing that ally does rests on these files.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, BufRead, BufReader, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, SecondsFormat};
use chrono_tz::Tz;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::core::{Core, is_outage};
use super::{autosave, prompts, say};
use crate::crash;
use crate::domain::archive::{Asked, Done, Failed, Line, Of, Person, VERSION, turn_of, without_words};
use crate::domain::gate::{Ask, Decision};
use crate::domain::ids::TurnId;
use crate::domain::message::ChatKind;
use crate::domain::turn::TurnState;
use crate::domain::view::{StepKind, StepState};
use crate::ledger::Transaction;
use crate::ledger::archive::{self, Cursor, Entry};

/// Turns of one step.
const STEP: u32 = 64;
const DAY_MS: i64 = 86_400_000;
/// Longest rest. What came to its end wakes it; what was settled otherwise, as after a death, can wait.
const REST: Duration = Duration::from_secs(30);
/// After the disk refused it.
const AGAIN: Duration = Duration::from_secs(60);

/// Writes what has settled until `cancel`.
pub async fn run(core: Arc<Core>, cancel: CancellationToken) -> anyhow::Result<()> {
    finish_rebuild(&core.config.archive)
        .unwrap_or_else(|error| warn!(%error, "A rebuilt archive could not be put in place"));
    while core.until_writable(&cancel).await {
        let mut known = core.archive.lock().await;
        let rest = match step(&core, &mut known).await {
            Ok(true) => Duration::ZERO,
            Ok(false) => REST,
            Err(error) => {
                if !is_outage(&error) {
                    warn!(error = %format!("{error:#}"), "The archive could not be written; it is tried again");
                }
                // What stands in the files is looked at again.
                *known = Days::default();
                AGAIN
            }
        };
        drop(known);
        tokio::select! {
            () = cancel.cancelled() => break,
            () = core.wakes.archive.notified() => {}
            () = tokio::time::sleep(rest) => {}
        }
    }
    Ok(())
}

/// Turns whose lines stand in the files of days that were looked at. A file is looked at once in a life of the bridge: it may
/// hold lines that the former one wrote and did not note.
#[derive(Debug, Default)]
pub struct Days {
    known: HashMap<PathBuf, HashSet<String>>,
}

/// So many days are remembered; what is appended is nearly always to the newest.
const DAYS: usize = 8;

impl Days {
    fn of(&mut self, path: &Path) -> io::Result<&mut HashSet<String>> {
        if !self.known.contains_key(path) {
            if self.known.len() >= DAYS {
                self.known.clear();
            }
            self.known.insert(path.to_owned(), mended(path)?);
        }
        Ok(self.known.entry(path.to_owned()).or_default())
    }
}

/// One step; true when there is more.
async fn step(core: &Core, known: &mut Days) -> anyhow::Result<bool> {
    let (waiting, forgotten) = core
        .ledger
        .read(|tx: &Transaction<'_>| Ok((archive::waiting(tx, STEP)?, archive::to_forget(tx, STEP)?)))
        .await?;
    if waiting.is_empty() && forgotten.is_empty() {
        return Ok(false);
    }
    let more = waiting.len() == STEP as usize || forgotten.len() == STEP as usize;
    let (zone, folder) = (core.config.zone, &core.config.archive);
    let mut noted: Vec<(TurnId, bool)> = Vec::new();
    let mut days: BTreeMap<PathBuf, Vec<(TurnId, String)>> = BTreeMap::new();
    for entry in &waiting {
        let line = serde_json::to_string(&line(entry, zone))?;
        days.entry(day(folder, entry.turn.settled_at_ms.unwrap_or_default(), zone))
            .or_default()
            .push((entry.turn.id.clone(), line));
        noted.push((entry.turn.id.clone(), !entry.turn.prompt.is_empty()));
    }
    crash::point("archive.before");
    for (path, lines) in days {
        let there = known.of(&path)?;
        let fresh: Vec<&str> =
            lines.iter().filter(|(turn, _)| there.insert(turn.to_string())).map(|(_, line)| line.as_str()).collect();
        append(&path, &fresh)?;
    }
    let mut days: BTreeMap<PathBuf, HashSet<String>> = BTreeMap::new();
    for (turn, settled_at_ms) in &forgotten {
        // The zone may have been another when it was written.
        for shift_ms in [-DAY_MS, 0, DAY_MS] {
            days.entry(day(folder, *settled_at_ms + shift_ms, zone)).or_default().insert(turn.to_string());
        }
        noted.push((turn.clone(), false));
    }
    for (path, turns) in days {
        // One bad file must not keep all others from being written.
        if let Err(error) = forget(&path, &turns) {
            warn!(file = %path.display(), %error, "Forgotten words stay in a file of the archive; `ally archive rebuild` writes all anew");
        }
    }
    crash::point("archive.after");
    core.ledger.write(move |tx| archive::written(tx, &noted)).await?;
    if let Some(repository) = &core.config.autosave
        && waiting.iter().any(|entry| entry.turn.directory == core.config.assistant)
        && let Err(error) = autosave::save(repository, &core.config.assistant).await
    {
        warn!(error = %format!("{error:#}"), "The assistant's directory could not be saved");
    }
    Ok(more)
}

/// The file of the day on which a turn ended.
fn day(folder: &Path, at_ms: i64, zone: Tz) -> PathBuf {
    let at = DateTime::from_timestamp_millis(at_ms).unwrap_or_default().with_timezone(&zone);
    folder.join(at.format("%Y/%m/%d.jsonl").to_string())
}

/// The turns of a file that is there. What follows its last whole line was being written when a bridge died: it is taken
/// away, and written again.
fn mended(path: &Path) -> io::Result<HashSet<String>> {
    let mut file = match OpenOptions::new().read(true).write(true).open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(HashSet::new()),
        Err(error) => return Err(error),
    };
    let (mut turns, mut whole, mut line) = (HashSet::new(), 0, Vec::new());
    let mut reader = BufReader::new(&file);
    loop {
        line.clear();
        let read = reader.read_until(b'\n', &mut line)?;
        if read == 0 {
            break;
        }
        if !line.ends_with(b"\n") {
            break;
        }
        whole += read as u64;
        turns.extend(std::str::from_utf8(&line).ok().and_then(turn_of));
    }
    drop(reader);
    if file.seek(SeekFrom::End(0))? > whole {
        file.set_len(whole)?;
        file.sync_all()?;
    }
    Ok(turns)
}

fn append(path: &Path, lines: &[&str]) -> io::Result<()> {
    if lines.is_empty() {
        return Ok(());
    }
    let folder = path.parent().ok_or(io::ErrorKind::InvalidInput)?;
    DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    let mut file = OpenOptions::new().append(true).create(true).mode(0o600).open(path)?;
    let mut text = lines.join("\n");
    text.push('\n');
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    // The name of a new file must survive a power cut, too.
    File::open(folder)?.sync_all()
}

/// Takes the words of these turns out of a file. One that is not there holds none; lines that nobody can read stay.
fn forget(path: &Path, turns: &HashSet<String>) -> io::Result<()> {
    let bytes = match std::fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    let (mut text, mut is_changed) = (Vec::with_capacity(bytes.len()), false);
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        let read = std::str::from_utf8(line).ok().map(str::trim_end);
        let bare = read.filter(|line| turn_of(line).is_some_and(|turn| turns.contains(&turn))).and_then(without_words);
        match bare {
            Some(bare) => {
                is_changed = true;
                text.extend_from_slice(bare.as_bytes());
                text.push(b'\n');
            }
            None => text.extend_from_slice(line),
        }
    }
    if is_changed { replace(path, &text) } else { Ok(()) }
}

fn replace(path: &Path, text: &[u8]) -> io::Result<()> {
    let fresh = path.with_extension("jsonl.new");
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&fresh)?;
    file.write_all(text)?;
    file.sync_all()?;
    std::fs::rename(&fresh, path)?;
    File::open(path.parent().ok_or(io::ErrorKind::InvalidInput)?)?.sync_all()
}

// ------------------------------------------------------------------------------------------------ a line

fn line(entry: &Entry, zone: Tz) -> Line {
    let (turn, conversation) = (&entry.turn, &entry.conversation);
    let at = |ms: i64| {
        let at = DateTime::from_timestamp_millis(ms).unwrap_or_default().with_timezone(&zone);
        at.to_rfc3339_opts(SecondsFormat::Secs, false)
    };
    let outcome = match turn.state {
        TurnState::Settled(outcome) => outcome.as_str(),
        _ => "",
    };
    // What is forgotten is nothing, and not an empty request.
    let prompt = (!turn.prompt.is_empty()).then(|| prompts::text_of(&turn.prompt)).filter(|text| !text.is_empty());
    let steps = turn.progress.iter().flat_map(|progress| &progress.steps);
    Line {
        v: VERSION,
        turn: turn.id.to_string(),
        settled_at: at(turn.settled_at_ms.unwrap_or_default()),
        created_at: at(turn.created_at_ms),
        started_at: turn.started_at_ms.or(turn.submitted_at_ms).map(at),
        channel: conversation.channel.to_string(),
        chat: conversation.chat.to_string(),
        chat_kind: if conversation.chat_kind == ChatKind::Direct { "direct" } else { "group" }.to_owned(),
        conversation: conversation.id.to_string(),
        requester: Person { id: turn.requester.to_string(), name: turn.requester_name.clone() },
        outcome: outcome.to_owned(),
        prompt,
        answer: turn.answer.clone(),
        failure: turn
            .failure
            .as_ref()
            .map(|failure| Failed { kind: snake(&format!("{:?}", failure.kind)), detail: failure.detail.clone() }),
        directory: turn.directory.display().to_string(),
        runtime: conversation.runtime_kind.clone(),
        tokens: turn.tokens,
        steps: steps
            .map(|step| Done {
                what: step_kind(step.what).to_owned(),
                object: step.object.clone(),
                state: match step.state {
                    StepState::Ok => "ok",
                    StepState::Failed => "failed",
                    StepState::Running => "running",
                }
                .to_owned(),
            })
            .collect(),
        gates: entry
            .gates
            .iter()
            .map(|gate| Asked {
                number: gate.number,
                ask: ask_kind(&gate.ask).to_owned(),
                what: super::pictures::cut(&say::asked_line(&gate.ask), 300),
                decision: gate.decision.as_ref().map(|decision| decision_kind(decision).to_owned()),
                by: gate.decided_name.clone().or_else(|| gate.decided_by.as_ref().map(ToString::to_string)),
            })
            .collect(),
        routine: entry.run.as_ref().map(|run| Of { name: run.routine.clone(), due_at: at(run.due_ms) }),
        continues: turn.continues.as_ref().map(ToString::to_string),
    }
}

fn step_kind(kind: StepKind) -> &'static str {
    match kind {
        StepKind::Command => "command",
        StepKind::FileChange => "file_change",
        StepKind::Tool => "tool",
        StepKind::Search => "search",
        StepKind::Refused => "refused",
        StepKind::ByRule => "by_rule",
        StepKind::Other => "other",
    }
}

fn ask_kind(ask: &Ask) -> &'static str {
    match ask {
        Ask::Command { .. } => "command",
        Ask::FileChange { .. } => "file_change",
        Ask::Permissions { .. } => "permissions",
        Ask::Tool { .. } => "tool",
        Ask::Questions { .. } => "questions",
    }
}

fn decision_kind(decision: &Decision) -> &'static str {
    match decision {
        Decision::Allow => "allow",
        Decision::Network => "allow_network",
        Decision::Decline { .. } => "decline",
        Decision::StopTurn => "stop",
        Decision::Answers { .. } => "answers",
    }
}

/// `ModelBusy` as `model_busy`.
fn snake(name: &str) -> String {
    let mut out = String::new();
    for c in name.chars() {
        if c.is_ascii_uppercase() && !out.is_empty() {
            out.push('_');
        }
        out.push(c.to_ascii_lowercase());
    }
    out
}

// ------------------------------------------------------------------------------------------------ anew

/// What came of writing all files anew.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Rebuilt {
    pub turns: u64,
    pub days: u64,
    /// Lines of tasks that the ledger does not know, because it was put back: they stay.
    pub kept: u64,
}

fn beside(folder: &Path, what: &str) -> PathBuf {
    let mut name = folder.as_os_str().to_owned();
    name.push(what);
    PathBuf::from(name)
}

/// Writes all files anew from the ledger, beside those that are there, and puts them in their place at the end. What settles
/// meanwhile is appended afterwards as ever: nothing is noted here, so that what is cut short was never begun.
///
/// # Errors
/// The ledger's and the disk's; the files that are there stay.
pub async fn rebuild(core: &Core) -> anyhow::Result<Rebuilt> {
    // Nobody appends to files that are about to go.
    let mut known = core.archive.lock().await;
    let (folder, zone) = (&core.config.archive, core.config.zone);
    let fresh = beside(folder, ".new");
    if fresh.exists() {
        std::fs::remove_dir_all(&fresh)?;
    }
    DirBuilder::new().recursive(true).mode(0o700).create(&fresh)?;
    let (mut cursor, mut rebuilt, mut newest) = (Cursor::START, Rebuilt::default(), PathBuf::new());
    loop {
        let from = cursor;
        let (entries, next) = core.ledger.read(move |tx| archive::all_after(tx, from, STEP * 4)).await?;
        if entries.is_empty() {
            break;
        }
        cursor = next;
        let mut days: BTreeMap<PathBuf, Vec<String>> = BTreeMap::new();
        for entry in &entries {
            let path = day(&fresh, entry.turn.settled_at_ms.unwrap_or_default(), zone);
            days.entry(path).or_default().push(serde_json::to_string(&line(entry, zone))?);
        }
        for (path, lines) in days {
            rebuilt.turns += lines.len() as u64;
            rebuilt.days += u64::from(newest != path);
            append(&path, &lines.iter().map(String::as_str).collect::<Vec<_>>())?;
            newest = path;
        }
    }
    rebuilt.kept = keep_unknown(core, folder, &fresh).await?;
    File::create(fresh.join(WHOLE))?.sync_all()?;
    finish_rebuild(folder)?;
    *known = Days::default();
    core.wakes.archive.notify_one();
    info!(turns = rebuilt.turns, days = rebuilt.days, "The archive was written anew");
    Ok(rebuilt)
}

/// Lines about tasks that the ledger does not know are the only record of them.
async fn keep_unknown(core: &Core, folder: &Path, fresh: &Path) -> anyhow::Result<u64> {
    let (mut folders, mut kept) = (vec![folder.to_owned()], 0);
    while let Some(inside) = folders.pop() {
        let entries = match std::fs::read_dir(&inside) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error.into()),
        };
        for entry in entries {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            if path.extension().is_none_or(|ending| ending != "jsonl") {
                continue;
            }
            let text = String::from_utf8_lossy(&std::fs::read(&path)?).into_owned();
            let lines: Vec<(String, &str)> = text.lines().filter_map(|line| Some((turn_of(line)?, line))).collect();
            let turns: Vec<TurnId> = lines.iter().map(|(turn, _)| TurnId::new(turn.clone())).collect();
            let unknown = core.ledger.read(move |tx| archive::unknown(tx, turns)).await?;
            let unknown: HashSet<String> = unknown.iter().map(ToString::to_string).collect();
            let stay: Vec<&str> =
                lines.iter().filter(|(turn, _)| unknown.contains(turn)).map(|(_, line)| *line).collect();
            append(&fresh.join(path.strip_prefix(folder)?), &stay)?;
            kept += stay.len() as u64;
        }
    }
    Ok(kept)
}

/// Marks a rebuilt archive that only has to be put in place.
const WHOLE: &str = ".whole";

/// Puts a rebuilt archive in the place of the former one. Whatever was cut short before goes on here.
fn finish_rebuild(folder: &Path) -> io::Result<()> {
    let (fresh, former) = (beside(folder, ".new"), beside(folder, ".old"));
    if fresh.join(WHOLE).exists() {
        if folder.exists() && !former.exists() {
            std::fs::rename(folder, &former)?;
        }
        if folder.exists() {
            // Made anew since: it holds nothing that the ledger does not.
            std::fs::remove_dir_all(folder)?;
        }
        std::fs::rename(&fresh, folder)?;
    }
    match std::fs::remove_file(folder.join(WHOLE)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    if former.exists() {
        std::fs::remove_dir_all(&former)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
