//! What the leader's loop asks of a member, whatever it speaks.

use crate::model::fleet::{Approved, Progress, Steer};
use crate::model::{PlanCompleteness, TaskId, TaskRequest};

/// Why a call came to nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// No answer, or none in time. What was asked may have been done: it is asked again, never counted.
    #[error("no answer: {0}")]
    Unreachable(String),
    /// The member does not believe us.
    #[error("no credential that it takes: {0}")]
    Credential(String),
    /// The member said no.
    #[error("{message}")]
    Refused { code: String, message: String },
    /// An answer that makes no sense.
    #[error("not answered as expected: {0}")]
    Odd(String),
}

/// Code of a member that is not what it was added as.
pub(super) const KIND_CHANGED: &str = "KIND_CHANGED";
/// Code of a part whose moves are not known in this process.
pub(super) const FEED_LOST: &str = "FEED_LOST";

/// A refusal that is ours.
pub(super) fn refused(code: &str, message: impl Into<String>) -> CallError {
    CallError::Refused { code: code.to_owned(), message: message.into() }
}

/// Who answers there.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Identity {
    pub version: String,
    /// What tells it from others: its disks.
    pub marks: Vec<String>,
}

/// One disk, as its member tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DiskSeen {
    pub path: String,
    /// `SSD` or `HDD`.
    pub medium: String,
    /// `online`, or what is wrong.
    pub condition: String,
    pub total_bytes: u64,
    pub avail_bytes: u64,
    pub tablet_count: u64,
    /// Whether it may be pulled, where the member knows.
    pub safe_to_remove: bool,
    /// Why not.
    pub not_safe_because: Option<String>,
}

impl DiskSeen {
    /// How full it is, in per cent.
    pub fn used_percent(&self) -> f64 {
        if self.total_bytes == 0 {
            return 0.0;
        }
        let used = self.total_bytes.saturating_sub(self.avail_bytes);
        // Sizes of disks are far below 2^52.
        #[allow(clippy::cast_precision_loss)]
        {
            used as f64 * 100.0 / self.total_bytes as f64
        }
    }
}

/// How full the fullest of these disks is, in per cent; 0 where there is none.
pub fn fullest_percent(disks: &[DiskSeen]) -> f64 {
    disks.iter().map(DiskSeen::used_percent).fold(0.0, f64::max)
}

/// How far the fullest and the emptiest of them are apart, in percentage points.
pub fn skew_points(disks: &[DiskSeen]) -> f64 {
    let emptiest = disks.iter().map(DiskSeen::used_percent).fold(f64::INFINITY, f64::min);
    if disks.is_empty() { 0.0 } else { fullest_percent(disks) - emptiest }
}

/// What a member would do for a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Planned {
    pub plan: Approved,
    /// Why it does not do all of it, each reason in words.
    pub falls_short: Vec<String>,
}

/// What a member is to do, and under which key.
#[derive(Debug, Clone)]
pub struct Order {
    /// The same key and request again: the same task.
    pub key: String,
    /// For people, at the member.
    pub name: String,
    pub request: TaskRequest,
    /// When it cannot be done in full.
    pub completeness: PlanCompleteness,
    /// The plan that it must be.
    pub fingerprint: u32,
    /// Why, for the member's own record.
    pub reason: String,
}

/// A member that is driven.
pub trait Driver {
    /// Who answers, and its disks.
    ///
    /// # Errors
    /// [`CallError`].
    fn look(&self) -> Result<(Identity, Vec<DiskSeen>), CallError>;

    /// What it would do; nothing is kept of it.
    ///
    /// # Errors
    /// [`CallError`].
    fn plan(&self, request: &TaskRequest, completeness: PlanCompleteness) -> Result<Planned, CallError>;

    /// Makes the task of `order`, or finds the one that was made of it before. It does not begin.
    ///
    /// # Errors
    /// [`CallError`].
    fn place(&self, order: &Order) -> Result<Progress, CallError>;

    /// How a task stands.
    ///
    /// # Errors
    /// [`CallError`].
    fn progress(&self, task: TaskId) -> Result<Progress, CallError>;

    /// Tells a task what to do.
    ///
    /// # Errors
    /// [`CallError`].
    fn steer(&self, task: TaskId, steer: Steer) -> Result<Progress, CallError>;
}
