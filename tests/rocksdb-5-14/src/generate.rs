//! A root of as many tablets as wanted, written by the true 5.14.2: for measuring a start, which reads metadata only. There
//! are no directories of tablets.

use std::path::Path;

use crate::Random;
use crate::db::{Content, Database};
use crate::proto::{bytes, fields, put_bytes, put_number};
use crate::records::{ROWSET_ID, ROWSET_UID, ROWSETS, SHARD, UID, tablets};

/// The backend's own.
const WRITE_BUFFER_BYTES: usize = 64 << 20;
const TABLET_ID: u64 = 3;
/// As many writes as are in one batch.
const BATCH: usize = 500;

/// Makes the root; its tablets are numbered from `first` on and are like those of `pattern`.
pub fn generate(root: &Path, pattern: &Content, first: u64, count: u64) -> Result<(), String> {
    std::fs::create_dir_all(root.join("data")).map_err(|error| error.to_string())?;
    std::fs::create_dir_all(root.join("meta")).map_err(|error| error.to_string())?;
    let database = Database::open(&root.join("meta"), WRITE_BUFFER_BYTES)?;
    let patterns: Vec<_> = tablets(pattern)
        .into_iter()
        .filter(|tablet| tablet.record.len() < 8192)
        .collect();
    let mut random = Random(first | 1);
    let mut batch = Vec::new();
    for id in first..first + count {
        let tablet = &patterns[(id % patterns.len() as u64) as usize];
        let mut uid = Vec::new();
        put_number(&mut uid, 1, random.below(u64::MAX));
        put_number(&mut uid, 2, random.below(u64::MAX));
        let record = renamed(&tablet.record, id, &uid, &mut random);
        batch.push((
            format!("tabletmeta_{id}_{}", tablet.hash).into_bytes(),
            Some(record),
        ));
        if batch.len() == BATCH || id + 1 == first + count {
            database.write(&batch)?;
            batch.clear();
        }
    }
    // SAFETY: the end of this process, as its backend's.
    unsafe { libc::kill(libc::getpid(), libc::SIGKILL) };
    unreachable!()
}

fn renamed(record: &[u8], id: u64, uid: &[u8], random: &mut Random) -> Vec<u8> {
    let mut out = Vec::new();
    for field in fields(record) {
        match field.number {
            TABLET_ID => put_number(&mut out, TABLET_ID, id),
            SHARD => put_number(&mut out, SHARD, id % 1024),
            UID => put_bytes(&mut out, UID, uid),
            ROWSETS => put_bytes(&mut out, ROWSETS, &rowset(&field.bytes, id, uid, random)),
            _ => out.extend(field.raw),
        }
    }
    out
}

fn rowset(rowset: &[u8], id: u64, uid: &[u8], random: &mut Random) -> Vec<u8> {
    const OF_TABLET: u64 = 2;
    let mut out = Vec::new();
    for field in fields(rowset) {
        match field.number {
            // A rowset of version 1 of its id keeps it: nothing compares those of different tablets.
            ROWSET_ID => {
                let mut name = bytes(rowset, ROWSET_ID);
                let tail = format!("{:016x}", random.below(u64::MAX));
                let from = name.len().saturating_sub(16);
                name.splice(from.., tail.into_bytes());
                put_bytes(&mut out, ROWSET_ID, &name);
            }
            ROWSET_UID => put_bytes(&mut out, ROWSET_UID, uid),
            OF_TABLET => put_number(&mut out, OF_TABLET, id),
            _ => out.extend(field.raw),
        }
    }
    out
}
