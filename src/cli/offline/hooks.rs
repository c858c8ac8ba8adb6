//! A copy that nobody watches, limits or interrupts.

use crate::model::Failure;
use crate::transfer::{BufferBudget, CallToken, CopyHooks, CopyOptions, Side, Traffic};

/// Hooks that do nothing.
pub(super) struct Unwatched;

impl CopyHooks for Unwatched {
    fn checkpoint(&self) -> Result<(), Failure> {
        Ok(())
    }
    fn take(&self, _: Traffic, _: u64, _: &dyn Fn() -> Result<(), Failure>) -> Result<(), Failure> {
        Ok(())
    }
    fn copied(&self, _: u64) {}
    fn verified(&self, _: u64) {}
    fn file_verified(&self) {}
    fn resumed(&self, _: u64) {}
    fn log(&self, _: String) {}
    fn enter_call(&self, _: Side, _: &'static str) -> CallToken {
        CallToken::default()
    }
    fn leave_call(&self, _: CallToken) {}
}

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
