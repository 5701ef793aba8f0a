#!/usr/bin/env bash
# The door of this checkout.
#
#   ./ally.sh demo [--say TEXT]   try ally: no account, no network, nothing is left behind
#   ./ally.sh setup               connect a Feishu app and set everything else up; may be left and taken up again
#   ./ally.sh test                everything that must hold before a commit
#   ./ally.sh crash [--seed N] [--rounds N] [--worlds N] [--no-release]
#                                 kills ally at random moments, and checks that nothing is lost or done twice
#   ./ally.sh bench [--quick] …   how fast it is on this machine (an optimised build)
#   ./ally.sh WORD …              any other word goes to the binary: start, stop, status, chat …
#
# Works from any folder, with bash 3.2 and later.
set -euo pipefail

here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
codex_version="0.169.0"
codex_home="$here/.runtimes/codex-$codex_version"
cargo="${CARGO:-cargo}"
binary="${CARGO_TARGET_DIR:-$here/target}/debug/ally"

say() { printf '%s\n' "$*" >&2; }
die() { say "error: $1"; [ $# -lt 2 ] || say "hint: $2"; exit 1; }
have() { command -v "$1" >/dev/null 2>&1; }

build() {
    have "$cargo" || die "cargo is not installed" "install Rust 1.95 or later (rustup.rs), then try again"
    (cd "$here" && "$cargo" build --locked --quiet --bin ally) || die "the build failed (see above)"
}

# Puts the pinned codex below .runtimes/; complete or not at all. Prints the program's path.
install_codex() {
    local program="$codex_home/node_modules/.bin/codex" fresh="$codex_home.new.$$" log
    if [ ! -x "$program" ]; then
        have npm && have node || { say "npm and node are not installed: no codex"; return 1; }
        say "installing codex $codex_version (once, about 400 MB) …"
        mkdir -p "$fresh"
        cp "$here/templates/runtimes/codex/package.json" "$here/templates/runtimes/codex/package-lock.json" "$fresh/"
        if ! log="$(cd "$fresh" && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error 2>&1)"; then
            rm -rf "$fresh"
            say "npm could not install codex:"
            say "$log"
            return 1
        fi
        # Somebody else may have been first: theirs is as good.
        mv "$fresh" "$codex_home" 2>/dev/null || rm -rf "$fresh"
        [ -x "$program" ] || { say "the codex package holds no program for this system"; return 1; }
    fi
    printf '%s\n' "$program"
}

demo() {
    local program
    build
    if [ "${ALLY_RUNTIME:-codex}" = codex ] && [ -z "${ALLY_RUNTIME_BIN:-}" ]; then
        if program="$(install_codex)"; then
            export ALLY_RUNTIME_BIN="$program"
        else
            say "the demo uses the runtime inside ally instead"
            export ALLY_RUNTIME=embedded
        fi
    fi
    exec "$binary" demo "$@"
}

# Processes of this checkout: the daemon, and the codex of .runtimes/.
processes() {
    ps -axo pid=,command= | awk -v daemon="$binary" -v codex="$codex_home/" \
        'index($0, "awk") == 0 && (index($0, daemon " ") || index($0, codex)) { print }'
}

new_processes() {
    local before="$1" line pid
    processes | while IFS= read -r line; do
        pid="$(printf '%s\n' "$line" | awk '{ print $1 }')"
        printf '%s\n' "$before" | awk '{ print $1 }' | grep -qx "$pid" || printf '%s\n' "$line"
    done
}

step() { say "— $*"; }

# Two for each processor, and not fewer than four.
test_threads() {
    local processors
    processors="$(getconf _NPROCESSORS_ONLN 2>/dev/null || echo 2)"
    [ "$processors" -ge 2 ] || processors=2
    echo "$((processors * 2))"
}

run_tests() {
    local missing="" tool before left="" program
    for tool in "$cargo" node npm git; do
        have "$tool" || missing="$missing $tool"
    done
    [ -z "$missing" ] || die "missing:$missing" "install Rust 1.95 or later, Node.js 22 with npm, and git"
    cd "$here"
    if [ -z "${ALLY_RUNTIME_BIN:-}" ]; then
        program="$(install_codex)" || die "the tests need the real codex" "check npm's registry setting and the network"
        export ALLY_RUNTIME_BIN="$program"
    fi
    before="$(processes)"
    step "format"
    "$cargo" fmt --check || die "not formatted" "run: cargo fmt"
    step "lints"
    "$cargo" clippy --locked --all-targets -- -D warnings
    step "tests"
    # Most of them wait for processes and not for the processor.
    export RUST_TEST_THREADS="${RUST_TEST_THREADS:-$(test_threads)}"
    "$cargo" test --locked
    step "documentation"
    RUSTDOCFLAGS="-D warnings" "$cargo" doc --locked --no-deps --quiet
    step "processes left behind"
    for _ in 1 2 3 4 5 6 7 8 9 10; do
        left="$(new_processes "$before")"
        [ -n "$left" ] || break
        sleep 1
    done
    [ -z "$left" ] || die "processes were left behind:
$left"
    say "everything holds"
}

crash_help() {
    cat <<'END'
usage: ./ally.sh crash [--seed N] [--rounds N] [--worlds N] [--no-release]

Plays rounds of random messages, clicks, recalls and redeliveries, in each of which something of ally is killed, stopped
or told to end, at a random moment or at a named place of its code. After each round it is checked that every message has
one outcome, every answer is there once, no command ran twice, nothing hangs, and `ally doctor ledger` finds nothing.

  --seed N     the first round's seed (default: drawn); a failing round is printed with its own
  --rounds N   how many (default 1000)
  --worlds N   how many daemons play at a time (default 4)
  --no-release builds no release binary. A hundred rounds or more play a tenth of them on one, which has no named places

Exit code 0: nothing was found.
END
}

run_crash() {
    local seed="" rounds=1000 worlds=4 release=1 program report
    while [ $# -gt 0 ]; do
        case "$1" in
            --seed|--rounds|--worlds)
                case "${2:-}" in ""|0|*[!0-9]*) die "$1 needs a number from 1 on" "see ./ally.sh crash --help" ;; esac
                case "$1" in --seed) seed="$2" ;; --rounds) rounds="$2" ;; --worlds) worlds="$2" ;; esac
                shift 2 ;;
            --no-release) release=""; shift ;;
            -h|--help) crash_help; exit 0 ;;
            *) die "crash does not know $1" "see ./ally.sh crash --help" ;;
        esac
    done
    have "$cargo" || die "cargo is not installed" "install Rust 1.95 or later (rustup.rs), then try again"
    cd "$here"
    if [ -z "${ALLY_RUNTIME_BIN:-}" ]; then
        program="$(install_codex)" || die "a tenth of the rounds need the real codex" "check npm's registry setting and the network"
        export ALLY_RUNTIME_BIN="$program"
    fi
    if [ -n "$release" ] && [ "$rounds" -ge 100 ]; then
        step "optimised build (some ten minutes on two processors where there is none yet; --no-release leaves it out)"
        "$cargo" build --locked --release --bin ally
        export ALLY_CRASH_RELEASE="${CARGO_TARGET_DIR:-$here/target}/release/ally"
    fi
    [ -n "$seed" ] || seed="$(( $(date +%s) % 100000 * 1000 ))"
    step "$rounds rounds from seed $seed"
    export ALLY_CRASH_SEED="$seed" ALLY_CRASH_ROUNDS="$rounds" ALLY_CRASH_WORLDS="$worlds" RUST_BACKTRACE=0
    report="$(mktemp)"
    export ALLY_CRASH_REPORT="$report"
    "$cargo" test --locked --quiet --test it -- --exact --nocapture \
        crash::walk::nothing_is_lost_nothing_is_doubled_nothing_hangs || { rm -f "$report"; exit 1; }
    [ -s "$report" ] || { rm -f "$report"; die "no round was played"; }
    rm -f "$report"
}

# Figures of a build that is not optimised mean nothing.
bench() {
    local program
    have "$cargo" || die "cargo is not installed" "install Rust 1.95 or later (rustup.rs), then try again"
    step "optimised build (some ten minutes on two processors where there is none yet)"
    (cd "$here" && "$cargo" build --locked --release --bin ally) || die "the build failed (see above)"
    if [ -z "${ALLY_RUNTIME_BIN:-}" ] && program="$(install_codex)"; then
        export ALLY_RUNTIME_BIN="$program"
    fi
    exec "${CARGO_TARGET_DIR:-$here/target}/release/ally" bench "$@"
}

# The pinned codex serves the real daemon, too, where nobody chose another.
offer_codex() {
    local settings="${ALLY_HOME:-${HOME:-}/.ally}/ally.toml"
    [ -z "${ALLY_RUNTIME_BIN:-}" ] && [ -x "$codex_home/node_modules/.bin/codex" ] && ! have codex || return 0
    grep -Eq '^[[:space:]]*bin[[:space:]]*=' "$settings" 2>/dev/null && return 0
    export ALLY_RUNTIME_BIN="$codex_home/node_modules/.bin/codex"
}

case "${1:-}" in
    demo) shift; demo "$@" ;;
    bench) shift; bench "$@" ;;
    test) shift; [ $# -eq 0 ] || die "test takes no arguments"; run_tests ;;
    crash) shift; run_crash "$@" ;;
    "") build; exec "$binary" --help ;;
    *) build; offer_codex; exec "$binary" "$@" ;;
esac
