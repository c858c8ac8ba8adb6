//! The copy engine on real directories: where the tests run, and, as root, on loop-mounted ext4, xfs and btrfs and on a
//! tmpfs. Without root those are skipped and say so; with `TABLETD_REQUIRE_ROOT_TESTS=1` they then fail.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on stops there")]

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{FileExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use nix::errno::Errno;
use nix::fcntl::{PosixFadviseAdvice, posix_fadvise};
use proptest::prelude::*;
use tabletd::model::{ErrorCode, Failure, FileEntry, FileOwner, Manifest};
use tabletd::storage::{Barrier, Dir, DirectBarrier, DiskError, os};
use tabletd::transfer::{
    BufferBudget, CallToken, CheckRequest, Coldness, CopyHooks, CopyOptions, CopyRequest, Found, SharedBytes,
    Side, Strangers, Traffic, VerifiedCopy, check_source, copy, copy_further, read_cold_crc, sum_files,
    verify_files,
};

// ---- the owner of a copy ----------------------------------------------------------------------------------------

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Event {
    Checkpoint,
    Take(Traffic),
    Enter(Side, &'static str),
}

type OnEvent<'a> = Box<dyn Fn(Event) -> Result<(), Failure> + Sync + 'a>;

#[derive(Default)]
struct Owner<'a> {
    copied_bytes: AtomicU64,
    verified_bytes: AtomicU64,
    resumed_bytes: AtomicU64,
    cloned_bytes: AtomicU64,
    read_back_bytes: AtomicU64,
    files_verified: AtomicUsize,
    calls_open: AtomicUsize,
    /// What no block may be longer than; 0 for no such limit.
    block_bytes_max: AtomicUsize,
    longest_block_bytes: AtomicU64,
    log: Mutex<Vec<String>>,
    on_event: Option<OnEvent<'a>>,
}

impl<'a> Owner<'a> {
    fn with(on_event: impl Fn(Event) -> Result<(), Failure> + Sync + 'a) -> Self {
        Self { on_event: Some(Box::new(on_event)), ..Self::default() }
    }

    fn tell(&self, event: Event) -> Result<(), Failure> {
        self.on_event.as_ref().map_or(Ok(()), |on_event| on_event(event))
    }

    fn log(&self) -> Vec<String> {
        self.log.lock().unwrap().clone()
    }
}

impl CopyHooks for Owner<'_> {
    fn checkpoint(&self) -> Result<(), Failure> {
        self.tell(Event::Checkpoint)
    }
    fn take(
        &self,
        traffic: Traffic,
        bytes: u64,
        go_on: &dyn Fn() -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        if traffic == Traffic::ReadBack {
            self.read_back_bytes.fetch_add(bytes, Ordering::Relaxed);
        }
        self.longest_block_bytes.fetch_max(bytes, Ordering::Relaxed);
        self.tell(Event::Take(traffic))?;
        go_on()
    }
    fn block_bytes_max(&self) -> usize {
        match self.block_bytes_max.load(Ordering::Relaxed) {
            0 => usize::MAX,
            most => most,
        }
    }
    fn copied(&self, bytes: u64) {
        self.copied_bytes.fetch_add(bytes, Ordering::Relaxed);
    }
    fn verified(&self, bytes: u64) {
        self.verified_bytes.fetch_add(bytes, Ordering::Relaxed);
    }
    fn file_verified(&self) {
        self.files_verified.fetch_add(1, Ordering::Relaxed);
    }
    fn resumed(&self, bytes: u64) {
        self.resumed_bytes.fetch_add(bytes, Ordering::Relaxed);
    }
    fn cloned(&self, bytes: u64) {
        self.cloned_bytes.fetch_add(bytes, Ordering::Relaxed);
    }
    fn log(&self, text: String) {
        self.log.lock().unwrap().push(text);
    }
    fn enter_call(&self, side: Side, operation: &'static str) -> CallToken {
        self.calls_open.fetch_add(1, Ordering::Relaxed);
        let _ = self.tell(Event::Enter(side, operation));
        CallToken::default()
    }
    fn leave_call(&self, _: CallToken) {
        self.calls_open.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Does something at the first event of a kind and nothing after.
struct Once(AtomicUsize);

impl Once {
    fn new() -> Self {
        Self(AtomicUsize::new(0))
    }
    /// Whether this is call number `nth`, from 1.
    fn is(&self, nth: usize) -> bool {
        self.0.fetch_add(1, Ordering::SeqCst) + 1 == nth
    }
}

// ---- a place to copy in -------------------------------------------------------------------------------------------

/// What is known of reads on the file system below a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Medium {
    /// A disk: reads must be proved cold and leave nothing in the cache.
    Disk,
    /// Memory.
    Memory,
    /// Wherever the tests run.
    Unknown,
}

struct Place {
    root: PathBuf,
    medium: Medium,
    _temporary: Option<tempfile::TempDir>,
}

impl Place {
    fn temporary() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let place =
            Self { root: directory.path().to_owned(), medium: Medium::Unknown, _temporary: Some(directory) };
        place.clear();
        place
    }

    fn clear(&self) {
        for path in [self.source(), self.destination()] {
            let _ = fs::remove_dir_all(&path);
            fs::create_dir(path).unwrap();
        }
    }

    fn source(&self) -> PathBuf {
        self.root.join("source")
    }

    fn destination(&self) -> PathBuf {
        self.root.join("destination")
    }

    /// Writes a source file and its manifest entry; its pages are dropped.
    fn add(&self, name: &str, bytes: &[u8]) -> FileEntry {
        write_cold(&self.source().join(name), bytes);
        FileEntry {
            name: name.to_owned(),
            size_bytes: bytes.len() as u64,
            crc32: Some(crc32fast::hash(bytes)),
        }
    }

    fn copy(
        &self,
        manifest: &Manifest,
        options: &CopyOptions,
        owner: &Owner<'_>,
    ) -> Result<VerifiedCopy, Failure> {
        let destination = Dir::open_absolute(&self.destination()).unwrap();
        self.copy_past(&DirectBarrier(&destination), manifest, options, owner)
    }

    fn copy_past(
        &self,
        barrier: &(dyn Barrier + Sync),
        manifest: &Manifest,
        options: &CopyOptions,
        owner: &Owner<'_>,
    ) -> Result<VerifiedCopy, Failure> {
        let source = Dir::open_absolute(&self.source()).unwrap();
        let destination = Dir::open_absolute(&self.destination()).unwrap();
        let budget = BufferBudget::new(64 << 20);
        let before = snapshot(&self.source());
        let answer = copy(&CopyRequest {
            source: &source,
            destination: &destination,
            manifest,
            barrier,
            options,
            budget: &budget,
            hooks: owner,
        });
        assert_eq!(budget.lent_bytes(), 0, "all memory is given back");
        assert_eq!(owner.calls_open.load(Ordering::Relaxed), 0, "every call that was entered was left");
        if owner.on_event.is_none() {
            assert!(snapshot(&self.source()) == before, "the source is never written");
        }
        answer
    }

    fn assert_copied(&self) {
        let (is, should_be) = (snapshot(&self.destination()), snapshot(&self.source()));
        assert_eq!(is.keys().collect::<Vec<_>>(), should_be.keys().collect::<Vec<_>>());
        for (name, bytes) in &should_be {
            assert!(is[name] == *bytes, "{name} differs");
        }
    }
}

fn write_cold(path: &Path, bytes: &[u8]) {
    let mut file = File::create(path).unwrap();
    file.write_all(bytes).unwrap();
    file.sync_all().unwrap();
    posix_fadvise(&file, 0, 0, PosixFadviseAdvice::POSIX_FADV_DONTNEED).unwrap();
}

fn snapshot(directory: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = fs::read_dir(directory).unwrap().map(Result::unwrap);
    entries
        .filter(|entry| entry.file_type().unwrap().is_file())
        .map(|entry| (entry.file_name().into_string().unwrap(), read_and_drop(&entry.path())))
        .collect()
}

/// Without leaving pages that were not there before.
fn read_and_drop(path: &Path) -> Vec<u8> {
    let was_cached = cached_pages(path) > 0;
    let bytes = fs::read(path).unwrap();
    if !was_cached {
        let file = File::open(path).unwrap();
        posix_fadvise(&file, 0, 0, PosixFadviseAdvice::POSIX_FADV_DONTNEED).unwrap();
    }
    bytes
}

fn cached_pages(path: &Path) -> u64 {
    os::cached_pages(File::open(path).unwrap()).unwrap_or(0)
}

/// Bytes that repeat at no block size.
fn noise(length: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

const BLOCK: usize = 64 << 10;
const WINDOW: usize = 256 << 10;

/// Small blocks and windows: every path is taken with little data.
fn many_threads() -> CopyOptions {
    CopyOptions {
        threads: 4,
        block_bytes: BLOCK,
        window_min_bytes: WINDOW as u64,
        window_max_bytes: WINDOW as u64,
        ..CopyOptions::default()
    }
}

fn one_thread() -> CopyOptions {
    CopyOptions { threads: 1, ..many_threads() }
}

fn flip_a_byte(path: &Path, at: u64) {
    let file = OpenOptions::new().read(true).write(true).open(path).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, at).unwrap();
    file.write_all_at(&[!byte[0]], at).unwrap();
    file.sync_all().unwrap();
}

fn stop(code: ErrorCode) -> Failure {
    Failure::new(code, "told to stop")
}

// ---- what must hold everywhere ------------------------------------------------------------------------------------

macro_rules! scenarios {
    ($($name:ident)*) => {
        const SCENARIOS: &[(&str, fn(&super::Place))] = &[$((stringify!($name), super::$name),)*];
        $(#[test] fn $name() { super::$name(&super::Place::temporary()); })*
    };
}

mod everywhere {
    scenarios! {
        files_of_every_size_arrive_whole
        default_options_copy_a_realistic_tablet
        pages_that_others_cached_stay
        a_source_that_is_not_its_manifest_is_refused
        a_wrong_sum_is_damage_and_a_flip_on_the_way_is_not
        a_source_that_changes_size_is_damage
        a_changed_destination_is_found_by_the_read_back
        a_symlink_in_the_place_of_a_copied_file_is_found
        a_restart_keeps_what_is_right_and_nothing_else
        files_without_a_recorded_sum_are_copied_again
        a_stopped_copy_says_why_and_can_go_on
        a_failed_barrier_is_final
        a_changed_tablet_is_caught_up_without_reading_the_rest_again
        an_empty_tablet_is_copied_too
        a_check_names_every_damaged_file
        little_memory_is_enough
        blocks_are_as_short_as_the_owner_wants_them
        every_sync_comes_before_its_read_back_and_none_is_wasted
    }

    pub(super) fn run_all(place: &super::Place) {
        for (name, scenario) in SCENARIOS {
            eprintln!("{name} in {}", place.root.display());
            place.clear();
            scenario(place);
        }
    }
}

fn files_of_every_size_arrive_whole(place: &Place) {
    let edges = [0, 1, 4095, 4096, 4097, BLOCK, 128 << 10, WINDOW, WINDOW + 4096, 2 * WINDOW, 5 * WINDOW];
    let sizes = edges.into_iter().flat_map(|edge| [edge.saturating_sub(1), edge, edge + 1]);
    let files = sizes.enumerate().map(|(nth, size)| {
        let entry = place.add(&format!("{nth:03}_{size}.dat"), &noise(size, nth as u64 + 1));
        FileEntry { crc32: entry.crc32.filter(|_| nth % 2 == 0), ..entry }
    });
    let manifest = Manifest::new(files.collect()).unwrap();
    let total_bytes = manifest.total_bytes();
    for options in [many_threads(), one_thread()] {
        let _ = fs::remove_dir_all(place.destination());
        fs::create_dir(place.destination()).unwrap();
        let owner = Owner::default();
        let verified = place.copy(&manifest, &options, &owner).unwrap();

        if place.medium == Medium::Disk {
            assert_eq!(verified.coldness(), Coldness::Cold, "{:?}", owner.log());
            for name in manifest.files().iter().map(|file| &file.name) {
                assert_eq!(cached_pages(&place.destination().join(name)), 0, "destination {name}");
                assert_eq!(cached_pages(&place.source().join(name)), 0, "source {name}");
            }
        }
        if place.medium == Medium::Memory {
            assert_eq!(verified.coldness(), Coldness::NotProven);
            let log = owner.log();
            assert_eq!(
                log.iter().filter(|line| line.starts_with("not verified cold: ")).count(),
                1,
                "{log:?}"
            );
            assert_eq!(log.iter().filter(|line| line.starts_with("no O_DIRECT")).count(), 2, "{log:?}");
        }
        place.assert_copied();
        for file in verified.manifest().files() {
            let bytes = fs::read(place.source().join(&file.name)).unwrap();
            assert_eq!(file.crc32, Some(crc32fast::hash(&bytes)), "{}", file.name);
            let source = File::open(place.source().join(&file.name)).unwrap();
            posix_fadvise(&source, 0, 0, PosixFadviseAdvice::POSIX_FADV_DONTNEED).unwrap();
        }
        assert_eq!(owner.copied_bytes.into_inner(), total_bytes);
        assert_eq!(owner.verified_bytes.into_inner(), total_bytes);
        assert_eq!(owner.files_verified.into_inner(), manifest.files().len());
        assert_eq!(verified.resumed_bytes(), 0);
    }
}

fn default_options_copy_a_realistic_tablet(place: &Place) {
    let mut files: Vec<FileEntry> =
        (0..40).map(|nth| place.add(&format!("{nth}_small.idx"), &noise(10_000 + nth, nth as u64))).collect();
    files.push(place.add("large.dat", &noise(35_000_001, 77)));
    files.push(place.add("middling.dat", &noise(1_500_000, 78)));
    let manifest = Manifest::new(files).unwrap();
    let verified = place.copy(&manifest, &CopyOptions::default(), &Owner::default()).unwrap();
    assert_eq!(verified.manifest(), &manifest);
    place.assert_copied();
}

fn pages_that_others_cached_stay(place: &Place) {
    let manifest =
        Manifest::new(vec![place.add("a.dat", &noise(3 * WINDOW, 1)), place.add("b.dat", &noise(5000, 2))])
            .unwrap();
    for name in ["a.dat", "b.dat"] {
        fs::read(place.source().join(name)).unwrap();
    }
    let before = ["a.dat", "b.dat"].map(|name| cached_pages(&place.source().join(name)));
    let _ = place.copy(&manifest, &many_threads(), &Owner::default()).unwrap();
    let after = ["a.dat", "b.dat"].map(|name| cached_pages(&place.source().join(name)));
    assert_eq!(after, before);
}

fn a_source_that_is_not_its_manifest_is_refused(place: &Place) {
    let entry = place.add("a.dat", &noise(5000, 1));
    let source = place.source();
    let check = |files: Vec<FileEntry>| {
        let error =
            check_source(&Dir::open_absolute(&source).unwrap(), &Manifest::new(files.clone()).unwrap());
        let copied = place.copy(&Manifest::new(files).unwrap(), &many_threads(), &Owner::default());
        assert_eq!(error.clone().err(), copied.map(drop).err(), "a copy checks first");
        error
    };
    let expect = |answer: Result<(), Failure>, code: ErrorCode, words: &str| {
        let error = answer.expect_err(words);
        assert_eq!(error.code, code, "{error}");
        assert!(error.message.contains(words), "{error}");
    };
    assert_eq!(check(vec![entry.clone()]), Ok(()));
    fs::hard_link(source.join("a.dat"), place.root.join("second_name")).unwrap();
    assert_eq!(check(vec![entry.clone()]), Ok(()), "a second link is somebody's snapshot");
    fs::remove_file(place.root.join("second_name")).unwrap();

    let missing = FileEntry { name: "b.dat".to_owned(), ..entry.clone() };
    expect(check(vec![entry.clone(), missing]), ErrorCode::SourceDamaged, "b.dat: it is missing");
    let larger = FileEntry { size_bytes: 5001, ..entry.clone() };
    expect(check(vec![larger]), ErrorCode::SourceDamaged, "a.dat: it has 5000 bytes, the manifest says 5001");

    fs::write(source.join("stranger"), "").unwrap();
    expect(
        check(vec![entry.clone()]),
        ErrorCode::UnexpectedEntry,
        "stranger: a regular file that the manifest",
    );
    fs::remove_file(source.join("stranger")).unwrap();
    fs::create_dir(source.join("folder")).unwrap();
    expect(check(vec![entry.clone()]), ErrorCode::UnexpectedEntry, "folder: a directory");
    fs::remove_dir(source.join("folder")).unwrap();

    fs::rename(source.join("a.dat"), place.root.join("elsewhere")).unwrap();
    symlink(place.root.join("elsewhere"), source.join("a.dat")).unwrap();
    expect(check(vec![entry.clone()]), ErrorCode::UnexpectedEntry, "a.dat: a symlink");
    fs::remove_file(source.join("a.dat")).unwrap();
    nix::unistd::mkfifo(&source.join("a.dat"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    expect(check(vec![entry]), ErrorCode::UnexpectedEntry, "a.dat: a FIFO");
    fs::remove_file(place.root.join("elsewhere")).unwrap();
}

fn a_wrong_sum_is_damage_and_a_flip_on_the_way_is_not(place: &Place) {
    let entry = place.add("a.dat", &noise(5 * WINDOW + 7, 1));
    let manifest = Manifest::new(vec![entry.clone()]).unwrap();
    flip_a_byte(&place.source().join("a.dat"), WINDOW as u64 + 3);
    let error = place.copy(&manifest, &many_threads(), &Owner::default()).expect_err("damaged");
    assert_eq!(error.code, ErrorCode::SourceDamaged, "{error}");
    assert!(error.message.contains("a.dat: its CRC-32 is"), "{error}");
    let recorded = format!("the manifest records {:08x}", entry.crc32.unwrap());
    assert!(error.message.contains(&recorded), "{error}");

    // The file is bad now and good again by the time of the second reading.
    let (path, healed) = (place.source().join("a.dat"), Once::new());
    let owner = Owner::with(|event| {
        if event == Event::Enter(Side::Source, "open") && healed.is(2) {
            flip_a_byte(&path, WINDOW as u64 + 3);
        }
        Ok(())
    });
    let whole = CopyOptions { window_min_bytes: 1 << 30, window_max_bytes: 1 << 30, ..one_thread() };
    let error = place.copy(&manifest, &whole, &owner).expect_err("the copy is bad all the same");
    assert_eq!(error.code, ErrorCode::IoError, "{error}");
    assert!(error.message.contains("flips bits"), "{error}");
}

fn a_source_that_changes_size_is_damage(place: &Place) {
    for (size_bytes, words) in [(3_u64, "it ends at byte 3"), (900_000, "it goes on after byte 600000")] {
        place.clear();
        let manifest = Manifest::new(vec![place.add("a.dat", &noise(600_000, 1))]).unwrap();
        let (path, once) = (place.source().join("a.dat"), Once::new());
        let owner = Owner::with(|event| {
            if event == Event::Take(Traffic::Copy) && once.is(1) {
                OpenOptions::new().write(true).open(&path).unwrap().set_len(size_bytes).unwrap();
            }
            Ok(())
        });
        let whole = CopyOptions { window_min_bytes: 1 << 30, window_max_bytes: 1 << 30, ..one_thread() };
        let error = place.copy(&manifest, &whole, &owner).expect_err(words);
        assert_eq!(error.code, ErrorCode::SourceDamaged, "{error}");
        assert!(error.message.contains(words), "{error}");
    }
}

fn a_changed_destination_is_found_by_the_read_back(place: &Place) {
    for (size, range) in [(5000, "bytes 0 to 5000"), (2 * WINDOW + 1, "bytes 0 to 262144")] {
        place.clear();
        let manifest = Manifest::new(vec![place.add("a.dat", &noise(size, 1))]).unwrap();
        let (path, once) = (place.destination().join("a.dat"), Once::new());
        let owner = Owner::with(|event| {
            if event == Event::Take(Traffic::ReadBack) && once.is(1) {
                flip_a_byte(&path, 17);
            }
            Ok(())
        });
        let error = place.copy(&manifest, &one_thread(), &owner).expect_err("flipped");
        assert_eq!(error.code, ErrorCode::ReadBackMismatch, "{error}");
        let whole = format!("bytes 0 to {size}");
        let named = error.message.contains(range) || error.message.contains(&whole);
        assert!(error.message.contains("a.dat") && named, "{error}");
        assert_eq!(owner.files_verified.load(Ordering::Relaxed), 0);
    }
}

fn a_symlink_in_the_place_of_a_copied_file_is_found(place: &Place) {
    let manifest = Manifest::new(vec![place.add("a.dat", &noise(5000, 1))]).unwrap();
    let path = place.destination().join("a.dat");
    let owner = Owner::with(|event| {
        if event == Event::Enter(Side::Destination, "fdatasync") {
            fs::remove_file(&path).unwrap();
            symlink(place.source().join("a.dat"), &path).unwrap();
        }
        Ok(())
    });
    let error = place.copy(&manifest, &one_thread(), &owner).expect_err("the name is not what was written");
    assert_eq!(error.code, ErrorCode::ReadBackMismatch, "{error}");
    assert!(error.message.contains("a symlink stands under its name"), "{error}");
}

fn a_restart_keeps_what_is_right_and_nothing_else(place: &Place) {
    let names = ["good.dat", "good_large.dat", "flipped.dat", "short.dat", "symlink.dat", "missing.dat"];
    let sizes = [5000, 3 * WINDOW + 5, 3 * WINDOW, 7000, 5000, 100];
    let files: Vec<FileEntry> = names
        .iter()
        .zip(sizes)
        .enumerate()
        .map(|(nth, (name, size))| place.add(name, &noise(size, nth as u64 + 1)))
        .collect();
    let manifest = Manifest::new(files).unwrap();
    let (source, destination) = (place.source(), place.destination());
    for name in ["good.dat", "good_large.dat", "flipped.dat"] {
        fs::copy(source.join(name), destination.join(name)).unwrap();
    }
    for name in names {
        let file = File::open(source.join(name)).unwrap();
        posix_fadvise(&file, 0, 0, PosixFadviseAdvice::POSIX_FADV_DONTNEED).unwrap();
    }
    flip_a_byte(&destination.join("flipped.dat"), WINDOW as u64);
    fs::write(destination.join("short.dat"), "short").unwrap();
    fs::write(destination.join("stranger.dat"), "not in the manifest").unwrap();
    symlink(source.join("symlink.dat"), destination.join("symlink.dat")).unwrap();
    fs::create_dir_all(destination.join("folder/in_it")).unwrap();

    let owner = Owner::default();
    let verified = place.copy(&manifest, &many_threads(), &owner).unwrap();
    place.assert_copied();
    assert_eq!(fs::read_dir(&destination).unwrap().count(), names.len());
    assert!(!fs::symlink_metadata(destination.join("symlink.dat")).unwrap().is_symlink());
    let kept_bytes = (5000 + 3 * WINDOW + 5) as u64;
    assert_eq!(verified.resumed_bytes(), kept_bytes);
    assert_eq!(owner.resumed_bytes.into_inner(), kept_bytes);
    assert_eq!(owner.copied_bytes.into_inner(), manifest.total_bytes());
    assert_eq!(owner.verified_bytes.into_inner(), manifest.total_bytes());
    assert_eq!(owner.files_verified.into_inner(), names.len());
}

fn files_without_a_recorded_sum_are_copied_again(place: &Place) {
    let entry = FileEntry { crc32: None, ..place.add("a.dat", &noise(5000, 1)) };
    fs::write(place.destination().join("a.dat"), noise(5000, 2)).unwrap();
    let manifest = Manifest::new(vec![entry]).unwrap();
    let verified = place.copy(&manifest, &one_thread(), &Owner::default()).unwrap();
    assert_eq!(verified.resumed_bytes(), 0);
    place.assert_copied();
}

fn a_stopped_copy_says_why_and_can_go_on(place: &Place) {
    let files = (0..60).map(|nth| place.add(&format!("{nth}.dat"), &noise(130_000 + nth, nth as u64 + 1)));
    let manifest = Manifest::new(files.collect()).unwrap();
    for traffic in [Traffic::Copy, Traffic::ReadBack] {
        let taken = AtomicUsize::new(0);
        let owner = Owner::with(|event| {
            let past = event == Event::Take(traffic) && taken.fetch_add(1, Ordering::SeqCst) >= 30;
            if past { Err(stop(ErrorCode::Aborted)) } else { Ok(()) }
        });
        let error = place.copy(&manifest, &many_threads(), &owner).expect_err("told to stop");
        assert_eq!(error, stop(ErrorCode::Aborted));
        assert!(taken.load(Ordering::SeqCst) <= 30 + 4 * 2, "every thread stops at its next block");
    }
    let owner = Owner::default();
    let verified = place.copy(&manifest, &many_threads(), &owner).unwrap();
    assert!(verified.resumed_bytes() > 0, "what was verified before is not copied again");
    place.assert_copied();

    let owner = Owner::with(|event| match event {
        Event::Checkpoint => Err(stop(ErrorCode::ShuttingDown)),
        _ => Ok(()),
    });
    place.clear();
    let error = place.copy(&Manifest::default(), &many_threads(), &owner).expect_err("before anything");
    assert_eq!(error.code, ErrorCode::ShuttingDown);
}

struct Broken(AtomicUsize);

impl Barrier for Broken {
    fn sync(&self) -> Result<(), DiskError> {
        self.0.fetch_add(1, Ordering::SeqCst);
        Err(DiskError::new("syncfs", "/d2", Errno::EIO))
    }
}

fn a_failed_barrier_is_final(place: &Place) {
    let files = (0..40).map(|nth| place.add(&format!("{nth}.dat"), &noise(3000, nth + 1)));
    let manifest = Manifest::new(files.collect()).unwrap();
    let barrier = Broken(AtomicUsize::new(0));
    let owner = Owner::default();
    let error = place.copy_past(&barrier, &manifest, &one_thread(), &owner).expect_err("not durable");
    assert_eq!(error.code, ErrorCode::SyncFailed, "{error}");
    assert_eq!(barrier.0.load(Ordering::SeqCst), 1, "never a second time");
    assert_eq!(owner.read_back_bytes.into_inner(), 0, "what is not durable is not read back");

    // The files are there and right, but nothing proves them durable: a restart may not believe them either.
    let owner = Owner::default();
    let error = place.copy_past(&barrier, &manifest, &one_thread(), &owner).expect_err("not durable");
    assert_eq!(error.code, ErrorCode::SyncFailed, "{error}");
    assert_eq!(owner.resumed_bytes.into_inner(), 0);
}

fn a_changed_tablet_is_caught_up_without_reading_the_rest_again(place: &Place) {
    let (old, gone) = (place.add("old.dat", &noise(2 * WINDOW, 1)), place.add("gone.dat", &noise(9000, 2)));
    let first = Manifest::new(vec![old.clone(), gone]).unwrap();
    let verified = place.copy(&first, &many_threads(), &Owner::default()).unwrap();

    fs::remove_file(place.source().join("gone.dat")).unwrap();
    let second = Manifest::new(vec![old, place.add("new.dat", &noise(7000, 3))]).unwrap();
    let source = Dir::open_absolute(&place.source()).unwrap();
    let destination = Dir::open_absolute(&place.destination()).unwrap();
    let (budget, options, owner) = (BufferBudget::new(1 << 20), many_threads(), Owner::default());
    let request = CopyRequest {
        source: &source,
        destination: &destination,
        manifest: &second,
        barrier: &DirectBarrier(&destination),
        options: &options,
        budget: &budget,
        hooks: &owner,
    };
    let verified = copy_further(verified, &request).unwrap();
    assert_eq!(verified.manifest(), &second);
    place.assert_copied();
    assert_eq!(owner.copied_bytes.load(Ordering::Relaxed), 7000);
    assert_eq!(owner.read_back_bytes.load(Ordering::Relaxed), 7000);

    fs::create_dir(place.root.join("other")).unwrap();
    let other = Dir::open_absolute(&place.root.join("other")).unwrap();
    let error = copy_further(verified, &CopyRequest { destination: &other, ..request });
    assert_eq!(error.expect_err("another directory").code, ErrorCode::Internal);
    fs::remove_dir(place.root.join("other")).unwrap();
}

fn an_empty_tablet_is_copied_too(place: &Place) {
    fs::write(place.destination().join("stranger"), "left over").unwrap();
    let verified = place.copy(&Manifest::default(), &many_threads(), &Owner::default()).unwrap();
    assert!(verified.manifest().files().is_empty());
    assert_eq!(fs::read_dir(place.destination()).unwrap().count(), 0);
}

fn a_check_names_every_damaged_file(place: &Place) {
    let files: Vec<FileEntry> = (0..30)
        .map(|nth| place.add(&format!("{nth:02}.dat"), &noise(40_000 * (nth + 1), nth as u64 + 1)))
        .collect();
    let manifest = Manifest::new(files.clone()).unwrap();
    let dir = Dir::open_absolute(&place.source()).unwrap();
    let (budget, options, owner) = (BufferBudget::new(1 << 20), many_threads(), Owner::default());
    let request =
        CheckRequest { dir: &dir, manifest: &manifest, options: &options, budget: &budget, hooks: &owner };

    let coldness = verify_files(&request).unwrap();
    if place.medium == Medium::Disk {
        assert_eq!(coldness, Coldness::Cold, "{:?}", owner.log());
        assert!(files.iter().all(|file| cached_pages(&place.source().join(&file.name)) == 0));
    }
    assert_eq!(owner.verified_bytes.load(Ordering::Relaxed), manifest.total_bytes());
    let unsummed = files.iter().map(|file| FileEntry { crc32: None, ..file.clone() }).collect();
    let unsummed = Manifest::new(unsummed).unwrap();
    assert_eq!(sum_files(&CheckRequest { manifest: &unsummed, ..request }).unwrap().0, manifest);
    let (crc32, _) = read_cold_crc(&dir, "29.dat", 1_200_000, &options, &budget, &owner).unwrap();
    assert_eq!(Some(crc32), files[29].crc32);
    let error = read_cold_crc(&dir, "29.dat", 1_200_001, &options, &budget, &owner).expect_err("longer");
    assert_eq!(error.code, ErrorCode::SourceDamaged);

    flip_a_byte(&place.source().join("03.dat"), 10);
    flip_a_byte(&place.source().join("29.dat"), 1_000_000);
    let error = verify_files(&request).expect_err("two are damaged");
    assert_eq!(error.code, ErrorCode::SourceDamaged);
    assert!(error.message.contains("03.dat (CRC-32") && error.message.contains("29.dat (CRC-32"), "{error}");
    assert_eq!(error.message.matches("recorded").count(), 2, "{error}");
}

fn little_memory_is_enough(place: &Place) {
    let manifest = Manifest::new(vec![place.add("a.dat", &noise(8 * WINDOW, 1))]).unwrap();
    let source = Dir::open_absolute(&place.source()).unwrap();
    let destination = Dir::open_absolute(&place.destination()).unwrap();
    let budget = BufferBudget::new(1);
    let caller = std::thread::current().id();
    let owner = Owner::with(|_| {
        assert_eq!(std::thread::current().id(), caller, "one buffer, one thread");
        Ok(())
    });
    let verified = copy(&CopyRequest {
        source: &source,
        destination: &destination,
        manifest: &manifest,
        barrier: &DirectBarrier(&destination),
        options: &many_threads(),
        budget: &budget,
        hooks: &owner,
    });
    assert_eq!(verified.unwrap().manifest(), &manifest);
    place.assert_copied();
}

fn blocks_are_as_short_as_the_owner_wants_them(place: &Place) {
    let files = vec![
        place.add("a.dat", &noise(3 * WINDOW + 5, 1)),
        place.add("b.dat", &noise(70_001, 2)),
        place.add("c.dat", b""),
    ];
    let manifest = Manifest::new(files).unwrap();
    // The second is no multiple of what direct I/O wants, the third less than one.
    for (wanted, longest) in [(0, WINDOW), (10_000, 8192), (1, 4096)] {
        fs::remove_dir_all(place.destination()).unwrap();
        fs::create_dir(place.destination()).unwrap();
        let owner = Owner { block_bytes_max: wanted.into(), ..Owner::default() };
        let verified = place.copy(&manifest, &many_threads(), &owner).unwrap();
        assert_eq!(verified.manifest(), &manifest);
        place.assert_copied();
        let found = owner.longest_block_bytes.load(Ordering::Relaxed);
        assert!(found <= longest as u64 && (wanted == 0 || found == longest as u64), "{wanted}: {found}");
    }
}

/// The calls of a copy, by side, in their order.
fn calls_of(place: &Place, manifest: &Manifest, options: &CopyOptions) -> Vec<String> {
    let calls = Mutex::new(Vec::new());
    let owner = Owner::with(|event| {
        if let Event::Enter(side, operation) = event {
            calls.lock().unwrap().push(format!("{} {operation}", side.as_str()));
        }
        Ok(())
    });
    let _ = place.copy(manifest, options, &owner).unwrap();
    drop(owner);
    calls.into_inner().unwrap()
}

fn every_sync_comes_before_its_read_back_and_none_is_wasted(place: &Place) {
    let one = Manifest::new(vec![place.add("a.dat", &noise(3000, 1))]).unwrap();
    let expected = [
        "source readdir",
        "destination readdir",
        "source open",
        "destination open",
        "source read",
        "destination write",
        // What is kept beside the bytes comes before the sync, and is looked at once per copy.
        "destination fstat",
        "destination futimens",
        "destination fdatasync",
        // By the descriptor it was written with; the names are looked at once, at the end.
        "destination fadvise",
        "destination read",
        "destination readdir",
        "source fstat",
        "destination fstat",
        "destination fsync",
    ];
    let mut calls = calls_of(place, &one, &one_thread());
    // Through the page cache, the source's pages and the destination's are dropped as soon as they were read.
    if place.medium == Medium::Unknown || calls.len() > expected.len() {
        calls.dedup();
        calls.retain(|call| !call.ends_with("fadvise"));
        assert_eq!(calls, expected.into_iter().filter(|call| !call.ends_with("fadvise")).collect::<Vec<_>>());
    } else {
        assert_eq!(calls, expected);
    }

    place.clear();
    let files = (0..40).map(|nth| place.add(&format!("{nth}.dat"), &noise(3000, nth + 1)));
    let forty = Manifest::new(files.collect()).unwrap();
    let calls = calls_of(place, &forty, &one_thread());
    let syncs: Vec<usize> = (0..calls.len()).filter(|at| calls[*at].contains("sync")).collect();
    assert_eq!(syncs.len(), 1, "one barrier makes data, sizes and names durable");
    assert_eq!(calls[syncs[0]], "destination syncfs");
    let writes = calls.iter().rposition(|call| call == "destination write").unwrap();
    let reads = calls.iter().position(|call| call == "destination read").unwrap();
    assert!(writes < syncs[0] && syncs[0] < reads);
    let times: Vec<usize> = (0..calls.len()).filter(|at| calls[*at].ends_with("futimens")).collect();
    assert!(times.len() == 40 && times.iter().all(|at| *at < syncs[0]), "each file once, before the barrier");
    assert!(!calls.iter().any(|call| call.ends_with("fchown") || call.ends_with("fchmod")), "they are right");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn any_sizes_under_any_options_arrive_whole(
        sizes in prop::collection::vec(prop_oneof![0_usize..9000, 0_usize..700_000], 0..12),
        threads in 1_usize..6,
        block_bytes in 1_usize..200_000,
        window_min_bytes in 0_u64..400_000,
        window_max_bytes in 1_u64..400_000,
        direct_io_min_file_bytes in 0_u64..300_000,
        barrier_min_files in 1_usize..6,
        batch_files in 1_usize..8,
        shared_bytes in prop_oneof![Just(SharedBytes::Never), Just(SharedBytes::WhereOneDevice)],
    ) {
        let place = Place::temporary();
        let files = sizes.iter().enumerate();
        let files = files.map(|(nth, size)| place.add(&format!("{nth}.dat"), &noise(*size, nth as u64 + 1)));
        let manifest = Manifest::new(files.collect()).unwrap();
        let options = CopyOptions {
            threads, block_bytes, window_min_bytes, window_max_bytes, direct_io_min_file_bytes, barrier_min_files,
            batch_files, shared_bytes, strangers: Strangers::Refused, found: Found::Unknown,
            owner: FileOwner::Keep,
        };
        let verified = place.copy(&manifest, &options, &Owner::default()).unwrap();
        prop_assert_eq!(verified.manifest(), &manifest);
        place.assert_copied();
    }
}

// ---- real file systems, as root -----------------------------------------------------------------------------------

/// A file system in a file, mounted until dropped.
struct Mounted {
    place: Option<Place>,
    directory: tempfile::TempDir,
}

impl Drop for Mounted {
    fn drop(&mut self) {
        self.place = None;
        let mount = self.directory.path().join("mount");
        let unmounted = || Command::new("umount").arg(&mount).status().is_ok_and(|status| status.success());
        // A child of another test holds our descriptors between its fork and its exec.
        let gone = (0..100).any(|_| {
            unmounted() || {
                std::thread::sleep(std::time::Duration::from_millis(50));
                false
            }
        });
        assert!(gone || std::thread::panicking(), "cannot unmount");
    }
}

/// `None`, said aloud, where this machine cannot mount.
fn mounted(file_system: &str, size: &str) -> Option<Mounted> {
    let directory = tempfile::tempdir().unwrap();
    let (image, mount) = (directory.path().join("image"), directory.path().join("mount"));
    fs::create_dir(&mount).unwrap();
    let run = |program: &str, arguments: &[&str]| {
        let output = Command::new(program).args(arguments).output().map_err(|error| error.to_string())?;
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        if output.status.success() { Ok(()) } else { Err(format!("{program}: {text}")) }
    };
    let (image, mount) = (image.to_str().unwrap(), mount.to_str().unwrap());
    let made = if !nix::unistd::geteuid().is_root() {
        Err("not root".to_owned())
    } else if file_system == "tmpfs" {
        run("mount", &["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs", mount])
    } else {
        let quiet = if file_system == "ext4" { "-qF" } else { "-qf" };
        run("truncate", &["-s", size, image])
            .and_then(|()| run(&format!("mkfs.{file_system}"), &[quiet, image]))
            .and_then(|()| run("mount", &["-o", "loop", image, mount]))
    };
    if let Err(why) = made {
        let required = std::env::var("TABLETD_REQUIRE_ROOT_TESTS").is_ok_and(|value| value == "1");
        assert!(!required, "{file_system}: {why}");
        // Not `eprintln!`, which the test harness would swallow.
        let _ = writeln!(std::io::stderr(), "SKIPPED: copies on {file_system}: {}", why.trim());
        return None;
    }
    let medium = if file_system == "tmpfs" { Medium::Memory } else { Medium::Disk };
    let place = Place { root: mount.into(), medium, _temporary: None };
    place.clear();
    Some(Mounted { place: Some(place), directory })
}

fn everything_holds_on(file_system: &str) {
    if let Some(mounted) = mounted(file_system, "400M") {
        everywhere::run_all(mounted.place.as_ref().expect("there until dropped"));
    }
}

/// Whether two files have the same blocks on the medium.
fn share_blocks(one: &Path, other: &Path) -> bool {
    let blocks = |path: &Path| {
        let output = Command::new("filefrag").args(["-v", "-b4096"]).arg(path).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        // `0:  0..  24:  1234..  1258:  25: ...`: the third field is where it is on the medium.
        let extents = text.lines().filter_map(|line| Some(line.split(':').nth(2)?.trim().to_owned()));
        extents.filter(|extent| extent.contains("..")).collect::<Vec<_>>()
    };
    let found = blocks(one);
    assert!(!found.is_empty(), "filefrag says nothing of {}", one.display());
    found == blocks(other)
}

fn sharing() -> CopyOptions {
    CopyOptions { shared_bytes: SharedBytes::WhereOneDevice, ..many_threads() }
}

fn shares_bytes_on(file_system: &str) {
    let Some(mounted) = mounted(file_system, "400M") else { return };
    let place = mounted.place.as_ref().expect("there until dropped");
    for files in [3, 20] {
        place.clear();
        let mut entries: Vec<_> = (0..files)
            .map(|nth| place.add(&format!("{nth:02}.dat"), &noise(5_000 + nth * 40_000, nth as u64)))
            .collect();
        entries.push(place.add("empty.dat", &[]));
        // The store recorded no sum of this one: the copy finds it out.
        let sum = entries[1].crc32.take();
        let manifest = Manifest::new(entries).unwrap();
        let owner = Owner::default();
        let verified = place.copy(&manifest, &sharing(), &owner).unwrap();
        place.assert_copied();
        assert_eq!(verified.manifest().files()[1].crc32, sum);
        assert_eq!(verified.coldness(), Coldness::Cold, "{:?}", owner.log());
        let total = manifest.total_bytes();
        assert_eq!(owner.cloned_bytes.load(Ordering::Relaxed), total);
        assert_eq!(owner.copied_bytes.load(Ordering::Relaxed), 0, "nothing was written");
        assert_eq!(owner.verified_bytes.load(Ordering::Relaxed), total, "everything was read back");
        assert_eq!(owner.files_verified.load(Ordering::Relaxed), files + 1);
        assert!(
            owner.log().iter().any(|line| line.starts_with("cloned: same file system")),
            "{:?}",
            owner.log()
        );
        assert!(share_blocks(&place.source().join("02.dat"), &place.destination().join("02.dat")));

        // After a restart what is there is kept, and nothing is cloned twice.
        let again = Owner::default();
        let mut recorded = verified.manifest().files().to_vec();
        recorded.retain(|file| file.name != "empty.dat");
        fs::remove_file(place.source().join("empty.dat")).unwrap();
        let verified = place.copy(&Manifest::new(recorded).unwrap(), &sharing(), &again).unwrap();
        assert_eq!(verified.resumed_bytes(), total);
        assert_eq!(again.cloned_bytes.load(Ordering::Relaxed), 0);
    }

    // Damage is the source's, and said to be.
    place.clear();
    let damaged = place.add("a.dat", &noise(100_000, 1));
    flip_a_byte(&place.source().join("a.dat"), 70_000);
    let error = place.copy(&Manifest::new(vec![damaged]).unwrap(), &sharing(), &Owner::default()).map(drop);
    assert_eq!(error.expect_err("damaged").code, ErrorCode::SourceDamaged);

    // What is written to the copy later is not seen in the source.
    place.clear();
    let manifest = Manifest::new(vec![place.add("a.dat", &noise(100_000, 1))]).unwrap();
    drop(place.copy(&manifest, &sharing(), &Owner::default()).unwrap());
    flip_a_byte(&place.destination().join("a.dat"), 10);
    assert!(fs::read(place.source().join("a.dat")).unwrap() == noise(100_000, 1));
}

#[test]
fn on_xfs_bytes_are_shared_durable_and_read_back() {
    shares_bytes_on("xfs");
}

#[test]
fn on_btrfs_bytes_are_shared_durable_and_read_back() {
    shares_bytes_on("btrfs");
}

#[test]
fn a_file_system_that_cannot_share_gets_a_copy() {
    let Some(mounted) = mounted("ext4", "400M") else { return };
    let place = mounted.place.as_ref().expect("there until dropped");
    let entries = (0..3).map(|nth| place.add(&format!("{nth}.dat"), &noise(200_000, nth))).collect();
    let manifest = Manifest::new(entries).unwrap();
    let owner = Owner::default();
    drop(place.copy(&manifest, &sharing(), &owner).unwrap());
    place.assert_copied();
    assert_eq!(owner.cloned_bytes.load(Ordering::Relaxed), 0);
    assert_eq!(owner.copied_bytes.load(Ordering::Relaxed), manifest.total_bytes());
    assert!(!owner.log().iter().any(|line| line.contains("cloned")), "{:?}", owner.log());
}

#[test]
fn everything_holds_on_ext4() {
    everything_holds_on("ext4");
}

#[test]
fn everything_holds_on_xfs() {
    everything_holds_on("xfs");
}

#[test]
fn everything_holds_on_btrfs() {
    everything_holds_on("btrfs");
}

#[test]
fn everything_holds_on_tmpfs() {
    everything_holds_on("tmpfs");
}

#[test]
fn a_full_disk_is_said_to_be_full() {
    let Some(mounted) = mounted("ext4", "8M") else { return };
    let place = Place::temporary();
    let manifests = [
        ("one large", vec![place.add("a.dat", &noise(20 << 20, 1))]),
        ("many small", (0..200).map(|nth| place.add(&format!("{nth}.s"), &noise(90_000, nth))).collect()),
    ];
    for (what, files) in manifests {
        let source_path = place.root.join("only");
        fs::create_dir(&source_path).unwrap();
        for file in &files {
            fs::rename(place.source().join(&file.name), source_path.join(&file.name)).unwrap();
        }
        let destination_path = mounted.place.as_ref().expect("mounted").destination();
        let _ = fs::remove_dir_all(&destination_path);
        fs::create_dir(&destination_path).unwrap();
        let source = Dir::open_absolute(&source_path).unwrap();
        let destination = Dir::open_absolute(&destination_path).unwrap();
        let (budget, owner) = (BufferBudget::new(64 << 20), Owner::default());
        let error = copy(&CopyRequest {
            source: &source,
            destination: &destination,
            manifest: &Manifest::new(files).unwrap(),
            barrier: &DirectBarrier(&destination),
            options: &CopyOptions::default(),
            budget: &budget,
            hooks: &owner,
        })
        .map(drop)
        .expect_err(what);
        assert_eq!(error.code, ErrorCode::NoSpace, "{what}: {error}");
        if what == "one large" {
            assert_eq!(owner.copied_bytes.load(Ordering::Relaxed), 0, "known before a byte is copied");
        }
        fs::remove_dir_all(&source_path).unwrap();
    }
}
