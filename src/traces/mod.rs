//! Traces for a collector that speaks OTLP: one migration is one trace, with its steps as the spans in it.
//!
//! A trace is made when its migration has ended, from what the journal keeps of it: so it is whole however often the daemon
//! was restarted, and however long a gate was shut. Ends are read from the engine's ring of events, by a thread of its own:
//! nobody waits for it, and a collector that does not answer costs traces and nothing else. Touches no disk.

mod collector;
mod span;

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use opentelemetry_sdk::trace::SpanData;

use collector::Collector;

use crate::engine::{Continuity, Contract, EventCursor, EventKind};
use crate::model::{Migration, MigrationId};

/// How often the ring is looked at.
const LOOK: Duration = Duration::from_millis(500);
/// Traces of one request.
const TOGETHER: usize = 50;
/// Traces that are kept for a collector that does not take them; the oldest go.
const KEPT_MAX: usize = 1000;
/// A collector that failed is asked again after so long.
const AGAIN: Duration = Duration::from_secs(5);
/// How long the end of the daemon waits for the last traces to go out.
const LAST_WORDS: Duration = Duration::from_secs(3);

/// The thread that sends traces; ends when this is dropped.
pub struct Traces {
    stop: Option<Sender<()>>,
    ended: Receiver<()>,
}

impl Traces {
    /// Begins to send what ends from now on to the collector at `endpoint`, as the instance of that name.
    ///
    /// # Errors
    /// The endpoint is no address, or no thread can be made, in words.
    pub fn start(endpoint: &str, instance: &str, engine: Arc<dyn Contract>) -> Result<Self, String> {
        let collector = Collector::new(endpoint, instance)?;
        let (stop, stopped) = channel();
        let (end, ended) = channel();
        std::thread::Builder::new()
            .name("traces".to_owned())
            .spawn(move || {
                Sending::new(engine, collector).run(&stopped);
                drop(end);
            })
            .map_err(|error| format!("no thread for traces: {error}"))?;
        Ok(Self { stop: Some(stop), ended })
    }
}

impl Drop for Traces {
    fn drop(&mut self) {
        drop(self.stop.take());
        // Ends with the thread, which says nothing else.
        let _ = self.ended.recv_timeout(LAST_WORDS);
    }
}

struct Sending {
    engine: Arc<dyn Contract>,
    collector: Collector,
    cursor: EventCursor,
    waiting: VecDeque<Vec<SpanData>>,
    lost: u64,
    not_before: Option<Instant>,
}

impl Sending {
    fn new(engine: Arc<dyn Contract>, collector: Collector) -> Self {
        let cursor = engine.event_cursor();
        Self { engine, collector, cursor, waiting: VecDeque::new(), lost: 0, not_before: None }
    }

    fn run(mut self, stopped: &Receiver<()>) {
        while stopped.recv_timeout(LOOK) == Err(RecvTimeoutError::Timeout) {
            self.look();
            if self.not_before.is_none_or(|time| Instant::now() >= time) {
                self.send();
            }
        }
        self.look();
        self.send();
    }

    /// Makes traces of what has ended since the last look.
    fn look(&mut self) {
        for id in self.ended() {
            match self.engine.migration(id) {
                // One that was begun again meanwhile is told when it has ended.
                Ok(Some(row)) if row.status.is_final() => self.keep(&row),
                Ok(_) => {}
                Err(failure) => tracing::warn!("migration {id} is not traced: {}", failure.message),
            }
        }
    }

    fn ended(&mut self) -> BTreeSet<MigrationId> {
        let mut ended = BTreeSet::new();
        loop {
            let batch = self.engine.events_after(self.cursor, None);
            self.cursor = batch.next;
            if batch.continuity == Continuity::Broken {
                tracing::warn!(
                    "traces: events came faster than they were read; some migrations have no trace"
                );
            }
            if batch.events.is_empty() {
                return ended;
            }
            let final_ones = batch
                .events
                .iter()
                .filter(|event| matches!(event.kind, EventKind::Status { status, .. } if status.is_final()));
            ended.extend(final_ones.map(|event| event.migration));
        }
    }

    fn keep(&mut self, row: &Migration) {
        if self.waiting.len() == KEPT_MAX {
            self.waiting.pop_front();
            self.lost += 1;
        }
        self.waiting.push_back(span::trace_of(row));
    }

    fn send(&mut self) {
        while !self.waiting.is_empty() {
            let together = self.waiting.len().min(TOGETHER);
            let spans = self.waiting.iter().take(together).flatten().cloned().collect();
            if let Err(why) = self.collector.take(spans) {
                if self.not_before.is_none() {
                    tracing::warn!("traces cannot be sent, and are kept for a while: {why}");
                }
                self.not_before = Some(Instant::now() + AGAIN);
                return;
            }
            self.waiting.drain(..together);
        }
        if self.not_before.take().is_some() {
            let lost = std::mem::take(&mut self.lost);
            tracing::info!("traces are sent again; {lost} were lost");
        }
    }
}
