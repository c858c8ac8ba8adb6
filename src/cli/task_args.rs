//! The part of the command line that is about plans and tasks, as clap reads it. Nothing is done here.

use clap::{Args, Subcommand};

use super::disk_name::DiskName;
use super::values::{PriorityArg, parse_bytes, parse_medium};
use crate::model::{Medium, MoveStatus, TabletId, TaskId, TaskStatus};

/// What every command that makes a plan takes.
#[derive(Debug, Args)]
#[command(next_help_heading = "Plan")]
pub struct PlanArgs {
    /// Only show the plan.
    #[arg(long)]
    pub dry_run: bool,
    /// Do not ask.
    #[arg(long)]
    pub yes: bool,
    /// Keep the plan as a task and do not start it: read it with task show, start it with task start.
    #[arg(long, conflicts_with_all = ["dry_run", "follow"])]
    pub stopped: bool,
    /// Watch it to its end; goes on when the daemon restarts.
    #[arg(long, conflicts_with = "dry_run")]
    pub follow: bool,
    /// Do what can be done when not every tablet fits elsewhere; else nothing is moved then.
    #[arg(long)]
    pub what_fits: bool,
    /// Give moves whose destination is full, disabled or gone other destinations, by a new plan; else they wait.
    #[arg(long)]
    pub replan: bool,
    /// Order of service of its moves.
    #[arg(long, value_enum, default_value = "normal")]
    pub priority: PriorityArg,
    /// Bandwidth limit of each move, in bytes copied per second: 5000000, 20M.
    #[arg(long, value_name = "N", value_parser = parse_bytes)]
    pub rate_bytes_per_sec: Option<u64>,
    /// Why, for the record.
    #[arg(long, value_name = "TEXT", default_value = "")]
    pub reason: String,
}

/// `disk drain`.
#[derive(Debug, Args)]
pub struct DrainArgs {
    /// Which one.
    #[arg(value_name = "DISK")]
    pub path: DiskName,
    /// Use disks of another medium where the same has no room.
    #[arg(long)]
    pub any_medium: bool,
    /// How to plan.
    #[command(flatten)]
    pub plan: PlanArgs,
}

/// `task move`.
#[derive(Debug, Args)]
pub struct MoveArgs {
    /// To this disk; may be given several times.
    #[arg(long, value_name = "DISK", required_unless_present = "to_medium")]
    pub to: Vec<DiskName>,
    /// To any disk of this medium.
    #[arg(long, value_name = "MEDIUM", conflicts_with = "to", value_parser = parse_medium)]
    pub to_medium: Option<Medium>,
    /// Tablets on this disk; may be given several times.
    #[arg(long, value_name = "DISK")]
    pub from: Vec<DiskName>,
    /// Tablets on disks of this medium.
    #[arg(long, value_name = "MEDIUM", value_parser = parse_medium)]
    pub medium: Option<Medium>,
    /// Tablets of this table, by the table_id of their headers; 0 for those of which none is known; may be given several times.
    #[arg(long, value_name = "N")]
    pub table: Vec<i64>,
    /// Tablets of this partition; may be given several times.
    #[arg(long, value_name = "N")]
    pub partition: Vec<i64>,
    /// This tablet; may be given several times.
    #[arg(long, value_name = "TABLET_ID")]
    pub tablet: Vec<TabletId>,
    /// Tablets at least this large.
    #[arg(long, value_name = "N", value_parser = parse_bytes)]
    pub min_size_bytes: Option<u64>,
    /// Tablets at most this large.
    #[arg(long, value_name = "N", value_parser = parse_bytes)]
    pub max_size_bytes: Option<u64>,
    /// How to plan.
    #[command(flatten)]
    pub plan: PlanArgs,
}

/// `task rebalance`.
#[derive(Debug, Args)]
pub struct RebalanceArgs {
    /// Disks of this medium only; else those of each medium among themselves.
    #[arg(long, value_name = "MEDIUM", value_parser = parse_medium)]
    pub medium: Option<Medium>,
    /// Begin when a disk is farther than this from the mean, in percentage points of its size.
    #[arg(long, value_name = "N")]
    pub start_points: Option<u32>,
    /// End when every disk is within this, in percentage points.
    #[arg(long, value_name = "N")]
    pub stop_points: Option<u32>,
    /// How to plan.
    #[command(flatten)]
    pub plan: PlanArgs,
}

/// `task ...`.
#[derive(Debug, Subcommand)]
pub enum TaskCommand {
    /// List tasks.
    List {
        /// In this status; may be given several times.
        #[arg(long)]
        status: Vec<TaskStatus>,
        /// Of this kind: drain, move or rebalance.
        #[arg(long)]
        kind: Option<String>,
        /// With a move from or to this disk.
        #[arg(long, value_name = "DISK")]
        disk: Option<DiskName>,
        /// At most this many.
        #[arg(long, value_name = "N", default_value_t = 1000)]
        limit: u32,
    },
    /// Show one: how it goes on each disk, what is stuck and why, and its plan.
    Show {
        /// Its number.
        id: TaskId,
    },
    /// Watch one to its end; goes on when the daemon restarts, and while it is paused.
    Follow {
        /// Its number.
        id: TaskId,
    },
    /// List the moves of one as they stand.
    Targets {
        /// Its number.
        id: TaskId,
        /// In this status: pending, running, completed, failed or cancelled; may be given several times.
        #[arg(long)]
        status: Vec<MoveStatus>,
        /// From or to this disk.
        #[arg(long, value_name = "DISK")]
        disk: Option<DiskName>,
        /// At most this many.
        #[arg(long, value_name = "N", default_value_t = 1000)]
        limit: u32,
    },
    /// List the tables that the plan of one moves, also before it starts.
    Tables {
        /// Its number.
        id: TaskId,
        /// Those it takes from this disk.
        #[arg(long, value_name = "DISK")]
        disk: Option<DiskName>,
    },
    /// Move selected tablets to disks or to a medium, by a plan that is shown first. Selectors narrow each other.
    Move(Box<MoveArgs>),
    /// Make the disks of a medium equally full, by a plan that is shown first.
    Rebalance(RebalanceArgs),
    /// Let it move tablets; a finished one tries those again that it gave up.
    Start {
        /// Its number.
        id: TaskId,
    },
    /// Start no further moves; those under way go on.
    Stop {
        /// Its number.
        id: TaskId,
    },
    /// Start no further moves and pause those under way.
    Pause {
        /// Its number.
        id: TaskId,
        /// Only of what it takes from this disk; may be given several times.
        #[arg(long, value_name = "DISK")]
        disk: Vec<DiskName>,
    },
    /// Let a paused one go on.
    Resume {
        /// Its number.
        id: TaskId,
        /// Only with what it takes from this disk; may be given several times.
        #[arg(long, value_name = "DISK")]
        disk: Vec<DiskName>,
    },
    /// Give moves whose destination is full, disabled or gone other destinations; what has begun goes on as it is.
    Replan {
        /// Its number.
        id: TaskId,
    },
    /// Call it off for good: what is under way is undone, what has moved stays where it is.
    Cancel {
        /// Its number.
        id: TaskId,
    },
    /// Change a stopped one.
    Update {
        /// Its number.
        id: TaskId,
        /// Its name.
        #[arg(long, value_name = "TEXT")]
        name: Option<String>,
        /// Order of service of its moves.
        #[arg(long, value_enum)]
        priority: Option<PriorityArg>,
        /// Bandwidth limit of each move, in bytes copied per second; 0 is none.
        #[arg(long, value_name = "N", value_parser = parse_bytes)]
        rate_bytes_per_sec: Option<u64>,
        /// Give moves whose destination is full, disabled or gone other destinations.
        #[arg(long)]
        replan: bool,
    },
    /// Forget one that is not under way; its migrations stay.
    Delete {
        /// Its number.
        id: TaskId,
        /// Do not ask.
        #[arg(long)]
        yes: bool,
    },
}
