//! A few threads that work off a list of jobs and stop together.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::buffer::{ALIGN_BYTES, Buffer, BufferBudget};
use super::hooks::{CallToken, CopyHooks, Side, Traffic};
use super::plan::CopyOptions;
use crate::model::{ErrorCode, Failure};

/// Locks, whoever panicked while holding it: the panic itself is reported as the failure.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The owner's hooks, and whether another thread of the same crew has failed.
pub(super) struct Watch<'a> {
    hooks: &'a dyn CopyHooks,
    stopped: AtomicBool,
}

impl<'a> Watch<'a> {
    pub(super) fn new(hooks: &'a dyn CopyHooks) -> Self {
        Self { hooks, stopped: AtomicBool::new(false) }
    }

    pub(super) fn hooks(&self) -> &'a dyn CopyHooks {
        self.hooks
    }

    /// # Errors
    /// The owner wants to stop, or another thread failed; its failure is the one that is reported.
    pub(super) fn checkpoint(&self) -> Result<(), Failure> {
        if self.stopped.load(Ordering::Relaxed) {
            return Err(Failure::new(ErrorCode::Aborted, "another thread of this copy failed"));
        }
        self.hooks.checkpoint()
    }

    /// Waits until `bytes` may pass. To be called before every block and every small file.
    ///
    /// # Errors
    /// As [`Watch::checkpoint`].
    pub(super) fn pace(&self, traffic: Traffic, bytes: u64) -> Result<(), Failure> {
        self.checkpoint()?;
        self.hooks.take(traffic, bytes, &|| self.checkpoint())
    }

    /// How long the next block may be, where `most_bytes` is what there is room for. Stays a multiple of what direct I/O
    /// wants.
    pub(super) fn block_bytes(&self, most_bytes: usize) -> usize {
        (self.hooks.block_bytes_max() / ALIGN_BYTES * ALIGN_BYTES)
            .clamp(ALIGN_BYTES, most_bytes.max(ALIGN_BYTES))
    }

    /// Makes a call that can hang with its disk.
    pub(super) fn call<T>(&self, side: Side, operation: &'static str, call: impl FnOnce() -> T) -> T {
        struct Leave<'a>(&'a dyn CopyHooks, CallToken);
        impl Drop for Leave<'_> {
            fn drop(&mut self) {
                self.0.leave_call(self.1);
            }
        }
        let _leave = Leave(self.hooks, self.hooks.enter_call(side, operation));
        call()
    }
}

/// What is needed to work off jobs.
#[derive(Clone, Copy)]
pub(super) struct Crew<'a> {
    pub(super) watch: &'a Watch<'a>,
    pub(super) options: &'a CopyOptions,
    pub(super) budget: &'a BufferBudget,
}

/// How much work there is: decides threads and buffers.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Load {
    /// All bytes.
    pub(super) total_bytes: u64,
    pub(super) largest_file_bytes: u64,
}

impl Load {
    /// The load of files of these sizes.
    pub(super) fn of(sizes_bytes: impl Iterator<Item = u64>) -> Self {
        sizes_bytes.fold(Self::default(), |load, size_bytes| Self {
            total_bytes: load.total_bytes.saturating_add(size_bytes),
            largest_file_bytes: load.largest_file_bytes.max(size_bytes),
        })
    }
}

impl Crew<'_> {
    /// Does every job, in the order given as far as several threads have one, and returns the first failure.
    ///
    /// The calling thread works too. A thread that cannot be started, or for which there is no buffer in the budget at
    /// once, is done without; only the first buffer is waited for.
    ///
    /// # Errors
    /// The first failure; the other threads stop at their next block. A panic becomes `INTERNAL`.
    pub(super) fn work_off<J: Send>(
        self,
        jobs: Vec<J>,
        load: Load,
        work: impl Fn(&mut Buffer<'_>, J) -> Result<(), Failure> + Sync,
    ) -> Result<(), Failure> {
        if jobs.is_empty() {
            return Ok(());
        }
        let threads = if load.total_bytes < self.options.window_min_bytes { 1 } else { self.options.threads };
        let more_threads = threads.min(jobs.len()).saturating_sub(1);
        let block_bytes = self.options.block_bytes_for(load.largest_file_bytes);
        let footprint_bytes = Buffer::footprint_bytes(block_bytes);
        let first = self.budget.wait_for(footprint_bytes, || self.watch.checkpoint())?;

        let jobs = Mutex::new(VecDeque::from(jobs));
        let failure = Mutex::new(None);
        let work_off = |lease| {
            let outcome = catch_unwind(AssertUnwindSafe(|| {
                let mut buffer = Buffer::new(block_bytes, lease);
                while let Some(job) = next(&jobs) {
                    self.watch.checkpoint()?;
                    work(&mut buffer, job)?;
                }
                Ok(())
            }));
            let panicked = || Err(Failure::new(ErrorCode::Internal, "a copying thread panicked"));
            if let Err(reason) = outcome.unwrap_or_else(|_| panicked()) {
                // The slot is filled before the others are told to stop: what they then say cannot come first.
                lock(&failure).get_or_insert(reason);
                self.watch.stopped.store(true, Ordering::Relaxed);
            }
        };
        std::thread::scope(|scope| {
            for _ in 0..more_threads {
                let Some(lease) = self.budget.try_lend(footprint_bytes) else { break };
                let builder = std::thread::Builder::new().name("copy".to_owned());
                if builder.spawn_scoped(scope, || work_off(lease)).is_err() {
                    break;
                }
            }
            work_off(first);
        });
        lock(&failure).take().map_or(Ok(()), Err)
    }
}

fn next<J>(jobs: &Mutex<VecDeque<J>>) -> Option<J> {
    lock(jobs).pop_front()
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, AtomicUsize};
    use std::time::{Duration, Instant};

    use super::*;

    struct Quiet;
    impl CopyHooks for Quiet {}

    const LOAD: Load = Load { total_bytes: 1 << 40, largest_file_bytes: 10 };

    fn with_crew(budget: &BufferBudget, check: impl FnOnce(Crew<'_>)) {
        let watch = Watch::new(&Quiet);
        let options = CopyOptions::default();
        check(Crew { watch: &watch, options: &options, budget });
    }

    #[test]
    fn every_job_is_done_once() {
        let budget = BufferBudget::new(1 << 30);
        with_crew(&budget, |crew| {
            let sum = AtomicU64::new(0);
            let jobs: Vec<u64> = (1..=1000).collect();
            crew.work_off(jobs, LOAD, |_, job| {
                sum.fetch_add(job, Ordering::Relaxed);
                Ok(())
            })
            .expect("no job fails");
            assert_eq!(sum.into_inner(), 500_500);
        });
        assert_eq!(budget.lent_bytes(), 0);
    }

    #[test]
    fn the_first_failure_is_reported_and_the_rest_stops() {
        let budget = BufferBudget::new(1 << 30);
        with_crew(&budget, |crew| {
            let done = AtomicUsize::new(0);
            let error = crew
                .work_off((0..100_000).collect(), LOAD, |_, job| {
                    done.fetch_add(1, Ordering::Relaxed);
                    if job == 5 {
                        return Err(Failure::new(ErrorCode::NoSpace, "full"));
                    }
                    if job < 5 {
                        return Ok(());
                    }
                    let deadline = Instant::now() + Duration::from_secs(20);
                    loop {
                        crew.watch.checkpoint()?;
                        assert!(Instant::now() < deadline, "nobody tells this job to stop");
                        std::thread::yield_now();
                    }
                })
                .expect_err("job 5 fails");
            assert_eq!(error.code, ErrorCode::NoSpace);
            assert!(done.into_inner() < 20);
        });
    }

    #[test]
    fn a_panic_is_a_failure_and_not_the_end_of_the_caller() {
        let budget = BufferBudget::new(1 << 30);
        with_crew(&budget, |crew| {
            let error =
                crew.work_off(vec![1, 2, 3], LOAD, |_, _| panic!("on purpose")).expect_err("panicked");
            assert_eq!(error.code, ErrorCode::Internal);
        });
        assert_eq!(budget.lent_bytes(), 0);
    }

    #[test]
    fn without_memory_for_more_the_calling_thread_works_alone() {
        let budget = BufferBudget::new(1);
        with_crew(&budget, |crew| {
            let caller = std::thread::current().id();
            crew.work_off(vec![(); 50], LOAD, |_, ()| {
                assert_eq!(std::thread::current().id(), caller);
                Ok(())
            })
            .expect("no job fails");
        });
    }
}
