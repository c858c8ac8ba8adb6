//! A copy that nobody watches, limits or interrupts.

use crate::transfer::{BufferBudget, CopyHooks, CopyOptions};

/// Hooks that do nothing.
pub(super) struct Unwatched;

impl CopyHooks for Unwatched {}

/// What reading and copying may use.
pub(super) struct Means {
    pub(super) options: CopyOptions,
    pub(super) budget: BufferBudget,
}

/// Buffers of one run of the program.
const BUFFERS_BYTES: usize = 128 << 20;

impl Means {
    /// Of one tablet at a time: several threads each.
    pub(super) fn for_one() -> Self {
        Self { options: CopyOptions::default(), budget: BufferBudget::new(BUFFERS_BYTES) }
    }

    /// Of many tablets at once: one thread each, and every sync a shared one.
    pub(super) fn for_many() -> Self {
        let options = CopyOptions { threads: 1, barrier_min_files: 1, ..CopyOptions::default() };
        Self { options, budget: BufferBudget::new(BUFFERS_BYTES) }
    }
}
