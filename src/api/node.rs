//! All the API knows of the engine: one object-safe trait, so that handlers can be tried against a made-up node.

use std::time::Duration;

use crate::config::{Config, Dialect, Reload, ShownKey};
use crate::engine::{
    Adopt, ConfigChangeError, DiskView, Engine, EventBatch, EventCursor, GiveUp, Heal, Loss, MigrationFilter,
    NewTask, OperationView, Page, Persistence, PurgeOutcome, PurgeQuarantine, PurgeSelect, QuarantineFilter,
    QuarantineView, Restore, RestoreQuarantined, RuleAnswer, SalvageTo, SetAside, Submit, TabletFilter,
    TabletView, TargetFilter, TaskChange, TaskFilter, TaskView, Totals, TrashFilter, TrashPage,
    UnrecordedFilter, UnrecordedView, Validation, VerifyMany,
};
use crate::model::{
    Failure, Inspection, Medium, MigrateTarget, Migration, MigrationId, OperationId, Priority, SchemaHash,
    Step, TabletCheck, TabletId, TabletKey, TabletRecord, TaskId, TaskPlan,
};

/// The node behind the API. Every method may block on a disk or on the journal; see [`Engine`] for what each does.
#[allow(missing_docs)]
pub trait Node: Send + Sync + 'static {
    fn submit(&self, submit: &Submit) -> Result<Migration, Failure>;
    fn validate(&self, submit: &Submit) -> Validation;
    fn migration(&self, id: MigrationId) -> Result<Option<Migration>, Failure>;
    fn latest_migration(&self, key: TabletKey) -> Result<Option<Migration>, Failure>;
    fn migrations(&self, filter: &MigrationFilter) -> Result<Page<Migration>, Failure>;
    /// Waits for nothing.
    fn event_cursor(&self) -> EventCursor;
    /// Waits for nothing.
    fn events_after(&self, cursor: EventCursor, of: Option<MigrationId>) -> EventBatch;
    fn abort(&self, id: MigrationId) -> Result<Migration, Failure>;
    fn pause(&self, id: MigrationId) -> Result<Migration, Failure>;
    fn resume(&self, id: MigrationId) -> Result<Migration, Failure>;
    fn retry(&self, id: MigrationId) -> Result<Migration, Failure>;
    fn run_step(&self, id: MigrationId, step: Step) -> Result<Migration, Failure>;
    fn cutover(&self, id: MigrationId) -> Result<Migration, Failure>;
    fn force_complete(&self, id: MigrationId) -> Result<Migration, Failure>;
    fn extend(&self, id: MigrationId, seconds: u64) -> Result<Migration, Failure>;
    fn set_rate(&self, id: MigrationId, rate_bytes_per_sec: u64) -> Result<Migration, Failure>;
    fn set_priority(&self, id: MigrationId, priority: Priority) -> Result<Migration, Failure>;
    fn revert(&self, id: MigrationId, caller: &str) -> Result<Migration, Failure>;
    fn settle(&self, id: MigrationId) -> Result<Migration, Failure>;
    fn plan_task(&self, request: &NewTask) -> Result<TaskPlan, Failure>;
    fn create_task(&self, request: &NewTask) -> Result<TaskView, Failure>;
    fn tasks(&self, filter: &TaskFilter) -> Page<TaskView>;
    fn task(&self, id: TaskId) -> Result<TaskView, Failure>;
    fn start_task(&self, id: TaskId) -> Result<TaskView, Failure>;
    fn stop_task(&self, id: TaskId) -> Result<TaskView, Failure>;
    fn pause_task(&self, id: TaskId, disks: &[String]) -> Result<TaskView, Failure>;
    fn resume_task(&self, id: TaskId, disks: &[String]) -> Result<TaskView, Failure>;
    fn replan_task(&self, id: TaskId, requested_by: &str) -> Result<TaskView, Failure>;
    fn cancel_task(&self, id: TaskId) -> Result<TaskView, Failure>;
    fn cancel_drains(&self, path: &str) -> Result<Vec<TaskView>, Failure>;
    fn update_task(&self, id: TaskId, change: &TaskChange) -> Result<TaskView, Failure>;
    fn migrate_targets(&self, id: TaskId, filter: &TargetFilter) -> Result<Page<MigrateTarget>, Failure>;
    fn delete_task(&self, id: TaskId) -> Result<(), Failure>;
    fn explain(&self, key: TabletKey, disk: &str) -> Vec<RuleAnswer>;
    fn tablets_by_id(&self, id: TabletId) -> Vec<TabletView>;
    fn tablet(&self, key: TabletKey) -> Option<TabletView>;
    fn tablets(&self, filter: &TabletFilter) -> Page<TabletView>;
    fn unavailable_tablets(&self, most: usize) -> Vec<(TabletKey, String)>;
    fn why_not_served(&self, id: TabletId, hash: Option<SchemaHash>) -> Failure;
    fn for_each_tablet(&self, visit: &mut dyn FnMut(&TabletView));
    fn pin(&self, key: TabletKey, by: String, reason: String) -> Result<TabletView, Failure>;
    fn unpin(&self, key: TabletKey) -> Result<TabletView, Failure>;
    fn verify(&self, key: TabletKey) -> Result<TabletCheck, Failure>;
    fn last_verification(&self, key: TabletKey) -> Result<TabletCheck, Failure>;
    fn disks(&self) -> Vec<DiskView>;
    fn disk(&self, path: &str) -> Result<DiskView, Failure>;
    fn register_disk(&self, path: &str, medium: Medium) -> Result<DiskView, Failure>;
    fn forget_disk(&self, path: &str) -> Result<(), Failure>;
    fn forget_lost_disk(&self, request: &GiveUp) -> Result<Loss, Failure>;
    fn replace_disk(&self, request: &GiveUp) -> Result<Loss, Failure>;
    fn enable_disk(&self, path: &str) -> Result<DiskView, Failure>;
    fn disable_disk(&self, path: &str, by: String, reason: String) -> Result<DiskView, Failure>;
    fn set_disk_limits(&self, path: &str, rate_bytes_per_sec: Option<u64>) -> Result<DiskView, Failure>;
    fn record(&self, key: TabletKey) -> Result<TabletRecord, Failure>;
    fn file_digests(&self, key: TabletKey) -> Result<Vec<(String, [u8; 16])>, Failure>;
    fn trash(&self, filter: &TrashFilter) -> Result<TrashPage, Failure>;
    fn heal(&self, request: &Heal) -> Result<OperationView, Failure>;
    fn salvage(&self, request: &SalvageTo) -> Result<OperationView, Failure>;
    fn restore(&self, request: &Restore) -> Result<OperationView, Failure>;
    fn would_purge(&self, select: &PurgeSelect) -> Result<Vec<PurgeOutcome>, Failure>;
    fn purge(&self, select: &PurgeSelect, requested_by: &str) -> Result<OperationView, Failure>;
    fn adopt(&self, request: &Adopt) -> Result<OperationView, Failure>;
    /// See [`Engine::verify_many`].
    fn verify_many(&self, request: &VerifyMany) -> Result<OperationView, Failure>;
    /// See [`Engine::set_aside`].
    fn set_aside(&self, request: &SetAside) -> Result<OperationView, Failure>;
    fn unrecorded(&self, filter: &UnrecordedFilter) -> Result<Page<UnrecordedView>, Failure>;
    fn quarantine(&self, filter: &QuarantineFilter) -> Result<Page<QuarantineView>, Failure>;
    fn quarantined(&self, disk: &str, entry: &str) -> Result<QuarantineView, Failure>;
    fn restore_quarantined(&self, request: &RestoreQuarantined) -> Result<OperationView, Failure>;
    fn purge_quarantine(&self, request: &PurgeQuarantine) -> Result<OperationView, Failure>;
    fn operation(&self, id: OperationId) -> Result<OperationView, Failure>;
    fn operations(&self, limit: usize) -> Page<OperationView>;
    fn cancel_operation(&self, id: OperationId) -> Result<OperationView, Failure>;
    fn totals(&self) -> Totals;
    /// Waits for nothing.
    fn journal_trouble(&self) -> Option<String>;
    /// Whose answers `/api/tablet_migration` gives; can change at run time.
    fn dialect(&self) -> Dialect;
    /// Every key with its present value, sorted by name.
    fn shown_config(&self) -> Vec<ShownKey>;
    /// Changes one key at run time.
    fn set_config(&self, key: &str, value: &str, persistence: Persistence) -> Result<(), ConfigChangeError>;
    /// Reads the files of the configuration again.
    fn reload_config(&self) -> Result<Reload, Failure>;
    /// Whether its roots are those of a Doris backend.
    fn has_doris_roots(&self) -> bool {
        false
    }
    /// What a drain of such roots would move, and what it would leave; reads every record and lists every directory.
    fn inspect(&self) -> Option<Inspection> {
        None
    }
    fn shutdown(&self, grace: Duration);
}

impl Node for Engine {
    fn submit(&self, submit: &Submit) -> Result<Migration, Failure> {
        Self::submit(self, submit)
    }
    fn validate(&self, submit: &Submit) -> Validation {
        Self::validate(self, submit)
    }
    fn migration(&self, id: MigrationId) -> Result<Option<Migration>, Failure> {
        Self::migration(self, id)
    }
    fn latest_migration(&self, key: TabletKey) -> Result<Option<Migration>, Failure> {
        Self::latest_migration(self, key)
    }
    fn migrations(&self, filter: &MigrationFilter) -> Result<Page<Migration>, Failure> {
        Self::migrations(self, filter)
    }
    fn event_cursor(&self) -> EventCursor {
        Self::event_cursor(self)
    }
    fn events_after(&self, cursor: EventCursor, of: Option<MigrationId>) -> EventBatch {
        Self::events_after(self, cursor, of)
    }
    fn abort(&self, id: MigrationId) -> Result<Migration, Failure> {
        Self::abort(self, id)
    }
    fn pause(&self, id: MigrationId) -> Result<Migration, Failure> {
        Self::pause(self, id)
    }
    fn resume(&self, id: MigrationId) -> Result<Migration, Failure> {
        Self::resume(self, id)
    }
    fn retry(&self, id: MigrationId) -> Result<Migration, Failure> {
        Self::retry(self, id)
    }
    fn run_step(&self, id: MigrationId, step: Step) -> Result<Migration, Failure> {
        Self::run_step(self, id, step)
    }
    fn cutover(&self, id: MigrationId) -> Result<Migration, Failure> {
        Self::cutover(self, id)
    }
    fn force_complete(&self, id: MigrationId) -> Result<Migration, Failure> {
        Self::force_complete(self, id)
    }
    fn extend(&self, id: MigrationId, seconds: u64) -> Result<Migration, Failure> {
        Self::extend(self, id, seconds)
    }
    fn set_rate(&self, id: MigrationId, rate_bytes_per_sec: u64) -> Result<Migration, Failure> {
        Self::set_rate(self, id, rate_bytes_per_sec)
    }
    fn set_priority(&self, id: MigrationId, priority: Priority) -> Result<Migration, Failure> {
        Self::set_priority(self, id, priority)
    }
    fn revert(&self, id: MigrationId, caller: &str) -> Result<Migration, Failure> {
        Self::revert(self, id, caller)
    }
    fn settle(&self, id: MigrationId) -> Result<Migration, Failure> {
        Self::settle(self, id)
    }
    fn plan_task(&self, request: &NewTask) -> Result<TaskPlan, Failure> {
        Self::plan_task(self, request)
    }
    fn create_task(&self, request: &NewTask) -> Result<TaskView, Failure> {
        Self::create_task(self, request)
    }
    fn tasks(&self, filter: &TaskFilter) -> Page<TaskView> {
        Self::tasks(self, filter)
    }
    fn task(&self, id: TaskId) -> Result<TaskView, Failure> {
        Self::task(self, id)
    }
    fn start_task(&self, id: TaskId) -> Result<TaskView, Failure> {
        Self::start_task(self, id)
    }
    fn stop_task(&self, id: TaskId) -> Result<TaskView, Failure> {
        Self::stop_task(self, id)
    }
    fn pause_task(&self, id: TaskId, disks: &[String]) -> Result<TaskView, Failure> {
        Self::pause_task(self, id, disks)
    }
    fn resume_task(&self, id: TaskId, disks: &[String]) -> Result<TaskView, Failure> {
        Self::resume_task(self, id, disks)
    }
    fn replan_task(&self, id: TaskId, requested_by: &str) -> Result<TaskView, Failure> {
        Self::replan_task(self, id, requested_by)
    }
    fn cancel_task(&self, id: TaskId) -> Result<TaskView, Failure> {
        Self::cancel_task(self, id)
    }
    fn cancel_drains(&self, path: &str) -> Result<Vec<TaskView>, Failure> {
        Self::cancel_drains(self, path)
    }
    fn update_task(&self, id: TaskId, change: &TaskChange) -> Result<TaskView, Failure> {
        Self::update_task(self, id, change)
    }
    fn migrate_targets(&self, id: TaskId, filter: &TargetFilter) -> Result<Page<MigrateTarget>, Failure> {
        Self::migrate_targets(self, id, filter)
    }
    fn delete_task(&self, id: TaskId) -> Result<(), Failure> {
        Self::delete_task(self, id)
    }
    fn explain(&self, key: TabletKey, disk: &str) -> Vec<RuleAnswer> {
        Self::explain(self, key, disk)
    }
    fn tablets_by_id(&self, id: TabletId) -> Vec<TabletView> {
        Self::tablets_by_id(self, id)
    }
    fn tablet(&self, key: TabletKey) -> Option<TabletView> {
        Self::tablet(self, key)
    }
    fn tablets(&self, filter: &TabletFilter) -> Page<TabletView> {
        Self::tablets(self, filter)
    }
    fn unavailable_tablets(&self, most: usize) -> Vec<(TabletKey, String)> {
        Self::unavailable_tablets(self, most)
    }
    fn why_not_served(&self, id: TabletId, hash: Option<SchemaHash>) -> Failure {
        Self::why_not_served(self, id, hash)
    }
    fn for_each_tablet(&self, visit: &mut dyn FnMut(&TabletView)) {
        Self::for_each_tablet(self, visit);
    }
    fn pin(&self, key: TabletKey, by: String, reason: String) -> Result<TabletView, Failure> {
        Self::pin(self, key, by, reason)
    }
    fn unpin(&self, key: TabletKey) -> Result<TabletView, Failure> {
        Self::unpin(self, key)
    }
    fn verify(&self, key: TabletKey) -> Result<TabletCheck, Failure> {
        Self::verify(self, key)
    }
    fn verify_many(&self, request: &VerifyMany) -> Result<OperationView, Failure> {
        Self::verify_many(self, request)
    }
    fn last_verification(&self, key: TabletKey) -> Result<TabletCheck, Failure> {
        Self::last_verification(self, key)
    }
    fn disk(&self, path: &str) -> Result<DiskView, Failure> {
        Self::disk(self, path)
    }
    fn disks(&self) -> Vec<DiskView> {
        Self::disks(self)
    }
    fn register_disk(&self, path: &str, medium: Medium) -> Result<DiskView, Failure> {
        Self::register_disk(self, path, medium)
    }
    fn forget_disk(&self, path: &str) -> Result<(), Failure> {
        Self::forget_disk(self, path)
    }
    fn forget_lost_disk(&self, request: &GiveUp) -> Result<Loss, Failure> {
        Self::forget_lost_disk(self, request)
    }
    fn replace_disk(&self, request: &GiveUp) -> Result<Loss, Failure> {
        Self::replace_disk(self, request)
    }
    fn enable_disk(&self, path: &str) -> Result<DiskView, Failure> {
        Self::enable_disk(self, path)
    }
    fn disable_disk(&self, path: &str, by: String, reason: String) -> Result<DiskView, Failure> {
        Self::disable_disk(self, path, by, reason)
    }
    fn set_disk_limits(&self, path: &str, rate_bytes_per_sec: Option<u64>) -> Result<DiskView, Failure> {
        Self::set_disk_limits(self, path, rate_bytes_per_sec)
    }
    fn record(&self, key: TabletKey) -> Result<TabletRecord, Failure> {
        Self::record(self, key)
    }
    fn file_digests(&self, key: TabletKey) -> Result<Vec<(String, [u8; 16])>, Failure> {
        Self::file_digests(self, key)
    }
    fn trash(&self, filter: &TrashFilter) -> Result<TrashPage, Failure> {
        Self::trash(self, filter)
    }
    fn heal(&self, request: &Heal) -> Result<OperationView, Failure> {
        Self::heal(self, request)
    }
    fn salvage(&self, request: &SalvageTo) -> Result<OperationView, Failure> {
        Self::salvage(self, request)
    }
    fn restore(&self, request: &Restore) -> Result<OperationView, Failure> {
        Self::restore(self, request)
    }
    fn would_purge(&self, select: &PurgeSelect) -> Result<Vec<PurgeOutcome>, Failure> {
        Self::would_purge(self, select)
    }
    fn purge(&self, select: &PurgeSelect, requested_by: &str) -> Result<OperationView, Failure> {
        Self::purge(self, select, requested_by)
    }
    fn adopt(&self, request: &Adopt) -> Result<OperationView, Failure> {
        Self::adopt(self, request)
    }
    fn set_aside(&self, request: &SetAside) -> Result<OperationView, Failure> {
        Self::set_aside(self, request)
    }
    fn unrecorded(&self, filter: &UnrecordedFilter) -> Result<Page<UnrecordedView>, Failure> {
        Self::unrecorded(self, filter)
    }
    fn quarantine(&self, filter: &QuarantineFilter) -> Result<Page<QuarantineView>, Failure> {
        Self::quarantine(self, filter)
    }
    fn quarantined(&self, disk: &str, entry: &str) -> Result<QuarantineView, Failure> {
        Self::quarantined(self, disk, entry)
    }
    fn restore_quarantined(&self, request: &RestoreQuarantined) -> Result<OperationView, Failure> {
        Self::restore_quarantined(self, request)
    }
    fn purge_quarantine(&self, request: &PurgeQuarantine) -> Result<OperationView, Failure> {
        Self::purge_quarantine(self, request)
    }
    fn operation(&self, id: OperationId) -> Result<OperationView, Failure> {
        Self::operation(self, id)
    }
    fn operations(&self, limit: usize) -> Page<OperationView> {
        Self::operations(self, limit)
    }
    fn cancel_operation(&self, id: OperationId) -> Result<OperationView, Failure> {
        Self::cancel_operation(self, id)
    }
    fn totals(&self) -> Totals {
        Self::totals(self)
    }
    fn journal_trouble(&self) -> Option<String> {
        Self::journal_trouble(self)
    }
    fn dialect(&self) -> Dialect {
        self.with_config(|config| config.tablet_migration_dialect)
    }
    fn shown_config(&self) -> Vec<ShownKey> {
        self.with_config(Config::show)
    }
    fn set_config(&self, key: &str, value: &str, persistence: Persistence) -> Result<(), ConfigChangeError> {
        Self::set_config(self, key, value, persistence)
    }
    fn reload_config(&self) -> Result<Reload, Failure> {
        Self::reload_config(self)
    }
    fn shutdown(&self, grace: Duration) {
        Self::shutdown(self, grace);
    }
}
