//! What is a secret by its name, wherever it lies: one table for the classifier, which judges words, and for the sandbox,
//! which holds bytes. All of it in lower case. And what is one by its look: [`Masks`] takes those out of a text.

/// Names of files.
pub const FILES: [&str; 18] = [
    ".npmrc",
    ".netrc",
    "_netrc",
    ".pgpass",
    ".my.cnf",
    ".pypirc",
    ".git-credentials",
    ".htpasswd",
    ".vault-token",
    ".bash_history",
    ".zsh_history",
    ".psql_history",
    ".mysql_history",
    ".python_history",
    "shadow",
    "gshadow",
    "credentials",
    "credentials.toml",
];

/// Ends of the names of files.
pub const ENDINGS: [&str; 11] =
    [".pem", ".p12", ".pfx", ".jks", ".keystore", ".kdbx", ".key", ".ppk", ".keychain", ".keychain-db", ".tfstate"];

/// Kinds of keys: `id_rsa`, `id_rsa.old`.
pub const KEYS: [&str; 4] = ["rsa", "dsa", "ecdsa", "ed25519"];

/// Begins of the names of JSON files.
pub const ACCOUNTS: [&str; 2] = ["service-account", "credentials"];

/// Folders, also in a project. What lies in an `.env` or `.envs` folder counts, too; both sides look at `.env` by rules
/// of their own.
pub const FOLDERS: [&str; 8] = [".ssh", ".aws", ".kube", ".gnupg", ".azure", ".gcloud", ".docker", ".password-store"];

/// Parts of the names of variables and keys that hold secrets.
const NAMES: [&str; 9] =
    ["secret", "token", "password", "passwd", "apikey", "api_key", "private_key", "credential", "authorization"];
/// How well-known keys begin, and how long they are at least.
const BEGINS: [(&str, usize); 16] = [
    ("sk-", 20),
    ("ghp_", 20),
    ("gho_", 20),
    ("ghs_", 20),
    ("github_pat_", 20),
    ("glpat-", 20),
    ("xoxb-", 20),
    ("xoxp-", 20),
    ("AKIA", 20),
    ("ASIA", 20),
    ("AIza", 30),
    // A signed token.
    ("eyJ", 40),
    // Feishu's: of a tenant, of a user, of an app.
    ("t-", 24),
    ("u-", 24),
    ("a-", 24),
    ("npm_", 30),
];
/// What stands in the place of a secret.
pub const MASK: &str = "***";
/// A known value that is shorter is as likely an ordinary word.
const SHORTEST: usize = 6;

/// Whether a variable or a key of such a name holds a secret.
pub fn is_name_of_secret(name: &str) -> bool {
    let name = name.to_lowercase().replace('-', "_");
    NAMES.iter().any(|part| name.contains(part)) || name.ends_with("_key") || name.ends_with("_pass")
}

/// Takes secrets out of a text: those that are known by their value, and what looks like one. Masks too much rather than
/// too little.
#[derive(Clone, Default)]
pub struct Masks {
    known: Vec<String>,
}

// They are secrets: only how many there are is shown.
impl std::fmt::Debug for Masks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Masks({})", self.known.len())
    }
}

impl Masks {
    /// Values that must not be told. Very short ones are left out.
    pub fn new(known: impl IntoIterator<Item = String>) -> Self {
        let mut known: Vec<String> = known.into_iter().filter(|value| value.trim().len() >= SHORTEST).collect();
        // One may hold another.
        known.sort_by_key(|value| std::cmp::Reverse(value.len()));
        known.dedup();
        Self { known }
    }

    /// The text without them.
    pub fn mask(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for value in &self.known {
            text = text.replace(value.as_str(), MASK);
            // As it stands in JSON and in addresses.
            let quoted: String = value.escape_default().collect();
            text = text.replace(&quoted, MASK);
        }
        without_blocks(&text).split_inclusive('\n').map(mask_line).collect()
    }
}

/// Keys that stand in blocks of their own.
fn without_blocks(text: &str) -> String {
    let mut out = String::new();
    let mut inside = false;
    for line in text.split_inclusive('\n') {
        let begins = line.contains("-----BEGIN ") && line.contains("PRIVATE KEY");
        if begins {
            inside = true;
            out.push_str(MASK);
            out.push('\n');
        }
        if !inside {
            out.push_str(line);
        }
        inside = inside && !line.contains("-----END ");
    }
    out
}

/// Within one line: words that look like keys, what stands behind a name of a secret, and passwords in addresses.
fn mask_line(line: &str) -> String {
    let is_part = |c: char| c.is_ascii_alphanumeric() || "-_./+@%~".contains(c) || !c.is_ascii();
    let (mut out, mut rest) = (String::with_capacity(line.len()), line);
    // A name of a secret was seen, and what follows is its value.
    let mut expected = false;
    let mut former = "";
    while !rest.is_empty() {
        let end = rest.find(|c: char| !is_part(c)).unwrap_or(rest.len());
        let (word, behind) = rest.split_at(end);
        if !word.is_empty() {
            let is_scheme = word.eq_ignore_ascii_case("bearer") || word.eq_ignore_ascii_case("basic");
            if expected && !is_scheme || looks_secret(word) {
                out.push_str(MASK);
                expected = false;
            } else {
                out.push_str(&without_password(word, former.starts_with("//") && out.ends_with(':')));
                expected = is_scheme || (is_name_of_secret(word) && is_followed_by_value(word, behind));
            }
            former = word;
        }
        let mut gap = behind.char_indices().skip(1).find(|(_, c)| is_part(*c)).map_or(behind.len(), |(at, _)| at);
        if behind.is_empty() {
            gap = 0;
        }
        out.push_str(&behind[..gap]);
        rest = &behind[gap..];
    }
    out
}

/// `= value`, `: value`, `": "value"`; of an option also `", "value"` and ` value`.
fn is_followed_by_value(word: &str, behind: &str) -> bool {
    let sign = behind.trim_start_matches(['"', '\'', ' ', ']']);
    sign.starts_with(['=', ':']) && !sign.starts_with("::")
        || word.starts_with("--") && (sign.starts_with(',') || behind.starts_with(' '))
}

fn looks_secret(word: &str) -> bool {
    BEGINS.iter().any(|(begin, least)| {
        let body = word.strip_prefix(begin).unwrap_or_default();
        word.len() >= *least && body.chars().any(|c| c.is_ascii_digit()) && body.chars().all(|c| !"/%@".contains(c))
    })
}

/// `//user:password@host` is cut into words at its colon: what ends in `@host` behind it is the password. `of_user`: a user
/// stands before it.
fn without_password(word: &str, of_user: bool) -> String {
    match word.rsplit_once('@') {
        Some((before, host)) if !before.is_empty() && (of_user || host.contains('.')) => format!("{MASK}@{host}"),
        _ => word.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_masked_by_value_and_by_look() {
        let masks = Masks::new(["planted\"value".to_owned(), "abc".to_owned()]);
        for (text, want) in [
            ("x planted\"value y", "x *** y"),
            (r#"{"v":"planted\"value"}"#, r#"{"v":"***"}"#),
            ("abc stays", "abc stays"),
            ("key sk-abcdefghijklmnop1234 end", "key *** end"),
            ("Authorization: Bearer t-g1044qeGEDXTB6NDJOGV4JQCYDGHRBARFTGT1234", "Authorization: Bearer ***"),
            (r#""app_secret": "hush-hush", "x": 1"#, r#""app_secret": "***", "x": 1"#),
            ("FEISHU_APP_SECRET=hush", "FEISHU_APP_SECRET=***"),
            ("proxy http://li:p4ss@proxy.example:3128/x", "proxy http://li:***@proxy.example:3128/x"),
            ("postgres://app:hunter2@localhost/db", "postgres://app:***@localhost/db"),
            (r#"http_headers = { "X-Api-Key" = "hush" }"#, r#"http_headers = { "X-Api-Key" = "***" }"#),
            (r#"args = ["--api-key", "hush", "-v"]"#, r#"args = ["--api-key", "***", "-v"]"#),
            ("a token was refused", "a token was refused"),
            ("turn 0192f0c1-7b1c-7000-8000-000000000001 ended", "turn 0192f0c1-7b1c-7000-8000-000000000001 ended"),
            ("oc_a0553eda9014c201e6969b478895c230", "oc_a0553eda9014c201e6969b478895c230"),
            ("路径 a/b.rs：没有问题\n", "路径 a/b.rs：没有问题\n"),
        ] {
            assert_eq!(masks.mask(text), want, "{text}");
        }
        let block = "a\n-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END OPENSSH PRIVATE KEY-----\nb\n";
        assert_eq!(masks.mask(block), "a\n***\nb\n");
        assert!(!format!("{masks:?}").contains("planted"));
    }

    #[test]
    fn names_of_secrets() {
        for (name, want) in [
            ("GITHUB_TOKEN", true),
            ("db_password", true),
            ("OPENAI_API_KEY", true),
            ("PATH", false),
            ("X-Api-Key", true),
            ("keymap", false),
        ] {
            assert_eq!(is_name_of_secret(name), want, "{name}");
        }
    }
}
