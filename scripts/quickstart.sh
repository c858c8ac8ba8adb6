#!/usr/bin/env bash
# The main job, from nothing: builds tabletd, makes two disks and a few tablets, starts the daemon, moves tablets between
# the disks with curl, and proves that every byte arrived. Exit status 0 only if all of that truly happened.
set -euo pipefail

usage() {
    cat <<'EOF'
Usage: quickstart.sh [--plain] [--tablets N] [--keep]

  --plain       two plain directories even where disks could be mounted
  --tablets N   how many tablets to make; every second one is moved (8)
  --keep        leave the disks, the tablets and the configuration for a look around; the daemon is stopped
EOF
}

plain=false tablets=8 keep=false
while [[ $# -gt 0 ]]; do
    case $1 in
        --plain) plain=true ;;
        --tablets) tablets=${2:?--tablets wants a number}; shift ;;
        --keep) keep=true ;;
        -h | --help) usage; exit 0 ;;
        *) usage >&2; exit 2 ;;
    esac
    shift
done
[[ $tablets =~ ^[1-9][0-9]*$ ]] || { usage >&2; exit 2; }

here=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
repo=$(dirname -- "$here")
if [[ -t 1 ]]; then bold=$'\e[1m' dim=$'\e[2m' plain_text=$'\e[0m'; else bold='' dim='' plain_text=''; fi

head_line() { printf '\n%s== %s%s\n' "$bold" "$*" "$plain_text"; }
say() { printf '   %s\n' "$*"; }
shown() { printf '   %s$ %s%s\n' "$dim" "$*" "$plain_text"; }
indent() { sed 's/^/   /'; }
die() { printf '\nquickstart.sh: %s\n' "$*" >&2; exit 1; }

# shellcheck source=scripts/needed.sh
source "$here/needed.sh"
# Only what it cannot do without: a file system that is not here is not tried.
install_missing curl:curl diffutils:cmp gcc:cc
for tool in cargo curl cmp cc; do
    command -v "$tool" >/dev/null || die "$tool is needed and not installed"
done

# --- What is undone at the end, whatever happened ---------------------------------------------------------------------
work=''
clean_up() {
    local status=$?
    trap - EXIT INT TERM
    if [[ -n $work ]]; then
        if [[ -f $work/run/be.pid ]]; then
            "$here/stop_be.sh" --kill >/dev/null 2>&1 || true
        fi
        if [[ $status -ne 0 && -s $work/log/be.out ]]; then
            printf '\nthe last lines of the daemon:\n' >&2
            tail -n 20 -- "$work/log/be.out" >&2 || true
        fi
        if [[ $keep == true ]]; then
            printf '\nkept: %s\n' "$work"
            [[ ! -f $work/disks/.mkdisks ]] || printf 'unmount with: %s --remove %s\n' "$here/mkdisks.sh" "$work/disks"
        elif [[ -f $work/disks/.mkdisks ]] && ! "$here/mkdisks.sh" --remove "$work/disks"; then
            printf 'left behind: %s\n' "$work" >&2
        else
            rm -rf -- "$work"
        fi
    fi
    exit "$status"
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

head_line "1. Build"
shown "cargo build --release"
(cd -- "$repo" && cargo build --release --locked --bins)
target=$(cd -- "$repo" && cargo metadata --locked --no-deps --format-version 1 |
    sed -E 's/.*"target_directory":"([^"]*)".*/\1/')
tabletctl=$target/release/tabletctl
export TABLETD_BIN=$target/release/tabletd
[[ -x $tabletctl && -x $TABLETD_BIN ]] || die "no tabletd and tabletctl in $target/release"

head_line "2. Two disks"
work=$(mktemp -d "${TMPDIR:-/tmp}/tabletd-quickstart.XXXXXX")
mkdir -- "$work/disks" "$work/conf"
why_plain=''
if [[ $plain == true ]]; then
    why_plain="--plain was given"
elif [[ $(id -u) -ne 0 ]]; then
    why_plain="not root, so nothing can be mounted"
else
    # Two kinds of file system where there are two; without mkfs.xfs, or without xfs in the kernel, still two disks.
    file_systems=''
    for pair in ext4,xfs ext4,ext4; do
        if "$here/mkdisks.sh" --count 2 --size 512M --fs "$pair" "$work/disks" >/dev/null 2>"$work/mkdisks.out"; then
            file_systems=$pair
            break
        fi
    done
    [[ -n $file_systems ]] || why_plain="no disks can be made here: $(grep -v '^undoing$' "$work/mkdisks.out" | tail -n 1)"
fi
disk1=$work/disks/disk1 disk2=$work/disks/disk2
if [[ -n $why_plain ]]; then
    mkdir -p -- "$disk1" "$disk2"
    say "plain directories on one file system ($why_plain)"
else
    say "loop-mounted: $disk1 (${file_systems%,*}), $disk2 (${file_systems#*,})"
fi

head_line "3. $tablets tablets of random data on the first disk"
first_id=10001 hash=567997577
for ((n = 0; n < tablets; n++)); do
    id=$((first_id + n)) dir=$work/source/$((first_id + n))
    mkdir -p -- "$dir"
    # A few small rowsets and a large one.
    for ((file = 0; file < 4; file++)); do
        head -c "$((1000 + (n * 7919 + file * 104729) % 60000))" /dev/urandom >"$dir/0200000000000${file}_$file.dat"
    done
    head -c $((4 * 1024 * 1024 + n * 4097)) /dev/urandom >"$dir/02000000000009_9.dat"
    printf '{"dir":"%s","tablet_id":%d,"schema_hash":%d,"partition_id":%d}\n' "$dir" "$id" "$hash" "$((1 + n % 2))"
done >"$work/batch.jsonl"
shown "tabletctl tablet import --batch batch.jsonl --root $disk1"
"$tabletctl" tablet import --batch "$work/batch.jsonl" --root "$disk1" | indent

head_line "4. Start"
is_free() { ! (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }
port=8040
until is_free "$port"; do
    port=$((port + 1))
    [[ $port -lt 8140 ]] || die "no free port from 8040 to 8139"
done
cat >"$work/conf/be.conf" <<EOF
PID_DIR = $work/run
LOG_DIR = $work/log
webserver_port = $port
storage_root_path = $disk1,medium:hdd;$disk2,medium:ssd
state_dir = $work/state
EOF
unset PID_DIR LOG_DIR
export DORIS_HOME=$work TABLETD_CONF=$work/conf/be.conf
indent <"$work/conf/be.conf"
shown "start_be.sh --daemon"
"$here/start_be.sh" --daemon 2>&1 | indent
base=http://127.0.0.1:$port
export TABLETD_ADDR=$base
ask() { curl --silent --show-error --fail --noproxy '*' --max-time 30 "$@"; }
for ((n = 0; ; n++)); do
    if ask "$base/api/health" >/dev/null 2>&1; then break; fi
    [[ $n -lt 150 ]] || die "the daemon does not answer at $base/api/health"
    sleep 0.2
done

head_line "5. Before"
shown "curl '$base/tablets_json'"
ask "$base/tablets_json" | indent
printf '\n'
shown "curl '$base/api/tablets_distribution?group_by=partition'"
ask "$base/api/tablets_distribution?group_by=partition" | indent
printf '\n'
shown "tabletctl disks"
"$tabletctl" disks | indent

head_line "6. Move every second tablet to the second disk"
moved=()
for ((n = 0; n < tablets; n += 2)); do
    id=$((first_id + n))
    url="$base/api/tablet_migration?goal=run&tablet_id=$id&schema_hash=$hash&disk=$disk2"
    shown "curl '$url'"
    answer=$(ask "$url")
    printf '%s\n' "$answer" | indent
    [[ $answer == *'migration task is successfully submitted.'* ]] || die "tablet $id was not accepted"
    moved+=("$id")
done
for id in "${moved[@]}"; do
    url="$base/api/tablet_migration?goal=status&tablet_id=$id&schema_hash=$hash"
    for ((n = 0; ; n++)); do
        answer=$(ask "$url")
        case $answer in
            *'migration task has finished successfully'*) break ;;
            *'migration task is running'*) ;;
            *) die "tablet $id: $answer" ;;
        esac
        [[ $n -lt 600 ]] || die "tablet $id is still not there after two minutes: $answer"
        sleep 0.2
    done
    [[ $id != "${moved[0]}" ]] || { shown "curl '$url'"; printf '%s\n' "$answer" | indent; }
done
say "all ${#moved[@]} have finished successfully"

head_line "7. After"
shown "tabletctl tablets"
"$tabletctl" tablets | indent
shown "tabletctl list"
"$tabletctl" list | indent
shown "tabletctl disks"
"$tabletctl" disks | indent
on_second=$("$tabletctl" tablets --disk "$disk2" --json | grep -o '"tablet_id"' | wc -l)
[[ $on_second -eq ${#moved[@]} ]] || die "$on_second tablets are on the second disk, ${#moved[@]} were moved there"

head_line "8. Stop, and check every byte"
shown "stop_be.sh"
"$here/stop_be.sh" 2>&1 | indent
shown "tabletctl tablet check --root $disk1 --root $disk2"
"$tabletctl" tablet check --root "$disk1" --root "$disk2" | indent
compared=0
for ((n = 0; n < tablets; n++)); do
    id=$((first_id + n))
    if ((n % 2 == 0)); then root=$disk2; else root=$disk1; fi
    live=$(printf '%s\n' "$root"/data/*/"$id/$hash")
    [[ -d $live ]] || die "tablet $id is not below $root/data"
    for file in "$work/source/$id"/*; do
        cmp -- "$file" "$live/${file##*/}" || die "tablet $id differs from what was imported"
        compared=$((compared + 1))
    done
    [[ $(find "$live" -mindepth 1 | wc -l) -eq 5 ]] || die "tablet $id has other files than were imported"
done
say "$compared files compared with what was imported: equal, byte for byte"

printf '\n%s%d tablets moved, %d stayed, everything checked.%s\n' \
    "$bold" "${#moved[@]}" "$((tablets - ${#moved[@]}))" "$plain_text"
