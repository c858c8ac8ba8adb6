//! `--fe`: what a run asks the cluster's frontend before its backend goes down. The frontend is a stub on loopback, with the
//! paths and answers of the real one (`GET /api/show_proc`, `GET /rest/v1/config/fe/`).

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use crate::one_shot::{Node, ids_of, said};

/// What it answers, by path and the one parameter that matters; and what it was asked.
struct Stub {
    address: String,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Stub {
    fn start(answers: BTreeMap<String, Value>, authorization: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("bound").to_string();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let told = Arc::clone(&asked);
        // Ends with the test's process: nothing waits for it.
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                answer(&stream.expect("a connection"), &answers, authorization, &told);
            }
        });
        Self { address, asked }
    }
}

fn answer(
    stream: &TcpStream,
    answers: &BTreeMap<String, Value>,
    authorization: &str,
    asked: &Mutex<Vec<String>>,
) {
    let mut lines = BufReader::new(stream).lines().map_while(Result::ok);
    while let Some(first) = lines.next() {
        let head: Vec<String> = lines.by_ref().take_while(|line| !line.is_empty()).collect();
        let target = first.split(' ').nth(1).expect("a target").replace("%2F", "/");
        let is_let_in = head
            .iter()
            .any(|line| line.to_lowercase().starts_with("authorization") && line.ends_with(authorization));
        asked.lock().expect("whole").push(target.clone());
        let (path, query) = target.split_once('?').unwrap_or((&target, ""));
        let value = query
            .split('&')
            .find_map(|one| one.strip_prefix("path=").or_else(|| one.strip_prefix("conf_item=")));
        let key = format!("{path} {}", value.unwrap_or_default());
        let body = match answers.get(&key) {
            _ if !is_let_in => {
                json!({"msg": "Unauthorized", "code": 401, "data": "Access denied for root@127.0.0.1", "count": 0})
            }
            Some(data) => json!({"msg": "success", "code": 0, "data": data, "count": 0}),
            None => json!({"msg": "Internal Error", "code": 1, "data": format!("no {key}"), "count": 0}),
        };
        let body = body.to_string();
        let head = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        let mut writer = stream;
        writer.write_all((head + &body).as_bytes()).expect("somebody reads");
    }
}

fn setting(name: &str, value: &str) -> (String, Value) {
    let rows = json!({"column_names": ["Name", "Value"], "rows": [{"Value": value, "Name": name}]});
    (format!("/rest/v1/config/fe/ {name}"), rows)
}

/// The tree in which a frontend has these tablets: the first of each partition has one replica, the others three.
fn tree(tablets: &[(i64, i64, i64)]) -> BTreeMap<String, Value> {
    let mut answers = BTreeMap::new();
    let mut rows = |path: String, row: Value| {
        let all = answers.entry(format!("/api/show_proc {path}")).or_insert_with(|| json!([]));
        let all = all.as_array_mut().expect("rows");
        if !all.contains(&row) {
            all.push(row);
        }
    };
    rows("/dbs".into(), json!(["10", "db1", "2"]));
    rows("/dbs".into(), json!(["0", "information_schema", "2"]));
    rows("/dbs/0".into(), json!(["1", "tables", "0"]));
    for (nth, (tablet, table, partition)) in tablets.iter().enumerate() {
        rows("/dbs/10".into(), json!([table.to_string(), format!("t{table}"), "1"]));
        rows(format!("/dbs/10/{table}/partitions"), json!([partition.to_string(), "p"]));
        rows(format!("/dbs/10/{table}/partitions/{partition}"), json!(["77", "t"]));
        for replica in 0..(if nth == 0 { 1 } else { 3 }) {
            let row = json!([tablet.to_string(), (900 + replica).to_string(), "10001", "1"]);
            rows(format!("/dbs/10/{table}/partitions/{partition}/77"), row);
        }
    }
    for (_, table, _) in tablets {
        answers.insert(format!("/api/show_proc /dbs/10/{table}/temp_partitions"), json!([]));
    }
    answers
}

/// Tablet, table and partition of all that can move.
fn movable(node: &Node) -> Vec<(i64, i64, i64)> {
    let each = node.movable(0).into_iter().filter_map(|tablet| {
        let record = node.found(0, ids_of(&tablet))?.record.ok()?;
        Some((ids_of(&tablet).tablet_id, record.table_id, record.partition_id))
    });
    each.collect()
}

#[test]
fn single_replicas_and_the_repair_delay_are_looked_at_before_anything_moves() {
    let node = Node::new("clean", &["hdd1", "hdd2"]);
    let tablets: Vec<(i64, i64, i64)> = movable(&node).into_iter().take(4).collect();
    // One that it does not know.
    let mut answers = tree(&tablets[..3]);
    for place in ["partitions", "temp_partitions"] {
        answers
            .entry(format!("/api/show_proc /dbs/10/{}/{place}", tablets[3].1))
            .or_insert_with(|| json!([]));
    }
    answers.extend([
        setting("tablet_repair_delay_factor_second", "1"),
        setting("disable_disk_balance", "false"),
    ]);
    // root without a password.
    let stub = Stub::start(answers, "Basic cm9vdDo=");
    let ids: Vec<String> = tablets.iter().map(|(tablet, ..)| tablet.to_string()).collect();
    let to = node.path(1);
    let mut args = vec!["move", "--to", &to, "--fe", &stub.address];
    ids.iter().for_each(|id| args.extend(["--tablet", id]));
    let mut json_args = args.clone();
    json_args.extend(["--dry-run", "--json"]);
    let output = node.run(&json_args);
    let report: Value =
        serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", said(&output)));
    let frontend = &report["frontend"];
    assert_eq!(frontend["single_replicas"], json!([tablets[0].0]), "{frontend}");
    assert_eq!(frontend["unknown"], json!([tablets[3].0]), "{frontend}");
    assert_eq!((&frontend["repair_delay_sec"], &frontend["disk_balance_is_off"]), (&json!(1), &json!(false)));
    args.push("--dry-run");
    let text = said(&node.run(&args));
    for word in [
        "of 4 tablets, 1 has no other replica",
        "tablet_repair_delay_factor_second",
        "disable_disk_balance",
        "a minute at 100 MB/s",
    ] {
        assert!(text.contains(word), "{word}: {text}");
    }
    // While the backend runs it is asked the same, of all that would move.
    let root = node.path(0);
    let mut command = std::process::Command::new(assert_cmd::cargo::cargo_bin("tabletctl"));
    let output =
        command.args(["doris", "inspect", &root, "--fe", &stub.address, "--json"]).output().expect("runs");
    let found: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", said(&output)));
    assert_eq!(found["frontend"]["single_replicas"], json!([tablets[0].0]), "{}", found["frontend"]);
    assert!(
        stub.asked.lock().expect("whole").iter().all(|target| !target.contains("set")),
        "it is only asked"
    );
    assert!(!node.roots[0].join(".tabletd").exists());
}

#[test]
fn a_frontend_that_does_not_answer_refuses_the_run() {
    let node = Node::new("clean", &["hdd1", "hdd2"]);
    let (id, to) = (node.movable(0)[0]["tablet_id"].to_string(), node.path(1));
    let nobody = TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("bound").to_string();
    let locked = Stub::start(BTreeMap::new(), "Basic somebodyelse");
    let other = Stub::start(BTreeMap::new(), "Basic cm9vdDo=");
    for (address, word) in
        [(&nobody, "refused"), (&locked.address, "Access denied"), (&other.address, "it says no ")]
    {
        let output = node.run(&["move", "--tablet", &id, "--to", &to, "--yes", "--fe", address]);
        let text = said(&output);
        assert!(
            output.status.code() == Some(4) && text.contains(word) && text.contains(address.as_str()),
            "{text}"
        );
        assert!(!node.roots[0].join(".tabletd").exists(), "{text}");
    }
    let output = node.run(&["move", "--tablet", &id, "--to", &to, "--yes", "--fe", "http://x/"]);
    assert!(said(&output).contains("HOST:PORT"), "{}", said(&output));
}
