//! The checkpoint of a root's records: it makes a start shorter, and never changes what the start finds.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::Value;
use tabletd::model::TabletKey;

use crate::harness::tabletctl::{tabletctl, wait_until};
use crate::harness::{Daemon, Node};

const TABLETS: i64 = 40;

fn checkpoint(node: &Node, root: usize) -> PathBuf {
    node.roots[root].join("records.checkpoint")
}

fn record(node: &Node, root: usize, key: TabletKey) -> PathBuf {
    node.roots[root].join(format!("meta/{key}.json"))
}

/// Changes a bit in the middle, where it stands.
fn flip(file: &Path) {
    let mut bytes = fs::read(file).expect("a file");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(file, bytes).expect("written");
}

/// The checkpoint notes nothing that changed less than two seconds ago.
fn wait_until_old(paths: impl Iterator<Item = PathBuf>) {
    let changed = |path: PathBuf| fs::metadata(path).expect("it is there").ctime();
    let newest = paths.map(changed).max().expect("one at least");
    wait_until("the records are old enough", || {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs();
        now.cast_signed() > newest + 3
    });
}

/// A node of two disks with tablets on both, and a checkpoint on each.
fn node_with_checkpoints() -> (Node, Vec<TabletKey>) {
    let mut node = Node::new(2);
    let root_of = |tablet_id: i64| usize::try_from(tablet_id % 2).expect("0 or 1");
    let keys: Vec<_> = (1..=TABLETS).map(|id| node.add_tablet(root_of(id), id, &[300])).collect();
    wait_until_old(keys.iter().map(|key| record(&node, root_of(key.tablet_id.0), *key)));
    let daemon = node.start();
    wait_until("both checkpoints are written", || (0..2).all(|root| checkpoint(&node, root).is_file()));
    daemon.stop();
    (node, keys)
}

/// How many records each disk took from its checkpoint.
fn vouched(daemon: &Daemon, node: &Node) -> [usize; 2] {
    let said = daemon.said();
    [0, 1].map(|root| {
        let line = said
            .lines()
            .find(|line| line.contains(&format!("{}: ", node.disk(root))) && line.contains("records, "));
        let line = line.unwrap_or_else(|| panic!("no word of {}: {said}", node.disk(root)));
        let count = line.split("records, ").nth(1).and_then(|rest| rest.split(' ').next());
        count.and_then(|count| count.parse().ok()).unwrap_or_else(|| panic!("{line}"))
    })
}

fn tablets(daemon: &Daemon) -> Value {
    daemon.get("/api/v1/tablets?limit=1000")["data"].clone()
}

#[test]
fn a_start_takes_from_the_checkpoint_what_has_not_changed_and_reads_the_rest() {
    let (mut node, keys) = node_with_checkpoints();
    let daemon = node.start();
    assert_eq!(vouched(&daemon, &node), [20, 20], "after a clean stop");
    let found = tablets(&daemon);
    daemon.kill();
    let daemon = node.start();
    assert_eq!(vouched(&daemon, &node), [20, 20], "after a kill");
    assert_eq!(tablets(&daemon), found);
    // Tablet 1 is on the second disk.
    daemon.run(keys[0], &node.disk(0));
    daemon.wait_until_idle();
    let found = tablets(&daemon);
    daemon.kill();
    let added = node.add_tablet(0, 1000, &[300]);
    let daemon = node.start();
    assert_eq!(
        vouched(&daemon, &node),
        [20, 19],
        "what was moved there is read, what was moved away is gone"
    );
    let now = tablets(&daemon);
    let others = now.as_array().expect("a list").iter().filter(|one| one["tablet_id"] != added.tablet_id.0);
    assert_eq!(others.cloned().collect::<Vec<_>>(), *found.as_array().expect("a list"));
    daemon.stop();
    let checked = tabletctl(&["tablet", "check", "--root", &node.disk(0)]).output().expect("it runs");
    assert!(checked.status.success(), "it is no stranger: {}", String::from_utf8_lossy(&checked.stdout));
    assert_eq!(node.assert_whole()[&keys[0]], 0);
}

#[test]
fn a_checkpoint_that_is_worth_nothing_changes_nothing_but_time() {
    let (node, keys) = node_with_checkpoints();
    let whole = [0, 1].map(|root| fs::read(checkpoint(&node, root)).expect("a checkpoint"));
    let daemon = node.start();
    let found = tablets(&daemon);
    daemon.stop();
    type Damage = fn(&Path, &[Vec<u8>; 2]);
    let damages: [(&str, Damage); 8] = [
        ("a flipped bit", |path, whole| {
            fs::write(path, &whole[0]).expect("written");
            flip(path);
        }),
        ("cut short", |path, whole| fs::write(path, &whole[0][..whole[0].len() / 2]).expect("written")),
        ("longer", |path, whole| fs::write(path, [&whole[0][..], b"x"].concat()).expect("written")),
        ("empty", |path, _| fs::write(path, b"").expect("written")),
        ("of the other disk", |path, whole| fs::write(path, &whole[1]).expect("written")),
        ("another file", |path, _| fs::write(path, b"{}").expect("written")),
        ("a directory", |path, _| fs::create_dir(path).expect("made")),
        ("a symlink", |path, whole| {
            let aside = path.with_extension("aside");
            fs::write(&aside, &whole[0]).expect("written");
            std::os::unix::fs::symlink(aside, path).expect("made");
        }),
    ];
    for (name, damage) in damages {
        let path = checkpoint(&node, 0);
        if path.is_dir() { fs::remove_dir(&path) } else { fs::remove_file(&path) }.expect("removed");
        damage(&path, &whole);
        let daemon = node.start();
        assert_eq!(vouched(&daemon, &node), [0, 20], "{name}");
        assert_eq!(tablets(&daemon), found, "{name}");
        daemon.kill();
    }
    // The same files copied to other inodes: a restored backup, or another disk of this uuid.
    let path = checkpoint(&node, 0);
    fs::remove_file(&path).expect("removed");
    fs::write(&path, &whole[0]).expect("written");
    for key in keys.iter().filter(|key| key.tablet_id.0 % 2 == 0) {
        let record = record(&node, 0, *key);
        let bytes = fs::read(&record).expect("a record");
        fs::remove_file(&record).expect("removed");
        fs::write(&record, bytes).expect("written");
    }
    let daemon = node.start();
    assert_eq!(vouched(&daemon, &node), [0, 20]);
    assert_eq!(tablets(&daemon), found);
    daemon.stop();
    node.assert_whole();
}

#[test]
fn an_old_checkpoint_that_was_restored_speaks_for_nothing_that_has_changed() {
    let (node, keys) = node_with_checkpoints();
    let old = [0, 1].map(|root| fs::read(checkpoint(&node, root)).expect("a checkpoint"));
    let daemon = node.start();
    // There and back again: the record stands under its old name on its old disk, two generations later.
    for to in [1, 0] {
        daemon.run(keys[1], &node.disk(to));
        daemon.wait_until_idle();
    }
    let found = tablets(&daemon);
    daemon.stop();
    for (root, bytes) in old.iter().enumerate() {
        fs::write(checkpoint(&node, root), bytes).expect("written");
    }
    let daemon = node.start();
    assert_eq!(vouched(&daemon, &node), [19, 20]);
    assert_eq!(tablets(&daemon), found);
    daemon.stop();
    assert_eq!(node.assert_whole()[&keys[1]], 0);
}

#[test]
fn what_is_done_to_a_tablet_while_the_daemon_is_stopped_is_seen_past_the_checkpoint() {
    let (node, keys) = node_with_checkpoints();
    // Written into where it stands, without a change of its size.
    flip(&record(&node, 0, keys[1]));
    fs::remove_dir_all(node.tablet_dir(0, keys[3])).expect("removed");
    fs::remove_file(record(&node, 0, keys[5])).expect("removed");
    let daemon = node.start();
    assert_eq!(vouched(&daemon, &node), [18, 20]);
    for key in [keys[1], keys[3]] {
        let answer = daemon.get(&format!("/api/v1/tablets/{}", key.tablet_id));
        assert_eq!(answer["error_code"], "TABLET_UNAVAILABLE", "{answer}");
    }
    assert_eq!(tablets(&daemon).as_array().map(Vec::len), Some(37));
    daemon.kill();
}
