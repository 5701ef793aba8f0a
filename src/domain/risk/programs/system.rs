//! The shell's builtins, programs that run others, and those that concern the machine.

use super::Call;
use super::args::Args;
use crate::domain::risk::Class;
use crate::domain::risk::words::Word;

/// Whatever their words are.
pub(super) fn always(name: &str) -> Option<Class> {
    Some(match name {
        "sudo"
        | "doas"
        | "su"
        | "pkexec"
        | "runuser"
        | "setcap"
        | "chown"
        | "chgrp"
        | "crontab"
        | "at"
        | "batch"
        | "launchctl"
        | "systemctl"
        | "service"
        | "systemd-run"
        | "mount"
        | "umount"
        | "iptables"
        | "ip6tables"
        | "nft"
        | "ufw"
        | "sysctl"
        | "insmod"
        | "modprobe"
        | "rmmod"
        | "useradd"
        | "usermod"
        | "userdel"
        | "groupadd"
        | "passwd"
        | "visudo"
        | "chroot"
        | "unshare"
        | "nsenter"
        | "setfacl"
        | "chattr"
        | "loginctl"
        | "hostnamectl"
        | "csrutil"
        | "spctl"
        | "tccutil"
        | "dscl"
        | "codex"
        | "claude"
        | "bwrap"
        | "firejail"
        | "sandbox-exec"
        | "adduser"
        | "chpasswd"
        | "swapon"
        | "swapoff"
        | "losetup"
        | "cryptsetup"
        | "chsh"
        | "update-alternatives"
        | "ldconfig"
        | "capsh"
        | "newgrp"
        | "gpasswd"
        | "xattr" => Class::Privilege,
        "reboot" | "shutdown" | "halt" | "poweroff" | "init" | "telinit" | "fdisk" | "parted" | "sfdisk" | "wipefs"
        | "diskutil" | "blkdiscard" | "kill" | "pkill" | "killall" | "xkill" | "fuser" | "skill" | "hdparm" => {
            Class::Destroy
        }
        _ if name.starts_with("mkfs") => Class::Destroy,
        "printenv" | "security" | "secret-tool" | "pass" | "op" | "keyring" | "vault" | "lpass" | "bw" | "gopass" => {
            Class::Secret
        }
        "eval" | "source" | "." | "exec" | "trap" | "alias" | "unalias" | "enable" | "shopt" | "bind" | "complete"
        | "builtin" | "mapfile" | "readarray" | "getopts" | "hash" | "let" | "fc" | "history" | "script" | "screen"
        | "tmux" | "watch" | "parallel" | "entr" | "gdb" | "lldb" | "strace" | "ltrace" | "dtrace" | "open"
        | "xdg-open" | "start" => Class::Unknown,
        _ => return None,
    })
}

pub(super) fn judge(call: &mut Call<'_, '_, '_>, name: &str) -> Option<Class> {
    let args = call.args;
    let words = args.0;
    let first = args.first();
    Some(match name {
        "cd" | "pushd" => {
            let plain: Vec<&Word> =
                words.iter().filter(|arg| !matches!(arg.text.as_str(), "-L" | "-P" | "--") || arg.dynamic).collect();
            match plain.as_slice() {
                [] => call.judge.enter(&Word::fixed(call.judge.place.home.display().to_string())),
                [word] if word.text.starts_with(['-', '+']) || word.dynamic => {
                    call.judge.lose_directory();
                    return Some(if word.dynamic { Class::Unknown } else { Class::Read });
                }
                [word] => {
                    let class = call.list(word);
                    call.judge.enter(word);
                    return Some(class);
                }
                _ => return Some(Class::Unknown),
            }
            Class::ReadOut
        }
        "popd" | "dirs" => {
            call.judge.lose_directory();
            Class::Read
        }
        "set" => match words {
            [] => Class::Secret,
            _ if args.0.iter().all(|arg| {
                !arg.dynamic
                    && matches!(
                        arg.text.as_str(),
                        "-e" | "-u"
                            | "-x"
                            | "-eu"
                            | "-ex"
                            | "-eux"
                            | "-euo"
                            | "-euxo"
                            | "-o"
                            | "pipefail"
                            | "+e"
                            | "+u"
                            | "+x"
                            | "-f"
                            | "errexit"
                            | "nounset"
                            | "-eo"
                            | "+o"
                            | "-uo"
                    )
            }) =>
            {
                Class::Read
            }
            _ => Class::Unknown,
        },
        "export" | "declare" | "local" | "readonly" | "typeset" => declares(call, name),
        "unset" | "read" => {
            let mut class = Class::Read;
            let mut skip = false;
            for word in words {
                match word.text.as_str() {
                    _ if std::mem::take(&mut skip) => {}
                    _ if word.dynamic => class = Class::Unknown,
                    "-p" | "-d" | "-n" | "-t" | "-u" | "-N" => skip = true,
                    "-f" if name == "unset" => class = Class::Unknown,
                    text if text.starts_with('-') => {}
                    text if text.contains('[') => class = Class::Unknown,
                    text => {
                        class = class.max(super::variable(text));
                        call.judge.assign(text, None);
                    }
                }
            }
            class
        }
        "umask" | "ulimit" if words.len() <= 1 => Class::Read,
        // `-p` names a variable, whose index may run commands.
        "wait" => match args.options().next() {
            None => Class::Read,
            Some("-n" | "-f") if words.len() == 1 => Class::Read,
            Some(_) => Class::Unknown,
        },
        "arch" if words.is_empty() => Class::Read,
        // `-x` runs a command.
        "jobs" if args.options().any(|option| option[1..].contains(|c| !"lnprs".contains(c))) => Class::Unknown,
        "nvidia-smi" | "ss" | "netstat" | "pgrep" | "dmesg"
            if match name {
                "nvidia-smi" => !args.options().all(|option| {
                    matches!(option.split('=').next(), Some("-L" | "-q" | "--query-gpu" | "--format" | "--list-gpus"))
                }),
                "dmesg" => args.options().any(|option| !"-THwkurxl".contains(option) && option != "-Tx"),
                _ => args.has('K', "--kill") || args.has('F', "--filter") || args.has('D', "--diag"),
            } =>
        {
            Class::Destroy
        }
        "jobs" | "locale" | "getconf" | "lscpu" | "free" | "vm_stat" | "sw_vers" | "w" | "who" | "last"
        | "nvidia-smi" | "ss" | "netstat" | "pgrep" | "pidof" | "tput" | "logname" | "lsb_release" => {
            match words.iter().any(|word| word.text.starts_with("-K") || word.text.contains("--kill")) {
                true => Class::Destroy,
                false => Class::ReadOut.min(if matches!(name, "jobs" | "tput" | "locale" | "getconf" | "nproc") {
                    Class::Read
                } else {
                    Class::ReadOut
                }),
            }
        }
        "id" => Class::Read,
        "date" if args.options().any(|option| option.starts_with("--") && option.len() < 6) => Class::Unknown,
        "date" => match args.has('s', "--set")
            || args
                .positionals()
                .iter()
                .any(|arg| !arg.text.starts_with('+') && arg.text.bytes().all(|b| b.is_ascii_digit() || b == b'.'))
        {
            true => Class::Privilege,
            false => args
                .values("f", "--file")
                .iter()
                .chain(&args.values("r", "--reference"))
                .map(|path| call.read(path))
                .max()
                .unwrap_or(Class::Read),
        },
        "hostname" if words.is_empty() || first == "-f" || first == "-I" => Class::Read,
        "hostname" => Class::Privilege,
        // `e` shows the environment of every process.
        "ps" => ps(args),
        "lsof" | "top" | "htop" | "vmstat" | "iostat" | "dmesg" | "lsblk" | "lspci" | "lsusb" | "ifconfig" => {
            match words.iter().all(|word| {
                word.text.starts_with('-') || word.text.starts_with(':') || word.text.parse::<u32>().is_ok()
            }) {
                true => Class::ReadOut,
                false => Class::Unknown,
            }
        }
        "ip" => ip(args),
        "journalctl" => Class::ReadOut.max(
            if args.options().any(|o| o.starts_with("--vac") || o.starts_with("--ro") || o.starts_with("--fl")) {
                Class::Privilege
            } else {
                Class::ReadOut
            },
        ),
        "which" | "type" | "whereis" => Class::Read,
        "ally" => match (words, first) {
            ([_], "status" | "doctor") => Class::ReadOut,
            _ => Class::Privilege,
        },
        "env" => env(call),
        "command" => match first {
            "-v" | "-V" => Class::Read,
            _ => run(call, 0),
        },
        "nohup" | "setsid" | "chronic" => run(call, 0).max(if name == "nohup" { call.here() } else { Class::Read }),
        "time" => match first {
            "-p" | "-v" => run(call, 1),
            _ => run(call, 0),
        },
        "caffeinate" => {
            run(call, words.iter().take_while(|word| matches!(word.text.as_str(), "-i" | "-d" | "-s" | "-m")).count())
        }
        "timeout" => timeout(call),
        "nice" | "ionice" | "stdbuf" => {
            let mut at = 0;
            while let Some(word) = words.get(at).filter(|word| word.text.starts_with('-')) {
                let alone = matches!(word.text.as_str(), "-n" | "-c" | "-o" | "-e" | "-i" | "--adjustment");
                at += if alone { 2 } else { 1 };
                if word.text == "-p" {
                    return Some(Class::Unknown);
                }
            }
            run(call, at)
        }
        _ => return None,
    })
}

/// Judges the command that begins with the `at`-th word.
fn run(call: &mut Call<'_, '_, '_>, at: usize) -> Class {
    let words = call.args.rest(at).0;
    match words.first() {
        None => Class::Read,
        // An option that is not known.
        Some(word) if word.text.starts_with('-') => Class::Unknown,
        Some(_) => call.judge.words(words, call.stdin),
    }
}

fn declares(call: &mut Call<'_, '_, '_>, name: &str) -> Class {
    let words = call.args.0;
    let names = words.iter().filter(|word| !word.text.starts_with('-')).count();
    let options: String = words.iter().filter(|word| word.text.starts_with('-')).map(|word| &word.text[1..]).collect();
    // Functions, references, and the list of all that is set.
    if options.contains(['f', 'n', 'F', 'i', 'u', 'l']) || words.iter().any(|word| word.text.starts_with('+')) {
        return Class::Unknown;
    }
    if names == 0 {
        return if name == "local" { Class::Read } else { Class::Secret };
    }
    if options.contains('p') {
        return Class::Secret;
    }
    let mut class = Class::Read;
    for word in words.iter().filter(|word| !word.text.starts_with('-')) {
        let set = word.text.split('=').next().unwrap_or_default();
        // `export $x`: nobody knows what that sets.
        if set.is_empty() || word.dynamic && !word.text.contains('=') {
            class = Class::Unknown;
        }
        // What is quoted in the line is an assignment here.
        let (name, value) = match word.text.split_once('=') {
            Some((name, value)) => (name, Some(Word { text: value.to_owned(), ..word.clone() })),
            None => (set, None),
        };
        if name.contains(|c: char| !(c.is_ascii_alphanumeric() || c == '_')) {
            class = Class::Unknown;
        }
        class = class.max(match &value {
            Some(value) => super::assignment(name, Some(value), call.judge),
            None => super::variable(name),
        });
        if let Some(value) = value {
            // `~` stands for something else there.
            let value = Some(value).filter(|value| !value.text.contains('~'));
            call.judge.assign(name, value);
        }
    }
    class
}

/// `e` shows the environment of every process, but for the one behind a dash that only means all of them.
fn ps(args: Args<'_>) -> Class {
    let mut class = Class::ReadOut;
    let mut value = false;
    for word in args.0 {
        let text = word.text.as_str();
        let shows = match text.strip_prefix('-') {
            _ if text.contains("environ") => true,
            _ if std::mem::take(&mut value) => false,
            Some(long) if long.starts_with('-') => false,
            // `-aux` is read without its dash.
            Some(cluster) => {
                value = cluster.ends_with(['o', 'O', 'C', 'p', 'q', 't', 'g', 'G', 's']) || matches!(text, "-u" | "-U");
                let fixed = cluster.split('o').next().unwrap_or_default();
                cluster.contains('E') || fixed.contains('e') && fixed.contains(['a', 'u', 'x'])
            }
            None => text.contains('e') && !text.contains(['=', ',']),
        };
        if shows {
            class = Class::Secret;
        }
    }
    class
}

/// `ip` takes beginnings of its words: only what shows is known.
fn ip(args: Args<'_>) -> Class {
    let plain: Vec<&str> = args.positionals().iter().map(|word| word.text.as_str()).collect();
    let shows = ["addr", "address", "a", "link", "l", "route", "r", "neigh", "neighbour", "n", "rule", "ru"];
    let options = ["-4", "-6", "-s", "-d", "-j", "-o", "-br", "-brief", "-c", "-color", "-p", "-h"];
    if !args.options().all(|option| options.contains(&option)) {
        return Class::Unknown;
    }
    match plain.as_slice() {
        [] => Class::ReadOut,
        [object, ..] if !shows.contains(object) => match *object {
            "netns" => Class::Privilege,
            _ => Class::Unknown,
        },
        [_] | [_, "show" | "list" | "ls" | "get", ..] => Class::ReadOut,
        _ => Class::Privilege,
    }
}

fn env(call: &mut Call<'_, '_, '_>) -> Class {
    let words = call.args.0;
    let mut class = Class::Read;
    let mut at = 0;
    while let Some(word) = words.get(at) {
        let text = word.text.as_str();
        match text {
            "-i" | "-" | "--ignore-environment" | "-0" => {}
            "-u" => at += 1,
            "-C" | "--chdir" => {
                let dir = words.get(at + 1).cloned().unwrap_or_else(Word::unknown);
                let rest = Args(words.get(at + 2..).unwrap_or_default());
                let stdin = call.stdin;
                let listed = call.list(&dir);
                return class
                    .max(listed)
                    .max(call.judge.within(&dir, |judge| env(&mut Call { judge, args: rest, stdin })));
            }
            _ if text.starts_with('-') => return Class::Unknown,
            _ if text.contains('=') => {
                let (name, value) = text.split_once('=').unwrap_or_default();
                let value = Word { text: value.to_owned(), ..word.clone() };
                class = class.max(super::assignment(name, Some(&value), call.judge));
            }
            _ => break,
        }
        at += 1;
    }
    match words.get(at) {
        // Prints all that is set.
        None => Class::Secret,
        Some(_) => class.max(run(call, at)),
    }
}

fn timeout(call: &mut Call<'_, '_, '_>) -> Class {
    let words = call.args.0;
    let mut at = 0;
    while let Some(word) = words.get(at).filter(|word| word.text.starts_with('-')) {
        at += if matches!(word.text.as_str(), "-k" | "-s" | "--signal" | "--kill-after") { 2 } else { 1 };
    }
    run(call, at + 1)
}
