//! The part of the command line that is about a fleet, as clap reads it. Nothing is done here.

use clap::{Args, Subcommand};

use super::fleet_campaign_args::{CampaignArgs, CampaignCommand};
use super::values::parse_label;
use crate::model::fleet::MemberKind;

/// `fleet ...`.
#[derive(Debug, Args)]
pub struct FleetArgs {
    /// Where tabletfleet listens: http://HOST:PORT or https://HOST:PORT.
    #[arg(
        long,
        global = true,
        value_name = "URL",
        env = "TABLETFLEET_ADDR",
        default_value = "http://127.0.0.1:8240",
        hide_env_values = true
    )]
    pub fleet: String,
    /// What to do.
    #[command(subcommand)]
    pub command: FleetCommand,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum FleetCommand {
    /// Members: list, show, add, enable, disable, remove.
    Source {
        /// Which of these.
        #[command(subcommand)]
        command: SourceCommand,
    },
    /// Empty disks of many members: planned and shown first, then done within limits. Of the disks each member has its own.
    Drain {
        /// Paths, written as in storage_root_path; may be repeated.
        #[arg(long = "disk", value_name = "PATH", required = true)]
        disks: Vec<String>,
        /// On which members, and how.
        #[command(flatten)]
        how: CampaignArgs,
    },
    /// Make the disks of each of many members equally full.
    Rebalance {
        /// On which members, and how.
        #[command(flatten)]
        how: CampaignArgs,
    },
    /// Campaigns: list, show, start, pause, resume, approve, cancel, limits, delete.
    Campaign {
        /// Which of these.
        #[command(subcommand)]
        command: CampaignCommand,
    },
    /// List every disk of every member, fullest first.
    Disks {
        /// Fuller than this, in per cent.
        #[arg(long, value_name = "PERCENT")]
        used_above: Option<u32>,
        /// Those that may be pulled.
        #[arg(long)]
        safe_to_remove: bool,
    },
    /// List the processes of the fleet, and who leads.
    Masters,
    /// List them with the members that they drive.
    Workers,
    /// Have a process give leadership up and end; the last one is refused.
    Leave {
        /// Its name.
        name: String,
    },
    /// Hand leadership over.
    Transfer {
        /// Name of the process that is to lead.
        to: String,
    },
    /// Show the fleet: its identity, its store, its monitoring.
    Info,
    /// Show who did what, and why, newest last.
    Audit {
        /// At most so many lines.
        #[arg(long, default_value_t = 100)]
        limit: usize,
    },
}

/// `fleet source ...`.
#[derive(Debug, Subcommand)]
pub enum SourceCommand {
    /// List the members: where, what, how they stand.
    List,
    /// Show one member with its disks.
    Show {
        /// Its name.
        name: String,
    },
    /// Add a member; it is looked at at once.
    Add(AddSource),
    /// Let a member be given work.
    Enable {
        /// Its name.
        name: String,
    },
    /// Give a member nothing new; its parts are paused.
    Disable {
        /// Its name.
        name: String,
    },
    /// Say which process drives a member; one drives all of them, so only that one can be named.
    Transfer {
        /// Its name.
        name: String,
        /// Name of the process.
        to: String,
    },
    /// Remove a member; what is under way there goes on.
    Remove {
        /// Its name.
        name: String,
        /// Also one that a campaign is not done with.
        #[arg(long)]
        force: bool,
        /// Do not ask.
        #[arg(long)]
        yes: bool,
    },
}

/// `fleet source add`.
#[derive(Debug, Args)]
pub struct AddSource {
    /// What it is called here.
    pub name: String,
    /// HOST:PORT of its HTTP.
    #[arg(value_name = "HOST:PORT")]
    pub address: String,
    /// It is a Doris BE, not a tabletd.
    #[arg(long)]
    pub be: bool,
    /// Move on a BE although its release is known for defects, or is not known.
    #[arg(long, requires = "be")]
    pub accept_known_defects: bool,
    /// The Doris cluster it belongs to.
    #[arg(long, value_name = "NAME", default_value = "", hide_default_value = true)]
    pub cluster: String,
    /// What it is chosen by, and limited by; may be repeated.
    #[arg(long = "label", value_name = "NAME=VALUE", value_parser = parse_label)]
    pub labels: Vec<(String, String)>,
    /// Name of a file in tabletfleet's --credentials-dir.
    #[arg(long, value_name = "NAME")]
    pub credential: Option<String>,
    /// User of Basic; without it the credential is a bearer token.
    #[arg(long, value_name = "NAME")]
    pub user: Option<String>,
    /// Added, and given no work yet.
    #[arg(long)]
    pub disabled: bool,
    /// Why, for the record.
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    pub reason: String,
}

impl AddSource {
    /// What it speaks.
    pub const fn kind(&self) -> MemberKind {
        if self.be { MemberKind::Be } else { MemberKind::Tabletd }
    }
}
