//! What a runtime promises about the commands of an agent, and what came of trying it.

use serde::{Deserialize, Serialize};

/// One promise of the sandbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Promise {
    /// Commands run in a project, read it and, at `edit`, change it.
    Work,
    /// Files of a project that are secrets by their name are not read.
    Secrets,
    /// The person's keys and ally's own files are not read.
    Private,
    /// Projects and workspaces of others are not read.
    Others,
    /// At `safe` the project is not changed, and at no level what lies outside.
    Writes,
    /// Without a grant there is no network.
    Network,
    /// Where there is a network, no program outside of the sandbox is reached by its socket.
    Sockets,
    /// What ally knows from its environment is not seen.
    Environment,
}

impl Promise {
    pub const ALL: [Promise; 8] = [
        Promise::Work,
        Promise::Secrets,
        Promise::Private,
        Promise::Others,
        Promise::Writes,
        Promise::Network,
        Promise::Sockets,
        Promise::Environment,
    ];
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Outcome {
    /// Tried, and it is so.
    Held,
    /// Tried, and it is not so: what was reached, written or not possible. Names, never contents.
    NotHeld { what: Vec<String> },
    /// It could not be tried.
    Unknown { why: String },
}

/// A promise and what came of trying it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tried {
    pub promise: Promise,
    #[serde(flatten)]
    pub outcome: Outcome,
}

impl Tried {
    /// Nothing could be tried, for one reason.
    pub fn nothing(why: &str) -> Vec<Tried> {
        Promise::ALL.map(|promise| Tried { promise, outcome: Outcome::Unknown { why: why.to_owned() } }).to_vec()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_json_is_flat() {
        let tried = Tried { promise: Promise::Network, outcome: Outcome::NotHeld { what: vec!["a".to_owned()] } };
        let json = serde_json::to_value(&tried).unwrap();
        assert_eq!(json, serde_json::json!({ "promise": "network", "outcome": "not_held", "what": ["a"] }));
        assert_eq!(serde_json::from_value::<Tried>(json).unwrap(), tried);
    }
}
