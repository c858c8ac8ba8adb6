//! What was counted since the start of the process.

use std::sync::atomic::Ordering;

use super::tablets::troubled;
use crate::engine::node::Node;
use crate::engine::view::Totals;

pub(crate) fn totals(node: &Node) -> Totals {
    let load = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
    let counts = &node.counts;
    let (queued, running) = {
        let schedule = node.schedule();
        (schedule.waiting_count() as u64, schedule.running_count() as u64)
    };
    let (tablets, unavailable) = {
        let catalog = node.catalog();
        (catalog.len() as u64, catalog.unavailable_count() as u64)
    };
    let (damaged, unreadable) = troubled(node);
    Totals {
        accepted: load(&counts.accepted),
        started: load(&counts.started),
        completed: load(&counts.completed),
        failed: load(&counts.failed),
        aborted: load(&counts.aborted),
        expired: load(&counts.expired),
        retried: load(&counts.retried),
        refused: counts.refused(),
        copied_bytes: load(&counts.copied_bytes),
        cloned_bytes: load(&counts.cloned_bytes),
        verified_bytes: load(&counts.verified_bytes),
        steps: counts.steps(),
        step_seconds: counts.step_seconds(),
        moved_bytes: counts.moved_bytes().view(),
        journal: node.journal.health.view(),
        throttled_ms: load(&counts.throttled_ms),
        barrier_syncs: load(&node.syncs.syncs),
        barrier_waits: load(&node.syncs.waits),
        quarantined: load(&counts.quarantined),
        purged: load(&counts.purged),
        queued,
        running,
        tablets,
        unavailable,
        damaged,
        unreadable,
        uptime_seconds: node.started.elapsed().as_secs(),
    }
}
