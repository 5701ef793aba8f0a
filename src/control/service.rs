//! What the daemon offers over the socket. The composition root implements it; the socket knows nothing else of it.

use std::pin::Pin;

use super::report::{
    AnswerReport, AnswerRequest, ApprovalReport, ApprovalRequest, AuditQuery, AuditRow, BackupReport, BackupRequest,
    DrainPreview, DrainRequest, GateRow, GreetReport, GreetRequest, LockReport, LockRequest, PairCode, PressReport,
    PressState, RestoredReport, RestoredRequest, RuleRow, StatusReport, TurnDetail, TurnRow, TurnsQuery, Warp,
};
use super::routines::{ArchiveReport, RoutineDetail, RoutineReport, RoutineRequest};
use super::tools::{SendReport, SendRequest, ToolReport, ToolRequest};
use crate::domain::ids::{GateId, TurnId};

/// An answer to come.
pub type Reply<'a, T> = Pin<Box<dyn Future<Output = Result<T, ServiceError>> + Send + 'a>>;

/// What the daemon offers.
pub trait Service: Send + Sync + 'static {
    /// Everything for `ally status`.
    fn status(&self) -> Reply<'_, StatusReport>;
    /// Whether the ledger answers; that it takes no writes just now is an answer.
    fn alive(&self) -> Reply<'_, ()>;
    /// Numbers since the process began, in the OpenMetrics text format.
    fn metrics(&self) -> Reply<'_, String>;
    /// Turns, newest first.
    fn turns(&self, query: TurnsQuery) -> Reply<'_, Vec<TurnRow>>;
    /// One turn; `id` may be its beginning.
    fn turn(&self, id: TurnId) -> Reply<'_, TurnDetail>;
    /// Open questions, oldest first.
    fn gates(&self) -> Reply<'_, Vec<GateRow>>;
    /// Answers a question in the owner's name, like a click on its card.
    fn answer(&self, gate: GateId, request: AnswerRequest) -> Reply<'_, AnswerReport>;
    /// Rules in force, oldest first.
    fn rules(&self) -> Reply<'_, Vec<RuleRow>>;
    /// Ends a rule.
    fn revoke_rule(&self, number: i64) -> Reply<'_, ()>;
    /// All routines, by name.
    fn routines(&self) -> Reply<'_, Vec<RoutineReport>>;
    /// One routine with so many of its newest runs.
    fn routine(&self, name: String, runs: u32) -> Reply<'_, RoutineDetail>;
    /// Does something with a routine, in the name of whoever is at the computer.
    fn change_routine(&self, name: String, request: RoutineRequest) -> Reply<'_, ()>;
    /// Does what an agent's tool asks for, where its key is right.
    fn call_tool(&self, request: ToolRequest) -> Reply<'_, ToolReport>;
    /// Sends something in the name of whoever is at the computer.
    fn send(&self, request: SendRequest) -> Reply<'_, SendReport>;
    /// Writes the archive anew from the ledger.
    fn rebuild_archive(&self) -> Reply<'_, ArchiveReport>;
    /// What was decided and changed since then, newest first.
    fn audit(&self, query: AuditQuery) -> Reply<'_, Vec<AuditRow>>;
    /// Pauses everything, or lets it go on.
    fn lock(&self, request: LockRequest) -> Reply<'_, LockReport>;
    /// What waits since the ledger was put back.
    fn restored(&self) -> Reply<'_, RestoredReport>;
    /// Decides what becomes of it, in the owner's name; tells what it was.
    fn decide_restored(&self, request: RestoredRequest) -> Reply<'_, RestoredReport>;
    /// Copies the ledger as of one moment.
    fn backup(&self, request: BackupRequest) -> Reply<'_, BackupReport>;
    /// A fresh one-time code; an older one ends.
    fn pair(&self) -> Reply<'_, PairCode>;
    /// Greets the owner, once; tells how far that has come.
    fn greet(&self, request: GreetRequest) -> Reply<'_, GreetReport>;
    /// Has the owner told when an administrator has approved something.
    fn await_approval(&self, request: ApprovalRequest) -> Reply<'_, ApprovalReport>;
    /// Sends the owner a card to be pressed.
    fn press(&self) -> Reply<'_, PressReport>;
    /// How far that card has come.
    fn pressed(&self, name: String) -> Reply<'_, PressState>;
    /// Tells what a stop cuts and, unless it is a preview, begins it. The process ends with exit code 0 afterwards.
    fn drain(&self, request: DrainRequest) -> Reply<'_, DrainPreview>;
    /// Moves the clock. Routed in test builds only.
    fn warp_clock(&self, warp: Warp) -> Reply<'_, ()>;
}

/// Why the daemon does not do it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ServiceError {
    /// There is no such thing.
    #[error("{0}")]
    NotFound(String),
    /// The same again will be refused again.
    #[error("{0}")]
    Refused(String),
    /// Not now; worth another try.
    #[error("{0}")]
    Busy(String),
    /// It went wrong.
    #[error("{0}")]
    Failed(String),
}

#[cfg(test)]
pub(crate) mod testing {
    use super::super::report::DaemonState;
    use super::*;

    /// A daemon that has nothing to do.
    pub(crate) struct Quiet;

    impl Service for Quiet {
        fn status(&self) -> Reply<'_, StatusReport> {
            Box::pin(async { Ok(StatusReport::empty("h".to_owned(), DaemonState::Running)) })
        }
        fn alive(&self) -> Reply<'_, ()> {
            Box::pin(async { Ok(()) })
        }
        fn metrics(&self) -> Reply<'_, String> {
            Box::pin(async { Ok("# EOF\n".to_owned()) })
        }
        fn turns(&self, query: TurnsQuery) -> Reply<'_, Vec<TurnRow>> {
            assert!(query.undelivered && query.limit == 3, "{query:?}");
            Box::pin(async { Ok(Vec::new()) })
        }
        fn turn(&self, id: TurnId) -> Reply<'_, TurnDetail> {
            Box::pin(async move { Err(ServiceError::NotFound(format!("there is no turn {id}"))) })
        }
        fn gates(&self) -> Reply<'_, Vec<GateRow>> {
            Box::pin(async { Ok(Vec::new()) })
        }
        fn answer(&self, gate: GateId, _: AnswerRequest) -> Reply<'_, AnswerReport> {
            Box::pin(async move { Err(ServiceError::NotFound(format!("there is no question {gate}"))) })
        }
        fn rules(&self) -> Reply<'_, Vec<RuleRow>> {
            Box::pin(async { Ok(Vec::new()) })
        }
        fn revoke_rule(&self, _: i64) -> Reply<'_, ()> {
            Box::pin(async { Ok(()) })
        }
        fn routines(&self) -> Reply<'_, Vec<RoutineReport>> {
            Box::pin(async { Ok(Vec::new()) })
        }
        fn routine(&self, name: String, _: u32) -> Reply<'_, RoutineDetail> {
            Box::pin(async move { Err(ServiceError::NotFound(format!("there is no routine {name}"))) })
        }
        fn change_routine(&self, _: String, _: RoutineRequest) -> Reply<'_, ()> {
            Box::pin(async { Ok(()) })
        }
        fn call_tool(&self, request: ToolRequest) -> Reply<'_, ToolReport> {
            Box::pin(async move { Err(ServiceError::Refused(format!("{} is nobody's", request.conversation))) })
        }
        fn send(&self, _: SendRequest) -> Reply<'_, SendReport> {
            Box::pin(async { Err(ServiceError::Refused("nobody is there".to_owned())) })
        }
        fn rebuild_archive(&self) -> Reply<'_, ArchiveReport> {
            Box::pin(async { Ok(ArchiveReport { turns: 0, days: 0, kept: 0 }) })
        }
        fn audit(&self, _: AuditQuery) -> Reply<'_, Vec<AuditRow>> {
            Box::pin(async { Ok(Vec::new()) })
        }
        fn lock(&self, _: LockRequest) -> Reply<'_, LockReport> {
            Box::pin(async { Ok(LockReport { changed: false, cut: Vec::new(), queued: 0 }) })
        }
        fn restored(&self) -> Reply<'_, RestoredReport> {
            Box::pin(async { Ok(RestoredReport::default()) })
        }
        fn decide_restored(&self, _: RestoredRequest) -> Reply<'_, RestoredReport> {
            Box::pin(async { Err(ServiceError::NotFound("nothing waits for a decision".to_owned())) })
        }
        fn backup(&self, request: BackupRequest) -> Reply<'_, BackupReport> {
            Box::pin(async move { Ok(BackupReport { file: request.file, bytes: 0, turns: 0, schema: 0 }) })
        }
        fn pair(&self) -> Reply<'_, PairCode> {
            Box::pin(async { Ok(PairCode { code: "ABCD2345".to_owned(), valid_until_ms: 1 }) })
        }
        fn greet(&self, _: GreetRequest) -> Reply<'_, GreetReport> {
            Box::pin(async { Ok(GreetReport::NoOwner) })
        }
        fn await_approval(&self, _: ApprovalRequest) -> Reply<'_, ApprovalReport> {
            Box::pin(async { Ok(ApprovalReport::NoOwner) })
        }
        fn press(&self) -> Reply<'_, PressReport> {
            Box::pin(async { Ok(PressReport { name: None }) })
        }
        fn pressed(&self, name: String) -> Reply<'_, PressState> {
            Box::pin(async move { Err(ServiceError::NotFound(format!("there is no card {name}"))) })
        }
        fn drain(&self, _: DrainRequest) -> Reply<'_, DrainPreview> {
            Box::pin(async { Ok(DrainPreview::default()) })
        }
        fn warp_clock(&self, _: Warp) -> Reply<'_, ()> {
            Box::pin(async { Ok(()) })
        }
    }
}
