//! The parts, each alone: `cargo bench --bench parts`. With `TABLETD_BENCH_MILLION=1` the scan is tried on a million
//! tablets too, which takes minutes and some 12 GB of the temporary directory.

use std::cell::LazyCell;
use std::fs;
use std::hint::black_box;
use std::path::Path;
use std::time::Duration;

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use tabletd::journal::{Journal, Operation};
use tabletd::model::{
    Capacity, DiskCondition, DiskIndex, DiskRef, DiskUuid, DrainMedia, FileEntry, Haste, Manifest, Medium,
    Migration, MigrationId, PlanCompleteness, Priority, ShardId, Space, Status, TabletKey, TabletRecord,
    TabletState,
};
use tabletd::rules::capacity::{CapacityLimits, CapacityRule, LeftBytesFrom};
use tabletd::rules::planning::{self, Disk, Inventory, Pin, Request, Tablet, plan};
use tabletd::rules::schedule::{DiskSlots, NodeLimits, Schedule, Turn, Waiting};
use tabletd::rules::transition::{Event, transition};
use tabletd::storage::{
    HowToScan, KnownAs, LookForDirectories, NativeStore, Root, ScanProgress, WhichRecords, decode_record,
    decode_summary, encode_record, read_header, scan_root, synthesize_header,
};
use tempfile::TempDir;

fn record(tablet_id: i64, files: usize) -> TabletRecord {
    let key = TabletKey::new(tablet_id, 567_997_577);
    let shard_id = ShardId(u16::try_from(tablet_id % 1024).expect("below 1024"));
    let file =
        |n: usize| FileEntry { name: format!("0200{n:012}_0.dat"), size_bytes: 16_384, crc32: Some(7) };
    TabletRecord {
        generation: 1,
        key,
        partition_id: 9,
        shard_id,
        state: TabletState::Running,
        manifest: Manifest::new((0..files).map(file).collect()).expect("plain names"),
        tablet_meta: synthesize_header(key, 9, shard_id, 1_700_000_000),
    }
}

fn checksum(c: &mut Criterion) {
    let mut group = c.benchmark_group("checksum");
    for size in [16 << 10, 1 << 20] {
        let block: Vec<u8> = (0..size).map(|n: usize| n.to_le_bytes()[0]).collect();
        group.throughput(Throughput::Bytes(size as u64));
        group.bench_with_input(BenchmarkId::new("crc32", size), &block, |b, block| {
            b.iter(|| crc32fast::hash(black_box(block)));
        });
    }
    group.finish();
}

fn records(c: &mut Criterion) {
    let mut group = c.benchmark_group("record");
    let header = synthesize_header(TabletKey::new(15_672, 5), 9, ShardId(4), 1_700_000_000);
    group.bench_function("read_header", |b| b.iter(|| read_header(black_box(header.get()))));
    for files in [1, 20, 500] {
        let record = record(15_672, files);
        let bytes = encode_record(&record).expect("records serialise");
        group.bench_with_input(BenchmarkId::new("encode", files), &record, |b, record| {
            b.iter(|| encode_record(black_box(record)));
        });
        group.bench_with_input(BenchmarkId::new("decode", files), &bytes, |b, bytes| {
            b.iter(|| decode_record(black_box(bytes)));
        });
        group.bench_with_input(BenchmarkId::new("decode_summary", files), &bytes, |b, bytes| {
            b.iter(|| decode_summary(black_box(bytes)));
        });
    }
    group.finish();
}

/// A root of that many tablets of three files; their directories stand empty.
fn root_of(dir: &Path, tablets: i64) -> (Root, NativeStore) {
    let root = Root::open(&dir.display().to_string(), KnownAs::New).expect("a fresh directory");
    for tablet in 1..=tablets {
        let record = record(tablet, 3);
        let data = dir.join(format!("data/{}/{tablet}/567997577", record.shard_id));
        fs::create_dir_all(data).expect("a tablet directory");
        let bytes = encode_record(&record).expect("records serialise");
        fs::write(dir.join(format!("meta/{}.json", record.key)), bytes).expect("a record");
    }
    let store = NativeStore::open(root.dir()).expect("meta/ is there");
    (root, store)
}

fn scan(c: &mut Criterion) {
    let mut group = c.benchmark_group("scan");
    group.sample_size(10).measurement_time(Duration::from_secs(3));
    let million = std::env::var_os("TABLETD_BENCH_MILLION").map(|_| 1_000_000);
    for tablets in [10_000, 100_000].into_iter().chain(million) {
        // Made when a benchmark that was asked for needs it.
        let made = LazyCell::new(|| {
            let dir = TempDir::new().expect("a temporary directory");
            let (root, store) = root_of(dir.path(), tablets);
            (dir, root, store)
        });
        group.throughput(Throughput::Elements(tablets.unsigned_abs()));
        for (name, look, readers) in [
            ("records", LookForDirectories::No, 1),
            ("records_and_directories", LookForDirectories::Yes, 1),
            ("by_two_readers", LookForDirectories::Yes, 2),
        ] {
            group.bench_function(BenchmarkId::new(name, tablets), |b| {
                let (_, root, store) = &*made;
                let progress = ScanProgress::default();
                b.iter(|| {
                    let scan = scan_root(
                        root,
                        store,
                        HowToScan { look, readers, records: WhichRecords::All },
                        &progress,
                    )
                    .expect("a good root");
                    scan.records.len()
                });
            });
        }
    }
    group.finish();
}

fn migration(tablet_id: i64) -> Migration {
    let disk = |n: u128| DiskRef { uuid: DiskUuid(uuid::Uuid::from_u128(n)), path: format!("/data/disk{n}") };
    Migration::new(TabletKey::new(tablet_id, 567_997_577), disk(1), disk(2), 1_700_000_000_000)
}

fn journal(c: &mut Criterion) {
    let mut group = c.benchmark_group("journal");
    group.sample_size(20).measurement_time(Duration::from_secs(3));
    for batch in [1, 16, 256] {
        let dir = TempDir::new().expect("a temporary directory");
        let (mut journal, _) = Journal::open(dir.path()).expect("a fresh journal");
        let mut rows: Vec<_> = (1..=batch).map(migration).collect();
        let accepts: Vec<_> = rows.iter().map(Operation::Accept).collect();
        let ids = journal.commit(&accepts).expect("a fresh journal takes rows");
        for (row, id) in rows.iter_mut().zip(ids) {
            row.id = id.expect("accepted");
        }
        group.throughput(Throughput::Elements(batch.unsigned_abs()));
        // Each durable, with one sync per batch.
        group.bench_function(BenchmarkId::new("transitions", batch), |b| {
            let mut n = 0;
            b.iter(|| {
                n += 1;
                let status = Status::ALL[n % Status::ALL.len()];
                rows.iter_mut().for_each(|row| row.status = status);
                let updates: Vec<_> = rows.iter().map(Operation::Update).collect();
                journal.commit(&updates).expect("committed")
            });
        });
    }
    group.finish();
}

const NODE: NodeLimits =
    NodeLimits { running: 64, small_bytes: 4 << 20, small_batch: 32, priority_min: Priority::Low };

fn slots(_: DiskIndex) -> DiskSlots {
    DiskSlots { read_limit: 4, write_limit: 4, readable: true, writable: true }
}

/// A queue of that many between all pairs of eight disks.
fn queue_of(length: u64) -> Schedule {
    let mut queue = Schedule::default();
    for n in 0..length {
        let (source, destination) = (n % 8, (n % 8 + 1 + n / 8 % 7) % 8);
        let disk = |n: u64| DiskIndex(u16::try_from(n).expect("below eight"));
        queue.push(Waiting {
            id: MigrationId(n + 1),
            source: disk(source),
            destination: disk(destination),
            haste: Haste::Normal,
            priority: Priority::Normal,
            turn: Turn::Own,
            size_bytes: if n % 3 == 0 { 1 << 30 } else { 1 << 20 },
            not_before_ms: None,
        });
    }
    queue
}

fn schedule(c: &mut Criterion) {
    let mut group = c.benchmark_group("schedule");
    for length in [1_000, 100_000] {
        let mut queue = queue_of(length);
        let mut running = std::collections::VecDeque::from(queue.start_due(0, NODE, &slots));
        // As it goes on: one ends, whoever may now start does.
        group.bench_function(BenchmarkId::new("one_ends_another_starts", length), |b| {
            b.iter(|| {
                let ended = running.pop_front().expect("as many start as end");
                queue.finished(ended);
                let again = MigrationId(ended.0 + length);
                let (source, destination) = (DiskIndex(0), DiskIndex(1));
                queue.push(Waiting {
                    id: again,
                    source,
                    destination,
                    haste: Haste::Normal,
                    priority: Priority::Low,
                    turn: Turn::Own,
                    size_bytes: 1,
                    not_before_ms: None,
                });
                running.extend(queue.start_due(0, NODE, &slots));
            });
        });
        group.bench_function(BenchmarkId::new("nothing_may_start", length), |b| {
            b.iter_batched_ref(|| (), |()| queue.start_due(0, NODE, &slots).len(), BatchSize::SmallInput);
        });
    }
    group.finish();
    c.bench_function("transition", |b| {
        b.iter(|| transition(black_box(Status::Copying), black_box(Event::CopyVerified)));
    });
}

/// Twelve disks of 1 TB; every other one is half empty. Tablets of 1 to 64 MB, in partitions of 64.
fn node_of(tablets: i64) -> Inventory {
    const DISKS: i64 = 12;
    const TOTAL_BYTES: u64 = 1_000_000_000_000;
    let index = |n: i64| DiskIndex(u16::try_from(n).expect("few disks"));
    let disks = (0..DISKS).map(|n| Disk {
        index: index(n),
        uuid: None,
        path: format!("/disk{n}"),
        medium: Medium::Hdd,
        condition: DiskCondition::Online,
        capacity: Capacity {
            total_bytes: TOTAL_BYTES,
            avail_bytes: if n % 2 == 0 { TOTAL_BYTES / 10 * 3 } else { TOTAL_BYTES / 10 * 6 },
            ..Capacity::default()
        },
        reserved: Space::default(),
        trash_bytes: 0,
        file_system: u32::try_from(n).expect("few disks"),
    });
    let tablets = (0..tablets).map(|id| Tablet {
        key: TabletKey::new(id, 1),
        disk: index(id % DISKS),
        table_id: id / 6400,
        partition_id: id / 64,
        size_bytes: (1 + id.cast_unsigned() * 7919 % 64) * 1_000_000,
        file_count: 4,
        pin: Pin::Free,
        moving_to: None,
        last_moved_ms: None,
    });
    Inventory { disks: disks.collect(), tablets: tablets.collect() }
}

fn planner(c: &mut Criterion) {
    let settings = planning::Settings {
        watermark: CapacityLimits {
            usage_percent: 85,
            left_bytes: 0,
            left_bytes_from: LeftBytesFrom::Setting,
            rule: CapacityRule::Or,
        },
        start_points: 10,
        stop_points: 5,
        source_floor_percent: 0,
        min_move_bytes: 1,
        cool_down_ms: 0,
        max_moves: usize::MAX,
        completeness: PlanCompleteness::AllOrNothing,
    };
    let mut group = c.benchmark_group("planner");
    group.sample_size(10).measurement_time(Duration::from_secs(5));
    for tablets in [10_000, 100_000] {
        let node = node_of(tablets);
        let drain = Request::Drain { disks: vec![DiskIndex(0)], media: DrainMedia::Same };
        for (name, request) in [("drain", drain), ("rebalance", Request::Rebalance { medium: None })] {
            let moves = plan(&request, &node, &settings, 0).expect("a plan").moves.len();
            assert!(moves > 0, "{name} of {tablets} tablets plans nothing");
            group.bench_with_input(BenchmarkId::new(name, tablets), &request, |b, request| {
                b.iter(|| plan(black_box(request), &node, &settings, 0));
            });
        }
    }
    group.finish();
}

criterion_group!(parts, checksum, records, journal, schedule, planner, scan);
criterion_main!(parts);
