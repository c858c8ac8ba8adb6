//! Starts on whatever can be found: lost journals, foreign leftovers, missing disks, contradicting copies.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};
use tabletd::model::TabletRecord;

use crate::harness::tabletctl::wait_until;
use crate::harness::{Daemon, Node, read_dir_names, records};

/// A migration that was killed in the middle of its copy.
fn interrupted() -> (Node, tabletd::model::TabletKey) {
    let mut node = Node::new(3);
    node.settings = "disk_rate_limit_bytes_per_sec = 3000000".to_owned();
    let key = node.add_tablet(0, 7, &[1_000_000; 8]);
    let daemon = node.start();
    let id = daemon.accept(key, &node.disk(1));
    wait_until("a file is verified", || {
        daemon.migration(id)["disk_verified_bytes"].as_u64() >= Some(1_000_000)
    });
    daemon.kill();
    node.settings.clear();
    (node, key)
}

#[test]
fn verified_files_are_not_copied_again_after_a_kill() {
    let (node, key) = interrupted();
    let daemon = node.start();
    daemon.wait_until_idle();
    let migration = daemon.migration(1);
    assert_eq!(migration["status"], "completed", "{migration:#}");
    assert!(migration["disk_resumed_bytes"].as_u64() >= Some(1_000_000), "{migration:#}");
    // The step that the kill interrupted is logged as that step, and what was found of it when it went on.
    let steps = migration["steps"].as_array().expect("steps");
    let data: Vec<_> = steps.iter().filter(|step| step["step"] == "data").collect();
    assert_eq!((data.len(), &data[0]["attempts"]), (1, &json!(2)), "{migration:#}");
    let said: Vec<_> = data[0]["logs"].as_array().expect("logs").iter().map(|line| &line["text"]).collect();
    let at =
        |words: &str| said.iter().position(|text| text.as_str().is_some_and(|text| text.contains(words)));
    let cut = at("the daemon ended in the middle of it");
    assert!(cut.is_some() && cut < at("entered again") && cut < at("were not copied again"), "{said:?}");
    daemon.stop();
    assert_eq!(node.assert_whole()[&key], 1);
}

/// The only migration stands before its swap, and this start says as what it was asked for.
fn waits_for_an_operator(daemon: &Daemon, asked_for_as: &str) -> u64 {
    let id = stands_before_its_swap(daemon);
    let said = daemon.said();
    assert!(said.contains(&format!("asked for as {asked_for_as}")), "{said}");
    let row = daemon.migration(id);
    assert_eq!(
        (&row["mode"], &row["blockers"][0]["kind"]),
        (&json!(asked_for_as), &json!("operator")),
        "{row:#}"
    );
    id
}

/// The only migration stands before its swap, without a deadline, and says why.
fn stands_before_its_swap(daemon: &Daemon) -> u64 {
    let id = daemon.get("/api/v1/migrations")["data"][0]["id"].as_u64().expect("it is accepted again");
    let row = daemon.wait_for(id, &["ready", "completed", "failed"]);
    assert_eq!(row["status"], "ready", "it was swapped in unasked: {row:#}");
    assert_eq!(row["cutover_deadline"], Value::Null, "it would expire: {row:#}");
    let why = row["status_reason"].as_str().expect("a reason");
    assert!(why.contains("the journal was lost"), "{why}");
    id
}

#[test]
fn a_lost_journal_opens_no_gate_and_knows_who_asked() {
    for (mode, written_by) in
        [("manual_cutover", "this version"), ("stepwise", "this version"), ("manual_cutover", "version 0.1")]
    {
        let mut node = Node::new(2);
        node.settings = "cutover_deadline_sec = 1".to_owned();
        let key = node.add_tablet(0, 7, &[300_000]);
        let daemon = node.start();
        let wish = json!({"tablet_id": 7, "schema_hash": 555, "dest_disk": node.disk(1), "mode": mode});
        let id = daemon.post("/api/v1/migrations", &wish)["id"].as_u64().expect("an id");
        let staged = step_by_step(&daemon, id, mode, if mode == "stepwise" { "prepared" } else { "ready" });
        let asked_by = staged["requested_by"].clone();
        daemon.kill();
        let owner = node.roots[1].join(format!("migrating/{id}/owner.json"));
        if written_by == "version 0.1" {
            forget_who_asked(&owner);
        }
        fs::remove_dir_all(node.dir.path().join("state")).expect("a state directory");

        let daemon = node.start();
        let id = daemon.get("/api/v1/migrations")["data"][0]["id"].as_u64().expect("it is accepted again");
        let again = step_by_step(&daemon, id, mode, "ready");
        if mode == "manual_cutover" {
            assert_eq!(
                again["disk_resumed_bytes"], 300_000,
                "a verified copy is not copied again: {again:#}"
            );
        }
        assert_eq!(read_dir_names(&node.roots[1].join("migrating")), [id.to_string()]);
        let asked_for_as = if written_by == "version 0.1" { "auto" } else { mode };
        waits_for_an_operator(&daemon, asked_for_as);
        // Longer than any deadline, over another start too.
        daemon.becomes(|| daemon.get("/api/v1/status")["uptime_seconds"].as_u64() > Some(2));
        daemon.stop();
        let daemon = node.start();
        let row = daemon.migration(id);
        assert_eq!(row["status"], "ready", "{mode} of {written_by}: {row:#}");
        if written_by == "this version" {
            assert_eq!(row["requested_by"], asked_by, "{mode}");
        }
        daemon.act(id, &json!({"cutover": null}));
        let done = daemon.wait_for(id, &["completed", "failed"]);
        assert_eq!(done["status"], "completed", "{mode} of {written_by}: {done:#}");
        daemon.stop();
        assert_eq!(node.assert_whole()[&key], 1);
    }
}

/// Lets a migration through its gates until it stands at this one.
fn step_by_step(daemon: &Daemon, id: u64, mode: &str, until: &str) -> Value {
    if mode == "stepwise" {
        for (gate, step) in [("preflight_passed", "prepare"), ("prepared", "data")] {
            let row = daemon.wait_for(id, &[gate]);
            if gate == until {
                return row;
            }
            daemon.post(&format!("/api/v1/migrations/{id}/run"), &json!({"step": step}));
        }
    }
    daemon.wait_for(id, &[until])
}

/// Makes an owner record what version 0.1 has written.
fn forget_who_asked(path: &Path) {
    let text = fs::read_to_string(path).expect("an owner record");
    let (at, end) = (text.find(r#","asked":"#).expect("who asked"), text.len());
    let record = format!("{}}}", &text[text.find(r#""record":"#).expect("a record") + 9..at]);
    assert!(text[at..end].ends_with("}}}"), "{text}");
    let crc32 = crc32fast::hash(record.as_bytes());
    fs::write(path, format!(r#"{{"format":1,"crc32":"{crc32:08x}","record":{record}}}"#)).expect("a file");
}

#[test]
fn a_lost_journal_forgets_no_promise() {
    for damage in ["deleted", "garbage", "truncated"] {
        let (node, key) = interrupted();
        let journal = node.dir.path().join("state/journal.db");
        match damage {
            "deleted" => fs::remove_dir_all(node.dir.path().join("state")).expect("a state directory"),
            "garbage" => fs::write(&journal, vec![0x5a; 50_000]).expect("a file"),
            _ => fs::write(&journal, &fs::read(&journal).expect("a file")[..1000]).expect("a file"),
        }
        let daemon = node.start();
        let id = waits_for_an_operator(&daemon, "auto");
        daemon.act(id, &json!({"cutover": null}));
        daemon.wait_until_idle();
        let answer = daemon.status(key);
        assert_eq!(answer["msg"], "migration task has finished successfully", "{damage}: {answer}");
        daemon.stop();
        assert_eq!(node.assert_whole()[&key], 1, "{damage}");
    }
}

#[cfg(feature = "fault-injection")]
#[test]
fn a_lost_journal_and_a_kill_in_the_next_start_together_forget_no_promise() {
    for point in ["next_id_raised", "promises_accepted"] {
        let (mut node, key) = interrupted();
        fs::remove_dir_all(node.dir.path().join("state")).expect("a state directory");
        node.env = vec![("TABLETD_FAIL_POINT", format!("{point}=kill"))];
        assert!(node.try_start().is_err(), "{point} was never reached");
        node.env.clear();
        let daemon = node.start();
        let id = stands_before_its_swap(&daemon);
        daemon.act(id, &json!({"cutover": null}));
        daemon.wait_until_idle();
        let answer = daemon.status(key);
        assert_eq!(answer["msg"], "migration task has finished successfully", "{point}: {answer}");
        assert_eq!(daemon.get("/api/v1/migrations")["total"], 1, "{point}: accepted once");
        daemon.stop();
        assert_eq!(node.assert_whole()[&key], 1, "{point}");
        assert_eq!(read_dir_names(&node.roots[1].join("migrating")), Vec::<String>::new(), "{point}");
    }
}

#[test]
fn a_journal_of_a_newer_release_is_refused_and_not_touched() {
    let mut node = Node::new(2);
    node.add_tablet(0, 7, &[1000]);
    node.start().stop();
    let journal = node.dir.path().join("state/journal.db");
    let db = rusqlite::Connection::open(&journal).expect("a database");
    db.execute_batch("PRAGMA user_version = 9999").expect("a pragma");
    drop(db);
    let before = fs::read(&journal).expect("a file");
    let said = node.try_start().err().expect("a refusal");
    assert!(said.contains("9999"), "{said}");
    assert!(before == fs::read(&journal).expect("a file"));
}

#[test]
fn the_higher_generation_owns_and_the_other_goes_to_trash() {
    let mut node = Node::new(2);
    let key = node.add_tablet(0, 7, &[5000]);
    node.add_tablet(1, 7, &[5000]);
    let mut newer: TabletRecord = records(&node.roots[1]).expect("records").pop().expect("a record");
    newer.generation = 5;
    node.write_record(&node.roots[1], &newer);
    let daemon = node.start();
    assert_eq!(daemon.get("/api/v1/tablets/7")["disk"], node.disk(1));
    assert_eq!(daemon.get("/api/v1/trash")["total"], 1);
    // A new generation is above everything seen.
    let done = daemon.wait_for(daemon.accept(key, &node.disk(0)), &["completed", "failed"]);
    assert_eq!(done["receipt"]["generation"], 6);
    daemon.stop();
    assert_eq!(node.assert_whole()[&key], 0);
}

#[test]
fn a_newer_copy_with_a_missing_file_is_set_aside_and_the_good_one_serves() {
    let mut node = Node::new(2);
    let key = node.add_tablet(0, 7, &[5000, 6000]);
    node.add_tablet(1, 7, &[5000, 6000]);
    let mut newer: TabletRecord = records(&node.roots[1]).expect("records").pop().expect("a record");
    newer.generation = 5;
    node.write_record(&node.roots[1], &newer);
    fs::remove_file(node.tablet_dir(1, key).join("02000001_0.dat")).expect("a file");
    let daemon = node.start();
    assert_eq!(daemon.get("/api/v1/tablets/7")["disk"], node.disk(0));
    daemon.stop();
    assert_eq!(read_dir_names(&node.roots[1].join("quarantine")).len(), 1);
    assert_eq!(node.assert_whole()[&key], 0);
    // What was set aside is above what a new move may get.
    let daemon = node.start();
    let done = daemon.wait_for(daemon.accept(key, &node.disk(1)), &["completed", "failed"]);
    assert_eq!(done["receipt"]["generation"], 6, "{done:#}");
    daemon.stop();
}

#[test]
fn a_damaged_record_hides_no_other_tablet_and_is_not_deleted() {
    let mut node = Node::new(2);
    let key = node.add_tablet(0, 7, &[5000]);
    node.add_tablet(0, 8, &[5000]);
    let file = node.roots[0].join("meta/7_555.json");
    let text = fs::read_to_string(&file).expect("a record").replace("\"generation\":1", "\"generation\":7");
    fs::write(&file, &text).expect("a record");
    let daemon = node.start();
    assert_eq!(daemon.run(key, &node.disk(1))["error_code"], "TABLET_UNAVAILABLE");
    assert_eq!(daemon.get("/api/v1/tablets/8")["disk"], node.disk(0));
    daemon.stop();
    assert_eq!(fs::read_to_string(&file).expect("a record"), text);
    assert!(node.tablet_dir(0, key).join("02000000_0.dat").exists());
}

#[test]
fn while_a_disk_is_missing_nothing_old_is_served_and_nothing_is_swept() {
    let mut node = Node::new(2);
    let key = node.add_tablet(0, 7, &[5000]);
    let daemon = node.start();
    daemon.wait_for(daemon.accept(key, &node.disk(1)), &["completed"]);
    daemon.stop();
    // The disk that owns the tablet now is gone; the old copy is in the trash of the other.
    let away = node.dir.path().join("away");
    fs::rename(&node.roots[1], &away).expect("a rename");
    let said = node.try_start().err().expect("a refusal without ignore_broken_disk");
    assert!(said.contains("ignore_broken_disk"), "{said}");
    node.settings = "ignore_broken_disk = true".to_owned();
    let daemon = node.start();
    let answer = daemon.run(key, &node.disk(0));
    assert_eq!(answer["error_code"], "TABLET_UNAVAILABLE", "{answer}");
    assert!(answer["reason"].as_str().is_some_and(|why| why.contains(&node.disk(1))), "{answer}");
    let shown = daemon.get("/api/v1/tablets/7");
    assert_eq!(shown["error_code"], "TABLET_UNAVAILABLE", "{shown}");
    let status = daemon.get("/api/v1/status");
    let named = &status["unavailable_tablets"][0];
    assert_eq!((&status["tablets_unavailable"], &named["tablet_id"]), (&json!(1), &json!(7)), "{status:#}");
    assert!(named["unavailable"].as_str().is_some_and(|why| why.contains(&node.disk(1))), "{status:#}");
    let restored = daemon.post("/api/restore_tablet?tablet_id=7&schema_hash=555", &json!({}));
    assert_ne!(restored["status"], "OK", "an old copy was brought back beside an owner that is only away");
    daemon.stop();
    // An empty directory in its place is a disk that is not mounted, not a new one.
    fs::create_dir(&node.roots[1]).expect("a mount point");
    let daemon = node.start();
    let disks = daemon.get("/api/v1/disks");
    assert!(disks.to_string().contains("not mounted"), "{disks:#}");
    daemon.stop();
    assert_eq!(read_dir_names(&node.roots[1]), Vec::<String>::new());
    fs::remove_dir(&node.roots[1]).expect("an empty directory");
    fs::rename(&away, &node.roots[1]).expect("a rename");
    let daemon = node.start();
    assert_eq!(daemon.get("/api/v1/tablets/7")["disk"], node.disk(1));
    daemon.stop();
    assert_eq!(node.assert_whole()[&key], 1);
}

#[test]
fn ten_thousand_leftovers_are_swept_at_one_start() {
    let mut node = Node::new(2);
    let key = node.add_tablet(0, 7, &[5000]);
    crate::harness::make_root(&node.roots[1]);
    for n in 0..10_000 {
        fs::create_dir_all(node.roots[1].join(format!("migrating/{n}/files"))).expect("a directory");
    }
    let daemon = node.start();
    daemon.wait_for(daemon.accept(key, &node.disk(1)), &["completed"]);
    daemon.stop();
    assert_eq!(node.assert_whole()[&key], 1);
}

#[test]
fn a_migration_that_waits_for_a_missing_disk_can_be_aborted() {
    let (mut node, key) = interrupted();
    let away = node.dir.path().join("away");
    fs::rename(&node.roots[1], &away).expect("a rename");
    node.settings = "ignore_broken_disk = true".to_owned();
    let daemon = node.start();
    let migration = daemon.migration(1);
    assert_eq!(migration["status"], "queued", "{migration:#}");
    daemon.post("/api/v1/migrations/1/action", &json!({"abort": {}}));
    daemon.wait_for(1, &["aborted"]);
    // The tablet is free for another destination at once.
    daemon.wait_for(daemon.accept(key, &node.disk(2)), &["completed"]);
    daemon.stop();
    // What the aborted one left is swept when its disk is back.
    fs::rename(&away, &node.roots[1]).expect("a rename");
    let daemon = node.start();
    assert_eq!(daemon.get("/api/v1/tablets/7")["disk"], node.disk(2));
    daemon.stop();
    assert_eq!(node.assert_whole()[&key], 2);
}

#[test]
fn an_old_copy_that_could_not_be_retired_is_not_served_while_its_successor_is_away() {
    let mut node = Node::new(2);
    let key = node.add_tablet(0, 7, &[5000, 300_000]);
    let daemon = node.start();
    // The source cannot let go: its trash is no directory any more.
    let (trash, trash_away) = (node.roots[0].join("trash"), node.dir.path().join("trash"));
    fs::rename(&trash, &trash_away).expect("a rename");
    fs::write(&trash, "in the way").expect("a file");
    let done = daemon.wait_for(daemon.accept(key, &node.disk(1)), &["completed", "failed"]);
    assert_eq!(done["status"], "completed", "{done:#}");
    assert!(done["receipt"]["trash_path"].is_null(), "{done:#}");
    daemon.kill();
    assert_eq!(records(&node.roots[0]).expect("records").len(), 1, "the old copy is still on its source");
    fs::remove_file(&trash).expect("a file");
    fs::rename(&trash_away, &trash).expect("a rename");

    let away = node.dir.path().join("away");
    fs::rename(&node.roots[1], &away).expect("a rename");
    node.settings = "ignore_broken_disk = true".to_owned();
    let daemon = node.start();
    let answer = daemon.run(key, &node.disk(0));
    assert_eq!(answer["error_code"], "TABLET_UNAVAILABLE", "{answer}");
    assert!(answer["reason"].as_str().is_some_and(|why| why.contains(&node.disk(1))), "{answer}");
    daemon.stop();
    assert_eq!(records(&node.roots[0]).expect("records").len(), 1, "nothing is retired in the dark");

    fs::rename(&away, &node.roots[1]).expect("a rename");
    let daemon = node.start();
    assert_eq!(daemon.get("/api/v1/tablets/7")["disk"], node.disk(1));
    assert_eq!(daemon.get("/api/v1/trash")["total"], 1);
    daemon.stop();
    assert_eq!(node.assert_whole()[&key], 1);
}

/// As a journal that lost its last pages: the migration is known, and not where its files go.
fn forget_shard(node: &Node) {
    let journal = rusqlite::Connection::open(node.dir.path().join("state/journal.db")).expect("a database");
    let doc: String =
        journal.query_row("SELECT doc FROM migration", [], |row| row.get(0)).expect("one migration");
    let mut row: Value = serde_json::from_str(&doc).expect("JSON");
    assert_eq!(row["destination_shard"].take(), json!(7));
    let doc = row.to_string();
    let changed = journal
        .execute("UPDATE migration SET doc = ?1, doc_crc32 = ?2", (&doc, crc32fast::hash(doc.as_bytes())));
    assert_eq!(changed, Ok(1));
}

#[test]
fn a_placed_copy_is_not_left_behind_when_its_owner_record_is_damaged_or_the_journal_forgot_its_shard() {
    for damage in
        ["deleted", "a digit of its shard", "a bit of its migration's number", "none, but the journal forgot"]
    {
        let mut node = Node::new(2);
        let key = node.add_tablet(0, 7, &[300_000, 40_000]);
        let daemon = node.start();
        let wish =
            json!({"tablet_id": 7, "schema_hash": 555, "dest_disk": node.disk(1), "mode": "manual_cutover"});
        let id = daemon.post("/api/v1/migrations", &wish)["id"].as_u64().expect("an id");
        daemon.wait_for(id, &["ready"]);
        // Durable once something later is.
        daemon.act(id, &json!({"priority": "normal"}));
        daemon.kill();
        // As a kill between the rename to its place and the commit leaves it.
        let staging = node.roots[1].join(format!("migrating/{id}"));
        let place = node.tablet_dir(1, key);
        fs::create_dir_all(place.parent().expect("a shard")).expect("a directory");
        fs::rename(staging.join("files"), &place).expect("a rename");
        let owner = staging.join("owner.json");
        let text = fs::read_to_string(&owner).expect("an owner");
        let flip = |was: &str, is: &str| {
            let damaged = text.replace(was, is);
            assert_ne!(damaged, text, "{damage}: nothing was damaged");
            fs::write(&owner, damaged).expect("a file");
        };
        match damage {
            "deleted" => fs::remove_file(&owner).expect("an owner"),
            "a digit of its shard" => flip("\"shard_id\":7", "\"shard_id\":5"),
            "a bit of its migration's number" => flip("\"migration_id\":1", "\"migration_id\":3"),
            _ => forget_shard(&node),
        }
        let daemon = node.start();
        daemon.act(id, &json!({"cutover": null}));
        let done = daemon.wait_for(id, &["completed", "failed"]);
        assert_eq!(done["status"], "completed", "{damage}: {done:#}");
        daemon.stop();
        assert_eq!(node.assert_whole()[&key], 1, "{damage}");
    }
}
