//! The part of the command line that is about the roots of a real Doris backend, as clap reads it. Nothing is done here.

use std::path::PathBuf;

use clap::Subcommand;

use super::values::{parse_medium, parse_time_of_day};
use crate::model::Medium;

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
        /// The frontend.
        #[command(flatten)]
        frontend: FrontendArgs,
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
    /// Move tablets of a stopped backend to another of its roots. Experimental: not yet tried with a real backend.
    Move {
        /// The tablet; may be repeated.
        #[arg(long = "tablet", required = true, value_name = "ID")]
        tablets: Vec<i64>,
        /// The root, written as in storage_root_path.
        #[arg(long, value_name = "ROOT")]
        to: String,
        /// How.
        #[command(flatten)]
        how: DorisMoving,
    },
    /// Move every tablet that can move off a root of a stopped backend. Experimental: not yet tried with a real backend.
    Drain {
        /// The root, written as in storage_root_path.
        root: String,
        /// How.
        #[command(flatten)]
        how: DorisMoving,
    },
    /// Move what is left on a root whose database does not open to other roots of a stopped backend. Without --accept-older
    /// it only shows what is whole and what is not; nothing is ever written to that root. Experimental: not yet tried with
    /// a real backend.
    Rescue {
        /// The root, written as in storage_root_path.
        root: String,
        /// Move this tablet, although lost blocks may hide newer values of it, or that it was dropped; may be repeated, or
        /// several with commas.
        #[arg(long, value_name = "ID", value_delimiter = ',')]
        accept_older: Vec<i64>,
        /// The root they go to; without it any other file system of the medium that takes them.
        #[arg(long, value_name = "ROOT")]
        to: Option<String>,
        /// How.
        #[command(flatten)]
        how: DorisMoving,
    },
    /// Take the newest run back, while no backend has started since.
    Undo {
        /// The node.
        #[command(flatten)]
        node: DorisNode,
        /// Do not ask.
        #[arg(long)]
        yes: bool,
    },
    /// Compare what was moved with what the backend has now, once it has started again. Takes no lock.
    Confirm {
        /// The backend's be.conf.
        #[arg(long, value_name = "FILE")]
        conf: PathBuf,
    },
    /// Free what confirmed moves left at their sources, and what their runs kept. Safe while the backend runs.
    Purge {
        /// The backend's be.conf.
        #[arg(long, value_name = "FILE")]
        conf: PathBuf,
        /// Do not ask.
        #[arg(long)]
        yes: bool,
    },
    /// Make the roots of each medium of a stopped backend equally full. Experimental: not yet tried with a real backend.
    Rebalance {
        /// Of this medium only: ssd or hdd.
        #[arg(long, value_parser = parse_medium)]
        medium: Option<Medium>,
        /// How.
        #[command(flatten)]
        how: DorisMoving,
    },
    /// Bring to an end what a run left that was killed, or that could not retire a source. The next run does the same first.
    Resume {
        /// The node.
        #[command(flatten)]
        node: DorisNode,
    },
}

/// The node that is worked on, and what is allowed.
#[derive(Debug, clap::Args)]
pub struct DorisNode {
    /// The backend's be.conf; be_custom.conf beside it counts. Every root in it is locked for the whole run.
    #[arg(long, value_name = "FILE")]
    pub conf: PathBuf,
    /// Work without this root, which is not here or cannot be read: copies of tablets on it are not seen.
    #[arg(long, value_name = "ROOT")]
    pub without: Vec<String>,
}

/// How moves are made.
#[derive(Debug, clap::Args)]
pub struct DorisMoving {
    /// The node.
    #[command(flatten)]
    pub node: DorisNode,
    /// Show what would move, and what would stay and why; write nothing.
    #[arg(long)]
    pub dry_run: bool,
    /// Do not ask.
    #[arg(long)]
    pub yes: bool,
    /// Stop at this time of day; a tablet that is being copied then stays where it is.
    #[arg(long, value_name = "HH:MM", value_parser = parse_time_of_day)]
    pub until: Option<chrono::NaiveTime>,
    /// Move tablets with loads that are not published as well.
    #[arg(long)]
    pub with_committed: bool,
    /// Allow roots of another medium, from where the frontend may order the tablets back.
    #[arg(long)]
    pub cross_medium: bool,
    /// The frontend.
    #[command(flatten)]
    pub frontend: FrontendArgs,
}

/// The frontend that is asked before the backend goes down.
#[derive(Debug, clap::Args)]
pub struct FrontendArgs {
    /// Ask this frontend first: which tablets have no other replica, and how soon it would repair elsewhere.
    #[arg(long, value_name = "HOST:PORT")]
    pub fe: Option<String>,
    /// As this user of it, who needs the privilege ADMIN.
    #[arg(long, value_name = "USER", default_value = "root", requires = "fe")]
    pub fe_user: String,
    /// With the password in this file; without it there is none.
    #[arg(long, value_name = "FILE", requires = "fe")]
    pub fe_password_file: Option<PathBuf>,
}
