#!/usr/bin/env bash
# Tries a release: what the package holds, a life of it in a bare Debian root, and that two builds are the same.
set -euo pipefail

usage() {
    cat <<'USAGE'
Usage: check_release.sh [--dist DIR] [--once] [--unit-only]

  --dist DIR    a release that scripts/release.sh has made (default: made now)
  --once        leave out the second build
  --unit-only   only the systemd unit and the package's scripts: takes a second

Needs dpkg-deb; debootstrap, root and a Debian mirror for the bare root, which is left out without them, and that is said.
USAGE
}

here=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
repo=$(dirname -- "$here")
say() { printf '%s\n' "$*"; }
die() { say "check_release.sh: $*" >&2; exit 1; }

dist='' twice=true unit_only=false
while [[ $# -gt 0 ]]; do
    case $1 in
        --dist) dist=${2:?--dist wants a directory}; shift 2 ;;
        --once) twice=false; shift ;;
        --unit-only) unit_only=true; shift ;;
        -h | --help) usage; exit 0 ;;
        *) usage >&2; exit 2 ;;
    esac
done

work=$(mktemp -d "${TMPDIR:-/tmp}/tabletd-release.XXXXXX")
daemon=
clean_up() {
    local status=$?
    trap - EXIT INT TERM
    [[ -z $daemon ]] || kill "$daemon" 2>/dev/null || true
    [[ -z $daemon ]] || wait "$daemon" 2>/dev/null || true
    if mountpoint -q "$work/root/proc"; then umount "$work/root/proc"; fi
    if [[ $status -eq 0 ]]; then rm -rf -- "$work"; else say "kept: $work" >&2; fi
    exit "$status"
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

say "the systemd unit"
if command -v systemd-analyze >/dev/null; then
    # The program need not be installed for its unit to be looked at.
    sed 's|/usr/bin/tabletd|/bin/true|' "$repo/conf/tabletd.service" >"$work/tabletd.service"
    systemd-analyze verify --man=no "$work/tabletd.service"
    exposure=50
    systemd-analyze security --offline=true --threshold=$exposure "$work/tabletd.service" >"$work/security" ||
        die "$(tail -n 1 "$work/security")"
    say "  $(tail -n 1 "$work/security" | sed 's/^[^A-Za-z]*//')"
else
    say "  systemd-analyze is not installed: left out"
fi
for script in postinst prerm postrm; do sh -n "$repo/conf/debian/$script"; done
[[ $unit_only == false ]] || exit 0

if [[ -z $dist ]]; then
    dist=$work/dist
    "$here/release.sh" --out "$dist"
fi
deb=$(printf '%s\n' "$dist"/tabletd_*.deb)
[[ -f $deb ]] || die "no tabletd_*.deb in $dist"

say "what is in it"
(cd -- "$dist" && sha256sum --quiet --check SHA256SUMS)
dpkg-deb --contents "$deb" | sed -n 's|^\(.\).* \./|\1 /|p' >"$work/contents"
for path in /usr/bin/tabletd /usr/bin/tabletctl /etc/tabletd/be.conf /usr/lib/systemd/system/tabletd.service \
    /usr/lib/sysusers.d/tabletd.conf /usr/lib/tmpfiles.d/tabletd.conf /usr/share/man/man8/tabletd.8.gz \
    /usr/share/man/man8/tabletctl-disk-drain.8.gz /usr/share/man/man5/be.conf.5.gz \
    /usr/share/bash-completion/completions/tabletctl /usr/share/zsh/vendor-completions/_tabletctl \
    /usr/share/fish/vendor_completions.d/tabletctl.fish /usr/share/tabletd/alerts.yml \
    /usr/share/tabletd/grafana-dashboard.json /usr/share/doc/tabletd/operations.md; do
    grep -qx -- "- $path" "$work/contents" || die "$path is not in the package"
done
dpkg-deb --info "$deb" conffiles | grep -x /etc/tabletd/be.conf >/dev/null || die "be.conf is no conffile"
if dpkg-deb --contents "$deb" | grep '/etc/systemd\|\.wants/'; then die "the package enables something"; fi
dpkg-deb --fsys-tarfile "$deb" | tar --extract --directory "$work" ./usr/bin/tabletd
if file "$work/usr/bin/tabletd" 2>/dev/null | grep 'not stripped' >/dev/null; then die "the binary is not stripped"; fi
tar --list --file "$dist"/tabletd-*-debug.tar.gz | grep '\.build-id/../.*\.debug' >/dev/null || die "no debug symbols"
version=$("$work/usr/bin/tabletd" --version)
[[ $version == "tabletd $(dpkg-deb --field "$deb" Version | sed 's/-[0-9]*$//')" ]] ||
    die "tabletd --version says $version, the package $(dpkg-deb --field "$deb" Version)"
say "  $(wc -l <"$work/contents") entries, $(du -h "$deb" | cut -f 1)"

# --- A bare Debian root -------------------------------------------------------------------------------------------------
bare_root() {
    local root=$work/root run=(chroot "$work/root") port=18741 id=10001 conf=$work/root/etc/tabletd/be.conf
    debootstrap --variant=minbase bookworm "$root" >"$work/debootstrap.out" 2>&1 ||
        die "debootstrap: $(tail -n 3 "$work/debootstrap.out")"
    mount -t proc proc "$root/proc"
    cp -- "$deb" "$root/tabletd.deb"
    "${run[@]}" dpkg -i /tabletd.deb >"$work/dpkg.out" 2>&1 || die "dpkg -i: $(cat "$work/dpkg.out")"
    [[ ! -e $root/etc/systemd/system/multi-user.target.wants/tabletd.service ]] || die "it was enabled"
    [[ $(stat -c '%U %a' "$root/var/lib/tabletd") != 'root '* ]] || die "state_dir belongs to root"

    # Started by hand, as its user; a tablet is moved.
    mkdir -p -- "$root/disks/1" "$root/disks/2" "$root/source"
    head -c 100000 /dev/urandom >"$root/source/0_0.dat"
    printf 'storage_root_path = /disks/1,medium:ssd;/disks/2,medium:ssd\nwebserver_port = %s\n' "$port" >>"$conf"
    printf 'min_file_descriptor_number = 0\nstorage_flood_stage_usage_percent = 100\n' >>"$conf"
    "${run[@]}" tabletctl tablet import /source --root /disks/1 --tablet-id "$id" --schema-hash 5 >/dev/null
    "${run[@]}" chown -R tabletd:tabletd /disks
    start() {
        "${run[@]}" setpriv --reuid=tabletd --regid=tabletd --clear-groups \
            /usr/bin/tabletd --conf /etc/tabletd/be.conf >"$work/tabletd.out" 2>&1 &
        daemon=$!
        for _ in $(seq 100); do
            if "${run[@]}" tabletctl --addr "http://127.0.0.1:$port" disks >/dev/null 2>&1; then return; fi
            sleep 0.2
        done
        die "it does not start: $(tail -n 3 "$work/tabletd.out")"
    }
    stop() { kill "$daemon"; wait "$daemon" || die "it did not stop in order"; daemon=; }
    start
    "${run[@]}" tabletctl --addr "http://127.0.0.1:$port" migrate "$id" --disk /disks/2 --follow >/dev/null
    stop
    cmp "$root/source/0_0.dat" "$root"/disks/2/data/*/"$id"/5/0_0.dat

    say "  installed, started by hand, moved a tablet"
    # Again, over itself: the configuration stays as it was written.
    cp -- "$conf" "$work/be.conf.before"
    "${run[@]}" dpkg -i /tabletd.deb >"$work/dpkg.out" 2>&1 || die "upgrade: $(cat "$work/dpkg.out")"
    cmp "$conf" "$work/be.conf.before" || die "the upgrade changed be.conf"
    start
    stop
    "${run[@]}" dpkg --remove tabletd >/dev/null
    cmp "$conf" "$work/be.conf.before" || die "the removal changed be.conf"
    find "$root/disks" "$root/var/lib/tabletd" -type f -exec sha256sum {} + | sort >"$work/before"
    "${run[@]}" dpkg --purge tabletd >/dev/null
    [[ ! -e $conf ]] || die "the purge left be.conf"
    find "$root/disks" "$root/var/lib/tabletd" -type f -exec sha256sum {} + | sort >"$work/after"
    grep -q journal.db "$work/after" || die "no journal: nothing was tried"
    cmp "$work/before" "$work/after" || die "the purge touched a tablet or the journal"
    umount "$root/proc"
    say "  upgraded, removed, purged: configuration kept until the purge, tablets and journal kept for good"
}
if [[ $(id -u) -eq 0 ]] && command -v debootstrap >/dev/null; then
    say "a bare Debian root"
    bare_root
else
    say "a bare Debian root: left out, it needs root and debootstrap"
fi

if [[ $twice == true ]]; then
    say "a second build, in another place"
    git clone --quiet "$repo" "$work/again"
    git -C "$work/again" checkout --quiet --detach "$(git -C "$repo" rev-parse HEAD)"
    (cd -- "$work/again" && env -u CARGO_TARGET_DIR scripts/release.sh --out "$work/dist2")
    cmp "$dist/SHA256SUMS" "$work/dist2/SHA256SUMS" || die "two builds differ: compare $dist with $work/dist2"
    say "  the same, byte for byte"
fi
say "all of it holds"
