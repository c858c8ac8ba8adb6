//! What the node counts, and how it stands.

use super::page::Family;
use super::page::Kind::{Counter, Gauge, Histogram};
use crate::engine::Totals;
use crate::logging;

pub(super) fn families(totals: &Totals) -> Vec<Family> {
    let mut families = vec![build_info()];
    families.extend(counters(totals));
    families.extend(steps(totals));
    families.extend(journal(totals));
    families.extend(gauges(totals));
    families
}

fn build_info() -> Family {
    let mut family = Family::new("tabletd_build_info", Gauge, "1, with the release of the daemon.");
    family.sample(&[("version", env!("CARGO_PKG_VERSION"))], 1);
    family
}

fn counters(totals: &Totals) -> Vec<Family> {
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
        (
            "tabletd_log_lines_dropped_total",
            "Lines of the daemon's log that could not be written.",
            logging::dropped_lines(),
        ),
    ];
    let mut families: Vec<_> =
        counters.into_iter().map(|(name, help, value)| Family::one(name, Counter, help, value)).collect();
    let help = "Seconds waited for bandwidth limits.";
    families.push(Family::one(
        "tabletd_throttled_seconds_total",
        Counter,
        help,
        seconds(totals.throttled_ms),
    ));
    let mut refused =
        Family::new("tabletd_migrations_refused_total", Counter, "Requests refused, by error code.");
    for (code, count) in &totals.refused {
        refused.sample(&[("code", code.as_str())], *count);
    }
    families.push(refused);
    families
}

fn steps(totals: &Totals) -> Vec<Family> {
    let mut spent = Family::new("tabletd_step_seconds_total", Counter, "Seconds spent in each step.");
    let mut runs = Family::new("tabletd_step_runs_total", Counter, "Runs of each step, by outcome.");
    for step in &totals.steps {
        spent.sample(&[("step", step.step.as_str())], step.seconds);
        for (outcome, count) in [("done", step.done), ("error", step.failed)] {
            runs.sample(&[("step", step.step.as_str()), ("outcome", outcome)], count);
        }
    }
    let mut took =
        Family::new("tabletd_step_duration_seconds", Histogram, "What single runs of a step took.");
    for (step, view) in &totals.step_seconds {
        took.sample(&[("step", step.as_str())], view.clone());
    }
    let sizes = Family::one(
        "tabletd_migrated_tablet_bytes",
        Histogram,
        "Sizes of the tablets of completed migrations.",
        totals.moved_bytes.clone(),
    );
    vec![spent, runs, took, sizes]
}

fn journal(totals: &Totals) -> Vec<Family> {
    let journal = &totals.journal;
    let mut families = vec![
        Family::one(
            "tabletd_journal_commit_duration_seconds",
            Histogram,
            "What commits of migrations to the journal took, each with one fsync.",
            journal.commit_seconds.clone(),
        ),
        Family::one(
            "tabletd_journal_failed",
            Gauge,
            "1 once the journal has failed: nothing is accepted until a restart.",
            journal.failed,
        ),
        Family::one(
            "tabletd_journal_lost",
            Gauge,
            "1 when this start found the journal damaged, or gone although tablets of these disks were moved before.",
            journal.lost,
        ),
        Family::one(
            "tabletd_state_dir_full",
            Gauge,
            "1 while state_dir has no space: nothing is accepted until it has, and then the journal goes on by itself.",
            journal.full,
        ),
        Family::one(
            "tabletd_journal_waiting_rows",
            Gauge,
            "Rows of the journal that wait for space.",
            journal.waiting_rows,
        ),
    ];
    if let Some(space) = journal.space {
        let measured = [
            (
                "tabletd_state_dir_available_bytes",
                "Bytes that the file system of state_dir has left.",
                space.available_bytes,
            ),
            ("tabletd_state_dir_total_bytes", "Bytes of the file system of state_dir.", space.total_bytes),
        ];
        families.extend(measured.map(|(name, help, bytes)| Family::one(name, Gauge, help, bytes)));
    }
    families
}

fn gauges(totals: &Totals) -> Vec<Family> {
    let gauges = [
        ("tabletd_migrations_queued", "Migrations waiting now.", totals.queued),
        ("tabletd_migrations_running", "Migrations running now.", totals.running),
        ("tabletd_tablets", "Tablets known.", totals.tablets),
        ("tabletd_tablets_unavailable", "Tablets known but not served.", totals.unavailable),
        ("tabletd_tablets_damaged", "Tablets found damaged and not healed.", totals.damaged.len() as u64),
        (
            "tabletd_tablets_unreadable",
            "Tablets of which a disk did not give all bytes when it was last asked.",
            totals.unreadable.len() as u64,
        ),
        ("tabletd_uptime_seconds", "Seconds since the start of the process.", totals.uptime_seconds),
    ];
    gauges.into_iter().map(|(name, help, value)| Family::one(name, Gauge, help, value)).collect()
}

/// Milliseconds as seconds.
#[allow(clippy::cast_precision_loss, reason = "exact below 285,000 years")]
pub(super) fn seconds(ms: u64) -> f64 {
    ms as f64 / 1000.0
}
