//! Operations: calls that may take long (healing, restoring, purging), as jobs that can be looked at and stopped.
//!
//! Each runs on a thread of its own with its own descriptor table. They live in memory: the end of the daemon is their
//! end. What one has done by then stays, and what it had half done is settled by the next start. No thread of the API waits
//! for one, and no disk looks hung for one: each call on it is noted by itself.

use std::sync::Arc;

use super::node::Node;
use super::parts::operation_book::{NewOperation, Operation};
use super::parts::thread::spawn_isolated;
use super::view::Page;
use super::view::operations::OperationView;
use crate::model::{ErrorCode, Failure, OperationId, TabletKey};

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
    let operation = node.operations().enter(new, &node.stopping)?;
    let key = new.claims;
    if let Some(key) = key {
        // Let go of before the book of operations is locked again: that one comes first in the order.
        let claimed = node.catalog_mut().claim_for(key, operation.id);
        match claimed {
            Ok(generation) => operation.claimed(generation),
            Err(failure) => {
                node.operations().take_back(operation.id);
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
        node.operations().take_back(operation.id);
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
        self.operation.end(ended);
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

/// One operation.
///
/// # Errors
/// `OPERATION_NOT_FOUND`.
pub(super) fn show(node: &Node, id: OperationId) -> Result<OperationView, Failure> {
    Ok(node.operations().get(id)?.view())
}

/// All that are remembered, the newest first; without what became of single tablets.
pub(super) fn list(node: &Node, limit: usize) -> Page<OperationView> {
    let known = node.operations().newest_first();
    let slim = |operation: &Arc<Operation>| OperationView { items: Vec::new(), ..operation.view() };
    Page { total: known.len() as u64, items: known.iter().take(limit).map(slim).collect() }
}

/// Stops an operation at its next step; one that is over stays as it is.
///
/// # Errors
/// `OPERATION_NOT_FOUND`.
pub(super) fn cancel(node: &Node, id: OperationId) -> Result<OperationView, Failure> {
    let operation = node.operations().get(id)?;
    operation.stop();
    node.limiter.wake();
    Ok(operation.view())
}
