//! First start: commented `ally.toml` and `.env`, never over existing ones.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use super::paths::Paths;
use super::problem::Problems;

const SETTINGS: &str = include_str!("../../templates/ally.toml");
const CREDENTIALS: &str = include_str!("../../templates/env");

/// Creates the home, and its two files where they are missing.
pub fn write_missing(paths: &Paths) -> Result<(), Problems> {
    paths.create()?;
    for (path, text) in [(&paths.config, SETTINGS), (&paths.env, CREDENTIALS)] {
        match create_new(path, text) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => {
                let what = format!("cannot be written: {error}");
                return Err(Problems::of_file(
                    path,
                    what,
                    "make the folder writable, or set ALLY_HOME to another place",
                ));
            }
        }
    }
    Ok(())
}

/// Writes a file of mode 0600, replacing one that is there, in one step.
pub fn write_private(path: &Path, text: &str) -> io::Result<()> {
    let mut fresh = path.as_os_str().to_owned();
    fresh.push(format!(".{}.new", std::process::id()));
    let fresh = Path::new(&fresh);
    match fs::remove_file(fresh) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    create_new(fresh, text)?;
    fs::rename(fresh, path)
}

fn create_new(path: &Path, text: &str) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}
