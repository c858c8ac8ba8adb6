//! The part of the command line that submits, asks after and lists migrations. Nothing is done here.

use std::path::PathBuf;

use clap::Args;

use super::disk_name::DiskName;
use super::values::{ModeArg, PriorityArg, parse_bytes, parse_medium};
use crate::model::{Medium, MigrationId, Phase, SchemaHash, Status, TabletId, TaskId};

/// `migrate`.
#[derive(Debug, Args)]
pub struct MigrateArgs {
    /// The tablet.
    #[arg(required_unless_present = "from_file")]
    pub tablet_id: Option<TabletId>,
    /// Move all tablets that this file names, one a line: TABLET_ID, or TABLET_ID SCHEMA_HASH; "-" is standard input.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["tablet_id", "schema_hash", "expect_generation", "dry_run", "follow", "salvage"])]
    pub from_file: Option<PathBuf>,
    /// Its schema hash; looked up when left out.
    #[arg(long, value_name = "N")]
    pub schema_hash: Option<SchemaHash>,
    /// Destination, written as in storage_root_path.
    #[arg(long, value_name = "DISK", required_unless_present = "to_medium", conflicts_with = "to_medium")]
    pub disk: Option<DiskName>,
    /// The least full disk of this medium, ssd or hdd, instead.
    #[arg(long, value_name = "MEDIUM", value_parser = parse_medium)]
    pub to_medium: Option<Medium>,
    /// How far by itself.
    #[arg(long, value_enum, default_value = "auto")]
    pub mode: ModeArg,
    /// A bandwidth limit of its own in bytes copied per second, as 50M.
    #[arg(long, value_name = "BYTES", value_parser = parse_bytes)]
    pub rate: Option<u64>,
    /// Refuse when the tablet is on another disk than this one.
    #[arg(long, value_name = "DISK")]
    pub expect_disk: Option<DiskName>,
    /// Refuse when the tablet's record has another generation.
    #[arg(long, value_name = "N")]
    pub expect_generation: Option<u64>,
    /// Only ask what every rule says to it.
    #[arg(long, conflicts_with = "follow")]
    pub dry_run: bool,
    /// Repeating the command with this key changes nothing.
    #[arg(long, value_name = "KEY")]
    pub idempotency_key: Option<String>,
    /// Watch it to its end, with a progress bar; the exit status says how it ended.
    #[arg(long)]
    pub follow: bool,
    /// Only copy what can be read, to that disk's quarantine, as `tablet salvage` does: for a tablet that is unreadable or damaged.
    #[arg(long, requires = "disk", conflicts_with_all = ["dry_run", "mode", "rate", "idempotency_key"])]
    pub salvage: bool,
    /// Order of service.
    #[arg(long, value_enum, default_value = "normal")]
    pub priority: PriorityArg,
    /// Why, for the record.
    #[arg(long, value_name = "TEXT", default_value = "")]
    pub reason: String,
}

/// `status`.
#[derive(Debug, Args)]
#[group(multiple = false)]
pub struct StatusArgs {
    /// Number of the migration.
    pub migration_id: Option<MigrationId>,
    /// The newest migration of this tablet.
    #[arg(long, value_name = "TABLET_ID")]
    pub tablet: Option<TabletId>,
}

/// `list`.
#[derive(Debug, Args)]
pub struct ListArgs {
    /// In this status; may be given several times.
    #[arg(long)]
    pub status: Vec<Status>,
    /// In this phase; may be given several times.
    #[arg(long, value_parser = parse_phase)]
    pub phase: Vec<Phase>,
    /// From or to this disk.
    #[arg(long, value_name = "DISK")]
    pub disk: Option<DiskName>,
    /// From this disk.
    #[arg(long, value_name = "DISK")]
    pub from: Option<DiskName>,
    /// To this disk.
    #[arg(long, value_name = "DISK")]
    pub to: Option<DiskName>,
    /// Accepted at this time (RFC 3339) or later.
    #[arg(long, value_name = "TIME")]
    pub since: Option<String>,
    /// Accepted before this time.
    #[arg(long, value_name = "TIME")]
    pub before: Option<String>,
    /// Go on behind this one: the last number of the page before.
    #[arg(long, value_name = "ID")]
    pub marker: Option<MigrationId>,
    /// Of this tablet.
    #[arg(long, value_name = "TABLET_ID")]
    pub tablet: Option<TabletId>,
    /// Of this task.
    #[arg(long, value_name = "ID")]
    pub task: Option<TaskId>,
    /// The newest first.
    #[arg(long)]
    pub newest: bool,
    /// At most this many.
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub limit: u32,
}

fn parse_phase(text: &str) -> Result<Phase, String> {
    text.to_ascii_uppercase().parse()
}
