//! Looking through the words of a call. Options are found too often rather than not at all.

use crate::domain::risk::words::Word;

#[derive(Debug, Clone, Copy)]
pub(super) struct Args<'a>(pub &'a [Word]);

impl<'a> Args<'a> {
    /// Whether an option is there, in a cluster (`-rf`), shortened (`--rec`) or with a value. `short` `'\0'`: none.
    pub fn has(&self, short: char, long: &str) -> bool {
        self.options().any(|option| match option.strip_prefix("--") {
            Some(name) => {
                let name = name.split('=').next().unwrap_or_default();
                !long.is_empty() && !name.is_empty() && long.trim_start_matches('-').starts_with(name)
            }
            None => short != '\0' && option[1..].contains(short),
        })
    }

    /// Whether one of these words is there as it stands, or with `=…` behind it.
    pub fn any(&self, words: &[&str]) -> bool {
        self.0.iter().any(|arg| words.iter().any(|word| arg.text.split('=').next() == Some(word)))
    }

    pub fn options(&self) -> impl Iterator<Item = &'a str> {
        let words = self.0.iter().take_while(|arg| arg.text != "--");
        words.map(|arg| arg.text.as_str()).filter(|text| text.len() > 1 && text.starts_with('-'))
    }

    /// What is no option. Values of options that stand by themselves are among them.
    pub fn positionals(&self) -> Vec<&'a Word> {
        let end = self.0.iter().position(|arg| arg.text == "--").unwrap_or(self.0.len());
        let is_option = |arg: &Word| arg.text.len() > 1 && arg.text.starts_with('-');
        let before = self.0[..end].iter().filter(|arg| !is_option(arg));
        before.chain(self.0.iter().skip(end + 1)).collect()
    }

    /// All that may be a path: what is no option, and what hangs on options (`-f/x`, `--file=x`).
    pub fn paths(&self) -> Vec<Word> {
        let mut found: Vec<Word> = self.positionals().into_iter().cloned().collect();
        for option in self.options() {
            let value = option.split_once('=').map(|(_, value)| value);
            let attached = option.char_indices().nth(2).map(|(at, _)| &option[at..]);
            let attached = if option.starts_with("--") { None } else { attached };
            // Letters of a cluster are no path; what looks like one is.
            let attached = attached.filter(|text| text.contains(['/', '.', '~']));
            found.extend(value.into_iter().chain(attached).map(Word::fixed));
        }
        found
    }

    /// The values of an option: `-o x`, `-ox`, `--out x`, `--out=x`.
    pub fn values(&self, short: &str, long: &str) -> Vec<Word> {
        let mut found = Vec::new();
        for (at, arg) in self.0.iter().enumerate() {
            let text = arg.text.as_str();
            let next = || self.0.get(at + 1).cloned().unwrap_or_else(Word::unknown);
            if text.starts_with("--") {
                if !long.is_empty() && text == long {
                    found.push(next());
                } else if let Some((_, value)) =
                    text.split_once('=').filter(|(name, _)| !long.is_empty() && *name == long)
                {
                    found.push(Word::fixed(value));
                }
            } else if let Some(rest) = text.strip_prefix('-').filter(|_| !short.is_empty())
                && let Some(at) = rest.find(short)
            {
                match &rest[at + short.len()..] {
                    "" => found.push(next()),
                    value => found.push(Word::fixed(value)),
                }
            }
        }
        found
    }

    pub fn first(&self) -> &'a str {
        self.0.first().map_or("", |arg| arg.text.as_str())
    }

    /// A pattern at the start of a word may come to a name that is read as an option.
    pub fn may_be_options(&self) -> bool {
        self.0.iter().any(|arg| arg.glob && arg.text.starts_with(['*', '?', '[']))
    }

    pub fn rest(&self, from: usize) -> Args<'a> {
        Args(self.0.get(from..).unwrap_or_default())
    }
}
