//! Small nodes to plan on, and the plan carried out on paper.

mod drains;
mod moves;
mod properties;
mod rebalances;
mod replans;

use super::*;
use crate::model::{Capacity, DiskCondition, Space};
use crate::rules::capacity::{CapacityRule, LeftBytesFrom, fits};

pub(super) const NOW_MS: TimestampMs = 1_000_000;

pub(super) fn settings() -> Settings {
    Settings {
        watermark: CapacityLimits {
            usage_percent: 90,
            left_bytes: 0,
            left_bytes_from: LeftBytesFrom::Setting,
            rule: CapacityRule::Or,
        },
        start_points: 10,
        stop_points: 5,
        source_floor_percent: 0,
        min_move_bytes: 1,
        cool_down_ms: 0,
        max_moves: usize::MAX,
        completeness: PlanCompleteness::AllOrNothing,
    }
}

/// An online disk of 1000 bytes, on a file system of its own, with `foreign_bytes` in use by others.
pub(super) fn disk(index: u16, foreign_bytes: u64) -> Disk {
    Disk {
        index: DiskIndex(index),
        uuid: None,
        path: format!("/d{index}"),
        medium: Medium::Hdd,
        condition: DiskCondition::Online,
        capacity: Capacity { total_bytes: 1000, avail_bytes: 1000 - foreign_bytes, ..Capacity::default() },
        reserved: Space::default(),
        trash_bytes: 0,
        file_system: u32::from(index),
    }
}

pub(super) fn tablet(id: i64, disk: u16, size_bytes: u64) -> Tablet {
    Tablet {
        key: TabletKey::new(id, 1),
        disk: DiskIndex(disk),
        table_id: 1,
        partition_id: 0,
        size_bytes,
        file_count: 1,
        pin: Pin::Free,
        moving_to: None,
        last_moved_ms: None,
    }
}

/// The disks with the tablets on them, as far as they have room: their bytes are taken off what is available.
pub(super) fn node(mut disks: Vec<Disk>, mut tablets: Vec<Tablet>) -> Inventory {
    tablets.retain(|tablet| {
        let shared = disks[usize::from(tablet.disk.0)].file_system;
        let mut of_one = disks.iter_mut().filter(|disk| disk.file_system == shared).collect::<Vec<_>>();
        let fits = of_one.iter().all(|disk| disk.capacity.avail_bytes >= tablet.size_bytes);
        if fits {
            of_one.iter_mut().for_each(|disk| disk.capacity.avail_bytes -= tablet.size_bytes);
        }
        fits
    });
    Inventory { disks, tablets }
}

/// `count` tablets of one size on one disk, numbered from `first`.
pub(super) fn several(first: i64, count: i64, disk: u16, size_bytes: u64) -> Vec<Tablet> {
    (first..first + count).map(|id| tablet(id, disk, size_bytes)).collect()
}

/// The node after the plan: copies have arrived, sources are in trash.
pub(super) fn applied(inventory: &Inventory, moves: &[Move]) -> Inventory {
    let mut after = inventory.clone();
    for planned in moves {
        let tablet = after.tablets.iter_mut().find(|tablet| tablet.key == planned.key).expect("known");
        assert_eq!(tablet.disk, planned.source);
        tablet.disk = planned.destination;
        tablet.last_moved_ms = Some(NOW_MS);
        let shared = after.disk(planned.destination).expect("known").file_system;
        for disk in &mut after.disks {
            if disk.index == planned.source {
                disk.trash_bytes += planned.size_bytes;
            }
            if disk.file_system == shared {
                let left = disk.capacity.avail_bytes.checked_sub(planned.size_bytes);
                disk.capacity.avail_bytes = left.expect("no move runs out of space");
            }
        }
    }
    after
}

/// Everything that holds of any plan.
pub(super) fn check(plan: &Plan, inventory: &Inventory) {
    let mut arriving: BTreeMap<u32, Space> = BTreeMap::new();
    let mut seen = std::collections::BTreeSet::new();
    for planned in &plan.moves {
        assert!(seen.insert(planned.key), "{} moves twice", planned.key);
        assert_ne!(planned.source, planned.destination);
        let tablet = inventory.tablets.iter().find(|tablet| tablet.key == planned.key).expect("known");
        assert_eq!((tablet.disk, tablet.size_bytes), (planned.source, planned.size_bytes));
        assert_eq!((tablet.pin, tablet.moving_to), (Pin::Free, None));
        assert!(inventory.disk(planned.source).expect("known").condition.is_readable());
        let destination = inventory.disk(planned.destination).expect("known");
        assert!(destination.condition.is_writable());
        let space = arriving.entry(destination.file_system).or_default();
        *space = space.plus(tablet.need());
    }
    for (file_system, space) in arriving {
        let shared = || inventory.disks.iter().filter(|disk| disk.file_system == file_system);
        let reserved = shared().map(|disk| disk.reserved).fold(Space::default(), Space::plus);
        let capacity = shared().next().expect("known").capacity;
        assert_eq!(fits(capacity, reserved, space, plan.settings.watermark), Ok(()));
    }
    assert!(plan.moves.len() <= plan.settings.max_moves);
    let after = applied(inventory, &plan.moves);
    for forecast in &plan.disks {
        let disk = after.disk(forecast.disk).expect("known");
        let shared = after.disks.iter().filter(|other| other.file_system == disk.file_system);
        let reserved: u64 = shared.map(|disk| disk.reserved.bytes).sum();
        assert_eq!(forecast.after.committed_bytes, disk.capacity.used_bytes() + reserved);
        let on_it = after.tablets.iter().filter(|t| t.moving_to.unwrap_or(t.disk) == disk.index).count();
        assert_eq!(forecast.after.tablets, on_it);
    }
    if plan.fits_nowhere.is_empty() || plan.settings.completeness == PlanCompleteness::WhatFits {
        assert_eq!(plan.ready(inventory), Ok(()), "a fresh plan may start");
    } else {
        assert!(matches!(plan.ready(inventory), Err(Refusal::FitsNowhere { .. })));
    }
}

/// Plans, and checks what holds of any plan.
pub(super) fn planned(request: &Request, inventory: &Inventory, settings: &Settings) -> Plan {
    let made = plan(request, inventory, settings, NOW_MS).expect("a sensible request");
    check(&made, inventory);
    made
}
