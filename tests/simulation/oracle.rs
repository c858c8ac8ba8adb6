//! What must be true of the disks of a node at rest.

use std::collections::BTreeMap;

use tabletd::model::{TabletKey, TabletRecord};
use tabletd::storage::decode_record;

use crate::machine::disk::Disk;
use crate::world::{World, names, read};

/// Every tablet is there exactly once, byte for byte as it was put in; nothing is in staging, and below `data/` stands
/// nothing that is not a tablet's.
pub(crate) fn judge(world: &World) -> Result<(), String> {
    let mut owners: BTreeMap<TabletKey, usize> = BTreeMap::new();
    for root in world.roots() {
        let disk = &world.disks[root];
        for record in records(disk)? {
            if !is_whole(world, disk, &record) {
                return Err(format!("tablet {} on disk {root} has other bytes than were put in", record.key));
            }
            if let Some(other) = owners.insert(record.key, root) {
                return Err(format!("tablet {} has two owners: disk {other} and disk {root}", record.key));
            }
        }
        let staging = names(disk, "migrating");
        if !staging.is_empty() {
            return Err(format!("staging on disk {root}: {staging:?}"));
        }
    }
    match world.tablets.keys().find(|key| !owners.contains_key(key)) {
        Some(key) => Err(format!("tablet {key} is gone")),
        None => Ok(()),
    }
}

/// All records of a root.
fn records(disk: &Disk) -> Result<Vec<TabletRecord>, String> {
    let record = |name: String| {
        let bytes = read(disk, &format!("meta/{name}")).unwrap_or_default();
        decode_record(bytes).map_err(|why| format!("{name}: {why}"))
    };
    names(disk, "meta").into_iter().map(record).collect()
}

fn is_whole(world: &World, disk: &Disk, record: &TabletRecord) -> bool {
    let key = record.key;
    let dir = format!("data/{}/{}/{}", record.shard_id, key.tablet_id, key.schema_hash);
    let Some(files) = world.tablets.get(&key) else { return false };
    names(disk, &dir).len() == files.len()
        && files.iter().all(|(name, bytes)| read(disk, &format!("{dir}/{name}")) == Some(bytes.as_slice()))
}
