//! The command line of `tabletctl config`. Nothing is done here.

use clap::Subcommand;

/// `config ...`.
#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    /// Show the keys of be.conf as they are in force, or one of them.
    Get {
        /// Only this key.
        key: Option<String>,
    },
    /// Change a key at run time.
    Set {
        /// Its name.
        key: String,
        /// Its value, written as in be.conf.
        value: String,
        /// Keep it in be_custom.conf too; else it is in force until the daemon stops or reads its files again.
        #[arg(long)]
        persist: bool,
    },
    /// Have be.conf and be_custom.conf read again, as SIGHUP does. Keys that are read at a start only are named.
    Reload,
}
