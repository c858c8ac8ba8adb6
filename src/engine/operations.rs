//! Operations: calls that may take long, as jobs that can be looked at and stopped.
//!
//! Each runs on a thread of its own with its own descriptor table. They live in memory: the end of the daemon is their
//! end. What one has done by then stays, and what it had half done is settled by the next start.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::node::Node;
use super::parts::thread::spawn_isolated;
use super::view::Page;
use super::view::operations::OperationView;
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
pub(super) struct Operations {
    last: u64,
    known: BTreeMap<OperationId, Arc<Operation>>,
}

/// One operation.
pub(super) struct Operation {
    pub(super) id: OperationId,
    seen: Mutex<OperationView>,
    cancelled: Arc<AtomicBool>,
    /// Bytes read so far.
    pub(super) read_bytes: AtomicU64,
}

impl Operation {
    fn lock(&self) -> MutexGuard<'_, OperationView> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// As it stands.
    pub(super) fn view(&self) -> OperationView {
        OperationView { read_bytes: self.read_bytes.load(Ordering::Relaxed), ..self.lock().clone() }
    }

    /// Says what it is at.
    pub(super) fn note(&self, text: impl Into<String>) {
        let text = text.into();
        let mut seen = self.lock();
        tracing::info!(operation = %self.id, "{}: {text}", seen.subject);
        seen.note = text;
    }

    /// More tablets to do.
    pub(super) fn expect(&self, tablets: u64) {
        self.lock().total_tablets += tablets;
    }

    /// Bytes it has to read.
    pub(super) fn expect_bytes(&self, bytes: u64) {
        self.lock().total_bytes = Some(bytes);
    }

    /// Done with one that need not be named.
    pub(super) fn done_well(&self) {
        let mut seen = self.lock();
        seen.done_tablets += 1;
        seen.total_tablets = seen.total_tablets.max(seen.done_tablets);
    }

    /// Nothing further of it begins.
    pub(super) fn stop(&self) {
        self.cancelled.store(true, Ordering::SeqCst);
    }

    /// Done with one.
    pub(super) fn done_with(&self, item: OperationItem) {
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
    pub(super) fn checkpoint(&self, node: &Node) -> Result<(), Failure> {
        self.stopper().check()?;
        if node.is_stopping() {
            return Err(Failure::new(ErrorCode::ShuttingDown, "the daemon is stopping"));
        }
        Ok(())
    }

    /// Whether somebody has stopped it, for a thread that does a part of it.
    pub(super) fn stopper(&self) -> Stopper {
        Stopper(Arc::clone(&self.cancelled))
    }

    /// What was saved of its tablet.
    pub(super) fn salvaged(&self, receipt: Salvage) {
        self.lock().salvaged = Some(receipt);
    }

    fn end(&self, node: &Node, ended: Result<String, Failure>) {
        let mut seen = self.lock();
        seen.finished_ms = Some(node.now_ms());
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
pub(super) struct Stopper(Arc<AtomicBool>);

impl Stopper {
    /// Whether to go on.
    ///
    /// # Errors
    /// `ABORTED`.
    pub(super) fn check(&self) -> Result<(), Failure> {
        if self.0.load(Ordering::SeqCst) {
            return Err(Failure::new(ErrorCode::Aborted, "stopped by an operator"));
        }
        Ok(())
    }
}

/// What an operation is, before it has a number.
pub(super) struct NewOperation {
    pub(super) kind: OperationKind,
    pub(super) subject: String,
    pub(super) requested_by: String,
    /// The tablet it has to itself until its end.
    pub(super) claims: Option<TabletKey>,
}

/// Begins an operation. `work` gets it, and says in a line how it ended.
///
/// # Errors
/// `QUEUE_FULL` with too many under way; `OPERATION_EXISTS`, `MIGRATION_EXISTS` when somebody has its tablet already;
/// no thread can be made.
pub(super) fn begin(
    node: &Arc<Node>,
    new: &NewOperation,
    work: impl FnOnce(&Arc<Node>, &Arc<Operation>) -> Result<String, Failure> + Send + 'static,
) -> Result<OperationView, Failure> {
    if node.is_stopping() {
        return Err(Failure::new(ErrorCode::ShuttingDown, "the daemon is stopping; nothing new is accepted"));
    }
    let operation = enter(node, new)?;
    let key = new.claims;
    if let Some(key) = key {
        match node.catalog_mut().claim_for(key, operation.id) {
            Ok(generation) => operation.lock().generation = Some(generation),
            Err(failure) => {
                node.operations().known.remove(&operation.id);
                return Err(failure);
            }
        }
    }
    let running = Running { node: Arc::clone(node), operation: Arc::clone(&operation), key };
    let spawned = spawn_isolated("operation", move || {
        let ended = work(&running.node, &running.operation);
        running.end(ended);
    });
    if let Err(failure) = spawned {
        if let Some(key) = key {
            node.catalog_mut().unclaim(key, operation.id);
        }
        node.operations().known.remove(&operation.id);
        return Err(failure);
    }
    Ok(operation.view())
}

/// An operation at work, and its tablet. Both are let go of when it is dropped: a fault of the program in the middle of it
/// locks nobody up.
struct Running {
    node: Arc<Node>,
    operation: Arc<Operation>,
    key: Option<TabletKey>,
}

impl Running {
    fn end(&self, ended: Result<String, Failure>) {
        if let Some(key) = self.key {
            self.node.catalog_mut().unclaim(key, self.operation.id);
        }
        self.operation.end(&self.node, ended);
        self.node.ring();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let text = "a fault of this program ended it; what it had half done is settled by the next start";
            self.end(Err(Failure::new(ErrorCode::Internal, text)));
        }
    }
}

fn enter(node: &Node, new: &NewOperation) -> Result<Arc<Operation>, Failure> {
    let mut operations = node.operations();
    let open = operations.known.values().filter(|known| !known.lock().state.is_settled()).count();
    if open >= OPEN_MAX {
        let text =
            format!("{OPEN_MAX} operations are under way already; tabletctl operation list shows them");
        return Err(Failure::new(ErrorCode::QueueFull, text));
    }
    while operations.known.len() >= KEPT_MAX + OPEN_MAX {
        let ended = operations.known.iter().find(|(_, known)| known.lock().state.is_settled());
        let Some(oldest) = ended.map(|(id, _)| *id) else { break };
        operations.known.remove(&oldest);
    }
    operations.last += 1;
    let id = OperationId(operations.last);
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
        started_ms: node.now_ms(),
        finished_ms: None,
    };
    let operation = Arc::new(Operation {
        id,
        seen: Mutex::new(seen),
        cancelled: Arc::default(),
        read_bytes: AtomicU64::new(0),
    });
    operations.known.insert(id, Arc::clone(&operation));
    Ok(operation)
}

fn find(node: &Node, id: OperationId) -> Result<Arc<Operation>, Failure> {
    node.operations().known.get(&id).cloned().ok_or_else(|| {
        let text = format!("no operation {id} is remembered: they end with the daemon. What one had done stays; ask for the rest again");
        Failure::new(ErrorCode::OperationNotFound, text)
    })
}

/// One operation.
///
/// # Errors
/// `OPERATION_NOT_FOUND`.
pub(super) fn show(node: &Node, id: OperationId) -> Result<OperationView, Failure> {
    Ok(find(node, id)?.view())
}

/// All that are remembered, the newest first; without what became of single tablets.
pub(super) fn list(node: &Node, limit: usize) -> Page<OperationView> {
    let known: Vec<_> = node.operations().known.values().rev().cloned().collect();
    let slim = |operation: &Arc<Operation>| OperationView { items: Vec::new(), ..operation.view() };
    Page { total: known.len() as u64, items: known.iter().take(limit).map(slim).collect() }
}

/// Stops an operation at its next step; one that is over stays as it is.
///
/// # Errors
/// `OPERATION_NOT_FOUND`.
pub(super) fn cancel(node: &Node, id: OperationId) -> Result<OperationView, Failure> {
    let operation = find(node, id)?;
    operation.stop();
    node.limiter.wake();
    Ok(operation.view())
}
