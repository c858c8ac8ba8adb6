//! `tabletd` over the roots of a stopped backend: the API that scripts know, moves and tasks on the journal that
//! `tabletctl doris` uses, and what is refused.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use assert_cmd::cargo::cargo_bin;
use serde_json::{Value, json};

use crate::afterwards::Before;
use crate::one_shot::{Node, assert_any_start_has_it, content, ids_of, said};

const PATIENCE: Duration = Duration::from_secs(60);

/// A daemon over a node's roots. Killed when dropped.
pub(crate) struct Daemon {
    child: Child,
    url: String,
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Daemon {
    /// Starts one; what it said when it does not listen.
    pub(crate) fn start(node: &Node, env: &[(&str, &str)]) -> Result<Self, String> {
        let conf = std::fs::read_to_string(node.conf()).expect("is there");
        if !conf.contains("webserver_port") {
            std::fs::write(node.conf(), conf + "webserver_port = 0\n").expect("writable");
        }
        let mut command = Command::new(cargo_bin("tabletd"));
        command.arg("--conf").arg(node.conf()).stderr(Stdio::piped()).envs(env.iter().copied());
        let mut daemon = Self { child: command.spawn().expect("runs"), url: String::new() };
        let mut told = String::new();
        let mut log = BufReader::new(daemon.child.stderr.take().expect("piped"));
        loop {
            let mut line = String::new();
            if log.read_line(&mut line).expect("text") == 0 {
                return Err(told);
            }
            told.push_str(&line);
            if let Some((_, url)) = line.split_once("listening on ") {
                url.split_whitespace().next().expect("an address").clone_into(&mut daemon.url);
                std::thread::spawn(move || std::io::copy(&mut log, &mut std::io::sink()));
                return Ok(daemon);
            }
        }
    }

    pub(crate) fn ask(&self, method: &str, path: &str, body: Option<&Value>) -> (u16, Value) {
        let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
        let url = format!("{}{path}", self.url);
        let answer = match (method, body) {
            ("GET", _) => agent.get(url).call(),
            (_, Some(body)) => agent.post(url).send_json(body),
            (_, None) => agent.post(url).send_empty(),
        };
        let mut answer = answer.unwrap_or_else(|error| panic!("{method} {path}: {error}"));
        let text = answer.body_mut().read_to_string().expect("text");
        let status = answer.status().as_u16();
        (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
    }

    pub(crate) fn get(&self, path: &str) -> Value {
        self.ask("GET", path, None).1
    }

    /// Asks until the answer is as wanted.
    pub(crate) fn until(&self, path: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let answer = self.get(path);
            if wanted(&answer) {
                return answer;
            }
            assert!(Instant::now() < deadline, "{path}: {answer}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// It has died by itself.
    #[cfg(feature = "fault-injection")]
    pub(crate) fn until_dead(mut self) {
        let deadline = Instant::now() + PATIENCE;
        while self.child.try_wait().expect("waitable").is_none() {
            assert!(Instant::now() < deadline, "it lives");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

fn run_path(tablet: &Value, to: &str) -> String {
    let ids = ids_of(tablet);
    format!(
        "/api/tablet_migration?goal=run&tablet_id={}&schema_hash={}&disk={to}",
        ids.tablet_id, ids.schema_hash
    )
}

fn status_path(tablet: &Value) -> String {
    let ids = ids_of(tablet);
    format!("/api/tablet_migration?goal=status&tablet_id={}&schema_hash={}", ids.tablet_id, ids.schema_hash)
}

#[test]
fn scripts_look_and_move_as_on_native_roots_and_nobody_takes_it_for_a_backend() {
    let node = Node::new("clean", &["hdd1", "hdd2"]);
    let before = Before::of(&node);
    let daemon = Daemon::start(&node, &[]).expect("starts");
    let (status, health) = daemon.ask("GET", "/api/health", None);
    assert_eq!((status, health["status"].as_str()), (503, Some("maintenance")), "{health}");
    // A backend, or a second run, finds the roots locked.
    let output = node.run(&["drain", &node.path(0), "--dry-run"]);
    assert!(said(&output).contains("in use by"), "{}", said(&output));

    let movable = node.movable(0);
    let listed = daemon.get("/tablets_json?limit=all");
    let ids: Vec<i64> = listed["data"]["tablets"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|tablet| tablet["tablet_id"].as_i64().expect("a number"))
        .collect();
    assert!(movable.iter().all(|tablet| ids.contains(&ids_of(tablet).tablet_id)), "{listed}");
    let distribution = daemon.get("/api/tablets_distribution?group_by=partition");
    assert_eq!(distribution["count"].as_u64(), Some(ids.len() as u64), "{distribution}");
    let tablet = movable.iter().find(|tablet| tablet["made_as"] == "fresh").expect("is there");
    let key = ids_of(tablet);
    let header = daemon.get(&format!("/api/meta/header/{}", key.tablet_id));
    assert_eq!(header["tablet_id"].as_i64(), Some(key.tablet_id));
    let rowsets = header["rs_metas"].as_array().expect("a list").len();
    let found = node.found(0, key).expect("is there").record.expect("parses");
    assert!(rowsets > found.rowsets.len(), "fresh rowsets are in it, as in a backend that runs");
    let hashed = daemon.get(&format!("/api/meta/header/{}/{}", key.tablet_id, key.schema_hash));
    assert!(hashed == header);
    let (status, other) = daemon.ask("GET", &format!("/api/meta/header/{}/1234567", key.tablet_id), None);
    assert_eq!(status, 500, "{other}");
    let (_, checked) = daemon.ask("POST", "/api/check_tablet_segment_lost?repair=false", None);
    assert_eq!(
        (checked["status"].as_str(), checked["num"].as_u64()),
        (Some("Success"), Some(0)),
        "{checked}"
    );
    let disks = daemon.get("/api/v1/disks");
    assert_eq!(disks["total"].as_u64(), Some(2), "{disks}");
    assert_eq!(daemon.ask("GET", "/metrics", None).0, 200);
    assert_eq!(daemon.ask("GET", "/api/v1/status", None).0, 200);
    assert!(Before::of(&node) == before && !node.roots[0].join(".tabletd").exists(), "a look writes nothing");

    let sum = |about: &str| {
        let crc = daemon.get(&format!("/api/calc_crc?tablet_id={}", key.tablet_id));
        assert!(crc["file_count"].as_str().is_some_and(|count| count != "0"), "{about}: {crc}");
        (crc["crc_value"].clone(), crc["rowset_count"].clone(), crc["file_count"].clone())
    };
    let crc = sum("before");
    let answer = daemon.get(&run_path(tablet, &node.path(1)));
    assert_eq!(answer["status"].as_str(), Some("Success"), "{answer}");
    let done = "migration task has finished successfully";
    daemon.until(&status_path(tablet), |answer| answer["msg"] == done);
    assert_eq!(sum("after"), crc, "calc_crc before and after");
    let again = daemon.get(&run_path(tablet, &node.path(1)));
    assert_eq!(again["error_code"].as_str(), Some("ALREADY_ON_DISK"), "{again}");
    let row = daemon.get("/api/v1/migrations");
    assert_eq!(row["data"][0]["status"].as_str(), Some("completed"), "{row}");
    // There and back again in one run, and there once more.
    for to in [0, 1] {
        let answer = daemon.get(&run_path(tablet, &node.path(to)));
        assert_eq!(answer["status"].as_str(), Some("Success"), "{answer}");
        daemon.until(&status_path(tablet), |answer| answer["msg"] == done);
        assert_eq!(sum("and again"), crc);
    }
    drop(daemon);
    assert_any_start_has_it(&node, tablet, Some(1), "moved");
}

#[test]
fn the_one_shot_takes_back_what_the_daemon_moved() {
    let node = Node::new("clean", &["hdd1", "hdd2"]);
    let before = Before::of(&node);
    let tablet = &node.movable(0)[0];
    let daemon = Daemon::start(&node, &[]).expect("starts");
    daemon.get(&run_path(tablet, &node.path(1)));
    daemon.until("/api/v1/migrations", |rows| rows["data"][0]["status"] == "completed");
    drop(daemon);
    assert_any_start_has_it(&node, tablet, Some(1), "moved");
    let output = node.run(&["undo", "--yes"]);
    assert!(output.status.success(), "{}", said(&output));
    assert!(Before::of(&node) == before, "undone");
}

#[test]
fn what_does_not_apply_is_refused_by_name_with_the_way_out() {
    let node = Node::new("clean", &["hdd1", "hdd2"]);
    let before = Before::of(&node);
    let daemon = Daemon::start(&node, &[]).expect("starts");
    let id = ids_of(&node.movable(0)[0]).tablet_id;
    for (path, body, way_out) in [
        (format!("/api/v1/tablets/{id}/heal"), json!({}), "another replica"),
        (format!("/api/v1/tablets/{id}/verify"), json!({}), "calc_crc"),
        (format!("/api/v1/tablets/{id}/pin"), json!({"reason": "x"}), "doris move"),
        ("/api/v1/tablets/adopt".to_owned(), json!({"path": "/x/data/1/2/3"}), "doris inspect"),
        ("/api/v1/trash/purge".to_owned(), json!({"all": true}), "doris purge"),
        (
            "/api/v1/migrations".to_owned(),
            json!({"tablet_id": id, "dest_disk": node.path(1), "mode": "stepwise"}),
            "mode auto",
        ),
        (
            "/api/v1/tasks".to_owned(),
            json!({"request": {"kind": "rebalance", "start_points": 3}}),
            "start_points",
        ),
    ] {
        let (status, answer) = daemon.ask("POST", &path, Some(&body));
        let text = answer["error_msg"].as_str().unwrap_or_default();
        assert!((400..500).contains(&status) && text.contains(way_out), "{path}: {status} {answer}");
    }
    let (_, answer) = daemon.ask("POST", "/api/update_config?sys_log_level=WARNING&persist=true", None);
    assert!(answer.to_string().contains("be.conf"), "{answer}");
    assert!(Before::of(&node) == before && !node.dir.path().join("be_custom.conf").exists());
}

#[test]
fn a_node_that_is_not_whole_does_not_start_and_nothing_is_formatted() {
    let node = Node::new("clean", &["hdd1", "hdd2"]);
    let empty = node.dir.path().join("empty");
    std::fs::create_dir(&empty).expect("writable");
    node.configure(&[node.roots[0].clone(), node.roots[1].clone(), empty.clone()]);
    let told = Daemon::start(&node, &[]).err().expect("refused");
    assert!(told.contains("no backend has started with it yet") && told.contains("--without"), "{told}");
    assert!(std::fs::read_dir(&empty).expect("is there").next().is_none(), "{told}");
}

/// Every root of a backend may be unmounted: what is left is empty directories, which look like new disks.
#[test]
fn a_backends_roots_that_are_all_unmounted_are_never_formatted() {
    let node = Node::new("clean", &["hdd1", "hdd2"]);
    let away = |root: &std::path::Path| root.with_extension("away");
    let unmount = || {
        for root in &node.roots {
            std::fs::rename(root, away(root)).expect("moves");
            std::fs::create_dir(root).expect("writable");
        }
    };
    let mount = || {
        for root in &node.roots {
            std::fs::remove_dir(root).expect("nothing was made in it");
            std::fs::rename(away(root), root).expect("moves");
        }
    };
    // A daemon has seen them.
    drop(Daemon::start(&node, &[]).expect("starts"));
    unmount();
    let told = Daemon::start(&node, &[]).err().expect("refused");
    assert!(told.contains("is the disk mounted") || told.contains("not mounted"), "{told}");
    mount();
    // Nobody has: be.conf says whose it is.
    std::fs::remove_dir_all(node.state_dir()).expect("is there");
    let conf = std::fs::read_to_string(node.conf()).expect("is there");
    std::fs::write(node.conf(), conf.clone() + "heartbeat_service_port = 9050\n").expect("writable");
    unmount();
    let told = Daemon::start(&node, &[]).err().expect("refused");
    assert!(told.contains("heartbeat_service_port") && told.contains("nothing was made"), "{told}");
    let checked =
        Command::new(cargo_bin("tabletd")).arg("--check-config").arg("--conf").arg(node.conf()).output();
    let checked = said(&checked.expect("runs"));
    assert!(checked.starts_with("Some(2)") && checked.contains("heartbeat_service_port"), "{checked}");
    mount();
    // Of one root nothing is left but its cluster, and the other is unmounted.
    std::fs::write(node.conf(), conf).expect("writable");
    unmount();
    std::fs::write(node.roots[1].join("cluster_id"), "1234").expect("writable");
    let told = Daemon::start(&node, &[]).err().expect("refused");
    assert!(told.contains("no meta/CURRENT"), "{told}");
    std::fs::remove_file(node.roots[1].join("cluster_id")).expect("is there");
    mount();
    drop(Daemon::start(&node, &[]).expect("starts"));
}

#[test]
fn what_a_killed_daemon_left_of_a_task_the_one_shot_ends() {
    let node = Node::new("clean", &["hdd1", "hdd2"]);
    let tablets = node.movable(0);
    let daemon = Daemon::start(&node, &[]).expect("starts");
    let ids: Vec<i64> = tablets.iter().map(|tablet| ids_of(tablet).tablet_id).collect();
    let request = json!({"kind": "move", "select": {"tablets": ids}, "to": {"disks": [node.path(1)]}});
    let body = json!({"request": request, "completeness": "what_fits", "name": "empty it", "dry_run": false});
    let (status, task) = daemon.ask("POST", "/api/v1/tasks", Some(&body));
    assert_eq!(status, 201, "{task}");
    assert_eq!(task["plan"]["moves"].as_array().expect("a list").len(), tablets.len(), "{task}");
    let path = format!("/api/v1/tasks/{}", task["id"]);
    let (status, answer) = daemon.ask("POST", &format!("{path}/action"), Some(&json!({"start": {}})));
    assert_eq!(status, 202, "{answer}");
    daemon.until(&path, |task| task["moves_completed"].as_u64().is_some_and(|done| done >= 2));
    // kill -9 in the middle of it, wherever that is.
    drop(daemon);
    tablets.iter().for_each(|tablet| assert_any_start_has_it(&node, tablet, None, "killed"));
    let output = node.run(&["resume"]);
    assert!(output.status.success(), "{}", said(&output));
    tablets.iter().for_each(|tablet| assert_any_start_has_it(&node, tablet, Some(1), "drained"));
    assert_eq!(content(&node.database(0)).keys().filter(|key| key.starts_with(b"tabletmeta_")).count(), 0);
    // The next daemon finds the task over.
    let daemon = Daemon::start(&node, &[]).expect("starts");
    let task = daemon.get(&path);
    assert_eq!(task["status"].as_str(), Some("finished"), "{task}");
    assert_eq!(task["moves_completed"].as_u64(), Some(tablets.len() as u64), "{task}");
}

/// What an operator has called off or paused stays so: over a kill, and for a run that knows nothing of it.
#[cfg(feature = "fault-injection")]
#[test]
fn a_move_that_was_called_off_does_not_come_back_and_a_paused_one_is_left() {
    let node = Node::new("clean", &["hdd1", "hdd2"]);
    let tablets = node.movable(0);
    let (called_off, paused) = (&tablets[0], &tablets[1]);
    let daemon = Daemon::start(&node, &[("TABLETD_FAIL_POINT", "staging_created=pause")]).expect("starts");
    for tablet in [called_off, paused] {
        let answer = daemon.get(&run_path(tablet, &node.path(1)));
        assert_eq!(answer["status"].as_str(), Some("Success"), "{answer}");
    }
    let begun = |_: &Value| {
        std::fs::read_dir(node.roots[1].join(".tabletd/migrating")).is_ok_and(|mut all| all.next().is_some())
    };
    let rows = daemon.until("/api/v1/migrations", begun);
    let id = |tablet: &Value| {
        let all = rows["data"].as_array().expect("a list");
        let row = all.iter().find(|row| row["tablet_id"] == tablet["tablet_id"]).expect("is there");
        row["migration_id"].as_u64().or_else(|| row["id"].as_u64()).expect("a number")
    };
    let (first, second) = (id(called_off), id(paused));
    for (number, verb) in [(first, "abort"), (second, "pause")] {
        let path = format!("/api/v1/migrations/{number}/action");
        let (status, answer) = daemon.ask("POST", &path, Some(&json!({ verb: {} })));
        assert!((200..300).contains(&status), "{verb}: {status} {answer}");
    }
    // kill -9 before the copy hears of it.
    drop(daemon);
    let output = node.run(&["resume"]);
    assert!(output.status.code().is_some(), "{}", said(&output));
    let rows = node.rows();
    let status = |tablet: &Value| rows[&ids_of(tablet).tablet_id].status.to_string();
    assert_eq!(
        (status(called_off).as_str(), status(paused).as_str()),
        ("aborted", "paused"),
        "{}",
        said(&output)
    );
    let left = std::fs::read_dir(node.roots[1].join(".tabletd/migrating")).expect("is there").count();
    assert_eq!(left, 0, "what was copied goes");
    let output = node
        .run(&node.move_args(std::slice::from_ref(paused), 1).iter().map(String::as_str).collect::<Vec<_>>());
    assert!(!output.status.success() && said(&output).contains("is paused"), "{}", said(&output));
    let daemon = Daemon::start(&node, &[]).expect("starts");
    let path = format!("/api/v1/migrations/{second}/action");
    let (status, answer) = daemon.ask("POST", &path, Some(&json!({ "resume": {} })));
    assert!((200..300).contains(&status), "{status} {answer}");
    daemon.until(&format!("/api/v1/migrations/{second}"), |row| row["status"] == "completed");
    drop(daemon);
    assert_any_start_has_it(&node, called_off, Some(0), "called off");
    assert_any_start_has_it(&node, paused, Some(1), "went on");
}

#[cfg(feature = "fault-injection")]
#[test]
fn either_ends_what_the_other_began() {
    for point in ["accepted", "data_copied", "placed_synced", "committed", "source_record_retired"] {
        let kill = format!("{point}=kill");
        let env = [("TABLETD_FAIL_POINT", kill.as_str())];
        // The daemon begins, the one shot ends.
        let node = Node::new("clean", &["hdd1", "hdd2"]);
        let tablet = &node.movable(0)[0];
        let daemon = Daemon::start(&node, &env).expect("starts");
        let agent = ureq::Agent::new_with_defaults();
        // At "accepted" it dies before it answers.
        let _ = agent.get(format!("{}{}", daemon.url, run_path(tablet, &node.path(1)))).call();
        daemon.until_dead();
        assert_any_start_has_it(&node, tablet, None, point);
        let output = node.run(&["resume"]);
        assert!(output.status.success(), "{point}: {}", said(&output));
        assert_any_start_has_it(&node, tablet, Some(1), point);

        // And the other way round.
        let node = Node::new("clean", &["hdd1", "hdd2"]);
        let tablet = &node.movable(0)[0];
        let args = node.move_args(std::slice::from_ref(tablet), 1);
        let mut command = node.command(&args.iter().map(String::as_str).collect::<Vec<_>>());
        assert!(command.envs(env).output().expect("runs").status.code().is_none(), "{point}");
        let daemon = Daemon::start(&node, &[]).expect("starts");
        daemon.until("/api/v1/migrations", |rows| rows["data"][0]["status"] == "completed");
        drop(daemon);
        assert_any_start_has_it(&node, tablet, Some(1), point);
    }
}
