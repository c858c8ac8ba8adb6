//! Fail points and mutants: ways to break the protocol on purpose, for the fault suite.
//!
//! Without the feature `fault-injection` every function here is empty or constant and compiles to nothing.
//!
//! * `TABLETD_FAIL_POINT=<name>[:<n>]=<action>` acts when the point `name` is reached for the n-th time (default 1):
//!   `kill` (SIGKILL to oneself), `pause` (sleep until killed), `stop` (SIGSTOP to oneself, until somebody lets it go on).
//! * `TABLETD_SHORT=<read|write>:<n>:<bytes>`: the n-th read or write of a tablet's bytes moves no more than that.
//! * `TABLETD_CLOCK_FILE=<path>`: the wall clock is off by as many milliseconds as the file says, now.
//! * `TABLETD_MUTANT=<rule>[,<rule>]` leaves rules of the protocol out.

/// Called where a durable step has just been taken.
#[cfg(not(feature = "fault-injection"))]
#[inline(always)]
pub fn point(_name: &'static str) {}

/// Whether a rule of the protocol is left out on purpose.
#[cfg(not(feature = "fault-injection"))]
#[inline(always)]
pub const fn is_left_out(_rule: &'static str) -> bool {
    false
}

/// By how many milliseconds the wall clock is off on purpose.
#[cfg(not(feature = "fault-injection"))]
#[inline(always)]
pub const fn clock_offset_ms() -> i64 {
    0
}

/// How many of `bytes` the next read or write of a tablet's bytes may move.
#[cfg(not(feature = "fault-injection"))]
#[inline(always)]
pub const fn at_most(_call: &'static str, bytes: usize) -> usize {
    bytes
}

#[cfg(feature = "fault-injection")]
mod active {
    use std::collections::HashMap;
    use std::path::PathBuf;
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::sync::{LazyLock, Mutex, PoisonError};

    struct Armed {
        name: String,
        nth: u64,
        action: String,
    }

    static ARMED: LazyLock<Option<Armed>> = LazyLock::new(|| {
        let text = std::env::var("TABLETD_FAIL_POINT").ok()?;
        let (place, action) = text.split_once('=')?;
        let (name, nth) = place.split_once(':').unwrap_or((place, "1"));
        Some(Armed { name: name.to_owned(), nth: nth.parse().ok()?, action: action.to_owned() })
    });
    static MUTANT: LazyLock<Option<String>> = LazyLock::new(|| std::env::var("TABLETD_MUTANT").ok());
    struct Short {
        call: String,
        nth: u64,
        bytes: usize,
    }

    static SHORT: LazyLock<Option<Short>> = LazyLock::new(|| {
        let text = std::env::var("TABLETD_SHORT").ok()?;
        let mut parts = text.split(':');
        let mut next = || parts.next();
        Some(Short { call: next()?.to_owned(), nth: next()?.parse().ok()?, bytes: next()?.parse().ok()? })
    });
    static SHORT_REACHED: AtomicU64 = AtomicU64::new(0);
    static CLOCK: LazyLock<Option<PathBuf>> =
        LazyLock::new(|| std::env::var_os("TABLETD_CLOCK_FILE").map(PathBuf::from));
    static REACHED: LazyLock<Mutex<HashMap<&'static str, u64>>> = LazyLock::new(Mutex::default);

    /// Called where a durable step has just been taken.
    pub fn point(name: &'static str) {
        let Some(armed) = ARMED.as_ref().filter(|armed| armed.name == name) else { return };
        let count = {
            let mut reached = REACHED.lock().unwrap_or_else(PoisonError::into_inner);
            let count = reached.entry(name).or_default();
            *count += 1;
            *count
        };
        if count != armed.nth {
            return;
        }
        eprintln!("fail point {name}:{count} reached: {}", armed.action);
        match armed.action.as_str() {
            "kill" => {
                let _ = nix::sys::signal::kill(nix::unistd::getpid(), nix::sys::signal::Signal::SIGKILL);
            }
            "stop" => {
                // To this thread: sent to the process, another one takes it, and this one goes on until that has run.
                let _ = nix::sys::signal::raise(nix::sys::signal::Signal::SIGSTOP);
            }
            "pause" => loop {
                std::thread::park();
            },
            _ => {}
        }
    }

    /// By how many milliseconds the wall clock is off on purpose. The file is read each time: the clock may jump while
    /// the daemon runs.
    pub fn clock_offset_ms() -> i64 {
        let text = CLOCK.as_ref().and_then(|path| std::fs::read_to_string(path).ok());
        text.and_then(|text| text.trim().parse().ok()).unwrap_or(0)
    }

    /// How many of `bytes` the next read or write of a tablet's bytes may move.
    pub fn at_most(call: &'static str, bytes: usize) -> usize {
        let Some(short) = SHORT.as_ref().filter(|short| short.call == call) else { return bytes };
        let count = SHORT_REACHED.fetch_add(1, Ordering::Relaxed) + 1;
        if count != short.nth || bytes <= short.bytes {
            return bytes;
        }
        eprintln!("fault: short {call}: {} of {bytes} bytes", short.bytes);
        short.bytes
    }

    /// Whether a rule of the protocol is left out on purpose.
    pub fn is_left_out(rule: &'static str) -> bool {
        MUTANT.as_deref().is_some_and(|rules| rules.split(',').any(|left_out| left_out == rule))
    }
}
#[cfg(feature = "fault-injection")]
pub use active::{at_most, clock_offset_ms, is_left_out, point};
