//! Even disks in few moves, and peace afterwards.

use super::*;

const ALL: Request = Request::Rebalance { medium: None };

#[test]
fn few_moves_of_the_right_size() {
    let mut tablets = several(1, 10, 0, 10);
    tablets.push(tablet(20, 0, 300));
    tablets.push(tablet(21, 0, 310));
    let node = node(vec![disk(0, 0), disk(1, 0)], tablets);
    let plan = planned(&ALL, &node, &settings());
    assert_eq!(
        plan.moves.iter().map(|m| m.key.tablet_id.0).collect::<Vec<_>>(),
        [21],
        "one large, not ten small"
    );
    assert_eq!(plan.outcome, PlanOutcome::Reaches);
    assert!((plan.score_before - 35.5).abs() < 1e-9 && plan.score_after < 6.0);
    assert_eq!(
        plan.moves[0].why.to_string(),
        "takes the source from 71.0 % to 40.0 % and the destination from 0.0 % to 31.0 %; the mean is 35.5 %"
    );
}

#[test]
fn it_begins_only_past_the_outer_band() {
    // Loads of 30 % and 50 %: both 10 points from the mean.
    let even = node(vec![disk(0, 0), disk(1, 0)], [several(1, 30, 0, 10), several(51, 50, 1, 10)].concat());
    assert!(planned(&ALL, &even, &settings()).moves.is_empty());
    let touchy = Settings { start_points: 9, ..settings() };
    let plan = planned(&ALL, &even, &touchy);
    assert!(!plan.moves.is_empty());
    assert_eq!(plan.disks[0].after.load_bytes, 350, "it stops at the inner band, not at the mean");
}

#[test]
fn trash_makes_no_disk_fuller_but_takes_room() {
    let mut trashy = disk(0, 600);
    trashy.trash_bytes = 600;
    let node = node(vec![trashy, disk(1, 0)], [several(1, 2, 0, 100), several(5, 2, 1, 100)].concat());
    assert!(planned(&ALL, &node, &settings()).moves.is_empty(), "without trash both hold 200");
    let mut full = disk(1, 850);
    full.trash_bytes = 850;
    let full = super::node(vec![disk(0, 0), full], several(1, 6, 0, 100));
    let plan = planned(&ALL, &full, &settings());
    assert_eq!(
        (plan.moves.len(), plan.outcome),
        (0, PlanOutcome::FallsShort),
        "850 of trash leave no room for 100"
    );
}

#[test]
fn bytes_in_flight_count_at_both_ends() {
    let mut tablets = several(1, 6, 0, 100);
    for tablet in &mut tablets[..3] {
        tablet.moving_to = Some(DiskIndex(1));
    }
    let mut node = node(vec![disk(0, 0), disk(1, 0)], tablets);
    node.disks[1].reserved.bytes = 300;
    assert!(planned(&ALL, &node, &settings()).moves.is_empty(), "what moves already makes them even");
}

#[test]
fn recently_moved_pinned_and_tiny_tablets_stay_and_are_named() {
    let mut tablets = several(1, 4, 0, 200);
    tablets[0].last_moved_ms = Some(NOW_MS - 999);
    tablets[1].pin = Pin::Pinned;
    tablets[2].size_bytes = 9;
    tablets[3].last_moved_ms = Some(NOW_MS - 1000);
    let node = node(vec![disk(0, 200), disk(1, 0)], tablets);
    let careful = Settings { cool_down_ms: 1000, min_move_bytes: 10, stop_points: 0, ..settings() };
    let plan = planned(&ALL, &node, &careful);
    assert_eq!(plan.moves.iter().map(|m| m.key.tablet_id.0).collect::<Vec<_>>(), [4]);
    assert_eq!(plan.outcome, PlanOutcome::FallsShort);
    let left: Vec<_> = plan.left_out.iter().map(|(key, reason)| (key.tablet_id.0, *reason)).collect();
    assert_eq!(
        left,
        [
            (1, Reason::CoolingDown { until_ms: NOW_MS + 1 }),
            (2, Reason::Pinned),
            (3, Reason::TooSmall { size_bytes: 9, min_bytes: 10 }),
        ]
    );
}

#[test]
fn nearly_empty_disks_may_differ() {
    let node = node(vec![disk(0, 0), disk(1, 0)], several(1, 3, 0, 100));
    let floor = Settings { source_floor_percent: 40, ..settings() };
    let plan = planned(&ALL, &node, &floor);
    assert_eq!((plan.moves.len(), plan.outcome), (0, PlanOutcome::FallsShort));
    assert_eq!(
        why(&plan, &node),
        "/d0 is loaded to 30.0 %: below the floor of 40 % a rebalance takes nothing from a disk \
         (rebalance_source_floor_percent)"
    );
    assert!(!planned(&ALL, &node, &settings()).moves.is_empty());
}

fn why(plan: &Plan, node: &Inventory) -> String {
    plan.falls_short.iter().map(|why| why.in_words(node).to_string()).collect::<Vec<_>>().join("; ")
}

#[test]
fn a_rebalance_that_falls_short_names_each_rule_with_its_key_and_its_date() {
    let mut tablets = several(1, 4, 0, 100);
    tablets[0].last_moved_ms = Some(NOW_MS);
    tablets[1].last_moved_ms = Some(NOW_MS);
    tablets[2].size_bytes = 9;
    tablets[3].size_bytes = 9;
    let crowded = node(vec![disk(0, 0), disk(1, 0)], tablets);
    let careful = Settings { cool_down_ms: 5_000, min_move_bytes: 10, ..settings() };
    let plan = planned(&ALL, &crowded, &careful);
    assert_eq!((plan.moves.len(), plan.outcome), (0, PlanOutcome::FallsShort));
    assert_eq!(
        why(&plan, &crowded),
        "2 tablets stay, tablet 1 because: moved too recently; a rebalance may move it again at 1970-01-01T00:16:45Z \
         (rebalance_cool_down_sec); 2 tablets stay, tablet 3 because: its 9 bytes are less than a rebalance moves \
         (rebalance_min_move_bytes = 10)"
    );
    let one_lump = node(vec![disk(0, 0), disk(1, 0)], several(1, 1, 0, 500));
    let plan = planned(&ALL, &one_lump, &settings());
    assert_eq!(
        why(&plan, &one_lump),
        "/d0 stays at a load of 50.0 %: no further move that fits would make the disks more even"
    );
    let two_media = node(vec![disk(0, 0), Disk { medium: Medium::Ssd, ..disk(1, 0) }], several(1, 4, 0, 100));
    let plan = planned(&ALL, &two_media, &settings());
    assert_eq!((plan.moves.len(), plan.outcome), (0, PlanOutcome::FallsShort));
    assert!(
        why(&plan, &two_media)
            .starts_with("/d0 is the only HDD disk in service, and disks of different media")
    );
}

#[test]
fn media_are_not_compared_and_one_can_be_asked_for() {
    let ssd = |index| Disk { medium: Medium::Ssd, ..disk(index, 0) };
    let node = node(
        vec![disk(0, 0), disk(1, 0), ssd(2), ssd(3)],
        [several(1, 4, 0, 100), several(11, 4, 2, 100)].concat(),
    );
    for planned in planned(&ALL, &node, &settings()).moves {
        assert_eq!(planned.source.0 / 2, planned.destination.0 / 2);
    }
    let only = planned(&Request::Rebalance { medium: Some(Medium::Ssd) }, &node, &settings());
    assert!(!only.moves.is_empty() && only.moves.iter().all(|planned| planned.source == DiskIndex(2)));
}

#[test]
fn disks_out_of_service_take_no_part() {
    let mut node = node(vec![disk(0, 0), disk(1, 0), disk(2, 0)], several(1, 4, 0, 100));
    node.disks[1].condition = DiskCondition::Disabled { reason: "by ops".into() };
    node.disks[2].condition = DiskCondition::Suspect { reason: "x".into() };
    assert!(planned(&ALL, &node, &settings()).moves.is_empty());
}

#[test]
fn of_tablets_alike_a_crowded_partition_gives() {
    let mut tablets = several(1, 6, 0, 100);
    tablets[3].partition_id = 7;
    tablets[4].partition_id = 7;
    let node = node(vec![disk(0, 0), disk(1, 0)], tablets);
    let plan = planned(&ALL, &node, &settings());
    let first_two = plan.moves.iter().filter(|planned| [4, 5].contains(&planned.key.tablet_id.0)).count();
    assert_eq!(first_two, 1, "one of the two goes, the other then has no mate here: {:?}", plan.moves);
}

#[test]
fn a_cut_plan_says_so_and_the_next_goes_on() {
    let node = node(vec![disk(0, 0), disk(1, 0)], several(1, 8, 0, 50));
    let short = Settings { max_moves: 1, ..settings() };
    let first = planned(&ALL, &node, &short);
    assert_eq!((first.moves.len(), first.outcome), (1, PlanOutcome::CutShort));
    let second = planned(&ALL, &applied(&node, &first.moves), &short);
    assert_eq!(second.moves.len(), 1);
    assert_ne!(first.moves[0].key, second.moves[0].key);
}

#[test]
fn a_plan_that_no_longer_helps_is_refused() {
    let node = node(vec![disk(0, 0), disk(1, 0)], several(1, 6, 0, 100));
    let plan = planned(&ALL, &node, &settings());
    let mut now = node.clone();
    now.disks[1].capacity.avail_bytes -= 500;
    assert_eq!(plan.ready(&now), Err(Refusal::NoLongerHelps));
}

#[test]
fn a_move_that_a_later_one_makes_needless_is_taken_back() {
    let mut narrow = disk(2, 52 + 815);
    narrow.trash_bytes = 815;
    let tablets = vec![tablet(30, 0, 30), tablet(51, 0, 51)];
    let node = node(vec![disk(0, 109), disk(1, 58), narrow], tablets);
    let plan = planned(&ALL, &node, &Settings { start_points: 6, ..settings() });
    // Looked at first, the emptiest disk has room for the small one only; once the other has left, it may stay.
    let moved: Vec<_> = plan.moves.iter().map(|planned| planned.key.tablet_id.0).collect();
    assert_eq!((moved.as_slice(), plan.outcome), ([51].as_slice(), PlanOutcome::Reaches));
}

#[test]
fn a_disk_that_cannot_be_helped_sets_no_others_moving() {
    let mut tablets = several(1, 1, 0, 500);
    tablets[0].pin = Pin::Pinned;
    for at in 1..10 {
        tablets.extend(several(100 * i64::from(at), 20, at, 5));
    }
    tablets.extend(several(5000, 2, 1, 5));
    let node = node((0..10).map(|at| disk(at, 0)).collect(), tablets);
    let plan = planned(&ALL, &node, &settings());
    assert_eq!((plan.moves.len(), plan.outcome), (0, PlanOutcome::FallsShort), "{:?}", plan.moves);
    assert_eq!(plan.left_out, [(TabletKey::new(1, 1), Reason::Pinned)]);
}
