//! A new plan for what is left of a task: who may make one, and what is kept of it.

use serde::{Deserialize, Serialize};

use super::TimestampMs;

/// Whether moves of a task that cannot go on are given other destinations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ReplanPolicy {
    /// When an operator says so.
    #[default]
    WhenAsked,
    /// By itself, as soon as a destination is full, disabled or gone and another disk takes them.
    Automatic,
}

/// A new plan that a task was given.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Replanned {
    /// When.
    pub at_ms: TimestampMs,
    /// By whom.
    pub requested_by: String,
    /// Moves that were given another destination.
    pub moves: u64,
    /// What was wrong with those before, in words.
    pub reason: String,
}
