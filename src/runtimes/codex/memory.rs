//! What must be known of a codex process besides what it says, kept in a file beside it: the next bridge goes on with it.
//!
//! It is for the death of this process only, and the machine's takes codex along: nothing is synced.

use std::fs;
use std::io::{self, Write};
use std::path::Path;

use super::wire::Memory;

/// Replaces the file as a whole.
pub(super) fn keep(file: &Path, memory: &Memory) -> io::Result<()> {
    use std::os::unix::fs::OpenOptionsExt;
    let beside = file.with_extension("json.new");
    let mut new = fs::OpenOptions::new().create(true).write(true).truncate(true).mode(0o600).open(&beside)?;
    // A full disk is to be an error here, and not half a file in the other's place.
    new.write_all(&serde_json::to_vec(memory)?)?;
    fs::rename(beside, file)
}

/// Nothing where there is none, or it cannot be read.
pub(super) fn recall(file: &Path) -> Option<Memory> {
    serde_json::from_slice(&fs::read(file).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::super::wire::{Left, Loaded};
    use super::*;
    use crate::domain::ids::ThreadId;
    use crate::domain::level::Level;

    #[test]
    fn what_was_kept_is_known_again() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("gen-7.json");
        assert!(recall(&file).is_none());
        let loaded = Loaded {
            directory: "/p".into(),
            profiles: "a1".to_owned(),
            level: Level::Ask,
            approval: Some("untrusted".to_owned()),
            sandbox: None,
            left: Left::Under("ally-temp".to_owned()),
        };
        let memory = Memory {
            program: "/c".into(),
            version: "1".to_owned(),
            settings: "s".to_owned(),
            warnings: vec!["w".to_owned()],
            loaded: HashMap::from([(ThreadId::new("t"), loaded.clone())]),
            models: HashMap::from([(ThreadId::new("t"), ("m".to_owned(), None))]),
        };
        keep(&file, &memory).unwrap();
        let known = recall(&file).unwrap();
        assert_eq!(known.loaded[&ThreadId::new("t")], loaded);
        assert_eq!((known.version, known.models), (memory.version, memory.models));
        fs::write(&file, "{").unwrap();
        assert!(recall(&file).is_none(), "half of it is nothing");
    }
}
