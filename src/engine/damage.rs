//! What is known to be wrong with tablets that are served, and how it becomes known.
//!
//! Damage is known at once whoever finds it: a copy, `calc_crc` and the check before a purge leave the same trace as a
//! verification (`engine/damage.rs`). Bytes that a disk did not give (EIO) are no damage: the tablet is *unreadable*
//! (`engine/parts/checks.rs`), by file and offset, until a read gives them. Its moves come behind all others of their
//! priority.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::node::Node;
use super::parts::checks::{Check, Trouble, TroubleKind, forget_oldest, in_words, unasked};
use super::parts::clock::now_ms;
use super::parts::disk::Disk;
use crate::model::{CheckState, Failure, TabletCheck, TabletKey};

/// What was found before this run of the daemon.
pub(crate) fn take_up(node: &Node, found: Vec<TabletCheck>) {
    node.checks().extend(found.into_iter().map(|check| (check.key, Arc::new(Check::of(check)))));
}

/// A read that was not asked for as a verification has failed: what it says of the tablet is known from now on, as if a
/// verification had found it.
pub(crate) fn note_failed_read(node: &Node, key: TabletKey, disk: &Disk, failure: &Failure) {
    let Some(kind) = TroubleKind::of(failure.code) else { return };
    let Some(entry) = node.catalog().get(key).copied().filter(|entry| entry.disk == disk.index) else {
        return;
    };
    let mut checks = node.checks();
    if let Some(known) = checks.get(&key) {
        let is_known = |known: Trouble| known.generation == entry.generation && known.kind >= kind;
        if known.trouble().is_some_and(is_known) || !known.lock().state.is_settled() {
            return;
        }
    }
    forget_oldest(&node.journal, &mut checks);
    let now_ms = now_ms();
    let found = Check::of(TabletCheck {
        generation: entry.generation,
        state: match kind {
            TroubleKind::Damaged => CheckState::Damaged,
            TroubleKind::Unreadable => CheckState::Unreadable,
        },
        started_ms: Some(now_ms),
        finished_ms: Some(now_ms),
        ..unasked(key, disk.path.clone())
    });
    found.note_failure(&key.to_string(), failure);
    let seen = found.view();
    tracing::error!(tablet = %key, disk = disk.path, "a read failed: {}", in_words(&seen));
    node.journal.set_check(seen);
    checks.insert(key, Arc::new(found));
}

/// A tablet was read from end to end by somebody who compares nothing: it is not unreadable, or no more.
pub(crate) fn note_whole_read(node: &Node, key: TabletKey, disk: &Disk) {
    let mut checks = node.checks();
    let Some(known) = checks.get(&key) else { return };
    let is_over = known.lock().state == CheckState::Unreadable && known.lock().disk == disk.path;
    if is_over {
        tracing::info!(tablet = %key, disk = disk.path, "what could not be read was read now");
        checks.remove(&key);
        node.journal.clear_check(key);
    }
}

/// Tablets that something was found wrong with and that have not moved since.
pub(crate) fn troubles(node: &Node) -> BTreeMap<TabletKey, Trouble> {
    let checks = node.checks();
    checks.iter().filter_map(|(key, check)| Some((*key, check.trouble()?))).collect()
}

/// Tablets of which a disk did not give all bytes.
pub(crate) fn unreadable(node: &Node) -> BTreeSet<TabletKey> {
    let checks = node.checks();
    let unreadable = checks.iter().filter(|(_, check)| check.kind() == Some(TroubleKind::Unreadable));
    unreadable.map(|(key, _)| *key).collect()
}

/// What is known to be wrong with a tablet as it is now.
pub(crate) fn trouble_of(node: &Node, key: TabletKey) -> Option<Trouble> {
    let trouble = node.checks().get(&key).cloned()?.trouble()?;
    node.catalog().get(key).is_some_and(|entry| entry.generation == trouble.generation).then_some(trouble)
}
