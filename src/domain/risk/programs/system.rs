//! The shell's builtins, programs that run others, and those that concern the machine.

use super::Call;
use super::args::Args;
use super::files::placed;
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
        "ps" => match words.iter().any(|word| {
            !word.text.starts_with("--")
                && !matches!(word.text.as_str(), "-e" | "-ef" | "-eo" | "-efww" | "-eF")
                && word.text.trim_start_matches('-').contains('e')
                && !word.text.contains(['=', ','])
                && word.text.len() < 6
                && !word.text.starts_with("-o")
        }) {
            true => Class::Secret,
            false => Class::ReadOut,
        },
        "lsof" | "top" | "htop" | "vmstat" | "iostat" | "dmesg" | "lsblk" | "lspci" | "lsusb" | "ifconfig" => {
            match words.iter().all(|word| {
                word.text.starts_with('-') || word.text.starts_with(':') || word.text.parse::<u32>().is_ok()
            }) {
                true => Class::ReadOut,
                false => Class::Unknown,
            }
        }
        "ip" => match words
            .iter()
            .any(|word| matches!(word.text.as_str(), "add" | "del" | "set" | "flush" | "netns" | "change" | "replace"))
        {
            true => Class::Privilege,
            false => Class::ReadOut,
        },
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
        "xargs" => xargs(call),
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
        // The values of assignments were judged where they stand; here only what is passed on.
        if !word.text.contains('=') {
            class = class.max(super::variable(set));
        }
    }
    class
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

fn xargs(call: &mut Call<'_, '_, '_>) -> Class {
    let words = call.args.0;
    let mut at = 0;
    let mut mark: Option<String> = None;
    while let Some(word) = words.get(at).filter(|word| word.text.starts_with('-')) {
        match word.text.as_str() {
            "-0" | "-r" | "-t" | "-x" | "--null" | "--no-run-if-empty" => {}
            "-n" | "-P" | "-L" | "-s" | "-d" => at += 1,
            "-I" => {
                mark = words.get(at + 1).map(|word| word.text.clone());
                at += 1;
            }
            text if text.starts_with("-I") => mark = Some(text[2..].to_owned()),
            text if ["-n", "-P", "-L"]
                .iter()
                .any(|option| text.starts_with(option) && text[2..].parse::<u32>().is_ok()) => {}
            _ => return Class::Unknown,
        }
        at += 1;
    }
    let inner = &words[at.min(words.len())..];
    if inner.is_empty() {
        return Class::Read;
    }
    // Names of files below the current directory, or nobody knows what.
    let safe = call.stdin.names && super::reads_only(&inner[0].text);
    let item = if safe { Word { glob: true, ..Word::fixed("./*") } } else { Word::unknown() };
    let mut argv: Vec<Word> = match &mark {
        Some(mark) if !mark.is_empty() => inner.iter().map(|word| placed(word, mark, &item)).collect(),
        _ => inner.to_vec(),
    };
    if mark.is_none() {
        argv.push(item);
    }
    call.judge.words(&argv, &super::Stdin::default())
}
