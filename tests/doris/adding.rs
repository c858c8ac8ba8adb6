//! Batches in a log of our own: what the database reads as afterwards, whole and cut.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use tabletd::doris::database::{Database, Strictness};
use tabletd::doris::moving::{Batches, NewPlace, Stale, batches};
use tabletd::doris::uid::Uid;
use tabletd::storage::{AddedLog, Dir};

use crate::fixtures::{InMemory, OnDisk, expected, pairs_of, root};

type Content = BTreeMap<Vec<u8>, Vec<u8>>;

/// A copy of a root's `meta/` that may be written to.
fn copy_of(node: &str, name: &str) -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().expect("a directory");
    let status = Command::new("cp").arg("-a").arg(root(node, name).join("meta")).arg(dir.path()).status();
    assert!(status.expect("cp runs").success());
    let meta = dir.path().join("meta");
    (dir, meta)
}

fn open(meta: &Path) -> Database {
    Database::open(&OnDisk(meta.to_owned()), Strictness::Refuse).expect("opens")
}

fn content(database: &Database) -> Content {
    let mut content = Content::new();
    database
        .for_each(&mut |_| {}, &mut |key, value| drop(content.insert(key.to_vec(), value.to_vec())))
        .expect("readable");
    content
}

/// What each move of a node writes.
fn moves(node: &str) -> (String, Vec<Batches>) {
    let of_node = &expected("moves")[node];
    let from = of_node["from"].as_str().expect("a root").to_owned();
    let database = open(&root(node, &from).join("meta"));
    let tablets = expected(node)["roots"][&from]["tablets"].clone();
    let mut all = Vec::new();
    for tablet in tablets.as_array().expect("a list").iter().filter(|row| row["verdict"] == "move") {
        let (ids, pairs) = pairs_of(&database, tablet);
        let to = NewPlace { shard: 7, uid: Uid { hi: 1, lo: ids.tablet_id }, now: 1, stale: Stale::Keep };
        all.push(batches(ids, &pairs, &to).expect("moves"));
    }
    assert!(all.len() > 5, "{node}");
    (from, all)
}

fn put(log: &mut AddedLog, batch: &Batches) {
    let mut builder = log.batch();
    batch.put.iter().for_each(|(key, value)| builder.put(key, value));
    log.append(builder).expect("is appended");
}

fn delete(log: &mut AddedLog, batch: &Batches) {
    let mut builder = log.batch();
    batch.delete.iter().for_each(|key| builder.delete(key));
    log.append(builder).expect("is appended");
}

fn files(meta: &Path) -> BTreeMap<String, Arc<Vec<u8>>> {
    InMemory::of(meta).0
}

#[test]
fn all_moves_in_logs_of_ours_and_not_a_byte_of_rocksdbs_files_changed() {
    for (node, roll_at_bytes) in [("clean", 64 << 20), ("killed", 64 << 20), ("compacted", 20_000)] {
        let (from, all) = moves(node);
        let roots = expected(node)["roots"].clone();
        let to =
            roots.as_object().expect("roots").keys().find(|name| **name != from).expect("another").clone();
        let ((_a, source), (_b, dest)) = (copy_of(node, &from), copy_of(node, &to));
        let (mut at_source, mut at_dest) = (content(&open(&source)), content(&open(&dest)));
        let before = (files(&source), files(&dest));
        let log = |meta: &Path| {
            AddedLog::after(Dir::open_absolute(meta).expect("opens"), &open(meta)).rolled_at(roll_at_bytes)
        };
        let (mut source_log, mut dest_log) = (log(&source), log(&dest));
        assert!(before == (files(&source), files(&dest)), "{node}: nothing is made before the first batch");
        for batch in &all {
            put(&mut dest_log, batch);
            at_dest.extend(batch.put.iter().cloned());
            delete(&mut source_log, batch);
            batch.delete.iter().for_each(|key| drop(at_source.remove(key)));
        }
        assert!(content(&open(&source)) == at_source, "{node}: the source");
        assert!(content(&open(&dest)) == at_dest, "{node}: the destination");
        let mut added = 0;
        for (meta, before) in [(&source, before.0), (&dest, before.1)] {
            let like = std::fs::metadata(meta.join("CURRENT")).expect("is there");
            for (name, bytes) in files(meta) {
                if let Some(known) = before.get(&name) {
                    assert!(*known == bytes, "{node}: {name} was changed");
                    continue;
                }
                let new = std::fs::metadata(meta.join(&name)).expect("is there");
                assert_eq!(
                    (new.uid(), new.gid(), new.mode()),
                    (like.uid(), like.gid(), like.mode()),
                    "{name}"
                );
                assert!(name.ends_with(".log"), "{node}: {name} was added");
                added += 1;
            }
        }
        assert!(if roll_at_bytes < 1 << 20 { added > 3 } else { added == 2 }, "{node}: {added}");
    }
}

#[test]
fn a_log_cut_anywhere_has_each_batch_whole_or_not_at_all() {
    let (from, all) = moves("killed");
    let (_dir, meta) = copy_of("killed", &from);
    let mut states = vec![content(&open(&meta))];
    let mut log = AddedLog::after(Dir::open_absolute(&meta).expect("opens"), &open(&meta));
    let known = files(&meta);
    for batch in &all[..3] {
        delete(&mut log, batch);
        states.push(content(&open(&meta)));
    }
    let whole = InMemory::of(&meta);
    let name = whole.0.keys().find(|name| !known.contains_key(*name)).expect("our log").clone();
    let length = whole.0[&name].len();
    let mut seen = 0;
    for cut in (0..=length).step_by(7).chain([length]) {
        let mut files = InMemory(whole.0.clone());
        Arc::make_mut(files.0.get_mut(&name).expect("our log")).truncate(cut);
        let now = content(&Database::open(&files, Strictness::Refuse).expect("opens"));
        let state = states.iter().position(|state| *state == now);
        assert!(state.is_some_and(|state| state >= seen), "cut at {cut}: {state:?} after {seen}");
        seen = state.unwrap_or(0);
    }
    assert_eq!(seen, 3);
    // The next run goes on behind a cut, in a file of its own.
    std::fs::write(meta.join(&name), &whole.0[&name][..length - 1]).expect("writable");
    let mut log = AddedLog::after(Dir::open_absolute(&meta).expect("opens"), &open(&meta));
    delete(&mut log, &all[2]);
    assert!(content(&open(&meta)) == states[3]);
}
