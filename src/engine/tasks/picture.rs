//! Between the node and the planner: the picture a plan is made from, and a request with paths for indices.

use std::collections::HashMap;
use std::sync::atomic::Ordering;

use crate::engine::node::Node;
use crate::engine::parts::disk::Disk;
use crate::engine::parts::limits::cool_down_ms;
use crate::engine::parts::{limits, marks};
use crate::model::{
    DiskIndex, ErrorCode, Failure, MigrationId, MoveTarget, PlanCompleteness, Status, TabletKey, TaskRequest,
    TimestampMs, quoted,
};
use crate::rules::planning::{self, Inventory, Pin, Request, Selector, Settings, Tablet, Target};
use crate::storage::same_file_system;

/// A rebalance begins when a disk is farther than this from the mean, and ends within the second, in percentage points.
const REBALANCE_POINTS: (u32, u32) = (10, 5);
/// Moves in one plan.
const MAX_MOVES: usize = 100_000;

/// How plans are made now. The watermark is the one of admission: a move of a plan is refused by nothing else.
pub(super) fn settings(node: &Node, asked: &TaskRequest, completeness: PlanCompleteness) -> Settings {
    let (start_points, stop_points) = match asked {
        TaskRequest::Rebalance { start_points, stop_points, .. } => {
            let start = start_points.unwrap_or(REBALANCE_POINTS.0);
            (start, stop_points.unwrap_or(REBALANCE_POINTS.1.min(start)))
        }
        TaskRequest::Drain { .. } | TaskRequest::Move { .. } => REBALANCE_POINTS,
    };
    let watermark = limits::capacity(&node.config());
    let config = node.config();
    Settings {
        watermark,
        start_points,
        stop_points,
        source_floor_percent: config.rebalance_source_floor_percent,
        min_move_bytes: config.rebalance_min_move_bytes,
        cool_down_ms: cool_down_ms(&config),
        max_moves: MAX_MOVES,
        completeness,
    }
}

/// The node at this moment.
pub(super) fn inventory(node: &Node) -> Inventory {
    let hang_after = node.hang_after();
    let disks = node.shown_disks().map(|disk| planning::Disk {
        index: disk.index,
        uuid: disk.opened.get().map(|opened| opened.identity.uuid),
        path: disk.path.clone(),
        medium: disk.medium,
        condition: disk.condition(hang_after),
        capacity: disk.space.capacity(),
        reserved: disk.space.reserved(),
        trash_bytes: disk.trash_bytes.load(Ordering::Relaxed),
        file_system: file_system(node, disk),
    });
    let disks = disks.collect();
    let (jobs, last_moved) = {
        let board = node.board();
        let mut last_moved: HashMap<TabletKey, TimestampMs> = HashMap::new();
        for ended in board.ended.values().filter(|ended| ended.status == Status::Completed) {
            let at = last_moved.entry(ended.key).or_default();
            *at = ended.finished_ms.unwrap_or(0).max(*at);
        }
        (board.alive.values().cloned().collect::<Vec<_>>(), last_moved)
    };
    let going: HashMap<MigrationId, DiskIndex> = jobs
        .iter()
        .filter_map(|job| {
            let row = job.lock();
            Some((row.id, node.disk_by_uuid(row.destination.uuid)?.index))
        })
        .collect();
    let pinned = marks::all_pinned(&node.marks());
    let catalog = node.catalog();
    let tablets = catalog.after(None).map(|(key, entry)| Tablet {
        key,
        disk: entry.disk,
        table_id: entry.table_id,
        partition_id: entry.partition_id,
        size_bytes: entry.size_bytes,
        file_count: entry.file_count.into(),
        pin: if pinned.contains(&key) { Pin::Pinned } else { Pin::Free },
        moving_to: entry.migration().and_then(|id| going.get(&id).copied()),
        last_moved_ms: last_moved.get(&key).copied(),
    });
    Inventory { disks, tablets: tablets.collect() }
}

/// The number of the first disk on the same file system.
fn file_system(node: &Node, disk: &Disk) -> u32 {
    let shares = |other: &Disk| match (other.opened.get(), disk.opened.get()) {
        (Some(a), Some(b)) => same_file_system(&a.file_system, &b.file_system),
        _ => other.index == disk.index,
    };
    let first = node.shown_disks().find(|other| shares(other)).map_or(disk.index, |first| first.index);
    u32::from(first.0)
}

/// The request in the planner's terms.
///
/// # Errors
/// `DISK_NOT_FOUND` for a path that is not configured.
pub(super) fn request(node: &Node, request: &TaskRequest) -> Result<Request, Failure> {
    let disks = |paths: &[String]| paths.iter().map(|path| index(node, path)).collect::<Result<Vec<_>, _>>();
    Ok(match request {
        TaskRequest::Drain { disks: paths, media } => Request::Drain { disks: disks(paths)?, media: *media },
        TaskRequest::Move { select, to } => Request::Move {
            select: Selector {
                disks: disks(&select.disks)?,
                tables: select.tables.clone(),
                partitions: select.partitions.clone(),
                tablets: select.tablets.clone(),
                min_size_bytes: select.min_size_bytes,
                max_size_bytes: select.max_size_bytes,
                medium: select.medium,
            },
            to: match to {
                MoveTarget::Disks(paths) => Target::Disks(disks(paths)?),
                MoveTarget::Medium(medium) => Target::Medium(*medium),
            },
        },
        TaskRequest::Rebalance { medium, .. } => Request::Rebalance { medium: *medium },
    })
}

fn index(node: &Node, path: &str) -> Result<DiskIndex, Failure> {
    node.disk_at(path).map(|disk| disk.index).ok_or_else(|| {
        let known: Vec<_> = node.shown_disks().map(|disk| disk.path.as_str()).collect();
        let text = format!(
            "no configured disk is written {}; write it as in storage_root_path: {}",
            quoted(path),
            known.join(", ")
        );
        Failure::new(ErrorCode::DiskNotFound, text)
    })
}
