//! The C library's names, bound to the machine.
//!
//! A function here answers when a simulated thread asks about something of the machine's, and otherwise hands the call on
//! to the real one, which it finds once by its name. Only what the program, its standard library and SQLite call is here.
//!
//! What every `unsafe` below rests on is one sentence: callers keep the contract that the manual gives the function of that
//! name, and so its pointers may be read and written as the manual says.
#![allow(clippy::undocumented_unsafe_blocks, unsafe_op_in_unsafe_fn)]
// The kernel's numbers come in widths of its own.
#![allow(clippy::cast_possible_truncation)]

mod bytes;
mod clocks;
mod names;
mod stats;
mod threads;

use std::ffi::{CStr, c_char, c_void};
use std::sync::atomic::{AtomicPtr, AtomicU32, Ordering};

use super::disk::Errno;
use super::files::{FIRST_DESCRIPTOR, Files, Kind};
use super::threads::{Wait, block, inside, moment, pause};
use super::{Ending, Machine};

/// The longest a call of a healthy disk takes.
const SLOW_CALL_NS: u64 = 3_000_000;
/// The least.
const QUICK_CALL_NS: u64 = 2_000;

/// The real function of a name.
pub(super) struct Real(AtomicPtr<c_void>, &'static CStr);

impl Real {
    pub(super) const fn new(name: &'static CStr) -> Self {
        Self(AtomicPtr::new(std::ptr::null_mut()), name)
    }

    pub(super) fn find(&self) -> *mut c_void {
        let known = self.0.load(Ordering::Relaxed);
        if !known.is_null() {
            return known;
        }
        let found = unsafe { libc::dlsym(libc::RTLD_NEXT, self.1.as_ptr()) };
        assert!(!found.is_null(), "the C library has no {:?}", self.1);
        self.0.store(found, Ordering::Relaxed);
        found
    }
}

/// The real function, called.
macro_rules! real {
    ($name:ident($($arg:expr => $ty:ty),*) -> $ret:ty) => {{
        static REAL: $crate::machine::calls::Real = $crate::machine::calls::Real::new(
            match std::ffi::CStr::from_bytes_with_nul(concat!(stringify!($name), "\0").as_bytes()) {
                Ok(name) => name,
                Err(_) => panic!("no name"),
            },
        );
        let real: unsafe extern "C" fn($($ty),*) -> $ret = unsafe { std::mem::transmute(REAL.find()) };
        unsafe { real($($arg),*) }
    }};
}

/// A function of the C library: ours when a simulated thread asks and `when` holds, the real one otherwise.
macro_rules! bind {
    ($(fn $name:ident($($arg:ident: $ty:ty),*) -> $ret:ty, when $ours:expr => $answer:expr;)*) => {$(
        const _: () = {
            #[unsafe(export_name = stringify!($name))]
            unsafe extern "C" fn bound($($arg: $ty),*) -> $ret {
                if $crate::machine::threads::is_simulated() && $ours {
                    $answer
                } else {
                    $crate::machine::calls::real!($name($($arg => $ty),*) -> $ret)
                }
            }
        };
    )*};
}

pub(super) use bind;
pub(super) use real;

/// The real `futex(2)`, of which batons are made.
pub(super) fn real_futex(word: &AtomicU32, operation: i32, value: u32) {
    let number = libc::SYS_futex;
    real!(syscall(
        number => i64, word.as_ptr() as i64 => i64, i64::from(operation) => i64, i64::from(value) => i64, 0 => i64, 0 => i64,
        0 => i64
    ) -> i64);
}

/// The real `write(2)`.
pub(crate) fn real_write(descriptor: i32, bytes: &[u8]) -> isize {
    real!(write(descriptor => i32, bytes.as_ptr() => *const u8, bytes.len() => usize) -> isize)
}

fn refuse(errno: Errno) -> i64 {
    unsafe { *libc::__errno_location() = errno };
    -1
}

/// As the C library answers: a number, or -1 and `errno`.
fn answer<T: TryInto<i64>>(result: Result<T, Errno>) -> i64 {
    match result {
        Ok(number) => number.try_into().unwrap_or(i64::MAX),
        Err(errno) => refuse(errno),
    }
}

/// The same where success says nothing.
fn done(result: Result<(), Errno>) -> i32 {
    answer(result.map(|()| 0_i64)) as i32
}

const fn is_ours(descriptor: i32) -> bool {
    descriptor >= FIRST_DESCRIPTOR
}

unsafe fn text<'a>(text: *const c_char) -> &'a [u8] {
    CStr::from_ptr(text).to_bytes()
}

/// Whether `openat` and its like speak of something of the machine's.
unsafe fn is_ours_at(descriptor: i32, path: *const c_char) -> bool {
    match text(path) {
        path if path.first() == Some(&b'/') => Files::is_ours(path),
        _ => is_ours(descriptor),
    }
}

/// One call on a disk: it is counted, may be the process's last, waits while the disk hangs, takes its time, may be answered
/// with an error, and is done.
fn on_disk<T>(
    kind: Kind,
    which: impl FnOnce(&Machine) -> Result<usize, Errno>,
    act: impl FnOnce(&mut Machine) -> Result<T, Errno>,
) -> Result<T, Errno> {
    on_disk_either_way(kind, which, |machine, trouble| trouble.and_then(|()| act(machine)))
}

/// The same where an error has an effect.
fn on_disk_either_way<T>(
    kind: Kind,
    which: impl FnOnce(&Machine) -> Result<usize, Errno>,
    act: impl FnOnce(&mut Machine, Result<(), Errno>) -> Result<T, Errno>,
) -> Result<T, Errno> {
    let disk = inside(|machine| {
        machine.calls += 1;
        if machine.die_at_call == Some(machine.calls) {
            machine.end(Ending::Killed);
        }
        which(machine)
    })?;
    while let Some(until) = inside(|machine| machine.files.hangs.get(&disk).copied()) {
        if block(Wait::Disk(disk), until) {
            inside(|machine| machine.files.hangs.remove(&disk));
        }
    }
    let slow = inside(|machine| {
        machine.now_ns += QUICK_CALL_NS;
        let is_slow = machine.rng.below(16) == 0;
        is_slow.then(|| machine.rng.below(SLOW_CALL_NS))
    });
    match slow {
        Some(ns) => pause(ns),
        None => moment(),
    }
    inside(|machine| {
        let trouble = machine.files.trouble(disk, kind);
        act(machine, trouble)
    })
}
