//! Calls of an agent's own tools: recognised when they are made again, and counted. And the secret behind their keys.

use rusqlite::{Transaction, params};

use super::LedgerError;
use super::said::{meta, set_meta};
use super::sql::{all, first, run};
use crate::domain::gate::hex;
use crate::domain::ids::*;
use crate::domain::tool::{Made, Tool};

/// Where the secret stands.
const SECRET: &str = "tools_secret";
/// Calls of former tasks are counted for an hour; none is made again after that.
const KEPT_MS: i64 = 2 * 3_600_000;

/// The secret that the keys of all conversations come from, as it was made once; `fresh` where there is none yet.
pub fn secret(tx: &Transaction<'_>, fresh: &[u8; 32]) -> Result<[u8; 32], LedgerError> {
    if let Some(known) = meta(tx, SECRET)?.and_then(|text| unhex(&text)) {
        return Ok(known);
    }
    set_meta(tx, SECRET, &hex(fresh))?;
    Ok(*fresh)
}

fn unhex(text: &str) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    if text.len() != 64 || !text.is_ascii() {
        return None;
    }
    for (at, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&text[2 * at..2 * at + 2], 16).ok()?;
    }
    Some(bytes)
}

/// What a call was told that was let in before.
pub fn told(tx: &Transaction<'_>, id: &str, conversation: &ConversationId) -> Result<Option<String>, LedgerError> {
    let sql = "SELECT told FROM tool_calls WHERE id = ?1 AND conversation = ?2";
    first(tx, sql, params![id, conversation.as_str()], |row| row.get(0))
}

/// Calls of a conversation, as far as they are kept.
pub fn made(tx: &Transaction<'_>, conversation: &ConversationId, turn: &TurnId) -> Result<Vec<Made>, LedgerError> {
    let sql = "SELECT tool, at_ms, turn = ?2 FROM tool_calls WHERE conversation = ?1";
    let read = |row: &rusqlite::Row<'_>| {
        let (tool, at_ms, in_this_task) = (row.get::<_, String>(0)?, row.get(1)?, row.get(2)?);
        Ok(Tool::parse(&tool).map(|tool| Made { tool, at_ms, in_this_task }))
    };
    // A tool of a later ally is none that is counted here.
    Ok(all(tx, sql, params![conversation.as_str(), turn.as_str()], read)?.into_iter().flatten().collect())
}

/// A call that is let in.
#[derive(Debug, Clone)]
pub struct NewCall<'a> {
    /// The tool server's own.
    pub id: &'a str,
    pub conversation: &'a ConversationId,
    pub turn: &'a TurnId,
    pub tool: Tool,
    pub told: &'a str,
}

/// Notes a call, and forgets what of the conversation nobody asks for any more.
pub fn note(tx: &Transaction<'_>, call: &NewCall<'_>, now_ms: i64) -> Result<(), LedgerError> {
    let (conversation, turn) = (call.conversation.as_str(), call.turn.as_str());
    let sql = "DELETE FROM tool_calls WHERE conversation = ?1 AND at_ms < ?2 AND turn <> ?3";
    run(tx, sql, params![conversation, now_ms - KEPT_MS, turn])?;
    let sql = "INSERT INTO tool_calls (id, conversation, turn, tool, told, at_ms) VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
    run(tx, sql, params![call.id, conversation, turn, call.tool.as_str(), call.told, now_ms])?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::message::ChatKind;
    use crate::domain::view::Lang;
    use crate::ledger::conversations::{self, NewConversation};
    use crate::ledger::open::{Places, writer};
    use crate::ledger::turns::{self, NewTurn};

    fn conversation(tx: &Transaction<'_>, chat: &str) -> ConversationId {
        let place = NewConversation {
            channel: "c".into(),
            chat: chat.into(),
            chat_kind: ChatKind::Direct,
            root: None,
            routine: None,
            topic: None,
            directory: "/w".into(),
            lang: Lang::En,
            runtime_kind: "k".to_owned(),
            runtime_home: "/h".to_owned(),
        };
        conversations::resolve(tx, &place, 1).unwrap().id
    }

    fn turn(tx: &Transaction<'_>, conversation: &ConversationId) -> TurnId {
        let new = NewTurn {
            conversation: conversation.clone(),
            ord: None,
            requester: "u".into(),
            requester_name: "U".to_owned(),
            title: "t".to_owned(),
            reply_to: None,
            prompt: "{}".to_owned(),
            continues: None,
            directory: None,
            network_by: None,
            not_before_ms: 0,
        };
        turns::insert(tx, &new, 1).unwrap()
    }

    #[test]
    fn a_call_is_recognised_counted_and_forgotten() {
        let dir = tempfile::tempdir().unwrap();
        let places = Places { file: dir.path().join("ledger.db"), backups: dir.path().join("backups") };
        let mut ledger = writer(&places).unwrap();
        let tx = ledger.transaction().unwrap();
        let (a, b) = (conversation(&tx, "a"), conversation(&tx, "b"));
        let (first, second) = (turn(&tx, &a), turn(&tx, &a));
        let call = |id, turn, at_ms| {
            let call = NewCall { id, conversation: &a, turn, tool: Tool::SendFile, told: "sent" };
            note(&tx, &call, at_ms).unwrap();
        };
        call("1", &first, 1_000);
        assert_eq!(told(&tx, "1", &a).unwrap().as_deref(), Some("sent"));
        assert_eq!(told(&tx, "1", &b).unwrap(), None, "another conversation's");
        call("2", &first, KEPT_MS + 2_000);
        assert_eq!(made(&tx, &a, &first).unwrap().len(), 2, "a long task keeps all of its own");
        call("3", &second, KEPT_MS + 3_000);
        let kept = made(&tx, &a, &second).unwrap();
        assert_eq!(kept.iter().map(|call| call.in_this_task).collect::<Vec<_>>(), [false, true]);
        assert_eq!(told(&tx, "1", &a).unwrap(), None);
    }

    #[test]
    fn the_secret_is_made_once() {
        let dir = tempfile::tempdir().unwrap();
        let places = Places { file: dir.path().join("ledger.db"), backups: dir.path().join("backups") };
        let mut ledger = writer(&places).unwrap();
        let tx = ledger.transaction().unwrap();
        assert_eq!(secret(&tx, &[0xa7; 32]).unwrap(), [0xa7; 32]);
        assert_eq!(secret(&tx, &[9; 32]).unwrap(), [0xa7; 32]);
    }
}
