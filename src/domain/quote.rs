//! Text as a shell takes it, for commands that people paste.

use std::path::Path;

/// A path as one word of a POSIX shell.
pub fn path(path: &Path) -> String {
    let text = path.to_string_lossy();
    let plain = |c: char| c.is_alphanumeric() || "/._-+".contains(c);
    if text.chars().all(plain) { text.into_owned() } else { format!("'{}'", text.replace('\'', "'\\''")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_quoted_where_a_shell_needs_it() {
        assert_eq!(path(Path::new("/h/.ally/codex")), "/h/.ally/codex");
        assert_eq!(path(Path::new("/h/my codex's")), r"'/h/my codex'\''s'");
    }
}
