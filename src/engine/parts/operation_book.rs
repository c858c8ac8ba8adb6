//! The operations of this run of the daemon: what each is at, and how it is stopped.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::clock::now_ms;
use super::stopping::Stopping;
use crate::engine::view::operations::OperationView;
use crate::model::{
    ErrorCode, Failure, OperationId, OperationItem, OperationKind, OperationState, Salvage, TabletKey,
};

/// Operations that may be under way at once.
const OPEN_MAX: usize = 64;

/// Ended ones that are remembered.
const KEPT_MAX: usize = 1000;

/// What became of single tablets is told of so many.
const ITEMS_MAX: usize = 10_000;

/// All operations of this run of the daemon, as far as they are remembered.
#[derive(Default)]
pub(crate) struct Operations {
    last: u64,
    known: BTreeMap<OperationId, Arc<Operation>>,
}

/// What an operation is, before it has a number.
pub(crate) struct NewOperation {
    pub(crate) kind: OperationKind,
    pub(crate) subject: String,
    pub(crate) requested_by: String,
    /// The tablet it has to itself until its end.
    pub(crate) claims: Option<TabletKey>,
}

impl Operations {
    /// Gives a new one its number. The oldest of those that have ended is forgotten for it.
    ///
    /// # Errors
    /// `QUEUE_FULL` with too many under way.
    pub(crate) fn enter(
        &mut self,
        new: &NewOperation,
        stopping: &Stopping,
    ) -> Result<Arc<Operation>, Failure> {
        let open = self.known.values().filter(|known| !known.lock().state.is_settled()).count();
        if open >= OPEN_MAX {
            let text =
                format!("{OPEN_MAX} operations are under way already; tabletctl operation list shows them");
            return Err(Failure::new(ErrorCode::QueueFull, text));
        }
        while self.known.len() >= KEPT_MAX + OPEN_MAX {
            let ended = self.known.iter().find(|(_, known)| known.lock().state.is_settled());
            let Some(oldest) = ended.map(|(id, _)| *id) else { break };
            self.known.remove(&oldest);
        }
        self.last += 1;
        let operation = Arc::new(Operation::new(OperationId(self.last), new, stopping.clone()));
        self.known.insert(operation.id, Arc::clone(&operation));
        Ok(operation)
    }

    /// It never began.
    pub(crate) fn take_back(&mut self, id: OperationId) {
        self.known.remove(&id);
    }

    /// # Errors
    /// `OPERATION_NOT_FOUND`.
    pub(crate) fn get(&self, id: OperationId) -> Result<Arc<Operation>, Failure> {
        self.known.get(&id).cloned().ok_or_else(|| {
            let text = format!(
                "no operation {id} is remembered: they end with the daemon. What one had done stays; ask for the rest \
                 again"
            );
            Failure::new(ErrorCode::OperationNotFound, text)
        })
    }

    /// All that are remembered, the newest first.
    pub(crate) fn newest_first(&self) -> Vec<Arc<Operation>> {
        self.known.values().rev().cloned().collect()
    }
}

/// One operation.
pub(crate) struct Operation {
    pub(crate) id: OperationId,
    seen: Mutex<OperationView>,
    cancelled: Arc<AtomicBool>,
    stopping: Stopping,
    /// Bytes read so far.
    pub(crate) read_bytes: AtomicU64,
}

impl Operation {
    fn new(id: OperationId, new: &NewOperation, stopping: Stopping) -> Self {
        let seen = OperationView {
            id,
            kind: new.kind,
            state: OperationState::Running,
            subject: new.subject.clone(),
            key: new.claims,
            requested_by: new.requested_by.clone(),
            generation: None,
            note: "it has begun".to_owned(),
            done_tablets: 0,
            total_tablets: 0,
            read_bytes: 0,
            total_bytes: None,
            items: Vec::new(),
            salvaged: None,
            failure: None,
            started_ms: now_ms(),
            finished_ms: None,
        };
        Self {
            id,
            seen: Mutex::new(seen),
            cancelled: Arc::default(),
            stopping,
            read_bytes: AtomicU64::new(0),
        }
    }

    /// It has its tablet, and this generation to bring it back with.
    pub(crate) fn claimed(&self, generation: u64) {
        self.lock().generation = Some(generation);
    }

    fn lock(&self) -> MutexGuard<'_, OperationView> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// As it stands.
    pub(crate) fn view(&self) -> OperationView {
        OperationView { read_bytes: self.read_bytes.load(Ordering::Relaxed), ..self.lock().clone() }
    }

    /// Says what it is at.
    pub(crate) fn note(&self, text: impl Into<String>) {
        let text = text.into();
        let mut seen = self.lock();
        tracing::info!(operation = %self.id, "{}: {text}", seen.subject);
        seen.note = text;
    }

    /// More tablets to do.
    pub(crate) fn expect(&self, tablets: u64) {
        self.lock().total_tablets += tablets;
    }

    /// Bytes it has to read.
    pub(crate) fn expect_bytes(&self, bytes: u64) {
        self.lock().total_bytes = Some(bytes);
    }

    /// Done with one that need not be named.
    pub(crate) fn done_well(&self) {
        let mut seen = self.lock();
        seen.done_tablets += 1;
        seen.total_tablets = seen.total_tablets.max(seen.done_tablets);
    }

    /// Nothing further of it begins.
    pub(crate) fn stop(&self) {
        self.cancelled.store(true, Ordering::SeqCst);
    }

    /// Done with one.
    pub(crate) fn done_with(&self, item: OperationItem) {
        let mut seen = self.lock();
        seen.done_tablets += 1;
        seen.total_tablets = seen.total_tablets.max(seen.done_tablets);
        if seen.items.len() < ITEMS_MAX {
            seen.items.push(item);
        }
    }

    /// Whether to go on.
    ///
    /// # Errors
    /// `ABORTED` once somebody has stopped it, `SHUTTING_DOWN` once the daemon stops.
    pub(crate) fn checkpoint(&self) -> Result<(), Failure> {
        self.stopper().check()?;
        self.stopping.check()
    }

    /// Whether somebody has stopped it, for a thread that does a part of it.
    pub(crate) fn stopper(&self) -> Stopper {
        Stopper(Arc::clone(&self.cancelled))
    }

    /// What was saved of its tablet.
    pub(crate) fn salvaged(&self, receipt: Salvage) {
        self.lock().salvaged = Some(receipt);
    }

    /// How it ended: what it came to in words, or what stopped it.
    pub(crate) fn end(&self, ended: Result<String, Failure>) {
        let mut seen = self.lock();
        seen.finished_ms = Some(now_ms());
        match ended {
            Ok(note) => {
                seen.state = OperationState::Completed;
                seen.note = note;
            }
            Err(failure) => {
                seen.state = match failure.code {
                    ErrorCode::Aborted | ErrorCode::ShuttingDown => OperationState::Cancelled,
                    _ => OperationState::Failed,
                };
                seen.note.clone_from(&failure.message);
                seen.failure = Some(failure);
            }
        }
        let (kind, state) = (seen.kind.as_str(), seen.state.as_str());
        let (subject, note) = (&seen.subject, &seen.note);
        match seen.state {
            OperationState::Failed => tracing::error!(operation = %self.id, "{kind} {subject}: {note}"),
            _ => tracing::info!(operation = %self.id, "{kind} {subject}: {state}: {note}"),
        }
    }
}

/// See [`Operation::stopper`].
pub(crate) struct Stopper(Arc<AtomicBool>);

impl Stopper {
    /// Whether to go on.
    ///
    /// # Errors
    /// `ABORTED`.
    pub(crate) fn check(&self) -> Result<(), Failure> {
        if self.0.load(Ordering::SeqCst) {
            return Err(Failure::new(ErrorCode::Aborted, "stopped by an operator"));
        }
        Ok(())
    }
}
