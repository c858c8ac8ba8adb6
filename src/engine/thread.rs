//! Threads that touch disks.
//!
//! Each has a descriptor table of its own, so that one stuck on a hung disk keeps nothing else alive: not the port, not
//! the journal, not another disk's lock, not even after SIGKILL.

use std::sync::Once;
use std::thread::{Builder, JoinHandle};

use nix::sys::resource::{Resource, getrlimit};

use crate::model::{ErrorCode, Failure};
use crate::storage::os::own_descriptor_table;

/// Runs `work` on a new thread with a descriptor table of its own. `work` opens what it needs; it must not use or drop
/// a descriptor that was opened elsewhere.
///
/// # Errors
/// `RESOURCE_EXHAUSTED` when no thread can be made: an answer, not a panic.
pub(super) fn spawn_isolated(
    name: &str,
    work: impl FnOnce() + Send + 'static,
) -> Result<JoinHandle<()>, Failure> {
    // Linux shows 15 bytes of a thread's name.
    Builder::new()
        .name(name.chars().take(15).collect())
        .spawn(move || {
            if let Err(errno) = own_descriptor_table() {
                warn_once(errno);
            }
            work();
        })
        .map_err(|error| {
            Failure::new(ErrorCode::ResourceExhausted, format!("cannot start a thread: {error}"))
        })
}

/// Runs `work` on a thread with its own descriptor table and waits for it.
///
/// # Errors
/// As [`spawn_isolated`]; `INTERNAL` when it panicked.
pub(super) fn run_isolated<T: Send + 'static>(
    name: &str,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Failure> {
    let (sender, done) = std::sync::mpsc::sync_channel(1);
    spawn_isolated(name, move || drop(sender.send(work())))?;
    done.recv().map_err(|_| Failure::new(ErrorCode::Internal, format!("the thread {name} ended")))
}

fn warn_once(errno: nix::errno::Errno) {
    static WARNED: Once = Once::new();
    WARNED.call_once(|| {
        tracing::warn!(
            "threads cannot have their own descriptor table ({}): a hung disk may keep the port after a kill",
            errno.desc()
        );
    });
}

/// Open files this process may have.
pub(super) fn descriptor_limit() -> u64 {
    getrlimit(Resource::RLIMIT_NOFILE).map_or(0, |(soft, _)| soft)
}
