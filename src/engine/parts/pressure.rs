//! What the kernel says of I/O on the whole machine, and how much of it is our own doing.
//!
//! `/proc/pressure/io` counts the time in which *some* thread stalled on I/O, ours included. A mover at full speed stalls
//! all the time. So the time in which any call of ours was out is counted too and taken off: what is left is a lower
//! bound of what others suffer. It says nothing while we never pause, and much as soon as we do.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

const PRESSURE: &str = "/proc/pressure/io";

/// The calls of this process that are out on any disk, as the kernel's figure is one for the machine.
pub(crate) static OUT: Out = Out(Mutex::new(State { calls: 0, since: None, sum: Duration::ZERO }));

/// The time in which at least one call was out.
pub(crate) struct Out(Mutex<State>);

struct State {
    calls: u64,
    since: Option<Instant>,
    sum: Duration,
}

impl Out {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A call is made.
    pub(crate) fn enter(&self) {
        let mut state = self.lock();
        state.calls += 1;
        if state.calls == 1 {
            state.since = Some(Instant::now());
        }
    }

    /// It has returned.
    pub(crate) fn leave(&self) {
        let mut state = self.lock();
        state.calls = state.calls.saturating_sub(1);
        if state.calls == 0
            && let Some(since) = state.since.take()
        {
            state.sum += since.elapsed();
        }
    }

    /// The same, until the guard is dropped.
    pub(crate) fn guard(&self) -> OutGuard<'_> {
        self.enter();
        OutGuard(self)
    }

    fn sum(&self) -> Duration {
        let state = self.lock();
        state.sum + state.since.map_or(Duration::ZERO, |since| since.elapsed())
    }
}

/// A call that is out.
pub(crate) struct OutGuard<'a>(&'a Out);

impl Drop for OutGuard<'_> {
    fn drop(&mut self) {
        self.0.leave();
    }
}

/// Measures from one reading to the next.
pub(crate) struct Stalls {
    at: Instant,
    some: Option<Duration>,
    ours: Duration,
    smooth_permille: u32,
}

impl Stalls {
    /// From now on.
    pub(crate) fn new() -> Self {
        Self { at: Instant::now(), some: total(), ours: OUT.sum(), smooth_permille: 0 }
    }

    /// The share of the last moments in which others stalled, in thousandths, the last reading counting for a quarter; 0
    /// where the kernel keeps no such figure (`CONFIG_PSI`, `psi=0`).
    pub(crate) fn read_permille(&mut self) -> u32 {
        let smooth = self.smooth_permille;
        let now = self.read();
        self.smooth_permille = (smooth * 3 + now) / 4;
        self.smooth_permille
    }

    fn read(&mut self) -> u32 {
        let before = std::mem::replace(self, Self::new());
        let (Some(was), Some(is)) = (before.some, self.some) else { return 0 };
        let others = is.saturating_sub(was).saturating_sub(self.ours.saturating_sub(before.ours));
        let elapsed_us = (self.at - before.at).as_micros().max(1);
        u32::try_from(others.as_micros() * 1000 / elapsed_us).unwrap_or(u32::MAX).min(1000)
    }
}

fn total() -> Option<Duration> {
    total_in(&std::fs::read_to_string(PRESSURE).ok()?)
}

/// `some avg10=0.00 avg60=0.00 avg300=0.00 total=1234`, in microseconds (Documentation/accounting/psi.rst).
fn total_in(text: &str) -> Option<Duration> {
    let some = text.lines().find(|line| line.starts_with("some "))?;
    let total = some.split(' ').find_map(|field| field.strip_prefix("total="))?;
    total.parse().ok().map(Duration::from_micros)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_total_is_read_from_the_right_line() {
        let text = "some avg10=10.42 avg60=16.25 avg300=18.01 total=2139605426\nfull avg10=0.19 total=5\n";
        assert_eq!(total_in(text), Some(Duration::from_micros(2_139_605_426)));
        assert_eq!(total_in("full avg10=0.19 total=5\n"), None);
    }

    #[test]
    fn calls_that_overlap_are_counted_once() {
        let out = Out(Mutex::new(State { calls: 0, since: None, sum: Duration::ZERO }));
        let began = Instant::now();
        {
            let _first = out.guard();
            let _second = out.guard();
            while out.sum() < Duration::from_millis(5) {
                std::thread::yield_now();
            }
        }
        let sum = out.sum();
        assert!(sum >= Duration::from_millis(5) && sum <= began.elapsed(), "{sum:?}");
        assert_eq!(out.sum(), sum, "nothing is out");
    }
}
