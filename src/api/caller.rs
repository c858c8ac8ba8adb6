//! Who asks, and the line in the log about every request that changes something.

use std::fmt;
use std::net::SocketAddr;

/// The address a request came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Caller(pub(super) SocketAddr);

impl fmt::Display for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl Caller {
    /// Logs that this caller asks for `what`, before it is done.
    pub(super) fn asks(self, what: fmt::Arguments<'_>) {
        tracing::info!(caller = %self, "asked to {what}");
    }
}
