//! `/usage`: what the chat took of the model, by day, conversation and turn.

use super::{DAY_MS, Here, Reply};
use crate::bridge::pictures::{Frame, cut};
use crate::bridge::say;
use crate::domain::ids::ChatId;
use crate::domain::view::Lang;
use crate::ledger::turns::{self, Spent};
use crate::ledger::{LedgerError, Transaction, conversations};
use crate::words::CommandMsg;

/// Turns that are named.
const NAMED: usize = 5;
/// Conversations that are counted, those first that were last used.
const CONVERSATIONS: u32 = 1000;
/// Days that are listed.
const DAYS: usize = 14;
/// Characters of a turn's title.
const TITLE: usize = 24;

pub(super) fn usage(
    tx: &Transaction<'_>,
    frame: &Frame,
    here: &Here,
    chat: &ChatId,
    lang: Lang,
    days: u32,
) -> Result<Reply, LedgerError> {
    let since = frame.now_ms - i64::from(days) * DAY_MS;
    let (mut all, mut own) = (Vec::new(), None);
    let used = conversations::recent(tx, &frame.channel, chat, since, CONVERSATIONS)?;
    for conversation in &used {
        let spent = turns::spent_since(tx, &conversation.id, since)?;
        if here.conversation.as_ref().is_some_and(|this| this.id == conversation.id) {
            own = Some(sum(&spent));
        }
        all.extend(spent);
    }
    all.sort_by_key(|spent| -spent.settled_at_ms);
    if all.is_empty() {
        return Ok(Reply::say(say::command(lang, CommandMsg::UsageNone { days })));
    }
    let (tokens, turns) = sum(&all);
    let mut lines = vec![say::command(lang, CommandMsg::UsageHead { days, tokens, turns })];
    if let Some((tokens, turns)) = own.filter(|_| used.len() > 1) {
        lines.push(say::command(lang, CommandMsg::UsageHere { tokens, turns }));
    }
    if days > 1 {
        for (day, tokens, turns) in by_day(&all).into_iter().take(DAYS) {
            lines.push(say::command(lang, CommandMsg::UsageDay { day: &day, tokens, turns }));
        }
    }
    lines.push(say::command(lang, CommandMsg::UsageTurns));
    for spent in all.iter().take(NAMED) {
        let msg = CommandMsg::UsageTurn { title: &cut(&spent.title, TITLE), tokens: spent.tokens };
        lines.push(say::command(lang, msg));
    }
    Ok(Reply::say(lines.join("\n")))
}

fn sum(spent: &[Spent]) -> (i64, usize) {
    (spent.iter().map(|one| one.tokens).sum(), spent.len())
}

/// The newest day first, as they are sorted.
fn by_day(spent: &[Spent]) -> Vec<(String, i64, usize)> {
    let mut days: Vec<(String, i64, usize)> = Vec::new();
    for one in spent {
        let day = say::day(one.settled_at_ms);
        match days.last_mut().filter(|(last, ..)| *last == day) {
            Some((_, tokens, turns)) => (*tokens, *turns) = (*tokens + one.tokens, *turns + 1),
            None => days.push((day, one.tokens, 1)),
        }
    }
    days
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_of_one_day_is_added_up() {
        let noon = 1_790_000_000_000;
        let spent = [(7, noon + 2), (5, noon), (3, noon - 3 * DAY_MS)].map(|(tokens, settled_at_ms)| Spent {
            title: String::new(),
            tokens,
            settled_at_ms,
        });
        let days: Vec<(i64, usize)> = by_day(&spent).into_iter().map(|(_, tokens, turns)| (tokens, turns)).collect();
        assert_eq!(days, [(12, 2), (3, 1)]);
        assert_eq!(sum(&spent), (15, 3));
    }
}
