//! What goes and what stays when nobody knows for sure who owns a tablet: disks taken out of the configuration, journals
//! and state directories lost, and things in `migrating/` that no migration made.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tabletd::model::TabletKey;

use crate::harness::{Daemon, Node, read_dir_names};

/// A move in `manual_cutover` that stands at `ready`; the daemon has stopped.
fn at_ready() -> (Node, TabletKey, u64) {
    let mut node = Node::new(2);
    let key = node.add_tablet(0, 7, &[300_000, 40_000]);
    let daemon = node.start();
    let id = submit(&daemon, &node, "manual_cutover");
    daemon.wait_for(id, &["ready"]);
    daemon.stop();
    (node, key, id)
}

fn submit(daemon: &Daemon, node: &Node, mode: &str) -> u64 {
    let wish = json!({"tablet_id": 7, "schema_hash": 555, "dest_disk": node.disk(1), "mode": mode});
    daemon.post("/api/v1/migrations", &wish)["id"].as_u64().expect("an id")
}

/// Every file below a directory, by its bytes.
fn contents(dir: &Path) -> Vec<Vec<u8>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).expect("a directory").map(|entry| entry.expect("an entry").path()) {
        match entry.symlink_metadata().expect("an entry").file_type() {
            kind if kind.is_dir() => found.extend(contents(&entry)),
            kind if kind.is_file() => found.push(fs::read(&entry).expect("a file")),
            _ => {}
        }
    }
    found
}

/// Whether every byte of the tablet is somewhere on the disk.
fn holds(root: &Path, files: &[Vec<u8>]) -> bool {
    let found = contents(root);
    files.iter().all(|file| found.contains(file))
}

/// Copies a directory with all that is in it into another.
fn copy_tree(from: &Path, into: &Path) {
    let done = std::process::Command::new("cp").arg("-a").args([from, into]).status().expect("cp");
    assert!(done.success(), "cp: {done}");
}

fn state(node: &Node) -> PathBuf {
    node.dir.path().join("state")
}

#[test]
fn a_verified_copy_stays_while_its_source_is_not_configured_whatever_else_is_lost() {
    for lost in ["nothing", "the journal", "the state directory"] {
        let (mut node, key, id) = at_ready();
        let files = contents(&node.tablet_dir(0, key));
        match lost {
            "the journal" => fs::remove_file(state(&node).join("journal.db")).expect("a journal"),
            "the state directory" => fs::remove_dir_all(state(&node)).expect("a directory"),
            _ => {}
        }
        let source = node.roots.remove(0);
        for _ in 0..2 {
            let daemon = node.start();
            if lost == "nothing" {
                let row = daemon.migration(id);
                assert_eq!(row["status"], "ready", "{row:#}");
                let why = row["status_reason"].as_str().expect("a reason");
                assert!(why.contains(source.to_str().expect("text")), "no disk is named: {why}");
            }
            daemon.stop();
            assert!(holds(&node.roots[0], &files), "{lost} lost: the only copy that is here was removed");
        }
        node.roots.insert(0, source);
        let daemon = node.start();
        assert_eq!(daemon.get("/api/v1/tablets/7")["disk"], node.disk(0), "{lost} lost");
        if lost == "nothing" {
            daemon.act(id, &json!({"cutover": null}));
            let done = daemon.wait_for(id, &["completed", "failed"]);
            assert_eq!(done["status"], "completed", "{done:#}");
        }
        daemon.stop();
        if lost == "nothing" {
            assert_eq!(node.assert_whole()[&key], 1);
        }
    }
}

#[test]
fn a_copy_whose_owner_is_away_is_set_aside_by_an_abort_and_not_removed() {
    let (mut node, key, id) = at_ready();
    let files = contents(&node.tablet_dir(0, key));
    let source = node.roots.remove(0);
    let daemon = node.start();
    daemon.act(id, &json!({"abort": {}}));
    daemon.wait_for(id, &["aborted"]);
    daemon.stop();
    assert_eq!(read_dir_names(&node.roots[0].join("migrating")), Vec::<String>::new());
    assert_eq!(read_dir_names(&node.roots[0].join("quarantine")).len(), 1);
    assert!(holds(&node.roots[0], &files), "an abort removed the only copy that is here");
    node.roots.insert(0, source);
    let daemon = node.start();
    assert_eq!(daemon.get("/api/v1/tablets/7")["disk"], node.disk(0));
    daemon.stop();
}

#[test]
fn a_copy_whose_owner_is_away_does_not_expire() {
    let (mut node, key, id) = at_ready();
    let files = contents(&node.tablet_dir(0, key));
    // Its time is over before the next start, as after a long night.
    let journal = rusqlite::Connection::open(state(&node).join("journal.db")).expect("a database");
    let doc: String = journal.query_row("SELECT doc FROM migration", [], |row| row.get(0)).expect("a row");
    let mut row: Value = serde_json::from_str(&doc).expect("JSON");
    assert!(row["steering"]["deadline_ms"].take().is_i64());
    row["steering"]["deadline_ms"] = json!(1);
    let doc = row.to_string();
    let changed = journal
        .execute("UPDATE migration SET doc = ?1, doc_crc32 = ?2", (&doc, crc32fast::hash(doc.as_bytes())));
    assert_eq!(changed, Ok(1));
    drop(journal);
    let source = node.roots.remove(0);
    let daemon = node.start();
    daemon.becomes(|| daemon.get("/api/v1/status")["uptime_seconds"].as_u64() > Some(2));
    assert_eq!(daemon.migration(id)["status"], "ready");
    daemon.stop();
    assert!(holds(&node.roots[0], &files));
    node.roots.insert(0, source);
    let daemon = node.start();
    daemon.wait_for(id, &["expired"]);
    assert_eq!(daemon.get("/api/v1/tablets/7")["disk"], node.disk(0));
    daemon.stop();
    assert_eq!(node.assert_whole()[&key], 0);
}

#[test]
fn what_no_migration_made_is_set_aside_by_name_and_what_one_made_is_swept() {
    let mut node = Node::new(2);
    node.add_tablet(0, 7, &[5000]);
    let migrating = node.roots[0].join("migrating");
    fs::create_dir_all(migrating.join("kept-by-admin/deep")).expect("a directory");
    fs::write(migrating.join("kept-by-admin/deep/f"), "mine").expect("a file");
    fs::write(migrating.join("notes.txt"), "mine too").expect("a file");
    fs::write(migrating.join("reason.json"), "mine as well").expect("a file");
    std::os::unix::fs::symlink("/nowhere", migrating.join("link")).expect("a symlink");
    fs::create_dir_all(migrating.join("empty")).expect("a directory");
    fs::create_dir_all(migrating.join("12/files")).expect("a directory");
    fs::write(migrating.join("13"), "a file of a number").expect("a file");
    for _ in 0..2 {
        let daemon = node.start();
        daemon.stop();
    }
    let daemon = node.start();
    let said = daemon.said();
    daemon.stop();
    assert_eq!(read_dir_names(&migrating), Vec::<String>::new(), "{said}");
    let kept = contents(&node.roots[0].join("quarantine"));
    for text in ["mine", "mine too", "mine as well", "a file of a number"] {
        assert!(kept.iter().any(|file| file == text.as_bytes()), "{text:?} is gone");
    }
    assert_eq!(read_dir_names(&node.roots[0].join("quarantine")).len(), 6);
}

#[test]
fn an_old_source_does_not_own_again_when_history_has_forgotten_the_move() {
    let mut node = Node::new(2);
    let key = node.add_tablet(0, 7, &[5000, 300_000]);
    let other = node.add_tablet(1, 8, &[5000]);
    node.settings = "finished_migration_tasks_size = 1".to_owned();
    let daemon = node.start();
    // The source cannot let go: its trash is no directory any more.
    let (trash, trash_away) = (node.roots[0].join("trash"), node.dir.path().join("trash"));
    fs::rename(&trash, &trash_away).expect("a rename");
    fs::write(&trash, "in the way").expect("a file");
    daemon.wait_for(daemon.accept(key, &node.disk(1)), &["completed"]);
    daemon.wait_for(daemon.accept(other, &node.disk(0)), &["completed"]);
    daemon.kill();
    fs::remove_file(&trash).expect("a file");
    fs::rename(&trash_away, &trash).expect("a rename");

    let away = node.dir.path().join("away");
    fs::rename(&node.roots[1], &away).expect("a rename");
    node.settings.push_str("\nignore_broken_disk = true");
    let daemon = node.start();
    let shown = daemon.get("/api/v1/tablets/7");
    assert_eq!(shown["error_code"], "TABLET_UNAVAILABLE", "an old source owns again: {shown}");
    assert!(shown.to_string().contains(&node.disk(1)), "{shown}");
    daemon.kill();

    fs::rename(&away, &node.roots[1]).expect("a rename");
    let daemon = node.start();
    assert_eq!(daemon.get("/api/v1/tablets/7")["disk"], node.disk(1));
    let done = daemon.wait_for(daemon.accept(key, &node.disk(0)), &["completed", "failed"]);
    assert_eq!(done["receipt"]["generation"], 3, "{done:#}");
    daemon.stop();
    assert_eq!(node.assert_whole()[&key], 0);
}

#[test]
fn a_disk_that_comes_back_older_is_held_against_what_it_had_acknowledged() {
    let mut node = Node::new(3);
    node.settings = "finished_migration_tasks_size = 1\ntrash_file_expire_time_sec = 1".to_owned();
    let key = node.add_tablet(0, 7, &[5000, 70_000]);
    let other = node.add_tablet(2, 8, &[5000]);
    // An image of the source as it is before the first move.
    let image = node.dir.path().join("image");
    fs::create_dir(&image).expect("a directory");
    ["data", "meta"].iter().for_each(|part| copy_tree(&node.roots[0].join(part), &image));
    let daemon = node.start();
    let moves = |key, to: usize| {
        let done = daemon.wait_for(daemon.accept(key, &node.disk(to)), &["completed", "failed"]);
        done["receipt"]["generation"].as_u64().expect("a generation")
    };
    let mut given = Vec::new();
    for (to, other_to) in [(1, 1), (0, 2), (1, 1), (0, 2)] {
        given.push(moves(key, to));
        moves(other, other_to);
    }
    daemon.stop();
    // The owner comes back as it was at first; of all others only what moves have left is here, but no trash.
    for part in ["data", "meta", "trash"] {
        fs::remove_dir_all(node.roots[0].join(part)).expect("a directory");
    }
    ["data", "meta"].iter().for_each(|part| copy_tree(&image.join(part), &node.roots[0]));
    for root in &node.roots[1..] {
        fs::remove_dir_all(root.join("trash")).expect("a directory");
    }
    for _ in 0..2 {
        let daemon = node.start();
        let shown = daemon.get("/api/v1/tablets/7");
        assert_eq!(shown["error_code"], "TABLET_UNAVAILABLE", "the old copy owns: {shown}");
        let why = shown.to_string();
        assert!(why.contains("generation 5") && why.contains("tabletctl tablet heal 7"), "{shown}");
        daemon.stop();
    }
    let daemon = node.start();
    // Its content is what the last move has brought, as the ledger knows: said aloud, it is as good as that.
    let healed = daemon.operate("/api/v1/tablets/7/heal", &json!({}));
    assert_eq!((&healed["state"], &healed["generation"]), (&json!("completed"), &json!(6)), "{healed:#}");
    let done = daemon.wait_for(daemon.accept(key, &node.disk(1)), &["completed", "failed"]);
    given.push(done["receipt"]["generation"].as_u64().expect("a generation"));
    assert_eq!(given, [2, 3, 4, 5, 7], "a generation was given twice");
    daemon.stop();
    assert_eq!(node.assert_whole()[&key], 1);
}

#[test]
fn a_lost_state_directory_makes_no_new_disk_of_a_mount_point_that_is_bare() {
    let mut node = Node::new(2);
    node.settings = "ignore_broken_disk = true".to_owned();
    let keys = [node.add_tablet(0, 7, &[5000]), node.add_tablet(1, 8, &[5000])];
    node.start().stop();
    let away = node.dir.path().join("away");
    fs::rename(&node.roots[1], &away).expect("a rename");
    fs::create_dir(&node.roots[1]).expect("a mount point");
    for _ in 0..2 {
        fs::remove_dir_all(state(&node)).expect("a directory");
        let daemon = node.start();
        let disk = daemon.get("/api/v1/disks")["data"][1].clone();
        assert_eq!(disk["condition"], "broken", "{disk:#}");
        assert!(disk.to_string().contains("not mounted"), "{disk:#}");
        daemon.stop();
        assert_eq!(read_dir_names(&node.roots[1]), Vec::<String>::new(), "a bare mount point was formatted");
    }
    fs::remove_dir(&node.roots[1]).expect("a mount point");
    fs::rename(&away, &node.roots[1]).expect("a rename");
    node.start().stop();
    assert_eq!((node.assert_whole()[&keys[0]], node.assert_whole()[&keys[1]]), (0, 1));
}
