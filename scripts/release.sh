#!/usr/bin/env bash
# Makes a release from a clean tree: .deb, tarball, debug symbols, bill of materials, SHA256SUMS. Tags and publishes
# nothing.
set -euo pipefail

usage() {
    cat <<'USAGE'
Usage: release.sh [--out DIR] [--glibc VERSION] [--profile NAME]

  --out DIR         where to put them (target/dist)
  --glibc VERSION   the oldest glibc the programs are to run on (2.17); `host`: built without zig, for this machine's
                    glibc and later ones
  --profile dev     a quick build to try the packaging with; its version ends in ~dev

Needs cargo-deb and cargo-cyclonedx (cargo install --locked cargo-deb cargo-cyclonedx), objcopy, readelf and strip, and
for an older glibc cargo-zigbuild with zig (pip install cargo-zigbuild ziglang).
The same tree and toolchain give the same files: times are those of the last commit, and no path of this machine is in
them.
USAGE
}

here=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
repo=$(dirname -- "$here")
say() { printf '%s\n' "$*" >&2; }
die() { say "release.sh: $*"; exit 1; }

out='' glibc=2.17 profile=release
while [[ $# -gt 0 ]]; do
    case $1 in
        --out) out=${2:?--out wants a directory}; shift 2 ;;
        --glibc) glibc=${2:?--glibc wants a version}; shift 2 ;;
        --profile) profile=${2:?--profile wants a name}; shift 2 ;;
        -h | --help) usage; exit 0 ;;
        *) usage >&2; exit 2 ;;
    esac
done
[[ $glibc == host || $glibc =~ ^2\.[0-9]+$ ]] || die "--glibc $glibc: a version as 2.17, or host"
[[ $profile == release || $profile == dev ]] || die "--profile $profile: release or dev"
out=$(realpath -m -- "${out:-$repo/target/dist}")
cd -- "$repo"
dirty=$(git status --porcelain)
[[ -z $dirty ]] || die "the tree is not clean; commit or stash first:
$dirty"
tools=(cargo-deb cargo-cyclonedx objcopy readelf strip)
[[ $glibc == host ]] || tools+=(cargo-zigbuild)
for tool in "${tools[@]}"; do
    command -v "$tool" >/dev/null || die "$tool is needed and not installed; how to get it: release.sh --help"
done

SOURCE_DATE_EPOCH=$(git log -1 --format=%ct)
export SOURCE_DATE_EPOCH LC_ALL=C
version=$(sed -n 's/^version = "\(.*\)"$/\1/p' Cargo.toml | head -n 1)
[[ $profile == release ]] || version+='~dev'
name=tabletd-$version-linux-$(uname -m)
mapfile -t programs < <(sed -n '/^\[\[bin\]\]/,/^name/s/^name = "\(.*\)"$/\1/p' Cargo.toml)

# --- Build: never with fault injection ---------------------------------------------------------------------------------
target=${CARGO_TARGET_DIR:-$repo/target/package}
export CARGO_TARGET_DIR=$target CARGO_INCREMENTAL=0
# What somebody has set for a build of another kind does not leak into this one.
for variable in $(compgen -e | grep -E '^(CARGO_PROFILE_RELEASE_|CARGO_BUILD_|CARGO_ENCODED_RUSTFLAGS|CARGO_TARGET_.*_RUSTFLAGS)'); do
    unset "$variable"
done
# Paths of this machine, as rustc and the C compiler would write them for debuggers.
remap_rust='' remap_c=''
for pair in "$target=/usr/src/tabletd/target" "$repo=/usr/src/tabletd" "${CARGO_HOME:-$HOME/.cargo}=/usr/src/cargo"; do
    # rustc takes the last that fits, the C compiler too: what lies within another comes after it.
    remap_rust="--remap-path-prefix=$pair $remap_rust"
    remap_c="-ffile-prefix-map=$pair $remap_c"
done
export RUSTFLAGS="$remap_rust-Clink-arg=-Wl,--build-id=sha1" CFLAGS=$remap_c
triple=$(rustc -vV | sed -n 's/^host: //p')
if [[ $glibc == host ]]; then
    cargo build --locked --bins --profile "$profile" --target "$triple"
else
    cargo zigbuild --locked --bins --profile "$profile" --target "$triple.$glibc"
fi
built=$target/$triple/${profile/dev/debug}

stage=$repo/target/stage
rm -rf -- "$stage"
mkdir -p -- "$stage/bin" "$stage/man" "$stage/completions" "$stage/debug"
for program in "${programs[@]}"; do
    file=$built/$program
    if grep -q TABLETD_FAIL_POINT "$file"; then die "$file was built with fault-injection"; fi
    for path in "$repo" "$target" "${CARGO_HOME:-$HOME/.cargo}"; do
        if grep -qF "$path/" "$file"; then die "$file names $path"; fi
    done
    newest=$(objdump -T "$file" | grep -o 'GLIBC_[0-9.]*' | sort -uV | tail -n 1)
    [[ $glibc == host || $(printf '%s\n' "$newest" "GLIBC_$glibc" | sort -V | tail -n 1) == "GLIBC_$glibc" ]] ||
        die "$file needs $newest"
    # Symbols go where gdb looks for them by the build's id.
    id=$(readelf --notes "$file" | sed -n 's/.*Build ID: //p')
    [[ $id =~ ^[0-9a-f]{8,}$ ]] || die "$file has no build id"
    symbols=$stage/debug/usr/lib/debug/.build-id/${id:0:2}
    mkdir -p -- "$symbols"
    objcopy --only-keep-debug "$file" "$symbols/${id:2}.debug"
    strip -o "$stage/bin/$program" "$file"
done
"$stage/bin/tabletctl" man --dir "$stage/man"
"$stage/bin/tabletctl" completions bash >"$stage/completions/tabletctl"
"$stage/bin/tabletctl" completions zsh >"$stage/completions/_tabletctl"
"$stage/bin/tabletctl" completions fish >"$stage/completions/tabletctl.fish"

# --- Pack --------------------------------------------------------------------------------------------------------------
mkdir -p -- "$out"
rm -f -- "$out"/tabletd[-_]*.deb "$out"/tabletd-*.tar.gz "$out"/tabletd-*.cdx.json "$out/SHA256SUMS"

# What is in it: every crate with its version, its licence and its checksum.
bom=$out/$name.cdx.json
trap 'rm -f -- "$repo/bom.json"' EXIT
cargo cyclonedx --quiet --format json --spec-version 1.5 --target "$triple" --override-filename bom
sed "s|$repo|/usr/src/tabletd|g" bom.json >"$bom"
rm -- bom.json

variant=()
[[ $glibc != host ]] || variant=(--variant host)
cargo deb --quiet --no-build --no-strip --locked "${variant[@]}" --deb-version "$version-1" --output "$out/" >&2

pack() { # FILE DIR [WHAT...]
    local file=$1 dir=$2
    shift 2
    tar --create --directory "$dir" --sort=name --mtime="@$SOURCE_DATE_EPOCH" --owner=0 --group=0 --numeric-owner \
        --format=gnu --mode=u+rw,go=rX "$@" | gzip -n -9 >"$file"
}
tree=$stage/$name
mkdir -p -- "$tree/bin" "$tree/docs"
cp -- "$stage"/bin/* scripts/start_be.sh scripts/stop_be.sh "$tree/bin/"
cp -r -- conf "$tree/conf"
cp -r -- docs/*.md docs/ansible "$tree/docs/"
cp -r -- README.md CHANGELOG.md LICENSE Containerfile "$bom" "$stage/man" "$stage/completions" "$tree/"
pack "$out/$name.tar.gz" "$stage" "$name"
pack "$out/$name-debug.tar.gz" "$stage/debug" .
(cd -- "$out" && sha256sum -- *.deb *.tar.gz *.cdx.json >SHA256SUMS)
say "in $out:"
cat "$out/SHA256SUMS"
