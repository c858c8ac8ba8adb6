//! The part of the command line that is about trash, as clap reads it. Nothing is done here.

use clap::{Args, Subcommand};

use super::disk_name::DiskName;
use crate::model::{SchemaHash, TabletId};

/// `trash ...`.
#[derive(Debug, Subcommand)]
pub enum TrashCommand {
    /// Show what is in trash and why it is kept.
    List(TrashArgs),
    /// Bring a tablet back that is nowhere else, or is damaged there.
    Restore(RestoreArgs),
    /// Remove from trash now what would be removed later.
    Purge(PurgeArgs),
}

/// `trash list`.
#[derive(Debug, Args)]
pub struct TrashArgs {
    /// On this disk.
    #[arg(long, value_name = "DISK")]
    pub disk: Option<DiskName>,
    /// This tablet.
    #[arg(long, value_name = "TABLET_ID")]
    pub tablet: Option<TabletId>,
    /// Go on behind this one: disk and entry of the last row of the page before.
    #[arg(long, value_name = "DISK:ENTRY")]
    pub marker: Option<String>,
    /// At most this many.
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub limit: u32,
}

/// `trash restore`.
#[derive(Debug, Args)]
pub struct RestoreArgs {
    /// The tablet.
    pub tablet_id: TabletId,
    /// Its schema hash; looked up when left out.
    #[arg(long, value_name = "N")]
    pub schema_hash: Option<SchemaHash>,
    /// This trash entry instead of the newest good copy.
    #[arg(long, value_name = "NAME")]
    pub entry: Option<String>,
    /// To this disk; else it stays on the one that has the copy, if that takes anything.
    #[arg(long, value_name = "DISK")]
    pub to: Option<DiskName>,
    /// An older copy will do, also while a newer one may be on a disk that is away. Refused without it, with what would be missing.
    #[arg(long)]
    pub accept_older: bool,
}

/// `trash purge`.
#[derive(Debug, Args)]
pub struct PurgeArgs {
    /// On this disk.
    #[arg(long, value_name = "DISK")]
    pub disk: Option<DiskName>,
    /// This entry.
    #[arg(long, value_name = "NAME")]
    pub entry: Option<String>,
    /// This tablet.
    #[arg(long, value_name = "TABLET_ID")]
    pub tablet: Option<TabletId>,
    /// Only say what would go.
    #[arg(long)]
    pub dry_run: bool,
    /// Do not ask.
    #[arg(long)]
    pub yes: bool,
}
