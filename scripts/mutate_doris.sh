#!/usr/bin/env bash
# Changes the databases of the Doris fixtures at random, 100,000 times per root unless told otherwise, and holds what the
# reader makes of each against what RocksDB 5.14.2 would read: refused, or alike. Prints one line per root.
#
#   scripts/mutate_doris.sh [MUTATIONS [SEED]]
set -euo pipefail
cd "$(dirname "$0")/.."

optimised=()
for package in tabletd crc32c snap; do
  optimised+=(--config "profile.dev.package.$package.opt-level=2")
done
TABLETD_MUTATIONS=${1:-100000} TABLETD_SEED=${2:-1} \
  cargo test --locked "${optimised[@]}" --test doris hostile -- --nocapture
