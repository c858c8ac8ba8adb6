//! Hours of the day in which something may happen, as an operator writes them: `22:00-06:00,12:00-13:00`.

use std::fmt;
use std::str::FromStr;

/// Minutes of a day.
const DAY_MINUTES: u16 = 24 * 60;

/// One stretch of every day, in minutes since midnight; over midnight where it ends before it begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DailyWindow {
    /// First minute.
    pub from_minute: u16,
    /// First minute that is outside again.
    pub to_minute: u16,
}

/// Several such stretches; none at all is the whole day.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DailyWindows(Vec<DailyWindow>);

/// A text that is no list of windows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("windows are written 22:00-06:00, several separated by commas; from and to must differ")]
pub struct InvalidWindows;

impl DailyWindows {
    /// The stretches, as written.
    pub fn as_slice(&self) -> &[DailyWindow] {
        &self.0
    }
}

impl FromStr for DailyWindows {
    type Err = InvalidWindows;

    fn from_str(text: &str) -> Result<Self, InvalidWindows> {
        if text.trim().is_empty() {
            return Ok(Self::default());
        }
        text.split(',').map(|part| part.trim().parse()).collect::<Result<_, _>>().map(Self)
    }
}

impl FromStr for DailyWindow {
    type Err = InvalidWindows;

    fn from_str(text: &str) -> Result<Self, InvalidWindows> {
        let (from, to) = text.split_once('-').ok_or(InvalidWindows)?;
        let (from_minute, to_minute) = (minute_of_day(from.trim())?, minute_of_day(to.trim())?);
        if from_minute == to_minute || from_minute == DAY_MINUTES {
            return Err(InvalidWindows);
        }
        Ok(Self { from_minute, to_minute })
    }
}

/// `00:00` to `24:00`.
fn minute_of_day(text: &str) -> Result<u16, InvalidWindows> {
    let (hour, minute) = text.split_once(':').ok_or(InvalidWindows)?;
    let number = |text: &str, digits: std::ops::RangeInclusive<usize>| {
        let plain = digits.contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
        plain.then(|| text.parse::<u16>().ok()).flatten().ok_or(InvalidWindows)
    };
    let (hour, minute) = (number(hour, 1..=2)?, number(minute, 2..=2)?);
    let sum = hour * 60 + minute;
    if minute < 60 && sum <= DAY_MINUTES { Ok(sum) } else { Err(InvalidWindows) }
}

impl fmt::Display for DailyWindow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { from_minute: from, to_minute: to } = self;
        write!(f, "{:02}:{:02}-{:02}:{:02}", from / 60, from % 60, to / 60, to % 60)
    }
}

impl fmt::Display for DailyWindows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, window) in self.0.iter().enumerate() {
            let comma = if index > 0 { "," } else { "" };
            write!(f, "{comma}{window}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_are_written_as_they_are_read() {
        for (text, shown) in [
            ("", ""),
            ("  ", ""),
            ("22:00-06:00", "22:00-06:00"),
            ("9:05-17:30 , 00:00-24:00", "09:05-17:30,00:00-24:00"),
        ] {
            let windows: DailyWindows = text.parse().expect(text);
            assert_eq!(windows.to_string(), shown, "{text:?}");
            assert_eq!(shown.parse(), Ok(windows), "{text:?}");
        }
    }

    #[test]
    fn what_is_no_window_is_refused() {
        for text in [
            "22:00",
            "22-6",
            "22:00-22:00",
            "24:00-01:00",
            "25:00-01:00",
            "1:60-2:00",
            "1:0-2:00",
            "+1:00-2:00",
            ",",
        ] {
            assert_eq!(text.parse::<DailyWindows>(), Err(InvalidWindows), "{text:?}");
        }
    }
}
