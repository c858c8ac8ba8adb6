//! The API's node over Doris roots: each call goes to its room, or is refused by the table.

use std::time::Duration;

use super::MaintenanceDaemon;
use crate::config::{Dialect, Reload, ShownKey};
use crate::engine::{
    Adopt, ConfigChangeError, Contract, DiskView, EventBatch, EventCursor, GiveUp, Heal, Loss,
    MigrationFilter, NewTask, OperationView, Page, Persistence, PurgeOutcome, PurgeQuarantine, PurgeSelect,
    QuarantineFilter, QuarantineView, Restore, RestoreQuarantined, RuleAnswer, SalvageTo, SetAside, Submit,
    TabletFilter, TabletView, TargetFilter, TaskChange, TaskFilter, TaskView, Totals, TrashFilter, TrashPage,
    UnrecordedFilter, UnrecordedView, Validation, VerifyMany,
};
use crate::model::{
    ErrorCode, Failure, Inspection, Medium, MigrateTarget, Migration, MigrationId, OperationId, Priority,
    SchemaHash, Step, TabletCheck, TabletId, TabletKey, TabletRecord, TaskId, TaskPlan, TaskStatus,
};
use crate::rules::doris_verbs::{DorisVerb, refused_on_doris};
use crate::rules::transition::Event;

fn no_operation(id: OperationId) -> Failure {
    Failure::new(ErrorCode::OperationNotFound, format!("no operation {id}: there are none on Doris roots"))
}

impl Contract for MaintenanceDaemon {
    fn submit(&self, submit: &Submit) -> Result<Migration, Failure> {
        self.0.submit(submit)
    }
    fn validate(&self, submit: &Submit) -> Validation {
        self.0.validate(submit)
    }
    fn migration(&self, id: MigrationId) -> Result<Option<Migration>, Failure> {
        self.0.migration(id)
    }
    fn latest_migration(&self, key: TabletKey) -> Result<Option<Migration>, Failure> {
        self.0.latest(key)
    }
    fn migrations(&self, filter: &MigrationFilter) -> Result<Page<Migration>, Failure> {
        self.0.list(filter)
    }
    fn event_cursor(&self) -> EventCursor {
        self.0.events.now()
    }
    fn events_after(&self, cursor: EventCursor, of: Option<MigrationId>) -> EventBatch {
        self.0.events.after(cursor, of)
    }
    fn abort(&self, id: MigrationId) -> Result<Migration, Failure> {
        self.0.abort(id, "called off by an operator")
    }
    fn pause(&self, id: MigrationId) -> Result<Migration, Failure> {
        self.0.pause(id, Event::Pause, "paused by an operator")
    }
    fn resume(&self, id: MigrationId) -> Result<Migration, Failure> {
        self.0.pause(id, Event::Resume, "resumed by an operator")
    }
    fn retry(&self, id: MigrationId) -> Result<Migration, Failure> {
        self.0.retry(id, "")
    }
    fn run_step(&self, _id: MigrationId, _step: Step) -> Result<Migration, Failure> {
        Err(refused_on_doris(DorisVerb::Steps))
    }
    fn cutover(&self, _id: MigrationId) -> Result<Migration, Failure> {
        Err(refused_on_doris(DorisVerb::Steps))
    }
    fn force_complete(&self, _id: MigrationId) -> Result<Migration, Failure> {
        Err(refused_on_doris(DorisVerb::Steps))
    }
    fn extend(&self, _id: MigrationId, _seconds: u64) -> Result<Migration, Failure> {
        Err(refused_on_doris(DorisVerb::Steps))
    }
    fn set_rate(&self, _id: MigrationId, _rate_bytes_per_sec: u64) -> Result<Migration, Failure> {
        Err(refused_on_doris(DorisVerb::Steps))
    }
    fn set_priority(&self, id: MigrationId, priority: Priority) -> Result<Migration, Failure> {
        self.0.prioritize(id, priority)
    }
    fn revert(&self, id: MigrationId, caller: &str) -> Result<Migration, Failure> {
        self.0.revert(id, caller)
    }
    fn settle(&self, _id: MigrationId) -> Result<Migration, Failure> {
        Err(refused_on_doris(DorisVerb::Settle))
    }
    fn plan_task(&self, request: &NewTask) -> Result<TaskPlan, Failure> {
        self.0.plan_task(request)
    }
    fn create_task(&self, request: &NewTask) -> Result<TaskView, Failure> {
        self.0.create_task(request)
    }
    fn tasks(&self, filter: &TaskFilter) -> Page<TaskView> {
        self.0.task_list(filter)
    }
    fn task(&self, id: TaskId) -> Result<TaskView, Failure> {
        self.0.task(id)
    }
    fn start_task(&self, id: TaskId) -> Result<TaskView, Failure> {
        self.0.steer_task(id, "started", TaskStatus::Running)
    }
    fn stop_task(&self, id: TaskId) -> Result<TaskView, Failure> {
        self.0.steer_task(id, "stopped", TaskStatus::Stopped)
    }
    fn pause_task(&self, id: TaskId, disks: &[String]) -> Result<TaskView, Failure> {
        self.0.pause_task(id, disks)
    }
    fn resume_task(&self, id: TaskId, disks: &[String]) -> Result<TaskView, Failure> {
        self.0.resume_task(id, disks)
    }
    fn replan_task(&self, _id: TaskId, _requested_by: &str) -> Result<TaskView, Failure> {
        Err(refused_on_doris(DorisVerb::Drain))
    }
    fn cancel_task(&self, id: TaskId) -> Result<TaskView, Failure> {
        self.0.cancel_task(id)
    }
    fn cancel_drains(&self, path: &str) -> Result<Vec<TaskView>, Failure> {
        self.0.cancel_drains(path)
    }
    fn update_task(&self, id: TaskId, change: &TaskChange) -> Result<TaskView, Failure> {
        self.0.update_task(id, change)
    }
    fn migrate_targets(&self, id: TaskId, filter: &TargetFilter) -> Result<Page<MigrateTarget>, Failure> {
        self.0.targets(id, filter)
    }
    fn delete_task(&self, id: TaskId) -> Result<(), Failure> {
        self.0.delete_task(id)
    }
    fn explain(&self, key: TabletKey, disk: &str) -> Vec<RuleAnswer> {
        self.0.explain(key, disk)
    }
    fn tablets_by_id(&self, id: TabletId) -> Vec<TabletView> {
        self.0.tablets_of(id)
    }
    fn tablet(&self, key: TabletKey) -> Option<TabletView> {
        self.0.tablets_of(key.tablet_id).into_iter().find(|tablet| tablet.key == key)
    }
    fn tablets(&self, filter: &TabletFilter) -> Page<TabletView> {
        self.0.tablet_page(filter)
    }
    fn unavailable_tablets(&self, most: usize) -> Vec<(TabletKey, String)> {
        self.0.unavailable(most)
    }
    fn why_not_served(&self, id: TabletId, hash: Option<SchemaHash>) -> Failure {
        self.0.why_not_served(id, hash)
    }
    fn for_each_tablet(&self, visit: &mut dyn FnMut(&TabletView)) {
        self.0.each_tablet(visit);
    }
    fn pin(&self, _key: TabletKey, _by: String, _reason: String) -> Result<TabletView, Failure> {
        Err(refused_on_doris(DorisVerb::Pin))
    }
    fn unpin(&self, _key: TabletKey) -> Result<TabletView, Failure> {
        Err(refused_on_doris(DorisVerb::Pin))
    }
    fn verify(&self, _key: TabletKey) -> Result<TabletCheck, Failure> {
        Err(refused_on_doris(DorisVerb::Verify))
    }
    fn last_verification(&self, _key: TabletKey) -> Result<TabletCheck, Failure> {
        Err(refused_on_doris(DorisVerb::Verify))
    }
    fn disks(&self) -> Vec<DiskView> {
        self.0.disks()
    }
    fn disk(&self, path: &str) -> Result<DiskView, Failure> {
        self.0.disk(path)
    }
    fn register_disk(&self, _path: &str, _medium: Medium) -> Result<DiskView, Failure> {
        Err(refused_on_doris(DorisVerb::Disks))
    }
    fn forget_disk(&self, _path: &str) -> Result<(), Failure> {
        Err(refused_on_doris(DorisVerb::Disks))
    }
    fn forget_lost_disk(&self, _request: &GiveUp) -> Result<Loss, Failure> {
        Err(refused_on_doris(DorisVerb::Disks))
    }
    fn replace_disk(&self, _request: &GiveUp) -> Result<Loss, Failure> {
        Err(refused_on_doris(DorisVerb::Disks))
    }
    fn enable_disk(&self, _path: &str) -> Result<DiskView, Failure> {
        Err(refused_on_doris(DorisVerb::Service))
    }
    fn disable_disk(&self, _path: &str, _by: String, _reason: String) -> Result<DiskView, Failure> {
        Err(refused_on_doris(DorisVerb::Service))
    }
    fn set_disk_limits(&self, _path: &str, _rate_bytes_per_sec: Option<u64>) -> Result<DiskView, Failure> {
        Err(refused_on_doris(DorisVerb::Service))
    }
    fn record(&self, key: TabletKey) -> Result<TabletRecord, Failure> {
        self.0.session.node().record(key)
    }
    fn file_digests(&self, key: TabletKey) -> Result<Vec<(String, [u8; 16])>, Failure> {
        self.0.file_digests(key)
    }
    fn lost_segments(&self) -> Result<Vec<TabletKey>, Failure> {
        self.0.lost_segments()
    }
    fn trash(&self, _filter: &TrashFilter) -> Result<TrashPage, Failure> {
        Ok(TrashPage::default())
    }
    fn heal(&self, _request: &Heal) -> Result<OperationView, Failure> {
        Err(refused_on_doris(DorisVerb::Heal))
    }
    fn salvage(&self, _request: &SalvageTo) -> Result<OperationView, Failure> {
        Err(refused_on_doris(DorisVerb::Salvage))
    }
    fn restore(&self, _request: &Restore) -> Result<OperationView, Failure> {
        Err(refused_on_doris(DorisVerb::Restore))
    }
    fn would_purge(&self, _select: &PurgeSelect) -> Result<Vec<PurgeOutcome>, Failure> {
        Err(refused_on_doris(DorisVerb::Purge))
    }
    fn purge(&self, _select: &PurgeSelect, _requested_by: &str) -> Result<OperationView, Failure> {
        Err(refused_on_doris(DorisVerb::Purge))
    }
    fn adopt(&self, _request: &Adopt) -> Result<OperationView, Failure> {
        Err(refused_on_doris(DorisVerb::Adopt))
    }
    fn verify_many(&self, _request: &VerifyMany) -> Result<OperationView, Failure> {
        Err(refused_on_doris(DorisVerb::Verify))
    }
    fn set_aside(&self, _request: &SetAside) -> Result<OperationView, Failure> {
        Err(refused_on_doris(DorisVerb::Adopt))
    }
    fn unrecorded(&self, _filter: &UnrecordedFilter) -> Result<Page<UnrecordedView>, Failure> {
        Err(refused_on_doris(DorisVerb::Adopt))
    }
    fn quarantine(&self, _filter: &QuarantineFilter) -> Result<Page<QuarantineView>, Failure> {
        Err(refused_on_doris(DorisVerb::Quarantine))
    }
    fn quarantined(&self, _disk: &str, _entry: &str) -> Result<QuarantineView, Failure> {
        Err(refused_on_doris(DorisVerb::Quarantine))
    }
    fn restore_quarantined(&self, _request: &RestoreQuarantined) -> Result<OperationView, Failure> {
        Err(refused_on_doris(DorisVerb::Quarantine))
    }
    fn purge_quarantine(&self, _request: &PurgeQuarantine) -> Result<OperationView, Failure> {
        Err(refused_on_doris(DorisVerb::Quarantine))
    }
    fn operation(&self, id: OperationId) -> Result<OperationView, Failure> {
        Err(no_operation(id))
    }
    fn operations(&self, _limit: usize) -> Page<OperationView> {
        Page { total: 0, items: Vec::new() }
    }
    fn cancel_operation(&self, id: OperationId) -> Result<OperationView, Failure> {
        Err(no_operation(id))
    }
    fn totals(&self) -> Totals {
        self.0.totals()
    }
    fn has_doris_roots(&self) -> bool {
        true
    }
    fn inspect(&self, age_max: Duration) -> Option<Inspection> {
        Some(self.0.inspect(age_max))
    }
    fn journal_trouble(&self) -> Option<String> {
        self.0.queue.halted()
    }
    fn nothing_is_served(&self) -> Option<String> {
        None
    }
    fn dialect(&self) -> Dialect {
        self.0.config().tablet_migration_dialect
    }
    fn shown_config(&self) -> Vec<ShownKey> {
        self.0.config().show()
    }
    fn set_config(&self, key: &str, value: &str, persistence: Persistence) -> Result<(), ConfigChangeError> {
        self.0.set_config(key, value, persistence)
    }
    fn reload_config(&self) -> Result<Reload, Failure> {
        self.0.reload_config()
    }
    fn shutdown(&self, grace: Duration) {
        self.0.shutdown(grace);
    }
}
