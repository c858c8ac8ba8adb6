#!/usr/bin/env bash
# Tries metrics, alerts and dashboard with a real Prometheus, on a node that has a bad day.
set -euo pipefail

usage() {
    cat <<'USAGE'
Usage: check_monitoring.sh [--bin DIR]

  --bin DIR   where tabletd and tabletctl are (default: built with cargo, debug)

1. promtool: conf/alerts.yml, its test series, and what /metrics answers.
2. Every query of conf/grafana-dashboard.json is answered with data by a Prometheus that scrapes a daemon during a drain.
3. A damaged tablet and a disk that turns read-only set off their alerts.

Needs promtool, prometheus, curl and jq; 2 and 3 need root, for two loop-mounted disks, else they are left out and that is said.
The dashboard is also read by Grafana's own schema, with python3-venv and grafana-foundation-sdk (by pip, into target/).
USAGE
}

here=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
repo=$(dirname -- "$here")
say() { printf '%s\n' "$*"; }
die() { say "check_monitoring.sh: $*" >&2; exit 1; }

bin=
while [[ $# -gt 0 ]]; do
    case $1 in
        --bin) bin=${2:?--bin wants a directory}; shift 2 ;;
        -h | --help) usage; exit 0 ;;
        *) usage >&2; exit 2 ;;
    esac
done
for tool in promtool prometheus curl jq; do
    command -v "$tool" >/dev/null || die "$tool is needed and not installed"
done

say "alert rules and their test series"
promtool check rules "$repo/conf/alerts.yml" >/dev/null
promtool test rules "$repo/tests/monitoring/alerts_test.yml" >/dev/null
tested=$(grep -o 'alertname: [A-Za-z]*' "$repo/tests/monitoring/alerts_test.yml" | sort -u | wc -l)
rules=$(grep -c -- '- alert:' "$repo/conf/alerts.yml")
[[ $tested -eq $rules ]] || die "$rules alerts, $tested of them have test series"
runbooks=$repo/docs/runbooks.md
if [[ -f $runbooks ]]; then
    # GitHub's anchors: lower case, blanks as '-', and nothing else but letters, digits, '-' and '_'.
    anchors=$(sed -n 's/^##* //p' "$runbooks" | tr '[:upper:] ' '[:lower:]-' | sed 's/[^a-z0-9_-]//g')
    grep -o 'docs/runbooks.md#[a-z0-9_-]*' "$repo/conf/alerts.yml" | sort -u | while read -r link; do
        grep -qx -- "${link#*#}" <<<"$anchors" || die "$link: no such heading in docs/runbooks.md"
    done
fi
say "  $rules alerts, each with series that set it off and series that do not"

say "the dashboard, as Grafana's schema has it"
sdk=$repo/target/grafana-sdk
sdk_version='grafana-foundation-sdk==1769699998!10.1.0'
if [[ ! -x $sdk/bin/python ]]; then
    rm -rf -- "$sdk.new"
    if python3 -m venv "$sdk.new" && "$sdk.new/bin/pip" --quiet install "$sdk_version"; then
        mv -- "$sdk.new" "$sdk"
    fi >/dev/null 2>&1
fi
if [[ -x $sdk/bin/python ]]; then
    "$sdk/bin/python3" "$repo/tests/monitoring/dashboard.py" "$repo/conf/grafana-dashboard.json" ||
        die "the dashboard is not what Grafana's schema says"
else
    say "  left out: grafana-foundation-sdk cannot be installed (python3-venv, pip)"
fi

if [[ $(id -u) -ne 0 ]]; then
    say "not root: dashboard and bad day were left out"
    exit 0
fi
if [[ -z $bin ]]; then
    (cd -- "$repo" && cargo build --locked --bins)
    bin=$(cd -- "$repo" && cargo metadata --locked --no-deps --format-version 1 | jq -r .target_directory)/debug
fi
[[ -x $bin/tabletd && -x $bin/tabletctl ]] || die "no tabletd and tabletctl in $bin"

# --- A node and a Prometheus ------------------------------------------------------------------------------------------
work=$(mktemp -d "${TMPDIR:-/tmp}/tabletd-monitoring.XXXXXX")
pids=()
clean_up() {
    local status=$?
    trap - EXIT INT TERM
    for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done
    for pid in "${pids[@]}"; do wait "$pid" 2>/dev/null || true; done
    if [[ $status -ne 0 ]]; then tail -n 15 "$work"/*.out >&2 || true; fi
    if [[ -f $work/disks/.mkdisks ]]; then
        mount -o remount,rw "$work/disks/disk2" 2>/dev/null || true
        "$here/mkdisks.sh" --remove "$work/disks" || exit 1
    fi
    rm -rf -- "$work"
    exit "$status"
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

free_port() {
    local port=$1
    while (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; do port=$((port + 1)); done
    printf '%s' "$port"
}
ask() { curl --silent --show-error --fail --noproxy '*' --max-time 30 "$@"; }
# until_true SECONDS WHAT COMMAND...
until_true() {
    local deadline=$((SECONDS + $1)) what=$2
    shift 2
    until "$@"; do
        [[ $SECONDS -lt $deadline ]] || die "in vain: $what"
        sleep 0.5
    done
}

mkdir -- "$work/disks" "$work/tsdb"
"$here/mkdisks.sh" --count 2 --size 192M --fs ext4 "$work/disks" >/dev/null
disk1=$work/disks/disk1 disk2=$work/disks/disk2
first_id=10001 hash=5
for id in $(seq "$first_id" $((first_id + 59))); do
    mkdir -p -- "$work/source/$id"
    head -c 500000 /dev/urandom >"$work/source/$id/0_0.dat"
    printf '{"dir":"%s","tablet_id":%d,"schema_hash":%d}\n' "$work/source/$id" "$id" "$hash"
done >"$work/batch.jsonl"
"$bin/tabletctl" tablet import --batch "$work/batch.jsonl" --root "$disk1" >/dev/null

port=$(free_port 18040)
cat >"$work/be.conf" <<CONF
webserver_port = $port
storage_root_path = $disk1,medium:ssd;$disk2,medium:ssd
state_dir = $work/state
audit_log_file = $work/audit.log
min_file_descriptor_number = 0
disk_rate_limit_bytes_per_sec = 600000
ssd_read_slots = 1
ssd_write_slots = 1
disk_stat_monitor_interval = 1
storage_flood_stage_left_capacity_bytes = 0
CONF
"$bin/tabletd" --conf "$work/be.conf" >"$work/tabletd.out" 2>&1 &
pids+=($!)
base=http://127.0.0.1:$port
export TABLETD_ADDR=$base
answers() { ask "$base/api/health" >/dev/null 2>&1; }
until_true 60 "the daemon answers" answers

prometheus_port=$(free_port 19090)
cat >"$work/prometheus.yml" <<CONF
global: {scrape_interval: 1s, evaluation_interval: 1s}
rule_files: ["$repo/conf/alerts.yml"]
scrape_configs:
  - job_name: tabletd
    static_configs: [{targets: ["127.0.0.1:$port"]}]
CONF
prometheus --config.file="$work/prometheus.yml" --storage.tsdb.path="$work/tsdb" \
    --web.listen-address="127.0.0.1:$prometheus_port" >"$work/prometheus.out" 2>&1 &
pids+=($!)
prometheus=http://127.0.0.1:$prometheus_port
query() { ask --get --data-urlencode "query=$1" "$prometheus/api/v1/query" | jq -c .data.result; }
ready() { ask "$prometheus/-/ready" >/dev/null 2>&1; }
until_true 60 "Prometheus is ready" ready

# --- The dashboard, during a drain ------------------------------------------------------------------------------------
say "the dashboard's queries, during a drain"
# One request that is refused: it has a panel too.
ask "$base/api/tablet_migration?goal=run&tablet_id=$first_id&schema_hash=$hash&disk=/nowhere" >/dev/null
"$bin/tabletctl" disk drain "$disk1" --yes >/dev/null
moving() { [[ $(query 'tabletd_task_eta_seconds') != '[]' && $(query 'tabletd_copied_bytes_total > 0') != '[]' ]]; }
until_true 60 "the drain has a time left" moving

ask "$base/metrics" | grep -v '^doris_be_\|^# [A-Z]* doris_be_' | promtool check metrics ||
    die "promtool finds fault with /metrics"

jq -r '.panels[] | select(.targets) | .title as $title | .targets[] | [$title, .expr] | @tsv' \
    "$repo/conf/grafana-dashboard.json" >"$work/queries.tsv"
has_data() { [[ $(query "$1") != '[]' ]]; }
while IFS=$'\t' read -r title expression; do
    for pair in "\$instance:.+" "\$job:tabletd" "\$__rate_interval:10s"; do
        expression=${expression//"${pair%%:*}"/"${pair#*:}"}
    done
    until_true 60 "panel \"$title\" has data: $expression" has_data "$expression"
done <"$work/queries.tsv"
say "  $(wc -l <"$work/queries.tsv") queries, all with data"

# --- The bad day ------------------------------------------------------------------------------------------------------
say "a damaged tablet and a disk that turns read-only"
firing() {
    ask "$prometheus/api/v1/alerts" |
        jq -e --arg name "$1" 'any(.data.alerts[]; .labels.alertname == $name and .state == "firing")' >/dev/null
}
quiet=$(ask "$prometheus/api/v1/alerts" | jq -r '.data.alerts[] | select(.state == "firing").labels.alertname')
[[ -z $quiet ]] || die "fires on a good day: $quiet"
ask -X POST "$base/api/update_config?disk_rate_limit_bytes_per_sec=0" >/dev/null
until_true 120 "the drain is done" has_data 'tabletd_task_status{status="finished"} == 1'
has_data "tabletd_disk_safe_to_remove{path=\"$disk1\"}" || die "no safe_to_remove"
victim=$(printf '%s\n' "$disk2"/data/*/"$first_id/$hash"/0_0.dat)
printf 'x' | dd of="$victim" bs=1 seek=1000 conv=notrunc status=none
"$bin/tabletctl" tablet verify "$first_id" >/dev/null 2>&1 || true
until_true 60 "TabletdTabletDamaged fires" firing TabletdTabletDamaged
mount -o remount,ro "$disk2"
until_true 60 "TabletdDiskReadOnly fires" firing TabletdDiskReadOnly
kill "${pids[0]}"
until_true 60 "the scrape fails" has_data 'up{job="tabletd"} == 0'
say "  TabletdTabletDamaged and TabletdDiskReadOnly fired; nothing had before"
