//! The books of one disk's space: what its file system last said, what is promised to migrations, and how much of that they
//! have taken up.

use std::sync::{Mutex, MutexGuard, PoisonError};

use super::disk::Disk;
use crate::model::Capacity;
use crate::rules::capacity::{CapacityLimits, DoesNotFit, fits};
use crate::storage::{Root, StorageError};

/// The books of one disk.
#[derive(Default)]
pub(super) struct SpaceBooks(Mutex<Books>);

#[derive(Default)]
struct Books {
    capacity: Capacity,
    reserved_bytes: u64,
    /// What migrations in flight have taken up so far of what is reserved for them; and how much of that the capacity
    /// shows as used already.
    allocated_bytes: u64,
    allocated_when_measured_bytes: u64,
}

impl SpaceBooks {
    fn lock(&self) -> MutexGuard<'_, Books> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Disk {
    pub(super) fn capacity(&self) -> Capacity {
        self.space.lock().capacity
    }

    /// As it was before anything was copied to it.
    pub(super) fn set_capacity(&self, capacity: Capacity) {
        self.space.lock().capacity = capacity;
    }

    /// Asks the file system what is left.
    ///
    /// # Errors
    /// As `fstatfs(2)`.
    pub(super) fn measure(&self, root: &Root) -> Result<Capacity, StorageError> {
        // Looked at before: what is taken up meanwhile counts twice for a moment, never not at all.
        let allocated_bytes = self.space.lock().allocated_bytes;
        let capacity = root.capacity()?;
        let mut state = self.space.lock();
        state.capacity = capacity;
        state.allocated_when_measured_bytes = allocated_bytes;
        Ok(capacity)
    }

    /// Promised to migrations and not yet part of what [`Disk::capacity`] shows as used.
    pub(super) fn reserved_bytes(&self) -> u64 {
        let state = self.space.lock();
        state.reserved_bytes.saturating_sub(state.allocated_when_measured_bytes)
    }

    /// A migration has taken up some of what is reserved for it.
    pub(super) fn allocated(&self, bytes: u64) {
        let mut state = self.space.lock();
        state.allocated_bytes = state.allocated_bytes.saturating_add(bytes);
    }

    /// It has given that back, or ended.
    pub(super) fn not_allocated(&self, bytes: u64) {
        let mut state = self.space.lock();
        state.allocated_bytes = state.allocated_bytes.saturating_sub(bytes);
        state.allocated_when_measured_bytes = state.allocated_when_measured_bytes.saturating_sub(bytes);
    }

    /// Reserves what an attempt of a migration needs, unless what is still to come does not fit beside what others were
    /// promised. `capacity` was measured a moment ago, with `kept_bytes` of the tablet in staging: those are used already
    /// and not asked for again. `held_bytes` are reserved for this migration until now. Returns what others were promised.
    ///
    /// # Errors
    /// [`DoesNotFit`], and nothing is changed.
    pub(super) fn reserve_attempt(
        &self,
        capacity: Capacity,
        (size_bytes, kept_bytes): (u64, u64),
        held_bytes: u64,
        limits: CapacityLimits,
    ) -> Result<u64, DoesNotFit> {
        let mut state = self.space.lock();
        let promised = state.reserved_bytes.saturating_sub(held_bytes);
        let others = promised.saturating_sub(state.allocated_when_measured_bytes);
        let needed_bytes = size_bytes.saturating_sub(kept_bytes);
        if needed_bytes > 0 {
            fits(capacity, others, needed_bytes, limits)?;
        }
        state.reserved_bytes = promised.saturating_add(size_bytes);
        state.allocated_bytes = state.allocated_bytes.saturating_add(kept_bytes);
        state.allocated_when_measured_bytes = state.allocated_when_measured_bytes.saturating_add(kept_bytes);
        Ok(others)
    }

    pub(super) fn reserve(&self, bytes: u64) {
        let mut state = self.space.lock();
        state.reserved_bytes = state.reserved_bytes.saturating_add(bytes);
    }

    pub(super) fn unreserve(&self, bytes: u64) {
        let mut state = self.space.lock();
        state.reserved_bytes = state.reserved_bytes.saturating_sub(bytes);
    }
}
