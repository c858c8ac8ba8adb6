//! The part of the command line that is about operations, as clap reads it. Nothing is done here.

use clap::{Args, Subcommand};

use super::disk_name::DiskName;
use crate::model::{OperationId, SchemaHash, TabletId};

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

/// `tablet verify`.
#[derive(Debug, Args)]
pub struct VerifyArgs {
    /// The tablets.
    #[arg(required_unless_present_any = ["disk", "all"])]
    pub tablet_ids: Vec<TabletId>,
    /// Of one tablet its schema hash; looked up when left out.
    #[arg(long, value_name = "N", conflicts_with_all = ["disk", "all"])]
    pub schema_hash: Option<SchemaHash>,
    /// Those that this disk serves; without ids all of them.
    #[arg(long, value_name = "DISK", conflicts_with = "all")]
    pub disk: Option<DiskName>,
    /// Every tablet of the node.
    #[arg(long, conflicts_with = "tablet_ids")]
    pub all: bool,
}
