//! Programs that talk to others.

use super::args::Known;
use super::{Call, databases, downloads};
use crate::domain::risk::Class;
use crate::domain::risk::words::Word;

const FORGE: Known = Known { alone: &[], taking: &["-R", "--repo"] };
const CLUSTER: Known = Known {
    alone: &["-A", "--all-namespaces"],
    taking: &["-n", "--namespace", "--context", "--cluster", "--request-timeout", "-v"],
};
const TERRAFORM: Known = Known { alone: &[], taking: &["-chdir", "--chdir"] };
const DOCKER: Known = Known { alone: &["-D", "--debug"], taking: &["-l", "--log-level"] };
const DIGESTS: [&str; 9] = ["-sha1", "-sha224", "-sha256", "-sha384", "-sha512", "-md5", "-r", "-hex", "-binary"];

pub(super) fn judge(call: &mut Call<'_, '_, '_>, name: &str) -> Option<Class> {
    let args = call.args;
    let first = args.0.iter().map(|arg| arg.text.as_str()).find(|text| !text.starts_with('-')).unwrap_or_default();
    Some(match name {
        "curl" => downloads::curl(call),
        "wget" => downloads::wget(call),
        "ping" | "dig" | "nslookup" | "host" | "traceroute" | "whois" | "mtr" => match args.any(&["-f"]) {
            true => Class::Unknown,
            false => Class::Fetch,
        },
        "ssh" | "scp" | "sftp" | "rsync" | "ftp" | "lftp" | "telnet" | "nc" | "ncat" | "netcat" | "socat" | "mosh"
        | "ssh-copy-id" | "autossh" => remote(call, name),
        "ssh-keygen" | "ssh-add" | "ssh-agent" | "gpg" | "gpg2" | "openssl" | "age" => keys(call, name, first),
        "gh" | "glab" | "hub" => forge(call),
        "kubectl" | "oc" | "helm" => cluster(call),
        "terraform" | "tofu" | "pulumi" | "cdk" => match args.subcommand(&TERRAFORM).map(|at| args.0[at].text.as_str())
        {
            None if args.positionals().is_empty() => Class::Publish,
            None => Class::Unknown,
            Some("fmt" | "validate") if name != "pulumi" => call.here(),
            Some("version") => Class::Read,
            Some("destroy" | "taint") => Class::Destroy,
            Some("state" | "workspace") if args.0.iter().any(|arg| matches!(arg.text.as_str(), "rm" | "delete")) => {
                Class::Destroy
            }
            Some("apply") if args.any(&["-destroy", "--destroy"]) => Class::Destroy,
            Some("output" | "show") => Class::Secret,
            Some(_) => Class::Publish,
        },
        "aws" | "gcloud" | "az" | "gsutil" | "bq" | "doctl" | "flyctl" | "fly" | "heroku" | "vercel" | "netlify"
        | "wrangler" | "firebase" | "eb" | "sam" | "serverless" | "sls" | "ansible" | "ansible-playbook" | "lark"
        | "feishu" | "s3cmd" | "rclone" => {
            let words: Vec<&str> = args.0.iter().map(|arg| arg.text.as_str()).collect();
            let deletes = words.iter().any(|word| {
                ["rm", "rb", "delete", "destroy", "terminate", "purge", "remove"]
                    .iter()
                    .any(|verb| word.split(['-', ':']).any(|part| part == *verb))
            });
            let secret = words.iter().any(|word| {
                [
                    "secretsmanager",
                    "print-access-token",
                    "get-login-password",
                    "get-secret-value",
                    "get-session-token",
                    "print-identity-token",
                    "get-access-token",
                    "config:get",
                    "export-credentials",
                ]
                .contains(word)
            });
            if secret {
                Class::Secret
            } else if deletes {
                Class::Destroy
            } else {
                Class::Publish
            }
        }
        "psql" | "mysql" | "mariadb" | "sqlite3" | "duckdb" | "mongosh" | "mongo" | "redis-cli"
        | "clickhouse-client" => databases::judge(call, name),
        "dropdb" | "dropuser" => Class::Destroy,
        "createdb" | "pg_restore" | "mysqladmin" | "createuser" => Class::Publish,
        "pg_dump" | "pg_dumpall" | "mysqldump" | "mongodump" => args
            .values("f", "--file")
            .iter()
            .map(|path| call.write(path))
            .max()
            .unwrap_or(Class::Read)
            .max(Class::Publish),
        "mail" | "mailx" | "sendmail" | "msmtp" | "mutt" | "swaks" | "twine" => Class::Publish,
        "docker" | "podman" | "nerdctl" | "docker-compose" | "buildah" | "ctr" | "crictl" => docker(call, name),
        _ => return None,
    })
}

fn remote(call: &Call<'_, '_, '_>, name: &str) -> Class {
    let args = call.args;
    if args.0.iter().any(|arg| arg.text.to_lowercase().contains("command=") || arg.text.contains("localcommand")) {
        return Class::Unknown;
    }
    // `-o 'ProxyCommand x'`, and a file that says so.
    let says = |word: &Word| {
        ["proxycommand", "localcommand", "hostscommand"].iter().any(|o| word.text.to_lowercase().contains(o))
    };
    if matches!(name, "ssh" | "scp" | "sftp") && (args.0.iter().any(says) || args.has('F', "")) {
        return Class::Unknown;
    }
    let paths: Vec<Word> = args.positionals().into_iter().cloned().collect();
    let local = |path: &&Word| !path.text.contains(':');
    match name {
        "ssh" if args.0.len() == 1 && args.first() == "-V" => Class::Read,
        "ssh" => match paths.iter().any(|word| {
            word.text.contains("rm -") || word.text.contains("sudo ") || word.text == "rm" || word.text == "sudo"
        }) {
            true => Class::Unknown,
            false => Class::Publish,
        },
        "nc" | "ncat" | "netcat" | "socat"
            if args.has('e', "--exec")
                || args.has('c', "--sh-exec")
                || args.0.iter().any(|arg| {
                    arg.text.to_uppercase().contains("EXEC:") || arg.text.to_uppercase().contains("SYSTEM:")
                }) =>
        {
            Class::Unknown
        }
        "rsync" => {
            let runs = args.has('e', "--rsh")
                || args.any(&["--rsync-path"])
                || args.has('M', "--remote-option")
                || args.may_be_options();
            if runs
                || args.options().any(|o| {
                    [
                        "--files-from",
                        "--include-from",
                        "--exclude-from",
                        "--write-batch",
                        "--log-file",
                        "--temp-dir",
                        "--daemon",
                        "--config",
                        "--backup-dir",
                        "--partial-dir",
                    ]
                    .iter()
                    .any(|n| o.starts_with(n))
                })
            {
                return Class::Unknown;
            }
            let Some((target, sources)) = paths.split_last() else { return Class::Unknown };
            let mut class = sources.iter().filter(local).map(|path| call.read_all(path)).max().unwrap_or(Class::Read);
            class = class.max(if local(&target) {
                super::files::unpacked(call.write_into(target))
            } else {
                Class::Publish
            });
            if sources.iter().any(|path| path.text.contains(':')) {
                class = class.max(Class::Publish);
            }
            let removes = args.options().any(|o| o.starts_with("--del") || o.starts_with("--remove"));
            class.max(if removes { Class::Destroy } else { Class::Autorun })
        }
        "scp" if args.has('S', "") => Class::Unknown,
        "scp" | "sftp" => {
            let last = paths.last().filter(local).map(|path| call.write_into(path)).unwrap_or(Class::Read);
            let reads = paths.iter().filter(local).map(|path| call.read_all(path));
            let reads = reads.filter(|class| *class > Class::ReadOut).max().unwrap_or(Class::Read);
            last.max(reads).max(Class::Publish)
        }
        _ => Class::Publish,
    }
}

fn keys(call: &Call<'_, '_, '_>, name: &str, first: &str) -> Class {
    let args = call.args;
    match name {
        "openssl" => match first {
            "version" => Class::Read,
            "rand" if args.options().all(|option| matches!(option, "-hex" | "-base64")) => Class::Read,
            "dgst" if args.options().all(|option| DIGESTS.contains(&option)) => {
                args.positionals().iter().skip(1).map(|path| call.read(path)).max().unwrap_or(Class::Read)
            }
            _ => Class::Unknown,
        },
        "ssh-keygen" if args.first() == "-l" => Class::ReadOut,
        "gpg" | "gpg2" if args.any(&["--export-secret-keys", "--export-secret-subkeys", "-d", "--decrypt"]) => {
            Class::Secret
        }
        "gpg" | "gpg2" if args.first() == "--verify" => {
            args.positionals().iter().map(|path| call.read(path)).max().unwrap_or(Class::Read).max(Class::ReadOut)
        }
        _ => Class::Privilege,
    }
}

/// `gh` and the like.
fn forge(call: &Call<'_, '_, '_>) -> Class {
    let args = call.args;
    let Some(at) = args.subcommand(&FORGE) else {
        return if args.positionals().is_empty() { Class::Publish } else { Class::Unknown };
    };
    let rest: Vec<&str> = args.0[at + 1..].iter().map(|arg| arg.text.as_str()).collect();
    let objects = [
        "repo", "issue", "pr", "release", "gist", "run", "cache", "secret", "ssh-key", "workflow", "project", "label",
        "variable",
    ];
    let deletes = rest.iter().any(|word| matches!(word.to_lowercase().as_str(), "delete" | "remove" | "-xdelete"));
    match (args.0[at].text.as_str(), rest.first().copied().unwrap_or_default()) {
        ("auth", "status") if !args.has('t', "--show-token") => Class::Privilege,
        ("auth", "token" | "status") => Class::Secret,
        ("auth", _) if rest.contains(&"token") => Class::Secret,
        ("auth", _) => Class::Privilege,
        ("alias" | "extension", _) => Class::Unknown,
        ("api", _) if deletes => Class::Destroy,
        (object, _) if deletes && objects.contains(&object) => Class::Destroy,
        _ => Class::Publish,
    }
}

/// `kubectl` and `helm`.
fn cluster(call: &Call<'_, '_, '_>) -> Class {
    let args = call.args;
    let Some(at) = args.subcommand(&CLUSTER) else {
        return if args.positionals().is_empty() { Class::Publish } else { Class::Unknown };
    };
    let rest = &args.0[at + 1..];
    let secret = |word: &Word| word.text.split([',', '/']).any(|part| part.to_lowercase().starts_with("secret"));
    match args.0[at].text.as_str() {
        "get" | "describe" | "edit" if rest.iter().any(secret) => Class::Secret,
        "config" if rest.iter().any(|word| word.text == "view") && args.any(&["--raw"]) => Class::Secret,
        "delete" | "drain" | "uninstall" | "del" | "un" => Class::Destroy,
        "plugin" => Class::Unknown,
        _ => Class::Publish,
    }
}

fn docker(call: &Call<'_, '_, '_>, name: &str) -> Class {
    let args = call.args;
    if args.0.len() == 1 && args.first() == "--version" {
        return Class::Read;
    }
    // The daemon runs as root and mounts what it is told.
    let Some(at) = args.subcommand(&DOCKER) else { return Class::Privilege };
    let second = args.0.get(at + 1).map_or("", |word| word.text.as_str());
    match (args.0[at].text.as_str(), second) {
        ("version", _) => Class::Read,
        ("ps" | "images" | "info" | "logs", _)
        | ("image" | "container" | "volume" | "network" | "compose", "ls" | "list") => Class::ReadOut,
        ("push", _) | ("image" | "compose", "push") => Class::Publish,
        ("pull", _) | ("image" | "compose", "pull") => Class::Fetch,
        ("rm" | "rmi" | "kill" | "stop" | "prune", _)
        | ("system" | "volume" | "image" | "container" | "network", "prune" | "rm") => Class::Destroy,
        ("down", _) if name == "docker-compose" => Class::Destroy,
        ("compose", "down" | "rm" | "kill") => Class::Destroy,
        _ => Class::Privilege,
    }
}
