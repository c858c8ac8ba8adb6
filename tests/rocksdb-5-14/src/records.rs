//! What the records of a tablet say, as far as it matters to the rounds.

use crate::db::Content;
use crate::proto::{bytes, fields, number};

pub const SHARD: u64 = 5;
pub const ROWSETS: u64 = 10;
pub const UID: u64 = 14;
pub const STALE: u64 = 18;
pub const START: u64 = 8;
pub const END: u64 = 9;
pub const CREATED: u64 = 20;
pub const ROWSET_UID: u64 = 21;
pub const SEGMENTS: u64 = 22;
pub const ROWSET_ID: u64 = 23;
const TABLET_ID: u64 = 3;
const SCHEMA_HASH: u64 = 4;

/// A uid as keys have it.
pub fn uid_text(unique_id: &[u8]) -> String {
    format!(
        "{:016x}-{:016x}",
        number(unique_id, 1),
        number(unique_id, 2)
    )
}

pub struct Tablet {
    pub id: u64,
    pub hash: i32,
    pub key: Vec<u8>,
    pub record: Vec<u8>,
    pub uid: String,
    pub shard: u64,
}

impl Tablet {
    pub fn directory(&self) -> String {
        format!("data/{}/{}/{}", self.shard, self.id, self.hash)
    }

    /// Its rowsets in the record.
    pub fn rowsets(&self, field: u64) -> Vec<Vec<u8>> {
        fields(&self.record)
            .into_iter()
            .filter(|one| one.number == field)
            .map(|one| one.bytes)
            .collect()
    }

    /// Prefixes of the keys that are its own: those found by its number, which stay as they are, and those by its uid.
    pub fn prefixes(&self) -> ([Vec<u8>; 3], [Vec<u8>; 3]) {
        let by_id = [
            [b"dlb_".as_slice(), &self.id.to_be_bytes()].concat(),
            format!("ppi_{}_", self.id).into_bytes(),
            format!("pui_{}_", self.id).into_bytes(),
        ];
        (by_id, self.uid_prefixes())
    }

    pub fn uid_prefixes(&self) -> [Vec<u8>; 3] {
        ["rst", "binlog_meta", "binlog_data"]
            .map(|kind| format!("{kind}_{}_", self.uid).into_bytes())
    }

    /// What a root has under its keys.
    pub fn own(&self, content: &Content) -> Content {
        let (by_id, by_uid) = self.prefixes();
        let prefixes: Vec<Vec<u8>> = by_id.into_iter().chain(by_uid).collect();
        let own =
            |key: &[u8]| key == self.key || prefixes.iter().any(|prefix| key.starts_with(prefix));
        content
            .iter()
            .filter(|(key, _)| own(key))
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect()
    }

    /// The `rst_` of its uid.
    pub fn fresh(&self, content: &Content) -> Content {
        let prefix = format!("rst_{}_", self.uid).into_bytes();
        let own = content.iter().filter(|(key, _)| key.starts_with(&prefix));
        own.map(|(key, value)| (key.clone(), value.clone()))
            .collect()
    }
}

/// Every tablet of a root.
pub fn tablets(content: &Content) -> Vec<Tablet> {
    let records = content
        .iter()
        .filter(|(key, _)| key.starts_with(b"tabletmeta_"));
    records
        .map(|(key, record)| Tablet {
            id: number(record, TABLET_ID),
            hash: number(record, SCHEMA_HASH) as i32,
            key: key.clone(),
            record: record.clone(),
            uid: uid_text(&bytes(record, UID)),
            shard: number(record, SHARD),
        })
        .collect()
}
