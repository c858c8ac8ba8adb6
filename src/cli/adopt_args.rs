//! The part of the command line that is about files without a record, as clap reads it. Nothing is done here.

use std::path::PathBuf;

use clap::Args;

use super::disk_name::DiskName;
use crate::model::TabletId;

/// `tablet unrecorded`.
#[derive(Debug, Args)]
pub struct UnrecordedArgs {
    /// On this disk.
    #[arg(long, value_name = "DISK")]
    pub disk: Option<DiskName>,
    /// Where this tablet would stand.
    #[arg(long, value_name = "TABLET_ID")]
    pub tablet: Option<TabletId>,
    /// Go on behind this one: path of the last row of the page before.
    #[arg(long, value_name = "PATH")]
    pub marker: Option<String>,
    /// At most this many.
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub limit: u32,
}

/// `tablet adopt`.
#[derive(Debug, Args)]
pub struct AdoptArgs {
    /// The directory, or the entry of quarantine or staging, with the path of its disk.
    pub path: String,
    /// The tablet's TabletMetaPB in JSON form, where no record on the node says what the files are.
    #[arg(long, value_name = "FILE")]
    pub header: Option<PathBuf>,
    /// To this disk; else it stays where the files are, if that disk takes anything.
    #[arg(long, value_name = "DISK")]
    pub to: Option<DiskName>,
    /// They may be older than the tablet was. Refused without it, with what would be missing.
    #[arg(long)]
    pub accept_older: bool,
}
