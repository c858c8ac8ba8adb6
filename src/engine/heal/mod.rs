//! Healing: a tablet that is damaged, or that nobody serves, gets its newest good copy back.
//!
//! ```text
//! claim      the tablet is nobody else's until the end, and its new generation is given to nobody else
//! look       is it damaged at all? A served tablet is read past the page cache first
//! search     every disk that answers: trash, staging, quarantine, sources that were never retired
//! choose     `rules::healing`: nothing older unless an operator accepts it, nothing while a newer one may be away
//! bring      beside what stands there, read past the page cache, COMMIT POINT: its record, above all generations
//! settle     only then the damaged copy is set aside
//! ```

mod adopt;
mod bring;
mod copying;
mod find;
pub(crate) mod guest;
pub(crate) mod quarantine;
mod salvage;
pub(crate) mod set_aside;
mod settle;

use std::sync::Arc;

use serde_json::value::RawValue;

use super::ledger::note_owner;
use super::line::content_crc32;
use super::node::Node;
use super::operations::{NewOperation, Operation};
use super::parts::catalog::Entry;
use super::parts::checks;
use super::parts::disk::Disk;
use super::tend::verify;
use super::view::operations::{CopyNamed, Heal, OperationView, Restore, RestoreQuarantined};
use crate::engine::operations;
use crate::model::{
    CheckState, ErrorCode, Failure, LedgerContent, OperationItem, OperationKind, TabletKey, TabletRecord,
};
use crate::rules::giving_up::Older;
use crate::rules::healing::{
    Attempts, Candidate, Content, FoundIn, Newest, missing_files, order, same_files,
};
use crate::rules::recovery::Unavailable;
pub(super) use adopt::adopt;
use find::{Found, Search, search};
use guest::is_guest;
pub(super) use salvage::salvage;
use settle::Judged;

/// Files that are named when an older copy would lack them.
const MISSING_SHOWN: usize = 20;

/// What is to come back, and how.
pub(super) struct Wish {
    key: TabletKey,
    generation: u64,
    from: Option<CopyNamed>,
    header: Option<Box<RawValue>>,
    to: Option<Arc<Disk>>,
    older: Older,
}

/// Heals a tablet.
///
/// # Errors
/// `TABLET_NOT_FOUND`, `DISK_NOT_FOUND`; as [`operations::begin`].
pub(super) fn heal(node: &Arc<Node>, request: &Heal) -> Result<OperationView, Failure> {
    let key = known_key(node, request)?;
    let restore = Restore {
        key,
        from: None,
        header: None,
        to: request.to.clone(),
        older: request.older,
        requested_by: request.requested_by.clone(),
    };
    begin(node, OperationKind::Heal, restore)
}

/// Brings back what is in an entry of a quarantine.
///
/// # Errors
/// `QUARANTINE_NOT_FOUND`; as [`restore`].
pub(super) fn restore_from_quarantine(
    node: &Arc<Node>,
    request: &RestoreQuarantined,
) -> Result<OperationView, Failure> {
    let view = quarantine::show(node, &request.disk, &request.entry)?;
    let restored = Restore {
        key: quarantine::restorable(&view)?,
        from: Some(CopyNamed::InQuarantine(view.disk, view.entry)),
        header: None,
        to: request.to.clone(),
        older: request.older,
        requested_by: request.requested_by.clone(),
    };
    restore(node, &restored)
}

/// Restores a tablet that nobody serves, or that is known to be damaged.
///
/// # Errors
/// `ALREADY_ON_DISK` while the tablet lives; `TRASH_NOT_FOUND`, `DISK_NOT_FOUND`; as [`operations::begin`].
pub(super) fn restore(node: &Arc<Node>, request: &Restore) -> Result<OperationView, Failure> {
    let key = request.key;
    refuse_served(node, key)?;
    let is_known = node.catalog().is_known(key);
    let is_named_aside = matches!(request.from, Some(CopyNamed::InQuarantine(..)));
    if !is_known && !is_named_aside && !super::tend::trash::has(node, key)? {
        return Err(nothing_of(key));
    }
    begin(node, OperationKind::Restore, request.clone())
}

/// # Errors
/// `ALREADY_ON_DISK` while somebody serves the tablet who is not known to be damaged.
fn refuse_served(node: &Node, key: TabletKey) -> Result<(), Failure> {
    let served = node.catalog().get(key).map(|entry| (entry.disk, entry.generation));
    let Some((disk, generation)) = served.filter(|_| checks::trouble_of(node, key).is_none()) else {
        return Ok(());
    };
    let (id, path) = (key.tablet_id, &node.disk(disk).path);
    let text = format!(
        "tablet {key} exists on {path} with generation {generation}: there is nothing to bring back. Should it be \
         damaged: tabletctl tablet heal {id}"
    );
    Err(Failure::new(ErrorCode::AlreadyOnDisk, text))
}

fn nothing_of(key: TabletKey) -> Failure {
    let text = format!("no trash, quarantine or staging of this node has tablet {key} with a good header");
    Failure::new(ErrorCode::TrashNotFound, text)
}

fn begin(node: &Arc<Node>, kind: OperationKind, request: Restore) -> Result<OperationView, Failure> {
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

fn known_key(node: &Node, request: &Heal) -> Result<TabletKey, Failure> {
    let id = request.tablet_id;
    if let Some(schema_hash) = request.schema_hash {
        return Ok(TabletKey { tablet_id: id, schema_hash });
    }
    let keys: Vec<_> = {
        let catalog = node.catalog();
        let served = catalog.with_id(id).map(|(key, _)| key);
        let known: Vec<_> = served.chain(catalog.unavailable_with_id(id).map(|(key, _)| key)).collect();
        // One whose owner was given up may be in trash still.
        if known.is_empty() { catalog.seen_with_id(id).collect() } else { known }
    };
    match keys.as_slice() {
        [one] => Ok(*one),
        [] => Err(super::look::migrations::why_not_served(node, id, None)),
        several => {
            let hashes: Vec<_> = several.iter().map(|key| key.schema_hash.to_string()).collect();
            let text = format!("tablet {id} has several schema hashes, say which: {}", hashes.join(", "));
            Err(Failure::new(ErrorCode::InvalidArgument, text))
        }
    }
}

fn run(node: &Arc<Node>, operation: &Operation, wish: &Wish) -> Result<String, Failure> {
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
        operation.checkpoint(node)?;
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

fn ended(
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
    let check = verify::verify_to_the_end(node, key, || operation.checkpoint(node))?;
    if check.state == CheckState::Passed {
        let text = format!(
            "tablet {key} on {} was read again just now, and every file is as its manifest says: nothing to heal",
            disk.path
        );
        return Err(Failure::new(ErrorCode::NotDamaged, text));
    }
    Ok(())
}

/// What is known of the tablet before anything is tried.
struct Picture {
    highest: u64,
    newest: Newest,
    why_unsure: String,
    /// The record of the newest state, where it can be read.
    reference: Option<TabletRecord>,
    /// Indices of the copies that may be tried at all, beside their order.
    candidates: Vec<usize>,
    attempts: Attempts,
}

impl Picture {
    fn of(node: &Node, wish: &Wish, served: Option<&Entry>, found: &Search) -> Self {
        let key = wish.key;
        let owners = |copy: &&Found| served.is_some_and(|entry| entry.disk == copy.disk.index);
        let settled = |copy: &&Found| !matches!(copy.found_in, FoundIn::Staging | FoundIn::Unrecorded);
        let seen = found.found.iter().filter(settled).map(|copy| copy.record.generation).max();
        let highest = match served {
            Some(entry) => entry.generation,
            None => node.catalog().highest_generation(key).max(seen.unwrap_or(0)),
        };
        let in_place = |copy: &&Found| copy.found_in == FoundIn::Place;
        let newest_found = match served {
            Some(_) => found.found.iter().filter(in_place).find(owners),
            None => found.found.iter().filter(settled).max_by_key(|copy| copy.record.generation),
        };
        let reference = newest_found.filter(|copy| copy.record.generation >= highest);
        // What lies in trash or quarantine may have been the newest once.
        let is_owned_here = reference.is_some_and(|copy| copy.found_in == FoundIn::Place);
        let reference = reference.map(|copy| copy.record.clone());
        let (mut newest, mut why_unsure) = how_sure(node, key, highest, is_owned_here, found);
        if is_newest_again(node, key, highest, found) {
            (newest, why_unsure) = (Newest::Here, String::new());
        }
        let candidates: Vec<usize> = (0..found.found.len())
            .filter(|index| {
                let copy = &found.found[*index];
                let is_damaged_owner = copy.found_in == FoundIn::Place && owners(&copy);
                let is_named = wish.from.as_ref().is_none_or(|named| copy.is(named));
                !is_damaged_owner && is_named
            })
            .collect();
        let compared: Vec<_> = candidates
            .iter()
            .map(|index| {
                let Found { record, found_in, .. } = &found.found[*index];
                let content = match &reference {
                    // What a disk that was given up had, and nobody here has: there is nothing newer to hold it against.
                    Some(newest)
                        if is_guest(&found.found[*index].disk) && record.generation > newest.generation =>
                    {
                        Content::Unknown
                    }
                    Some(newest) if same_files(&newest.manifest, &record.manifest) => Content::Same,
                    Some(_) => Content::Other,
                    None => compared_with_ledger(node, key, highest, record),
                };
                Candidate { generation: record.generation, content, found_in: *found_in }
            })
            .collect();
        let attempts = order(&compared, highest, newest);
        Self { highest, newest, why_unsure, reference, candidates, attempts }
    }

    /// Why nothing was brought back, and the way out.
    fn refusal(&self, key: TabletKey, found: &Search, tried: &[String]) -> Failure {
        let id = key.tablet_id;
        let left = |index: &usize| &found.found[self.candidates[*index]];
        let Some(best) = self.attempts.older.first().map(left) else {
            if !tried.is_empty() {
                let count = tried.len();
                let text =
                    format!("no copy of tablet {key} on this node is good, of {count}: {}", tried.join("; "));
                return Failure::new(ErrorCode::SourceDamaged, text);
            }
            let away = match found.away.as_slice() {
                [] => String::new(),
                away => format!("; not looked at: {}", away.join(", ")),
            };
            let failure = nothing_of(key);
            return Failure::new(failure.code, format!("{}{away}", failure.message));
        };
        let place = format!("generation {} in {}", best.record.generation, best.place());
        let way_out = match best.found_in {
            FoundIn::Unrecorded => {
                format!("tabletctl tablet adopt {} --accept-older serves it", best.place())
            }
            _ => format!("tabletctl tablet heal {id} --accept-older serves {place}"),
        };
        let text = match self.newest {
            Newest::Unsure => {
                format!("tablet {key}: {}; {way_out}: {}", self.why_unsure, self.missing(&best.record))
            }
            Newest::Here | Newest::Gone => format!(
                "tablet {key}: no good copy on this node is as new as it was (generation {}); {way_out}: {}",
                self.highest,
                self.missing(&best.record)
            ),
        };
        Failure::new(ErrorCode::OnlyOlderCopy, text)
    }

    /// What would be missing then.
    fn missing(&self, copy: &TabletRecord) -> String {
        let Some(newest) = &self.reference else {
            return format!(
                "what came after generation {} would be missing, which nothing here can list",
                copy.generation
            );
        };
        let missing: Vec<_> = missing_files(&newest.manifest, &copy.manifest).collect();
        let shown = missing.iter().take(MISSING_SHOWN).copied().collect::<Vec<_>>().join(", ");
        match missing.len() {
            0 => "no file of the newest known generation would be missing".to_owned(),
            count if count > MISSING_SHOWN => format!("{count} files would be missing: {shown}, ..."),
            count => format!("{count} files would be missing: {shown}"),
        }
    }
}

/// Whether the newest of all is on a disk that was given up and can be read again: no disk is away that may have a newer
/// one.
fn is_newest_again(node: &Node, key: TabletKey, highest: u64, found: &Search) -> bool {
    let again = found.found.iter().find(|copy| is_guest(&copy.disk)).map(|copy| copy.record.generation);
    let line = node.journal.ledger_line(key).ok().flatten();
    let owned = line.and_then(|line| line.owner).map(|owner| owner.generation);
    let elsewhere = node.catalog().claimed_elsewhere(key, None);
    again >= Some(highest).max(owned).max(elsewhere) && found.away.is_empty()
}

/// How sure it is that nothing newer exists, and why it is not.
fn how_sure(
    node: &Node,
    key: TabletKey,
    highest: u64,
    newest_is_here: bool,
    found: &Search,
) -> (Newest, String) {
    match node.catalog().unavailability(key) {
        Some((Unavailable::NewerOnMissingDisk, why)) => return (Newest::Unsure, why.to_owned()),
        Some((Unavailable::Contradiction, why)) => return (Newest::Unsure, why.to_owned()),
        Some((Unavailable::NoGoodCopy, _)) | None => {}
    }
    if node.catalog().claimed_elsewhere(key, None).is_some_and(|generation| generation > highest) {
        return (Newest::Unsure, "a disk that is not here has, or may have, a newer generation".to_owned());
    }
    if newest_is_here {
        return (Newest::Here, String::new());
    }
    if found.away.is_empty() {
        return (Newest::Gone, String::new());
    }
    (Newest::Unsure, format!("a newer generation may be on {}", found.away.join(", ")))
}

/// Without a record of the newest generation, the ledger says what the move that made it has brought.
fn compared_with_ledger(node: &Node, key: TabletKey, highest: u64, record: &TabletRecord) -> Content {
    let line = node.journal.ledger_line(key).ok().flatten();
    let owner = line.and_then(|line| line.owner).filter(|owner| owner.generation >= highest);
    let Some(newest) = owner.and_then(|owner| owner.content) else { return Content::Unknown };
    let found = LedgerContent {
        files: record.manifest.files().len() as u64,
        bytes: record.manifest.total_bytes(),
        manifest_crc32: content_crc32(&record.manifest),
    };
    if found == newest { Content::Same } else { Content::Other }
}
