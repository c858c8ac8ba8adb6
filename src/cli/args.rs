//! The command line of `tabletctl`, as clap reads it. Nothing is done here.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use clap_complete::Shell;

use super::adopt_args::{AdoptArgs, UnrecordedArgs};
use super::config_args::ConfigCommand;
use super::disk_args::DiskCommand;
use super::disk_name::DiskName;
use super::doris_args::DorisCommand;
use super::fleet_args::FleetArgs;
use super::journal_args::JournalCommand;
use super::migrate_args::{ListArgs, MigrateArgs, StatusArgs};
use super::operation_args::{OperationCommand, VerifyArgs};
use super::quarantine_args::QuarantineCommand;
use super::steer_args::{EventsArgs, MigrationCommand};
use super::task_args::TaskCommand;
use super::token_args::{CONNECTION, TokenArgs, TrustArgs};
use super::trash_args::TrashCommand;
use crate::model::{MigrationId, SchemaHash, ShardId, TabletId};

const EXIT_STATUS: &str = "\
Exit status:
  0  done
  1  tried and failed: a migration failed or was aborted, damage was found,
     a disk said no
  2  the command line makes no sense
  3  no daemon answers
  4  refused before anything was touched: by the daemon, by a root's lock,
     or because it is no tablet

Environment:
  TABLETD_ADDR        stands for --addr
  TABLETD_TOKEN       stands for --token
  TABLETD_TOKEN_FILE  stands for --token-file
  TABLETD_CA          stands for --ca
  NO_COLOR            if set, nothing is coloured
  COMPLETE            a shell asks for completion: source <(COMPLETE=bash tabletctl)";

/// Watch and steer a tabletd, or work on its storage roots while it is stopped.
#[derive(Debug, Parser)]
#[command(name = "tabletctl", version, after_help = EXIT_STATUS, max_term_width = 80)]
pub struct Cli {
    /// Where the daemon listens: http://HOST:PORT or https://HOST:PORT.
    #[arg(
        long,
        visible_alias = "url",
        global = true,
        help_heading = CONNECTION,
        value_name = "URL",
        env = "TABLETD_ADDR",
        default_value = "http://127.0.0.1:8040",
        hide_env_values = true
    )]
    pub addr: String,
    /// Who asks, and whom to believe.
    #[command(flatten)]
    pub trust: TrustArgs,
    /// Print JSON: the daemon's answer, unchanged, or the report of an offline command.
    #[arg(long, global = true)]
    pub json: bool,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// Form of what is printed on standard output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Output {
    /// Tables and sentences.
    Text,
    /// JSON.
    Json,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Move a tablet to another disk.
    Migrate(MigrateArgs),
    /// Show the node on one screen; or one migration, with its steps and their logs.
    Status(StatusArgs),
    /// Show the node on one screen that follows: disks, tasks, what runs, what is wrong. A line at a time where no terminal is.
    Top {
        /// Seconds between two looks.
        #[arg(long, value_name = "SECONDS", default_value_t = 2, value_parser = clap::value_parser!(u64).range(1..=3600))]
        interval: u64,
    },
    /// List migrations, oldest first.
    List(ListArgs),
    /// Watch a migration to its end; goes on when the daemon restarts.
    Follow {
        /// Its number.
        id: MigrationId,
    },
    /// Undo a migration that has not reached its swap; the source stays.
    Abort {
        /// Its number.
        id: MigrationId,
    },
    /// Stop a migration where it is, keeping what is copied.
    Pause {
        /// Its number.
        id: MigrationId,
    },
    /// Let a paused migration go on.
    Resume {
        /// Its number.
        id: MigrationId,
    },
    /// Try a failed migration again.
    Retry {
        /// Its number.
        id: MigrationId,
    },
    /// Show and steer migrations.
    Migration {
        /// What to do.
        #[command(subcommand)]
        command: MigrationCommand,
    },
    /// Show what happens to migrations, as it happens with -f.
    Events(EventsArgs),
    /// Show the disks: condition, space, tablets, work.
    Disks,
    /// Disks: list, show, drain, register, forget, replace, enable, disable, limits.
    Disk {
        /// Which of these.
        #[command(subcommand)]
        command: DiskCommand,
    },
    /// Plans and the tasks that carry them out.
    Task {
        /// What to do.
        #[command(subcommand)]
        command: TaskCommand,
    },
    /// List the tablets the daemon serves.
    Tablets(TabletsArgs),
    /// What takes long beside migrations: healing, restoring, purging. List, show, follow, cancel.
    Operation {
        /// Which of these.
        #[command(subcommand)]
        command: OperationCommand,
    },
    /// What was set aside because it contradicts itself: list, show, restore, purge.
    Quarantine {
        /// Which of these.
        #[command(subcommand)]
        command: QuarantineCommand,
    },
    /// What migrations left behind on their source disks.
    Trash {
        /// What to do with it.
        #[command(subcommand)]
        command: TrashCommand,
    },
    /// What the daemon knows of tablets: list, show, verify, heal, explain, pin, unpin; or work on a storage root itself, without a daemon: import, check, show --root.
    Tablet {
        /// What to do.
        #[command(subcommand)]
        command: TabletCommand,
    },
    /// Roots of a real Doris backend: look at them, move tablets while it is stopped, undo, confirm. Needs no daemon.
    Doris {
        /// Which of these.
        #[command(subcommand)]
        command: DorisCommand,
    },
    /// The daemon's configuration: get, set, reload.
    Config {
        /// Which of these.
        #[command(subcommand)]
        command: ConfigCommand,
    },
    /// What the daemon remembers: export it as lines of JSON.
    Journal {
        /// What to do.
        #[command(subcommand)]
        command: JournalCommand,
    },
    /// Who may use the daemon: make, list and revoke tokens. Needs no daemon.
    Token(TokenArgs),
    /// Many nodes at once, by way of tabletfleet: members, disks, drains, rebalances, campaigns, audit.
    Fleet(FleetArgs),
    /// Write the man pages, one for each command, into a directory.
    Man {
        /// The directory; it must be there.
        #[arg(long, value_name = "DIR")]
        dir: PathBuf,
    },
    /// Print a completion script for a shell.
    Completions {
        /// Which shell.
        shell: Shell,
    },
}

/// `tablets`.
#[derive(Debug, Args)]
pub struct TabletsArgs {
    /// On this disk.
    #[arg(long, value_name = "DISK")]
    pub disk: Option<DiskName>,
    /// Of this table, by the table_id of its header; 0 for those of which none is known.
    #[arg(long, value_name = "N")]
    pub table: Option<i64>,
    /// Of this partition.
    #[arg(long, value_name = "N")]
    pub partition: Option<i64>,
    /// Only those that no plan moves.
    #[arg(long)]
    pub pinned: bool,
    /// Go on behind this one: the last id of the page before.
    #[arg(long, value_name = "TABLET_ID")]
    pub marker: Option<TabletId>,
    /// At most this many.
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub limit: u32,
}

/// `tablet ...`: some ask the daemon, the others work on a root that no daemon holds.
#[derive(Debug, Subcommand)]
pub enum TabletCommand {
    /// List the tablets the daemon serves.
    List(TabletsArgs),
    /// Ask the daemon whether a tablet may go to a disk, and what each rule says to it.
    Explain {
        /// The tablet.
        tablet_id: TabletId,
        /// Its schema hash; looked up when left out.
        #[arg(long, value_name = "N")]
        schema_hash: Option<SchemaHash>,
        /// The disk, written as in storage_root_path.
        #[arg(long, value_name = "DISK")]
        disk: DiskName,
    },
    /// Pin a tablet: no plan moves it. A migration that is asked for by name does.
    Pin {
        /// The tablet.
        tablet_id: TabletId,
        /// Its schema hash; looked up when left out.
        #[arg(long, value_name = "N")]
        schema_hash: Option<SchemaHash>,
        /// Why, for the record.
        #[arg(long, value_name = "TEXT", default_value = "")]
        reason: String,
    },
    /// Let plans move a tablet again.
    Unpin {
        /// The tablet.
        tablet_id: TabletId,
        /// Its schema hash; looked up when left out.
        #[arg(long, value_name = "N")]
        schema_hash: Option<SchemaHash>,
    },
    /// Read tablets again past the page cache, in the daemon, and compare them with their manifests; waits for the end.
    ///
    /// Several are one operation, which operation follow and operation cancel take. It fails unless every tablet is good.
    Verify(VerifyArgs),
    /// Bring the newest good copy of a damaged or lost tablet back, from trash or wherever one is; waits for the end.
    ///
    /// The copy is read past the page cache before it is believed. The damaged one is set aside in quarantine after that.
    Heal {
        /// The tablet.
        tablet_id: TabletId,
        /// Its schema hash; looked up when left out.
        #[arg(long, value_name = "N")]
        schema_hash: Option<SchemaHash>,
        /// To this disk; else it stays on the one that has the copy, if that takes anything.
        #[arg(long, value_name = "DISK")]
        to: Option<DiskName>,
        /// An older copy will do, also while a newer one may be on a disk that is away. Refused without it, with what would be missing.
        #[arg(long)]
        accept_older: bool,
    },
    /// Copy what can be read of an unreadable or damaged tablet to another disk's quarantine, with the list of what is lost; waits for the end.
    ///
    /// The copy is never served. The tablet stays where it is, and whoever owns it goes on owning it.
    Salvage {
        /// The tablet.
        tablet_id: TabletId,
        /// Its schema hash; looked up when left out.
        #[arg(long, value_name = "N")]
        schema_hash: Option<SchemaHash>,
        /// The disk whose quarantine takes it.
        #[arg(long, value_name = "DISK")]
        to: DiskName,
    },
    /// Show directories below data/ that no record names.
    Unrecorded(UnrecordedArgs),
    /// Move a directory that no record names to quarantine, while its tablet is served from elsewhere; waits for the end.
    SetAside {
        /// The directory, as tablet unrecorded lists it.
        path: String,
    },
    /// Make files a tablet that no good record names, or take back a copy that was set aside; waits for the end.
    Adopt(AdoptArgs),
    /// Make a directory of files a tablet of a root, in the way a migration would write it.
    ///
    /// A directory that stands at ROOT/data/SHARD/TABLET_ID/SCHEMA_HASH is adopted where it is.
    Import(ImportArgs),
    /// Read every tablet again and compare it with its record; tell of everything nobody owns.
    Check(CheckArgs),
    /// Show what the daemon knows of a tablet; with --root its metadata record, from a root that no daemon holds.
    Show {
        /// The tablet.
        tablet_id: TabletId,
        /// Its schema hash; looked up when left out.
        #[arg(long, value_name = "N")]
        schema_hash: Option<SchemaHash>,
        /// The storage root to read the record from.
        #[arg(long, value_name = "ROOT")]
        root: Option<PathBuf>,
    },
}

/// `tablet import`.
#[derive(Debug, Args)]
pub struct ImportArgs {
    /// The directory with the tablet's files; it is only read.
    #[arg(required_unless_present = "batch")]
    pub dir: Option<PathBuf>,
    /// The storage root; an empty directory becomes one.
    #[arg(long, value_name = "ROOT")]
    pub root: PathBuf,
    /// Identity of the tablet.
    #[arg(long, value_name = "N", conflicts_with = "header")]
    pub tablet_id: Option<TabletId>,
    /// Identity of its schema.
    #[arg(long, value_name = "N", conflicts_with = "header")]
    pub schema_hash: Option<SchemaHash>,
    /// Its table, for the header that is made for it.
    #[arg(long, value_name = "N", conflicts_with = "header")]
    pub table_id: Option<i64>,
    /// Its partition.
    #[arg(long, value_name = "N", conflicts_with = "header")]
    pub partition_id: Option<i64>,
    /// Its TabletMetaPB in Doris's JSON form (/api/meta/header, meta_tool); kept byte for byte.
    #[arg(long, value_name = "FILE")]
    pub header: Option<PathBuf>,
    /// Directory below data/; else the header's, else TABLET_ID modulo 1024.
    #[arg(long, value_name = "0..1023")]
    pub shard: Option<ShardId>,
    /// Many tablets: JSON lines {"dir", "tablet_id", "schema_hash", "table_id", "partition_id"} or {"dir", "header"}; '-' is standard input.
    #[arg(
        long,
        value_name = "FILE",
        conflicts_with_all = ["dir", "tablet_id", "schema_hash", "table_id", "partition_id", "header", "shard"]
    )]
    pub batch: Option<PathBuf>,
}

/// `tablet check`.
#[derive(Debug, Args)]
#[group(required = true, multiple = true)]
pub struct CheckArgs {
    /// A storage root; may be given several times.
    #[arg(long, value_name = "ROOT")]
    pub root: Vec<PathBuf>,
    /// All roots of this be.conf.
    #[arg(long, value_name = "FILE")]
    pub conf: Option<PathBuf>,
}

#[cfg(test)]
mod tests {
    use clap::{Command, CommandFactory as _};

    #[test]
    fn help_fits_a_terminal_of_80_columns() {
        fn look(command: &mut Command) {
            let help = command.render_long_help().to_string();
            // What is typed is shown whole.
            for line in help.lines().filter(|line| !line.starts_with("Usage: ")) {
                assert!(line.chars().count() <= 80, "{}: {line}", command.get_name());
            }
            command.get_subcommands_mut().for_each(look);
        }
        let mut command = super::Cli::command();
        command.build();
        look(&mut command);
        look(&mut crate::service::Arguments::command());
        look(&mut crate::fleet::Arguments::command());
    }
}
