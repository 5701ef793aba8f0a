//! Keeps the assistant's directory as it was after each task in it: commits to a repository of ally's own, beside it. Nobody's
//! project is ever touched, and no setting, hook or credential of the person's git is used.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::Context;
use tokio::process::Command;

/// Longest wait for git.
const PATIENCE: Duration = Duration::from_secs(60);

/// Commits what has changed in `folder`, if anything.
///
/// # Errors
/// What git says, also where there is none.
pub async fn save(repository: &Path, folder: &Path) -> anyhow::Result<()> {
    if !repository.join("HEAD").exists() {
        std::fs::create_dir_all(repository)?;
        git(repository, folder, &["init", "--quiet"]).await?;
    }
    git(repository, folder, &["add", "--all", "."]).await?;
    // 1: there is something to commit.
    if git(repository, folder, &["diff", "--cached", "--quiet"]).await? == 0 {
        return Ok(());
    }
    let said = git(repository, folder, &["commit", "--quiet", "--no-verify", "--message", "after a task"]).await?;
    anyhow::ensure!(said == 0, "git commit ended with {said}");
    Ok(())
}

/// Gives the exit code where that is 0 or 1.
async fn git(repository: &Path, folder: &Path, args: &[&str]) -> anyhow::Result<i32> {
    let own = [
        "core.hooksPath=/dev/null",
        "core.fsmonitor=false",
        "core.autocrlf=false",
        "commit.gpgSign=false",
        "user.name=ally",
        "user.email=ally@localhost",
        "init.defaultBranch=main",
        "advice.addEmbeddedRepo=false",
    ];
    let mut command = Command::new("git");
    command.arg("--git-dir").arg(repository).arg("--work-tree").arg(folder);
    for setting in own {
        command.args(["-c", setting]);
    }
    command
        .args(args)
        .current_dir(folder)
        .env_remove("GIT_DIR")
        .env_remove("GIT_INDEX_FILE")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_TERMINAL_PROMPT", "0")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    let ended = tokio::time::timeout(PATIENCE, command.output()).await.context("git does not end")?;
    let ended = ended.context("git cannot be run")?;
    match ended.status.code() {
        Some(code @ (0 | 1)) => Ok(code),
        _ => anyhow::bail!(
            "git {} ended with {}: {}",
            args[0],
            ended.status,
            String::from_utf8_lossy(&ended.stderr).trim()
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn each_state_is_kept_and_nothing_of_ours_lies_in_the_folder() {
        let dir = tempfile::tempdir().expect("a folder");
        let (repository, folder) = (dir.path().join("assistant.git"), dir.path().join("assistant"));
        std::fs::create_dir(&folder).expect("made");
        std::fs::write(folder.join("MEMORY.md"), "one\n").expect("written");
        save(&repository, &folder).await.expect("saved");
        save(&repository, &folder).await.expect("nothing to save");
        std::fs::write(folder.join("MEMORY.md"), "two\n").expect("written");
        save(&repository, &folder).await.expect("saved");
        let count = std::process::Command::new("git")
            .arg("--git-dir")
            .arg(&repository)
            .args(["rev-list", "--count", "HEAD"])
            .output()
            .expect("git");
        assert_eq!(String::from_utf8_lossy(&count.stdout).trim(), "2");
        assert_eq!(std::fs::read_dir(&folder).expect("a folder").count(), 1);
    }
}
