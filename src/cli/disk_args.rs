//! The part of the command line that is about one disk, as clap reads it. Nothing is done here.

use clap::{Args, Subcommand};

use super::disk_name::DiskName;
use super::task_args::DrainArgs;
use super::values::{parse_bytes, parse_medium};
use crate::model::Medium;

/// `disk ...`.
#[derive(Debug, Subcommand)]
pub enum DiskCommand {
    /// List the disks: condition, space, work, and whether each may be pulled. The same as disks.
    List,
    /// Move every tablet of a disk to others, by a plan that is shown first.
    Drain(DrainArgs),
    /// Call off every drain of a disk: what is under way is undone, what has moved stays where it is.
    CancelDrain {
        /// Which one.
        #[arg(value_name = "DISK")]
        path: DiskName,
    },
    /// Let a disk join without a restart: opened, probed and scanned as at a start, and kept in be_custom.conf.
    Register {
        /// Its path, as it would be written in storage_root_path.
        path: String,
        /// SSD or HDD.
        #[arg(long, value_parser = parse_medium)]
        medium: Medium,
    },
    /// Let a disk go that holds no tablets, or with --lost one that never comes back: out of the configuration, and
    /// nothing of it held open.
    Forget {
        /// Which one.
        #[arg(value_name = "DISK")]
        path: DiskName,
        /// It is lost: what it held is listed, and given up. Refused while it can be read.
        #[arg(long)]
        lost: bool,
        /// With --lost.
        #[command(flatten)]
        how: LostArgs,
        /// Do not ask.
        #[arg(long)]
        yes: bool,
    },
    /// Take the blank file system that is mounted at the path of a lost disk; what that held is listed, and given up.
    Replace {
        /// The lost one.
        #[arg(value_name = "DISK")]
        path: DiskName,
        /// How.
        #[command(flatten)]
        how: LostArgs,
        /// Do not ask.
        #[arg(long)]
        yes: bool,
    },
    /// Show one disk: condition, space, work, and whether it may be pulled.
    Show {
        /// Which one.
        #[arg(value_name = "DISK")]
        path: DiskName,
    },
    /// List the tables that have tablets on a disk; table 0 counts those of which none is known.
    Tables {
        /// Which one.
        #[arg(value_name = "DISK")]
        path: DiskName,
    },
    /// Take a suspect or disabled disk back into service, after a probe; what was paused for it goes on.
    Enable {
        /// Which one.
        #[arg(value_name = "DISK")]
        path: DiskName,
    },
    /// Send nothing new to a disk, over restarts too, and pause what is being copied to it; it serves what it has.
    Disable {
        /// Which one.
        #[arg(value_name = "DISK")]
        path: DiskName,
        /// Why, for the record.
        #[arg(long, value_name = "TEXT", default_value = "")]
        reason: String,
    },
    /// Limit what is copied from and to a disk, from now until the daemon stops.
    Limits {
        /// Which one.
        #[arg(value_name = "DISK")]
        path: DiskName,
        /// Bytes per second: 5000000, 20M; 0 is no limit.
        #[arg(long, value_name = "BYTES", required_unless_present = "default", value_parser = parse_bytes)]
        rate: Option<u64>,
        /// Go by the limit of all disks again.
        #[arg(long, conflicts_with = "rate")]
        default: bool,
    },
}

/// How a lost disk is given up.
#[derive(Debug, Args)]
pub struct LostArgs {
    /// Serve copies that are older than what is lost; they are listed.
    #[arg(long)]
    pub accept_older: bool,
    /// Only show what would be given up.
    #[arg(long)]
    pub dry_run: bool,
}
