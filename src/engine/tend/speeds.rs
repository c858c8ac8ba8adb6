//! Speeds of copies, measured once a second, and progress for whoever listens.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crate::engine::node::Node;
use crate::engine::parts::events::EventKind;
use crate::engine::parts::thread::spawn_isolated;
use crate::model::{Failure, MigrationId};

/// How often progress is measured, and told to those who listen.
pub(crate) const TICK: Duration = Duration::from_secs(1);

/// Starts the thread that measures speeds and tells progress.
///
/// # Errors
/// No thread can be made.
pub(crate) fn start(node: &Arc<Node>) -> Result<(), Failure> {
    let node = Arc::clone(node);
    spawn_isolated("events", move || {
        let mut samples: HashMap<MigrationId, (Instant, u64)> = HashMap::new();
        while !node.is_stopping() {
            measure(&node, &mut samples);
            std::thread::sleep(TICK);
        }
    })
    .map(drop)
}

/// One look at everything that copies.
pub(crate) fn measure(node: &Node, samples: &mut HashMap<MigrationId, (Instant, u64)>) {
    let running = node.schedule().running();
    let mut seen = HashMap::new();
    for (id, job) in running.into_iter().filter_map(|id| Some((id, node.job(id)?))) {
        let now = Instant::now();
        let copied = job.progress.copied_bytes.load(Ordering::Relaxed);
        seen.insert(id, (now, copied));
        let Some((then, before)) = samples.get(&id).copied() else { continue };
        let elapsed_ms = u64::try_from((now - then).as_millis()).unwrap_or(u64::MAX).max(1);
        // A new attempt counts from nothing.
        let moved = copied.saturating_sub(before);
        let speed = moved.saturating_mul(1000) / elapsed_ms;
        let smoothed = match job.progress.recent_bytes_per_sec.load(Ordering::Relaxed) {
            0 => speed,
            recent => u64::midpoint(recent, speed),
        };
        job.progress.recent_bytes_per_sec.store(smoothed, Ordering::Relaxed);
        if moved > 0 && node.events.is_heard() {
            let row = job.snapshot();
            node.events.publish(id, row.key, EventKind::Progress(row.counters));
        }
    }
    *samples = seen;
}
