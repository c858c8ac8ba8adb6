//! A machine in one process: disks in memory, one thread at a time, a clock that jumps when nobody can run.
//!
//! The program under it is not built for it. Its calls of the C library are bound, when the test is linked, to ours
//! ([`calls`]), which answer for the machine while a simulated thread asks and hand everybody else on to the real one.
//!
//! | room | subject |
//! |---|---|
//! | [`threads`] | who runs: batons, waiting, time |
//! | [`disk`], [`image`] | a file system, what a power cut leaves of it, and its form as bytes |
//! | [`files`] | paths, mounts, descriptors; what goes wrong with a disk |
//! | [`calls`] | the C library's names |

mod calls;
pub(crate) use calls::real_write as calls_write;
pub(crate) mod disk;
pub(crate) mod files;
pub(crate) mod image;
pub(crate) mod threads;

use crate::rng::Rng;
use files::Files;
use threads::Thread;

/// 2026-01-05 08:00:00 UTC, on the machine's wall clock when it begins.
pub(crate) const EPOCH_NS: u64 = 1_767_600_000 * 1_000_000_000;

/// What one look at the clock takes.
const LOOK_NS: u64 = 500;

/// How a life came to its end.
#[derive(Debug)]
pub(crate) enum Ending {
    /// Everything that was planned has happened.
    Done,
    /// The process died at the call it was to die at.
    Killed,
    /// Nobody can ever run again, or nothing came to an end in days.
    LockedUp(String),
    /// A promise was broken.
    Broken(String),
}

/// Hands over what is left of a machine; it ends the process.
pub(crate) type Finish = Box<dyn Fn(&mut Machine, Ending) + Send>;

/// The state of all of it.
pub(crate) struct Machine {
    /// Since the machine began.
    pub(crate) now_ns: u64,
    pub(crate) threads: Vec<Thread>,
    pub(crate) running: usize,
    pub(crate) rng: Rng,
    /// A running thread is interrupted after about so many of the moments at which it can be.
    pub(crate) quantum: u64,
    pub(crate) moments_left: u64,
    pub(crate) files: Files,
    /// Calls on files so far.
    pub(crate) calls: u64,
    pub(crate) die_at_call: Option<u64>,
    /// A life that lasts longer is locked up.
    pub(crate) end_by_ns: u64,
    /// The node's log.
    pub(crate) said: Vec<u8>,
    /// What was acknowledged, and what became of it, one line each.
    pub(crate) notes: Vec<String>,
    pub(crate) pthreads: Vec<(libc::pthread_t, usize)>,
    /// Hands over what is left and ends the process.
    pub(crate) finish: Finish,
}

impl Machine {
    /// Draws how long the running thread goes on.
    pub(crate) fn draw_quantum(&mut self) {
        self.moments_left = 1 + self.rng.below(2 * self.quantum);
    }

    pub(crate) fn wall_ns(&self) -> i64 {
        i64::try_from(EPOCH_NS + self.now_ns).unwrap_or(i64::MAX)
    }

    pub(crate) fn look_at_clock(&mut self) -> u64 {
        self.now_ns += LOOK_NS;
        self.now_ns
    }

    /// Ends the process.
    pub(crate) fn end(&mut self, ending: Ending) -> ! {
        let finish = std::mem::replace(&mut self.finish, Box::new(|_, _| ()));
        finish(self, ending);
        std::process::abort();
    }
}
