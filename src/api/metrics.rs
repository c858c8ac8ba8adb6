//! `/metrics` in Prometheus's text format 0.0.4.
//!
//! Written out here rather than by a registry: Doris's names, with its prefix and its bare `# TYPE` lines, are what
//! dashboards already ask for, and every value is read from the node at the time of the scrape. Ours follow, prefix
//! `tabletd_`, with help.

use std::fmt::{Display, Write};
use std::time::Duration;

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::app::App;
use super::calls::Touches;
use crate::engine::{DiskView, Totals};
use crate::model::DiskCondition;

const CONDITIONS: [&str; 6] = DiskCondition::WORDS;

/// Counters and gauges for Prometheus.
#[utoipa::path(
    get,
    path = "/metrics",
    operation_id = "metrics",
    tag = "node",
    responses((status = 200, body = String, content_type = "text/plain", description = "Counters and gauges"))
)]
pub(super) async fn show(State(app): State<App>) -> Response {
    match app.ask(Touches::Memory, |node| render(&node.totals(), &node.disks())).await {
        Ok(text) => ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], text).into_response(),
        Err(failure) => (StatusCode::SERVICE_UNAVAILABLE, failure.message).into_response(),
    }
}

fn render(totals: &Totals, disks: &[DiskView]) -> String {
    let mut page = Page(String::new());
    doris_metrics(&mut page, totals, disks);
    migration_metrics(&mut page, totals);
    disk_metrics(&mut page, disks);
    page.0
}

fn doris_metrics(page: &mut Page, totals: &Totals, disks: &[DiskView]) {
    type Value = fn(&DiskView) -> u64;
    let per_disk: [(&str, Value); 6] = [
        ("doris_be_disks_total_capacity", |disk| disk.capacity.total_bytes),
        ("doris_be_disks_avail_capacity", |disk| disk.capacity.avail_bytes),
        ("doris_be_disks_local_used_capacity", |disk| disk.tablet_bytes),
        ("doris_be_disks_remote_used_capacity", |_| 0),
        ("doris_be_disks_trash_used_capacity", |disk| disk.trash_bytes),
        ("doris_be_disks_state", |disk| u64::from(disk.condition.is_readable())),
    ];
    for (name, value) in per_disk {
        page.kind(name, "gauge");
        for disk in disks {
            page.sample(name, &[("path", &disk.path)], value(disk));
        }
    }
    let name = "doris_be_engine_requests_total";
    page.kind(name, "counter");
    for (status, value) in [("total", totals.started), ("failed", totals.failed)] {
        page.sample(name, &[("type", "storage_migrate"), ("status", status)], value);
    }
}

fn migration_metrics(page: &mut Page, totals: &Totals) {
    let counters = [
        ("tabletd_migrations_accepted_total", "Migrations accepted.", totals.accepted),
        ("tabletd_migrations_started_total", "Migrations started, attempts counted.", totals.started),
        ("tabletd_migrations_completed_total", "Migrations completed.", totals.completed),
        ("tabletd_migrations_failed_total", "Migrations failed for good.", totals.failed),
        ("tabletd_migrations_aborted_total", "Migrations aborted.", totals.aborted),
        (
            "tabletd_migrations_expired_total",
            "Migrations undone at a gate past its deadline.",
            totals.expired,
        ),
        ("tabletd_migrations_retried_total", "Attempts that are repeated.", totals.retried),
        ("tabletd_copied_bytes_total", "Bytes written to staging.", totals.copied_bytes),
        ("tabletd_cloned_bytes_total", "Bytes shared with the source instead.", totals.cloned_bytes),
        ("tabletd_verified_bytes_total", "Bytes read back and found right.", totals.verified_bytes),
        ("tabletd_barrier_syncs_total", "syncfs calls of the shared barriers.", totals.barrier_syncs),
        ("tabletd_barrier_waits_total", "Barriers passed by migrations.", totals.barrier_waits),
        ("tabletd_quarantined_total", "Tablets put into quarantine.", totals.quarantined),
        ("tabletd_trash_purged_total", "Tablets purged from trash.", totals.purged),
    ];
    for (name, help, value) in counters {
        page.family(name, "counter", help);
        page.sample(name, &[], value);
    }
    let name = "tabletd_throttled_seconds_total";
    page.family(name, "counter", "Seconds waited for bandwidth limits.");
    page.sample(name, &[], seconds(totals.throttled_ms));

    let name = "tabletd_migrations_refused_total";
    page.family(name, "counter", "Requests refused, by error code.");
    for (code, count) in &totals.refused {
        page.sample(name, &[("code", code.as_str())], count);
    }
    let name = "tabletd_step_seconds_total";
    page.family(name, "counter", "Seconds spent in each step.");
    for step in &totals.steps {
        page.sample(name, &[("step", step.step.as_str())], step.seconds);
    }
    let name = "tabletd_step_runs_total";
    page.family(name, "counter", "Runs of each step, by outcome.");
    for step in &totals.steps {
        for (outcome, runs) in [("done", step.done), ("error", step.failed)] {
            page.sample(name, &[("step", step.step.as_str()), ("outcome", outcome)], runs);
        }
    }
    let gauges = [
        ("tabletd_migrations_queued", "Migrations waiting now.", totals.queued),
        ("tabletd_migrations_running", "Migrations running now.", totals.running),
        ("tabletd_tablets", "Tablets known.", totals.tablets),
        ("tabletd_tablets_unavailable", "Tablets known but not served.", totals.unavailable),
        ("tabletd_tablets_damaged", "Tablets found damaged and not healed.", totals.damaged.len() as u64),
        ("tabletd_uptime_seconds", "Seconds since the start of the process.", totals.uptime_seconds),
    ];
    for (name, help, value) in gauges {
        page.family(name, "gauge", help);
        page.sample(name, &[], value);
    }
}

fn disk_metrics(page: &mut Page, disks: &[DiskView]) {
    type Value = fn(&DiskView) -> u64;
    let per_disk: [(&str, &str, Value); 11] = [
        ("tabletd_disk_tablets", "Tablets owned.", |disk| disk.tablet_count),
        ("tabletd_disk_reserved_bytes", "Bytes promised to migrations.", |disk| disk.reserved_bytes),
        ("tabletd_disk_undone", "Things that could not be done on it, and are tried again.", |disk| {
            disk.undone.count
        }),
        ("tabletd_disk_undone_bytes", "Bytes they take up.", |disk| disk.undone.bytes),
        ("tabletd_disk_read_slots_in_use", "Read slots held.", |disk| disk.read_slots.0.into()),
        ("tabletd_disk_read_slots_limit", "Read slots there are.", |disk| disk.read_slots.1.into()),
        ("tabletd_disk_write_slots_in_use", "Write slots held.", |disk| disk.write_slots.0.into()),
        ("tabletd_disk_write_slots_limit", "Write slots there are.", |disk| disk.write_slots.1.into()),
        ("tabletd_disk_queued_from", "Migrations waiting to read from it.", |disk| disk.queued_from),
        ("tabletd_disk_queued_to", "Migrations waiting to write to it.", |disk| disk.queued_to),
        ("tabletd_disk_rate_limit_bytes_per_sec", "Bandwidth limit; 0 is none.", |disk| {
            disk.rate_limit_bytes_per_sec
        }),
    ];
    for (name, help, value) in per_disk {
        page.family(name, "gauge", help);
        for disk in disks {
            page.sample(name, &[("path", &disk.path)], value(disk));
        }
    }
    let name = "tabletd_disk_throttled_seconds_total";
    page.family(name, "counter", "Seconds copies waited for the limits of this disk.");
    for disk in disks {
        page.sample(name, &[("path", &disk.path)], seconds(disk.throttled_ms));
    }
    let paced = || disks.iter().filter_map(|disk| disk.pace.as_ref().map(|pace| (&disk.path, pace)));
    let name = "tabletd_disk_pace_bytes_per_sec";
    page.family(name, "gauge", "Rate set by adaptive throttling; 0 is none. Only while it is at work.");
    for (path, pace) in paced() {
        page.sample(name, &[("path", path)], pace.rate_bytes_per_sec);
    }
    let name = "tabletd_disk_small_read_seconds";
    page.family(name, "gauge", "What nine of ten small reads take at most, now and on the calm disk.");
    for (path, pace) in paced() {
        for (when, us) in [("now", pace.latency_us), ("calm", pace.calm_latency_us)] {
            if let Some(us) = us {
                let seconds = Duration::from_micros(us).as_secs_f64();
                page.sample(name, &[("path", path), ("when", when)], seconds);
            }
        }
    }
    let name = "tabletd_disk_condition";
    page.family(name, "gauge", "1 for the condition a disk is in, 0 for the others.");
    for disk in disks {
        for condition in CONDITIONS {
            let is = u8::from(disk.condition.as_str() == condition);
            page.sample(name, &[("path", &disk.path), ("condition", condition)], is);
        }
    }
}

fn seconds(ms: u64) -> String {
    format!("{}.{:03}", ms / 1000, ms % 1000)
}

struct Page(String);

impl Page {
    fn kind(&mut self, name: &str, kind: &str) {
        self.line(format_args!("# TYPE {name} {kind}"));
    }

    fn family(&mut self, name: &str, kind: &str, help: &str) {
        self.line(format_args!("# HELP {name} {help}"));
        self.kind(name, kind);
    }

    fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: impl Display) {
        let labels: Vec<_> =
            labels.iter().map(|(name, text)| format!("{name}=\"{}\"", escaped(text))).collect();
        if labels.is_empty() {
            self.line(format_args!("{name} {value}"));
        } else {
            self.line(format_args!("{name}{{{}}} {value}", labels.join(",")));
        }
    }

    fn line(&mut self, line: std::fmt::Arguments<'_>) {
        writeln!(self.0, "{line}").expect("a String takes everything");
    }
}

/// A label's value as the format wants it.
fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::tests::sample;
    use crate::engine::StepTotals;
    use crate::model::{DiskCondition, ErrorCode, Step};

    #[test]
    fn the_page_has_doris_names_and_ours() {
        let totals = Totals {
            started: 5,
            failed: 2,
            throttled_ms: 1_020,
            refused: vec![(ErrorCode::DiskFull, 3)],
            steps: vec![StepTotals { step: Step::Data, seconds: 1.5, done: 3, failed: 1 }],
            ..Totals::default()
        };
        let mut hung = sample::disk("/d\"2");
        hung.condition = DiskCondition::Hung { operation: "fsync".into() };
        let page = render(&totals, &[sample::disk("/d1"), hung]);
        for line in [
            "# TYPE doris_be_disks_state gauge",
            "doris_be_disks_state{path=\"/d1\"} 1",
            "doris_be_disks_state{path=\"/d\\\"2\"} 0",
            "doris_be_engine_requests_total{type=\"storage_migrate\",status=\"total\"} 5",
            "doris_be_engine_requests_total{type=\"storage_migrate\",status=\"failed\"} 2",
            "tabletd_throttled_seconds_total 1.020",
            "tabletd_migrations_refused_total{code=\"DISK_FULL\"} 3",
            "tabletd_step_seconds_total{step=\"data\"} 1.5",
            "tabletd_step_runs_total{step=\"data\",outcome=\"error\"} 1",
            "tabletd_disk_condition{path=\"/d\\\"2\",condition=\"hung\"} 1",
            "tabletd_disk_condition{path=\"/d\\\"2\",condition=\"online\"} 0",
            "tabletd_disk_undone{path=\"/d1\"} 1",
            "tabletd_disk_undone_bytes{path=\"/d1\"} 9",
            "tabletd_disk_write_slots_limit{path=\"/d1\"} 4",
            "tabletd_disk_throttled_seconds_total{path=\"/d1\"} 2.500",
            "tabletd_disk_pace_bytes_per_sec{path=\"/d1\"} 6000000",
            "tabletd_disk_small_read_seconds{path=\"/d1\",when=\"now\"} 0.00009",
        ] {
            assert!(page.lines().any(|found| found == line), "{line} in\n{page}");
        }
    }

    #[test]
    fn every_family_is_declared_once_and_before_its_samples() {
        let page = render(&Totals::default(), &[sample::disk("/d1"), sample::disk("/d2")]);
        let mut declared: Vec<&str> = Vec::new();
        for line in page.lines() {
            if let Some(rest) = line.strip_prefix("# TYPE ") {
                let name = rest.split(' ').next().unwrap();
                assert!(!declared.contains(&name), "{name} twice");
                declared.push(name);
            } else if !line.starts_with('#') {
                let name = line.split(['{', ' ']).next().unwrap();
                assert_eq!(declared.last(), Some(&name), "{line}");
            }
        }
    }
}
