//! What lies below `data/` of a Doris root.

use std::collections::{BTreeMap, BTreeSet};

use crate::doris::files::Listing;
use crate::doris::keys::TabletIds;
use crate::model::Stray;
use crate::storage::{Dir, DiskError, EntryKind, list_tablet};

/// Where a record says that its tablet is: shard, number, hash.
pub(super) type TabletAt = (i64, TabletIds);

/// Everything below `data/`.
#[derive(Debug, Default)]
pub(super) struct Walk {
    /// Files of each directory that a record names.
    pub(super) tablets: BTreeMap<TabletAt, Listing>,
    pub(super) strays: Vec<Stray>,
}

/// Walks `data/`. A directory of one of `damaged` is no stray: its record may name it.
///
/// # Errors
/// As the calls made.
pub(super) fn walk(
    root: &Dir,
    owned: &BTreeSet<TabletAt>,
    damaged: &BTreeSet<TabletIds>,
) -> Result<Walk, DiskError> {
    let mut found = Walk::default();
    let Some(data) = root.open_if_exists("data")? else { return Ok(found) };
    for (shard, shard_dir) in directories(&data)? {
        for (tablet, tablet_dir) in directories(&shard_dir)? {
            let hashes = directories(&tablet_dir)?;
            if hashes.is_empty() {
                found.strays.push(Stray { path: format!("data/{shard}/{tablet}"), bytes: 0 });
            }
            for (hash, dir) in hashes {
                let listing = list_tablet(&dir)?;
                let place = parse(&shard, &tablet, &hash);
                match place.filter(|place| owned.contains(place)) {
                    Some(place) => drop(found.tablets.insert(place, listing)),
                    None if place.is_some_and(|(_, ids)| damaged.contains(&ids)) => {}
                    None => found.strays.push(Stray {
                        path: format!("data/{shard}/{tablet}/{hash}"),
                        bytes: listing.values().sum(),
                    }),
                }
            }
        }
    }
    found.strays.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(found)
}

fn parse(shard: &str, tablet: &str, hash: &str) -> Option<TabletAt> {
    let ids = TabletIds { tablet_id: tablet.parse().ok()?, schema_hash: hash.parse().ok()? };
    Some((shard.parse().ok()?, ids))
}

/// Directories in a directory. One that goes while a backend works is not there.
fn directories(dir: &Dir) -> Result<Vec<(String, Dir)>, DiskError> {
    let mut found = Vec::new();
    for entry in dir.entries()? {
        if let (EntryKind::Directory, Some(name)) = (entry.kind, entry.name.to_str())
            && let Some(opened) = dir.open_if_exists(name)?
        {
            found.push((name.to_owned(), opened));
        }
    }
    Ok(found)
}
