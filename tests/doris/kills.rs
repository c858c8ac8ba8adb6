//! kill -9 at every named point of a move between Doris roots, and again while the next run settles it. A backend that is
//! started in between has each tablet exactly once, with the right files; and the next run ends what was begun.

use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use tabletd::doris::database::{Database, Strictness};
use tabletd::doris::keys::Key;
use tabletd::doris::proto::{Change, Message, patch};
use tabletd::model::Status;
use tabletd::storage::{AddedLog, Dir};

use crate::afterwards::{Before, moved};
use crate::fixtures::OnDisk;
use crate::one_shot::{Node, assert_any_start_has_it, content, directory, files, ids_of, said};

/// Every point at which something has just become durable, in order.
const POINTS: [&str; 14] = [
    "accepted",
    "staging_created",
    "data_copied",
    "finalizing_journalled",
    "meta_kept",
    "placed",
    "placed_synced",
    "committed",
    "commit_journalled",
    "record_kept",
    "source_record_retired",
    "source_directory_retired",
    "source_synced",
    "completed",
];

fn node() -> (Node, Vec<Value>) {
    let node = Node::new("clean", &["hdd1", "hdd2"]);
    let kinds = ["fresh", "binlog", "mow", "v1", "ppi", "contained"];
    let all = node.movable(0);
    let chosen =
        kinds.map(|kind| all.iter().find(|tablet| tablet["made_as"] == kind).expect("is there").clone());
    (node, chosen.to_vec())
}

/// Runs a command that dies at a point. Says whether it was reached.
fn killed_at(node: &Node, args: &[&str], point: &str) -> bool {
    let mut command = node.command(args);
    let status = command.env("TABLETD_FAIL_POINT", format!("{point}=kill")).output().expect("runs").status;
    status.code().is_none()
}

fn move_one(node: &Node, tablet: &Value, point: &str) {
    let args = node.move_args(std::slice::from_ref(tablet), 1);
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    assert!(killed_at(node, &args, point), "{point} was never reached");
}

/// The move has come to its end, whatever began it.
fn assert_ended(node: &Node, tablet: &Value, about: &str) {
    assert_any_start_has_it(node, tablet, Some(1), about);
    let ids = ids_of(tablet);
    assert!(node.found(0, ids).is_none(), "{about}: the source's record");
    let row = &node.rows()[&ids.tablet_id];
    assert_eq!(row.status, Status::Completed, "{about}");
    let shard = tablet["shard"].as_i64().expect("a number");
    assert!(!directory(&node.roots[0], shard, ids).exists(), "{about}: the source's directory");
    let retired = node.roots[0].join(format!(".tabletd/retired/{}/{}", row.id, ids.tablet_id));
    let wanted = tablet["files"].as_array().expect("a list").len();
    // And its header.
    assert!(files(&retired).len() > wanted, "{about}: what was retired");
    let left = fs::read_dir(node.roots[1].join(".tabletd/migrating")).expect("is there").count();
    assert_eq!(left, 0, "{about}: staging");
}

#[test]
fn a_kill_at_every_point_and_a_backend_or_the_next_run_after_it() {
    for (nth, point) in POINTS.iter().enumerate() {
        let (node, tablets) = node();
        let tablet = &tablets[nth % tablets.len()];
        let others = (content(&node.database(0)).len(), content(&node.database(1)).len());
        move_one(&node, tablet, point);
        assert_any_start_has_it(&node, tablet, None, point);
        let output = node.run(&["resume"]);
        assert!(output.status.success(), "{point}: {}", said(&output));
        assert_ended(&node, tablet, point);
        let keys = tablet["keys"].as_array().expect("a list").len();
        assert_eq!(content(&node.database(0)).len(), others.0 - keys, "{point}: keys of others");
        // A second one has nothing to do.
        let output = node.run(&["resume"]);
        assert!(said(&output).contains("nothing was left"), "{point}: {}", said(&output));
    }
}

#[test]
fn a_second_kill_while_the_first_is_settled() {
    for (nth, first) in POINTS.iter().enumerate() {
        for (later, second) in POINTS.iter().enumerate().skip(1) {
            // Each pair once in three: the whole square takes long.
            if (nth + later) % 3 != 0 {
                continue;
            }
            let about = format!("{first}, then {second}");
            let (node, tablets) = node();
            let tablet = &tablets[(nth + later) % tablets.len()];
            move_one(&node, tablet, first);
            killed_at(&node, &["resume"], second);
            assert_any_start_has_it(&node, tablet, None, &about);
            let output = node.run(&["resume"]);
            assert!(output.status.success(), "{about}: {}", said(&output));
            assert_ended(&node, tablet, &about);
        }
    }
}

/// One run that only accepted a move, and another that made it: both tablets are where they were, whoever accepted them.
#[test]
fn what_one_run_accepted_and_another_made_is_taken_back_whole() {
    for point in &POINTS[..4] {
        let (node, tablets) = node();
        let before = Before::of(&node);
        move_one(&node, &tablets[0], point);
        let args = node.move_args(&tablets[1..2], 1);
        let output = node.run(&args.iter().map(String::as_str).collect::<Vec<_>>());
        assert!(output.status.success(), "{point}: {}", said(&output));
        let output = node.run(&["undo", "--yes"]);
        assert!(output.status.success(), "{point}: {}", said(&output));
        for tablet in &tablets[..2] {
            assert_any_start_has_it(&node, tablet, Some(0), point);
        }
        assert!(Before::of(&node) == before, "{point}: undone");
    }
}

/// A signal in the middle of a run: the tablet under way stays whole where it was, no further one is begun, and the same
/// command goes on.
#[test]
fn a_signal_ends_a_run_between_two_tablets() {
    let (node, tablets) = node();
    let args = node.move_args(&tablets[..3], 1);
    let mut command = node.command(&args.iter().map(String::as_str).collect::<Vec<_>>());
    command.env("TABLETD_FAIL_POINT", "staging_created=stop").stderr(Stdio::null()).stdout(Stdio::null());
    let mut child = command.spawn().expect("runs");
    let pid = Pid::from_raw(i32::try_from(child.id()).expect("a pid"));
    let deadline = Instant::now() + Duration::from_secs(60);
    let is_stopped = || {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).expect("is there");
        stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('T'))
    };
    while !is_stopped() {
        assert!(Instant::now() < deadline, "it never came to the copy");
        std::thread::sleep(Duration::from_millis(10));
    }
    kill(pid, Signal::SIGTERM).expect("is there");
    kill(pid, Signal::SIGCONT).expect("is there");
    assert_eq!(child.wait().expect("ends").code(), Some(1), "it says that something is left");
    for tablet in &tablets[..3] {
        assert_any_start_has_it(&node, tablet, Some(0), "stopped");
    }
    let left = fs::read_dir(node.roots[1].join(".tabletd/migrating")).expect("is there").count();
    assert_eq!(left, 0, "staging");
    let output = node.run(&args.iter().map(String::as_str).collect::<Vec<_>>());
    assert!(output.status.success(), "{}", said(&output));
    tablets[..3].iter().for_each(|tablet| assert_any_start_has_it(&node, tablet, Some(1), "gone on"));
}

/// What a backend does to a copy at its start: its record saved with another state, or as it was with a later version.
fn rewrite(root: &Path, tablet: &Value, state: u64) {
    let meta = root.join("meta");
    let database = Database::open(&OnDisk(meta.clone()), Strictness::Refuse).expect("opens");
    let key = Key::tablet(ids_of(tablet)).into_bytes();
    let record = database.get(&key).expect("readable").expect("is there");
    // State, and a number that every backend keeps up to date.
    let changes = [(8, Change::Number(state)), (7, Change::Number(77))];
    let record = patch(&Message::parse(&record).expect("walks"), &changes, &[]).expect("walks");
    let mut log = AddedLog::after(Dir::open_absolute(&meta).expect("opens"), &database);
    let mut batch = log.batch();
    batch.put(&key, &record);
    log.append(batch).expect("is appended");
}

/// Both copies are whole when the backend starts; it keeps the destination's, and saves the other as SHUTDOWN.
#[test]
fn what_a_backend_has_done_meanwhile_is_not_undone() {
    const RUNNING: u64 = 1;
    const SHUTDOWN: u64 = 4;
    for (point, at_source, at_destination, status) in [
        ("commit_journalled", Some(SHUTDOWN), Some(RUNNING), Status::Completed),
        ("committed", Some(SHUTDOWN), None, Status::Completed),
        ("committed", Some(RUNNING), Some(SHUTDOWN), Status::Failed),
        ("committed", Some(RUNNING), Some(RUNNING), Status::Failed),
        ("data_copied", Some(RUNNING), None, Status::Failed),
        ("placed_synced", Some(RUNNING), None, Status::Failed),
        ("source_record_retired", None, Some(RUNNING), Status::Completed),
    ] {
        let (node, tablets) = node();
        let tablet = &tablets[0];
        let about = format!("{point}, {at_source:?}, {at_destination:?}");
        move_one(&node, tablet, point);
        for (root, state) in [(0, at_source), (1, at_destination)] {
            if let Some(state) = state {
                rewrite(&node.roots[root], tablet, state);
            }
        }
        let before = [content(&node.database(0)), content(&node.database(1))];
        let output = node.run(&["resume"]);
        assert!(output.status.code().is_some(), "{about}: {}", said(&output));
        assert!(before == [content(&node.database(0)), content(&node.database(1))], "{about}: a database");
        let row = &node.rows()[&ids_of(tablet).tablet_id];
        assert_eq!(row.status, status, "{about}: {}", said(&output));
        // Whatever serves has its files.
        for root in [0, 1] {
            let Some(found) = node.found(root, ids_of(tablet)) else { continue };
            let record = found.record.expect("parses");
            let there = files(&directory(&node.roots[root], record.shard, ids_of(tablet)));
            for file in tablet["files"].as_array().expect("a list") {
                assert!(there.contains_key(file[0].as_str().expect("a name")), "{about}: {file}");
            }
        }
        let left = fs::read_dir(node.roots[1].join(".tabletd/migrating")).expect("is there").count();
        assert!(left == 0 || status == Status::Failed, "{about}: staging");
    }
}

/// As above, where the destination has a copy that a backend has retired.
#[test]
fn a_kill_at_every_point_of_a_move_onto_a_retired_copy() {
    for point in POINTS.iter().copied().chain(["replaced_put_away"]) {
        let node = Node::new("killed", &["hdd1", "hdd2"]);
        let tablet =
            node.movable(0).into_iter().find(|tablet| tablet["tablet_id"] == 33338).expect("is there");
        let old = node.found(1, ids_of(&tablet)).expect("is there").record.expect("parses");
        move_one(&node, &tablet, point);
        assert_any_start_has_it(&node, &tablet, None, point);
        let output = node.run(&["resume"]);
        assert!(output.status.success(), "{point}: {}", said(&output));
        assert_ended(&node, &tablet, point);
        assert!(
            !directory(&node.roots[1], old.shard, old.ids).exists(),
            "{point}: a stray of the wrong shard"
        );
    }
}

#[test]
fn a_kill_while_a_run_is_taken_back() {
    for point in ["undo_directories_back", "undo_sources_back", "undo_destinations_forgotten"] {
        let (node, tablets, before) = moved();
        assert!(killed_at(&node, &["undo", "--yes"], point), "{point} was never reached");
        for tablet in &tablets {
            assert_any_start_has_it(&node, tablet, None, point);
        }
        let output = node.run(&["undo", "--yes"]);
        assert!(output.status.success(), "{point}: {}", said(&output));
        assert!(Before::of(&node) == before, "{point}");
        for tablet in &tablets {
            assert_any_start_has_it(&node, tablet, Some(0), point);
        }
    }
}
