//! Why a tablet stays.

use super::inventory::Inventory;
use crate::model::{DiskIndex, TimestampMs, counted, utc};

/// Why a tablet that the request is about does not move.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Reason {
    #[error("pinned: no plan moves it; unpin it first")]
    Pinned,
    /// A migration owns it and takes it to another disk.
    #[error("a migration is moving it to disk {} already", to.0)]
    Moving { to: DiskIndex },
    /// A migration is bringing it to a disk that is to be drained.
    #[error("a migration is bringing it from disk {}; abort it or drain again afterwards", from.0)]
    Arriving { from: DiskIndex },
    /// It is where it was asked to go.
    #[error("it is there already")]
    AlreadyThere,
    /// Its disk cannot be read.
    #[error("its disk is {condition} and cannot be read")]
    SourceUnreadable {
        /// The disk's condition in a word.
        condition: &'static str,
    },
    /// It was moved not long ago.
    #[error("moved too recently; a rebalance may move it again at {} (rebalance_cool_down_sec)", utc(*until_ms))]
    CoolingDown {
        /// When it may be.
        until_ms: TimestampMs,
    },
    /// Moving it is not worth the trouble.
    #[error(
        "its {size_bytes} bytes are less than a rebalance moves (rebalance_min_move_bytes = {min_bytes})"
    )]
    TooSmall { size_bytes: u64, min_bytes: u64 },
    /// The plan is as long as it may be.
    #[error("the plan is full with {}; plan again when that is done", counted(*max_moves, "move"))]
    MoveLimit { max_moves: usize },
}

impl Reason {
    /// The reason with paths: what the planner knows by number means nothing to people.
    pub fn in_words(self, inventory: &Inventory) -> String {
        match self {
            Self::Moving { to } => format!("a migration is moving it to {} already", inventory.path(to)),
            Self::Arriving { from } => format!(
                "a migration is bringing it from {}; abort it or drain again afterwards",
                inventory.path(from)
            ),
            other => other.to_string(),
        }
    }
}
