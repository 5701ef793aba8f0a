//! What the bridge and a player in a process of its own say to one another. A process outlives bridges, and the next one
//! may be of another version: add, never rename.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::bridge::ports::{CallError, Fork, GateAnswer, Open, Pull, Steer, Submit};
use crate::domain::ids::{NativeTurnId, ThreadId};
use crate::runtimes::rpc::RpcError;

/// The notification that carries an [`Envelope`](crate::bridge::ports::Envelope).
pub(in super::super) const FACT: &str = "fact";

/// A call of the port.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "method", content = "params", rename_all = "snake_case")]
pub(in super::super) enum Call {
    /// Answered once it can play.
    Hello {},
    Open(Open),
    Submit(Submit),
    Compact {
        thread: ThreadId,
    },
    Steer(Steer),
    Interrupt {
        thread: ThreadId,
        turn: NativeTurnId,
    },
    Clean {
        thread: ThreadId,
    },
    Answer(GateAnswer),
    Pull(Pull),
    ThreadStatus {
        thread: ThreadId,
    },
    Release {
        thread: ThreadId,
    },
    Fork(Fork),
}

impl Call {
    /// Reads a request.
    pub fn read(method: &str, params: Value) -> serde_json::Result<Self> {
        serde_json::from_value(json!({ "method": method, "params": params }))
    }

    pub fn method(&self) -> &'static str {
        match self {
            Call::Hello {} => "hello",
            Call::Open(_) => "open",
            Call::Submit(_) => "submit",
            Call::Compact { .. } => "compact",
            Call::Steer(_) => "steer",
            Call::Interrupt { .. } => "interrupt",
            Call::Clean { .. } => "clean",
            Call::Answer(_) => "answer",
            Call::Pull(_) => "pull",
            Call::ThreadStatus { .. } => "thread_status",
            Call::Release { .. } => "release",
            Call::Fork(_) => "fork",
        }
    }

    pub fn params(&self) -> serde_json::Result<Value> {
        Ok(serde_json::to_value(self)?["params"].take())
    }

    /// The thread that it is about; a new one has no name yet.
    pub fn thread(&self) -> Option<&ThreadId> {
        match self {
            Call::Hello {} => None,
            Call::Open(how) => how.thread.as_ref(),
            Call::Submit(submit) => Some(&submit.thread),
            Call::Steer(steer) => Some(&steer.thread),
            Call::Answer(answer) => Some(&answer.thread),
            Call::Pull(pull) => Some(&pull.thread),
            Call::Fork(how) => Some(&how.thread),
            Call::Compact { thread }
            | Call::Interrupt { thread, .. }
            | Call::Clean { thread }
            | Call::ThreadStatus { thread }
            | Call::Release { thread } => Some(thread),
        }
    }
}

/// The answer to [`Call::Hello`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(in super::super) struct Hello {
    pub version: String,
}

/// What a bridge must know of the process that it did not start. Kept in a file beside its output.
#[derive(Default, Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(in super::super) struct Memory {
    pub version: String,
    /// What it was started with, in short.
    pub settings: String,
}

const BUSY: i64 = -32001;
const NO_THREAD: i64 = -32002;
const NO_TURN: i64 = -32003;
const REFUSED: i64 = -32004;
const GONE: i64 = -32005;
/// JSON-RPC's own "method not found".
pub(in super::super) const UNKNOWN: i64 = -32601;

/// A refusal as an error of JSON-RPC.
pub(in super::super) fn refusal(error: CallError) -> (i64, String) {
    match error {
        CallError::Busy { detail } => (BUSY, detail),
        CallError::NoThread { detail } => (NO_THREAD, detail),
        CallError::Refused { detail } => (REFUSED, detail),
        CallError::NoTurn => (NO_TURN, error.to_string()),
        CallError::Gone => (GONE, error.to_string()),
        CallError::Unsupported => (UNKNOWN, error.to_string()),
        other => (REFUSED, other.to_string()),
    }
}

/// Why a call was not answered, or with what.
pub(in super::super) fn call_error(method: &'static str, error: RpcError) -> CallError {
    match error {
        RpcError::Remote { code: BUSY, message } => CallError::Busy { detail: message },
        RpcError::Remote { code: NO_THREAD, message } => CallError::NoThread { detail: message },
        RpcError::Remote { code: NO_TURN, .. } => CallError::NoTurn,
        RpcError::Remote { code: GONE, .. } | RpcError::Gone => CallError::Gone,
        RpcError::Remote { code: UNKNOWN, .. } => CallError::Unsupported,
        RpcError::Remote { message, .. } => CallError::Refused { detail: message },
        RpcError::Timeout(deadline) => CallError::NoAnswer { method, seconds: deadline.as_secs() },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bridge::ports::{Envelope, Fact, Level, Posture};
    use crate::domain::ids::{ClientId, Generation};

    #[test]
    fn each_call_is_read_as_it_was_said() {
        let thread = ThreadId::new("t");
        let (directory, posture) = (std::path::PathBuf::from("/w"), Posture::of(Level::Edit));
        let calls = [
            Call::Hello {},
            Call::Open(Open { thread: None, directory: directory.clone(), posture: posture.clone() }),
            Call::Interrupt { thread: thread.clone(), turn: "1".into() },
            Call::Pull(Pull { thread: thread.clone(), client: Some(ClientId::new("c")), turn: None, cursor: None }),
            Call::Fork(Fork { thread: thread.clone(), directory, posture }),
            Call::Release { thread },
        ];
        for call in calls {
            assert_eq!(Call::read(call.method(), call.params().unwrap()).unwrap(), call);
        }
        assert!(Call::read("dance", json!({})).is_err());
    }

    #[test]
    fn a_refusal_stays_what_it_is() {
        let detail = || "why".to_owned();
        for error in [
            CallError::Busy { detail: detail() },
            CallError::NoThread { detail: detail() },
            CallError::Refused { detail: detail() },
            CallError::NoTurn,
            CallError::Gone,
            CallError::Unsupported,
        ] {
            let (code, message) = refusal(error.clone());
            assert_eq!(call_error("x", RpcError::Remote { code, message }), error);
        }
    }

    #[test]
    fn a_fact_is_one_object() {
        let fact = Fact::InputTaken { client: Some(ClientId::new("c")) };
        let envelope = Envelope { generation: Generation(1), thread: Some("t".into()), turn: None, fact };
        let said = serde_json::to_value(&envelope).unwrap();
        assert_eq!(said["fact"], json!({ "input_taken": { "client": "c" } }));
        assert_eq!(serde_json::from_value::<Envelope>(said).unwrap(), envelope);
    }
}
