//! `ally doctor ledger`: every invariant that can be read from rows, one query each, which finds what breaks it.
//!
//! It reads every table from end to end, so it never runs on the daemon's own readers: only on a connection of its own.

use rusqlite::Transaction;

use super::LedgerError;
use crate::domain::invariant::{Broken, Invariant};

/// So many rows are named of each.
const NAMED: usize = 20;

/// What does not hold, in the order of [`Invariant::ALL`]. Empty: the ledger is sound.
pub fn run(tx: &Transaction<'_>) -> Result<Vec<Broken>, LedgerError> {
    let mut broken = Vec::new();
    for invariant in Invariant::ALL {
        let rows = breaking(tx, invariant)?;
        if !rows.is_empty() {
            broken.push(Broken { invariant, rows });
        }
    }
    Ok(broken)
}

fn breaking(tx: &Transaction<'_>, invariant: Invariant) -> Result<Vec<String>, LedgerError> {
    let mut statement = tx.prepare(query(invariant))?;
    let rows = statement.query_map([], |row| row.get::<_, String>(0))?;
    Ok(rows.take(NAMED).collect::<rusqlite::Result<_>>()?)
}

/// One text column: what breaks it.
fn query(invariant: Invariant) -> &'static str {
    use Invariant::*;
    match invariant {
        FileWhole => "SELECT integrity_check FROM pragma_integrity_check WHERE integrity_check <> 'ok'",
        ReferencesExist => {
            "SELECT \"table\" || ':' || coalesce(rowid, '?') || ' -> ' || parent FROM pragma_foreign_key_check"
        }
        ColumnsReadable => {
            "SELECT 'turns:' || id FROM turns WHERE (NOT json_valid(prompt) AND (prompt <> '' OR state <> 'settled'))
                 OR (progress IS NOT NULL AND NOT json_valid(progress)) OR (failure IS NOT NULL AND NOT json_valid(failure))
             UNION ALL SELECT 'gates:' || id FROM gates WHERE NOT json_valid(ask) OR NOT json_valid(choices)
                 OR (decision IS NOT NULL AND NOT json_valid(decision))
             UNION ALL SELECT 'messages:' || id FROM messages WHERE NOT json_valid(body) OR NOT json_valid(target)
             UNION ALL SELECT 'surfaces:' || id FROM surfaces WHERE NOT json_valid(target)
                 OR (wanted IS NOT NULL AND NOT json_valid(wanted))
             UNION ALL SELECT 'buttons:' || id FROM buttons WHERE NOT json_valid(action)"
        }
        OneActiveTurn => {
            "SELECT 'conversations:' || conversation FROM turns WHERE state IN ('submitting', 'running', 'waiting')
             GROUP BY conversation HAVING count(*) > 1"
        }
        ActiveWasSubmitted => {
            "SELECT 'turns:' || id FROM turns WHERE state IN ('submitting', 'running', 'waiting')
               AND (client_id IS NULL OR thread IS NULL OR generation IS NULL OR boot_id IS NULL
                    OR submitted_at_ms IS NULL OR attempt < 1)"
        }
        ClientIdFits => {
            "SELECT 'turns:' || id FROM turns
             WHERE (client_id IS NULL AND attempt > 0) OR client_id <> id || '.' || attempt"
        }
        QueuedIsNowhere => {
            "SELECT 'turns:' || id FROM turns WHERE state = 'queued' AND (generation IS NOT NULL OR native_turn IS NOT NULL)"
        }
        SettledHasTime => {
            "SELECT 'turns:' || id FROM turns WHERE (state = 'settled') <> (settled_at_ms IS NOT NULL)
                 OR outcome NOT IN ('completed', 'failed', 'interrupted', 'lost', 'merged', 'cancelled')"
        }
        CompletedWasTold => {
            "SELECT 'turns:' || id FROM turns t WHERE t.outcome = 'completed'
               AND NOT EXISTS (SELECT 1 FROM messages m WHERE m.turn = t.id)
               AND NOT EXISTS (SELECT 1 FROM runs r WHERE r.turn = t.id)
               AND NOT (t.prompt = '' AND EXISTS (
                   SELECT 1 FROM conversations c WHERE c.id = t.conversation AND c.routine IS NOT NULL))"
        }
        LostWasTold => {
            "SELECT 'turns:' || id FROM turns t WHERE t.outcome = 'lost'
               AND NOT EXISTS (SELECT 1 FROM surfaces s WHERE s.kind = 'interrupted' AND s.subject = t.id)
               AND NOT EXISTS (SELECT 1 FROM surfaces s WHERE s.kind = 'notice' AND s.subject = 'failed:' || t.id)
               AND NOT (t.lost_how IS NULL AND EXISTS (SELECT 1 FROM meta m
                   LEFT JOIN meta n ON n.key = 'restored_turns' WHERE m.key = 'restored_ms'
                   AND CASE WHEN n.value IS NULL THEN t.created_at_ms <= CAST(m.value AS INTEGER)
                       ELSE t.rowid <= CAST(n.value AS INTEGER) END))"
        }
        WaitingHasGate => {
            "SELECT 'turns:' || t.id FROM turns t JOIN generations g ON g.number = t.generation
             WHERE t.state = 'waiting' AND g.state <> 'dead' AND NOT EXISTS (
                 SELECT 1 FROM gates o WHERE o.turn = t.id AND o.state IN ('open', 'decided', 'answering'))"
        }
        GateHasWaitingTurn => {
            "SELECT 'gates:' || o.id FROM gates o JOIN turns t ON t.id = o.turn
             WHERE o.state IN ('open', 'decided', 'answering') AND t.state <> 'waiting'"
        }
        GateColumnsFit => {
            "SELECT 'gates:' || id FROM gates
             WHERE state NOT IN ('open', 'decided', 'answering', 'answered', 'withdrawn', 'void')
                OR (decision IS NULL) <> (decided_by IS NULL) OR (decision IS NULL) <> (decided_at_ms IS NULL)
                OR (state = 'open' AND decision IS NOT NULL)
                OR (state IN ('decided', 'answering', 'answered') AND decision IS NULL)
                OR (state = 'void') <> (void_from IS NOT NULL)
                OR (void_from IN ('decided', 'answering') AND decision IS NULL)"
        }
        GateOfLivingProcess => {
            "SELECT 'gates:' || o.id FROM gates o JOIN generations g ON g.number = o.generation
             WHERE o.state IN ('open', 'decided', 'answering') AND g.state = 'dead'"
        }
        GateHasCard => {
            "SELECT 'gates:' || o.id FROM gates o WHERE o.state = 'open' AND NOT EXISTS (
                 SELECT 1 FROM surfaces s WHERE s.kind = 'gate' AND s.subject = coalesce(o.card, o.id))"
        }
        GateCardEnds => {
            "SELECT 'surfaces:' || s.id FROM surfaces s WHERE s.kind = 'gate' AND s.final = 0 AND s.state <> 'gone'
               AND NOT EXISTS (SELECT 1 FROM gates o WHERE coalesce(o.card, o.id) = s.subject
                   AND o.state IN ('open', 'decided', 'answering'))"
        }
        LiveCardHasTurn => {
            "SELECT 'surfaces:' || s.id FROM surfaces s LEFT JOIN turns t ON t.id = s.subject
             WHERE s.kind = 'live' AND s.state <> 'gone' AND (t.id IS NULL OR (s.final = 0 AND t.state = 'settled'))"
        }
        QueueCardHasTurn => {
            "SELECT 'surfaces:' || s.id FROM surfaces s WHERE s.kind = 'queue' AND s.final = 0 AND s.state <> 'gone'
               AND NOT EXISTS (SELECT 1 FROM turns t WHERE t.conversation = s.conversation AND t.state = 'queued')"
        }
        PartsInOrder => {
            "SELECT 'messages:' || m.id FROM messages m JOIN messages p ON p.id = m.after
             WHERE m.state IN ('sending', 'sent') AND p.state IN ('ready', 'sending')"
        }
        MessageColumnsFit => {
            "SELECT 'messages:' || id FROM messages WHERE (state = 'sent' AND sent_at_ms IS NULL)
                OR (state = 'sending' AND first_attempt_ms IS NULL)
                OR (state IN ('ready', 'sending') AND (sent_at_ms IS NOT NULL OR platform_id IS NOT NULL))"
        }
        SurfaceColumnsFit => {
            "SELECT 'surfaces:' || id FROM surfaces WHERE (state = 'wanted' AND shown_hash = wanted_hash)
                OR (state = 'creating' AND first_attempt_ms IS NULL)
                OR (state = 'shown' AND kind NOT IN ('reaction', 'notice') AND platform_id IS NULL)"
        }
        OneLivingProcess => {
            "SELECT 'generations:' || max(number) FROM generations WHERE state = 'live' GROUP BY kind, home HAVING count(*) > 1"
        }
        InboundLeads => {
            "SELECT 'inbound:' || seq FROM inbound i WHERE (state = 'turn' AND turn IS NULL)
                OR (state = 'waiting' AND (reason IS NULL
                    OR (reason NOT IN ('late', 'companion', 'companion, told', 'restored') AND reason NOT LIKE 'with %')
                    OR (reason LIKE 'with %' AND NOT EXISTS (
                        SELECT 1 FROM inbound w WHERE w.seq = CAST(substr(i.reason, 6) AS INTEGER)))))"
        }
        InboundHasWords => {
            "SELECT 'inbound:' || seq FROM inbound WHERE state IN ('received', 'waiting') AND raw IS NULL"
        }
        RefusedHasNoWords => {
            "SELECT 'inbound:' || seq FROM inbound WHERE state = 'refused' AND raw IS NOT NULL AND reason IN
                 ('not a person', 'not addressed', 'other company', 'stranger', 'not addressed or not allowed',
                  'not allowed any more')"
        }
        SteersEnd => {
            "SELECT 'inbound:' || i.seq FROM inbound i LEFT JOIN turns t ON t.id = i.turn
             WHERE i.steer IN ('wanted', 'sent') AND (t.id IS NULL OR t.state = 'settled')"
        }
        HeldSaysWhy => {
            "SELECT 'conversations:' || c.id FROM conversations c LEFT JOIN turns t ON t.id = c.held_turn
             WHERE (c.state = 'held') <> (c.held_why IS NOT NULL) OR (c.state = 'open' AND c.held_turn IS NOT NULL)
                OR (c.held_why = 'lost' AND (t.state IS NULL OR t.state <> 'settled'))"
        }
        ButtonsLead => {
            "SELECT 'buttons:' || b.id FROM buttons b WHERE (b.used_by IS NULL) <> (b.used_at_ms IS NULL)
                OR (json_extract(b.action, '$.gate') IS NOT NULL
                    AND NOT EXISTS (SELECT 1 FROM gates g WHERE g.id = json_extract(b.action, '$.gate')))
                OR (json_extract(b.action, '$.turn') IS NOT NULL
                    AND NOT EXISTS (SELECT 1 FROM turns t WHERE t.id = json_extract(b.action, '$.turn')))"
        }
        TaskRulesEnd => {
            "SELECT 'rules:' || r.number FROM rules r JOIN turns t ON t.id = r.turn
             WHERE r.span = 'task' AND r.ended_at_ms IS NULL AND t.state = 'settled'"
        }
    }
}

#[cfg(test)]
mod tests;
