//! The command line of `migration ...` and `events`, as clap reads it. Nothing is done here.

use clap::{Args, Subcommand};

use super::migrate_args::{ListArgs, MigrateArgs, StatusArgs};
use super::values::{PriorityArg, parse_bytes};
use crate::model::{MigrationId, Step};

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
    /// End the doubt about a swap of which nobody knows whether it happened, once one of its disks can be written to.
    Settle(One),
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
