//! The command line of `tabletfleet`, as clap reads it. A unit file sets the same things by environment variables: there
//! is no second file with a grammar of its own.

use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;

use clap::Parser;

use super::PORT;

const MORE: &str = "\
Every option can be set by an environment variable, TABLETFLEET_ and its name:
TABLETFLEET_STATE_DIR.

Exit status:
  0  stopped in order
  1  it could not start, or failed; standard error says why
  2  the command line is wrong";

/// Drives many nodes: drains and rebalances disks of nodes that run tabletd and of plain Doris BEs, within limits and one
/// after the other.
#[derive(Debug, Clone, Parser)]
#[command(name = "tabletfleet", version, after_help = MORE, max_term_width = 80)]
pub struct Arguments {
    /// Where the fleet remembers things, its tokens and its audit log are; made where it is missing.
    #[arg(long, value_name = "DIR", env = "TABLETFLEET_STATE_DIR")]
    pub state_dir: PathBuf,
    /// Where several processes remember things together: etcd://HOST:PORT,HOST:PORT/NAME. In the state directory, for one
    /// process, when left out.
    #[arg(long, value_name = "URL", env = "TABLETFLEET_STORE")]
    pub store: Option<String>,
    /// Address to listen on. Beyond loopback it wants credentials.
    #[arg(long, value_name = "ADDR", env = "TABLETFLEET_HOST", default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST))]
    pub host: IpAddr,
    /// Port to listen on; 0 takes any.
    #[arg(long, value_name = "PORT", env = "TABLETFLEET_PORT", default_value_t = PORT)]
    pub port: u16,
    /// Name of this process; the host's name when left out.
    #[arg(long, value_name = "NAME", env = "TABLETFLEET_NAME")]
    pub name: Option<String>,
    /// Where others reach this process, HOST:PORT; where it listens when left out.
    #[arg(long, value_name = "HOST:PORT", env = "TABLETFLEET_ADVERTISE")]
    pub advertise: Option<String>,
    /// Directory with the members' credentials, a file each; systemd's own when left out.
    #[arg(long, value_name = "DIR", env = "CREDENTIALS_DIRECTORY")]
    pub credentials_dir: Option<PathBuf>,
    /// Certificate chain, PEM; speaks TLS with it.
    #[arg(
        long,
        value_name = "FILE",
        env = "TABLETFLEET_TLS_CERTIFICATE",
        requires = "tls_private_key",
        default_value = "",
        hide_default_value = true
    )]
    pub tls_certificate: String,
    /// Its key, PEM.
    #[arg(
        long,
        value_name = "FILE",
        env = "TABLETFLEET_TLS_PRIVATE_KEY",
        default_value = "",
        hide_default_value = true
    )]
    pub tls_private_key: String,
    /// Seconds between two looks at a member that is idle.
    #[arg(long, value_name = "SECONDS", env = "TABLETFLEET_POLL_SEC", default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub poll_sec: u64,
}
