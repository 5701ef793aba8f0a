//! A turn that an earlier bridge followed is heard again, and with it all that its thread did since some earlier moment.

use super::*;

impl Follow {
    /// Whatever of this an earlier bridge had heard and done is not done twice. True when the turn is over.
    pub(super) async fn catch_up(&mut self) -> bool {
        let mut heard = Vec::new();
        let is_whole = loop {
            let Some(envelope) = self.facts.recv().await else { break false };
            let caught_up = envelope.fact == Fact::CaughtUp;
            heard.push(envelope);
            if caught_up {
                break true;
            }
        };
        if self.native.is_none() {
            self.native = ours(self.turn.client_id.as_ref(), self.turn.cursor.as_ref(), &heard);
            self.swallowed = self.native.is_some() && self.native == self.turn.cursor;
        }
        for envelope in heard {
            // As long as nothing of it is ours, all of it is of turns before this one.
            let is_ours = self.native.is_some() || envelope.fact == Fact::CaughtUp;
            if is_ours && self.take_for_sure(envelope).await {
                return true;
            }
        }
        !is_whole
    }
}

/// Which turn of what a thread did is the one that carries `client`, where it has begun. Others came before it: nothing
/// else is begun on the thread. The one that took our words, else the newest, unless that is the `cursor`, which was there
/// before ours, or took words of others.
fn ours(client: Option<&ClientId>, cursor: Option<&NativeTurnId>, heard: &[Envelope]) -> Option<NativeTurnId> {
    let takes = |envelope: &&Envelope| matches!(&envelope.fact, Fact::InputTaken { client: Some(taken) } if Some(taken) == client);
    if let Some(took) = heard.iter().find(takes) {
        return took.turn.clone();
    }
    let newest = heard.iter().rfind(|envelope| envelope.fact == Fact::TurnStarted)?.turn.clone();
    let has_words = |envelope: &Envelope| matches!(envelope.fact, Fact::InputTaken { .. }) && envelope.turn == newest;
    newest.clone().filter(|newest| Some(newest) != cursor && !heard.iter().any(has_words))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(turn: &str, fact: Fact) -> Envelope {
        Envelope { generation: Generation(1), thread: Some("t".into()), turn: Some(turn.into()), fact }
    }

    fn takes(turn: &str, client: &str) -> Envelope {
        said(turn, Fact::InputTaken { client: Some(ClientId::new(client)) })
    }

    #[test]
    fn a_turn_is_not_taken_for_one_before_it() {
        let begins = |turn: &str| said(turn, Fact::TurnStarted);
        let ends = |turn: &str| said(turn, Fact::TurnEnded { end: TurnEnd::Completed, failure: None });
        let before = || vec![begins("1"), takes("1", "a"), ends("1"), begins("2"), takes("2", "b"), ends("2")];
        let with = |more: Vec<Envelope>| [before(), more].concat();
        for (heard, cursor, want) in [
            (before(), "2", None),
            // It was settled without its end being known.
            (before(), "1", None),
            (with(vec![begins("3")]), "2", Some("3")),
            (with(vec![begins("3"), takes("3", "ours"), ends("3")]), "2", Some("3")),
            // Our words went into the turn before.
            (with(vec![takes("2", "ours")]), "2", Some("2")),
            (Vec::new(), "2", None),
        ] {
            let found = ours(Some(&ClientId::new("ours")), Some(&cursor.into()), &heard);
            assert_eq!(found, want.map(NativeTurnId::from), "{heard:?}");
        }
        assert_eq!(ours(None, None, &[begins("1")]), Some("1".into()), "a compaction takes no words");
    }
}
