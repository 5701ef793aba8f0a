//! Programs that talk to others.

use super::Call;
use crate::domain::risk::Class;
use crate::domain::risk::words::Word;

pub(super) fn judge(call: &mut Call<'_, '_, '_>, name: &str) -> Option<Class> {
    let args = call.args;
    let first = args.0.iter().map(|arg| arg.text.as_str()).find(|text| !text.starts_with('-')).unwrap_or_default();
    let second = args.positionals().get(1).map(|word| word.text.clone()).unwrap_or_default();
    Some(match name {
        "curl" => curl(call),
        "wget" => wget(call),
        "ping" | "dig" | "nslookup" | "host" | "traceroute" | "whois" | "mtr" => match args.any(&["-f"]) {
            true => Class::Unknown,
            false => Class::Fetch,
        },
        "ssh" | "scp" | "sftp" | "rsync" | "ftp" | "lftp" | "telnet" | "nc" | "ncat" | "netcat" | "socat" | "mosh"
        | "ssh-copy-id" | "autossh" => remote(call, name),
        "ssh-keygen" | "ssh-add" | "ssh-agent" | "gpg" | "gpg2" | "openssl" | "age" => keys(call, name, first),
        "gh" | "glab" | "hub" => match (first, second.as_str()) {
            ("auth", "token") => Class::Secret,
            ("auth", "status") if args.has('t', "--show-token") => Class::Secret,
            ("auth", _) => Class::Privilege,
            (
                "repo" | "issue" | "pr" | "release" | "gist" | "run" | "cache" | "secret" | "ssh-key" | "workflow"
                | "project",
                "delete" | "remove",
            ) => Class::Destroy,
            _ => Class::Publish,
        },
        "kubectl" | "oc" | "helm" => match (first, second.as_str()) {
            ("delete" | "drain" | "uninstall", _) => Class::Destroy,
            (_, sub) if first == "get" && sub.starts_with("secret") => Class::Secret,
            ("config", "view") if args.any(&["--raw"]) => Class::Secret,
            _ => Class::Publish,
        },
        "terraform" | "tofu" | "pulumi" | "cdk" => match first {
            "fmt" | "validate" if name != "pulumi" => call.here(),
            "version" => Class::Read,
            "destroy" => Class::Destroy,
            "apply" if args.any(&["-destroy", "--destroy"]) => Class::Destroy,
            "output" | "show" => Class::Secret,
            _ => Class::Publish,
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
        | "clickhouse-client" => database(call, name),
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
        "docker" | "podman" | "nerdctl" | "docker-compose" | "buildah" | "ctr" | "crictl" => {
            docker(name, first, &second)
        }
        _ => return None,
    })
}

fn curl(call: &Call<'_, '_, '_>) -> Class {
    let args = call.args;
    if args.options().any(|o| o.starts_with("-K") || o.starts_with("--config")) || args.has('K', "") {
        return Class::Unknown;
    }
    // Long options that are known to only shape a download.
    let long = [
        "--silent",
        "--show-error",
        "--location",
        "--fail",
        "--head",
        "--include",
        "--compressed",
        "--output",
        "--remote-name",
        "--header",
        "--user-agent",
        "--max-time",
        "--connect-timeout",
        "--retry",
        "--insecure",
        "--verbose",
        "--write-out",
        "--get",
        "--http1.1",
        "--http2",
        "--range",
        "--progress-bar",
        "--create-dirs",
        "--request",
        "--url",
        "--fail-with-body",
        "--retry-delay",
        "--no-progress-meter",
        "--proto",
        "--tlsv1.2",
        "--remote-header-name",
        "--ipv4",
        "--no-buffer",
        "--parallel",
        "--globoff",
    ];
    let short = "sSLfIioOHAmkvwGrNgJ#4Z0Xy";
    let mut skip = false;
    let mut class = Class::Fetch;
    for (at, arg) in args.0.iter().enumerate() {
        let text = arg.text.as_str();
        let next = args.0.get(at + 1).map(|arg| arg.text.as_str()).unwrap_or_default();
        if std::mem::take(&mut skip) {
            continue;
        }
        if let Some(name) = text.strip_prefix("--") {
            let takes = [
                "output",
                "header",
                "user-agent",
                "max-time",
                "connect-timeout",
                "retry",
                "write-out",
                "range",
                "request",
                "url",
                "retry-delay",
                "proto",
            ];
            let plain = text.split('=').next().unwrap_or_default();
            // What sends; of the rest some write files and run things.
            let sends =
                ["--data", "--form", "--json", "--upload-file", "--user", "--cookie", "--referer", "--oauth2-bearer"];
            if !long.contains(&plain) {
                let known = sends.iter().any(|name| plain.starts_with(name)) && !plain.starts_with("--cookie-jar");
                class = class.max(if known { Class::Publish } else { Class::Unknown });
            }
            skip = takes.contains(&name) && plain != "--url";
            class = class.max(match plain {
                "--output" => call.write(&Word::fixed(text.split_once('=').map_or(next, |(_, value)| value))),
                "--remote-name" | "--remote-header-name" => call.here().max(Class::Write),
                "--request" => method(next),
                "--header" => header(call, next),
                "--write-out" if next.contains("output{") || next.starts_with('@') => Class::Unknown,
                _ => Class::Read,
            });
        } else if let Some(cluster) = text.strip_prefix('-').filter(|cluster| !cluster.is_empty()) {
            for (at, c) in cluster.char_indices() {
                if !short.contains(c) {
                    class = class.max(if "dFTbuexQn".contains(c) { Class::Publish } else { Class::Unknown });
                }
                let rest = &cluster[at + c.len_utf8()..];
                let value = if rest.is_empty() { next } else { rest };
                class = class.max(match c {
                    'o' => call.write(&Word::fixed(value)),
                    'O' | 'J' => call.here(),
                    'X' => method(value),
                    'H' => header(call, value),
                    'w' if value.contains("output{") || value.starts_with('@') => Class::Unknown,
                    _ => Class::Read,
                });
                if "oHAmwrXydFTbuexQ".contains(c) {
                    skip = rest.is_empty();
                    break;
                }
            }
        } else if text.starts_with("file:") {
            class = class.max(
                call.read(&Word::fixed(text.trim_start_matches("file://").trim_start_matches("file:")))
                    .max(Class::Unknown),
            );
        } else if text.contains("://") && !text.starts_with("http") && !text.starts_with("ftp") {
            class = class.max(Class::Publish);
        }
    }
    class
}

fn method(name: &str) -> Class {
    match name.to_uppercase().as_str() {
        "GET" | "HEAD" | "OPTIONS" => Class::Fetch,
        _ => Class::Publish,
    }
}

/// A header from a file sends that file.
fn header(call: &Call<'_, '_, '_>, text: &str) -> Class {
    match text.strip_prefix('@') {
        Some(path) => call.read(&Word::fixed(path)).max(Class::Publish),
        None => Class::Fetch,
    }
}

fn wget(call: &Call<'_, '_, '_>) -> Class {
    let args = call.args;
    if args.options().any(|o| {
        [
            "--post",
            "--body",
            "--method",
            "--upload",
            "--header",
            "--user=",
            "--password",
            "--http-",
            "--ftp-",
            "--load-c",
            "--cert",
            "--private",
        ]
        .iter()
        .any(|name| o.starts_with(name))
    }) {
        return Class::Publish;
    }
    if args.options().any(|o| {
        [
            "-e",
            "--ex",
            "--config",
            "--use-askpass",
            "-i",
            "--input",
            "-a",
            "--append",
            "--save",
            "--warc",
            "--rejected",
            "--hsts",
        ]
        .iter()
        .any(|name| o.starts_with(name))
    }) || args.has('e', "")
    {
        return Class::Unknown;
    }
    let mut targets = args.values("O", "--output-document");
    targets.extend(args.values("P", "--directory-prefix"));
    targets.extend(args.values("o", "--output-file"));
    if args.any(&["--spider"]) {
        return Class::Fetch;
    }
    let plain = targets.iter().filter(|target| target.text != "-").map(|target| call.write_into(target)).max();
    let here = if targets.is_empty() { call.here() } else { Class::Read };
    plain.unwrap_or(Class::Read).max(here).max(Class::Fetch)
}

fn remote(call: &Call<'_, '_, '_>, name: &str) -> Class {
    let args = call.args;
    if args.0.iter().any(|arg| arg.text.to_lowercase().contains("command=") || arg.text.contains("localcommand")) {
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
            "rand" if args.values("", "-out").is_empty() && !args.any(&["-rand", "-writerand"]) => Class::Read,
            "dgst" if !args.any(&["-sign", "-out", "-engine", "-provider"]) => {
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

/// Statements: reading is only believed of one plain `SELECT` or the like.
fn database(call: &Call<'_, '_, '_>, name: &str) -> Class {
    let args = call.args;
    if args.0.len() == 1 && matches!(args.first(), "--version" | "-V") {
        return Class::Read;
    }
    let texts: Vec<String> = args.0.iter().map(|arg| arg.text.to_lowercase()).collect();
    let text = format!(" {} {} ", texts.join(" "), call.stdin.text.clone().unwrap_or_default().to_lowercase());
    let destroys =
        ["drop ", "truncate ", "delete ", "flushall", "flushdb", "deletemany", ".drop(", "remove(", " del ", "unlink "];
    if destroys.iter().any(|word| text.contains(word)) {
        return Class::Destroy;
    }
    // Their own commands run programs and read files.
    if text.contains('\\')
        || text.contains(".shell")
        || text.contains(".system")
        || text.contains("copy ")
        || text.contains(".import")
        || text.contains(".output")
    {
        return Class::Unknown;
    }
    let file = matches!(name, "sqlite3" | "duckdb");
    let plain = args.positionals();
    if !file {
        // Statements that stand in a file.
        let told =
            ["-c", "--command", "-e", "--execute", "--eval", "-l", "--list"].iter().any(|option| args.any(&[option]))
                || name == "redis-cli";
        let hidden =
            args.any(&["-f", "--file", "--pipe", "--init-command"]) || call.stdin.given && call.stdin.text.is_none();
        return if told && !hidden { Class::Publish } else { Class::Unknown };
    }
    let [path, statement] = plain.as_slice() else { return Class::Unknown };
    if args.options().any(|o| !matches!(o, "-readonly" | "-json" | "-csv" | "-header" | "-column" | "-line")) {
        return Class::Unknown;
    }
    let statement = statement.text.trim().to_lowercase();
    let reads = matches!(statement.as_str(), ".tables" | ".schema")
        || statement.starts_with("select ")
            && !["load_extension", "writefile", "readfile", "edit(", "attach", ";"]
                .iter()
                .any(|word| statement.trim_end_matches(';').contains(word));
    if reads {
        call.read(path)
    } else if statement.starts_with('.') {
        Class::Unknown
    } else {
        call.write(path).max(Class::Write).max(Class::Publish)
    }
}

fn docker(name: &str, first: &str, second: &str) -> Class {
    match (first, second) {
        ("version" | "--version", _) => Class::Read,
        ("ps" | "images" | "info" | "logs", _)
        | ("image" | "container" | "volume" | "network" | "compose", "ls" | "list") => Class::ReadOut,
        ("push", _) | ("image" | "compose", "push") => Class::Publish,
        ("pull", _) | ("image" | "compose", "pull") => Class::Fetch,
        ("rm" | "rmi" | "kill" | "stop" | "prune", _)
        | ("system" | "volume" | "image" | "container" | "network", "prune" | "rm") => Class::Destroy,
        ("down", _) if name == "docker-compose" => Class::Destroy,
        ("compose", "down" | "rm" | "kill") => Class::Destroy,
        // The daemon runs as root and mounts what it is told.
        _ => Class::Privilege,
    }
}
