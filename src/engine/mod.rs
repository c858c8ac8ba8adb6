//! The work: which tablet is where, and how one gets to another disk.
//!
//! # How a migration flows
//!
//! ```text
//! front                   Contract::submit, and every other question and wish, as one call of a room
//!   ask/admit             rules::admission says yes, space is reserved, the journal has the row: "submitted"
//!   schedule              rules::schedule gives it a read slot and a write slot, both at once, and a thread
//!   line/attempt          one attempt, read from top to bottom:
//!     preflight             tablet, disks, space; nothing is written
//!     prepare               a shard, a staging directory with its owner's name in it
//!     data                  transfer::copy -> VerifiedCopy; the new metadata record beside it, durable and re-read
//!     finalize              files placed, COMMIT POINT, catalog switched, source retired to trash
//!   line/ending           the last row is durable, then everybody sees "completed"
//! ```
//!
//! A killed daemon settles all of it at its next start (`start`, `recover`), by a table over what the journal and the
//! disks say. Every thread that touches a disk has its own descriptor table and opens the root for itself
//! (`parts/thread`, `parts/disk`); syncs are shared (`parts/flush`); the journal has one owner (`parts/journal_thread`).
//!
//! The rooms stand in storeys, each naming only what is below it; the order is in ARCHITECTURE.md, and held by a test.
//! The engine decides nothing that `rules` can decide, and knows nothing of HTTP.

mod ask;
mod contract;
mod damage;
mod front;
mod heal;
mod ledger;
mod line;
mod look;
mod lost;
mod node;
mod operations;
mod parts;
mod recover;
mod schedule;
mod spelling;
mod start;
mod tasks;
mod tend;
mod tidy;
mod view;

pub use crate::rules::giving_up::Older;
pub use crate::rules::trash::LastCopy;
pub use contract::Contract;
pub use front::Engine;
pub use lost::{GiveUp, Loss, LostMigration, LostTablet};
pub(crate) use parts::events::EventRing;
pub use parts::events::{Continuity, EventBatch, EventCursor, EventKind, EventView};
pub(crate) use parts::keys::Keys;
pub use parts::known_disks::{has_run, misplaced_disks};
pub use parts::verbs::{actions, next_steps, waits_at_gate};
pub use start::StartError;
pub use tend::settings::{ConfigChangeError, Persistence};
pub use view::operations::{
    Adopt, CopyNamed, Heal, OperationView, PurgeQuarantine, QuarantineFilter, QuarantineView, Restore,
    RestoreQuarantined, SalvageTo, SetAside, VerifyMany,
};
pub(crate) use view::page_limit;
pub use view::trash::{PurgeOutcome, PurgeSelect, TrashFilter, TrashMarker, TrashPage, TrashView};
pub use view::{
    Destination, DiskView, HistogramView, JournalView, ListOrder, MigrationFilter, NewTask, PaceView, Page,
    Pin, Precondition, RuleAnswer, RuleBinds, StateSpace, StepTotals, Submit, TabletFilter, TabletView,
    TargetFilter, TaskChange, TaskFilter, TaskView, Totals, UndoneOnDisk, UndoneView, UnrecordedFilter,
    UnrecordedOnDisk, UnrecordedView, Validation,
};
