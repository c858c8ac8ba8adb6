//! The memory of copies: aligned buffers, and the budget all copies of the node share.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::model::Failure;

/// Alignment of addresses, offsets and lengths for `O_DIRECT`. 4,096 satisfies every logical block size in use.
pub(super) const ALIGN_BYTES: usize = 4096;

/// Rounds up to the alignment.
pub(super) const fn align_up(bytes: usize) -> usize {
    bytes.next_multiple_of(ALIGN_BYTES)
}

/// How often a copy that waits for memory asks whether it should go on.
const NAP: Duration = Duration::from_millis(100);

/// Bytes that all copies together may hold in buffers.
#[derive(Debug)]
pub struct BufferBudget {
    limit_bytes: usize,
    state: Mutex<Budget>,
    freed: Condvar,
}

#[derive(Debug, Default)]
struct Budget {
    lent_bytes: usize,
    waiting: usize,
}

impl BufferBudget {
    /// A budget of `limit_bytes`. A single buffer above it is lent when nothing else is, so that no setting stops copies.
    pub fn new(limit_bytes: usize) -> Self {
        Self { limit_bytes, state: Mutex::default(), freed: Condvar::new() }
    }

    /// Bytes lent now.
    pub fn lent_bytes(&self) -> usize {
        self.lock().lent_bytes
    }

    /// Waits for `bytes`.
    ///
    /// # Errors
    /// What `go_on` said, asked before every wait of at most a tenth of a second.
    pub(super) fn wait_for(
        &self,
        bytes: usize,
        go_on: impl Fn() -> Result<(), Failure>,
    ) -> Result<Lease<'_>, Failure> {
        go_on()?;
        let mut state = self.lock();
        state.waiting += 1;
        loop {
            if self.fits(&state, bytes) {
                state.waiting -= 1;
                state.lent_bytes += bytes;
                return Ok(Lease { budget: self, bytes });
            }
            state = self.freed.wait_timeout(state, NAP).unwrap_or_else(PoisonError::into_inner).0;
            drop(state);
            let asked = go_on();
            state = self.lock();
            if let Err(stop) = asked {
                state.waiting -= 1;
                return Err(stop);
            }
        }
    }

    /// Lends `bytes` at once or not at all; not while somebody waits for a first buffer.
    pub(super) fn try_lend(&self, bytes: usize) -> Option<Lease<'_>> {
        let mut state = self.lock();
        (state.waiting == 0 && self.fits(&state, bytes)).then(|| {
            state.lent_bytes += bytes;
            Lease { budget: self, bytes }
        })
    }

    fn fits(&self, state: &Budget, bytes: usize) -> bool {
        state.lent_bytes == 0 || state.lent_bytes.saturating_add(bytes) <= self.limit_bytes
    }

    fn lock(&self) -> MutexGuard<'_, Budget> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Bytes taken from a budget until dropped.
#[derive(Debug)]
pub(super) struct Lease<'a> {
    budget: &'a BufferBudget,
    bytes: usize,
}

impl Drop for Lease<'_> {
    fn drop(&mut self) {
        self.budget.lock().lent_bytes -= self.bytes;
        self.budget.freed.notify_all();
    }
}

/// One thread's buffer: room for a block and one aligned unit more, so that a read can ask beyond the end it expects.
#[derive(Debug)]
pub(super) struct Buffer<'a> {
    memory: Vec<u8>,
    start: usize,
    block_bytes: usize,
    _lease: Lease<'a>,
}

impl<'a> Buffer<'a> {
    /// What a buffer for blocks of `block_bytes` takes from the budget.
    pub(super) const fn footprint_bytes(block_bytes: usize) -> usize {
        align_up(block_bytes) + 2 * ALIGN_BYTES
    }

    /// A buffer for blocks of `block_bytes`, rounded up to the alignment, in the memory of `lease`.
    pub(super) fn new(block_bytes: usize, lease: Lease<'a>) -> Self {
        let block_bytes = align_up(block_bytes.max(1));
        let memory = vec![0; block_bytes + 2 * ALIGN_BYTES];
        // The allocation's address, not a pointer to be followed: alignment without `unsafe`.
        let address = memory.as_ptr().addr();
        let start = address.next_multiple_of(ALIGN_BYTES) - address;
        Self { memory, start, block_bytes, _lease: lease }
    }

    /// Bytes in a block.
    pub(super) fn block_bytes(&self) -> usize {
        self.block_bytes
    }

    /// The aligned memory: a block and one unit more.
    pub(super) fn bytes(&mut self) -> &mut [u8] {
        let end = self.start + self.block_bytes + ALIGN_BYTES;
        &mut self.memory[self.start..end]
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Instant;

    use super::*;
    use crate::model::ErrorCode;

    #[test]
    fn buffers_are_aligned_and_have_room_beyond_the_block() {
        let budget = BufferBudget::new(usize::MAX);
        for block_bytes in [1, 4095, 4096, 4097, 1 << 20] {
            let lease = budget.try_lend(Buffer::footprint_bytes(block_bytes)).expect("fits");
            let mut buffer = Buffer::new(block_bytes, lease);
            assert_eq!(buffer.bytes().as_ptr().addr() % ALIGN_BYTES, 0);
            assert_eq!(buffer.bytes().len(), align_up(block_bytes) + ALIGN_BYTES);
        }
        assert_eq!(budget.lent_bytes(), 0);
    }

    #[test]
    fn the_budget_is_kept_and_a_lone_buffer_always_fits() {
        let budget = BufferBudget::new(100);
        let first = budget.try_lend(60).expect("fits");
        assert!(budget.try_lend(41).is_none());
        let second = budget.try_lend(40).expect("fits");
        drop((first, second));
        let large = budget.try_lend(1000).expect("nothing else is lent");
        assert!(budget.try_lend(1).is_none());
        drop(large);
        assert_eq!(budget.lent_bytes(), 0);
    }

    #[test]
    fn a_first_buffer_is_waited_for_and_goes_before_further_ones() {
        let budget = BufferBudget::new(100);
        let held = budget.try_lend(60).expect("fits");
        let asked = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            let waiter = scope.spawn(|| {
                budget.wait_for(50, || {
                    asked.fetch_add(1, Ordering::Release);
                    Ok(())
                })
            });
            // Asked a second time: it has been waiting.
            let deadline = Instant::now() + Duration::from_secs(20);
            while asked.load(Ordering::Acquire) < 2 {
                assert!(Instant::now() < deadline, "it never asks again");
                std::thread::yield_now();
            }
            assert!(budget.try_lend(1).is_none(), "somebody waits for a first buffer");
            drop(held);
            assert!(waiter.join().expect("no panic").is_ok());
        });
        assert_eq!(budget.lent_bytes(), 0);
    }

    #[test]
    fn waiting_for_memory_can_be_stopped() {
        let budget = BufferBudget::new(10);
        let _held = budget.try_lend(10).expect("fits");
        let asked = AtomicUsize::new(0);
        let answer = budget.wait_for(1, || match asked.fetch_add(1, Ordering::Relaxed) {
            0 => Ok(()),
            _ => Err(Failure::new(ErrorCode::Aborted, "stop")),
        });
        assert_eq!(answer.expect_err("stopped").code, ErrorCode::Aborted);
        assert_eq!(budget.lock().waiting, 0);
    }
}
