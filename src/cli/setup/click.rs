//! A button is pressed in the chat: no setting proves that clicks arrive.

use std::time::Duration;

use tokio::time::Instant;

use super::ask::{Stop, or_leave};
use super::finish::CONNECTED;
use super::{LOOK, Setup};
use crate::app;
use crate::cli::doctor::painted;
use crate::cli::doctor::press::Card;
use crate::cli::output::{self, Progress, dim};
use crate::doctor::Sheet;
use crate::doctor::feishu::{self, Pressed};
use crate::domain::ids::ChannelName;
use crate::ledger::{inbound, report};
use crate::words::DoctorMsg;

/// For a person to find the card, and to press it.
const PATIENCE: Duration = Duration::from_secs(120);

impl Setup<'_> {
    /// Once for an app. Nobody presses for a script.
    pub(super) async fn click(&mut self) -> Result<(), Stop> {
        while self.ask.is_person() && !self.has_clicked()? {
            let came = match self.card().await? {
                Some(card) => self.pressed(card).await?,
                None => Some(Pressed::NoOwner),
            };
            let leaves_out = match came {
                Some(Pressed::Came) => {
                    self.done("按钮按了，收到了", "the button was pressed, and the click came back");
                    self.kept.clicked = Some(true);
                    return self.keep();
                }
                Some(came) => {
                    // The next one stands below everything that was said since.
                    self.kept.card = None;
                    output::note(&self.judged(&came)?);
                    let enter = self.say("按回车再试 · s 先跳过", "Enter to try again · s to skip this for now");
                    self.ask.line(&or_leave(&self.context, &enter)).await?.eq_ignore_ascii_case("s")
                }
                None => true,
            };
            if leaves_out {
                self.kept.clicked = Some(true);
                self.keep()?;
                output::note(&dim(&self.say(
                    "跳过了；以后可以试：`ally doctor feishu --press`",
                    "skipped; to try it later: `ally doctor feishu --press`",
                )));
            }
        }
        Ok(())
    }

    /// Of an app that was always here the ledger knows it as well.
    fn has_clicked(&self) -> Result<bool, Stop> {
        if let Some(clicked) = self.kept.clicked {
            return Ok(clicked);
        }
        let paths = &self.config()?.paths;
        let last = report::offline(&paths.ledger, |tx| inbound::last_click(tx, &ChannelName::from("feishu")));
        Ok(last.ok().flatten().flatten().is_some())
    }

    /// The one that waits in the chat already, or a fresh one.
    async fn card(&mut self) -> Result<Option<Card>, Stop> {
        if let Some(name) = self.kept.card.clone()
            && let Some(card) = Card::sent(&self.client()?, name, PATIENCE).await?
        {
            return Ok(Some(card));
        }
        let card = Card::send(&self.client()?, PATIENCE).await?;
        self.kept.card = card.as_ref().map(|card| card.name().to_owned());
        self.keep()?;
        Ok(card)
    }

    /// What came of it; nothing where somebody wants to leave it out.
    async fn pressed(&mut self, mut card: Card) -> Result<Option<Pressed>, Stop> {
        output::note(&DoctorMsg::PressHere.text(self.context.lang));
        let mut progress =
            Progress::new(self.say("等着（s 先跳过 · q 离开）", "waiting (s to skip this · q to leave)"));
        let mut answered = Instant::now();
        let came = loop {
            let looked = async { card.look(&self.client()?).await };
            match looked.await {
                Ok(Some(came)) => break Ok(Some(came)),
                Ok(None) => answered = Instant::now(),
                // It may just be started anew.
                Err(_) if answered.elapsed() < CONNECTED => {}
                Err(error) => break Err(error.into()),
            }
            progress.tick();
            tokio::select! {
                () = tokio::time::sleep(LOOK) => {}
                typed = self.ask.typed() => match typed {
                    Ok(typed) if typed.eq_ignore_ascii_case("s") => break Ok(None),
                    // Enter says nothing here.
                    Ok(_) => {}
                    Err(stop) => break Err(stop),
                },
            }
        };
        progress.end();
        came
    }

    fn judged(&self, came: &Pressed) -> Result<String, Stop> {
        let mut sheet = Sheet::new(self.context.lang);
        if let Some(app) = app::feishu_app(&self.config()?) {
            feishu::pressed(&mut sheet, &app, came);
        }
        Ok(sheet.findings.iter().map(painted).collect())
    }
}
