# Sourced by the scripts in tools/: where the project lies, and how a step is run, timed and reported.
# shellcheck shell=bash

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
cd "$ROOT"
# rustup puts cargo here; a fresh login shell may not know it yet.
PATH="$PATH:${CARGO_HOME:-$HOME/.cargo}/bin"
export CARGO_TERM_COLOR=never

VENV="$ROOT/target/venv"
BINARIES="$ROOT/target/debug"
LOGS="$ROOT/target/logs"

# What every script builds: one selection and one set of features. With another cargo would choose other features of the
# libraries and build nearly everything a second time. Whoever needs the window takes its features for all that it builds and
# leaves WINDOWED behind, so that what is called by it or after it finds that built (tools/simulate.d/jobs.py reads it too);
# without that file nothing here needs ALSA.
WHOLE=(--workspace --locked)
WINDOW=talkbridge-desktop/program,talkbridge-desktop/interface-tests
WINDOWED="$ROOT/target/.windowed"
with_window() {
    mkdir -p "$ROOT/target"
    echo "$WINDOW" >"$WINDOWED"
    WHOLE=(--workspace --locked --features "$WINDOW")
}
[ ! -e "$WINDOWED" ] || with_window

FAILED=()   # names of the steps that failed
TIMES=()    # "seconds result name", one per step

# die TEXT...: says why, and ends with 2 (the machine or the call is at fault, not the code).
die() {
    printf '%s: %s\n' "${0##*/}" "$*" >&2
    exit 2
}

# findings LOG: the lines that name a failure, wherever they stand: tests of cargo and unittest, panics with the line after,
# errors of the compiler. Each once, at most 30; a step inside a step is indented by "| " and "> ".
findings() {
    awk '{ sub(/^[ |>]+/, "") }
        after || /^test .* FAILED$|^thread .* panicked at |^error(\[|:)|^(FAIL|ERROR): / {
            after = / panicked at /
            if (!seen[$0]++ && n++ < 30) print
        }' "$1"
}

# step NAME COMMAND...: runs the command with its output in a log, prints one line with the time; what it said follows
# only if it failed: its findings, then the end. Goes on after a failure, so that one run shows everything that is wrong.
# Inside the command `set -e` has no effect (bash suspends it left of ||): a function must return its failure itself.
step() {
    local name=$1 log began ended seconds result=ok status=0
    shift
    mkdir -p "$LOGS"
    log="$LOGS/${name//[^A-Za-z0-9]/-}.log"
    printf '  %-46s ' "$name"
    began=$(date +%s%N)
    "$@" >"$log" 2>&1 </dev/null || status=$?
    ended=$(date +%s%N)
    seconds=$(awk -v ns=$((ended - began)) 'BEGIN { printf "%.1f", ns / 1e9 }')
    if [ "$status" -ne 0 ]; then
        result=FAILED
        FAILED+=("$name")
    fi
    TIMES+=("$seconds $result $name")
    printf '%8s s  %s\n' "$seconds" "$result"
    if [ "$status" -ne 0 ]; then
        printf '    exit status %s\n' "$status"
        findings "$log" | sed 's/^/    > /'
        printf '    the end of %s:\n' "${log#"$ROOT/"}"
        tail -n 60 "$log" | sed 's/^/    | /'
    fi
    return 0
}

# passed NAME: whether that step ran and did not fail.
passed() {
    local line
    for line in "${TIMES[@]}"; do
        [ "${line#* }" = "ok $1" ] && return 0
    done
    return 1
}
