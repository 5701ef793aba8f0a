//! Files on their way out, by their content's hash: written, synced and renamed into place before any row names them.

use std::fs::{File, Metadata};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use rustix::fs::{Timespec, Timestamps, UTIME_NOW, UTIME_OMIT, futimens};
use sha2::{Digest, Sha256};
use tracing::warn;

use crate::domain::gate::hex;

/// Held where a file is stored and where one is taken away: nobody takes away what is stored again at that moment.
static AT_WORK: Mutex<()> = Mutex::new(());

/// Stores bytes under their SHA-256; gives the hash in hex and the length in bytes. A file that is there counts as written
/// now: the row that will name it comes later than whoever looks for old ones.
pub fn store(outbox: &Path, bytes: &[u8]) -> std::io::Result<(String, u64)> {
    let name = hex(&Sha256::digest(bytes));
    let path = outbox.join(&name);
    let _alone = AT_WORK.lock().unwrap_or_else(PoisonError::into_inner);
    // Where it cannot be made as new it is written as new.
    if touch(&path).is_err() {
        std::fs::create_dir_all(outbox)?;
        let part = outbox.join(format!("{name}.part"));
        let mut file = File::create(&part)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        std::fs::rename(&part, &path)?;
        // The name must survive a power cut too.
        File::open(outbox)?.sync_all()?;
    }
    Ok((name, bytes.len() as u64))
}

fn touch(path: &Path) -> std::io::Result<()> {
    let file = File::open(path)?;
    // By the clock that times what is written here.
    let time = |tv_nsec| Timespec { tv_sec: 0, tv_nsec };
    futimens(&file, &Timestamps { last_access: time(UTIME_OMIT), last_modification: time(UTIME_NOW) })?;
    file.sync_all()
}

/// Files that were stored before that time, and not again since.
pub fn old(outbox: &Path, before_ms: i64) -> std::io::Result<Vec<PathBuf>> {
    let entries = match std::fs::read_dir(outbox) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let old = entries.flatten().filter(|entry| entry.metadata().is_ok_and(|meta| is_old(&meta, before_ms)));
    Ok(old.map(|entry| entry.path()).collect())
}

/// Takes away what [`old`] found, but for what is needed, and for what was stored again since it was looked for.
/// One that stays where it is keeps no other.
pub fn take_away(old: &[PathBuf], before_ms: i64, needed: &[String]) {
    for path in old {
        let name = path.file_name().map(|name| name.to_string_lossy()).unwrap_or_default();
        if needed.iter().any(|sha256| name.starts_with(sha256.as_str())) {
            continue;
        }
        if let Err(error) = remove(path, before_ms) {
            warn!(file = %path.display(), %error, "A file that was sent could not be taken away");
        }
    }
}

fn remove(path: &Path, before_ms: i64) -> std::io::Result<()> {
    let _alone = AT_WORK.lock().unwrap_or_else(PoisonError::into_inner);
    match std::fs::metadata(path) {
        Ok(meta) if is_old(&meta, before_ms) => std::fs::remove_file(path),
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn is_old(meta: &Metadata, before_ms: i64) -> bool {
    meta.is_file() && changed_ms(meta) < before_ms
}

fn changed_ms(meta: &Metadata) -> i64 {
    meta.mtime().saturating_mul(1_000).saturating_add(meta.mtime_nsec() / 1_000_000)
}

/// What platforms take as one picture.
const MAX_PICTURE_BYTES: u64 = 10_000_000;

/// Why a file that an agent names is not read for it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    #[error("there is no such file")]
    Missing,
    #[error("it is outside of the task's directory, or a link leads out of it")]
    Outside,
    #[error("it is no plain file")]
    NotAFile,
    #[error("it has several names (hard links); copy it first, and send the copy")]
    Linked,
    #[error("it is empty")]
    Empty,
    #[error("it has {bytes} bytes, and {most} is the most")]
    TooLarge { bytes: u64, most: u64 },
    #[error("it was changed while it was looked at")]
    Changed,
    #[error("it cannot be read: {0}")]
    Unreadable(ErrorKind),
}

impl From<std::io::Error> for Unfit {
    fn from(error: std::io::Error) -> Self {
        match error.kind() {
            ErrorKind::NotFound => Unfit::Missing,
            kind => Unfit::Unreadable(kind),
        }
    }
}

/// A file below a directory that was opened, and where it really lies.
struct Opened {
    real: PathBuf,
    file: File,
    meta: Metadata,
}

/// Opens what lies below `directory`; `path` is an agent's word for it. ally reads with more rights than the agent has, so
/// nothing that a link leads out to is opened for it, nor what has another name somewhere else.
fn open_below(directory: &Path, path: &Path) -> Result<Opened, Unfit> {
    let (root, path) = (directory.canonicalize()?, directory.join(path));
    let flags = rustix::fs::OFlags::NONBLOCK | rustix::fs::OFlags::NOFOLLOW;
    let real = path.canonicalize()?;
    if !real.starts_with(&root) {
        return Err(Unfit::Outside);
    }
    if !real.metadata()?.is_file() {
        return Err(Unfit::NotAFile);
    }
    let file = File::options().read(true).custom_flags(flags.bits().cast_signed()).open(&real)?;
    // It is what was opened that is looked at, and it must still be where it was looked up.
    let (meta, there) = (file.metadata()?, real.canonicalize()?);
    let now = there.metadata()?;
    if (meta.dev(), meta.ino()) != (now.dev(), now.ino()) || there != real || !lies_at(&file, &real) {
        return Err(Unfit::Changed);
    }
    match meta {
        meta if !meta.is_file() => Err(Unfit::NotAFile),
        meta if meta.nlink() != 1 => Err(Unfit::Linked),
        meta => Ok(Opened { real, file, meta }),
    }
}

/// Where the system knows it: what was opened is where it was looked for, whatever folders were exchanged meanwhile.
#[cfg(target_os = "linux")]
fn lies_at(file: &File, real: &Path) -> bool {
    use std::os::fd::AsRawFd;
    std::fs::read_link(format!("/proc/self/fd/{}", file.as_raw_fd())).is_ok_and(|there| there == real)
}

#[cfg(not(target_os = "linux"))]
fn lies_at(_: &File, _: &Path) -> bool {
    true
}

/// The bytes of a file below `directory`, and where it really lies; at most `most` of them.
pub fn below(directory: &Path, path: &Path, most: u64) -> Result<(PathBuf, Vec<u8>), Unfit> {
    let Opened { real, file, meta } = open_below(directory, path)?;
    Ok((real, bounded(file, &meta, most)?))
}

/// The bytes of a file that a person names; at most `most` of them.
pub fn whole(path: &Path, most: u64) -> Result<Vec<u8>, Unfit> {
    let flags = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();
    let file = File::options().read(true).custom_flags(flags).open(path)?;
    match file.metadata()? {
        meta if meta.is_file() => bounded(file, &meta, most),
        _ => Err(Unfit::NotAFile),
    }
}

fn bounded(file: File, meta: &Metadata, most: u64) -> Result<Vec<u8>, Unfit> {
    if meta.len() > most {
        return Err(Unfit::TooLarge { bytes: meta.len(), most });
    }
    let bytes = contents(file, most)?;
    match bytes.len() as u64 {
        0 => Err(Unfit::Empty),
        // It grew while it was read.
        len if len > most => Err(Unfit::TooLarge { bytes: len, most }),
        _ => Ok(bytes),
    }
}

fn contents(file: File, most: u64) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.take(most + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The bytes of a picture that was made below `directory` since `since_ms`; `path` is an agent's word for it. Nothing that
/// was there before, or that is no picture, is read for it.
pub fn picture(directory: &Path, path: &Path, since_ms: i64) -> Option<Vec<u8>> {
    let Opened { file, meta, .. } = open_below(directory, path).ok()?;
    if !(1..=MAX_PICTURE_BYTES).contains(&meta.len()) || changed_ms(&meta) < since_ms {
        return None;
    }
    contents(file, MAX_PICTURE_BYTES).ok().filter(|bytes| is_picture(bytes))
}

/// Whether platforms take these bytes as a picture.
pub fn is_picture(bytes: &[u8]) -> bool {
    bytes.len() as u64 <= MAX_PICTURE_BYTES && looks_like_one(bytes)
}

fn looks_like_one(bytes: &[u8]) -> bool {
    let webp = bytes.starts_with(b"RIFF") && bytes.get(8..12) == Some(b"WEBP");
    webp || [&b"\x89PNG\r\n\x1a\n"[..], b"\xff\xd8\xff", b"GIF87a", b"GIF89a"]
        .iter()
        .any(|magic| bytes.starts_with(magic))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_bytes_are_one_file() {
        let dir = tempfile::tempdir().unwrap();
        let (name, bytes) = store(dir.path(), b"answer").unwrap();
        assert_eq!(store(dir.path(), b"answer").unwrap(), (name.clone(), bytes));
        assert_eq!(std::fs::read(dir.path().join(name)).unwrap(), b"answer");
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    /// Stores a file as if that had been at `at_ms`.
    fn stored_at(dir: &Path, bytes: &[u8], at_ms: u64) -> (String, PathBuf) {
        let (name, _) = store(dir, bytes).unwrap();
        let path = dir.join(&name);
        let at = std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_millis(at_ms);
        File::open(&path).unwrap().set_modified(at).unwrap();
        (name, path)
    }

    #[test]
    fn what_is_stored_again_is_not_taken_away() {
        let dir = tempfile::tempdir().unwrap();
        let (_, weekly) = stored_at(dir.path(), b"the same report each week", 1_000);
        let (_, done) = stored_at(dir.path(), b"sent long ago", 1_000);
        let (asked, waits) = stored_at(dir.path(), b"not sent yet", 1_000);
        let (_, new) = stored_at(dir.path(), b"of today", 3_000);
        let mut found = old(dir.path(), 2_000).unwrap();
        found.sort();
        let mut expected = vec![weekly.clone(), done.clone(), waits.clone()];
        expected.sort();
        assert_eq!(found, expected);
        // Between the look at the files and the end of the removal; its row is not there yet.
        store(dir.path(), b"the same report each week").unwrap();
        take_away(&found, 2_000, &[asked]);
        assert_eq!([&weekly, &done, &waits, &new].map(|path| path.exists()), [true, false, true, true]);
        assert!(!old(dir.path(), 2_000).unwrap().contains(&weekly), "it counts as written now");
    }

    #[test]
    fn a_file_that_stays_keeps_no_other() {
        let dir = tempfile::tempdir().unwrap();
        let (_, one) = stored_at(dir.path(), b"one", 1_000);
        let (_, other) = stored_at(dir.path(), b"other", 1_000);
        // Nothing can be below a file: to look there fails, and not for being gone.
        take_away(&[one.join("below"), other.clone()], 2_000, &[]);
        assert_eq!([&one, &other].map(|path| path.exists()), [true, false]);
    }

    #[test]
    fn only_a_picture_that_was_made_there_and_then_is_read() {
        let (project, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (dir, png) = (project.path(), b"\x89PNG\r\n\x1a\nrest");
        std::fs::create_dir(dir.join("out")).unwrap();
        std::fs::write(dir.join("out/a.png"), png).unwrap();
        std::fs::write(dir.join("key.png"), b"-----BEGIN PRIVATE KEY").unwrap();
        std::fs::write(outside.path().join("far.png"), png).unwrap();
        std::fs::write(dir.join("twice.png"), png).unwrap();
        std::fs::hard_link(dir.join("twice.png"), dir.join("again.png")).unwrap();
        std::os::unix::fs::symlink(outside.path().join("far.png"), dir.join("link.png")).unwrap();
        std::os::unix::fs::symlink(outside.path(), dir.join("folder")).unwrap();
        std::os::unix::fs::symlink("a.png", dir.join("out/near.png")).unwrap();
        let read = |path: &str| picture(dir, Path::new(path), 0);
        assert_eq!(read("out/a.png").as_deref(), Some(&png[..]));
        assert_eq!(read(&dir.join("out/a.png").to_string_lossy()).as_deref(), Some(&png[..]));
        assert_eq!(read("out/near.png").as_deref(), Some(&png[..]), "a link inside stays inside");
        let far = outside.path().join("far.png");
        let not = ["key.png", "link.png", "folder/far.png", "again.png", "../far.png", "out", "none.png", "/dev/zero"];
        for path in not.into_iter().chain([far.to_str().unwrap()]) {
            assert_eq!(read(path), None, "{path}");
        }
        let real = dir.canonicalize().unwrap();
        std::fs::write(dir.join("empty"), "").unwrap();
        let file = |path: &str| below(dir, Path::new(path), 20);
        assert_eq!(file("out/a.png"), Ok((real.join("out/a.png"), png.to_vec())));
        assert_eq!(file("out/near.png"), Ok((real.join("out/a.png"), png.to_vec())), "where it really lies");
        for (path, why) in [
            ("key.png", Unfit::TooLarge { bytes: 22, most: 20 }),
            ("empty", Unfit::Empty),
            ("link.png", Unfit::Outside),
            ("folder/far.png", Unfit::Outside),
            ("../far.png", Unfit::Missing),
            ("..", Unfit::Outside),
            ("/dev/zero", Unfit::Outside),
            (far.to_str().unwrap(), Unfit::Outside),
            ("out", Unfit::NotAFile),
            ("again.png", Unfit::Linked),
            ("none.png", Unfit::Missing),
        ] {
            assert_eq!(file(path), Err(why), "{path}");
        }
        let tomorrow = chrono::Utc::now().timestamp_millis() + 86_400_000;
        assert_eq!(picture(dir, Path::new("out/a.png"), tomorrow), None, "it was there before");
    }
}
