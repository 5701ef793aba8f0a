//! Files on their way out, by their content's hash: written, synced and renamed into place before any row names them.

use std::fs::{File, Metadata};
use std::io::{Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use sha2::{Digest, Sha256};

use crate::domain::gate::hex;

/// Stores bytes under their SHA-256; gives the hash in hex and the length in bytes.
pub fn store(outbox: &Path, bytes: &[u8]) -> std::io::Result<(String, u64)> {
    let name = hex(&Sha256::digest(bytes));
    let path = outbox.join(&name);
    if !path.exists() {
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

/// What platforms take as one picture.
const MAX_PICTURE_BYTES: u64 = 10_000_000;

/// The bytes of a picture that was made below `directory` since `since_ms`; `path` is an agent's word for it. ally reads
/// with more rights than the agent has, so nothing that a link leads out to, that was there before, or that is no
/// picture is read for it.
pub fn picture(directory: &Path, path: &Path, since_ms: i64) -> Option<Vec<u8>> {
    let (root, path) = (directory.canonicalize().ok()?, directory.join(path));
    let is_fit = |meta: &Metadata| {
        let changed_ms = meta.mtime().saturating_mul(1_000).saturating_add(meta.mtime_nsec() / 1_000_000);
        let size = 1..=MAX_PICTURE_BYTES;
        meta.is_file() && meta.nlink() == 1 && size.contains(&meta.len()) && changed_ms >= since_ms
    };
    let flags = rustix::fs::OFlags::NONBLOCK | rustix::fs::OFlags::NOFOLLOW;
    let real = path.canonicalize().ok().filter(|real| real.starts_with(&root))?;
    let file = File::options().read(true).custom_flags(flags.bits().cast_signed()).open(&real).ok()?;
    // It is what was opened that is looked at, and it must still be where it was looked up.
    let (opened, there) = (file.metadata().ok()?, real.canonicalize().ok()?.metadata().ok()?);
    let is_same = (opened.dev(), opened.ino()) == (there.dev(), there.ino());
    if !is_same || !is_fit(&opened) || real.canonicalize().ok()? != real {
        return None;
    }
    let mut bytes = Vec::new();
    file.take(MAX_PICTURE_BYTES + 1).read_to_end(&mut bytes).ok()?;
    (is_picture(&bytes) && bytes.len() as u64 <= MAX_PICTURE_BYTES).then_some(bytes)
}

fn is_picture(bytes: &[u8]) -> bool {
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
        let tomorrow = chrono::Utc::now().timestamp_millis() + 86_400_000;
        assert_eq!(picture(dir, Path::new("out/a.png"), tomorrow), None, "it was there before");
    }
}
