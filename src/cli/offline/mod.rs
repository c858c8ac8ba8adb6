//! `tabletctl tablet ...`: work on a storage root while no daemon owns it.
//!
//! Each command takes the root's own lock and is refused while somebody else holds it. `import` writes in the order a
//! migration writes: copy, sync, read back, place, sync, commit. `check` and `show` change nothing.

mod batch;
mod check;
mod hooks;
mod import;
mod listing;
mod locked;
mod one;
mod report;
mod sharing;
mod show;
mod tree;
mod wish;

pub use batch::import_batch;
pub use check::{CheckedRoots, check};
pub use one::import_one;
pub use show::show;
pub(super) use wish::read_header_file;
