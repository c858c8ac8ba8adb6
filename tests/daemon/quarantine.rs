//! What was set aside is shown, comes back where it is good, and goes only when it is not needed or that is said aloud.

use std::fs;

use serde_json::json;

use crate::harness::read_dir_names;
use crate::heal::{flip, moved, verified};

#[test]
fn quarantine_says_what_it_holds_gives_back_what_is_good_and_is_emptied_by_an_admin() {
    let (node, daemon, key) = moved(2);
    let file = node.tablet_dir(1, key).join("02000000_0.dat");
    flip(&file);
    assert_eq!(verified(&daemon)["state"], "damaged");
    assert_eq!(daemon.operate("/api/v1/tablets/7/heal", &json!({}))["state"], "completed");
    let list = daemon.get("/api/v1/quarantine?tablet_id=7");
    let item = &list["data"][0];
    assert_eq!(
        (&list["total"], &item["generation"], &item["disk"]),
        (&json!(1), &json!(2), &json!(node.disk(1)))
    );
    assert!(item["reason"].as_str().is_some_and(|why| why.contains("damaged")), "{item:#}");
    let entry = item["entry"].as_str().expect("a name").to_owned();
    let restore = json!({"disk": node.disk(1), "entry": entry});
    let refused = daemon.operate("/api/v1/quarantine/restore", &restore);
    assert_eq!(refused["error_code"], "ALREADY_ON_DISK", "the tablet lives: {refused:#}");

    // What it holds is mended by hand, and the healed copy is lost: it is as good as that was.
    flip(&node.roots[1].join("quarantine").join(&entry).join("files/02000000_0.dat"));
    fs::remove_dir_all(node.tablet_dir(0, key)).expect("a directory");
    assert_eq!(verified(&daemon)["state"], "damaged");
    let restored = daemon.operate("/api/v1/quarantine/restore", &restore);
    assert_eq!(restored["state"], "completed", "{restored:#}");
    assert_eq!(daemon.get("/api/v1/tablets/7")["disk"], node.disk(1));
    assert_eq!(verified(&daemon)["state"], "passed");

    let page = daemon.get("/api/v1/quarantine?limit=1");
    let text = |name: &str| page["data"][0][name].as_str().expect("a name");
    let marker = format!("{}:{}", text("disk"), text("entry"));
    let rest = daemon.get(&format!("/api/v1/quarantine?marker={marker}"));
    let shown = 1 + rest["data"].as_array().expect("a list").len();
    assert_eq!(page["total"], shown, "every entry is on one page: {rest:#}");
    let purged = daemon.operate("/api/v1/quarantine/purge", &json!({"all": true}));
    assert_eq!(purged["state"], "completed", "{purged:#}");
    assert_eq!(daemon.get("/api/v1/quarantine")["total"], 0);
    let nothing = daemon.operate("/api/v1/quarantine/purge", &json!({"all": true}));
    assert_eq!(nothing["error"]["code"], "QUARANTINE_NOT_FOUND", "{nothing:#}");
    daemon.stop();
    assert_eq!(node.assert_whole()[&key], 1);
}

#[test]
fn the_last_copy_of_a_tablet_leaves_quarantine_only_when_that_is_said_aloud() {
    let (node, daemon, key) = moved(2);
    flip(&node.tablet_dir(1, key).join("02000000_0.dat"));
    assert_eq!(verified(&daemon)["state"], "damaged");
    assert_eq!(daemon.operate("/api/v1/tablets/7/heal", &json!({}))["state"], "completed");
    // And then what it was healed with is lost.
    flip(&node.tablet_dir(0, key).join("02000000_0.dat"));
    let aside = node.roots[1].join("quarantine");
    let before = read_dir_names(&aside);
    let kept = daemon.operate("/api/v1/quarantine/purge", &json!({"all": true}));
    let why = kept["items"][0]["not_done_because"].as_str().unwrap_or_default();
    assert!(why.contains("last copy of tablet 7_555") && why.contains("--last-copy"), "{kept:#}");
    assert_eq!(read_dir_names(&aside), before, "it stays");
    let named = json!({"disk": node.disk(1), "entry": before[0], "last_copy": true});
    let purged = daemon.operate("/api/v1/quarantine/purge", &named);
    assert_eq!(
        (&purged["state"], &purged["items"][0]["done"]),
        (&json!("completed"), &json!(true)),
        "{purged:#}"
    );
    assert!(read_dir_names(&aside).is_empty());
    assert!(fs::exists(node.tablet_dir(0, key)).expect("a look"), "nothing else is touched");
    daemon.stop();
}
