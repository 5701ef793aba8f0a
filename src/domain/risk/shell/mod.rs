//! Walks a parsed command line and collects what each of its commands does.
//!
//! Twice: the first walk learns which variables and functions the line makes, so that the second knows all their values,
//! whatever the order in which the line runs.

mod compound;
mod redirect;
mod text;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use brush_parser::ast::*;

use super::words::{self, Scope, Word};
use super::{Class, Part, Place, paths, programs};
pub(super) use redirect::Stdin;
pub(super) use text::program_name;
use text::{names_in, parse};

/// A script in a script in a script…
const MAX_DEPTH: usize = 6;
/// Commands of a line, those of its scripts included.
const MAX_COMMANDS: usize = 400;
/// Values tried for the variables of one command.
const MAX_CHOICES: usize = 32;

pub(super) struct Judge<'a> {
    pub place: &'a Place<'a>,
    /// Where the command may be run. An empty path: anywhere.
    pub dirs: Vec<PathBuf>,
    parts: Vec<Part>,
    /// `None`: set to something that is not known.
    vars: BTreeMap<String, Option<Vec<Word>>>,
    /// Those that were set on the way to here: before that, they are what the environment says.
    set: BTreeSet<String>,
    functions: BTreeSet<String>,
    /// Variables that may hold something else than a number.
    texts: BTreeSet<String>,
    /// The functions whose bodies are being walked.
    defining: Vec<String>,
    /// What a command reads from that is the first of its pipe.
    around: Stdin,
    /// The value of each variable while one choice of them is judged.
    chosen: BTreeMap<String, Word>,
    /// The worst of what is inside of the words that are being expanded.
    inner: Class,
    moves: bool,
    /// In a loop or a function: what changes the directory may do so again.
    repeats: usize,
    depth: usize,
    commands: usize,
    learning: bool,
}

impl<'a> Judge<'a> {
    pub fn new(place: &'a Place<'a>) -> Self {
        Self {
            place,
            dirs: vec![paths::resolve("", place.directory)],
            parts: Vec::new(),
            vars: BTreeMap::new(),
            set: BTreeSet::new(),
            functions: BTreeSet::new(),
            texts: BTreeSet::new(),
            defining: Vec::new(),
            around: Stdin::default(),
            chosen: BTreeMap::new(),
            inner: Class::Read,
            moves: false,
            repeats: 0,
            depth: 0,
            commands: 0,
            learning: true,
        }
    }

    /// The parts of a line, `None` if it does not parse.
    pub fn line(mut self, line: &str) -> Option<Vec<Part>> {
        let program = parse(line)?;
        self.program(&program);
        let start = self.dirs.first().cloned();
        self.parts.clear();
        self.dirs = vec![start.unwrap_or_else(|| paths::resolve("", self.place.directory))];
        (self.commands, self.learning) = (0, false);
        self.set.clear();
        self.program(&program);
        (!self.parts.is_empty()).then_some(self.parts)
    }

    /// A script inside of the line, as in `sh -c`.
    pub fn script(&mut self, text: &str) {
        if self.depth >= MAX_DEPTH || self.commands > MAX_COMMANDS {
            return self.note(Class::Unknown, text);
        }
        if text.trim().is_empty() {
            return;
        }
        match parse(text) {
            Some(program) => {
                self.depth += 1;
                self.program(&program);
                self.depth -= 1;
            }
            None => self.note(Class::Unknown, text),
        }
    }

    pub fn note(&mut self, class: Class, words: &str) {
        self.parts.push(Part { class, words: words.to_owned() });
    }

    /// Judges a command given as words.
    pub fn words(&mut self, argv: &[Word], stdin: &Stdin) -> Class {
        self.commands += 1;
        if self.commands > MAX_COMMANDS || self.depth >= MAX_DEPTH {
            return Class::Unknown;
        }
        let Some((name, args)) = argv.split_first() else { return Class::Read };
        if name.dynamic || (name.glob && name.text != "[") || name.text.is_empty() {
            return Class::Unknown;
        }
        // It calls itself, and nobody knows how often.
        if self.defining.contains(&name.text) {
            return Class::Unknown;
        }
        self.depth += 1;
        let known = self.functions.contains(&name.text);
        let class = programs::judge(self, &name.text, args, stdin, known);
        self.depth -= 1;
        class
    }

    /// The shell goes to another directory, or stays if that fails.
    pub fn enter(&mut self, word: &Word) {
        self.moves = true;
        if word.dynamic || word.glob {
            return self.lose_directory();
        }
        let from = self.dirs.clone();
        for dir in &from {
            let climbs =
                word.text.contains("..") || (!dir.as_os_str().is_empty() && !paths::is_inside(dir, self.place));
            match Path::new(&word.text).is_absolute() {
                // Nobody knows from where, or how often.
                false if dir.as_os_str().is_empty() || (self.repeats > 0 && climbs) => self.lose_directory(),
                _ => self.may_be_in(paths::resolve(&word.text, dir)),
            }
        }
    }

    /// From here on the command may be anywhere as well.
    pub fn lose_directory(&mut self) {
        self.may_be_in(PathBuf::new());
    }

    fn may_be_in(&mut self, dir: PathBuf) {
        let dir = if self.dirs.len() > 16 { PathBuf::new() } else { dir };
        if !self.dirs.contains(&dir) {
            self.dirs.push(dir);
        }
    }

    /// Runs `judge` as if in other directories.
    pub fn within<T>(&mut self, dir: &Word, judge: impl FnOnce(&mut Self) -> T) -> T {
        let before = self.dirs.clone();
        let known = !dir.dynamic && !dir.glob;
        let to = |from: &PathBuf| match known && (!from.as_os_str().is_empty() || dir.text.starts_with('/')) {
            true => paths::resolve(&dir.text, from),
            false => PathBuf::new(),
        };
        self.dirs = before.iter().map(to).collect();
        let result = judge(self);
        self.dirs = before;
        result
    }

    /// A variable gets a value; all values that it may have are kept.
    pub fn assign(&mut self, name: &str, value: Option<Word>) {
        let number = |word: &Word| !word.dynamic && word.text.bytes().all(|b| b.is_ascii_digit());
        if !value.as_ref().is_some_and(number) {
            self.texts.insert(name.to_owned());
        }
        self.keep(name, value);
    }

    fn keep(&mut self, name: &str, value: Option<Word>) {
        self.set.insert(name.to_owned());
        if !self.learning {
            return;
        }
        let known = self.vars.entry(name.to_owned()).or_insert_with(|| Some(Vec::new()));
        match (known, value) {
            (Some(values), Some(value)) if !value.dynamic && values.len() < MAX_CHOICES => {
                if !values.contains(&value) {
                    values.push(value);
                }
            }
            (known, _) => *known = None,
        }
    }

    fn program(&mut self, program: &Program) {
        for list in &program.complete_commands {
            self.list(list);
        }
    }

    fn list(&mut self, list: &CompoundList) {
        for CompoundListItem(and_or, _) in &list.0 {
            self.pipeline(&and_or.first);
            for next in &and_or.additional {
                match next {
                    AndOr::And(pipeline) | AndOr::Or(pipeline) => self.pipeline(pipeline),
                }
            }
        }
    }

    fn pipeline(&mut self, pipeline: &Pipeline) {
        let mut stdin = self.around.clone();
        for command in &pipeline.seq {
            let names = self.command(command, &stdin);
            stdin = Stdin { text: None, names, given: true };
        }
    }

    /// Judges one command; the result stands for the names of files that it prints, if that is all it prints.
    fn command(&mut self, command: &Command, stdin: &Stdin) -> Option<&'static str> {
        match command {
            Command::Simple(simple) => return self.simple(simple, stdin),
            Command::Compound(compound, redirects) => {
                let stdin = self.redirects(redirects.as_ref(), stdin);
                self.compound(compound, &stdin);
            }
            Command::Function(function) => {
                self.functions.insert(function.fname.value.clone());
                // Called from wherever the line has gone.
                if self.moves {
                    self.lose_directory();
                }
                self.repeats += 1;
                self.defining.push(function.fname.value.clone());
                // Called with whatever the line connects it to.
                self.redirects(function.body.1.as_ref(), stdin);
                self.compound(&function.body.0, &Stdin::unknown());
                self.defining.pop();
                self.repeats -= 1;
            }
            Command::ExtendedTest(test, redirects) => {
                self.redirects(redirects.as_ref(), stdin);
                let class = self.test(&test.expr);
                self.note(class, "[[ ]]");
            }
        }
        None
    }

    /// What the commands within this one read from, until what is returned is put back: each of them takes a part, and
    /// nobody knows what is left for the next.
    fn connect(&mut self, stdin: &Stdin) -> Stdin {
        let within = if stdin.given { Stdin::unknown() } else { self.around.clone() };
        std::mem::replace(&mut self.around, within)
    }

    fn simple(&mut self, simple: &SimpleCommand, stdin: &Stdin) -> Option<&'static str> {
        use CommandPrefixOrSuffixItem::*;
        let mut stdin = stdin.clone();
        let prefix = simple.prefix.iter().flat_map(|items| &items.0);
        let suffix = simple.suffix.iter().flat_map(|items| &items.0);
        let mut class = Class::Read;
        let mut raw: Vec<&str> = Vec::new();
        let set = self.set.clone();
        for item in prefix {
            match item {
                AssignmentWord(assignment, _) => class = class.max(self.assignment(assignment)),
                IoRedirect(redirect) => self.redirect(redirect, &mut stdin),
                Word(word) => raw.push(&word.value),
                ProcessSubstitution(_, shell) => self.list(&shell.list),
            }
        }
        // In front of a command they count for that command alone, and not yet for its words.
        if simple.word_or_name.is_some() {
            self.set = set;
        }
        raw.extend(simple.word_or_name.as_ref().map(|word| word.value.as_str()));
        let mut piped = Vec::new();
        for item in suffix {
            match item {
                // `declare x=1` and the like, and what only looks like it: `dd of=x`.
                AssignmentWord(assignment, word) => {
                    if raw.first().is_some_and(|name| programs::DECLARES.contains(name)) {
                        class = class.max(self.assignment(assignment));
                    }
                    raw.push(&word.value);
                }
                IoRedirect(redirect) => self.redirect(redirect, &mut stdin),
                Word(word) => raw.push(&word.value),
                ProcessSubstitution(_, shell) => {
                    self.list(&shell.list);
                    piped.push(raw.len());
                }
            }
        }
        let mut names = None;
        let mut shown = raw.join(" ");
        let around = self.connect(&stdin);
        for choice in self.choices(raw.iter().copied()) {
            self.chosen = choice;
            let mut argv: Vec<words::Word> = Vec::new();
            for (at, raw) in raw.iter().enumerate() {
                // A pipe whose content nobody knows, but that is no file of ours.
                argv.extend(piped.iter().filter(|pipe| **pipe == at).map(|_| words::Word::fixed("/dev/fd/0")));
                argv.extend(self.expand(raw));
            }
            argv.extend(piped.iter().filter(|pipe| **pipe >= raw.len()).map(|_| words::Word::fixed("/dev/fd/0")));
            self.chosen.clear();
            class = class.max(self.take_inner());
            if !piped.is_empty() && argv.first().is_some_and(|name| !programs::reads_only(&name.text)) {
                class = class.max(Class::Unknown);
            }
            class = class.max(self.words(&argv, &stdin));
            names = programs::prints_names(&argv, &stdin).filter(|_| class <= Class::Read);
        }
        self.around = around;
        if shown.is_empty() {
            shown = simple.to_string();
        }
        self.note(class, &shown);
        names
    }

    fn assignment(&mut self, assignment: &Assignment) -> Class {
        let AssignmentName::VariableName(name) = &assignment.name else { return Class::Unknown };
        let value = match &assignment.value {
            AssignmentValue::Scalar(word) if !assignment.append => Some(words::expand_value(&word.value, self)),
            AssignmentValue::Scalar(word) => {
                words::expand_one(&word.value, self);
                None
            }
            AssignmentValue::Array(items) => {
                for (index, item) in items {
                    if index.is_some() {
                        return Class::Unknown;
                    }
                    self.expand(&item.value);
                }
                None
            }
        };
        let class = programs::assignment(name, value.as_ref(), self);
        self.assign(name, value);
        class.max(self.take_inner())
    }

    pub fn expand(&mut self, raw: &str) -> Vec<Word> {
        words::expand(raw, self)
    }

    fn take_inner(&mut self) -> Class {
        std::mem::replace(&mut self.inner, Class::Read)
    }

    /// All combinations of values of the variables that the words name.
    fn choices<'w>(&self, raw: impl Iterator<Item = &'w str>) -> Vec<BTreeMap<String, Word>> {
        let names: BTreeSet<&str> = raw.flat_map(names_in).collect();
        let mut all = vec![BTreeMap::new()];
        for name in names {
            let Some(Some(values)) = self.vars.get(name).filter(|_| self.set.contains(name)) else { continue };
            if all.len() * values.len() > MAX_CHOICES {
                return vec![BTreeMap::new()];
            }
            all = values
                .iter()
                .flat_map(|value| {
                    all.iter().map(|choice| {
                        let mut choice = choice.clone();
                        choice.insert(name.to_owned(), value.clone());
                        choice
                    })
                })
                .collect();
        }
        all
    }
}

impl Scope for Judge<'_> {
    fn variable(&mut self, name: &str) -> Option<Word> {
        if let Some(values) = self.vars.get(name).filter(|_| self.set.contains(name)) {
            let single = values.as_ref().filter(|values| values.len() == 1).map(|values| values[0].clone());
            return self.chosen.get(name).cloned().or(single);
        }
        match name {
            "HOME" => Some(Word::fixed(self.home())),
            "PWD" => match self.dirs.as_slice() {
                [dir] if !dir.as_os_str().is_empty() => Some(Word::fixed(dir.display().to_string())),
                _ => None,
            },
            "TMPDIR" => self.place.temp.map(|temp| Word::fixed(temp.display().to_string())),
            _ => {
                self.inner = self.inner.max(programs::environment(name));
                None
            }
        }
    }

    fn home(&self) -> String {
        self.place.home.display().to_string()
    }

    fn script(&mut self, text: &str) {
        Judge::script(self, text);
    }

    fn opaque(&mut self) {
        self.inner = self.inner.max(Class::Unknown);
    }

    fn assigns(&mut self, name: &str) {
        self.inner = self.inner.max(programs::variable(name));
        self.assign(name, None);
    }

    fn counts(&mut self, name: &str) {
        if self.texts.contains(name) {
            self.opaque();
        }
        self.inner = self.inner.max(programs::variable(name));
        // What the line does not set itself keeps its unknown value.
        let known = self.vars.get(name).is_some_and(Option::is_some);
        self.keep(name, known.then(|| Word::fixed(words::NUMBER)));
    }
}
