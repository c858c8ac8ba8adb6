//! Why the fleet does not do what it is asked.

use crate::model::fleet::InvalidMember;
use crate::model::quoted;
use crate::store::StoreError;

/// A refusal: a code for programs, a sentence for people, and the status that fits.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Refusal {
    pub status: u16,
    pub code: &'static str,
    /// What, and what helps.
    pub message: String,
    /// What helps, where the sentence has not said it.
    pub hint: Option<&'static str>,
}

impl Refusal {
    /// One without a hint.
    pub(super) fn new(status: u16, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into(), hint: None }
    }

    /// What was sent cannot be taken.
    pub(super) fn invalid(message: impl Into<String>) -> Self {
        Self::new(400, "INVALID_ARGUMENT", message)
    }

    /// No member of that name.
    pub(super) fn no_source(name: &str) -> Self {
        let hint = Some("tabletctl fleet source list (GET /api/v1/sources) has them");
        Self { hint, ..Self::new(404, "SOURCE_NOT_FOUND", format!("no member is called {}", quoted(name))) }
    }

    /// No process of that name.
    pub(super) fn no_process(name: &str) -> Self {
        let hint = Some("tabletctl fleet masters (GET /api/v1/cluster/masters) has them");
        let text = format!("no process of this fleet is called {}", quoted(name));
        Self { hint, ..Self::new(404, "MASTER_NOT_FOUND", text) }
    }

    /// It would be the last.
    pub(super) fn last_process(name: &str) -> Self {
        let hint = Some("systemctl stop tabletfleet ends it; members go on with what is under way");
        let text = format!("{name} is the only process of this fleet: nobody would lead");
        Self { hint, ..Self::new(409, "LAST_MASTER", text) }
    }

    /// Nobody leads, or not this one.
    pub(super) fn no_leader() -> Self {
        let hint = Some(
            "tabletctl fleet masters (GET /api/v1/cluster/masters) says who leads; what is under way at members goes on",
        );
        Self { hint, ..Self::new(503, "NO_LEADER", "nobody leads this fleet now; nothing was changed") }
    }
}

impl From<InvalidMember> for Refusal {
    fn from(error: InvalidMember) -> Self {
        Self::invalid(error.to_string())
    }
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        let (status, code) = match error {
            StoreError::Conflict(_) => (409, "CONFLICT"),
            StoreError::NotLeading => return Self::no_leader(),
            StoreError::TooLarge(_) => (409, "TOO_LARGE"),
            StoreError::InUse(_) | StoreError::Unavailable(_) => (503, "STORE_UNAVAILABLE"),
            StoreError::Unknown(_) => (503, "OUTCOME_UNKNOWN"),
        };
        Self::new(status, code, error.to_string())
    }
}
