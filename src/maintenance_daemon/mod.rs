//! The daemon while a Doris backend is stopped: the same API, over the roots of the backend's own be.conf.
//!
//! It stands where the backend stands, on its port, with its roots locked, and answers `/api/health` with 503, so that
//! nobody takes it for a backend. Tablets are looked at where [`crate::maintenance`] has read them; moves are accepted into
//! the same journal as those of `tabletctl doris`, and carried out by the same line, one after the other: either ends what
//! the other began. What a verb does here is in [`crate::rules::doris_verbs`].
//!
//! A start writes nothing to a root but what ends a move that the journal has.

mod asked;
mod disks;
mod inner;
mod moves;
mod node;
mod plans;
mod queue;
mod tablets;
mod task_list;
mod tasks;
mod worker;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, RwLock};
use std::time::Instant;

use crate::config::Loaded;
use crate::engine::{EventRing, Keys};
use crate::maintenance::Session;
use crate::model::{Failure, counted_as};
use inner::{Inner, lock};
use queue::Queue;
use task_list::TaskList;

/// The node behind the API while its backend is stopped. Cheap to clone.
#[derive(Clone)]
pub struct MaintenanceDaemon(Arc<Inner>);

impl MaintenanceDaemon {
    /// Locks and reads every root, and goes on with what the journal has.
    ///
    /// # Errors
    /// In words, every reason at once: a backend runs; a root is absent, damaged, not understood; the journal.
    pub fn start(loaded: Loaded, without: &[String]) -> Result<Self, String> {
        let (be_conf, config) = (PathBuf::from(&loaded.be_conf), loaded.config.clone());
        let session = Session::open(loaded, without).map_err(|refused| refused.to_string())?;
        let words = |failure: Failure| failure.message;
        session.open_journal().map_err(words)?;
        let unfinished = session.unfinished().map_err(words)?;
        tracing::info!(
            "maintenance of a stopped Doris backend: {} locked; {}",
            counted_as(session.node().roots.len(), "root is", "roots are"),
            counted_as(unfinished.len(), "move goes on", "moves go on")
        );
        let tasks = TaskList::load(&session).map_err(words)?;
        let inner = Arc::new(Inner {
            session,
            be_conf,
            config: RwLock::new(config),
            queue: Queue::of(unfinished),
            tasks: Mutex::new(tasks),
            events: EventRing::default(),
            worker: Mutex::new(None),
            accepting: Mutex::new(()),
            keys: Keys::default(),
            started: Instant::now(),
            inspected: Mutex::new(None),
        });
        let worker = worker::start(&inner).map_err(|error| format!("cannot start a thread: {error}"))?;
        *lock(&inner.worker) = Some(worker);
        Ok(Self(inner))
    }
}
