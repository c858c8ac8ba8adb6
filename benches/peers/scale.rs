//! A node of many tablets: how long it takes to start, what it needs in memory, how fast it answers, and how fast it
//! takes migrations in while the queue grows. Each number at several sizes: cost has to grow no faster than they do.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tabletd::model::{FileEntry, Manifest, ShardId, TabletKey, TabletRecord, TabletState};
use tabletd::storage::{KnownAs, Root, encode_record, synthesize_header};

use super::contestant::Place;
use super::daemon::{Daemon, submit, submit_list};
use super::machine;
use super::workload::{SCHEMA_HASH, Workload};

/// Migrations submitted one by one at most; the queue holds no more by default.
const QUEUE: u64 = 100_000;
/// Migrations of one list.
const LIST: usize = 10_000;
/// Tablets with a real file: those that begin to move while the others wait.
const WHOLE: u64 = 100;
const FILE_BYTES: usize = 4096;
const WARM_STARTS: usize = 4;

/// Measures a node of that many tablets and returns what it found.
pub(crate) fn run(tablets: u64, source: &Path, dest: &Path) -> Result<Value, String> {
    // So slow that nothing ever ends: the queue only grows.
    let stand_still =
        vec!["disk_rate_limit_bytes_per_sec = 1".to_owned(), "migration_queue_size = 10000000".to_owned()];
    let place = Place::new(Workload::of_single_files(tablets), source, dest, &stand_still)?;
    place.remove()?;
    make_records(&place.source_root, tablets)?;

    let mut found = serde_json::Map::new();
    found.insert("tablets".into(), json!(tablets));
    machine::drop_caches();
    let begun = Instant::now();
    Daemon::start(&place)?.stop()?;
    found.insert("start_cold_s".into(), json!(begun.elapsed().as_secs_f64()));
    // The second start reads what is younger than the first one's checkpoint may vouch for, and the third nothing.
    Daemon::start(&place)?.stop()?;
    machine::drop_caches();
    let begun = Instant::now();
    Daemon::start(&place)?.stop()?;
    found.insert("start_cold_by_checkpoint_s".into(), json!(begun.elapsed().as_secs_f64()));
    let mut starts = Vec::new();
    let daemon = loop {
        let begun = Instant::now();
        let daemon = Daemon::start(&place)?;
        starts.push(begun.elapsed().as_secs_f64());
        if starts.len() == WARM_STARTS {
            break daemon;
        }
        daemon.stop()?;
    };
    // In their order: the first one after a cold start may still find less in memory than the others.
    found.insert("starts_warm_s".into(), json!(starts));
    let resident = machine::memory_bytes(daemon.pid());
    found.insert("peak_bytes_per_tablet".into(), json!(machine::peak_memory_bytes(daemon.pid()) / tablets));
    found.insert("resident_bytes_per_tablet".into(), json!(resident / tablets));
    let mut timed = |name: &str, path: &str| -> Result<(), String> {
        let begun = Instant::now();
        let answer = daemon.get(path)?;
        let took = Duration::as_secs_f64(&begun.elapsed());
        eprintln!("{tablets}: {name}: {took:.4} s, {} bytes", answer.len());
        found.insert(format!("{name}_s"), json!(took));
        Ok(())
    };
    timed("tablets_distribution", "/api/tablets_distribution?group_by=partition")?;
    timed("tablets_page", "/api/v1/tablets?limit=100")?;

    // Half of them one by one, the rest in lists.
    let all: Vec<_> = place.workload.tablet_ids().collect();
    let (ids, listed) = all.split_at(usize::try_from(QUEUE.min(tablets / 2)).unwrap_or(0));
    let tenth = ids.len() / 10;
    let mut rates = Vec::new();
    let cpu = || machine::cpu_seconds_of(daemon.pid());
    let before = cpu();
    for part in ids.chunks(tenth) {
        rates.push(part.len() as f64 / submit(&daemon, part, &place.dest_root)?.as_secs_f64());
    }
    let one_by_one = cpu() - before;
    let before = cpu();
    let mut list_rates = Vec::new();
    for part in listed.chunks(LIST) {
        list_rates.push(part.len() as f64 / submit_list(&daemon, part, &place.dest_root)?.as_secs_f64());
    }
    let in_lists = cpu() - before;
    timed("queue_full_status", "/api/v1/status")?;
    timed("queue_full_metrics", "/metrics")?;
    timed("queue_full_page", "/api/v1/migrations?limit=100")?;
    timed("queue_full_queued_page", "/api/v1/migrations?status=queued&limit=100")?;
    timed(
        "queue_full_of_disk_page",
        &format!("/api/v1/migrations?disk={}&limit=100", place.dest_root.display()),
    )?;
    timed("queue_full_distribution", "/api/tablets_distribution?group_by=partition")?;
    let per_migration = machine::memory_bytes(daemon.pid()).saturating_sub(resident) / tablets;
    found.insert("queued".into(), json!(tablets));
    found.insert("submit_cpu_ms_one_by_one".into(), json!(one_by_one * 1000.0 / ids.len() as f64));
    found.insert("submit_cpu_ms_in_lists".into(), json!(in_lists * 1000.0 / listed.len() as f64));
    found.insert("list_submits_per_s_first".into(), json!(list_rates.first()));
    found.insert("list_submits_per_s_last".into(), json!(list_rates.last()));
    found.insert("resident_bytes_per_queued_migration".into(), json!(per_migration));
    found.insert("submits_per_s_first_tenth".into(), json!(rates.first()));
    found.insert("submits_per_s_last_tenth".into(), json!(rates.last()));
    let begun = Instant::now();
    daemon.stop()?;
    found.insert("stop_s".into(), json!(begun.elapsed().as_secs_f64()));
    place.remove()?;
    Ok(Value::Object(found))
}

/// Records and directories as an import leaves them; what a start looks at.
fn make_records(root: &PathBuf, tablets: u64) -> Result<(), String> {
    let failed = |error: std::io::Error| format!("{}: {error}", root.display());
    fs::create_dir_all(root).map_err(failed)?;
    Root::open(&root.display().to_string(), KnownAs::New).map_err(|error| error.to_string())?;
    let bytes = vec![7; FILE_BYTES];
    for id in Workload::of_single_files(tablets).tablet_ids() {
        let dir = root.join("data").join(Workload::dir_of(id));
        fs::create_dir_all(&dir).map_err(failed)?;
        let file = FileEntry {
            name: "0200000000000001_0.dat".to_owned(),
            size_bytes: FILE_BYTES as u64,
            crc32: Some(crc32fast::hash(&bytes)),
        };
        if id < Workload::of_single_files(WHOLE).tablet_ids().end {
            fs::write(dir.join(&file.name), &bytes).map_err(failed)?;
        }
        let key = TabletKey::new(id.cast_signed(), SCHEMA_HASH.cast_signed());
        let shard_id = ShardId(u16::try_from(id % 1024).map_err(|error| error.to_string())?);
        let partition_id = (id % 1000).cast_signed();
        let record = TabletRecord {
            generation: 1,
            key,
            partition_id,
            shard_id,
            state: TabletState::Running,
            manifest: Manifest::new(vec![file]).map_err(|error| error.to_string())?,
            tablet_meta: synthesize_header(key, partition_id, shard_id, 1_700_000_000),
        };
        let text = encode_record(&record).map_err(|error| error.to_string())?;
        fs::write(root.join(format!("meta/{key}.json")), text).map_err(failed)?;
    }
    Ok(())
}
