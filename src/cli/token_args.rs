//! The command line of `tabletctl token`, and how every other command shows one. Nothing is done here.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::values::{Lifetime, parse_role};
use crate::access::Role;

/// In `--help`, above what every command that asks a daemon takes.
pub(super) const CONNECTION: &str = "Connection options";

/// Who asks, and whom to believe.
#[derive(Debug, Default, Args)]
pub struct TrustArgs {
    /// The token to show; better from the environment or a file, which other users cannot read.
    #[arg(long, global = true, value_name = "TOKEN", help_heading = CONNECTION, env = "TABLETD_TOKEN", hide_env_values = true)]
    pub token: Option<String>,
    /// A file with the token in its first line.
    #[arg(long, global = true, value_name = "FILE", help_heading = CONNECTION, env = "TABLETD_TOKEN_FILE", conflicts_with = "token")]
    pub token_file: Option<PathBuf>,
    /// Believe certificates signed by, or equal to, those in this PEM file, and no others.
    #[arg(long, global = true, value_name = "FILE", help_heading = CONNECTION, env = "TABLETD_CA")]
    pub ca: Option<PathBuf>,
}

/// `token ...`.
#[derive(Debug, Args)]
pub struct TokenArgs {
    /// Which node's.
    #[command(flatten)]
    pub place: TokenPlace,
    /// What to do.
    #[command(subcommand)]
    pub command: TokenCommand,
}

/// Where the tokens are.
#[derive(Debug, Args)]
#[group(multiple = false)]
pub struct TokenPlace {
    /// The node's be.conf, whose tokens_file is used; else that of DORIS_HOME.
    #[arg(long, global = true, value_name = "FILE")]
    pub conf: Option<PathBuf>,
    /// The file of tokens itself.
    #[arg(long, global = true, value_name = "FILE")]
    pub file: Option<PathBuf>,
}

/// What to do with tokens.
#[derive(Debug, Subcommand)]
pub enum TokenCommand {
    /// Make a token and print it, once; only its hash is kept.
    Create {
        /// Who or what will hold it; also the user name for Digest.
        name: String,
        /// viewer reads, operator moves tablets, admin also purges and configures.
        #[arg(long, value_parser = parse_role)]
        role: Role,
        /// How long it is valid: 90d, 12h, 15m, or never.
        #[arg(long, value_name = "TIME", default_value = "90d")]
        expires: Lifetime,
        /// Keep nothing that could answer Digest; it can then be shown as Bearer and Basic only.
        #[arg(long)]
        no_digest: bool,
    },
    /// List tokens, ended ones too.
    List,
    /// End a token now.
    Revoke {
        /// Its name.
        name: String,
    },
}
