//! How fast bytes may pass: a token bucket that is told the time.
//!
//! The bucket never sleeps and never looks at a clock; it answers "now" or "not before". Waiting is its owner's work.

use std::time::Duration;

/// One byte, in the unit the level is kept in: exact at every rate, so that no rounding is ever given away.
const NANO: i128 = 1_000_000_000;

/// A token bucket.
///
/// Bytes pass when the level holds them, or holds a full burst where there are more of them than that: the level then
/// goes below zero and the debt is paid before anything else passes. So no block is too large to ever pass, and over
/// any time `t` no more than `rate * t + burst` passes, beyond which a single block may reach by what it exceeds the
/// burst.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenBucket {
    rate_bytes_per_sec: u64,
    burst_bytes: u64,
    level_nanobytes: i128,
    filled_at: Duration,
}

impl TokenBucket {
    /// A full bucket. A rate of 0 is no limit at all.
    pub fn new(rate_bytes_per_sec: u64, burst_bytes: u64) -> Self {
        Self {
            rate_bytes_per_sec,
            burst_bytes,
            level_nanobytes: i128::from(burst_bytes) * NANO,
            filled_at: Duration::ZERO,
        }
    }

    /// The rate; 0 is no limit.
    pub fn rate_bytes_per_sec(&self) -> u64 {
        self.rate_bytes_per_sec
    }

    /// Lets `bytes` pass at `now`, a time since an origin that stays the same for the life of the bucket. A `now` before
    /// an earlier one counts as that earlier one.
    ///
    /// # Errors
    /// Not yet: the earliest time at which it can succeed, if nobody else takes anything before.
    pub fn take(&mut self, now: Duration, bytes: u64) -> Result<(), Duration> {
        if self.rate_bytes_per_sec == 0 {
            return Ok(());
        }
        self.fill(now);
        let needed = i128::from(bytes.min(self.burst_bytes)) * NANO;
        let missing = needed - self.level_nanobytes;
        if missing <= 0 {
            self.level_nanobytes -= i128::from(bytes) * NANO;
            return Ok(());
        }
        let rate = i128::from(self.rate_bytes_per_sec);
        let wait_nanos = missing / rate + i128::from(missing % rate != 0);
        let wait = Duration::from_nanos(u64::try_from(wait_nanos).unwrap_or(u64::MAX));
        Err(self.filled_at.saturating_add(wait))
    }

    /// Changes rate and burst from `now` on. What was taken stays taken, unless there was or will be no limit.
    pub fn set_rate(&mut self, now: Duration, rate_bytes_per_sec: u64, burst_bytes: u64) {
        self.fill(now);
        let full = i128::from(burst_bytes) * NANO;
        let unlimited = self.rate_bytes_per_sec == 0 || rate_bytes_per_sec == 0;
        self.level_nanobytes = if unlimited { full } else { self.level_nanobytes.min(full) };
        self.rate_bytes_per_sec = rate_bytes_per_sec;
        self.burst_bytes = burst_bytes;
    }

    fn fill(&mut self, now: Duration) {
        let elapsed = now.saturating_sub(self.filled_at);
        let elapsed_nanos = i128::try_from(elapsed.as_nanos()).unwrap_or(i128::MAX);
        let gained = i128::from(self.rate_bytes_per_sec).saturating_mul(elapsed_nanos);
        let full = i128::from(self.burst_bytes) * NANO;
        self.level_nanobytes = self.level_nanobytes.saturating_add(gained).min(full);
        self.filled_at = self.filled_at.max(now);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_burst_passes_at_once_and_the_rest_waits_for_the_rate() {
        let mut bucket = TokenBucket::new(100, 50);
        assert_eq!(bucket.take(SECOND, 50), Ok(()));
        assert_eq!(bucket.take(SECOND, 50), Err(SECOND + Duration::from_millis(500)));
        assert_eq!(bucket.take(SECOND + Duration::from_millis(500), 50), Ok(()));
    }

    #[test]
    fn a_block_above_the_burst_passes_and_leaves_a_debt() {
        let mut bucket = TokenBucket::new(100, 50);
        assert_eq!(bucket.take(Duration::ZERO, 250), Ok(()));
        assert_eq!(bucket.take(Duration::ZERO, 1), Err(Duration::from_millis(2010)));
        assert_eq!(bucket.take(Duration::from_millis(2500), 250), Ok(()));
    }

    #[test]
    fn zero_is_no_limit() {
        let mut bucket = TokenBucket::new(0, 0);
        for _ in 0..3 {
            assert_eq!(bucket.take(Duration::ZERO, u64::MAX), Ok(()));
        }
    }

    #[test]
    fn a_new_rate_counts_from_the_moment_it_is_set() {
        let mut bucket = TokenBucket::new(100, 100);
        bucket.take(Duration::ZERO, 100).expect("full");
        bucket.set_rate(SECOND / 2, 1000, 100);
        assert_eq!(bucket.take(SECOND / 2, 100), Err(Duration::from_millis(550)), "50 came at the old rate");
        bucket.set_rate(SECOND / 2, 0, 0);
        assert_eq!(bucket.take(SECOND / 2, 1 << 40), Ok(()));
        bucket.set_rate(SECOND / 2, 10, 10);
        assert_eq!(bucket.take(SECOND / 2, 10), Ok(()), "no debt from the time without a limit");
        assert!(bucket.take(SECOND / 2, 10).is_err());
    }

    #[test]
    fn a_clock_that_goes_back_gives_nothing_away() {
        let mut bucket = TokenBucket::new(100, 100);
        bucket.take(SECOND * 10, 100).expect("full");
        assert_eq!(bucket.take(SECOND, 100), Err(SECOND * 11));
        assert_eq!(bucket.take(SECOND * 11, 100), Ok(()));
    }

    #[test]
    fn extremes_do_not_overflow() {
        let mut bucket = TokenBucket::new(u64::MAX, u64::MAX);
        assert_eq!(bucket.take(Duration::MAX, u64::MAX), Ok(()));
        let mut bucket = TokenBucket::new(1, 1);
        assert_eq!(bucket.take(Duration::ZERO, u64::MAX), Ok(()));
        assert_eq!(bucket.take(Duration::ZERO, 1), Err(Duration::from_nanos(u64::MAX)));
    }

    proptest! {
        /// Over every stretch between two grants, not only from the start.
        #[test]
        fn never_more_than_rate_times_time_plus_burst(
            rate in 1_u64..5_000,
            burst in 1_u64..5_000,
            asks in prop::collection::vec((0_u64..2_000_000_000, 1_u64..10_000), 1..60),
        ) {
            let mut bucket = TokenBucket::new(rate, burst);
            let mut now = Duration::ZERO;
            let mut granted: Vec<(Duration, u64)> = Vec::new();
            for (pause_nanos, bytes) in asks {
                now += Duration::from_nanos(pause_nanos);
                if bucket.take(now, bytes).is_ok() {
                    granted.push((now, bytes));
                }
            }
            for first in 0..granted.len() {
                let mut sum = 0_u128;
                for (at, bytes) in &granted[first..] {
                    sum += u128::from(*bytes);
                    let elapsed = (*at - granted[first].0).as_nanos();
                    let above_burst = u128::from(bytes.saturating_sub(burst));
                    let allowed = (u128::from(burst) + above_burst) * 1_000_000_000 + u128::from(rate) * elapsed;
                    prop_assert!(sum * 1_000_000_000 <= allowed, "{sum} bytes in {elapsed} ns");
                }
            }
        }

        /// The answer "not before" is neither too late nor too early by a nanosecond.
        #[test]
        fn ready_when_it_said_and_not_sooner(
            rate in 1_u64..1_000_000_000,
            burst in 0_u64..1_000_000,
            first in 1_u64..10_000_000,
            second in 1_u64..10_000_000,
        ) {
            let mut bucket = TokenBucket::new(rate, burst);
            bucket.take(Duration::ZERO, first).expect("a full bucket lets anything pass");
            if let Err(ready_at) = bucket.take(Duration::ZERO, second) {
                prop_assert!(ready_at > Duration::ZERO);
                prop_assert_eq!(bucket.clone().take(ready_at - Duration::from_nanos(1), second), Err(ready_at));
                prop_assert_eq!(bucket.take(ready_at, second), Ok(()));
            }
        }
    }
}
