//! A node of which no disk can serve: one that has run starts all the same, serves nothing, says so, and takes the verbs that
//! bring disks back.

use std::process::Stdio;

use serde_json::{Value, json};

use crate::harness::mounts::{Image, Mounted};
use crate::harness::{Daemon, Node};

fn health(daemon: &Daemon) -> Value {
    daemon.get("/api/health")
}

fn condition(daemon: &Daemon, path: &str) -> Value {
    daemon.get(&format!("/api/v1/disks/show?path={path}"))["condition"].clone()
}

#[test]
fn a_node_whose_disks_are_all_out_starts_serves_nothing_and_takes_the_verbs() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let Some(first) = Image::ext4(dir.path(), "disk0", 32 << 20) else { return };
    let Some(second) = Image::ext4(dir.path(), "disk1", 32 << 20) else { return };
    let mut node = Node::on(dir, vec![first.path().to_owned(), second.path().to_owned()]);
    let (comes_back, given_up) = (node.add_tablet(0, 7, &[1000]), node.add_tablet(1, 8, &[1000]));
    node.start().stop();
    first.unmount().expect("nothing holds it");
    second.unmount().expect("nothing holds it");
    let Some(_blank) = Mounted::on(&[second.path().to_owned()]) else { return };

    // Where a broken disk is a reason not to start, the refusal says what makes the verbs that it names possible.
    let said = node.try_start().err().expect("a refusal");
    assert!(said.contains("disk replace") && said.contains("ignore_broken_disk = true"), "{said}");

    node.settings = "ignore_broken_disk = true\ndisk_stat_monitor_interval = 1".to_owned();
    let checked = node.command().arg("--check-config").stdout(Stdio::piped()).output().expect("the daemon");
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
    let daemon = node.start();
    let (path, blank) = (node.disk(0), node.disk(1));
    assert!(daemon.said().contains("no disk can serve"), "{}", daemon.said());
    let ill = health(&daemon);
    assert_eq!(ill["status"], "no_disk", "{ill:#}");
    assert!(ill["msg"].as_str().is_some_and(|why| why.contains(&path) && why.contains(&blank)), "{ill:#}");
    assert_eq!(daemon.get("/api/v1/tablets")["data"][0]["disk"], Value::Null);
    assert_eq!(daemon.run(comes_back, &blank)["status"], "Fail");
    assert_eq!(condition(&daemon, &path), "broken");

    let replaced = daemon.tabletctl(&["disk", "replace", &blank, "--yes"]);
    assert!(replaced.status.success(), "{}", String::from_utf8_lossy(&replaced.stderr));
    assert_eq!(condition(&daemon, &blank), "online");
    assert_eq!(health(&daemon)["status"], "OK");
    assert_eq!(daemon.get("/api/v1/tablets/8")["error_code"], "TABLET_NOT_FOUND", "{given_up}");

    first.mount().expect("mounted again");
    assert!(daemon.becomes(|| condition(&daemon, &path) == "online"), "{}", daemon.said());
    daemon.wait_for(daemon.accept(comes_back, &blank), &["completed"]);
    daemon.stop();
}

#[test]
fn a_node_that_loses_its_last_disk_while_it_runs_says_so_as_well() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let Some(image) = Image::ext4(dir.path(), "disk0", 32 << 20) else { return };
    let mut node = Node::on(dir, vec![image.path().to_owned()]);
    node.settings = "disk_stat_monitor_interval = 1".to_owned();
    node.add_tablet(0, 7, &[1000]);
    let daemon = node.start();
    assert_eq!(health(&daemon)["status"], "OK");
    image.pull();
    assert!(daemon.becomes(|| health(&daemon)["status"] == "no_disk"), "{}", daemon.said());
}

#[test]
fn a_first_start_without_a_disk_is_refused() {
    let mut node = Node::new(1);
    node.roots[0] = node.dir.path().join("nowhere");
    node.settings = "ignore_broken_disk = true".to_owned();
    for _ in 0..2 {
        let said = node.try_start().err().expect("a refusal");
        assert!(said.contains("no disk can serve; mend one of them"), "{said}");
    }
}

#[test]
fn whoever_is_refused_because_of_a_disabled_disk_is_told_how_to_enable_it() {
    let mut node = Node::new(2);
    let key = node.add_tablet(0, 7, &[1000]);
    let daemon = node.start();
    let path = node.disk(1);
    daemon.post("/api/v1/disks/disable", &json!({"path": path}));
    let refused = daemon.run(key, &path).to_string();
    assert!(refused.contains(&format!("tabletctl disk enable {path}")), "{refused}");
    daemon.stop();
}
