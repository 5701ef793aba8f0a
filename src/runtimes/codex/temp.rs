//! Folders for temporary files: one for each directory that somebody works in. What is shared by all (`/tmp`) holds the
//! sockets of programs outside, and what other chats left there.

use std::fs;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use sha2::{Digest, Sha256};

use crate::domain::gate::hex;

/// What nobody came back to for this long is taken away.
const KEPT: Duration = Duration::from_secs(7 * 86_400);
/// A use is noted by this file.
const USED: &str = ".used";

/// Where they all are.
fn folder(tmp_dir: &Path) -> PathBuf {
    tmp_dir.join("of")
}

/// The folder of those who work in `directory`.
pub fn of(tmp_dir: &Path, directory: &Path) -> PathBuf {
    let directory = fs::canonicalize(directory).unwrap_or_else(|_| directory.to_owned());
    let name = hex(&Sha256::digest(directory.as_os_str().as_encoded_bytes()));
    folder(tmp_dir).join(&name[..16])
}

/// Makes it where it is not there, and notes that it is used. Takes away what is old and not among `kept`.
pub fn prepare(tmp_dir: &Path, directory: &Path, kept: &[PathBuf]) -> io::Result<PathBuf> {
    let own = of(tmp_dir, directory);
    fs::DirBuilder::new().recursive(true).mode(0o700).create(&own)?;
    let used = own.join(USED);
    // A command may have put something else there.
    let _ = fs::remove_dir_all(&used).or_else(|_| fs::remove_file(&used));
    // Somebody else may open a thread here at the same time.
    let now = match fs::File::create_new(&used) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => fs::symlink_metadata(&used)?.modified()?,
        made => made?.metadata()?.modified()?,
    };
    for entry in fs::read_dir(folder(tmp_dir))?.flatten() {
        let other = entry.path();
        let noted =
            fs::symlink_metadata(other.join(USED)).or_else(|_| entry.metadata()).and_then(|found| found.modified());
        let is_old = noted.is_ok_and(|at| now.duration_since(at).is_ok_and(|age| age > KEPT));
        if is_old && other != own && !kept.contains(&other) {
            let _ = fs::remove_dir_all(other);
        }
    }
    Ok(own)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_directory_has_its_own_and_old_ones_go() {
        let dir = tempfile::tempdir().unwrap();
        let (tmp, a, b, c) = (dir.path().join("tmp"), dir.path().join("a"), dir.path().join("b"), dir.path().join("c"));
        for folder in [&a, &b, &c] {
            fs::create_dir(folder).unwrap();
        }
        let link = dir.path().join("link");
        std::os::unix::fs::symlink(&a, &link).unwrap();
        let [of_a, of_b, of_c] = [&a, &b, &c].map(|directory| prepare(&tmp, directory, &[]).unwrap());
        assert_eq!(of(&tmp, &link), of_a);
        assert_ne!(of_a, of_b);
        for folder in [&of_a, &of_b, &of_c] {
            fs::write(folder.join("x"), "").unwrap();
            let noted = fs::File::options().write(true).open(folder.join(USED)).unwrap();
            let at = noted.metadata().unwrap().modified().unwrap();
            noted.set_modified(at - KEPT - Duration::from_secs(1)).unwrap();
        }
        assert_eq!(prepare(&tmp, &a, std::slice::from_ref(&of_b)).unwrap(), of_a);
        assert!(of_a.join("x").exists(), "used again");
        assert!(of_b.join("x").exists(), "in use");
        assert!(!of_c.exists());
    }
}
