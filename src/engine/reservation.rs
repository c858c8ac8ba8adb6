//! What a migration holds of its destination's space: the size of its tablet from the moment it is accepted, or begins an
//! attempt, until it ends; and no more than what it keeps in staging while it waits, so that others can use the rest.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

use super::disk::Disk;
use super::job::Job;
use crate::model::Migration;

/// One migration's claim on the space of its destination.
#[derive(Default)]
pub(super) struct SpaceClaim {
    reserved_bytes: AtomicU64,
    verified: AtomicBool,
    waits: AtomicU32,
}

impl SpaceClaim {
    /// A migration that was stopped with everything verified has a verified copy in staging.
    pub(super) fn of(migration: &Migration) -> Self {
        let counters = &migration.counters;
        let verified = counters.total_files > 0
            && counters.verified_files == counters.total_files
            && counters.verified_bytes == counters.total_bytes;
        Self { verified: AtomicBool::new(verified), ..Self::default() }
    }

    /// Whether a copy stands in staging of which every byte was verified.
    pub(super) fn has_verified_copy(&self) -> bool {
        self.verified.load(Ordering::SeqCst)
    }

    /// A verified copy stands in staging, or none does any more.
    pub(super) fn set_verified_copy(&self, verified: bool) {
        self.verified.store(verified, Ordering::SeqCst);
    }

    /// It waits for space once more; returns how often it has since it last found some.
    pub(super) fn waits_again(&self) -> u32 {
        self.waits.fetch_add(1, Ordering::SeqCst) + 1
    }

    /// It found space.
    pub(super) fn found_space(&self) {
        self.waits.store(0, Ordering::SeqCst);
    }

    /// Bytes reserved for it on its destination.
    pub(super) fn reserved_bytes(&self) -> u64 {
        self.reserved_bytes.load(Ordering::SeqCst)
    }

    /// That many bytes are reserved for it on its destination.
    pub(super) fn set_reserved(&self, bytes: u64) {
        self.reserved_bytes.store(bytes, Ordering::SeqCst);
    }
}

/// Gives back what is reserved. What the migration keeps in staging is what [`Disk::capacity`] shows as used, or will once
/// it is measured.
pub(super) fn release(disk: &Disk, job: &Job) {
    disk.unreserve(job.claim.reserved_bytes.swap(0, Ordering::SeqCst));
    not_allocated(disk, job);
}

/// Counts nothing of what the migration has taken up as its own: what is reserved for it is then too much, never too little.
pub(super) fn not_allocated(disk: &Disk, job: &Job) {
    disk.not_allocated(job.progress.allocated_bytes.swap(0, Ordering::Relaxed));
}
