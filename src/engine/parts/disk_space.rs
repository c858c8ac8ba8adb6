//! The books of one disk's space: what its file system last said, what is promised to migrations, and how much of that they
//! have taken up.

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::model::{Capacity, Space};
use crate::rules::capacity::{CapacityLimits, DoesNotFit, fits};
use crate::storage::{Root, StorageError};

/// The books of one disk.
#[derive(Default)]
pub(crate) struct SpaceBooks(Mutex<Books>);

#[derive(Default)]
struct Books {
    capacity: Capacity,
    reserved: Space,
    /// What migrations in flight have taken up so far of what is reserved for them; and how much of that the capacity
    /// shows as used already.
    allocated: Space,
    allocated_when_measured: Space,
}

impl SpaceBooks {
    fn lock(&self) -> MutexGuard<'_, Books> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// As it was measured last.
    pub(crate) fn capacity(&self) -> Capacity {
        self.lock().capacity
    }

    /// As it was before anything was copied to it.
    pub(crate) fn set_capacity(&self, capacity: Capacity) {
        self.lock().capacity = capacity;
    }

    /// Asks the file system what is left.
    ///
    /// # Errors
    /// As `fstatfs(2)`.
    pub(crate) fn measure(&self, root: &Root) -> Result<Capacity, StorageError> {
        // Looked at before: what is taken up meanwhile counts twice for a moment, never not at all.
        let allocated = self.lock().allocated;
        let capacity = root.capacity()?;
        let mut state = self.lock();
        state.capacity = capacity;
        state.allocated_when_measured = allocated;
        Ok(capacity)
    }

    /// Promised to migrations and not yet part of what [`Self::capacity`] shows as used.
    pub(crate) fn reserved(&self) -> Space {
        let books = self.lock();
        books.reserved.minus(books.allocated_when_measured)
    }

    /// A migration has taken up some of what is reserved for it.
    pub(crate) fn allocated(&self, space: Space) {
        let mut books = self.lock();
        books.allocated = books.allocated.plus(space);
    }

    /// It has given that back, or ended.
    pub(crate) fn not_allocated(&self, space: Space) {
        let mut books = self.lock();
        books.allocated = books.allocated.minus(space);
        books.allocated_when_measured = books.allocated_when_measured.minus(space);
    }

    /// Reserves what an attempt of a migration needs, unless what is still to come does not fit beside what others were
    /// promised. `capacity` was measured a moment ago, with `kept` of the tablet in staging: that is used already and not
    /// asked for again. `held` is reserved for this migration until now. Returns what others were promised.
    ///
    /// # Errors
    /// [`DoesNotFit`], and nothing is changed.
    pub(crate) fn reserve_attempt(
        &self,
        capacity: Capacity,
        (need, kept): (Space, Space),
        held: Space,
        limits: CapacityLimits,
    ) -> Result<Space, DoesNotFit> {
        let mut books = self.lock();
        let promised = books.reserved.minus(held);
        let others = promised.minus(books.allocated_when_measured);
        let to_come = need.minus(kept);
        if to_come.bytes > 0 {
            fits(capacity, others, to_come, limits)?;
        }
        books.reserved = promised.plus(need);
        books.allocated = books.allocated.plus(kept);
        books.allocated_when_measured = books.allocated_when_measured.plus(kept);
        Ok(others)
    }

    pub(crate) fn reserve(&self, space: Space) {
        let mut books = self.lock();
        books.reserved = books.reserved.plus(space);
    }

    pub(crate) fn unreserve(&self, space: Space) {
        let mut books = self.lock();
        books.reserved = books.reserved.minus(space);
    }
}
