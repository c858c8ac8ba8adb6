//! `tabletctl doris move` on real databases: what the backend would read afterwards, and what its disks hold.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use assert_cmd::cargo::cargo_bin;
use serde_json::Value;
use sha2::{Digest, Sha256};
use tabletd::doris::database::{Database, Strictness};
use tabletd::doris::inventory::{Found, Inventory};
use tabletd::doris::keys::TabletIds;
use tabletd::doris::moving::{Batches, NewPlace, Stale, batches};
use tabletd::doris::uid::Uid;
use tabletd::journal::Journal;
use tabletd::model::{Migration, StaleRowsets, Status};

use crate::afterwards::Before;
use crate::any_start::Roots;
pub(crate) use crate::any_start::{directory, ids_of};
use crate::databases::hex;
use crate::fixtures::{OnDisk, expected, pairs_of, root};

type Content = BTreeMap<Vec<u8>, Vec<u8>>;

/// A node of its own: copies of two roots of a fixture, a be.conf and a state directory.
pub(crate) struct Node {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) roots: Vec<PathBuf>,
    node: &'static str,
    names: Vec<&'static str>,
}

impl Node {
    pub(crate) fn new(node: &'static str, names: &[&'static str]) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let mut roots = Vec::new();
        for name in names {
            let to = dir.path().join(name);
            copy_without_empty_shards(&root(node, name), &to);
            roots.push(to);
        }
        let made = Self { dir, roots, node, names: names.to_vec() };
        made.configure(&made.roots);
        made
    }

    /// The same, with a second root that is of another fixture, of the same cluster by now.
    pub(crate) fn with_another(node: &'static str, name: &'static str, other: (&str, &str)) -> Self {
        let mut made = Self::new(node, &[name]);
        let to = made.dir.path().join("another");
        copy_without_empty_shards(&root(other.0, other.1), &to);
        fs::copy(made.roots[0].join("cluster_id"), to.join("cluster_id")).expect("is there");
        made.roots.push(to);
        made.configure(&made.roots);
        made
    }

    pub(crate) fn configure(&self, roots: &[PathBuf]) {
        let each: Vec<_> = roots.iter().map(|root| root.display().to_string()).collect();
        let text = format!(
            "storage_root_path = {}\nstate_dir = {}\nstorage_flood_stage_usage_percent = 100\n\
             storage_flood_stage_left_capacity_bytes = 0\n",
            each.join(";"),
            self.state_dir().display()
        );
        fs::write(self.conf(), text).expect("writable");
    }

    pub(crate) fn conf(&self) -> PathBuf {
        self.dir.path().join("be.conf")
    }

    pub(crate) fn state_dir(&self) -> PathBuf {
        self.dir.path().join("state")
    }

    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(cargo_bin("tabletctl"));
        command.arg("doris").args(args).arg("--conf").arg(self.conf());
        command
    }

    pub(crate) fn run(&self, args: &[&str]) -> Output {
        self.command(args).output().expect("runs")
    }

    pub(crate) fn path(&self, root: usize) -> String {
        self.roots[root].display().to_string()
    }

    /// Tablets of a root that can move.
    pub(crate) fn movable(&self, root: usize) -> Vec<Value> {
        let tablets = expected(self.node)["roots"][self.names[root]]["tablets"].clone();
        let all = tablets.as_array().expect("a list").clone();
        all.into_iter().filter(|tablet| tablet["verdict"] == "move").collect()
    }

    pub(crate) fn database(&self, root: usize) -> Database {
        Database::open(&OnDisk(self.roots[root].join("meta")), Strictness::Refuse).expect("opens")
    }

    pub(crate) fn found(&self, root: usize, ids: TabletIds) -> Option<Found> {
        Inventory::read(&self.database(root)).expect("readable").tablets.remove(&ids)
    }

    /// Every row of the journal, by its tablet.
    pub(crate) fn rows(&self) -> BTreeMap<i64, Migration> {
        let (journal, _) = Journal::open(&self.state_dir()).expect("opens");
        let ended = journal.recent_finished(1000).expect("readable").migrations;
        let unfinished = journal.unfinished().expect("readable").migrations;
        ended.into_iter().chain(unfinished).map(|row| (row.key.tablet_id.0, row)).collect()
    }

    /// Moves these tablets from one root to the other.
    pub(crate) fn move_args(&self, tablets: &[Value], to: usize) -> Vec<String> {
        let ids = tablets.iter().flat_map(|tablet| ["--tablet".to_owned(), tablet["tablet_id"].to_string()]);
        let mut args: Vec<String> = ["move".to_owned()].into_iter().chain(ids).collect();
        args.extend(["--to".to_owned(), self.path(to), "--yes".to_owned()]);
        args
    }
}

/// A root with those shard directories alone that have something in them: the others are made when they are needed.
fn copy_without_empty_shards(from: &Path, to: &Path) {
    let children = |dir: &Path| -> Vec<PathBuf> {
        fs::read_dir(dir).expect("readable").map(|entry| entry.expect("readable").path()).collect()
    };
    let into = |paths: Vec<PathBuf>, to: &Path| {
        fs::create_dir_all(to).expect("writable");
        if paths.is_empty() {
            return;
        }
        let status = Command::new("cp").arg("-a").args(paths).arg(to).status();
        assert!(status.expect("cp runs").success());
    };
    into(children(from).into_iter().filter(|path| !path.ends_with("data")).collect(), to);
    let shards = children(&from.join("data")).into_iter().filter(|shard| !children(shard).is_empty());
    into(shards.collect(), &to.join("data"));
}

fn copy(from: &Path, to: &Path) {
    let status = Command::new("cp").arg("-a").arg(from).arg(to).status();
    assert!(status.expect("cp runs").success());
}

pub(crate) fn said(output: &Output) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    format!("{:?}\n{}\n{}", output.status.code(), text(&output.stdout), text(&output.stderr))
}

pub(crate) fn content(database: &Database) -> Content {
    let mut content = Content::new();
    database
        .for_each(&mut |_| {}, &mut |key, value| drop(content.insert(key.to_vec(), value.to_vec())))
        .expect("readable");
    content
}

/// What a row says that was written.
pub(crate) fn written(row: &Migration, before: &Database, tablet: &Value) -> Batches {
    let doris = row.doris.as_ref().expect("of Doris roots");
    let (ids, pairs) = pairs_of(before, tablet);
    let to = NewPlace {
        shard: u32::from(row.destination_shard.expect("chosen").0),
        uid: Uid { hi: doris.uid_hi, lo: doris.uid_lo },
        now: doris.now_s,
        stale: if doris.stale == StaleRowsets::Drop { Stale::Drop } else { Stale::Keep },
    };
    batches(ids, &pairs, &to).expect("moves")
}

/// Every file below a tablet's directory, with its content, owner and mode.
pub(crate) fn files(dir: &Path) -> BTreeMap<String, (String, u32, u32, u32)> {
    let mut files = BTreeMap::new();
    for entry in walkdir::WalkDir::new(dir).min_depth(1) {
        let entry = entry.expect("readable");
        let metadata = entry.metadata().expect("readable");
        if metadata.is_file() {
            let name = entry.path().strip_prefix(dir).expect("below").display().to_string();
            let digest = hex(&Sha256::digest(fs::read(entry.path()).expect("readable")));
            files.insert(name, (digest, metadata.uid(), metadata.gid(), metadata.mode()));
        }
    }
    files
}

#[test]
fn every_tablet_that_can_move_is_what_its_backend_would_read_at_the_other_root() {
    for (name, roots) in
        [("clean", ["hdd1", "hdd2"]), ("killed", ["hdd1", "ssd1"]), ("compacted", ["d1", "d2"])]
    {
        let node = Node::new(name, &roots);
        let (source, destination) = (node.database(0), node.database(1));
        let (mut at_source, mut at_destination) = (content(&source), content(&destination));
        let tablets = node.movable(0);
        let old: Vec<_> = tablets
            .iter()
            .map(|tablet| {
                let at =
                    directory(&node.roots[0], tablet["shard"].as_i64().expect("a number"), ids_of(tablet));
                (files(&at), fs::metadata(&at).expect("is there").uid())
            })
            .collect();
        let mut args = node.move_args(&tablets, 1);
        args.push("--cross-medium".to_owned());
        let output = node.run(&args.iter().map(String::as_str).collect::<Vec<_>>());
        assert!(output.status.success(), "{name}: {}", said(&output));

        let rows = node.rows();
        for (tablet, (old_files, owner)) in tablets.iter().zip(old) {
            let (ids, about) =
                (ids_of(tablet), format!("{name} {} ({})", tablet["tablet_id"], tablet["made_as"]));
            let row = &rows[&ids.tablet_id];
            assert_eq!(row.status, Status::Completed, "{about}");
            let batches = written(row, &source, tablet);
            batches.delete.iter().for_each(|key| drop(at_source.remove(key)));
            at_destination.extend(batches.put);
            let shard = i64::from(row.destination_shard.expect("chosen").0);
            let at = directory(&node.roots[1], shard, ids);
            let wanted: BTreeSet<&str> = tablet["files"]
                .as_array()
                .expect("a list")
                .iter()
                .map(|file| file[0].as_str().expect("a name"))
                .collect();
            let new_files = files(&at);
            assert_eq!(new_files.keys().map(String::as_str).collect::<BTreeSet<_>>(), wanted, "{about}");
            for (file, what) in &new_files {
                assert_eq!(Some(what), old_files.get(file), "{about}: {file}");
            }
            assert_eq!(fs::metadata(&at).expect("is there").uid(), owner, "{about}");
            let binlog =
                fs::read_dir(at.join("_binlog")).into_iter().flatten().map(|entry| entry.expect("readable"));
            for entry in binlog.filter(|entry| at.join(entry.file_name()).exists()) {
                assert!(entry.metadata().expect("readable").nlink() > 1, "{about}: {:?}", entry.file_name());
            }
            let retired = node.roots[0].join(format!(".tabletd/retired/{}", row.id));
            let retired = retired.join(format!("{}/{}", ids.tablet_id, ids.schema_hash));
            let mut kept = files(&retired);
            let name = format!("{}.hdr", ids.tablet_id);
            let header = kept.remove(&name).is_some();
            kept.remove(&format!("{name}.before")).map(|older| kept.insert(name, older));
            assert!(header && kept == old_files, "{about}: what was retired");
        }
        assert!(content(&node.database(0)) == at_source, "{name}: the source");
        assert!(content(&node.database(1)) == at_destination, "{name}: the destination");
        let left = fs::read_dir(node.roots[1].join(".tabletd/migrating")).expect("is there").count();
        assert_eq!(left, 0, "{name}: staging");
    }
}

#[test]
fn a_dry_run_and_a_refusal_write_nothing() {
    let node = Node::new("killed", &["hdd1", "hdd2"]);
    let everything = || -> BTreeMap<PathBuf, (i64, u64)> {
        let entries =
            walkdir::WalkDir::new(node.dir.path()).into_iter().map(|entry| entry.expect("readable"));
        let told = |entry: walkdir::DirEntry| {
            let metadata = entry.metadata().expect("readable");
            (
                entry.path().to_owned(),
                (metadata.ctime() * 1_000_000_000 + metadata.ctime_nsec(), metadata.ino()),
            )
        };
        entries.map(told).collect()
    };
    let before = everything();
    let to = node.path(1);
    let movable = node.movable(0)[0]["tablet_id"].to_string();
    let output = node.run(&["move", "--tablet", &movable, "--to", &to, "--dry-run", "--json"]);
    assert!(output.status.success(), "{}", said(&output));
    let report: Value = serde_json::from_slice(&output.stdout).expect("json");
    assert_eq!(report["plan"]["moves"][0]["tablet_id"].to_string(), movable);
    let output = node.run(&["move", "--tablet", "1", "--to", &to, "--dry-run"]);
    assert!(!output.status.success() && said(&output).contains("no root has a record of tablet 1"));
    assert!(before == everything());
    // Each of the refused kinds is left with its reasons.
    let refused: Vec<Value> = expected("killed")["roots"]["hdd1"]["tablets"]
        .as_array()
        .expect("a list")
        .iter()
        .filter(|tablet| tablet["verdict"] == "refuse")
        .cloned()
        .collect();
    let args = node.move_args(&refused, 1);
    let mut args: Vec<&str> = args.iter().map(String::as_str).collect();
    args.push("--json");
    let output = node.run(&args);
    assert_eq!(output.status.code(), Some(4), "{}", said(&output));
    let report: Value = serde_json::from_slice(&output.stdout).expect("json");
    for tablet in &refused {
        let left = report["plan"]["left"].as_array().expect("a list");
        let left = left.iter().find(|left| left["tablet_id"] == tablet["tablet_id"]).expect("is told");
        let mut reasons: Vec<&str> = tablet["reasons"]
            .as_array()
            .expect("a list")
            .iter()
            .map(|reason| reason.as_str().expect("a word"))
            .collect();
        reasons.sort_unstable();
        let mut told: Vec<&str> = left["reasons"]
            .as_array()
            .expect("a list")
            .iter()
            .map(|reason| reason.as_str().expect("a word"))
            .collect();
        told.sort_unstable();
        assert_eq!(told, reasons, "{}", tablet["made_as"]);
    }
    assert!(!node.roots[0].join(".tabletd").exists() && !node.roots[1].join(".tabletd").exists());
}

/// A backend has retired a copy on the destination and has not swept it yet.
#[test]
fn a_copy_that_a_backend_has_retired_goes_with_the_commit_and_comes_back_with_an_undo() {
    let node = Node::new("killed", &["hdd1", "hdd2"]);
    let before = Before::of(&node);
    let tablet = node.movable(0).into_iter().find(|tablet| tablet["tablet_id"] == 33338).expect("is there");
    let old = node.found(1, ids_of(&tablet)).expect("is there").record.expect("parses");
    let old_files = files(&directory(&node.roots[1], old.shard, old.ids));
    assert!(!old_files.is_empty());
    let output = node.run(&["move", "--tablet", "33338", "--to", &node.path(1), "--yes"]);
    assert!(output.status.success(), "{}", said(&output));
    assert_any_start_has_it(&node, &tablet, Some(1), "moved");
    let row = &node.rows()[&33338];
    assert!(!directory(&node.roots[1], old.shard, old.ids).exists(), "a stray of the wrong shard");
    let kept = files(&node.roots[1].join(format!(".tabletd/retired/{}", row.id)));
    assert_eq!(kept.len(), old_files.len() + 1, "{kept:?}");
    let keys = content(&node.database(1));
    let of_old = format!("rst_{}", old.uid);
    assert!(!keys.keys().any(|key| key.starts_with(of_old.as_bytes())), "keys of the retired copy");
    let output = node.run(&["undo", "--yes"]);
    assert!(output.status.success(), "{}", said(&output));
    assert!(Before::of(&node) == before);
}

#[test]
fn what_is_wrong_with_a_node_refuses_it_and_says_the_way_out() {
    let whole = Node::new("clean", &["hdd1", "hdd2"]);
    let nobody = whole.dir.path().join("gone");
    let empty = whole.dir.path().join("empty");
    fs::create_dir(&empty).expect("writable");
    let native = whole.dir.path().join("native");
    fs::create_dir(&native).expect("writable");
    fs::write(native.join("disk.json"), "{}").expect("writable");
    let cloud = whole.dir.path().join("cloud");
    copy(&root("refused", "cloud"), &cloud);
    let newer = whole.dir.path().join("newer");
    copy(&root("refused", "format5"), &newer);
    let other = whole.dir.path().join("other");
    copy(&root("clusters", "d1"), &other);
    fs::write(other.join("cluster_id"), "77").expect("writable");
    let tablet = whole.movable(0)[0]["tablet_id"].to_string();
    let (to, mut args) = (whole.path(1), vec!["move", "--tablet", &tablet, "--yes", "--to"]);
    args.push(&to);
    for (bad, word) in [
        (&nobody, "does not exist"),
        (&empty, "no backend has started with it yet"),
        (&native, "a root of tabletd's own"),
        (&cloud, "deploy_mode"),
        (&newer, "for looking only"),
        (&other, "different clusters"),
    ] {
        whole.configure(&[whole.roots[0].clone(), whole.roots[1].clone(), bad.clone()]);
        let output = whole.run(&args);
        assert_eq!(output.status.code(), Some(4), "{}: {}", bad.display(), said(&output));
        assert!(said(&output).contains(word) && said(&output).contains("--without"), "{}", said(&output));
        assert!(!whole.roots[0].join(".tabletd").exists(), "{}", bad.display());
        assert!(fs::read_dir(&empty).expect("is there").next().is_none());
    }
    // A backend that runs on any root, even one that is left out, is a backend that runs.
    let bad = other.display().to_string();
    let file = fs::OpenOptions::new().write(true).open(other.join("meta/LOCK")).expect("is there");
    let lock = libc_lock();
    nix::fcntl::fcntl(&file, nix::fcntl::FcntlArg::F_SETLK(&lock)).expect("nobody has it");
    let mut without = args.clone();
    without.extend(["--without", &bad]);
    let output = whole.run(&without);
    assert!(said(&output).contains("in use by process"), "{}", said(&output));
    drop(file);
    let output = whole.run(&without);
    assert!(output.status.success(), "{}", said(&output));
}

fn libc_lock() -> libc::flock {
    libc::flock { l_type: 1, l_whence: 0, l_start: 0, l_len: 0, l_pid: 0 }
}

/// [`Roots::any_start_has`] of a node as it stands.
pub(crate) fn assert_any_start_has_it(node: &Node, tablet: &Value, owner: Option<usize>, about: &str) {
    let roots = Roots::read([&node.roots[0], &node.roots[1]]);
    let found = roots.and_then(|roots| roots.any_start_has(tablet, owner));
    found.unwrap_or_else(|what| panic!("{about}: {what}"));
}

#[test]
fn a_tablet_that_moved_is_at_its_destination_after_any_start() {
    let node = Node::new("clean", &["hdd1", "hdd2"]);
    let tablets = node.movable(0);
    for tablet in &tablets {
        assert_any_start_has_it(&node, tablet, Some(0), "before");
    }
    let args = node.move_args(&tablets[..4], 1);
    let output = node.run(&args.iter().map(String::as_str).collect::<Vec<_>>());
    assert!(output.status.success(), "{}", said(&output));
    for (nth, tablet) in tablets.iter().enumerate() {
        assert_any_start_has_it(&node, tablet, Some(usize::from(nth < 4)), "after");
    }
}
