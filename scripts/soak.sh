#!/usr/bin/env bash
# The fault suite at its long scale, again and again with fresh seeds, until the time is up or something is lost.
set -euo pipefail

usage() {
    cat <<'EOF'
Usage: soak.sh --minutes N [--seed S] [--only PART] [--out DIR]

  --minutes N   begin no further round after N minutes; a round is never cut short
  --seed S      seed of the first round; the following ones count up from it. Fresh if not given
  --only PART   scenarios whose name contains PART
  --out DIR     where each round leaves its scoreboard as JSON and its log (default: a new directory in /tmp)

Needs root, FUSE, loop devices, strace and the mkfs of ext4, xfs and btrfs; what is missing is shown as not run.
EOF
}

minutes='' seed='' only='' out=''
while [[ $# -gt 0 ]]; do
    case $1 in
        --minutes) minutes=${2:?} && shift ;;
        --seed) seed=${2:?} && shift ;;
        --only) only=${2:?} && shift ;;
        --out) out=${2:?} && shift ;;
        -h | --help) usage && exit 0 ;;
        *) usage >&2 && exit 2 ;;
    esac
    shift
done
if [[ ! $minutes =~ ^[0-9]+$ || ! ${seed:-0} =~ ^[0-9]+$ ]]; then
    usage >&2
    exit 2
fi

here=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
cd -- "$(dirname -- "$here")"
seed=${seed:-$(($(od -An -N6 -tu8 /dev/urandom)))}
out=${out:-$(mktemp -d /tmp/tabletd-soak-XXXXXX)}
mkdir -p -- "$out"

cargo test --locked --features fault-injection --test faults --no-run
deadline=$((SECONDS + minutes * 60))
rounds=0 lost=0
while :; do
    rounds=$((rounds + 1))
    json=$out/round-$rounds.json
    printf '\n== round %d, seed %d\n' "$rounds" "$seed"
    arguments=(--scale long --seed "$seed" --json "$json")
    [[ -z $only ]] || arguments+=(--only "$only")
    failed=false
    cargo test --locked --quiet --features fault-injection --test faults -- "${arguments[@]}" 2>&1 |
        tee "$out/round-$rounds.log" || failed=true
    if [[ $failed == true ]]; then
        lost=1
        break
    fi
    seed=$((seed + 1))
    [[ $SECONDS -lt $deadline ]] || break
done

printf '\n%d rounds in %d s; scoreboards in %s\n' "$rounds" "$SECONDS" "$out"
if command -v jq >/dev/null; then
    jq -s '{rounds: length, tried: (map(.tried) | add), held: (map(.held) | add), lost: (map(.lost) | add),
            seeds: map(.seed)}' "$out"/round-*.json | tee "$out/total.json"
fi
if [[ $lost -ne 0 ]]; then
    printf 'something was lost, or did not run: see %s; repeat with --seed %d\n' "$out/round-$rounds.log" "$seed"
fi
exit "$lost"
