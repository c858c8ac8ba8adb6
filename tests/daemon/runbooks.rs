//! docs/runbooks.md, typed in: each section is a scene of its own, and every command of it is run, in its order, with a real
//! daemon on real file systems. A section without a scene fails, and so does a command that nobody knows how to type.

use std::fs;
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use tabletd::model::TabletKey;

use crate::harness::bad_sectors::BadDisk;
use crate::harness::mounts::{Access, Image, remount, skip};
use crate::harness::{Daemon, HASH, Node, read_dir_names};

/// The page.
fn page() -> String {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/runbooks.md");
    fs::read_to_string(path).expect("the page")
}

/// What a section is about: how it came to that, and what is true afterwards.
struct Scene {
    title: &'static str,
    before: fn(&mut Machine),
    after: fn(&Machine),
}

const SCENES: &[Scene] = &[
    Scene {
        title: "A dying disk",
        before: |machine| machine.start(),
        after: |machine| {
            machine.serves(7, 1);
            machine.serves(9, 1);
            assert_eq!(machine.daemon().get("/api/v1/disks")["total"], 1);
        },
    },
    Scene { title: "A dead disk", before: dead_disk, after: |machine| machine.serves(7, 0) },
    Scene {
        title: "A read-only disk",
        before: |machine| {
            machine.start();
            remount(machine.images[0].path(), Access::ReadOnly).expect("nothing writes");
            machine.disk_becomes(0, "read-only");
        },
        after: |machine| {
            machine.serves(7, 1);
            machine.serves(9, 1);
        },
    },
    Scene {
        title: "A full disk",
        before: full_disk,
        after: |machine| {
            machine.serves(9, 1);
            assert_eq!(machine.daemon().get("/api/v1/trash")["data"].as_array().map(Vec::len), Some(1));
        },
    },
    Scene {
        title: "A replaced disk",
        before: dead_disk,
        after: |machine| {
            machine.serves(7, 0);
            machine.disk_becomes(1, "online");
        },
    },
    Scene {
        title: "A damaged tablet",
        before: damaged,
        after: |machine| {
            machine.serves(7, 0);
            assert_eq!(machine.daemon().get("/api/v1/status")["damaged_tablets"], serde_json::json!([]));
        },
    },
    Scene {
        title: "A full state directory",
        before: full_state_dir,
        after: |machine| {
            machine.serves(9, 1);
            assert_eq!(machine.daemon().get("/api/v1/status")["state_dir"]["waiting_rows"], 0);
        },
    },
    Scene {
        title: "Unreadable sectors",
        before: |machine| machine.start(),
        after: |machine| {
            machine.serves(9, 1);
            let shown = machine.daemon().get("/api/v1/tablets/7");
            assert_eq!(shown["disk"], machine.node.disk(0), "{shown:#}");
            let aside = machine.daemon().get("/api/v1/quarantine");
            assert_eq!(aside["data"][0]["salvaged"]["lost_bytes"], 4096, "{aside:#}");
            let disk = machine.daemon().get(&format!("/api/v1/disks/show?path={}", machine.node.disk(0)));
            assert_eq!(disk["safe_to_remove"], false, "{disk:#}");
        },
    },
    Scene {
        title: "A cloned disk",
        before: |machine| machine.start(),
        after: |machine| {
            machine.serves(9, 0);
            machine.disk_becomes(0, "online");
            let shown = machine.daemon().get("/api/v1/tablets/7");
            assert!(!shown["damaged"].is_null(), "{shown:#}");
        },
    },
    Scene {
        title: "A lost journal",
        before: |machine| {
            machine.start();
            machine.move_to_second(7);
            machine.stop();
            let state = machine.node.dir.path().join("state");
            for name in read_dir_names(&state).iter().filter(|name| name.starts_with("journal.db")) {
                fs::remove_file(state.join(name)).expect("a file");
            }
        },
        after: |machine| {
            machine.serves(7, 1);
            machine.serves(9, 0);
        },
    },
    Scene {
        title: "A swap in doubt",
        before: |machine| {
            machine.start();
            super::doubt::in_doubt(&machine.node, machine.daemon(), TabletKey::new(7, HASH));
            super::doubt::immutable(&machine.images[1].path().join("meta"), false);
        },
        after: |machine| {
            machine.serves(7, 1);
            assert_eq!(machine.daemon().migration(1)["status"], "completed");
        },
    },
    Scene {
        title: "A refused start",
        before: |machine| {
            machine.start();
            machine.stop();
            machine.node.settings = String::new();
            machine.images[1].unmount().expect("nothing holds it");
            let said = machine.node.try_start().err().expect("an absent disk refuses the start");
            assert!(said.contains(&machine.node.disk(1)), "{said}");
        },
        after: |machine| machine.serves(7, 0),
    },
];

fn dead_disk(machine: &mut Machine) {
    machine.start();
    machine.move_to_second(7);
    machine.stop();
    machine.images[1].unmount().expect("nothing holds it");
    machine.start();
    machine.disk_becomes(1, "broken");
}

fn full_disk(machine: &mut Machine) {
    machine.start();
    machine.move_to_second(7);
    let mut size = 1 << 20;
    for n in 0.. {
        let ballast = machine.images[0].path().join(format!("ballast{n}"));
        if fs::write(ballast, vec![0x5a; size]).is_ok() {
            continue;
        }
        size /= 16;
        if size < 256 {
            break;
        }
    }
}

fn full_state_dir(machine: &mut Machine) {
    let Some(disk) = Image::ext4(machine.node.dir.path(), "state", 16 << 20) else { return };
    machine.start();
    let mut file = fs::File::create(disk.path().join("core.4711")).expect("an inode");
    machine.images.push(disk);
    for bytes in [1 << 20, 4096, 1] {
        while file.write_all(&vec![b'x'; bytes]).and_then(|()| file.sync_data()).is_ok() {}
    }
    let pin =
        || machine.daemon().send("/api/v1/tablets/7/pin", &[], &serde_json::json!({"reason": "full"})).0;
    assert!(machine.daemon().becomes(|| pin() == 503), "the journal writes on a full disk");
}

fn damaged(machine: &mut Machine) {
    machine.start();
    machine.move_to_second(7);
    let file = machine.node.tablet_dir(1, TabletKey::new(7, HASH)).join("02000000_0.dat");
    let open = fs::OpenOptions::new().read(true).write(true).open(file).expect("a file");
    let mut byte = [0];
    open.read_exact_at(&mut byte, 100).expect("a byte");
    open.write_all_at(&[byte[0] ^ 1], 100).and_then(|()| open.sync_all()).expect("a byte");
}

/// Two disks with a file system each, tablets 7 and 9 on the first, and somebody who types.
struct Machine {
    node: Node,
    /// The first disk, where the scene is about sectors that it does not give.
    bad: Option<BadDisk>,
    images: Vec<Image>,
    daemon: Option<Daemon>,
}

impl Machine {
    fn of(title: &str) -> Option<Self> {
        match title {
            "A cloned disk" if Command::new("ddrescue").arg("--version").output().is_err() => {
                skip("ddrescue is not installed");
                None
            }
            "Unreadable sectors" | "A cloned disk" => Self::with_a_bad_sector(),
            _ => Self::new(),
        }
    }

    /// Its first disk does not give a sector of tablet 7.
    fn with_a_bad_sector() -> Option<Self> {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let bad = BadDisk::ext4(dir.path(), "disk1", 32 << 20)?;
        let images = vec![Image::ext4(dir.path(), "disk2", 32 << 20)?];
        let roots = vec![bad.path().to_owned(), images[0].path().to_owned()];
        let machine = Self::with(dir, images, roots);
        let file = machine.node.tablet_dir(0, TabletKey::new(7, HASH)).join("02000000_0.dat");
        bad.spoil(&file, 8192..8193);
        Some(Self { bad: Some(bad), ..machine })
    }

    fn new() -> Option<Self> {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let disk = |name| Image::ext4(dir.path(), name, 32 << 20);
        let images = vec![disk("disk1")?, disk("disk2")?];
        let roots = images.iter().map(|image| image.path().to_owned()).collect();
        Some(Self::with(dir, images, roots))
    }

    fn with(dir: tempfile::TempDir, images: Vec<Image>, roots: Vec<std::path::PathBuf>) -> Self {
        let mut node = Node::on(dir, roots);
        node.settings = "ignore_broken_disk = true\ndisk_stat_monitor_interval = 1".to_owned();
        node.add_tablet(0, 7, &[50_000, 3000]);
        node.add_tablet(0, 9, &[20_000]);
        Self { node, bad: None, images, daemon: None }
    }

    fn start(&mut self) {
        self.daemon = Some(self.node.start());
    }

    fn stop(&mut self) {
        self.daemon.take().expect("a running daemon").stop();
    }

    fn daemon(&self) -> &Daemon {
        self.daemon.as_ref().expect("a running daemon")
    }

    fn move_to_second(&self, tablet_id: i64) {
        let id = self.daemon().accept(TabletKey::new(tablet_id, HASH), &self.node.disk(1));
        let row = self.daemon().wait_for(id, &["completed", "failed"]);
        assert_eq!(row["status"], "completed", "{row:#}");
    }

    fn disk_becomes(&self, disk: usize, condition: &str) {
        let path = format!("/api/v1/disks/show?path={}", self.node.disk(disk));
        let look = || self.daemon().get(&path);
        assert!(self.daemon().becomes(|| look()["condition"] == condition), "{:#}", look());
    }

    fn serves(&self, tablet_id: i64, disk: usize) {
        let shown = self.daemon().get(&format!("/api/v1/tablets/{tablet_id}"));
        assert_eq!(
            (&shown["disk"], &shown["damaged"]),
            (&self.node.disk(disk).into(), &Value::Null),
            "{shown:#}"
        );
    }

    /// Types one line of the page.
    fn run(&mut self, line: &str) {
        let (typed, remark) = line.split_once('#').unwrap_or((line, ""));
        let expected =
            remark.trim().strip_prefix("exit status ").map_or(0, |code| code.parse().expect("a code"));
        let words: Vec<_> = typed.split_whitespace().map(|word| self.here(word)).collect();
        let words: Vec<_> = words.iter().map(String::as_str).collect();
        let output = match words.as_slice() {
            ["systemctl", "start", "tabletd"] => return self.start(),
            ["systemctl", "stop", "tabletd"] => return self.stop(),
            ["tabletctl", rest @ ..] => run(&mut self.daemon().tabletctl_command(rest)),
            ["tabletd", rest @ ..] => run(Command::new(env!("CARGO_BIN_EXE_tabletd")).args(rest)),
            ["rm", file] => {
                fs::remove_file(file).unwrap_or_else(|why| panic!("{line}: {why}"));
                // The page says "within a second".
                let has_space = || self.daemon().get("/api/v1/status")["state_dir"]["is_full"] == false;
                return assert!(self.daemon().becomes(has_space), "{line}");
            }
            ["mkfs.ext4", device] => run(Command::new("mkfs.ext4").args(["-q", "-F", device])),
            ["mount", device, at] => run(Command::new("mount").args(["-o", "loop", device, at])),
            ["ddrescue", rest @ ..] => run(Command::new("ddrescue").arg("-q").args(rest)),
            ["e2fsck", rest @ ..] => run(Command::new("e2fsck").args(rest)),
            ["mount", at] => return self.image(at).mount().unwrap_or_else(|why| panic!("{line}: {why}")),
            ["umount", at]
                if self.bad.as_ref().is_some_and(|bad| bad.path().display().to_string() == *at) =>
            {
                let bad = self.bad.as_ref().expect("it was just looked at");
                return bad.unmount().unwrap_or_else(|why| panic!("{line}: {why}"));
            }
            ["umount", at] => return self.image(at).unmount().unwrap_or_else(|why| panic!("{line}: {why}")),
            _ => panic!("nobody knows how to type this: {line}"),
        };
        let said =
            format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        let log = self.daemon.as_ref().map(Daemon::said).unwrap_or_default();
        assert_eq!(output.status.code(), Some(expected), "{line}:\n{said}\n{log}");
    }

    fn image(&self, at: &str) -> &Image {
        self.images
            .iter()
            .find(|image| image.path().display().to_string() == at)
            .expect("a disk of this machine")
    }

    /// What the page calls it is this here.
    fn here(&self, word: &str) -> String {
        match word {
            "/var/lib/tabletd/core.4711" => {
                self.node.dir.path().join("state/core.4711").display().to_string()
            }
            "/mnt/disk1" => self.node.disk(0),
            "/mnt/disk2" => self.node.disk(1),
            "/dev/sdb1" => format!("{}.img", self.node.disk(1)),
            "/dev/sda1" => match &self.bad {
                Some(bad) => bad.device().display().to_string(),
                None => word.to_owned(),
            },
            "/dev/sdc1" => self.node.dir.path().join("clone.img").display().to_string(),
            "/root/disk1.map" => self.node.dir.path().join("disk1.map").display().to_string(),
            "/etc/tabletd/be.conf" => self.node.dir.path().join("be.conf").display().to_string(),
            other => other.to_owned(),
        }
    }
}

fn run(command: &mut Command) -> Output {
    command.stdin(Stdio::null()).output().expect("a program that is there")
}

/// Sections with commands: their titles, and their lines.
fn sections() -> Vec<(String, Vec<String>)> {
    let section = |text: &str| {
        let (title, body) = text.split_once('\n').expect("a title and more");
        let fenced = body.split("```").skip(1).step_by(2);
        let lines = fenced.flat_map(str::lines).filter(|line| !line.trim().is_empty());
        (title.to_owned(), lines.map(str::to_owned).collect())
    };
    page().split("\n## ").skip(1).map(section).collect()
}

#[test]
fn each_section_has_a_scene_and_each_scene_a_section() {
    let titles: Vec<_> = sections().into_iter().map(|(title, _)| title).collect();
    let scenes: Vec<_> = SCENES.iter().map(|scene| scene.title).collect();
    assert_eq!(titles, scenes);
    assert!(sections().iter().all(|(_, lines)| lines.len() > 1));
}

fn play(title: &str) {
    let scene = SCENES.iter().find(|scene| scene.title == title).expect("a scene");
    let (_, lines) = sections().into_iter().find(|(of, _)| of == title).expect("a section");
    let Some(mut machine) = Machine::of(title) else { return };
    (scene.before)(&mut machine);
    lines.iter().for_each(|line| machine.run(line));
    (scene.after)(&machine);
}

macro_rules! scenes {
    ($($name:ident: $title:literal,)*) => {
        $(#[test] fn $name() { play($title); })*

        #[test]
        fn every_scene_is_played() {
            assert_eq!([$($title),*].as_slice(), SCENES.iter().map(|scene| scene.title).collect::<Vec<_>>());
        }
    };
}

scenes! {
    a_dying_disk: "A dying disk",
    a_dead_disk: "A dead disk",
    a_read_only_disk: "A read-only disk",
    a_full_disk: "A full disk",
    a_replaced_disk: "A replaced disk",
    a_damaged_tablet: "A damaged tablet",
    a_full_state_directory: "A full state directory",
    unreadable_sectors: "Unreadable sectors",
    a_cloned_disk: "A cloned disk",
    a_lost_journal: "A lost journal",
    a_swap_in_doubt: "A swap in doubt",
    a_refused_start: "A refused start",
}
