//! What must be true of the disks of a node at rest.

use std::collections::BTreeMap;

use tabletd::model::{TabletKey, TabletRecord};
use tabletd::storage::{Owner, decode_record};

use crate::machine::disk::Disk;
use crate::world::{World, names, read};

/// No tablet has two owners, no owner has other bytes than were put in, and nothing is in staging that no migration
/// waits for. Whether each tablet is served was asked of the node. While a disk is not here, or was given up, an older
/// generation is left alone, and so is what is staged of a tablet that is not served, or by a migration of a lost
/// journal.
pub(crate) fn judge(world: &World) -> Result<(), String> {
    let mut owners: BTreeMap<TabletKey, (usize, u64)> = BTreeMap::new();
    let here = |slot: &usize| world.notes.contains(&format!("here {slot}"));
    let all_are_here = (0..world.slots.len()).all(|slot| here(&slot));
    for slot in (0..world.slots.len()).filter(here) {
        let disk = world.disk(slot);
        for record in records(disk)? {
            if world.notes.contains(&format!("not served {}", record.key)) {
                continue;
            }
            if !is_whole(world, disk, &record) {
                return Err(format!("tablet {} on disk {slot} has other bytes than were put in", record.key));
            }
            let before = owners.insert(record.key, (slot, record.generation));
            if let Some((other, generation)) = before
                && (all_are_here || generation == record.generation)
            {
                return Err(format!("tablet {} has two owners: disk {other} and disk {slot}", record.key));
            }
        }
        // Whose copy it is, only the disk that is missing could say.
        let is_of_no_journal = !all_are_here && world.notes.iter().any(|note| note == "journal lost");
        let is_unserved = |name: &String| {
            let owner = read(disk, &format!("migrating/{name}/owner.json")).unwrap_or_default();
            let owner = serde_json::from_slice::<Owner>(owner);
            owner.is_ok_and(|owner| world.notes.contains(&format!("not served {}", owner.key)))
        };
        let waits = |name: &String| {
            is_of_no_journal || world.notes.contains(&format!("waits {name}")) || is_unserved(name)
        };
        if let Some(staging) = names(disk, "migrating").iter().find(|name| !waits(name)) {
            return Err(format!("staging on disk {slot} that nobody waits for: {staging}"));
        }
    }
    Ok(())
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
