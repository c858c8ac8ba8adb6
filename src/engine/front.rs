//! The contract, carried out: each operation is one call of the room that does it.

use std::sync::Arc;
use std::time::Duration;

use super::ask::{admit, go_on, revert, stop};
use super::contract::Contract;
use super::heal::{quarantine, set_aside};
use super::look::{digests, disks, facts, migrations, reading, segments, tablets, totals, trash as in_trash};
use super::lost::{GiveUp, Loss};
use super::node::Node;
use super::parts::events::{EventBatch, EventCursor};
use super::spelling::{NamesDisks, as_configured, spelled};
use super::start::StartError;
use super::tend::settings::{ConfigChangeError, Persistence};
use super::tend::{
    gentle, last_seen, marks, register, service, settings, trash, unrecorded, verify, verify_many,
};
use super::view::operations::{
    Adopt, Heal, OperationView, PurgeQuarantine, QuarantineFilter, QuarantineView, Restore,
    RestoreQuarantined, SalvageTo, SetAside, VerifyMany,
};
use super::view::trash::{PurgeOutcome, PurgeSelect, TrashFilter, TrashPage};
use super::view::{
    DiskView, MigrationFilter, NewTask, Page, RuleAnswer, Submit, TabletFilter, TabletView, TargetFilter,
    TaskChange, TaskFilter, TaskView, Totals, UnrecordedFilter, UnrecordedView, Validation,
};
use crate::config::{self, Dialect, Reload, ShownKey};
use crate::engine::{heal, lost, operations, schedule, start, tasks};
use crate::model::{
    Failure, Medium, MigrateTarget, Migration, MigrationId, OperationId, Priority, SchemaHash, Step,
    TabletCheck, TabletId, TabletKey, TabletRecord, TaskId, TaskPlan,
};
use crate::rules::gate::Verb;

/// The node's engine. Cheap to clone. What it does is said in [`Contract`].
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
}

impl Contract for Engine {
    fn submit(&self, request: &Submit) -> Result<Migration, Failure> {
        admit::submit(&self.0, &request.spelled())
    }

    fn submit_all(&self, requests: &[Submit]) -> Vec<Result<Migration, Failure>> {
        admit::submit_all(&self.0, &requests.iter().map(NamesDisks::spelled).collect::<Vec<_>>())
    }

    fn validate(&self, request: &Submit) -> Validation {
        admit::validate(&self.0, &request.spelled())
    }

    fn migration(&self, id: MigrationId) -> Result<Option<Migration>, Failure> {
        migrations::migration(&self.0, id)
    }

    fn latest_migration(&self, key: TabletKey) -> Result<Option<Migration>, Failure> {
        migrations::latest_migration(&self.0, key)
    }

    fn migrations(&self, filter: &MigrationFilter) -> Result<Page<Migration>, Failure> {
        migrations::migrations(&self.0, &filter.spelled())
    }

    fn event_cursor(&self) -> EventCursor {
        self.0.events.now()
    }

    fn events_after(&self, cursor: EventCursor, of: Option<MigrationId>) -> EventBatch {
        self.0.events.after(cursor, of)
    }

    fn abort(&self, id: MigrationId) -> Result<Migration, Failure> {
        stop::abort(&self.0, id)
    }

    fn pause(&self, id: MigrationId) -> Result<Migration, Failure> {
        stop::pause(&self.0, id)
    }

    fn resume(&self, id: MigrationId) -> Result<Migration, Failure> {
        go_on::resume(&self.0, id)
    }

    fn retry(&self, id: MigrationId) -> Result<Migration, Failure> {
        go_on::retry(&self.0, id)
    }

    fn run_step(&self, id: MigrationId, step: Step) -> Result<Migration, Failure> {
        go_on::run_step(&self.0, id, step)
    }

    fn cutover(&self, id: MigrationId) -> Result<Migration, Failure> {
        go_on::open_gate(&self.0, id, Step::Finalize, Verb::Cutover)
    }

    fn force_complete(&self, id: MigrationId) -> Result<Migration, Failure> {
        go_on::force_complete(&self.0, id)
    }

    fn extend(&self, id: MigrationId, seconds: u64) -> Result<Migration, Failure> {
        go_on::extend(&self.0, id, seconds)
    }

    fn set_rate(&self, id: MigrationId, rate_bytes_per_sec: u64) -> Result<Migration, Failure> {
        go_on::set_rate(&self.0, id, rate_bytes_per_sec)
    }

    fn set_priority(&self, id: MigrationId, priority: Priority) -> Result<Migration, Failure> {
        go_on::set_priority(&self.0, id, priority)
    }

    fn revert(&self, id: MigrationId, caller: &str) -> Result<Migration, Failure> {
        revert::revert(&self.0, id, caller)
    }

    fn settle(&self, id: MigrationId) -> Result<Migration, Failure> {
        go_on::settle(&self.0, id)
    }

    fn plan_task(&self, request: &NewTask) -> Result<TaskPlan, Failure> {
        tasks::plan(&self.0, &request.spelled())
    }

    fn create_task(&self, request: &NewTask) -> Result<TaskView, Failure> {
        tasks::create(&self.0, &request.spelled())
    }

    fn tasks(&self, filter: &TaskFilter) -> Page<TaskView> {
        tasks::list(&self.0, &filter.spelled())
    }

    fn task(&self, id: TaskId) -> Result<TaskView, Failure> {
        tasks::show(&self.0, id)
    }

    fn start_task(&self, id: TaskId) -> Result<TaskView, Failure> {
        tasks::start(&self.0, id)
    }

    fn stop_task(&self, id: TaskId) -> Result<TaskView, Failure> {
        tasks::stop(&self.0, id)
    }

    fn pause_task(&self, id: TaskId, disks: &[String]) -> Result<TaskView, Failure> {
        tasks::pause(&self.0, id, &spelled(disks))
    }

    fn resume_task(&self, id: TaskId, disks: &[String]) -> Result<TaskView, Failure> {
        tasks::resume(&self.0, id, &spelled(disks))
    }

    fn replan_task(&self, id: TaskId, requested_by: &str) -> Result<TaskView, Failure> {
        tasks::replan(&self.0, id, requested_by)
    }

    fn cancel_task(&self, id: TaskId) -> Result<TaskView, Failure> {
        tasks::cancel(&self.0, id)
    }

    fn cancel_drains(&self, path: &str) -> Result<Vec<TaskView>, Failure> {
        tasks::cancel_drains(&self.0, as_configured(path))
    }

    fn update_task(&self, id: TaskId, change: &TaskChange) -> Result<TaskView, Failure> {
        tasks::update(&self.0, id, change)
    }

    fn migrate_targets(&self, id: TaskId, filter: &TargetFilter) -> Result<Page<MigrateTarget>, Failure> {
        tasks::targets(&self.0, id, &filter.spelled())
    }

    fn delete_task(&self, id: TaskId) -> Result<(), Failure> {
        tasks::delete(&self.0, id)
    }

    fn explain(&self, key: TabletKey, disk: &str) -> Vec<RuleAnswer> {
        facts::explain_move(&self.0, key, as_configured(disk))
    }

    fn tablets_by_id(&self, id: TabletId) -> Vec<TabletView> {
        tablets::tablets_by_id(&self.0, id)
    }

    fn tablet(&self, key: TabletKey) -> Option<TabletView> {
        tablets::tablet(&self.0, key)
    }

    fn tablets(&self, filter: &TabletFilter) -> Page<TabletView> {
        tablets::tablets(&self.0, &filter.spelled())
    }

    fn unavailable_tablets(&self, most: usize) -> Vec<(TabletKey, String)> {
        migrations::unavailable_tablets(&self.0, most)
    }

    fn why_not_served(&self, id: TabletId, hash: Option<SchemaHash>) -> Failure {
        migrations::why_not_served(&self.0, id, hash)
    }

    fn for_each_tablet(&self, visit: &mut dyn FnMut(&TabletView)) {
        tablets::for_each_tablet(&self.0, visit);
    }

    fn pin(&self, key: TabletKey, by: String, reason: String) -> Result<TabletView, Failure> {
        marks::pin(&self.0, key, by, reason)
    }

    fn unpin(&self, key: TabletKey) -> Result<TabletView, Failure> {
        marks::unpin(&self.0, key)
    }

    fn verify(&self, key: TabletKey) -> Result<TabletCheck, Failure> {
        verify::verify(&self.0, key)
    }

    fn last_verification(&self, key: TabletKey) -> Result<TabletCheck, Failure> {
        verify::last(&self.0, key)
    }

    fn disks(&self) -> Vec<DiskView> {
        disks::disks(&self.0)
    }

    fn disk(&self, path: &str) -> Result<DiskView, Failure> {
        disks::named(&self.0, as_configured(path))
    }

    fn register_disk(&self, path: &str, medium: Medium) -> Result<DiskView, Failure> {
        register::register(&self.0, as_configured(path), medium)?;
        disks::named(&self.0, as_configured(path))
    }

    fn forget_disk(&self, path: &str) -> Result<(), Failure> {
        register::forget(&self.0, as_configured(path))
    }

    fn forget_lost_disk(&self, request: &GiveUp) -> Result<Loss, Failure> {
        lost::forget(&self.0, &request.spelled())
    }

    fn replace_disk(&self, request: &GiveUp) -> Result<Loss, Failure> {
        lost::replace(&self.0, &request.spelled())
    }

    fn enable_disk(&self, path: &str) -> Result<DiskView, Failure> {
        service::enable(&self.0, as_configured(path))?;
        disks::named(&self.0, as_configured(path))
    }

    fn disable_disk(&self, path: &str, by: String, reason: String) -> Result<DiskView, Failure> {
        service::disable(&self.0, as_configured(path), by, reason)?;
        disks::named(&self.0, as_configured(path))
    }

    fn set_disk_limits(&self, path: &str, rate_bytes_per_sec: Option<u64>) -> Result<DiskView, Failure> {
        gentle::set_disk_rate(&self.0, as_configured(path), rate_bytes_per_sec)?;
        disks::named(&self.0, as_configured(path))
    }

    fn record(&self, key: TabletKey) -> Result<TabletRecord, Failure> {
        reading::record(&self.0, key)
    }

    fn file_digests(&self, key: TabletKey) -> Result<Vec<(String, [u8; 16])>, Failure> {
        digests::file_digests(&self.0, key)
    }

    fn lost_segments(&self) -> Result<Vec<TabletKey>, Failure> {
        segments::lost(&self.0)
    }

    fn trash(&self, filter: &TrashFilter) -> Result<TrashPage, Failure> {
        in_trash::list(&self.0, &filter.spelled())
    }

    fn heal(&self, request: &Heal) -> Result<OperationView, Failure> {
        heal::heal(&self.0, &request.spelled())
    }

    fn salvage(&self, request: &SalvageTo) -> Result<OperationView, Failure> {
        heal::salvage(&self.0, &request.spelled())
    }

    fn restore(&self, request: &Restore) -> Result<OperationView, Failure> {
        heal::restore(&self.0, &request.spelled())
    }

    fn would_purge(&self, select: &PurgeSelect) -> Result<Vec<PurgeOutcome>, Failure> {
        in_trash::would_purge(&self.0, &select.spelled())
    }

    fn purge(&self, select: &PurgeSelect, requested_by: &str) -> Result<OperationView, Failure> {
        trash::purge(&self.0, &select.spelled(), requested_by)
    }

    fn adopt(&self, request: &Adopt) -> Result<OperationView, Failure> {
        heal::adopt(&self.0, &request.spelled())
    }

    fn verify_many(&self, request: &VerifyMany) -> Result<OperationView, Failure> {
        verify_many::begin(&self.0, &request.spelled())
    }

    fn set_aside(&self, request: &SetAside) -> Result<OperationView, Failure> {
        set_aside::begin(&self.0, request)
    }

    fn unrecorded(&self, filter: &UnrecordedFilter) -> Result<Page<UnrecordedView>, Failure> {
        unrecorded::list(&self.0, &filter.spelled())
    }

    fn quarantine(&self, filter: &QuarantineFilter) -> Result<Page<QuarantineView>, Failure> {
        quarantine::list(&self.0, &filter.spelled())
    }

    fn quarantined(&self, disk: &str, entry: &str) -> Result<QuarantineView, Failure> {
        quarantine::show(&self.0, as_configured(disk), entry)
    }

    fn restore_quarantined(&self, request: &RestoreQuarantined) -> Result<OperationView, Failure> {
        heal::restore_from_quarantine(&self.0, &request.spelled())
    }

    fn purge_quarantine(&self, request: &PurgeQuarantine) -> Result<OperationView, Failure> {
        quarantine::purge(&self.0, &request.spelled())
    }

    fn operation(&self, id: OperationId) -> Result<OperationView, Failure> {
        operations::show(&self.0, id)
    }

    fn operations(&self, limit: usize) -> Page<OperationView> {
        operations::list(&self.0, limit)
    }

    fn cancel_operation(&self, id: OperationId) -> Result<OperationView, Failure> {
        operations::cancel(&self.0, id)
    }

    fn totals(&self) -> Totals {
        totals::totals(&self.0)
    }

    fn journal_trouble(&self) -> Option<String> {
        self.0.journal.health.view().trouble
    }

    fn nothing_is_served(&self) -> Option<String> {
        let hang_after = self.0.hang_after();
        let mut why = Vec::new();
        for disk in self.0.shown_disks() {
            let condition = disk.condition(hang_after);
            if condition.is_readable() {
                return None;
            }
            why.push(condition.refusal(&disk.path));
        }
        Some(format!("no disk can serve: {}", why.join("; ")))
    }

    fn dialect(&self) -> Dialect {
        self.0.config().tablet_migration_dialect
    }

    fn shown_config(&self) -> Vec<ShownKey> {
        self.0.config().show()
    }

    fn set_config(&self, key: &str, value: &str, persistence: Persistence) -> Result<(), ConfigChangeError> {
        settings::change(&self.0, key, value, persistence)
    }

    fn reload_config(&self) -> Result<Reload, Failure> {
        settings::reload(&self.0)
    }

    fn shutdown(&self, grace: Duration) {
        self.0.stop();
        schedule::drain(&self.0, grace);
        last_seen::write(&self.0);
        self.0.journal.stop();
    }
}
