//! The environment, read once and passed on as a value.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::domain::view::Lang;

/// What a child of ally may see of our environment, by exact name.
const FOR_CHILDREN: [&str; 14] = [
    "PATH",
    "HOME",
    "LANG",
    "TERM",
    "USER",
    "SHELL",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "HTTPS_PROXY",
    "https_proxy",
    "HTTP_PROXY",
    "http_proxy",
    "NO_PROXY",
    "no_proxy",
];

/// Environment variables as a value. Values that are not Unicode are left out.
#[derive(Clone, Default)]
pub struct Environment {
    values: BTreeMap<String, String>,
}

// Values may be secrets: only the names are shown.
impl std::fmt::Debug for Environment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.values.keys()).finish()
    }
}

impl Environment {
    /// The process's own environment.
    pub fn capture() -> Self {
        let values = std::env::vars_os()
            .filter_map(|(key, value)| Some((key.into_string().ok()?, value.into_string().ok()?)))
            .collect();
        Self { values }
    }

    /// An environment of given values.
    pub fn of<'a>(values: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        Self { values: values.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect() }
    }

    /// The same with another value.
    pub fn with(&self, key: &str, value: &str) -> Self {
        let mut values = self.values.clone();
        values.insert(key.to_owned(), value.to_owned());
        Self { values }
    }

    /// A variable, when it is set and not empty.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.values.get(key).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// The person's home directory.
    pub fn home(&self) -> Option<&Path> {
        self.get("HOME").map(Path::new).filter(|home| home.is_absolute())
    }

    /// The language that the environment asks for: `ALLY_LANG`, else the locale.
    pub fn lang(&self) -> Option<Lang> {
        ["ALLY_LANG", "LC_ALL", "LC_MESSAGES", "LANG"].iter().find_map(|key| Lang::parse(self.get(key)?))
    }

    /// The person's name, for the local channel.
    pub fn user(&self) -> String {
        self.get("USER").or_else(|| self.get("LOGNAME")).unwrap_or("owner").to_owned()
    }

    /// Log filter: `ALLY_LOG`, default `info`.
    pub fn log_filter(&self) -> String {
        self.get("ALLY_LOG").unwrap_or("warn,ally=info").to_owned()
    }

    /// Proxy for TLS connections, where one is set: the variable's name and value.
    pub fn https_proxy(&self) -> Option<(&'static str, &str)> {
        ["HTTPS_PROXY", "https_proxy"].into_iter().find_map(|key| Some((key, self.get(key)?.trim())))
    }

    /// What is reached without the proxy.
    pub fn no_proxy(&self) -> &str {
        self.get("NO_PROXY").or_else(|| self.get("no_proxy")).unwrap_or_default()
    }

    /// Where caches of this person lie.
    pub fn cache_folder(&self) -> Option<PathBuf> {
        match self.get("XDG_CACHE_HOME").map(PathBuf::from).filter(|path| path.is_absolute()) {
            Some(folder) => Some(folder),
            None => Some(self.home()?.join(".cache")),
        }
    }

    /// What the children of ally get: an allow-list, so that no credential of ours is among it.
    pub fn for_children(&self) -> Vec<(String, String)> {
        self.values
            .iter()
            .filter(|(key, _)| FOR_CHILDREN.contains(&key.as_str()) || key.starts_with("LC_"))
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect()
    }

    /// The process runs below a runtime: some agent started it.
    pub fn below_a_runtime(&self) -> bool {
        self.get("ALLY_GENERATION").is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn children_get_no_credentials() {
        let environment = Environment::of([
            ("PATH", "/bin"),
            ("LC_ALL", "C"),
            ("FEISHU_APP_SECRET", "hush"),
            ("OPENAI_API_KEY", "hush"),
            ("https_proxy", "http://127.0.0.1:9"),
        ]);
        let keys: Vec<String> = environment.for_children().into_iter().map(|(key, _)| key).collect();
        assert_eq!(keys, ["LC_ALL", "PATH", "https_proxy"]);
        assert!(!format!("{environment:?}").contains("hush"));
    }

    #[test]
    fn the_language_comes_from_the_first_that_says_one() {
        assert_eq!(Environment::of([("LANG", "zh_CN.UTF-8")]).lang(), Some(Lang::Zh));
        assert_eq!(Environment::of([("LANG", "zh_CN.UTF-8"), ("ALLY_LANG", "en")]).lang(), Some(Lang::En));
        assert_eq!(Environment::of([("LANG", "C.UTF-8")]).lang(), None);
    }
}
