//! What stands behind `/routine`.

/// What is wanted of routines, in a chat.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wish {
    List,
    Show(String),
    /// A sentence that says when and what.
    Add(String),
    Run(String),
    Pause(String),
    Resume(String),
    History(String),
    Remove(String),
}

/// Makes a wish of what stands behind its word.
type Make = fn(String) -> Wish;

/// Words that stand for what is wanted, in both languages. What they take behind them is a name, or a sentence.
const WORDS: [(&[&str], Make); 7] = [
    (&["show", "查看"], Wish::Show),
    (&["add", "new", "新建", "添加"], Wish::Add),
    (&["run", "运行", "立即运行"], Wish::Run),
    (&["pause", "暂停"], Wish::Pause),
    (&["resume", "恢复", "继续"], Wish::Resume),
    (&["history", "记录"], Wish::History),
    (&["delete", "remove", "删除"], Wish::Remove),
];

/// Reads what stands behind the command; nothing where that is none of the words.
pub fn parse(rest: &str) -> Option<Wish> {
    let rest = rest.trim();
    if rest.is_empty() || matches!(rest.to_lowercase().as_str(), "list" | "列表") {
        return Some(Wish::List);
    }
    let (word, behind) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
    let (word, behind) = (word.to_lowercase(), behind.trim());
    let (_, wish) = WORDS.iter().find(|(words, _)| words.contains(&word.as_str()))?;
    (!behind.is_empty()).then(|| wish(behind.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wishes() {
        for (rest, want) in [
            ("", Some(Wish::List)),
            ("列表", Some(Wish::List)),
            ("add every day at 9 x", Some(Wish::Add("every day at 9 x".to_owned()))),
            ("新建 每天 9 点 x", Some(Wish::Add("每天 9 点 x".to_owned()))),
            ("Pause nightly-digest", Some(Wish::Pause("nightly-digest".to_owned()))),
            ("删除 周报", Some(Wish::Remove("周报".to_owned()))),
            ("pause", None),
            ("nightly-digest", None),
        ] {
            assert_eq!(parse(rest), want, "{rest}");
        }
    }
}
