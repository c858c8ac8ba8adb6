//! Roots as the API shows disks, and the node's sums.

use std::sync::atomic::Ordering;

use super::inner::Inner;
use crate::engine::{DiskView, JournalView, Totals, UndoneOnDisk, UnrecordedOnDisk};
use crate::maintenance::RootLook;
use crate::model::{DiskCondition, ErrorCode, Failure, Migration, Status, quoted};

impl Inner {
    pub(super) fn disks(&self) -> Vec<DiskView> {
        let rows = self.queue.all();
        let looks = self.session.node().looks();
        looks.into_iter().map(|look| self.disk_view(look, &rows)).collect()
    }

    pub(super) fn disk(&self, path: &str) -> Result<DiskView, Failure> {
        let found = self.disks().into_iter().find(|disk| disk.path == path);
        found.ok_or_else(|| {
            Failure::new(ErrorCode::DiskNotFound, format!("no configured disk is written {}", quoted(path)))
        })
    }

    fn disk_view(&self, look: RootLook, rows: &[Migration]) -> DiskView {
        let count = |at: &dyn Fn(&Migration) -> bool, wanted: &dyn Fn(Status) -> bool| {
            rows.iter().filter(|row| at(row) && wanted(row.status)).count() as u64
        };
        let from = |row: &Migration| row.source.path == look.path;
        let to = |row: &Migration| row.destination.path == look.path;
        let queued = |status| status == Status::Queued;
        let paused = |status| status == Status::Paused;
        let runs = |status| status != Status::Queued && status != Status::Paused;
        let (reads, writes) = (count(&from, &runs), count(&to, &runs));
        let condition = match (&look.capacity, look.read_only) {
            (Err(why), _) => DiskCondition::Broken { reason: why.clone() },
            (_, true) => DiskCondition::ReadOnly { reason: "it is mounted read-only".to_owned() },
            _ => DiskCondition::Online,
        };
        DiskView {
            condition,
            capacity: look.capacity.clone().unwrap_or_default(),
            reserved: self.queue.reserved(&look.path),
            tablet_count: look.tablets,
            tablet_bytes: look.bytes,
            trash_bytes: 0,
            file_system: look.file_system.clone(),
            shares_file_system_with: look.shares_with.clone(),
            read_slots: (u32::try_from(reads).unwrap_or(u32::MAX), 1),
            write_slots: (u32::try_from(writes).unwrap_or(u32::MAX), 1),
            queued_from: count(&from, &queued),
            queued_to: count(&to, &queued),
            paused_and_running_from: (count(&from, &paused), reads),
            paused_and_running_to: (count(&to, &paused), writes),
            tasks: self.tasks().with_disk(&look.path),
            rate_limit_bytes_per_sec: 0,
            pace: None,
            throttled_ms: 0,
            not_safe_because: Some(
                "its backend is stopped and the daemon holds it; stop the daemon before it is pulled"
                    .to_owned(),
            ),
            undone: UndoneOnDisk::default(),
            unrecorded: UnrecordedOnDisk::default(),
            uuid: look.uuid,
            medium: look.medium,
            path: look.path,
        }
    }

    pub(super) fn totals(&self) -> Totals {
        let load = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
        let counts = &self.queue.counts;
        let (queued, running) = self.queue.lengths();
        let tablets = self.session.node().tablet_count();
        Totals {
            accepted: load(&counts.accepted),
            started: load(&counts.started),
            completed: load(&counts.completed),
            failed: load(&counts.failed),
            aborted: load(&counts.aborted),
            copied_bytes: load(&counts.copied_bytes),
            verified_bytes: load(&counts.verified_bytes),
            journal: JournalView {
                state_dir: self.config().state_dir.clone(),
                trouble: self.queue.halted(),
                ..JournalView::default()
            },
            queued,
            running,
            tablets,
            uptime_seconds: self.started.elapsed().as_secs(),
            ..Totals::default()
        }
    }
}
