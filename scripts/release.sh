#!/usr/bin/env bash
# Makes a release from a clean tree: .deb, tarball, debug symbols, SHA256SUMS. Tags and publishes nothing.
set -euo pipefail

usage() {
    cat <<'USAGE'
Usage: release.sh [--out DIR]

  --out DIR   where to put them (target/dist)

Needs cargo-deb (cargo install cargo-deb --locked) and objcopy. Runs on the glibc of this machine or a later one.
The same tree and toolchain give the same files: times are those of the last commit, and no path of this machine is in them.
USAGE
}

here=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
repo=$(dirname -- "$here")
say() { printf '%s\n' "$*" >&2; }
die() { say "release.sh: $*"; exit 1; }

out=
while [[ $# -gt 0 ]]; do
    case $1 in
        --out) out=${2:?--out wants a directory}; shift 2 ;;
        -h | --help) usage; exit 0 ;;
        *) usage >&2; exit 2 ;;
    esac
done
out=$(realpath -m -- "${out:-$repo/target/dist}")
cd -- "$repo"
dirty=$(git status --porcelain)
[[ -z $dirty ]] || die "the tree is not clean; commit or stash first:
$dirty"
for tool in cargo-deb objcopy readelf strip; do
    command -v "$tool" >/dev/null || die "$tool is needed and not installed"
done

SOURCE_DATE_EPOCH=$(git log -1 --format=%ct)
export SOURCE_DATE_EPOCH LC_ALL=C
version=$(sed -n 's/^version = "\(.*\)"$/\1/p' Cargo.toml | head -n 1)
name=tabletd-$version-linux-$(uname -m)

# --- Build: never with fault injection ---------------------------------------------------------------------------------
target=${CARGO_TARGET_DIR:-$repo/target/package}
RUSTFLAGS="--remap-path-prefix=$repo=/usr/src/tabletd --remap-path-prefix=${CARGO_HOME:-$HOME/.cargo}=/usr/src/cargo" \
    CARGO_TARGET_DIR=$target cargo build --release --locked --bins
stage=$repo/target/stage
rm -rf -- "$stage"
mkdir -p -- "$stage/bin" "$stage/man" "$stage/completions" "$stage/debug"
for program in tabletd tabletctl; do
    built=$target/release/$program
    if grep -q TABLETD_FAIL_POINT "$built"; then die "$built was built with fault-injection"; fi
    if grep -qF "$repo" "$built"; then die "$built names $repo"; fi
    # Symbols go where gdb looks for them by the build's id.
    id=$(readelf --notes "$built" | sed -n 's/.*Build ID: //p')
    [[ $id =~ ^[0-9a-f]{8,}$ ]] || die "$built has no build id"
    symbols=$stage/debug/usr/lib/debug/.build-id/${id:0:2}
    mkdir -p -- "$symbols"
    objcopy --only-keep-debug "$built" "$symbols/${id:2}.debug"
    strip -o "$stage/bin/$program" "$built"
done
"$stage/bin/tabletctl" man --dir "$stage/man"
"$stage/bin/tabletctl" completions bash >"$stage/completions/tabletctl"
"$stage/bin/tabletctl" completions zsh >"$stage/completions/_tabletctl"
"$stage/bin/tabletctl" completions fish >"$stage/completions/tabletctl.fish"

# --- Pack --------------------------------------------------------------------------------------------------------------
mkdir -p -- "$out"
rm -f -- "$out"/tabletd[-_]*.deb "$out"/tabletd-*.tar.gz "$out/SHA256SUMS"
cargo deb --quiet --no-build --no-strip --locked --output "$out/"

pack() { # FILE DIR [WHAT...]
    local file=$1 dir=$2
    shift 2
    tar --create --directory "$dir" --sort=name --mtime="@$SOURCE_DATE_EPOCH" --owner=0 --group=0 --numeric-owner \
        --format=gnu --mode=u+rw,go=rX "$@" | gzip -n -9 >"$file"
}
tree=$stage/$name
mkdir -p -- "$tree/bin" "$tree/conf" "$tree/docs"
cp -- "$stage"/bin/* scripts/start_be.sh scripts/stop_be.sh "$tree/bin/"
cp -- conf/be.conf conf/tabletd.service conf/alerts.yml conf/grafana-dashboard.json "$tree/conf/"
cp -- docs/*.md "$tree/docs/"
cp -r -- README.md CHANGELOG.md LICENSE "$stage/man" "$stage/completions" "$tree/"
pack "$out/$name.tar.gz" "$stage" "$name"
pack "$out/$name-debug.tar.gz" "$stage/debug" .
(cd -- "$out" && sha256sum -- *.deb *.tar.gz >SHA256SUMS)
say "in $out:"
cat "$out/SHA256SUMS"
