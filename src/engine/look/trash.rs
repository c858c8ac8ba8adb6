//! What lies in trash: listed and searched, a few entries at a time. Nothing here removes anything.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::engine::node::Node;
use crate::engine::parts::clock::now_ms;
use crate::engine::parts::disk::{Disk, visit};
use crate::engine::view::page_limit;
use crate::engine::view::trash::{PurgeOutcome, PurgeSelect, TrashFilter, TrashPage, TrashView};
use crate::model::{Failure, MigrationId, TabletKey, TimestampMs};
use crate::rules::trash::{TrashFacts, TrashLimits, due_in_sec, kept_because};
use crate::storage::layout::{TRASH, parse_trash_entry_name};
use crate::storage::{
    RetiredNote, TrashItem, UnreadableEntry, read_entry, retirements_cut_short, trash_entries,
};

/// How long a listing may take.
pub(crate) const LIST_WAIT: Duration = Duration::from_secs(20);

/// Entries that are looked at in one visit: on a disk that seeks, a few seconds.
pub(crate) const ENTRIES_PER_VISIT: usize = 64;

/// Share of a disk in use, percent.
pub(crate) fn used_percent(disk: &Disk) -> u64 {
    let capacity = disk.space.capacity();
    (capacity.used_bytes() * 100).checked_div(capacity.total_bytes).unwrap_or(0)
}

pub(crate) fn limits(node: &Node) -> TrashLimits {
    let config = node.config();
    TrashLimits {
        expire_sec: i64::from(config.trash_file_expire_time_sec),
        uptime_sec: u64::from(config.trash_min_uptime_sec),
        // Doris: the limit counts as 0 above nine tenths of the flood stage.
        pressure_percent: u64::from(config.storage_flood_stage_usage_percent) * 9 / 10,
    }
}

pub(crate) fn why_kept(node: &Node, disk: &Disk, item: &TrashItem) -> Option<String> {
    let Some(note) = &item.note else {
        return Some("not retired by this daemon; only an operator purges it".to_owned());
    };
    kept_because(facts(node, disk, note), limits(node))
}

fn facts(node: &Node, disk: &Disk, note: &RetiredNote) -> TrashFacts {
    TrashFacts {
        age_sec: (now_ms() - note.retired_ms) / 1000,
        retired_at_uptime_sec: note.uptime_sec,
        now_uptime_sec: node.uptime_sec.load(Ordering::Relaxed),
        used_percent: used_percent(disk),
    }
}

/// When it is due, if the daemon goes on running.
fn kept_until_ms(node: &Node, disk: &Disk, item: &TrashItem) -> Option<TimestampMs> {
    let note = item.note.as_ref()?;
    let left_sec = i64::try_from(due_in_sec(facts(node, disk, note), limits(node))).ok()?;
    now_ms().checked_add(left_sec.checked_mul(1000)?)
}

pub(crate) fn view(node: &Node, disk: &Disk, item: &TrashItem) -> TrashView {
    TrashView {
        disk: disk.path.clone(),
        entry: item.entry.clone(),
        key: item.key,
        size_bytes: item.header.map_or(0, |header| header.size_bytes),
        generation: item.header.map(|header| header.generation),
        moved_to: item.note.as_ref().map(|note| note.moved_to.path.clone()),
        migration_id: item.note.as_ref().and_then(|note| note.migration_id),
        retired_ms: item.note.as_ref().map(|note| note.retired_ms),
        kept_because: why_kept(node, disk, item).unwrap_or_else(|| "due".to_owned()),
        kept_until_ms: kept_until_ms(node, disk, item),
    }
}

/// A disk, and the names of entries of its trash.
pub(crate) type Entries = (Arc<Disk>, Vec<String>);

/// All entries of each readable disk that `wanted` chooses, oldest first.
pub(crate) fn entries(node: &Node, wanted: impl Fn(&Disk) -> bool) -> Result<Vec<Entries>, Failure> {
    let hang_after = node.hang_after();
    let disks = node.disks.iter().filter(|disk| wanted(disk) && disk.condition(hang_after).is_readable());
    disks
        .map(|disk| {
            let names = visit(disk, LIST_WAIT, |root, _| Ok(trash_entries(&root.dir().open(TRASH)?)?))?;
            Ok((Arc::clone(disk), names))
        })
        .collect()
}

/// Shows `each` what is in these entries until it breaks off. A few entries at a time: a million of them are neither
/// held in memory, nor take a disk that seeks long enough to look hung. One that cannot be read is named, and hides none of
/// the others.
fn read_entries(
    node: &Node,
    disk: &Arc<Disk>,
    names: &[String],
    each: &mut impl FnMut(&Arc<Disk>, TrashItem) -> ControlFlow<()>,
) -> Result<ControlFlow<()>, Failure> {
    for some in names.chunks(ENTRIES_PER_VISIT) {
        let some = some.to_vec();
        let found = visit(disk, LIST_WAIT, move |root, _| {
            let trash = root.dir().open(TRASH)?;
            let read = |entry: String| match read_entry(&trash, &entry) {
                Ok(items) => Ok(items),
                Err(error) => Err(UnreadableEntry::new(TRASH, &entry, &error)),
            };
            Ok(some.into_iter().map(read).collect::<Vec<_>>())
        })?;
        let readable = found.into_iter().filter_map(|entry| match entry {
            Ok(items) => Some(items),
            Err(unreadable) => {
                node.undone.cannot_read(disk, unreadable);
                None
            }
        });
        if readable.flatten().try_for_each(|item| each(disk, item)).is_break() {
            return Ok(ControlFlow::Break(()));
        }
    }
    Ok(ControlFlow::Continue(()))
}

/// Shows `each` what is in the chosen entries of the wanted disks until it breaks off.
pub(crate) fn walk(
    node: &Node,
    wanted: impl Fn(&Disk) -> bool,
    chosen: impl Fn(&str) -> bool,
    mut each: impl FnMut(&Arc<Disk>, TrashItem) -> ControlFlow<()>,
) -> Result<(), Failure> {
    for (disk, mut names) in entries(node, wanted)? {
        names.retain(|name| chosen(name));
        if read_entries(node, &disk, &names, &mut each)?.is_break() {
            break;
        }
    }
    Ok(())
}

/// One page of what is in trash.
pub(crate) fn list(node: &Node, filter: &TrashFilter) -> Result<TrashPage, Failure> {
    let limit = page_limit(filter.limit);
    let only = filter.disk.as_ref().map(|path| node.find_disk(path)).transpose()?;
    let after = match &filter.after {
        Some(marker) => Some((node.find_disk(&marker.disk)?.index, parse_trash_entry_name(&marker.entry))),
        None => None,
    };
    let mut page = TrashPage::default();
    for (disk, mut names) in entries(node, |disk| only.is_none_or(|only| only.index == disk.index))? {
        if filter.tablet_id.is_none() {
            page.total += names.len() as u64;
        }
        names.retain(|name| after.is_none_or(|after| (disk.index, parse_trash_entry_name(name)) > after));
        let mut last = None;
        // Where it breaks off, the page is full, and only the names on the other disks are left to count.
        let _ = read_entries(node, &disk, &names, &mut |disk, item| {
            // The marker is an entry: one with several tablets is never divided between two pages.
            let full = page.items.len() >= limit && last.as_ref() != Some(&item.entry);
            match filter.tablet_id {
                Some(id) if id != item.key.tablet_id => return ControlFlow::Continue(()),
                Some(_) => page.total += 1,
                None if full => return ControlFlow::Break(()),
                None => {}
            }
            if !full {
                page.items.push(view(node, disk, &item));
                last = Some(item.entry);
            }
            ControlFlow::Continue(())
        })?;
        let unreadable = node.undone.unreadable_in(&disk, TRASH);
        if filter.tablet_id.is_none() {
            page.total = page.total.saturating_sub(unreadable.len() as u64);
        }
        page.unreadable.extend(unreadable);
    }
    Ok(page)
}

/// Whether the trash of a disk still has what a migration retired.
pub(crate) fn holds(node: &Node, source: &Disk, id: MigrationId) -> Result<bool, Failure> {
    let mut found = false;
    walk(
        node,
        |disk| disk.index == source.index,
        |_| true,
        |_, item| {
            found = item.note.is_some_and(|note| note.migration_id == Some(id));
            if found { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        },
    )?;
    Ok(found)
}

/// What an operator would purge, whatever its age. Nothing is read of the live copies.
pub(crate) fn would_purge(node: &Node, select: &PurgeSelect) -> Result<Vec<PurgeOutcome>, Failure> {
    let mut outcomes = Vec::new();
    walk_selected(node, select, |disk, item| {
        let outcome = live_copy(node, item.key, generation_of(&item)).map(drop);
        outcomes.push(PurgeOutcome { item: view(node, disk, &item), outcome });
        ControlFlow::Continue(())
    })?;
    Ok(outcomes)
}

/// Shows `each` what is in the trash that is named until it breaks off.
pub(crate) fn walk_selected(
    node: &Node,
    select: &PurgeSelect,
    mut each: impl FnMut(&Arc<Disk>, TrashItem) -> ControlFlow<()>,
) -> Result<(), Failure> {
    let only = select.disk.as_ref().map(|path| node.find_disk(path)).transpose()?;
    let on = |disk: &Disk| only.is_none_or(|only| only.index == disk.index);
    let in_entry = |name: &str| select.entry.as_ref().is_none_or(|entry| entry == name);
    walk(node, on, in_entry, |disk, item| match select.tablet_id {
        Some(id) if id != item.key.tablet_id => ControlFlow::Continue(()),
        _ => each(disk, item),
    })
}

/// Whether any trash of this node has a tablet, whole or by a retirement that was cut short.
pub(crate) fn has(node: &Node, key: TabletKey) -> Result<bool, Failure> {
    let mut found = false;
    walk(
        node,
        |_| true,
        |_| true,
        |_, item| {
            found = item.key == key;
            if found { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        },
    )?;
    for disk in node.shown_disks().filter(|disk| disk.condition(node.hang_after()).is_readable()) {
        if found {
            break;
        }
        let cut_short =
            visit(disk, LIST_WAIT, |root, _| Ok(retirements_cut_short(&root.dir().open(TRASH)?)?))?;
        found = cut_short.contains(&key);
    }
    Ok(found)
}

/// The owner of the tablet that makes another copy superfluous, whose generation is this where it is known.
pub(crate) fn live_copy(node: &Node, key: TabletKey, generation: Option<u64>) -> Result<Arc<Disk>, String> {
    let catalog = node.catalog();
    let owner = catalog.get(key).ok_or("the tablet has no live copy; restore it, or keep this")?;
    let on = node.disk(owner.disk);
    if on.is_read_only() {
        return Err(format!(
            "its live copy is on {}, which is read-only: what that shows may not last",
            on.path
        ));
    }
    let newer = generation.is_none_or(|generation| generation < owner.generation);
    newer.then(|| Arc::clone(node.disk(owner.disk))).ok_or_else(|| {
        format!("the live copy has generation {}, which is not newer than this", owner.generation)
    })
}

pub(crate) fn generation_of(item: &TrashItem) -> Option<u64> {
    item.header.map(|header| header.generation)
}
