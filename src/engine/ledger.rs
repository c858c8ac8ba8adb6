//! What the journal's ledger is told beside what the rows of migrations say: tablets that were brought back, written again
//! above a doubtful swap, or survived a lost disk. Only ever what is durable on its disk already: a ledger that knows more
//! than the disks would hold a good copy for an old one.
//!
//! What was acknowledged outlives its row: the journal's ledger (`model::LedgerLine`, a line per tablet that was ever
//! moved or brought back, written in the transaction of the row that says so, never pruned) has the highest generation
//! that was given out, the disk that owns, and destinations of swaps of which the end is not known. A start holds every
//! copy against it: a disk that comes back older, or without its record, makes no older copy the owner; such a tablet
//! is unavailable until an operator heals it. The ledger says "owns" only of what is durable on its disk
//! (`engine/ledger.rs`); where the disks know better it catches up at the start.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::node::Node;
use super::parts::clock::now_ms;
use super::parts::disk::{Disk, visit};
use crate::model::{DiskIndex, DiskRef, LedgerLine, LedgerOwner, ShardId, TabletKey, counted};
use crate::storage::RetiredNote;

/// How long one disk may take to be synced at a start.
const SYNC_WAIT: Duration = Duration::from_secs(60);

/// Writes that this disk owns a tablet, durably. What cannot be written is said: the next start writes it.
pub(super) fn note_owner(node: &Node, key: TabletKey, disk: &Disk, generation: u64) {
    note_owners(node, [(key, disk, generation)]);
}

/// As [`note_owner`], of many.
pub(super) fn note_owners<'a>(node: &Node, owners: impl IntoIterator<Item = (TabletKey, &'a Disk, u64)>) {
    let owned = |(key, disk, generation): (TabletKey, &Disk, u64)| {
        Some((key, LedgerOwner { disk: disk.reference()?, generation, content: None }))
    };
    let owners: Vec<_> = owners.into_iter().filter_map(owned).collect();
    if owners.is_empty() {
        return;
    }
    let count = owners.len();
    if let Err(failure) = node.journal.note_owners(owners) {
        tracing::warn!(
            "who owns {} is not in the ledger yet, and is written at the next start at the latest: {failure}",
            counted(count, "tablet")
        );
    }
}

/// At a start: what the disks know better is written down, once it is synced.
pub(super) fn catch_up(node: &Arc<Node>, ledger: &[LedgerLine]) {
    let mut behind: BTreeMap<DiskIndex, Vec<(TabletKey, u64)>> = BTreeMap::new();
    {
        let catalog = node.catalog();
        for line in ledger {
            let Some(entry) = catalog.get(line.key) else { continue };
            if line.owner.as_ref().is_some_and(|owner| owner.generation < entry.generation) {
                behind.entry(entry.disk).or_default().push((line.key, entry.generation));
            }
        }
    }
    for (index, tablets) in behind {
        let disk = node.disk(index);
        let is_synced = !disk.is_read_only()
            && visit(disk, SYNC_WAIT, |root, _| Ok(root.dir().sync_file_system()?)).is_ok();
        if is_synced {
            note_owners(node, tablets.into_iter().map(|(key, generation)| (key, &**disk, generation)));
        }
    }
}

/// What is said now of a copy that this generation on the disk `moved_to` has outlived, where no migration says more.
pub(super) fn retired_note(
    node: &Node,
    key: TabletKey,
    shard_id: ShardId,
    moved_to: DiskRef,
    generation: u64,
) -> RetiredNote {
    RetiredNote {
        key,
        shard_id,
        migration_id: None,
        moved_to,
        generation,
        retired_ms: now_ms(),
        uptime_sec: node.uptime_sec.load(Ordering::Relaxed),
    }
}
