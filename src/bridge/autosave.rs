//! Keeps the assistant's directory as it was after each task in it: commits to a repository of ally's own, beside it. Nobody's
//! project is ever touched, and no setting, hook or credential of the person's git is used.

use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::Context;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

/// Longest wait for git.
const PATIENCE: Duration = Duration::from_secs(60);

/// Larger files are left out: what they hold is no memory.
const LARGEST: u64 = 10 << 20;
/// More files than a directory of notes has.
const MOST: usize = 20_000;

/// Commits what has changed in `folder`, if anything. git never looks into the folder itself: an agent writes there, and what
/// git finds in a repository inside (filters, hooks) it would run.
///
/// # Errors
/// What git says, also where there is none.
pub async fn save(repository: &Path, folder: &Path) -> anyhow::Result<()> {
    if !repository.join("HEAD").exists() {
        std::fs::create_dir_all(repository)?;
        git(repository, &["init", "--quiet", "--bare"], b"").await?;
    }
    // Nobody else writes there: it was left by one that was killed.
    match std::fs::remove_file(repository.join("index.lock")) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
        _ => {}
    }
    let found = files(folder)?;
    let paths: Vec<u8> = found.iter().flat_map(|(path, _)| [path.as_os_str().as_bytes(), b"\n"].concat()).collect();
    let hashes = git(repository, &["hash-object", "-w", "--no-filters", "--stdin-paths"], &paths).await?;
    let hashes: Vec<&str> = hashes.lines().collect();
    anyhow::ensure!(hashes.len() == found.len(), "git hashed {} of {} files", hashes.len(), found.len());
    let mut index = Vec::new();
    for ((_, name), hash) in found.iter().zip(hashes) {
        index.extend_from_slice(format!("100644 {hash}\t").as_bytes());
        index.extend_from_slice(name);
        index.push(b'\n');
    }
    git(repository, &["read-tree", "--empty"], b"").await?;
    git(repository, &["update-index", "--index-info"], &index).await?;
    let tree = git(repository, &["write-tree"], b"").await?;
    let former = git(repository, &["rev-parse", "--quiet", "--verify", "HEAD^{commit}"], b"").await.unwrap_or_default();
    let mut commit = vec!["commit-tree", tree.trim(), "-m", "after a task"];
    if !former.trim().is_empty() {
        let before = git(repository, &["rev-parse", "HEAD^{tree}"], b"").await?;
        if before.trim() == tree.trim() {
            return Ok(());
        }
        commit.extend(["-p", former.trim()]);
    }
    let commit = git(repository, &commit, b"").await?;
    git(repository, &["update-ref", "HEAD", commit.trim()], b"").await?;
    Ok(())
}

/// The files to keep: where each lies, and its name in the repository. No link is followed, and no other repository entered.
fn files(folder: &Path) -> io::Result<Vec<(PathBuf, Vec<u8>)>> {
    let (mut folders, mut found) = (vec![folder.to_owned()], Vec::new());
    while let Some(inside) = folders.pop() {
        for entry in std::fs::read_dir(&inside)? {
            let entry = entry?;
            // Gone since it was listed.
            let Ok(about) = entry.metadata() else { continue };
            let path = entry.path();
            if about.is_dir() {
                // A repository of somebody's has its own history.
                if entry.file_name() != ".git" && !path.join(".git").exists() {
                    folders.push(path);
                }
                continue;
            }
            let Ok(name) = path.strip_prefix(folder) else { continue };
            let name = name.as_os_str().as_bytes().to_vec();
            let is_kept = about.is_file() && about.len() <= LARGEST && !path.as_os_str().as_bytes().contains(&b'\n');
            if is_kept {
                found.push((path, name));
            }
            // Half of them would look as if the others had been removed.
            if found.len() > MOST {
                return Err(io::Error::other(format!("there are more than {MOST} files in {}", folder.display())));
            }
        }
    }
    found.sort();
    Ok(found)
}

/// Gives what it says.
async fn git(repository: &Path, args: &[&str], input: &[u8]) -> anyhow::Result<String> {
    let own = [
        "core.hooksPath=/dev/null",
        "core.fsmonitor=false",
        "core.quotePath=false",
        "commit.gpgSign=false",
        "user.name=ally",
        "user.email=ally@localhost",
        "init.defaultBranch=main",
    ];
    let mut command = Command::new("git");
    command.arg("--git-dir").arg(repository);
    for setting in own {
        command.args(["-c", setting]);
    }
    command
        .args(args)
        .current_dir(repository)
        .env_remove("GIT_DIR")
        .env_remove("GIT_WORK_TREE")
        .env_remove("GIT_INDEX_FILE")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_TERMINAL_PROMPT", "0")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    let mut child = command.spawn().context("git cannot be run")?;
    let stdin = child.stdin.take();
    let fed = async {
        if let Some(mut stdin) = stdin {
            // One that ends early says why on stderr.
            let _ = stdin.write_all(input).await;
        }
    };
    let both = async { tokio::join!(child.wait_with_output(), fed).0 };
    let ended = tokio::time::timeout(PATIENCE, both).await.context("git does not end")?;
    let ended = ended.context("git cannot be run")?;
    anyhow::ensure!(
        ended.status.success(),
        "git {} ended with {}: {}",
        args[0],
        ended.status,
        String::from_utf8_lossy(&ended.stderr).trim()
    );
    Ok(String::from_utf8_lossy(&ended.stdout).into_owned())
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

    /// An agent wrote all of that.
    #[tokio::test]
    async fn nothing_of_a_repository_inside_is_run_and_a_killed_git_stops_nothing() {
        let dir = tempfile::tempdir().expect("a folder");
        let (repository, folder) = (dir.path().join("assistant.git"), dir.path().join("assistant"));
        let (inside, mark) = (folder.join("inside"), dir.path().join("mark"));
        std::fs::create_dir_all(&inside).expect("made");
        let own = |args: &[&str]| {
            let mut git = std::process::Command::new("git");
            git.args(["-c", "user.name=x", "-c", "user.email=x@x"]).args(args).current_dir(&inside);
            assert!(git.output().expect("git").status.success(), "{args:?}");
        };
        own(&["init", "--quiet"]);
        std::fs::write(inside.join("a.txt"), "a\n").expect("written");
        own(&["add", "."]);
        own(&["commit", "--quiet", "-m", "x"]);
        own(&["config", "filter.x.clean", &format!("touch {}", mark.display())]);
        std::fs::write(inside.join(".git/info/attributes"), "* filter=x\n").expect("written");
        std::fs::write(folder.join("notes.md"), "one\n").expect("written");
        std::fs::write(folder.join(".gitattributes"), "* filter=x\n").expect("written");
        std::os::unix::fs::symlink("/etc/passwd", folder.join("link")).expect("a link");
        save(&repository, &folder).await.expect("saved");
        std::fs::write(inside.join("a.txt"), "b\n").expect("written");
        std::fs::write(folder.join("notes.md"), "two\n").expect("written");
        std::fs::write(repository.join("index.lock"), "").expect("written");
        save(&repository, &folder).await.expect("saved");
        assert!(!mark.exists());
        let told = git(&repository, &["ls-tree", "-r", "--name-only", "HEAD"], b"").await.expect("a tree");
        assert_eq!(told.lines().collect::<Vec<_>>(), [".gitattributes", "notes.md"]);
    }
}
