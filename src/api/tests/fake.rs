//! A node made of answers: each test says what it answers, and sees what it was asked.

use std::sync::{Mutex, MutexGuard, PoisonError, mpsc};
use std::time::Duration;

use serde_json::value::RawValue;

use super::sample::{self, KEY};
use crate::config::{Config, Dialect, Reload, ShownKey};
use crate::engine::Contract;
use crate::engine::{
    Adopt, ConfigChangeError, Continuity, Destination, DiskView, EventBatch, EventCursor, GiveUp, Heal, Loss,
    MigrationFilter, NewTask, OperationView, Page, Persistence, PurgeOutcome, PurgeQuarantine, PurgeSelect,
    QuarantineFilter, QuarantineView, Restore, RestoreQuarantined, RuleAnswer, RuleBinds, SalvageTo,
    SetAside, Submit, TabletFilter, TabletView, TargetFilter, TaskChange, TaskFilter, TaskView, Totals,
    TrashFilter, TrashPage, UnrecordedFilter, UnrecordedView, Validation, VerifyMany,
};
use crate::model::{
    CheckState, ErrorCode, Failure, FileEntry, Manifest, Medium, MigrateTarget, Migration, MigrationId,
    OperationId, OperationKind, OperationState, Priority, SchemaHash, ShardId, Status, Step, TabletCheck,
    TabletId, TabletKey, TabletRecord, TabletState, TaskId, TaskPlan,
};

/// What the node answers; by default it holds tablet 1_2 on `/d1` and accepts everything.
pub(super) struct Answers {
    pub(super) refusal: Option<Failure>,
    pub(super) migration: Option<Migration>,
    /// Why what only the journal knows cannot be told.
    pub(super) unreadable: Option<Failure>,
    pub(super) journal_trouble: Option<String>,
    pub(super) nothing_is_served: Option<String>,
    pub(super) tablets: Vec<TabletView>,
    pub(super) disks: Vec<DiskView>,
    pub(super) config: Config,
    pub(super) asked: Vec<String>,
    /// Of what was submitted.
    pub(super) reasons: Vec<String>,
    pub(super) migrations_total: u64,
    /// While it is there, every call on a disk waits for its other end to go.
    pub(super) hung: Option<mpsc::Receiver<()>>,
}

pub(super) struct FakeNode(Mutex<Answers>);

impl FakeNode {
    pub(super) fn new() -> Self {
        Self(Mutex::new(Answers {
            refusal: None,
            migration: None,
            unreadable: None,
            journal_trouble: None,
            nothing_is_served: None,
            tablets: vec![sample::tablet(KEY, "/d1"), sample::tablet(TabletKey::new(3, 4), "/d2")],
            disks: vec![sample::disk("/d1"), sample::disk("/d2")],
            config: Config::default(),
            asked: Vec::new(),
            reasons: Vec::new(),
            migrations_total: 40,
            hung: None,
        }))
    }

    pub(super) fn answers(&self) -> MutexGuard<'_, Answers> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn speak(&self, dialect: Dialect) {
        self.answers().config.tablet_migration_dialect = dialect;
    }

    pub(super) fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.answers().asked)
    }

    fn note(&self, what: String) -> Result<(), Failure> {
        let mut answers = self.answers();
        answers.asked.push(what);
        answers.refusal.clone().map_or(Ok(()), Err)
    }

    /// The one migration there is.
    fn known(&self) -> Result<Option<Migration>, Failure> {
        let answers = self.answers();
        answers.unreadable.clone().map_or_else(|| Ok(answers.migration.clone()), Err)
    }

    fn change(&self, verb: &str, id: MigrationId, status: Status) -> Result<Migration, Failure> {
        self.note(format!("{verb} {id}"))?;
        Ok(sample::migration(status))
    }

    fn on_disk(&self, what: String) -> Result<(), Failure> {
        let hung = self.answers().hung.take();
        if let Some(hung) = hung {
            let _ = hung.recv();
        }
        self.note(what)
    }
}

impl Contract for FakeNode {
    fn submit(&self, submit: &Submit) -> Result<Migration, Failure> {
        self.note(format!(
            "submit {} {} {:?} {:?}",
            submit.key,
            match &submit.destination {
                Destination::Disk(path) => path.clone(),
                Destination::Medium(medium) => medium.to_string(),
            },
            submit.mode,
            submit.priority
        ))?;
        let migration = sample::migration(Status::Queued);
        self.answers().reasons.push(submit.reason.clone());
        self.answers().migration = Some(migration.clone());
        Ok(migration)
    }
    fn validate(&self, submit: &Submit) -> Validation {
        let _ = self.note(format!("validate {}", submit.key));
        let refusal = self.answers().refusal.clone();
        let checks = self.explain(submit.key, "/d2");
        Validation { destination: Some("/d2".into()), checks, refusal }
    }
    fn migration(&self, id: MigrationId) -> Result<Option<Migration>, Failure> {
        Ok(self.known()?.filter(|migration| migration.id == id))
    }
    fn latest_migration(&self, key: TabletKey) -> Result<Option<Migration>, Failure> {
        Ok(self.known()?.filter(|migration| migration.key == key))
    }
    fn migrations(&self, filter: &MigrationFilter) -> Result<Page<Migration>, Failure> {
        let _ = self.note(format!("{filter:?}"));
        let items: Vec<_> = self.known()?.into_iter().collect();
        Ok(Page { total: self.answers().migrations_total, items })
    }
    fn event_cursor(&self) -> EventCursor {
        "1-0".parse().unwrap()
    }
    fn events_after(&self, cursor: EventCursor, _of: Option<MigrationId>) -> EventBatch {
        EventBatch { events: Vec::new(), next: cursor, continuity: Continuity::Whole }
    }
    fn abort(&self, id: MigrationId) -> Result<Migration, Failure> {
        self.change("abort", id, Status::Aborting)
    }
    fn pause(&self, id: MigrationId) -> Result<Migration, Failure> {
        self.change("pause", id, Status::Paused)
    }
    fn resume(&self, id: MigrationId) -> Result<Migration, Failure> {
        self.change("resume", id, Status::Copying)
    }
    fn retry(&self, id: MigrationId) -> Result<Migration, Failure> {
        self.change("retry", id, Status::Queued)
    }
    fn run_step(&self, id: MigrationId, step: Step) -> Result<Migration, Failure> {
        self.change(&format!("run {step}"), id, Status::Queued)
    }
    fn cutover(&self, id: MigrationId) -> Result<Migration, Failure> {
        self.change("cutover", id, Status::Queued)
    }
    fn force_complete(&self, id: MigrationId) -> Result<Migration, Failure> {
        self.change("force_complete", id, Status::Copying)
    }
    fn extend(&self, id: MigrationId, seconds: u64) -> Result<Migration, Failure> {
        self.change(&format!("extend {seconds}"), id, Status::Ready)
    }
    fn set_rate(&self, id: MigrationId, rate_bytes_per_sec: u64) -> Result<Migration, Failure> {
        self.change(&format!("limits {rate_bytes_per_sec}"), id, Status::Copying)
    }
    fn set_priority(&self, id: MigrationId, priority: Priority) -> Result<Migration, Failure> {
        self.change(&format!("priority {priority:?}"), id, Status::Queued)
    }
    fn revert(&self, id: MigrationId, _caller: &str) -> Result<Migration, Failure> {
        self.change("revert", id, Status::Queued)
    }
    fn settle(&self, id: MigrationId) -> Result<Migration, Failure> {
        self.change("settle", id, Status::Completed)
    }
    fn plan_task(&self, request: &NewTask) -> Result<TaskPlan, Failure> {
        self.note(format!("plan {:?}", request.request))?;
        Ok(sample::task().task.plan.clone())
    }
    fn create_task(&self, request: &NewTask) -> Result<TaskView, Failure> {
        self.note(format!("create {} {:?}", request.name, request.request))?;
        Ok(sample::task())
    }
    fn tasks(&self, filter: &TaskFilter) -> Page<TaskView> {
        let _ = self.note(format!("{filter:?}"));
        Page { total: 1, items: vec![sample::task()] }
    }
    fn task(&self, id: TaskId) -> Result<TaskView, Failure> {
        let unknown = || Failure::new(ErrorCode::TaskNotFound, format!("there is no task {id}"));
        Some(sample::task()).filter(|view| view.task.id == id).ok_or_else(unknown)
    }
    fn start_task(&self, id: TaskId) -> Result<TaskView, Failure> {
        self.note(format!("start task {id}"))?;
        self.task(id)
    }
    fn stop_task(&self, id: TaskId) -> Result<TaskView, Failure> {
        self.note(format!("stop task {id}"))?;
        self.task(id)
    }
    fn pause_task(&self, id: TaskId, disks: &[String]) -> Result<TaskView, Failure> {
        self.note(format!("pause task {id} {}", disks.join(" ")).trim_end().to_owned())?;
        self.task(id)
    }
    fn resume_task(&self, id: TaskId, disks: &[String]) -> Result<TaskView, Failure> {
        self.note(format!("resume task {id} {}", disks.join(" ")).trim_end().to_owned())?;
        self.task(id)
    }
    fn replan_task(&self, id: TaskId, requested_by: &str) -> Result<TaskView, Failure> {
        self.note(format!("replan task {id} for {requested_by}"))?;
        self.task(id)
    }
    fn cancel_task(&self, id: TaskId) -> Result<TaskView, Failure> {
        self.note(format!("cancel task {id}"))?;
        self.task(id)
    }
    fn cancel_drains(&self, path: &str) -> Result<Vec<TaskView>, Failure> {
        self.note(format!("cancel drains of {path}"))?;
        Ok(vec![sample::task()])
    }
    fn update_task(&self, id: TaskId, change: &TaskChange) -> Result<TaskView, Failure> {
        self.note(format!("update task {id} {change:?}"))?;
        self.task(id)
    }
    fn migrate_targets(&self, id: TaskId, filter: &TargetFilter) -> Result<Page<MigrateTarget>, Failure> {
        self.note(format!("targets of {id} {filter:?}"))?;
        self.task(id)?;
        Ok(Page { total: 1, items: vec![sample::target()] })
    }
    fn delete_task(&self, id: TaskId) -> Result<(), Failure> {
        self.note(format!("delete task {id}"))
    }
    fn explain(&self, key: TabletKey, disk: &str) -> Vec<RuleAnswer> {
        let detail = format!("{key} to {disk}");
        vec![RuleAnswer { rule: "space", allows: Some(true), detail, binds: RuleBinds::EveryMove }]
    }
    fn tablets_by_id(&self, id: TabletId) -> Vec<TabletView> {
        self.answers().tablets.iter().filter(|tablet| tablet.key.tablet_id == id).cloned().collect()
    }
    fn tablet(&self, key: TabletKey) -> Option<TabletView> {
        self.answers().tablets.iter().find(|tablet| tablet.key == key).cloned()
    }
    fn tablets(&self, filter: &TabletFilter) -> Page<TabletView> {
        let _ = self.note(format!("{filter:?}"));
        let tablets = self.answers().tablets.clone();
        let limit = if filter.limit == 0 { 1000 } else { filter.limit };
        Page { total: 2, items: tablets.into_iter().take(limit).collect() }
    }
    fn unavailable_tablets(&self, _most: usize) -> Vec<(TabletKey, String)> {
        vec![(TabletKey::new(5, 6), "it is on /d3, which is missing".into())]
    }
    fn why_not_served(&self, id: TabletId, _hash: Option<SchemaHash>) -> Failure {
        match id.0 {
            5 => Failure::new(ErrorCode::TabletUnavailable, "tablet 5_6 is unavailable: it is on /d3"),
            _ => Failure::new(ErrorCode::TabletNotFound, format!("no tablet {id} on this node")),
        }
    }
    fn for_each_tablet(&self, visit: &mut dyn FnMut(&TabletView)) {
        self.answers().tablets.iter().for_each(visit);
    }
    fn pin(&self, key: TabletKey, by: String, reason: String) -> Result<TabletView, Failure> {
        self.note(format!("pin {key} {reason}"))?;
        let mark = crate::model::Mark { by, reason, since_ms: sample::DATA_STARTED_MS };
        Ok(TabletView { pinned: Some(mark), ..sample::tablet(key, "/d1") })
    }
    fn unpin(&self, key: TabletKey) -> Result<TabletView, Failure> {
        self.note(format!("unpin {key}"))?;
        Ok(sample::tablet(key, "/d1"))
    }
    fn verify(&self, key: TabletKey) -> Result<TabletCheck, Failure> {
        self.on_disk(format!("verify {key}"))?;
        Ok(sample::check(key, CheckState::Running))
    }
    fn verify_many(&self, request: &VerifyMany) -> Result<OperationView, Failure> {
        self.on_disk(format!("verify {:?} of {:?}", request.tablet_ids, request.disk))?;
        Ok(sample::operation(OperationKind::Verify))
    }
    fn last_verification(&self, key: TabletKey) -> Result<TabletCheck, Failure> {
        Ok(sample::check(key, CheckState::Damaged))
    }
    fn disk(&self, path: &str) -> Result<DiskView, Failure> {
        let found = self.answers().disks.iter().find(|disk| disk.path == path).cloned();
        found.ok_or_else(|| Failure::new(ErrorCode::DiskNotFound, format!("no disk {path}")))
    }
    fn disks(&self) -> Vec<DiskView> {
        self.answers().disks.clone()
    }
    fn register_disk(&self, path: &str, medium: Medium) -> Result<DiskView, Failure> {
        self.on_disk(format!("register {path} {medium}"))?;
        Ok(sample::disk(path))
    }
    fn forget_disk(&self, path: &str) -> Result<(), Failure> {
        self.on_disk(format!("forget {path}"))
    }
    fn forget_lost_disk(&self, request: &GiveUp) -> Result<Loss, Failure> {
        self.on_disk(format!("give up {}", request.path))?;
        Ok(Loss { path: request.path.clone(), uuid: None, tablets: Vec::new(), migrations: Vec::new() })
    }
    fn replace_disk(&self, request: &GiveUp) -> Result<Loss, Failure> {
        self.on_disk(format!("replace {}", request.path))?;
        Ok(Loss { path: request.path.clone(), uuid: None, tablets: Vec::new(), migrations: Vec::new() })
    }
    fn enable_disk(&self, path: &str) -> Result<DiskView, Failure> {
        self.on_disk(format!("enable {path}"))?;
        Ok(sample::disk(path))
    }
    fn disable_disk(&self, path: &str, _by: String, reason: String) -> Result<DiskView, Failure> {
        self.on_disk(format!("disable {path} {reason}").trim().to_owned())?;
        Ok(sample::disk(path))
    }
    fn set_disk_limits(&self, path: &str, rate_bytes_per_sec: Option<u64>) -> Result<DiskView, Failure> {
        self.note(format!("limit {path} {rate_bytes_per_sec:?}"))?;
        Ok(sample::disk(path))
    }
    fn record(&self, key: TabletKey) -> Result<TabletRecord, Failure> {
        self.on_disk(format!("record {key}"))?;
        let text = r#"{"tablet_id": 1, "shard_id": 99, "rs_metas": [{"rowset_id": 5, "end_version": 3}]}"#;
        let file = FileEntry { name: "5_0.dat".into(), size_bytes: 100, crc32: Some(1) };
        Ok(TabletRecord {
            generation: 1,
            key,
            partition_id: 9,
            shard_id: ShardId(3),
            state: TabletState::Running,
            manifest: Manifest::new(vec![file]).unwrap(),
            tablet_meta: RawValue::from_string(text.into()).unwrap(),
        })
    }
    fn file_digests(&self, key: TabletKey) -> Result<Vec<(String, [u8; 16])>, Failure> {
        self.on_disk(format!("digests {key}"))?;
        Ok(vec![("5_0.dat".into(), [0xab; 16])])
    }
    fn lost_segments(&self) -> Result<Vec<TabletKey>, Failure> {
        self.on_disk("segments".into())?;
        Ok(vec![KEY])
    }
    fn trash(&self, filter: &TrashFilter) -> Result<TrashPage, Failure> {
        self.on_disk("trash".into())?;
        let _ = self.note(format!("{filter:?}"));
        Ok(TrashPage { total: 7, items: vec![sample::trash()], unreadable: vec![sample::undone()] })
    }
    fn heal(&self, request: &Heal) -> Result<OperationView, Failure> {
        self.note(format!("heal {} to {:?}, {:?}", request.tablet_id, request.to, request.older))?;
        Ok(sample::operation(OperationKind::Heal))
    }
    fn salvage(&self, request: &SalvageTo) -> Result<OperationView, Failure> {
        self.note(format!("salvage {} to {}", request.tablet_id, request.to))?;
        Ok(sample::operation(OperationKind::Salvage))
    }
    fn restore(&self, request: &Restore) -> Result<OperationView, Failure> {
        self.on_disk(format!("restore {} {:?}", request.key, request.from))?;
        if request.key.tablet_id == TabletId(404) {
            return Err(Failure::new(ErrorCode::TrashNotFound, "nothing of it in trash"));
        }
        Ok(sample::operation(OperationKind::Restore))
    }
    fn adopt(&self, request: &Adopt) -> Result<OperationView, Failure> {
        self.on_disk(format!("adopt {} to {:?}, {:?}", request.path, request.to, request.older))?;
        Ok(sample::operation(OperationKind::Adopt))
    }
    fn set_aside(&self, request: &SetAside) -> Result<OperationView, Failure> {
        self.on_disk(format!("set aside {}", request.path))?;
        Ok(sample::operation(OperationKind::SetAside))
    }
    fn unrecorded(&self, filter: &UnrecordedFilter) -> Result<Page<UnrecordedView>, Failure> {
        self.on_disk(format!("unrecorded {:?} {:?}", filter.disk, filter.tablet_id))?;
        Ok(Page { total: 1, items: vec![sample::unrecorded()] })
    }
    fn quarantine(&self, filter: &QuarantineFilter) -> Result<Page<QuarantineView>, Failure> {
        self.on_disk(format!("quarantine {:?} {:?}", filter.disk, filter.tablet_id))?;
        Ok(Page { total: 1, items: vec![sample::quarantined()] })
    }
    fn quarantined(&self, disk: &str, entry: &str) -> Result<QuarantineView, Failure> {
        self.on_disk(format!("{disk} {entry}"))?;
        Ok(sample::quarantined())
    }
    fn restore_quarantined(&self, request: &RestoreQuarantined) -> Result<OperationView, Failure> {
        let RestoreQuarantined { disk, entry, to, older, .. } = request;
        self.on_disk(format!("restore {disk} {entry} to {to:?}, {older:?}"))?;
        Ok(sample::operation(OperationKind::Restore))
    }
    fn purge_quarantine(&self, request: &PurgeQuarantine) -> Result<OperationView, Failure> {
        self.note(format!("purge {request}"))?;
        Ok(sample::operation(OperationKind::PurgeQuarantine))
    }
    fn operation(&self, id: OperationId) -> Result<OperationView, Failure> {
        let ended =
            OperationView { state: OperationState::Completed, ..sample::operation(OperationKind::Restore) };
        match id {
            OperationId(3) => Ok(ended),
            _ => Err(Failure::new(ErrorCode::OperationNotFound, "no such operation")),
        }
    }
    fn operations(&self, limit: usize) -> Page<OperationView> {
        let _ = self.note(format!("operations, at most {limit}"));
        Page { total: 1, items: vec![sample::operation(OperationKind::Heal)] }
    }
    fn cancel_operation(&self, id: OperationId) -> Result<OperationView, Failure> {
        self.note(format!("cancel operation {id}"))?;
        self.operation(id)
    }
    fn purge(&self, select: &PurgeSelect, _requested_by: &str) -> Result<OperationView, Failure> {
        self.note(format!("purge {select}"))?;
        Ok(sample::operation(OperationKind::PurgeTrash))
    }
    fn would_purge(&self, select: &PurgeSelect) -> Result<Vec<PurgeOutcome>, Failure> {
        self.on_disk(format!("look at {select}"))?;
        let kept =
            PurgeOutcome { item: sample::trash(), outcome: Err("its live copy was not read yet".into()) };
        Ok(vec![PurgeOutcome { item: sample::trash(), outcome: Ok(()) }, kept])
    }
    fn totals(&self) -> Totals {
        Totals { tablets: 2, queued: 3, uptime_seconds: 11, ..Totals::default() }
    }
    fn journal_trouble(&self) -> Option<String> {
        self.answers().journal_trouble.clone()
    }

    fn nothing_is_served(&self) -> Option<String> {
        self.answers().nothing_is_served.clone()
    }
    fn dialect(&self) -> Dialect {
        self.answers().config.tablet_migration_dialect
    }
    fn shown_config(&self) -> Vec<ShownKey> {
        self.answers().config.show()
    }
    fn set_config(&self, key: &str, value: &str, persistence: Persistence) -> Result<(), ConfigChangeError> {
        let mut answers = self.answers();
        answers.asked.push(format!("set {key}={value} {persistence:?}"));
        Ok(answers.config.set(key, value)?)
    }
    fn reload_config(&self) -> Result<Reload, Failure> {
        let config = self.answers().config.clone();
        Ok(config.reloaded(&config))
    }
    fn shutdown(&self, _grace: Duration) {}
}
