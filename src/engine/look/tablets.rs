//! Tablets as they are shown: one, those of an id, a page of them, all, and those that something is wrong with.

use std::collections::{BTreeMap, BTreeSet};

use crate::engine::damage;
use crate::engine::node::Node;
use crate::engine::parts::catalog::Catalog;
use crate::engine::parts::checks::{Trouble, TroubleKind};
use crate::engine::parts::entry::Entry;
use crate::engine::parts::marks;
use crate::engine::parts::marks::Marks;
use crate::engine::view::{Page, Pin, TabletFilter, TabletView, page_limit};
use crate::model::{DiskIndex, Marked, SchemaHash, TabletId, TabletKey};

fn view(node: &Node, said: &Said, key: TabletKey, entry: &Entry) -> TabletView {
    let known = said.troubles.get(&key).filter(|known| known.generation == entry.generation);
    let trouble = |kind| known.filter(|known| known.kind == kind).map(|known| known.why.clone());
    TabletView {
        key,
        table_id: entry.table_id,
        partition_id: entry.partition_id,
        disk: node.disk(entry.disk).path.clone(),
        shard_id: entry.shard_id,
        generation: entry.generation,
        size_bytes: entry.size_bytes,
        file_count: entry.file_count,
        migration: entry.migration(),
        unavailable: None,
        pinned: said.marks.get(&Marked::Pinned(key)).cloned(),
        damaged: trouble(TroubleKind::Damaged),
        unreadable: trouble(TroubleKind::Unreadable),
    }
}

/// What is known of tablets beside the catalog.
struct Said {
    marks: Marks,
    troubles: BTreeMap<TabletKey, Trouble>,
}

/// Of these tablets. A copy, so that nothing of it is locked beside the catalog.
fn said_of(node: &Node, found: &[(TabletKey, Entry)]) -> Said {
    let keys = || found.iter().map(|(key, _)| *key);
    let marks = {
        let marks = node.marks();
        let of = |key| Some((Marked::Pinned(key), marks.get(&Marked::Pinned(key))?.clone()));
        keys().filter_map(of).collect()
    };
    let checks = node.checks();
    let troubles = keys().filter_map(|key| Some((key, checks.get(&key)?.trouble()?))).collect();
    Said { marks, troubles }
}

fn views(node: &Node, found: &[(TabletKey, Entry)]) -> Vec<TabletView> {
    let said = said_of(node, found);
    found.iter().map(|(key, entry)| view(node, &said, *key, entry)).collect()
}

pub(crate) fn tablet(node: &Node, key: TabletKey) -> Option<TabletView> {
    let entry = *node.catalog().get(key)?;
    views(node, &[(key, entry)]).pop()
}

pub(crate) fn tablets_by_id(node: &Node, id: TabletId) -> Vec<TabletView> {
    let found: Vec<_> = node.catalog().with_id(id).map(|(key, entry)| (key, *entry)).collect();
    views(node, &found)
}

pub(crate) fn tablets(node: &Node, filter: &TabletFilter) -> Page<TabletView> {
    let disk = match &filter.disk {
        None => None,
        Some(path) => match node.disk_at(path) {
            Some(disk) => Some(disk.index),
            None => return Page { total: 0, items: Vec::new() },
        },
    };
    let pinned = filter.pin.map(|_| marks::all_pinned(&node.marks())).unwrap_or_default();
    let (total, found) = {
        let catalog = node.catalog();
        page_of(&catalog, filter, disk, &pinned, &mut |key, entry| {
            disk.is_none_or(|disk| disk == entry.disk)
                && filter.table_id.is_none_or(|table| table == entry.table_id)
                && filter.partition_id.is_none_or(|partition| partition == entry.partition_id)
                && filter.pin.is_none_or(|pin| (pin == Pin::Pinned) == pinned.contains(&key))
        })
    };
    Page { total, items: views(node, &found) }
}

/// How many tablets match, and one page of them. The tablets of other pages are looked at only where nothing keeps count
/// of what is asked for: a list of a million is not a million looks for each of its pages.
fn page_of(
    catalog: &Catalog,
    filter: &TabletFilter,
    disk: Option<DiskIndex>,
    pinned: &BTreeSet<TabletKey>,
    matches: &mut dyn FnMut(TabletKey, &Entry) -> bool,
) -> (u64, Vec<(TabletKey, Entry)>) {
    let counted = catalog.count(disk, filter.table_id);
    let count_pinned = || {
        let found = pinned.iter().filter_map(|key| Some((*key, catalog.get(*key)?)));
        let of_them = |entry: &Entry| {
            disk.is_none_or(|disk| disk == entry.disk)
                && filter.table_id.is_none_or(|table| table == entry.table_id)
        };
        found.filter(|(_, entry)| of_them(entry)).count() as u64
    };
    let total = match (filter.partition_id, filter.pin) {
        (None, None) => counted,
        (None, Some(Pin::Pinned)) => count_pinned(),
        (None, Some(Pin::Free)) => counted - count_pinned(),
        // Of one partition a node has few tablets, and with them few pages.
        (Some(_), _) => catalog.after(None).filter(|(key, entry)| matches(*key, entry)).count() as u64,
    };
    let limit = page_limit(filter.limit);
    let after = filter.after.map(|tablet_id| TabletKey { tablet_id, schema_hash: SchemaHash(i32::MAX) });
    let mut found: Vec<(TabletKey, Entry)> = Vec::new();
    for (key, entry) in catalog.after(after) {
        if !matches(key, entry) {
            continue;
        }
        // The marker is an id: a tablet with several schema hashes is never divided between two pages.
        if found.len() >= limit && found.last().is_some_and(|(last, _)| last.tablet_id != key.tablet_id) {
            break;
        }
        found.push((key, *entry));
    }
    (total, found)
}

pub(crate) fn for_each_tablet(node: &Node, visit: &mut dyn FnMut(&TabletView)) {
    let said = Said { marks: node.marks().clone(), troubles: damage::troubles(node) };
    for (key, entry) in node.catalog().after(None) {
        visit(&view(node, &said, key, entry));
    }
}

/// Tablets that something is wrong with: the damaged and the unreadable ones.
pub(crate) fn troubled(node: &Node) -> (Vec<TabletView>, Vec<TabletView>) {
    let troubles: Vec<_> = damage::troubles(node).into_keys().collect();
    let found: Vec<_> = {
        let catalog = node.catalog();
        troubles.into_iter().filter_map(|key| Some((key, *catalog.get(key)?))).collect()
    };
    let wrong = views(node, &found).into_iter();
    let wrong = wrong.filter(|view| view.damaged.is_some() || view.unreadable.is_some());
    wrong.partition(|view| view.damaged.is_some())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{RecordSummary, ShardId};

    /// Tables 0 and 1 in turn, on disks 0 to 2 in turn.
    fn catalog(tablets: i64) -> Catalog {
        let mut catalog = Catalog::default();
        for id in 1..=tablets {
            let key = TabletKey::new(id, 7);
            let record = RecordSummary {
                key,
                generation: 1,
                table_id: id % 2,
                partition_id: id / 10,
                size_bytes: 1,
                file_count: 1,
                shard_id: ShardId(0),
            };
            let disk = DiskIndex(u16::try_from(id % 3).expect("small"));
            catalog.insert(key, Entry::new(disk, &record));
        }
        catalog
    }

    #[test]
    fn a_page_of_a_long_list_looks_at_its_own_tablets_and_counts_all() {
        let catalog = catalog(9_000);
        let pinned = BTreeSet::from([TabletKey::new(7_000, 7), TabletKey::new(7_003, 7)]);
        let after = Some(TabletId(6_000));
        for (table_id, disk, pin, total, looks_max) in [
            (None, None, None, 9_000, 11),
            (Some(1), None, None, 4_500, 21),
            (None, Some(DiskIndex(1)), None, 3_000, 33),
            (Some(1), Some(DiskIndex(1)), None, 1_500, 66),
            (None, None, Some(Pin::Free), 8_998, 11),
            (Some(0), None, Some(Pin::Pinned), 1, 3_000),
        ] {
            let filter = TabletFilter { table_id, pin, after, limit: 10, ..TabletFilter::default() };
            let mut looks = 0;
            let (counted, found) = page_of(&catalog, &filter, disk, &pinned, &mut |key, entry| {
                looks += 1;
                table_id.is_none_or(|table| table == entry.table_id)
                    && disk.is_none_or(|disk| disk == entry.disk)
                    && pin.is_none_or(|pin| (pin == Pin::Pinned) == pinned.contains(&key))
            });
            assert_eq!(counted, total);
            assert!(looks <= looks_max, "{looks} looks for a page of {}", found.len());
            assert!(found.iter().all(|(key, _)| key.tablet_id > TabletId(6_000)));
        }
    }
}
