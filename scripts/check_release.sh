#!/usr/bin/env bash
# Tries a release: what it holds, its life on a bare Debian node, its container, and that two builds are the same.
set -euo pipefail

usage() {
    cat <<'USAGE'
Usage: check_release.sh [--short] [--dist DIR] [--before DIR] [--profile NAME] [--once]

  --short          what needs no build: unit, scripts of the package, playbook, sources of the package (seconds)
  --dist DIR       a release that scripts/release.sh has made (default: made now)
  --before DIR     tabletd and tabletctl of the version before, to be upgraded from (default: built now, from its commit)
  --profile NAME   handed to release.sh: dev is quick to build
  --once           leave out the second build

What else it needs is named where it is missing, and left out: debootstrap, root and a Debian mirror for the bare node,
systemd-nspawn for a boot of it, buildah for the container, ansible-lint (pip install ansible-lint) for the playbook.
USAGE
}

here=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
repo=$(dirname -- "$here")
say() { printf '%s\n' "$*"; }
die() { say "check_release.sh: $*" >&2; exit 1; }
have() { PATH=$PATH:/usr/sbin:/sbin command -v "$1" >/dev/null; }

# The last commit of 0.1.0: its journal has format 5.
commit_before=7e9175e

dist='' before='' profile=release twice=true short=false
while [[ $# -gt 0 ]]; do
    case $1 in
        --short) short=true; shift ;;
        --dist) dist=${2:?--dist wants a directory}; shift 2 ;;
        --before) before=${2:?--before wants a directory}; shift 2 ;;
        --profile) profile=${2:?--profile wants a name}; shift 2 ;;
        --once) twice=false; shift ;;
        -h | --help) usage; exit 0 ;;
        *) usage >&2; exit 2 ;;
    esac
done

work=$(mktemp -d "${TMPDIR:-/tmp}/tabletd-release.XXXXXX")
clean_up() {
    local status=$?
    trap - EXIT INT TERM
    if [[ $status -eq 0 ]]; then rm -rf --one-file-system -- "$work"; else say "kept: $work" >&2; fi
    exit "$status"
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# --- Short: what lies in the tree --------------------------------------------------------------------------------------
units() {
    say "the systemd units, users and directories"
    if ! have systemd-analyze; then
        say "  systemd is not installed: left out"
        return
    fi
    local exposure=40 unit
    for unit in tabletd tabletfleet; do
        # The program need not be installed for its unit to be looked at.
        sed "s|/usr/bin/$unit|/bin/true|" "$repo/conf/$unit.service" >"$work/$unit.service"
        systemd-analyze verify --man=no "$work/$unit.service"
        systemd-analyze security --offline=true --threshold=$exposure "$work/$unit.service" >"$work/security" ||
            die "$(tail -n 1 "$work/security")"
        say "  $(tail -n 1 "$work/security" | sed 's/^[^A-Za-z]*//')"
    done
    # systemd forbids openat2(2) with either: no daemon would start. A whole boot is tried by try_package.sh.
    if grep -E '^(RestrictSUIDSGID|DynamicUser)=' "$repo/conf/tabletd.service"; then die "the unit forbids openat2"; fi
    mkdir -p -- "$work/empty/etc"
    systemd-sysusers --root="$work/empty" "$repo/conf/debian/sysusers.conf" >/dev/null 2>&1 ||
        die "systemd-sysusers does not take sysusers.conf"
    systemd-tmpfiles --root="$work/empty" --create "$repo/conf/debian/tmpfiles.conf" >"$work/tmpfiles" 2>&1 ||
        die "systemd-tmpfiles: $(cat "$work/tmpfiles")"
    for dir in /var/lib/tabletd /var/log/tabletd; do
        [[ $(stat -c %a "$work/empty$dir") == 750 ]] || die "tmpfiles.conf does not make $dir for its user only"
    done
}
package_sources() {
    say "the package's own scripts, and the sources of what it holds"
    local script source
    for script in postinst prerm postrm; do sh -n "$repo/conf/debian/$script"; done
    # What is built lies in target/stage and is looked for in the package itself.
    sed -n '/^assets = \[/,/^\]/s/^ *\["\([^"]*\)".*/\1/p' "$repo/Cargo.toml" | grep -v '^target/stage/' >"$work/sources"
    while read -r source; do
        compgen -G "$repo/$source" >/dev/null || die "Cargo.toml packs $source, which is not there"
    done <"$work/sources"
    say "  $(wc -l <"$work/sources") patterns"
}
playbook() {
    say "the playbook of docs/install.md"
    if have ansible-lint; then
        ansible-lint --offline --nocolor -q "$repo"/docs/ansible/*.yml
        say "  ansible-lint finds nothing"
    else
        say "  ansible-lint is not installed (pip install ansible-lint): left out"
    fi
}
units
package_sources
playbook
[[ $short == false ]] || exit 0

# --- What is in it -----------------------------------------------------------------------------------------------------
if [[ -z $dist ]]; then
    dist=$work/dist
    "$here/release.sh" --out "$dist" --profile "$profile"
fi
deb=$(printf '%s\n' "$dist"/tabletd_*.deb)
[[ -f $deb ]] || die "no tabletd_*.deb in $dist"
mapfile -t programs < <(sed -n '/^\[\[bin\]\]/,/^name/s/^name = "\(.*\)"$/\1/p' "$repo/Cargo.toml")

contents() {
    say "what is in it"
    (cd -- "$dist" && sha256sum --quiet --check SHA256SUMS)
    [[ $(wc -l <"$dist/SHA256SUMS") -eq $(find "$dist" -type f ! -name SHA256SUMS | wc -l) ]] ||
        die "SHA256SUMS does not name every file"
    dpkg-deb --contents "$deb" | sed -n 's|^\(.\).* \./|\1 /|p' >"$work/contents"
    local path program
    for path in "${programs[@]/#//usr/bin/}" /etc/tabletd/be.conf /usr/lib/systemd/system/tabletd.service \
        /usr/lib/sysusers.d/tabletd.conf /usr/lib/tmpfiles.d/tabletd.conf /usr/share/man/man8/tabletd.8.gz \
        /usr/share/man/man8/tabletfleet.8.gz \
        /usr/lib/systemd/system/tabletfleet.service /usr/share/man/man8/tabletctl-disk-drain.8.gz /usr/share/man/man5/be.conf.5.gz \
        /usr/share/bash-completion/completions/tabletctl /usr/share/zsh/vendor-completions/_tabletctl \
        /usr/share/fish/vendor_completions.d/tabletctl.fish /usr/share/tabletd/alerts.yml \
        /usr/share/tabletd/grafana-dashboard.json /usr/share/doc/tabletd/operations.md; do
        grep -qx -- "- $path" "$work/contents" || die "$path is not in the package"
    done
    dpkg-deb --info "$deb" conffiles | grep -x /etc/tabletd/be.conf >/dev/null || die "be.conf is no conffile"
    if grep '/etc/systemd\|\.wants/' "$work/contents"; then die "the package enables something"; fi

    local tree=$work/tree version said
    dpkg-deb --extract "$deb" "$tree"
    version=$(dpkg-deb --field "$deb" Version)
    tar --extract --gzip --directory "$work" --file "$dist"/tabletd-*-debug.tar.gz
    for program in "${programs[@]}"; do
        said=$("$tree/usr/bin/$program" --version)
        [[ $said == "$program ${version%%[~-]*}" ]] || die "$program --version says $said, the package $version"
        if readelf --sections "$tree/usr/bin/$program" | grep '\.debug_info\|\.symtab' >/dev/null; then
            die "$program is not stripped"
        fi
        said=$(readelf --notes "$tree/usr/bin/$program" | sed -n 's/.*Build ID: //p')
        readelf --sections "$work/usr/lib/debug/.build-id/${said:0:2}/${said:2}.debug" 2>/dev/null | grep '\.symtab' >/dev/null ||
            die "no symbols of $program by its build id"
        cmp "$tree/usr/bin/$program" <(tar --extract --gzip --to-stdout --wildcards \
            --file "$(find "$dist" -name 'tabletd-*.tar.gz' ! -name '*-debug.tar.gz')" "*/bin/$program")
    done
    bash -n "$tree/usr/share/bash-completion/completions/tabletctl"
    if have zsh; then zsh -n "$tree/usr/share/zsh/vendor-completions/_tabletctl"; fi
    if have fish; then fish -n "$tree/usr/share/fish/vendor_completions.d/tabletctl.fish"; fi
    if have man; then
        find "$tree/usr/share/man" -name '*.gz' -exec env MANWIDTH=200 MANROFFOPT=-ww man --warnings -l {} + \
            >/dev/null 2>"$work/man" || true
        [[ ! -s $work/man ]] || die "man pages: $(head -n 3 "$work/man")"
    fi
    if have jq; then
        jq -e '.bomFormat == "CycloneDX" and (.components | length) > 50' "$dist"/tabletd-*.cdx.json >/dev/null ||
            die "the bill of materials is none"
    fi
    say "  $(wc -l <"$work/contents") entries, $(du -h "$deb" | cut -f 1), needs $(dpkg-deb --field "$deb" Depends)"
    say "  newest symbol: $(objdump -T "${programs[@]/#/$tree/usr/bin/}" | grep -o 'GLIBC_[0-9.]*' | sort -uV | tail -n 1)"
}
contents

# --- A bare Debian node ------------------------------------------------------------------------------------------------
bare=$work/bare
version_before() {
    git -C "$repo" cat-file -e "$commit_before^{commit}" 2>/dev/null || return 1
    say "building the version before, $commit_before"
    git clone --quiet --no-checkout "$repo" "$work/before"
    git -C "$work/before" checkout --quiet --detach "$commit_before"
    (cd -- "$work/before" && CARGO_TARGET_DIR=$work/before/target cargo build --quiet --locked --bins)
    before=$work/before/target/debug
}
if [[ $(id -u) -eq 0 ]] && have debootstrap; then
    if [[ -z $before ]] && ! version_before; then
        say "$commit_before is not in this clone: no upgrade, no roll-back"
    fi
    say "a bare Debian node"
    debootstrap --variant=minbase --include=systemd bookworm "$bare" >"$work/debootstrap.out" 2>&1 ||
        die "debootstrap: $(tail -n 3 "$work/debootstrap.out")"
    "$here/try_package.sh" --deb "$deb" --root "$bare" ${before:+--before "$before"}
else
    say "a bare Debian node: left out, it needs root and debootstrap"
fi

# --- The container -----------------------------------------------------------------------------------------------------
container() {
    local store=(--root "$work/containers" --runroot "$work/containers.run" --storage-driver vfs) made said
    made=$(buildah "${store[@]}" from scratch)
    buildah "${store[@]}" copy --quiet "$made" "$bare" / >/dev/null
    buildah "${store[@]}" commit --quiet "$made" bare >/dev/null
    buildah "${store[@]}" bud --isolation chroot --build-arg BASE=localhost/bare --file "$repo/Containerfile" \
        --tag tabletd-try "$dist" >"$work/buildah.out" 2>&1 || die "buildah: $(tail -n 3 "$work/buildah.out")"
    made=$(buildah "${store[@]}" from --pull-never localhost/tabletd-try)
    said=$(buildah "${store[@]}" run --isolation chroot "$made" -- sh -c 'id -un; tabletd --version')
    [[ $said == tabletd$'\n'"tabletd "* ]] || die "the container says $said"
    said=$(buildah "${store[@]}" run --isolation chroot "$made" -- tabletd --conf /etc/tabletd/be.conf 2>&1) &&
        die "the container starts without disks"
    [[ $said == *storage_root_path* ]] || die "the container without disks says $said"
    say "  built on the bare node's files; runs as tabletd"
}
say "the container"
if [[ -d $bare ]] && have buildah; then
    container
else
    say "  left out: it needs buildah and the bare node"
fi

# --- Twice -------------------------------------------------------------------------------------------------------------
if [[ $twice == true ]]; then
    say "a second build, in another place"
    git clone --quiet "$repo" "$work/again"
    git -C "$work/again" checkout --quiet --detach "$(git -C "$repo" rev-parse HEAD)"
    (cd -- "$work/again" && env -u CARGO_TARGET_DIR scripts/release.sh --out "$work/dist2" --profile "$profile")
    diff "$dist/SHA256SUMS" "$work/dist2/SHA256SUMS" || die "two builds differ: compare $dist with $work/dist2"
    say "  the same, byte for byte"
fi
say "all of it holds"
