//! The two clocks of the engine: one to show, one to wait by.
//!
//! The wall clock is what people read and what the journal keeps; it may jump by years in either direction, and never
//! decides ownership. Durations, pauses and deadlines use the steady clock, which never jumps. Nothing here sleeps.
//!
//! A pause written down by the wall clock is never longer than the longest there is. Trash age needs counted up-time as
//! well.

use std::sync::LazyLock;
use std::time::{Duration, Instant};

use crate::fault;
use crate::model::TimestampMs;
use crate::rules::retry::PAUSE_MS_MAX;

/// Milliseconds since the Unix epoch, as the wall clock has them now.
pub(crate) fn now_ms() -> TimestampMs {
    chrono::Utc::now().timestamp_millis().saturating_add(fault::clock_offset_ms())
}

/// Milliseconds on a clock that showed the wall clock's time when it was first asked, and never jumps. Means nothing in
/// another process.
pub(crate) fn steady_ms() -> TimestampMs {
    static ORIGIN: LazyLock<(Instant, TimestampMs)> = LazyLock::new(|| (Instant::now(), now_ms()));
    let (since, at_ms) = *ORIGIN;
    at_ms.saturating_add(i64::try_from(since.elapsed().as_millis()).unwrap_or(i64::MAX))
}

/// The wall clock's time of a moment of the steady clock.
pub(crate) fn to_wall_ms(steady: TimestampMs) -> TimestampMs {
    now_ms().saturating_add(steady.saturating_sub(steady_ms()))
}

/// The moment of the steady clock at which a pause ends that was written down by the wall clock. No pause is longer than
/// the longest there is, whatever the wall clock has done since.
pub(crate) fn pause_ends_at_ms(wall: TimestampMs) -> TimestampMs {
    let longest = i64::try_from(PAUSE_MS_MAX).unwrap_or(i64::MAX);
    steady_ms().saturating_add(wall.saturating_sub(now_ms()).clamp(0, longest))
}

/// In milliseconds, as counters keep it.
pub(crate) fn to_ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_is_never_longer_than_the_longest_whatever_the_wall_clock_says() {
        let ten_years_ms = 10 * 365 * 86_400_000;
        let longest = i64::try_from(PAUSE_MS_MAX).expect("a minute");
        for wall in [i64::MIN, 0, now_ms() - ten_years_ms, now_ms() + ten_years_ms, i64::MAX] {
            let before = steady_ms();
            let left = pause_ends_at_ms(wall) - before;
            assert!((0..=longest + 1000).contains(&left), "{wall}: {left} ms");
        }
        let left = pause_ends_at_ms(now_ms() + 5000) - steady_ms();
        assert!((4000..=5000).contains(&left), "{left} ms");
    }
}
