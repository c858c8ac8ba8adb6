//! How long, or how much, in a few classes: enough to see the slow ones, little enough to be kept for ever.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::engine::view::measures::HistogramView;

/// Upper ends of the classes of a step's time, in seconds: from a preflight of a small tablet to the copy of a large one.
const STEP_SECONDS: &[f64] = &[0.001, 0.01, 0.1, 0.5, 1.0, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0, 7200.0];
/// Of a commit of the journal: one sync of a few pages, from an SSD to a disk that is failing.
const COMMIT_SECONDS: &[f64] =
    &[0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0];
/// Of a tablet: 64 KiB to 64 GiB.
const TABLET_BYTES: &[f64] =
    &[65_536.0, 1_048_576.0, 16_777_216.0, 268_435_456.0, 1_073_741_824.0, 4_294_967_296.0, 68_719_476_736.0];

/// Counted into by many threads.
pub(crate) struct Histogram(Mutex<HistogramView>);

impl Histogram {
    pub(crate) fn of_steps() -> Self {
        Self::new(STEP_SECONDS)
    }

    pub(crate) fn of_commits() -> Self {
        Self::new(COMMIT_SECONDS)
    }

    pub(crate) fn of_tablets() -> Self {
        Self::new(TABLET_BYTES)
    }

    fn new(bounds: &'static [f64]) -> Self {
        Self(Mutex::new(HistogramView::new(bounds)))
    }

    pub(crate) fn took(&self, time: Duration) {
        self.count(time.as_secs_f64());
    }

    pub(crate) fn count(&self, value: f64) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).count(value);
    }

    pub(crate) fn view(&self) -> HistogramView {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_equals_a_bound_is_below_it_and_what_is_above_all_is_counted_too() {
        let histogram = Histogram::new(&[1.0, 2.0]);
        [0.5, 1.0, 1.5, 2.0, 99.0].iter().for_each(|value| histogram.count(*value));
        let view = histogram.view();
        assert_eq!(view.counts, [2, 2, 1]);
        assert_eq!(view.total(), 5);
        assert_eq!(view.sum, 104.0);
    }

    #[test]
    fn bounds_rise() {
        for bounds in [STEP_SECONDS, COMMIT_SECONDS, TABLET_BYTES] {
            assert!(bounds.is_sorted_by(|a, b| a < b), "{bounds:?}");
        }
    }
}
