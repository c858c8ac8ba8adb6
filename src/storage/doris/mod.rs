//! The root of a real Doris backend, opened.
//!
//! Nothing of it is ever changed in place: a run adds one log of its own ([`AddedLog`]) while it holds the backend's lock
//! ([`DorisLock`]).

mod added_log;
mod lock;
mod meta;

pub use added_log::AddedLog;
pub use lock::{DorisLock, DorisLockError};
pub use meta::DorisFiles;
