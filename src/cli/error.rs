//! Every failure of a command: what is so, what to do, and the exit code. The one place that prints them.

use std::process::ExitCode;

use super::output::note;
use crate::app::StartError;
use crate::config::Problems;
use crate::control::ClientError;
use crate::domain::view::Lang;
use crate::ledger::OpenError;
use crate::supervisor::LockError;

/// The codes that `ally --help` lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Code {
    Failed = 1,
    NotRunning = 69,
    Unwell = 70,
    /// Of the bridge, to its supervisor.
    Ledger = 65,
    /// The same.
    Outage = 74,
    Temporary = 75,
    Exposed = 77,
    Config = 78,
}

/// A failure as a person sees it.
#[derive(Debug)]
pub(super) struct CliError {
    pub(super) message: String,
    /// zh and en.
    pub(super) hint: Option<(String, String)>,
    pub(super) code: Code,
}

impl CliError {
    pub(super) fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), hint: None, code: Code::Failed }
    }

    pub(super) fn code(mut self, code: Code) -> Self {
        self.code = code;
        self
    }

    pub(super) fn hint(mut self, zh: impl Into<String>, en: impl Into<String>) -> Self {
        self.hint = Some((zh.into(), en.into()));
        self
    }

    pub(super) fn exit_code(&self) -> ExitCode {
        ExitCode::from(self.code as u8)
    }

    pub(super) fn print(&self, lang: Lang) -> ExitCode {
        note(&format!("error: {}", self.message));
        if let Some((zh, en)) = &self.hint {
            let hint = match lang {
                Lang::Zh => zh,
                Lang::En => en,
            };
            note(&format!("hint: {hint}"));
        }
        self.exit_code()
    }
}

impl From<Problems> for CliError {
    fn from(problems: Problems) -> Self {
        CliError::new(problems.to_string()).code(Code::Config)
    }
}

impl From<ClientError> for CliError {
    fn from(error: ClientError) -> Self {
        let message = error.to_string();
        match error {
            ClientError::NotRunning => CliError::new(message)
                .code(Code::NotRunning)
                .hint("运行 `ally start`；想先试试：`ally demo`", "run `ally start`; to try it out first: `ally demo`"),
            ClientError::Refused { status: 401, .. } => CliError::new(message)
                .hint("ally 刚重启过？再试一次", "was ally restarted just now? Try again")
                .code(Code::Temporary),
            ClientError::Refused { status: 503, .. } => CliError::new(message).code(Code::Temporary),
            ClientError::Refused { status: 404, .. } => {
                CliError::new(message).hint("`ally turns` 列出任务", "`ally turns` lists the tasks")
            }
            ClientError::Refused { .. } => {
                CliError::new(message).hint("看 `ally status` 和 `ally logs`", "see `ally status` and `ally logs`")
            }
            ClientError::Lost(_) => CliError::new(message)
                .code(Code::Temporary)
                .hint("可能已经生效。看看 `ally status`", "it may have been done. See `ally status`"),
            ClientError::Unusable(_) => {
                CliError::new(message).hint("检查 $ALLY_HOME/run 的权限", "check the permissions of $ALLY_HOME/run")
            }
        }
    }
}

impl From<LockError> for CliError {
    fn from(error: LockError) -> Self {
        let message = error.to_string();
        match error {
            LockError::Held { .. } => {
                CliError::new(message).code(Code::Temporary).hint("先运行 `ally stop`", "run `ally stop` first")
            }
            LockError::Io(_) => {
                CliError::new(message).hint("检查 $ALLY_HOME/run 的权限", "check the permissions of $ALLY_HOME/run")
            }
        }
    }
}

impl From<OpenError> for CliError {
    fn from(error: OpenError) -> Self {
        let (zh, en) = error.hint();
        // The supervisor tries again what time alone may mend.
        let code = if error.needs_a_person() { Code::Config } else { Code::Failed };
        // With what is behind it: which call failed, and why.
        CliError::new(format!("{:#}", anyhow::Error::new(error))).code(code).hint(zh, en)
    }
}

impl From<std::io::Error> for CliError {
    fn from(error: std::io::Error) -> Self {
        CliError::new(error.to_string())
    }
}

impl From<anyhow::Error> for CliError {
    fn from(error: anyhow::Error) -> Self {
        let error = match error.downcast::<LockError>() {
            Ok(lock) => return lock.into(),
            Err(error) => error,
        };
        match error.downcast::<StartError>() {
            Ok(start) => start.into(),
            Err(error) => CliError::new(format!("{error:#}")),
        }
    }
}

impl From<StartError> for CliError {
    fn from(error: StartError) -> Self {
        let message = error.to_string();
        match error {
            StartError::AppHeld { .. } => CliError::new(message).code(Code::Temporary).hint(
                "先停掉另一个：`ALLY_HOME=… ally stop`；或者给这个目录换一个应用",
                "stop the other one (`ALLY_HOME=… ally stop`), or give this home an app of its own",
            ),
            StartError::Ledger(ledger) => ledger.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reason_comes_before_the_hint() {
        let open = crate::ledger::OpenError::TooNew { path: "/h/ledger.db".into(), found: 9, known: 2 };
        let told = CliError::from(anyhow::Error::from(StartError::from(open)));
        assert!(told.message.contains("/h/ledger.db") && !told.message.contains("hint"), "{}", told.message);
        assert!(told.hint.is_some_and(|(_, en)| en.contains("restore")));
    }
}
