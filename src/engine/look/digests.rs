//! Digests of a tablet's files, for those who compare replicas by them. Read through the page cache; nothing is changed.

use std::io::Read;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use md5::{Digest, Md5};

use super::reading::{Reading, missing_is_damage, open_tablet, read_record};
use crate::engine::damage::{note_failed_read, note_whole_read};
use crate::engine::node::Node;
use crate::engine::parts::disk::stay;
use crate::model::{Failure, FileEntry, TabletKey};
use crate::storage::{Dir, DiskError};
use crate::transfer::CopyHooks;
use crate::transfer::Traffic;

/// How long the digests of a tablet may take.
const DIGESTS_WAIT: Duration = Duration::from_secs(3600);
const DIGEST_BLOCK_BYTES: usize = 1 << 20;

/// The MD5 of each file of a tablet, in the manifest's order.
///
/// # Errors
/// As [`verify`], for a tablet that is not known; a call's.
pub(crate) fn file_digests(node: &Arc<Node>, key: TabletKey) -> Result<Vec<(String, [u8; 16])>, Failure> {
    let disk = super::reading::owner(node, key)?;
    let (at, on) = (Arc::clone(node), Arc::clone(&disk));
    let digests = stay(&disk, DIGESTS_WAIT, move |root, store| {
        let record = read_record(store, key)?;
        let dir = open_tablet(root, &record)?;
        let reading = Reading { node: &at, disk: &on, bytes: &AtomicU64::new(0), stop: None, count: None };
        let digest = |file: &FileEntry| Ok((file.name.clone(), md5_of(&dir, &file.name, &reading)?));
        record.manifest.files().iter().map(digest).collect()
    });
    match &digests {
        Ok(_) => note_whole_read(node, key, &disk),
        Err(failure) => note_failed_read(node, key, &disk, failure),
    }
    digests
}

fn md5_of(dir: &Dir, name: &str, reading: &Reading<'_>) -> Result<[u8; 16], Failure> {
    let mut file = dir.open_for_reading(name, nix::fcntl::OFlag::empty()).map_err(missing_is_damage)?;
    let mut hasher = Md5::new();
    let mut block = vec![0; DIGEST_BLOCK_BYTES];
    let mut offset_bytes = 0;
    loop {
        reading.checkpoint()?;
        let read = {
            let _call = reading.disk.enter("read");
            file.read(&mut block)
        };
        let n = read.map_err(|error| {
            let error = DiskError::from_io("read", dir.path().join(name), &error);
            error.on_source_at(offset_bytes, DIGEST_BLOCK_BYTES as u64)
        })?;
        if n == 0 {
            return Ok(hasher.finalize().into());
        }
        hasher.update(&block[..n]);
        offset_bytes += n as u64;
        reading.take(Traffic::ReadBack, n as u64, &|| reading.checkpoint())?;
    }
}
