#!/usr/bin/env bash
# Whole lives of a node in virtual time, by seed. One JSON line last; exit 1 on a broken promise.
set -euo pipefail

usage() {
    cat <<'TEXT'
Usage: simulate.sh --seconds N [--seed S]

  --seconds N   begin no further scenario after N seconds
  --seed S      seed of the first scenario; the following ones count up from it. Fresh if not given

Prints last: {"lives":..,"events":..,"recoveries":..,"violations":..,"seed":..}
A scenario that broke a promise is printed with its seed and the few events that are needed for it.
TEXT
}

seconds='' seed=''
while [[ $# -gt 0 ]]; do
    case $1 in
        --seconds) seconds=${2:?} && shift ;;
        --seed) seed=${2:?} && shift ;;
        -h | --help) usage && exit 0 ;;
        *) usage >&2 && exit 2 ;;
    esac
    shift
done
if [[ ! $seconds =~ ^[0-9]+$ || ! ${seed:-0} =~ ^[0-9]+$ ]]; then
    usage >&2
    exit 2
fi

here=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
cd -- "$(dirname -- "$here")"
seed=${seed:-$(($(od -An -N4 -tu4 /dev/urandom)))}
exec cargo test --quiet --locked --test simulation -- --seconds "$seconds" --seed "$seed"
