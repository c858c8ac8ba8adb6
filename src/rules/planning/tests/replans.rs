//! What is left of a plan, planned anew.

use super::properties::{any_settings, nodes};
use super::*;
use proptest::prelude::*;

fn drain(disks: &[u16]) -> Request {
    Request::Drain { disks: disks.iter().map(|index| DiskIndex(*index)).collect(), media: DrainMedia::Same }
}

/// Moves from disk 0 that are not submitted yet.
fn left(moves: &[(i64, u16)]) -> Vec<Remaining> {
    let one = |(id, to): &(i64, u16)| Remaining {
        key: TabletKey::new(*id, 1),
        source: DiskIndex(0),
        destination: Some(DiskIndex(*to)),
        standing: Standing::NotSubmitted,
    };
    moves.iter().map(one).collect()
}

fn gone_to(found: &Replan) -> Vec<(i64, u16)> {
    found.moves.iter().map(|planned| (planned.key.tablet_id.0, planned.destination.0)).collect()
}

#[test]
fn a_full_disk_keeps_what_still_fits_and_the_rest_goes_elsewhere() {
    // Room for one on the first, for all on the second.
    let node = node(vec![disk(0, 0), disk(1, 780), disk(2, 300)], several(1, 3, 0, 100));
    let found = replan(&drain(&[0]), &left(&[(1, 1), (2, 1), (3, 1)]), &node, &settings());
    assert_eq!(gone_to(&found), [(2, 2), (3, 2)], "the first of the plan keeps its place");
    assert!(matches!(found.because.get(&DiskIndex(1)), Some(Obstacle::DoesNotFit(_))), "{found:?}");
    assert_eq!(found.misfits, []);
    let then: Vec<_> = found.disks.iter().map(|disk| disk.after.tablets).collect();
    assert_eq!(then, [0, 1, 2]);
}

#[test]
fn what_has_room_promised_stays_and_what_goes_to_a_closed_or_absent_disk_does_not() {
    let mut node = node(vec![disk(0, 0), disk(1, 800), disk(2, 0), disk(3, 0)], several(1, 4, 0, 100));
    node.disks[1].reserved.bytes = 100;
    node.disks[2].condition = DiskCondition::Disabled { reason: "by ops".into() };
    let mut moves = left(&[(1, 1), (2, 1), (3, 2), (4, 3)]);
    moves[1].standing = Standing::HasRoom;
    moves[3].destination = None;
    let found = replan(&drain(&[0]), &moves, &node, &settings());
    assert_eq!(gone_to(&found), [(1, 3), (3, 3), (4, 3)]);
    assert_eq!(found.because[&DiskIndex(2)], Obstacle::NotWritable { condition: "disabled" });
}

#[test]
fn what_fits_nowhere_keeps_its_destination_and_names_the_trash_that_is_in_the_way() {
    let mut node = node(vec![disk(0, 0), disk(1, 890), disk(2, 890)], vec![tablet(1, 0, 300)]);
    node.disks[1].trash_bytes = 500;
    let found = replan(&drain(&[0]), &left(&[(1, 1)]), &node, &settings());
    assert_eq!((found.moves.len(), found.misfits.len()), (0, 1));
    let (disk, why) = found.misfits[0].tried[0];
    let said = in_words(&node, disk, why);
    let offer = "; 500 bytes there are trash: `tabletctl trash purge --disk /d1` frees them";
    assert!(said.starts_with("/d1 300 bytes do not fit") && said.ends_with(offer), "{said}");
    let (disk, why) = found.misfits[0].tried[1];
    assert!(!in_words(&node, disk, why).contains("trash"), "there is none");
}

#[test]
fn what_is_pinned_gone_from_its_source_or_moved_by_somebody_else_is_left_alone() {
    let mut tablets = several(1, 3, 0, 100);
    tablets[0].pin = Pin::Pinned;
    tablets[1].moving_to = Some(DiskIndex(2));
    tablets[2].disk = DiskIndex(2);
    let node = node(vec![disk(0, 0), disk(1, 890), disk(2, 0)], tablets);
    let found = replan(&drain(&[0]), &left(&[(1, 1), (2, 1), (3, 1), (9, 1)]), &node, &settings());
    assert_eq!((found.moves, found.misfits), (vec![], vec![]));
    // The migration that waits for the full disk is this task's own: it may give way.
    let mut own = left(&[(2, 1)]);
    own[0].standing = Standing::Waits;
    assert_eq!(gone_to(&replan(&drain(&[0]), &own, &node, &settings())), [(2, 2)]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    /// Whatever has become of the node: no disk past its watermark, nothing onto a closed disk or back, only moves that
    /// could not go on are changed, and planning anew once more changes nothing.
    #[test]
    fn a_new_plan_changes_only_what_cannot_go_on_and_takes_no_disk_past_its_watermark(
        node in nodes(1..40), settings in any_settings(), kind in 0_u8..3,
        picks in prop::collection::vec((any::<u16>(), 0_u8..6), 40),
    ) {
        let request = match kind {
            0 => drain(&[0]),
            1 => Request::Move {
                select: Selector::default(),
                to: Target::Disks(vec![DiskIndex(0), DiskIndex(1)]),
            },
            _ => Request::Rebalance { medium: None },
        };
        let count = u16::try_from(node.disks.len()).expect("few");
        let free = node.tablets.iter().filter(|tablet| tablet.moving_to.is_none());
        let mut remaining: Vec<_> = free.zip(&picks).map(|(tablet, (to, standing))| Remaining {
            key: tablet.key,
            source: tablet.disk,
            destination: Some(DiskIndex(to % (count + 1))).filter(|disk| disk.0 < count),
            standing: if *standing == 0 { Standing::Waits } else { Standing::NotSubmitted },
        }).collect();
        remaining.retain(|one| one.destination != Some(one.source));
        let found = replan(&request, &remaining, &node, &settings);

        let mut now = remaining.clone();
        for planned in &found.moves {
            let one = now.iter_mut().find(|one| one.key == planned.key).expect("it was left");
            prop_assert_ne!(one.destination, Some(planned.destination), "it goes elsewhere");
            prop_assert_eq!(one.source, planned.source);
            let disk = node.disk(planned.destination).expect("known");
            prop_assert!(disk.condition.is_writable());
            let source = node.disk(planned.source).expect("known");
            match &request {
                Request::Drain { .. } => {
                    prop_assert_ne!(planned.destination, DiskIndex(0));
                    prop_assert_ne!(disk.file_system, source.file_system);
                    prop_assert_eq!(disk.medium, source.medium);
                }
                Request::Move { .. } => prop_assert!(planned.destination.0 < 2),
                Request::Rebalance { .. } => prop_assert_eq!(disk.medium, source.medium),
            }
            one.destination = Some(planned.destination);
        }
        let stuck: std::collections::BTreeSet<_> = found.misfits.iter().map(|misfit| misfit.key).collect();
        let mut arriving: BTreeMap<u32, Space> = BTreeMap::new();
        for one in now.iter().filter(|one| !stuck.contains(&one.key)) {
            let tablet = node.tablets.iter().find(|tablet| tablet.key == one.key).expect("known");
            let readable = node.disk(one.source).is_some_and(|disk| disk.condition.is_readable());
            let (Some(to), Pin::Free, true) = (one.destination, tablet.pin, readable) else { continue };
            let space = arriving.entry(node.disk(to).expect("known").file_system).or_default();
            *space = space.plus(tablet.need());
        }
        for (file_system, space) in arriving {
            let shared = || node.disks.iter().filter(|disk| disk.file_system == file_system);
            let reserved = shared().map(|disk| disk.reserved).fold(Space::default(), Space::plus);
            let capacity = shared().map(|disk| disk.capacity).max_by_key(|c| c.total_bytes).expect("known");
            prop_assert_eq!(fits(capacity, reserved, space, settings.watermark), Ok(()));
        }
        let again = replan(&request, &now, &node, &settings);
        prop_assert_eq!(again.moves, vec![]);
    }
}
