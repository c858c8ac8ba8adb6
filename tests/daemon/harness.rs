//! A node to test with: roots full of tablets, a daemon that can be killed, and one oracle for all of it.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use tabletd::model::{FileEntry, Manifest, ShardId, TabletKey, TabletRecord, TabletState};
use tabletd::storage::{decode_record, encode_record, synthesize_header};
use tempfile::TempDir;

/// How long anything here may take before the test says that it does not happen.
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) const HASH: i32 = 555;

/// Roots, a state directory and a configuration, all in one temporary directory unless roots are given.
pub(crate) struct Node {
    pub(crate) dir: TempDir,
    pub(crate) roots: Vec<PathBuf>,
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
        Self { dir, roots, settings: String::new(), env: Vec::new(), expected: BTreeMap::new() }
    }

    pub(crate) fn disk(&self, n: usize) -> String {
        self.roots[n].display().to_string()
    }

    /// Puts a tablet of these file sizes on a root, as an import would. The daemon must not be running.
    pub(crate) fn add_tablet(&mut self, root: usize, tablet_id: i64, sizes: &[usize]) -> TabletKey {
        let key = TabletKey::new(tablet_id, HASH);
        let root = &self.roots[root];
        make_root(root);
        let shard = ShardId(u16::try_from(tablet_id % 1024).expect("below 1024"));
        let dir = root.join(format!("data/{shard}/{tablet_id}/{HASH}"));
        fs::create_dir_all(&dir).expect("a tablet directory");
        let files = sizes.iter().enumerate().map(|(n, size)| {
            let bytes = pseudo_random(tablet_id.unsigned_abs() * 1000 + n as u64, *size);
            let name = format!("0200{n:04}_0.dat");
            fs::write(dir.join(&name), &bytes).expect("a tablet file");
            FileEntry { name, size_bytes: *size as u64, crc32: Some(crc32fast::hash(&bytes)) }
        });
        let manifest = Manifest::new(files.collect()).expect("plain names");
        let record = TabletRecord {
            generation: 1,
            key,
            partition_id: tablet_id % 7,
            shard_id: shard,
            state: TabletState::Running,
            manifest: manifest.clone(),
            tablet_meta: synthesize_header(key, tablet_id % 7, shard, 1_700_000_000),
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
        let paths: Vec<_> = self.roots.iter().map(|root| format!("{},medium:ssd", root.display())).collect();
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

    fn command(&self) -> Command {
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
        let mut child = self.command().stderr(Stdio::piped()).spawn().expect("the daemon's binary");
        let stderr = child.stderr.take().expect("piped");
        let (sender, lines) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                let _ = sender.send(line);
            }
        });
        let mut said = String::new();
        let deadline = Instant::now() + PATIENCE;
        loop {
            match lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(line) => {
                    said.push_str(&line);
                    said.push('\n');
                    if let Some((_, url)) = line.split_once("listening on ") {
                        let url = url.split_whitespace().next().unwrap_or_default().to_owned();
                        return Ok(Daemon { child, url, log: lines, said: said.into() });
                    }
                }
                Err(_) => {
                    let _ = child.kill();
                    let _ = child.wait();
                    return Err(said);
                }
            }
        }
    }

    /// The oracle: every tablet exists exactly once, byte for byte as it was put in; nothing is in staging, and below
    /// `data/` stands nothing that is not a live tablet's. Returns the root of each tablet.
    pub(crate) fn assert_whole(&self) -> BTreeMap<TabletKey, usize> {
        let mut found = BTreeMap::new();
        for (n, root) in self.roots.iter().enumerate() {
            let mut owned = std::collections::BTreeSet::new();
            for record in records(root) {
                let dir = root.join(format!(
                    "data/{}/{}/{}",
                    record.shard_id, record.key.tablet_id, record.key.schema_hash
                ));
                assert_eq!(read_dir_names(&dir), names(&record.manifest), "files of {}", record.key);
                for file in record.manifest.files() {
                    let bytes = fs::read(dir.join(&file.name)).expect("a tablet file");
                    assert_eq!(Some(crc32fast::hash(&bytes)), file.crc32, "{}/{}", dir.display(), file.name);
                }
                assert_eq!(Some(&record.manifest), self.expected.get(&record.key), "{}", record.key);
                assert_eq!(found.insert(record.key, n), None, "{} has two owners", record.key);
                owned.insert(dir);
            }
            for shard in subdirectories(&root.join("data")) {
                for tablet in subdirectories(&shard) {
                    let schemas = subdirectories(&tablet);
                    assert!(!schemas.is_empty(), "{} is empty", tablet.display());
                    for dir in schemas {
                        assert!(owned.contains(&dir), "{} belongs to nobody", dir.display());
                    }
                }
            }
            assert_eq!(
                read_dir_names(&root.join("migrating")),
                Vec::<String>::new(),
                "staging on {}",
                root.display()
            );
        }
        assert_eq!(found.keys().collect::<Vec<_>>(), self.expected.keys().collect::<Vec<_>>());
        found
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

pub(crate) fn records(root: &Path) -> Vec<TabletRecord> {
    read_dir_names(&root.join("meta"))
        .iter()
        .map(|name| {
            let bytes = fs::read(root.join("meta").join(name)).expect("a record");
            decode_record(&bytes).unwrap_or_else(|why| panic!("{name}: {why}"))
        })
        .collect()
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

fn subdirectories(dir: &Path) -> Vec<PathBuf> {
    read_dir_names(dir).into_iter().map(|name| dir.join(name)).collect()
}

fn names(manifest: &Manifest) -> Vec<String> {
    manifest.files().iter().map(|file| file.name.clone()).collect()
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

/// A running daemon. Killed when dropped.
pub(crate) struct Daemon {
    child: Child,
    url: String,
    log: std::sync::mpsc::Receiver<String>,
    said: std::cell::RefCell<String>,
}

impl Daemon {
    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.url)
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Everything it has written to its log so far.
    pub(crate) fn said(&self) -> String {
        let mut said = self.said.borrow_mut();
        for line in self.log.try_iter() {
            said.push_str(&line);
            said.push('\n');
        }
        said.clone()
    }

    pub(crate) fn try_get(&self, path: &str) -> Result<Value, String> {
        let agent = agent();
        let mut answer = agent.get(self.url(path)).call().map_err(|error| error.to_string())?;
        answer.body_mut().read_json().map_err(|error| error.to_string())
    }

    pub(crate) fn get(&self, path: &str) -> Value {
        self.try_get(path).unwrap_or_else(|error| panic!("GET {path}: {error}\n{}", self.said()))
    }

    pub(crate) fn get_text(&self, path: &str) -> String {
        let mut answer =
            agent().get(self.url(path)).call().unwrap_or_else(|error| panic!("GET {path}: {error}"));
        answer.body_mut().read_to_string().expect("text")
    }

    pub(crate) fn post(&self, path: &str, body: &Value) -> Value {
        let mut answer = agent()
            .post(self.url(path))
            .send_json(body)
            .unwrap_or_else(|error| panic!("POST {path}: {error}"));
        answer.body_mut().read_json().expect("JSON")
    }

    pub(crate) fn run(&self, key: TabletKey, disk: &str) -> Value {
        self.get(&format!(
            "/api/tablet_migration?goal=run&tablet_id={}&schema_hash={}&disk={disk}",
            key.tablet_id, key.schema_hash
        ))
    }

    pub(crate) fn status(&self, key: TabletKey) -> Value {
        self.get(&format!(
            "/api/tablet_migration?goal=status&tablet_id={}&schema_hash={}",
            key.tablet_id, key.schema_hash
        ))
    }

    /// Submits and expects it to be accepted. Returns the number of the migration.
    pub(crate) fn accept(&self, key: TabletKey, disk: &str) -> u64 {
        let answer = self.run(key, disk);
        assert_eq!(answer["status"], "Success", "{answer}");
        answer["migration_id"].as_u64().expect("a number")
    }

    pub(crate) fn migration(&self, id: u64) -> Value {
        self.get(&format!("/api/v1/migrations/{id}"))
    }

    /// Waits until a migration has one of these statuses.
    pub(crate) fn wait_for(&self, id: u64, statuses: &[&str]) -> Value {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let migration = self.migration(id);
            if statuses.iter().any(|status| migration["status"] == *status) {
                return migration;
            }
            assert!(Instant::now() < deadline, "migration {id} does not become {statuses:?}: {migration:#}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Waits until no migration is alive.
    pub(crate) fn wait_until_idle(&self) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let open = self.get("/api/v1/migrations?phase=NEW&limit=1")["total"].as_u64().unwrap_or(1)
                + self.get("/api/v1/migrations?phase=WORKING&limit=1")["total"].as_u64().unwrap_or(1);
            if open == 0 {
                return;
            }
            assert!(Instant::now() < deadline, "{open} migrations never end: {}", self.said());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// SIGKILL, and reaped.
    pub(crate) fn kill(mut self) {
        self.child.kill().expect("a running daemon");
        self.child.wait().expect("a child");
    }

    /// Waits until it has ended by itself.
    pub(crate) fn wait(mut self) -> ExitStatus {
        self.child.wait().expect("a child")
    }

    /// SIGTERM; it must end with 0.
    pub(crate) fn stop(mut self) {
        let pid = Pid::from_raw(i32::try_from(self.child.id()).expect("a pid"));
        kill(pid, Signal::SIGTERM).expect("a running daemon");
        let status = self.child.wait().expect("a child");
        assert!(status.success(), "{status}: {}", self.said());
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn agent() -> ureq::Agent {
    ureq::Agent::config_builder().http_status_as_error(false).timeout_global(Some(PATIENCE)).build().into()
}
