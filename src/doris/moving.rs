//! The two batches of a move: what is put at the destination, which is the commit point, and what is then deleted at the
//! source (`doris-roots` 5.5).
//!
//! The tablet gets a new uid, so that no rowset record left at the source can ever be taken for the live tablet's, and a
//! later creation time of its newest rowset, so that every release takes the destination for the newer copy, in whatever
//! order it loads the roots.

use super::database::Pair;
use super::error::Malformed;
use super::keys::{Key, TabletIds};
use super::proto::{Change, Message, patch};
use super::record::{Rowset, RowsetState, Tablet};
use super::rowsets::Fresh;
use super::uid::Uid;

/// Numbers of the fields that change: of `TabletMetaPB`, then of `RowsetMetaPB`.
const SHARD_ID: u32 = 5;
const RS_METAS: u32 = 10;
const TABLET_UID: u32 = 14;
const STALE_RS_METAS: u32 = 18;
const CREATION_TIME: u32 = 20;
const ROWSET_UID: u32 = 21;

/// What becomes of rowsets that a compaction has replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stale {
    Keep,
    /// All of them go: a file of one is missing, and dropping some would end a later backend.
    Drop,
}

/// What the tablet becomes at its destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NewPlace {
    /// Its directory below `data/`.
    pub shard: u32,
    /// Random, and not zero.
    pub uid: Uid,
    /// Seconds since 1970.
    pub now: i64,
    /// Rowsets that were replaced.
    pub stale: Stale,
}

/// The two batches.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Batches {
    pub put: Vec<Pair>,
    /// At the source, afterwards.
    pub delete: Vec<Vec<u8>>,
}

/// The batches of one tablet, of all whose pairs are given: its record's, and those with [`super::keys::prefixes_of`] it.
///
/// # Errors
/// A message does not walk, or the record is not among the pairs.
pub fn batches(ids: TabletIds, pairs: &[Pair], to: &NewPlace) -> Result<Batches, Malformed> {
    let record_key = Key::tablet(ids).into_bytes();
    let record = pairs.iter().find(|(key, _)| *key == record_key).ok_or(Malformed("it has no record"))?;
    let tablet = Tablet::read(&record.1)?;
    let mut out = Batches::default();
    let mut fresh = Vec::new();
    for (key, value) in pairs {
        out.delete.push(key.clone());
        match Key::parse(key) {
            Key::Rowset(..) => fresh.push((Rowset::read(value)?, value)),
            Key::BinlogMeta(_) => out.put.push((rekeyed(key, tablet.uid, to.uid)?, value.clone())),
            Key::BinlogData(_) => out.put.push((rekeyed(key, tablet.uid, to.uid)?, with_uid(value, to.uid)?)),
            Key::DeleteBitmap(_) | Key::PendingPublish(_) | Key::PartialUpdate(_) => {
                out.put.push((key.clone(), value.clone()));
            }
            _ => {}
        }
    }
    for (rowset, value) in &fresh {
        if rowset.state == RowsetState::Committed {
            let key = format!("rst_{}_{}", to.uid, rowset.id).into_bytes();
            out.put.push((key, with_uid(value, to.uid)?));
        }
    }
    out.put.push((record_key, moved_record(&record.1, &tablet, &fresh, to)?));
    out.put.sort_unstable();
    out.delete.sort_unstable();
    Ok(out)
}

/// The record of a tablet with its fresh visible rowsets in it, as a backend that runs has it; for showing, never for writing.
///
/// # Errors
/// As [`batches`].
pub fn merged(ids: TabletIds, pairs: &[Pair]) -> Result<Vec<u8>, Malformed> {
    let record_key = Key::tablet(ids).into_bytes();
    let record = pairs.iter().find(|(key, _)| *key == record_key).ok_or(Malformed("it has no record"))?;
    let tablet = Tablet::read(&record.1)?;
    let mut fresh = Vec::new();
    for (_, value) in pairs.iter().filter(|(key, _)| matches!(Key::parse(key), Key::Rowset(..))) {
        fresh.push((Rowset::read(value)?, value));
    }
    let rowsets: Vec<Rowset> = fresh.iter().map(|(rowset, _)| rowset.clone()).collect();
    let sorted = Fresh::sort(&tablet, &rowsets);
    let joins = |rowset: &Rowset| sorted.joining.iter().any(|joining| joining.id == rowset.id);
    let joined = fresh.iter().filter(|(rowset, _)| joins(rowset));
    let joined: Vec<_> = joined.map(|(_, value)| (RS_METAS, value.to_vec())).collect();
    patch(&Message::parse(&record.1)?, &[], &joined)
}

/// The uid in a key, exchanged.
fn rekeyed(key: &[u8], from: Uid, to: Uid) -> Result<Vec<u8>, Malformed> {
    let text = std::str::from_utf8(key).map_err(|_| Malformed("a key is no text"))?;
    Ok(text.replacen(&from.to_string(), &to.to_string(), 1).into_bytes())
}

fn with_uid(rowset: &[u8], uid: Uid) -> Result<Vec<u8>, Malformed> {
    patch(&Message::parse(rowset)?, &[(ROWSET_UID, Change::Bytes(uid.encode()?))], &[])
}

fn moved_record(
    record: &[u8],
    tablet: &Tablet,
    fresh: &[(Rowset, &Vec<u8>)],
    to: &NewPlace,
) -> Result<Vec<u8>, Malformed> {
    let rowsets: Vec<Rowset> = fresh.iter().map(|(rowset, _)| rowset.clone()).collect();
    let sorted = Fresh::sort(tablet, &rowsets);
    let newest = super::rowsets::version(tablet, &sorted);
    let moved_rowset = |bytes: &[u8]| -> Result<Vec<u8>, Malformed> {
        let rowset = Rowset::read(bytes)?;
        let mut changes = vec![(ROWSET_UID, Change::Bytes(to.uid.encode()?))];
        if Some(rowset.end_version) == newest {
            let time = to.now.max(rowset.creation_time.saturating_add(1));
            changes.push((CREATION_TIME, Change::Number(time.cast_unsigned())));
        }
        patch(&Message::parse(bytes)?, &changes, &[])
    };
    let moved_stale = |bytes: &[u8]| with_uid(bytes, to.uid);
    let changes = [
        (SHARD_ID, Change::Number(u64::from(to.shard))),
        (TABLET_UID, Change::Bytes(to.uid.encode()?)),
        (RS_METAS, Change::Each(&moved_rowset)),
        match to.stale {
            Stale::Keep => (STALE_RS_METAS, Change::Each(&moved_stale)),
            Stale::Drop => (STALE_RS_METAS, Change::Drop),
        },
    ];
    let mut merged = Vec::new();
    for rowset in &sorted.joining {
        let value = fresh.iter().find(|(own, _)| own.id == rowset.id);
        let (_, value) = value.ok_or(Malformed("a rowset is gone"))?;
        merged.push((RS_METAS, moved_rowset(value)?));
    }
    patch(&Message::parse(record)?, &changes, &merged)
}
