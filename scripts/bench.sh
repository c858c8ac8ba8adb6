#!/usr/bin/env bash
# Measures tabletd end to end against other ways to copy a directory, and against what the disks can do.
set -euo pipefail

usage() {
    cat <<'EOF'
Usage: bench.sh [--disks KIND[,KIND...]] [--fs TYPE[,TYPE]] [--quick] [-- OPTIONS]
       bench.sh --source DIR --dest DIR [--quick] [-- OPTIONS]

Copies four workloads from one disk to another, each contestant in turn, with cold caches, and prints medians:
  L  4 tablets of one 512 MiB file        S  200 tablets of 20 files of 16 KiB
  M  24 tablets of 41 files of all sizes  T  20,000 tablets of one 4 KiB file
Results: benches/results/<disks>-<fs>.json and .svg.

  --disks LIST    ram:     loop disks in memory: processors and calls are what counts (default)
                  limited: the same, limited to --rate each way: the device is what counts
                  disk:    loop disks in files below --images: one physical device below both
  --fs LIST       ext4, xfs (ext4)
  --rate BYTES    bytes per second of the limited disks, each way (1000000000)
  --images DIR    where the images of `disk` are (the system's temporary directory)
  --source DIR    copies from and to these directories instead of making disks
  --dest DIR      (and --state DIR, for the daemon's journal, among the OPTIONS)
  --quick         small workloads and two rounds: to see that everything works
  --foreground    (among the OPTIONS) instead: what a reader of the source disk feels while tablets of --workload move, with
                  tabletd idle, adaptive and unthrottled, and with rsync; best with --disks limited --rate 200000000
  OPTIONS         passed on: --workload L,S,M,T  --only NAME,...  --rounds N  --unverified  --conf 'key = value'

Needs root, for the disks and for cold caches, and about 8 GiB of memory (or of --images). Peers that are installed take
part: cp, rsync, rclone, tar, xcp, fcp, cpz (the last three: cargo install xcp fcp cpz). Those missing are named.
EOF
}

say() { printf '%s\n' "$*" >&2; }
die() { say "bench.sh: $*"; exit 1; }

disks=ram fs=ext4 rate=1000000000 images=${TMPDIR:-/tmp} source='' dest='' quick=false
while [[ $# -gt 0 ]]; do
    case $1 in
        --disks) disks=${2:?--disks wants a list}; shift 2 ;;
        --fs) fs=${2:?--fs wants a list}; shift 2 ;;
        --rate) rate=${2:?--rate wants bytes per second}; shift 2 ;;
        --images) images=${2:?--images wants a directory}; shift 2 ;;
        --source) source=${2:?--source wants a directory}; shift 2 ;;
        --dest) dest=${2:?--dest wants a directory}; shift 2 ;;
        --quick) quick=true; shift ;;
        -h | --help) usage; exit 0 ;;
        --) shift; break ;;
        *) usage >&2; exit 2 ;;
    esac
done
here=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
cd -- "$(dirname -- "$here")"

options=("$@")
size=6G
if [[ $quick == true ]]; then
    options=(--quick --rounds 2 "${options[@]}")
    size=1G
fi
say "building"
cargo bench --locked --quiet --bench peers --no-run
measure() { cargo bench --locked --quiet --bench peers -- "$@"; }

if [[ -n $source || -n $dest ]]; then
    [[ -n $source && -n $dest ]] || die "--source and --dest go together"
    measure --source "$source" --dest "$dest" "${options[@]}"
    exit
fi
[[ $(id -u) -eq 0 ]] || die "needs root, to mount; or give --source and --dest"

dir=
cgroup=/sys/fs/cgroup/tabletd-bench
blkio=/sys/fs/cgroup/blkio/blkio.throttle

clean_up() {
    if [[ -n $dir ]]; then
        unlimit_rate
        "$here/mkdisks.sh" --remove "$dir" || say "left behind: $dir"
        rmdir -- "$dir" 2>/dev/null || true
    fi
    if [[ -d $cgroup ]]; then
        echo $$ >/sys/fs/cgroup/cgroup.procs
        rmdir -- "$cgroup" || true
    fi
}
trap clean_up EXIT

device_of() { findmnt -n -o MAJ:MIN "$1" | tr -d ' '; }

# Limits both disks to $rate; fails where the kernel offers no way.
limit_rate() {
    local mount device
    for mount in "$dir"/disk1 "$dir"/disk2; do
        device=$(device_of "$mount")
        if [[ -w $blkio.read_bps_device ]]; then
            echo "$device $rate" >"$blkio.read_bps_device"
            echo "$device $rate" >"$blkio.write_bps_device"
        elif grep -qw io /sys/fs/cgroup/cgroup.controllers 2>/dev/null; then
            mkdir -p -- "$cgroup"
            # Both controllers: only then is write-back charged to whom it is for.
            echo "+io +memory" >/sys/fs/cgroup/cgroup.subtree_control
            echo "$device rbps=$rate wbps=$rate" >"$cgroup/io.max"
            echo $$ >"$cgroup/cgroup.procs"
        else
            return 1
        fi
    done
}

unlimit_rate() {
    local mount device
    [[ -w $blkio.read_bps_device ]] || return 0
    for mount in "$dir"/disk1 "$dir"/disk2; do
        mountpoint -q "$mount" || continue
        device=$(device_of "$mount")
        echo "$device 0" >"$blkio.read_bps_device"
        echo "$device 0" >"$blkio.write_bps_device"
    done
}

IFS=, read -ra kinds <<<"$disks"
IFS=, read -ra types <<<"$fs"
for kind in "${kinds[@]}"; do
    for type in "${types[@]}"; do
        case $kind in
            ram | limited) where=(--ram) ;;
            disk) where=() ;;
            *) die "--disks $kind: ram, limited or disk" ;;
        esac
        dir=$(mktemp -d "$images/tabletd-bench.XXXXXX")
        "$here/mkdisks.sh" --count 3 --size "$size" --fs "$type" "${where[@]}" "$dir" >&2
        if [[ $kind == limited ]] && ! limit_rate; then
            say "limited: neither blkio (cgroup v1) nor io.max (cgroup v2) is here; left out"
        else
            measure --disks "$kind-$type" --source "$dir/disk1" --dest "$dir/disk2" --state "$dir/disk3" \
                "${options[@]}"
        fi
        unlimit_rate
        "$here/mkdisks.sh" --remove "$dir"
        rmdir -- "$dir" 2>/dev/null || true
        dir=
    done
done
