//! Selected tablets to a target, and the fingerprint.

use super::*;
use crate::model::{DiskUuid, TabletId};

fn to_disk(select: Selector, disk: u16) -> Request {
    Request::Move { select, to: Target::Disks(vec![DiskIndex(disk)]) }
}

fn sample() -> Inventory {
    let mut tablets = several(1, 4, 0, 10);
    for (tablet, id) in tablets.iter_mut().zip(1_i64..) {
        tablet.size_bytes = 10 * id.unsigned_abs();
        tablet.partition_id = 100 + id % 2;
        tablet.table_id = if id == 4 { 0 } else { id };
    }
    tablets.push(tablet(5, 1, 50));
    node(vec![disk(0, 0), Disk { medium: Medium::Ssd, ..disk(1, 0) }, disk(2, 0)], tablets)
}

#[test]
fn selectors_narrow_each_other() {
    let ids = |select: Selector| -> Vec<i64> {
        let medium = |t: &Tablet| if t.disk == DiskIndex(1) { Medium::Ssd } else { Medium::Hdd };
        let node = sample();
        let chosen = node.tablets.iter().filter(|tablet| select.selects(tablet, Some(medium(tablet))));
        chosen.map(|tablet| tablet.key.tablet_id.0).collect()
    };
    let any = Selector::default;
    for (select, expected) in [
        (any(), vec![1, 2, 3, 4, 5]),
        (Selector { disks: vec![DiskIndex(1)], ..any() }, vec![5]),
        (Selector { tables: vec![1, 2], ..any() }, vec![1, 2, 5]),
        (Selector { tables: vec![0], ..any() }, vec![4]),
        (Selector { partitions: vec![101], ..any() }, vec![1, 3]),
        (Selector { tablets: vec![TabletId(3)], ..any() }, vec![3]),
        (Selector { min_size_bytes: Some(20), max_size_bytes: Some(40), ..any() }, vec![2, 3, 4]),
        (Selector { medium: Some(Medium::Ssd), ..any() }, vec![5]),
        (Selector { partitions: vec![101], min_size_bytes: Some(11), ..any() }, vec![3]),
    ] {
        assert_eq!(ids(select.clone()), expected, "{select:?}");
    }
}

#[test]
fn what_is_there_already_stays_and_is_said_to() {
    let plan =
        planned(&to_disk(Selector { tables: vec![1], ..Selector::default() }, 1), &sample(), &settings());
    assert_eq!(plan.moves.len(), 1);
    assert_eq!(plan.moves[0].why, Why::Selected);
    assert_eq!(plan.left_out, [(TabletKey::new(5, 1), Reason::AlreadyThere)]);
}

#[test]
fn a_medium_as_target_takes_any_disk_of_it() {
    let request = Request::Move {
        select: Selector { disks: vec![DiskIndex(0)], ..Selector::default() },
        to: Target::Medium(Medium::Ssd),
    };
    let plan = planned(&request, &sample(), &settings());
    assert!(plan.moves.len() == 4 && plan.moves.iter().all(|planned| planned.destination == DiskIndex(1)));
    let cache = Request::Move { select: Selector::default(), to: Target::Medium(Medium::RemoteCache) };
    assert!(matches!(plan_of(&cache), Err(Refusal::NoDestination(_))));
}

fn plan_of(request: &Request) -> Result<Plan, Refusal> {
    plan(request, &sample(), &settings(), NOW_MS)
}

#[test]
fn a_move_that_makes_no_sense_is_refused() {
    let unknown = Selector { tablets: vec![TabletId(3), TabletId(77)], ..Selector::default() };
    assert_eq!(plan_of(&to_disk(unknown, 1)), Err(Refusal::UnknownTablets(vec![TabletId(77)])));
    let nothing = Selector { partitions: vec![55], ..Selector::default() };
    assert_eq!(plan_of(&to_disk(nothing, 1)), Err(Refusal::NothingSelected));
    assert_eq!(plan_of(&to_disk(Selector::default(), 8)), Err(Refusal::UnknownDisk(DiskIndex(8))));
    let upside_down = Settings { start_points: 1, stop_points: 2, ..settings() };
    let refused = plan(&Request::Rebalance { medium: None }, &sample(), &upside_down, NOW_MS);
    assert!(matches!(refused, Err(Refusal::Settings(_))));
}

#[test]
fn the_cool_down_does_not_bind_an_operator() {
    let mut node = sample();
    node.tablets[0].last_moved_ms = Some(NOW_MS - 1);
    let only = Selector { tablets: vec![TabletId(1)], ..Selector::default() };
    let slow = Settings { cool_down_ms: 1_000_000, min_move_bytes: 1_000_000, ..settings() };
    assert_eq!(planned(&to_disk(only, 1), &node, &slow).moves.len(), 1);
}

#[test]
fn a_plan_is_refused_once_what_it_was_made_from_has_changed() {
    let select = Selector { disks: vec![DiskIndex(0)], ..Selector::default() };
    let fresh = sample();
    let plan = planned(&to_disk(select, 2), &fresh, &settings());
    type Change = fn(&mut Inventory);
    let changes: [(&str, Change); 7] = [
        ("a tablet grew", |node| node.tablets[0].size_bytes += 1),
        ("a tablet was pinned", |node| node.tablets[0].pin = Pin::Pinned),
        ("a tablet is on its way", |node| node.tablets[0].moving_to = Some(DiskIndex(1))),
        ("a tablet is elsewhere", |node| node.tablets[0].disk = DiskIndex(1)),
        ("a tablet came", |node| node.tablets.push(tablet(8, 0, 1))),
        ("a disk is another", |node| node.disks[2].uuid = Some(DiskUuid(uuid::Uuid::from_u128(1)))),
        ("a disk fell ill", |node| node.disks[2].condition = DiskCondition::Suspect { reason: "x".into() }),
    ];
    for (what, change) in changes {
        let mut now = fresh.clone();
        change(&mut now);
        assert!(matches!(plan.ready(&now), Err(Refusal::Drifted { .. })), "{what}");
    }
    let mut now = fresh.clone();
    now.tablets.reverse();
    now.disks.reverse();
    now.tablets[0].size_bytes += 1; // Tablet 5, which the plan is not about.
    assert_eq!(plan.ready(&now), Ok(()));
    now.disks.iter_mut().for_each(|disk| disk.capacity.avail_bytes = 150);
    assert!(
        matches!(plan.ready(&now), Err(Refusal::NoLongerFits { disk: DiskIndex(2), .. })),
        "free bytes are no part of the fingerprint but are counted again"
    );
}
