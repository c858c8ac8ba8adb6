//! How far one migration has come: counters that many threads write and nobody waits for.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use super::clock::{steady_ms, to_wall_ms};
use crate::model::{Counters, Migration, Status};

/// Bytes and files so far; written by many threads.
#[derive(Default)]
pub(crate) struct Progress {
    pub(crate) copied_bytes: AtomicU64,
    pub(crate) verified_bytes: AtomicU64,
    pub(crate) resumed_bytes: AtomicU64,
    pub(crate) cloned_bytes: AtomicU64,
    pub(crate) verified_files: AtomicU64,
    pub(crate) throttled_ms: AtomicU64,
    /// Taken up on the destination by the files of this attempt.
    pub(crate) allocated_bytes: AtomicU64,
    /// By the steady clock; 0 before the first.
    pub(crate) last_progress_ms: AtomicI64,
    /// Measured by the ticker of events.
    pub(crate) recent_bytes_per_sec: AtomicU64,
}

impl Progress {
    /// Writes the counters of this moment into a row.
    pub(crate) fn merge_into(&self, migration: &mut Migration) {
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let counters = &mut migration.counters;
        // Verified first: read in this order no snapshot shows more verified than copied, or more copied than there is.
        counters.verified_bytes = load(&self.verified_bytes).min(counters.total_bytes);
        counters.copied_bytes = load(&self.copied_bytes).clamp(counters.verified_bytes, counters.total_bytes);
        counters.resumed_bytes = load(&self.resumed_bytes);
        counters.cloned_bytes = load(&self.cloned_bytes);
        counters.verified_files = load(&self.verified_files).min(counters.total_files);
        counters.throttled_ms = load(&self.throttled_ms);
        counters.recent_bytes_per_sec = match migration.status {
            Status::Copying => load(&self.recent_bytes_per_sec),
            _ => 0,
        };
        let at = self.last_progress_ms.load(Ordering::Relaxed);
        if at > 0 {
            migration.last_progress_ms = Some(to_wall_ms(at));
        }
    }

    /// A new attempt counts from nothing.
    pub(crate) fn reset(&self) {
        for counter in [
            &self.verified_bytes,
            &self.copied_bytes,
            &self.resumed_bytes,
            &self.cloned_bytes,
            &self.verified_files,
        ] {
            counter.store(0, Ordering::Relaxed);
        }
        self.last_progress_ms.store(steady_ms(), Ordering::Relaxed);
    }

    /// All of it is on the destination.
    pub(crate) fn count_as_copied(&self, counters: Counters) {
        self.copied_bytes.store(counters.total_bytes, Ordering::Relaxed);
        self.verified_bytes.store(counters.total_bytes, Ordering::Relaxed);
        self.verified_files.store(counters.total_files, Ordering::Relaxed);
    }

    /// What was not copied was there already, verified.
    pub(crate) fn count_as_resumed(&self, counters: Counters) {
        let copied = self.copied_bytes.load(Ordering::Relaxed);
        self.resumed_bytes.fetch_add(counters.total_bytes.saturating_sub(copied), Ordering::Relaxed);
        self.count_as_copied(counters);
    }
}
