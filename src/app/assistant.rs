//! The assistant's directory: what it holds from the start, and the skills that come with this ally.

use std::fs;
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

use rustix::fs::{AtFlags, Mode, OFlags};
use rustix::io::Errno;

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
/// An agent writes in this directory: no link is followed, and what lies where a folder or a file of ours belongs is left.
///
/// # Errors
/// The disk's; also where a link or a file lies in the place of a folder.
pub(super) fn prepare(folder: &Path) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    let home = Folder::open(folder)?;
    for name in FOLDERS {
        home.folder(name)?;
    }
    if !home.has("AGENTS.md") {
        home.write("AGENTS.md", INSTRUCTIONS)?;
    }
    let skills = home.folder(".agents")?.folder("skills")?;
    for (path, text) in SKILLS {
        let mut names: Vec<&str> = path.split('/').collect();
        let name = names.pop().unwrap_or_default();
        let within = names.into_iter().try_fold(skills.again()?, |at, name| at.folder(name))?;
        if within.read(name).is_none_or(|there| there != text.as_bytes()) {
            within.write(name, text)?;
        }
    }
    Ok(())
}

/// A folder that is open: what becomes of its path meanwhile does not matter.
struct Folder(OwnedFd);

impl Folder {
    const FLAGS: OFlags = OFlags::DIRECTORY.union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

    fn open(path: &Path) -> io::Result<Self> {
        Ok(Self(rustix::fs::open(path, Self::FLAGS, Mode::empty())?))
    }

    fn again(&self) -> io::Result<Self> {
        Ok(Self(rustix::fs::openat(&self.0, ".", Self::FLAGS, Mode::empty())?))
    }

    /// The one of this name inside, made where there is none.
    fn folder(&self, name: &str) -> io::Result<Self> {
        match rustix::fs::mkdirat(&self.0, name, Mode::RWXU) {
            Err(Errno::EXIST) | Ok(()) => {}
            Err(error) => return Err(error.into()),
        }
        Ok(Self(rustix::fs::openat(&self.0, name, Self::FLAGS, Mode::empty())?))
    }

    /// Whether anything has this name, a link to nothing among it.
    fn has(&self, name: &str) -> bool {
        rustix::fs::statat(&self.0, name, AtFlags::SYMLINK_NOFOLLOW).is_ok()
    }

    /// A plain file; a pipe that nobody writes to is not waited for.
    fn read(&self, name: &str) -> Option<Vec<u8>> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let mut file = fs::File::from(rustix::fs::openat(&self.0, name, flags, Mode::empty()).ok()?);
        let mut bytes = Vec::new();
        file.metadata().ok().filter(fs::Metadata::is_file)?;
        file.read_to_end(&mut bytes).ok()?;
        Some(bytes)
    }

    /// In one step: an agent may be reading.
    fn write(&self, name: &str, text: &str) -> io::Result<()> {
        let fresh = format!("{name}.new");
        match rustix::fs::unlinkat(&self.0, &fresh, AtFlags::empty()) {
            Err(Errno::NOENT) | Ok(()) => {}
            Err(error) => return Err(error.into()),
        }
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mut file = fs::File::from(rustix::fs::openat(&self.0, &fresh, flags, Mode::RUSR | Mode::WUSR)?);
        file.write_all(text.as_bytes())?;
        rustix::fs::renameat(&self.0, &fresh, &self.0, name)?;
        Ok(())
    }
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

    #[test]
    fn no_link_of_an_agents_is_followed() {
        let dir = tempfile::tempdir().expect("a folder");
        let folder = dir.path().join("assistant");
        prepare(&folder).expect("made");
        let precious = dir.path().join("ledger.db");
        fs::write(&precious, "precious").expect("written");
        let link = |name: &str| {
            let _ = fs::remove_file(folder.join(name));
            std::os::unix::fs::symlink(&precious, folder.join(name)).expect("a link");
        };
        fs::remove_file(folder.join("AGENTS.md")).expect("removed");
        for name in
            ["AGENTS.md.new", ".agents/skills/memory-digest/SKILL.md", ".agents/skills/memory-digest/SKILL.md.new"]
        {
            link(name);
        }
        prepare(&folder).expect("made again");
        assert_eq!(fs::read_to_string(&precious).expect("a file"), "precious");
        let ours = folder.join(".agents/skills/memory-digest/SKILL.md");
        assert!(fs::symlink_metadata(&ours).expect("a file").is_file());
        // A folder that is a link is not entered.
        let elsewhere = dir.path().join("elsewhere");
        fs::create_dir(&elsewhere).expect("made");
        fs::remove_dir_all(folder.join(".agents/skills/issue-triage")).expect("removed");
        std::os::unix::fs::symlink(&elsewhere, folder.join(".agents/skills/issue-triage")).expect("a link");
        prepare(&folder).expect_err("a link lies there");
        assert_eq!(fs::read_dir(&elsewhere).expect("a folder").count(), 0);
    }
}
