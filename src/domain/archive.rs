//! A line of the archive: what was asked and what came of it, for people's scripts and an assistant's skills. `docs/archive.md`
//! promises its form: fields are added, never renamed.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Version of the form.
pub const VERSION: u32 = 1;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Line {
    pub v: u32,
    pub turn: String,
    /// These three with their offset from UTC.
    pub settled_at: String,
    pub created_at: String,
    pub started_at: Option<String>,
    pub channel: String,
    pub chat: String,
    pub chat_kind: String,
    pub conversation: String,
    pub requester: Person,
    pub outcome: String,
    pub prompt: Option<String>,
    pub answer: Option<String>,
    pub failure: Option<Failed>,
    pub directory: String,
    pub runtime: String,
    pub tokens: Option<i64>,
    pub steps: Vec<Done>,
    pub gates: Vec<Asked>,
    pub routine: Option<Of>,
    pub continues: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Person {
    pub id: String,
    pub name: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failed {
    pub kind: String,
    pub detail: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Done {
    pub what: String,
    pub object: String,
    pub state: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asked {
    pub number: i64,
    pub ask: String,
    pub what: String,
    pub decision: Option<String>,
    pub by: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Of {
    pub name: String,
    pub due_at: String,
}

/// The id of the turn that a line is about; nothing of one that cannot be read.
pub fn turn_of(line: &str) -> Option<String> {
    let value: Value = serde_json::from_str(line).ok()?;
    Some(value.get("turn")?.as_str()?.to_owned())
}

/// The same line without what people and the agent said. Of a form of its own (a later ally's) all fields but these stay.
pub fn without_words(line: &str) -> Option<String> {
    let mut value: Value = serde_json::from_str(line).ok()?;
    let fields = value.as_object_mut()?;
    for key in ["prompt", "answer"] {
        fields.insert(key.to_owned(), Value::Null);
    }
    if let Some(detail) = fields.get_mut("failure").and_then(|failure| failure.get_mut("detail")) {
        *detail = Value::from("");
    }
    fields.insert("steps".to_owned(), Value::Array(Vec::new()));
    for gate in fields.get_mut("gates").and_then(Value::as_array_mut).into_iter().flatten() {
        if let Some(what) = gate.get_mut("what") {
            *what = Value::from("");
        }
    }
    Some(value.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_forgotten_leaves_who_when_and_what_came_of_it() {
        let line = r#"{"v":1,"turn":"t","prompt":"secret","answer":"secret","failure":{"kind":"Other","detail":"secret"},
            "steps":[{"what":"command","object":"cat secret","state":"ok"}],"outcome":"failed","later":{"x":1},
            "gates":[{"number":3,"ask":"command","what":"cat secret","decision":"allow","by":"Wang"}]}"#;
        let bare = without_words(line).expect("a line");
        assert!(!bare.contains("secret") && bare.contains("\"later\"") && bare.contains("Wang"), "{bare}");
        assert_eq!(turn_of(&bare).as_deref(), Some("t"));
        assert_eq!((turn_of("{\"turn\":\"t"), without_words("torn")), (None, None));
    }
}
