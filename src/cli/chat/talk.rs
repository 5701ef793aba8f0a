//! `ally chat`: lines in, events out. Leaving stops nothing.

use std::collections::{HashMap, HashSet};
use std::io::IsTerminal;
use std::process::ExitCode;
use std::time::Duration;

use anstyle::AnsiColor;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::time::{Instant, timeout_at};

use super::follow::{Follow, News};
use super::say::{LAST_WORDS, ended};
use super::session::Session;
use crate::channels::local::{ChatEvent, buttons, draw, draw_body};
use crate::cli::error::CliError;
use crate::cli::output::{dim, line, note, paint};
use crate::domain::ids::MessageId;
use crate::domain::view::{Button, Lang, Receipt, View};

/// Lines of the chat that are shown at the start.
const RECENT: u64 = 20;

/// Reads lines until the end of stdin. From a terminal that leaves at once; from a pipe the answers are awaited.
pub(super) async fn run(session: &mut Session, lang: Lang, timeout: Duration) -> Result<ExitCode, CliError> {
    let person = std::io::stdin().is_terminal();
    if person {
        note(&dim(match lang {
            Lang::Zh => "写一行，回车发送。y / n 回答批准请求，!1 按按钮，/help 看命令，Ctrl-C 离开（任务继续）",
            Lang::En => {
                "type a line, Enter sends it. y / n answer requests, !1 presses a button, /help lists commands, Ctrl-C leaves (tasks go on)"
            }
        }));
        session.rewind(RECENT).await?;
        for gate in session.open_gates().await? {
            line(&paint(AnsiColor::Yellow, &format!("? #{} {}", gate.number, gate.what)))?;
        }
    }
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    let mut screen = Screen::new(lang);
    loop {
        tokio::select! {
            typed = lines.next_line() => match typed? {
                Some(text) if text.trim().is_empty() => {}
                Some(text) if pressed(&text).is_some() => press(session, &screen, &text).await?,
                Some(text) => {
                    let mine = session.say(text.trim_end()).await?;
                    screen.wait_for(mine, &text);
                }
                None => break,
            },
            event = session.next() => screen.show(&event?)?,
            _ = tokio::signal::ctrl_c() => {
                note(match lang {
                    Lang::Zh => "已离开，任务继续",
                    Lang::En => "left; the tasks go on",
                });
                return Ok(ExitCode::SUCCESS);
            }
        }
    }
    match person {
        true => Ok(ExitCode::SUCCESS),
        false => wait_for_answers(session, &mut screen, timeout).await,
    }
}

/// Nobody looks: the exit code says whether all was done.
async fn wait_for_answers(session: &mut Session, screen: &mut Screen, timeout: Duration) -> Result<ExitCode, CliError> {
    let mut until = Instant::now() + timeout;
    while !screen.waiting.is_empty() {
        if screen.waiting.keys().all(|message| screen.over.contains_key(message)) {
            until = until.min(Instant::now() + LAST_WORDS);
        }
        match timeout_at(until, session.next()).await {
            Ok(event) => screen.show(&event?)?,
            Err(_) => break,
        }
    }
    // What is over and had an answer is not waited for any more.
    let open = screen.waiting.keys().map(|message| screen.over.get(message).copied());
    let worst = open.chain([Some(true)]).min_by_key(|end| match end {
        Some(false) => 0,
        None => 1,
        Some(true) => 2,
    });
    ended(worst.flatten(), timeout)
}

/// `!2` presses the second button of the newest card that has some.
fn pressed(text: &str) -> Option<usize> {
    text.trim().strip_prefix('!')?.parse::<usize>().ok()?.checked_sub(1)
}

async fn press(session: &Session, screen: &Screen, text: &str) -> Result<(), CliError> {
    let button = screen.card_buttons.as_ref().and_then(|(card, buttons)| Some((card, buttons.get(pressed(text)?)?)));
    let Some((card, button)) = button else {
        note(match screen.lang {
            Lang::Zh => "没有这个按钮",
            Lang::En => "there is no such button",
        });
        return Ok(());
    };
    if let Some(toast) = session.click(card, &button.id, screen.lang).await? {
        note(&dim(&toast));
    }
    Ok(())
}

struct Screen {
    lang: Lang,
    /// Our own messages that have no answer yet.
    waiting: HashMap<MessageId, Follow>,
    /// Those of them whose task has ended, and whether well: an answer may still be on its way.
    over: HashMap<MessageId, bool>,
    ours: HashSet<MessageId>,
    /// What each card showed last.
    cards: HashMap<MessageId, String>,
    /// The newest card with buttons.
    card_buttons: Option<(MessageId, Vec<Button>)>,
}

impl Screen {
    fn new(lang: Lang) -> Self {
        Self {
            lang,
            waiting: HashMap::new(),
            over: HashMap::new(),
            ours: HashSet::new(),
            cards: HashMap::new(),
            card_buttons: None,
        }
    }

    fn wait_for(&mut self, mine: MessageId, text: &str) {
        self.ours.insert(mine.clone());
        self.waiting.insert(mine.clone(), Follow::new(mine, text, self.lang));
    }

    fn show(&mut self, event: &ChatEvent) -> Result<(), CliError> {
        self.waiting.retain(|message, follow| match follow.on(event) {
            News::Answer { last: true, .. } => false,
            News::Over { ok, .. } => {
                let known = self.over.entry(message.clone()).or_insert(true);
                *known = *known && ok;
                true
            }
            _ => true,
        });
        match event {
            ChatEvent::Hello => Ok(()),
            ChatEvent::Said { message, .. } if self.ours.contains(message) => Ok(()),
            // Another terminal of this chat.
            ChatEvent::Said { text, .. } => {
                note(&dim(&format!("> {text}")));
                Ok(())
            }
            ChatEvent::Message { body, .. } => line(&format!("{}\n", draw_body(body))),
            ChatEvent::Card { message, view, lang, .. } | ChatEvent::Update { message, view, lang } => {
                self.card(message, view, *lang)
            }
            ChatEvent::Receipt { receipt: Receipt::Queued, .. } => {
                note(&dim(match self.lang {
                    Lang::Zh => "… 排队",
                    Lang::En => "… queued",
                }));
                Ok(())
            }
            ChatEvent::Receipt { .. } => Ok(()),
        }
    }

    fn card(&mut self, message: &MessageId, view: &View, lang: Lang) -> Result<(), CliError> {
        let text = draw(view, lang);
        if self.cards.insert(message.clone(), text.clone()).as_ref() == Some(&text) {
            return Ok(());
        }
        match view {
            View::Live(_) | View::Queue(_) => note(&dim(&text)),
            View::Gate(_) | View::Gates(_) | View::Stale(_) => line(&paint(AnsiColor::Yellow, &text))?,
            View::Interrupted(_) => line(&paint(AnsiColor::Red, &text))?,
            _ => line(&text)?,
        }
        self.offer(message, view, lang);
        Ok(())
    }

    /// Shows the buttons of a card with their numbers.
    fn offer(&mut self, message: &MessageId, view: &View, lang: Lang) {
        let offered = buttons(view, lang);
        match &self.card_buttons {
            Some((card, _)) if card == message && offered.is_empty() => self.card_buttons = None,
            _ if offered.is_empty() => return,
            // A picture that changes every second does not say the same again.
            Some((card, known)) if card == message && known.iter().eq(offered.iter().map(|(button, _)| button)) => {
                return;
            }
            _ => {}
        }
        let words: Vec<String> =
            offered.iter().enumerate().map(|(n, (_, label))| format!("!{} {label}", n + 1)).collect();
        if !words.is_empty() {
            note(&dim(&format!("  {}", words.join("   "))));
            self.card_buttons = Some((message.clone(), offered.into_iter().map(|(button, _)| button).collect()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ids::ButtonId;
    use crate::domain::view::{ButtonRole, NoticeView};

    #[test]
    fn buttons_have_numbers_until_they_are_gone() {
        let mut screen = Screen::new(Lang::En);
        let button = Button { id: ButtonId::from_bits(7), role: ButtonRole::Continue };
        let view = |buttons| View::Notice(NoticeView { text: "cut".to_owned(), buttons });
        screen.offer(&"c".into(), &view(vec![button.clone()]), Lang::En);
        assert_eq!(screen.card_buttons, Some(("c".into(), vec![button])));
        screen.offer(&"other".into(), &view(Vec::new()), Lang::En);
        assert!(screen.card_buttons.is_some(), "another card without buttons changes nothing");
        screen.offer(&"c".into(), &view(Vec::new()), Lang::En);
        assert_eq!(screen.card_buttons, None);
    }

    #[test]
    fn only_a_number_presses() {
        for (text, want) in [("!1", Some(0)), (" !12 ", Some(11)), ("!0", None), ("!", None), ("1", None), ("!a", None)]
        {
            assert_eq!(pressed(text), want, "{text}");
        }
    }
}
