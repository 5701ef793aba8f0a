//! Answers that are given on the computer itself: they pass by no platform, so that a secret stays on the machine.

use std::sync::Arc;

use super::actions::answers::typed_answers;
use super::actions::{Person, Told, decide};
use super::core::Core;
use super::intake::after;
use super::say;
use crate::domain::access::Role;
use crate::domain::ids::*;
use crate::domain::view::Toast;
use crate::ledger::{LedgerError, conversations, gates};
use crate::words;

/// Who answers here, in place of a person of a platform.
pub const COMPUTER: &str = "computer";

/// What came of it.
#[derive(Debug, Clone)]
pub struct Answered {
    /// It was stored, and the runtime is being told.
    pub taken: bool,
    pub toast: Toast,
}

/// Answers the questions of a gate the way a click on its card does, in the name of whoever may use this account of the
/// machine. A request to allow is not answered here: its card says what it is about.
pub async fn by_computer(core: &Arc<Core>, gate: &GateId, answers: Vec<String>) -> Result<Answered, LedgerError> {
    let id = gate.clone();
    let conversation = core.ledger.read(move |tx| conversations::get(tx, &gates::get(tx, &id)?.conversation)).await?;
    let person = Person {
        user: UserId::new(COMPUTER),
        name: words::owner_at_computer(conversation.lang).to_owned(),
        role: Role::Owner,
    };
    let (frame, id, secrets) = (core.frame(&conversation.channel), gate.clone(), Arc::clone(core));
    let performed = core.ledger.write(move |tx| {
        let mut performed = decide(tx, &frame, &id, &person, |ask| typed_answers(ask, &answers))?;
        // Before anybody can be woken by the decision: without it the runtime would be told nothing.
        if let Some((gate, decision)) = performed.secret.take() {
            secrets.keep_secret(&gate, decision);
        }
        Ok(performed)
    });
    let performed = performed.await?;
    let answered =
        Answered { taken: performed.told == Told::Recorded, toast: say::toast(&performed.told, core.now_ms()) };
    after(core, performed);
    Ok(answered)
}
