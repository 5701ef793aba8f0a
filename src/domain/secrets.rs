//! What is a secret by its name, wherever it lies: one table for the classifier, which judges words, and for the sandbox,
//! which holds bytes. All of it in lower case.

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
