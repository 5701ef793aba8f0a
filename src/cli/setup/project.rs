//! The project in which the agent works, and what it may do there: tried, not read from a file.

use std::path::{Path, PathBuf};

use anstyle::AnsiColor;

use super::Setup;
use super::ask::{Stop, or_leave};
use crate::app;
use crate::cli::doctor::{security, with_progress};
use crate::cli::error::{CliError, Code};
use crate::cli::output::{self, dim, paint};
use crate::config::{Change, Config, Directory, Setting, Unfit, expand, private_folder, unfit_directory};
use crate::domain::safety::{Outcome, Tried};

/// Repositories that are listed.
const LISTED: usize = 8;
/// Folders that are looked into for them.
const LOOKED: usize = 2_000;

impl Setup<'_> {
    /// There is a project, or it was said that there is none.
    pub(super) async fn project(&mut self) -> Result<(), Stop> {
        if let Some(given) = &self.args.project {
            let path = std::path::absolute(given).map_err(CliError::from)?;
            let path = self
                .fit(&path)
                .map_err(|why| CliError::new(why).hint("写一个项目的文件夹", "name the folder of one project"))?;
            return self.choose_project(&path);
        }
        if let Directory::Fixed(path) = &self.config()?.conversation.directory {
            let shown = path.display();
            self.done(&format!("项目目录 {shown}"), &format!("project {shown}"));
            return Ok(());
        }
        if self.kept.no_project || !self.ask.is_person() {
            return self.no_project();
        }
        let here = std::env::current_dir().unwrap_or_default();
        let home = self.context.environment.home().map(Path::to_owned).unwrap_or_default();
        let found = repositories(&here, &home, &self.paths.home);
        output::note(&self.say("项目目录，agent 在里面工作：", "The project in which the agent works:"));
        for (at, path) in found.iter().enumerate() {
            output::note(&format!("  {} {}", at + 1, shown(path, &home)));
        }
        output::note(&format!(
            "  0 {}",
            self.say("先不定：每个聊天一个空目录", "none yet: each chat has an empty folder of its own")
        ));
        let default = usize::from(!found.is_empty());
        loop {
            let question =
                self.say(&format!("数字，或一个路径 [{default}]:"), &format!("a number, or a path [{default}]:"));
            let typed = self.ask.line(&question).await?;
            let number = if typed.is_empty() { Some(default) } else { typed.parse::<usize>().ok() };
            let path = match number {
                Some(0) => return self.no_project(),
                Some(n) if n <= found.len() => found[n - 1].clone(),
                Some(_) => {
                    output::note(&self.say("没有这一项", "there is no such line"));
                    continue;
                }
                None => here.join(expand(&typed, &home)),
            };
            match self.fit(&path) {
                Ok(path) => return self.choose_project(&path),
                Err(why) => self.wrong(&why),
            }
        }
    }

    fn choose_project(&mut self, path: &Path) -> Result<(), Stop> {
        let text = path.display().to_string();
        let is_there = matches!(&self.config()?.conversation.directory, Directory::Fixed(known) if known == path);
        if !is_there {
            self.change(&[(Setting::Directory, Change::Text(text.clone()))])?;
        }
        self.done(&format!("项目目录 {text}"), &format!("project {text}"));
        Ok(())
    }

    fn no_project(&mut self) -> Result<(), Stop> {
        self.kept.no_project = true;
        self.keep()?;
        self.done(
            "每个聊天一个自己的目录；以后用 `/project` 换",
            "each chat has a folder of its own; `/project` changes it later",
        );
        Ok(())
    }

    /// The folder itself, where the configuration takes it; else why not.
    fn fit(&self, path: &Path) -> Result<PathBuf, String> {
        let home = self.context.environment.home().unwrap_or(&self.paths.home);
        let told = path.display();
        match unfit_directory(path, home, &self.paths.home) {
            None => Ok(path.canonicalize().unwrap_or_else(|_| path.to_owned())),
            Some(Unfit::Unreadable(why)) => {
                Err(self.say(&format!("{told} 打不开：{why}"), &format!("{told} cannot be read: {why}")))
            }
            Some(Unfit::TooWide) => Err(self.say(
                &format!("{told} 太宽：你的整个主目录或 ally 自己的数据在里面"),
                &format!("{told} is too wide: your whole home or ally's own data lies in it"),
            )),
        }
    }

    /// Where tasks work; of chats with folders of their own one beside them.
    pub(super) fn directory(&self, config: &Config) -> Result<PathBuf, Stop> {
        match &config.conversation.directory {
            Directory::Fixed(path) => Ok(path.clone()),
            Directory::OwnBelow(folder) => {
                let own = folder.join("setup");
                private_folder(&own).map_err(CliError::from)?;
                Ok(own)
            }
        }
    }

    /// What commands may do was tried on this machine, and somebody accepts it.
    pub(super) async fn posture(&mut self) -> Result<(), Stop> {
        let config = self.config()?;
        let directory = self.directory(&config)?;
        let warnings = config.safety_warnings();
        let mark = format!("{}{}", self.runtime_mark(&config, &directory).await, warnings.join(""));
        if self.kept.accepted.as_ref() == Some(&mark) {
            return Ok(());
        }
        let what = self.say("正在试沙箱", "trying the sandbox");
        let (runtime, tried) = with_progress(what, app::try_security(&config)).await;
        for line in security::lines(&self.context, runtime, &tried) {
            output::note(&line);
        }
        for warning in warnings {
            output::note(&paint(AnsiColor::Red, &format!("! {warning}")));
        }
        let any = |which: fn(&Outcome) -> bool| tried.iter().any(|tried: &Tried| which(&tried.outcome));
        let is_broken = any(|outcome| matches!(outcome, Outcome::NotHeld { .. }));
        let holds = !tried.is_empty() && !any(|outcome| *outcome != Outcome::Held);
        if holds {
            let dir = match &config.conversation.directory {
                Directory::Fixed(path) => path.display().to_string(),
                Directory::OwnBelow(_) => self.say("聊天自己的目录", "the chat's own folder"),
            };
            output::note(&self.say(
                &format!("Codex 可以读：{dir}、工具链。可以改：{dir}。读不到：密钥文件、其他项目、ally 自己的数据。没有网络，除非你同意。"),
                &format!("Codex can read: {dir}, toolchain. Can change: {dir}. Cannot read: secret files, other projects, ally's own data. No network unless you agree."),
            ));
            let enter = self.say("按回车接受", "Enter to accept");
            self.ask.line(&or_leave(&self.context, &enter)).await?;
        } else {
            self.accept_without(is_broken).await?;
        }
        if !self.ask.is_person() {
            return Ok(());
        }
        self.kept.accepted = Some(mark);
        self.keep()
    }

    /// What does not hold, or cannot be told, nobody accepts by Enter.
    async fn accept_without(&mut self, is_broken: bool) -> Result<(), Stop> {
        if !self.ask.is_person() {
            if is_broken {
                return Err(CliError::new("the sandbox does not keep what it promises").code(Code::Exposed).hint(
                    "`ally doctor security` 说明是哪些；要照样用，在终端里运行 `ally setup`",
                    "`ally doctor security` tells what got through; to use it all the same, run `ally setup` in a terminal",
                ).into());
            }
            return Ok(());
        }
        output::note(&paint(
            AnsiColor::Yellow,
            &self.say(
                "上面没有打勾的，Codex 都能以你的身份做，谁让它做都一样",
                "nothing holds back what has no tick above: Codex does it as you, whoever asks",
            ),
        ));
        loop {
            let question = self.say("照样用就输入 yes", "type yes to use it all the same");
            let typed = self.ask.line(&or_leave(&self.context, &question)).await?;
            if typed.eq_ignore_ascii_case("yes") {
                return Ok(());
            }
            output::note(&dim(&self.say("没有输入 yes，也可以 q 离开", "that was not yes; q leaves")));
        }
    }
}

/// A path with `~` for the person's home.
fn shown(path: &Path, home: &Path) -> String {
    match path.strip_prefix(home) {
        Ok(below) if !home.as_os_str().is_empty() => format!("~/{}", below.display()),
        _ => path.display().to_string(),
    }
}

/// Git repositories nearby: the one that this folder lies in, then those in it and in the person's home, the ones first in
/// which something was done last.
fn repositories(here: &Path, home: &Path, own: &Path) -> Vec<PathBuf> {
    let is_repository = |path: &Path| path.join(".git").exists();
    let fits = |path: &PathBuf| unfit_directory(path, home, own).is_none() && !path.starts_with(own);
    let around = here.ancestors().find(|path| is_repository(path)).map(Path::to_owned);
    let mut looked = 0;
    let mut below = Vec::new();
    for root in [here, home] {
        // Folders in it, and folders in those.
        let first = folders(root, &mut looked);
        for folder in first {
            if is_repository(&folder) {
                below.push(folder);
            } else {
                below.extend(folders(&folder, &mut looked).into_iter().filter(|path| is_repository(path)));
            }
        }
    }
    let touched = |path: &PathBuf| {
        let index = std::fs::metadata(path.join(".git/index")).or_else(|_| std::fs::metadata(path.join(".git")));
        index.and_then(|found| found.modified()).ok()
    };
    below.sort_by_key(|path| std::cmp::Reverse(touched(path)));
    let mut found: Vec<PathBuf> = Vec::new();
    for path in around.into_iter().chain(below) {
        if found.len() < LISTED && fits(&path) && !found.contains(&path) {
            found.push(path);
        }
    }
    found
}

fn folders(path: &Path, looked: &mut usize) -> Vec<PathBuf> {
    if path.as_os_str().is_empty() || *looked >= LOOKED {
        return Vec::new();
    }
    let Ok(entries) = std::fs::read_dir(path) else { return Vec::new() };
    let mut found = Vec::new();
    for entry in entries.flatten().take(LOOKED - *looked) {
        *looked += 1;
        let is_hidden = entry.file_name().as_encoded_bytes().starts_with(b".");
        // A link may lead anywhere.
        if !is_hidden && entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            found.push(entry.path());
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repositories_nearby_are_found_and_nothing_too_wide() {
        let temp = tempfile::tempdir().unwrap();
        let home = temp.path().canonicalize().unwrap();
        for folder in ["code/web/.git", "code/web/src", "shop/.git", "ally/.git", ".hidden/.git", "plain", ".git"] {
            std::fs::create_dir_all(home.join(folder)).unwrap();
        }
        let own = home.join("ally");
        let found = |here: &str| {
            let mut found = repositories(&home.join(here), &home, &own);
            let first = found.first().cloned();
            found.sort();
            let names: Vec<String> = found.iter().map(|path| shown(path, &home)).collect();
            (first, names)
        };
        let (first, names) = found("code/web/src");
        assert_eq!(first, Some(home.join("code/web")), "the one around comes first");
        assert_eq!(names, ["~/code/web", "~/shop"], "neither the whole home nor ally's own nor what is hidden");
        assert_eq!(found("plain").1, ["~/code/web", "~/shop"]);
    }
}
