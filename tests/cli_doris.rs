//! `tabletctl doris inspect`: real databases looked at, and not one byte of them changed.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use assert_cmd::cargo::cargo_bin;
use serde_json::Value;
use sha2::{Digest, Sha256};

fn unpack(node: &str) -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("a directory");
    let packed = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/fixtures/doris/{node}.tar.gz"));
    let status = Command::new("tar").arg("xzf").arg(packed).arg("-C").arg(dir.path()).status();
    assert!(status.expect("tar runs").success());
    dir
}

fn expected(node: &str) -> Value {
    let path =
        Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/fixtures/doris/expected/{node}.json"));
    serde_json::from_slice(&std::fs::read(path).expect("is there")).expect("parses")
}

fn inspect(roots: &[PathBuf], more: &[&str]) -> (Option<i32>, Value) {
    let output = Command::new(cargo_bin("tabletctl"))
        .args(["doris", "inspect", "--json"])
        .args(roots)
        .args(more)
        .output()
        .expect("runs");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let report = serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {said}"));
    (output.status.code(), report)
}

/// Content and times of every file and directory below a path.
fn everything(below: &Path) -> BTreeMap<PathBuf, (i64, i64, Vec<u8>)> {
    walkdir::WalkDir::new(below)
        .into_iter()
        .map(|entry| entry.expect("readable"))
        .map(|entry| {
            let metadata = entry.metadata().expect("readable");
            let bytes =
                if metadata.is_file() { std::fs::read(entry.path()).expect("readable") } else { vec![] };
            let digest = Sha256::digest(&bytes).to_vec();
            (entry.path().to_owned(), (metadata.mtime_nsec() + metadata.mtime(), metadata.ctime(), digest))
        })
        .collect()
}

#[test]
fn every_root_is_told_as_it_is_and_left_as_it_was() {
    for node in ["clean", "killed", "compacted", "torn", "empty", "unstartable"] {
        let dir = unpack(node);
        let wanted = expected(node);
        let names: Vec<&String> = wanted["roots"].as_object().expect("roots").keys().collect();
        let roots: Vec<PathBuf> = names.iter().map(|name| dir.path().join(node).join(name)).collect();
        let before = everything(dir.path());
        let (status, report) = inspect(&roots, &[]);
        assert!(before == everything(dir.path()), "{node} was changed");
        let mut findings = false;
        for (n, name) in names.into_iter().enumerate() {
            let (root, wanted) = (&report["roots"][n], &wanted["roots"][name]);
            assert_eq!(root["strays"], wanted["strays"], "{node}/{name}");
            let tablets = root["tablets"].as_array().expect("tablets");
            assert_eq!(tablets.len(), wanted["tablets"].as_array().expect("tablets").len(), "{node}/{name}");
            for wanted in wanted["tablets"].as_array().expect("tablets") {
                let tablet = tablets.iter().find(|tablet| tablet["tablet_id"] == wanted["tablet_id"]);
                let tablet = tablet.expect("is told");
                let about = format!("{node}/{name} {} ({})", wanted["tablet_id"], wanted["made_as"]);
                let mut reasons: Vec<String> =
                    serde_json::from_value(wanted["reasons"].clone()).expect("texts");
                reasons.sort_unstable();
                assert_eq!(tablet["reasons"], Value::from(reasons), "{about}");
                assert_eq!(tablet["generation"], wanted["generation"], "{about}");
                assert_eq!(tablet["missing"], wanted["missing"], "{about}");
                let moves = wanted["verdict"] == "move";
                assert_eq!(tablet["verdict"], if moves { "move" } else { "leave" }, "{about}");
                if !moves {
                    let damage = ["segment-missing", "segment-damaged", "record-damaged"];
                    findings |= damage.iter().any(|reason| {
                        tablet["reasons"].as_array().expect("texts").iter().any(|said| said == reason)
                    });
                }
            }
        }
        for wanted in wanted["on_several_roots"].as_array().expect("a list") {
            let several = report["on_several_roots"].as_array().expect("a list").iter();
            let found = several.clone().find(|found| found["tablet_id"] == wanted["tablet_id"]);
            let owner = found.expect("is told")["owner"].as_str().expect("an owner");
            if let Some(wanted) = wanted["owner"].as_str() {
                assert!(owner.ends_with(wanted), "{node}: {owner}");
            }
        }
        assert_eq!(status, Some(i32::from(findings)), "{node}");
    }
}

#[test]
fn what_is_not_understood_is_refused_by_name_and_a_rescue_lists_the_rest() {
    let refused = unpack("refused");
    for (root, word) in [("format5", "table format 5"), ("dbid", "8193"), ("waldel", "8200")] {
        let (status, report) = inspect(&[refused.path().join("refused").join(root)], &[]);
        let why = report["roots"][0]["unreadable"].as_str().expect("a reason");
        assert!(why.contains(word), "{why}");
        assert_eq!(status, Some(1));
    }
    for (root, word) in [("cloud", "deploy_mode"), ("hdr", "hdr_")] {
        let (_, report) = inspect(&[refused.path().join("refused").join(root)], &[]);
        let why = report["roots"][0]["refused_for_writing"].as_str().expect("a reason");
        assert!(why.contains(word), "{why}");
    }
    let flipped = unpack("flipped");
    let damaged = flipped.path().join("flipped/d1");
    let (_, strict) = inspect(std::slice::from_ref(&damaged), &[]);
    assert!(strict["roots"][0]["unreadable"].is_string(), "{strict}");
    let (status, rescued) = inspect(&[damaged], &["--rescue"]);
    assert_eq!(status, Some(1));
    assert!(!rescued["roots"][0]["lost"].as_array().expect("a list").is_empty());
    assert!(!rescued["roots"][0]["tablets"].as_array().expect("a list").is_empty());
}

#[test]
fn a_root_that_is_no_backends_is_said_to_be_none() {
    let dir = tempfile::tempdir().expect("a directory");
    let (status, report) = inspect(&[dir.path().to_owned()], &[]);
    let why = report["roots"][0]["unreadable"].as_str().expect("a reason");
    assert!(why.contains("no backend has started with it yet"), "{why}");
    assert_eq!(status, Some(1));
}

fn header(args: &[&str], roots: &[PathBuf]) -> (bool, String, String) {
    let mut command = Command::new(cargo_bin("tabletctl"));
    let output = command.args(["doris", "header"]).args(args).args(roots).output().expect("runs");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
    (output.status.success(), text(output.stdout), text(output.stderr))
}

#[test]
fn every_record_is_printed_as_doris_prints_it() {
    let dir = unpack("clean");
    let root = dir.path().join("clean/hdd1");
    let mut printed = 0;
    for tablet in expected("clean")["roots"]["hdd1"]["tablets"].as_array().expect("tablets") {
        let id = tablet["tablet_id"].to_string();
        let (ok, out, said) = header(&[&id], std::slice::from_ref(&root));
        assert!(ok, "{id}: {said}");
        let json: Value = serde_json::from_str(&out).expect("json");
        assert_eq!(json["tablet_id"], tablet["tablet_id"]);
        assert_eq!(json["schema_hash"], tablet["schema_hash"]);
        assert_eq!(json["tablet_state"], "PB_RUNNING", "{id}");
        assert!(json["schema"]["column"].as_array().is_some_and(|columns| !columns.is_empty()), "{id}");
        assert!(json["rs_metas"][0]["rowset_type"] == "BETA_ROWSET", "{id}: {out}");
        printed += 1;
    }
    assert!(printed > 10, "{printed}");
}

#[test]
fn a_record_that_is_nowhere_or_twice_is_said() {
    let dir = unpack("killed");
    let wanted = expected("killed");
    let roots: Vec<PathBuf> =
        ["hdd1", "hdd2", "ssd1"].map(|name| dir.path().join("killed").join(name)).into();
    let twice = wanted["on_several_roots"][0]["tablet_id"].to_string();
    let (ok, _, said) = header(&[&twice], &roots);
    assert!(!ok && said.contains("several records") && said.contains("hdd"), "{said}");
    let (ok, _, said) = header(&["1"], &roots);
    assert!(!ok && said.contains("no record of tablet 1 "), "{said}");
}
