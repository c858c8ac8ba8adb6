//! Migrations that were granted and are on no board yet, counted at both of their disks: a disk is not forgotten meanwhile.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The count of one disk.
#[derive(Default)]
pub(crate) struct Grants(Arc<AtomicUsize>);

impl Grants {
    /// Counts one more, until what this returns is dropped: then the migration is on the board, or never will be.
    pub(crate) fn count_in(&self) -> Granted {
        self.0.fetch_add(1, Ordering::SeqCst);
        Granted(Arc::clone(&self.0))
    }

    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

/// One migration that was granted.
pub(crate) struct Granted(Arc<AtomicUsize>);

impl Drop for Granted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}
