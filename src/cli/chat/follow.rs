//! When a message of ours is answered. Pure: events in, news out.

use std::collections::HashMap;

use crate::channels::local::{ChatEvent, draw, draw_body};
use crate::domain::delivery::{Body, Target};
use crate::domain::gate::Ask;
use crate::domain::ids::{ButtonId, MessageId};
use crate::domain::view::{ButtonRole, Lang, LiveState, Receipt, View};

/// What an event means for the message that is followed.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum News {
    /// A part of the answer; the last one ends the wait.
    Answer { text: String, last: bool },
    /// Words of ally's own.
    Told(String),
    /// Where the work stands.
    Progress(String),
    /// A person must decide.
    Asked { card: MessageId, text: String, allow: Option<ButtonId>, decline: Option<ButtonId> },
    /// It is over and there may be no answer: what is still on its way comes at once.
    Over { ok: bool, text: Option<String> },
    /// Of no interest.
    Nothing,
}

/// Follows one message.
#[derive(Debug)]
pub(super) struct Follow {
    mine: MessageId,
    /// A command or a decision: the first reaction of any kind is the answer.
    short: bool,
    lang: Lang,
    /// Cards that belong to it, with what they showed last.
    cards: HashMap<MessageId, String>,
}

impl Follow {
    pub(super) fn new(mine: MessageId, text: &str, lang: Lang) -> Self {
        Self { mine, short: is_short(text), lang, cards: HashMap::new() }
    }

    /// Judges one event.
    pub(super) fn on(&mut self, event: &ChatEvent) -> News {
        match event {
            ChatEvent::Message { target, body, .. } if self.is_mine(target) => self.on_message(body),
            ChatEvent::Card { message, target, view, lang, .. } if self.is_mine(target) => {
                self.on_view(message, view, *lang)
            }
            ChatEvent::Update { message, view, lang } if self.cards.contains_key(message) => {
                self.on_view(message, view, *lang)
            }
            // A decision is answered by the card that it was about.
            ChatEvent::Update { view, lang, .. } if self.short => match view.as_ref() {
                View::Gate(gate) if !gate.state.is_open() => News::Answer { text: draw(view, *lang), last: true },
                View::Gates(_) => News::Answer { text: draw(view, *lang), last: true },
                _ => News::Nothing,
            },
            ChatEvent::Receipt { message, receipt: Receipt::Done } if *message == self.mine => {
                News::Over { ok: true, text: None }
            }
            ChatEvent::Receipt { message, receipt: Receipt::Failed } if *message == self.mine => {
                News::Over { ok: false, text: None }
            }
            _ => News::Nothing,
        }
    }

    /// Something without a reply mark is ours, too: only we are talking here.
    fn is_mine(&self, target: &Target) -> bool {
        target.reply_to.as_ref().is_none_or(|message| *message == self.mine)
    }

    fn on_message(&self, body: &Body) -> News {
        let text = draw_body(body);
        match body {
            Body::Answer { part, parts, .. } => News::Answer { text, last: part == parts },
            Body::Notice { .. } if self.short => News::Answer { text, last: true },
            Body::Notice { .. } => News::Told(text),
            Body::File { .. } | Body::Image { .. } => News::Answer { text, last: false },
        }
    }

    fn on_view(&mut self, card: &MessageId, view: &View, lang: Lang) -> News {
        let text = draw(view, lang);
        let known = self.cards.insert(card.clone(), text.clone());
        let fresh = known.as_ref() != Some(&text);
        match view {
            View::Live(live) => match live.state {
                LiveState::Failed | LiveState::Interrupted | LiveState::Stopped { .. } => {
                    News::Over { ok: false, text: fresh.then_some(text) }
                }
                LiveState::Merged => News::Over { ok: true, text: fresh.then_some(text) },
                _ if fresh => News::Progress(text),
                _ => News::Nothing,
            },
            View::Gate(gate) if gate.state.is_open() => {
                let button = |role: ButtonRole| {
                    gate.buttons.iter().find(|button| button.role == role).map(|button| button.id.clone())
                };
                // Where the network itself is asked for, that button is the yes.
                let grants = matches!(gate.ask, Ask::Permissions { network_only: true, .. });
                match fresh {
                    true => News::Asked {
                        card: card.clone(),
                        text,
                        allow: button(ButtonRole::Allow)
                            .or_else(|| grants.then(|| button(ButtonRole::AllowNetwork)).flatten()),
                        decline: button(ButtonRole::Decline),
                    },
                    false => News::Nothing,
                }
            }
            // One after the other: the next picture asks about the next one.
            View::Gates(gates) => match gates.rows.iter().find(|row| row.state.is_open()).filter(|_| fresh) {
                Some(row) => {
                    let button = |role: &ButtonRole| {
                        row.buttons.iter().find(|button| button.role == *role).map(|button| button.id.clone())
                    };
                    News::Asked {
                        card: card.clone(),
                        text,
                        allow: button(&ButtonRole::AllowNumber(row.number)),
                        decline: button(&ButtonRole::DeclineNumber(row.number)),
                    }
                }
                None if fresh => News::Told(text),
                None => News::Nothing,
            },
            View::Gate(_) if fresh => News::Told(text),
            View::Interrupted(_) | View::Stranger(_) => News::Over { ok: false, text: fresh.then_some(text) },
            View::Status(_) | View::Help(_) | View::Settings(_) | View::List(_) | View::Notice(_) | View::Queue(_)
                if self.short =>
            {
                News::Answer { text, last: true }
            }
            _ if fresh => News::Told(text),
            _ => News::Nothing,
        }
    }

    /// The language of what we say ourselves.
    pub(super) fn lang(&self) -> Lang {
        self.lang
    }
}

/// Commands and the typed shortcuts of decisions.
fn is_short(text: &str) -> bool {
    let text = text.trim();
    let one_word = |word: &str| {
        let numbered = |prefix: char| {
            word.strip_prefix(prefix).is_some_and(|rest| !rest.is_empty() && rest.chars().all(|c| c.is_ascii_digit()))
        };
        matches!(word, "y" | "n" | "同意" | "拒绝" | "all") || numbered('a') || numbered('d')
    };
    text.starts_with(['/', '／']) || text.split_whitespace().all(one_word)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::view::{InterruptedView, NoticeView};

    fn target(reply_to: &str) -> Target {
        Target { chat: "main".into(), reply_to: Some(reply_to.into()), in_topic: false }
    }

    fn message(reply_to: &str, body: Body) -> ChatEvent {
        ChatEvent::Message {
            message: "x".into(),
            delivery: "d".into(),
            key: "k".to_owned(),
            target: target(reply_to),
            body,
            lang: Lang::En,
        }
    }

    fn answer(part: u32, parts: u32) -> Body {
        Body::Answer { markdown: "hi".to_owned(), part, parts, footer: None, mention: None }
    }

    #[test]
    fn the_last_part_ends_the_wait() {
        let mut follow = Follow::new("m".into(), "hello", Lang::En);
        let text = || "hi".to_owned();
        assert_eq!(follow.on(&message("m", answer(1, 2))), News::Answer { text: text(), last: false });
        assert_eq!(follow.on(&message("m", answer(2, 2))), News::Answer { text: text(), last: true });
        assert_eq!(follow.on(&message("other", answer(1, 1))), News::Nothing);
    }

    #[test]
    fn a_notice_answers_commands_only() {
        let notice = || Body::Notice { text: "no".to_owned() };
        assert_eq!(Follow::new("m".into(), "hello", Lang::En).on(&message("m", notice())), News::Told("no".to_owned()));
        for text in ["/status", "y", "a1 d2", "all y"] {
            let news = Follow::new("m".into(), text, Lang::En).on(&message("m", notice()));
            assert_eq!(news, News::Answer { text: "no".to_owned(), last: true }, "{text}");
        }
    }

    #[test]
    fn an_interruption_ends_the_wait_with_its_words() {
        let mut follow = Follow::new("m".into(), "hello", Lang::En);
        let view = View::Interrupted(InterruptedView {
            requester: "ann".to_owned(),
            mention: None,
            at_ms: 0,
            certain: Vec::new(),
            uncertain: Vec::new(),
            commands_ended: false,
            shutdown: false,
            history_gone: false,
            partial: None,
            steers: Vec::new(),
            buttons: Vec::new(),
            chosen: None,
        });
        let card = ChatEvent::Card {
            message: "c".into(),
            delivery: "d".into(),
            key: "k".to_owned(),
            target: target("m"),
            view: Box::new(view),
            lang: Lang::En,
        };
        let text = Some("✕ interrupted, outcome unknown\n  No step that changes things was seen".to_owned());
        assert_eq!(follow.on(&card), News::Over { ok: false, text });
    }

    #[test]
    fn only_our_own_cards_count_and_repetitions_are_silent() {
        let mut follow = Follow::new("m".into(), "hello", Lang::En);
        let view = || Box::new(View::Notice(NoticeView { text: "later".to_owned(), buttons: Vec::new() }));
        let update = || ChatEvent::Update { message: "c".into(), view: view(), lang: Lang::En };
        assert_eq!(follow.on(&update()), News::Nothing);
        let card = ChatEvent::Card {
            message: "c".into(),
            delivery: "d".into(),
            key: "k".to_owned(),
            target: target("m"),
            view: view(),
            lang: Lang::En,
        };
        assert_eq!(follow.on(&card), News::Told("later".to_owned()));
        assert_eq!(follow.on(&update()), News::Nothing);
    }
}
