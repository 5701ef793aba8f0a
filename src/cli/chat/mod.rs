//! `ally chat`: the local channel's terminal.

mod follow;
mod say;
mod session;
mod talk;

use std::process::ExitCode;
use std::time::Duration;

use super::Context;
use super::error::CliError;
use super::start::parse_timeout;
use crate::config::Paths;
use crate::domain::view::Lang;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Send one message, print the answer and leave
    #[arg(long, value_name = "TEXT")]
    say: Option<String>,
    /// Which chat: each has its own conversation
    #[arg(long, value_name = "NAME", default_value = "main", value_parser = parse_chat)]
    chat: String,
    /// How long to wait for the answer
    #[arg(long, value_name = "DURATION", default_value = "30m", value_parser = parse_timeout)]
    timeout: Duration,
    /// Allow what the agent asks for (with --say)
    #[arg(long, requires = "say", conflicts_with = "no")]
    yes: bool,
    /// Decline what the agent asks for (with --say)
    #[arg(long, requires = "say")]
    no: bool,
}

fn parse_chat(text: &str) -> Result<String, String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    match !text.is_empty() && text.len() <= 64 && text.chars().all(plain) {
        true => Ok(text.to_owned()),
        false => Err("a chat's name has at most 64 letters, digits, - and _".to_owned()),
    }
}

pub(super) async fn run(context: &Context, args: &Args) -> Result<ExitCode, CliError> {
    in_home(&context.paths()?, context.lang, args).await
}

/// Also for the demo, whose home is another.
pub(super) async fn in_home(paths: &Paths, lang: Lang, args: &Args) -> Result<ExitCode, CliError> {
    let mut session = session::Session::open(paths.clone(), &args.chat).await?;
    match &args.say {
        Some(text) => {
            let wanted = match (args.yes, args.no) {
                (true, _) => Some(true),
                (_, true) => Some(false),
                _ => None,
            };
            say::run(&mut session, lang, text, wanted, args.timeout).await
        }
        None => talk::run(&mut session, lang, args.timeout).await,
    }
}

/// Arguments for the demo's chat.
pub(super) fn args_for_demo(say: Option<String>, yes: bool) -> Args {
    Args { say, chat: "main".to_owned(), timeout: Duration::from_secs(600), yes, no: false }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::follow::{Follow, News};
    use super::session::Session;
    use super::*;
    use crate::bridge::ports::{Accepted, BotIdentity, Boxed, CardOut, Channel, Intake, NotStored, Outgoing};
    use crate::channels::local::{ChatEvent, LocalChannel, LocalConfig, routes};
    use crate::clock::Clock;
    use crate::control::{Control, testing::Quiet};
    use crate::domain::delivery::{Body, Target};
    use crate::domain::gate::{Ask, Decision};
    use crate::domain::ids::{ButtonId, ChannelName, ChatId, DeliveryId, MessageId};
    use crate::domain::message::{Decoded, Event};
    use crate::domain::view::{Button, ButtonRole, GateShown, GateView, Toast, ToastKind, View};
    use crate::tasks::{OnExit, Tasks};

    /// Asks before it answers "may I …"; answers everything else at once.
    struct Desk {
        channel: LocalChannel,
        tasks: Tasks,
    }

    impl Intake for Desk {
        fn accept(
            &self,
            _: &ChannelName,
            raw: String,
            decoded: Decoded,
        ) -> Boxed<'static, Result<Accepted, NotStored>> {
            assert_eq!(self.channel.decode(&raw).unwrap(), decoded);
            let channel = self.channel.clone();
            let toast = matches!(decoded.event, Event::Click(_));
            self.tasks.spawn("answer", OnExit::LogOnly, |_| async move {
                react(&channel, decoded.event).await;
                Ok(())
            });
            Box::pin(async move {
                Ok(match toast {
                    true => {
                        Accepted::Answer(Toast { kind: ToastKind::Info, zh: "已记录".into(), en: "recorded".into() })
                    }
                    false => Accepted::Stored,
                })
            })
        }
        fn bot_known(&self, _: &ChannelName, _: BotIdentity) {}
        fn anomaly(&self, _: &ChannelName, _: &'static str) {}
    }

    async fn react(channel: &LocalChannel, event: Event) {
        match event {
            Event::Message(message) if message.text().starts_with("may I") => {
                let card = CardOut {
                    delivery: DeliveryId::fresh(),
                    key: message.message.as_str().to_owned(),
                    target: target(&message.message),
                    view: View::Gate(gate(GateShown::Open)),
                    lang: Lang::En,
                };
                channel.create_card(&card).await.unwrap();
            }
            Event::Message(message) => answer(channel, &message.message).await,
            Event::Click(click) => {
                let (card, button) = (click.card.unwrap(), click.button.unwrap());
                assert_eq!(button, ButtonId::from_bits(1));
                let shown = GateShown::Decided { who: "ann".into(), at_ms: 0, decision: Decision::Allow, rule: None };
                channel.update_card(&card, &View::Gate(gate(shown)), Lang::En).await.unwrap();
                let asked = card.as_str().strip_prefix("lm_").unwrap().to_owned();
                answer(channel, &MessageId::new(asked)).await;
            }
            _ => {}
        }
    }

    fn target(to: &MessageId) -> Target {
        Target { chat: ChatId::from("main"), reply_to: Some(to.clone()), in_topic: false }
    }

    async fn answer(channel: &LocalChannel, to: &MessageId) {
        let body = Body::Answer { markdown: "forty-two".into(), part: 1, parts: 1, footer: None, mention: None };
        let out = Outgoing {
            delivery: DeliveryId::fresh(),
            key: format!("a{to}"),
            target: target(to),
            body,
            form: 0,
            lang: Lang::En,
            resource: None,
        };
        channel.send(&out).await.unwrap();
    }

    fn gate(state: GateShown) -> GateView {
        GateView {
            gate: None,
            number: 1,
            requester: "ann".into(),
            project: "p".into(),
            deciders: "ann".into(),
            mention: Vec::new(),
            ask: Ask::Permissions { wanted: vec!["network".into()], directory: "/w".into(), network_only: true },
            claim: None,
            risk: None,
            state,
            buttons: vec![Button { id: ButtonId::from_bits(1), role: ButtonRole::Allow }],
            rule: None,
            paused: false,
            opened_at_ms: 0,
            direct: true,
            bot_name: "ally".into(),
        }
    }

    fn daemon(paths: &Paths) -> Tasks {
        let tasks = Tasks::default();
        let config = LocalConfig { folder: paths.local.clone(), user: "ann".into() };
        let channel = LocalChannel::new(config, Clock::default());
        let desk = Arc::new(Desk { channel: channel.clone(), tasks: tasks.child() });
        let control = Control::bind(paths).unwrap();
        let more = routes(channel, desk, tasks.token());
        tasks.spawn("control", OnExit::LogOnly, |cancel| control.serve(Arc::new(Quiet), more, cancel));
        tasks
    }

    fn home() -> (tempfile::TempDir, Paths) {
        let temp = tempfile::tempdir().unwrap();
        let paths = Paths::of_home(temp.path().join("home"), None);
        paths.create().unwrap();
        (temp, paths)
    }

    const SOON: Duration = Duration::from_secs(20);

    #[tokio::test]
    async fn a_request_is_allowed_and_answered() {
        let (_temp, paths) = home();
        let tasks = daemon(&paths);
        if crate::control::carries_mark(std::process::id()) {
            return; // These tests run below an agent: it may not talk for people, and that is right.
        }
        let mut session = Session::open(paths, "main").await.unwrap();
        say::run(&mut session, Lang::En, "hello", None, SOON).await.unwrap();
        say::run(&mut session, Lang::En, "may I?", Some(true), SOON).await.unwrap();
        let unanswered =
            say::run(&mut session, Lang::En, "may I?", None, Duration::from_millis(300)).await.unwrap_err();
        assert!(unanswered.message.contains("the task goes on"), "{unanswered:?}");
        assert!(tasks.stop(SOON).await);
    }

    #[tokio::test]
    async fn a_terminal_outlives_a_restart_of_the_daemon() {
        let (_temp, paths) = home();
        if crate::control::carries_mark(std::process::id()) {
            return;
        }
        let first = daemon(&paths);
        let mut session = Session::open(paths.clone(), "main").await.unwrap();
        assert!(first.stop(SOON).await);
        let second = daemon(&paths);
        let mine = session.say("hello again").await.unwrap();
        let mut follow = Follow::new(mine, "hello again", Lang::En);
        let wanted = News::Answer { text: "forty-two".into(), last: true };
        while follow.on(&tokio::time::timeout(SOON, session.next()).await.unwrap().unwrap()) != wanted {}

        let mut late = Session::open(paths, "main").await.unwrap();
        late.rewind(20).await.unwrap();
        let first = late.next().await.unwrap();
        assert!(matches!(&first, ChatEvent::Said { text, .. } if text == "hello again"), "{first:?}");
        assert!(second.stop(SOON).await);
    }
}
