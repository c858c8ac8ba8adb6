//! Campaigns and their parts.

use serde::{Deserialize, Serialize};

use crate::api::wire::{NoParameters, Timestamp};
use crate::model::fleet::{
    Approval, Approved, CampaignId, CampaignStatus, MemberSelector, PartCounters, PartStatus, Policy,
};
use crate::model::{TaskId, TaskRequest};

/// `POST /api/v1/campaigns`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateCampaign {
    /// Its name, for people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// What every member is asked: `{"kind": "drain", "disks": ["/data3"]}` or `{"kind": "rebalance"}`.
    pub request: TaskRequest,
    /// Which members.
    #[serde(default)]
    pub select: MemberSelector,
    /// How.
    #[serde(default)]
    pub policy: Policy,
    /// Only make the plan and show it; the default.
    #[serde(default = "only_look")]
    pub dry_run: bool,
    /// Of the plan that was looked at: refused (412) when the plan made now is another one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fingerprint: Option<u32>,
    /// Why, for the record.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
}

const fn only_look() -> bool {
    true
}

/// `PATCH /api/v1/campaigns/{id}`: limits and windows, also while it runs; what is left out stays.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct UpdateCampaign {
    /// Members that may move at once: `4`, or `10%`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_members: Option<String>,
    /// Hours of the day in which members may begin.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub windows: Option<String>,
    /// More failed members than this pause it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failures_max: Option<u32>,
}

/// `POST /api/v1/campaigns/{id}/action`: an object with exactly one key, `{"start": {}}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum CampaignAction {
    /// Members begin, by its rules.
    Start(Option<NoParameters>),
    /// Nothing new begins, and what is under way is paused at its members.
    Pause(Option<NoParameters>),
    /// It goes on; failures of before no longer count.
    Resume(Option<NoParameters>),
    /// It is called off for good: what is under way is undone, what has moved stays.
    Cancel(Option<NoParameters>),
    /// The canary is good: the others may begin.
    Approve(Option<NoParameters>),
}

/// The part of one member.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct CampaignPart {
    /// Its member.
    pub source_name: String,
    /// The process that drives it.
    pub driver: String,
    /// Where it stands; `null` in a plan that was only looked at.
    pub status: Option<PartStatus>,
    /// What it waits for, or why it is where it is.
    pub status_reason: String,
    /// The plan that was approved, or is to be.
    pub approved: Approved,
    /// The plan that is carried out.
    pub planned: Approved,
    /// How often it was begun.
    pub attempt: u32,
    /// The task at the member.
    pub task_id: Option<TaskId>,
    /// As the member said last.
    #[serde(flatten)]
    pub counters: PartCounters,
    /// When it began.
    pub started_at: Option<Timestamp>,
    /// When it was over.
    pub ended_at: Option<Timestamp>,
}

/// How many parts there are, by where they stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, utoipa::ToSchema)]
pub struct PartTotals {
    /// All.
    pub parts_total: u64,
    /// Not begun.
    pub parts_waiting: u64,
    /// Checking, planning, moving or settling.
    pub parts_under_way: u64,
    /// As they were to be.
    pub parts_done: u64,
    /// Not so.
    pub parts_failed: u64,
    /// Left out.
    pub parts_skipped: u64,
    /// Called off.
    pub parts_cancelled: u64,
}

/// One campaign.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Campaign {
    /// Number; `null` for a plan that was only looked at.
    pub id: Option<CampaignId>,
    /// Its name.
    pub name: String,
    /// `drain` or `rebalance`.
    pub kind: String,
    /// What every member is asked.
    pub request: TaskRequest,
    /// Which members were asked for.
    pub select: MemberSelector,
    /// How.
    pub policy: Policy,
    /// Of the plan: the approval is bound to it.
    pub fingerprint: u32,
    /// Where it stands; `null` for a plan that was only looked at.
    pub status: Option<CampaignStatus>,
    /// Why.
    pub status_reason: String,
    /// Sums over its parts.
    #[serde(flatten)]
    pub totals: PartTotals,
    /// Sums over its parts.
    #[serde(flatten)]
    pub counters: PartCounters,
    /// Who said yes to what.
    pub approvals: Vec<Approval>,
    /// Who asked.
    pub requested_by: String,
    /// Why it was asked for.
    pub reason: String,
    /// Its parts, in the order in which they begin; left out of lists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status_list: Option<Vec<CampaignPart>>,
    /// When it was created.
    pub created_at: Timestamp,
    /// When its status last changed.
    pub updated_at: Timestamp,
}
