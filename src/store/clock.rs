//! The clock that leases are told by: it counts while the machine sleeps and does not jump when somebody sets the time.

use std::time::Duration;

use nix::time::{ClockId, clock_gettime};

/// A moment of this run of the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment(Duration);

impl Moment {
    /// Now.
    pub fn now() -> Self {
        // The clock is there on every kernel that the daemon runs on.
        let time = clock_gettime(ClockId::CLOCK_BOOTTIME).map(Duration::from).unwrap_or_default();
        Self(time)
    }

    /// So much later.
    #[must_use]
    pub fn after(self, time: Duration) -> Self {
        Self(self.0.saturating_add(time))
    }

    /// How long it is until then; nothing when it has passed.
    pub fn is_in(self) -> Duration {
        self.0.saturating_sub(Self::now().0)
    }

    /// Whether it has passed.
    pub fn has_passed(self) -> bool {
        self.is_in().is_zero()
    }
}
