#!/usr/bin/env bash
# Runs schemathesis (pip install schemathesis) against a daemon of its own: made-up requests for every documented
# operation below /api/v1, and each answer compared with the OpenAPI document.
set -euo pipefail

usage() {
    cat <<'EOT'
Usage: fuzz_api.sh [schemathesis options, for example --max-examples 200]

Needs schemathesis on the PATH and the daemon's binaries in target/debug (cargo build).
EOT
}

case ${1:-} in -h | --help) usage; exit 0 ;; esac
command -v schemathesis >/dev/null || { usage >&2; exit 2; }

here=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
home=$(dirname -- "$here")
bin=$(realpath -- "${CARGO_TARGET_DIR:-$home/target}")/debug
work=$(mktemp -d)
pid=
stop() {
    if [[ -n $pid ]]; then
        kill "$pid" 2>/dev/null || true
        wait "$pid" || true
    fi
    rm -rf -- "$work"
}
trap stop EXIT

mkdir -p "$work/conf" "$work/disk1" "$work/disk2" "$work/tablet"
cat >"$work/conf/be.conf" <<EOT
webserver_port = 0
storage_root_path = $work/disk1,medium:ssd;$work/disk2,medium:ssd
min_file_descriptor_number = 0
EOT
head -c 5000 /dev/urandom >"$work/tablet/0200_0.dat"
for tablet_id in 1 2 3; do
    "$bin/tabletctl" tablet import "$work/tablet" --root "$work/disk1" --tablet-id "$tablet_id" --schema-hash 7 >/dev/null
done
: >"$work/said"
env -u DORIS_HOME "$bin/tabletd" --conf "$work/conf/be.conf" 2>>"$work/said" &
pid=$!
url=
for _ in $(seq 100); do
    url=$(sed -n 's/.*listening on \(http[^ ]*\).*/\1/p' "$work/said")
    [[ -z $url ]] || break
    sleep 0.1
done
[[ -n $url ]] || { cat "$work/said" >&2; exit 1; }

# Constraints between fields cannot be said in the document, so that a refusal of what the document allows is no finding.
# Streams do not end.
cd -- "$work"
schemathesis run "$url/api/v1/openapi.json" --url "$url" --include-path-regex '^/api/v1' --exclude-path-regex 'events$' \
    --checks not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance \
    --phases examples,coverage,fuzzing --max-examples 30 "$@"
