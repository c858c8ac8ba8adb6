//! Verification of many tablets as one operation: of a disk, of a list, of the node. Each disk is read by one thread, one
//! tablet after another, so that a slow disk holds up only itself. What is found is known at once, as after any
//! verification; the operation keeps what is not good, and how much is.

use std::collections::BTreeMap;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::verify::{Watch, verify_here};
use crate::engine::look::migrations::why_not_served;
use crate::engine::look::reading::owner;
use crate::engine::node::Node;
use crate::engine::operations;
use crate::engine::parts::checks::in_words;
use crate::engine::parts::operation_book::NewOperation;
use crate::engine::parts::operation_book::Operation;
use crate::engine::parts::thread::spawn_isolated;
use crate::engine::view::operations::{OperationView, VerifyMany};
use crate::model::{
    CheckState, DiskIndex, ErrorCode, Failure, OperationItem, OperationKind, TabletKey, counted,
};

/// How often it is looked whether somebody has stopped it, while a disk does not answer.
const PATIENCE: Duration = Duration::from_millis(200);
/// Tablets of a kind that the summary names.
const NAMED_MAX: usize = 10;

/// Begins it.
///
/// # Errors
/// `DISK_NOT_FOUND`, `TABLET_NOT_FOUND`, `TABLET_UNAVAILABLE` for what the request names; as [`operations::begin`].
pub(crate) fn begin(node: &Arc<Node>, request: &VerifyMany) -> Result<OperationView, Failure> {
    let only = request.disk.as_ref().map(|path| node.find_disk(path)).transpose()?.map(|disk| disk.index);
    for id in &request.tablet_ids {
        if node.catalog().with_id(*id).next().is_none() {
            return Err(why_not_served(node, *id, None));
        }
    }
    let what = match request.tablet_ids.len() {
        0 => "every tablet".to_owned(),
        1 => format!("tablet {}", request.tablet_ids[0]),
        count => counted(count, "tablet"),
    };
    let new = NewOperation {
        kind: OperationKind::Verify,
        subject: request.disk.as_ref().map_or_else(|| what.clone(), |disk| format!("{what} on {disk}")),
        requested_by: request.requested_by.clone(),
        claims: None,
    };
    let request = request.clone();
    operations::begin(node, &new, move |node, operation| run(node, operation, only, &request))
}

/// The tablets that are meant, by the disk that serves them; and their bytes.
fn chosen(
    node: &Node,
    only: Option<DiskIndex>,
    request: &VerifyMany,
) -> (BTreeMap<DiskIndex, Vec<TabletKey>>, u64) {
    let (mut by_disk, mut bytes) = (BTreeMap::<_, Vec<_>>::new(), 0);
    for (key, entry) in node.catalog().after(None) {
        let is_named = request.tablet_ids.is_empty() || request.tablet_ids.contains(&key.tablet_id);
        if is_named && only.is_none_or(|only| only == entry.disk) {
            by_disk.entry(entry.disk).or_default().push(key);
            bytes += entry.size_bytes;
        }
    }
    (by_disk, bytes)
}

fn run(
    node: &Arc<Node>,
    operation: &Arc<Operation>,
    only: Option<DiskIndex>,
    request: &VerifyMany,
) -> Result<String, Failure> {
    let (by_disk, bytes) = chosen(node, only, request);
    operation.expect(by_disk.values().map(|keys| keys.len() as u64).sum());
    operation.expect_bytes(bytes);
    operation.note("reading past the page cache");
    let tally = Arc::new(Mutex::new(Tally::default()));
    let (sender, ended) = mpsc::channel::<()>();
    for keys in by_disk.into_values() {
        let (at, own) = (Arc::clone(node), Arc::clone(operation));
        let (tally, sender) = (Arc::clone(&tally), sender.clone());
        spawn_isolated("verify", move || {
            for key in keys {
                if own.checkpoint().is_err() {
                    break;
                }
                verify_one(&at, &own, key, &tally);
            }
            drop(sender);
        })
        // Those that have begun go by the same word as an operator's.
        .inspect_err(|_| operation.stop())?;
    }
    drop(sender);
    // A thread that is stuck in a hung disk is not waited for once somebody has stopped it.
    while ended.recv_timeout(PATIENCE) != Err(RecvTimeoutError::Disconnected) {
        if operation.checkpoint().is_err() && ended.recv_timeout(PATIENCE).is_err() {
            break;
        }
    }
    let summary = lock(&tally).to_string();
    match operation.checkpoint() {
        Ok(()) => Ok(summary),
        Err(failure) => Err(Failure::new(failure.code, format!("{}; by then {summary}", failure.message))),
    }
}

fn lock(tally: &Mutex<Tally>) -> MutexGuard<'_, Tally> {
    tally.lock().unwrap_or_else(PoisonError::into_inner)
}

fn verify_one(node: &Arc<Node>, operation: &Operation, key: TabletKey, tally: &Mutex<Tally>) {
    let stop = || operation.checkpoint();
    let watch = Watch { stop: &stop, read_bytes: &operation.read_bytes };
    let read = || owner(node, key).and_then(|disk| Ok((verify_here(node, key, &disk, &watch)?, disk)));
    let is_moved = |check: &crate::model::TabletCheck| {
        check.error.as_ref().is_some_and(|failure| failure.code == ErrorCode::TabletUnavailable)
    };
    let checked = match read() {
        // It was moved while it was read: where it is now, it is another copy.
        Ok((check, _)) if is_moved(&check) => read(),
        checked => checked,
    };
    let (found, disk, size_bytes, why) = match checked {
        Ok((check, _)) if check.state == CheckState::Passed => {
            lock(tally).good += 1;
            return operation.done_well();
        }
        Ok((check, disk)) => {
            let (found, why) = match check.state {
                CheckState::Damaged => (Found::Damaged, in_words(&check)),
                CheckState::Unreadable => (Found::Unreadable, in_words(&check)),
                _ => (Found::NotRead, check.error.map_or_else(String::new, |failure| failure.message)),
            };
            (found, disk.path.clone(), check.total_bytes, why)
        }
        Err(failure) => (Found::NotRead, String::new(), 0, failure.message),
    };
    // What an operator has stopped in the middle says nothing of the tablet.
    if found == Found::NotRead && operation.checkpoint().is_err() {
        return;
    }
    lock(tally).bad.entry(found).or_default().push(key);
    operation.done_with(OperationItem { key: Some(key), disk, entry: None, size_bytes, outcome: Err(why) });
}

/// What a verification may find that is not good, the worst first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Found {
    Damaged,
    Unreadable,
    /// It came to no end.
    NotRead,
}

/// What was found so far.
#[derive(Debug, Default)]
struct Tally {
    good: u64,
    bad: BTreeMap<Found, Vec<TabletKey>>,
}

impl std::fmt::Display for Tally {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} good", self.good)?;
        for (found, keys) in &self.bad {
            let what = match found {
                Found::Damaged => "damaged",
                Found::Unreadable => "unreadable",
                Found::NotRead => "not read to the end",
            };
            let named: Vec<_> = keys.iter().take(NAMED_MAX).map(|key| key.tablet_id.to_string()).collect();
            let more = if keys.len() > NAMED_MAX { ", ..." } else { "" };
            write!(f, ", {} {what} ({}{more})", keys.len(), named.join(", "))?;
        }
        if self.bad.keys().any(|found| *found != Found::NotRead) {
            f.write_str("; tabletctl tablet heal ID brings the newest good copy of one back")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_summary_counts_names_and_says_what_helps() {
        let mut tally = Tally { good: 3, ..Tally::default() };
        assert_eq!(tally.to_string(), "3 good");
        tally.bad.insert(Found::NotRead, vec![TabletKey::new(5, 1)]);
        assert_eq!(tally.to_string(), "3 good, 1 not read to the end (5)");
        tally.bad.insert(Found::Damaged, (10..22).map(|id| TabletKey::new(id, 1)).collect());
        let said = tally.to_string();
        assert!(said.starts_with("3 good, 12 damaged (10, 11, 12,"), "{said}");
        assert!(said.contains("19, ...), 1 not read") && said.contains("tablet heal"), "{said}");
    }
}
