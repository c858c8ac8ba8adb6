#!/usr/bin/env bash
# Stops tabletd, with the habits of Doris's script of the same name. Unlike there, graceful is the default.
set -euo pipefail

usage() {
    cat <<'EOF'
Usage: stop_be.sh [--grace | --kill [--after SECONDS]]

  --grace           asks it to stop and waits until it has (the default)
  --kill            sends signal 9 if it has not stopped after a while; no tablet is lost by that
  --after SECONDS   how long --kill waits (30)

Read from the environment, or from upper-case keys of be.conf: DORIS_HOME, TABLETD_CONF, PID_DIR.
EOF
}

say() { printf '%s\n' "$*" >&2; }
die() { say "$*"; exit 1; }

kill_after=
grace_seconds=30
while [[ $# -gt 0 ]]; do
    case $1 in
        --grace) kill_after= ;;
        --kill) kill_after=yes ;;
        --after) grace_seconds=${2:?--after wants seconds}; shift ;;
        -h | --help) usage; exit 0 ;;
        *) usage >&2; exit 2 ;;
    esac
    shift
done
[[ $grace_seconds =~ ^[0-9]+$ ]] || die "ERROR: --after $grace_seconds: not a number of seconds"

here=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
DORIS_HOME=${DORIS_HOME:-$(dirname -- "$here")}
conf=${TABLETD_CONF:-$DORIS_HOME/conf/be.conf}
if [[ -z ${PID_DIR:-} && -r $conf ]]; then
    # The one key that matters here, in the form start_be.sh reads it.
    PID_DIR=$(sed -nE 's/^[[:space:]]*PID_DIR[[:space:]]*=[[:space:]]*"?([^"]*[^"[:space:]])"?[[:space:]]*$/\1/p' "$conf" | tail -n 1)
    PID_DIR=${PID_DIR//\$\{DORIS_HOME\}/$DORIS_HOME}
    PID_DIR=${PID_DIR//\$DORIS_HOME/$DORIS_HOME}
fi
default_pid_dir=$DORIS_HOME/run
[[ ! -d $DORIS_HOME/bin ]] || default_pid_dir=$DORIS_HOME/bin
pid_file=${PID_DIR:-$default_pid_dir}/be.pid

[[ -f $pid_file ]] || die "ERROR: $pid_file does not exist"
pid=$(<"$pid_file")
[[ $pid =~ ^[1-9][0-9]*$ ]] || die "ERROR: Invalid PID"
if ! name=$(cat "/proc/$pid/comm" 2>/dev/null); then
    rm -f -- "$pid_file"
    die "ERROR: be process with PID $pid does not exist"
fi
[[ $name == tabletd* ]] || die "ERROR: PID may not be the be process"

# Still the process that was asked, and not a zombie nobody has waited for.
is_alive() {
    local state
    state=$(sed -n 's/^State:[[:space:]]*\([A-Z]\).*/\1/p' "/proc/$pid/status" 2>/dev/null) || return 1
    [[ -n $state && $state != Z ]]
}

kill -TERM "$pid"
deadline=$((SECONDS + grace_seconds))
waited=0
while is_alive; do
    if [[ -n $kill_after && $SECONDS -ge $deadline ]]; then
        say "process $pid has not stopped in $grace_seconds s: sending signal 9"
        kill -KILL "$pid" 2>/dev/null || true
        kill_after=
    fi
    sleep 0.2
    waited=$((waited + 1))
    if ((waited % 50 == 0)); then say "waiting for process $pid to stop"; fi
done
rm -f -- "$pid_file"
say "stopped tabletd, process $pid"
