//! Processes of the fleet: DM's masters and workers, which are one program here.

use serde::{Deserialize, Serialize};

/// One process, as DM shows a master.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Master {
    /// Its name.
    pub name: String,
    /// Whether it is registered with the store.
    pub alive: bool,
    /// Whether it leads.
    pub leader: bool,
    /// Where its API is.
    pub addr: String,
    /// Its release.
    #[serde(default)]
    pub version: String,
    /// Number of its leadership; `null` where it does not lead.
    #[serde(default)]
    pub epoch: Option<u64>,
}

/// One process, as DM shows a worker. The leader drives every member.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Worker {
    /// Its name.
    pub name: String,
    /// Where its API is.
    pub addr: String,
    /// `free`, or `bound` where it drives members.
    pub bound_stage: String,
    /// The first member that it drives, as DM has one; `null` where there is none.
    pub bound_source_name: Option<String>,
    /// All of them.
    #[serde(default)]
    pub bound_sources: Vec<String>,
}

/// `GET /api/v1/cluster/info`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ClusterInfo {
    /// Identity of the fleet; made once.
    pub cluster_id: String,
    /// Where its processes and its monitoring are.
    pub topology: Topology,
    /// `sqlite` or `etcd`.
    pub store: String,
    /// How far this process has read it.
    pub store_revision: u64,
    /// Number of the leadership that this process knows of; `null` while nobody leads.
    pub epoch: Option<u64>,
    /// What is wrong with the store, in words; `null` on a good day.
    pub trouble: Option<String>,
}

/// Where things are.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Topology {
    /// Addresses of the processes.
    pub master_topology_list: Vec<String>,
    /// Where Prometheus is, such as `http://10.0.0.9:9090`.
    pub prometheus: Option<String>,
    /// Where Grafana is.
    pub grafana: Option<String>,
}

/// `PUT /api/v1/cluster/info`: where the monitoring is; what is left out stays, an empty text forgets.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct UpdateCluster {
    /// Where Prometheus is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prometheus: Option<String>,
    /// Where Grafana is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grafana: Option<String>,
}

/// `POST /api/v1/cluster/transfer`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Transfer {
    /// Name of the process that is to lead.
    pub to: String,
}

/// `POST /api/v1/sources/{source_name}/transfer`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TransferSource {
    /// Name of the process that is to drive the member.
    pub worker_name: String,
}
