//! Everything that ally itself says to people, in both languages. Pure: no I/O, no clock.
//!
//! Each sentence is a variant of one of the area enums, with its Chinese and its English text side by side, so a missing
//! translation does not compile. The tests walk every sentence in both languages by the wording rules: four degrees of
//! certainty (did, did not, may have, cannot tell), what is so before what is not certain before what can be done.
//!
//! The agent's own words never pass through here.

mod audit;
mod bench;
mod button;
pub mod card;
mod channel;
mod command;
mod doctor;
mod failure;
mod ledger;
mod notice;
mod rights;
mod risk;
mod routine;
mod safety;
mod schedule;
mod time;
mod toast;

pub use audit::{audit, audit_somebody, audit_who, owner_at_computer};
pub use bench::{BenchMsg, both_of_bench};
pub use button::button;
pub use card::CardMsg;
pub use channel::{ChannelMsg, both};
pub use command::{CommandMsg, help_topic};
pub use doctor::{DoctorMsg, check, without_scope};
pub use failure::{
    FailureContext, Launch, Told, failure, last_failure, launch_failure, launch_in_status, runtime_trouble,
    stuck_in_status,
};
pub use ledger::invariant;
pub use notice::{NoticeMsg, unreadable_name};
pub use rights::{RightsMsg, covers};
pub use risk::{risk, risk_why};
pub use routine::{RoutineMsg, due, routine_error, run_state};
pub use safety::{promise, safety_warnings};
pub use schedule::{schedule, schedule_error};
pub use setting::{setting, setting_value};
pub use time::{At, Span, Zone};
pub use toast::{ToastMsg, toast};

use crate::domain::view::Lang;

/// One sentence, from any area.
#[derive(Debug, Clone, PartialEq)]
pub enum Msg<'a> {
    Card(CardMsg<'a>),
    Notice(NoticeMsg<'a>),
    Command(CommandMsg<'a>),
    Toast(ToastMsg<'a>),
    Rights(RightsMsg<'a>),
    Channel(ChannelMsg<'a>),
    Bench(BenchMsg<'a>),
    Routine(RoutineMsg<'a>),
    Doctor(DoctorMsg<'a>),
}

/// The sentence in a language.
pub fn text(msg: &Msg<'_>, lang: Lang) -> String {
    match msg {
        Msg::Card(msg) => msg.text(lang),
        Msg::Notice(msg) => msg.text(lang),
        Msg::Command(msg) => msg.text(lang),
        Msg::Toast(msg) => msg.text(lang),
        Msg::Rights(msg) => msg.text(lang),
        Msg::Channel(msg) => msg.text(lang),
        Msg::Bench(msg) => msg.text(lang),
        Msg::Routine(msg) => msg.text(lang),
        Msg::Doctor(msg) => msg.text(lang),
    }
}

/// Defines one area: an enum whose variants carry both texts. Fields are named in the texts.
macro_rules! messages {
    (
        $(#[$doc:meta])*
        $name:ident {$(
            $(#[$vdoc:meta])*
            $variant:ident $({ $($field:ident: $type:ty),+ $(,)? })? => $zh:literal, $en:literal;
        )+}
    ) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq)]
        pub enum $name<'a> {
            $($(#[$vdoc])* $variant $({ $($field: $type),+ })?,)+
            /// Never built: carries the lifetime of areas whose sentences borrow nothing.
            #[doc(hidden)]
            Never(std::convert::Infallible, std::marker::PhantomData<&'a ()>),
        }

        impl $name<'_> {
            /// The sentence in a language.
            pub fn text(&self, lang: $crate::domain::view::Lang) -> String {
                use $crate::domain::view::Lang;
                match (self, lang) {
                    $(
                        ($name::$variant $({ $($field),+ })?, Lang::Zh) => {
                            $($(let _ = $field;)+)?
                            format!($zh)
                        }
                        ($name::$variant $({ $($field),+ })?, Lang::En) => {
                            $($(let _ = $field;)+)?
                            format!($en)
                        }
                    )+
                    ($name::Never(never, _), _) => match *never {},
                }
            }

            /// Every variant once, filled with sample values.
            #[cfg(test)]
            pub(crate) fn samples() -> Vec<(&'static str, $name<'static>)> {
                use $crate::words::rules::Sample;
                vec![$((
                    concat!(stringify!($name), "::", stringify!($variant)),
                    $name::$variant $({ $($field: Sample::sample()),+ })?,
                )),+]
            }
        }

        impl<'a> From<$name<'a>> for $crate::words::Msg<'a> {
            fn from(msg: $name<'a>) -> Self {
                $crate::words::area!($name, msg)
            }
        }
    };
}

macro_rules! area {
    (CardMsg, $msg:ident) => {
        $crate::words::Msg::Card($msg)
    };
    (NoticeMsg, $msg:ident) => {
        $crate::words::Msg::Notice($msg)
    };
    (CommandMsg, $msg:ident) => {
        $crate::words::Msg::Command($msg)
    };
    (ToastMsg, $msg:ident) => {
        $crate::words::Msg::Toast($msg)
    };
    (RightsMsg, $msg:ident) => {
        $crate::words::Msg::Rights($msg)
    };
    (ChannelMsg, $msg:ident) => {
        $crate::words::Msg::Channel($msg)
    };
    (BenchMsg, $msg:ident) => {
        $crate::words::Msg::Bench($msg)
    };
    (RoutineMsg, $msg:ident) => {
        $crate::words::Msg::Routine($msg)
    };
    (DoctorMsg, $msg:ident) => {
        $crate::words::Msg::Doctor($msg)
    };
}

pub(crate) use {area, messages};

#[cfg(test)]
pub(crate) mod rules;
mod setting;
