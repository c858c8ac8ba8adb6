#!/usr/bin/env bash
# Makes the pictures of the page that README shows, with a real daemon and a real browser.
set -euo pipefail

usage() {
    cat <<'END'
Usage: screenshots.sh

Writes docs/images/*.png. Needs root (file systems in memory) and Debian's chromium and chromium-driver.
END
}

case ${1:-} in
    '') ;;
    -h | --help) usage; exit 0 ;;
    *) usage >&2; exit 2 ;;
esac

here=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
cd -- "$(dirname -- "$here")"
mkdir -p docs/images
TABLETD_REQUIRE_ROOT_TESTS=1 TABLETD_PICTURES=$PWD/docs/images \
    cargo test --locked --test page -- pictures_are_made --nocapture
for picture in docs/images/*.png; do
    printf '%s  %d KiB\n' "$picture" "$(($(stat -c %s "$picture") / 1024))"
done
