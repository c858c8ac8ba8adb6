//! Lists: each part of a filter, all of them together against a plain model, and paging.

use proptest::option;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use tempfile::tempdir;

use super::samples::{disk, sample};
use super::{ids, open};
use crate::journal::{DiskMatch, Filter, Journal, Operation, RowOrder};
use crate::model::{DiskRef, Migration, MigrationId, Phase, Status, TabletId};

/// Sixty migrations that differ in all a filter can ask for.
fn varied(journal: &mut Journal) -> Vec<Migration> {
    let all: Vec<_> = (0..60_u8)
        .map(|n| Migration {
            id: MigrationId(u64::from(n) + 1),
            status: Status::ALL[usize::from(n) % Status::ALL.len()],
            source: disk(n % 3),
            destination: disk(3 + n % 4),
            created_ms: i64::from(n) * 10,
            ..sample(i64::from(n % 5))
        })
        .collect();
    let operations: Vec<_> = all.iter().map(Operation::Accept).collect();
    assert!(journal.commit(&operations).unwrap().iter().all(Result::is_ok));
    all
}

fn is_disk(wanted: &DiskMatch, disk: &DiskRef) -> bool {
    match wanted {
        DiskMatch::Uuid(uuid) => *uuid == disk.uuid,
        DiskMatch::Path(path) => *path == disk.path,
    }
}

/// What the filter means, said plainly.
fn matches(filter: &Filter, migration: &Migration) -> bool {
    (filter.statuses.is_empty() || filter.statuses.contains(&migration.status))
        && filter.phase.is_none_or(|phase| phase == migration.status.phase())
        && filter.tablet_id.is_none_or(|tablet| tablet == migration.key.tablet_id)
        && filter.source.as_ref().is_none_or(|wanted| is_disk(wanted, &migration.source))
        && filter.destination.as_ref().is_none_or(|wanted| is_disk(wanted, &migration.destination))
        && filter.either_end.as_ref().is_none_or(|wanted| {
            is_disk(wanted, &migration.source) || is_disk(wanted, &migration.destination)
        })
        && filter.created_since_ms.is_none_or(|since| migration.created_ms >= since)
        && filter.created_until_ms.is_none_or(|until| migration.created_ms < until)
}

fn any_disk_match() -> impl Strategy<Value = DiskMatch> {
    (0..8_u8, any::<bool>()).prop_map(|(number, by_path)| match by_path {
        true => DiskMatch::Path(disk(number).path),
        false => DiskMatch::Uuid(disk(number).uuid),
    })
}

/// Always the very time of one of them: the bounds are where filters go wrong.
fn any_time() -> impl Strategy<Value = i64> {
    (0..60_i64).prop_map(|n| n * 10)
}

fn any_end() -> impl Strategy<Value = Option<DiskMatch>> {
    option::weighted(0.3, any_disk_match())
}

fn any_filter() -> impl Strategy<Value = Filter> {
    (
        prop_oneof![Just(Vec::new()), subsequence(Status::ALL, 1..=Status::ALL.len())],
        option::weighted(0.3, select(Phase::ALL)),
        option::weighted(0.3, (0..6_i64).prop_map(TabletId)),
        [any_end(), any_end(), any_end()],
        option::weighted(0.3, any_time()),
        option::weighted(0.3, any_time()),
        select([RowOrder::NewestFirst, RowOrder::OldestFirst].as_slice()),
        1..20_u32,
    )
        .prop_map(
            |(statuses, phase, tablet_id, [source, destination, either_end], since, until, order, limit)| {
                Filter {
                    task: None,
                    statuses,
                    phase,
                    tablet_id,
                    source,
                    destination,
                    either_end,
                    created_since_ms: since,
                    created_until_ms: until,
                    order,
                    after: None,
                    limit,
                }
            },
        )
}

#[test]
fn any_filter_finds_what_it_means_page_by_page() {
    let dir = tempdir().unwrap();
    let (mut journal, _) = open(dir.path());
    let all = varied(&mut journal);
    let config = ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() };
    proptest!(config, |(filter in any_filter())| {
        let mut expected: Vec<_> = all.iter().filter(|one| matches(&filter, one)).cloned().collect();
        if filter.order == RowOrder::NewestFirst {
            expected.reverse();
        }
        let mut found = Vec::new();
        let mut after = None;
        loop {
            let page = journal.list(&Filter { after, ..filter.clone() }).unwrap();
            prop_assert_eq!(page.total, expected.len() as u64);
            prop_assert!(page.rows.damaged.is_empty());
            prop_assert!(page.rows.migrations.len() <= filter.limit as usize);
            found.extend(page.rows.migrations);
            after = page.next_after;
            if after.is_none() {
                break;
            }
            prop_assert!(found.len() < expected.len(), "a marker, but nothing follows it");
        }
        prop_assert_eq!(found, expected);
    });
}

#[test]
fn by_default_the_newest_come_first() {
    let dir = tempdir().unwrap();
    let (mut journal, _) = open(dir.path());
    varied(&mut journal);
    let page = journal.list(&Filter { limit: 3, ..Filter::default() }).unwrap();
    assert_eq!(ids(&page.rows.migrations), [60, 59, 58]);
    assert_eq!((page.total, page.next_after), (60, Some(MigrationId(58))));
}

#[test]
fn a_marker_stands_for_a_place_also_when_its_row_is_gone_or_never_was() {
    let dir = tempdir().unwrap();
    let (mut journal, _) = open(dir.path());
    varied(&mut journal);
    let page = |order, after| {
        let after = Some(MigrationId(after));
        let page = journal.list(&Filter { order, after, limit: 2, ..Filter::default() }).unwrap();
        ids(&page.rows.migrations)
    };
    assert_eq!(page(RowOrder::NewestFirst, u64::MAX), [60, 59]);
    assert_eq!(page(RowOrder::NewestFirst, 1_000), [60, 59]);
    assert_eq!(page(RowOrder::OldestFirst, 0), [1, 2]);
    assert_eq!(page(RowOrder::OldestFirst, u64::MAX), [0; 0]);
}

#[test]
fn a_limit_of_nothing_asks_for_the_total_alone() {
    let dir = tempdir().unwrap();
    let (mut journal, _) = open(dir.path());
    varied(&mut journal);
    let page = journal.list(&Filter { limit: 0, ..Filter::default() }).unwrap();
    assert_eq!((page.total, page.rows.migrations.len(), page.next_after), (60, 0, None));
    let widest = journal.list(&Filter { limit: u32::MAX, ..Filter::default() }).unwrap();
    assert_eq!((widest.rows.migrations.len(), widest.next_after), (60, None));
}
