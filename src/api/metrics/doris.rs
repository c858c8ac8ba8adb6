//! Doris's own names, which dashboards already ask for.

use super::page::{Family, Kind};
use crate::engine::{DiskView, Totals};

/// What the kernel says of this process.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Process {
    pub(super) threads: u64,
    pub(super) open_files: u64,
}

impl Process {
    /// Asks the kernel; 0 where it does not say.
    pub(super) fn look() -> Self {
        let entries = |path| std::fs::read_dir(path).map_or(0, |entries| entries.count() as u64);
        Self { threads: entries("/proc/self/task"), open_files: entries("/proc/self/fd") }
    }
}

pub(super) fn families(totals: &Totals, disks: &[DiskView], process: Process) -> Vec<Family> {
    type Value = fn(&DiskView) -> u64;
    let per_disk: [(&str, &str, Value); 6] = [
        ("doris_be_disks_total_capacity", "Size of the disk's file system, in bytes.", |disk| {
            disk.capacity.total_bytes
        }),
        ("doris_be_disks_avail_capacity", "Bytes that can still be written to it.", |disk| {
            disk.capacity.avail_bytes
        }),
        ("doris_be_disks_local_used_capacity", "Bytes of the tablets on it.", |disk| disk.tablet_bytes),
        ("doris_be_disks_remote_used_capacity", "Always 0: nothing is kept remotely.", |_| 0),
        ("doris_be_disks_trash_used_capacity", "Bytes in its trash.", |disk| disk.trash_bytes),
        ("doris_be_disks_state", "1 when its tablets can be read.", |disk| {
            disk.condition.is_readable().into()
        }),
    ];
    let mut families: Vec<_> = per_disk
        .into_iter()
        .map(|(name, help, value)| {
            let mut family = Family::new(name, Kind::Gauge, help);
            disks.iter().for_each(|disk| family.sample(&[("path", &disk.path)], value(disk)));
            family
        })
        .collect();
    let mut requests =
        Family::new("doris_be_engine_requests_total", Kind::Counter, "Migrations started, and failed.");
    for (status, value) in [("total", totals.started), ("failed", totals.failed)] {
        requests.sample(&[("type", "storage_migrate"), ("status", status)], value);
    }
    families.push(requests);
    for (name, help, value) in [
        ("doris_be_process_thread_num", "Threads of the process.", process.threads),
        ("doris_be_process_fd_num_used", "Files the process holds open.", process.open_files),
    ] {
        families.push(Family::one(name, Kind::Gauge, help, value));
    }
    families
}
