//! What a running copy asks of and tells the engine.

use std::sync::atomic::{AtomicU64, Ordering};

use super::base::Line;
use crate::engine::parts::clock::{steady_ms, to_ms};
use crate::engine::parts::disk::Disk;
use crate::engine::parts::io_class::wear_io_class;
use crate::model::{Failure, Space};
use crate::transfer::{CallToken, CopyHooks, Side, Traffic};

/// The longest block on a disk that others must not feel us on: well below a millisecond on an SSD.
const GENTLE_BLOCK_BYTES: usize = 128 << 10;

/// Why a wait for a limit ends early.
enum Leave {
    /// No limit holds any more.
    Forced,
    /// The copy is to stop.
    Stop(Failure),
}

impl CopyHooks for Line<'_> {
    fn checkpoint(&self) -> Result<(), Failure> {
        // Who asks is alive: it waits for memory, say.
        self.moved();
        self.job.checkpoint()
    }

    fn take(
        &self,
        traffic: Traffic,
        bytes: u64,
        go_on: &dyn Fn() -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        wear_io_class(self.node.config().migration_io_class);
        // Who waits for a limit is not stuck.
        let go_on = || {
            self.moved();
            go_on().map_err(Leave::Stop)?;
            if self.job.is_forced() { Err(Leave::Forced) } else { Ok(()) }
        };
        let limited = || {
            let mut waited = self.destination.take(traffic, bytes, go_on)?;
            if traffic == Traffic::Copy {
                waited += self.job.limiter.take(bytes, go_on)?;
                waited += self.source.take(traffic, bytes, go_on)?;
                waited += self.node.limiter.take(bytes, go_on)?;
            }
            Ok(waited)
        };
        let waited = match if self.job.is_forced() { Err(Leave::Forced) } else { limited() } {
            Ok(waited) => waited,
            Err(Leave::Forced) => return Ok(()),
            Err(Leave::Stop(failure)) => return Err(failure),
        };
        let waited_ms = to_ms(waited);
        if waited_ms > 0 {
            add(&self.job.progress.throttled_ms, waited_ms);
            add(&self.node.counts.throttled_ms, waited_ms);
        }
        Ok(())
    }

    fn block_bytes_max(&self) -> usize {
        let paced = self.source.pace.is_in_force() || self.destination.pace.is_in_force();
        if paced && !self.job.is_forced() { GENTLE_BLOCK_BYTES } else { usize::MAX }
    }

    fn copied(&self, bytes: u64) {
        add(&self.job.progress.copied_bytes, bytes);
        add(&self.node.counts.copied_bytes, bytes);
        self.moved();
    }

    fn allocated(&self, bytes: u64) {
        add(&self.job.progress.allocated_bytes, bytes);
        self.destination.space.allocated(Space::of_bytes(bytes));
    }

    fn freed(&self, bytes: u64) {
        let freed =
            self.job
                .progress
                .allocated_bytes
                .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |now| Some(now.saturating_sub(bytes)));
        self.destination.space.not_allocated(Space::of_bytes(bytes.min(freed.unwrap_or(0))));
    }

    fn verified(&self, bytes: u64) {
        add(&self.job.progress.verified_bytes, bytes);
        add(&self.node.counts.verified_bytes, bytes);
        self.moved();
    }

    fn file_verified(&self) {
        add(&self.job.progress.verified_files, 1);
    }

    fn resumed(&self, bytes: u64) {
        add(&self.job.progress.resumed_bytes, bytes);
    }

    fn cloned(&self, bytes: u64) {
        add(&self.job.progress.copied_bytes, bytes);
        add(&self.job.progress.cloned_bytes, bytes);
        add(&self.node.counts.cloned_bytes, bytes);
        self.moved();
    }

    fn log(&self, text: String) {
        self.job.log(text);
    }

    fn enter_call(&self, side: Side, operation: &'static str) -> CallToken {
        CallToken(self.disk_of(side).begin_call(operation) << 1 | u64::from(side == Side::Destination))
    }

    fn leave_call(&self, token: CallToken) {
        let side = if token.0 & 1 == 1 { Side::Destination } else { Side::Source };
        self.disk_of(side).end_call(token.0 >> 1);
        // Of a read-back or a clone nothing else is heard while it goes on.
        self.moved();
    }
}

impl Line<'_> {
    fn disk_of(&self, side: Side) -> &Disk {
        match side {
            Side::Source => &self.source,
            Side::Destination => &self.destination,
        }
    }

    fn moved(&self) {
        self.job.progress.last_progress_ms.store(steady_ms(), Ordering::Relaxed);
    }
}

fn add(counter: &AtomicU64, n: u64) {
    counter.fetch_add(n, Ordering::Relaxed);
}
