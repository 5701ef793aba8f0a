//! Looking through the words of a call. Options are found too often rather than not at all: what makes a call worse is
//! looked for with [`Args::has`] and [`Args::any`], what makes it harmless with [`Args::exactly`].

use crate::domain::risk::words::Word;

#[derive(Debug, Clone, Copy)]
pub(super) struct Args<'a>(pub &'a [Word]);

/// The options of a program that are known to do no harm, as far as they may stand before what is judged.
pub(super) struct Known {
    /// Those that stand alone.
    pub alone: &'static [&'static str],
    /// Those whose value is in the same word, or is the next.
    pub taking: &'static [&'static str],
}

/// Whether an option may mean `long`: most programs take any beginning of it (`--rec`).
fn may_mean(option: &str, long: &str) -> bool {
    let name = option.split('=').next().unwrap_or_default();
    match (name.strip_prefix("--"), long.strip_prefix("--")) {
        (Some(name), Some(long)) => !name.is_empty() && long.starts_with(name),
        _ => name == long,
    }
}

impl<'a> Args<'a> {
    /// Whether an option may be there: in a cluster (`-rf`), shortened (`--rec`), with a value. `short` `'\0'`: none.
    pub fn has(&self, short: char, long: &str) -> bool {
        self.options().any(|option| match option.starts_with("--") {
            true => !long.is_empty() && may_mean(option, &format!("--{}", long.trim_start_matches('-'))),
            false => short != '\0' && option[1..].contains(short),
        })
    }

    /// Whether one of these options may be there, shortened or with `=…` behind it; behind `--` as well, which may be
    /// the value of another option.
    pub fn any(&self, options: &[&str]) -> bool {
        self.0.iter().any(|arg| options.iter().any(|option| may_mean(&arg.text, option)))
    }

    /// Whether one of these options is there as it stands, is no value of another option, and nothing takes it back.
    pub fn exactly(&self, options: &[&str]) -> bool {
        // None of them takes a value.
        let alone =
            ["-q", "--quiet", "-v", "--verbose", "--global", "--local", "--system", "--index", "--cached", "-z"];
        let taken_back = self.options().any(|option| option.starts_with("--no"));
        let end = self.0.iter().position(|arg| arg.text == "--").unwrap_or(self.0.len());
        let stands = |at: usize| {
            at == 0 || !is_option(&self.0[at - 1]) || [&alone, options].concat().contains(&self.0[at - 1].text.as_str())
        };
        !taken_back && (0..end).any(|at| options.contains(&self.0[at].text.as_str()) && stands(at))
    }

    /// Whether `wanted` is one of the letters of an option that consists of these letters alone.
    pub fn lettered(&self, wanted: char, letters: &str) -> bool {
        self.options().filter(|option| !option.starts_with("--")).any(|option| {
            option[1..].contains(wanted) && option[1..].chars().all(|c| c == wanted || letters.contains(c))
        })
    }

    pub fn options(&self) -> impl Iterator<Item = &'a str> {
        // Behind an option, `--` may be its value.
        let is_end = |at: usize| self.0[at].text == "--" && (at == 0 || !is_option(&self.0[at - 1]));
        let end = (0..self.0.len()).find(|at| is_end(*at)).unwrap_or(self.0.len());
        self.0[..end].iter().filter(|arg| is_option(arg)).map(|arg| arg.text.as_str())
    }

    /// What is no option. Values of options that stand by themselves are among them.
    pub fn positionals(&self) -> Vec<&'a Word> {
        let end = self.0.iter().position(|arg| arg.text == "--").unwrap_or(self.0.len());
        let before = self.0[..end].iter().filter(|arg| !is_option(arg));
        before.chain(self.0.iter().skip(end + 1)).collect()
    }

    /// All that may be a path: what is no option, and what hangs on options (`-f/x`, `--file=x`).
    pub fn paths(&self) -> Vec<Word> {
        let mut found: Vec<Word> = self.positionals().into_iter().cloned().collect();
        for option in self.0.iter().filter(|arg| is_option(arg)) {
            let text = option.text.as_str();
            let value = text.split_once('=').map(|(_, value)| value);
            let attached = text.char_indices().nth(2).map(|(at, _)| &text[at..]);
            let attached = if text.starts_with("--") { None } else { attached };
            // Letters of a cluster are no path; what looks like one is.
            let attached = attached.filter(|text| text.contains(['/', '.', '~']));
            found.extend(value.into_iter().chain(attached).map(|value| part(option, value)));
        }
        found
    }

    /// The values of an option: `-o x`, `-ox`, `--out x`, `--out=x`, `--ou x`.
    pub fn values(&self, short: &str, long: &str) -> Vec<Word> {
        let mut found = Vec::new();
        for (at, arg) in self.0.iter().enumerate() {
            let text = arg.text.as_str();
            let next = || self.0.get(at + 1).cloned().unwrap_or_else(Word::unknown);
            if !long.is_empty() && may_mean(text, long) {
                found.push(text.split_once('=').map_or_else(next, |(_, value)| part(arg, value)));
            } else if let Some(rest) = text.strip_prefix('-').filter(|rest| !short.is_empty() && !rest.starts_with('-'))
                && let Some(at) = rest.find(short)
            {
                match &rest[at + short.len()..] {
                    "" => found.push(next()),
                    value => found.push(part(arg, value)),
                }
            }
        }
        found
    }

    /// The plain words when every option is known, with their places.
    fn places(&self, known: &Known) -> impl Iterator<Item = Option<usize>> {
        let mut skip = false;
        let mut plain = false;
        let judged = self.0.iter().enumerate().filter_map(move |(at, arg)| {
            let text = arg.text.as_str();
            if std::mem::take(&mut skip) {
                return None;
            }
            if plain || !is_option(arg) {
                return Some(Some(at));
            }
            let name = text.split('=').next().unwrap_or_default();
            let attached = |option: &&str| {
                !option.starts_with("--") && option.len() == 2 && text.len() > 2 && text.starts_with(*option)
            };
            match text {
                "--" => plain = true,
                _ if known.alone.contains(&text) => {}
                _ if known.taking.contains(&text) => skip = true,
                _ if text.contains('=') && known.taking.contains(&name) => {}
                _ if known.taking.iter().any(attached) && !text.starts_with("--") => {}
                _ => return Some(None),
            }
            None
        });
        judged.collect::<Vec<_>>().into_iter()
    }

    /// Where the first plain word is, `None` if there is none, or an option before it that is not known.
    pub fn subcommand(&self, known: &Known) -> Option<usize> {
        self.places(known).next().flatten()
    }

    /// All plain words, `None` if there is an option that is not known.
    pub fn plain(&self, known: &Known) -> Option<Vec<Word>> {
        self.places(known).map(|at| at.map(|at| self.0[at].clone())).collect()
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

fn is_option(arg: &Word) -> bool {
    arg.text.len() > 1 && arg.text.starts_with('-')
}

/// A part of a word: as little known as the whole.
fn part(word: &Word, text: &str) -> Word {
    Word { text: text.to_owned(), ..word.clone() }
}
