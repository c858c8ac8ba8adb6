//! The fixtures: unpacked once per process, and what each must give.

use std::collections::BTreeMap;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, LazyLock};

use serde_json::Value;
use tabletd::doris::database::{Database, Pair};
use tabletd::doris::error::DorisError;
use tabletd::doris::keys::{Key, TabletIds, prefixes_of};
use tabletd::doris::record::Tablet;
use tabletd::doris::source::{MetaFiles, ReadAt};

pub(crate) const NODES: [&str; 9] =
    ["clean", "killed", "compacted", "torn", "empty", "refused", "clusters", "flipped", "unstartable"];

fn packed() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/doris")
}

static UNPACKED: LazyLock<tempfile::TempDir> = LazyLock::new(|| {
    let dir = tempfile::tempdir().expect("a directory");
    for node in NODES {
        let archive = packed().join(format!("{node}.tar.gz"));
        let status = Command::new("tar").arg("xzf").arg(archive).arg("-C").arg(dir.path()).status();
        assert!(status.expect("tar runs").success(), "{node}");
    }
    dir
});

/// Where a root is, unpacked. Shared by all tests: nobody writes there.
pub(crate) fn root(node: &str, root: &str) -> PathBuf {
    UNPACKED.path().join(node).join(root)
}

/// What a node must give.
pub(crate) fn expected(node: &str) -> Value {
    let text = std::fs::read(packed().join(format!("expected/{node}.json"))).expect("is there");
    serde_json::from_slice(&text).expect("parses")
}

/// Every root of every node, and what it must give.
pub(crate) fn each_root(mut check: impl FnMut(&str, &str, &Path, &Value)) {
    for node in NODES {
        let expected = expected(node);
        let roots = expected["roots"].as_object().expect("roots");
        assert!(!roots.is_empty());
        for (name, root_expected) in roots {
            check(node, name, &root(node, name), root_expected);
        }
    }
}

/// The tablet that a row of the expected ones tells of, and all its pairs.
pub(crate) fn pairs_of(database: &Database, row: &Value) -> (TabletIds, Vec<Pair>) {
    let number = |name: &str| row[name].as_i64().expect("a number");
    let schema_hash = i32::try_from(number("schema_hash")).expect("fits");
    let ids = TabletIds { tablet_id: number("tablet_id"), schema_hash };
    let key = Key::tablet(ids).into_bytes();
    let record = database.get(&key).expect("readable").expect("is there");
    let uid = Tablet::read(&record).expect("reads").uid;
    let mut pairs = vec![(key, record)];
    for prefix in prefixes_of(ids, uid) {
        pairs.extend(database.with_prefix(&prefix).expect("readable"));
    }
    (ids, pairs)
}

/// A `meta/` directory on disk.
pub(crate) struct OnDisk(pub(crate) PathBuf);

struct File(std::fs::File, u64);

impl ReadAt for File {
    fn length_bytes(&self) -> u64 {
        self.1
    }

    fn read_at(&self, offset: u64, length: usize) -> Result<Vec<u8>, String> {
        let mut bytes = vec![0; length];
        self.0.read_exact_at(&mut bytes, offset).map_err(|error| error.to_string())?;
        Ok(bytes)
    }
}

impl MetaFiles for OnDisk {
    fn names(&self) -> Result<Vec<String>, DorisError> {
        let entries = std::fs::read_dir(&self.0).expect("readable");
        Ok(entries.map(|entry| entry.expect("readable").file_name().into_string().expect("text")).collect())
    }

    fn open(&self, name: &str) -> Result<Option<Box<dyn ReadAt>>, DorisError> {
        Ok(std::fs::File::open(self.0.join(name)).ok().map(|file| {
            let length = file.metadata().expect("readable").len();
            Box::new(File(file, length)) as Box<dyn ReadAt>
        }))
    }
}

/// A `meta/` directory in memory, for mutations.
pub(crate) struct InMemory(pub(crate) BTreeMap<String, Arc<Vec<u8>>>);

struct Bytes(Arc<Vec<u8>>);

impl ReadAt for Bytes {
    fn length_bytes(&self) -> u64 {
        self.0.len() as u64
    }

    fn read_at(&self, offset: u64, length: usize) -> Result<Vec<u8>, String> {
        let from = usize::try_from(offset).map_err(|error| error.to_string())?;
        let bytes = self.0.get(from..from.saturating_add(length)).ok_or("beyond the end")?;
        Ok(bytes.to_vec())
    }
}

impl InMemory {
    pub(crate) fn of(meta: &Path) -> Self {
        let entries = std::fs::read_dir(meta).expect("readable").map(|entry| entry.expect("readable"));
        let read = |entry: &std::fs::DirEntry| Arc::new(std::fs::read(entry.path()).expect("readable"));
        Self(entries.map(|entry| (entry.file_name().into_string().expect("text"), read(&entry))).collect())
    }
}

impl MetaFiles for InMemory {
    fn names(&self) -> Result<Vec<String>, DorisError> {
        Ok(self.0.keys().cloned().collect())
    }

    fn open(&self, name: &str) -> Result<Option<Box<dyn ReadAt>>, DorisError> {
        Ok(self.0.get(name).map(|bytes| Box::new(Bytes(Arc::clone(bytes))) as Box<dyn ReadAt>))
    }
}
