//! Members, in the form of DM's sources.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::api::wire::Timestamp;
use crate::model::fleet::MemberKind;

/// `POST /api/v1/sources`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateSource {
    /// What it is called here: letters, digits, `.`, `-`, `_`.
    pub source_name: String,
    /// A name or an address.
    pub host: String,
    /// Its HTTP port.
    pub port: u16,
    /// User of Basic; without it the credential is a bearer token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// Refused but for `******`, which says nothing: no secret lies in the store. `credential` names a file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<String>,
    /// Name of a file in the directory of credentials (`--credentials-dir`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credential: Option<String>,
    /// Whether it may be given work.
    #[serde(default = "yes")]
    pub enable: bool,
    /// What it speaks.
    #[serde(default)]
    pub kind: MemberKind,
    /// The Doris cluster it belongs to.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub cluster: String,
    /// What it is chosen by, and limited by.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Of a BE: the release whose words it speaks, where its version is not to decide.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dialect: Option<String>,
    /// Of a BE: accept the defects that its release is known for, or that it is not known.
    #[serde(default)]
    pub accept_known_defects: bool,
    /// Why, for the record.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
}

const fn yes() -> bool {
    true
}

/// `PUT /api/v1/sources/{source_name}`, as DM has it: the whole description below `source`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UpdateSource {
    /// What it is from now on.
    pub source: CreateSource,
}

/// One member.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Source {
    /// Its name.
    pub source_name: String,
    /// A name or an address.
    pub host: String,
    /// Its HTTP port.
    pub port: u16,
    /// User of Basic.
    pub user: Option<String>,
    /// `******` where there is a credential.
    pub password: Option<String>,
    /// Name of the credential.
    pub credential: Option<String>,
    /// Whether it may be given work.
    pub enable: bool,
    /// What it speaks.
    pub kind: MemberKind,
    /// The Doris cluster it belongs to.
    pub cluster: String,
    /// What it is chosen by, and limited by.
    pub labels: BTreeMap<String, String>,
    /// Of a BE: the release whose words it speaks.
    pub dialect: Option<String>,
    /// Of a BE: its defects are accepted.
    pub accept_known_defects: bool,
    /// Campaigns that are not over and have a part of it.
    pub task_name_list: Vec<String>,
    /// How it stands; DM has one for each worker, here there is one.
    pub status_list: Vec<SourceStatus>,
}

/// How a member stands, as it was seen last.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct SourceStatus {
    /// Its name.
    pub source_name: String,
    /// The process that drives it.
    pub worker_name: String,
    /// `online`, `offline`, or `unknown` before it was looked at.
    pub stage: String,
    /// What is wrong; empty where nothing is.
    pub error_msg: String,
    /// When it was looked at last.
    pub as_of: Option<Timestamp>,
    /// When it last answered.
    pub answered_at: Option<Timestamp>,
    /// Its release.
    pub version: String,
    /// Its disks.
    pub disks: Vec<SourceDisk>,
}

/// One disk of a member.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct SourceDisk {
    /// Its member.
    pub source_name: String,
    /// Path.
    pub path: String,
    /// Medium.
    pub medium: String,
    /// `online`, or what is wrong.
    pub condition: String,
    /// Size.
    pub total_bytes: u64,
    /// Free.
    pub avail_bytes: u64,
    /// How full it is, in per cent.
    pub used_percent: f64,
    /// Tablets on it.
    pub tablet_count: u64,
    /// Whether it may be pulled now without losing a tablet.
    pub safe_to_remove: bool,
    /// Why not.
    pub not_safe_because: Option<String>,
}
