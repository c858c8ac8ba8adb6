//! One fault disk inside the server: a thread that does one operation at a time and the state a harness may change.
//!
//! Knows nothing of FUSE beyond the reply objects it must answer, and nothing of the control socket.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use fuser::{Errno, ReplyData, ReplyEmpty, ReplyWrite};

use super::image::Image;
use super::log::{CutModel, Log, Position};
use super::rules::{self, Action, On, Rule};
use super::wire::Status;

/// An operation on its way to the medium, with whom to answer.
pub(crate) enum Job {
    /// Read `len` bytes.
    Read { offset: usize, len: usize, reply: ReplyData },
    /// Write these bytes.
    Write { offset: usize, bytes: Vec<u8>, reply: ReplyWrite },
    /// Flush what was answered when it arrived, `covers` entries of the log.
    Flush { covers: usize, reply: ReplyEmpty },
}

/// What a harness sees and changes.
pub(crate) struct State {
    /// What a read returns: the medium with the cache over it.
    pub(crate) image: Image,
    /// What a power cut is made from.
    pub(crate) log: Log,
    /// Faults to come.
    pub(crate) rules: Vec<Rule>,
    /// Counters; `position` is filled in when asked.
    pub(crate) counters: Status,
}

/// One disk.
pub(crate) struct Platter {
    state: Mutex<State>,
    rules_changed: Condvar,
    /// The position of all disks of the server.
    clock: Arc<AtomicU64>,
}

impl Platter {
    /// A disk of zeros.
    pub(crate) fn new(size_bytes: usize, clock: Arc<AtomicU64>) -> Self {
        let image = Image::zeroed(size_bytes);
        let log = Log::over(image.clone());
        let state = State { image, log, rules: Vec::new(), counters: Status::default() };
        Self { state: Mutex::new(state), rules_changed: Condvar::new(), clock }
    }

    /// The state. A panic elsewhere does not make a disk unreadable.
    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts `image` on the disk, durable, with a log that begins here.
    pub(crate) fn load(&self, image: Image) {
        let mut state = self.lock();
        state.log = Log::over(image.clone());
        state.image = image;
        state.counters.log_bytes = 0;
    }

    /// Removes all faults and lets go of what hangs.
    pub(crate) fn clear(&self) {
        self.lock().rules.clear();
        self.rules_changed.notify_all();
    }

    /// Does the operations one after the other until the server ends.
    pub(crate) fn serve(&self, jobs: &std::sync::mpsc::Receiver<Job>) {
        for job in jobs {
            match job {
                Job::Read { offset, len, reply } => self.read(offset, len, reply),
                Job::Write { offset, bytes, reply } => self.write(offset, bytes, reply),
                Job::Flush { covers, reply } => self.flush(covers, reply),
            }
        }
    }

    fn read(&self, offset: usize, len: usize, reply: ReplyData) {
        // What is written while this waits is another operation's affair.
        let mut bytes = self.lock().image.read(offset, len);
        let (mut state, action) = self.admit(On::Read, Some((offset, len)), &bytes);
        match action {
            Some(Action::Eio) => return reply.error(Errno::EIO),
            Some(Action::Hang | Action::Delay { .. }) => bytes = state.image.read(offset, len),
            _ => {}
        }
        if let Some(Action::Flip { bit }) = action {
            rules::flip(&mut bytes, bit);
        }
        state.counters.reads += 1;
        drop(state);
        reply.data(&bytes);
    }

    fn write(&self, offset: usize, mut bytes: Vec<u8>, reply: ReplyWrite) {
        let (mut state, action) = self.admit(On::Write, Some((offset, bytes.len())), &bytes);
        let len = u32::try_from(bytes.len()).expect("FUSE writes are shorter than 4 GiB");
        match action {
            Some(Action::Eio) => return reply.error(Errno::EIO),
            Some(Action::Drop) => return reply.written(len),
            Some(Action::Flip { bit }) => rules::flip(&mut bytes, bit),
            _ => {}
        }
        state.image.write(offset, &bytes);
        let at = self.tick();
        state.log.wrote(at, offset, &bytes);
        state.counters.log_bytes += u64::from(len);
        state.counters.writes += 1;
        drop(state);
        reply.written(len);
    }

    fn flush(&self, covers: usize, reply: ReplyEmpty) {
        let (mut state, action) = self.admit(On::Flush, None, &[]);
        match action {
            Some(Action::Eio) => return reply.error(Errno::EIO),
            Some(Action::Drop) => return reply.ok(),
            Some(Action::LoseCache) => {
                let medium = state.log.cut(Position::MAX, CutModel::Lost, 0);
                state.log = Log::over(medium.clone());
                state.image = medium;
                return reply.error(Errno::EIO);
            }
            _ => {}
        }
        let at = self.tick();
        // The log may have begun anew while this flush was queued: then all before it is durable anyway.
        let covers = covers.min(state.log.len());
        state.log.flushed(at, covers);
        state.counters.flushes += 1;
        drop(state);
        reply.ok();
    }

    fn tick(&self) -> Position {
        self.clock.fetch_add(1, Ordering::SeqCst) + 1
    }

    /// Waits out delays and hangs, then returns the state for the operation and what else is to be done to it.
    fn admit(
        &self,
        on: On,
        place: Option<(usize, usize)>,
        bytes: &[u8],
    ) -> (MutexGuard<'_, State>, Option<Action>) {
        let mut state = self.lock();
        let action = rules::decide(&mut state.rules, on, place, bytes);
        state.counters.faults += u64::from(action.is_some());
        match action {
            Some(Action::Delay { micros }) => {
                drop(state);
                std::thread::sleep(Duration::from_micros(micros));
                state = self.lock();
            }
            Some(Action::Hang) => {
                state.counters.hanging += 1;
                state = self
                    .rules_changed
                    .wait_while(state, |state| !state.rules.is_empty())
                    .unwrap_or_else(PoisonError::into_inner);
                state.counters.hanging -= 1;
            }
            _ => {}
        }
        (state, action)
    }
}
