//! What somebody who reads from the source disk feels: with the daemon idle, adaptive, unthrottled, and with rsync
//! instead. The reader makes small random reads past the page cache with a pause between them, as a lookup would.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::contestant::Place;
use super::daemon;
use super::machine::{self, drop_caches, shell};

/// Pause between two reads.
const THINK: Duration = Duration::from_millis(2);
/// How long the idle disk is read.
const IDLE: Duration = Duration::from_secs(10);
const READ_BYTES: usize = 4096;
const FILE_BLOCKS: u64 = 64 << 8;

/// With what beside it the reader is measured.
const MODES: [&str; 4] = ["idle", "adaptive", "unthrottled", "rsync -a"];

/// One round of one mode.
struct Felt {
    latencies: Vec<Duration>,
    bytes_per_sec: f64,
    throttled_s: f64,
}

/// Measures all modes, alternating, prints a table and writes `<disks>-foreground-<workload>.json`.
pub(crate) fn run(place: &Place, rounds: usize, disks: &str, results: &Path) -> Result<(), String> {
    let file = place.source_root.with_extension("foreground");
    lay_out(&file)?;
    let mut felt: Vec<Vec<Felt>> = MODES.iter().map(|_| Vec::new()).collect();
    for round in 0..rounds {
        for (mode, rounds) in MODES.iter().zip(&mut felt) {
            let one = measure(place, &file, mode)?;
            let [p50, p99] = [50, 99].map(|percent| at_percent(&one.latencies, percent));
            eprintln!(
                "{mode} {}: {} reads, p50 {p50:.0} us, p99 {p99:.0} us, {:.0} MB/s, throttled {:.1} s",
                round + 1,
                one.latencies.len(),
                one.bytes_per_sec / 1e6,
                one.throttled_s
            );
            rounds.push(one);
        }
    }
    fs::remove_file(&file).map_err(|error| format!("{}: {error}", file.display()))?;
    let rows: Vec<Value> = MODES.iter().zip(&felt).map(|(mode, rounds)| row(mode, rounds)).collect();
    println!("{}", table(place.workload.letter, &rows));
    let report = json!({
        "machine": machine::describe(), "disks": disks, "workload": place.workload.describe(),
        "reader": { "bytes": READ_BYTES, "think_ms": THINK.as_millis() }, "modes": rows,
    });
    fs::create_dir_all(results).map_err(|error| format!("{}: {error}", results.display()))?;
    let path = results.join(format!("{disks}-foreground-{}.json", place.workload.letter));
    fs::write(&path, format!("{report:#}\n")).map_err(|error| format!("{}: {error}", path.display()))
}

fn lay_out(path: &Path) -> Result<(), String> {
    let failed = |error: std::io::Error| format!("{}: {error}", path.display());
    let mut file = File::create(path).map_err(failed)?;
    let block: Vec<u8> = (0..=255).cycle().take(READ_BYTES).collect();
    for _ in 0..FILE_BLOCKS {
        file.write_all(&block).map_err(failed)?;
    }
    file.sync_all().map_err(failed)
}

fn measure(place: &Place, file: &Path, mode: &str) -> Result<Felt, String> {
    let recording = AtomicBool::new(false);
    let ended = AtomicBool::new(false);
    let latencies = Mutex::new(Ok(Vec::new()));
    let load = std::thread::scope(|scope| {
        scope.spawn(|| {
            let read = read_on(file, &recording, &ended);
            *latencies.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = read;
        });
        let load = beside(place, mode, &recording);
        ended.store(true, Ordering::SeqCst);
        load
    });
    let (bytes_per_sec, throttled_s) = load?;
    let latencies = latencies.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner)?;
    Ok(Felt { latencies, bytes_per_sec, throttled_s })
}

/// What goes on beside the reader: bytes per second moved, and seconds throttled.
fn beside(place: &Place, mode: &str, recording: &AtomicBool) -> Result<(f64, f64), String> {
    #[expect(clippy::cast_precision_loss, reason = "shown with three digits")]
    let bytes = place.workload.bytes() as f64;
    if mode == "idle" {
        recording.store(true, Ordering::SeqCst);
        std::thread::sleep(IDLE);
        recording.store(false, Ordering::SeqCst);
        return Ok((0.0, 0.0));
    }
    if mode.starts_with("rsync") {
        if !machine::is_installed("rsync") {
            return Ok((0.0, 0.0));
        }
        let (from, to): (PathBuf, PathBuf) = (place.source_root.join("data"), place.copy());
        let (from, to_text) = (from.display().to_string(), to.display().to_string());
        drop_caches();
        let begun = Instant::now();
        recording.store(true, Ordering::SeqCst);
        let variables = [("FROM", from.as_str()), ("TO", to_text.as_str())];
        shell("rsync -a \"$FROM/\" \"$TO\"; sync -f \"$TO\"", &variables)?;
        recording.store(false, Ordering::SeqCst);
        let seconds = begun.elapsed().as_secs_f64();
        fs::remove_dir_all(&to).map_err(|error| format!("{}: {error}", to.display()))?;
        return Ok((bytes / seconds, 0.0));
    }
    let throttle = if mode == "adaptive" { "adaptive" } else { "none" };
    let mut place = place.clone();
    place.settings.push(format!("migration_throttle = {throttle}"));
    let run = daemon::run_beside(&place, recording)?;
    let throttled = run.notes.iter().find(|(name, _)| name == "throttled_s");
    Ok((bytes / run.wall_s, throttled.map_or(0.0, |(_, seconds)| *seconds)))
}

/// Reads until the end; the latencies of what was read while recording.
fn read_on(path: &Path, recording: &AtomicBool, ended: &AtomicBool) -> Result<Vec<Duration>, String> {
    let failed = |error: std::io::Error| format!("{}: {error}", path.display());
    let file = OpenOptions::new().read(true).custom_flags(libc::O_DIRECT).open(path).map_err(failed)?;
    let mut page = Page([0; READ_BYTES]);
    let mut latencies = Vec::new();
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    while !ended.load(Ordering::SeqCst) {
        // xorshift64
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        let counted = recording.load(Ordering::SeqCst);
        let begun = Instant::now();
        file.read_exact_at(&mut page.0, state % FILE_BLOCKS * READ_BYTES as u64).map_err(failed)?;
        if counted {
            latencies.push(begun.elapsed());
        }
        std::thread::sleep(THINK);
    }
    latencies.sort_unstable();
    Ok(latencies)
}

/// Aligned, as direct I/O wants it.
#[repr(align(4096))]
struct Page([u8; READ_BYTES]);

/// In microseconds, of sorted latencies.
fn at_percent(latencies: &[Duration], percent: usize) -> f64 {
    let last = latencies.len().saturating_sub(1);
    latencies.get(last * percent / 100).map_or(0.0, |latency| latency.as_secs_f64() * 1e6)
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(0.0)
}

fn row(mode: &str, rounds: &[Felt]) -> Value {
    let of = |value: &dyn Fn(&Felt) -> f64| median(rounds.iter().map(value).collect());
    json!({
        "mode": mode,
        "p50_us": of(&|felt| at_percent(&felt.latencies, 50)),
        "p99_us": of(&|felt| at_percent(&felt.latencies, 99)),
        "bytes_per_sec": of(&|felt| felt.bytes_per_sec),
        "throttled_s": of(&|felt| felt.throttled_s),
        "p99_us_of_rounds": rounds.iter().map(|felt| at_percent(&felt.latencies, 99)).collect::<Vec<_>>(),
    })
}

fn table(letter: &str, rows: &[Value]) -> String {
    let number = |row: &Value, key: &str| row[key].as_f64().unwrap_or(0.0);
    let find = |mode: &str| rows.iter().find(|row| row["mode"] == mode);
    let idle = find("idle").map_or(0.0, |row| number(row, "p99_us"));
    let full = find("unthrottled").map_or(0.0, |row| number(row, "bytes_per_sec"));
    let mut text = format!(
        "{letter}: a reader of 4 KiB beside it\n{:<14}{:>10}{:>10}{:>12}{:>10}{:>14}\n",
        "", "p50 us", "p99 us", "x idle p99", "MB/s", "x unthrottled"
    );
    for row in rows {
        let (p50, p99, rate) = (number(row, "p50_us"), number(row, "p99_us"), number(row, "bytes_per_sec"));
        text += &format!(
            "{:<14}{p50:>10.0}{p99:>10.0}{:>12.2}{:>10.0}{:>14.2}\n",
            row["mode"].as_str().unwrap_or_default(),
            p99 / idle,
            rate / 1e6,
            rate / full
        );
    }
    text
}
