//! What a scan found in a root's records, written down so that the next start need not open a million files.
//!
//! It vouches for nothing by itself. Each entry carries the stamp of the record it was made from: inode, time of change
//! (`ctime`) and size, and the stamp of the directory above the tablet's. A start lists `meta/` and asks for the stamp of
//! every record, which reads the inodes, many in a block and in the order of the disk, and no file. Only where the stamp
//! is the very one that was noted is the noted summary taken; every other record is read.
//!
//! So there is nothing to invalidate, and nobody can forget to. A record that was replaced, written into, moved or
//! restored from a backup has another inode or another time of change, whoever did it: this program, an older one, an
//! import while the daemon is stopped, an editor. A record that went is not listed, one that came is not noted. No user
//! can set a time of change; a clock that is set back would have to give the same nanosecond to the same inode.
//!
//! | what befalls it | what is left |
//! |---|---|
//! | torn, cut short, a flipped bit | its checksum is wrong: as if there were none |
//! | of another root, or of another format | its head says so: as if there were none |
//! | old, restored from a backup, a run without it in between | entries of what has changed fit no stamp: those are read |
//! | a copy of the root, file by file | no stamp fits |
//! | a kill or a power cut while it is written | the old one stands: a temporary name, a sync, a rename |
//! | records that were not on the medium yet | it is written after a sync of the whole file system |
//! | a change within the grain of the file system's clock | what is younger than two seconds is not noted |
//! | a full or read-only disk | it is not written; the next start takes longer |
//!
//! What it cannot see is a record that rots where it lies, without a trace in the file system: that is found when the
//! tablet is verified, moved or contradicted. Retiring, quarantine, joining and adopting read the records themselves.

use std::fs::Metadata;
use std::io::{BufReader, BufWriter, Read, Write};
use std::os::unix::fs::MetadataExt as _;

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::sys::stat::FileStat;

use super::dir::Dir;
use super::error::DiskError;
use super::layout::{CHECKPOINT_DRAFT, CHECKPOINT_FILE};
use crate::model::{DiskUuid, RecordSummary, SchemaHash, ShardId, TabletId, TabletKey};

/// First bytes of the file, format included: another format has others.
const MAGIC: [u8; 16] = *b"tabletd records1";
/// Of one entry.
const ENTRY_BYTES: usize = 86;
/// Magic, uuid, number of entries.
const HEAD_BYTES: usize = 16 + 16 + 8;
const CHECKSUM_BYTES: usize = 4;

/// The grain of any file system's clock, and more, in nanoseconds: what changed later than this before a scan may change
/// again and keep its time.
const GRAIN_NS: i64 = 2_000_000_000;

/// Of the free space, a checkpoint takes a twentieth at most.
const SPACE_SHARE: u64 = 20;

/// What changes whenever something is done to a file or a directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    pub(super) inode: u64,
    /// `ctime`, in nanoseconds since 1970.
    pub(super) changed_ns: i64,
    /// Of a directory nothing that is compared: 0.
    pub(super) bytes: u32,
}

impl Stamp {
    pub(super) fn of(stat: &FileStat) -> Self {
        Self {
            inode: stat.st_ino,
            changed_ns: nanoseconds(stat.st_ctime, stat.st_ctime_nsec),
            bytes: u32::try_from(stat.st_size).unwrap_or(u32::MAX),
        }
    }

    pub(super) fn of_file(found: &Metadata) -> Self {
        Self {
            inode: found.ino(),
            changed_ns: nanoseconds(found.ctime(), found.ctime_nsec()),
            bytes: u32::try_from(found.len()).unwrap_or(u32::MAX),
        }
    }

    /// Whether it had not changed for longer than the grain of a clock at `now_ns`.
    const fn is_settled(self, now_ns: i64) -> bool {
        self.changed_ns < now_ns.saturating_sub(GRAIN_NS)
    }
}

const fn nanoseconds(seconds: i64, rest: i64) -> i64 {
    seconds.saturating_mul(1_000_000_000).saturating_add(rest)
}

/// A record and its stamps, as a scan saw them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) summary: RecordSummary,
    pub(super) record: Stamp,
    /// Of the directory above the tablet's, taken before the tablet's was seen in it; `None` where it was not looked for.
    pub(super) above: Option<Stamp>,
}

/// What is worth writing down of a scan.
#[derive(Debug, Default)]
pub struct Draft {
    entries: Vec<Seen>,
}

impl Draft {
    /// Of a scan that began at `now_ns` and of which `vouched` records were not read.
    ///
    /// Nothing, while the checkpoint that is there spares nearly as much.
    pub(super) fn of(mut entries: Vec<Seen>, now_ns: i64, vouched: usize) -> Self {
        entries.retain(|seen| {
            seen.record.is_settled(now_ns) && seen.above.is_none_or(|above| above.is_settled(now_ns))
        });
        let news = entries.len().saturating_sub(vouched);
        if news * 100 < entries.len() || news == 0 {
            return Self::default();
        }
        entries.sort_unstable_by_key(|seen| seen.record.inode);
        Self { entries }
    }

    /// Whether there is nothing to write.
    pub const fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Replaces the checkpoint of the root with this identity.
    ///
    /// # Errors
    /// As the calls made; the old one stays then.
    pub fn write(&self, root: &Dir, uuid: DiskUuid) -> Result<(), DiskError> {
        let bytes = (self.entries.len() * ENTRY_BYTES + HEAD_BYTES + CHECKSUM_BYTES) as u64;
        if root.capacity()?.avail_bytes / SPACE_SHARE < bytes {
            return Err(DiskError::new("write", root.path().join(CHECKPOINT_FILE), Errno::ENOSPC));
        }
        // A stamp must not be on the medium before what it stands for.
        root.sync_file_system()?;
        root.unlink(CHECKPOINT_DRAFT)?;
        let file = root.open_file(CHECKPOINT_DRAFT, OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL)?;
        let written = write_to(BufWriter::with_capacity(1 << 18, &file), uuid, &self.entries)
            .and_then(|()| file.sync_all());
        let done = written
            .map_err(|error| DiskError::from_io("write", root.path().join(CHECKPOINT_DRAFT), &error))
            .and_then(|()| root.replace(CHECKPOINT_DRAFT, root, CHECKPOINT_FILE));
        if done.is_err() {
            let _ = root.unlink(CHECKPOINT_DRAFT);
        }
        done
    }
}

fn write_to(mut out: impl Write, uuid: DiskUuid, entries: &[Seen]) -> std::io::Result<()> {
    let mut sum = crc32fast::Hasher::new();
    let mut head = Vec::with_capacity(HEAD_BYTES);
    head.extend(MAGIC);
    head.extend(uuid.0.as_bytes());
    head.extend((entries.len() as u64).to_le_bytes());
    sum.update(&head);
    out.write_all(&head)?;
    for seen in entries {
        let bytes = encode(seen);
        sum.update(&bytes);
        out.write_all(&bytes)?;
    }
    out.write_all(&sum.finalize().to_le_bytes())?;
    out.flush()
}

fn encode(seen: &Seen) -> [u8; ENTRY_BYTES] {
    let RecordSummary { key, generation, table_id, partition_id, size_bytes, file_count, shard_id } =
        seen.summary;
    let above = seen.above.unwrap_or(Stamp { inode: 0, changed_ns: 0, bytes: 0 });
    let fields: [&[u8]; 13] = [
        &key.tablet_id.0.to_le_bytes(),
        &key.schema_hash.0.to_le_bytes(),
        &generation.to_le_bytes(),
        &table_id.to_le_bytes(),
        &partition_id.to_le_bytes(),
        &size_bytes.to_le_bytes(),
        &file_count.to_le_bytes(),
        &shard_id.0.to_le_bytes(),
        &seen.record.inode.to_le_bytes(),
        &seen.record.changed_ns.to_le_bytes(),
        &seen.record.bytes.to_le_bytes(),
        &above.inode.to_le_bytes(),
        &above.changed_ns.to_le_bytes(),
    ];
    let mut bytes = [0; ENTRY_BYTES];
    let mut at = 0;
    for field in fields {
        bytes[at..at + field.len()].copy_from_slice(field);
        at += field.len();
    }
    debug_assert_eq!(at, ENTRY_BYTES);
    bytes
}

/// Takes fields off the front of an entry.
struct Fields<'a>(&'a [u8]);

impl Fields<'_> {
    fn take<const N: usize>(&mut self) -> [u8; N] {
        let (field, rest) = self.0.split_first_chunk().expect("entries have one length");
        self.0 = rest;
        *field
    }

    fn number(&mut self) -> u64 {
        u64::from_le_bytes(self.take())
    }

    fn signed(&mut self) -> i64 {
        i64::from_le_bytes(self.take())
    }
}

fn decode(bytes: &[u8; ENTRY_BYTES]) -> Seen {
    let mut from = Fields(bytes);
    let key = TabletKey {
        tablet_id: TabletId(from.signed()),
        schema_hash: SchemaHash(i32::from_le_bytes(from.take())),
    };
    let (generation, table_id, partition_id) = (from.number(), from.signed(), from.signed());
    let (size_bytes, file_count) = (from.number(), u32::from_le_bytes(from.take()));
    let shard_id = ShardId(u16::from_le_bytes(from.take()));
    let (inode, changed_ns, bytes) = (from.number(), from.signed(), u32::from_le_bytes(from.take()));
    let above = Stamp { inode: from.number(), changed_ns: from.signed(), bytes: 0 };
    Seen {
        summary: RecordSummary { key, generation, table_id, partition_id, size_bytes, file_count, shard_id },
        record: Stamp { inode, changed_ns, bytes },
        above: (above.inode != 0).then_some(above),
    }
}

/// A checkpoint that was read whole.
#[derive(Debug, Default)]
pub(super) struct Checkpoint {
    /// Ascending by the inode of the record.
    entries: Vec<Seen>,
}

impl Checkpoint {
    /// That of the root with this identity; an empty one where there is none that is whole and of this root.
    pub(super) fn read(root: &Dir, uuid: DiskUuid) -> Self {
        let entries = match root.open_for_reading(CHECKPOINT_FILE, OFlag::empty()) {
            Ok(file) => {
                let length = file.metadata().map_or(0, |found| found.len());
                read_from(BufReader::with_capacity(1 << 18, file), length, uuid)
            }
            Err(error) if error.errno == Errno::ENOENT => return Self::default(),
            Err(error) => Err(error.to_string()),
        };
        entries.map_or_else(
            |why| {
                tracing::warn!(
                    "{}: {why}; every record is read",
                    root.path().join(CHECKPOINT_FILE).display()
                );
                Self::default()
            },
            |entries| Self { entries },
        )
    }

    /// What was noted of the record with this inode.
    pub(super) fn of_inode(&self, inode: u64) -> Option<&Seen> {
        let at = self.entries.binary_search_by_key(&inode, |seen| seen.record.inode).ok()?;
        self.entries.get(at)
    }
}

fn read_from(mut from: impl Read, length: u64, uuid: DiskUuid) -> Result<Vec<Seen>, String> {
    let failed = |error: std::io::Error| error.to_string();
    let mut head = [0; HEAD_BYTES];
    from.read_exact(&mut head).map_err(failed)?;
    let (magic, rest) = head.split_at(16);
    let (of, count) = rest.split_at(16);
    if magic != MAGIC {
        return Err("it is no checkpoint that this build reads".to_owned());
    }
    if of != uuid.0.as_bytes() {
        return Err("it is of another disk".to_owned());
    }
    let count = u64::from_le_bytes(count.try_into().map_err(|_| "its head is cut short".to_owned())?);
    let around = (HEAD_BYTES + CHECKSUM_BYTES) as u64;
    let wanted = count.checked_mul(ENTRY_BYTES as u64).and_then(|bytes| bytes.checked_add(around));
    if wanted != Some(length) {
        return Err(format!("it has {length} bytes, not what its count of entries, {count}, takes"));
    }
    let mut sum = crc32fast::Hasher::new();
    sum.update(&head);
    let mut entries = Vec::with_capacity(usize::try_from(count).unwrap_or(0));
    let mut bytes = [0; ENTRY_BYTES];
    for _ in 0..count {
        from.read_exact(&mut bytes).map_err(failed)?;
        sum.update(&bytes);
        entries.push(decode(&bytes));
    }
    let mut said = [0; CHECKSUM_BYTES];
    from.read_exact(&mut said).map_err(failed)?;
    if u32::from_le_bytes(said) != sum.finalize() {
        return Err("its checksum is wrong".to_owned());
    }
    if !entries.is_sorted_by(|a, b| a.record.inode < b.record.inode) {
        return Err("it is not in the order of the inodes".to_owned());
    }
    Ok(entries)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const UUID: DiskUuid = DiskUuid(uuid::Uuid::from_u128(7));

    fn seen(inode: u64, generation: u64) -> Seen {
        Seen {
            summary: RecordSummary {
                key: TabletKey::new(i64::try_from(inode).unwrap_or(1), 5),
                generation,
                table_id: -3,
                partition_id: 9,
                size_bytes: 1 << 40,
                file_count: 77,
                shard_id: ShardId(1023),
            },
            record: Stamp { inode, changed_ns: 1_700_000_000_123_456_789, bytes: 512 },
            above: inode.is_multiple_of(2).then_some(Stamp { inode: inode + 1, changed_ns: 4, bytes: 0 }),
        }
    }

    fn written(entries: &[Seen]) -> Vec<u8> {
        let mut bytes = Vec::new();
        write_to(&mut bytes, UUID, entries).unwrap();
        bytes
    }

    fn read(bytes: &[u8], uuid: DiskUuid) -> Result<Vec<Seen>, String> {
        read_from(bytes, bytes.len() as u64, uuid)
    }

    #[test]
    fn every_flipped_bit_and_every_cut_makes_it_worth_nothing() {
        let entries = [seen(3, 1), seen(8, 2)];
        let bytes = written(&entries);
        assert_eq!(read(&bytes, UUID).as_deref(), Ok(entries.as_slice()));
        for at in 0..bytes.len() * 8 {
            let mut damaged = bytes.clone();
            damaged[at / 8] ^= 1 << (at % 8);
            assert!(read(&damaged, UUID).is_err(), "bit {at}");
        }
        for length in 0..bytes.len() {
            assert!(read(&bytes[..length], UUID).is_err(), "{length} bytes");
        }
        assert!(read(&[bytes.as_slice(), &[0]].concat(), UUID).is_err(), "longer than it says");
        let foreign = read(&bytes, DiskUuid(uuid::Uuid::from_u128(8))).unwrap_err();
        assert!(foreign.contains("another disk"), "{foreign}");
        assert!(read(&written(&[seen(8, 2), seen(3, 1)]), UUID).is_err(), "out of order");
    }

    #[test]
    fn what_changed_a_moment_ago_is_not_noted_and_a_checkpoint_that_is_as_good_is_kept() {
        let now = seen(1, 1).record.changed_ns;
        let draft = |now, vouched| Draft::of(vec![seen(2, 1), seen(1, 1)], now, vouched).entries;
        assert_eq!(draft(now + GRAIN_NS, 0), [], "as young as the grain");
        assert_eq!(draft(now + GRAIN_NS + 1, 0), [seen(1, 1), seen(2, 1)]);
        assert_eq!(draft(now + GRAIN_NS + 1, 2), [], "all of it is in the one that is there");
        assert_eq!(draft(now - 1, 0), [], "from the future");
    }

    proptest! {
        #[test]
        fn a_checkpoint_survives_a_round_trip(mut inodes: std::collections::BTreeSet<u64>, generation: u64) {
            inodes.remove(&u64::MAX);
            let entries: Vec<_> = inodes.into_iter().map(|inode| seen(inode, generation)).collect();
            prop_assert_eq!(read(&written(&entries), UUID), Ok(entries));
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes: Vec<u8>) {
            let _ = read(&bytes, UUID);
            let _ = read(&[MAGIC.as_slice(), UUID.0.as_bytes(), &bytes].concat(), UUID);
        }
    }
}
