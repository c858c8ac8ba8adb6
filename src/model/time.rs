//! A moment as people read it. Knows no clock.

use chrono::{DateTime, SecondsFormat};

use super::TimestampMs;

/// Milliseconds since the Unix epoch as a date: `2024-05-01T12:00:00Z`.
pub fn utc(at_ms: TimestampMs) -> String {
    // A time outside of what a calendar can say comes from a damaged clock, and is shown as the epoch.
    let time = DateTime::from_timestamp_millis(at_ms).unwrap_or(DateTime::UNIX_EPOCH);
    time.to_rfc3339_opts(SecondsFormat::Secs, true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_a_date_whatever_the_clock_said() {
        assert_eq!(utc(1_714_564_800_999), "2024-05-01T12:00:00Z");
        assert_eq!(utc(i64::MAX), "1970-01-01T00:00:00Z");
    }
}
