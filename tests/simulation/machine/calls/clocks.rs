//! Time.

use std::ffi::{c_int, c_long};

use super::super::EPOCH_NS;
use super::super::threads::{Wait, block, inside, moment, pause};
use super::bind;

const SECOND_NS: u64 = 1_000_000_000;

unsafe fn put(to: *mut libc::timespec, ns: u64) {
    (*to).tv_sec = (ns / SECOND_NS) as i64;
    (*to).tv_nsec = (ns % SECOND_NS) as c_long;
}

unsafe fn read(from: *const libc::timespec) -> u64 {
    (*from).tv_sec as u64 * SECOND_NS + (*from).tv_nsec as u64
}

unsafe fn gettime(clock: c_int, to: *mut libc::timespec) -> c_int {
    moment();
    let now = inside(super::Machine::look_at_clock);
    put(
        to,
        if clock == libc::CLOCK_REALTIME || clock == libc::CLOCK_REALTIME_COARSE {
            EPOCH_NS + now
        } else {
            now
        },
    );
    0
}

unsafe fn sleep_until(clock: c_int, flags: c_int, time: *const libc::timespec) -> c_int {
    let ns = read(time);
    match (flags & libc::TIMER_ABSTIME != 0, clock == libc::CLOCK_REALTIME) {
        (false, _) => pause(ns),
        (true, is_wall) => {
            let until = if is_wall { ns.saturating_sub(EPOCH_NS) } else { ns };
            block(Wait::Time, Some(until));
        }
    }
    0
}

bind! {
    fn clock_gettime(clock: c_int, to: *mut libc::timespec) -> c_int, when true => gettime(clock, to);
    fn nanosleep(time: *const libc::timespec, left: *mut libc::timespec) -> c_int, when true => {
        pause(read(time));
        0
    };
    fn clock_nanosleep(clock: c_int, flags: c_int, time: *const libc::timespec, left: *mut libc::timespec) -> c_int,
        when true => sleep_until(clock, flags, time);
    fn gettimeofday(to: *mut libc::timeval, zone: *mut std::ffi::c_void) -> c_int, when true => {
        let now = EPOCH_NS + inside(super::Machine::look_at_clock);
        (*to).tv_sec = (now / SECOND_NS) as i64;
        (*to).tv_usec = (now % SECOND_NS / 1000) as i64;
        0
    };
    fn time(to: *mut i64) -> i64, when true => {
        let now = ((EPOCH_NS + inside(super::Machine::look_at_clock)) / SECOND_NS) as i64;
        if !to.is_null() {
            *to = now;
        }
        now
    };
}
