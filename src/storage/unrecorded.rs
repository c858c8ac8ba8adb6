//! Directories below `data/` that no record names: looked for shard by shard. Changes nothing.

use super::dir::{Dir, EntryKind};
use super::error::DiskError;
use super::layout::{DATA, tablet_dir, tablet_parent};
use super::store::MetadataStore;
use crate::model::{ShardId, TabletKey};

/// A directory where a tablet's would stand, or one that no tablet's name leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DataDir {
    /// Below the root, e.g. `data/7/1007/555`.
    pub path: String,
    /// Which tablet's place it is; `None` for a name that is not one of ours.
    pub place: Option<(ShardId, TabletKey)>,
}

/// What is in such a directory that no record names.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Unnamed {
    /// Number of its entries.
    pub entries: u64,
    /// Bytes of the files directly in it.
    pub size_bytes: u64,
    /// What is wrong with the record under the tablet's name, or with the directory, where something is.
    pub remark: Option<String>,
}

/// Names of the directories below `data/`: the shards, and whatever else is there.
///
/// # Errors
/// As the calls made.
pub fn shard_names(root: &Dir) -> Result<Vec<String>, DiskError> {
    directories(root.open(DATA)?)
}

/// Every directory below one shard that is a tablet's place, or has a name of another kind.
///
/// # Errors
/// As the calls made.
pub fn data_dirs(root: &Dir, shard: &str) -> Result<Vec<DataDir>, DiskError> {
    let foreign = |path: String| DataDir { path, place: None };
    let at = format!("{DATA}/{shard}");
    let Ok(shard_id) = shard.parse::<ShardId>() else { return Ok(vec![foreign(at)]) };
    let Some(dir) = root.open_if_exists(&at)? else { return Ok(Vec::new()) };
    let mut found = Vec::new();
    for tablet in directories(dir)? {
        let Ok(tablet_id) = tablet.parse() else {
            found.push(foreign(format!("{at}/{tablet}")));
            continue;
        };
        let Some(below) = root.open_if_exists(tablet_parent(shard_id, tablet_id))? else { continue };
        found.extend(directories(below)?.into_iter().map(|hash| match hash.parse() {
            Ok(schema_hash) => {
                let key = TabletKey { tablet_id, schema_hash };
                DataDir { path: tablet_dir(shard_id, key), place: Some((shard_id, key)) }
            }
            Err(_) => foreign(format!("{at}/{tablet}/{hash}")),
        }));
    }
    Ok(found)
}

fn directories(dir: Dir) -> Result<Vec<String>, DiskError> {
    let mut names = Vec::new();
    dir.for_each_once(|name, kind| {
        if kind == EntryKind::Directory {
            names.push(name.to_string_lossy().into_owned());
        }
        Ok::<(), DiskError>(())
    })?;
    Ok(names)
}

/// What is in a directory that no record of this root names; `None` when one does, when it is gone, or nothing is in it.
/// What cannot be read is a finding: it hides none of the others.
pub fn look_unnamed(root: &Dir, store: &dyn MetadataStore, dir: &DataDir) -> Option<Unnamed> {
    let mut unnamed = Unnamed::default();
    if let Some((shard, key)) = dir.place {
        match store.get(key) {
            Ok(Some(record)) if record.shard_id == shard => return None,
            Ok(_) => {}
            Err(error) => unnamed.remark = Some(format!("its record cannot be read: {error}")),
        }
    }
    match count(root, &dir.path, &mut unnamed) {
        Ok(()) => (unnamed.entries > 0).then_some(unnamed),
        Err(error) => Some(Unnamed { remark: Some(error.to_string()), ..unnamed }),
    }
}

fn count(root: &Dir, path: &str, unnamed: &mut Unnamed) -> Result<(), DiskError> {
    let Some(files) = root.open_if_exists(path)? else { return Ok(()) };
    files.for_each(|name, kind| {
        unnamed.entries += 1;
        if kind == EntryKind::File {
            let size = files.stat(&name)?.map_or(0, |stat| stat.st_size);
            unnamed.size_bytes += u64::try_from(size).unwrap_or(0);
        }
        Ok(())
    })
}
