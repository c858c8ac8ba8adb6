//! The part of the command line that is about the roots of a real Doris backend, as clap reads it. Nothing is done here.

use std::path::PathBuf;

use clap::Subcommand;

/// `doris ...`.
#[derive(Debug, Subcommand)]
pub enum DorisCommand {
    /// Look through roots, also while their backend runs: tablets, sizes, states, what is damaged or stray, and what a
    /// drain would leave out and why. Locks nothing and writes nothing.
    Inspect {
        /// Roots, as in storage_root_path; name all of a node, so that tablets on two of them are seen.
        #[arg(required = true, value_name = "ROOT")]
        roots: Vec<PathBuf>,
        /// Read what is left of a database that is damaged. Lost blocks may hide newer values and deletions.
        #[arg(long)]
        rescue: bool,
    },
    /// Print a tablet's record as the JSON that Doris's meta_tool prints. Fresh rowsets, which a backend keeps beside the
    /// record, are not in it.
    Header {
        /// The tablet.
        tablet_id: i64,
        /// Roots to look in.
        #[arg(required = true, value_name = "ROOT")]
        roots: Vec<PathBuf>,
        /// Hash of its schema, where several tablets have that number.
        #[arg(long, allow_hyphen_values = true)]
        schema_hash: Option<i32>,
    },
}
