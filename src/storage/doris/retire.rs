//! The directory of a tablet that has moved away: into our room, with its old record inside as Doris writes one.
//!
//! Not into Doris's `trash/`, which a backend from 3.0 on empties at its first sweep.

use super::DorisRoot;
use super::root::RETIRED;
use crate::model::{MigrationId, ShardId, TabletKey};
use crate::storage::layout::tablet_parent;
use crate::storage::{Dir, DiskError, EntryKind, remove_empty_parents, write_new};

/// Where the move of that number leaves its source, below the root.
pub fn retired_path(id: MigrationId, key: TabletKey) -> String {
    format!("{}/{RETIRED}/{id}/{}/{}", super::DORIS_ROOM, key.tablet_id, key.schema_hash)
}

/// Writes the record that is about to go beside the place where its directory will be. Durable only after the caller's
/// barrier, which comes before the record goes.
///
/// # Errors
/// As the calls made.
pub fn keep_record(
    root: &DorisRoot,
    id: MigrationId,
    key: TabletKey,
    record: &[u8],
) -> Result<(), DiskError> {
    let into = retired_parent(root, id, key)?;
    let name = header_name(key);
    into.unlink(&name)?;
    write_new(&into, &name, &header_file(record))?;
    root.give_to_backend(&into, &name)
}

fn retired_parent(root: &DorisRoot, id: MigrationId, key: TabletKey) -> Result<Dir, DiskError> {
    root.dir().ensure(&format!("{}/{RETIRED}/{id}/{}", super::DORIS_ROOM, key.tablet_id))
}

/// Moves a directory that no record names any more into our room, and the record that named it into it. Safe to repeat.
/// Durable only after the caller's barrier.
///
/// # Errors
/// As the calls made.
pub fn retire_directory(
    root: &DorisRoot,
    id: MigrationId,
    shard: ShardId,
    key: TabletKey,
) -> Result<String, DiskError> {
    let hash = key.schema_hash.to_string();
    let into = retired_parent(root, id, key)?;
    if into.kind(&hash)?.is_none() {
        root.dir().open(tablet_parent(shard, key.tablet_id))?.rename(&hash, &into, &hash)?;
    }
    let name = header_name(key);
    if into.kind(&name)?.is_some() {
        let retired = into.open(&hash)?;
        if retired.kind(&name)?.is_some() {
            retired.replace(&name, &retired, &older_name(key))?;
        }
        into.replace(&name, &retired, &name)?;
    }
    remove_empty_parents(root.dir(), shard, key)?;
    Ok(retired_path(id, key))
}

/// Brings a retired directory back to where the tablet was. Nothing there to bring is fine where it is in its place.
///
/// # Errors
/// As the calls made; `EEXIST` where something stands in its place.
pub fn bring_back(
    root: &DorisRoot,
    id: MigrationId,
    shard: ShardId,
    key: TabletKey,
) -> Result<(), DiskError> {
    let hash = key.schema_hash.to_string();
    let from =
        root.dir().open_if_exists(format!("{}/{RETIRED}/{id}/{}", super::DORIS_ROOM, key.tablet_id))?;
    let Some(from) = from else { return Ok(()) };
    let Some(retired) = from.open_if_exists(&hash)? else { return Ok(()) };
    let parent_path = tablet_parent(shard, key.tablet_id);
    let parent = root.dir().ensure(&parent_path)?;
    root.give_to_backend(root.dir(), &parent_path)?;
    retired.unlink(header_name(key))?;
    if retired.kind(older_name(key))?.is_some() {
        retired.rename(&older_name(key), &retired, &header_name(key))?;
    }
    from.rename(&hash, &parent, &hash)?;
    // What is left is empty directories.
    let room = root.dir().open(format!("{}/{RETIRED}", super::DORIS_ROOM))?;
    room.open(id.to_string())?.remove_if_empty(&key.tablet_id.to_string())?;
    room.remove_if_empty(&id.to_string())
}

/// Removes what a move left of its source. Says how many bytes that frees, and nothing where nothing is left.
///
/// # Errors
/// As the calls made.
pub fn purge_retired(root: &DorisRoot, id: MigrationId) -> Result<Option<u64>, DiskError> {
    let Some(room) = root.room()? else { return Ok(None) };
    let Some(retired) = room.open_if_exists(RETIRED)? else { return Ok(None) };
    let name = id.to_string();
    let Some(dir) = retired.open_if_exists(&name)? else { return Ok(None) };
    let bytes = bytes_in(&dir)?;
    drop(dir);
    retired.remove_tree(&name)?;
    Ok(Some(bytes))
}

fn bytes_in(dir: &Dir) -> Result<u64, DiskError> {
    let mut sum = 0;
    for entry in dir.entries()? {
        sum += match (entry.kind, dir.stat(&entry.name)?) {
            (EntryKind::Directory, _) => bytes_in(&dir.open(&entry.name)?)?,
            // A file with a further name elsewhere stays there.
            (_, Some(stat)) if stat.st_nlink == 1 => u64::try_from(stat.st_size).unwrap_or(0),
            _ => 0,
        };
    }
    Ok(sum)
}

fn header_name(key: TabletKey) -> String {
    format!("{}.hdr", key.tablet_id)
}

/// A header that the backend has left in the directory itself: never read at a start, and not ours to lose.
fn older_name(key: TabletKey) -> String {
    format!("{}.hdr.before", key.tablet_id)
}

/// Doris's `.hdr`: 40 bytes of header, then the record (`doris-be` 3.5).
fn header_file(record: &[u8]) -> Vec<u8> {
    const HEADER_BYTES: u64 = 40;
    let length = record.len() as u64;
    let mut bytes = Vec::with_capacity(record.len() + 40);
    bytes.extend(0_u64.to_le_bytes());
    bytes.extend(1_u32.to_le_bytes());
    bytes.extend((HEADER_BYTES + length).to_le_bytes());
    bytes.extend(0_u32.to_le_bytes());
    bytes.extend(length.to_le_bytes());
    bytes.extend(adler32(record).to_le_bytes());
    bytes.extend(0_u32.to_le_bytes());
    bytes.extend(record);
    bytes
}

/// Adler-32 (RFC 1950).
fn adler32(bytes: &[u8]) -> u32 {
    const MODULUS: u32 = 65_521;
    let (low, high) = bytes.iter().fold((1_u32, 0_u32), |(low, high), byte| {
        let low = (low + u32::from(*byte)) % MODULUS;
        (low, (high + low) % MODULUS)
    });
    high << 16 | low
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_is_as_doris_writes_it() {
        assert_eq!(adler32(b"Wikipedia"), 0x11e6_0398);
        let file = header_file(&[7; 890]);
        assert_eq!((file.len(), file[8], file[12..20] == 930_u64.to_le_bytes()), (930, 1, true));
        assert_eq!(file[24..32], 890_u64.to_le_bytes());
    }
}
