//! Adaptive throttling of one disk: measures what others feel, asks [`crate::rules::adaptive`], sets the rate.
//!
//! What others feel is measured as they would: by small reads of the disk past the page cache, a few per second on a
//! spinning disk, and by the kernel's I/O pressure. Nothing is read while nothing is copied, or in another mode.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use nix::fcntl::OFlag;
use nix::sys::statfs::{BTRFS_SUPER_MAGIC, TMPFS_MAGIC, fstatfs};

use crate::config::Throttle;
use crate::engine::node::Node;
use crate::engine::parts::disk::Disk;
use crate::engine::parts::limits::disk_rate;
use crate::engine::parts::pressure::Stalls;
use crate::engine::view::PaceView;
use crate::model::Medium;
use crate::rules::adaptive::{Bounds, Pacer, Sample, Verdict};
use crate::storage::layout::DISK_FILE;

/// Time between two decisions.
const TICK: Duration = Duration::from_millis(200);
/// Time between two small reads: no more than a hundredth of what a disk of that kind can do.
const PROBE_EVERY_SSD: Duration = Duration::from_millis(10);
const PROBE_EVERY_HDD: Duration = Duration::from_millis(50);
/// What is read: one sector's worth of the largest kind.
const PROBE_BYTES: usize = 4096;
/// A disk at rest for so long is measured anew before it is loaded again.
const REST: Duration = Duration::from_secs(10);
/// As fast as anything; no limit is set there.
const CEILING_BYTES_PER_SEC: u64 = 16 << 30;

fn is_adaptive(node: &Node) -> bool {
    node.config().migration_throttle == Throttle::Adaptive && !node.is_stopping()
}

/// Paces one disk until the daemon stops. Runs on a thread with its own descriptor table.
pub(crate) fn serve(node: &Node, disk: &Disk) {
    let mut pacer = Pacer::default();
    while !node.is_stopping() && !disk.is_forgotten() {
        disk.pace.wait_for_a_copy();
        if disk.pace.is_copying() && is_adaptive(node) {
            pacer.learn_again();
            pace_copies(node, disk, &mut pacer);
            disk.pace.show(None);
        } else if disk.pace.is_copying() {
            std::thread::sleep(TICK);
        }
    }
}

/// Paces the disk while it is copied from or to, and for a short rest after.
fn pace_copies(node: &Node, disk: &Disk, pacer: &mut Pacer) {
    // Already while the calm disk is measured.
    let floor = bounds(node, disk).floor_bytes_per_sec;
    disk.pace.show(Some(PaceView { rate_bytes_per_sec: floor, ..PaceView::default() }));
    let probe = Probe::open(disk);
    let mut stalls = Stalls::new();
    let mut last_copy = Instant::now();
    while is_adaptive(node) && last_copy.elapsed() < REST {
        if !disk.pace.is_copying() {
            disk.pace.wait_for_a_copy();
            stalls = Stalls::new();
            continue;
        }
        last_copy = Instant::now();
        let (began, passed) = (Instant::now(), disk.pace.passed_bytes.load(Ordering::Relaxed));
        let latency = match &probe {
            Some(probe) => probe.typical_slow_read(disk),
            None => {
                std::thread::sleep(TICK);
                None
            }
        };
        let passed = disk.pace.passed_bytes.load(Ordering::Relaxed) - passed;
        let elapsed_ms = began.elapsed().as_millis().max(1);
        let sample = Sample {
            latency,
            stall_permille: stalls.read_permille(),
            passed_bytes_per_sec: u64::try_from(u128::from(passed) * 1000 / elapsed_ms).unwrap_or(u64::MAX),
        };
        let bounds = bounds(node, disk);
        let verdict = pacer.step(sample, bounds);
        let view = view(pacer, verdict, sample, bounds);
        tracing::trace!(disk = disk.path, rate = view.rate_bytes_per_sec, "{}", view.reason);
        disk.pace.show(Some(view));
    }
}

fn bounds(node: &Node, disk: &Disk) -> Bounds {
    let config = node.config();
    let set = disk_rate(&config, &disk.path);
    Bounds {
        floor_bytes_per_sec: config.migration_throttle_floor_bytes_per_sec,
        ceiling_bytes_per_sec: if set == 0 { CEILING_BYTES_PER_SEC } else { set.min(CEILING_BYTES_PER_SEC) },
    }
}

pub(crate) fn view(pacer: &Pacer, verdict: Verdict, sample: Sample, bounds: Bounds) -> PaceView {
    let rate = pacer.rate_bytes_per_sec();
    let us =
        |latency: Option<Duration>| latency.map(|time| u64::try_from(time.as_micros()).unwrap_or(u64::MAX));
    let (now, calm) = (us(sample.latency), us(pacer.calm_latency()));
    let reads =
        format!("small reads take {} us, {} us on the calm disk", now.unwrap_or(0), calm.unwrap_or(0));
    let stalls = format!("others stall on I/O {} % of the time", sample.stall_permille / 10);
    let reason = match verdict {
        Verdict::Learning => "measuring the calm disk".to_owned(),
        Verdict::Free if rate >= bounds.ceiling_bytes_per_sec => "nobody waits".to_owned(),
        Verdict::Free => "nobody waits; going faster".to_owned(),
        Verdict::Hold => format!("holding: {reads}; {stalls}"),
        Verdict::Latency => format!("backing off: {reads}"),
        Verdict::Stalls => format!("backing off: {stalls}"),
    };
    PaceView {
        rate_bytes_per_sec: if rate >= CEILING_BYTES_PER_SEC { 0 } else { rate },
        reason,
        latency_us: now,
        calm_latency_us: calm,
        stall_permille: sample.stall_permille,
    }
}

/// A file of the root that is read past the page cache: what it takes is what any small read takes.
struct Probe {
    file: File,
    every: Duration,
    /// How long this thread has waited for a processor: not the disk's doing. `None` where the kernel does not say.
    run_delay: Option<File>,
}

impl Probe {
    /// `None` where such a read may be answered from a cache, or cannot be made: there the kernel's figure decides alone.
    fn open(disk: &Disk) -> Option<Self> {
        let (root, _) = disk.open().ok()?;
        if fstatfs(root.dir())
            .is_ok_and(|fs| [BTRFS_SUPER_MAGIC, TMPFS_MAGIC].contains(&fs.filesystem_type()))
        {
            return None;
        }
        let file = root.dir().open_for_reading(DISK_FILE, OFlag::O_DIRECT).ok()?;
        let every = if disk.medium == Medium::Hdd { PROBE_EVERY_HDD } else { PROBE_EVERY_SSD };
        Some(Self { file, every, run_delay: File::open("/proc/thread-self/schedstat").ok() })
    }

    /// Reads again and again for one tick. The answer is exceeded by one read in ten: what somebody with many reads to
    /// make will meet all the time. `None` when a read fails, which is for others to judge.
    fn typical_slow_read(&self, disk: &Disk) -> Option<Duration> {
        let mut took = Vec::with_capacity(32);
        let until = Instant::now() + TICK;
        let mut page = Block([0; PROBE_BYTES]);
        while Instant::now() < until {
            let delayed = self.run_delay();
            let began = Instant::now();
            let read = {
                let _call = disk.enter("a small read");
                self.file.read_at(&mut page.0, 0)
            };
            let elapsed = began.elapsed();
            took.push(elapsed.saturating_sub(self.run_delay().saturating_sub(delayed)));
            if read.is_err() {
                std::thread::sleep(until.saturating_duration_since(Instant::now()));
                return None;
            }
            std::thread::sleep(self.every.saturating_sub(began.elapsed()));
        }
        let nth = took.len().saturating_sub(1) * 9 / 10;
        (!took.is_empty()).then(|| *took.select_nth_unstable(nth).1)
    }
}

impl Probe {
    /// `/proc/<pid>/schedstat`: time on a processor, time waiting for one, both in nanoseconds, and a count.
    fn run_delay(&self) -> Duration {
        let mut text = [0; 64];
        let read = self.run_delay.as_ref().and_then(|file| file.read_at(&mut text, 0).ok());
        let text = std::str::from_utf8(&text[..read.unwrap_or(0)]).unwrap_or_default();
        let waited = text.split(' ').nth(1).and_then(|field| field.parse().ok());
        Duration::from_nanos(waited.unwrap_or(0))
    }
}

/// Aligned, as direct I/O wants it.
#[repr(align(4096))]
struct Block([u8; PROBE_BYTES]);
