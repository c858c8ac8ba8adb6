//! Many migrations in one request: an answer for each, all of what is accepted durable before it.

use serde_json::{Value, json};

use crate::harness::{Daemon, HASH, Node};

const MIGRATIONS: &str = "/api/v1/migrations";

/// Item by item: the number it got, or the code it was refused with.
fn answers(list: &Value) -> Vec<Result<u64, String>> {
    let items = list["data"].as_array().unwrap_or_else(|| panic!("no list: {list}"));
    let of = |item: &Value| {
        item["id"]
            .as_u64()
            .ok_or_else(|| item["error_code"].as_str().expect("neither id nor code").to_owned())
    };
    items.iter().map(of).collect()
}

fn send(daemon: &Daemon, headers: &[(&str, &str)], body: &Value) -> Vec<Result<u64, String>> {
    let (status, answer) = daemon.send(MIGRATIONS, headers, body);
    assert_eq!(status, 207, "{answer}");
    let answers = answers(&answer);
    assert_eq!(answer["total"], answers.len());
    assert_eq!(answer["accepted"], answers.iter().flatten().count());
    answers
}

#[test]
fn a_list_is_accepted_item_by_item_and_what_was_accepted_outlives_a_kill_right_after_the_answer() {
    let mut node = Node::new(2);
    let keys: Vec<_> = (1..=300).map(|tablet_id| node.add_tablet(0, tablet_id, &[500])).collect();
    let daemon = node.start();
    let there = node.disk(1);
    // Held at a gate, so that none of them has ended when the daemon is killed.
    let mut items: Vec<_> = (1..=300)
        .map(|tablet_id| json!({"tablet_id": tablet_id, "dest_disk": there, "mode": "manual_cutover"}))
        .collect();
    items.extend([
        json!({"tablet_id": 7, "dest_disk": there}),
        json!({"tablet_id": 999, "dest_disk": there}),
        json!({"tablet_id": 8, "dest_disk": "/nowhere"}),
        json!({"tablet_id": 8, "schema_hash": HASH + 1, "dest_disk": there}),
        json!({"tablet_id": 8, "dest_disk": there, "prio": "high"}),
        json!({"tablet_id": 8}),
        json!({"tablet_id": 8, "dest_disk": there, "dry_run": true}),
        json!({"tablet_id": 0, "dest_disk": there}),
        json!(8),
    ]);
    let answers = send(&daemon, &[], &items.into());
    daemon.kill();
    assert_eq!(answers[..300], (1..=300).map(Ok).collect::<Vec<_>>());
    let refused: Vec<_> =
        answers[300..].iter().map(|answer| answer.as_ref().expect_err("refused").as_str()).collect();
    let expected = [
        "MIGRATION_EXISTS",
        "TABLET_NOT_FOUND",
        "DISK_NOT_FOUND",
        "SCHEMA_HASH_MISMATCH",
        "INVALID_ARGUMENT",
        "INVALID_ARGUMENT",
        "INVALID_ARGUMENT",
        "INVALID_ARGUMENT",
        "INVALID_ARGUMENT",
    ];
    assert_eq!(refused, expected);

    let daemon = node.start();
    let known = daemon.get(&format!("{MIGRATIONS}?limit=1000"));
    assert_eq!(known["total"], 300);
    for (at, migration) in known["data"].as_array().expect("a list").iter().enumerate() {
        assert_eq!(
            (migration["id"].as_u64(), migration["tablet_id"].as_u64()),
            (Some(at as u64 + 1), Some(at as u64 + 1))
        );
    }
    let cut: Vec<_> = (1..=300)
        .map(|id| daemon.send(&format!("{MIGRATIONS}/{id}/action"), &[], &json!({"force_complete": {}})))
        .collect();
    assert!(cut.iter().all(|(status, _)| *status == 202));
    daemon.wait_until_idle();
    daemon.stop();
    let placed = node.assert_whole();
    assert!(keys.iter().all(|key| placed[key] == 1));
}

#[test]
fn a_list_repeated_under_its_key_gives_the_same_numbers_and_tries_again_what_was_refused() {
    let mut node = Node::new(2);
    for tablet_id in 1..=3 {
        node.add_tablet(0, tablet_id, &[500]);
    }
    let daemon = node.start();
    let item =
        |tablet_id: i64| json!({"tablet_id": tablet_id, "dest_disk": node.disk(1), "mode": "stepwise"});
    let header = [("Idempotency-Key", "night")];
    let list = json!([item(1), item(9), item(2)]);
    let first = send(&daemon, &header, &list);
    assert_eq!(first, [Ok(1), Err("TABLET_NOT_FOUND".to_owned()), Ok(2)]);
    daemon.kill();
    let daemon = node.start();
    assert_eq!(send(&daemon, &header, &list), first, "the same list, also after a kill");
    assert_eq!(
        send(&daemon, &header, &json!([item(2), item(3)])),
        [Err("IDEMPOTENCY_MISMATCH".to_owned()), Ok(3)],
        "another request at a place that was accepted; and one at a place that was refused"
    );
    assert_eq!(daemon.get(MIGRATIONS)["total"], 3);
}

#[test]
fn one_too_many_is_refused_by_name_and_nothing_of_it_is_accepted() {
    let mut node = Node::new(2);
    node.add_tablet(0, 1, &[500]);
    let daemon = node.start();
    let item = json!({"tablet_id": 1, "dest_disk": node.disk(1)});
    let (status, answer) = daemon.send(MIGRATIONS, &[], &vec![item; 10_001].into());
    assert_eq!((status, answer["error_code"].as_str()), (400, Some("INVALID_ARGUMENT")), "{answer}");
    let text = answer["error_msg"].as_str().expect("a text");
    assert!(text.contains("10001 migrations in one request, at most 10000"), "{text}");
    assert_eq!(daemon.get(MIGRATIONS)["total"], 0);
    assert_eq!(send(&daemon, &[], &json!([])), []);
}

#[test]
fn a_list_fills_the_queue_to_its_limit_and_not_beyond() {
    let mut node = Node::new(2);
    for tablet_id in 1..=20 {
        node.add_tablet(0, tablet_id, &[500]);
    }
    // Not before twelve hours from now: nothing leaves the queue.
    let hour = |ahead| (chrono::Local::now() + chrono::Duration::hours(ahead)).format("%H").to_string();
    node.settings = format!("migration_queue_size = 12\nmigration_window = {}:00-{}:00", hour(12), hour(13));
    let daemon = node.start();
    let items: Vec<_> = (1..=20).map(|id| json!({"tablet_id": id, "dest_disk": node.disk(1)})).collect();
    let (status, answer) = daemon.send(MIGRATIONS, &[], &items.into());
    assert_eq!(status, 207, "{answer}");
    let answers = answers(&answer);
    assert!(answers[..12].iter().all(Result::is_ok), "{answers:?}");
    assert_eq!(answers[12..], vec![Err("QUEUE_FULL".to_owned()); 8]);
    let text = answer["data"][12]["error_msg"].as_str().expect("a text");
    assert!(text.contains("12 migrations are queued, the limit is migration_queue_size = 12"), "{text}");
}

#[test]
fn tabletctl_submits_what_a_file_names() {
    let mut node = Node::new(2);
    for tablet_id in 1..=5 {
        node.add_tablet(0, tablet_id, &[500]);
    }
    let daemon = node.start();
    let file = node.dir.path().join("tablets.txt");
    let there = node.disk(1);
    let migrate = |lines: &str| {
        std::fs::write(&file, lines).expect("written");
        let file = file.to_str().expect("text");
        let output = daemon.tabletctl(&["migrate", "--from-file", file, "--disk", &there]);
        (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let (status, said) = migrate("1\n2\n3 # the third\n");
    assert_eq!(status, Some(0), "{said}");
    assert!(said.starts_with("accepted 3 of 3: migrations 1 to 3"), "{said}");
    daemon.wait_until_idle();
    let (status, said) = migrate("4\n99\n5\n");
    assert_eq!(status, Some(4), "{said}");
    assert!(said.starts_with("accepted 2 of 3") && said.contains("tablet 99: "), "{said}");
    daemon.wait_until_idle();
    assert_eq!(migrate("").0, Some(2));
}
