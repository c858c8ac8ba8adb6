//! What lies below a root beside its tablets: everything under `data/` must be somebody's. Looks only.

use std::collections::HashSet;

use super::report::{Finding, Kind};
use crate::model::{SchemaHash, ShardId, TabletId, TabletKey};
use crate::storage::layout::{DATA, MIGRATING, QUARANTINE, ROOT_PARTS};
use crate::storage::{Dir, DiskError, EntryKind, read_owner};

/// Tablets that may have a directory.
pub(super) struct Owners {
    /// With a good record, in the shard it says.
    pub(super) good: HashSet<(ShardId, TabletKey)>,
    /// With a bad record, which has been reported already: which shard it means is not known.
    pub(super) bad: HashSet<TabletKey>,
}

/// Walks `data/`, three levels deep, and tells of what nobody owns.
pub(super) fn find_unowned(root: &Dir, owners: &Owners, found: &mut Vec<Finding>) -> Result<(), DiskError> {
    let Some(data) = root.open_if_exists(DATA)? else { return Ok(()) };
    each_directory::<ShardId>(&data, "a shard", found, |shard, shard_dir, found| {
        each_directory::<TabletId>(&shard_dir, "a tablet id", found, |tablet_id, tablet_dir, found| {
            let mut is_empty = true;
            each_directory::<SchemaHash>(&tablet_dir, "a schema hash", found, |schema_hash, dir, found| {
                is_empty = false;
                let key = TabletKey { tablet_id, schema_hash };
                if !owners.good.contains(&(shard, key)) && !owners.bad.contains(&key) {
                    found.push(Finding::new(
                        Kind::Unowned,
                        Some(key),
                        dir.path(),
                        "no record names this directory",
                    ));
                }
                Ok(())
            })?;
            if is_empty && tablet_dir.entries()?.is_empty() {
                let why = "left behind by a tablet; harmless";
                found.push(Finding::new(Kind::EmptyDirectory, None, tablet_dir.path(), why));
            }
            Ok(())
        })
    })
}

/// Visits each subdirectory whose name is a `T`; tells of every other entry.
fn each_directory<T: std::str::FromStr>(
    dir: &Dir,
    expected: &str,
    found: &mut Vec<Finding>,
    mut visit: impl FnMut(T, Dir, &mut Vec<Finding>) -> Result<(), DiskError>,
) -> Result<(), DiskError> {
    for entry in dir.entries()? {
        let id = entry.name.to_str().and_then(|name| name.parse().ok());
        match (entry.kind, id) {
            (EntryKind::Directory, Some(id)) => visit(id, dir.open(&entry.name)?, found)?,
            (kind, _) => {
                let why = format!("{}, where only directories named by {expected} belong", kind.as_str());
                found.push(Finding::new(Kind::Unowned, None, dir.path().join(&entry.name), why));
            }
        }
    }
    Ok(())
}

/// Tells of staging, quarantine and strangers at the top.
pub(super) fn find_leftovers(root: &Dir, found: &mut Vec<Finding>) -> Result<(), DiskError> {
    if let Some(migrating) = root.open_if_exists(MIGRATING)? {
        for entry in migrating.entries()? {
            let owner = match entry.kind {
                EntryKind::Directory => read_owner(&migrating.open(&entry.name)?)?,
                _ => None,
            };
            let why = match &owner {
                Some(owner) => match owner.migration_id {
                    Some(id) => format!("migration {id} is unfinished; the daemon goes on with it"),
                    None => "an import or a restore was cut short; the daemon removes it".to_owned(),
                },
                None => "it does not say whose it is".to_owned(),
            };
            let key = owner.map(|owner| owner.key);
            found.push(Finding::new(Kind::Staging, key, migrating.path().join(&entry.name), why));
        }
    }
    if let Some(quarantine) = root.open_if_exists(QUARANTINE)? {
        for entry in quarantine.entries()? {
            let why = "set aside by the daemon; its reason.json says why";
            found.push(Finding::new(Kind::Quarantined, None, quarantine.path().join(&entry.name), why));
        }
    }
    for entry in root.entries()? {
        // That one is the file system's.
        if entry.name != "lost+found" && !ROOT_PARTS.iter().any(|part| entry.name == *part) {
            let why = format!("{} that is not part of a root", entry.kind.as_str());
            found.push(Finding::new(Kind::Stranger, None, root.path().join(&entry.name), why));
        }
    }
    Ok(())
}
