//! A member that runs tabletd: plan, fingerprint, task, pause and cancel are its own, this room only asks for them.

use super::client::Client;
use super::driver::{CallError, DiskSeen, Driver, Identity, KIND_CHANGED, Order, Planned, refused};
use crate::api::wire::{CreateTask, Disk, List, NodeStatus, Task, TaskAction};
use crate::model::fleet::{Approved, PartCounters, Progress, Steer};
use crate::model::{PlanCompleteness, Priority, ReplanPolicy, TaskId, TaskRequest};

/// A node that runs tabletd.
pub(super) struct Tabletd(Client);

impl Tabletd {
    /// Reached by `client`.
    pub(super) const fn new(client: Client) -> Self {
        Self(client)
    }
}

impl Driver for Tabletd {
    fn look(&self) -> Result<(Identity, Vec<DiskSeen>), CallError> {
        let status: NodeStatus = self.0.get("/api/v1/status").map_err(|error| match error {
            CallError::Refused { code, .. } if code == "HTTP_404" => {
                refused(KIND_CHANGED, "it was added as tabletd, and what answers there has no /api/v1")
            }
            error => error,
        })?;
        let disks: List<Disk> = self.0.get("/api/v1/disks")?;
        let mut marks: Vec<_> = disks.data.iter().filter_map(|disk| disk.uuid.clone()).collect();
        marks.sort();
        let disks = disks.data.into_iter().map(seen).collect();
        Ok((Identity { version: status.version, marks }, disks))
    }

    fn plan(&self, request: &TaskRequest, completeness: PlanCompleteness) -> Result<Planned, CallError> {
        let asked = CreateTask { dry_run: true, ..asked(request, completeness) };
        let task: Task = self.0.post("/api/v1/tasks", &[], &asked)?;
        let plan = task.plan.ok_or_else(|| CallError::Odd("a dry run without a plan".to_owned()))?;
        let moves = u64::try_from(plan.moves.len()).unwrap_or(u64::MAX);
        let approved = Approved { fingerprint: plan.fingerprint, moves, bytes: plan.total_bytes };
        Ok(Planned { plan: approved, falls_short: plan.falls_short })
    }

    fn place(&self, order: &Order) -> Result<Progress, CallError> {
        let asked = CreateTask {
            name: order.name.clone(),
            dry_run: false,
            fingerprint: Some(order.fingerprint),
            reason: order.reason.clone(),
            ..asked(&order.request, order.completeness)
        };
        let task: Task = self.0.post("/api/v1/tasks", &[("Idempotency-Key", &order.key)], &asked)?;
        progress(task)
    }

    fn progress(&self, task: TaskId) -> Result<Progress, CallError> {
        progress(self.0.get(&format!("/api/v1/tasks/{task}"))?)
    }

    fn steer(&self, task: TaskId, steer: Steer) -> Result<Progress, CallError> {
        let action = match steer {
            Steer::Start => TaskAction::Start(None),
            Steer::Pause => TaskAction::Pause(None),
            Steer::Resume => TaskAction::Resume(None),
            Steer::Cancel => TaskAction::Cancel(None),
        };
        progress(self.0.post(&format!("/api/v1/tasks/{task}/action"), &[], &action)?)
    }
}

fn asked(request: &TaskRequest, completeness: PlanCompleteness) -> CreateTask {
    CreateTask {
        name: String::new(),
        request: request.clone(),
        completeness,
        dry_run: true,
        fingerprint: None,
        priority: Priority::default(),
        rate_bytes_per_sec: None,
        replan: ReplanPolicy::default(),
        reason: String::new(),
    }
}

fn seen(disk: Disk) -> DiskSeen {
    DiskSeen {
        path: disk.path,
        medium: disk.medium.as_str().to_owned(),
        condition: disk.condition,
        total_bytes: disk.total_bytes,
        avail_bytes: disk.avail_bytes,
        tablet_count: disk.tablet_count,
        safe_to_remove: disk.safe_to_remove,
        not_safe_because: disk.not_safe_because,
    }
}

fn progress(task: Task) -> Result<Progress, CallError> {
    let odd = || CallError::Odd("a task without a number or a status".to_owned());
    let counters = PartCounters {
        moves_total: task.progress.moves_total,
        moves_completed: task.progress.moves_completed,
        moves_failed: task.progress.moves_failed,
        bytes_total: task.progress.bytes_total,
        bytes_completed: task.progress.bytes_completed,
    };
    let failed = task.failed.first().map(|failed| format!("tablet {}: {}", failed.key, failed.reason));
    Ok(Progress {
        task_id: task.id.ok_or_else(odd)?,
        status: task.status.ok_or_else(odd)?,
        was_started: task.started_at.is_some(),
        counters,
        reason: failed.unwrap_or(task.status_reason),
        shortfall: task.shortfall,
    })
}
