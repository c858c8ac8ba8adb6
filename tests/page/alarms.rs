//! Each thing that is wrong stands on top with the button, or the command, that helps.

use std::fs;

use serde_json::json;

use crate::browser::Browser;
use crate::harness::Node;
use crate::harness::bad_sectors::BadDisk;
use crate::harness::make_root;
use crate::harness::mounts::{self, Access, Image, Mounted, remount};
#[cfg(feature = "fault-injection")]
use crate::harness::tabletctl::wait_until;

/// What the alarms say, with what could be clicked in them.
fn alarms(browser: &Browser) -> String {
    let text = browser.script("return document.querySelector('#alarms').textContent");
    text.as_str().unwrap_or_default().to_owned()
}

#[test]
fn a_disabled_a_full_and_a_lost_disk_each_have_their_button() {
    let mut node = Node::new(2);
    let Some(_mounted) = Mounted::on(&node.roots) else { return };
    let Some(browser) = Browser::open(&[]) else { return };
    node.roots.push(node.dir.path().join("lost"));
    node.settings =
        "ignore_broken_disk = true\nstorage_flood_stage_usage_percent = 3\ndisk_stat_monitor_interval = 1"
            .to_owned();
    let key = node.add_tablet(0, 7, &[3_000_000]);
    node.add_tablet(0, 8, &[1000]);
    node.add_tablet(2, 9, &[1000]);
    // It was here once, so that the node knows of its tablet.
    node.start().stop();
    fs::rename(&node.roots[2], node.dir.path().join("away")).expect("renamed");
    let daemon = node.start();
    daemon.wait_for(daemon.accept(key, &node.disk(1)), &["completed"]);
    daemon.post("/api/v1/disks/disable", &json!({"path": node.disk(1), "reason": "the cable"}));
    browser.go(&daemon.url("/"));
    browser.until("all are seen", || {
        let alarms = alarms(&browser);
        ["the cable", "is full", "When it does not come back", "unavailable tablet 9"]
            .iter()
            .all(|text| alarms.contains(text))
    });
    browser.press("Enable");
    browser.until("it is enabled", || {
        daemon.get(&format!("/api/v1/disks/show?path={}", node.disk(1)))["condition"] == "online"
    });
    browser.unfold("Purge trash");
    browser.press("Yes: purge trash");
    browser.until("the purge's own page", || browser.place().starts_with("/ui/operations/"));
    browser.go(&daemon.url("/"));
    browser.click("//a[normalize-space()='See what would be lost']");
    browser.sees("Do without it");
    browser.sees("1 tablet, 0 migrations wait for it");
    browser.unfold("Do without it");
    browser.press("Yes: do without it");
    browser.until("the disk is gone", || daemon.get("/api/v1/disks")["total"] == 2);
    browser.until("and nothing is missed", || daemon.get("/api/v1/status")["tablets_unavailable"] == 0);
    browser.close();
}

#[test]
fn a_journal_that_is_gone_is_said_on_top() {
    let mut node = Node::new(2);
    let Some(browser) = Browser::open(&[]) else { return };
    let key = node.add_tablet(0, 7, &[3000]);
    let daemon = node.start();
    daemon.wait_for(daemon.accept(key, &node.disk(1)), &["completed"]);
    daemon.stop();
    fs::remove_dir_all(node.dir.path().join("state")).expect("the state directory");
    fs::create_dir(node.dir.path().join("state")).expect("an empty one");
    let daemon = node.start();
    let trouble = daemon.get("/api/v1/status")["state_dir"]["trouble"].clone();
    let trouble = trouble.as_str().expect("it is said");
    browser.go(&daemon.url("/"));
    assert!(alarms(&browser).contains(trouble), "{trouble}: {}", alarms(&browser));
    browser.close();
}

#[test]
fn an_unreadable_tablet_is_salvaged() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let Some(bad) = BadDisk::ext4(dir.path(), "disk0", 32 << 20) else { return };
    let Some(browser) = Browser::open(&[]) else { return };
    let there = dir.path().join("disk1");
    fs::create_dir(&there).expect("a directory");
    let mut node = Node::on(dir, vec![bad.path().to_owned(), there]);
    let key = node.add_tablet(0, 7, &[50_000, 3_000_000]);
    bad.spoil(&node.tablet_dir(0, key).join("02000001_0.dat"), 1_200_128..1_204_224);
    bad.forget_cache();
    let daemon = node.start();
    browser.go(&daemon.url("/ui/tablets/7"));
    browser.press("Verify");
    browser.until("it is known", || !daemon.get("/api/v1/tablets/7")["unreadable"].is_null());
    browser.go(&daemon.url("/"));
    browser.sees("tablet 7");
    browser.unfold("Salvage");
    browser.press("Salvage");
    browser.until("the operation's own page", || browser.place() == "/ui/operations/1");
    browser.sees("02000001_0.dat");
    browser.sees("4096 bytes at offset 1200128");
    assert_eq!(daemon.get("/api/v1/operations/1")["salvaged"]["state"], "done");
    browser.close();
    daemon.stop();
}

/// A file system whose writers wait, as on a disk that does not answer, until this is dropped.
struct Frozen<'a>(&'a Image);

impl<'a> Frozen<'a> {
    fn of(disk: &'a Image) -> Self {
        mounts::run("fsfreeze", &["--freeze", &disk.path().display().to_string()]).expect("fsfreeze");
        Self(disk)
    }
}

impl Drop for Frozen<'_> {
    fn drop(&mut self) {
        let _ = mounts::run("fsfreeze", &["--unfreeze", &self.0.path().display().to_string()]);
    }
}

#[test]
fn a_disk_that_takes_no_writes_and_one_that_does_not_answer_each_say_what_helps() {
    let mut node = Node::new(1);
    let Some(read_only) = Image::ext4(node.dir.path(), "disk1", 32 << 20) else { return };
    let Some(hangs) = Image::ext4(node.dir.path(), "disk2", 32 << 20) else { return };
    let Some(browser) = Browser::open(&[]) else { return };
    for disk in [&read_only, &hangs] {
        node.roots.push(disk.path().to_owned());
        make_root(disk.path());
    }
    node.settings = "disk_stat_monitor_interval = 1\ndisk_hang_timeout_sec = 1".to_owned();
    let key = node.add_tablet(0, 7, &[1_000_000]);
    let daemon = node.start();
    remount(read_only.path(), Access::ReadOnly).expect("nothing on an idle disk is open for writing");
    let frozen = Frozen::of(&hangs);
    let id = daemon.accept(key, &node.disk(2));
    let condition = |disk: usize| daemon.get("/api/v1/disks")["data"][disk]["condition"].clone();
    assert!(
        daemon.becomes(|| condition(1) == "read-only" && condition(2) == "hung"),
        "{}",
        daemon.get("/api/v1/disks")
    );
    browser.go(&daemon.url("/"));
    browser.until("both are said", || {
        let said = alarms(&browser);
        ["read-only", "A call on it does not return", "the kernel's log", "tabletctl disk show"]
            .iter()
            .all(|text| said.contains(text))
    });
    let drain = format!(
        "//*[@id='alarms']//li[contains(., '{}')]//a[normalize-space()='Plan a drain']",
        node.disk(1)
    );
    browser.click(&drain);
    browser.until("its plan", || browser.place() == "/ui/tasks/plan");
    drop(frozen);
    daemon.wait_for(id, &["completed"]);
    browser.close();
    daemon.stop();
}

/// What is read back otherwise than it was written.
#[cfg(feature = "fault-injection")]
#[test]
fn a_suspect_disk_is_drained_or_taken_back() {
    use std::os::unix::fs::FileExt as _;

    use nix::sys::signal::{Signal, kill};
    use nix::unistd::Pid;

    let mut node = Node::new(2);
    let Some(browser) = Browser::open(&[]) else { return };
    let key = node.add_tablet(0, 7, &[50_000]);
    node.env = vec![("TABLETD_FAIL_POINT", "record_written=stop".to_owned())];
    let daemon = node.start();
    let id = daemon.accept(key, &node.disk(1));
    let stat = format!("/proc/{}/stat", daemon.pid());
    wait_until("it never stops", || fs::read_to_string(&stat).is_ok_and(|stat| stat.contains(") T ")));
    let record = node.roots[1].join(format!("migrating/{id}/record.json"));
    let file = fs::OpenOptions::new().read(true).write(true).open(record).expect("a staged record");
    let mut byte = [0];
    file.read_exact_at(&mut byte, 40).expect("a byte");
    file.write_all_at(&[byte[0] ^ 1], 40).and_then(|()| file.sync_all()).expect("a byte");
    kill(Pid::from_raw(i32::try_from(daemon.pid()).expect("a pid")), Signal::SIGCONT).expect("a process");
    daemon.wait_for(id, &["failed"]);
    browser.go(&daemon.url("/"));
    browser.until("it is said", || {
        let said = alarms(&browser);
        ["suspect", "staged record", "Plan a drain"].iter().all(|text| said.contains(text))
    });
    browser.press("Enable");
    browser.until("it is taken back", || {
        daemon.get(&format!("/api/v1/disks/show?path={}", node.disk(1)))["condition"] == "online"
    });
    browser.close();
    daemon.stop();
}
