//! A bandwidth limit that many threads share: the token bucket of [`crate::rules::throttle`], a clock and a queue.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::rules::throttle::TokenBucket;

/// The longest a waiter sleeps before it asks again whether it should go on.
const NAP_MAX: Duration = Duration::from_millis(100);

#[derive(Debug)]
struct State {
    bucket: TokenBucket,
    queue: VecDeque<u64>,
    next_ticket: u64,
    bursts_per_sec: u64,
}

/// A limit in bytes per second. First come first served, so that a stream of small files cannot starve a large block.
#[derive(Debug)]
pub struct Limiter {
    origin: Instant,
    state: Mutex<State>,
    changed: Condvar,
}

/// What may pass at once after a rest is a tenth of a second's worth, so that a low limit is also a smooth one.
const BURSTS_PER_SEC: u64 = 10;
/// The same where others must not notice.
const SMOOTH_BURSTS_PER_SEC: u64 = 100;

fn burst_bytes(rate_bytes_per_sec: u64, bursts_per_sec: u64) -> u64 {
    (rate_bytes_per_sec / bursts_per_sec).max(1)
}

impl Limiter {
    /// A limit of `rate_bytes_per_sec`; 0 is none.
    pub fn new(rate_bytes_per_sec: u64) -> Self {
        Self::with_bursts(rate_bytes_per_sec, BURSTS_PER_SEC)
    }

    /// The same, with a tenth of the burst.
    pub fn smooth(rate_bytes_per_sec: u64) -> Self {
        Self::with_bursts(rate_bytes_per_sec, SMOOTH_BURSTS_PER_SEC)
    }

    fn with_bursts(rate_bytes_per_sec: u64, bursts_per_sec: u64) -> Self {
        let bucket = TokenBucket::new(rate_bytes_per_sec, burst_bytes(rate_bytes_per_sec, bursts_per_sec));
        Self {
            origin: Instant::now(),
            state: Mutex::new(State { bucket, queue: VecDeque::new(), next_ticket: 0, bursts_per_sec }),
            changed: Condvar::new(),
        }
    }

    /// The limit now; 0 is none.
    pub fn rate_bytes_per_sec(&self) -> u64 {
        self.lock().bucket.rate_bytes_per_sec()
    }

    /// Changes the limit; those who wait feel it at once.
    pub fn set_rate(&self, rate_bytes_per_sec: u64) {
        let now = self.origin.elapsed();
        let mut state = self.lock();
        let burst_bytes = burst_bytes(rate_bytes_per_sec, state.bursts_per_sec);
        state.bucket.set_rate(now, rate_bytes_per_sec, burst_bytes);
        drop(state);
        self.changed.notify_all();
    }

    /// Makes every waiter ask its `go_on` at once instead of within a tenth of a second.
    pub fn wake(&self) {
        self.changed.notify_all();
    }

    /// Waits until `bytes` may pass and says how long that took.
    ///
    /// # Errors
    /// What `go_on` said; asked once before a wait and at least ten times a second during one.
    pub fn take<E>(&self, bytes: u64, go_on: impl Fn() -> Result<(), E>) -> Result<Duration, E> {
        let mut state = self.lock();
        let began = self.origin.elapsed();
        if state.queue.is_empty() && state.bucket.take(began, bytes).is_ok() {
            return Ok(Duration::ZERO);
        }
        let ticket = state.next_ticket;
        state.next_ticket += 1;
        state.queue.push_back(ticket);
        loop {
            drop(state);
            let asked = go_on();
            state = self.lock();
            if let Err(stop) = asked {
                state.queue.retain(|waiting| *waiting != ticket);
                self.changed.notify_all();
                return Err(stop);
            }
            let now = self.origin.elapsed();
            let mut nap = NAP_MAX;
            if state.queue.front() == Some(&ticket) {
                match state.bucket.take(now, bytes) {
                    Ok(()) => {
                        state.queue.pop_front();
                        self.changed.notify_all();
                        return Ok(now.saturating_sub(began));
                    }
                    Err(ready_at) => nap = nap.min(ready_at.saturating_sub(now)),
                }
            }
            state = self.changed.wait_timeout(state, nap).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    #[test]
    fn no_limit_never_asks_and_never_waits() {
        let limiter = Limiter::new(0);
        let never = || -> Result<(), ()> { panic!("nothing to wait for") };
        assert_eq!(limiter.take(u64::MAX, never), Ok(Duration::ZERO));
    }

    #[test]
    fn a_waiter_gives_up_when_told_and_leaves_the_queue() {
        let limiter = Limiter::new(1);
        limiter.take(1 << 30, || Ok::<_, ()>(())).expect("a full bucket lets anything pass");
        let asked = Cell::new(0);
        let third_time = || {
            asked.set(asked.get() + 1);
            if asked.get() == 3 { Err("aborted") } else { Ok(()) }
        };
        assert_eq!(limiter.take(1, third_time), Err("aborted"));
        assert!(limiter.lock().queue.is_empty());
    }

    #[test]
    fn a_new_rate_frees_who_waits() {
        let limiter = Limiter::new(1);
        limiter.take(1 << 30, || Ok::<_, ()>(())).expect("a full bucket lets anything pass");
        let waiting = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let waiter = scope.spawn(|| {
                limiter.take(1 << 30, || {
                    waiting.store(true, Ordering::Release);
                    Ok::<_, ()>(())
                })
            });
            let deadline = Instant::now() + Duration::from_secs(20);
            while !waiting.load(Ordering::Acquire) {
                assert!(Instant::now() < deadline, "it never waits");
                std::thread::yield_now();
            }
            limiter.set_rate(0);
            assert!(waiter.join().expect("no panic").is_ok());
        });
    }

    #[test]
    fn threads_together_keep_to_the_rate() {
        let (rate, block, blocks_each, threads) = (10_000_000_u64, 50_000_u64, 10, 4);
        let limiter = Limiter::new(rate);
        let began = Instant::now();
        std::thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(|| {
                    for _ in 0..blocks_each {
                        limiter.take(block, || Ok::<_, ()>(())).expect("never told to stop");
                    }
                });
            }
        });
        let passed = block * blocks_each * threads;
        let owed = Duration::from_nanos((passed - burst_bytes(rate, BURSTS_PER_SEC)) * 1_000_000_000 / rate);
        assert!(began.elapsed() >= owed, "{passed} bytes in {:?}", began.elapsed());
    }
}
