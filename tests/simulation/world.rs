//! A node's disks, from outside: what is put on them before its first life, and what they hold between two lives.

use std::collections::{BTreeMap, BTreeSet};

use tabletd::model::{FileEntry, Manifest, ShardId, TabletKey, TabletRecord, TabletState};
use tabletd::storage::{decode_record, encode_record, synthesize_header_in};

use crate::machine::disk::{Body, Disk, Ino, Names, ROOT};
use crate::machine::files::{Files, TOP};
use crate::rng::Rng;

const HASH: i32 = 555;
/// Of each disk.
const CAPACITY_BYTES: u64 = 64 << 20;

/// Everything that outlives a process.
pub(crate) struct World {
    /// The system's, the state directory's, then one for each slot.
    pub(crate) disks: Vec<Disk>,
    pub(crate) slots: Vec<Slot>,
    /// What was put in.
    pub(crate) tablets: BTreeMap<TabletKey, Vec<(String, Vec<u8>)>>,
    /// What was acknowledged, and what became of it.
    pub(crate) notes: Vec<String>,
}

/// A place for a disk, at `/sim/d<n>`.
pub(crate) struct Slot {
    pub(crate) is_mounted: bool,
    pub(crate) is_configured: bool,
    /// A snapshot of its disk.
    pub(crate) kept: Option<Disk>,
}

/// Disks before the first slot's.
const FIXED: usize = 2;

/// Where a slot's disk is mounted.
pub(crate) fn path_of(slot: usize) -> String {
    format!("{TOP}/d{slot}")
}

/// The number of a slot's disk.
pub(crate) const fn disk_in(slot: usize) -> usize {
    FIXED + slot
}

impl World {
    /// A node that has never run: two or three disks, a state directory, a few tablets.
    pub(crate) fn new(rng: &mut Rng) -> Self {
        let slots = if rng.below(4) == 0 { 2 } else { 3 };
        let mut system = Self::blank();
        make_directory(&mut system, "state");
        for slot in 0..slots {
            make_directory(&mut system, &format!("d{slot}"));
        }
        let slot = || Slot { is_mounted: true, is_configured: true, kept: None };
        let mut world = Self {
            disks: vec![system, Self::blank()],
            slots: (0..slots).map(|_| slot()).collect(),
            tablets: BTreeMap::new(),
            notes: Vec::new(),
        };
        for _ in 0..slots {
            let mut disk = Self::blank();
            for part in ["data", "meta", "migrating", "trash", "quarantine"] {
                make_directory(&mut disk, part);
            }
            let uuid = uuid::Uuid::from_u64_pair(rng.next(), rng.next());
            put(&mut disk, "disk.json", format!("{{\"format\":1,\"uuid\":\"{uuid}\"}}").as_bytes());
            world.disks.push(disk);
        }
        for n in 0..1 + rng.index(3) {
            world.add_tablet(disk_in(rng.index(slots)), 1001 + i64::try_from(n).unwrap_or(0), rng);
        }
        world.configure();
        world.disks.iter_mut().for_each(|disk| disk.sync_all(false));
        world
    }

    /// A disk as its maker sells it.
    pub(crate) fn blank() -> Disk {
        Disk::new(CAPACITY_BYTES)
    }

    /// Writes be.conf.
    pub(crate) fn configure(&mut self) {
        let configured = self.slots.iter().enumerate().filter(|(_, slot)| slot.is_configured);
        let roots: Vec<_> = configured.map(|(slot, _)| format!("{},medium:ssd", path_of(slot))).collect();
        let text = format!(
            "webserver_port = 8040\nstorage_root_path = {}\nstate_dir = {TOP}/state\nignore_broken_disk = true\n\
             storage_flood_stage_usage_percent = 100\nstorage_flood_stage_left_capacity_bytes = 0\n\
             migration_capacity_rule = and\nmin_file_descriptor_number = 0\n",
            roots.join(";")
        );
        put(&mut self.disks[1], "be.conf", text.as_bytes());
    }

    /// The files of the journal are gone.
    pub(crate) fn lose_journal(&mut self) {
        for name in ["journal.db", "journal.db-wal"] {
            let _ = self.disks[1].unlink(ROOT, name.as_bytes(), false);
        }
        self.disks[1].sync_all(false);
        self.notes.push("journal lost".to_owned());
    }

    pub(crate) fn disk(&self, slot: usize) -> &Disk {
        &self.disks[disk_in(slot)]
    }

    pub(crate) fn disk_mut(&mut self, slot: usize) -> &mut Disk {
        &mut self.disks[disk_in(slot)]
    }

    /// Whether the disk in a slot is one of a node's.
    pub(crate) fn is_formatted(&self, slot: usize) -> bool {
        read(self.disk(slot), "disk.json").is_some()
    }

    /// Slots whose disk is mounted.
    pub(crate) fn mounted(&self) -> impl Iterator<Item = usize> {
        (0..self.slots.len()).filter(|slot| self.slots[*slot].is_mounted)
    }

    /// Whatever can come right does.
    pub(crate) fn mend(&mut self) {
        for slot in &mut self.slots {
            (slot.is_mounted, slot.is_configured) = (true, true);
        }
        for disk in &mut self.disks {
            (disk.is_dead, disk.is_read_only) = (false, false);
            disk.capacity_bytes = CAPACITY_BYTES;
        }
        self.configure();
    }

    /// Slots whose disk a process may use.
    pub(crate) fn here(&self) -> impl Iterator<Item = usize> {
        self.mounted().filter(|slot| self.slots[*slot].is_configured && !self.disk(*slot).is_dead)
    }

    /// Tablets of which one of these disks has a good copy, or the directory that one is mounted on: a mount point that is
    /// empty may be taken for a new disk.
    pub(crate) fn copies_on(&self, slots: &[usize]) -> BTreeSet<TabletKey> {
        let disks = slots.iter().map(|slot| self.disk(*slot)).chain(self.disks.first());
        disks.flat_map(|disk| good_copies_on(disk, &self.tablets)).collect()
    }

    /// The same of copies that no power cut takes.
    pub(crate) fn copies_that_last(&self, slots: &[usize]) -> BTreeSet<TabletKey> {
        slots.iter().flat_map(|slot| good_copies_on(&self.disk(*slot).worst(), &self.tablets)).collect()
    }

    /// Tablets of which some disk has a good copy.
    pub(crate) fn good_copies(&self) -> BTreeSet<TabletKey> {
        let all: Vec<_> = (0..self.slots.len()).collect();
        self.copies_on(&all)
    }

    /// The slot of each tablet's first good copy, by its key.
    pub(crate) fn homes(&self) -> Vec<usize> {
        let has = |slot: &usize, key| good_copies_on(self.disk(*slot), &self.tablets).contains(key);
        let home = |key| (0..self.slots.len()).find(|slot| has(slot, key));
        self.tablets.keys().filter_map(home).collect()
    }

    /// The disks as a process meets them.
    pub(crate) fn files(&self) -> Files {
        let mut mounts = vec![(TOP.to_owned(), 0), (format!("{TOP}/state"), 1)];
        mounts.extend(self.mounted().map(|slot| (path_of(slot), disk_in(slot))));
        Files { disks: self.disks.clone(), mounts, ..Files::default() }
    }

    /// What a power cut leaves.
    pub(crate) fn cut(&mut self, rng: &mut Rng) {
        self.disks.iter_mut().for_each(|disk| disk.cut(rng));
    }

    fn add_tablet(&mut self, disk: usize, tablet_id: i64, rng: &mut Rng) {
        let key = TabletKey::new(tablet_id, HASH);
        let shard = ShardId(u16::try_from(tablet_id % 1024).unwrap_or(0));
        let files: Vec<_> = (0..1 + rng.index(3))
            .map(|n| {
                let length = [0, 100, 5000, 40_000][rng.index(4)];
                (format!("0200{n:04}_0.dat"), rng.bytes(length))
            })
            .collect();
        let disk = &mut self.disks[disk];
        make_directory(disk, &format!("data/{shard}/{tablet_id}/{HASH}"));
        let entry = |(name, bytes): &(String, Vec<u8>)| FileEntry {
            name: name.clone(),
            size_bytes: bytes.len() as u64,
            crc32: Some(crc32fast::hash(bytes)),
        };
        let manifest = Manifest::new(files.iter().map(entry).collect()).expect("plain names");
        for (name, bytes) in &files {
            put(disk, &format!("data/{shard}/{tablet_id}/{HASH}/{name}"), bytes);
        }
        let record = TabletRecord {
            generation: 1,
            key,
            partition_id: tablet_id % 7,
            shard_id: shard,
            state: TabletState::Running,
            manifest,
            tablet_meta: synthesize_header_in(tablet_id % 3, key, tablet_id % 7, shard, 1_700_000_000),
        };
        put(disk, &format!("meta/{key}.json"), &encode_record(&record).expect("a record"));
        self.tablets.insert(key, files);
    }
}

/// Tablets of which this disk has every byte in one directory, and a record somewhere.
pub(crate) fn good_copies_on(
    disk: &Disk,
    tablets: &BTreeMap<TabletKey, Vec<(String, Vec<u8>)>>,
) -> BTreeSet<TabletKey> {
    let (mut directories, mut recorded) = (Vec::new(), BTreeSet::new());
    let mut next = vec![ROOT];
    while let Some(ino) = next.pop() {
        let Ok(names) = disk.names(ino) else { continue };
        directories.push(names);
        for (name, child) in names {
            match disk.bytes(*child) {
                Ok(bytes) if name.ends_with(b".json") => {
                    recorded.extend(decode_record(bytes).map(|record| record.key));
                }
                Ok(_) => {}
                Err(_) => next.push(*child),
            }
        }
    }
    let has = |names: &Names, name: &str, bytes: &[u8]| {
        names.get(name.as_bytes()).is_some_and(|ino| disk.bytes(*ino) == Ok(bytes))
    };
    let is_whole = |files: &[(String, Vec<u8>)]| {
        directories.iter().any(|names| files.iter().all(|(name, bytes)| has(names, name, bytes)))
    };
    let mut good: BTreeSet<_> =
        tablets.iter().filter(|(_, files)| is_whole(files)).map(|(key, _)| *key).collect();
    good.retain(|key| recorded.contains(key));
    good
}

/// What a path below a root leads to.
pub(crate) fn find(disk: &Disk, path: &str) -> Option<Ino> {
    path.split('/').try_fold(ROOT, |dir, part| disk.look(dir, part.as_bytes()).ok()?)
}

/// Every file of a directory.
pub(crate) fn read_all(disk: &Disk, path: &str) -> Vec<(String, Vec<u8>)> {
    let file = |name: String| {
        let bytes = read(disk, &format!("{path}/{name}"))?.to_vec();
        Some((name, bytes))
    };
    names(disk, path).into_iter().filter_map(file).collect()
}

/// Names in a directory.
pub(crate) fn names(disk: &Disk, path: &str) -> Vec<String> {
    let names = find(disk, path).and_then(|ino| disk.names(ino).ok());
    names.into_iter().flat_map(Names::keys).map(|name| String::from_utf8_lossy(name).into_owned()).collect()
}

/// Bytes of a file.
pub(crate) fn read<'a>(disk: &'a Disk, path: &str) -> Option<&'a [u8]> {
    disk.bytes(find(disk, path)?).ok()
}

fn make_directory(disk: &mut Disk, path: &str) -> Ino {
    path.split('/').fold(ROOT, |dir, part| match disk.look(dir, part.as_bytes()) {
        Ok(Some(ino)) => ino,
        _ => disk
            .make(dir, part.as_bytes(), Body::Directory(Names::new()), libc::S_IFDIR | 0o755, 0)
            .expect("room for a directory"),
    })
}

/// Puts a file there, in the place of an older one.
pub(crate) fn put(disk: &mut Disk, path: &str, bytes: &[u8]) {
    let (dir, name) = path.rsplit_once('/').unwrap_or((".", path));
    let dir = if dir == "." { ROOT } else { make_directory(disk, dir) };
    let ino = match disk.look(dir, name.as_bytes()) {
        Ok(Some(ino)) => ino,
        _ => {
            let body = Body::File { bytes: Vec::new(), medium: Vec::new(), is_dirty: false };
            disk.make(dir, name.as_bytes(), body, libc::S_IFREG | 0o644, 0).expect("room for a file")
        }
    };
    disk.truncate(ino, 0, 0).and_then(|()| disk.write(ino, 0, bytes, 0)).expect("room for its bytes");
    disk.sync(ino, false);
}
