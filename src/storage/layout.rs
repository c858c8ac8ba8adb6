//! Every path below a storage root, in one room; each builder beside its parser. Nothing here touches a disk.
//!
//! `data/<shard>/<tablet_id>/<schema_hash>` and `trash/<YYYYmmddHHMMSS>.<n>/<tablet_id>/<schema_hash>` are laid out as
//! Doris lays them out.

use crate::model::{ShardId, TabletId, TabletKey};

/// Identity and format of the root.
pub const DISK_FILE: &str = "disk.json";
/// A copy of the list of the node's disks.
pub const DISK_LIST_FILE: &str = "node_disks.json";
/// Held (flock) while a process owns the root.
pub const LOCK_FILE: &str = ".tabletd.lock";
/// Written, read back and removed by the health probe, as Doris's.
pub const PROBE_FILE: &str = ".testfile";
/// Trash entries made in advance, for a disk that is full.
pub const SPARE: &str = ".spare";
/// Tablets.
pub const DATA: &str = "data";
/// Metadata records.
pub const META: &str = "meta";
/// Staging directories.
pub const MIGRATING: &str = "migrating";
/// Retired sources.
pub const TRASH: &str = "trash";
/// What contradicts itself.
pub const QUARANTINE: &str = "quarantine";
/// What a start found in the records, for the next one.
pub const CHECKPOINT_FILE: &str = "records.checkpoint";
/// The same while it is being written.
pub const CHECKPOINT_DRAFT: &str = "records.checkpoint.tmp";
/// All that stands in a root. Anything else there is somebody else's.
pub const ROOT_PARTS: [&str; 12] = [
    DATA,
    META,
    MIGRATING,
    TRASH,
    QUARANTINE,
    SPARE,
    DISK_FILE,
    DISK_LIST_FILE,
    LOCK_FILE,
    PROBE_FILE,
    CHECKPOINT_FILE,
    CHECKPOINT_DRAFT,
];

/// In a staging directory: which migration it belongs to.
pub const OWNER_FILE: &str = "owner.json";
/// In a staging directory: the metadata record that will own the tablet.
pub const RECORD_FILE: &str = "record.json";
/// In a staging directory: the tablet's files; this directory is renamed to its place under `data/`.
pub const FILES: &str = "files";
/// In a trash entry: who retired it and where the tablet went.
pub const RETIRED_FILE: &str = "retired.json";
/// In a quarantine entry: that it is a salvage, its receipt, and the tablet's record as it was.
pub const SALVAGED_FILE: &str = "salvaged.json";
/// In a quarantine entry: why.
pub const REASON_FILE: &str = "reason.json";

/// `data/<shard>`.
pub fn shard_dir(shard: ShardId) -> String {
    format!("{DATA}/{shard}")
}

/// `data/<shard>/<tablet_id>`, the parent of the tablet's directory.
pub fn tablet_parent(shard: ShardId, tablet: TabletId) -> String {
    format!("{DATA}/{shard}/{tablet}")
}

/// `data/<shard>/<tablet_id>/<schema_hash>`.
pub fn tablet_dir(shard: ShardId, key: TabletKey) -> String {
    format!("{DATA}/{shard}/{}/{}", key.tablet_id, key.schema_hash)
}

/// File name of a metadata record below `meta/`.
pub fn record_name(key: TabletKey) -> String {
    format!("{key}.json")
}

/// The tablet whose record a file below `meta/` is; `None` for any other name.
pub fn parse_record_name(name: &str) -> Option<TabletKey> {
    name.strip_suffix(".json")?.parse().ok()
}

/// Whether an entry below `migrating/` has a name that this program gives: a migration's number, or what is being done
/// to a tablet.
pub fn is_staging_name(name: &str) -> bool {
    name.parse::<u64>().is_ok()
        || ["import-", "restore-", "outrank-", "adopt-"].iter().any(|work| name.starts_with(work))
}

/// Name of the header inside a trashed tablet.
pub fn trashed_header_name(tablet: TabletId) -> String {
    format!("{tablet}.hdr.json")
}

/// `<YYYYmmddHHMMSS>.<n>`: local time and a counter that makes the name unique.
pub fn trash_entry_name(at: chrono::DateTime<chrono::Local>, n: u64) -> String {
    format!("{}.{n}", at.format("%Y%m%d%H%M%S"))
}

/// Age order of a trash entry; `None` when the name is not one.
pub fn parse_trash_entry_name(name: &str) -> Option<(u64, u64)> {
    let (time, n) = name.split_once('.')?;
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    (time.len() == 14 && digits(time) && digits(n)).then_some(())?;
    Some((time.parse().ok()?, n.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn builders_and_parsers_agree() {
        let key = TabletKey::new(15672, 567_997_577);
        assert_eq!(tablet_dir(ShardId(34), key), "data/34/15672/567997577");
        assert_eq!(parse_record_name(&record_name(key)), Some(key));
        let at = chrono::DateTime::from_timestamp(1_700_000_000, 0).expect("in range");
        let name = trash_entry_name(at.with_timezone(&chrono::Local), 7);
        assert!(parse_trash_entry_name(&name).is_some(), "{name}");
    }

    #[test]
    fn strangers_are_not_ours() {
        for name in ["1_2.json.tmp", "1.json", "_.json", "01_2.json", "-1_2.json", "1_2"] {
            assert_eq!(parse_record_name(name), None, "{name}");
        }
        for name in ["20240101", "20240101000000.", "2024010100000x.1", "lost+found"] {
            assert_eq!(parse_trash_entry_name(name), None, "{name}");
        }
    }
}
