//! What the daemon is to the machine it runs on: its command line, its word to the service manager, the kernel it needs.
//!
//! Knows no tablet and no disk, and never waits for one.

mod arguments;
mod journal_stream;
mod kernel;
mod notify;

pub use arguments::Arguments;
pub use journal_stream::stderr_is_the_journal;
pub use kernel::check_kernel;
pub use notify::Notify;
