//! Files that no good record names become a tablet again when an operator says so, and only where nothing better is known.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tabletd::model::{Manifest, TabletKey};
use tabletd::storage::decode_record;

use crate::harness::{Daemon, Node, read_dir_names};
use crate::heal::{flip, moved, verified};
use crate::unrecorded::looked_through;

/// The header in a record, as an operator would have it from elsewhere.
fn header_of(record: &Path) -> Value {
    let record = decode_record(&fs::read(record).expect("a record")).expect("a good record");
    serde_json::from_str(record.tablet_meta.get()).expect("JSON")
}

fn adopt(daemon: &Daemon, path: &Path, header: Option<&Value>) -> Value {
    daemon.operate("/api/v1/tablets/adopt", &json!({"path": path, "header": header}))
}

#[test]
fn files_that_lost_their_record_are_a_tablet_again_with_a_header() {
    let mut node = Node::new(2);
    let key = node.add_tablet(0, 7, &[50_000, 3000]);
    let record = node.roots[0].join("meta/7_555.json");
    let header = header_of(&record);
    fs::remove_file(&record).expect("a record");
    let daemon = node.start();
    let dir = node.tablet_dir(0, key);
    let refused = adopt(&daemon, &dir, None);
    let why = refused["error"]["message"].as_str().unwrap_or_default();
    assert!(why.contains("--header FILE"), "nothing says what they are: {refused:#}");
    let other = json!({"tablet_id": 8, "schema_hash": 555});
    assert_eq!(adopt(&daemon, &dir, Some(&other))["error_code"], "INVALID_ARGUMENT");
    let mut more = header.clone();
    more["rs_metas"] = json!([{"rowset_id_v2": "0200", "num_segments": 3}]);
    let refused = adopt(&daemon, &dir, Some(&more));
    assert!(
        refused["error"]["message"].as_str().is_some_and(|why| why.contains("rowset 0200")),
        "{refused:#}"
    );
    assert_eq!(daemon.get("/api/v1/tablets")["total"], 0);

    let adopted = adopt(&daemon, &dir, Some(&header));
    assert_eq!(adopted["state"], "completed", "{adopted:#}");
    assert_eq!(verified(&daemon)["state"], "passed");
    assert_eq!(daemon.get("/api/v1/unrecorded")["total"], 0);
    assert_eq!(looked_through(&daemon, &node.disk(0))["unrecorded_count"], 0);
    daemon.wait_for(daemon.accept(key, &node.disk(1)), &["completed"]);
    daemon.kill();
    let daemon = node.start();
    assert_eq!(daemon.get("/api/v1/tablets/7")["disk"], node.disk(1));
    daemon.stop();
    assert_eq!(node.assert_whole()[&key], 1);
}

#[test]
fn a_damaged_record_says_what_whole_files_are_and_not_what_damaged_ones_are() {
    for spoil_files in [false, true] {
        let mut node = Node::new(1);
        let key = node.add_tablet(0, 7, &[50_000, 3000]);
        let record = node.roots[0].join("meta/7_555.json");
        // A bit of its number: the files in it are as they were.
        let text = fs::read_to_string(&record).expect("a record");
        fs::write(&record, text.replacen("\"generation\":1", "\"generation\":3", 1)).expect("a record");
        if spoil_files {
            flip(&node.tablet_dir(0, key).join("02000000_0.dat"));
        }
        let daemon = node.start();
        let adopted = adopt(&daemon, &node.tablet_dir(0, key), None);
        if spoil_files {
            assert_eq!(adopted["error"]["code"], "INVALID_ARGUMENT", "{adopted:#}");
            assert_eq!(daemon.get("/api/v1/tablets")["total"], 0);
        } else {
            assert_eq!(adopted["state"], "completed", "{adopted:#}");
            assert_eq!(verified(&daemon)["state"], "passed");
        }
        daemon.stop();
    }
}

/// A copy of a tablet's directory as a retirement that was cut short may leave it.
pub(crate) fn copy_dir(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a directory");
    for name in read_dir_names(from).iter().filter(|name| !name.ends_with(".hdr.json")) {
        fs::copy(from.join(name), to.join(name)).expect("a file");
    }
}

#[test]
fn what_an_owner_or_a_disk_that_is_away_knows_is_not_adopted() {
    let (mut node, daemon, key) = moved(2);
    daemon.stop();
    let header = header_of(&node.roots[1].join("meta/7_555.json"));
    let left = node.tablet_dir(0, key);
    copy_dir(&node.tablet_dir(1, key), &left);
    let daemon = node.start();
    let refused = adopt(&daemon, &left, Some(&header));
    assert_eq!(refused["error_code"], "ALREADY_ON_DISK", "{refused:#}");
    assert!(refused["error_msg"].as_str().is_some_and(|why| why.contains(&node.disk(1))), "{refused:#}");
    daemon.stop();

    // Its owner is away.
    let away = node.roots[1].with_extension("away");
    fs::rename(&node.roots[1], &away).expect("a rename");
    node.settings = "ignore_broken_disk = true".to_owned();
    let daemon = node.start();
    let refused = adopt(&daemon, &left, Some(&header));
    assert_eq!(refused["error"]["code"], "ONLY_OLDER_COPY", "{refused:#}");
    let why = refused["error"]["message"].as_str().unwrap_or_default();
    assert!(why.contains("tabletctl tablet adopt") && why.contains("--accept-older"), "{why}");
    let body = json!({"path": left, "header": header, "accept_older": true});
    let adopted = daemon.operate("/api/v1/tablets/adopt", &body);
    assert_eq!(adopted["state"], "completed", "{adopted:#}");
    daemon.stop();
    // It comes back with what it had: outranked.
    fs::rename(&away, &node.roots[1]).expect("a rename");
    let daemon = node.start();
    let shown = daemon.get("/api/v1/tablets/7");
    assert_eq!(shown["disk"], node.disk(0), "{shown:#}");
    daemon.stop();
}

#[test]
fn what_was_set_aside_is_adopted_as_it_is() {
    let (node, daemon, key) = moved(2);
    let file = node.tablet_dir(1, key).join("02000000_0.dat");
    flip(&file);
    assert_eq!(verified(&daemon)["state"], "damaged");
    assert_eq!(daemon.operate("/api/v1/tablets/7/heal", &json!({}))["state"], "completed");
    let aside = node.roots[1].join("quarantine");
    let entry = aside.join(&read_dir_names(&aside)[0]);
    let refused = adopt(&daemon, &entry, None);
    assert_eq!(refused["error_code"], "ALREADY_ON_DISK", "{refused:#}");
    flip(&entry.join("files/02000000_0.dat"));
    fs::remove_dir_all(node.tablet_dir(0, key)).expect("a directory");
    assert_eq!(verified(&daemon)["state"], "damaged");
    let adopted = adopt(&daemon, &entry, None);
    assert_eq!(adopted["state"], "completed", "{adopted:#}");
    assert_eq!(verified(&daemon)["state"], "passed");
    daemon.stop();
    assert_eq!(node.assert_whole()[&key], 1);
}

#[test]
fn a_staged_copy_whose_owner_is_away_is_adopted_only_when_that_is_said() {
    let mut node = Node::new(2);
    let key = node.add_tablet(0, 7, &[50_000, 3000]);
    let daemon = node.start();
    let request =
        json!({"tablet_id": 7, "schema_hash": 555, "dest_disk": node.disk(1), "mode": "manual_cutover"});
    let id = daemon.post("/api/v1/migrations", &request)["id"].as_u64().expect("accepted");
    daemon.wait_for(id, &["ready"]);
    daemon.stop();
    let away = node.roots[0].with_extension("away");
    fs::rename(&node.roots[0], &away).expect("a rename");
    node.settings = "ignore_broken_disk = true".to_owned();
    let daemon = node.start();
    let staged = node.roots[1].join(format!("migrating/{id}"));
    let refused = adopt(&daemon, &staged, None);
    assert_eq!(refused["error"]["code"], "ONLY_OLDER_COPY", "{refused:#}");
    let body = json!({"path": staged, "accept_older": true});
    let adopted = daemon.operate("/api/v1/tablets/adopt", &body);
    assert_eq!(adopted["state"], "completed", "{adopted:#}");
    assert_eq!(verified(&daemon)["state"], "passed");
    daemon.stop();
    // Its source comes back: outranked, and nothing of the tablet is served twice.
    fs::rename(&away, &node.roots[0]).expect("a rename");
    let daemon = node.start();
    assert_eq!(daemon.get("/api/v1/tablets/7")["disk"], node.disk(1));
    daemon.stop();
    let daemon = node.start();
    daemon.wait_until_idle();
    daemon.stop();
    assert_eq!(node.assert_whole()[&key], 1);
}

/// Gives up a disk that is away, as an operator does: after a dry run.
fn give_up(daemon: &Daemon, path: &str) {
    let mut body = json!({"path": path, "lost": true, "dry_run": true});
    let look = daemon.post("/api/v1/disks/forget", &body);
    (body["dry_run"], body["confirm"]) = (json!(false), look["confirm"].clone());
    let loss = daemon.post("/api/v1/disks/forget", &body);
    assert!(loss["data"].is_array(), "{loss:#}");
}

/// A node whose tablet was on a disk that was given up, and stands beside it now.
fn given_up_and_found(spoil: impl Fn(&mut Node, &Path)) -> (Node, Daemon, TabletKey, PathBuf) {
    let (mut node, daemon, key) = moved(2);
    daemon.stop();
    let found = node.roots[1].with_extension("found");
    fs::rename(&node.roots[1], &found).expect("a rename");
    spoil(&mut node, &found);
    node.settings = "ignore_broken_disk = true".to_owned();
    let daemon = node.start();
    assert_eq!(daemon.get("/api/v1/tablets/7")["error_code"], "TABLET_UNAVAILABLE");
    give_up(&daemon, &node.disk(1));
    let path = found.join(format!("data/7/7/{}", key.schema_hash));
    (node, daemon, key, path)
}

/// Empties the trash of the first disk.
fn without_trash(node: &mut Node, _: &Path) {
    let trash = node.roots[0].join("trash");
    fs::remove_dir_all(&trash).expect("trash");
    fs::create_dir(&trash).expect("trash");
}

#[test]
fn what_a_disk_that_was_given_up_had_comes_back_by_adopt_and_by_nothing_else() {
    let (mut node, daemon, key, path) = given_up_and_found(without_trash);
    let found = path.ancestors().nth(4).expect("a root").to_owned();
    let before: Vec<_> = files_below(&found);
    let refused = daemon.post("/api/v1/disks", &json!({"path": found, "medium": "SSD"}));
    let why = refused["error_msg"].as_str().unwrap_or_default();
    assert!(why.contains("given up as lost") && why.contains("tabletctl tablet adopt"), "{refused:#}");
    assert_eq!(daemon.get("/api/v1/tablets/7")["error_code"], "TABLET_NOT_FOUND");

    let adopted = adopt(&daemon, &path, None);
    assert_eq!(adopted["state"], "completed", "{adopted:#}\n{}", daemon.said());
    let tablet = daemon.get("/api/v1/tablets/7");
    assert_eq!(tablet["disk"], node.disk(0), "{tablet:#}");
    assert!(tablet["generation"].as_u64().is_some_and(|generation| generation > 2), "{tablet:#}");
    assert_eq!(verified(&daemon)["state"], "passed");
    assert_eq!(files_below(&found), before, "it is only read");
    assert_eq!(adopt(&daemon, &path, None)["error_code"], "ALREADY_ON_DISK");
    let nowhere = adopt(&daemon, &node.dir.path().join("data/7/7/555"), None);
    assert_eq!(nowhere["error_code"], "INVALID_ARGUMENT", "{nowhere:#}");
    daemon.stop();
    node.roots.pop();
    node.start().stop();
    assert_eq!(node.assert_whole()[&key], 0);
}

#[test]
fn what_was_given_up_takes_the_place_of_the_older_copy_that_was_left() {
    let (mut node, daemon, key, path) = given_up_and_found(|node, found| {
        without_trash(node, found);
        // As a source whose retirement failed, with less in it.
        let newest = node.expected.clone();
        node.add_tablet(0, 7, &[3000]);
        node.expected = newest;
    });
    let why = daemon.get("/api/v1/tablets/7")["error_msg"].as_str().expect("a reason").to_owned();
    assert!(why.contains("tabletctl tablet heal 7 --accept-older"), "{why}");
    assert!(why.contains("tabletctl tablet adopt"), "{why}");
    let adopted = adopt(&daemon, &path, None);
    assert_eq!(adopted["state"], "completed", "nothing newer is known: {adopted:#}");
    assert_eq!(verified(&daemon)["state"], "passed");
    daemon.stop();
    node.roots.pop();
    node.start().stop();
    assert_eq!(node.assert_whole()[&key], 0);
}

#[test]
fn an_older_state_of_a_disk_that_was_given_up_is_adopted_only_when_that_is_said() {
    let (_node, daemon, key, path) = given_up_and_found(|node, found| {
        without_trash(node, found);
        // As a snapshot from before the last load.
        let record = found.join("meta/7_555.json");
        let mut older = decode_record(&fs::read(&record).expect("a record")).expect("a record");
        older.generation = 1;
        let kept: Vec<_> = older.manifest.files().iter().take(1).cloned().collect();
        let gone = older.manifest.files()[1].name.clone();
        older.manifest = Manifest::new(kept).expect("plain names");
        node.write_record(found, &older);
        fs::remove_file(found.join(format!("data/7/7/555/{gone}"))).expect("a file");
    });
    let refused = adopt(&daemon, &path, None);
    assert_eq!(refused["error"]["code"], "ONLY_OLDER_COPY", "{key}: {refused:#}");
    let why = refused["error"]["message"].as_str().unwrap_or_default();
    assert!(why.contains("would be missing") && why.contains("--accept-older"), "{why}");
    let adopted = daemon.operate("/api/v1/tablets/adopt", &json!({"path": path, "accept_older": true}));
    assert_eq!(adopted["state"], "completed", "{adopted:#}");
    assert_eq!(daemon.get("/api/v1/tablets/7")["file_count"], 1);
    daemon.stop();
}

/// Every file below a directory and when it was changed.
fn files_below(root: &Path) -> Vec<(PathBuf, std::time::SystemTime)> {
    let mut files: Vec<_> = walkdir::WalkDir::new(root)
        .into_iter()
        .flatten()
        .map(|entry| (entry.path().to_owned(), entry.metadata().expect("a file").modified().expect("a time")))
        .collect();
    files.sort();
    files
}
