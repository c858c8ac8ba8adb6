//! The commit point on a file system that has no room for one more name: refused before anything has changed, and said so.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use tabletd::model::{Manifest, ShardId, TabletKey, TabletRecord, TabletState};
use tabletd::storage::{
    CommitError, Dir, DirectBarrier, KnownAs, MetadataStore, NativeStore, Root, StagedRecord, StorageError,
};

#[path = "support/mounts.rs"]
#[allow(dead_code)] // Shared with other tests, which use the rest.
mod mounts;

use mounts::{Image, leave_no_room_for_a_name};

fn record(key: TabletKey) -> TabletRecord {
    TabletRecord {
        generation: 2,
        key,
        partition_id: 1,
        shard_id: ShardId(3),
        state: TabletState::Running,
        manifest: Manifest::new(Vec::new()).expect("an empty one"),
        tablet_meta: serde_json::value::RawValue::from_string("{}".to_owned()).expect("JSON"),
    }
}

#[test]
fn a_commit_that_finds_no_room_for_the_name_is_not_in_doubt() {
    let dir = tempfile::tempdir().expect("a directory");
    let Some(image) = Image::ext4(dir.path(), "full", 8 << 20) else { return };
    let root = Root::open(image.path().to_str().expect("UTF-8"), KnownAs::New).expect("a root");
    let store = NativeStore::open(root.dir()).expect("a store");
    let staging = root.dir().open("migrating").and_then(|dir| dir.create("1")).expect("staging");
    let key = TabletKey::new(7, 1);
    let staged = StagedRecord::write(&staging, record(key)).expect("staged");
    leave_no_room_for_a_name(image.path(), &image.path().join("meta"));

    let error = store.commit(&staged, &DirectBarrier(root.dir())).expect_err("no room");
    let CommitError::NotCommitted(StorageError::Disk(cause)) = &error else { panic!("in doubt: {error}") };
    assert_eq!(cause.errno, Errno::ENOSPC);
    assert!(staged.still_staged().expect("it can be read"));
    assert!(store.get(key).expect("the store can be read").is_none());

    // With room again the same staged record commits.
    fs::remove_file(image.path().join("ballast")).expect("removed");
    store.commit(&staged, &DirectBarrier(root.dir())).expect("committed");
    assert!(store.get(key).expect("the store can be read").is_some());
}

/// A process that another test starts has, until it becomes its program, every file of this one open.
fn turn_read_only(at: &Path) {
    let deadline = Instant::now() + Duration::from_secs(10);
    let mut answer = mounts::remount(at, mounts::Access::ReadOnly);
    while answer == Err(Errno::EBUSY) && Instant::now() < deadline {
        std::thread::yield_now();
        answer = mounts::remount(at, mounts::Access::ReadOnly);
    }
    answer.expect("remounted");
}

#[test]
fn a_commit_on_a_file_system_that_turned_read_only_is_in_doubt() {
    let dir = tempfile::tempdir().expect("a directory");
    let Some(image) = Image::ext4(dir.path(), "frozen", 8 << 20) else { return };
    let root = Root::open(image.path().to_str().expect("UTF-8"), KnownAs::New).expect("a root");
    let store = NativeStore::open(root.dir()).expect("a store");
    let staging = root.dir().open("migrating").and_then(|dir| dir.create("1")).expect("staging");
    let staged = StagedRecord::write(&staging, record(TabletKey::new(7, 1))).expect("staged");
    turn_read_only(image.path());
    let error = store.commit(&staged, &DirectBarrier(root.dir())).expect_err("it cannot be written");
    assert!(matches!(error, CommitError::InDoubt(_)), "{error}");
}

#[test]
fn a_sync_of_a_read_only_file_system_is_not_called_done() {
    let dir = tempfile::tempdir().expect("a directory");
    let Some(image) = Image::ext4(dir.path(), "frozen", 8 << 20) else { return };
    let root = Dir::open_absolute(image.path()).expect("opened");
    root.sync_file_system().expect("it can be written");
    turn_read_only(image.path());
    assert_eq!(root.sync_file_system().expect_err("nothing is written").errno, Errno::EROFS);
}
