//! What the node counts since the start of its process, for metrics and the status.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use super::histogram::Histogram;
use crate::engine::view::{HistogramView, StepTotals};
use crate::model::{ErrorCode, Step, StepStatus};

/// Counters since the start of the process.
#[derive(Default)]
pub(crate) struct Counts {
    pub(crate) accepted: AtomicU64,
    pub(crate) started: AtomicU64,
    pub(crate) completed: AtomicU64,
    pub(crate) failed: AtomicU64,
    pub(crate) aborted: AtomicU64,
    pub(crate) expired: AtomicU64,
    pub(crate) retried: AtomicU64,
    pub(crate) copied_bytes: AtomicU64,
    pub(crate) cloned_bytes: AtomicU64,
    pub(crate) verified_bytes: AtomicU64,
    pub(crate) throttled_ms: AtomicU64,
    pub(crate) quarantined: AtomicU64,
    pub(crate) purged: AtomicU64,
    refused: Mutex<HashMap<ErrorCode, u64>>,
    steps: Mutex<BTreeMap<Step, (StepTotals, Histogram)>>,
    moved_bytes: OnceLock<Histogram>,
}

impl Counts {
    pub(crate) fn add(counter: &AtomicU64) {
        counter.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn refuse(&self, code: ErrorCode) {
        *lock(&self.refused).entry(code).or_default() += 1;
    }

    pub(crate) fn refused(&self) -> Vec<(ErrorCode, u64)> {
        lock(&self.refused).iter().map(|(code, count)| (*code, *count)).collect()
    }

    pub(crate) fn step_ended(&self, step: Step, took: Duration, how: StepStatus) {
        let mut steps = lock(&self.steps);
        let (totals, histogram) = steps.entry(step).or_insert_with(|| {
            (StepTotals { step, seconds: 0.0, done: 0, failed: 0 }, Histogram::of_steps())
        });
        histogram.took(took);
        totals.seconds += took.as_secs_f64();
        match how {
            StepStatus::Done => totals.done += 1,
            StepStatus::Running | StepStatus::Error => totals.failed += 1,
        }
    }

    pub(crate) fn steps(&self) -> Vec<StepTotals> {
        lock(&self.steps).values().map(|(totals, _)| *totals).collect()
    }

    pub(crate) fn step_seconds(&self) -> Vec<(Step, HistogramView)> {
        lock(&self.steps).iter().map(|(step, (_, histogram))| (*step, histogram.view())).collect()
    }

    /// A migration of a tablet of this size was completed.
    #[allow(clippy::cast_precision_loss, reason = "classes of sizes; sums below 8 PiB are exact")]
    pub(crate) fn moved(&self, bytes: u64) {
        self.moved_bytes().count(bytes as f64);
    }

    pub(crate) fn moved_bytes(&self) -> &Histogram {
        self.moved_bytes.get_or_init(Histogram::of_tablets)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
