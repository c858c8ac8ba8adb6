#!/usr/bin/env bash
# The fault suite at its long scale, again and again with fresh seeds, until the time is up or something is lost.
set -euo pipefail

usage() {
    cat <<'TEXT'
Usage: soak.sh --minutes N [--seed S] [--only PART] [--out DIR]

  --minutes N   begin no further round after N minutes; a round is never cut short. 0 is one round
  --seed S      seed of the first round; the following ones count up from it. Fresh if not given
  --only PART   scenarios whose name contains PART
  --out DIR     where each round leaves its scoreboard as JSON and its log (default: a new directory in /tmp).
                Boards of earlier runs in DIR are added to the total: parts of the suite run one by one add up

One round at this scale tries, among others (minutes as measured on two cores beside other work, ~ where estimated):

     10,000  kills at random moments, a third of them in the recovery from the one before      15
      1,002  power cuts on ext4, 1,002 on xfs, 201 on btrfs                                     9
        600  power cuts by the shutdown ioctl, without FUSE, on ext4 and xfs                    5
        520  power cuts in the recovery from a power cut, on ext4 and again on xfs            ~30
        600  calls that a migration makes, each with each of its faults: all there are          2
      2,400  calls that a start makes on what a kill left, likewise                            30
      2,000  flipped bits on ext4 and xfs                                                       7
  1,000,000  hostile requests                                                                   2
      2,100  damaged files of the daemon's own                                                ~15
      4,480  second events: each point of a migration crossed with what comes next, 8 rounds per cell  10

and lives a node's lives in virtual time for 30 minutes (scripts/simulate.sh): some hundred thousand.

Needs root, FUSE, loop devices, strace and the mkfs of ext4, xfs and btrfs; what is missing is shown as not run.
TEXT
}

simulated_minutes=30
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
out=$(cd -- "$out" && pwd)

cargo test --locked --features fault-injection --test faults --no-run
suite() { cargo test --locked --quiet --features fault-injection --test faults -- "$@" 2>&1; }

deadline=$((SECONDS + minutes * 60))
rounds=0 lost=0
while :; do
    rounds=$((rounds + 1))
    # A part and the whole with one seed are different rounds.
    name=$out/round-$seed${only:+-${only//[^a-zA-Z0-9]/-}}
    printf '\n== round %d, seed %d\n' "$rounds" "$seed"
    arguments=(--scale long --seed "$seed" --json "$name.json")
    [[ -z $only ]] || arguments+=(--only "$only")
    suite "${arguments[@]}" | tee "$name.log" || lost=1
    if [[ -z $only ]]; then
        scripts/simulate.sh --seconds $((simulated_minutes * 60)) --seed "$seed" | tee "$name-lives.log" || lost=1
    fi
    [[ $lost -eq 0 ]] || break
    seed=$((seed + 1))
    [[ $SECONDS -lt $deadline ]] || break
done

printf '\n== %d rounds in %d s; the total of all scoreboards in %s\n' "$rounds" "$SECONDS" "$out"
suite --sum "$out"/round-*.json --json "$out/total.json" || lost=1
if [[ $lost -ne 0 ]]; then
    printf 'something was lost, or did not run: see the logs in %s; repeat with --seed %d\n' "$out" "$seed"
fi
exit "$lost"
