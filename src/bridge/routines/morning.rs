//! The morning note: what the night brought, in one message to the owner, and only where it brought something. `/last` tells the
//! same whenever somebody asks.

use chrono::{Datelike, NaiveTime, TimeDelta, TimeZone, Weekday};
use chrono_tz::Tz;

use crate::bridge::core::Core;
use crate::bridge::pictures::{Frame, cut};
use crate::bridge::{actions, remedy, say};
use crate::domain::schedule;
use crate::domain::view::Lang;
use crate::ledger::routines::{self, Run, RunOutcome, RunState};
use crate::ledger::{LedgerError, Transaction, conversations, gates, said, turns};
use crate::words::RoutineMsg;

/// On working days, by the zone's clock.
const HOUR: u32 = 8;
const MINUTE: u32 = 30;
/// Whoever starts the computer later than so many hours after it hears it the next day.
const LATE_HOURS: i64 = 4;
/// The night begins at this hour of the evening before.
const EVENING: u32 = 22;
/// Rows of each part.
const ROWS: usize = 12;
/// Characters of a title or a detail.
const CHARS: usize = 60;

/// Sends the note of the day once its time has come.
pub(super) async fn look(core: &Core) -> Result<(), LedgerError> {
    let (zone, now) = (core.config.zone, core.now_ms());
    let Some((day, from_ms)) = due(zone, now) else { return Ok(()) };
    let key = format!("morning:{day}");
    let looked = key.clone();
    if core.ledger.read(move |tx| said::was_said(tx, &looked)).await? {
        return Ok(());
    }
    let mut channels: Vec<_> = core.channels.keys().cloned().collect();
    channels.sort();
    // Where routines are told: the bot's channel, else the terminal.
    let frames = channels.iter().map(|channel| core.frame(channel));
    let Some(frame) = frames.into_iter().find(|frame| frame.access.owner.is_some()) else { return Ok(()) };
    core.ledger
        .write(move |tx| {
            if !said::first_time(tx, &key, now)? {
                return Ok(());
            }
            match note(tx, &frame, frame.lang, zone, from_ms)? {
                Some(text) => remedy::owner(tx, &frame, &frame.channel, |_| text.clone()),
                None => Ok(()),
            }
        })
        .await?;
    core.wakes.outbox.notify_one();
    Ok(())
}

/// The day whose note is due now, and since when it tells. On Mondays it tells of the weekend as well.
fn due(zone: Tz, now_ms: i64) -> Option<(String, i64)> {
    let now = schedule::shown(zone, now_ms)?;
    let days = match now.weekday() {
        Weekday::Sat | Weekday::Sun => return None,
        Weekday::Mon => 3,
        _ => 1,
    };
    let at = now.date().and_time(NaiveTime::from_hms_opt(HOUR, MINUTE, 0)?);
    if now < at || now - at > TimeDelta::hours(LATE_HOURS) {
        return None;
    }
    Some((now.date().to_string(), evening(zone, now_ms, days)?))
}

/// Ten in the evening, so many days ago.
pub(in crate::bridge) fn evening(zone: Tz, now_ms: i64, days: i64) -> Option<i64> {
    let day = schedule::shown(zone, now_ms)?.date() - TimeDelta::days(days);
    let evening = day.and_time(NaiveTime::from_hms_opt(EVENING, 0, 0)?);
    Some(zone.from_local_datetime(&evening).earliest()?.timestamp_millis())
}

/// What there is to tell since then; nothing where nothing is.
pub(in crate::bridge) fn note(
    tx: &Transaction<'_>,
    frame: &Frame,
    lang: Lang,
    zone: Tz,
    from_ms: i64,
) -> Result<Option<String>, LedgerError> {
    let needs = needs(tx, frame, lang, from_ms)?;
    let mut lines = Vec::new();
    let runs = routines::over_since(tx, from_ms)?;
    for routine in routines::listed(tx)? {
        let of: Vec<&Run> = runs.iter().filter(|run| run.routine == routine.name).collect();
        lines.extend(line(lang, zone, &routine.name, &of));
        let waits = routines::open(tx, &routine.name)?.into_iter().any(|run| run.state == RunState::Running);
        if waits {
            lines.push(RoutineMsg::MorningUnderWay { name: &routine.name }.text(lang));
        }
    }
    if needs.is_empty() && lines.is_empty() {
        return Ok(None);
    }
    let from = say::due(from_ms, zone, lang);
    let title = match needs.len() {
        0 => RoutineMsg::MorningTitle { from: &from }.text(lang),
        n => RoutineMsg::MorningNeeds { from: &from, n }.text(lang),
    };
    let more = |n: usize| (n > ROWS).then(|| RoutineMsg::MorningMore { n: n - ROWS }.text(lang));
    let (more_needs, more_lines) = (more(needs.len()), more(lines.len()));
    let text: Vec<String> = std::iter::once(title)
        .chain(needs.into_iter().take(ROWS))
        .chain(more_needs)
        .chain(lines.into_iter().take(ROWS))
        .chain(more_lines)
        .collect();
    Ok(Some(text.join("\n")))
}

/// What waits for a person, and what was interrupted and nobody has said what becomes of it.
fn needs(tx: &Transaction<'_>, frame: &Frame, lang: Lang, from_ms: i64) -> Result<Vec<String>, LedgerError> {
    let mut needs = Vec::new();
    for gate in gates::all_open(tx)? {
        let conversation = conversations::get(tx, &gate.conversation)?;
        if conversation.channel != frame.channel {
            continue;
        }
        let class = say::class_or_question(lang, &gate.ask, gate.class);
        let project = frame.project(&conversation.directory);
        let since = say::at(gate.opened_at_ms, frame.now_ms);
        needs.push(RoutineMsg::MorningGate { number: gate.number, class: &class, project: &project, since }.text(lang));
    }
    for turn in turns::lost_since(tx, from_ms)? {
        let conversation = conversations::get(tx, &turn.conversation)?;
        if conversation.channel == frame.channel && !said::was_said(tx, &actions::resumed_key(&turn.id))? {
            let (title, project) = (cut(&turn.title, CHARS), frame.project(&turn.directory));
            needs.push(RoutineMsg::MorningLost { title: &title, project: &project }.text(lang));
        }
    }
    Ok(needs)
}

/// What came of a routine's runs, in a line.
fn line(lang: Lang, zone: Tz, name: &str, runs: &[&Run]) -> Option<String> {
    let last = runs.last()?;
    let count = |which: fn(RunOutcome) -> bool| {
        let of = runs.iter().filter(|run| run.outcome.is_some_and(which));
        of.map(|run| run.count).sum::<i64>()
    };
    let done = count(|outcome| outcome == RunOutcome::Completed);
    let failed = count(RunOutcome::is_failure);
    let skipped = count(|outcome| matches!(outcome, RunOutcome::Missed | RunOutcome::Overlap));
    let mut parts = Vec::new();
    let at = say::due(last.over_at_ms.unwrap_or(last.due_ms), zone, lang);
    match done {
        0 => {}
        1 => parts.push(format!("✓ {at}")),
        n => parts.push(format!("✓ ×{n}")),
    }
    if failed > 0 {
        let detail = runs.iter().rev().find(|run| run.outcome.is_some_and(RunOutcome::is_failure));
        let detail = detail.and_then(|run| run.detail.as_deref()).filter(|detail| !detail.is_empty());
        let why = detail.map_or_else(String::new, |detail| format!(" ({})", cut(detail, CHARS)));
        parts.push(format!("✕ ×{failed}{why}"));
    }
    if skipped > 0 {
        parts.push(RoutineMsg::MorningSkipped { n: skipped }.text(lang));
    }
    if parts.is_empty() {
        let state = last.outcome.map_or(last.state.as_str(), RunOutcome::as_str);
        parts.push(crate::words::run_state(state, lang).to_owned());
    }
    Some(format!("{name} {}", parts.join(" · ")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::Utc;

    fn ms(text: &str) -> i64 {
        let at = chrono::NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M").expect("a time");
        Utc.from_utc_datetime(&at).timestamp_millis()
    }

    #[test]
    fn it_comes_on_working_days_at_half_past_eight_and_not_hours_later() {
        // Beijing is eight hours ahead; 2026-11-23 is a Monday.
        let zone = Tz::Asia__Shanghai;
        for (now, want) in [
            ("2026-11-23 00:29", None),
            ("2026-11-23 00:30", Some(("2026-11-23", "2026-11-20 14:00"))),
            ("2026-11-23 04:30", Some(("2026-11-23", "2026-11-20 14:00"))),
            ("2026-11-23 04:31", None),
            ("2026-11-24 01:00", Some(("2026-11-24", "2026-11-23 14:00"))),
            ("2026-11-21 01:00", None),
            ("2026-11-22 01:00", None),
        ] {
            let want = want.map(|(day, from)| (day.to_owned(), ms(from)));
            assert_eq!(due(zone, ms(now)), want, "{now}");
        }
    }
}
