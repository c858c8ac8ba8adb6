//! A plan as it is kept, and back: the planner counts disks, the journal names them.

use crate::engine::node::Node;
use crate::model::{
    DiskIndex, DiskRef, ErrorCode, Failure, FitsNowhere, LeftOut, PlanCompleteness, PlannedDisk,
    PlannedLevel, PlannedMove, Task, TaskPlan,
};
use crate::rules::planning::{self, Frozen, Inventory, Level, Plan, Refusal};

use crate::engine::tasks::picture;

/// The plan with disks by identity and path.
///
/// # Errors
/// `DISK_UNAVAILABLE` when a disk of a move was never opened.
pub(super) fn freeze(
    node: &Node,
    inventory: &Inventory,
    plan: &Plan,
    completeness: PlanCompleteness,
) -> Result<TaskPlan, Failure> {
    let end = |disk: DiskIndex| -> Result<DiskRef, Failure> {
        node.disk(disk).reference().ok_or_else(|| {
            let text = format!("disk {} was never opened", inventory.path(disk));
            Failure::new(ErrorCode::DiskUnavailable, text)
        })
    };
    let moves = plan.moves.iter().map(|planned| {
        Ok(PlannedMove {
            key: planned.key,
            source: end(planned.source)?,
            destination: end(planned.destination)?,
            size_bytes: planned.size_bytes,
            why: planned.why.to_string(),
            formerly: Vec::new(),
        })
    });
    let disks = plan.disks.iter().map(|forecast| PlannedDisk {
        path: inventory.path(forecast.disk),
        uuid: inventory.disk(forecast.disk).and_then(|disk| disk.uuid),
        before: level(forecast.before),
        after: level(forecast.after),
    });
    let left_out =
        plan.left_out.iter().map(|(key, reason)| LeftOut { key: *key, reason: reason.in_words(inventory) });
    let fits_nowhere = plan.fits_nowhere.iter().map(|misfit| FitsNowhere {
        key: misfit.key,
        source: inventory.path(misfit.source),
        size_bytes: misfit.size_bytes,
        tried: misfit.tried.iter().map(|(disk, why)| planning::in_words(inventory, *disk, *why)).collect(),
    });
    let score = |score: f64| if score.is_finite() { score } else { 0.0 };
    Ok(TaskPlan {
        moves: moves.collect::<Result<_, Failure>>()?,
        total_bytes: plan.total_bytes(),
        disks: disks.collect(),
        left_out: left_out.collect(),
        fits_nowhere: fits_nowhere.collect(),
        score_before: score(plan.score_before),
        score_after: score(plan.score_after),
        outcome: plan.outcome,
        falls_short: plan.falls_short.iter().map(|why| why.in_words(inventory).to_string()).collect(),
        completeness,
        fingerprint: plan.fingerprint,
    })
}

pub(super) fn level(level: Level) -> PlannedLevel {
    PlannedLevel {
        committed_bytes: level.committed_bytes,
        committed_permille: level.committed_permille,
        load_bytes: level.load_bytes,
        load_permille: level.load_permille,
        tablets: level.tablets as u64,
    }
}

/// Whether a task that has not started yet may start on the node as it is now.
///
/// # Errors
/// `PLAN_DRIFTED` when the node has changed, `PLAN_REFUSED` when not all of it can be done and all was asked for.
pub(super) fn check_ready(node: &Node, task: &Task) -> Result<(), Failure> {
    let inventory = picture::inventory(node);
    let drifted = |disk: &DiskRef| {
        let text = format!("disk {} of the plan is not here any more; plan again", disk.path);
        Failure::new(ErrorCode::PlanDrifted, text)
    };
    let index =
        |disk: &DiskRef| node.disk_by_uuid(disk.uuid).map(|disk| disk.index).ok_or_else(|| drifted(disk));
    let moves = task
        .plan
        .moves
        .iter()
        .map(|planned| Ok((planned.key, index(&planned.source)?, index(&planned.destination)?)));
    let fits_nowhere = task.plan.fits_nowhere.first().map(|misfit| Refusal::FitsNowhere {
        count: task.plan.fits_nowhere.len(),
        first: misfit.key,
        size_bytes: misfit.size_bytes,
        tried: String::new(),
    });
    let request = picture::request(node, &task.request)
        .map_err(|failure| Failure::new(ErrorCode::PlanDrifted, failure.message))?;
    let settings = picture::settings(node, &task.request, task.plan.completeness);
    let frozen = Frozen {
        request: &request,
        watermark: settings.watermark,
        completeness: settings.completeness,
        moves: moves.collect::<Result<_, Failure>>()?,
        fits_nowhere,
        fingerprint: task.plan.fingerprint,
    };
    frozen.ready(&inventory).map_err(|refusal| refused(&inventory, &refusal))
}

/// A refusal of the planner as the engine answers it.
pub(super) fn refused(inventory: &Inventory, refusal: &Refusal) -> Failure {
    let code = match refusal {
        Refusal::UnknownDisk(_) => ErrorCode::DiskNotFound,
        Refusal::UnknownTablets(_) => ErrorCode::TabletNotFound,
        Refusal::Settings(_) => ErrorCode::InvalidArgument,
        Refusal::NothingSelected
        | Refusal::NoDestination(_)
        | Refusal::SourceUnreadable { .. }
        | Refusal::FitsNowhere { .. } => ErrorCode::PlanRefused,
        Refusal::Drifted { .. } | Refusal::NoLongerFits { .. } | Refusal::NoLongerHelps => {
            ErrorCode::PlanDrifted
        }
    };
    let text = match refusal {
        Refusal::NoLongerFits { disk, why } => {
            format!("{} no longer has room for the plan: {why}", inventory.path(*disk))
        }
        other => other.to_string(),
    };
    Failure::new(code, text)
}
