//! Which folders an agent may be given as its working directory.

use std::fs;
use std::io;
use std::path::Path;

/// Why a folder cannot be one.
#[derive(Debug)]
pub enum Unfit {
    /// It is not there, or nobody may look into it.
    Unreadable(io::Error),
    /// The person's whole home or ally's own data lies in it.
    TooWide,
}

/// Nothing where it can be one. `home` is the person's, `own` is ally's.
pub fn unfit(path: &Path, home: &Path, own: &Path) -> Option<Unfit> {
    // Links and `..` must not hide where it leads.
    let real = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let (there, home, own) = (real(path), real(home), real(own));
    match fs::read_dir(path) {
        Err(error) => Some(Unfit::Unreadable(error)),
        Ok(_) if there == home || own.starts_with(&there) => Some(Unfit::TooWide),
        Ok(_) => None,
    }
}
