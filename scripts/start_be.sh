#!/usr/bin/env bash
# Starts tabletd, with the habits of Doris's script of the same name.
set -euo pipefail

usage() {
    cat <<'EOF'
Usage: start_be.sh [--daemon | --console | --version]

  --daemon    in the background, output to ${LOG_DIR}/be.out
  --console   in the foreground (also without an option), output to the terminal
  --version   prints the version and ends

Read from the environment, or from upper-case keys of be.conf:
  DORIS_HOME     the folder above this one; holds conf/ and log/
  TABLETD_CONF   the configuration (${DORIS_HOME}/conf/be.conf)
  PID_DIR        where be.pid is written (${DORIS_HOME}/bin if it exists, else ${DORIS_HOME}/run)
  LOG_DIR        where be.out is written (${DORIS_HOME}/log)
  TABLETD_BIN    the binary; else ../target/release, ../target/debug, ../lib, beside this script, PATH
EOF
}

say() { printf '%s\n' "$*" >&2; }
die() { say "ERROR: $*"; exit 1; }

mode=console
while [[ $# -gt 0 ]]; do
    case $1 in
        --daemon) mode=daemon ;;
        --console) mode=console ;;
        --version) mode=version ;;
        -h | --help) usage; exit 0 ;;
        *) usage >&2; exit 2 ;;
    esac
    shift
done

here=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
DORIS_HOME=${DORIS_HOME:-$(dirname -- "$here")}
export DORIS_HOME
conf=${TABLETD_CONF:-$DORIS_HOME/conf/be.conf}

# Exports the upper-case keys of a be.conf (LOG_DIR = ${DORIS_HOME}/log/), as Doris does. Only ${NAME} and $NAME are
# replaced; nothing in the file is run.
export_upper_case_keys() {
    local line key value name turns
    while IFS= read -r line || [[ -n $line ]]; do
        [[ $line =~ ^[[:space:]]*([A-Z][A-Z0-9_]*)[[:space:]]*=(.*)$ ]] || continue
        key=${BASH_REMATCH[1]} value=${BASH_REMATCH[2]}
        value=${value#"${value%%[![:space:]]*}"}
        value=${value%"${value##*[![:space:]]}"}
        if [[ $value == \"*\" ]]; then value=${value:1:${#value}-2}; fi
        # A value that names itself would go on for ever.
        for ((turns = 0; turns < 50; turns++)); do
            [[ $value =~ \$\{([A-Za-z_][A-Za-z0-9_]*)\} || $value =~ \$([A-Za-z_][A-Za-z0-9_]*) ]] || break
            name=${BASH_REMATCH[1]}
            value=${value//"${BASH_REMATCH[0]}"/${!name:-}}
        done
        export "$key=$value"
    done <"$1"
}

find_binary() {
    local candidate
    for candidate in "${TABLETD_BIN:-}" "$here/../target/release/tabletd" "$here/../target/debug/tabletd" \
        "$DORIS_HOME/lib/tabletd" "$here/tabletd"; do
        if [[ -n $candidate && -x $candidate && ! -d $candidate ]]; then
            printf '%s\n' "$candidate"
            return
        fi
    done
    command -v tabletd || die "tabletd is not built; run: cargo build --release (or set TABLETD_BIN)"
}

if [[ $mode == version ]]; then
    binary=$(find_binary)
    exec "$binary" --version
fi

[[ -r $conf ]] || die "$conf cannot be read; TABLETD_CONF names another file"
export_upper_case_keys "$conf"
binary=$(find_binary)

default_pid_dir=$DORIS_HOME/run
[[ ! -d $DORIS_HOME/bin ]] || default_pid_dir=$DORIS_HOME/bin
PID_DIR=${PID_DIR:-$default_pid_dir}
LOG_DIR=${LOG_DIR:-$DORIS_HOME/log}
mkdir -p -- "$LOG_DIR" "$PID_DIR"
pid_file=$PID_DIR/be.pid

# Whether the process of that number is a tabletd; a number may have gone to somebody else since.
is_tabletd() {
    local name
    [[ $1 =~ ^[1-9][0-9]*$ ]] && name=$(cat "/proc/$1/comm" 2>/dev/null) && [[ $name == tabletd* ]]
}

if [[ -f $pid_file ]]; then
    pid=$(<"$pid_file")
    if is_tabletd "$pid"; then
        die "Backend is already running as process $pid. Stop it first (stop_be.sh)."
    fi
    rm -f -- "$pid_file"
fi

# Doris's limit for open files; more than one file is open per copy, not per tablet, so less is only a warning here.
want_files=60000
if [[ $(ulimit -n) != unlimited && $(ulimit -n) -lt $want_files ]]; then
    ulimit -n "$want_files" 2>/dev/null || say "WARNING: at most $(ulimit -n) open files; $want_files are advised (ulimit -n)"
fi
# Nothing of a node's own goes through a proxy.
unset http_proxy https_proxy HTTP_PROXY HTTPS_PROXY

if [[ $mode == console ]]; then
    printf '%s\n' "$$" >"$pid_file"
    exec "$binary" --conf "$conf"
fi

"$binary" --check-config --conf "$conf" >&2 || die "$conf: see above"
nohup "$binary" --conf "$conf" >>"$LOG_DIR/be.out" 2>&1 </dev/null &
pid=$!
printf '%s\n' "$pid" >"$pid_file"
# A daemon that ends at once (a port in use, a lock held) shall not look started.
for _ in 1 2 3 4 5 6 7 8 9 10; do
    sleep 0.1
    if ! kill -0 "$pid" 2>/dev/null; then
        rm -f -- "$pid_file"
        tail -n 20 -- "$LOG_DIR/be.out" >&2 || true
        die "tabletd ended at once; the last lines of $LOG_DIR/be.out are above"
    fi
done
say "started tabletd as process $pid; output goes to $LOG_DIR/be.out"
