//! Emptying disks: everything leaves or is named.

use super::*;

fn drain(disks: &[u16]) -> Request {
    Request::Drain { disks: disks.iter().map(|index| DiskIndex(*index)).collect(), media: DrainMedia::Same }
}

#[test]
fn a_drain_empties_the_disk_and_spreads_what_it_takes() {
    let node = node(vec![disk(0, 0), disk(1, 0), disk(2, 0)], several(1, 6, 0, 100));
    let plan = planned(&drain(&[0]), &node, &settings());
    assert_eq!((plan.moves.len(), plan.outcome), (6, PlanOutcome::Reaches));
    let tablets: Vec<_> = plan.disks.iter().map(|disk| (disk.before.tablets, disk.after.tablets)).collect();
    assert_eq!(tablets, [(6, 0), (0, 3), (0, 3)]);
    let drained = plan.disks[0];
    assert_eq!((drained.after.load_bytes, drained.after.committed_bytes), (0, 600), "trash is still there");
    assert_eq!(plan.moves[0].why.to_string(), "its disk is being drained");
}

#[test]
fn tablets_of_a_partition_are_kept_apart() {
    let mut tablets = several(1, 4, 0, 50);
    tablets[0].partition_id = 7;
    tablets[1].partition_id = 7;
    let mut there = tablet(9, 1, 10);
    there.partition_id = 7;
    tablets.push(there);
    let node = node(vec![disk(0, 0), disk(1, 0), disk(2, 0)], tablets);
    let plan = planned(&drain(&[0]), &node, &Settings { stop_points: 5, ..settings() });
    let of_partition: Vec<_> =
        plan.moves.iter().filter(|m| m.key.tablet_id.0 <= 2).map(|m| m.destination.0).collect();
    assert_eq!(of_partition, [2, 1], "one to the disk that has none, then one to each alike");
}

#[test]
fn pieces_are_packed_not_their_sum() {
    // 400 bytes are free in sum, 200 on each disk: a tablet of 300 fits on neither.
    let node = node(vec![disk(0, 0), disk(1, 690), disk(2, 690)], vec![tablet(1, 0, 300), tablet(2, 0, 50)]);
    let plan = planned(&drain(&[0]), &node, &settings());
    assert_eq!(plan.outcome, PlanOutcome::FallsShort);
    let [misfit] = plan.fits_nowhere.as_slice() else { panic!("one misfit") };
    assert_eq!((misfit.key, misfit.fit), (TabletKey::new(1, 1), Fit::Never));
    assert_eq!(misfit.tried.len(), 2);
    assert!(matches!(misfit.tried[0].1, Obstacle::DoesNotFit(_)));
    assert_eq!(
        plan.ready(&node).expect_err("impossible").to_string(),
        "1 tablet fits nowhere, the first is 1_1 with 300 bytes; nothing is moved; --what-fits \
         (\"completeness\": \"what_fits\") moves the others (/d1 300 bytes do not fit: with 50 bytes of other moves in \
         flight the disk would be 104 % full with 0 bytes left (limits: 90 % used, 0 bytes left), /d2 300 bytes do not \
         fit: with 0 bytes of other moves in flight the disk would be 99 % full with 10 bytes left (limits: 90 % used, \
         0 bytes left))"
    );
    let partly = Settings { completeness: PlanCompleteness::WhatFits, ..settings() };
    assert_eq!(planned(&drain(&[0]), &node, &partly).moves.len(), 1, "asked to do what it can, it does");
}

#[test]
fn a_packing_that_greed_misses_is_found() {
    // Each set fills both rooms to the last byte; neither even loads nor the tightest room, largest first, finds how.
    for (sizes, rooms) in
        [(vec![9, 9, 7, 4], [11, 18]), (vec![8, 8, 5, 4, 2], [11, 16]), (vec![8, 7, 6, 4, 3, 3, 3], [17, 17])]
    {
        let tablets = sizes.iter().zip(1..).map(|(size, id)| tablet(id, 0, *size)).collect();
        let watermark = CapacityLimits {
            usage_percent: 101,
            left_bytes: 0,
            left_bytes_from: LeftBytesFrom::Setting,
            rule: CapacityRule::And,
        };
        let node = node(vec![disk(0, 0), disk(1, 1000 - rooms[0]), disk(2, 1000 - rooms[1])], tablets);
        let plan = planned(&drain(&[0]), &node, &Settings { watermark, ..settings() });
        assert_eq!((plan.moves.len(), plan.fits_nowhere.len()), (sizes.len(), 0), "{sizes:?}");
    }
}

#[test]
fn what_is_pinned_moving_arriving_or_beyond_the_limit_is_named() {
    let mut tablets = several(1, 4, 0, 10);
    tablets[0].pin = Pin::Pinned;
    tablets[1].moving_to = Some(DiskIndex(1));
    let mut coming = tablet(9, 1, 10);
    coming.moving_to = Some(DiskIndex(0));
    tablets.push(coming);
    let node = node(vec![disk(0, 0), disk(1, 0)], tablets);
    let plan = planned(&drain(&[0]), &node, &Settings { max_moves: 1, ..settings() });
    assert_eq!(plan.outcome, PlanOutcome::CutShort);
    assert_eq!(plan.moves.iter().map(|m| m.key.tablet_id.0).collect::<Vec<_>>(), [3]);
    let left: Vec<_> = plan.left_out.iter().map(|(key, reason)| (key.tablet_id.0, *reason)).collect();
    assert_eq!(
        left,
        [
            (1, Reason::Pinned),
            (2, Reason::Moving { to: DiskIndex(1) }),
            (4, Reason::MoveLimit { max_moves: 1 }),
            (9, Reason::Arriving { from: DiskIndex(1) }),
        ]
    );
}

#[test]
fn a_drain_stays_on_its_medium_unless_it_may_leave() {
    let ssd = |index, foreign| Disk { medium: Medium::Ssd, ..disk(index, foreign) };
    let cache = Disk { medium: Medium::RemoteCache, ..disk(3, 0) };
    let node = node(vec![ssd(0, 0), ssd(1, 800), disk(2, 0), cache], several(1, 3, 0, 60));
    let plan = planned(&drain(&[0]), &node, &settings());
    assert_eq!((plan.moves.len(), plan.fits_nowhere.len()), (1, 2));
    assert_eq!(plan.fits_nowhere[0].fit, Fit::NotBesideTheOthers);
    assert_eq!(
        plan.fits_nowhere[0].tried[1].1.to_string(),
        "is HDD, another medium than the drained disk's; --any-medium (\"media\": \"any\") allows it"
    );
    let any = Request::Drain { disks: vec![DiskIndex(0)], media: DrainMedia::Any };
    let ends: Vec<_> =
        planned(&any, &node, &settings()).moves.iter().map(|planned| planned.destination.0).collect();
    assert_eq!(ends, [1, 2, 2], "its own medium first");
}

#[test]
fn disks_of_one_file_system_are_one_place() {
    let shared = |index| Disk { file_system: 9, ..disk(index, 0) };
    let node = node(vec![shared(0), shared(1), disk(2, 850)], several(1, 2, 0, 30));
    let plan = planned(&drain(&[0]), &node, &settings());
    assert_eq!((plan.moves.len(), plan.fits_nowhere.len()), (1, 1));
    assert!(plan.fits_nowhere[0].tried.contains(&(DiskIndex(1), Obstacle::SameFileSystem)));
    let other = Disk { file_system: 3, ..disk(0, 0) };
    let two = super::node(
        vec![other, Disk { file_system: 9, ..disk(1, 850) }, Disk { file_system: 9, ..disk(2, 850) }],
        several(1, 2, 0, 30),
    );
    assert_eq!(
        planned(&drain(&[0]), &two, &settings()).moves.len(),
        1,
        "the room of a file system counts once"
    );
}

#[test]
fn a_drain_that_makes_no_sense_is_refused_in_words() {
    let online = node(vec![disk(0, 0), disk(1, 0)], several(1, 2, 0, 10));
    let refused = |request: &Request, node: &Inventory| {
        plan(request, node, &settings(), NOW_MS).expect_err("refused").to_string()
    };
    assert_eq!(refused(&drain(&[5]), &online), "there is no disk 5");
    assert_eq!(refused(&drain(&[0, 1]), &online), "no disk can take anything: /d1 is being drained too",);
    let mut alone = online.clone();
    alone.disks[1].condition = DiskCondition::Hung { operation: "fsync".into() };
    assert_eq!(refused(&drain(&[0]), &alone), "no disk can take anything: /d1 is hung");
    alone.tablets.clear();
    assert!(planned(&drain(&[0]), &alone, &settings()).moves.is_empty(), "an empty disk needs nowhere to go");
}

#[test]
fn the_drain_of_a_disk_that_cannot_be_read_is_refused_with_the_way_out() {
    let mut node = node(vec![disk(0, 0), disk(1, 0), disk(2, 0)], several(1, 2, 0, 10));
    node.disks[0].condition = DiskCondition::Broken { reason: "gone".into() };
    for disks in [&[0][..], &[1, 0]] {
        let refused =
            plan(&drain(disks), &node, &settings(), NOW_MS).expect_err("nothing can be moved off it");
        assert_eq!(
            refused.to_string(),
            "/d0 is broken: nothing can be moved off a disk that cannot be read; bring it back first, or give up what it \
             held with `tabletctl disk forget /d0 --lost`"
        );
    }
}

#[test]
fn a_drain_that_leaves_a_tablet_behind_falls_short_and_says_why() {
    let mut tablets = several(1, 4, 0, 10);
    tablets[0].moving_to = Some(DiskIndex(1));
    let node = node(vec![disk(0, 0), disk(1, 0)], tablets);
    let words = |plan: &Plan| {
        plan.falls_short.iter().map(|why| why.in_words(&node).to_string()).collect::<Vec<_>>().join("; ")
    };
    let reached = planned(&drain(&[0]), &node, &settings());
    assert_eq!(
        (reached.outcome, words(&reached)),
        (PlanOutcome::Reaches, String::new()),
        "it is on its way out"
    );
    let mut pinned = node.clone();
    pinned.tablets[1].pin = Pin::Pinned;
    pinned.tablets[2].pin = Pin::Pinned;
    let short = planned(&drain(&[0]), &pinned, &settings());
    assert_eq!(short.outcome, PlanOutcome::FallsShort);
    assert_eq!(words(&short), "2 tablets stay, tablet 2 because: pinned: no plan moves it; unpin it first");
}
