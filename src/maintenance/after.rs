//! After the backend has run: what it has of the tablets that were moved, and the freeing of what is no longer needed.
//!
//! Looks like a guest, while the backend runs: no lock, nothing written but in our own room and journal.

use std::collections::BTreeMap;
use std::path::Path;

use super::accept::ids_of;
use super::book::{Book, now_ms};
use super::root::uuid_of_path;
use crate::config::Loaded;
use crate::doris::database::Strictness;
use crate::doris::files::Listing;
use crate::doris::inventory::Inventory;
use crate::doris::keys::TabletIds;
use crate::doris::record::TabletState;
use crate::model::{
    DiskRef, Failure, FileEntry, Manifest, Migration, MigrationId, Status, Swap, TabletKey, counted,
};
use crate::storage::{
    Dir, DiskError, DorisRoot, SinceKept, doris_directory, forget_kept, kept_runs, list_tablet,
    purge_retired, read_one_state, since_kept,
};
use crate::transfer::{BufferBudget, CheckRequest, CopyHooks, CopyOptions, verify_files};

/// What a backend has of a tablet that was moved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Confirmed {
    pub id: u64,
    pub tablet_id: i64,
    pub root: String,
    pub now: Now,
    pub about: String,
}

/// How a tablet is that was moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Now {
    /// A backend has started since, and every file that was moved is as it was.
    AsMoved,
    /// The backend has worked on since, by loads or compactions: what is left of what was moved is as it was.
    ChangedSince,
    /// No backend has started since: there is nothing to confirm yet.
    NotStarted,
    /// It is on another root, or on none: the backend has moved or dropped it.
    Elsewhere,
    /// A file that its record names is missing or differs: look before anything is purged.
    Damaged,
    /// It cannot be looked at now.
    Unseen,
}

impl Now {
    /// Its name, in reports.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AsMoved => "as moved",
            Self::ChangedSince => "changed since",
            Self::NotStarted => "no backend has started since",
            Self::Elsewhere => "no longer there",
            Self::Damaged => "damaged",
            Self::Unseen => "not seen",
        }
    }

    /// Whether what was retired for it may go.
    pub const fn is_confirmed(self) -> bool {
        matches!(self, Self::AsMoved | Self::ChangedSince)
    }
}

/// What a purge did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Purged {
    /// Sources of moves that are gone.
    pub moves: usize,
    /// Bytes that were freed.
    pub bytes: u64,
    /// Moves whose source stays: they are not confirmed.
    pub unconfirmed: usize,
}

struct Unwatched;

impl CopyHooks for Unwatched {}

/// The roots that can be opened now, without a lock.
fn roots(loaded: &Loaded) -> Vec<(String, DorisRoot)> {
    let opened = loaded.roots.roots.iter();
    opened.filter_map(|spec| Some((spec.path.clone(), DorisRoot::open(&spec.path).ok()?))).collect()
}

/// Compares what was moved with what the backend has now, and notes what is confirmed.
///
/// # Errors
/// The journal cannot be opened.
pub fn confirm(loaded: &Loaded) -> Result<Vec<Confirmed>, Failure> {
    let mut book = Book::open(Path::new(&loaded.config.state_dir), 0)?;
    let roots = roots(loaded);
    let mut told = Vec::new();
    for (path, root) in &roots {
        let rows: Vec<Migration> = moved_to(&book, root)?;
        if rows.is_empty() {
            continue;
        }
        let inventory = read_one_state(root.dir(), Strictness::Refuse, Inventory::read);
        for mut row in rows {
            let (now, about) = match &inventory {
                Ok(inventory) => look(root, inventory, &row),
                Err(why) => (Now::Unseen, why.clone()),
            };
            if now.is_confirmed()
                && let Some(doris) = &mut row.doris
            {
                doris.confirmed_ms = Some(now_ms());
                book.note(&row)?;
            }
            let (id, tablet_id) = (row.id.0, row.key.tablet_id.0);
            told.push(Confirmed { id, tablet_id, root: path.clone(), now, about });
        }
    }
    Ok(told)
}

/// Completed moves to this root that nobody took back, the newest of each tablet.
fn moved_to(book: &Book, root: &DorisRoot) -> Result<Vec<Migration>, Failure> {
    let Ok(Some(uuid)) = root.uuid() else { return Ok(Vec::new()) };
    let mut rows: Vec<Migration> = book.all()?.into_iter().filter(stands).collect();
    let newest: BTreeMap<TabletKey, MigrationId> = rows.iter().map(|row| (row.key, row.id)).collect();
    rows.retain(|row| row.destination.uuid == uuid && newest.get(&row.key) == Some(&row.id));
    Ok(rows)
}

/// Whether a move was made, and not taken back.
fn stands(row: &Migration) -> bool {
    row.status == Status::Completed && row.doris.as_ref().is_some_and(|doris| doris.swap != Swap::Undone)
}

/// Whether nobody needs what a move left any more: its tablet is confirmed, by this move or a later one of it.
fn is_settled(row: &Migration, rows: &[Migration]) -> bool {
    let confirmed = |row: &&Migration| row.doris.as_ref().is_some_and(|doris| doris.confirmed_ms.is_some());
    !stands(row)
        || rows.iter().filter(|later| later.key == row.key && later.id >= row.id).any(|row| confirmed(&row))
}

fn look(root: &DorisRoot, inventory: &Inventory, row: &Migration) -> (Now, String) {
    let ids = ids_of(row.key);
    let Some(doris) = &row.doris else { return (Now::Unseen, String::new()) };
    let run = doris.retired_run.as_ref().unwrap_or(&doris.run);
    match since_kept(root, run).and_then(|since| match since {
        SinceKept::NotKept => since_kept(root, &doris.run),
        since => Ok(since),
    }) {
        Ok(SinceKept::OurLogs(_)) => return (Now::NotStarted, "start the backend first".to_owned()),
        Ok(SinceKept::Changed(_) | SinceKept::NotKept) => {}
        Err(error) => return (Now::Unseen, error.to_string()),
    }
    let record = inventory.tablets.get(&ids).and_then(|found| found.record.as_ref().ok());
    let Some(tablet) = record.filter(|tablet| tablet.state == TabletState::Running) else {
        return (Now::Elsewhere, format!("no record of tablet {ids} serves here"));
    };
    let at = doris_directory(tablet.shard, ids);
    let compared = || -> Result<(Now, String), DiskError> {
        let Some(dir) = root.dir().open_if_exists(&at)? else {
            return Ok((Now::Damaged, format!("{at} is missing")));
        };
        let listing = list_tablet(&dir)?;
        Ok(compare(&dir, &listing, inventory, ids, &doris.files))
    };
    compared().unwrap_or_else(|error| (Now::Unseen, error.to_string()))
}

/// Every file that was moved: there and as it was, or no longer of a rowset that the tablet has.
fn compare(
    dir: &Dir,
    listing: &Listing,
    inventory: &Inventory,
    ids: TabletIds,
    moved: &[FileEntry],
) -> (Now, String) {
    let mut named: Vec<&str> = Vec::new();
    if let Some(found) = inventory.tablets.get(&ids)
        && let Ok(tablet) = &found.record
    {
        named.extend(tablet.rowsets.iter().chain(&found.fresh).map(|rowset| rowset.id.as_str()));
    }
    let is_named =
        |name: &str| named.iter().any(|id| name.starts_with(&format!("{id}_")) && name.ends_with(".dat"));
    let own = moved.iter().filter(|file| !file.name.contains('/'));
    let (there, gone): (Vec<&FileEntry>, Vec<&FileEntry>) =
        own.partition(|file| listing.get(&file.name) == Some(&file.size_bytes));
    if let Some(missing) = gone.iter().find(|file| is_named(&file.name)) {
        return (
            Now::Damaged,
            format!("{} is missing or has another size, and the record names it", missing.name),
        );
    }
    let manifest = match Manifest::new(there.into_iter().cloned().collect()) {
        Ok(manifest) => manifest,
        Err(error) => return (Now::Unseen, error.to_string()),
    };
    let request = CheckRequest {
        dir,
        manifest: &manifest,
        options: &CopyOptions::default(),
        budget: &BufferBudget::new(64 << 20),
        hooks: &Unwatched,
    };
    match verify_files(&request) {
        Ok(_) if gone.is_empty() => (Now::AsMoved, counted(manifest.files().len(), "file")),
        Ok(_) => (
            Now::ChangedSince,
            format!(
                "{} of {} as moved, {} replaced since",
                manifest.files().len() - gone.len(),
                counted(manifest.files().len(), "file"),
                gone.len()
            ),
        ),
        Err(failure) => (Now::Damaged, failure.message),
    }
}

/// Frees what was retired for confirmed moves, and what runs kept of which no move is left unconfirmed. Safe while the
/// backend runs: nothing outside our room is touched.
///
/// # Errors
/// The journal cannot be opened; a failed call.
pub fn purge(loaded: &Loaded) -> Result<Purged, Failure> {
    let book = Book::open(Path::new(&loaded.config.state_dir), 0)?;
    let rows = book.all()?;
    let mut purged = Purged::default();
    let settled = |row: &Migration| row.status.is_final() && is_settled(row, &rows);
    for (path, root) in roots(loaded) {
        let Ok(Some(uuid)) = root.uuid() else { continue };
        let is_here = |disk: &DiskRef| disk.uuid == uuid || disk.uuid == uuid_of_path(&path);
        let replaced = |row: &Migration| row.doris.as_ref().is_some_and(|doris| doris.replaces.is_some());
        let left_here = |row: &&Migration| is_here(&row.source) || is_here(&row.destination) && replaced(row);
        for row in rows.iter().filter(|row| row.status == Status::Completed).filter(left_here) {
            if !settled(row) {
                purged.unconfirmed += 1;
            } else if let Some(bytes) = purge_retired(&root, row.id)? {
                purged.moves += 1;
                purged.bytes += bytes;
            }
        }
        for run in kept_runs(&root)? {
            let of_run = |row: &&Migration| {
                let doris = row.doris.as_ref();
                doris.is_some_and(|doris| doris.run == run || doris.retired_run.as_ref() == Some(&run))
            };
            // Without a row of it the journal was lost: nothing says that nobody needs it.
            if rows.iter().any(|row| of_run(&row)) && rows.iter().filter(of_run).all(settled) {
                forget_kept(&root, &run)?;
            }
        }
    }
    Ok(purged)
}
