//! A campaign: one intent over many members, planned first, approved, and carried out member by member.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::policy::Policy;
use crate::model::{TaskRequest, TimestampMs};

/// Number of a campaign; increasing, never used again.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, utoipa::ToSchema,
)]
#[serde(transparent)]
pub struct CampaignId(pub u64);

impl fmt::Display for CampaignId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// Which members. Each field narrows it; an empty one asks nothing.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct MemberSelector {
    /// These, by name.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub sources: Vec<String>,
    /// With these labels.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Of this cluster.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cluster: Option<String>,
    /// With a disk that is fuller than this, in per cent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub used_above: Option<u32>,
    /// Whose fullest and emptiest disk are farther apart than this, in percentage points.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub skew_above: Option<u32>,
}

/// Where a campaign stands; the words are those of a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum CampaignStatus {
    /// Created and not started.
    Stopped,
    /// Members move.
    Running,
    /// Nothing new begins, and what is under way is paused.
    Paused,
    /// No part is left to be done.
    Finished,
    /// Called off: what has moved stays.
    Cancelled,
}

impl CampaignStatus {
    /// The name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Stopped => "stopped",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Finished => "finished",
            Self::Cancelled => "cancelled",
        }
    }

    /// Whether it never goes on.
    pub const fn is_over(self) -> bool {
        matches!(self, Self::Finished | Self::Cancelled)
    }
}

/// Somebody said yes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Approval {
    /// Who.
    pub by: String,
    /// When.
    pub at_ms: TimestampMs,
    /// To which plan.
    pub fingerprint: u32,
    /// Also to what comes after the canary.
    pub after_canary: bool,
}

/// One campaign, as the store has it. What its parts have come to is never kept here: totals are sums over them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Campaign {
    /// Number.
    pub id: CampaignId,
    /// For people.
    pub name: String,
    /// What every member is asked.
    pub request: TaskRequest,
    /// Who was asked for.
    pub select: MemberSelector,
    /// How.
    pub policy: Policy,
    /// The members in the order in which they begin.
    pub order: Vec<String>,
    /// Of the plan as it was shown.
    pub fingerprint: u32,
    /// Where it stands.
    pub status: CampaignStatus,
    /// Why, in words.
    #[serde(default)]
    pub status_reason: String,
    /// Who said yes to what.
    #[serde(default)]
    pub approvals: Vec<Approval>,
    /// Failures that an operator has seen when the campaign was resumed: they no longer count.
    #[serde(default)]
    pub failures_forgiven: u32,
    /// The key that it was asked for under, and what was asked in short: the same again is the same campaign.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asked_as: Option<(String, u32)>,
    /// Who asked.
    pub requested_by: String,
    /// Why.
    pub reason: String,
    /// When it was created.
    pub created_ms: TimestampMs,
    /// When its status last changed.
    pub updated_ms: TimestampMs,
}
