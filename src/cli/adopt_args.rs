//! The part of the command line that is about files without a record, as clap reads it. Nothing is done here.

use clap::Args;

use crate::model::TabletId;

/// `tablet unrecorded`.
#[derive(Debug, Args)]
pub struct UnrecordedArgs {
    /// On this disk.
    #[arg(long, value_name = "PATH")]
    pub disk: Option<String>,
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
