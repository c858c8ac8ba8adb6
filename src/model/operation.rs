//! Operations: what an operator asks for beside migrations and may have to wait for, such as healing or purging.

use serde::{Deserialize, Serialize};

use super::TabletKey;

/// What is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum OperationKind {
    /// A damaged tablet is replaced by its newest good copy.
    Heal,
    /// A tablet that nobody serves is brought back.
    Restore,
    /// Files that no good record names become a tablet.
    Adopt,
    /// A directory that no record names goes to quarantine.
    SetAside,
    /// What can be read of a tablet is copied to another disk.
    Salvage,
    /// Tablets are read again and compared with their manifests.
    Verify,
    /// What is not needed any more goes from trash.
    PurgeTrash,
    /// What was set aside goes for good.
    PurgeQuarantine,
}

impl OperationKind {
    /// The name on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Heal => "heal",
            Self::Restore => "restore",
            Self::Adopt => "adopt",
            Self::SetAside => "set_aside",
            Self::Salvage => "salvage",
            Self::Verify => "verify",
            Self::PurgeTrash => "purge_trash",
            Self::PurgeQuarantine => "purge_quarantine",
        }
    }
}

/// Where an operation stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum OperationState {
    /// It is under way.
    Running,
    /// It came to its end; what became of each tablet is in its items.
    Completed,
    /// It did not, or did not do what it was for; the failure says why.
    Failed,
    /// An operator stopped it, or the daemon did; what was done by then stays.
    Cancelled,
}

impl OperationState {
    /// The name on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }

    /// Whether it is over.
    pub const fn is_settled(self) -> bool {
        !matches!(self, Self::Running)
    }
}

/// What became of one tablet of an operation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OperationItem {
    /// The tablet; `None` for what does not say which it is.
    pub key: Option<TabletKey>,
    /// Path of its disk.
    pub disk: String,
    /// Name of its entry in trash or quarantine.
    pub entry: Option<String>,
    /// Its size; 0 where unknown.
    pub size_bytes: u64,
    /// `Ok` when it was done; else why not.
    pub outcome: Result<(), String>,
}
