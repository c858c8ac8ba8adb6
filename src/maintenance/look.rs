//! What the node has, for whoever asks while its backend is stopped: tablets, records, sums of their files, and segments
//! that are not there. Nothing here writes.

use std::io::Read;

use md5::{Digest, Md5};
use nix::fcntl::OFlag;
use serde_json::value::RawValue;

use super::accept::{ids_of, key_of, pairs};
use super::node::Node;
use super::root::Root;
use crate::doris::display::tablet_json;
use crate::doris::inventory::Found;
use crate::doris::keys::TabletIds;
use crate::doris::moving::merged;
use crate::doris::record::{Rowset, Tablet, TabletState};
use crate::doris::rowsets::Fresh;
use crate::model::{
    Capacity, DiskRef, DiskUuid, ErrorCode, Failure, FileEntry, Manifest, Medium, SHARD_COUNT, ShardId,
    TabletKey, TabletRecord, TabletState as Serving,
};
use crate::storage::{Dir, DiskError, doris_directory, look_at_tablet, same_file_system};

const BLOCK_BYTES: usize = 1 << 20;

/// One tablet, by its records alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TabletLook {
    pub key: TabletKey,
    pub table_id: i64,
    pub partition_id: i64,
    /// Directory below `data/`.
    pub shard: ShardId,
    /// Which copy is newer.
    pub generation: u64,
    /// Of its files, as its rowsets say.
    pub bytes: u64,
    /// Segments, as its rowsets say.
    pub segments: u32,
    /// Why no backend could serve it; `None` when it could.
    pub unavailable: Option<String>,
}

/// One root.
#[derive(Debug, Clone)]
pub struct RootLook {
    /// As the configuration writes it.
    pub path: String,
    /// Drawn when something was first moved from or to it.
    pub uuid: Option<DiskUuid>,
    pub medium: Medium,
    /// Whether it takes no writes.
    pub read_only: bool,
    /// Space on its file system; what was wrong where that cannot be told.
    pub capacity: Result<Capacity, String>,
    /// Tablets that are not garbage of the backend's own.
    pub tablets: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Kind of file system.
    pub file_system: String,
    /// Others on the same one.
    pub shares_with: Vec<String>,
}

impl Node {
    /// Every tablet that its backend would load, with the root that has it: by root, then in order of their numbers.
    pub fn for_each_tablet(&self, visit: &mut dyn FnMut(&str, &TabletLook)) {
        for (index, root) in self.roots.iter().enumerate() {
            for (ids, found) in &root.inventory.tablets {
                if is_loaded(found) && self.owner_of(*ids) == Some(index) {
                    visit(&root.path, &look(found));
                }
            }
        }
    }

    /// The tablets of that number, each with its root.
    pub fn tablets_of(&self, tablet_id: i64) -> Vec<(String, TabletLook)> {
        let range = |hash| TabletIds { tablet_id, schema_hash: hash };
        let mut tablets = Vec::new();
        for (index, root) in self.roots.iter().enumerate() {
            for (ids, found) in root.inventory.tablets.range(range(i32::MIN)..=range(i32::MAX)) {
                if is_loaded(found) && self.owner_of(*ids) == Some(index) {
                    tablets.push((root.path.clone(), look(found)));
                }
            }
        }
        tablets
    }

    /// How many tablets there are on all roots that are not garbage of the backend's own.
    pub fn tablet_count(&self) -> u64 {
        let all = self.roots.iter().flat_map(|root| root.inventory.tablets.values());
        all.filter(|found| is_loaded(found)).count() as u64
    }

    /// Every root as it is now.
    pub fn looks(&self) -> Vec<RootLook> {
        let one = |root: &Root| {
            let loaded = root.inventory.tablets.values().filter(|found| is_loaded(found));
            let (tablets, bytes) = loaded
                .map(look)
                .fold((0, 0_u64), |(count, bytes), tablet| (count + 1, bytes.saturating_add(tablet.bytes)));
            let others = self.roots.iter().filter(|other| {
                other.path != root.path && same_file_system(&other.file_system, &root.file_system)
            });
            RootLook {
                path: root.path.clone(),
                uuid: root.disk.uuid().ok().flatten(),
                medium: root.medium,
                read_only: root.read_only,
                capacity: root.disk.capacity().map_err(|error| error.to_string()),
                tablets,
                bytes,
                file_system: root.file_system.kind.clone(),
                shares_with: others.map(|other| other.path.clone()).collect(),
            }
        };
        self.roots.iter().map(one).collect()
    }

    /// The disk a root is, as moves name it.
    pub fn reference(&self, path: &str) -> Option<DiskRef> {
        self.root_at(path).map(|index| self.roots[index].reference())
    }

    fn found(&self, key: TabletKey) -> Result<(&Root, &Found), Failure> {
        let ids = ids_of(key);
        let index = self.owner_of(ids);
        let known = index.and_then(|index| {
            let root = &self.roots[index];
            Some((root, root.inventory.tablets.get(&ids)?))
        });
        known.ok_or_else(|| {
            Failure::new(ErrorCode::TabletNotFound, format!("tablet {key} is on no root of this node"))
        })
    }

    /// A tablet's record as a backend that runs shows it: Doris's own JSON, fresh rowsets in it, and the files it names.
    ///
    /// # Errors
    /// There is none; it does not parse; its directory cannot be read.
    pub fn record(&self, key: TabletKey) -> Result<TabletRecord, Failure> {
        let (root, found) = self.found(key)?;
        let damaged = |why: &dyn std::fmt::Display| {
            Failure::new(ErrorCode::RecordDamaged, format!("tablet {key}: {why}"))
        };
        let ids = ids_of(key);
        let record = merged(ids, &pairs(root, ids)?).map_err(|why| damaged(&why))?;
        let json = tablet_json(&record).map_err(|why| damaged(&why))?;
        let judged = look_at_tablet(root.disk.dir(), found)?;
        let entry = |(name, size): (String, u64)| FileEntry { name, size_bytes: size, crc32: None };
        let files = judged.files.files.into_iter().filter(|(name, _)| !name.contains('/')).map(entry);
        let tablet = look(found);
        Ok(TabletRecord {
            generation: tablet.generation,
            key,
            partition_id: tablet.partition_id,
            shard_id: tablet.shard,
            state: Serving::Running,
            manifest: Manifest::new(files.collect()).map_err(|why| damaged(&why))?,
            tablet_meta: RawValue::from_string(json).map_err(|why| damaged(&why))?,
        })
    }

    /// What [`digests`] reads: the tablet's directory, and the files in it of rowsets that a query reads.
    ///
    /// # Errors
    /// As [`Node::record`].
    pub fn files_to_digest(&self, key: TabletKey) -> Result<(Dir, Vec<String>), Failure> {
        let (root, found) = self.found(key)?;
        let tablet = readable(found, key)?;
        let dir = root.disk.dir().open(doris_directory(tablet.shard, found.ids))?;
        let judged = look_at_tablet(root.disk.dir(), found)?;
        let fresh = Fresh::sort(tablet, &found.fresh);
        let served: Vec<&Rowset> = tablet.rowsets.iter().chain(fresh.joining.iter().copied()).collect();
        let is_served = |name: &String| {
            let of = |rowset: &&&Rowset| {
                name.strip_prefix(rowset.id.as_str()).is_some_and(|rest| rest.starts_with('_'))
            };
            !name.contains('/') && served.iter().any(|rowset| of(&rowset))
        };
        Ok((dir, judged.files.files.into_keys().filter(is_served).collect()))
    }

    /// Segments of a tablet that its records name and its directory has not.
    ///
    /// # Errors
    /// The directory cannot be read.
    pub fn lost_segments(&self, key: TabletKey) -> Result<Vec<String>, Failure> {
        let (root, found) = self.found(key)?;
        if readable(found, key).is_err() {
            return Ok(Vec::new());
        }
        Ok(look_at_tablet(root.disk.dir(), found)?.files.missing.into_iter().collect())
    }
}

/// The MD5 of each of these files.
///
/// # Errors
/// As `read(2)`.
pub fn digests(dir: &Dir, names: &[String]) -> Result<Vec<(String, [u8; 16])>, Failure> {
    names.iter().map(|name| Ok((name.clone(), digest(dir, name)?))).collect()
}

fn digest(dir: &Dir, name: &str) -> Result<[u8; 16], DiskError> {
    let mut file = dir.open_for_reading(name, OFlag::empty())?;
    let (mut sum, mut block) = (Md5::new(), vec![0; BLOCK_BYTES]);
    loop {
        let count = file
            .read(&mut block)
            .map_err(|error| DiskError::from_io("read", dir.path().join(name), &error))?;
        if count == 0 {
            return Ok(sum.finalize().into());
        }
        sum.update(&block[..count]);
    }
}

fn readable(found: &Found, key: TabletKey) -> Result<&Tablet, Failure> {
    let damaged = |why: &&str| Failure::new(ErrorCode::RecordDamaged, format!("tablet {key}: {why}"));
    found.record.as_ref().map_err(damaged)
}

/// Garbage of the backend's own is none of its tablets.
fn is_loaded(found: &Found) -> bool {
    found.record.as_ref().map_or(true, |tablet| tablet.state != TabletState::Shutdown)
}

fn look(found: &Found) -> TabletLook {
    let key = key_of(found.ids);
    let Ok(tablet) = &found.record else {
        return TabletLook {
            key,
            table_id: 0,
            partition_id: 0,
            shard: ShardId(0),
            generation: 0,
            bytes: 0,
            segments: 0,
            unavailable: Some("its record does not parse, and no backend starts with it".to_owned()),
        };
    };
    let fresh = Fresh::sort(tablet, &found.fresh);
    let served = || tablet.rowsets.iter().chain(fresh.joining.iter().copied());
    TabletLook {
        key,
        table_id: tablet.table_id,
        partition_id: tablet.partition_id,
        shard: u16::try_from(tablet.shard)
            .ok()
            .filter(|shard| *shard < SHARD_COUNT)
            .map_or(ShardId(0), ShardId),
        generation: found.generation().unwrap_or(0),
        bytes: served().fold(0, |sum, rowset| sum.saturating_add(rowset.bytes)),
        segments: served().fold(0_u32, |sum, rowset| {
            sum.saturating_add(u32::try_from(rowset.segments).unwrap_or(u32::MAX))
        }),
        unavailable: None,
    }
}
