//! A node's disks, from outside: what is put on them before its first life, and what they hold between two lives.

use std::collections::BTreeMap;

use tabletd::model::{FileEntry, Manifest, ShardId, TabletKey, TabletRecord, TabletState};
use tabletd::storage::{encode_record, synthesize_header_in};

use crate::machine::disk::{Body, Disk, Ino, Names, ROOT};
use crate::machine::files::{Files, TOP};
use crate::rng::Rng;

const HASH: i32 = 555;
/// Of each disk.
const CAPACITY_BYTES: u64 = 64 << 20;

/// Everything that outlives a process.
pub(crate) struct World {
    pub(crate) disks: Vec<Disk>,
    /// Where which disk is mounted.
    pub(crate) mounts: Vec<(String, usize)>,
    /// What was put in.
    pub(crate) tablets: BTreeMap<TabletKey, Vec<(String, Vec<u8>)>>,
    /// What was acknowledged, and what became of it.
    pub(crate) notes: Vec<String>,
}

impl World {
    /// A node that has never run: two or three disks, a state directory, a few tablets.
    pub(crate) fn new(rng: &mut Rng) -> Self {
        let roots = 2 + rng.index(2);
        let mut system = Disk::new(CAPACITY_BYTES);
        make_directory(&mut system, "state");
        for n in 0..roots {
            make_directory(&mut system, &format!("d{n}"));
        }
        let mut world = Self {
            disks: vec![system],
            mounts: vec![(TOP.to_owned(), 0), (format!("{TOP}/state"), 1)],
            tablets: BTreeMap::new(),
            notes: Vec::new(),
        };
        world.disks.push(Disk::new(CAPACITY_BYTES));
        for n in 0..roots {
            let mut disk = Disk::new(CAPACITY_BYTES);
            for part in ["data", "meta", "migrating", "trash", "quarantine"] {
                make_directory(&mut disk, part);
            }
            let uuid = uuid::Uuid::from_u64_pair(rng.next(), rng.next());
            put(&mut disk, "disk.json", format!("{{\"format\":1,\"uuid\":\"{uuid}\"}}").as_bytes());
            world.mounts.push((format!("{TOP}/d{n}"), world.disks.len()));
            world.disks.push(disk);
        }
        for n in 0..1 + rng.index(3) {
            let disk = 2 + rng.index(roots);
            world.add_tablet(disk, 1001 + i64::try_from(n).unwrap_or(0), rng);
        }
        world.configure();
        world.disks.iter_mut().for_each(|disk| disk.sync_all(false));
        world
    }

    fn configure(&mut self) {
        let roots: Vec<_> = self.mounts[2..].iter().map(|(path, _)| format!("{path},medium:ssd")).collect();
        let text = format!(
            "webserver_port = 8040\nstorage_root_path = {}\nstate_dir = {TOP}/state\nignore_broken_disk = true\n\
             storage_flood_stage_usage_percent = 100\nstorage_flood_stage_left_capacity_bytes = 0\n\
             migration_capacity_rule = and\nmin_file_descriptor_number = 0\n",
            roots.join(";")
        );
        put(&mut self.disks[1], "be.conf", text.as_bytes());
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

    /// The disks as a process meets them.
    pub(crate) fn files(&self) -> Files {
        Files { disks: self.disks.clone(), mounts: self.mounts.clone(), ..Files::default() }
    }

    /// What a power cut leaves.
    pub(crate) fn cut(&mut self, rng: &mut Rng) {
        self.disks.iter_mut().for_each(|disk| disk.cut(rng));
    }

    /// Numbers of the disks that hold tablets and are mounted.
    pub(crate) fn roots(&self) -> impl Iterator<Item = usize> {
        self.mounts.iter().skip(2).map(|(_, disk)| *disk)
    }
}

/// What a path below a root leads to.
pub(crate) fn find(disk: &Disk, path: &str) -> Option<Ino> {
    path.split('/').try_fold(ROOT, |dir, part| disk.look(dir, part.as_bytes()).ok()?)
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
