//! Files on their way out, by their content's hash: written, synced and renamed into place before any row names them.

use std::fs::File;
use std::io::Write;
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
}
