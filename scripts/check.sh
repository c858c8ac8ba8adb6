#!/usr/bin/env bash
# Everything a change has to pass: format, lints, tests, documentation, scripts.
set -euo pipefail

usage() {
    cat <<'EOF'
Usage: check.sh [--no-install]

  --no-install   leave out what this machine lacks a program for, instead of installing it with apt-get and pip

TABLETD_REQUIRE_ROOT_TESTS=1 makes a test that needs root, a loop device, FUSE or a browser fail instead of being skipped.
EOF
}

install=true
while [[ $# -gt 0 ]]; do
    case $1 in
        --no-install) install=false ;;
        -h | --help) usage; exit 0 ;;
        *) usage >&2; exit 2 ;;
    esac
    shift
done

here=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
cd -- "$(dirname -- "$here")"

say() { printf '\n== %s\n' "$*"; }

# package:command pairs
needed=(build-essential:cc ca-certificates:update-ca-certificates git:git xfsprogs:mkfs.xfs e2fsprogs:mkfs.ext4
    btrfs-progs:mkfs.btrfs strace:strace fuse3:fusermount3 openssl:openssl curl:curl jq:jq rsync:rsync
    gddrescue:ddrescue chromium:chromium chromium-driver:chromedriver prometheus:promtool shellcheck:shellcheck
    zsh:zsh fish:fish bsdutils:script groff-base:groff etcd-server:etcd)
# shellcheck source=scripts/needed.sh
source "$here/needed.sh"
[[ $install == false ]] || install_missing "${needed[@]}"
not_here "${needed[@]}"
if [[ ${#missing[@]} -gt 0 ]]; then
    say "not installed: ${missing[*]} (what needs them is left out)"
fi

# ansible-lint is not what Debian 12 has; a place of its own leaves the machine's Python alone.
tools=target/check-tools
if [[ $install == true ]] && ! command -v ansible-lint >/dev/null; then
    if [[ ! -x $tools/bin/ansible-lint ]]; then
        say "pip install ansible-lint, into $tools"
        { python3 -m venv "$tools" && "$tools/bin/pip" install --quiet --disable-pip-version-check ansible-lint; } ||
            say "that failed: the playbook will not be looked at"
    fi
    PATH=$PATH:$PWD/$tools/bin
fi

# step NAME COMMAND...: runs it and says how long it took.
step() {
    local started=$SECONDS
    say "$*"
    "$@"
    printf -- '-- %d s\n' "$((SECONDS - started))"
}

step cargo fmt --all -- --check
step cargo clippy --locked --all-targets --all-features -- -D warnings
step cargo test --locked --no-fail-fast
# What kills the daemon at named points, and leaves rules out on purpose, needs fault injection: of the suites below
# the rooms that have such tests, found by the feature's name.
mapfile -t rooms < <(
    grep -hA1 'feature = "fault-injection"' tests/daemon/main.rs tests/doris/main.rs | sed -n 's/^mod \(.*\);$/\1::/p'
    grep -rl 'feature = "fault-injection"' tests/daemon tests/doris tests/page | sed -n 's|.*/\([a-z_]*\)\.rs$|\1::|p' | grep -v '^main::'
)
step cargo test --locked --no-fail-fast --features fault-injection --test daemon --test doris --test page -- "${rooms[@]}"
for part in 'named point' 'left out on purpose' 'wall clock' 'short reads' 'call of a start' 'second event'; do
    step cargo test --locked --features fault-injection --test faults -- --only "$part"
done
# Lives in virtual time: half a minute each from a seed that everybody has and from one that nobody had before.
step scripts/simulate.sh --seconds 30 --seed 5000
step scripts/simulate.sh --seconds 30
step cargo test --locked --features fault-injection --test simulation -- --without-rules
step env RUSTDOCFLAGS="-D warnings" cargo doc --locked --no-deps

scripts=(scripts/*.sh .ci/run conf/debian/postinst conf/debian/prerm conf/debian/postrm)
for script in "${scripts[@]}"; do
    bash -n "$script"
done
if command -v shellcheck >/dev/null; then
    step shellcheck "${scripts[@]}"
else
    say "shellcheck is not installed: the scripts' syntax was checked, their habits were not"
fi

step scripts/check_release.sh --short
if command -v promtool >/dev/null && command -v prometheus >/dev/null && command -v jq >/dev/null; then
    step scripts/check_monitoring.sh
else
    say "prometheus or jq is not installed: alerts and dashboard were not tried"
fi

if command -v schemathesis >/dev/null; then
    step scripts/fuzz_api.sh
else
    say "schemathesis is not installed: the API was compared with its document by our own requests only"
fi

printf '\nall checks passed in %d s\n' "$SECONDS"
