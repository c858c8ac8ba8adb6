#!/usr/bin/env bash
# The life of the package on a node, in a bare Debian root with two loop-mounted disks: installed, upgraded from the
# version before, rolled back, removed, purged; by hand in a chroot, and with its unit under a systemd that is booted.
set -euo pipefail

usage() {
    cat <<'USAGE'
Usage: try_package.sh --deb FILE [--before DIR] [--root DIR]

  --deb FILE     the package to try
  --before DIR   the tabletd and tabletctl of the version before; without it nothing is upgraded or rolled back
  --root DIR     a bare Debian root, copied before use (default: made now with debootstrap)

Needs root, debootstrap, dpkg-deb and loop devices, and systemd-nspawn for the unit.
USAGE
}

here=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
say() { printf '%s\n' "$*"; }
die() { say "try_package.sh: $*" >&2; exit 1; }

deb='' before='' bare=''
while [[ $# -gt 0 ]]; do
    case $1 in
        --deb) deb=${2:?--deb wants a file}; shift 2 ;;
        --before) before=${2:?--before wants a directory}; shift 2 ;;
        --root) bare=${2:?--root wants a directory}; shift 2 ;;
        -h | --help) usage; exit 0 ;;
        *) usage >&2; exit 2 ;;
    esac
done
[[ -f $deb ]] || die "--deb wants a package"
[[ $(id -u) -eq 0 ]] || die "needs root, to mount and to change the root"

work=$(mktemp -d "${TMPDIR:-/tmp}/tabletd-package.XXXXXX")
root=$work/root daemon=
clean_up() {
    local status=$?
    trap - EXIT INT TERM
    if [[ -n $daemon ]]; then
        kill "$daemon" 2>/dev/null || true
        wait "$daemon" 2>/dev/null || true
    fi
    if [[ -f $root/mnt/.mkdisks ]]; then "$here/mkdisks.sh" --remove "$root/mnt" || status=1; fi
    if mountpoint -q "$root/proc"; then umount "$root/proc" || status=1; fi
    # A root that something is still mounted in is never deleted.
    if [[ $status -eq 0 ]]; then rm -rf --one-file-system -- "$work"; else say "kept: $work" >&2; fi
    exit "$status"
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# --- The node ----------------------------------------------------------------------------------------------------------
if [[ -z $bare ]]; then
    debootstrap --variant=minbase --include=systemd bookworm "$root" >"$work/debootstrap.out" 2>&1 ||
        die "debootstrap: $(tail -n 3 "$work/debootstrap.out")"
else
    cp -a --reflink=auto -- "$bare" "$root"
fi
mount -t proc proc "$root/proc"
"$here/mkdisks.sh" --count 2 --size 8G --fs ext4 "$root/mnt" >/dev/null
disk1=/mnt/disk1 disk2=/mnt/disk2
conf=$root/etc/tabletd/be.conf state=$root/var/lib/tabletd
port=18741
while (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; do port=$((port + 1)); done

in_root() { chroot "$root" env LC_ALL=C.UTF-8 TABLETD_ADDR="http://127.0.0.1:$port" "$@"; }
ctl() { in_root tabletctl "$@"; }
install_deb() { # FILE
    cp -- "$1" "$root/tabletd.deb"
    # Nobody is asked: a configuration file that both sides have changed stays as it is here.
    in_root dpkg --force-confdef --force-confold -i /tabletd.deb </dev/null >"$work/dpkg.out" 2>&1 || die "dpkg -i $1: $(cat "$work/dpkg.out")"
}
# As the unit starts it, as its user.
start() {
    # Not through a function: its process is then the one that is to be killed.
    chroot "$root" setpriv --reuid=tabletd --regid=tabletd --clear-groups --no-new-privs \
        /usr/bin/tabletd --conf /etc/tabletd/be.conf >"$work/tabletd.out" 2>&1 &
    daemon=$!
    for ((n = 0; n < 150; n++)); do
        if ctl disks >/dev/null 2>&1; then return; fi
        kill -0 "$daemon" 2>/dev/null || break
        sleep 0.2
    done
    die "it does not start: $(tail -n 3 "$work/tabletd.out")"
}
stop() {
    kill "$daemon"
    wait "$daemon" || die "it did not stop in order: $(tail -n 3 "$work/tabletd.out")"
    daemon=
}
not_enabled() {
    local found
    found=$(find "$root/etc/systemd/system" -name 'tablet*')
    [[ -z $found ]] || die "the package enabled $found"
    for pid in /proc/[0-9]*; do
        [[ $(readlink "$pid/exe" 2>/dev/null) != "$root/usr/bin/tabletd" ]] || die "the package started the daemon"
    done
}
# prepare ID...: a configuration, and on the first disk tablets of these numbers.
prepare() {
    mkdir -p -- "$root/source"
    head -c 3000000 /dev/urandom >"$root/source/0_0.dat"
    head -c 70000 /dev/urandom >"$root/source/0_1.dat"
    # An operator's own words, which no upgrade may change.
    printf '\n# ours\nstorage_root_path = %s,medium:ssd;%s,medium:ssd\nwebserver_port = %s\n' \
        "$disk1" "$disk2" "$port" >>"$conf"
    cp -- "$conf" "$work/be.conf.ours"
    local id
    for id in "$@"; do
        ctl tablet import /source --root "$disk1" --tablet-id "$id" --schema-hash 5 >/dev/null
    done
}
# As its user: 0 when there is no problem.
check_config() {
    in_root setpriv --reuid=tabletd --regid=tabletd --clear-groups \
        tabletd --check-config --conf /etc/tabletd/be.conf >"$work/check-config.out" 2>&1
}
hand_over() {
    in_root chown -R tabletd:tabletd "$disk1" "$disk2"
    check_config || die "--check-config: $(cat "$work/check-config.out")"
}
# is_on DISK ID...: its files are those that were imported.
is_on() {
    local disk=$1 id file
    shift
    for id in "$@"; do
        for file in 0_0.dat 0_1.dat; do
            cmp "$root/source/$file" "$root$disk"/data/*/"$id"/5/"$file" || die "tablet $id is not whole on $disk"
        done
    done
}
same_conf() { cmp "$conf" "$work/be.conf.ours" || die "$1 changed be.conf"; }
# Locks name who asked for them last.
hashes() { find "$root$disk1" "$root$disk2" "$state" -type f ! -name '*.lock' -exec sha256sum {} + | sort -k 2; }
wait_for_status() { # MIGRATION STATUS
    for ((n = 0; n < 150; n++)); do
        if ctl migration show "$1" --json | grep -q "\"status\": *\"$2\""; then return; fi
        sleep 0.2
    done
    die "migration $1 is not $2: $(ctl migration show "$1")"
}

# --- From dpkg -i to a drained disk ------------------------------------------------------------------------------------
version=$(dpkg-deb --field "$deb" Version)
# What the programs say of themselves: neither the revision of the package nor the mark of a try.
release=${version%%[~-]*}
first_day() {
    local began=$SECONDS
    install_deb "$deb"
    not_enabled
    [[ $(stat -c '%U %G %a' "$state") == 'tabletd tabletd 750' ]] ||
        [[ $(in_root stat -c '%U %G %a' /var/lib/tabletd) == 'tabletd tabletd 750' ]] || die "whose is the state_dir?"
    prepare 10001 10002 10003 10004
    if check_config; then die "--check-config takes disks of root"; fi
    grep -q "chown -R tabletd: $disk1" "$work/check-config.out" ||
        die "--check-config of disks of root: $(cat "$work/check-config.out")"
    hand_over
    start
    in_root tabletctl status --json | grep -q "\"version\": *\"$release\"" || die "status does not say $version"
    exec 3<>"/dev/tcp/127.0.0.1/$port"
    printf 'GET /metrics HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n' >&3
    grep -q "^tabletd_build_info{version=\"$release\"" <&3 || die "metrics do not say $version"
    exec 3>&-
    ctl disk drain "$disk1" --dry-run >"$work/plan"
    ctl disk drain "$disk1" --follow --yes >"$work/drain" 2>&1
    grep -q 'safe to remove' "$work/drain" || die "after the drain: $(tail -n 3 "$work/drain")"
    stop
    is_on "$disk2" 10001 10002 10003 10004
    say "  from dpkg -i to a drained disk in $((SECONDS - began)) s; $(tail -n 1 "$work/drain")"
    # Again, over itself.
    install_deb "$deb"
    same_conf "installing it again"
    start
    stop
}

# --- From the version before, and back -----------------------------------------------------------------------------------
# A stand-in: the programs of then in the package of now, with a configuration file that has been changed since.
stand_in() {
    local tree=$work/before
    dpkg-deb --raw-extract "$deb" "$tree"
    install -m 755 -- "$before/tabletd" "$before/tabletctl" "$tree/usr/bin/"
    rm -f -- "$tree/usr/bin/tabletfleet" "$tree/DEBIAN/md5sums"
    old_version=$("$before/tabletd" --version | sed 's/.* //')-1
    dpkg --compare-versions "$old_version" lt "$version" || die "$before has $old_version, the package $version"
    sed -i "s/^Version: .*/Version: $old_version/; s/^Depends: .*/Depends: passwd/" "$tree/DEBIAN/control"
    printf '\n# As it was in %s.\n' "$old_version" >>"$tree/etc/tabletd/be.conf"
    dpkg-deb --root-owner-group -Zgzip -z1 --build "$tree" "$work/before.deb" >/dev/null
}
up_and_back() {
    local waiting
    stand_in
    install_deb "$work/before.deb"
    prepare 10001 10002 10003 10004
    hand_over
    start
    ctl migrate 10001 --disk "$disk2" --follow >/dev/null 2>&1
    ctl migrate 10002 --disk "$disk2" --mode manual-cutover >/dev/null
    waiting=$(ctl list --json | grep -o '"migration_id": *[0-9]*\|"id": *[0-9]*' | grep -o '[0-9]*$' | sort -n | tail -n 1)
    wait_for_status "$waiting" ready
    ctl tablet pin 10003 --reason "an audit" >/dev/null

    # The upgrade, as docs/install.md says it, and first over a daemon that runs.
    install_deb "$deb"
    same_conf "the upgrade"
    [[ -f $conf.dpkg-dist ]] || die "the new default of be.conf is not beside the old one"
    kill -0 "$daemon" 2>/dev/null || die "the upgrade stopped the daemon"
    ctl disks >/dev/null || die "the daemon of before does not answer after the upgrade"
    stop
    cp -a -- "$state" "$state.before"
    start
    ctl status 1 | grep -q completed || die "the journal of $old_version was not read"
    wait_for_status "$waiting" ready
    ctl tablet show 10003 | grep -q 'an audit' || die "the pin is forgotten"
    ctl migration cutover "$waiting" >/dev/null
    wait_for_status "$waiting" completed
    ctl migrate 10004 --disk "$disk2" --follow >/dev/null 2>&1
    ctl journal export >"$work/history.jsonl"
    for kept in '"kind":"migration".*10004' '"kind":"pin".*an audit'; do
        grep -q "$kept" "$work/history.jsonl" || die "the export does not have $kept: $(cat "$work/history.jsonl")"
    done
    stop
    is_on "$disk1" 10003
    is_on "$disk2" 10001 10002 10004
    say "  upgraded from $old_version: be.conf as it was, journal read, what waited went on"

    # The way back: the older program refuses the newer journal and touches nothing; then as docs/install.md says it.
    install_deb "$work/before.deb"
    same_conf "the roll-back"
    hashes >"$work/hashes.before"
    if (start) >"$work/refused" 2>&1; then die "$old_version took the journal of $version"; fi
    grep -q 'format' "$work/refused" || die "the refusal does not name the format: $(cat "$work/refused")"
    hashes >"$work/hashes.after"
    diff "$work/hashes.before" "$work/hashes.after" >&2 || die "the refusal touched something"
    mv -- "$state" "$state.new"
    cp -a -- "$state.before" "$state"
    start
    for id in 10001 10002 10003 10004; do ctl tablet show "$id" >/dev/null || die "tablet $id is not served"; done
    ctl migrate 10001 --disk "$disk1" --follow >/dev/null 2>&1
    stop
    is_on "$disk1" 10001 10003
    is_on "$disk2" 10002 10004
    say "  rolled back to $old_version: every tablet served from where it had been moved"

    # And up again, from a journal that knows less.
    install_deb "$deb"
    start
    ctl migrate 10001 --disk "$disk2" --follow >/dev/null 2>&1
    stop
    is_on "$disk2" 10001 10002 10004
    rm -rf -- "$state.new" "$state.before"
}

# --- The end -----------------------------------------------------------------------------------------------------------
farewell() {
    in_root dpkg --remove tabletd >/dev/null 2>&1
    same_conf "the removal"
    hashes >"$work/hashes.before"
    in_root dpkg --purge tabletd >/dev/null 2>&1
    [[ ! -e $conf ]] || die "the purge left be.conf"
    hashes >"$work/hashes.after"
    grep -q journal.db "$work/hashes.after" || die "no journal: nothing was tried"
    diff "$work/hashes.before" "$work/hashes.after" >&2 || die "the purge touched a tablet or the journal"
    say "  removed, purged: configuration kept until the purge, tablets and journal kept for good"
}
# Two empty disks and an empty node.
start_over() {
    "$here/mkdisks.sh" --remove "$root/mnt"
    rm -rf -- "$state" "$root/source"
    "$here/mkdisks.sh" --count 2 --size 8G --fs ext4 "$root/mnt" >/dev/null
}

# --- With systemd as the first process --------------------------------------------------------------------------------
# The same node booted: the unit itself, its user, its filters and its watchdog, which no start by hand shows.
under_systemd() {
    umount "$root/proc"
    cp -- "$deb" "$root/tabletd.deb"
    cat >"$root/try.sh" <<'TRY'
#!/bin/bash
set -euo pipefail
trap 'echo "failed at: $BASH_COMMAND"; journalctl --no-pager --unit tabletd | tail -n 20' ERR
main_pid() { systemctl show --property MainPID --value tabletd; }
is_up() { for _ in $(seq 100); do if tabletctl disks >/dev/null 2>&1; then return; fi; sleep 0.2; done; return 1; }
dpkg -i /tabletd.deb
[[ $(systemctl is-enabled tabletd || true) == disabled && $(systemctl is-active tabletd || true) == inactive ]]
sed -i 's|^#storage_root_path = .*|storage_root_path = /mnt/disk1,medium:hdd;/mnt/disk2,medium:hdd|' /etc/tabletd/be.conf
mkdir /source
head -c 5000000 /dev/urandom >/source/0_0.dat
for id in 10001 10002 10003; do
    tabletctl tablet import /source --root /mnt/disk1 --tablet-id "$id" --schema-hash 1
done
chown -R tabletd: /mnt/disk1 /mnt/disk2
systemctl enable --now tabletd
is_up
systemctl show --property StatusText tabletd | grep '3 tablets'
[[ $(stat --format %U "/proc/$(main_pid)") == tabletd ]]
grep -P '^CapEff:\t0+$' "/proc/$(main_pid)/status"
tabletctl disk drain /mnt/disk1 --follow --yes 2>&1 | grep 'safe to remove'
systemctl reload tabletd
# The fleet's service beside it.
systemctl start tabletfleet
[[ $(stat --format %U "/proc/$(systemctl show --property MainPID --value tabletfleet)") == tabletfleet ]]
# Killed, it comes back by itself.
before=$(main_pid)
kill -KILL "$before"
sleep 6
is_up
[[ $(main_pid) != "$before" ]]
# Installed over, it runs on; then it is restarted.
before=$(main_pid)
dpkg -i /tabletd.deb | grep 'still runs'
[[ $(main_pid) == "$before" ]]
systemctl restart tabletd
is_up
[[ $(main_pid) != "$before" ]]
tabletctl tablet show 10001 | grep /mnt/disk2
dpkg --purge tabletd
[[ $(systemctl is-active tabletd tabletfleet || true) == inactive$'\n'inactive ]]
[[ -f /var/lib/tabletd/journal.db && -n $(ls /var/lib/tabletfleet) ]]
echo "all of it"
TRY
    cat >"$root/etc/systemd/system/try.service" <<'UNIT'
[Unit]
After=multi-user.target
SuccessAction=poweroff
FailureAction=poweroff
[Service]
Type=oneshot
TimeoutStartSec=120
ExecStart=/bin/bash /try.sh
StandardOutput=file:/try.out
StandardError=inherit
UNIT
    mkdir -p -- "$root/etc/systemd/system/multi-user.target.wants"
    ln -s ../try.service "$root/etc/systemd/system/multi-user.target.wants/try.service"
    # Its own filter is older than openat2.
    timeout --kill-after 10 180 systemd-nspawn --quiet --directory "$root" --register=no --keep-unit --private-network \
        --system-call-filter=openat2 --bind="$root$disk1:$disk1" --bind="$root$disk2:$disk2" --boot \
        </dev/null >"$work/nspawn.out" 2>&1 || true
    [[ -f $root/try.out ]] || return 1
    grep -qx 'all of it' "$root/try.out" || die "under systemd: $(cat "$root/try.out")"
    say "  booted with systemd: enabled, drained, reloaded, killed, installed over, restarted, purged"
}

first_day
farewell
if [[ -n $before ]]; then
    start_over
    up_and_back
    farewell
else
    say "  no version before was given: no upgrade, no roll-back"
fi
if command -v systemd-nspawn >/dev/null; then
    start_over
    under_systemd || say "  systemd does not boot here ($(tail -n 1 "$work/nspawn.out")): its unit was not tried"
else
    say "  systemd-nspawn (package systemd-container) is not installed: its unit was not tried"
fi
