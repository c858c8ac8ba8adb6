//! What the node counts since the start of its process, for metrics and the status.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::view::StepTotals;
use crate::model::{ErrorCode, Step, StepStatus};

/// Counters since the start of the process.
#[derive(Default)]
pub(super) struct Counts {
    pub(super) accepted: AtomicU64,
    pub(super) started: AtomicU64,
    pub(super) completed: AtomicU64,
    pub(super) failed: AtomicU64,
    pub(super) aborted: AtomicU64,
    pub(super) expired: AtomicU64,
    pub(super) retried: AtomicU64,
    pub(super) copied_bytes: AtomicU64,
    pub(super) cloned_bytes: AtomicU64,
    pub(super) verified_bytes: AtomicU64,
    pub(super) throttled_ms: AtomicU64,
    pub(super) quarantined: AtomicU64,
    pub(super) purged: AtomicU64,
    refused: Mutex<HashMap<ErrorCode, u64>>,
    steps: Mutex<BTreeMap<Step, StepTotals>>,
}

impl Counts {
    pub(super) fn add(counter: &AtomicU64) {
        counter.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn refuse(&self, code: ErrorCode) {
        *lock(&self.refused).entry(code).or_default() += 1;
    }

    pub(super) fn refused(&self) -> Vec<(ErrorCode, u64)> {
        lock(&self.refused).iter().map(|(code, count)| (*code, *count)).collect()
    }

    pub(super) fn step_ended(&self, step: Step, took: Duration, how: StepStatus) {
        let mut steps = lock(&self.steps);
        let totals = steps.entry(step).or_insert(StepTotals { step, seconds: 0.0, done: 0, failed: 0 });
        totals.seconds += took.as_secs_f64();
        match how {
            StepStatus::Done => totals.done += 1,
            StepStatus::Running | StepStatus::Error => totals.failed += 1,
        }
    }

    pub(super) fn steps(&self) -> Vec<StepTotals> {
        lock(&self.steps).values().copied().collect()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
