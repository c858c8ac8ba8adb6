//! Where a migration stands: the exact status, the coarse phase, and the steps an operator sees.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

macro_rules! named_enum {
    ($(#[$outer:meta])* $name:ident { $($(#[$doc:meta])* $variant:ident = $text:literal,)* }) => {
        $(#[$outer])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum $name { $($(#[$doc])* #[serde(rename = $text)] $variant,)* }

        impl $name {
            /// Every value, in order.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The name used in the API, the journal and the documentation.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)* }
            }
        }

        // By hand: a derive inside a macro does not see the names.
        impl utoipa::PartialSchema for $name {
            fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
                utoipa::openapi::ObjectBuilder::new()
                    .schema_type(utoipa::openapi::schema::Type::String)
                    .enum_values(Some(Self::ALL.iter().map(|value| value.as_str())))
                    .into()
            }
        }

        impl utoipa::ToSchema for $name {}

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.as_str())
            }
        }

        impl FromStr for $name {
            type Err = String;
            fn from_str(text: &str) -> Result<Self, String> {
                Self::ALL.iter().copied().find(|value| value.as_str() == text).ok_or_else(|| {
                    let known: Vec<_> = Self::ALL.iter().map(|value| value.as_str()).collect();
                    format!("{} is not one of {}", $crate::model::quoted(text), known.join(", "))
                })
            }
        }
    };
}

named_enum! {
    /// The exact state of a migration.
    Status {
        /// Accepted and journalled; waiting for a slot on both disks.
        Queued = "queued",
        /// Checking tablet, disks and space.
        Preflight = "preflight",
        /// Gate: preflight passed; `stepwise` waits here.
        PreflightPassed = "preflight_passed",
        /// Gate: bytes reserved and staging made; `stepwise` waits here.
        Prepared = "prepared",
        /// Bytes are being copied, synced and read back.
        Copying = "copying",
        /// Gate: a verified copy stands in staging; `manual_cutover` and `stepwise` wait here.
        Ready = "ready",
        /// The swap is under way; it can no longer be aborted.
        Finalizing = "finalizing",
        /// The destination owns the tablet and the source is in trash.
        Completed = "completed",
        /// Stopped by an operator; goes on where it was.
        Paused = "paused",
        /// Being undone: staging is removed, the source stays.
        Aborting = "aborting",
        /// Undone.
        Aborted = "aborted",
        /// Gave up; the source is untouched.
        Failed = "failed",
        /// Waited at a gate past its deadline; the source is untouched.
        Expired = "expired",
    }
}

named_enum! {
    /// The coarse state, six words for dashboards.
    Phase {
        /// Nothing done yet.
        New = "NEW",
        /// Under way.
        Working = "WORKING",
        /// Done.
        Complete = "COMPLETE",
        /// Gave up.
        Failed = "FAILED",
        /// Undone on request.
        Aborted = "ABORTED",
        /// Waited too long at a gate.
        Expired = "EXPIRED",
    }
}

named_enum! {
    /// A part of a migration an operator can see.
    Step {
        /// Check tablet, disks, space.
        Preflight = "preflight",
        /// Reserve space, make staging.
        Prepare = "prepare",
        /// Copy, sync, read back.
        Data = "data",
        /// Swap, retire the source.
        Finalize = "finalize",
        /// Undo.
        Abort = "abort",
    }
}

named_enum! {
    /// How a step ended, or has not yet.
    StepStatus {
        /// Under way.
        Running = "running",
        /// Ended well.
        Done = "done",
        /// Ended badly; the migration may still retry.
        Error = "error",
    }
}

impl Status {
    /// The coarse phase.
    pub const fn phase(self) -> Phase {
        match self {
            Self::Queued => Phase::New,
            Self::Completed => Phase::Complete,
            Self::Failed => Phase::Failed,
            Self::Aborted => Phase::Aborted,
            Self::Expired => Phase::Expired,
            Self::Preflight
            | Self::PreflightPassed
            | Self::Prepared
            | Self::Copying
            | Self::Ready
            | Self::Finalizing
            | Self::Paused
            | Self::Aborting => Phase::Working,
        }
    }

    /// Whether the migration is over.
    pub const fn is_final(self) -> bool {
        matches!(self.phase(), Phase::Complete | Phase::Failed | Phase::Aborted | Phase::Expired)
    }
}
