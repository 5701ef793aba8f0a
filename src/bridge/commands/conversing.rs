//! Commands about conversations and where they work.

use super::{Here, Reply, usage};
use crate::bridge::pictures::Frame;
use crate::bridge::prepare::Letter;
use crate::bridge::say;
use crate::domain::conversing::Conversing;
use crate::domain::view::Lang;
use crate::ledger::{LedgerError, Transaction};
use crate::words::CommandMsg;

pub(super) fn run(
    tx: &Transaction<'_>,
    frame: &Frame,
    _letter: &Letter,
    here: &Here,
    lang: Lang,
    command: &Conversing,
) -> Result<Reply, LedgerError> {
    match command {
        Conversing::Usage { days } => usage::usage(tx, frame, here, lang, *days),
        Conversing::Threads | Conversing::Resume(_) => {
            Ok(Reply::say(say::command(lang, CommandMsg::Later { word: "threads" })))
        }
    }
}
