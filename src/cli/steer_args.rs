//! The command line of `migration ...` and `events`, as clap reads it. Nothing is done here.

use clap::{Args, Subcommand, ValueEnum};

use super::args::{ListArgs, MigrateArgs, PriorityArg, StatusArgs};
use crate::model::{MigrationId, Mode, Step};

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

/// `migration ...`.
#[derive(Debug, Subcommand)]
pub enum MigrationCommand {
    /// Move a tablet to another disk; the same as `tabletctl migrate`.
    Create(Box<MigrateArgs>),
    /// List migrations, oldest first.
    List(ListArgs),
    /// Show one, with its steps and their logs.
    Show(StatusArgs),
    /// Watch one to its end; goes on when the daemon restarts. One that waits to be asked is said to, and left.
    Follow(One),
    /// Do the step that a stepwise migration waits for.
    Run {
        /// Its number.
        id: MigrationId,
        /// prepare, data, finalize or abort.
        step: Step,
    },
    /// Swap in the verified copy that waits.
    Cutover(One),
    /// First in line, past every bandwidth limit and every gate.
    ForceComplete(One),
    /// Give it more time before it is undone at its gate.
    Extend {
        /// Its number.
        id: MigrationId,
        /// How much, in seconds.
        #[arg(value_parser = clap::value_parser!(u64).range(1..=31_536_000))]
        seconds: u64,
    },
    /// Take a completed move back, while the trash holds its source.
    Revert(One),
    /// Give it a bandwidth limit of its own, from now on.
    Limits {
        /// Its number.
        id: MigrationId,
        /// Bytes copied per second, as 50M or 52428800; 0 is no limit.
        #[arg(long, value_name = "BYTES", value_parser = parse_bytes)]
        rate: u64,
    },
    /// Change its place in line.
    Priority {
        /// Its number.
        id: MigrationId,
        /// The place.
        #[arg(value_enum)]
        priority: PriorityArg,
    },
    /// Stop it where it is, keeping what is copied.
    Pause(One),
    /// Let a paused one go on.
    Resume(One),
    /// Undo one that has not reached its swap; the source stays.
    Abort(One),
    /// Try a failed one again.
    Retry(One),
}

/// A migration.
#[derive(Debug, Clone, Copy, Args)]
pub struct One {
    /// Its number.
    pub id: MigrationId,
}

/// `events`.
#[derive(Debug, Args)]
pub struct EventsArgs {
    /// Go on until interrupted, also through a restart of the daemon; else what the daemon still remembers is shown.
    #[arg(short, long)]
    pub follow: bool,
    /// Only of this one; following ends with it.
    #[arg(long, value_name = "ID")]
    pub migration: Option<MigrationId>,
}

/// A number of bytes with K, M, G or T for powers of 1024.
///
/// # Errors
/// Anything else, in words.
pub(super) fn parse_bytes(text: &str) -> Result<u64, String> {
    let (digits, shift) = match text.as_bytes().last().map(u8::to_ascii_uppercase) {
        Some(b'K') => (&text[..text.len() - 1], 10),
        Some(b'M') => (&text[..text.len() - 1], 20),
        Some(b'G') => (&text[..text.len() - 1], 30),
        Some(b'T') => (&text[..text.len() - 1], 40),
        _ => (text, 0),
    };
    let plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    let number: Option<u64> = digits.parse().ok().filter(|_| plain);
    number
        .and_then(|number| number.checked_mul(1 << shift))
        .ok_or_else(|| format!("{text:?} is not a number of bytes such as 52428800 or 50M"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_take_a_suffix() {
        for (text, bytes) in
            [("0", 0), ("52428800", 52_428_800), ("50M", 52_428_800), ("2k", 2048), ("1T", 1 << 40)]
        {
            assert_eq!(parse_bytes(text), Ok(bytes), "{text}");
        }
        for text in ["", "M", "-1", "+1", "1.5M", "50MB", "99999999999T", "é"] {
            assert!(parse_bytes(text).is_err(), "{text}");
        }
    }
}
