//! The command line of `tabletctl journal`. Nothing is done here.

use std::path::PathBuf;

use clap::Subcommand;

/// `journal ...`.
#[derive(Debug, Subcommand)]
pub enum JournalCommand {
    /// Print what the daemon remembers, as lines of JSON: disks, tasks, migrations with their steps, operations, pins.
    Export {
        /// Also the names and roles of the tokens of this be.conf; never what lets anybody in.
        #[arg(long, value_name = "FILE")]
        conf: Option<PathBuf>,
    },
}
