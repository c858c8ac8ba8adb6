//! The fleet at a glance.

use serde::{Deserialize, Serialize};

use super::source::SourceDisk;
use crate::api::wire::Timestamp;
use crate::model::fleet::CampaignId;

/// `GET /api/v1/report`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Report {
    /// When it was made; each member says when it was seen.
    pub as_of: Timestamp,
    /// Who leads; `null` while nobody does.
    pub leader: Option<String>,
    /// Every member, the most uneven first.
    pub members: Vec<MemberReport>,
    /// Disks that may be pulled now without losing a tablet.
    pub safe_to_remove: Vec<SourceDisk>,
    /// Members that did not answer as they should when they were asked last.
    pub not_reached: Vec<String>,
    /// Parts that wait, and for what.
    pub waiting: Vec<WaitingPart>,
}

/// One member at a glance.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct MemberReport {
    /// Its name.
    pub source_name: String,
    /// Its Doris cluster.
    pub cluster: String,
    /// `online`, `offline`, or `unknown` before it was looked at.
    pub stage: String,
    /// What is wrong; empty where nothing is.
    pub error_msg: String,
    /// When it last answered.
    pub answered_at: Option<Timestamp>,
    /// How full its fullest disk is, in per cent.
    pub fullest_percent: f64,
    /// How far its fullest and its emptiest disk are apart, in percentage points.
    pub skew_points: f64,
    /// Tablets on all its disks.
    pub tablet_count: u64,
}

/// A part that waits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct WaitingPart {
    /// Of which campaign.
    pub campaign: CampaignId,
    /// Its member.
    pub source_name: String,
    /// For what.
    pub status_reason: String,
}
