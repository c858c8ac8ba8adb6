//! One migration from the client's side: submitted, watched, finished; stopped and undone; and the way back from trash.

use std::fs;

use nix::sys::signal::Signal;
use serde_json::json;
use tabletd::model::TabletRecord;

use crate::harness::mounts::Mounted;
use crate::harness::tabletctl::wait_until;
use crate::harness::{Daemon, Node, make_root, pseudo_random, read_dir_names, records};

#[test]
fn the_bound_of_history_bounds_the_journal_and_what_lists_show_of_it() {
    let mut node = Node::new(2);
    let key = node.add_tablet(0, 1, &[1000]);
    // One in memory, ten in the journal.
    node.settings = "finished_migration_tasks_size = 1".to_owned();
    let daemon = node.start();
    let ids: Vec<_> = (0..13)
        .map(|n| {
            let id = daemon.accept(key, &node.disk(1 - n % 2));
            daemon.wait_for(id, &["completed"]);
            id
        })
        .collect();
    let total = |daemon: &Daemon| daemon.get("/api/v1/migrations")["total"].as_u64();
    assert!(daemon.becomes(|| total(&daemon) == Some(10)), "{:#}", daemon.get("/api/v1/migrations"));
    daemon.stop();
    let daemon = node.start();
    assert_eq!(total(&daemon), Some(10));
    let kept: Vec<_> = ids.into_iter().filter(|id| daemon.migration(*id)["id"] == *id).collect();
    assert_eq!(kept.len(), 10, "the last ones: {kept:?}");
    daemon.stop();
    assert_eq!(node.assert_whole()[&key], 1);
}

#[test]
fn a_tablet_moves_and_everything_says_so() {
    let mut node = Node::new(2);
    let key = node.add_tablet(0, 15672, &[0, 1, 4096, 70_001, 3_000_000]);
    let daemon = node.start();
    let answer = daemon.run(key, &node.disk(1));
    assert_eq!(answer["msg"], "migration task is successfully submitted.");
    let migration =
        daemon.wait_for(answer["migration_id"].as_u64().expect("a number"), &["completed", "failed"]);
    assert_eq!(migration["status"], "completed", "{migration:#}");
    assert_eq!(migration["disk_total_bytes"], 3_074_098);
    assert_eq!(migration["disk_verified_bytes"], 3_074_098);
    assert_eq!(migration["receipt"]["generation"], 2);
    let steps: Vec<_> =
        migration["steps"].as_array().expect("steps").iter().map(|step| step["step"].clone()).collect();
    assert_eq!(steps, ["preflight", "prepare", "data", "finalize"]);
    let checks = migration["steps"][0]["checks"].as_array().expect("what preflight looked at");
    let names: Vec<_> = checks.iter().map(|check| &check["name"]).collect();
    let all = ["source_disk", "destination_disk", "record", "files", "space", "nothing_in_the_way"];
    assert_eq!(names, all);
    assert!(checks.iter().all(|check| check["status"] == "done" && check["found"] != ""), "{checks:#?}");
    let status = daemon.status(key);
    assert_eq!(status["msg"], "migration task has finished successfully");
    assert_eq!(status["dest_disk"], node.disk(1));
    let header = daemon.get("/api/meta/header/15672");
    assert_eq!((&header["tablet_id"], &header["schema_hash"]), (&json!(15672), &json!(555)));
    daemon.stop();
    assert_eq!(node.assert_whole()[&key], 1);
    assert!(records(&node.roots[0]).expect("records").is_empty());
    // What was finished is known after a restart.
    let daemon = node.start();
    assert_eq!(daemon.status(key)["msg"], "migration task has finished successfully");
    daemon.stop();
}

#[test]
fn there_and_back_again_raises_the_generation() {
    let mut node = Node::new(2);
    let key = node.add_tablet(0, 7, &[10_000]);
    let daemon = node.start();
    for (n, to) in [1, 0, 1, 0].into_iter().enumerate() {
        let done = daemon.wait_for(daemon.accept(key, &node.disk(to)), &["completed", "failed"]);
        assert_eq!(done["receipt"]["generation"], n + 2, "{done:#}");
    }
    daemon.stop();
    assert_eq!(node.assert_whole()[&key], 0);
}

/// Slow enough to be caught in the act.
fn slow(node: &mut Node) {
    node.settings = "disk_rate_limit_bytes_per_sec = 2000000".to_owned();
}

#[test]
fn an_aborted_migration_leaves_nothing_behind() {
    let mut node = Node::new(2);
    slow(&mut node);
    let key = node.add_tablet(0, 7, &[8_000_000]);
    let daemon = node.start();
    let id = daemon.accept(key, &node.disk(1));
    daemon.wait_for(id, &["copying"]);
    daemon.post(&format!("/api/v1/migrations/{id}/action"), &json!({"abort": {}}));
    let migration = daemon.wait_for(id, &["aborted", "completed", "failed"]);
    assert_eq!(migration["status"], "aborted", "{migration:#}");
    let undone = migration["steps"].as_array().expect("steps").iter().find(|step| step["step"] == "abort");
    let said = undone.expect("the step that undid it")["logs"].to_string();
    assert!(said.contains(&format!("removed the copy from {}: ", node.disk(1))), "{migration:#}");
    assert_eq!(daemon.status(key)["msg"], "migration task failed.");
    assert_eq!(node.assert_whole()[&key], 0);
    // The disk and the tablet are free again, at once.
    daemon.get("/api/health");
    let id = daemon.accept(key, &node.disk(1));
    daemon.post(&format!("/api/v1/migrations/{id}/action"), &json!({"abort": {}}));
    daemon.wait_for(id, &["aborted"]);
    daemon.stop();
}

#[test]
fn a_paused_migration_keeps_what_is_verified() {
    let mut node = Node::new(2);
    slow(&mut node);
    let key = node.add_tablet(0, 7, &[1_000_000; 6]);
    let daemon = node.start();
    let id = daemon.accept(key, &node.disk(1));
    wait_until("a file is verified", || {
        daemon.migration(id)["disk_verified_bytes"].as_u64() >= Some(1_000_000)
    });
    daemon.post(&format!("/api/v1/migrations/{id}/action"), &json!({"pause": {}}));
    daemon.wait_for(id, &["paused"]);
    daemon.kill();
    let daemon = node.start();
    assert_eq!(daemon.migration(id)["status"], "paused", "a pause survives a kill");
    daemon.post(&format!("/api/v1/migrations/{id}/action"), &json!({"resume": {}}));
    let migration = daemon.wait_for(id, &["completed", "failed"]);
    assert_eq!(migration["status"], "completed", "{migration:#}");
    assert!(migration["disk_resumed_bytes"].as_u64() >= Some(1_000_000), "{migration:#}");
    daemon.stop();
    assert_eq!(node.assert_whole()[&key], 1);
}

#[test]
fn a_version_that_appears_during_the_copy_is_not_lost() {
    let mut node = Node::new(2);
    slow(&mut node);
    let key = node.add_tablet(0, 7, &[3_000_000]);
    let daemon = node.start();
    let id = daemon.accept(key, &node.disk(1));
    // The source has been looked through by then: a file that no record lists yet would be refused.
    assert!(daemon.becomes(|| daemon.migration(id)["disk_processed_bytes"].as_u64() > Some(0)));
    // A new rowset: one more file, and a record that lists it.
    let bytes = pseudo_random(99, 50_000);
    fs::write(node.tablet_dir(0, key).join("0200ffff_0.dat"), &bytes).expect("a file");
    let mut record: TabletRecord = records(&node.roots[0]).expect("records").pop().expect("one record");
    let mut files = record.manifest.files().to_vec();
    files.push(tabletd::model::FileEntry {
        name: "0200ffff_0.dat".into(),
        size_bytes: 50_000,
        crc32: Some(crc32fast::hash(&bytes)),
    });
    record.manifest = tabletd::model::Manifest::new(files).expect("plain names");
    node.write_record(&node.roots[0], &record);
    node.expected.insert(key, record.manifest);
    let migration = daemon.wait_for(id, &["completed", "failed"]);
    assert_eq!(migration["status"], "completed", "{migration:#}");
    daemon.stop();
    assert_eq!(node.assert_whole()[&key], 1);
}

#[test]
fn a_retired_source_can_be_restored_and_is_purged_only_after_a_check() {
    let mut node = Node::new(2);
    let key = node.add_tablet(0, 7, &[10_000, 200_000]);
    let daemon = node.start();
    daemon.wait_for(daemon.accept(key, &node.disk(1)), &["completed"]);
    let trash = daemon.get("/api/v1/trash");
    assert_eq!(trash["total"], 1, "{trash}");
    let restored = daemon.post("/api/restore_tablet?tablet_id=7&schema_hash=555", &json!({}));
    assert_eq!(restored["msg"], "tablet already exists, can not restore.", "{restored}");
    daemon.stop();
    // The live copy is damaged: the trash must stay.
    let victim = node.tablet_dir(1, key).join("02000000_0.dat");
    let good = fs::read(&victim).expect("a file");
    let mut bad = good.clone();
    bad[5000] ^= 1;
    fs::write(&victim, &bad).expect("a file");
    let daemon = node.start();
    daemon.operate("/api/v1/trash/purge", &json!({"tablet_id": 7}));
    assert_eq!(daemon.get("/api/v1/trash")["total"], 1, "purged beside a damaged live copy");
    daemon.stop();
    // The live copy is lost altogether: the tablet comes back from trash, one generation higher.
    fs::remove_file(node.roots[1].join("meta/7_555.json")).expect("a record");
    fs::remove_dir_all(node.roots[1].join("data/7")).expect("a directory");
    let daemon = node.start();
    let restored = daemon.post("/api/restore_tablet?tablet_id=7&schema_hash=555", &json!({}));
    assert_eq!(restored["status"], "OK", "{restored}");
    daemon.operate("/api/v1/trash/purge", &json!({"tablet_id": 7}));
    assert_eq!(daemon.get("/api/v1/trash")["total"], 0);
    daemon.stop();
    assert_eq!(node.assert_whole()[&key], 0);
    assert_eq!(records(&node.roots[0]).expect("records")[0].generation, 3);
    assert_eq!(read_dir_names(&node.roots[0].join("trash")), Vec::<String>::new());
}

#[test]
fn two_moves_never_share_the_same_space() {
    let mut node = Node::new(2);
    // A disk of its own: what others write and remove beside it would move its limit.
    let Some(_mounted) = Mounted::on(&node.roots[1..]) else { return };
    make_root(&node.roots[1]);
    let keys: Vec<_> = (1..=3).map(|id| node.add_tablet(0, id, &[400_000, 600_000])).collect();
    // None of them ends while others are asked for: the first file passes the limit at once, and the second waits for it.
    node.settings = "disk_rate_limit_bytes_per_sec = 50000".to_owned();
    let daemon = node.start();
    let disks = daemon.get("/api/v1/disks");
    let avail = disks["data"][1]["avail_bytes"].as_u64().unwrap_or_else(|| panic!("{disks:#}"));
    // Room for two and a half.
    let limit = avail - 2_500_000;
    let update = format!("/api/update_config?storage_flood_stage_left_capacity_bytes={limit}&persist=false");
    daemon.post(&update, &json!({}));
    daemon.post("/api/update_config?storage_flood_stage_usage_percent=1&persist=false", &json!({}));
    let answers: Vec<_> = keys.iter().map(|key| daemon.run(*key, &node.disk(1))["status"].clone()).collect();
    assert_eq!(answers, ["Success", "Success", "Fail"]);
    assert_eq!(daemon.run(keys[2], &node.disk(1))["error_code"], "DISK_FULL");
    daemon.stop();
}

/// What the endpoint author's rebalancing scripts do: read the distribution, even it out by count, poll until finished.
#[test]
fn a_partition_is_evened_out_from_the_distribution_alone() {
    let mut node = Node::new(2);
    // One partition: tablet ids that are equal modulo 7.
    for n in 1..=4 {
        node.add_tablet(0, 7 * n + 3, &[2000]);
    }
    let daemon = node.start();
    let counts = || {
        let all = daemon.get("/api/tablets_distribution?group_by=partition");
        let disks = all["data"]["tablets_distribution"][0]["disks"].as_array().expect("disks").clone();
        disks.iter().map(|disk| (disk["disk_path"].clone(), disk["tablets_num"].clone())).collect::<Vec<_>>()
    };
    assert_eq!(
        counts(),
        [(json!(node.disk(0)), json!(4)), (json!(node.disk(1)), json!(0))],
        "an empty disk is listed"
    );
    let one = daemon.get("/api/tablets_distribution?group_by=partition&partition_id=3");
    let disks = one["data"]["tablets_distribution"][0]["disks"].as_array().expect("disks").clone();
    assert_eq!(disks[1]["tablets"], json!([]));
    for tablet in disks[0]["tablets"].as_array().expect("tablets").iter().take(2) {
        let query = format!("tablet_id={}&schema_hash={}", tablet["tablet_id"], tablet["schema_hash"]);
        let to = disks[1]["disk_path"].as_str().expect("a path");
        let answer = daemon.get(&format!("/api/tablet_migration?goal=run&{query}&disk={to}"));
        assert_eq!(answer["status"], "Success", "{answer}");
        while daemon.get(&format!("/api/tablet_migration?goal=status&{query}"))["msg"]
            != "migration task has finished successfully"
        {
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
    }
    assert_eq!(counts(), [(json!(node.disk(0)), json!(2)), (json!(node.disk(1)), json!(2))]);
    daemon.stop();
    node.assert_whole();
}

/// A signal handler writes to a descriptor by its number. In a thread with a table of its own that number is nothing, or a
/// tablet's file: a SIGTERM was lost, and a byte might have been written.
#[test]
fn threads_with_descriptors_of_their_own_take_no_signals() {
    let node = Node::new(2);
    let daemon = node.start();
    let tasks = std::path::PathBuf::from(format!("/proc/{}/task", daemon.pid()));
    // Whoever shares the table of the runtime has its epoll descriptor.
    let shares = |task: &str| {
        let dir = tasks.join(task).join("fd");
        let mut links = read_dir_names(&dir).into_iter().filter_map(|fd| fs::read_link(dir.join(fd)).ok());
        links.any(|link| link.to_string_lossy().contains("eventpoll"))
    };
    let takes = |task: &str, signal: Signal| {
        let status = fs::read_to_string(tasks.join(task).join("status")).unwrap_or_default();
        let blocked = status.lines().find_map(|line| line.strip_prefix("SigBlk:"));
        let blocked = u64::from_str_radix(blocked.unwrap_or_default().trim(), 16).unwrap_or(u64::MAX);
        blocked & (1 << (signal as u32 - 1)) == 0
    };
    let mut own = 0;
    for task in read_dir_names(&tasks).into_iter().filter(|task| !shares(task)) {
        own += 1;
        for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP] {
            assert!(!takes(&task, signal), "thread {task} takes {signal}");
        }
    }
    assert!(own >= 3, "a thread per disk and one for the journal, at least: {own}");
    assert!(takes(&daemon.pid().to_string(), Signal::SIGTERM), "somebody must");
    daemon.stop();
}
