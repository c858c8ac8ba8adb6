//! Values of options: how each is written.

use clap::ValueEnum;

use crate::access::{Role, UnknownRole};
use crate::model::{self, Medium, Mode, Priority, quoted};

/// Order of service of a migration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum PriorityArg {
    /// After everything else.
    Low,
    /// First come, first served.
    Normal,
    /// Before everything else.
    High,
}

impl From<PriorityArg> for Priority {
    fn from(priority: PriorityArg) -> Self {
        match priority {
            PriorityArg::Low => Self::Low,
            PriorityArg::Normal => Self::Normal,
            PriorityArg::High => Self::High,
        }
    }
}

/// How far a migration goes by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ModeArg {
    /// To the end.
    Auto,
    /// To a verified copy; then it waits for `cutover`.
    ManualCutover,
    /// One step at a time; each is asked for with `run`.
    Stepwise,
}

impl From<ModeArg> for Mode {
    fn from(mode: ModeArg) -> Self {
        match mode {
            ModeArg::Auto => Self::Auto,
            ModeArg::ManualCutover => Self::ManualCutover,
            ModeArg::Stepwise => Self::Stepwise,
        }
    }
}

pub(super) fn parse_medium(text: &str) -> Result<Medium, String> {
    text.parse().map_err(|()| format!("{} is neither ssd nor hdd", quoted(text)))
}

/// A time of day.
///
/// # Errors
/// Anything but `HH:MM`, in words.
pub(super) fn parse_time_of_day(text: &str) -> Result<chrono::NaiveTime, String> {
    chrono::NaiveTime::parse_from_str(text, "%H:%M")
        .map_err(|_| format!("{} is no time of day such as 04:30", quoted(text)))
}

/// A number of bytes with K, M, G or T for powers of 1024.
///
/// # Errors
/// Anything else, in words.
pub(super) fn parse_bytes(text: &str) -> Result<u64, String> {
    model::parse_bytes(text)
        .ok_or_else(|| format!("{} is not a number of bytes such as 52428800 or 50M", quoted(text)))
}

/// How long a token is valid, in seconds; none is for ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lifetime(pub(super) Option<i64>);

impl std::str::FromStr for Lifetime {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "never" {
            return Ok(Self(None));
        }
        let refused = || format!("{} is no time; accepted: 90d, 12h, 15m, 30s or never", quoted(text));
        let lifetime = humantime::parse_duration(text).map_err(|_| refused())?;
        i64::try_from(lifetime.as_secs()).map(|seconds| Self(Some(seconds))).map_err(|_| refused())
    }
}

/// For clap.
pub(super) fn parse_role(text: &str) -> Result<Role, String> {
    text.parse().map_err(|error: UnknownRole| error.to_string())
}

/// `rack=r7`.
pub(super) fn parse_label(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("write NAME=VALUE, such as rack=r7")?;
    Ok((name.to_owned(), value.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lifetimes_have_a_unit() {
        for (text, seconds) in [
            ("90d", Some(7_776_000)),
            ("12h", Some(43_200)),
            ("1m", Some(60)),
            ("1.5h", Some(5_400)),
            ("0s", Some(0)),
            ("never", None),
        ] {
            assert_eq!(text.parse(), Ok(Lifetime(seconds)), "{text}");
        }
        for text in ["", "d", "90", "-1d", "ä", "99999999999999y"] {
            assert!(text.parse::<Lifetime>().is_err(), "{text}");
        }
    }
}
