//! What holds on any node. The oracles here do their own arithmetic.

use super::*;
use proptest::prelude::*;

/// Disks of different sizes, media and conditions, some sharing a file system, with trash, moves in flight, pins.
pub(super) fn nodes(tablets: std::ops::Range<usize>) -> impl Strategy<Value = Inventory> {
    let disk = (500_u64..2000, 0_u64..300, 0_u64..300, 0_u8..12, 0_u8..8, 0_u8..8);
    let tablet = (any::<u16>(), 1_u64..120, 0_i64..5, 0_u8..10, any::<u16>());
    (prop::collection::vec(disk, 2..6), prop::collection::vec(tablet, tablets)).prop_map(
        |(disks, tablets)| {
            let mut node = Inventory::default();
            for (at, (total, foreign, trash, condition, medium, file_system)) in (0_u16..).zip(disks) {
                let total_bytes = total + 4000; // Room for every tablet on one disk: a node that can be.
                let shares = at > 0 && file_system == 0;
                let mut made = super::disk(at, 0);
                made.capacity = Capacity {
                    total_bytes,
                    avail_bytes: total_bytes - foreign - trash,
                    ..Capacity::default()
                };
                made.trash_bytes = trash;
                made.condition = match condition {
                    0 => DiskCondition::Suspect { reason: "s".into() },
                    1 => DiskCondition::Hung { operation: "h".into() },
                    2 => DiskCondition::Disabled { reason: "by ops".into() },
                    _ => DiskCondition::Online,
                };
                made.medium = if medium == 0 { Medium::Ssd } else { Medium::Hdd };
                if shares && let Some(first) = node.disks.first() {
                    made.file_system = first.file_system;
                    made.capacity = first.capacity;
                    made.trash_bytes = 0;
                }
                node.disks.push(made);
            }
            let count = node.disks.len();
            for (id, (on, size, partition_id, kind, to)) in (1_i64..).zip(tablets) {
                // Squared: most tablets are on the first disks.
                let on = usize::from(on) * usize::from(on) / (1 << 16) * count / (1 << 16);
                let mut made = super::tablet(id, u16::try_from(on).expect("few disks"), size);
                made.partition_id = partition_id;
                match kind {
                    0 => made.pin = Pin::Pinned,
                    1 if usize::from(to) % count != on => {
                        let to = usize::from(to) % count;
                        made.moving_to = Some(DiskIndex(u16::try_from(to).expect("few disks")));
                        node.disks[to].reserved.bytes += size;
                    }
                    2 => made.last_moved_ms = Some(NOW_MS - i64::from(to)),
                    _ => {}
                }
                node.tablets.push(made);
            }
            let Inventory { disks, tablets } = node;
            super::node(disks, tablets)
        },
    )
}

pub(super) fn any_settings() -> impl Strategy<Value = Settings> {
    (20_u64..95, 0_u32..12, 0_u32..8, 0_u32..30, 1_u64..60, 0_i64..40_000, 1_usize..60).prop_map(
        |(usage_percent, gap, stop_points, source_floor_percent, min_move_bytes, cool_down_ms, max_moves)| {
            Settings {
                watermark: CapacityLimits {
                    usage_percent,
                    left_bytes: 10,
                    left_bytes_from: LeftBytesFrom::Setting,
                    rule: CapacityRule::Or,
                },
                start_points: stop_points + gap,
                stop_points,
                source_floor_percent,
                min_move_bytes,
                cool_down_ms,
                max_moves: if max_moves > 30 { usize::MAX } else { max_moves },
                completeness: PlanCompleteness::AllOrNothing,
            }
        },
    )
}

/// Loads and sizes per file system in service, HDD then SSD, by hand.
fn loads(node: &Inventory) -> Vec<Vec<(u32, i128, i128)>> {
    let mut disks: Vec<_> =
        node.disks.iter().filter(|disk| disk.condition == DiskCondition::Online).collect();
    disks.sort_by_key(|disk| disk.index);
    let mut seen = Vec::new();
    let mut groups = vec![Vec::new(), Vec::new()];
    for disk in disks {
        if seen.contains(&disk.file_system) {
            continue;
        }
        seen.push(disk.file_system);
        let here = |index: DiskIndex| node.disk(index).is_some_and(|d| d.file_system == disk.file_system);
        let mut load = i128::from(disk.capacity.used_bytes());
        for other in node.disks.iter().filter(|other| other.file_system == disk.file_system) {
            load += i128::from(other.reserved.bytes) - i128::from(other.trash_bytes);
        }
        let leaving = node.tablets.iter().filter(|tablet| tablet.moving_to.is_some() && here(tablet.disk));
        load -= leaving.map(|tablet| i128::from(tablet.size_bytes)).sum::<i128>();
        let group = usize::from(disk.medium == Medium::Ssd);
        groups[group].push((disk.file_system, load, i128::from(disk.capacity.total_bytes)));
    }
    groups
}

/// Sum over the disks of load squared by size: smaller is more even, as the sum of loads stays. As a fraction.
fn unevenness(node: &Inventory) -> (i128, i128) {
    let groups = loads(node);
    let all = || groups.iter().flatten();
    let denominator: i128 = all().map(|(_, _, size)| size).product();
    (all().map(|(_, load, size)| load * load * (denominator / size)).sum(), denominator)
}

/// Every disk of one group within `points` of its mean, byte for byte as the planner rounds it.
fn is_even(group: &[(u32, i128, i128)], points: u32) -> bool {
    let (load, size) = group.iter().fold((0, 0), |(l, s), (_, load, size)| (l + load, s + size));
    group
        .iter()
        .all(|(_, own, own_size)| (own - load * own_size / size).abs() <= own_size * i128::from(points) / 100)
}

fn even(node: &Inventory, points: u32) -> bool {
    loads(node).iter().all(|group| is_even(group, points))
}

/// The group of loads that a disk is compared in.
fn group_of(node: &Inventory, disk: DiskIndex) -> Vec<(u32, i128, i128)> {
    let file_system = node.disk(disk).expect("known").file_system;
    let mut groups = loads(node).into_iter();
    groups.find(|group| group.iter().any(|(own, ..)| *own == file_system)).expect("in service")
}

proptest! {
    // Moves that later ones make needless are rare: some hundred nodes show none.
    #![proptest_config(ProptestConfig::with_cases(5_000))]

    #[test]
    fn no_rebalance_takes_a_disk_past_its_watermark_or_moves_what_must_stay(
        node in nodes(0..60), settings in any_settings(),
    ) {
        let plan = planned(&Request::Rebalance { medium: None }, &node, &settings);
        for one in &plan.moves {
            let tablet = node.tablets.iter().find(|tablet| tablet.key == one.key).expect("known");
            prop_assert!(tablet.size_bytes >= settings.min_move_bytes);
            prop_assert!(tablet.last_moved_ms.is_none_or(|at| at + settings.cool_down_ms <= NOW_MS));
            prop_assert_eq!(
                node.disk(one.source).map(|disk| disk.medium),
                node.disk(one.destination).map(|disk| disk.medium)
            );
        }
        prop_assert!(plan.moves.is_empty() || plan.score_after < plan.score_before);
        if plan.outcome == PlanOutcome::Reaches {
            let after = applied(&node, &plan.moves);
            prop_assert!(even(&after, settings.start_points));
            for one in &plan.moves {
                prop_assert!(is_even(&group_of(&after, one.source), settings.stop_points));
            }
        }
    }

    #[test]
    fn no_move_of_a_rebalance_is_needless(node in nodes(0..60), settings in any_settings()) {
        let plan = planned(&Request::Rebalance { medium: None }, &node, &settings);
        let all = applied(&node, &plan.moves);
        for without in 0..plan.moves.len() {
            let mut moves = plan.moves.clone();
            moves.remove(without);
            let fewer = applied(&node, &moves);
            let even = |node| is_even(&group_of(node, plan.moves[without].source), settings.stop_points);
            let breaks_the_goal = even(&all) && !even(&fewer);
            prop_assert!(breaks_the_goal || unevenness(&fewer) > unevenness(&all), "{:?}", plan.moves[without]);
        }
    }

    #[test]
    fn a_rebalanced_node_is_left_alone(node in nodes(0..60), settings in any_settings()) {
        // The cool-down alone must not be what keeps the peace.
        let settings = Settings { cool_down_ms: 0, max_moves: usize::MAX, ..settings };
        let first = planned(&Request::Rebalance { medium: None }, &node, &settings);
        let after = applied(&node, &first.moves);
        let second = planned(&Request::Rebalance { medium: None }, &after, &settings);
        prop_assert_eq!(&second.moves, &[]);
        if first.outcome == PlanOutcome::Reaches {
            let mut purged = after;
            for disk in &node.disks {
                let freed: u64 = first.moves.iter().filter(|m| m.source == disk.index).map(|m| m.size_bytes).sum();
                purged.disks.iter_mut().filter(|d| d.file_system == disk.file_system)
                    .for_each(|d| d.capacity.avail_bytes += freed);
                purged.disks[usize::from(disk.index.0)].trash_bytes -= freed;
            }
            let third = planned(&Request::Rebalance { medium: None }, &purged, &settings);
            prop_assert_eq!(&third.moves, &[], "nor does an emptied trash set anything moving");
        }
    }

    #[test]
    fn an_even_node_is_left_alone(node in nodes(0..60), settings in any_settings()) {
        if even(&node, settings.start_points) {
            let plan = planned(&Request::Rebalance { medium: None }, &node, &settings);
            // Two disks, each alone in its medium, are as even as they get and not what was hoped for.
            let compared = loads(&node).iter().any(|group| group.len() > 1)
                || loads(&node).iter().map(Vec::len).sum::<usize>() < 2;
            let wanted = if compared { PlanOutcome::Reaches } else { PlanOutcome::FallsShort };
            prop_assert!(plan.moves.is_empty() && plan.outcome == wanted);
        }
    }

    #[test]
    fn a_drained_disk_is_empty_or_what_stays_is_named(
        node in nodes(0..60), settings in any_settings(), any_medium: bool, which in 0_u16..2,
    ) {
        let media = if any_medium { DrainMedia::Any } else { DrainMedia::Same };
        let request = Request::Drain { disks: vec![DiskIndex(which)], media };
        match plan(&request, &node, &settings, NOW_MS) {
            Ok(made) => {
                check(&made, &node);
                let after = applied(&node, &made.moves);
                let named = |key| {
                    made.left_out.iter().filter(|(left, _)| *left == key).count()
                        + made.fits_nowhere.iter().filter(|misfit| misfit.key == key).count()
                };
                for tablet in &after.tablets {
                    let stays = tablet.disk == DiskIndex(which) || tablet.moving_to == Some(DiskIndex(which));
                    prop_assert_eq!(named(tablet.key), usize::from(stays), "{}", tablet.key);
                }
                let reaches = made.outcome == PlanOutcome::Reaches;
                prop_assert_eq!(reaches, made.falls_short.is_empty());
                if reaches {
                    let going = |tablet: &Tablet| tablet.moving_to.is_some_and(|to| to != DiskIndex(which));
                    let stays = |tablet: &&Tablet| tablet.disk == DiskIndex(which) && !going(tablet);
                    prop_assert_eq!(after.tablets.iter().find(stays), None, "done, and a tablet is still there");
                }
            }
            Err(Refusal::SourceUnreadable { .. }) => {
                prop_assert!(!node.disks[usize::from(which)].condition.is_readable());
            }
            Err(refused) => prop_assert!(matches!(refused, Refusal::NoDestination(_)), "{}", refused),
        }
    }

    /// Held against every way there is of placing the tablets.
    #[test]
    fn a_drain_is_refused_exactly_when_no_packing_exists(
        sizes in prop::collection::vec(1_u64..40, 0..8), rooms in prop::collection::vec(1_u64..90, 1..4),
    ) {
        let mut disks = vec![disk(0, 0)];
        disks.extend((1..).zip(&rooms).map(|(at, room)| disk(at, 1000 - room)));
        let tablets: Vec<_> = (1..).zip(&sizes).map(|(id, size)| tablet(id, 0, *size)).collect();
        let node = node(disks, tablets);
        let watermark = CapacityLimits { usage_percent: 101, left_bytes: 0, left_bytes_from: LeftBytesFrom::Setting, rule: CapacityRule::And };
        let settings = Settings { watermark, ..settings() };
        let request = Request::Drain { disks: vec![DiskIndex(0)], media: DrainMedia::Same };
        let made = planned(&request, &node, &settings);
        let ways = rooms.len().pow(u32::try_from(sizes.len()).expect("few"));
        let exists = (0..ways).any(|mut way| {
            let mut left = rooms.clone();
            sizes.iter().all(|size| {
                let bin = way % rooms.len();
                way /= rooms.len();
                left[bin].checked_sub(*size).map(|rest| left[bin] = rest).is_some()
            })
        });
        prop_assert_eq!(made.fits_nowhere.is_empty(), exists);
    }

    #[test]
    fn the_order_of_telling_changes_nothing(node in nodes(0..40), settings in any_settings(), turn in 0_usize..40) {
        let mut turned = node.clone();
        turned.disks.reverse();
        if !turned.tablets.is_empty() {
            let by = turn % turned.tablets.len();
            turned.tablets.rotate_left(by);
        }
        for request in [
            Request::Rebalance { medium: None },
            Request::Drain { disks: vec![DiskIndex(0)], media: DrainMedia::Any },
            Request::Move { select: Selector::default(), to: Target::Medium(Medium::Hdd) },
        ] {
            let (one, other) = (plan(&request, &node, &settings, 5), plan(&request, &turned, &settings, 5));
            prop_assert_eq!(one, other);
        }
    }
}
