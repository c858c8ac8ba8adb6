//! Threads that touch disks.
//!
//! A thread stuck on a hung disk keeps its descriptor table alive even after SIGKILL. So each has a table of its own
//! (`close_range(CLOSE_RANGE_UNSHARE)`) and opens the root for itself; the journal's too. One that is stuck never keeps the
//! port, the journal or another disk's lock.
//!
//! A thread that is done with a migration waits two seconds for the next: a small move is shorter than the making of a
//! thread. One that is stuck is not among those that wait.

use std::collections::VecDeque;
use std::ffi::CString;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, Once, PoisonError};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use nix::sys::prctl;
use nix::sys::resource::{Resource, getrlimit};

use crate::model::{ErrorCode, Failure};
use crate::storage::os::own_descriptor_table;

/// Linux shows 15 bytes of a thread's name.
const NAME_BYTES_MAX: usize = 15;

/// How long a thread without work waits for some.
const LINGER: Duration = Duration::from_secs(2);

/// Runs `work` on a new thread with a descriptor table of its own. `work` opens what it needs; it must not use or drop
/// a descriptor that was opened elsewhere.
///
/// # Errors
/// `RESOURCE_EXHAUSTED` when no thread can be made: an answer, not a panic.
pub(crate) fn spawn_isolated(
    name: &str,
    work: impl FnOnce() + Send + 'static,
) -> Result<JoinHandle<()>, Failure> {
    Builder::new()
        .name(name.chars().take(NAME_BYTES_MAX).collect())
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
pub(crate) fn run_isolated<T: Send + 'static>(
    name: &str,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Failure> {
    let (sender, done) = std::sync::mpsc::sync_channel(1);
    spawn_isolated(name, move || drop(sender.send(work())))?;
    done.recv().map_err(|_| Failure::new(ErrorCode::Internal, format!("the thread {name} ended")))
}

/// A piece of work and the name its thread wears meanwhile.
struct Work {
    name: String,
    run: Box<dyn FnOnce() + Send>,
}

/// Threads as of [`spawn_isolated`] that take the next piece of work when they are done with one: for work that is often
/// shorter than the making of a thread. As many as there is work; one that is stuck with its disk holds up nobody.
#[derive(Clone, Default)]
pub(crate) struct Workers(Arc<(Mutex<Crowd>, Condvar)>);

#[derive(Default)]
struct Crowd {
    /// Given to threads that wait, and not yet taken.
    waiting: VecDeque<Work>,
    idle: usize,
}

impl Workers {
    /// Runs `work` at once. It closes what it opens.
    ///
    /// # Errors
    /// As [`spawn_isolated`]; nothing is done then.
    pub(crate) fn run(&self, name: String, work: impl FnOnce() + Send + 'static) -> Result<(), Failure> {
        let work = Work { name, run: Box::new(work) };
        let mut crowd = self.lock();
        if crowd.idle > crowd.waiting.len() {
            crowd.waiting.push_back(work);
            self.0.1.notify_one();
            return Ok(());
        }
        drop(crowd);
        let others = self.clone();
        spawn_isolated("worker", move || others.serve(work)).map(drop)
    }

    fn lock(&self) -> MutexGuard<'_, Crowd> {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn serve(&self, first: Work) {
        let mut next = Some(first);
        while let Some(work) = next {
            wear_name(&work.name);
            (work.run)();
            next = self.next();
        }
    }

    fn next(&self) -> Option<Work> {
        let mut crowd = self.lock();
        crowd.idle += 1;
        let nothing = |crowd: &mut Crowd| crowd.waiting.is_empty();
        let (mut crowd, _) =
            self.0.1.wait_timeout_while(crowd, LINGER, nothing).unwrap_or_else(PoisonError::into_inner);
        crowd.idle -= 1;
        crowd.waiting.pop_front()
    }
}

fn wear_name(name: &str) {
    let short: Vec<u8> = name.bytes().take(NAME_BYTES_MAX).collect();
    // A wrong name is better than no thread.
    let _ = CString::new(short).map(|name| prctl::set_name(&name));
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
pub(crate) fn descriptor_limit() -> u64 {
    getrlimit(Resource::RLIMIT_NOFILE).map_or(0, |(soft, _)| soft)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::sync::mpsc;
    use std::thread;
    use std::time::Instant;

    use super::*;

    #[test]
    fn work_that_is_stuck_holds_up_no_other() {
        let workers = Workers::default();
        let (sender, done) = mpsc::channel();
        let (let_go, stuck) = mpsc::channel::<()>();
        let first = sender.clone();
        workers
            .run("stuck".to_owned(), move || {
                let _ = stuck.recv();
                first.send(0).expect("somebody listens");
            })
            .expect("a thread");
        for n in 1..=50 {
            let sender = sender.clone();
            workers
                .run(format!("work-{n}"), move || sender.send(n).expect("somebody listens"))
                .expect("a thread");
        }
        let others: HashSet<_> = done.iter().take(50).collect();
        assert_eq!(others, (1..=50).collect());
        let_go.send(()).expect("it still waits");
        assert_eq!(done.recv(), Ok(0));
    }

    #[test]
    fn a_thread_that_is_done_takes_the_next_piece_of_work() {
        let workers = Workers::default();
        let mut threads = HashSet::new();
        for n in 0..10 {
            let (sender, done) = mpsc::channel();
            let name = format!("a long name of work {n}");
            workers
                .run(name, move || sender.send(thread::current().id()).expect("somebody listens"))
                .expect("a thread");
            threads.insert(done.recv().expect("it is done"));
            let deadline = Instant::now() + Duration::from_secs(20);
            while workers.lock().idle == 0 {
                assert!(Instant::now() < deadline, "the thread is never idle");
                thread::yield_now();
            }
        }
        assert_eq!(threads.len(), 1);
    }
}
