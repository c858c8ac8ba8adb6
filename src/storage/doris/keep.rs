//! `meta/` as it was before a run wrote to it, kept in our room: the way back while no backend has started since.
//!
//! Tables are hard links, since nobody ever changes one; everything else is copied, because a backend appends to its logs
//! and exchanges its `CURRENT`.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::Read;

use nix::fcntl::OFlag;

use super::DorisRoot;
use super::root::KEPT;
use crate::storage::{Dir, DiskError, EntryKind, StorageError};

/// Keeps `meta/` for the run of that name, durably, unless it is kept already.
///
/// # Errors
/// As the calls made; nothing may be written to the database then.
pub fn keep_meta(root: &DorisRoot, run: &str) -> Result<(), StorageError> {
    let (room, _) = root.ensure_room()?;
    let kept = room.open(KEPT)?;
    if kept.kind(run)?.is_some() {
        return Ok(());
    }
    let unfinished = format!("{run}.part");
    // Of any run: the caller holds the root, and nobody will ask for one of these again.
    for entry in kept.entries()? {
        if let Some(name) = entry.name.to_str().filter(|name| name.ends_with(".part")) {
            kept.remove_tree(name)?;
        }
    }
    let into = kept.create(&unfinished)?;
    let meta = root.dir().open("meta")?;
    for name in names(&meta)? {
        if name.ends_with(".sst") {
            meta.link(&name, &into, &name)?;
        } else {
            copy(&meta, &name, &into)?;
        }
    }
    into.sync_file_system()?;
    kept.rename(&unfinished, &kept, run)?;
    Ok(kept.sync()?)
}

/// Names of the files of a database that say something: not its lock, not its text log.
fn names(meta: &Dir) -> Result<BTreeSet<String>, DiskError> {
    let files = meta.entries()?.into_iter().filter(|entry| entry.kind == EntryKind::File);
    let names = files.filter_map(|entry| entry.name.into_string().ok());
    Ok(names.filter(|name| name != "LOCK" && name != "LOG" && !name.starts_with("LOG.old")).collect())
}

fn copy(from: &Dir, name: &str, to: &Dir) -> Result<(), DiskError> {
    let mut source = from.open_for_reading(name, OFlag::empty())?;
    let mut copy = to.open_file(name, OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL)?;
    std::io::copy(&mut source, &mut copy)
        .map(drop)
        .map_err(|error| DiskError::from_io("copy", to.path().join(name), &error))
}

/// The runs that kept `meta/`, oldest first.
///
/// # Errors
/// As the calls made.
pub fn kept_runs(root: &DorisRoot) -> Result<Vec<String>, DiskError> {
    let Some(room) = root.room()? else { return Ok(Vec::new()) };
    let Some(kept) = room.open_if_exists(KEPT)? else { return Ok(Vec::new()) };
    let names = kept.entries()?.into_iter().filter_map(|entry| entry.name.into_string().ok());
    Ok(names.filter(|name| !name.ends_with(".part")).collect())
}

/// Removes what a run kept.
///
/// # Errors
/// As the calls made.
pub fn forget_kept(root: &DorisRoot, run: &str) -> Result<(), DiskError> {
    let Some(room) = root.room()? else { return Ok(()) };
    let Some(kept) = room.open_if_exists(KEPT)? else { return Ok(()) };
    // Under another name first: half of it would be taken for the whole.
    let going = format!("{run}.part");
    if kept.kind(run)?.is_some() {
        kept.remove_tree(&going)?;
        kept.rename(run, &kept, &going)?;
    }
    kept.remove_tree(&going)
}

/// What has become of `meta/` since a run kept it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SinceKept {
    /// Nothing but these logs, which are ours: no backend has started since.
    OurLogs(Vec<String>),
    /// Somebody else has written: this file differs, or is not there.
    Changed(String),
    /// Nothing was kept by that run.
    NotKept,
}

/// Compares `meta/` with what a run kept.
///
/// # Errors
/// As the calls made.
pub fn since_kept(root: &DorisRoot, run: &str) -> Result<SinceKept, DiskError> {
    let kept = match root.room()? {
        Some(room) => room.open_if_exists(format!("{KEPT}/{run}"))?,
        None => None,
    };
    let Some(kept) = kept else { return Ok(SinceKept::NotKept) };
    let meta = root.dir().open("meta")?;
    let (before, now) = (names(&kept)?, names(&meta)?);
    for name in &before {
        if !now.contains(name) || !equal(&kept, &meta, name)? {
            return Ok(SinceKept::Changed(name.clone()));
        }
    }
    let added: Vec<String> = now.difference(&before).cloned().collect();
    // Whoever opens the database exchanges CURRENT: with that as it was, a log that was added is one of ours.
    match added.iter().find(|name| !name.ends_with(".log")) {
        Some(foreign) => Ok(SinceKept::Changed(foreign.clone())),
        None => Ok(SinceKept::OurLogs(added)),
    }
}

fn equal(a: &Dir, b: &Dir, name: &str) -> Result<bool, DiskError> {
    let stat = |dir: &Dir| Ok(dir.stat(name)?.map(|stat| (stat.st_dev, stat.st_ino, stat.st_size)));
    let (Some(left), Some(right)) = (stat(a)?, stat(b)?) else { return Ok(false) };
    if (left.0, left.1) == (right.0, right.1) {
        return Ok(true);
    }
    if left.2 != right.2 {
        return Ok(false);
    }
    let mut left = a.open_for_reading(name, OFlag::empty())?;
    let mut right = b.open_for_reading(name, OFlag::empty())?;
    let failed = |error: std::io::Error| DiskError::from_io("read", a.path().join(name), &error);
    let (mut one, mut other) = (vec![0; 1 << 20], vec![0; 1 << 20]);
    loop {
        let count = fill(&mut left, &mut one).map_err(failed)?;
        let same = fill(&mut right, &mut other).map_err(failed)?;
        if one[..count] != other[..same] {
            return Ok(false);
        }
        if count == 0 {
            return Ok(true);
        }
    }
}

fn fill(file: &mut File, buffer: &mut [u8]) -> std::io::Result<usize> {
    let mut at = 0;
    while at < buffer.len() {
        match file.read(&mut buffer[at..])? {
            0 => break,
            count => at += count,
        }
    }
    Ok(at)
}
