//! The assistant's directory: what it holds from the start, and the skills that come with this ally.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

macro_rules! skills {
    ($($path:literal),+ $(,)?) => {
        &[$(($path, include_str!(concat!("../../skills/", $path)))),+]
    };
}

/// Path below `.agents/skills`, and the text. Codex looks for skills there.
const SKILLS: &[(&str, &str)] = skills![
    "archive-reader/SKILL.md",
    "archive-reader/references/fields.md",
    "archive-reader/references/without-node.md",
    "archive-reader/scripts/tasks.mjs",
    "closing-checklist/SKILL.md",
    "closing-checklist/references/leftovers.md",
    "feishu-debug/SKILL.md",
    "feishu-debug/references/codes.md",
    "feishu-debug/references/console.md",
    "issue-triage/SKILL.md",
    "issue-triage/references/severity.md",
    "memory-digest/SKILL.md",
    "memory-digest/references/memory.md",
    "memory-digest/scripts/check_memory.mjs",
    "product-spec/SKILL.md",
    "product-spec/references/template.md",
    "routine-author/SKILL.md",
    "routine-author/references/fields.md",
    "routine-author/references/schedules.md",
];
const INSTRUCTIONS: &str = include_str!("../../templates/workspace/AGENTS.md");
const FOLDERS: [&str; 4] = ["memory", "notes", "inbox", "outbox"];

/// Makes what is missing. Skills of ours are brought to the state of this ally, everything else stays as it is.
///
/// # Errors
/// The disk's.
pub(super) fn prepare(folder: &Path) -> io::Result<()> {
    for name in FOLDERS {
        make(&folder.join(name))?;
    }
    let instructions = folder.join("AGENTS.md");
    if !instructions.exists() {
        write(&instructions, INSTRUCTIONS)?;
    }
    for (path, text) in SKILLS {
        let path = folder.join(".agents/skills").join(path);
        if fs::read(&path).is_ok_and(|there| there == text.as_bytes()) {
            continue;
        }
        make(path.parent().ok_or(io::ErrorKind::InvalidInput)?)?;
        write(&path, text)?;
    }
    Ok(())
}

fn make(folder: &Path) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

/// In one step: an agent may be reading.
fn write(path: &Path, text: &str) -> io::Result<()> {
    let mut fresh = path.as_os_str().to_owned();
    fresh.push(".new");
    let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&fresh)?;
    file.write_all(text.as_bytes())?;
    fs::rename(&fresh, path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_of_every_skill_is_in_the_list() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("skills");
        let (mut folders, mut found) = (vec![root.clone()], Vec::new());
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).expect("a folder") {
                let path = entry.expect("an entry").path();
                if path.is_dir() {
                    folders.push(path);
                } else {
                    found.push(path.strip_prefix(&root).expect("below it").display().to_string());
                }
            }
        }
        found.sort();
        assert_eq!(found, SKILLS.iter().map(|(path, _)| (*path).to_owned()).collect::<Vec<_>>());
    }

    #[test]
    fn what_people_changed_stays_and_what_is_ours_is_renewed() {
        let dir = tempfile::tempdir().expect("a folder");
        let folder = dir.path().join("assistant");
        prepare(&folder).expect("made");
        let (mine, ours) = (folder.join("AGENTS.md"), folder.join(".agents/skills/memory-digest/SKILL.md"));
        fs::write(&mine, "mine").expect("written");
        fs::write(&ours, "old").expect("written");
        fs::write(folder.join("memory/MEMORY.md"), "facts").expect("written");
        prepare(&folder).expect("made again");
        assert_eq!(fs::read_to_string(&mine).expect("a file"), "mine");
        assert!(fs::read_to_string(&ours).expect("a file").contains("name: memory-digest"));
        assert_eq!(fs::read_to_string(folder.join("memory/MEMORY.md")).expect("a file"), "facts");
    }
}
