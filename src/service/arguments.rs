//! The command line of `tabletd`, as clap reads it.

use std::path::PathBuf;

use clap::Parser;

const MORE: &str = "\
Environment:
  TABLETD_LOG      what is logged, as tracing's EnvFilter reads it; stands for sys_log_level
  NOTIFY_SOCKET    set by systemd for Type=notify: READY, STATUS, WATCHDOG and
                   STOPPING are sent there

Signals:
  SIGTERM, SIGINT  running copies keep what is verified, and go on at the next
                   start
  SIGHUP           be.conf and be_custom.conf are read again: keys that change at
                   run time change, the others are named in the log and wait for
                   the next start, storage_root_path among them; an error changes
                   nothing. Tokens and certificates are read again whenever their
                   files change

Files:
  be.conf                 the configuration; every key is in be.conf(5). The
                          package has it in /etc/tabletd
  be_custom.conf          keys that were changed at run time and kept; beside it,
                          read after it
  ROOT/                   a storage root: disk.json, data, meta, migrating, trash,
                          quarantine
  STATE_DIR/journal.db    migrations and tasks

Exit status:
  0  stopped in order
  1  it could not start, or failed; standard error says why
  2  the configuration or the command line is wrong";

/// A storage-node daemon that moves tablets between disks, safely and fast.
#[derive(Debug, Parser)]
#[command(name = "tabletd", version, after_help = MORE, max_term_width = 80)]
pub struct Arguments {
    /// be.conf; be_custom.conf beside it is read after it.
    #[arg(long, value_name = "FILE")]
    pub conf: PathBuf,
    /// Check the configuration and what it names, print every problem, and exit: 0 when there is none, 2 otherwise.
    #[arg(long)]
    pub check_config: bool,
    /// Over the roots of a Doris backend: start without this one, which is not here or cannot be read. Copies of tablets on
    /// it are not seen.
    #[arg(long, value_name = "ROOT")]
    pub without: Vec<String>,
}
