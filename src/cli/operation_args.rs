//! The part of the command line that is about operations, as clap reads it. Nothing is done here.

use clap::Subcommand;

use crate::model::OperationId;

/// `operation ...`.
#[derive(Debug, Subcommand)]
pub enum OperationCommand {
    /// List them, the newest first.
    List {
        /// At most this many.
        #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=1000))]
        limit: u32,
    },
    /// Show one, and what became of each of its tablets.
    Show {
        /// Its number.
        id: OperationId,
    },
    /// Watch one to its end; the exit status says how it ended.
    Follow {
        /// Its number.
        id: OperationId,
    },
    /// Stop one at its next step; what is done stays.
    Cancel {
        /// Its number.
        id: OperationId,
    },
}
