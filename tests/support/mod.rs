//! A node to test with: roots full of tablets, a daemon that can be killed, and one oracle for all of it.
//!
//! Shared by the suites below `tests/`; each uses its part.
#![allow(dead_code, unused_imports)]

pub(crate) mod bad_sectors;
pub(crate) mod daemon;
pub(crate) mod fuse_disks;
pub(crate) mod mounts;
mod oracle;
pub(crate) mod tabletctl;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

pub(crate) use daemon::{CAME_UP, Daemon, Starting};
#[allow(unused_imports)] // each of the two test programs uses its part
pub(crate) use oracle::{BYTES_VERIFIED, check_counters, records};
use tabletd::model::{FileEntry, Manifest, ShardId, TabletKey, TabletRecord, TabletState};
use tabletd::storage::{encode_record, synthesize_header_in};
use tempfile::TempDir;

/// Every point at which something has just become durable, in order.
pub(crate) const POINTS: &[&str] = &[
    "accepted",
    "staging_created",
    "data_copied",
    "record_staged",
    "finalizing_journalled",
    "placed",
    "placed_synced",
    "record_renamed",
    "committed",
    "catalog_switched",
    "source_record_retired",
    "source_directory_retired",
    "source_in_trash",
    "source_synced",
    "staging_removed",
    "completed",
];

pub(crate) const HASH: i32 = 555;

/// Roots, a state directory and a configuration, all in one temporary directory unless roots are given.
pub(crate) struct Node {
    pub(crate) dir: TempDir,
    pub(crate) roots: Vec<PathBuf>,
    /// Medium of each root; `ssd` of those behind the last.
    pub(crate) media: Vec<&'static str>,
    /// Further lines of be.conf.
    pub(crate) settings: String,
    /// Environment of the daemon.
    pub(crate) env: Vec<(&'static str, String)>,
    /// What was put in: tablet -> files.
    pub(crate) expected: BTreeMap<TabletKey, Manifest>,
}

impl Node {
    /// A node with `roots` fresh roots in a temporary directory.
    pub(crate) fn new(roots: usize) -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let roots: Vec<_> = (0..roots).map(|n| dir.path().join(format!("disk{n}"))).collect();
        roots.iter().for_each(|root| fs::create_dir(root).expect("a fresh directory"));
        Self::on(dir, roots)
    }

    /// A node on roots that exist.
    pub(crate) fn on(dir: TempDir, roots: Vec<PathBuf>) -> Self {
        Self {
            dir,
            roots,
            media: Vec::new(),
            settings: String::new(),
            env: Vec::new(),
            expected: BTreeMap::new(),
        }
    }

    pub(crate) fn disk(&self, n: usize) -> String {
        self.roots[n].display().to_string()
    }

    /// Puts a tablet of these file sizes on a root, as an import would: of partition `tablet_id % 7` and table
    /// `tablet_id % 3`, where 0 is none. The daemon must not be running.
    pub(crate) fn add_tablet(&mut self, root: usize, tablet_id: i64, sizes: &[usize]) -> TabletKey {
        let seed = tablet_id.unsigned_abs() * 1000;
        let contents = sizes.iter().zip(seed..).map(|(size, seed)| pseudo_random(seed, *size));
        self.add_tablet_of(root, tablet_id, &contents.collect::<Vec<_>>())
    }

    /// The same with these files.
    pub(crate) fn add_tablet_of(&mut self, root: usize, tablet_id: i64, contents: &[Vec<u8>]) -> TabletKey {
        let key = TabletKey::new(tablet_id, HASH);
        let root = &self.roots[root];
        make_root(root);
        let shard = ShardId(u16::try_from(tablet_id % 1024).expect("below 1024"));
        let dir = root.join(format!("data/{shard}/{tablet_id}/{HASH}"));
        fs::create_dir_all(&dir).expect("a tablet directory");
        let files = contents.iter().enumerate().map(|(n, bytes)| {
            let name = format!("0200{n:04}_0.dat");
            fs::write(dir.join(&name), bytes).expect("a tablet file");
            FileEntry { name, size_bytes: bytes.len() as u64, crc32: Some(crc32fast::hash(bytes)) }
        });
        let manifest = Manifest::new(files.collect()).expect("plain names");
        let record = TabletRecord {
            generation: 1,
            key,
            partition_id: tablet_id % 7,
            shard_id: shard,
            state: TabletState::Running,
            manifest: manifest.clone(),
            tablet_meta: synthesize_header_in(tablet_id % 3, key, tablet_id % 7, shard, 1_700_000_000),
        };
        self.write_record(root, &record);
        self.expected.insert(key, manifest);
        key
    }

    pub(crate) fn write_record(&self, root: &Path, record: &TabletRecord) {
        let bytes = encode_record(record).expect("records serialise");
        let temporary = self.dir.path().join("record.tmp");
        fs::write(&temporary, bytes).expect("a record");
        let to = root.join(format!("meta/{}.json", record.key));
        // Over a mount point a rename is not possible; a copy is as good while no daemon looks.
        if fs::rename(&temporary, &to).is_err() {
            fs::copy(&temporary, &to).expect("a record");
        }
    }

    /// Path of a tablet's directory.
    pub(crate) fn tablet_dir(&self, root: usize, key: TabletKey) -> PathBuf {
        self.roots[root].join(format!(
            "data/{}/{}/{}",
            key.tablet_id.0 % 1024,
            key.tablet_id,
            key.schema_hash
        ))
    }

    fn write_conf(&self) -> PathBuf {
        let media = self.media.iter().copied().chain(std::iter::repeat("ssd"));
        let paths = self.roots.iter().zip(media);
        let paths: Vec<_> =
            paths.map(|(root, medium)| format!("{},medium:{medium}", root.display())).collect();
        let conf = self.dir.path().join("be.conf");
        let text = format!(
            "webserver_port = 0\nstorage_root_path = {}\nstate_dir = {}\n\
             storage_flood_stage_usage_percent = 100\nstorage_flood_stage_left_capacity_bytes = 0\n\
             migration_capacity_rule = and\nmin_file_descriptor_number = 0\n{}\n",
            paths.join(";"),
            self.dir.path().join("state").display(),
            self.settings
        );
        fs::write(&conf, text).expect("a configuration");
        conf
    }

    /// What starts the daemon.
    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tabletd"));
        command.arg("--conf").arg(self.write_conf()).stdin(Stdio::null()).stdout(Stdio::null());
        command.envs(self.env.iter().map(|(name, value)| (*name, value.as_str())));
        command
    }

    /// Starts the daemon and waits until it listens.
    pub(crate) fn start(&self) -> Daemon {
        self.try_start().unwrap_or_else(|said| panic!("the daemon did not start:\n{said}"))
    }

    /// Starts the daemon; what it said when it did not.
    pub(crate) fn try_start(&self) -> Result<Daemon, String> {
        daemon::start(self.command())
    }

    /// A process that becomes the daemon when it is told to go on, so that somebody can look at it from its first call.
    /// Waits until it has stopped.
    pub(crate) fn spawn_stopped(&self) -> Starting {
        let daemon = self.command();
        let mut command = Command::new("/bin/sh");
        command.args(["-c", "kill -STOP $$; exec \"$0\" \"$@\""]).arg(daemon.get_program());
        command.args(daemon.get_args()).stdin(Stdio::null()).stdout(Stdio::null());
        command.envs(self.env.iter().map(|(name, value)| (*name, value.as_str())));
        let starting = daemon::spawn(command);
        let stat = format!("/proc/{}/stat", starting.child.id());
        tabletctl::wait_until("it stops itself", || {
            fs::read_to_string(&stat).expect("a child").contains(") T ")
        });
        starting
    }

    /// Starts the daemon and does not wait for anything.
    pub(crate) fn spawn(&self) -> Starting {
        daemon::spawn(self.command())
    }
}

/// Makes a directory a root, as the daemon itself would on its first start.
pub(crate) fn make_root(root: &Path) {
    for part in ["data", "meta", "migrating", "trash", "quarantine"] {
        fs::create_dir_all(root.join(part)).expect("a part of a root");
    }
    let file = root.join("disk.json");
    if !file.exists() {
        let text = format!("{{\"format\":1,\"uuid\":\"{}\"}}", uuid::Uuid::new_v4());
        fs::write(file, text).expect("disk.json");
    }
}

pub(crate) fn read_dir_names(dir: &Path) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(dir)
        .map(|entries| {
            entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
        })
        .unwrap_or_default();
    names.sort();
    names
}

/// Bytes that do not compress and are the same at every run.
pub(crate) fn pseudo_random(seed: u64, len: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut bytes = Vec::with_capacity(len + 8);
    while bytes.len() < len {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(len);
    bytes
}
