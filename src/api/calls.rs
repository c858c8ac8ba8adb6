//! Calls into the node, which block, kept off the threads that answer requests.
//!
//! Each kind of call has its own bound, so that calls stuck on a hung disk leave the others their threads. A call that
//! takes too long is answered for; it goes on, and keeps its place until it returns. Nothing here retries.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;

use crate::model::{ErrorCode, Failure};

/// What a call may have to wait for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Touches {
    /// A lock in memory.
    Memory,
    Journal,
    Disk,
}

/// The bounds, and the time a call may take.
#[derive(Debug)]
pub(super) struct Calls {
    memory: Arc<Semaphore>,
    journal: Arc<Semaphore>,
    disk: Arc<Semaphore>,
    limit: Duration,
}

impl Calls {
    /// At most `workers` calls at once: half of them on disks, a quarter each in memory and on the journal, at least
    /// one of each.
    pub(super) fn new(workers: usize, limit: Duration) -> Self {
        let places = |share: usize| Arc::new(Semaphore::new(share.max(1)));
        Self { memory: places(workers / 4), journal: places(workers / 4), disk: places(workers / 2), limit }
    }

    /// Runs `call` on a thread that may block.
    ///
    /// # Errors
    /// No place or no answer within the limit; the call panicked; the process is stopping.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        touches: Touches,
        call: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Failure> {
        let places = match touches {
            Touches::Memory => &self.memory,
            Touches::Journal => &self.journal,
            Touches::Disk => &self.disk,
        };
        let stopping = || Failure::new(ErrorCode::ShuttingDown, "the daemon is stopping");
        let deadline = tokio::time::Instant::now() + self.limit;
        let place = tokio::time::timeout_at(deadline, Arc::clone(places).acquire_owned()).await;
        let place = place.map_err(|_| too_many(touches))?.map_err(|_| stopping())?;
        let run = async {
            let thread = tokio::task::spawn_blocking(move || {
                let _place = place;
                call()
            });
            thread.await.map_err(|error| {
                if error.is_panic() {
                    Failure::new(ErrorCode::Internal, "the call failed inside; the daemon's log says where")
                } else {
                    stopping()
                }
            })
        };
        tokio::time::timeout_at(deadline, run).await.unwrap_or_else(|_| Err(self.too_long(touches)))
    }

    fn too_long(&self, touches: Touches) -> Failure {
        let (code, what) = match touches {
            Touches::Memory => (ErrorCode::TimedOut, "the node"),
            Touches::Journal => (ErrorCode::JournalUnavailable, "the journal"),
            Touches::Disk => (ErrorCode::DiskUnavailable, "a disk"),
        };
        let seconds = self.limit.as_secs_f64();
        let text = format!(
            "{what} has not answered within {seconds} s; the call may still go through: look before repeating it"
        );
        Failure::new(code, text)
    }
}

/// No place came free in time: the call was never begun.
fn too_many(touches: Touches) -> Failure {
    let what = match touches {
        Touches::Memory => "in memory",
        Touches::Journal => "on the journal",
        Touches::Disk => "on disks",
    };
    let text = format!("too many calls {what} are under way; this one was not begun");
    Failure::new(ErrorCode::TooManyRequests, text)
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[tokio::test]
    async fn calls_stuck_on_a_disk_leave_the_others_their_threads() {
        let calls = Calls::new(4, Duration::from_millis(50));
        let (release, held) = mpsc::channel::<()>();
        let held = Arc::new(std::sync::Mutex::new(held));
        for expected in [ErrorCode::DiskUnavailable, ErrorCode::DiskUnavailable, ErrorCode::TooManyRequests] {
            let held = Arc::clone(&held);
            let stuck = calls.run(Touches::Disk, move || held.lock().unwrap().recv()).await;
            assert_eq!(stuck.unwrap_err().code, expected);
        }
        assert_eq!(calls.run(Touches::Memory, || 7).await, Ok(7));
        assert_eq!(calls.run(Touches::Journal, || 8).await, Ok(8));
        drop(release);
        let released = async { while calls.run(Touches::Disk, || 9).await != Ok(9) {} };
        tokio::time::timeout(Duration::from_secs(10), released)
            .await
            .expect("places come back with the calls that held them");
    }

    #[tokio::test]
    async fn a_panic_inside_is_an_answer() {
        let calls = Calls::new(4, Duration::from_secs(5));
        let failure = calls.run(Touches::Disk, || panic!("broken")).await.map(|(): ()| ()).unwrap_err();
        assert_eq!(failure.code, ErrorCode::Internal);
    }
}
