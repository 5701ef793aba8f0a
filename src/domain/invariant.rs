//! What is true of a ledger at every moment between two commits, as far as its rows can tell.

use serde::{Deserialize, Serialize};

/// One sentence about the rows. `ally doctor ledger` tries each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Invariant {
    FileWhole,
    ReferencesExist,
    ColumnsReadable,
    OneActiveTurn,
    ActiveWasSubmitted,
    ClientIdFits,
    QueuedIsNowhere,
    SettledHasTime,
    CompletedWasTold,
    LostWasTold,
    WaitingHasGate,
    GateHasWaitingTurn,
    GateColumnsFit,
    GateOfLivingProcess,
    GateHasCard,
    GateCardEnds,
    LiveCardHasTurn,
    QueueCardHasTurn,
    PartsInOrder,
    MessageColumnsFit,
    SurfaceColumnsFit,
    OneLivingProcess,
    InboundLeads,
    InboundHasWords,
    RefusedHasNoWords,
    SteersEnd,
    HeldSaysWhy,
    ButtonsLead,
    TaskRulesEnd,
}

impl Invariant {
    pub const ALL: [Invariant; 29] = [
        Invariant::FileWhole,
        Invariant::ReferencesExist,
        Invariant::ColumnsReadable,
        Invariant::OneActiveTurn,
        Invariant::ActiveWasSubmitted,
        Invariant::ClientIdFits,
        Invariant::QueuedIsNowhere,
        Invariant::SettledHasTime,
        Invariant::CompletedWasTold,
        Invariant::LostWasTold,
        Invariant::WaitingHasGate,
        Invariant::GateHasWaitingTurn,
        Invariant::GateColumnsFit,
        Invariant::GateOfLivingProcess,
        Invariant::GateHasCard,
        Invariant::GateCardEnds,
        Invariant::LiveCardHasTurn,
        Invariant::QueueCardHasTurn,
        Invariant::PartsInOrder,
        Invariant::MessageColumnsFit,
        Invariant::SurfaceColumnsFit,
        Invariant::OneLivingProcess,
        Invariant::InboundLeads,
        Invariant::InboundHasWords,
        Invariant::RefusedHasNoWords,
        Invariant::SteersEnd,
        Invariant::HeldSaysWhy,
        Invariant::ButtonsLead,
        Invariant::TaskRulesEnd,
    ];
}

/// An invariant that does not hold, and the rows that break it (the first ones, as `table:id` or in SQLite's own words).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Broken {
    pub invariant: Invariant,
    pub rows: Vec<String>,
}
