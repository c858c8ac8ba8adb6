//! One migration's claim on the space of its destination.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::model::{Migration, Space};

/// One migration's claim on the space of its destination.
#[derive(Default)]
pub(crate) struct SpaceClaim {
    reserved: Mutex<Space>,
    /// Of files that were in staging already when the attempt began.
    pub(crate) kept_inodes: AtomicU64,
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

    pub(crate) fn lock(&self) -> MutexGuard<'_, Space> {
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
