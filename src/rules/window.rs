//! Whether new copies may start at this time of day, and if not, when they may again.

use std::time::Duration;

use crate::model::{DailyWindow, DailyWindows};

const MINUTE: u32 = 60;
const DAY: u32 = 24 * 60 * MINUTE;

/// How long the windows stay closed, at a time of day in seconds since local midnight; `None` while one is open, or
/// when there are none.
///
/// Told by the clock on the wall: over a change to or from summer time it is an hour off.
pub fn opens_in(windows: &DailyWindows, second_of_day: u32) -> Option<Duration> {
    let waits = windows.as_slice().iter().map(|window| wait(window, second_of_day % DAY));
    let shortest = waits.min()?;
    (shortest > 0).then(|| Duration::from_secs(u64::from(shortest)))
}

/// Seconds until a window is open; 0 while it is.
fn wait(window: &DailyWindow, now: u32) -> u32 {
    let (from, to) = (u32::from(window.from_minute) * MINUTE, u32::from(window.to_minute) * MINUTE);
    // Both counted from the beginning of the window, so that midnight is nothing special.
    let (length, since) = ((to + DAY - from - 1) % DAY + 1, (now + DAY - from) % DAY);
    if since < length { 0 } else { DAY - since }
}

/// "outside the window 22:00-06:00; opens in 3 h 12 min", rounded up to a minute.
pub fn closed_text(windows: &DailyWindows, opens_in: Duration) -> String {
    let minutes = opens_in.as_secs().div_ceil(60);
    let wait = match (minutes / 60, minutes % 60) {
        (0, minutes) => format!("{minutes} min"),
        (hours, minutes) => format!("{hours} h {minutes} min"),
    };
    format!("outside the window {windows}; opens in {wait}")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(windows: &str, hour: u32, minute: u32) -> Option<u64> {
        let windows = windows.parse().expect("windows");
        opens_in(&windows, (hour * 60 + minute) * MINUTE).map(|wait| wait.as_secs() / 60)
    }

    #[test]
    fn a_window_is_open_from_its_first_minute_until_before_its_last() {
        for (windows, hour, minute, closed_min) in [
            ("", 12, 0, None),
            ("22:00-06:00", 21, 59, Some(1)),
            ("22:00-06:00", 22, 0, None),
            ("22:00-06:00", 0, 0, None),
            ("22:00-06:00", 5, 59, None),
            ("22:00-06:00", 6, 0, Some(16 * 60)),
            ("09:00-17:00", 8, 0, Some(60)),
            ("09:00-17:00", 17, 0, Some(16 * 60)),
            ("00:00-24:00", 23, 59, None),
            ("22:00-24:00", 23, 59, None),
            ("22:00-24:00", 0, 0, Some(22 * 60)),
            ("22:00-06:00,12:00-13:00", 12, 30, None),
            ("22:00-06:00,12:00-13:00", 11, 0, Some(60)),
            ("22:00-06:00,12:00-13:00", 13, 0, Some(9 * 60)),
        ] {
            assert_eq!(at(windows, hour, minute), closed_min, "{windows} at {hour}:{minute:02}");
        }
    }

    #[test]
    fn the_reason_names_the_window_and_the_wait() {
        let windows = "22:00-06:00".parse().expect("windows");
        let text = |seconds| closed_text(&windows, Duration::from_secs(seconds));
        assert_eq!(text(3 * 3600 + 11 * 60 + 1), "outside the window 22:00-06:00; opens in 3 h 12 min");
        assert_eq!(text(59), "outside the window 22:00-06:00; opens in 1 min");
    }

    proptest! {
        /// It is open when it said it would be, and was closed a second before.
        #[test]
        fn the_wait_ends_when_it_said(
            ends in prop::collection::vec((0_u16..1440, 0_u16..=1440), 1..4),
            now in 0_u32..DAY,
        ) {
            let text: Vec<_> = ends
                .iter()
                .filter(|(from, to)| from != to)
                .map(|(from_minute, to_minute)| {
                    DailyWindow { from_minute: *from_minute, to_minute: *to_minute }.to_string()
                })
                .collect();
            let windows: DailyWindows = text.join(",").parse().expect("windows");
            if let Some(wait) = opens_in(&windows, now) {
                let wait = u32::try_from(wait.as_secs()).expect("less than a day");
                prop_assert_eq!(opens_in(&windows, (now + wait) % DAY), None);
                prop_assert_eq!(opens_in(&windows, (now + wait - 1) % DAY), Some(Duration::from_secs(1)));
            }
        }
    }
}
