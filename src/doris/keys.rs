//! Keys of the column family `meta`, and what finds a tablet from each (`doris-roots` section 2).

use std::fmt;

use super::uid::Uid;

/// What a key is of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Key<'a> {
    /// `tabletmeta_{tablet_id}_{schema_hash}`.
    Tablet(TabletIds),
    /// `rst_{uid}_{rowset id}`.
    Rowset(Uid, &'a str),
    /// `dlb_` and two big-endian numbers: tablet and version.
    DeleteBitmap(i64),
    /// `ppi_{tablet_id}_{version}`.
    PendingPublish(i64),
    /// `pui_{tablet_id}_{partition_id}_{txn_id}`.
    PartialUpdate(i64),
    /// `binlog_meta_{uid}_…`.
    BinlogMeta(Uid),
    /// `binlog_data_{uid}_…`.
    BinlogData(Uid),
    /// `binlog_row_…`, of the newest backends only: not understood.
    BinlogRow,
    /// `gc_…` and `tgc_…`: work lists for remote storage. They stay where they are.
    RemoteGarbage,
    /// `hdr_…`, from before 0.11: a backend does not start with one.
    RetiredHeader,
    Unknown,
}

/// What names a tablet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TabletIds {
    pub tablet_id: i64,
    /// Hash of its schema.
    pub schema_hash: i32,
}

impl fmt::Display for TabletIds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.tablet_id, self.schema_hash)
    }
}

impl<'a> Key<'a> {
    /// Tells what a key is of.
    pub fn parse(key: &'a [u8]) -> Self {
        if let Some(rest) = key.strip_prefix(b"dlb_") {
            let tablet = rest.first_chunk::<8>().filter(|_| rest.len() == 16);
            return tablet.map_or(Self::Unknown, |id| Self::DeleteBitmap(i64::from_be_bytes(*id)));
        }
        let Ok(text) = std::str::from_utf8(key) else { return Self::Unknown };
        Self::of_text(text).unwrap_or(Self::Unknown)
    }

    fn of_text(text: &'a str) -> Option<Self> {
        if let Some(rest) = text.strip_prefix("tabletmeta_") {
            let (tablet_id, schema_hash) = rest.split_once('_')?;
            let ids =
                TabletIds { tablet_id: tablet_id.parse().ok()?, schema_hash: schema_hash.parse().ok()? };
            // Another spelling of the numbers would be another key.
            return (Self::tablet(ids) == text).then_some(Self::Tablet(ids));
        }
        if let Some(rest) = text.strip_prefix("rst_") {
            let (uid, rowset) = Uid::split_from(rest)?;
            return Some(Self::Rowset(uid, rowset));
        }
        if let Some(rest) = text.strip_prefix("binlog_meta_") {
            return Some(Self::BinlogMeta(Uid::split_from(rest)?.0));
        }
        if let Some(rest) = text.strip_prefix("binlog_data_") {
            return Some(Self::BinlogData(Uid::split_from(rest)?.0));
        }
        let of_tablet = |prefix| text.strip_prefix(prefix)?.split('_').next()?.parse::<i64>().ok();
        if let Some(tablet_id) = of_tablet("ppi_") {
            return Some(Self::PendingPublish(tablet_id));
        }
        if let Some(tablet_id) = of_tablet("pui_") {
            return Some(Self::PartialUpdate(tablet_id));
        }
        if text.starts_with("binlog_row_") {
            return Some(Self::BinlogRow);
        }
        if text.starts_with("gc_") || text.starts_with("tgc_") {
            return Some(Self::RemoteGarbage);
        }
        text.starts_with("hdr_").then_some(Self::RetiredHeader)
    }

    /// The key of a tablet's record.
    pub fn tablet(ids: TabletIds) -> String {
        format!("tabletmeta_{}_{}", ids.tablet_id, ids.schema_hash)
    }
}

/// Beginnings of all keys that belong to a tablet, its record's aside.
pub fn prefixes_of(ids: TabletIds, uid: Uid) -> [Vec<u8>; 6] {
    let delete_bitmaps = [b"dlb_".as_slice(), &ids.tablet_id.to_be_bytes()].concat();
    let text = |text: String| text.into_bytes();
    [
        text(format!("binlog_data_{uid}_")),
        text(format!("binlog_meta_{uid}_")),
        delete_bitmaps,
        text(format!("ppi_{}_", ids.tablet_id)),
        text(format!("pui_{}_", ids.tablet_id)),
        text(format!("rst_{uid}_")),
    ]
}

/// Whether a key that is not understood has this tablet's number or uid in it.
pub fn mentions(key: &[u8], ids: TabletIds, uid: Uid) -> bool {
    let text = String::from_utf8_lossy(key);
    let number = ids.tablet_id.to_string();
    let has_number = text.split(|c: char| !c.is_ascii_digit()).any(|digits| digits == number);
    has_number
        || text.contains(&uid.to_string())
        || key.windows(8).any(|bytes| bytes == ids.tablet_id.to_be_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    const UID: Uid = Uid { hi: 0x1128_f76e_57d8_58c1, lo: -0x0f68_cef0_d5c5_30e1 };

    #[test]
    fn keys_are_told_apart() {
        let ids = TabletIds { tablet_id: 15672, schema_hash: -3 };
        assert_eq!(Key::parse(b"tabletmeta_15672_-3"), Key::Tablet(ids));
        assert_eq!(Key::parse(b"tabletmeta_015672_-3"), Key::Unknown);
        let rowset = format!("rst_{UID}_0200abc");
        assert_eq!(Key::parse(rowset.as_bytes()), Key::Rowset(UID, "0200abc"));
        let meta = format!("binlog_meta_{UID}_00000000000000000002_0200abc");
        assert_eq!(Key::parse(meta.as_bytes()), Key::BinlogMeta(UID));
        assert_eq!(Key::parse(b"dlb_\0\0\0\0\0\0\x10\x92\0\0\0\0\0\0\0\x07"), Key::DeleteBitmap(0x1092));
        assert_eq!(Key::parse(b"dlb_short"), Key::Unknown);
        assert_eq!(Key::parse(b"ppi_4243_9"), Key::PendingPublish(4243));
        assert_eq!(Key::parse(b"pui_1_2_3"), Key::PartialUpdate(1));
        assert_eq!(Key::parse(b"gc_0200"), Key::RemoteGarbage);
        assert_eq!(Key::parse(b"hdr_1_2"), Key::RetiredHeader);
        assert_eq!(Key::parse(b"\xff\xfe"), Key::Unknown);
    }

    #[test]
    fn a_mention_is_a_whole_number_or_uid() {
        let ids = TabletIds { tablet_id: 33236, schema_hash: 1 };
        assert!(mentions(b"zzz_33236_5", ids, UID));
        assert!(!mentions(b"zzz_332360_5", ids, UID));
        assert!(mentions(format!("fut_{UID}_1").as_bytes(), ids, UID));
        assert!(mentions(b"new_\0\0\0\0\0\0\x81\xd4", ids, UID));
    }
}
