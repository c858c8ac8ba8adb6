//! What happens to migrations, in order, for whoever listens: a bounded ring in memory. Who writes never waits for who
//! reads; a reader that falls behind the ring is told so.

use std::collections::VecDeque;
use std::fmt;
use std::str::FromStr;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::clock::now_ms;
use crate::model::{
    Counters, Migration, MigrationId, Phase, Status, Step, StepStatus, TabletKey, TimestampMs,
};

/// Events kept. One is some 200 bytes.
const RING_MAX: usize = 8192;
/// Events given out at once.
const BATCH_MAX: usize = 256;
/// Somebody who has not asked for so long, in milliseconds, no longer listens.
const LISTENS_MS: i64 = 10_000;

/// Where a reader is: the run of the daemon and the number of the last event it has. Written `<run>-<number>`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct EventCursor {
    run: u64,
    seq: u64,
}

impl fmt::Display for EventCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}-{}", self.run, self.seq)
    }
}

impl FromStr for EventCursor {
    type Err = ();
    fn from_str(text: &str) -> Result<Self, ()> {
        let (run, seq) = text.split_once('-').ok_or(())?;
        Ok(Self { run: u64::from_str_radix(run, 16).map_err(drop)?, seq: seq.parse().map_err(drop)? })
    }
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EventKind {
    /// Another status, or another reason for it.
    Status { status: Status, phase: Phase, reason: String },
    /// A step began or ended.
    Step { step: Step, status: StepStatus },
    /// Bytes moved; at most once per second.
    Progress(Counters),
}

/// Something that happened to a migration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventView {
    /// Its place in the order.
    pub cursor: EventCursor,
    pub migration: MigrationId,
    pub key: TabletKey,
    pub at_ms: TimestampMs,
    pub kind: EventKind,
}

/// Whether a reader has missed anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Continuity {
    /// It has not.
    Whole,
    /// What it wants to go on from is no longer known.
    Broken,
}

/// What followed a cursor.
#[derive(Debug, Clone)]
pub struct EventBatch {
    pub events: Vec<Arc<EventView>>,
    /// Where to go on.
    pub next: EventCursor,
    /// Whether something is missing before the first of them.
    pub continuity: Continuity,
}

/// The ring.
pub(crate) struct EventRing {
    run: u64,
    state: Mutex<Ring>,
    listened_ms: AtomicI64,
}

#[derive(Default)]
struct Ring {
    last: u64,
    events: VecDeque<Arc<EventView>>,
}

impl Default for EventRing {
    fn default() -> Self {
        Self { run: now_ms().unsigned_abs(), state: Mutex::default(), listened_ms: AtomicI64::new(i64::MIN) }
    }
}

impl EventRing {
    fn state(&self) -> MutexGuard<'_, Ring> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds an event; the oldest one goes when the ring is full.
    pub(crate) fn publish(&self, migration: MigrationId, key: TabletKey, kind: EventKind) {
        let at_ms = now_ms();
        let mut ring = self.state();
        ring.last += 1;
        let cursor = EventCursor { run: self.run, seq: ring.last };
        if ring.events.len() == RING_MAX {
            ring.events.pop_front();
        }
        ring.events.push_back(Arc::new(EventView { cursor, migration, key, at_ms, kind }));
    }

    /// Tells how a migration stands.
    pub(crate) fn publish_status(&self, row: &Migration) {
        let (status, phase, reason) = (row.status, row.phase(), row.status_reason.clone());
        let kind = EventKind::Status { status, phase, reason };
        self.publish(row.id, row.key, kind);
    }

    /// Where a reader begins who wants what happens from now on.
    pub(crate) fn now(&self) -> EventCursor {
        EventCursor { run: self.run, seq: self.state().last }
    }

    /// What followed `after`, of one migration or of all. A cursor of another run, or of before the ring, is broken: the
    /// reader is given what there is.
    pub(crate) fn after(&self, after: EventCursor, of: Option<MigrationId>) -> EventBatch {
        self.listened_ms.store(now_ms(), Ordering::Relaxed);
        let ring = self.state();
        let oldest = ring.events.front().map_or(ring.last + 1, |event| event.cursor.seq);
        let is_known = after.run == self.run && after.seq + 1 >= oldest && after.seq <= ring.last;
        let (from, continuity) =
            if is_known { (after.seq, Continuity::Whole) } else { (oldest - 1, Continuity::Broken) };
        let skip = usize::try_from(from + 1 - oldest).unwrap_or(usize::MAX);
        let mut seq = from;
        let mut events = Vec::new();
        for event in ring.events.iter().skip(skip) {
            if events.len() == BATCH_MAX {
                break;
            }
            seq = event.cursor.seq;
            if of.is_none_or(|id| id == event.migration) {
                events.push(Arc::clone(event));
            }
        }
        EventBatch { events, next: EventCursor { run: self.run, seq }, continuity }
    }

    /// Whether anybody has asked of late.
    pub(crate) fn is_heard(&self) -> bool {
        now_ms().saturating_sub(self.listened_ms.load(Ordering::Relaxed)) < LISTENS_MS
    }
}
#[cfg(test)]
mod tests {
    use super::*;

    const KEY: TabletKey = TabletKey::new(1, 2);

    fn step(ring: &EventRing, id: u64) {
        let kind = EventKind::Step { step: Step::Data, status: StepStatus::Running };
        ring.publish(MigrationId(id), KEY, kind);
    }

    fn ids(batch: &EventBatch) -> Vec<u64> {
        batch.events.iter().map(|event| event.migration.0).collect()
    }

    #[test]
    fn a_reader_gets_what_followed_and_goes_on_from_there() {
        let ring = EventRing::default();
        let start = ring.now();
        assert_eq!(ids(&ring.after(start, None)), Vec::<u64>::new());
        [1, 2, 1].iter().for_each(|id| step(&ring, *id));
        let all = ring.after(start, None);
        assert_eq!((ids(&all), all.continuity), (vec![1, 2, 1], Continuity::Whole));
        let one = ring.after(start, Some(MigrationId(1)));
        assert_eq!((ids(&one), one.next), (vec![1, 1], all.next));
        step(&ring, 3);
        let written: EventCursor = all.next.to_string().parse().unwrap();
        assert_eq!(ids(&ring.after(written, None)), [3]);
        assert_eq!(ids(&ring.after(all.events[0].cursor, Some(MigrationId(2)))), [2]);
    }

    #[test]
    fn whoever_falls_behind_the_ring_or_comes_from_another_run_is_told() {
        let ring = EventRing::default();
        let start = ring.now();
        (0..RING_MAX as u64 + 1).for_each(|id| step(&ring, id));
        let batch = ring.after(start, None);
        assert_eq!(
            (batch.continuity, ids(&batch)[0], batch.events.len()),
            (Continuity::Broken, 1, BATCH_MAX)
        );
        assert_eq!(ring.after(batch.next, None).continuity, Continuity::Whole);
        for stranger in
            [EventCursor { run: ring.run + 1, seq: 5 }, EventCursor { run: ring.run, seq: u64::MAX - 1 }]
        {
            assert_eq!(ring.after(stranger, None).continuity, Continuity::Broken, "{stranger}");
        }
        assert_eq!(ring.after(EventRing::default().now(), None).events.len(), BATCH_MAX);
        assert!("".parse::<EventCursor>().is_err() && "1".parse::<EventCursor>().is_err());
    }
}
