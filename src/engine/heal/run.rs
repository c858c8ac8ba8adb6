//! One tablet is healed: looked at, searched for, brought back, and what is damaged set aside.

use std::sync::Arc;

use super::find::{Found, search};
use super::picture::Picture;
use super::settle::Judged;
use super::wish::Wish;
use crate::engine::heal::{adopt, bring, settle};
use crate::engine::ledger::note_owner;
use crate::engine::node::Node;
use crate::engine::operations;
use crate::engine::parts::disk::Disk;
use crate::engine::parts::entry::Entry;
use crate::engine::parts::operation_book::{NewOperation, Operation};
use crate::engine::tend::verify;
use crate::engine::view::operations::{OperationView, Restore};
use crate::model::{CheckState, ErrorCode, Failure, OperationItem, OperationKind, TabletKey};

pub(crate) fn begin(
    node: &Arc<Node>,
    kind: OperationKind,
    request: Restore,
) -> Result<OperationView, Failure> {
    let to = request.to.as_ref().map(|path| node.find_disk(path)).transpose()?.map(Arc::clone);
    let new = NewOperation {
        kind,
        subject: format!("tablet {}", request.key),
        requested_by: request.requested_by,
        claims: Some(request.key),
    };
    let (key, from, header, older) = (request.key, request.from, request.header, request.older);
    operations::begin(node, &new, move |node, operation| {
        let generation = operation.view().generation.unwrap_or_default();
        run(node, operation, &Wish { key, generation, from, header, to, older })
    })
}

pub(crate) fn run(node: &Arc<Node>, operation: &Operation, wish: &Wish) -> Result<String, Failure> {
    let key = wish.key;
    let served = node.catalog().get(key).copied();
    if let Some(entry) = &served {
        confirm_damage(node, operation, key, node.disk(entry.disk))?;
    }
    operation.note("looking for good copies on every disk");
    let mut found = search(node, operation, key, wish.from.as_ref())?;
    let adopted = adopt::make(node, operation, wish, &found)?;
    found.found.extend(adopted);
    let picture = Picture::of(node, wish, served.as_ref(), &found);
    let mut damaged: Vec<usize> = Vec::new();
    let mut why: Vec<String> = Vec::new();
    for index in picture.attempts.allowed(wish.older) {
        let index = picture.candidates[index];
        let copy = &found.found[index];
        operation.checkpoint()?;
        operation.note(format!("reading generation {} in {}", copy.record.generation, copy.place()));
        match bring::back(node, operation, wish, copy) {
            Ok(brought) => {
                {
                    let mut catalog = node.catalog_mut();
                    catalog.insert(key, Entry::new(brought.disk.index, &brought.record));
                }
                note_owner(node, key, &brought.disk, brought.record.generation);
                let is_owner = |found: &Found| served.is_some_and(|entry| entry.disk == found.disk.index);
                let judged = |other: &Found| {
                    let tried = damaged.iter().any(|bad| std::ptr::eq(&raw const found.found[*bad], other));
                    if tried || is_owner(other) { Judged::Damaged } else { Judged::Untried }
                };
                let settled = settle::others(node, key, &found, judged, served.as_ref(), &brought);
                return Ok(ended(operation, key, copy, &brought, &settled));
            }
            Err(failure) if bring::is_about_the_copy(failure.code) => {
                tracing::warn!(tablet = %key, "the copy in {} is no good: {failure}", copy.place());
                why.push(format!("{}: {failure}", copy.place()));
                damaged.push(index);
            }
            Err(failure) => return Err(failure),
        }
    }
    Err(picture.refusal(key, &found, &why))
}

pub(crate) fn ended(
    operation: &Operation,
    key: TabletKey,
    copy: &Found,
    brought: &bring::Brought,
    settled: &[String],
) -> String {
    operation.done_with(OperationItem {
        key: Some(key),
        disk: brought.disk.path.clone(),
        entry: copy.entry.clone(),
        size_bytes: brought.record.size_bytes,
        outcome: Ok(()),
    });
    let mut text = format!(
        "tablet {key} is on {} with generation {}, from {}",
        brought.disk.path,
        brought.record.generation,
        copy.place()
    );
    for line in settled {
        text += "; ";
        text += line;
    }
    text
}

/// Reads a served tablet past the page cache: one that is whole is not healed.
fn confirm_damage(
    node: &Arc<Node>,
    operation: &Operation,
    key: TabletKey,
    disk: &Disk,
) -> Result<(), Failure> {
    if !disk.condition(node.hang_after()).is_readable() {
        return Ok(());
    }
    operation.note(format!("reading the tablet on {} again", disk.path));
    let check = verify::verify_to_the_end(node, key, || operation.checkpoint())?;
    if check.state == CheckState::Passed {
        let text = format!(
            "tablet {key} on {} was read again just now, and every file is as its manifest says: nothing to heal",
            disk.path
        );
        return Err(Failure::new(ErrorCode::NotDamaged, text));
    }
    Ok(())
}
