//! `fleet drain`, `fleet rebalance` and `fleet campaign`, as clap reads them. Nothing is done here.

use clap::{Args, Subcommand};

use super::values::parse_label;
use crate::model::fleet::MembersLimit;

/// Which members, how many at once, and when it stops.
#[derive(Debug, Args)]
pub struct CampaignArgs {
    /// These members; may be repeated. All of them when neither this nor --where is given.
    #[arg(long = "source", value_name = "NAME")]
    pub sources: Vec<String>,
    /// Members with this label; may be repeated.
    #[arg(long = "where", value_name = "NAME=VALUE", value_parser = parse_label)]
    pub labels: Vec<(String, String)>,
    /// Members of this cluster.
    #[arg(long, value_name = "NAME")]
    pub cluster: Option<String>,
    /// Members with a disk fuller than this.
    #[arg(long, value_name = "PERCENT")]
    pub used_above: Option<u32>,
    /// Members whose fullest and emptiest disk are farther apart than this.
    #[arg(long, value_name = "POINTS")]
    pub skew_above: Option<u32>,
    /// Members that may move at once: a number, or a share such as 10%.
    #[arg(long, value_name = "LIMIT", default_value = "1")]
    pub max: MembersLimit,
    /// Of those that share the value of a label, so many at once: rack=1; may be repeated.
    #[arg(long = "max-per", value_name = "LABEL=N", value_parser = parse_label)]
    pub max_per: Vec<(String, String)>,
    /// So many go first and alone.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub canary: u32,
    /// The others wait until somebody approves after the canary.
    #[arg(long, requires = "canary")]
    pub approve_after_canary: bool,
    /// Hours of the day, in UTC, in which members may begin, such as 22:00-06:00.
    #[arg(long, value_name = "HOURS", default_value = "", hide_default_value = true)]
    pub window: String,
    /// More failed members than this pause it.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub failures: u32,
    /// Also members that cannot be done in full.
    #[arg(long)]
    pub what_fits: bool,
    /// Only show the plan.
    #[arg(long)]
    pub dry_run: bool,
    /// Make it, and do not start it.
    #[arg(long)]
    pub stopped: bool,
    /// Why, for the record.
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    pub reason: String,
    /// Do not ask.
    #[arg(long)]
    pub yes: bool,
}

/// `fleet campaign ...`.
#[derive(Debug, Subcommand)]
pub enum CampaignCommand {
    /// List the campaigns.
    List,
    /// Show one campaign with its parts, and what each waits for.
    Show {
        /// Its number.
        id: u64,
    },
    /// Let members begin, by its rules.
    Start {
        /// Its number.
        id: u64,
    },
    /// Let nothing new begin, and pause what is under way.
    Pause {
        /// Its number.
        id: u64,
    },
    /// Let it go on; failures of before no longer count.
    Resume {
        /// Its number.
        id: u64,
    },
    /// The canary is good: the others may begin.
    Approve {
        /// Its number.
        id: u64,
    },
    /// Call it off for good: what is under way is undone, what has moved stays.
    Cancel {
        /// Its number.
        id: u64,
    },
    /// Change its limits, also while it runs.
    Limits {
        /// Its number.
        id: u64,
        /// Members that may move at once.
        #[arg(long, value_name = "LIMIT")]
        max: Option<MembersLimit>,
        /// Hours of the day in which members may begin; all of them when empty.
        #[arg(long, value_name = "HOURS")]
        window: Option<String>,
        /// More failed members than this pause it.
        #[arg(long, value_name = "N")]
        failures: Option<u32>,
    },
    /// Forget one that is over.
    Delete {
        /// Its number.
        id: u64,
    },
}
