//! How one disk is paced: the rate in force, and who copies. Set by [`crate::engine::tend::pace`].

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::engine::view::PaceView;
use crate::transfer::Limiter;

/// How often a stop is noticed.
pub(crate) const NAP: Duration = Duration::from_secs(1);

/// How one disk is paced.
pub(crate) struct Pace {
    limiter: Limiter,
    pub(crate) passed_bytes: AtomicU64,
    copies: AtomicUsize,
    in_force: AtomicBool,
    shown: Mutex<Option<PaceView>>,
    begun: Condvar,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            limiter: Limiter::smooth(0),
            passed_bytes: AtomicU64::new(0),
            copies: AtomicUsize::new(0),
            in_force: AtomicBool::new(false),
            shown: Mutex::default(),
            begun: Condvar::new(),
        }
    }
}

/// A copy from or to the disk, until dropped.
pub(crate) struct Copying<'a>(&'a Pace);

impl Drop for Copying<'_> {
    fn drop(&mut self) {
        self.0.copies.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Pace {
    fn shown(&self) -> MutexGuard<'_, Option<PaceView>> {
        self.shown.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A copy from or to this disk begins.
    pub(crate) fn begin_copy(&self) -> Copying<'_> {
        self.copies.fetch_add(1, Ordering::SeqCst);
        // Under the lock: a bell between the other side's look and its wait would be missed.
        drop(self.shown());
        self.begun.notify_all();
        Copying(self)
    }

    /// Waits until that many bytes may pass.
    ///
    /// # Errors
    /// What `go_on` said.
    pub(crate) fn take<E>(&self, bytes: u64, go_on: impl Fn() -> Result<(), E>) -> Result<Duration, E> {
        let waited = self.limiter.take(bytes, go_on)?;
        self.passed_bytes.fetch_add(bytes, Ordering::Relaxed);
        Ok(waited)
    }

    /// Whether copies are held back, or were a moment ago.
    pub(crate) fn is_in_force(&self) -> bool {
        self.in_force.load(Ordering::Relaxed)
    }

    /// How it is paced now; `None` while it is not.
    pub(crate) fn view(&self) -> Option<PaceView> {
        self.shown().clone()
    }

    /// The rate is in force before anybody can see it.
    pub(crate) fn show(&self, view: Option<PaceView>) {
        self.limiter.set_rate(view.as_ref().map_or(0, |view| view.rate_bytes_per_sec));
        self.in_force.store(view.is_some(), Ordering::Relaxed);
        *self.shown() = view;
    }

    /// Whether anybody copies from or to it now.
    pub(crate) fn is_copying(&self) -> bool {
        self.copies.load(Ordering::SeqCst) > 0
    }

    /// Waits a moment for a copy to begin.
    pub(crate) fn wait_for_a_copy(&self) {
        let shown = self.shown();
        if !self.is_copying() {
            drop(self.begun.wait_timeout(shown, NAP));
        }
    }
}
