//! Whether the daemon stops: told to everybody who works at length.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::model::{ErrorCode, Failure};

/// Once begun, it is not taken back.
#[derive(Debug, Clone, Default)]
pub(crate) struct Stopping(Arc<AtomicBool>);

impl Stopping {
    /// From now on it stops.
    pub(crate) fn begin(&self) {
        self.0.store(true, Ordering::SeqCst);
    }

    /// Whether it does.
    pub(crate) fn has_begun(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }

    /// Whether to go on.
    ///
    /// # Errors
    /// `SHUTTING_DOWN`.
    pub(crate) fn check(&self) -> Result<(), Failure> {
        if self.has_begun() {
            return Err(Failure::new(ErrorCode::ShuttingDown, "the daemon is stopping"));
        }
        Ok(())
    }
}
