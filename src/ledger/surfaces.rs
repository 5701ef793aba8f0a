//! Outbox rows of the kind that is a desired state: cards and reactions.

use rusqlite::{Row, Transaction, params};

use super::sql::{all, first, from_json, id, id_opt, json, run};
use super::{LedgerError, said};
use crate::domain::delivery::Target;
use crate::domain::gate::hex;
use crate::domain::ids::*;
use crate::domain::view::{Lang, Receipt, View};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SurfaceKind {
    Live,
    Gate,
    Interrupted,
    Queue,
    Stale,
    Notice,
    Reaction,
}

impl SurfaceKind {
    pub fn as_str(self) -> &'static str {
        match self {
            SurfaceKind::Live => "live",
            SurfaceKind::Gate => "gate",
            SurfaceKind::Interrupted => "interrupted",
            SurfaceKind::Queue => "queue",
            SurfaceKind::Stale => "stale",
            SurfaceKind::Notice => "notice",
            SurfaceKind::Reaction => "reaction",
        }
    }
}

/// The picture that is wanted.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(untagged)]
pub enum Picture {
    Card(Box<View>),
    Reaction(Receipt),
}

#[derive(Debug, Clone, PartialEq)]
pub struct Surface {
    pub id: DeliveryId,
    pub is_reaction: bool,
    pub subject: String,
    pub conversation: Option<ConversationId>,
    pub channel: ChannelName,
    pub target: Target,
    pub lang: Lang,
    /// `None`: nothing is to be seen (a reaction that is to be taken away).
    pub wanted: Option<Picture>,
    pub wanted_hash: String,
    pub shown_hash: Option<String>,
    /// `creating` was committed and no answer is known.
    pub creating: bool,
    pub is_final: bool,
    /// It is not shown, and will not be.
    pub is_gone: bool,
    pub platform_id: Option<String>,
    pub first_attempt_ms: Option<i64>,
    pub attempts: u32,
    pub created_at_ms: i64,
    /// When it first was to be seen.
    pub first_shown_ms: Option<i64>,
}

/// What is wanted, for a new surface or for one that exists.
#[derive(Debug, Clone)]
pub struct Wanted {
    pub kind: SurfaceKind,
    /// What it is about: a turn, a gate, a conversation or a message.
    pub subject: String,
    pub conversation: Option<ConversationId>,
    pub channel: ChannelName,
    pub target: Target,
    pub lang: Lang,
    pub picture: Option<Picture>,
    /// Not to be created before then.
    pub not_before_ms: i64,
    /// The last picture. A surface that was never created and is final stays uncreated unless `create_final`.
    pub is_final: bool,
    pub create_final: bool,
}

/// A queue card that was let go before anybody tried to show it: the queue moved on, and may yet wait for something else.
const NEVER_TRIED: &str = "kind = 'queue' AND state = 'gone' AND first_attempt_ms IS NULL AND problem IS NULL";

/// A receipt that was left out, now that another one is wanted: that one may be taken.
const ANOTHER_RECEIPT: &str = "kind = 'reaction' AND state = 'gone' AND wanted_hash <> excluded.wanted_hash";

/// Sets the desired state. Newest wins; the painter does the rest.
pub fn want(tx: &Transaction<'_>, wanted: &Wanted, now_ms: i64) -> Result<(), LedgerError> {
    let (text, hash) = picture_columns(wanted.picture.as_ref())?;
    if wanted.is_final && !wanted.create_final {
        // A card that nobody has seen yet need not come any more.
        let sql = "UPDATE surfaces SET state = 'gone' WHERE kind = ?1 AND subject = ?2 AND state = 'wanted'";
        run(tx, sql, params![wanted.kind.as_str(), wanted.subject])?;
        let sql = "UPDATE surfaces SET wanted = ?3, wanted_hash = ?4, final = 1, next_at_ms = 0 WHERE kind = ?1 AND subject = ?2 AND state <> 'gone'";
        run(tx, sql, params![wanted.kind.as_str(), wanted.subject, text, hash])?;
        return Ok(());
    }
    let sql = format!(
        "INSERT INTO surfaces (id, kind, subject, conversation, channel, target, lang, wanted, wanted_hash, state, not_before_ms, final, created_at_ms)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, 'wanted', ?10, ?11, ?12)
         ON CONFLICT (kind, subject) DO UPDATE SET wanted = excluded.wanted, wanted_hash = excluded.wanted_hash, final = excluded.final,
             next_at_ms = CASE WHEN attempts = 0 OR excluded.final THEN 0 ELSE next_at_ms END,
             not_before_ms = CASE WHEN {NEVER_TRIED} OR excluded.final THEN excluded.not_before_ms ELSE not_before_ms END,
             target = CASE WHEN {NEVER_TRIED} THEN excluded.target ELSE target END,
             shown_hash = CASE WHEN {ANOTHER_RECEIPT} THEN NULL ELSE shown_hash END,
             state = CASE WHEN ({NEVER_TRIED}) OR ({ANOTHER_RECEIPT}) THEN 'wanted' ELSE state END"
    );
    run(
        tx,
        &sql,
        params![
            DeliveryId::fresh().as_str(),
            wanted.kind.as_str(),
            wanted.subject,
            wanted.conversation.as_ref().map(ConversationId::as_str),
            wanted.channel.as_str(),
            json(&wanted.target)?,
            wanted.lang.as_str(),
            text,
            hash,
            wanted.not_before_ms,
            wanted.is_final,
            now_ms
        ],
    )?;
    Ok(())
}

/// The receipt of a message: one reaction, replaced, never two.
pub fn want_receipt(
    tx: &Transaction<'_>,
    channel: &ChannelName,
    chat: &ChatId,
    message: &MessageId,
    receipt: Receipt,
    now_ms: i64,
) -> Result<(), LedgerError> {
    let is_final = matches!(receipt, Receipt::Done | Receipt::Failed);
    let wanted = Wanted {
        kind: SurfaceKind::Reaction,
        subject: message.as_str().to_owned(),
        conversation: None,
        channel: channel.clone(),
        target: Target { chat: chat.clone(), reply_to: Some(message.clone()), in_topic: false },
        lang: Lang::En,
        picture: Some(Picture::Reaction(receipt)),
        not_before_ms: 0,
        is_final,
        create_final: true,
    };
    want(tx, &wanted, now_ms)
}

fn picture_columns(picture: Option<&Picture>) -> Result<(Option<String>, String), LedgerError> {
    use sha2::{Digest, Sha256};
    let text = picture.map(json).transpose()?;
    let hash = text.as_deref().map_or_else(|| "none".to_owned(), |t| hex(&Sha256::digest(t.as_bytes())[..16]));
    Ok((text, hash))
}

/// What the painter may do.
#[derive(Debug, Default)]
pub struct Due {
    /// Surfaces whose picture differs from what is shown, due now: last pictures first.
    pub surfaces: Vec<DeliveryId>,
    /// When the next surface becomes due that is not yet.
    pub next_ms: Option<i64>,
}

const DIFFERS: &str = "state <> 'gone' AND (shown_hash IS NULL OR shown_hash <> wanted_hash)";
const DUE_AT: &str = "max(next_at_ms, CASE WHEN state = 'wanted' THEN not_before_ms ELSE 0 END)";

/// The surfaces that are due now, at most `limit`, and when the next one is.
pub fn due(tx: &Transaction<'_>, now_ms: i64, limit: usize) -> Result<Due, LedgerError> {
    let sql = format!(
        "SELECT id, {DUE_AT} AS due_at_ms FROM surfaces WHERE {DIFFERS} ORDER BY final DESC, next_at_ms, created_at_ms"
    );
    let mut due = Due::default();
    for (surface, at_ms) in all(tx, &sql, [], |row| Ok((id(row, "id")?, row.get::<_, i64>("due_at_ms")?)))? {
        if at_ms > now_ms {
            due.next_ms = Some(due.next_ms.map_or(at_ms, |next| next.min(at_ms)));
        } else if due.surfaces.len() < limit {
            due.surfaces.push(surface);
        }
    }
    Ok(due)
}

/// One surface, if it is due now.
pub fn due_now(tx: &Transaction<'_>, surface: &DeliveryId, now_ms: i64) -> Result<Option<Surface>, LedgerError> {
    let sql = format!("SELECT * FROM surfaces WHERE {DIFFERS} AND {DUE_AT} <= ?1 AND id = ?2");
    first(tx, &sql, params![now_ms, surface.as_str()], read)
}

pub fn find(tx: &Transaction<'_>, kind: SurfaceKind, subject: &str) -> Result<Option<Surface>, LedgerError> {
    first(tx, "SELECT * FROM surfaces WHERE kind = ?1 AND subject = ?2", params![kind.as_str(), subject], read)
}

/// Those whose subject begins like this.
pub fn under(tx: &Transaction<'_>, kind: SurfaceKind, prefix: &str) -> Result<Vec<Surface>, LedgerError> {
    let sql = "SELECT * FROM surfaces WHERE kind = ?1 AND subject >= ?2 AND subject < ?3";
    all(tx, sql, params![kind.as_str(), prefix, format!("{prefix}\u{10ffff}")], read)
}

/// The surface that the platform knows by this message id, with its kind.
pub fn by_platform(
    tx: &Transaction<'_>,
    channel: &ChannelName,
    message: &MessageId,
) -> Result<Option<(String, Surface)>, LedgerError> {
    let sql = "SELECT * FROM surfaces INDEXED BY surfaces_platform WHERE platform_id = ?2 AND channel = ?1 AND kind <> 'reaction' LIMIT 1";
    first(tx, sql, params![channel.as_str(), message.as_str()], |row| Ok((row.get("kind")?, read(row)?)))
}

/// Committed before the request that creates it. False when it is not wanted any more.
pub fn creating(tx: &Transaction<'_>, surface: &DeliveryId, now_ms: i64) -> Result<bool, LedgerError> {
    let sql = "UPDATE surfaces SET state = 'creating', first_attempt_ms = coalesce(first_attempt_ms, ?2), attempts = attempts + 1
         WHERE id = ?1 AND state IN ('wanted', 'creating')";
    Ok(run(tx, sql, params![surface.as_str(), now_ms])? == 1)
}

/// It shows this picture now. `hash` is `None` when it exists with a content that is not known for sure.
pub fn shown(
    tx: &Transaction<'_>,
    surface: &DeliveryId,
    platform: Option<&str>,
    hash: Option<&str>,
    next_at_ms: i64,
    now_ms: i64,
) -> Result<(), LedgerError> {
    let sql = "UPDATE surfaces SET state = 'shown', platform_id = coalesce(?2, platform_id), shown_hash = ?3, next_at_ms = ?4,
                   attempts = 0, problem = NULL, shown_at_ms = coalesce(shown_at_ms, ?5) WHERE id = ?1";
    run(tx, sql, params![surface.as_str(), platform, hash, next_at_ms, now_ms])?;
    Ok(())
}

/// Not done, or not known: again later. `back_to_wanted` when the creation was definitely refused and no earlier one is in
/// doubt.
pub fn failed(
    tx: &Transaction<'_>,
    surface: &DeliveryId,
    next_at_ms: i64,
    problem: &str,
    back_to_wanted: bool,
) -> Result<(), LedgerError> {
    let sql = "UPDATE surfaces SET next_at_ms = ?2, problem = ?3, attempts = attempts + 1,
                   state = CASE WHEN ?4 AND platform_id IS NULL THEN 'wanted' ELSE state END,
                   first_attempt_ms = CASE WHEN ?4 AND platform_id IS NULL THEN NULL ELSE first_attempt_ms END WHERE id = ?1";
    run(tx, sql, params![surface.as_str(), next_at_ms, problem, back_to_wanted])?;
    Ok(())
}

/// Its card was refused, and this message says what it asks instead.
pub fn told_by(
    tx: &Transaction<'_>,
    surface: &DeliveryId,
    message: &DeliveryId,
    gates: &[GateId],
) -> Result<(), LedgerError> {
    said::set_meta(tx, &instead(message), &json(&(surface, gates))?)
}

/// The surface whose card this message stands for, if it does, and the requests that it tells of.
pub fn told_in(tx: &Transaction<'_>, message: &DeliveryId) -> Result<Option<(Surface, Vec<GateId>)>, LedgerError> {
    let Some(told) = said::meta(tx, &instead(message))? else { return Ok(None) };
    // A former ally wrote nothing but the surface.
    let (surface, gates) = serde_json::from_str(&told).unwrap_or((DeliveryId::new(told), Vec::new()));
    let found = first(tx, "SELECT * FROM surfaces WHERE id = ?1", [surface.as_str()], read)?;
    Ok(found.map(|surface| (surface, gates)))
}

/// What it asks was seen in words: from now on words can answer it.
pub fn seen(tx: &Transaction<'_>, surface: &DeliveryId, now_ms: i64) -> Result<(), LedgerError> {
    let sql = "UPDATE surfaces SET shown_at_ms = coalesce(shown_at_ms, ?2) WHERE id = ?1";
    run(tx, sql, params![surface.as_str(), now_ms])?;
    Ok(())
}

fn instead(message: &DeliveryId) -> String {
    format!("instead:{message}")
}

/// The message that it was to answer is gone: created in the chat instead. `doubtful` when an earlier creation had no
/// answer.
pub fn retarget(
    tx: &Transaction<'_>,
    surface: &DeliveryId,
    target: &Target,
    doubtful: bool,
) -> Result<(), LedgerError> {
    let sql = "UPDATE surfaces SET target = ?2, state = CASE WHEN ?3 THEN 'creating' ELSE 'wanted' END, next_at_ms = 0
         WHERE id = ?1";
    run(tx, sql, params![surface.as_str(), json(target)?, doubtful])?;
    Ok(())
}

/// There is a card that nobody can change: created again, with a key of its own.
pub fn anew(tx: &Transaction<'_>, surface: &DeliveryId, next_at_ms: i64, problem: &str) -> Result<(), LedgerError> {
    let sql = "UPDATE surfaces SET first_attempt_ms = 0, next_at_ms = ?2, problem = ?3 WHERE id = ?1";
    run(tx, sql, params![surface.as_str(), next_at_ms, problem])?;
    Ok(())
}

/// Nobody can be asked now: as it is, and again later.
pub fn postpone(tx: &Transaction<'_>, surface: &DeliveryId, next_at_ms: i64, problem: &str) -> Result<(), LedgerError> {
    let sql = "UPDATE surfaces SET next_at_ms = ?2, problem = ?3 WHERE id = ?1";
    run(tx, sql, params![surface.as_str(), next_at_ms, problem])?;
    Ok(())
}

/// The platform does not know its message (any more): it is created again, under an id of its own, whose key was never
/// spent. Once: false when it was created again before.
pub fn draw_anew(tx: &Transaction<'_>, surface: &DeliveryId, problem: &str) -> Result<bool, LedgerError> {
    const AGAIN: &str = "~";
    if surface.as_str().ends_with(AGAIN) {
        return Ok(false);
    }
    let sql = "UPDATE surfaces SET id = id || ?2, state = 'wanted', platform_id = NULL, shown_hash = NULL, problem = ?3,
                   first_attempt_ms = NULL, attempts = 0, next_at_ms = 0, not_before_ms = 0 WHERE id = ?1 AND state = 'shown'";
    Ok(run(tx, sql, params![surface.as_str(), AGAIN, problem])? == 1)
}

/// Cards that ask somebody something, or show a turn that is not over, and were sent before then.
pub fn waiting_since(tx: &Transaction<'_>, before_ms: i64) -> Result<Vec<Surface>, LedgerError> {
    let sql = "SELECT DISTINCT s.* FROM gates g INDEXED BY gates_open CROSS JOIN surfaces s
             ON s.kind = 'gate' AND s.subject = coalesce(g.card, g.id)
         WHERE g.state IN ('open', 'decided', 'answering') AND g.state = 'open' AND s.state = 'shown'
           AND s.platform_id IS NOT NULL AND s.shown_at_ms < ?1";
    let mut waiting = all(tx, sql, [before_ms], read)?;
    let sql = "SELECT s.* FROM turns t CROSS JOIN surfaces s ON s.kind = 'live' AND s.subject = t.id
         WHERE t.state <> 'settled' AND t.state IN ('submitting', 'running', 'waiting') AND s.state = 'shown'
           AND s.platform_id IS NOT NULL AND s.shown_at_ms < ?1";
    waiting.extend(all(tx, sql, [before_ms], read)?);
    Ok(waiting)
}

/// It is sent anew, under an id of its own, whose key was never spent; what was sent before shows `moved` from now on.
pub fn reissue(tx: &Transaction<'_>, surface: &Surface, moved: &View, now_ms: i64) -> Result<(), LedgerError> {
    let former = DeliveryId::fresh();
    let (text, hash) = picture_columns(Some(&Picture::Card(Box::new(moved.clone()))))?;
    let sql = "INSERT INTO surfaces (id, kind, subject, conversation, channel, target, lang, wanted, wanted_hash, state, platform_id,
                   shown_hash, shown_at_ms, not_before_ms, final, created_at_ms)
         SELECT ?2, 'notice', 'former:' || ?2, conversation, channel, target, lang, ?3, ?4, 'shown', platform_id, 'former',
                shown_at_ms, 0, 1, created_at_ms FROM surfaces WHERE id = ?1 AND state = 'shown'";
    if run(tx, sql, params![surface.id.as_str(), former.as_str(), text, hash])? == 0 {
        return Ok(());
    }
    let sql = "UPDATE surfaces SET id = ?2, state = 'wanted', platform_id = NULL, shown_hash = NULL, problem = NULL, shown_at_ms = NULL,
                   first_attempt_ms = NULL, attempts = 0, next_at_ms = 0, not_before_ms = 0, created_at_ms = ?3 WHERE id = ?1";
    run(tx, sql, params![surface.id.as_str(), DeliveryId::fresh().as_str(), now_ms])?;
    Ok(())
}

/// It cannot be shown or changed any more.
pub fn gone(tx: &Transaction<'_>, surface: &DeliveryId, problem: &str) -> Result<(), LedgerError> {
    run(tx, "UPDATE surfaces SET state = 'gone', problem = ?2 WHERE id = ?1", params![surface.as_str(), problem])?;
    Ok(())
}

/// What could not be shown is to be shown after all, where it belongs now: under an id of its own, whose key was never spent.
pub fn show_after_all(
    tx: &Transaction<'_>,
    kind: SurfaceKind,
    subject: &str,
    target: &Target,
) -> Result<(), LedgerError> {
    let sql = "UPDATE surfaces SET id = ?3, target = ?4, state = 'wanted', platform_id = NULL, shown_hash = NULL, problem = NULL,
                   shown_at_ms = NULL, first_attempt_ms = NULL, attempts = 0, next_at_ms = 0, not_before_ms = 0
         WHERE kind = ?1 AND subject = ?2 AND state = 'gone'";
    run(tx, sql, params![kind.as_str(), subject, DeliveryId::fresh().as_str(), json(target)?])?;
    Ok(())
}

/// A receipt that the platform does not take, unless another one is wanted by now.
pub fn left_out(tx: &Transaction<'_>, surface: &DeliveryId, hash: &str, problem: &str) -> Result<(), LedgerError> {
    let sql = "UPDATE surfaces SET state = 'gone', problem = ?3 WHERE id = ?1 AND wanted_hash = ?2";
    run(tx, sql, params![surface.as_str(), hash, problem])?;
    Ok(())
}

/// After a restart nobody knows what an unanswered call did, and a channel may be back: everything that is not shown as it
/// is wanted is painted at once.
pub fn forget_unanswered(tx: &Transaction<'_>) -> Result<(), LedgerError> {
    let sql = "UPDATE surfaces SET next_at_ms = 0 WHERE state <> 'gone' AND (shown_hash IS NULL OR shown_hash <> wanted_hash)";
    run(tx, sql, [])?;
    Ok(())
}

/// The clock was set back to `now_ms`: what is to be painted would wait for as long as it was set back.
pub fn forget_waits(tx: &Transaction<'_>, now_ms: i64) -> Result<(), LedgerError> {
    let sql = "UPDATE surfaces SET next_at_ms = 0, not_before_ms = 0
         WHERE state <> 'gone' AND (shown_hash IS NULL OR shown_hash <> wanted_hash)
           AND (next_at_ms > ?1 OR not_before_ms > ?1)";
    run(tx, sql, [now_ms])?;
    Ok(())
}

/// Live cards of turns that are settled, or cards never finished: for the invariant "no card says running without a turn".
pub fn unfinished_live(tx: &Transaction<'_>) -> Result<Vec<TurnId>, LedgerError> {
    let sql = "SELECT s.subject FROM surfaces s INDEXED BY surfaces_live CROSS JOIN turns t ON t.id = s.subject
         WHERE s.kind = 'live' AND s.final = 0 AND s.state <> 'gone' AND t.state = 'settled'";
    all(tx, sql, [], |row| id(row, "subject"))
}

fn read(row: &Row<'_>) -> rusqlite::Result<Surface> {
    let kind: String = row.get("kind")?;
    let state: String = row.get("state")?;
    let lang: String = row.get("lang")?;
    Ok(Surface {
        id: id(row, "id")?,
        is_reaction: kind == SurfaceKind::Reaction.as_str(),
        subject: row.get("subject")?,
        conversation: id_opt(row, "conversation")?,
        channel: id(row, "channel")?,
        target: from_json(row, "target")?,
        lang: Lang::parse(&lang).unwrap_or_default(),
        wanted: super::sql::from_json_opt(row, "wanted")?,
        wanted_hash: row.get("wanted_hash")?,
        shown_hash: row.get("shown_hash")?,
        creating: state == "creating",
        is_final: row.get("final")?,
        is_gone: state == "gone",
        platform_id: row.get("platform_id")?,
        first_attempt_ms: row.get("first_attempt_ms")?,
        attempts: row.get("attempts")?,
        created_at_ms: row.get("created_at_ms")?,
        first_shown_ms: row.get("shown_at_ms")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::view::{NoticeView, QueueView, WaitReason};
    use crate::ledger::{Ledger, LedgerLock, Places};

    fn wanted(kind: SurfaceKind, picture: View, is_final: bool) -> Wanted {
        Wanted {
            kind,
            subject: "it".to_owned(),
            conversation: None,
            channel: "local".into(),
            target: Target { chat: "main".into(), reply_to: None, in_topic: false },
            lang: Lang::En,
            picture: Some(Picture::Card(Box::new(picture))),
            not_before_ms: 0,
            is_final,
            create_final: false,
        }
    }

    fn queue(why: WaitReason) -> View {
        View::Queue(QueueView { why, rows: Vec::new() })
    }

    async fn ledger() -> (Ledger, LedgerLock, tempfile::TempDir) {
        let dir = tempfile::tempdir().expect("a folder");
        let places = Places { file: dir.path().join("ledger.db"), backups: dir.path().join("backups") };
        let lock = LedgerLock::take(&dir.path().join("lock"), &places.file).expect("a lock");
        (Ledger::open(&places, &lock).expect("a ledger"), lock, dir)
    }

    #[tokio::test]
    async fn a_queue_that_waits_for_something_else_is_shown_after_all() {
        let (ledger, _lock, _dir) = ledger().await;
        let due = ledger
            .write(|tx| {
                want(tx, &wanted(SurfaceKind::Queue, queue(WaitReason::Limit), false), 1)?;
                want(tx, &wanted(SurfaceKind::Queue, queue(WaitReason::Limit), true), 2)?;
                let let_go = due(tx, 10, 10)?.surfaces.len();
                want(tx, &wanted(SurfaceKind::Queue, queue(WaitReason::Directory), false), 3)?;
                let due = due(tx, 10, 10)?.surfaces;
                assert_eq!(due.len(), 1);
                Ok((let_go, due_now(tx, &due[0], 10)?.expect("it is due")))
            })
            .await
            .expect("a commit");
        assert_eq!((due.0, due.1.is_final, due.1.creating), (0, false, false));
    }

    #[tokio::test]
    async fn a_receipt_that_was_left_out_makes_way_for_the_next_one_only() {
        let (ledger, _lock, _dir) = ledger().await;
        let due = ledger
            .write(|tx| {
                let (channel, chat, message) = ("local".into(), "main".into(), MessageId::from("m"));
                let want = |receipt| want_receipt(tx, &channel, &chat, &message, receipt, 1);
                want(Receipt::Accepted)?;
                let next = || -> Result<Surface, LedgerError> {
                    Ok(due_now(tx, &due(tx, 10, 10)?.surfaces[0], 10)?.expect("it is due"))
                };
                let first = next()?;
                shown(tx, &first.id, Some("one"), Some(&first.wanted_hash), 1, 1)?;
                want(Receipt::Queued)?;
                let second = next()?;
                left_out(tx, &first.id, &first.wanted_hash, "refused")?;
                let meanwhile = due(tx, 10, 10)?.surfaces.len();
                left_out(tx, &second.id, &second.wanted_hash, "refused")?;
                want(Receipt::Queued)?;
                let same = due(tx, 10, 10)?.surfaces.len();
                // Shown before, and nobody knows whether it was taken away.
                want(Receipt::Accepted)?;
                Ok((meanwhile, same, next()?))
            })
            .await
            .expect("a commit");
        assert_eq!((due.0, due.1), (1, 0));
        assert_eq!(due.2.wanted, Some(Picture::Reaction(Receipt::Accepted)));
        assert_eq!(due.2.platform_id.as_deref(), Some("one"), "the old one is still to be taken away");
    }

    #[tokio::test]
    async fn what_is_due_is_nothing_to_wait_for() {
        let (ledger, _lock, _dir) = ledger().await;
        let seen = ledger
            .write(|tx| {
                let (channel, chat) = ("local".into(), "main".into());
                want_receipt(tx, &channel, &chat, &"m".into(), Receipt::Accepted, 1)?;
                let none = due(tx, 10, 10)?.next_ms;
                let card = wanted(SurfaceKind::Queue, queue(WaitReason::Limit), false);
                want(tx, &Wanted { not_before_ms: 20, ..card }, 1)?;
                let not_before = due(tx, 10, 10)?;
                failed(tx, &not_before.surfaces[0], 15, "busy", false)?;
                Ok((none, not_before.next_ms, due(tx, 10, 10)?.next_ms, due(tx, 20, 10)?.next_ms))
            })
            .await
            .expect("a commit");
        assert_eq!(seen, (None, Some(20), Some(15), None));
    }

    #[tokio::test]
    async fn only_a_queue_comes_back() {
        let (ledger, _lock, _dir) = ledger().await;
        let notice = || View::Notice(NoticeView { text: "runs".to_owned(), buttons: Vec::new() });
        let due = ledger
            .write(move |tx| {
                want(tx, &wanted(SurfaceKind::Live, notice(), false), 1)?;
                want(tx, &wanted(SurfaceKind::Live, notice(), true), 2)?;
                want(tx, &wanted(SurfaceKind::Live, notice(), false), 3)?;
                due(tx, 10, 10)
            })
            .await
            .expect("a commit");
        assert!(due.surfaces.is_empty(), "what is over is not painted as running");
    }
}
