//! What goes over the wire of `tabletfleet`: TiDB DM's forms of masters, workers and sources, where a source is a member.

mod campaign;
mod cluster;
mod report;
mod source;

pub use campaign::{Campaign, CampaignAction, CampaignPart, CreateCampaign, PartTotals, UpdateCampaign};
pub use cluster::{ClusterInfo, Master, Topology, Transfer, TransferSource, UpdateCluster, Worker};
pub use report::{MemberReport, Report, WaitingPart};
pub use source::{CreateSource, Source, SourceDisk, SourceStatus, UpdateSource};
