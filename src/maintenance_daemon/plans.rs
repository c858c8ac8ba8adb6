//! What the job API asks as the room of the moves plans it, and that plan as a task keeps it.

use crate::maintenance::{Node, OtherMedia, Plan, Request, Wishes};
use crate::model::{
    Capacity, DiskRef, DiskUuid, DrainMedia, ErrorCode, Failure, FitsNowhere, LeftOut, MoveTarget,
    PlanCompleteness, PlanOutcome, PlannedDisk, PlannedLevel, PlannedMove, TabletKey, TabletSelector,
    TaskPlan, TaskRequest, counted, counted_as,
};

/// The request, and what it allows.
///
/// # Errors
/// Something in it has no meaning on Doris roots; it is named.
pub(super) fn request(asked: &TaskRequest) -> Result<(Request, Wishes), Failure> {
    let refused = |text: &str| Err(Failure::new(ErrorCode::PlanRefused, text));
    match asked {
        TaskRequest::Drain { disks, media } => {
            let [root] = &disks[..] else {
                return refused("on Doris roots a drain empties one root: name one disk");
            };
            let media = match media {
                DrainMedia::Same => OtherMedia::Never,
                DrainMedia::Any => OtherMedia::Allowed,
            };
            Ok((Request::Drain { root: root.clone() }, Wishes { media, ..Wishes::default() }))
        }
        TaskRequest::Move { select, to: MoveTarget::Disks(to) } => {
            let only_tablets =
                TabletSelector { tablets: select.tablets.clone(), ..TabletSelector::default() };
            let ([to], true, false) = (&to[..], *select == only_tablets, select.tablets.is_empty()) else {
                return refused("on Doris roots a move names its tablets and one disk to go to");
            };
            let tablets = select.tablets.iter().map(|tablet| tablet.0).collect();
            Ok((Request::Move { tablets, to: to.clone() }, Wishes::default()))
        }
        TaskRequest::Move { .. } => refused("on Doris roots a move names the disk to go to, not a medium"),
        TaskRequest::Rebalance { medium, start_points: None, stop_points: None } => {
            Ok((Request::Rebalance { medium: *medium }, Wishes::default()))
        }
        TaskRequest::Rebalance { .. } => {
            refused("on Doris roots start_points and stop_points cannot be chosen")
        }
    }
}

/// The plan as a task keeps it.
pub(super) fn frozen(node: &Node, plan: Plan, completeness: PlanCompleteness) -> TaskPlan {
    let disk = |path: &str| {
        node.reference(path)
            .unwrap_or_else(|| DiskRef { uuid: DiskUuid(uuid::Uuid::nil()), path: path.to_owned() })
    };
    let total_bytes = plan.bytes();
    let disks = levels(node, &plan);
    let moves: Vec<_> = plan
        .moves
        .into_iter()
        .map(|planned| PlannedMove {
            key: TabletKey::new(planned.tablet_id, planned.schema_hash),
            source: disk(&planned.from),
            destination: disk(&planned.to),
            size_bytes: planned.bytes,
            why: counted(planned.files, "file"),
            formerly: Vec::new(),
        })
        .collect();
    let left_out: Vec<_> = plan
        .left
        .into_iter()
        .map(|left| LeftOut {
            key: TabletKey::new(left.tablet_id, left.schema_hash),
            reason: match left.help {
                Some(help) => format!("{} ({help})", left.reasons.join(", ")),
                None => left.reasons.join(", "),
            },
        })
        .collect();
    let fits_nowhere: Vec<_> = plan
        .fits_nowhere
        .into_iter()
        .map(|misfit| FitsNowhere {
            key: TabletKey::new(misfit.tablet_id, misfit.schema_hash),
            source: String::new(),
            size_bytes: misfit.bytes,
            tried: vec![misfit.tried],
        })
        .collect();
    let short = left_out.len() + fits_nowhere.len();
    let mut falls_short = Vec::new();
    if short > 0 {
        falls_short.push(format!(
            "{}: see left_out and fits_nowhere",
            counted_as(short, "tablet stays", "tablets stay")
        ));
    }
    let mut sum = crc32fast::Hasher::new();
    for planned in &moves {
        let (from, to) = (&planned.source.path, &planned.destination.path);
        sum.update(format!("{} {} {from} {to}\n", planned.key, planned.size_bytes).as_bytes());
    }
    TaskPlan {
        moves,
        total_bytes,
        disks,
        left_out,
        fits_nowhere,
        score_before: 0.0,
        score_after: 0.0,
        outcome: if short == 0 { PlanOutcome::Reaches } else { PlanOutcome::FallsShort },
        falls_short,
        completeness,
        fingerprint: sum.finalize(),
    }
}

fn levels(node: &Node, plan: &Plan) -> Vec<PlannedDisk> {
    let one = |look: crate::maintenance::RootLook| {
        let capacity = look.capacity.unwrap_or_default();
        let leaving = plan.moves.iter().filter(|planned| planned.from == look.path);
        let coming = plan.moves.iter().filter(|planned| planned.to == look.path);
        let sum = |(count, bytes): (u64, u64), planned: &crate::maintenance::Planned| {
            (count + 1, bytes + planned.bytes)
        };
        let ((gone, gone_bytes), (come, come_bytes)) = (leaving.fold((0, 0), sum), coming.fold((0, 0), sum));
        let used = capacity.total_bytes.saturating_sub(capacity.avail_bytes);
        // What is retired stays on its disk until it is purged.
        let after_bytes = used + come_bytes;
        PlannedDisk {
            before: level(&capacity, used, used, look.tablets),
            after: level(
                &capacity,
                after_bytes,
                after_bytes.saturating_sub(gone_bytes),
                (look.tablets + come).saturating_sub(gone),
            ),
            path: look.path,
            uuid: look.uuid,
        }
    };
    node.looks().into_iter().map(one).collect()
}

fn level(capacity: &Capacity, committed_bytes: u64, load_bytes: u64, tablets: u64) -> PlannedLevel {
    let permille = |bytes: u64| bytes.saturating_mul(1000).checked_div(capacity.total_bytes).unwrap_or(0);
    PlannedLevel {
        committed_bytes,
        committed_permille: permille(committed_bytes),
        load_bytes,
        load_permille: permille(load_bytes),
        tablets,
    }
}
