//! From what the engine shows to what goes over the wire. Pure: the time is told, never asked for.

use super::{
    Blocker, Check, DamagedTablet, Disk, DiskCounters, DiskMigrations, FailureBody, LogLine, Migration,
    MigrationTotals, NodeStatus, Pace, PurgedItem, Receipt, Slots, StateDir, Step, StepTotal, Timestamp,
    TrashItem, UnavailableTablet, UnreadableTablet, Validation,
};
use crate::engine::{self, DiskView, JournalView, PurgeOutcome, StepTotals, Totals, TrashView};
use crate::model::{self, DiskCondition, Hold, Status, StepStatus, TabletKey, TimestampMs};

impl Migration {
    /// The resource as it stands at `now` on the node of this name.
    pub fn from_model(migration: model::Migration, now: TimestampMs, node: &str) -> Self {
        let counters = DiskCounters::from(migration.counters);
        let recent = migration.counters.recent_bytes_per_sec;
        let waits = engine::waits_at_gate(&migration);
        let phase = migration.phase();
        let blockers = blockers(&migration, now);
        let next_steps = engine::next_steps(&migration);
        let actions = engine::actions(&migration);
        let running = migration.steps.last().filter(|step| step.status == StepStatus::Running);
        let unit = running.map(|step| step.step);
        let speed = speed_bytes_per_sec(&migration, now);
        let unverified_bytes = counters.disk_total_bytes.saturating_sub(counters.disk_verified_bytes);
        Self {
            id: migration.id,
            object_id: migration.id.in_24_digits(),
            migration_hosts: vec![node.to_owned()],
            tablet_id: migration.key.tablet_id,
            schema_hash: migration.key.schema_hash,
            source_disk: migration.source.path,
            dest_disk: migration.destination.path,
            status: migration.status,
            phase,
            status_reason: migration.status_reason,
            mode: migration.mode,
            priority: migration.priority,
            reason: migration.request_reason,
            task_id: migration.task,
            requested_by: migration.steering.requested_by,
            unit,
            next_steps,
            actions,
            blockers,
            ready_for_cutover: waits && migration.status == Status::Ready,
            waits_since: migration.steering.waits_since_ms.map(Timestamp),
            cutover_deadline: migration.steering.deadline_ms.map(Timestamp),
            forced: migration.steering.haste == model::Haste::Forced,
            rate_bytes_per_sec: migration.steering.rate_bytes_per_sec.unwrap_or(0),
            in_doubt_since: migration.steering.in_doubt_since_ms.map(Timestamp),
            reverts: migration.steering.reverts,
            reverted_by: migration.steering.reverted_by,
            attempts: migration.attempts,
            steps: Some(steps(migration.id, migration.steps)),
            counters,
            speed_bytes_per_sec: speed,
            bps: speed,
            recent_bps: (recent > 0).then_some(recent),
            eta_seconds: match (migration.status, speed) {
                (Status::Copying, Some(speed)) if speed > 0 => Some(unverified_bytes.div_ceil(speed)),
                _ => None,
            },
            error: migration.failure.map(Into::into),
            receipt: migration.receipt.map(Into::into),
            created_at: Timestamp(migration.created_ms),
            updated_at: Timestamp(migration.updated_ms),
            finished_at: migration.finished_ms.map(Timestamp),
            last_progress_at: migration.last_progress_ms.map(Timestamp),
            not_before: migration.not_before_ms.map(Timestamp),
        }
    }
}

/// What it waits for. The engine has put the reason of this moment into words.
fn blockers(migration: &model::Migration, now: TimestampMs) -> Vec<Blocker> {
    let (kind, since) = match migration.status {
        Status::Queued if migration.failure.as_ref().is_some_and(|why| why.code.is_want_of_space()) => {
            ("space", Some(migration.updated_ms))
        }
        Status::Queued if migration.not_before_ms.is_some_and(|at| at > now) => {
            ("backoff", Some(migration.updated_ms))
        }
        Status::Queued => ("queue", Some(migration.updated_ms)),
        Status::Paused => {
            let by = match migration.steering.held_by {
                None => "operator",
                Some(Hold::Task) => "task",
                Some(Hold::Disk) => "disk",
            };
            (by, Some(migration.updated_ms))
        }
        _ if migration.hung_disk.is_some() => ("disk", None),
        _ if migration.steering.in_doubt_since_ms.is_some() => {
            ("operator", migration.steering.in_doubt_since_ms)
        }
        _ if engine::waits_at_gate(migration) => ("operator", migration.steering.waits_since_ms),
        _ => return Vec::new(),
    };
    let text = migration.status_reason.clone();
    vec![Blocker { kind: kind.to_owned(), text, since: since.map(Timestamp) }]
}

/// Mean speed: of the data step that is under way, or of the whole of a completed migration.
fn speed_bytes_per_sec(migration: &model::Migration, now: TimestampMs) -> Option<u64> {
    let (bytes, elapsed_ms) = match (migration.status, &migration.receipt) {
        (Status::Completed, Some(receipt)) => (receipt.bytes, receipt.duration_ms),
        (Status::Copying, _) => {
            let data = migration.steps.iter().rfind(|step| step.step == model::Step::Data)?;
            let counters = migration.counters;
            let moved = counters.copied_bytes.saturating_sub(counters.resumed_bytes);
            (moved, u64::try_from(now.saturating_sub(data.started_ms)).unwrap_or(0))
        }
        _ => return None,
    };
    let per_sec = u128::from(bytes) * 1000 / u128::from(elapsed_ms.max(1));
    Some(u64::try_from(per_sec).unwrap_or(u64::MAX))
}

impl From<model::Counters> for DiskCounters {
    fn from(counters: model::Counters) -> Self {
        Self {
            disk_total_bytes: counters.total_bytes,
            disk_processed_bytes: counters.copied_bytes,
            disk_remaining_bytes: counters.total_bytes.saturating_sub(counters.copied_bytes),
            disk_verified_bytes: counters.verified_bytes,
            disk_resumed_bytes: counters.resumed_bytes,
            disk_cloned_bytes: counters.cloned_bytes,
            disk_total_files: counters.total_files,
            disk_verified_files: counters.verified_files,
            throttled_ms: counters.throttled_ms,
        }
    }
}

/// One row for each step, however often it was entered.
fn steps(id: model::MigrationId, runs: Vec<model::StepRecord>) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    for run in runs {
        let model::StepRecord { step, status, started_ms, ended_ms, logs, checks } = run;
        let (started_at, ended_at) = (Timestamp(started_ms), ended_ms.map(Timestamp));
        let mut logs: Vec<_> =
            logs.into_iter().map(|entry| LogLine { at: Timestamp(entry.at_ms), text: entry.text }).collect();
        let checks = checks
            .into_iter()
            .map(|model::StepCheck { name, status, found }| Check { name, status, found })
            .collect();
        let Some(known) = steps.iter_mut().find(|known| known.step == step) else {
            let id = format!("{id}-{step}");
            steps.push(Step { id, step, status, attempts: 1, started_at, ended_at, logs, checks });
            continue;
        };
        known.attempts += 1;
        let again = format!("entered again, attempt {}", known.attempts);
        known.logs.push(LogLine { at: started_at, text: again });
        known.logs.append(&mut logs);
        (known.status, known.ended_at, known.checks) = (status, ended_at, checks);
    }
    steps
}

impl From<model::Receipt> for Receipt {
    fn from(receipt: model::Receipt) -> Self {
        Self {
            generation: receipt.generation,
            files: receipt.files,
            bytes: receipt.bytes,
            manifest_crc32: format!("{:08x}", receipt.manifest_crc32),
            verified_cold: receipt.verified_cold,
            pause_us: receipt.pause_us,
            duration_ms: receipt.duration_ms,
            trash_path: receipt.trash_path,
        }
    }
}

impl From<model::Failure> for FailureBody {
    fn from(failure: model::Failure) -> Self {
        Self { code: failure.code.to_string(), message: failure.message }
    }
}

impl From<engine::Validation> for Validation {
    fn from(validation: engine::Validation) -> Self {
        Self {
            dry_run: true,
            would_be_accepted: validation.refusal.is_none(),
            dest_disk: validation.destination,
            error: validation.refusal.map(Into::into),
            checks: validation.checks.into_iter().map(Into::into).collect(),
        }
    }
}

impl From<DiskView> for Disk {
    fn from(view: DiskView) -> Self {
        let slots = |(in_use, limit)| Slots { in_use, limit };
        let migrations = |queued, (paused, running)| DiskMigrations { queued, paused, running };
        Self {
            path: view.path,
            uuid: view.uuid.map(|uuid| uuid.to_string()),
            medium: view.medium,
            condition: view.condition.as_str().to_owned(),
            condition_reason: view.condition.reason().to_owned(),
            total_bytes: view.capacity.total_bytes,
            avail_bytes: view.capacity.avail_bytes,
            reserved_bytes: view.reserved.bytes,
            total_inodes: view.capacity.total_inodes,
            avail_inodes: view.capacity.avail_inodes,
            reserved_inodes: view.reserved.inodes,
            tablet_count: view.tablet_count,
            tablet_bytes: view.tablet_bytes,
            trash_bytes: view.trash_bytes,
            file_system: view.file_system,
            shares_file_system_with: view.shares_file_system_with,
            read_slots: slots(view.read_slots),
            write_slots: slots(view.write_slots),
            queued_from: view.queued_from,
            queued_to: view.queued_to,
            migrations_from: migrations(view.queued_from, view.paused_and_running_from),
            migrations_to: migrations(view.queued_to, view.paused_and_running_to),
            task_ids: view.tasks,
            rate_limit_bytes_per_sec: view.rate_limit_bytes_per_sec,
            pace: view.pace.map(|pace| Pace {
                rate_bytes_per_sec: pace.rate_bytes_per_sec,
                reason: pace.reason,
                latency_us: pace.latency_us,
                calm_latency_us: pace.calm_latency_us,
                stall_permille: pace.stall_permille,
            }),
            throttled_ms: view.throttled_ms,
            safe_to_remove: view.not_safe_because.is_none(),
            not_safe_because: view.not_safe_because,
            undone_count: view.undone.count,
            undone_bytes: view.undone.bytes,
            undone: view.undone.items.into_iter().map(Into::into).collect(),
            unrecorded_count: view.unrecorded.count,
            unrecorded_bytes: view.unrecorded.bytes,
            unrecorded_not_looked_at: view.unrecorded.not_looked_at,
        }
    }
}

impl From<TrashView> for TrashItem {
    fn from(view: TrashView) -> Self {
        Self {
            disk: view.disk,
            entry: view.entry,
            tablet_id: view.key.tablet_id,
            schema_hash: view.key.schema_hash,
            size_bytes: view.size_bytes,
            generation: view.generation,
            moved_to: view.moved_to,
            migration_id: view.migration_id,
            retired_at: view.retired_ms.map(Timestamp),
            kept_because: view.kept_because,
            kept_until: view.kept_until_ms.map(Timestamp),
        }
    }
}

/// Only dry runs are answered so: what is purged is told by an operation.
impl From<PurgeOutcome> for PurgedItem {
    fn from(outcome: PurgeOutcome) -> Self {
        Self {
            item: outcome.item.into(),
            purged: false,
            would_be_purged: outcome.outcome.is_ok(),
            not_purged_because: outcome.outcome.err(),
        }
    }
}

impl NodeStatus {
    /// The node at a glance.
    pub fn from_engine(totals: Totals, disks: &[DiskView], unavailable: Vec<(TabletKey, String)>) -> Self {
        let mut by_condition: std::collections::BTreeMap<_, _> =
            DiskCondition::WORDS.into_iter().map(|condition| (condition.to_owned(), 0)).collect();
        for disk in disks {
            *by_condition.entry(disk.condition.as_str().to_owned()).or_default() += 1;
        }
        Self {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            uptime_seconds: totals.uptime_seconds,
            disks: by_condition,
            state_dir: (&totals.journal).into(),
            tablets: totals.tablets,
            tablets_unavailable: totals.unavailable,
            unavailable_tablets: unavailable
                .into_iter()
                .map(|(TabletKey { tablet_id, schema_hash }, unavailable)| UnavailableTablet {
                    tablet_id,
                    schema_hash,
                    unavailable,
                })
                .collect(),
            damaged_tablets: totals
                .damaged
                .iter()
                .map(|view| DamagedTablet {
                    tablet_id: view.key.tablet_id,
                    schema_hash: view.key.schema_hash,
                    disk: view.disk.clone(),
                    damaged: view.damaged.clone().unwrap_or_default(),
                })
                .collect(),
            unreadable_tablets: totals
                .unreadable
                .iter()
                .map(|view| UnreadableTablet {
                    tablet_id: view.key.tablet_id,
                    schema_hash: view.key.schema_hash,
                    disk: view.disk.clone(),
                    unreadable: view.unreadable.clone().unwrap_or_default(),
                })
                .collect(),
            undone_count: disks.iter().map(|disk| disk.undone.count).sum(),
            undone: disks.iter().flat_map(|disk| disk.undone.items.iter().cloned().map(Into::into)).collect(),
            queued: totals.queued,
            running: totals.running,
            totals: totals.into(),
        }
    }
}

impl From<&JournalView> for StateDir {
    fn from(journal: &JournalView) -> Self {
        Self {
            path: journal.state_dir.clone(),
            available_bytes: journal.space.map(|space| space.available_bytes),
            total_bytes: journal.space.map(|space| space.total_bytes),
            is_full: journal.full,
            waiting_rows: journal.waiting_rows,
            journal_failed: journal.failed,
            journal_lost: journal.lost,
            trouble: journal.trouble.clone(),
        }
    }
}

impl From<Totals> for MigrationTotals {
    fn from(totals: Totals) -> Self {
        let step = |total: StepTotals| StepTotal {
            step: total.step,
            seconds: total.seconds,
            done: total.done,
            failed: total.failed,
        };
        Self {
            accepted: totals.accepted,
            started: totals.started,
            completed: totals.completed,
            failed: totals.failed,
            aborted: totals.aborted,
            expired: totals.expired,
            retried: totals.retried,
            refused: totals.refused.into_iter().map(|(code, count)| (code.to_string(), count)).collect(),
            copied_bytes: totals.copied_bytes,
            verified_bytes: totals.verified_bytes,
            throttled_ms: totals.throttled_ms,
            steps: totals.steps.into_iter().map(step).collect(),
            quarantined: totals.quarantined,
            purged: totals.purged,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::tests::sample;
    use crate::model::Counters;

    #[test]
    fn a_running_migration_shows_speed_and_time_left() {
        let mut migration = sample::migration(Status::Copying);
        migration.counters = Counters {
            total_bytes: 1000,
            copied_bytes: 600,
            verified_bytes: 400,
            resumed_bytes: 200,
            ..Counters::default()
        };
        let shown = Migration::from_model(migration, sample::DATA_STARTED_MS + 2000, "n");
        assert_eq!(shown.speed_bytes_per_sec, Some(200));
        assert_eq!(shown.eta_seconds, Some(3));
        assert_eq!(shown.counters.disk_remaining_bytes, 400);
    }

    #[test]
    fn nothing_is_claimed_about_speed_while_no_bytes_move() {
        for status in [Status::Queued, Status::Paused, Status::Failed] {
            let shown = Migration::from_model(sample::migration(status), sample::DATA_STARTED_MS, "n");
            assert_eq!((shown.speed_bytes_per_sec, shown.eta_seconds), (None, None), "{status}");
        }
        // A clock set back during the copy must not divide by nothing or by less.
        let shown = Migration::from_model(sample::migration(Status::Copying), 0, "n");
        assert!(shown.speed_bytes_per_sec.is_some());
    }

    /// The attempts of a step are one step, and what the last one looked at is what counts.
    #[test]
    fn a_step_that_is_entered_again_is_the_same_step() {
        let run = |step, status, started_ms, found: &str| model::StepRecord {
            step,
            status,
            started_ms,
            ended_ms: Some(started_ms + 1),
            logs: vec![model::LogEntry { at_ms: started_ms, text: found.to_owned() }],
            checks: vec![model::StepCheck { name: "space".into(), status, found: found.to_owned() }],
        };
        let (preflight, prepare) = (model::Step::Preflight, model::Step::Prepare);
        let runs = vec![
            run(preflight, StepStatus::Done, 1, "first"),
            run(prepare, StepStatus::Error, 3, "failed"),
            run(preflight, StepStatus::Error, 5, "second"),
        ];
        let steps = steps(model::MigrationId(7), runs);
        let ids: Vec<_> = steps.iter().map(|step| (step.id.as_str(), step.attempts)).collect();
        assert_eq!(ids, [("7-preflight", 2), ("7-prepare", 1)]);
        let first = &steps[0];
        assert_eq!((first.started_at, first.ended_at), (Timestamp(1), Some(Timestamp(6))));
        assert_eq!((first.status, first.checks[0].found.as_str()), (StepStatus::Error, "second"));
        let said: Vec<_> = first.logs.iter().map(|line| line.text.as_str()).collect();
        assert_eq!(said, ["first", "entered again, attempt 2", "second"]);
    }

    #[test]
    fn what_waits_again_is_still_being_worked_on() {
        let mut migration = sample::migration(Status::Queued);
        assert_eq!(migration.phase(), model::Phase::Working);
        migration.steps.clear();
        assert_eq!(migration.phase(), model::Phase::New);
        for &status in Status::ALL.iter().filter(|status| **status != Status::Queued) {
            assert_eq!(sample::migration(status).phase(), status.phase());
        }
    }

    #[test]
    fn the_resource_reads_back_as_it_was_written() {
        for &status in Status::ALL {
            let shown = Migration::from_model(sample::migration(status), sample::DATA_STARTED_MS, "n");
            let text = serde_json::to_string(&shown).unwrap();
            assert_eq!(serde_json::from_str::<Migration>(&text).unwrap(), shown);
            for field in ["next_steps", "disk_total_bytes", "source_disk", "created_at", "last_progress_at"] {
                assert!(text.contains(&format!("\"{field}\":")), "{field} in {text}");
            }
        }
    }
}
