//! A copy on a disk that no record owns yet: counted, removed, taken back into staging, or set aside. Never reaches a
//! tablet that a record owns.

use crate::model::{ShardId, TabletKey, counted};
use crate::storage::layout::{FILES, MIGRATING, tablet_parent};
use crate::storage::{
    Dir, DiskError, MetadataStore, NativeStore, Quarantined, Root, StorageError, is_placed, quarantine,
    read_home, read_owner, remove_empty_parents, remove_staging,
};

/// What became of a copy.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Undone {
    /// It is gone, or there was none.
    Removed(Removed),
    /// It is kept there: it may be the only one, or is to be kept.
    KeptIn(String),
}

/// What was removed of a copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Removed {
    files: u64,
    bytes: u64,
}

impl Undone {
    /// For the log of the step that did it, on the disk at `path`.
    pub(crate) fn in_words(&self, path: &str) -> String {
        match self {
            Self::Removed(Removed { files: 0, .. }) => format!("nothing was copied to {path} yet"),
            Self::Removed(Removed { files, bytes }) => {
                format!("removed the copy from {path}: {}, {bytes} bytes", counted(*files, "file"))
            }
            Self::KeptIn(place) => format!("the copy is kept in {place}: it may be the only one"),
        }
    }

    pub(crate) fn aside(place: Option<String>) -> Self {
        place.map_or(Self::Removed(Removed::default()), Self::KeptIn)
    }
}

/// Takes a copy that was placed, but never committed, back into its staging directory, and moves that to quarantine.
/// Returns where it is; `None` when there is none.
///
/// # Errors
/// As the calls made.
pub(crate) fn set_copy_aside(
    root: &Root,
    store: &NativeStore,
    name: &str,
    key: TabletKey,
    noted: Option<ShardId>,
    why: &str,
) -> Result<Option<String>, StorageError> {
    root.check_identity()?;
    reclaim_placed(root, store, name, key, noted)?;
    if root.dir().open(MIGRATING)?.kind(name)?.is_none() {
        return Ok(None);
    }
    quarantine(root.dir(), store, &Quarantined::Staging { name }, why).map(Some)
}

/// Removes the staging directory `name`, and a placed copy that came out of it and that no record owns. `noted` is where
/// that may be, should the staging directory not say.
///
/// # Errors
/// As the calls made; it can be done again.
pub(crate) fn remove_copy(
    root: &Root,
    store: &NativeStore,
    name: &str,
    key: TabletKey,
    noted: Option<ShardId>,
) -> Result<Removed, StorageError> {
    root.check_identity()?;
    let shard = reclaim_placed(root, store, name, key, noted)?;
    let migrating = root.dir().open(MIGRATING)?;
    // For the log alone: what cannot be counted is removed all the same.
    let removed = count_files(&migrating, name).unwrap_or_default();
    remove_staging(&migrating, name)?;
    // A rename that failed leaves the parents that were made for it.
    shard.map_or(Ok(()), |shard| remove_empty_parents(root.dir(), shard, key))?;
    Ok(removed)
}

fn count_files(migrating: &Dir, name: &str) -> Result<Removed, DiskError> {
    let mut found = Removed::default();
    if let Some(files) = migrating.open_if_exists(format!("{name}/{FILES}"))? {
        files.for_each::<DiskError>(|name, _| {
            found.files += 1;
            let size = files.stat(&name)?.map_or(0, |stat| stat.st_size);
            found.bytes += u64::try_from(size).unwrap_or(0);
            Ok(())
        })?;
    }
    Ok(found)
}

/// Takes a copy that was placed, but never committed, back into the staging directory it came from. Returns the shard of
/// its files: by the word of the staging directory, or else the one that was noted. A journal that lost its last pages
/// may know another, or none.
///
/// It came from there if the staging directory stands without its files and no record on this disk owns the tablet.
///
/// # Errors
/// As the calls made.
pub(crate) fn reclaim_placed(
    root: &Root,
    store: &NativeStore,
    name: &str,
    key: TabletKey,
    noted: Option<ShardId>,
) -> Result<Option<ShardId>, StorageError> {
    let staging = root.dir().open_if_exists(format!("{MIGRATING}/{name}"))?;
    let Some(staging) = staging else { return Ok(noted) };
    let place = read_home(&staging, read_owner(&staging)?.as_ref())?.filter(|place| place.key == key);
    let shard = place.map(|place| place.shard_id).or(noted);
    if let Some(shard) = shard
        && staging.kind(FILES)?.is_none()
        && is_placed(root.dir(), shard, key)?
        && store.get(key)?.is_none()
    {
        take_back(root.dir(), &staging, shard, key)?;
    }
    Ok(shard)
}

pub(crate) fn take_back(
    root: &Dir,
    staging: &Dir,
    shard: ShardId,
    key: TabletKey,
) -> Result<(), StorageError> {
    root.open(tablet_parent(shard, key.tablet_id))?.rename(&key.schema_hash.to_string(), staging, FILES)?;
    Ok(remove_empty_parents(root, shard, key)?)
}

/// Puts placed files back into staging, for an attempt that stopped between the rename and the commit. What fails here is
/// left for the next attempt or the next start.
pub(crate) fn take_back_placed(root: &Root, staging: &Dir, shard: ShardId, key: TabletKey) {
    if let Err(error) = take_back(root.dir(), staging, shard, key) {
        tracing::warn!("a placed copy could not be taken back into staging: {error}");
    }
}
