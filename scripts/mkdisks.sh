#!/usr/bin/env bash
# Makes disks to try and test with: loop-mounted ext4 and xfs file systems, each in an image file.
set -euo pipefail

usage() {
    cat <<'EOF'
Usage: mkdisks.sh [--count N] [--size SIZE] [--fs TYPE[,TYPE...]] [--ram] DIR
       mkdisks.sh --remove DIR

Makes DIR/disk1 ... DIR/diskN, each the mount point of a file system of its own, and prints their paths.

  --count N     how many disks (2)
  --size SIZE   size of each, as truncate(1) takes it; xfs wants 300M at least (512M)
  --fs LIST     file systems in turn: ext4, xfs (ext4,xfs)
  --ram         keep the images in memory, on /dev/shm, instead of in DIR
  --remove DIR  unmount the disks below DIR and delete their images

Needs root: it mounts.
EOF
}

say() { printf '%s\n' "$*" >&2; }
die() { say "mkdisks.sh: $*"; exit 1; }

# `su` without a dash leaves root without these.
PATH=$PATH:/usr/sbin:/sbin
count=2 size=512M fs=ext4,xfs ram=false remove=false dir=
while [[ $# -gt 0 ]]; do
    case $1 in
        --count) count=${2:?--count wants a number}; shift 2 ;;
        --size) size=${2:?--size wants a size}; shift 2 ;;
        --fs) fs=${2:?--fs wants a list}; shift 2 ;;
        --ram) ram=true; shift ;;
        --remove) remove=true; shift ;;
        -h | --help) usage; exit 0 ;;
        -*) usage >&2; exit 2 ;;
        *) [[ -z $dir ]] || { usage >&2; exit 2; }; dir=$1; shift ;;
    esac
done
[[ -n $dir ]] || { usage >&2; exit 2; }
[[ $count =~ ^[1-9][0-9]*$ ]] || die "--count $count: not a positive number"
[[ $(id -u) -eq 0 ]] || die "needs root, to mount; run it with sudo, or use plain directories instead"

# Undoes what is below $dir, newest first. Only what the list beside the disks names is touched.
remove_disks() {
    local list=$dir/.mkdisks mount image failed=false
    [[ -f $list ]] || { say "no disks made by this script in $dir"; return 0; }
    while IFS=$'\t' read -r mount image; do
        if mountpoint -q "$mount" && ! umount "$mount"; then
            say "cannot unmount $mount: something still uses it"
            failed=true
            continue
        fi
        rm -f -- "$image"
        if [[ -d $mount ]]; then rmdir -- "$mount" || failed=true; fi
    done < <(tac "$list")
    if [[ $failed == true ]]; then return 1; fi
    rm -f -- "$list"
    rmdir -- "$dir/images" 2>/dev/null || true
}

if [[ $remove == true ]]; then
    remove_disks
    exit
fi

mkdir -p -- "$dir"
dir=$(cd -- "$dir" && pwd)
[[ ! -e $dir/.mkdisks ]] || die "$dir has disks already; remove them first: mkdisks.sh --remove $dir"
IFS=, read -ra types <<<"$fs"
for type in "${types[@]}"; do
    case $type in
        ext4 | xfs) ;;
        *) die "--fs $type: ext4 or xfs" ;;
    esac
    command -v "mkfs.$type" >/dev/null || die "mkfs.$type is not installed (packages e2fsprogs, xfsprogs)"
done
if [[ $ram == true ]]; then
    images=/dev/shm
else
    images=$dir/images
    mkdir -p -- "$images"
fi

: >"$dir/.mkdisks"
trap 'say "undoing"; remove_disks || true' ERR
for ((n = 1; n <= count; n++)); do
    type=${types[(n - 1) % ${#types[@]}]}
    mount=$dir/disk$n
    image=$(mktemp "$images/mkdisks-$type.XXXXXX")
    printf '%s\t%s\n' "$mount" "$image" >>"$dir/.mkdisks"
    truncate -s "$size" -- "$image"
    case $type in
        # All blocks are for tablets: no reserve for root.
        ext4) mkfs.ext4 -q -F -m 0 -- "$image" >&2 ;;
        xfs) mkfs.xfs -q -f -- "$image" >&2 ;;
    esac
    mkdir -- "$mount"
    # Direct I/O on the image: else every page is cached twice, and a sync of the disk is not one of the image.
    if ! loop=$(losetup --find --show --direct-io=on -- "$image" 2>/dev/null); then
        loop=$(losetup --find --show -- "$image")
    fi
    mount -- "$loop" "$mount" || { losetup --detach "$loop"; false; }
    # From here on the loop device lives as long as the mount.
    losetup --detach "$loop"
    # A storage root is an empty directory; ext4 brings this one along.
    [[ ! -d $mount/lost+found ]] || rmdir -- "$mount/lost+found"
    printf '%s\n' "$mount"
done
