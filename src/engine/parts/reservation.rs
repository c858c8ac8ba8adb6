//! What a migration holds of its destination's space: the size of its tablet from the moment it is accepted, or begins an
//! attempt, until it ends; and no more than what it keeps in staging while it waits, so that others can use the rest.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::catalog::Entry;
use super::disk::Disk;
use super::job::Job;
use crate::model::{Migration, Space};

/// One migration's claim on the space of its destination.
#[derive(Default)]
pub(crate) struct SpaceClaim {
    reserved: Mutex<Space>,
    /// Of files that were in staging already when the attempt began.
    kept_inodes: AtomicU64,
    verified: AtomicBool,
    waits: AtomicU32,
}

impl SpaceClaim {
    /// A migration that was stopped with everything verified has a verified copy in staging.
    pub(crate) fn of(migration: &Migration) -> Self {
        let counters = &migration.counters;
        let verified = counters.total_files > 0
            && counters.verified_files == counters.total_files
            && counters.verified_bytes == counters.total_bytes;
        Self { verified: AtomicBool::new(verified), ..Self::default() }
    }

    /// Whether a copy stands in staging of which every byte was verified.
    pub(crate) fn has_verified_copy(&self) -> bool {
        self.verified.load(Ordering::SeqCst)
    }

    /// A verified copy stands in staging, or none does any more.
    pub(crate) fn set_verified_copy(&self, verified: bool) {
        self.verified.store(verified, Ordering::SeqCst);
    }

    /// It waits for space once more; returns how often it has since it last found some.
    pub(crate) fn waits_again(&self) -> u32 {
        self.waits.fetch_add(1, Ordering::SeqCst) + 1
    }

    /// It found space.
    pub(crate) fn found_space(&self) {
        self.waits.store(0, Ordering::SeqCst);
    }

    fn lock(&self) -> MutexGuard<'_, Space> {
        self.reserved.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is reserved for it on its destination.
    pub(crate) fn reserved(&self) -> Space {
        *self.lock()
    }

    /// So much is reserved for it on its destination.
    pub(crate) fn set_reserved(&self, space: Space) {
        *self.lock() = space;
    }

    /// So many inodes of what is reserved were taken already when the attempt began.
    pub(crate) fn set_kept_inodes(&self, inodes: u64) {
        self.kept_inodes.store(inodes, Ordering::Relaxed);
    }
}

/// Reserves what a migration that goes on after a start needs. What waits holds nothing but what it keeps in staging, which
/// is used already.
pub(crate) fn reserve(disk: &Disk, job: &Job, tablet: Option<&Entry>) {
    let need = tablet.map_or(Space::of_bytes(job.size_bytes), Entry::need);
    disk.reserve(need);
    job.claim.set_reserved(need);
}

/// Gives back what is reserved. What the migration keeps in staging is what [`Disk::capacity`] shows as used, or will once
/// it is measured.
pub(crate) fn release(disk: &Disk, job: &Job) {
    disk.unreserve(std::mem::take(&mut *job.claim.lock()));
    not_allocated(disk, job);
}

/// Counts nothing of what the migration has taken up as its own: what is reserved for it is then too much, never too little.
pub(crate) fn not_allocated(disk: &Disk, job: &Job) {
    let bytes = job.progress.allocated_bytes.swap(0, Ordering::Relaxed);
    let inodes = job.claim.kept_inodes.swap(0, Ordering::Relaxed);
    disk.not_allocated(Space { bytes, inodes });
}
