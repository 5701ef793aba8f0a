//! The frozen prompt of a turn as it lies in the ledger.

use super::ports::{Compacts, Prompt};
use crate::domain::gate::Ask;
use crate::domain::ids::TurnId;

/// Serialises a prompt for its row.
pub fn freeze(prompt: &Prompt) -> String {
    serde_json::to_string(prompt).expect("a prompt holds only text and paths")
}

/// Reads a frozen prompt. A row that cannot be read (never written by us) is taken as plain words.
pub fn thaw(stored: &str) -> Prompt {
    serde_json::from_str(stored).unwrap_or_else(|_| Prompt { text: stored.to_owned(), ..Prompt::default() })
}

/// A prompt that was gathered anew, wanted as the former one was.
pub fn made_anew(former: &str, gathered: Prompt) -> String {
    let Prompt { plan, review, compacts, routine, .. } = thaw(former);
    freeze(&Prompt { plan, review, compacts, routine, ..gathered })
}

/// The prompt of a turn that compacts its thread, and then has a former request run again.
pub fn compacting(then: Option<TurnId>) -> Prompt {
    Prompt { compacts: Some(Compacts { then }), ..Prompt::default() }
}

/// What a stored turn does to its thread, where it compacts it.
pub fn compaction(stored: &str) -> Option<Compacts> {
    thaw(stored).compacts
}

/// The words of a review; `asked` is what the person wrote.
pub fn reviewing(asked: &str) -> String {
    format!(
        "Review the uncommitted changes in this directory: staged, unstaged and untracked files (`git status`, `git diff HEAD`, \
         the contents of new files). Change nothing. Look for what breaks, loses data, leaks or misleads, and for what is \
         missing; leave matters of taste alone. List the findings, the gravest first, each with file and line, what happens and \
         when, and what would mend it. Say so where there is no finding, no change, or no repository. The review was asked for \
         with these words; where they name something to look at, look at that:\n\n{asked}"
    )
}

/// Only the words of a frozen prompt.
pub fn text_of(stored: &str) -> String {
    thaw(stored).text
}

/// A stored turn's request of these words alone.
pub fn of_text(text: &str) -> String {
    freeze(&Prompt { text: text.to_owned(), ..Prompt::default() })
}

/// The prompt of *Continue*: the agent checks what was done before it goes on. The words of the request follow, because
/// a thread that was cut early may not hold them.
pub fn continuing(stored: &str) -> String {
    let former = thaw(stored);
    let text = format!(
        "Your previous turn was cut off before it finished. First check what has already been done (files, commands, their \
         effects); do not repeat a step that is already done. Then finish the request. The request was:\n\n{}",
        former.text
    );
    freeze(&Prompt { text, ..former })
}

/// The same in another thread, which knows nothing of it.
pub fn begun_elsewhere(stored: &str) -> String {
    let former = thaw(stored);
    let text = format!(
        "The request below was begun in another conversation and cut off before it was finished. First check what has already \
         been done (files, commands, their effects); do not repeat a step that is already done. Then finish it. The request \
         was:\n\n{}",
        former.text
    );
    freeze(&Prompt { text, ..former })
}

/// The prompt with which a task goes on once it has the network: `asked` is what it had asked for.
pub fn with_network(stored: &str, asked: &Ask) -> String {
    let former = thaw(stored);
    let what = match asked {
        Ask::Command { command, .. } => format!(" You had asked to run `{command}`, which did not run."),
        _ => String::new(),
    };
    let text = format!(
        "Your commands can reach the network now, inside the sandbox: the person granted it for this task, and your previous \
         turn was ended for that.{what} First check what has already been done; do not repeat a step that is already done. \
         Then finish the request. The request was:\n\n{}",
        former.text
    );
    freeze(&Prompt { text, ..former })
}

/// Why a person said no, as words for the running turn.
pub fn declined_because(ask: &Ask, reason: &str) -> String {
    let what = match ask {
        Ask::Command { command, .. } => format!("to run `{command}`"),
        Ask::FileChange { changes, .. } => {
            format!("to change {}", changes.iter().map(|change| change.path.as_str()).collect::<Vec<_>>().join(", "))
        }
        Ask::Permissions { wanted, .. } => format!("for more rights ({})", wanted.join(", ")),
        Ask::Tool { server, tool, .. } => format!("to use {server}/{tool}"),
        Ask::Questions { .. } => "for an answer".to_owned(),
    };
    format!("Your request {what} was declined. The reason given: {reason}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prompt_survives_its_row() {
        let prompt = Prompt { text: "你好 \"x\"".to_owned(), images: vec!["/a b.png".into()], ..Prompt::default() };
        assert_eq!(thaw(&freeze(&prompt)), prompt);
        assert!(text_of(&continuing(&freeze(&prompt))).ends_with("你好 \"x\""));
        assert_eq!(thaw("plain").text, "plain");
        let plan = Prompt { plan: true, ..prompt.clone() };
        assert!(thaw(&continuing(&freeze(&plan))).plan, "what is continued is what was wanted");
        assert!(thaw(&made_anew(&freeze(&plan), prompt.clone())).plan);
        let review = Prompt { review: true, ..prompt.clone() };
        assert!(thaw(&continuing(&freeze(&review))).review && thaw(&made_anew(&freeze(&review), prompt)).review);
        let compacts = freeze(&compacting(Some("t".into())));
        assert_eq!(compaction(&compacts).and_then(|compacts| compacts.then), Some("t".into()));
        assert!(compaction("{\"text\":\"x\",\"images\":[]}").is_none(), "a row of an older version");
    }
}
