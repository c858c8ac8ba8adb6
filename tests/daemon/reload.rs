//! The configuration of a daemon that runs: read again on SIGHUP or by request, and changed by several at once.

use std::fs;
use std::os::unix::net::UnixDatagram;
use std::time::Duration;

use crate::harness::Node;
use crate::harness::daemon::Daemon;
use crate::harness::tabletctl::tabletctl;

fn in_force(daemon: &Daemon, key: &str) -> String {
    let rows = daemon.get(&format!("/api/show_config?conf_item={key}"));
    rows[0][2].as_str().unwrap_or_else(|| panic!("{rows}")).to_owned()
}

fn hears(daemon: &Daemon, what: &str) {
    assert!(daemon.becomes(|| daemon.said().contains(what)), "{what} is missing:\n{}", daemon.said());
}

#[test]
fn on_hang_up_be_conf_is_read_again_and_a_slip_in_it_changes_nothing() {
    let mut node = Node::new(1);
    let ear = UnixDatagram::bind(node.dir.path().join("notify")).expect("a socket");
    ear.set_read_timeout(Some(Duration::from_secs(60))).expect("a timeout");
    node.env.push(("NOTIFY_SOCKET", node.dir.path().join("notify").display().to_string()));
    let daemon = node.start();

    node.settings = "hdd_read_slots = 5\nsys_log_level = DEBUG\ncopy_block_bytes = 2097152\n\
                     storage_root_path = /nowhere,medium:hdd\n"
        .to_owned();
    drop(node.command());
    daemon.hang_up();
    assert!(daemon.becomes(|| in_force(&daemon, "hdd_read_slots") == "5"));
    hears(&daemon, "copy_block_bytes = 2097152 waits for the next start, 1048576 stays");
    hears(&daemon, "storage_root_path = /nowhere,medium:hdd waits for the next start");
    assert_eq!(daemon.get("/api/v1/disks")["total"], 1);
    let mut buffer = [0; 500];
    let mut words = std::iter::repeat_with(|| {
        let bytes = ear.recv(&mut buffer).expect("a word within a minute");
        String::from_utf8_lossy(&buffer[..bytes]).into_owned()
    });
    assert!(words.any(|word| word.starts_with("RELOADING=1\nMONOTONIC_USEC=")));
    assert!(words.any(|word| word == "READY=1"));

    node.settings = "hdd_read_slots = five\nssd_read_slots = 2\n".to_owned();
    drop(node.command());
    let slots = in_force(&daemon, "ssd_read_slots");
    daemon.hang_up();
    hears(&daemon, "hdd_read_slots = five: cannot be read as int32_t");
    let refused = daemon.tabletctl(&["config", "reload"]);
    assert_eq!(refused.status.code(), Some(4));
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(said.contains("nothing was changed") && said.contains("be.conf:"), "{said}");
    assert_eq!(
        (in_force(&daemon, "hdd_read_slots").as_str(), in_force(&daemon, "ssd_read_slots")),
        ("5", slots)
    );
    daemon.stop();
}

#[test]
fn a_key_is_shown_set_kept_and_read_again_by_tabletctl() {
    let node = Node::new(1);
    let daemon = node.start();
    let text = |args: &[&str]| {
        let done = daemon.tabletctl(args);
        assert!(done.status.success(), "{done:?}");
        String::from_utf8(done.stdout).expect("text")
    };
    assert_eq!(text(&["config", "set", "hdd_read_slots", "7", "--persist"]), "hdd_read_slots = 7\n");
    text(&["config", "set", "ssd_read_slots", "9"]);
    assert!(text(&["config", "get", "hdd_read_slots"]).contains("yes          7\n"));
    // What was kept stays, what was not goes.
    let said = text(&["config", "reload"]);
    assert!(said.starts_with("ssd_read_slots: 9 -> ") && said.lines().count() == 1, "{said}");
    assert_eq!(text(&["config", "reload"]), "nothing has changed\n");
    assert_eq!(daemon.tabletctl(&["config", "get", "no_such_key"]).status.code(), Some(4));
    assert_eq!(daemon.tabletctl(&["config", "set", "webserver_port", "1"]).status.code(), Some(4));
    daemon.stop();
}

#[test]
fn whoever_keeps_a_key_at_once_the_file_agrees_with_what_is_in_force() {
    let node = Node::new(1);
    let daemon = node.start();
    let file = node.dir.path().join("be_custom.conf");
    for round in 0..5 {
        std::thread::scope(|scope| {
            for slots in 1..=8 {
                let (url, slots) = (daemon.url(""), (10 * round + slots).to_string());
                scope.spawn(move || {
                    let set = ["--addr", &url, "config", "set", "hdd_read_slots", &slots, "--persist"];
                    assert!(tabletctl(&set).status().expect("tabletctl").success());
                });
            }
        });
        let kept = fs::read_to_string(&file).expect("be_custom.conf");
        let line = format!("hdd_read_slots = {}", in_force(&daemon, "hdd_read_slots"));
        assert!(kept.lines().any(|kept| kept == line), "{line} is not in\n{kept}");
    }
    daemon.stop();
}

#[test]
fn disks_that_be_custom_conf_names_otherwise_are_a_warning() {
    let node = Node::new(1);
    let root = node.roots[0].display();
    fs::write(node.dir.path().join("be_custom.conf"), format!("storage_root_path = {root},medium:hdd\n"))
        .expect("a file");
    let daemon = node.start();
    hears(&daemon, "is in force; ");
    hears(&daemon, "has another list, which is not read");
    daemon.stop();
}
