//! A part: what one campaign does on one member.

use serde::{Deserialize, Serialize};

use super::campaign::CampaignId;
use crate::model::{TaskId, TaskStatus, TimestampMs};

/// Where a part stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum PartStatus {
    /// It is not its turn.
    Waiting,
    /// Whether the member is there, and is the one that was planned for.
    Checking,
    /// The member plans, and the plan is held against what was approved.
    Planning,
    /// The member moves.
    Moving,
    /// The last move is done; the member is looked at once more.
    Settling,
    /// As it was to be.
    Done,
    /// Left out, for a reason that is no failure.
    Skipped,
    /// Not as it was to be.
    Failed,
    /// Called off with its campaign.
    Cancelled,
}

impl PartStatus {
    /// The name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Checking => "checking",
            Self::Planning => "planning",
            Self::Moving => "moving",
            Self::Settling => "settling",
            Self::Done => "done",
            Self::Skipped => "skipped",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }

    /// Whether it takes one of the places of those that may move at once.
    pub const fn is_under_way(self) -> bool {
        matches!(self, Self::Checking | Self::Planning | Self::Moving | Self::Settling)
    }

    /// Whether it never goes on.
    pub const fn is_over(self) -> bool {
        matches!(self, Self::Done | Self::Skipped | Self::Failed | Self::Cancelled)
    }
}

/// What was approved for one member.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Approved {
    /// Of the member's plan.
    pub fingerprint: u32,
    /// Tablets that move.
    pub moves: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// How the moves of a part stand, as its member said last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(default)]
pub struct PartCounters {
    /// Of the plan that is carried out.
    pub moves_total: u64,
    /// Done.
    pub moves_completed: u64,
    /// Given up.
    pub moves_failed: u64,
    /// Of the plan.
    pub bytes_total: u64,
    /// Done.
    pub bytes_completed: u64,
}

/// How a member's task stands, as it says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Progress {
    /// Its number.
    pub task_id: TaskId,
    /// Where it stands.
    pub status: TaskStatus,
    /// It was started at some time.
    pub was_started: bool,
    /// Its moves.
    pub counters: PartCounters,
    /// What it waits for, or what went wrong first, in the member's words.
    pub reason: String,
    /// What was asked for and is not so although it has finished.
    pub shortfall: Option<String>,
}

/// What a member's task is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Steer {
    /// Begin.
    Start,
    /// Nothing new, and what is under way waits.
    Pause,
    /// Go on.
    Resume,
    /// Called off for good.
    Cancel,
}

/// The part that one member has in one campaign.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// Of which campaign.
    pub campaign: CampaignId,
    /// Name of the member.
    pub member: String,
    /// Where it stands.
    pub status: PartStatus,
    /// Why it is there, where that is not plain; what a waiting part waits for is made at the moment of the question.
    #[serde(default)]
    pub reason: String,
    /// What was approved.
    pub approved: Approved,
    /// The plan that is carried out: the approved one, or a later one within the drift rule.
    pub planned: Approved,
    /// How often it was begun; part of the key under which the member knows it.
    pub attempt: u32,
    /// The task at the member.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task_id: Option<TaskId>,
    /// The fleet has paused that task.
    #[serde(default)]
    pub held: bool,
    /// As the member said last.
    #[serde(default)]
    pub counters: PartCounters,
    /// When it began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_ms: Option<TimestampMs>,
    /// When its last move was done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub moved_ms: Option<TimestampMs>,
    /// When it was over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_ms: Option<TimestampMs>,
}

impl Part {
    /// One that waits for its turn.
    pub fn new(campaign: CampaignId, member: &str, approved: Approved) -> Self {
        Self {
            campaign,
            member: member.to_owned(),
            status: PartStatus::Waiting,
            reason: String::new(),
            approved,
            planned: approved,
            attempt: 0,
            task_id: None,
            held: false,
            counters: PartCounters::default(),
            started_ms: None,
            moved_ms: None,
            ended_ms: None,
        }
    }

    /// The key under which the member knows this attempt, whoever asks, however often.
    pub fn key(&self, fleet: &str) -> String {
        format!("{fleet}/{}/{}/{}", self.campaign, self.member, self.attempt)
    }
}
