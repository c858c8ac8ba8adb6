//! Threads, futexes, mutexes.

use std::ffi::{c_int, c_void};

use super::super::threads::{
    Wait, announce, block, enter, inside, is_simulated, leave, moment, pass_on, pause,
};
use super::{answer, bind, is_ours, names, real, refuse};

type Routine = extern "C" fn(*mut c_void) -> *mut c_void;

/// What a new thread is told.
struct Start {
    id: usize,
    routine: Routine,
    argument: *mut c_void,
}

extern "C" fn run(start: *mut c_void) -> *mut c_void {
    let start = unsafe { Box::from_raw(start.cast::<Start>()) };
    enter(start.id);
    let Start { routine, argument, .. } = *start;
    let result = routine(argument);
    leave();
    result
}

unsafe fn create(
    thread: *mut libc::pthread_t,
    attributes: *const c_void,
    routine: Routine,
    argument: *mut c_void,
) -> c_int {
    moment();
    let id = announce();
    let start = inside(|_| Box::into_raw(Box::new(Start { id, routine, argument })));
    let failed = real!(pthread_create(
        thread => *mut libc::pthread_t, attributes => *const c_void, run => Routine, start.cast() => *mut c_void
    ) -> c_int);
    assert_eq!(failed, 0, "the real system makes no more threads");
    inside(|machine| machine.pthreads.push((*thread, id)));
    moment();
    0
}

unsafe fn join(thread: libc::pthread_t, result: *mut *mut c_void) -> c_int {
    let id =
        inside(|machine| machine.pthreads.iter().rev().find(|(its, _)| *its == thread).map(|(_, id)| *id));
    if let Some(id) = id {
        let is_over = || inside(|machine| machine.threads[id].state == super::super::threads::State::Ended);
        while !is_over() {
            block(Wait::End(id), None);
        }
    }
    real!(pthread_join(thread => libc::pthread_t, result => *mut *mut c_void) -> c_int)
}

unsafe fn lock(mutex: *mut c_void) -> c_int {
    loop {
        match real!(pthread_mutex_trylock(mutex => *mut c_void) -> c_int) {
            libc::EBUSY => pause(10_000),
            taken => return taken,
        }
    }
}

unsafe fn yield_now() -> c_int {
    inside(|machine| machine.now_ns += 1000);
    pass_on();
    0
}

bind! {
    fn pthread_create(thread: *mut libc::pthread_t, attributes: *const c_void, routine: Routine, argument: *mut c_void) -> c_int,
        when true => create(thread, attributes, routine, argument);
    fn pthread_join(thread: libc::pthread_t, result: *mut *mut c_void) -> c_int, when true => join(thread, result);
    fn pthread_mutex_lock(mutex: *mut c_void) -> c_int, when true => lock(mutex);
    fn sched_yield() -> c_int, when true => yield_now();
    fn getpid() -> c_int, when true => 4242;
}

/// The calls that have no function of their own.
#[unsafe(no_mangle)]
unsafe extern "C" fn syscall(number: i64, a: i64, b: i64, c: i64, d: i64, e: i64, f: i64) -> i64 {
    const CACHESTAT: i64 = 451;
    if is_simulated() {
        match number {
            libc::SYS_futex => return futex(a as usize, b as c_int, c as u32, d as *const libc::timespec),
            libc::SYS_openat2 if names::is_ours_by_number(a as c_int, b as *const _) => {
                return names::openat2(a as c_int, b as *const _, c as *const u64);
            }
            libc::SYS_renameat2 if names::is_ours_by_number(a as c_int, b as *const _) => {
                return i64::from(names::renameat2(
                    (a as c_int, b as *const _),
                    (c as c_int, d as *const _),
                    e as u32,
                ));
            }
            libc::SYS_getdents64 if is_ours(a as c_int) => {
                return names::read_directory(
                    a as c_int,
                    std::slice::from_raw_parts_mut(b as *mut u8, c as usize),
                );
            }
            libc::SYS_getrandom => return names::getrandom(a as *mut u8, b as usize) as i64,
            libc::SYS_close_range => return 0,
            // A kernel that does not know: then the program reads past the cache.
            CACHESTAT => return refuse(libc::ENOSYS),
            _ => {}
        }
    }
    real!(syscall(number => i64, a => i64, b => i64, c => i64, d => i64, e => i64, f => i64) -> i64)
}

/// Waits for, or wakes, those who wait for a word of memory. Deadlines are absolute for `FUTEX_WAIT_BITSET` only.
unsafe fn futex(address: usize, operation: c_int, value: u32, time: *const libc::timespec) -> i64 {
    let command = operation & !(libc::FUTEX_PRIVATE_FLAG | libc::FUTEX_CLOCK_REALTIME);
    match command {
        libc::FUTEX_WAIT | libc::FUTEX_WAIT_BITSET => {
            moment();
            // Nobody else runs between this look and the wait.
            if *(address as *const u32) != value {
                return refuse(libc::EAGAIN);
            }
            let until = (!time.is_null()).then(|| {
                let ns = (*time).tv_sec as u64 * 1_000_000_000 + (*time).tv_nsec as u64;
                let origin =
                    if operation & libc::FUTEX_CLOCK_REALTIME != 0 { super::super::EPOCH_NS } else { 0 };
                match command {
                    libc::FUTEX_WAIT => inside(|machine| machine.now_ns + ns),
                    _ => ns.saturating_sub(origin),
                }
            });
            if block(Wait::Futex(address), until) { refuse(libc::ETIMEDOUT) } else { 0 }
        }
        libc::FUTEX_WAKE | libc::FUTEX_WAKE_BITSET => {
            let woken = inside(|machine| machine.wake(value as usize, |on| on == Wait::Futex(address)));
            moment();
            answer(Ok(woken as i64))
        }
        _ => refuse(libc::ENOSYS),
    }
}
