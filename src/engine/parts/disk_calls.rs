//! System calls that are out on one disk, and since when: a disk is hung when one of them does not return.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use super::pressure::OUT;

/// System calls that are out on a disk.
#[derive(Default)]
pub(crate) struct Calls {
    next: AtomicU64,
    out: Mutex<HashMap<u64, (&'static str, Instant)>>,
}

impl Calls {
    fn out(&self) -> MutexGuard<'_, HashMap<u64, (&'static str, Instant)>> {
        self.out.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One that is out until what this returns is dropped.
    pub(crate) fn enter(&self, operation: &'static str) -> InCall<'_> {
        InCall { calls: self, token: self.begin(operation) }
    }

    /// One that is out until [`Calls::end`].
    pub(crate) fn begin(&self, operation: &'static str) -> u64 {
        let token = self.next.fetch_add(1, Ordering::Relaxed);
        self.out().insert(token, (operation, Instant::now()));
        OUT.enter();
        token
    }

    /// Ends what [`Calls::begin`] began.
    pub(crate) fn end(&self, token: u64) {
        if self.out().remove(&token).is_some() {
            OUT.leave();
        }
    }

    /// The one that has been out for longest, and since when.
    pub(crate) fn oldest(&self) -> Option<(&'static str, Instant)> {
        self.out().values().min_by_key(|(_, since)| *since).copied()
    }
}

/// A call that is out, until dropped.
pub(crate) struct InCall<'a> {
    calls: &'a Calls,
    token: u64,
}

impl Drop for InCall<'_> {
    fn drop(&mut self) {
        self.calls.end(self.token);
    }
}
