//! What a running copy asks of and tells the engine.

use std::sync::atomic::{AtomicU64, Ordering};

use super::Line;
use crate::model::Failure;
use crate::transfer::{CallToken, CopyHooks, Side, Traffic};

/// Why a wait for a limit ends early.
enum Leave {
    /// No limit holds any more.
    Forced,
    /// The copy is to stop.
    Stop(Failure),
}

impl CopyHooks for Line<'_> {
    fn checkpoint(&self) -> Result<(), Failure> {
        self.job.checkpoint()
    }

    fn take(
        &self,
        traffic: Traffic,
        bytes: u64,
        go_on: &dyn Fn() -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        // Who waits for a limit is not stuck.
        let go_on = || {
            self.moved();
            go_on().map_err(Leave::Stop)?;
            if self.job.is_forced() { Err(Leave::Forced) } else { Ok(()) }
        };
        let limited = || {
            // A limit is on what the disk does, so that a read-back counts as well as a copy.
            let mut waited = self.destination.limiter.take(bytes, go_on)?;
            if traffic == Traffic::Copy {
                waited += self.job.limiter.take(bytes, go_on)?;
                waited += self.source.limiter.take(bytes, go_on)?;
                waited += self.node.limiter.take(bytes, go_on)?;
            }
            Ok(waited)
        };
        let waited = match if self.job.is_forced() { Err(Leave::Forced) } else { limited() } {
            Ok(waited) => waited,
            Err(Leave::Forced) => return Ok(()),
            Err(Leave::Stop(failure)) => return Err(failure),
        };
        let waited_ms = u64::try_from(waited.as_millis()).unwrap_or(u64::MAX);
        if waited_ms > 0 {
            add(&self.job.progress.throttled_ms, waited_ms);
            add(&self.node.counts.throttled_ms, waited_ms);
        }
        Ok(())
    }

    fn copied(&self, bytes: u64) {
        add(&self.job.progress.copied_bytes, bytes);
        add(&self.node.counts.copied_bytes, bytes);
        self.moved();
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

    fn log(&self, text: String) {
        self.job.log(text);
    }

    fn enter_call(&self, side: Side, operation: &'static str) -> CallToken {
        CallToken(self.disk_of(side).begin_call(operation) << 1 | u64::from(side == Side::Destination))
    }

    fn leave_call(&self, token: CallToken) {
        let side = if token.0 & 1 == 1 { Side::Destination } else { Side::Source };
        self.disk_of(side).end_call(token.0 >> 1);
    }
}

impl Line<'_> {
    fn disk_of(&self, side: Side) -> &crate::engine::disk::Disk {
        match side {
            Side::Source => &self.source,
            Side::Destination => &self.destination,
        }
    }

    fn moved(&self) {
        self.job.progress.last_progress_ms.store(self.node.now_ms(), Ordering::Relaxed);
    }
}

fn add(counter: &AtomicU64, n: u64) {
    counter.fetch_add(n, Ordering::Relaxed);
}
