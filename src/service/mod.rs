//! What the daemon is to the machine it runs on: its command line, its word to the service manager, the kernel it needs.
//!
//! Knows no tablet and no disk, and never waits for one.

mod arguments;
mod kernel;
mod notify;

pub use arguments::Arguments;
pub use kernel::check_kernel;
pub use notify::Notify;
