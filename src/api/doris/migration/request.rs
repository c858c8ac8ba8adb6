//! What `/api/tablet_migration` is asked, whichever dialect it was read in.

use crate::model::TabletKey;

/// `run` or `status`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Goal {
    Run,
    Status,
}

/// A request that can be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Request {
    pub(super) goal: Goal,
    pub(super) key: TabletKey,
    pub(super) disk: String,
}
