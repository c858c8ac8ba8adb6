//! What is known of a tablet before anything is tried: the newest state there ever was, and which copies come near it.

use super::find::{Found, Search};
use super::guest::is_guest;
use super::wish::{Wish, nothing_of};
use crate::engine::node::Node;
use crate::engine::parts::entry::Entry;
use crate::engine::parts::rewrite::content_crc32;
use crate::model::{ErrorCode, Failure, LedgerContent, TabletKey, TabletRecord, counted};
use crate::rules::healing::{
    Attempts, Candidate, Content, FoundIn, Newest, missing_files, order, same_files,
};
use crate::rules::recovery::Unavailable;

/// Files that are named when an older copy would lack them.
const MISSING_SHOWN: usize = 20;

/// What is known of the tablet before anything is tried.
pub(crate) struct Picture {
    pub(super) highest: u64,
    pub(super) newest: Newest,
    pub(super) why_unsure: String,
    /// The record of the newest state, where it can be read.
    pub(super) reference: Option<TabletRecord>,
    /// Indices of the copies that may be tried at all, beside their order.
    pub(super) candidates: Vec<usize>,
    pub(super) attempts: Attempts,
}

impl Picture {
    pub(super) fn of(node: &Node, wish: &Wish, served: Option<&Entry>, found: &Search) -> Self {
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
    pub(super) fn refusal(&self, key: TabletKey, found: &Search, tried: &[String]) -> Failure {
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
            count => {
                let more = if count > MISSING_SHOWN { ", ..." } else { "" };
                format!("{} would be missing: {shown}{more}", counted(count, "file"))
            }
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
