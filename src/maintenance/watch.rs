//! Who follows a run: asked whether it may go on, and told how it goes.

use crate::model::{Failure, Migration};
use crate::transfer::CopyHooks;

/// Follows a run.
pub trait Watch: Sync {
    /// Asked before every block.
    ///
    /// # Errors
    /// The run is to stop; the move under way goes back, as long as it is not committed.
    fn go_on(&self) -> Result<(), Failure>;

    /// What becomes of a move that was stopped before its commit.
    fn when_stopped(&self) -> WhenStopped {
        WhenStopped::Ends
    }

    /// A move stands elsewhere than before.
    fn stands(&self, _row: &Migration) {}

    /// So many bytes were written to staging.
    fn copied(&self, _bytes: u64) {}

    /// So many bytes were read back, and are right.
    fn verified(&self, _bytes: u64) {}
}

/// What becomes of a move that was stopped before its commit, and that nobody called off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WhenStopped {
    /// Its tablet stays, and what was copied goes.
    Ends,
    /// The next run or start takes it up, with what was copied.
    GoesOnLater,
}

/// Whoever only asks whether to stop.
impl<F: Fn() -> Result<(), Failure> + Sync> Watch for F {
    fn go_on(&self) -> Result<(), Failure> {
        self()
    }
}

/// The same, as the copy engine asks.
pub(super) struct Hooks<'a>(pub(super) &'a dyn Watch);

impl CopyHooks for Hooks<'_> {
    fn checkpoint(&self) -> Result<(), Failure> {
        self.0.go_on()
    }

    fn copied(&self, bytes: u64) {
        self.0.copied(bytes);
    }

    fn verified(&self, bytes: u64) {
        self.0.verified(bytes);
    }
}
