//! The work: which tablet is where, and how one gets to another disk.
//!
//! # How a migration flows
//!
//! ```text
//! Engine::submit          rules::admission says yes, space is reserved, the journal has the row: "submitted"
//!   scheduler             rules::schedule gives it a read slot and a write slot, both at once, and a thread
//!   line                  one attempt, read from top to bottom:
//!     preflight             tablet, disks, space; nothing is written
//!     prepare               a shard, a staging directory with its owner's name in it
//!     data                  transfer::copy -> VerifiedCopy; the new metadata record beside it, durable and re-read
//!     finalize              gate closed, files placed, COMMIT POINT, catalog switched, source retired to trash
//!   Node::end             the last row is durable, then everybody sees "completed"
//! ```
//!
//! A killed daemon settles all of it at its next start (`start`, `recover`), by a table over what the journal and the
//! disks say. Every thread that touches a disk has its own descriptor table and opens the root for itself (`thread`,
//! `disk`); syncs are shared (`flush`); the journal has one owner (`journal_thread`).
//!
//! The engine decides nothing that `rules` can decide, and knows nothing of HTTP.

mod ask;
mod heal;
mod ledger;
mod line;
mod look;
mod lost;
mod node;
mod operate;
mod operations;
mod parts;
mod recover;
mod schedule;
mod start;
mod tasks;
mod tend;
mod view;

use std::sync::Arc;
use std::time::Duration;

pub use crate::rules::giving_up::Older;
pub use crate::rules::trash::LastCopy;
pub use ask::go_on::{actions, next_steps, waits_at_gate};
pub use lost::{GiveUp, Loss, LostMigration, LostTablet};
pub use parts::events::{Continuity, EventBatch, EventCursor, EventKind, EventView};
pub use parts::known_disks::misplaced_disks;
pub use start::StartError;
pub use tend::settings::{ConfigChangeError, Persistence};
pub use view::operations::{
    Adopt, CopyNamed, Heal, OperationView, PurgeQuarantine, QuarantineFilter, QuarantineView, Restore,
    RestoreQuarantined, SalvageTo, SetAside, VerifyMany,
};
pub use view::{
    Destination, DiskView, HistogramView, JournalView, ListOrder, MigrationFilter, NewTask, PaceView, Page,
    Pin, Precondition, PurgeOutcome, PurgeSelect, RuleAnswer, RuleBinds, StateSpace, StepTotals, Submit,
    TabletFilter, TabletView, TargetFilter, TaskChange, TaskFilter, TaskView, Totals, TrashFilter,
    TrashMarker, TrashPage, TrashView, UndoneOnDisk, UndoneView, UnrecordedFilter, UnrecordedOnDisk,
    UnrecordedView, Validation,
};

use self::ask::{admit, go_on, stop};
use self::look::{digests, disks, facts, migrations, tablets};
use self::node::Node;
use self::tend::{last_seen, settings, trash};
use crate::config::{self, Config, Reload};
use crate::model::{
    ErrorCode, Failure, Migration, MigrationId, Priority, SchemaHash, Step, TabletId, TabletKey, TabletRecord,
};
use crate::rules::gate::Verb;

/// The node's engine. Cheap to clone; every method may block on a disk or on the journal, none awaits.
#[derive(Clone)]
pub struct Engine(Arc<Node>);

impl Engine {
    /// Opens the disks and the journal, settles what was unfinished and goes to work.
    ///
    /// # Errors
    /// Every reason at once: broken disks (unless `ignore_broken_disk`), the journal, the state directory.
    pub fn start(loaded: config::Loaded) -> Result<Self, StartError> {
        start::start(loaded).map(Self)
    }

    /// Accepts a migration; it is journalled when this returns.
    ///
    /// # Errors
    /// The refusal, with its reason.
    pub fn submit(&self, request: &Submit) -> Result<Migration, Failure> {
        admit::submit(&self.0, request)
    }

    /// What would become of a request. Nothing is changed.
    pub fn validate(&self, request: &Submit) -> Validation {
        admit::validate(&self.0, request)
    }

    /// One migration with the progress of this moment; also after its end.
    ///
    /// # Errors
    /// `JOURNAL_UNAVAILABLE`, for one that only the journal can know.
    pub fn migration(&self, id: MigrationId) -> Result<Option<Migration>, Failure> {
        migrations::migration(&self.0, id)
    }

    /// The newest migration of a tablet.
    ///
    /// # Errors
    /// As [`Engine::migration`].
    pub fn latest_migration(&self, key: TabletKey) -> Result<Option<Migration>, Failure> {
        migrations::latest_migration(&self.0, key)
    }

    /// Migrations, ascending by number.
    ///
    /// # Errors
    /// `JOURNAL_UNAVAILABLE`.
    pub fn migrations(&self, filter: &MigrationFilter) -> Result<Page<Migration>, Failure> {
        migrations::migrations(&self.0, filter)
    }

    /// Where somebody begins who wants to hear what happens from now on. Waits for nothing.
    pub fn event_cursor(&self) -> EventCursor {
        self.0.events.now()
    }

    /// What happened after `cursor` to one migration, or to all. Waits for nothing.
    pub fn events_after(&self, cursor: EventCursor, of: Option<MigrationId>) -> EventBatch {
        self.0.events.after(cursor, of)
    }

    /// Calls a migration off. Asynchronous: one that is running stops at its next block.
    ///
    /// # Errors
    /// `MIGRATION_NOT_FOUND`; `ILLEGAL_TRANSITION` once its swap has begun.
    pub fn abort(&self, id: MigrationId) -> Result<Migration, Failure> {
        stop::abort(&self.0, id)
    }

    /// Stops a migration for a while; what is verified is kept. Asynchronous, as [`Engine::abort`].
    ///
    /// # Errors
    /// As [`Engine::abort`].
    pub fn pause(&self, id: MigrationId) -> Result<Migration, Failure> {
        stop::pause(&self.0, id)
    }

    /// Lets a paused migration go on.
    ///
    /// # Errors
    /// `MIGRATION_NOT_FOUND`, `ILLEGAL_TRANSITION`.
    pub fn resume(&self, id: MigrationId) -> Result<Migration, Failure> {
        admit::resume(&self.0, id)
    }

    /// Tries an ended migration again, under its number.
    ///
    /// # Errors
    /// As [`Engine::submit`]; `MIGRATION_NOT_FOUND`, `ILLEGAL_TRANSITION`.
    pub fn retry(&self, id: MigrationId) -> Result<Migration, Failure> {
        admit::retry(&self.0, id)
    }

    /// Does the step behind the gate a migration waits at; [`Step::Abort`] calls it off. Asynchronous.
    ///
    /// # Errors
    /// `MIGRATION_NOT_FOUND`; `STEP_NOT_ALLOWED` with what is.
    pub fn run_step(&self, id: MigrationId, step: Step) -> Result<Migration, Failure> {
        match step {
            Step::Abort => stop::abort(&self.0, id).map_err(|failure| match failure.code {
                ErrorCode::IllegalTransition => Failure { code: ErrorCode::StepNotAllowed, ..failure },
                _ => failure,
            }),
            step => go_on::open_gate(&self.0, id, step, Verb::Run(step)),
        }
    }

    /// Swaps a migration in that waits in `ready`. Asynchronous.
    ///
    /// # Errors
    /// `MIGRATION_NOT_FOUND`, `ILLEGAL_TRANSITION`.
    pub fn cutover(&self, id: MigrationId) -> Result<Migration, Failure> {
        go_on::open_gate(&self.0, id, Step::Finalize, Verb::Cutover)
    }

    /// Past every gate, every limit and every other one in line. Asynchronous.
    ///
    /// # Errors
    /// `MIGRATION_NOT_FOUND`, `ILLEGAL_TRANSITION`.
    pub fn force_complete(&self, id: MigrationId) -> Result<Migration, Failure> {
        go_on::force_complete(&self.0, id)
    }

    /// Moves the deadline of a migration at a gate.
    ///
    /// # Errors
    /// `MIGRATION_NOT_FOUND`, `ILLEGAL_TRANSITION`.
    pub fn extend(&self, id: MigrationId, seconds: u64) -> Result<Migration, Failure> {
        go_on::extend(&self.0, id, seconds)
    }

    /// Gives a migration a bandwidth limit of its own, in bytes copied per second; 0 takes it away. Felt at once.
    ///
    /// # Errors
    /// `MIGRATION_NOT_FOUND`, `ILLEGAL_TRANSITION`.
    pub fn set_rate(&self, id: MigrationId, rate_bytes_per_sec: u64) -> Result<Migration, Failure> {
        go_on::set_rate(&self.0, id, rate_bytes_per_sec)
    }

    /// Gives a migration another place in line.
    ///
    /// # Errors
    /// `MIGRATION_NOT_FOUND`, `ILLEGAL_TRANSITION`.
    pub fn set_priority(&self, id: MigrationId, priority: Priority) -> Result<Migration, Failure> {
        go_on::set_priority(&self.0, id, priority)
    }

    /// Takes a completed move back by a new migration, while the trash holds its source. The new one is returned.
    ///
    /// # Errors
    /// `NOT_REVERTIBLE` with the reason; as [`Engine::submit`].
    pub fn revert(&self, id: MigrationId, caller: &str) -> Result<Migration, Failure> {
        go_on::revert(&self.0, id, caller)
    }

    /// Ends the doubt about a swap: on its source, or else on its destination, whichever takes a record.
    ///
    /// # Errors
    /// `ILLEGAL_TRANSITION` where it is not in doubt; `SWAP_IN_DOUBT` where neither disk takes one, with the way out.
    pub fn settle(&self, id: MigrationId) -> Result<Migration, Failure> {
        go_on::settle(&self.0, id)
    }

    /// Every rule's answer to: may this tablet go to that disk?
    pub fn explain(&self, key: TabletKey, disk: &str) -> Vec<RuleAnswer> {
        facts::explain_move(&self.0, key, disk)
    }

    /// All tablets of an id on this node (normally one).
    pub fn tablets_by_id(&self, id: TabletId) -> Vec<TabletView> {
        tablets::tablets_by_id(&self.0, id)
    }

    /// One tablet.
    pub fn tablet(&self, key: TabletKey) -> Option<TabletView> {
        tablets::tablet(&self.0, key)
    }

    /// Tablets, ascending by id.
    pub fn tablets(&self, filter: &TabletFilter) -> Page<TabletView> {
        tablets::tablets(&self.0, filter)
    }

    /// Calls `visit` for every served tablet, under a read lock: be quick.
    pub fn for_each_tablet(&self, visit: &mut dyn FnMut(&TabletView)) {
        tablets::for_each_tablet(&self.0, visit);
    }

    /// Tablets that are known but not served, and why; at most so many.
    pub fn unavailable_tablets(&self, most: usize) -> Vec<(TabletKey, String)> {
        migrations::unavailable_tablets(&self.0, most)
    }

    /// What to answer for a tablet that [`Engine::tablet`] does not have: `TABLET_UNAVAILABLE` with the reason, or
    /// `TABLET_NOT_FOUND`.
    pub fn why_not_served(&self, id: TabletId, hash: Option<SchemaHash>) -> Failure {
        migrations::why_not_served(&self.0, id, hash)
    }

    /// All configured disks, in order.
    pub fn disks(&self) -> Vec<DiskView> {
        disks::disks(&self.0)
    }

    /// Reads the tablet's metadata record from its disk.
    ///
    /// # Errors
    /// `TABLET_NOT_FOUND`, `TABLET_UNAVAILABLE`, or what the disk says.
    pub fn record(&self, key: TabletKey) -> Result<TabletRecord, Failure> {
        migrations::record(&self.0, key)
    }

    /// MD5 of each file, by name.
    ///
    /// # Errors
    /// As [`Engine::record`].
    pub fn file_digests(&self, key: TabletKey) -> Result<Vec<(String, [u8; 16])>, Failure> {
        digests::file_digests(&self.0, key)
    }

    /// What is in trash. Without a tablet's id its total counts entries: one holds one tablet, unless another program put
    /// it there.
    ///
    /// # Errors
    /// `DISK_NOT_FOUND`; a disk did not answer.
    pub fn trash(&self, filter: &TrashFilter) -> Result<TrashPage, Failure> {
        trash::list(&self.0, filter)
    }

    /// What [`Engine::purge`] would purge.
    ///
    /// # Errors
    /// `DISK_NOT_FOUND`; a disk did not answer.
    pub fn would_purge(&self, select: &PurgeSelect) -> Result<Vec<PurgeOutcome>, Failure> {
        trash::would_purge(&self.0, select)
    }

    /// Purges from trash what is named, each after a cold check of its live copy. An operation.
    ///
    /// # Errors
    /// `DISK_NOT_FOUND`; `QUEUE_FULL`.
    pub fn purge(&self, select: &PurgeSelect, requested_by: &str) -> Result<OperationView, Failure> {
        trash::purge(&self.0, select, requested_by)
    }

    /// Counters since the start of the process.
    pub fn totals(&self) -> Totals {
        migrations::totals(&self.0)
    }

    /// What is wrong with the journal or with the directory it is in, and the way out. Waits for nothing.
    pub fn journal_trouble(&self) -> Option<String> {
        self.0.journal.health.view().trouble
    }

    /// Reads the configuration in force.
    pub fn with_config<R>(&self, read: impl FnOnce(&Config) -> R) -> R {
        read(&self.0.config())
    }

    /// Changes one key at run time.
    ///
    /// # Errors
    /// The key is unknown, fixed, or does not take the value; or it is changed and could not be kept.
    pub fn set_config(
        &self,
        key: &str,
        value: &str,
        persistence: Persistence,
    ) -> Result<(), ConfigChangeError> {
        settings::change(&self.0, key, value, persistence)
    }

    /// Reads the files of the configuration again. Keys that change at run time change, the others are named;
    /// `storage_root_path` is among these.
    ///
    /// # Errors
    /// `INVALID_ARGUMENT` with every problem of the files; nothing was changed.
    pub fn reload_config(&self) -> Result<Reload, Failure> {
        settings::reload(&self.0)
    }

    /// Stops accepting, brings running migrations to a safe point within `grace`, and closes the journal.
    pub fn shutdown(&self, grace: Duration) {
        self.0.stop();
        schedule::drain(&self.0, grace);
        last_seen::write(&self.0);
        self.0.journal.stop();
    }
}
