//! What the daemon tells and does over its control socket.

use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use super::approval::Approvals;
use super::runtime_settings::RuntimeSettings;
use super::{Ending, RoutinesTold};
use crate::bridge::core::Core;
use crate::bridge::greeting::Greeted;
use crate::bridge::host::HostState;
use crate::bridge::sending::{self, SendingError, Sent};
use crate::bridge::{
    answering, archive, checkup, greeting, launch_in_status, lock, pairing, prompt_text, restored as putting_back,
    tools,
};
use crate::config::Config;
use crate::control::{
    AnswerReport, AnswerRequest, ApprovalReport, ApprovalRequest, ArchiveReport, AuditQuery, AuditRow, BackupReport,
    BackupRequest, ChannelReport, CutRow, DaemonState, DrainPreview, DrainRequest, GateRow, GreetReport, GreetRequest,
    LedgerReport, LockReport, LockRequest, OutboxReport, PairCode, Pids, PressReport, PressState, Reply,
    RestoredReport, RestoredRequest, RoutineDetail, RoutineReport, RoutineRequest, RuleRow, RuntimeReport, SendReport,
    SendRequest, Service, ServiceError, StatusReport, ToolReport, ToolRequest, TurnCounts, TurnDetail, TurnRow,
    TurnsQuery, Warp,
};
use crate::domain::gate::Ask;
use crate::domain::ids::{ChannelName, GateId, TurnId};
use crate::domain::safety::Tried;
use crate::domain::view::Lang;
use crate::ledger::audit::{About, Line};
use crate::ledger::backup::{BackupError, Copied};
use crate::ledger::report::{self, Counts, GateLine, TurnLine};
use crate::ledger::restored::{self, Held};
use crate::ledger::rules::Rule;
use crate::ledger::turns::Turn;
use crate::ledger::{LedgerError, Transaction, audit, backup, chats, grants, rules};
use crate::metrics::{self, Standing};
use crate::words::{self, NoticeMsg, RoutineMsg, safety_warnings};

/// Who acted, in the audit: whoever may use this account of the machine.
const COMPUTER: &str = "computer";

pub(super) struct Daemon {
    core: Arc<Core>,
    home: String,
    since_ms: i64,
    ledger_path: String,
    warnings: Vec<String>,
    unclaimed: Option<String>,
    ending: Arc<Ending>,
    runtime_settings: RuntimeSettings,
    /// What came of trying the sandbox, once that is done.
    safety: Arc<OnceLock<Vec<Tried>>>,
    /// Of the app, where there is one.
    approvals: Option<Arc<Approvals>>,
}

impl Daemon {
    pub(super) fn new(
        core: Arc<Core>,
        config: &Config,
        ending: Arc<Ending>,
        safety: Arc<OnceLock<Vec<Tried>>>,
        approvals: Option<Arc<Approvals>>,
    ) -> Self {
        Self {
            since_ms: core.now_ms(),
            core,
            home: config.paths.home.display().to_string(),
            ledger_path: config.paths.ledger.display().to_string(),
            warnings: config.warnings.clone(),
            unclaimed: config.unclaimed(false),
            ending,
            runtime_settings: RuntimeSettings::of(config),
            safety,
            approvals,
        }
    }

    /// What came of trying the sandbox, once that is done.
    pub(super) fn tried(&self) -> Option<&[Tried]> {
        self.safety.get().map(Vec::as_slice)
    }

    fn state(&self) -> DaemonState {
        if self.ending.draining.load(Ordering::Acquire) {
            DaemonState::Draining
        } else if self.ending.ready.load(Ordering::Acquire) {
            DaemonState::Running
        } else {
            DaemonState::Starting
        }
    }

    async fn report(&self) -> Result<StatusReport, ServiceError> {
        let now = self.core.now_ms();
        // Before the counts: they are work themselves.
        let work = crate::ledger::work::so_far();
        let counts = self.core.ledger.read(move |tx| report::counts(tx, now)).await.map_err(failed)?;
        let mut status = StatusReport::empty(self.home.clone(), self.state());
        let runtime = self.core.host.now().and_then(|live| live.identity.pid);
        status.pids =
            Pids { supervisor: Some(std::os::unix::process::parent_id()), bridge: Some(std::process::id()), runtime };
        status.since_ms = Some(self.since_ms);
        status.channels = self.channels(now);
        let mut runtime = self.runtime();
        runtime.warnings.extend(counts.last_failure.and_then(|kind| words::last_failure(kind, self.core.config.lang)));
        status.runtime = Some(runtime);
        tell_counts(&mut status, &self.ledger_path, &counts);
        status.outbox.advice = self.outbox_advice(&counts);
        if let Some(ledger) = &mut status.ledger {
            ledger.problem = self.ledger_problem().await;
            (ledger.steps, ledger.pages_written) = (Some(work.steps), Some(work.pages));
        }
        status.warnings = self.warnings.clone();
        status.warnings.extend(self.unclaimed.clone().filter(|_| !counts.claimed));
        let tried = self.safety.get().map(Vec::as_slice).unwrap_or_default();
        status.warnings.extend(safety_warnings(tried, self.core.config.lang));
        status.warnings.extend(self.groups_not_read_back().await?);
        status.warnings.extend(counts.restored.map(|held| restored_warning(held, self.core.config.lang)));
        let told = RoutinesTold::by(&self.core);
        let routines = self.core.ledger.read(move |tx| told.all(tx)).await.map_err(failed)?;
        tell_routines(&mut status, &routines, self.core.config.lang);
        Ok(status)
    }

    fn channels(&self, now: i64) -> Vec<ChannelReport> {
        let mut channels: Vec<ChannelReport> = self
            .core
            .channels
            .iter()
            .map(|(name, channel)| {
                let health = channel.health();
                ChannelReport {
                    name: name.to_string(),
                    state: format!("{:?}", health.state).to_lowercase(),
                    last_frame_age_ms: health.last_frame_at_ms.map(|at| (now - at).max(0)),
                    problem: health.problem.map(|told| told.text(self.core.config.lang).to_owned()),
                    bot_name: health.bot_name,
                }
            })
            .collect();
        channels.sort_by(|a, b| a.name.cmp(&b.name));
        channels
    }

    /// What only a person can mend, where the platform says that it is such a thing.
    fn outbox_advice(&self, counts: &Counts) -> Option<String> {
        let (name, code) = counts.oldest_unsent_refusal.clone()?;
        let advice = self.core.channel(&name.as_str().into())?.advice(code)?;
        Some(advice.text(self.core.config.lang).to_owned())
    }

    /// One line for each channel that may not look through groups for what it missed.
    async fn groups_not_read_back(&self) -> Result<Vec<String>, ServiceError> {
        let channels: Vec<ChannelName> = self.core.channels.keys().cloned().collect();
        let read = move |tx: &Transaction<'_>| {
            channels.iter().filter_map(|channel| chats::lacking(tx, channel).transpose()).collect::<Result<Vec<_>, _>>()
        };
        let lacking = self.core.ledger.read(read).await.map_err(failed)?;
        let lang = self.core.config.lang;
        Ok(lacking.iter().map(|scope| NoticeMsg::GroupsNotReadBack { scope }.text(lang)).collect())
    }

    async fn ledger_problem(&self) -> Option<String> {
        // Asked now: an outage may have ended without anybody writing since.
        if self.core.ledger.is_writable().await {
            return None;
        }
        let path = &self.ledger_path;
        let msg = match self.core.ledger.trouble()? {
            LedgerError::Locked(_) => NoticeMsg::LedgerLocked { path },
            LedgerError::Corrupt(_) => NoticeMsg::LedgerDamaged { path },
            _ => NoticeMsg::LedgerFull { path },
        };
        Some(msg.text(self.core.config.lang))
    }

    fn runtime(&self) -> RuntimeReport {
        let mut report = RuntimeReport {
            kind: self.core.host.kind().to_owned(),
            version: None,
            generation: None,
            since_ms: None,
            state: "starting".to_owned(),
            problem: None,
            warnings: Vec::new(),
        };
        match self.core.host.state() {
            HostState::Starting => {}
            HostState::Stopped => report.state = "stopped".to_owned(),
            HostState::Live(live) => {
                report.state = "ready".to_owned();
                report.version = Some(live.version());
                report.generation = Some(live.generation.0);
                report.since_ms = Some(live.since_ms);
                report.warnings = live.warnings();
                if self.runtime_settings.are_others(live.generation) {
                    report.warnings.push(NoticeMsg::RuntimeSettingsWait.text(self.core.config.lang));
                }
            }
            HostState::Trouble(problem) => {
                report.state = "down".to_owned();
                report.problem = Some(launch_in_status(self.core.config.lang, &problem));
            }
            HostState::Stuck(stuck) => {
                report.state = "stuck".to_owned();
                report.problem = Some(words::stuck_in_status(stuck.pid, self.core.config.lang));
            }
        }
        report
    }

    async fn list(&self, query: TurnsQuery) -> Result<Vec<TurnRow>, ServiceError> {
        let lines =
            self.core.ledger.read(move |tx| report::turns(tx, query.undelivered, query.active, query.limit)).await;
        Ok(lines.map_err(failed)?.into_iter().map(row).collect())
    }

    async fn detail(&self, id: TurnId) -> Result<TurnDetail, ServiceError> {
        let key = id.clone();
        let found = self.core.ledger.read(move |tx| report::turn(tx, key.as_str())).await.map_err(failed)?;
        let Some((line, deliveries)) = found else {
            return Err(ServiceError::NotFound(format!("there is no turn {id}")));
        };
        Ok(TurnDetail {
            directory: line.directory.clone(),
            runtime: line.runtime.clone(),
            prompt: prompt_text(&line.prompt),
            answer: line.answer.clone(),
            failure: line.failure.clone(),
            deliveries,
            row: row(line),
        })
    }

    async fn start_pairing(&self) -> Result<PairCode, ServiceError> {
        let claimed = self.core.access(&"feishu".into()).owner.clone();
        if let Some(owner) = claimed {
            return Err(ServiceError::Failed(format!(
                "the bot has an owner already ({owner}); to name another, set `[access] owner` in ally.toml and restart"
            )));
        }
        let code = pairing::fresh();
        let (hash, valid_until_ms) = (pairing::hash(&code), self.core.now_ms() + pairing::VALID_MS);
        self.core
            .ledger
            .write(move |tx| grants::start_pairing(tx, &hash, valid_until_ms, pairing::TRIES))
            .await
            .map_err(failed)?;
        Ok(PairCode { code, valid_until_ms })
    }

    async fn begin_drain(&self, request: DrainRequest) -> Result<DrainPreview, ServiceError> {
        let query = TurnsQuery { undelivered: false, active: true, limit: u32::MAX };
        let rows = self.list(query).await?;
        let of = |state: &str| rows.iter().filter(|row| row.state == state).cloned().collect::<Vec<_>>();
        let mut running = of("running");
        running.extend(of("submitting"));
        let preview = DrainPreview {
            running,
            waiting: of("waiting"),
            queued: of("queued").len() as u64,
            grace_seconds: if request.now { 0 } else { self.core.config.grace.as_secs() },
        };
        if !request.preview {
            if request.now {
                self.ending.hurry.cancel();
            }
            self.ending.wanted.notify_one();
        }
        Ok(preview)
    }
}

/// What a ledger's counts say in a status: the same whether the daemon runs or not.
pub(crate) fn tell_counts(status: &mut StatusReport, ledger_path: &str, counts: &Counts) {
    status.turns = TurnCounts {
        queued: whole(counts.queued),
        submitting: whole(counts.submitting),
        running: whole(counts.running),
        waiting: whole(counts.waiting),
        settled_last_24h: whole(counts.settled_last_24h),
        late_waiting: whole(counts.late_messages_waiting),
    };
    status.locked = counts.locked;
    status.restored = counts.restored.is_some();
    status.gates_open = whole(counts.gates_open);
    status.surfaces_pending = whole(counts.surfaces_pending);
    status.outbox = OutboxReport {
        ready: whole(counts.outbox_ready),
        sending: whole(counts.outbox_sending),
        undeliverable: whole(counts.outbox_undeliverable),
        oldest_unsent_age_ms: counts.oldest_unsent_age_ms,
        problem: counts.oldest_unsent_problem.clone(),
        advice: None,
    };
    let active = counts.queued + counts.submitting + counts.running + counts.waiting;
    status.ledger = Some(LedgerReport {
        path: ledger_path.to_owned(),
        bytes: counts.bytes,
        schema: counts.schema,
        turns: whole(active + counts.settled),
        problem: None,
        steps: None,
        pages_written: None,
    });
}

/// When the next one is due, and which do not do what their files say: the same whether the daemon runs or not.
pub(crate) fn tell_routines(status: &mut StatusReport, routines: &[RoutineReport], lang: Lang) {
    status.next_routine = routines.iter().filter_map(|routine| routine.next_ms).min();
    for routine in routines {
        if let Some(problem) = &routine.problem {
            status.warnings.push(RoutineMsg::Says { name: &routine.name, text: problem }.text(lang));
        }
    }
}

fn row(line: TurnLine) -> TurnRow {
    TurnRow {
        id: line.id.into(),
        conversation: line.conversation.into(),
        chat: line.chat,
        state: line.state,
        outcome: line.outcome,
        requester: line.requester,
        title: line.title,
        created_at_ms: line.created_at_ms,
        settled_at_ms: line.settled_at_ms,
        undelivered: whole(line.undelivered),
    }
}

/// What a status says of a ledger that was put back: the same whether the daemon runs or not.
pub(crate) fn restored_warning((turns, messages, inbound): (usize, i64, i64), lang: Lang) -> String {
    NoticeMsg::RestoredWaits { turns, messages, inbound }.text(lang)
}

/// What waits since a ledger was put back: the same whether the daemon runs or not.
pub(crate) fn restored_report(tx: &Transaction<'_>) -> Result<RestoredReport, LedgerError> {
    let Some(at_ms) = restored::undecided(tx)? else { return Ok(RestoredReport::default()) };
    Ok(RestoredReport { at_ms: Some(at_ms), ..held_report(restored::held(tx, at_ms)?) })
}

fn held_report(held: Held) -> RestoredReport {
    let tasks = held.turns.into_iter().map(cut_row).collect();
    RestoredReport { at_ms: None, tasks, messages: whole(held.messages), inbound: whole(held.inbound) }
}

fn cut_row(turn: Turn) -> CutRow {
    CutRow { turn: turn.id, requester: turn.requester_name, title: turn.title }
}

/// A rule as lists tell it: the same whether the daemon runs or not.
pub(crate) fn rule_row(rule: Rule) -> RuleRow {
    RuleRow {
        number: rule.number,
        chat: rule.chat.to_string(),
        span: rule.span,
        subject: rule.covers.subject,
        directory: rule.covers.directory,
        class: rule.covers.class.as_str().to_owned(),
        sandboxed: rule.covers.sandboxed,
        made_by: rule.made_name,
        made_at_ms: rule.made_at_ms,
        until_ms: rule.expires_at_ms,
        uses: rule.uses,
        last_used_ms: rule.last_used_ms,
    }
}

/// Most rows of the audit at once.
pub(crate) const AUDIT_ROWS: u32 = 10_000;

/// A row of the audit as lists tell it: the same whether the daemon runs or not.
pub(crate) fn audit_row(line: Line) -> AuditRow {
    let about = match &line.about {
        About::Gate { number, ask } => format!("#{number} {}", in_a_line(ask)),
        About::Turn { title } => title.clone(),
        About::Person { name } => name.clone(),
        About::Other => line.subject.clone(),
    };
    AuditRow {
        at_ms: line.at_ms,
        chat: line.chat.map(|chat| chat.to_string()),
        who: line.who,
        name: line.name,
        what: line.what,
        subject: line.subject,
        about,
        detail: line.detail,
    }
}

fn gate_row(line: GateLine) -> GateRow {
    GateRow {
        id: GateId::new(line.id),
        number: line.number,
        turn: line.turn.into(),
        conversation: line.conversation.into(),
        chat: line.chat,
        what: in_a_line(&line.ask),
        questions: match line.ask {
            Ask::Questions { questions } => questions,
            _ => Vec::new(),
        },
        opened_at_ms: line.opened_at_ms,
    }
}

fn in_a_line(ask: &Ask) -> String {
    match ask {
        Ask::Command { command, .. } => command.clone(),
        Ask::FileChange { changes, .. } => {
            changes.iter().map(|change| change.path.as_str()).collect::<Vec<_>>().join(", ")
        }
        Ask::Permissions { wanted, .. } => wanted.join(", "),
        Ask::Tool { server, tool, .. } => format!("{server} {tool}"),
        Ask::Questions { questions } => {
            questions.iter().map(|question| question.text.as_str()).collect::<Vec<_>>().join(" / ")
        }
    }
}

/// What the ledger's counts say to those who watch the numbers.
fn standing(counts: &Counts) -> Standing {
    let oldest = counts.oldest_unsent_age_ms.map(|age| Duration::from_millis(age.max(0).unsigned_abs()));
    Standing {
        turns: vec![
            ("queued", whole(counts.queued)),
            ("submitting", whole(counts.submitting)),
            ("running", whole(counts.running)),
            ("waiting", whole(counts.waiting)),
        ],
        outbox: vec![
            ("ready", whole(counts.outbox_ready)),
            ("sending", whole(counts.outbox_sending)),
            ("undeliverable", whole(counts.outbox_undeliverable)),
            ("cards", whole(counts.surfaces_pending)),
        ],
        outbox_oldest: oldest,
        gates_open: whole(counts.gates_open),
        ledger_bytes: counts.bytes,
    }
}

/// A copy as it is told of: the same whether the daemon made it or not.
pub(crate) fn backup_report(file: PathBuf, copied: Copied) -> BackupReport {
    BackupReport { file, bytes: copied.bytes, turns: copied.turns, schema: copied.schema }
}

fn not_copied(error: &BackupError) -> ServiceError {
    let told = error_chain(error);
    match error {
        BackupError::Taken(_) | BackupError::Missing(_) => ServiceError::Refused(told),
        _ => ServiceError::Failed(told),
    }
}

/// With what is behind it.
fn error_chain(error: &dyn std::error::Error) -> String {
    let mut told = error.to_string();
    let mut behind = error.source();
    while let Some(cause) = behind {
        told = format!("{told}: {cause}");
        behind = cause.source();
    }
    told
}

fn whole(count: i64) -> u64 {
    u64::try_from(count).unwrap_or(0)
}

pub(super) fn failed(error: LedgerError) -> ServiceError {
    match error {
        LedgerError::Busy => ServiceError::Busy(error.to_string()),
        _ => ServiceError::Failed(error.to_string()),
    }
}

/// Longer than a commit takes on a slow disk, and than another program may hold the ledger.
const LEDGER_ANSWERS: Duration = Duration::from_secs(15);

impl Service for Daemon {
    fn alive(&self) -> Reply<'_, ()> {
        Box::pin(async {
            // Without a transaction: an empty one would say of a full disk that it takes writes again.
            match tokio::time::timeout(LEDGER_ANSWERS, self.core.ledger.answers()).await {
                Ok(answered) => answered.map_err(failed),
                Err(_) => Err(ServiceError::Failed("the ledger does not answer".to_owned())),
            }
        })
    }

    fn metrics(&self) -> Reply<'_, String> {
        Box::pin(async {
            let now = self.core.now_ms();
            let counts = self.core.ledger.read(move |tx| report::counts(tx, now)).await.map_err(failed)?;
            metrics::text(&standing(&counts)).map_err(|error| ServiceError::Failed(error.to_string()))
        })
    }

    fn status(&self) -> Reply<'_, StatusReport> {
        Box::pin(self.report())
    }

    fn turns(&self, query: TurnsQuery) -> Reply<'_, Vec<TurnRow>> {
        Box::pin(self.list(query))
    }

    fn turn(&self, id: TurnId) -> Reply<'_, TurnDetail> {
        Box::pin(self.detail(id))
    }

    fn gates(&self) -> Reply<'_, Vec<GateRow>> {
        Box::pin(async move {
            let lines = self.core.ledger.read(report::gates).await.map_err(failed)?;
            Ok(lines.into_iter().map(gate_row).collect())
        })
    }

    fn answer(&self, gate: GateId, request: AnswerRequest) -> Reply<'_, AnswerReport> {
        Box::pin(async move {
            let answered = answering::by_computer(&self.core, &gate, request.answers).await;
            let answered = answered.map_err(|error| match error {
                LedgerError::Missing(_) => ServiceError::NotFound(format!("there is no question {gate}")),
                error => failed(error),
            })?;
            let told = match self.core.config.lang {
                Lang::Zh => answered.toast.zh,
                Lang::En => answered.toast.en,
            };
            if answered.taken { Ok(AnswerReport { gate, told }) } else { Err(ServiceError::Refused(told)) }
        })
    }

    fn rules(&self) -> Reply<'_, Vec<RuleRow>> {
        Box::pin(async move {
            let now = self.core.now_ms();
            let found = self.core.ledger.read(move |tx| rules::listed(tx, None, now)).await.map_err(failed)?;
            Ok(found.into_iter().map(rule_row).collect())
        })
    }

    fn revoke_rule(&self, number: i64) -> Reply<'_, ()> {
        Box::pin(async move {
            let now = self.core.now_ms();
            let ended = self.core.ledger.write(move |tx| {
                let found = rules::get(tx, number)?.filter(|rule| rule.expires_at_ms.is_none_or(|at| at > now));
                let Some(rule) = found else { return Ok(false) };
                let ended = rules::end(tx, number, COMPUTER, now)?;
                if ended {
                    let (place, subject) = ((&rule.channel, &rule.chat), format!("R{number}"));
                    audit::note_in(tx, place, COMPUTER, "rule revoked", &subject, "", now)?;
                }
                Ok(ended)
            });
            match ended.await.map_err(failed)? {
                true => Ok(()),
                false => Err(ServiceError::NotFound(format!("there is no rule R{number} in force"))),
            }
        })
    }

    fn routines(&self) -> Reply<'_, Vec<RoutineReport>> {
        Box::pin(async move {
            let told = RoutinesTold::by(&self.core);
            self.core.ledger.read(move |tx| told.all(tx)).await.map_err(failed)
        })
    }

    fn routine(&self, name: String, runs: u32) -> Reply<'_, RoutineDetail> {
        Box::pin(async move {
            let (told, key) = (RoutinesTold::by(&self.core), name.clone());
            let found = self.core.ledger.read(move |tx| told.one(tx, &key, runs)).await.map_err(failed)?;
            found.ok_or_else(|| ServiceError::NotFound(format!("there is no routine {name}")))
        })
    }

    fn change_routine(&self, name: String, request: RoutineRequest) -> Reply<'_, ()> {
        Box::pin(async move { super::routines::change(&self.core, &name, request.wish, COMPUTER).await })
    }

    fn call_tool(&self, request: ToolRequest) -> Reply<'_, ToolReport> {
        Box::pin(async move {
            let ToolRequest { id, conversation, key, wish } = request;
            let told = tools::call(&self.core, tools::Call { id, conversation, key, wish }).await;
            let told = told.map_err(|error| match error.may_pass() {
                true => ServiceError::Busy(error_chain(&error)),
                false => ServiceError::Refused(error.to_string()),
            })?;
            Ok(ToolReport { told })
        })
    }

    fn send(&self, request: SendRequest) -> Reply<'_, SendReport> {
        Box::pin(async move {
            let SendRequest { to, text, file } = request;
            let sent = sending::by_computer(&self.core, to, text, file).await;
            let Sent { channel, chat, messages } = sent.map_err(|error| match error {
                SendingError::NoSuchChat { .. } | SendingError::NoOwner { .. } => {
                    ServiceError::NotFound(error.to_string())
                }
                SendingError::Ledger(error) => failed(error),
                SendingError::Storage(_) => ServiceError::Failed(error_chain(&error)),
                _ => ServiceError::Refused(error.to_string()),
            })?;
            Ok(SendReport { channel, chat, messages })
        })
    }

    fn rebuild_archive(&self) -> Reply<'_, ArchiveReport> {
        Box::pin(async move {
            let rebuilt = archive::rebuild(&self.core).await;
            let rebuilt = rebuilt.map_err(|error| ServiceError::Failed(format!("{error:#}")))?;
            Ok(ArchiveReport { turns: rebuilt.turns, days: rebuilt.days, kept: rebuilt.kept })
        })
    }

    fn audit(&self, query: AuditQuery) -> Reply<'_, Vec<AuditRow>> {
        Box::pin(async move {
            let lines = self.core.ledger.read(move |tx| audit::since(tx, None, query.since_ms, AUDIT_ROWS)).await;
            Ok(lines.map_err(failed)?.into_iter().map(audit_row).collect())
        })
    }

    fn lock(&self, request: LockRequest) -> Reply<'_, LockReport> {
        Box::pin(async move {
            let turned = lock::by_computer(&self.core, request.locked).await.map_err(failed)?;
            let cut = turned.cut.into_iter();
            Ok(LockReport { changed: turned.changed, cut: cut.map(cut_row).collect(), queued: whole(turned.queued) })
        })
    }

    fn restored(&self) -> Reply<'_, RestoredReport> {
        Box::pin(async move { self.core.ledger.read(restored_report).await.map_err(failed) })
    }

    fn decide_restored(&self, request: RestoredRequest) -> Reply<'_, RestoredReport> {
        Box::pin(async move {
            let held = putting_back::by_computer(&self.core, request.go_on).await.map_err(failed)?;
            held.map(held_report).ok_or_else(|| ServiceError::NotFound("nothing waits for a decision".to_owned()))
        })
    }

    fn backup(&self, request: BackupRequest) -> Reply<'_, BackupReport> {
        Box::pin(async move {
            let (from, to) = (self.core.ledger.path().to_owned(), request.file.clone());
            // On a thread of its own: a big ledger takes minutes, and nobody waits for it.
            let copied = tokio::task::spawn_blocking(move || backup::copy(&from, &to)).await;
            let copied = copied.map_err(|error| ServiceError::Failed(error.to_string()))?;
            copied.map(|copied| backup_report(request.file, copied)).map_err(|error| not_copied(&error))
        })
    }

    fn pair(&self) -> Reply<'_, PairCode> {
        Box::pin(self.start_pairing())
    }

    fn greet(&self, request: GreetRequest) -> Reply<'_, GreetReport> {
        Box::pin(async move {
            let greeted = greeting::greet(&self.core, &"feishu".into(), request.anew).await.map_err(failed)?;
            Ok(match greeted {
                Greeted::NoOwner => GreetReport::NoOwner,
                Greeted::NoChat => GreetReport::NoChat,
                Greeted::OnItsWay(problem) => GreetReport::Sending { problem },
                Greeted::Sent => GreetReport::Sent,
                Greeted::Undeliverable(problem) => GreetReport::Undeliverable { problem },
            })
        })
    }

    fn await_approval(&self, request: ApprovalRequest) -> Reply<'_, ApprovalReport> {
        Box::pin(async move {
            let Some(approvals) = &self.approvals else {
                return Err(ServiceError::Refused("ally was started without an app".to_owned()));
            };
            let report = approvals.wait_for(&request).await.map_err(failed)?;
            report.ok_or_else(|| ServiceError::Refused("ally was started with another app".to_owned()))
        })
    }

    fn press(&self) -> Reply<'_, PressReport> {
        Box::pin(async move {
            let name = checkup::send(&self.core, &"feishu".into()).await.map_err(failed)?;
            Ok(PressReport { name })
        })
    }

    fn pressed(&self, name: String) -> Reply<'_, PressState> {
        Box::pin(async move {
            let found = checkup::state(&self.core, &name).await.map_err(failed)?;
            let Some(checkup::Sent { shown, given_up, pressed }) = found else {
                return Err(ServiceError::NotFound(format!("there is no card {name}")));
            };
            Ok(PressState { shown, given_up, pressed })
        })
    }

    fn drain(&self, request: DrainRequest) -> Reply<'_, DrainPreview> {
        Box::pin(self.begin_drain(request))
    }

    fn warp_clock(&self, warp: Warp) -> Reply<'_, ()> {
        Box::pin(async move {
            self.core.clock.warp(warp.offset_ms, warp.speed);
            Ok(())
        })
    }
}
