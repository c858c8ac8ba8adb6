//! `tabletfleet`: one operator, many nodes.
//!
//! Rooms in reading order: `state` is what the store says, folded; [`Desk`] is where every change is made, against the
//! leadership that makes it; `keeper` keeps that leadership; `watch` looks at members; `drive` carries campaigns out; `http` is the API on port 8240. What
//! comes next for a campaign is decided in `rules::fleet`. Nothing here knows a disk but by what a member says of it.

mod arguments;
mod campaigns;
mod desk;
mod drive;
mod http;
mod keeper;
mod look;
mod pool;
mod processes;
mod refusal;
mod report;
mod show;
mod sources;
mod state;
mod watch;

pub use arguments::Arguments;
pub use desk::Desk;
pub use http::{document, routes};
pub use keeper::keep;
pub use watch::watch;

/// Where the API is unless told otherwise: beside none of Doris's ports (8030 to 8070, 9010 to 9060), of TiDB DM's
/// (8261, 8262) and of what stands next to them (etcd 2379, Prometheus 9090, Grafana 3000).
pub const PORT: u16 = 8240;
