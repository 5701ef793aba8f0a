//! ally's own tools for agents: what a running task may say, send and draft by itself, in the chat that asked for it and
//! nowhere else.
//!
//! Each call names its conversation and carries that one's key; it is let in only while a task of the conversation runs,
//! within limits, and with a row in the audit. A call has an id that its tool server made: made again because its answer was
//! lost, it is recognised in the transaction that would do it, and does nothing more.

use std::path::Path;

use tracing::warn;

use super::commands::routine::{self as routine_command, Fields, Wanted};
use super::core::Core;
use super::files::{self, Unfit};
use super::follow::limits_of;
use super::pictures::{self, Frame};
use super::render;
use crate::crash;
use crate::domain::delivery::Body;
use crate::domain::ids::*;
use crate::domain::level::Level;
use crate::domain::plain::in_one_line;
use crate::domain::risk::{self, Class};
use crate::domain::routine::{Routine, To};
use crate::domain::tool::{
    DRAFT_CHARS, Draft, FILE_NAME_CHARS, File, Made, Message, Per, TEXT_CHARS, TooMany, Tool, ToolKey, Wish, too_many,
};
use crate::domain::view::Lang;
use crate::ledger::conversations::Conversation;
use crate::ledger::messages::NewMessage;
use crate::ledger::routines::RoutineState;
use crate::ledger::tools::NewCall;
use crate::ledger::turns::Turn;
use crate::ledger::{
    LedgerError, Transaction, audit, conversations, inbound, messages, routines, said, settings, tools, turns,
};
use crate::words::{self, RoutineMsg};

/// Who acted, in the audit.
const AGENT: &str = "agent";
/// Longest id of a call.
const ID_CHARS: usize = 64;
/// Routines that are told at once.
const LISTED: usize = 50;

/// A call as a tool server makes it.
#[derive(Debug, Clone)]
pub struct Call {
    /// The server's own, one a call.
    pub id: String,
    pub conversation: ConversationId,
    pub key: ToolKey,
    pub wish: Wish,
}

/// Why nothing was done. The sentences are for the agent.
#[derive(Debug, thiserror::Error)]
pub enum ToolError {
    #[error("this tool does not belong to the conversation that it names; nothing was done")]
    NotYours,
    #[error("no task of this conversation is running, so nothing was done: these tools work only while a task runs")]
    NoTask,
    #[error("somebody has stopped this task, so nothing was done; end your work here")]
    Stopped,
    #[error("the owner has paused everything, so nothing was done; end your work here")]
    Locked,
    #[error(
        "nothing was done: at most {most} {} {}; {}",
        counted(*tool, *per, *most),
        span(*per),
        instead(*tool, *per)
    )]
    TooMany { tool: Tool, most: usize, per: Per },
    #[error("`text` is empty; nothing was sent")]
    NoText,
    #[error("`text` has {chars} characters, and {most} is the most; nothing was sent. Send a file instead")]
    TextTooLong { chars: usize, most: usize },
    #[error("{path} was not sent: {why}")]
    Unfit { path: String, why: Unfit },
    #[error("{path} was not sent: it holds secrets, by its name or its place, and no task may give those away")]
    Secret { path: String },
    #[error(
        "`name` must be a file's name without folders, of at most {most} characters; nothing was sent",
        most = FILE_NAME_CHARS
    )]
    FileName,
    #[error(
        "`prompt` has {chars} characters, and {most} is the most; nothing was drafted. Put the rest into a skill or a file"
    )]
    DraftTooLong { chars: usize, most: usize },
    #[error("nothing was drafted: {0}")]
    Draft(String),
    #[error("there is a routine {name} already; nothing was drafted. Choose another name")]
    NameTaken { name: String },
    #[error("the file could not be kept for sending")]
    Storage(#[source] std::io::Error),
    #[error("the ledger took nothing: {0}")]
    Ledger(#[from] LedgerError),
}

impl ToolError {
    /// The same call may be let in later, by itself.
    pub fn may_pass(&self) -> bool {
        matches!(self, ToolError::Storage(_)) || matches!(self, ToolError::Ledger(error) if error.is_outage())
    }

    /// For the audit, where it is worth a row.
    fn code(&self) -> Option<&'static str> {
        Some(match self {
            ToolError::NotYours => "not theirs to use",
            ToolError::NoTask => "no task runs",
            ToolError::Stopped => "stopped",
            ToolError::Locked => "paused",
            ToolError::TooMany { .. } => "too many",
            ToolError::Unfit { why: Unfit::Outside, .. } => "outside of the directory",
            ToolError::Secret { .. } => "secret",
            _ => return None,
        })
    }
}

fn counted(tool: Tool, per: Per, most: usize) -> &'static str {
    match (tool, per) {
        (Tool::SendMessage | Tool::SendFile, Per::Task) => "messages and files",
        (Tool::SendMessage, _) => "messages",
        (Tool::SendFile, _) => "files",
        (Tool::CreateRoutine, _) => "drafts of routines",
        (Tool::ListRoutines, _) if most == 1 => "list of routines",
        (Tool::ListRoutines, _) => "lists of routines",
    }
}

fn span(per: Per) -> &'static str {
    match per {
        Per::Minute => "a minute",
        Per::Hour => "an hour",
        Per::Task => "a task",
    }
}

fn instead(tool: Tool, per: Per) -> &'static str {
    match (tool, per) {
        (Tool::SendMessage | Tool::SendFile, Per::Task) => "say the rest in your answer",
        (Tool::SendMessage | Tool::SendFile, _) => "wait a minute, or say several things in one message",
        _ => "go on without it",
    }
}

/// The key of a conversation's tools.
pub(super) async fn key(core: &Core, conversation: &ConversationId) -> Result<ToolKey, LedgerError> {
    Ok(ToolKey::of(&secret(core).await?, conversation))
}

async fn secret(core: &Core) -> Result<[u8; 32], LedgerError> {
    let made = core.tools.get_or_try_init(|| async {
        let mut fresh = [0; 32];
        getrandom::fill(&mut fresh).expect("the system has randomness");
        core.ledger.write(move |tx| tools::secret(tx, &fresh)).await
    });
    made.await.copied()
}

/// Does what an agent asks for, and gives what it is told.
///
/// # Errors
/// Why nothing was done.
pub async fn call(core: &Core, call: Call) -> Result<String, ToolError> {
    // Before anything is looked up: who has no key learns nothing.
    if !key(core, &call.conversation).await?.is(&call.key) || call.id.is_empty() || call.id.len() > ID_CHARS {
        warn!(conversation.id = %call.conversation, "A tool was called with a key that is not this conversation's");
        return Err(refused(core, &call, None, ToolError::NotYours).await);
    }
    let place = match look(core, &call).await? {
        Ok(Looked::Before(told)) => return Ok(told),
        Ok(Looked::Now(place)) => place,
        Err(error) => return Err(refused(core, &call, None, error).await),
    };
    let turn = place.turn.id.clone();
    let done = match &call.wish {
        Wish::SendMessage(message) => send_message(core, &call, &place, message).await,
        Wish::SendFile(file) => send_file(core, &call, &place, file).await,
        Wish::CreateRoutine(draft) => create_routine(core, &call, draft).await,
        Wish::ListRoutines(_) => list_routines(core, &call).await,
    };
    match done {
        Ok(told) => {
            crash::point("tool.after");
            core.wakes.outbox.notify_one();
            core.wakes.painter.notify_one();
            Ok(told)
        }
        Err(error) => Err(refused(core, &call, Some(&turn), error).await),
    }
}

/// Where a call belongs.
#[derive(Clone)]
struct Place {
    conversation: Conversation,
    turn: Turn,
}

enum Looked {
    /// It was let in before, and told this.
    Before(String),
    Now(Box<Place>),
}

/// Whether a call may be let in now. Asked before anything is prepared, and again in the transaction that does it.
fn admit(tx: &Transaction<'_>, call: &Call, now_ms: i64) -> Result<Result<Looked, ToolError>, LedgerError> {
    if let Some(told) = tools::told(tx, &call.id, &call.conversation)? {
        return Ok(Ok(Looked::Before(told)));
    }
    if settings::is_locked(tx)? {
        return Ok(Err(ToolError::Locked));
    }
    let Some(turn) = turns::active(tx, &call.conversation)? else { return Ok(Err(ToolError::NoTask)) };
    if turn.stop.is_some() {
        return Ok(Err(ToolError::Stopped));
    }
    let made: Vec<Made> = tools::made(tx, &call.conversation, &turn.id)?;
    let tool = call.wish.tool();
    if let Some(TooMany { most, per }) = too_many(tool, &made, now_ms) {
        return Ok(Err(ToolError::TooMany { tool, most, per }));
    }
    let conversation = conversations::get(tx, &call.conversation)?;
    Ok(Ok(Looked::Now(Box::new(Place { conversation, turn }))))
}

async fn look(core: &Core, call: &Call) -> Result<Result<Looked, ToolError>, LedgerError> {
    let (call, now) = (call.clone(), core.now_ms());
    core.ledger.read(move |tx| admit(tx, &call, now)).await
}

/// One row of the audit for each reason, tool and task: who tries again and again fills no ledger.
async fn refused(core: &Core, call: &Call, turn: Option<&TurnId>, error: ToolError) -> ToolError {
    let Some(code) = error.code() else { return error };
    let (tool, now) = (call.wish.tool(), core.now_ms());
    // Without a task there is none to count by, and without the key the conversation is anybody's word.
    let (subject, span) = match (turn, &error) {
        (Some(turn), _) => (turn.to_string(), String::new()),
        (None, ToolError::NotYours) => (String::new(), format!(":{}", now / 3_600_000)),
        (None, _) => (call.conversation.to_string(), format!(":{}", now / 3_600_000)),
    };
    let noted = core.ledger.write(move |tx| {
        if said::first_time(tx, &format!("tool-refused:{subject}:{}:{code}{span}", tool.as_str()), now)? {
            audit::note(tx, AGENT, "tool refused", &subject, code, now)?;
        }
        Ok(())
    });
    if let Err(error) = noted.await {
        warn!(%error, "A refused call of a tool could not be noted");
    }
    error
}

/// Commits a call: lets it in, or finds that it was, and has `act` write what it does.
async fn commit(
    core: &Core,
    call: &Call,
    act: impl FnOnce(&Transaction<'_>, &Frame, &Place) -> Result<Result<Done, ToolError>, LedgerError> + Send + 'static,
) -> Result<String, ToolError> {
    let (call, channel) = (call.clone(), channel_of(core, call).await?);
    let frame = core.frame(&channel);
    crash::point("tool.before");
    let committed = core.ledger.write(move |tx| {
        let place = match admit(tx, &call, frame.now_ms)? {
            Ok(Looked::Now(place)) => place,
            Ok(Looked::Before(told)) => return Ok(Ok(told)),
            Err(error) => return Ok(Err(error)),
        };
        let done = match act(tx, &frame, &place)? {
            Ok(done) => done,
            Err(error) => return Ok(Err(error)),
        };
        let new = NewCall {
            id: &call.id,
            conversation: &call.conversation,
            turn: &place.turn.id,
            tool: call.wish.tool(),
            told: &done.told,
        };
        tools::note(tx, &new, frame.now_ms)?;
        audit::note(tx, AGENT, done.what, place.turn.id.as_str(), &done.detail, frame.now_ms)?;
        Ok(Ok(done.told))
    });
    committed.await?
}

async fn channel_of(core: &Core, call: &Call) -> Result<ChannelName, LedgerError> {
    let id = call.conversation.clone();
    core.ledger.read(move |tx| Ok(conversations::get(tx, &id)?.channel)).await
}

/// What a call did.
struct Done {
    told: String,
    /// For the audit.
    what: &'static str,
    detail: String,
}

// ------------------------------------------------------------------------------------------------ messages

async fn send_message(core: &Core, call: &Call, place: &Place, message: &Message) -> Result<String, ToolError> {
    let bodies = bodies(core, &place.conversation, &message.text)?;
    commit(core, call, move |tx, frame, place| {
        enqueue(tx, frame, place, bodies)?;
        let told = "Sent to the chat. Do not say the same again in your answer.".to_owned();
        Ok(Ok(Done { told, what: "tool message", detail: String::new() }))
    })
    .await
}

/// A text as it goes out. What is too long for the chat goes along as a file, which is on the disk when this returns.
fn bodies(core: &Core, conversation: &Conversation, text: &str) -> Result<Vec<Body>, ToolError> {
    let chars = text.chars().count();
    if text.trim().is_empty() {
        return Err(ToolError::NoText);
    }
    if chars > TEXT_CHARS {
        return Err(ToolError::TextTooLong { chars, most: TEXT_CHARS });
    }
    let limits = limits_of(core, conversation);
    let limits = render::Limits { part_chars: limits.part_chars, max_parts: limits.max_parts };
    let rendered = render::answer(text, None, None, limits, conversation.lang);
    let mut bodies = rendered.bodies;
    if let Some(file) = rendered.file {
        let stored = files::store(&core.config.outbox, file.content.as_bytes());
        let (sha256, bytes) = stored.map_err(ToolError::Storage)?;
        bodies.push(Body::File { name: file.name, sha256, bytes });
    }
    Ok(bodies)
}

fn enqueue(tx: &Transaction<'_>, frame: &Frame, place: &Place, bodies: Vec<Body>) -> Result<(), LedgerError> {
    let Place { conversation, turn } = place;
    let mut after = None;
    for body in bodies {
        let new = NewMessage {
            conversation: Some(conversation.id.clone()),
            turn: Some(turn.id.clone()),
            channel: conversation.channel.clone(),
            target: pictures::target_of(conversation, turn),
            body,
            lang: conversation.lang,
            after: after.take(),
            sending: None,
        };
        after = Some(messages::insert(tx, &new, frame.now_ms)?);
    }
    Ok(())
}

// ------------------------------------------------------------------------------------------------ files

async fn send_file(core: &Core, call: &Call, place: &Place, file: &File) -> Result<String, ToolError> {
    let most = limits_of(core, &place.conversation).file_bytes;
    let (config, directory, file) = (core.config.clone(), place.turn.directory.clone(), file.clone());
    // On a thread of its own: a file of many megabytes takes its time.
    let body = tokio::task::spawn_blocking(move || {
        let given = place_of_secrets(&config, &directory);
        body(&given, &directory, &file, most, &config.outbox)
    });
    let body = body.await.map_err(|error| ToolError::Storage(std::io::Error::other(error)))??;
    let (Body::File { name, .. } | Body::Image { name, .. }) = &body else { return Err(ToolError::FileName) };
    let name = name.clone();
    commit(core, call, move |tx, frame, place| {
        enqueue(tx, frame, place, vec![body])?;
        let told = format!("{name} is on its way to the chat.");
        Ok(Ok(Done { told, what: "tool file", detail: name }))
    })
    .await
}

/// Where ally's own files lie, and those of the person that it runs as.
struct Secrets {
    project: std::path::PathBuf,
    home: std::path::PathBuf,
    ally_home: std::path::PathBuf,
    /// What of ally's home agents work in.
    open: Vec<std::path::PathBuf>,
}

fn place_of_secrets(config: &super::core::BridgeConfig, directory: &Path) -> Secrets {
    let real = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_owned());
    Secrets {
        project: real(directory),
        home: real(&config.user_home),
        ally_home: real(&config.ally_home),
        open: [&config.workspaces, &config.assistant].map(|path| real(path)).to_vec(),
    }
}

impl Secrets {
    /// What no command of the agent reads is not sent for it either.
    fn hold(&self, real: &Path) -> bool {
        let place = risk::Place {
            project: &self.project,
            directory: &self.project,
            home: &self.home,
            temp: None,
            ally_home: &self.ally_home,
        };
        let ours = real.starts_with(&self.ally_home) && !self.open.iter().any(|open| real.starts_with(open));
        ours || risk::file_read(real, &place) >= Class::Secret
    }
}

/// Reads a file for sending and keeps it, by its content.
fn body(secrets: &Secrets, directory: &Path, file: &File, most: u64, outbox: &Path) -> Result<Body, ToolError> {
    let path = in_one_line(&file.path.to_string_lossy());
    let found = files::below(directory, &file.path, most);
    let (real, bytes) = found.map_err(|why| ToolError::Unfit { path: path.clone(), why })?;
    if secrets.hold(&real) {
        return Err(ToolError::Secret { path });
    }
    let own = || real.file_name().map(|name| in_one_line(&name.to_string_lossy())).unwrap_or_default();
    let given = file.name.as_deref().map(str::trim);
    let is_name = |name: &str| {
        (1..=FILE_NAME_CHARS).contains(&name.chars().count())
            && !name.contains(['/', '\\'])
            && !name.chars().any(char::is_control)
            && !matches!(name, "." | "..")
    };
    if given.is_some_and(|name| !is_name(name)) {
        return Err(ToolError::FileName);
    }
    let name = given.map_or_else(own, in_one_line);
    let is_picture = files::is_picture(&bytes);
    let (sha256, bytes) = files::store(outbox, &bytes).map_err(ToolError::Storage)?;
    Ok(match is_picture {
        true => Body::Image { name, sha256, bytes },
        false => Body::File { name, sha256, bytes },
    })
}

// ------------------------------------------------------------------------------------------------ routines

async fn create_routine(core: &Core, call: &Call, draft: &Draft) -> Result<String, ToolError> {
    let chars = draft.prompt.as_deref().unwrap_or_default().chars().count();
    if chars > DRAFT_CHARS {
        return Err(ToolError::DraftTooLong { chars, most: DRAFT_CHARS });
    }
    let (draft, zone, id) = (draft.clone(), core.config.zone, call.id.clone());
    commit(core, call, move |tx, frame, place| {
        let Place { conversation, turn } = place;
        let lang = conversation.lang;
        if routines::get(tx, &draft.name)?.is_some_and(|row| row.state != RoutineState::Gone) {
            return Ok(Err(ToolError::NameTaken { name: draft.name }));
        }
        let (fields, more) = fields(&draft, zone.name(), lang);
        let wanted = Wanted {
            name: draft.name.clone(),
            place: (conversation.channel.clone(), conversation.chat.clone()),
            directory: turn.directory.clone(),
            // What is trusted ends after hours, and nobody is there to see it.
            level: turn.level.unwrap_or(Level::Safe).min(Level::Edit),
            zone,
            words: words_of(&draft),
            more,
            subject: format!("drafted:{id}"),
            by_agent: true,
        };
        let target = pictures::target_of(conversation, turn);
        if let Err(error) = routine_command::offer(tx, frame, target, lang, wanted, fields)? {
            return Ok(Err(ToolError::Draft(words::routine_error(&error, Lang::En))));
        }
        let told =
            "Shown in the chat. It is made when the owner or an admin presses *Create* there, and not before: nobody \
                    may be awake. Do not wait for it."
                .to_owned();
        Ok(Ok(Done { told, what: "tool routine", detail: draft.name }))
    })
    .await
}

/// The routine's text, and a line for the card of what is not said elsewhere on it.
fn fields(draft: &Draft, zone: &str, lang: Lang) -> (Fields, Option<String>) {
    let mut fields = Fields::default();
    fields.say("schedule", &draft.schedule);
    fields.say("zone", draft.zone.as_deref().unwrap_or(zone));
    let mut more = Vec::new();
    if draft.quiet {
        fields.set("quiet");
        more.push(RoutineMsg::DraftQuiet.text(lang));
    }
    for (key, value) in [("prompt", &draft.prompt), ("skill", &draft.skill)] {
        if let Some(value) = value {
            fields.say(key, value);
        }
    }
    for (key, value) in [
        ("conversation", &draft.conversation),
        ("misfire", &draft.misfire),
        ("window", &draft.window),
        ("overlap", &draft.overlap),
        ("timeout", &draft.timeout),
    ] {
        if let Some(value) = value {
            fields.say(key, value);
            more.push(format!("{key}: {}", in_one_line(value)));
        }
    }
    (fields, (!more.is_empty()).then(|| more.join(" · ")))
}

/// All that it would do: who confirms it sees the whole of it.
fn words_of(draft: &Draft) -> String {
    let skill = draft.skill.as_deref().map(|skill| format!("${}", in_one_line(skill)));
    let prompt = draft.prompt.as_deref().map(|prompt| prompt.trim().to_owned()).filter(|prompt| !prompt.is_empty());
    skill.into_iter().chain(prompt).collect::<Vec<_>>().join("\n")
}

async fn list_routines(core: &Core, call: &Call) -> Result<String, ToolError> {
    let zone = core.config.zone;
    commit(core, call, move |tx, frame, place| {
        let here = (&place.conversation.channel, &place.conversation.chat);
        let mut rows = routines::listed(tx)?;
        let home = match &frame.access.owner {
            Some(owner) => inbound::direct_chat_of(tx, here.0, owner)?,
            None => None,
        };
        // Those that name no chat are told to the owner.
        let is_home = home.as_ref() == Some(here.1);
        let is_owners = |row: &routines::RoutineRow| {
            Routine::parse(&row.name, &row.text, zone).is_ok_and(|routine| routine.to == To::Owner)
        };
        rows.retain(|row| routine_command::is_told_in(row, zone, Some(here)) || (is_home && is_owners(row)));
        let lines: Vec<String> =
            rows.iter().take(LISTED).map(|row| routine_command::line(frame, Lang::En, row, zone)).collect();
        let left_out = rows.len() - lines.len();
        let told = match (lines.is_empty(), left_out) {
            (true, _) => "No routine is told in this chat.".to_owned(),
            (false, 0) => lines.join("\n"),
            (false, n) => format!("{}\n{n} more are not listed.", lines.join("\n")),
        };
        Ok(Ok(Done { told, what: "tool routines", detail: String::new() }))
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_says_what_to_do() {
        let told = |tool, per, most| ToolError::TooMany { tool, most, per }.to_string();
        assert_eq!(
            told(Tool::SendMessage, Per::Minute, 10),
            "nothing was done: at most 10 messages a minute; wait a minute, or say several things in one message"
        );
        assert!(
            told(Tool::SendFile, Per::Task, 30).contains("30 messages and files a task; say the rest in your answer")
        );
        assert!(told(Tool::CreateRoutine, Per::Hour, 3).contains("3 drafts of routines an hour"));
    }

    #[test]
    fn what_no_command_reads_is_not_sent() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().canonicalize().unwrap();
        let home = root.join("ally");
        for folder in ["ally/workspaces/a/.ssh", "ally/run", "project"] {
            std::fs::create_dir_all(root.join(folder)).unwrap();
        }
        for file in
            ["ally/workspaces/a/report.md", "ally/workspaces/a/.env", "ally/workspaces/a/.ssh/x", "ally/ledger.db"]
        {
            std::fs::write(root.join(file), "x").unwrap();
        }
        let of = |directory: &Path, path: &str, name: Option<&str>| {
            let secrets = Secrets {
                project: directory.to_owned(),
                home: root.clone(),
                ally_home: home.clone(),
                open: vec![home.join("workspaces")],
            };
            let file = File { path: path.into(), name: name.map(str::to_owned) };
            body(&secrets, directory, &file, 100, &root.join("outbox"))
        };
        let own = home.join("workspaces/a");
        let sent = of(&own, "report.md", None).unwrap();
        assert!(matches!(&sent, Body::File { name, bytes: 1, .. } if name == "report.md"), "{sent:?}");
        let renamed = of(&own, "report.md", Some(" 周报.md ")).unwrap();
        assert!(matches!(&renamed, Body::File { name, .. } if name == "周报.md"), "{renamed:?}");
        for path in [".env", ".ssh/x"] {
            assert!(matches!(of(&own, path, None), Err(ToolError::Secret { .. })), "{path}");
        }
        // Where the whole home of ally lies in a project.
        assert!(matches!(of(&root, "ally/ledger.db", None), Err(ToolError::Secret { .. })));
        for name in ["", "a/b", "..", "a\nb", &"x".repeat(121)] {
            assert!(matches!(of(&own, "report.md", Some(name)), Err(ToolError::FileName)), "{name:?}");
        }
        let outside = of(&own, "../../ledger.db", None).unwrap_err();
        assert_eq!(outside.code(), Some("outside of the directory"));
        assert!(outside.to_string().contains("outside of the task's directory"), "{outside}");
    }

    #[test]
    fn a_draft_becomes_the_text_of_a_routine() {
        let draft = Draft {
            name: "digest".to_owned(),
            schedule: "30 2 * * *".to_owned(),
            prompt: Some("Say: \"hello\"\nautonomy: trusted".to_owned()),
            quiet: true,
            misfire: Some("all".to_owned()),
            ..Draft::default()
        };
        let (_, more) = fields(&draft, "Asia/Shanghai", Lang::En);
        assert_eq!(more.as_deref(), Some("Told only where it fails or waits for somebody · misfire: all"));
        assert_eq!(words_of(&draft), "Say: \"hello\"\nautonomy: trusted");
    }
}
