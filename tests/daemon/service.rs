//! The daemon beside a service manager, and on a kernel that is too old.

use std::os::unix::net::UnixDatagram;
use std::process::Command;
use std::time::Duration;

use crate::harness::Node;
use crate::waiting::Ext4;

#[test]
fn a_service_manager_hears_that_it_is_ready_that_it_lives_and_that_it_stops() {
    let mut node = Node::new(1);
    node.add_tablet(0, 10, &[1000]);
    let path = node.dir.path().join("notify");
    let ear = UnixDatagram::bind(&path).expect("a socket");
    ear.set_read_timeout(Some(Duration::from_secs(60))).expect("a timeout");
    node.env.push(("NOTIFY_SOCKET", path.display().to_string()));
    node.env.push(("WATCHDOG_USEC", "400000".to_owned()));
    let hear = || {
        let mut buffer = [0; 500];
        let bytes = ear.recv(&mut buffer).expect("a word within a minute");
        String::from_utf8_lossy(&buffer[..bytes]).into_owned()
    };

    let daemon = node.start();
    assert!(hear().starts_with("STATUS=opening disks"), "what it does before it is ready");
    assert_eq!(hear(), "READY=1");
    // The second one comes half a watchdog later: it goes on.
    for _ in 0..2 {
        let alive = hear();
        assert_eq!(
            alive,
            "WATCHDOG=1\nSTATUS=1 tablet, 0 damaged, 0 not served; migrations: 0 running, 0 waiting"
        );
    }
    daemon.terminate();
    let last = std::iter::repeat_with(hear).find(|word| !word.starts_with("WATCHDOG=1"));
    assert!(last.is_some_and(|word| word.starts_with("STOPPING=1\n")));
    assert!(daemon.wait().success());
}

#[test]
fn a_kernel_that_is_too_old_is_named_at_the_start() {
    if Command::new("strace").arg("-V").output().is_err() {
        assert!(std::env::var_os("TABLETD_REQUIRE_ROOT_TESTS").is_none(), "strace is not installed");
        eprintln!("skipped: strace is not installed");
        return;
    }
    let node = Node::new(1);
    let daemon = node.command();
    for (call, since) in [("openat2", "5.6"), ("close_range", "5.9")] {
        let said = Command::new("strace")
            .args(["-f", "-qq", "-e", &format!("trace={call}"), "-e", &format!("inject={call}:error=ENOSYS")])
            .args(["-o", "/dev/null"])
            .arg(daemon.get_program())
            .args(daemon.get_args())
            .output()
            .expect("strace");
        let text = String::from_utf8_lossy(&said.stderr);
        assert_eq!(said.status.code(), Some(1), "{text}");
        assert!(text.contains(&format!("has no {call} (Linux {since})")), "{text}");
    }
}

#[test]
fn the_watchdog_is_answered_while_a_disk_and_the_journals_hang() {
    let mut node = Node::new(2);
    let state_dir = node.dir.path().join("state");
    std::fs::create_dir(&state_dir).expect("a directory");
    let image = |name| node.dir.path().join(name);
    let Some(journal) = Ext4::on(&state_dir, &image("journal")) else { return };
    let Some(disk) = Ext4::on(&node.roots[1], &image("disk")) else { return };
    let key = node.add_tablet(0, 10, &[1_000_000]);
    let path = node.dir.path().join("notify");
    let ear = UnixDatagram::bind(&path).expect("a socket");
    ear.set_read_timeout(Some(Duration::from_secs(60))).expect("a timeout");
    node.env.push(("NOTIFY_SOCKET", path.display().to_string()));
    node.env.push(("WATCHDOG_USEC", "400000".to_owned()));
    node.settings = "disk_hang_timeout_sec = 1\n".to_owned();
    let daemon = node.start();
    disk.freeze("--freeze");
    let id = daemon.accept(key, &node.disk(1));
    let hangs = || daemon.migration(id)["status_reason"].to_string().contains("hung");
    assert!(daemon.becomes(hangs), "{:#}", daemon.migration(id));
    journal.freeze("--freeze");
    // What was said before is read away; whatever comes from now on was said while both hang.
    ear.set_nonblocking(true).expect("a socket");
    let mut buffer = [0; 500];
    while ear.recv(&mut buffer).is_ok() {}
    ear.set_nonblocking(false).expect("a socket");
    for _ in 0..10 {
        let bytes = ear.recv(&mut buffer).expect("a word within a minute");
        let word = String::from_utf8_lossy(&buffer[..bytes]).into_owned();
        assert!(
            word.starts_with("WATCHDOG=1\nSTATUS=1 tablet, 0 damaged, 0 not served; migrations: 1 running"),
            "{word}"
        );
    }
    journal.freeze("--unfreeze");
    disk.freeze("--unfreeze");
    daemon.wait_for(id, &["completed"]);
    daemon.stop();
}
