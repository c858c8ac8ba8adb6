//! What steers a migration beside its status: how far it may go by itself, how fast, until when it waits, and what it
//! has to do with other migrations. Kept with its row.

use serde::{Deserialize, Serialize};

use super::text::quoted;
use super::{ErrorCode, Failure, MigrationId, Step, TimestampMs};

/// Whether an operator has asked for the end without further waiting.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Haste {
    /// In its turn and within the limits.
    #[default]
    Normal,
    /// Before every other one, past every bandwidth limit and every gate.
    Forced,
}

/// What a migration is known by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KnownBy {
    /// The request, or a row of the journal that was made of it.
    #[default]
    Request,
    /// What its staging directory says, after the journal was lost, or a row of a journal that lost its end: nobody knows
    /// what was decided since, so that it waits before its swap for an operator, as long as that takes.
    Staging,
}

/// Why what a migration made is being removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UndoneFor {
    /// An operator called it off.
    Abort,
    /// Nobody opened its gate in time.
    Deadline,
    /// Its task was given a new plan while it waited: the tablet goes elsewhere.
    Replan,
}

/// What stopped a migration for a while, and lets it go on by itself, when it was not an operator's word about that one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Hold {
    /// Its task is paused.
    Task,
    /// Its destination is disabled.
    Disk,
}

impl KnownBy {
    // The form that serde asks for.
    #[allow(clippy::trivially_copy_pass_by_ref)]
    fn is_request(&self) -> bool {
        *self == Self::Request
    }
}

/// The key a client gave its request, so that repeating the request changes nothing.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Idempotency {
    pub key: String,
    /// Of the request that came with it: the same key with another request is refused.
    pub fingerprint: String,
}

impl Idempotency {
    /// Whether this is the request again that was made `before` under the same key.
    ///
    /// # Errors
    /// `IDEMPOTENCY_MISMATCH`, with what the one before became.
    pub fn check_repeats(&self, before: &Self, became: std::fmt::Arguments<'_>) -> Result<(), Failure> {
        if before.fingerprint == self.fingerprint {
            return Ok(());
        }
        let text = format!(
            "the idempotency key {} came with another request before, which became {became}",
            quoted(&self.key)
        );
        Err(Failure::new(ErrorCode::IdempotencyMismatch, text))
    }
}

/// All of it. Everything is absent in a migration that runs by itself.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Steering {
    /// The last step an operator has let it do; `None` while only its mode says how far it goes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub released: Option<Step>,
    /// Whether it is to be over with soon.
    pub haste: Haste,
    /// Since when it waits at its gate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub waits_since_ms: Option<TimestampMs>,
    /// When it stops waiting there and is undone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deadline_ms: Option<TimestampMs>,
    /// Since when nobody knows which of its disks owns the tablet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub in_doubt_since_ms: Option<TimestampMs>,
    /// Its own bandwidth limit in bytes copied per second; `None` is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate_bytes_per_sec: Option<u64>,
    /// Why it is being undone, or was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub undone_for: Option<UndoneFor>,
    /// What holds it while it is paused; `None` when an operator paused it by its number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub held_by: Option<Hold>,
    /// What it is known by.
    #[serde(skip_serializing_if = "KnownBy::is_request")]
    pub known_by: KnownBy,
    /// The migration whose move this one takes back.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reverts: Option<MigrationId>,
    /// The migration that takes this move back.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reverted_by: Option<MigrationId>,
    /// Who asked for it: an address, or a name where callers have one.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub requested_by: String,
    /// The key of the request, if it had one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub idempotency: Option<Idempotency>,
}

impl Steering {
    /// Forgets what belongs to one run from the first step to the end; another one begins.
    pub fn start_over(&mut self) {
        let Self { released, haste, waits_since_ms, deadline_ms, undone_for, held_by, known_by, .. } = self;
        (*released, *haste, *held_by) = (None, Haste::Normal, None);
        *known_by = KnownBy::Request;
        (*waits_since_ms, *deadline_ms, *undone_for) = (None, None, None);
    }

    /// No longer at a gate, nor in doubt.
    pub fn leave_gate(&mut self) {
        (self.waits_since_ms, self.deadline_ms, self.in_doubt_since_ms) = (None, None, None);
    }

    /// Whether there is nothing to keep.
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }
}
