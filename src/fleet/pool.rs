//! Threads that talk to members. One call to a member is under way at once: a member that hangs holds one of them, and
//! nobody else's turn.

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};

/// Calls to all members at once.
const THREADS: usize = 32;

type Job = Box<dyn FnOnce() + Send>;

/// The threads.
pub(super) struct Pool {
    jobs: Sender<(String, Job)>,
    busy: Arc<Mutex<BTreeSet<String>>>,
}

impl Pool {
    /// Starts them; those that the system does not give are done without, but for the first.
    pub(super) fn start() -> std::io::Result<Self> {
        let (jobs, taken) = channel::<(String, Job)>();
        let taken = Arc::new(Mutex::new(taken));
        let busy = Arc::default();
        for number in 0..THREADS {
            let (taken, busy) = (Arc::clone(&taken), Arc::clone(&busy));
            let thread = std::thread::Builder::new().name(format!("member-{number}"));
            let started = thread.spawn(move || work(&taken, &busy));
            if number == 0 {
                started?;
            }
        }
        Ok(Self { jobs, busy })
    }

    /// Has `job` done for `member`, unless something is under way for it. Whether it was taken.
    pub(super) fn submit(&self, member: &str, job: impl FnOnce() + Send + 'static) -> bool {
        let mut busy = self.busy.lock().unwrap_or_else(PoisonError::into_inner);
        busy.insert(member.to_owned()) && self.jobs.send((member.to_owned(), Box::new(job))).is_ok()
    }
}

fn work(jobs: &Mutex<Receiver<(String, Job)>>, busy: &Mutex<BTreeSet<String>>) {
    loop {
        let next = jobs.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok((member, job)) = next else { return };
        // One that panics takes neither this thread nor its member's turn with it; standard error has said where.
        let _ = catch_unwind(AssertUnwindSafe(job));
        busy.lock().unwrap_or_else(PoisonError::into_inner).remove(&member);
    }
}
