//! Which tablets each disk had when it was last here: one small file per disk in the state directory, written after a start
//! and at a clean stop. A tablet that was never moved is in no journal and no note: without this list it would be unknown
//! while its disk is away.
//!
//! Only adds to what is known. A list that is missing or cut short costs words, never a tablet.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::time::Duration;

use crate::engine::node::Node;
use crate::engine::parts::thread::spawn_isolated;
use crate::model::{DiskIndex, DiskUuid, TabletKey};
use crate::storage::{Dir, DiskError, ReadFrom, read_small, replace_durably};

/// Folder of the lists in the state directory.
const FOLDER: &str = "last_seen";
/// How long a stop waits for the lists: the disk of the state directory may hang.
const STOP_WAIT: Duration = Duration::from_secs(5);

/// Tablets and their generations.
pub(crate) type Tablets = Vec<(TabletKey, u64)>;

/// Writes the list of every disk that is here; waits for it only so long.
pub(crate) fn write(node: &Node) {
    let mut by_disk: BTreeMap<DiskIndex, Tablets> = BTreeMap::new();
    for (key, entry) in node.catalog().after(None) {
        by_disk.entry(entry.disk).or_default().push((key, entry.generation));
    }
    let lists: Vec<_> = node
        .shown_disks()
        .filter_map(|disk| {
            let uuid = disk.reference()?.uuid;
            Some((uuid, by_disk.remove(&disk.index).unwrap_or_default()))
        })
        .collect();
    let state_dir = PathBuf::from(&node.config().state_dir);
    let (sender, done) = mpsc::sync_channel(1);
    let spawned = spawn_isolated("last-seen", move || {
        let written = write_all(&state_dir, &lists);
        // Nobody may be waiting any more.
        let _ = sender.send(written);
    });
    match spawned.map(|_| done.recv_timeout(STOP_WAIT)) {
        Ok(Ok(Ok(()))) => {}
        Ok(Ok(Err(error))) => tracing::warn!("what each disk holds is not written down: {error}"),
        Ok(Err(_)) => {
            tracing::warn!("what each disk holds is not written down yet: the state directory is slow");
        }
        Err(failure) => tracing::warn!("what each disk holds is not written down: {failure}"),
    }
}

fn write_all(state_dir: &Path, lists: &[(DiskUuid, Tablets)]) -> Result<(), DiskError> {
    let folder = Dir::open_absolute(state_dir)?.ensure(FOLDER)?;
    for (uuid, tablets) in lists {
        let text = encode(tablets);
        let before = read_small(&folder, &uuid.to_string(), ReadFrom::Cache).ok().flatten();
        if before.as_deref() != Some(text.as_bytes()) {
            replace_durably(&folder, &uuid.to_string(), text.as_bytes())?;
        }
    }
    Ok(())
}

/// What a disk had; nothing where that was never written down, or cannot be read.
pub(crate) fn read(state_dir: &Path, disk: DiskUuid) -> Tablets {
    let path = state_dir.join(FOLDER).join(disk.to_string());
    match std::fs::read_to_string(&path) {
        Ok(text) => decode(&text),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Tablets::new(),
        Err(error) => {
            tracing::warn!("{}: {error}; tablets of that disk may be called unknown", path.display());
            Tablets::new()
        }
    }
}

/// A disk that was forgotten holds nothing that is missed.
pub(crate) fn forget(state_dir: &Path, disk: DiskUuid) {
    let done = Dir::open_absolute(state_dir)
        .and_then(|dir| dir.open_if_exists(FOLDER))
        .and_then(|folder| folder.map_or(Ok(()), |folder| folder.unlink(disk.to_string())));
    if let Err(error) = done {
        tracing::warn!("the list of a forgotten disk's tablets stays: {error}");
    }
}

/// One tablet a line: tablet, schema hash, generation.
fn encode(tablets: &[(TabletKey, u64)]) -> String {
    let mut text = String::new();
    for (key, generation) in tablets {
        // Writing to a string does not fail.
        let _ = writeln!(text, "{} {} {generation}", key.tablet_id, key.schema_hash);
    }
    text
}

fn decode(text: &str) -> Tablets {
    let tablet = |line: &str| {
        let mut parts = line.split(' ');
        let key =
            TabletKey { tablet_id: parts.next()?.parse().ok()?, schema_hash: parts.next()?.parse().ok()? };
        Some((key, parts.next()?.parse().ok()?))
    };
    text.lines().filter_map(tablet).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_read_again_and_a_torn_line_is_left_out() {
        let tablets = vec![(TabletKey::new(7, 1), 3), (TabletKey::new(8, 5), 1)];
        let text = encode(&tablets);
        assert_eq!(decode(&text), tablets);
        assert_eq!(decode(&format!("{text}9 1")), tablets);
        assert_eq!(decode("not a list\n"), Tablets::new());
    }

    #[test]
    fn lists_are_kept_by_disk_and_go_with_it() {
        let dir = tempfile::tempdir().unwrap();
        let disk = DiskUuid(uuid::Uuid::from_u128(1));
        assert!(read(dir.path(), disk).is_empty());
        let tablets = vec![(TabletKey::new(7, 1), 3)];
        write_all(dir.path(), &[(disk, tablets.clone())]).unwrap();
        assert_eq!(read(dir.path(), disk), tablets);
        forget(dir.path(), disk);
        assert!(read(dir.path(), disk).is_empty());
    }
}
