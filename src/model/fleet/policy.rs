//! How a campaign goes about it: how many at once, in which order, when it stops by itself.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::model::{PlanCompleteness, quoted};

/// How many members may move at once: `4`, or `10%` of those that are selected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MembersLimit {
    /// So many.
    Count(u32),
    /// This share of them, rounded down, at least one.
    Percent(u32),
}

/// No limit of that form.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{} is no limit of members; write a number from 1, or a share from 1% to 100%", quoted(.0))]
pub struct InvalidLimit(String);

impl FromStr for MembersLimit {
    type Err = InvalidLimit;

    fn from_str(text: &str) -> Result<Self, InvalidLimit> {
        let number = |text: &str| text.parse::<u32>().ok().filter(|number| *number > 0);
        let limit = match text.strip_suffix('%') {
            Some(share) => number(share).filter(|share| *share <= 100).map(Self::Percent),
            None => number(text).map(Self::Count),
        };
        limit.ok_or_else(|| InvalidLimit(text.to_owned()))
    }
}

impl fmt::Display for MembersLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Count(count) => write!(f, "{count}"),
            Self::Percent(share) => write!(f, "{share}%"),
        }
    }
}

impl Serialize for MembersLimit {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for MembersLimit {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Written {
            Number(u32),
            Text(String),
        }
        let text = match Written::deserialize(deserializer)? {
            Written::Number(number) => number.to_string(),
            Written::Text(text) => text,
        };
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// Which member goes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Order {
    /// The one with the fullest disk.
    #[default]
    FullestFirst,
    /// As they were named; by name where they were chosen by labels.
    AsListed,
}

/// What becomes of a member that does not answer when it is its turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Unreachable {
    /// It is waited for; others go on, and it takes nothing from the failure budget.
    #[default]
    Wait,
    /// It is left out.
    Skip,
    /// It has failed.
    Fail,
}

/// What becomes of a member that is no longer as it was when the campaign was approved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Drift {
    /// Its part fails: somebody looks again.
    Refuse,
    /// It is planned anew and goes on, where the new plan has at most so many per cent more bytes and so many more moves.
    Within {
        /// More bytes than were approved, in per cent.
        bytes_percent: u32,
        /// More moves than were approved.
        moves: u64,
    },
}

impl Default for Drift {
    fn default() -> Self {
        Self::Within { bytes_percent: 10, moves: 100 }
    }
}

/// The rules of one campaign. What is left out is careful: one member at a time, and a stop at the first failure.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Policy {
    /// Members that may move at once: `4`, or `10%` of those that are selected.
    #[schema(value_type = String, example = "10%")]
    pub max_members: MembersLimit,
    /// Of those that share the value of a label, so many at once: `{"rack": 1}`; `cluster` is a label too.
    pub max_per_label: BTreeMap<String, u32>,
    /// Who goes first.
    pub order: Order,
    /// So many go first and alone; the others wait until all of them are done.
    pub canary: u32,
    /// How long the others wait after that, in seconds.
    pub bake_sec: u32,
    /// The others also wait for `{"approve": {}}`.
    pub approve_after_canary: bool,
    /// Hours of the day in which members may begin, such as `22:00-06:00`; all of them when empty.
    pub windows: String,
    /// What those hours count from, as an offset from UTC in minutes.
    pub utc_offset_minutes: i32,
    /// More failed members than this pause the campaign.
    pub failures_max: u32,
    /// So many failures one after the other pause it; 0 is no such limit.
    pub failures_in_a_row: u32,
    /// What becomes of a member that does not answer.
    pub unreachable: Unreachable,
    /// What becomes of a member that has changed since the approval.
    pub drift: Drift,
    /// Whether a member that cannot be done in full is begun.
    pub completeness: PlanCompleteness,
    /// A member is looked at once more so many seconds after its last move.
    pub settle_sec: u32,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            max_members: MembersLimit::Count(1),
            max_per_label: BTreeMap::new(),
            order: Order::default(),
            canary: 0,
            bake_sec: 0,
            approve_after_canary: false,
            windows: String::new(),
            utc_offset_minutes: 0,
            failures_max: 0,
            failures_in_a_row: 0,
            unreachable: Unreachable::default(),
            drift: Drift::default(),
            completeness: PlanCompleteness::default(),
            settle_sec: 0,
        }
    }
}
