//! What a file has beside its bytes goes along: owner, mode, time of change and holes; and what cannot is said.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions, Permissions};
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt, chown};
use std::path::Path;
use std::sync::Mutex;
use std::time::{Duration, SystemTime};

use tabletd::model::{FileEntry, Manifest, TabletKey};
use tabletd::storage::{Dir, DirectBarrier};
use tabletd::transfer::{BufferBudget, CopyHooks, CopyOptions, CopyRequest, copy};

use crate::harness::mounts::{Image, skip};
use crate::harness::{Node, make_root};

const MIB: usize = 1 << 20;

/// What is kept of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Kept {
    owner: (u32, u32),
    mode: u32,
    modified: (i64, i64),
}

/// Everything in a directory, and of how many blocks each file is.
fn look(dir: &Path) -> BTreeMap<String, (Kept, u64)> {
    let files = fs::read_dir(dir).expect("a directory").map(|entry| {
        let entry = entry.expect("an entry");
        let is = entry.metadata().expect("metadata");
        let kept = Kept {
            owner: (is.uid(), is.gid()),
            mode: is.mode() & 0o7777,
            modified: (is.mtime(), is.mtime_nsec()),
        };
        (entry.file_name().to_string_lossy().into_owned(), (kept, is.blocks()))
    });
    files.collect()
}

fn same_but_for_blocks(is: &BTreeMap<String, (Kept, u64)>, was: &BTreeMap<String, (Kept, u64)>) {
    let kept = |seen: &BTreeMap<String, (Kept, u64)>| -> Vec<_> {
        seen.iter().map(|(name, (kept, _))| (name.clone(), *kept)).collect()
    };
    assert_eq!(kept(is), kept(was));
    // A file system puts a few blocks of its own between the pieces.
    for ((name, (_, blocks)), (_, before)) in is.iter().zip(was.values()) {
        assert!(*blocks <= before + 128, "{name} has {blocks} blocks, its original {before}");
    }
}

/// Of `length` bytes, zeros but for a few pieces.
fn mostly_zero(length: usize, pieces: &[(usize, usize)]) -> Vec<u8> {
    let mut bytes = vec![0; length];
    pieces.iter().for_each(|(at, size)| bytes[*at..at + size].fill(0xa5));
    bytes
}

/// Writes a file anew with nothing where whole pages are zero.
fn with_holes(path: &Path, bytes: &[u8]) {
    let file = File::create(path).expect("a file");
    file.set_len(bytes.len() as u64).expect("its size");
    for (at, page) in bytes.chunks(4096).enumerate().filter(|(_, page)| page.iter().any(|byte| *byte != 0)) {
        file.write_all_at(page, at as u64 * 4096).expect("a page");
    }
}

/// Gives the files of a directory, and the directory, what is to be kept.
fn make_special(dir: &Path) {
    let mut names: Vec<_> =
        fs::read_dir(dir).expect("a directory").map(|entry| entry.expect("one").path()).collect();
    names.sort();
    for (n, path) in (0_u32..).zip(&names) {
        chown(path, Some(1234 + n), Some(567)).expect("root");
        fs::set_permissions(
            path,
            Permissions::from_mode([0o640, 0o600, 0o444, 0o664, 0o644][n as usize % 5]),
        )
        .expect("a mode");
        let modified = SystemTime::UNIX_EPOCH + Duration::new(1_500_000_000 + u64::from(n), 123_456_789);
        File::open(path).and_then(|file| file.set_modified(modified)).expect("a time");
    }
    chown(dir, Some(1234), Some(567)).expect("root");
    fs::set_permissions(dir, Permissions::from_mode(0o750)).expect("a mode");
}

fn owner_and_mode(dir: &Path) -> (u32, u32, u32) {
    let is = fs::metadata(dir).expect("a directory");
    (is.uid(), is.gid(), is.mode() & 0o7777)
}

/// A tablet with dense files, one of them copied in windows, and sparse ones of each size and shape.
fn add_special_tablet(node: &mut Node, root: usize) -> TabletKey {
    let sparse = [
        mostly_zero(40 * MIB, &[(0, 4096), (10 * MIB, 65_536), (20 * MIB + 8192, 4096)]),
        mostly_zero(2 * MIB, &[(2 * MIB - 4096, 4096)]),
        mostly_zero(64 << 10, &[(16 << 10, 100)]),
        mostly_zero(100_000, &[]),
    ];
    let dense = [vec![7; 1000], vec![], vec![9; 12 * MIB + 5]];
    let key = node.add_tablet_of(root, 1, &[&dense[..], &sparse[..]].concat());
    let dir = node.tablet_dir(root, key);
    for (n, bytes) in (dense.len()..).zip(&sparse) {
        with_holes(&dir.join(format!("0200{n:04}_0.dat")), bytes);
    }
    make_special(&dir);
    key
}

/// Disk 0 on ext4, disks 1 and 2 on one xfs.
fn node_on_images() -> Option<(Node, [Image; 2])> {
    let dir = tempfile::tempdir().expect("a directory");
    let images = [Image::ext4(dir.path(), "ext4", 128 << 20)?, Image::xfs(dir.path(), "xfs", 320 << 20)?];
    let roots = vec![images[0].path().to_owned(), images[1].path().join("a"), images[1].path().join("b")];
    roots.iter().for_each(|root| make_root(root));
    Some((Node::on(dir, roots), images))
}

#[test]
fn owner_mode_time_and_holes_go_along_from_disk_to_disk_and_a_clone_has_them_too() {
    let Some((mut node, _images)) = node_on_images() else { return };
    let key = add_special_tablet(&mut node, 0);
    let (was, directory) = (look(&node.tablet_dir(0, key)), owner_and_mode(&node.tablet_dir(0, key)));
    let blocks: u64 = was.values().map(|(_, blocks)| blocks).sum();
    assert!(blocks < 14 * 2048, "the originals are sparse: {was:#?}");
    let daemon = node.start();
    // Copied to another file system, cloned within it, and copied back.
    for (from, to) in [(0, 1), (1, 2), (2, 0)] {
        let id = daemon.accept(key, &node.disk(to));
        let done = daemon.wait_for(id, &["completed", "failed"]);
        assert_eq!(done["status"], "completed", "{from} to {to}: {done:#}");
        assert!(!done.to_string().contains("is not kept"), "{done:#}");
        let dir = node.tablet_dir(to, key);
        same_but_for_blocks(&look(&dir), &was);
        assert_eq!(owner_and_mode(&dir), directory, "{from} to {to}");
    }
    daemon.stop();
    node.assert_whole();
}

#[test]
fn a_configured_owner_takes_the_place_of_the_original_one_and_a_cut_short_copy_is_given_it_too() {
    let Some((mut node, _images)) = node_on_images() else { return };
    let key = add_special_tablet(&mut node, 0);
    let was = look(&node.tablet_dir(0, key));
    node.settings = "tablet_file_owner = 4321:8765\ndisk_rate_limit_bytes_per_sec = 30000000\n".to_owned();
    let daemon = node.start();
    let id = daemon.accept(key, &node.disk(1));
    let copied = || daemon.migration(id)["disk_processed_bytes"].as_u64().unwrap_or(0);
    assert!(daemon.becomes(|| copied() > 6 * MIB as u64), "{:#}", daemon.migration(id));
    daemon.kill();
    let daemon = node.start();
    let done = daemon.wait_for(id, &["completed", "failed"]);
    assert_eq!(done["status"], "completed", "{done:#}");
    let is = look(&node.tablet_dir(1, key));
    assert_eq!(is.len(), was.len());
    for ((name, (is, _)), (was, _)) in is.iter().zip(was.values()) {
        assert_eq!(*is, Kept { owner: (4321, 8765), ..*was }, "{name}");
    }
    daemon.stop();
    node.assert_whole();
}

#[test]
fn a_user_that_is_not_known_is_refused_by_the_name_of_the_key() {
    let mut node = Node::new(1);
    node.settings = "tablet_file_owner = nobody-of-that-name:root".to_owned();
    let said = node.try_start().map(drop).expect_err("nobody knows that user");
    assert!(said.contains("tablet_file_owner") && said.contains("doris:doris or 1000:1000"), "{said}");
}

/// Keeps the log of a copy.
#[derive(Default)]
struct Log(Mutex<Vec<String>>);

impl CopyHooks for Log {
    fn log(&self, text: String) {
        self.0.lock().expect("no panic").push(text);
    }
}

fn copy_files(source: &Path, destination: &Path) -> Vec<String> {
    let files = fs::read_dir(source).expect("a directory").map(|entry| {
        let path = entry.expect("an entry").path();
        let bytes = fs::read(&path).expect("bytes");
        let name = path.file_name().expect("a name").to_string_lossy().into_owned();
        FileEntry { name, size_bytes: bytes.len() as u64, crc32: Some(crc32fast::hash(&bytes)) }
    });
    let manifest = Manifest::new(files.collect()).expect("plain names");
    let destination = Dir::open_absolute(destination).expect("a directory");
    let log = Log::default();
    let copied = copy(&CopyRequest {
        source: &Dir::open_absolute(source).expect("a directory"),
        destination: &destination,
        manifest: &manifest,
        barrier: &DirectBarrier(&destination),
        options: &CopyOptions::default(),
        budget: &BufferBudget::new(64 << 20),
        hooks: &log,
    });
    drop(copied.expect("no failure"));
    log.0.into_inner().expect("no panic")
}

/// Two directories below `dir`, the first with two files.
fn two_directories(dir: &Path) -> [std::path::PathBuf; 2] {
    let [from, to] = ["from", "to"].map(|name| dir.join(name));
    [&from, &to].into_iter().for_each(|dir| fs::create_dir(dir).expect("fresh"));
    fs::write(from.join("a"), vec![1; 5000]).expect("a file");
    fs::write(from.join("b"), vec![2; 10]).expect("a file");
    [from, to]
}

#[test]
fn what_a_kill_left_without_owner_and_time_is_given_them_when_the_copy_goes_on() {
    if !nix::unistd::geteuid().is_root() {
        return skip("only root gives files away");
    }
    let dir = tempfile::tempdir().expect("a directory");
    let [from, to] = two_directories(dir.path());
    make_special(&from);
    fs::copy(from.join("a"), to.join("a")).expect("whole, but nobody's");
    let log = copy_files(&from, &to);
    same_but_for_blocks(&look(&to), &look(&from));
    assert!(!log.iter().any(|line| line.contains("is not kept")), "{log:?}");
}

#[test]
fn who_may_not_give_files_away_keeps_the_rest_and_says_so_once() {
    if !nix::unistd::geteuid().is_root() {
        return skip("only root becomes somebody else");
    }
    let dir = tempfile::tempdir().expect("a directory");
    let [from, to] = two_directories(dir.path());
    fs::set_permissions(dir.path(), Permissions::from_mode(0o755)).expect("ours");
    make_special(&from);
    for entry in fs::read_dir(&from).expect("a directory") {
        fs::set_permissions(entry.expect("one").path(), Permissions::from_mode(0o664)).expect("a mode");
    }
    fs::set_permissions(&from, Permissions::from_mode(0o755)).expect("a mode");
    chown(&to, Some(65_534), Some(65_534)).expect("root");
    let log = std::thread::scope(|scope| {
        let copying = scope.spawn(|| {
            // SAFETY: takes three integers; the bare call changes this thread alone, and those it makes.
            let answer = unsafe { libc::syscall(libc::SYS_setresuid, -1, 65_534, -1) };
            assert_eq!(answer, 0);
            copy_files(&from, &to)
        });
        copying.join().expect("no panic")
    });
    let lines: Vec<_> = log.iter().filter(|line| line.contains("is not kept")).collect();
    let [line] = lines.as_slice() else { panic!("one line: {log:?}") };
    assert!(line.starts_with("the owner is not kept: ") && line.contains(" and 2 more: "), "{line}");
    for ((name, (is, _)), (was, _)) in look(&to).iter().zip(look(&from).values()) {
        assert_eq!((is.mode, is.modified, is.owner.0), (was.mode, was.modified, 65_534), "{name}");
    }
}

#[test]
fn a_hole_is_as_long_as_it_was_after_a_file_was_written_over_in_part() {
    let dir = tempfile::tempdir().expect("a directory");
    let [from, to] = two_directories(dir.path());
    let bytes = mostly_zero(3 * MIB, &[(MIB, 10)]);
    with_holes(&from.join("c"), &bytes);
    // A page of zeros that was written is data, and stays readable as such.
    let file = OpenOptions::new().write(true).open(from.join("c")).expect("a file");
    file.write_all_at(&[0; 4096], 2 * MIB as u64).expect("a page");
    drop(copy_files(&from, &to));
    assert_eq!(fs::read(to.join("c")).expect("bytes"), bytes);
    let blocks = |dir: &Path| fs::metadata(dir.join("c")).expect("a file").blocks();
    assert!(blocks(&to) <= blocks(&from) + 16, "{} {}", blocks(&to), blocks(&from));
}
