//! One `syncfs` for everybody who waits for one.

use std::sync::{Condvar, Mutex, PoisonError};

use crate::storage::{Barrier, DiskError};

/// A barrier many threads pass together: a sync that is under way when a thread arrives does not count for it, the
/// next one does, and serves all who came meanwhile.
pub(super) struct SharedBarrier<'a> {
    inner: &'a (dyn Barrier + Sync),
    state: Mutex<State>,
    ended: Condvar,
}

#[derive(Default)]
struct State {
    started: u64,
    finished: u64,
    failed: Option<DiskError>,
}

impl<'a> SharedBarrier<'a> {
    /// Shares `inner`.
    pub(super) fn new(inner: &'a (dyn Barrier + Sync)) -> Self {
        Self { inner, state: Mutex::default(), ended: Condvar::new() }
    }
}

impl Barrier for SharedBarrier<'_> {
    fn sync(&self) -> Result<(), DiskError> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let wanted = state.started + 1;
        loop {
            // For good: after a failed sync a second one would say "ok" over what was lost.
            if let Some(error) = &state.failed {
                return Err(error.clone());
            }
            if state.finished >= wanted {
                return Ok(());
            }
            if state.started > state.finished {
                state = self.ended.wait(state).unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            state.started += 1;
            drop(state);
            let outcome = self.inner.sync();
            state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            state.finished = state.started;
            state.failed = outcome.err();
            self.ended.notify_all();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use nix::errno::Errno;

    use super::*;

    /// Numbers its syncs; fails from the one of that number on.
    struct Counted {
        begun: AtomicU64,
        ended: AtomicU64,
        fails_at: u64,
    }

    impl Counted {
        const fn new(fails_at: u64) -> Self {
            Self { begun: AtomicU64::new(0), ended: AtomicU64::new(0), fails_at }
        }
    }

    impl Barrier for Counted {
        fn sync(&self) -> Result<(), DiskError> {
            let number = self.begun.fetch_add(1, Ordering::SeqCst) + 1;
            std::thread::yield_now();
            self.ended.store(number, Ordering::SeqCst);
            if number < self.fails_at { Ok(()) } else { Err(DiskError::new("syncfs", "/d", Errno::EIO)) }
        }
    }

    #[test]
    fn who_passes_was_served_by_a_sync_that_began_after_it_came() {
        let inner = Counted::new(u64::MAX);
        let shared = SharedBarrier::new(&inner);
        std::thread::scope(|scope| {
            for _ in 0..16 {
                scope.spawn(|| {
                    for _ in 0..200 {
                        let begun_before = inner.begun.load(Ordering::SeqCst);
                        shared.sync().expect("no sync fails");
                        assert!(inner.ended.load(Ordering::SeqCst) > begun_before);
                    }
                });
            }
        });
        assert!(inner.begun.into_inner() <= 16 * 200);
    }

    #[test]
    fn after_a_failed_sync_nobody_passes_and_no_further_one_is_made() {
        let inner = Counted::new(3);
        let shared = SharedBarrier::new(&inner);
        let outcomes: Vec<bool> = (0..6).map(|_| shared.sync().is_ok()).collect();
        assert_eq!(outcomes, [true, true, false, false, false, false]);
        assert_eq!(inner.begun.into_inner(), 3);
    }
}
