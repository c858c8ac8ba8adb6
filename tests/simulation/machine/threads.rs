//! Who runs. Real threads, of which one at a time has the baton; it passes it on where it waits, where its time is up and
//! where it ends. The clock moves by what things take, and jumps to the next deadline when nobody can run.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::ptr;
use std::sync::atomic::{AtomicPtr, AtomicU32, Ordering};

use super::calls;
use super::{Ending, Machine};

/// Not a simulated thread.
const NOBODY: usize = usize::MAX;

thread_local! {
    static ME: Cell<usize> = const { Cell::new(NOBODY) };
    /// Whether this thread is at the machine's own work: then it neither waits nor is interrupted.
    static AT_WORK: Cell<bool> = const { Cell::new(false) };
}

static MACHINE: AtomicPtr<Machine> = AtomicPtr::new(ptr::null_mut());

/// One simulated thread.
pub(crate) struct Thread {
    baton: Box<AtomicU32>,
    pub(crate) state: State,
    timed_out: bool,
}

/// What a thread does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    Ready,
    Waiting { on: Wait, until_ns: Option<u64> },
    Ended,
}

/// What a thread waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wait {
    /// A futex at this address.
    Futex(usize),
    /// The end of another thread.
    End(usize),
    /// Time.
    Time,
    /// A disk that hangs.
    Disk(usize),
}

impl Thread {
    fn new() -> Self {
        Self { baton: Box::new(AtomicU32::new(0)), state: State::Ready, timed_out: false }
    }
}

/// Whether the caller is a simulated thread, and not at the machine's own work.
pub(crate) fn is_simulated() -> bool {
    ME.get() != NOBODY && !AT_WORK.get()
}

/// Runs `work` on the machine. Nobody else does meanwhile: the caller has the baton.
pub(crate) fn inside<R>(work: impl FnOnce(&mut Machine) -> R) -> R {
    let before = AT_WORK.replace(true);
    // SAFETY: set by `begin` before any thread was simulated and never freed. Only the thread that has the baton comes
    // here, and `work` neither passes it on nor comes here again, so this is the only reference.
    let machine = unsafe { &mut *MACHINE.load(Ordering::Relaxed) };
    let answer = work(machine);
    AT_WORK.set(before);
    answer
}

/// Makes the calling thread the first of a new machine.
pub(crate) fn begin(mut machine: Box<Machine>) {
    machine.threads = vec![Thread::new()];
    machine.running = 0;
    machine.draw_quantum();
    MACHINE.store(Box::into_raw(machine), Ordering::Relaxed);
    ME.set(0);
}

/// Waits; true when the time was up first.
pub(crate) fn block(on: Wait, until_ns: Option<u64>) -> bool {
    inside(|machine| {
        let me = machine.running;
        machine.threads[me].state = State::Waiting { on, until_ns };
    });
    pass_on();
    inside(|machine| machine.threads[machine.running].timed_out)
}

/// Lets the clock move on for the caller alone.
pub(crate) fn pause(ns: u64) {
    let until = inside(|machine| machine.now_ns.saturating_add(ns));
    block(Wait::Time, Some(until));
}

/// A moment at which another thread may be chosen.
pub(crate) fn moment() {
    let is_up = inside(|machine| {
        machine.moments_left = machine.moments_left.saturating_sub(1);
        machine.moments_left == 0
    });
    if is_up {
        pass_on();
    }
}

/// Lets any thread run that can, the caller among them.
pub(crate) fn pass_on() {
    let batons = inside(|machine| {
        let me = machine.running;
        let next = machine.choose();
        machine.running = next;
        machine.draw_quantum();
        let baton = |id: usize| ptr::from_ref::<AtomicU32>(&machine.threads[id].baton);
        (me != next).then(|| (baton(me), baton(next)))
    });
    if let Some((mine, next)) = batons {
        hand_over(next);
        wait_for(mine);
    }
}

fn hand_over(baton: *const AtomicU32) {
    // SAFETY: batons are boxed and never freed.
    let baton = unsafe { &*baton };
    baton.store(1, Ordering::Release);
    calls::real_futex(baton, libc::FUTEX_WAKE | libc::FUTEX_PRIVATE_FLAG, 1);
}

fn wait_for(baton: *const AtomicU32) {
    // SAFETY: batons are boxed and never freed.
    let baton = unsafe { &*baton };
    while baton.swap(0, Ordering::Acquire) == 0 {
        calls::real_futex(baton, libc::FUTEX_WAIT | libc::FUTEX_PRIVATE_FLAG, 0);
    }
}

/// A new thread, which waits for the baton. Its number.
pub(crate) fn announce() -> usize {
    inside(|machine| {
        machine.threads.push(Thread::new());
        machine.threads.len() - 1
    })
}

/// The first thing a new thread does.
pub(crate) fn enter(id: usize) {
    // SAFETY: the creator, which has the baton, passes it on by way of the same list; nobody takes a thread out of it.
    let baton =
        unsafe { ptr::from_ref::<AtomicU32>(&(&(*MACHINE.load(Ordering::Relaxed)).threads)[id].baton) };
    wait_for(baton);
    ME.set(id);
}

/// The last thing a thread does.
pub(crate) fn leave() {
    let next = inside(|machine| {
        let me = machine.running;
        machine.threads[me].state = State::Ended;
        machine.wake(usize::MAX, |on| on == Wait::End(me));
        let next = machine.choose();
        machine.running = next;
        machine.draw_quantum();
        ptr::from_ref::<AtomicU32>(&machine.threads[next].baton)
    });
    ME.set(NOBODY);
    hand_over(next);
}

impl Machine {
    /// Wakes at most so many threads that wait for this, in an order of the seed's. How many.
    pub(crate) fn wake(&mut self, most: usize, is_it: impl Fn(Wait) -> bool) -> usize {
        let waits = |thread: &Thread| matches!(thread.state, State::Waiting { on, .. } if is_it(on));
        let mut waiting: Vec<_> = (0..self.threads.len()).filter(|&id| waits(&self.threads[id])).collect();
        let mut woken = 0;
        while woken < most && !waiting.is_empty() {
            let id = waiting.swap_remove(self.rng.index(waiting.len()));
            self.threads[id].state = State::Ready;
            self.threads[id].timed_out = false;
            woken += 1;
        }
        woken
    }

    /// The next to run. Moves the clock on when there is none.
    fn choose(&mut self) -> usize {
        let mut next_ns = u64::MAX;
        let mut ready = Vec::with_capacity(self.threads.len());
        for (id, thread) in self.threads.iter_mut().enumerate() {
            if let State::Waiting { until_ns: Some(until), .. } = thread.state {
                if until <= self.now_ns {
                    thread.state = State::Ready;
                    thread.timed_out = true;
                } else {
                    next_ns = next_ns.min(until);
                }
            }
            if thread.state == State::Ready {
                ready.push(id);
            }
        }
        if !ready.is_empty() {
            return ready[self.rng.index(ready.len())];
        }
        if next_ns == u64::MAX || next_ns > self.end_by_ns {
            let why = self.who_waits();
            self.end(Ending::LockedUp(why));
        }
        self.now_ns = next_ns;
        self.choose()
    }

    fn who_waits(&self) -> String {
        let mut lines = format!("after {} s nothing ends:", self.now_ns / 1_000_000_000);
        for (id, thread) in self.threads.iter().enumerate() {
            if let State::Waiting { on, until_ns } = thread.state {
                lines.push_str(&format!("\n  thread {id} waits for {on:?}, until {until_ns:?}"));
            }
        }
        lines
    }
}

/// The memory of the program, each piece of which is a moment at which another thread may be chosen: interruptions come in
/// the middle of things, with locks held, and by the seed.
pub(crate) struct Interrupting;

// SAFETY: all is handed on to the system's; a switch of threads changes nothing that the contract speaks of.
unsafe impl GlobalAlloc for Interrupting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if is_simulated() {
            moment();
        }
        // SAFETY: the caller's contract.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the caller's contract.
        unsafe { System.dealloc(block, layout) }
    }
}
