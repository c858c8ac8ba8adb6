//! `tabletctl tablet import|check|show` on real directories: what is taken in, what is refused, what is found.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on stops there")]

use std::fs;
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use tabletd::model::{DiskRef, ShardId, TabletKey};
use tabletd::storage::layout::{record_name, tablet_dir};
use tabletd::storage::{
    Dir, KnownAs, NativeStore, Owner, Purpose, RetiredNote, Root, RootLock, Staging, retire,
};
use tempfile::TempDir;

const KEY: TabletKey = TabletKey::new(15672, 567_997_577);

struct Place {
    temp: TempDir,
}

impl Place {
    fn new() -> Self {
        let place = Self { temp: TempDir::new().unwrap() };
        fs::create_dir(place.root()).unwrap();
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.temp.path().join(name)
    }

    fn root(&self) -> PathBuf {
        self.path("root")
    }

    fn open(&self) -> Root {
        Root::open(self.root().to_str().unwrap(), KnownAs::New).unwrap()
    }

    /// A directory of tablet files: an empty one, a small one, one of several blocks.
    fn source(&self, name: &str) -> PathBuf {
        let dir = self.path(name);
        fs::create_dir(&dir).unwrap();
        fs::write(dir.join("empty.dat"), b"").unwrap();
        fs::write(dir.join("small.dat"), b"a few bytes").unwrap();
        fs::write(dir.join("large.dat"), (0..300_000_u32).flat_map(u32::to_le_bytes).collect::<Vec<_>>())
            .unwrap();
        dir
    }

    /// Imports `KEY` and returns its directory.
    fn import(&self) -> PathBuf {
        let source = self.source("import-source");
        let done = self.import_from(&source, &[]);
        assert_eq!(done.status.code(), Some(0), "{}", text(&done.stderr));
        fs::remove_dir_all(source).unwrap();
        self.live()
    }

    fn live(&self) -> PathBuf {
        self.root().join(tablet_dir(ShardId(15672 % 1024), KEY))
    }

    fn import_from(&self, source: &Path, more: &[&str]) -> Output {
        let mut args = vec!["tablet", "import", source.to_str().unwrap(), "--root"];
        let root = self.root();
        args.extend([root.to_str().unwrap(), "--tablet-id", "15672", "--schema-hash", "567997577"]);
        args.extend(more);
        tabletctl(&args)
    }

    fn check(&self) -> (Option<i32>, Value) {
        let done = tabletctl(&["tablet", "check", "--root", self.root().to_str().unwrap(), "--json"]);
        (done.status.code(), serde_json::from_slice(&done.stdout).unwrap())
    }

    /// Every name below the root, with the size of each file; the lock file left out.
    fn everything(&self) -> Vec<(PathBuf, u64)> {
        let mut names: Vec<_> = walkdir::WalkDir::new(self.root())
            .into_iter()
            .map(|entry| entry.unwrap())
            .filter(|entry| entry.file_name() != ".tabletd.lock")
            .map(|entry| {
                let metadata = entry.metadata().unwrap();
                (entry.path().to_owned(), if metadata.is_file() { metadata.len() } else { 0 })
            })
            .collect();
        names.sort();
        names
    }

    fn staging(&self) -> usize {
        fs::read_dir(self.root().join("migrating")).unwrap().count()
    }
}

fn tabletctl(args: &[&str]) -> Output {
    Command::new(assert_cmd::cargo::cargo_bin!("tabletctl")).args(args).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn an_imported_tablet_is_the_directory_byte_for_byte_and_passes_the_check() {
    let place = Place::new();
    let source = place.source("in");
    let done = place.import_from(&source, &["--table-id", "12", "--partition-id", "9", "--json"]);
    assert_eq!(done.status.code(), Some(0), "{}", text(&done.stderr));
    let said: Value = serde_json::from_slice(&done.stdout).unwrap();
    assert_eq!(said["generation"], 1);
    assert_eq!((&said["table_id"], &said["partition_id"]), (&12.into(), &9.into()));
    assert_eq!(said["shard_id"], 15672 % 1024);
    assert_eq!(said["files"], 3);
    assert_eq!(said["path"], place.live().to_str().unwrap());
    for name in ["empty.dat", "small.dat", "large.dat"] {
        assert_eq!(
            fs::read(source.join(name)).unwrap(),
            fs::read(place.live().join(name)).unwrap(),
            "{name}"
        );
    }
    assert_eq!(place.staging(), 0);

    let (status, report) = place.check();
    assert_eq!(status, Some(0), "{report}");
    let root = &report["roots"][0];
    assert_eq!((&root["tablets"], &root["files"]), (&1.into(), &3.into()));
    assert_eq!(root["bytes"], 1_200_011);
    assert_eq!(root["notes"], Value::Array(vec![]), "{report}");
}

#[test]
fn a_header_is_kept_byte_for_byte_and_says_who_the_tablet_is() {
    let place = Place::new();
    let header = "{\n    \"table_id\": 1, \"tablet_id\": \"15672\",\n    \"schema_hash\": 567997577, \"shard_id\": 34,\n    \
                  \"partition_id\": 77, \"x\": 1.50, \"version_col_idx\": -1, \"version_col_idx\": -1,\n    \
                  \"lo\": -9223372036854775808, \"unknown\": {\"a\": [1, 1e3]}\n}";
    fs::write(place.path("hdr.json"), format!("{header}\n")).unwrap();
    let source = place.source("in");
    let root = place.root();
    let done = tabletctl(&[
        "tablet",
        "import",
        source.to_str().unwrap(),
        "--root",
        root.to_str().unwrap(),
        "--header",
        place.path("hdr.json").to_str().unwrap(),
    ]);
    assert_eq!(done.status.code(), Some(0), "{}", text(&done.stderr));
    assert!(root.join(tablet_dir(ShardId(34), KEY)).is_dir());
    let record = fs::read_to_string(root.join("meta").join(record_name(KEY))).unwrap();
    assert!(record.contains(header), "{record}");
    let shown = tabletctl(&["tablet", "show", "15672", "--root", root.to_str().unwrap(), "--json"]);
    assert!(text(&shown.stdout).contains(header), "{}", text(&shown.stdout));
    let shown: Value = serde_json::from_slice(&shown.stdout).unwrap();
    assert_eq!((&shown["table_id"], &shown["partition_id"]), (&1.into(), &77.into()));
    assert_eq!(place.check().0, Some(0));
}

#[test]
fn a_binary_or_broken_header_is_refused_and_the_way_out_named() {
    let place = Place::new();
    let source = place.source("in");
    for (bytes, expected) in [
        (b"\0\0\0\0\0\0\0\0\x01\0\0\0".as_slice(), "meta_tool"),
        (b"{\"tablet_id\": 5}", "schema_hash"),
        (b"{\"tablet_id\": -5, \"schema_hash\": 1}", "tablet_id"),
        (b"not json", "not a TabletMetaPB"),
        (b"", "it is empty"),
        (b"\xff\xfe", "UTF-8"),
    ] {
        fs::write(place.path("hdr"), bytes).unwrap();
        let done = tabletctl(&[
            "tablet",
            "import",
            source.to_str().unwrap(),
            "--root",
            place.root().to_str().unwrap(),
            "--header",
            place.path("hdr").to_str().unwrap(),
        ]);
        assert_eq!(done.status.code(), Some(4), "{expected}");
        assert!(text(&done.stderr).contains(expected), "{expected}: {}", text(&done.stderr));
    }
    assert_eq!(place.check().1["tablets"], 0);
}

#[test]
fn a_header_whose_rowsets_are_not_all_in_the_directory_is_refused_by_name() {
    let place = Place::new();
    let (source, root) = (place.source("in"), place.root());
    let header = place.path("hdr.json");
    let import = |rowset: &str, state: &str| {
        let json = format!(
            "{{\"tablet_id\": 15672, \"schema_hash\": 567997577, \"tablet_state\": \"{state}\", \"rs_metas\": [{rowset}]}}"
        );
        fs::write(&header, json).unwrap();
        let (source, root, header) =
            (source.to_str().unwrap(), root.to_str().unwrap(), header.to_str().unwrap());
        tabletctl(&["tablet", "import", source, "--root", root, "--header", header])
    };
    let two = "{\"rowset_id_v2\": \"02aa\", \"num_segments\": 2}";
    let remote = "{\"rowset_id_v2\": \"02bb\", \"num_segments\": 1, \"resource_id\": \"10001\"}";
    fs::write(source.join("02aa_0.dat"), "one").unwrap();
    for (rowset, expected) in [(two, "02aa_1.dat"), (remote, "02bb lies in remote storage")] {
        let done = import(rowset, "PB_RUNNING");
        assert_eq!(done.status.code(), Some(4), "{expected}");
        assert!(text(&done.stderr).contains(expected), "{expected}: {}", text(&done.stderr));
    }
    assert_eq!(place.check().1["tablets"], 0);

    fs::write(source.join("02aa_1.dat"), "two").unwrap();
    let done = import(two, "PB_SHUTDOWN");
    assert_eq!(done.status.code(), Some(0), "{}", text(&done.stderr));
    assert!(text(&done.stdout).contains("PB_SHUTDOWN"), "{}", text(&done.stdout));
    let (status, report) = place.check();
    assert_eq!((status, &report["roots"][0]["notes"][0]["kind"]), (Some(0), &"shut_down".into()), "{report}");
}

#[test]
fn a_directory_that_stands_in_its_place_is_adopted_without_being_copied() {
    let place = Place::new();
    place.open();
    let parent = place.root().join("data/5/77");
    fs::create_dir_all(&parent).unwrap();
    fs::rename(place.source("in"), parent.join("1")).unwrap();
    let (status, report) = place.check();
    assert_eq!((status, &report["roots"][0]["damage"][0]["kind"]), (Some(1), &"unowned".into()), "{report}");

    let inode = fs::metadata(parent.join("1/small.dat")).unwrap().ino();
    let root = place.root();
    let args = |more: &[&str]| {
        let dir = parent.join("1");
        let mut args = vec!["tablet", "import", dir.to_str().unwrap(), "--root", root.to_str().unwrap()];
        args.extend(more);
        tabletctl(&args)
    };
    let wrong = args(&["--tablet-id", "78", "--schema-hash", "1"]);
    assert_eq!(wrong.status.code(), Some(4));
    assert!(text(&wrong.stderr).contains("77_1"), "{}", text(&wrong.stderr));
    assert_eq!(args(&["--shard", "6"]).status.code(), Some(4));
    let done = args(&[]);
    assert_eq!(done.status.code(), Some(0), "{}", text(&done.stderr));
    assert!(text(&done.stdout).starts_with("adopted where it stands"), "{}", text(&done.stdout));
    assert_eq!(fs::metadata(parent.join("1/small.dat")).unwrap().ino(), inode);
    assert_eq!((place.check().0, place.staging()), (Some(0), 0));
}

#[test]
fn each_kind_of_damage_is_found_and_named() {
    type Damage = fn(&Place, &Path);
    let cases: [(&str, &str, Damage); 13] = [
        ("damaged_file", "large.dat", |_, live| {
            let mut bytes = fs::read(live.join("large.dat")).unwrap();
            bytes[700_000] ^= 0x10;
            fs::write(live.join("large.dat"), bytes).unwrap();
        }),
        ("damaged_file", "small.dat", |_, live| fs::write(live.join("small.dat"), b"shorter").unwrap()),
        ("damaged_file", "empty.dat", |_, live| fs::write(live.join("empty.dat"), b"x").unwrap()),
        ("missing_file", "small.dat", |_, live| fs::remove_file(live.join("small.dat")).unwrap()),
        ("unlisted_entry", "extra.dat", |_, live| fs::write(live.join("extra.dat"), b"").unwrap()),
        ("unlisted_entry", "small.dat", |place, live| {
            fs::rename(live.join("small.dat"), place.path("moved")).unwrap();
            std::os::unix::fs::symlink(place.path("moved"), live.join("small.dat")).unwrap();
        }),
        ("unlisted_entry", "pipe", |_, live| {
            nix::unistd::mkfifo(&live.join("pipe"), nix::sys::stat::Mode::S_IRWXU).unwrap();
        }),
        ("unlisted_entry", "sub", |_, live| fs::create_dir(live.join("sub")).unwrap()),
        ("missing_directory", "567997577", |_, live| fs::remove_dir_all(live).unwrap()),
        ("unowned", "data/1/2/3", |place, _| fs::create_dir_all(place.root().join("data/1/2/3")).unwrap()),
        ("unowned", "data/stray", |place, _| fs::write(place.root().join("data/stray"), b"").unwrap()),
        ("bad_record", "15672_567997577.json", |place, _| {
            let path = place.root().join("meta").join(record_name(KEY));
            let mut bytes = fs::read(&path).unwrap();
            let at = bytes.len() / 2;
            bytes[at] ^= 1;
            fs::write(path, bytes).unwrap();
        }),
        ("bad_record", "notes.txt", |place, _| fs::write(place.root().join("meta/notes.txt"), b"").unwrap()),
    ];
    for (kind, name, damage) in cases {
        let place = Place::new();
        let live = place.import();
        damage(&place, &live);
        let before = place.everything();
        let (status, report) = place.check();
        assert_eq!(status, Some(1), "{kind} {name}: {report}");
        let found: Vec<_> = report["roots"][0]["damage"].as_array().unwrap().iter().collect();
        let named = found.iter().any(|finding| {
            finding["kind"] == kind && finding["path"].as_str().is_some_and(|path| path.contains(name))
        });
        assert!(named, "{kind} {name}: {report}");
        let for_people = tabletctl(&["tablet", "check", "--root", place.root().to_str().unwrap()]);
        assert_eq!(for_people.status.code(), Some(1));
        assert!(text(&for_people.stdout).contains(name), "{}", text(&for_people.stdout));
        assert_eq!(place.everything(), before, "{kind} {name}: a check changes nothing");
    }
}

#[test]
fn a_tablet_on_two_roots_is_damage_in_one_generation_and_a_remark_in_two() {
    let (one, two) = (Place::new(), Place::new());
    one.import();
    two.import();
    let check = || {
        let roots = [one.root(), two.root()];
        let [one, two] = roots.each_ref().map(|root| root.to_str().unwrap());
        tabletctl(&["tablet", "check", "--root", one, "--root", two, "--root", one])
    };
    let done = check();
    assert_eq!(done.status.code(), Some(1));
    assert!(text(&done.stdout).contains("two owners"), "{}", text(&done.stdout));
    retire_tablet(&two, 4);
    let done = two.import_from(&two.source("again"), &[]);
    assert!(text(&done.stdout).contains("generation 5"), "{}{}", text(&done.stdout), text(&done.stderr));
    let done = check();
    assert_eq!(done.status.code(), Some(0), "{}", text(&done.stdout));
    assert!(text(&done.stdout).contains("older copy"), "{}", text(&done.stdout));
}

fn retire_tablet(place: &Place, generation_elsewhere: u64) {
    let root = place.open();
    let note = RetiredNote {
        shard_id: ShardId(15672 % 1024),
        key: KEY,
        migration_id: None,
        moved_to: DiskRef { uuid: root.identity().uuid, path: "/elsewhere".into() },
        generation: generation_elsewhere,
        retired_ms: 0,
        uptime_sec: 0,
    };
    retire(root.dir(), &NativeStore::open(root.dir()).unwrap(), &note).unwrap();
}

#[test]
fn a_held_root_is_refused_and_its_holder_named() {
    let place = Place::new();
    place.import();
    let source = place.source("in");
    let dir = Dir::open_absolute(&place.root()).unwrap();
    let _lock = RootLock::acquire(&dir).unwrap();
    let holder = format!("process {}", std::process::id());
    let root = place.root();
    let root = root.to_str().unwrap();
    let before = place.everything();
    for args in [
        vec![
            "tablet",
            "import",
            source.to_str().unwrap(),
            "--root",
            root,
            "--tablet-id",
            "1",
            "--schema-hash",
            "1",
        ],
        vec!["tablet", "check", "--root", root],
        vec!["tablet", "show", "15672", "--root", root],
    ] {
        let done = tabletctl(&args);
        assert_eq!(done.status.code(), Some(4), "{args:?}");
        let said = text(&done.stdout) + &text(&done.stderr);
        assert!(said.contains(&holder), "{args:?}: {said}");
    }
    assert_eq!(place.everything(), before);
}

#[test]
fn a_source_with_anything_but_plain_files_is_refused_by_name() {
    type Spoil = fn(&Path);
    let cases: [(&str, &str, Spoil); 5] = [
        ("link.dat", "symlink", |dir| {
            std::os::unix::fs::symlink("/etc/passwd", dir.join("link.dat")).unwrap();
        }),
        ("pipe.dat", "FIFO", |dir| {
            nix::unistd::mkfifo(&dir.join("pipe.dat"), nix::sys::stat::Mode::S_IRWXU).unwrap();
        }),
        ("sub.dat", "directory", |dir| fs::create_dir(dir.join("sub.dat")).unwrap()),
        (".hidden", "hidden", |dir| fs::write(dir.join(".hidden"), b"x").unwrap()),
        ("", "UTF-8", |dir| {
            let name: &std::ffi::OsStr = std::os::unix::ffi::OsStrExt::from_bytes(b"bad\xff.dat");
            fs::write(dir.join(name), b"x").unwrap();
        }),
    ];
    for (name, what, spoil) in cases {
        let place = Place::new();
        let source = place.source("in");
        spoil(&source);
        let done = place.import_from(&source, &[]);
        let said = text(&done.stderr);
        assert_eq!(done.status.code(), Some(4), "{what}: {said}");
        assert!(said.contains(name) && said.contains(what), "{what}: {said}");
        assert_eq!((place.check().0, place.staging()), (Some(0), 0), "{what}");
        assert!(!place.root().join("data").read_dir().unwrap().any(|_| true), "{what}");
    }
}

#[test]
fn a_tablet_that_is_there_or_a_place_that_is_taken_is_refused() {
    let place = Place::new();
    let live = place.import();
    let source = place.source("in");
    let again = place.import_from(&source, &[]);
    assert_eq!(again.status.code(), Some(4));
    assert!(text(&again.stderr).contains("already"), "{}", text(&again.stderr));

    fs::remove_file(place.root().join("meta").join(record_name(KEY))).unwrap();
    let taken = place.import_from(&source, &[]);
    assert_eq!(taken.status.code(), Some(4));
    assert!(text(&taken.stderr).contains("no record owns"), "{}", text(&taken.stderr));
    assert_eq!(fs::read(live.join("small.dat")).unwrap(), b"a few bytes");
    assert_eq!(place.staging(), 0);
}

#[test]
fn a_new_generation_is_above_everything_in_trash() {
    let place = Place::new();
    place.import();
    retire_tablet(&place, 2);
    let done = place.import_from(&place.source("again"), &["--json"]);
    let said: Value = serde_json::from_slice(&done.stdout).unwrap();
    assert_eq!(said["generation"], 3, "{}", text(&done.stderr));
    let (status, report) = place.check();
    assert_eq!((status, &report["roots"][0]["trashed_tablets"]), (Some(0), &1.into()), "{report}");
}

#[test]
fn an_import_that_was_cut_short_is_told_of_and_then_done_again() {
    for was_placed in [false, true] {
        let place = Place::new();
        let root = place.open();
        let owner = Owner {
            purpose: Purpose::Import,
            migration_id: None,
            key: KEY,
            shard_id: ShardId(15672 % 1024),
            source: None,
            source_shard: None,
            destination: DiskRef { uuid: root.identity().uuid, path: "/somewhere".into() },
            asked: None,
        };
        let staging = Staging::open_or_create(root.dir(), &format!("import-{KEY}"), &owner).unwrap();
        fs::write(staging.files().path().join("half.dat"), b"half").unwrap();
        if was_placed {
            staging.place(root.dir()).unwrap();
        }
        let (_, report) = place.check();
        assert_eq!(report["roots"][0]["notes"][0]["kind"], "staging", "{report}");

        let done = place.import_from(&place.source("in"), &[]);
        assert_eq!(done.status.code(), Some(0), "{}", text(&done.stderr));
        assert!(!place.live().join("half.dat").exists());
        assert_eq!((place.check().0, place.staging()), (Some(0), 0));
    }
}

#[test]
fn a_batch_imports_every_good_line_and_tells_of_every_bad_one() {
    let place = Place::new();
    let mut lines = String::new();
    for n in 1..=200 {
        let dir = place.path(&format!("t{n}"));
        fs::create_dir(&dir).unwrap();
        fs::write(dir.join("0.dat"), format!("tablet {n}")).unwrap();
        lines += &format!("{{\"dir\":{dir:?},\"tablet_id\":{n},\"schema_hash\":7,\"partition_id\":1}}\n");
    }
    let first = place.path("t1");
    lines += "\nnot json\n";
    lines += "{\"dir\":\"/nonexistent\",\"tablet_id\":900,\"schema_hash\":7}\n";
    lines += &format!("{{\"dir\":{first:?},\"tablet_id\":1,\"schema_hash\":7}}\n");
    lines += &format!("{{\"dir\":{first:?},\"tablet_id\":0,\"schema_hash\":7}}\n");
    let header = place.path("header.json");
    fs::write(&header, "{\"table_id\":5,\"tablet_id\":902,\"schema_hash\":7}").unwrap();
    lines += &format!("{{\"dir\":{first:?},\"header\":{header:?},\"table_id\":6}}\n");
    lines += &format!("{{\"dir\":{first:?},\"tablet_id\":901,\"schema_hash\":7,\"shart\":1}}\n");
    let root = place.root();
    let mut child = Command::new(assert_cmd::cargo::cargo_bin!("tabletctl"))
        .args(["tablet", "import", "--batch", "-", "--root", root.to_str().unwrap()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(lines.as_bytes()).unwrap();
    let done = child.wait_with_output().unwrap();
    assert_eq!(done.status.code(), Some(1));
    let summary: Value = serde_json::from_slice(&done.stdout).unwrap();
    assert_eq!(summary["imported"], 200, "{summary}");
    let failed: Vec<_> = summary["failed"]
        .as_array()
        .unwrap()
        .iter()
        .map(|refusal| refusal["line"].as_u64().unwrap())
        .collect();
    assert_eq!(failed, [202, 203, 204, 205, 206, 207], "{summary}");
    assert!(text(&done.stderr).contains("line 207: unknown field `shart`"), "{}", text(&done.stderr));
    let (status, report) = place.check();
    assert_eq!((status, &report["tablets"], place.staging()), (Some(0), &200.into(), 0), "{report}");
}

#[test]
fn a_root_of_a_doris_be_or_a_directory_of_something_else_is_not_touched() {
    for names in [vec!["meta/CURRENT", "data/1/x"], vec!["holiday/photo.jpg"]] {
        let place = Place::new();
        for name in &names {
            let path = place.root().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, b"x").unwrap();
        }
        let done = place.import_from(&place.source("in"), &[]);
        assert_eq!(done.status.code(), Some(4), "{names:?}");
        let check = tabletctl(&["tablet", "check", "--root", place.root().to_str().unwrap()]);
        assert_eq!(check.status.code(), Some(1), "{names:?}");
        let files: Vec<_> = walkdir::WalkDir::new(place.root())
            .into_iter()
            .map(|entry| entry.unwrap())
            .filter(|entry| entry.file_type().is_file())
            .collect();
        assert_eq!(files.len(), names.len(), "{files:?}");
    }
}

#[test]
fn a_check_makes_nothing_that_is_missing() {
    let place = Place::new();
    assert_eq!(tabletctl(&["tablet", "check", "--root", "/nonexistent/root"]).status.code(), Some(1));
    place.import();
    fs::remove_dir(place.root().join("migrating")).unwrap();
    fs::remove_dir(place.root().join("quarantine")).unwrap();
    let before = place.everything();
    assert_eq!(place.check().0, Some(0));
    assert_eq!(place.everything(), before);
}

#[test]
fn the_roots_of_a_configuration_are_checked_and_a_missing_one_is_no_success() {
    let place = Place::new();
    place.import();
    let conf = place.path("be.conf");
    let check = |roots: &str| {
        fs::write(&conf, format!("storage_root_path = {roots}\nignore_broken_disk = true\n")).unwrap();
        tabletctl(&["tablet", "check", "--conf", conf.to_str().unwrap()])
    };
    let root = place.root();
    let root = root.to_str().unwrap();
    assert_eq!(check(root).status.code(), Some(0));
    let done = check(&format!("{root};/nonexistent/disk"));
    assert_eq!(done.status.code(), Some(1));
    assert!(text(&done.stdout).contains("/nonexistent/disk: NOT CHECKED"), "{}", text(&done.stdout));
}

#[test]
fn a_command_line_that_makes_no_sense_is_a_usage_error() {
    for args in [
        vec!["tablet", "import", "--root", "/tmp"],
        vec!["tablet", "import", "d", "--root", "/tmp", "--tablet-id", "0", "--schema-hash", "1"],
        vec!["tablet", "import", "d", "--root", "/tmp", "--tablet-id", "1", "--header", "h"],
        vec!["tablet", "import", "d", "--root", "/tmp", "--batch", "b"],
        vec![
            "tablet",
            "import",
            "d",
            "--root",
            "/tmp",
            "--tablet-id",
            "1",
            "--schema-hash",
            "1",
            "--shard",
            "1024",
        ],
        vec!["tablet", "check"],
        vec!["--addr", "ftp://localhost", "disks"],
    ] {
        assert_eq!(tabletctl(&args).status.code(), Some(2), "{args:?}");
    }
}

#[test]
fn how_to_reach_the_daemon_stands_in_a_group_of_its_own() {
    for args in [&["--help"][..], &["disk", "drain", "--help"], &["task", "move", "-h"]] {
        let help = text(&tabletctl(args).stdout);
        let (mut heading, mut group) = ("", Vec::new());
        for line in help.lines() {
            if !line.starts_with(' ') && line.ends_with(':') {
                heading = line;
            }
            let option = line.trim_start().split(' ').next().filter(|word| word.starts_with("--"));
            group.extend(option.filter(|_| heading == "Connection options:"));
        }
        assert_eq!(group, ["--addr", "--token", "--token-file", "--ca"], "{help}");
    }
}
