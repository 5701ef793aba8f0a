//! `ally chat`: lines in, events out. Leaving stops nothing.

use std::collections::{HashMap, HashSet};
use std::io::IsTerminal;
use std::process::ExitCode;
use std::time::Duration;

use anstyle::AnsiColor;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::time::{Instant, timeout_at};

use super::follow::{Follow, News};
use super::session::Session;
use crate::channels::local::{ChatEvent, draw, draw_body};
use crate::cli::error::CliError;
use crate::cli::output::{dim, line, note, paint};
use crate::control::ClientError;
use crate::domain::ids::MessageId;
use crate::domain::view::{Lang, Receipt, View};

/// Reads lines until the end of stdin. From a terminal that leaves at once; from a pipe the answers are awaited.
pub(super) async fn run(session: &mut Session, lang: Lang, timeout: Duration) -> Result<ExitCode, CliError> {
    let person = std::io::stdin().is_terminal();
    if person {
        note(&dim(match lang {
            Lang::Zh => "写一行，回车发送。y / n 回答批准请求，/help 看命令，Ctrl-C 离开（任务继续）",
            Lang::En => {
                "type a line, Enter sends it. y / n answer requests, /help lists commands, Ctrl-C leaves (tasks go on)"
            }
        }));
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
    if !person {
        let until = Instant::now() + timeout;
        while !screen.waiting.is_empty() {
            match timeout_at(until, session.next()).await {
                Ok(event) => screen.show(&event?)?,
                Err(_) => return Err(ClientError::Lost("no answer in time; the tasks go on".to_owned()).into()),
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

struct Screen {
    lang: Lang,
    /// Our own messages that have no answer yet.
    waiting: HashMap<MessageId, Follow>,
    ours: HashSet<MessageId>,
    /// What each card showed last.
    cards: HashMap<MessageId, String>,
}

impl Screen {
    fn new(lang: Lang) -> Self {
        Self { lang, waiting: HashMap::new(), ours: HashSet::new(), cards: HashMap::new() }
    }

    fn wait_for(&mut self, mine: MessageId, text: &str) {
        self.ours.insert(mine.clone());
        self.waiting.insert(mine.clone(), Follow::new(mine, text, self.lang));
    }

    fn show(&mut self, event: &ChatEvent) -> Result<(), CliError> {
        self.waiting
            .retain(|_, follow| !matches!(follow.on(event), News::Answer { last: true, .. } | News::Over { .. }));
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
            View::Gate(_) | View::Stale(_) => line(&paint(AnsiColor::Yellow, &text))?,
            View::Interrupted(_) => line(&paint(AnsiColor::Red, &text))?,
            _ => line(&text)?,
        }
        Ok(())
    }
}
