//! The daemon's own log as a stop-watch: what happened, to the microsecond of the wall clock.

use std::path::Path;

use serde_json::Value;

/// Targets that must be on for [`events`].
pub const FILTER: &str =
    "info,ally::channels::feishu::socket=debug,ally::runtimes::rpc=debug,ally::bridge::outbox=debug";

/// One thing that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Microseconds since 1970.
    pub at_us: i64,
    pub what: What,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// The bridge takes work.
    Ready,
    /// The long connection is open.
    Connected,
    /// An ack was written, so long after its frame had been read.
    Acknowledged { took_us: i64 },
    /// A line with a call was handed to the runtime's pipe.
    Called { method: String },
    /// Its answer came.
    Answered { method: String, took_us: i64 },
    /// The runtime told something.
    Heard { method: String },
    /// The request that brings an answer into a chat is written now.
    Sends,
}

/// All of them so far, in order. A line that is not whole yet is left out.
pub fn events(folder: &Path) -> Vec<Event> {
    let text =
        crate::telemetry::files(folder, "ally").into_iter().filter_map(|file| std::fs::read_to_string(file).ok());
    let mut events: Vec<Event> = text.flat_map(|text| text.lines().filter_map(event).collect::<Vec<_>>()).collect();
    events.sort_by_key(|event| event.at_us);
    events
}

fn event(line: &str) -> Option<Event> {
    let line: Value = serde_json::from_str(line).ok()?;
    let text = |key: &str| line[key].as_str().unwrap_or_default().to_owned();
    let took_us = line["took_us"].as_i64().unwrap_or_default();
    let method = text("rpc.method");
    let what = match text("message").as_str() {
        "ally is ready" => What::Ready,
        "Long connection open" => What::Connected,
        "Event acknowledged" => What::Acknowledged { took_us },
        "Called" => What::Called { method },
        "Answered" => What::Answered { method, took_us },
        "Heard" => What::Heard { method },
        message if message.starts_with("Sends delivery ") => What::Sends,
        _ => return None,
    };
    let at_us = chrono::DateTime::parse_from_rfc3339(line["timestamp"].as_str()?).ok()?.timestamp_micros();
    Some(Event { at_us, what })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_the_log_is_an_event_or_none() {
        let line = r#"{"timestamp":"2026-11-21T20:43:58.000123Z","level":"DEBUG","message":"Event acknowledged","took_us":450,"target":"x"}"#;
        let want = Event { at_us: 1_795_293_838_000_123, what: What::Acknowledged { took_us: 450 } };
        assert_eq!(event(line), Some(want));
        assert_eq!(event(&line.replace("Event acknowledged", "Something else")), None);
        assert_eq!(event(&line[..40]), None);
    }
}
