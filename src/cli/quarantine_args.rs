//! The part of the command line that is about quarantine, as clap reads it. Nothing is done here.

use clap::{Args, Subcommand};

use super::disk_name::DiskName;
use crate::model::TabletId;

/// `quarantine ...`.
#[derive(Debug, Subcommand)]
pub enum QuarantineCommand {
    /// Show what was set aside, and why.
    List {
        /// On this disk.
        #[arg(long, value_name = "DISK")]
        disk: Option<DiskName>,
        /// Of this tablet.
        #[arg(long, value_name = "TABLET_ID")]
        tablet: Option<TabletId>,
        /// Go on behind this one: disk and entry of the last row of the page before.
        #[arg(long, value_name = "DISK:ENTRY")]
        marker: Option<String>,
        /// At most this many.
        #[arg(long, value_name = "N", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=100_000))]
        limit: u32,
    },
    /// Show one entry.
    Show {
        /// Its name.
        entry: String,
        /// The disk it is on.
        #[arg(long, value_name = "DISK")]
        disk: DiskName,
    },
    /// Bring the tablet in an entry back, once it has been read and is what its record says; the entry stays.
    Restore {
        /// Its name.
        entry: String,
        /// The disk it is on.
        #[arg(long, value_name = "DISK")]
        disk: DiskName,
        /// The disk the tablet is to live on; else the same.
        #[arg(long, value_name = "DISK")]
        to: Option<DiskName>,
        /// It may be older than the tablet was. Refused without it, with what would be missing.
        #[arg(long)]
        accept_older: bool,
    },
    /// Remove entries for good; asks first.
    Purge(PurgeQuarantineArgs),
}

/// `quarantine purge`.
#[derive(Debug, Args)]
pub struct PurgeQuarantineArgs {
    /// This entry.
    pub entry: Option<String>,
    /// On this disk.
    #[arg(long, value_name = "DISK")]
    pub disk: Option<DiskName>,
    /// Of this tablet.
    #[arg(long, value_name = "TABLET_ID")]
    pub tablet: Option<TabletId>,
    /// Also what may be the last copy of a tablet; else it stays.
    #[arg(long)]
    pub last_copy: bool,
    /// Do not ask.
    #[arg(long)]
    pub yes: bool,
}
