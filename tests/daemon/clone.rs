//! A disk copied by `ddrescue` is the disk, once it is alone; beside its original it is left out by name.

use std::fs;

use serde_json::{Value, json};

use crate::harness::bad_sectors::BadDisk;
use crate::harness::mounts::Image;
use crate::harness::{Daemon, Node};
use crate::heal::verified;
use crate::unreadable::with_a_bad_sector;

/// The node of [`with_a_bad_sector`] after a first run, and a copy of its bad disk, mounted at another path.
fn cloned() -> Option<(Node, BadDisk, Image)> {
    let (node, bad, _) = with_a_bad_sector()?;
    node.start().stop();
    bad.unmount().expect("nothing holds it");
    bad.rescue(node.dir.path(), "clone")?;
    bad.mount().expect("it was just unmounted");
    let clone = Image::of(node.dir.path(), "clone");
    Some((node, bad, clone))
}

fn condition(daemon: &Daemon, path: &str) -> Value {
    daemon.get(&format!("/api/v1/disks/show?path={path}"))
}

#[test]
fn beside_its_original_a_copy_is_left_out_by_name_wherever_it_stands_in_the_configuration() {
    let Some((mut node, _bad, clone)) = cloned() else { return };
    let (original, copy) = (node.roots[0].clone(), clone.path().to_owned());
    let before = fs::read(copy.join("disk.json")).expect("an identity");
    for roots in [vec![original.clone(), copy.clone()], vec![copy.clone(), original.clone()]] {
        node.roots = roots;
        // Refusing a start is for what is missing: `ignore_broken_disk` is false.
        let daemon = node.start();
        let left_out = condition(&daemon, &copy.display().to_string());
        let why = left_out["condition_reason"].as_str().unwrap_or_default();
        assert_eq!(left_out["condition"], "broken", "{left_out:#}");
        assert!(why.contains(&original.display().to_string()) && why.contains("storage_root_path"), "{why}");
        for tablet in [7, 9, 11] {
            let shown = daemon.get(&format!("/api/v1/tablets/{tablet}"));
            assert_eq!(shown["disk"], json!(original), "{shown:#}");
        }
        daemon.stop();
    }
    assert_eq!(fs::read(copy.join("disk.json")).expect("an identity"), before);
}

#[test]
fn alone_a_copy_is_the_disk_at_its_own_path_or_that_of_the_original() {
    let Some((mut node, bad, clone)) = cloned() else { return };
    let good = node.roots[1].clone();
    for at_the_path_of_the_original in [false, true] {
        if at_the_path_of_the_original {
            clone.unmount().and_then(|()| bad.unmount()).expect("nothing holds them");
            let image = node.dir.path().join("clone.img").display().to_string();
            let mounted =
                std::process::Command::new("mount").args(["-o", "loop", &image]).arg(bad.path()).status();
            assert!(mounted.expect("mount").success());
            node.roots = vec![bad.path().to_owned(), good.clone()];
        } else {
            node.roots = vec![clone.path().to_owned(), good.clone()];
        }
        let daemon = node.start();
        assert_eq!(condition(&daemon, &node.disk(0))["condition"], "online");
        assert_eq!(daemon.get("/api/v1/tablets")["total"], 3);
        // What was not given is zeros here: damage, which is seen.
        let check = verified(&daemon);
        assert_eq!(
            (&check["state"], &check["damaged"][0]["name"]),
            (&json!("damaged"), &json!("02000001_0.dat"))
        );
        let saved = if at_the_path_of_the_original { 11 } else { 9 };
        let key = tabletd::model::TabletKey::new(saved, crate::harness::HASH);
        daemon.wait_for(daemon.accept(key, &node.disk(1)), &["completed"]);
        assert_eq!(daemon.get("/api/v1/tablets/7")["disk"], node.disk(0));
        daemon.stop();
    }
}
