//! Retirement on a file system with no block, or no inode, left: the entry that it takes was made in advance.

use std::fs;
use std::path::Path;
use std::process::Command;

use nix::errno::Errno;
use tabletd::model::{
    DiskRef, DiskUuid, FileEntry, Manifest, Reached, ShardId, TabletKey, TabletRecord, TabletState,
};
use tabletd::storage::{
    Barrier, DirectBarrier, HowToScan, KnownAs, LookForDirectories, MetadataStore, NativeStore, RetiredNote,
    Root, ScanProgress, StagedRecord, StorageError, ensure_spares, list_trash, retire, scan_root,
};

#[path = "support/mounts.rs"]
#[allow(dead_code)] // Shared with other tests, which use the rest.
mod mounts;

use mounts::Image;

const TABLETS: i64 = 12;

/// A root on a small file system, with tablets on it and the entries that are made in advance.
fn root_with_tablets(image: &Image) -> (Root, NativeStore) {
    let root = Root::open(image.path().to_str().expect("UTF-8"), KnownAs::New).expect("a root");
    let store = NativeStore::open(root.dir()).expect("a store");
    let staging = root.dir().open("migrating").and_then(|dir| dir.create("1")).expect("staging");
    for id in 1..=TABLETS {
        let key = TabletKey::new(id, 1);
        let dir = image.path().join(format!("data/3/{id}/1"));
        fs::create_dir_all(&dir).and_then(|()| fs::write(dir.join("f"), "x")).expect("a tablet");
        let file = FileEntry { name: "f".to_owned(), size_bytes: 1, crc32: None };
        let record = TabletRecord {
            generation: 1,
            key,
            partition_id: 1,
            shard_id: ShardId(3),
            state: TabletState::Running,
            manifest: Manifest::new(vec![file]).expect("plain names"),
            tablet_meta: serde_json::value::RawValue::from_string("{}".to_owned()).expect("JSON"),
        };
        let staged = StagedRecord::write(&staging, record).expect("staged");
        store.commit(&staged, &DirectBarrier(root.dir())).expect("committed");
    }
    ensure_spares(root.dir()).expect("there is room");
    (root, store)
}

fn note(id: i64) -> RetiredNote {
    RetiredNote {
        key: TabletKey::new(id, 1),
        shard_id: ShardId(3),
        migration_id: None,
        moved_to: DiskRef { uuid: DiskUuid(uuid::Uuid::nil()), path: "/d1".to_owned() },
        generation: 2,
        retired_ms: 1,
        uptime_sec: 0,
    }
}

/// Takes every block, and every inode.
fn fill(at: &Path) {
    for (name, block) in [("ballast", 1 << 20), ("crumbs", 512)] {
        let file = at.join(name);
        let dd = ["if=/dev/zero", &format!("of={}", file.display()), &format!("bs={block}")];
        Command::new("dd").args(dd).output().expect("dd runs");
    }
    let mut number = 0;
    while fs::write(at.join(format!("many{number}")), "").is_ok() {
        number += 1;
        assert!(number < 100_000, "it never fills up");
    }
    let refused = fs::create_dir(at.join("one-more")).expect_err("it is full");
    assert_eq!(refused.raw_os_error(), Some(Errno::ENOSPC as i32));
}

/// Removes what [`fill`] made.
fn make_room(at: &Path) {
    for entry in fs::read_dir(at).expect("a directory").flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if entry.path().is_file() && ["ballast", "crumbs", "many"].iter().any(|part| name.starts_with(part)) {
            fs::remove_file(entry.path()).expect("removed");
        }
    }
}

#[test]
fn a_full_file_system_takes_a_retirement_all_the_same() {
    for (name, options) in [("blocks", &[][..]), ("inodes", &["-N", "96"])] {
        let dir = tempfile::tempdir().expect("a directory");
        let Some(image) = Image::ext4_with(dir.path(), name, 8 << 20, options) else { return };
        let (root, store) = root_with_tablets(&image);
        fill(image.path());
        let barrier = DirectBarrier(root.dir());
        let mut retired = 0;
        let refused = loop {
            let id = retired + 1;
            match retire(root.dir(), &store, &note(id)) {
                Ok(path) => assert!(image.path().join(path).join(format!("{id}.hdr.json")).exists()),
                Err(error) => break error,
            }
            assert!(id < TABLETS, "{name}: it is not full");
            barrier.sync().expect("durable");
            retired += 1;
            assert!(store.get(TabletKey::new(id, 1)).expect("a store").is_none());
            assert!(!image.path().join(format!("data/3/{id}")).exists());
        };
        assert!(retired >= 4, "{name}: only {retired} went, and then: {refused}");
        let StorageError::Disk(refused) = refused else { panic!("{name}: {refused}") };
        assert_eq!(refused.errno, Errno::ENOSPC, "{name}");
        let left = TabletKey::new(retired + 1, 1);
        assert!(store.get(left).expect("a store").is_some(), "{name}: nothing has happened to it");
        assert!(image.path().join(format!("data/3/{}/1/f", retired + 1)).exists());
        let trash = list_trash(root.dir()).expect("trash");
        let noted = trash.iter().filter(|item| item.note == Some(note(item.key.tablet_id.0)));
        assert_eq!(noted.filter(|item| item.header.is_some()).count() as i64, retired, "{name}: {trash:#?}");

        // With room again the others go, and new entries are made in advance.
        make_room(image.path());
        ensure_spares(root.dir()).expect("there is room");
        retire(root.dir(), &store, &note(retired + 1)).expect("retired");
        assert_eq!(fs::read_dir(image.path().join(".spare")).expect("a directory").count(), 4);
    }
}

#[test]
fn what_a_crash_leaves_of_an_entry_made_in_advance_is_an_empty_one() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("root");
    fs::create_dir(&path).expect("a directory");
    let root = Root::open(path.to_str().expect("UTF-8"), KnownAs::New).expect("a root");
    let store = NativeStore::open(root.dir()).expect("a store");
    ensure_spares(root.dir()).expect("made");
    // Taken, and then nothing more.
    fs::rename(path.join(".spare/0"), path.join("trash/20260101000000.0")).expect("a rename");
    let scan = scan_root(&root, &store, HowToScan::alone(LookForDirectories::Yes), &ScanProgress::default())
        .expect("a scan");
    let left: Vec<_> = scan.unfinished_trash.iter().map(|left| (left.reached, left.note.is_some())).collect();
    assert_eq!(left, [(Reached::Nothing, false)]);
    assert!(scan.trash.is_empty());
    tabletd::storage::remove_bare_entry(root.dir(), "20260101000000.0").expect("removed");
    assert_eq!(fs::read_dir(path.join("trash")).expect("a directory").count(), 0);
}
