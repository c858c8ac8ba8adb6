//! The straight line: one attempt of one migration, read from top to bottom.
//!
//! ```text
//! preflight -> prepare -> data (copy, sync, read back) -> finalize (swap, retire) -> completed
//! ```
//!
//! Each step takes the value that only the step before can make: an unverified copy cannot be swapped in, and a source
//! cannot be retired without the receipt of a swap. Before the commit point nothing here writes to the source; after it
//! nothing here removes anything from the destination.
//!
//! At a gate the line ends and gives everything back: the thread, the slots, every descriptor. Let through, the migration
//! begins again at the top and finds its staging; what was verified is neither copied nor, in the same process, read again.
//!
//! `attempt` is the story; what an attempt ends with is settled in `ending`, and so is every other end of a migration.

mod attempt;
mod base;
mod data;
mod doubt;
mod ending;
mod finalize;
mod gate;
mod hooks;
mod preflight;
mod prepare;
mod undo;

pub(super) use attempt::run;
pub(super) use doubt::settle;
pub(super) use ending::{Ending, end};
pub(super) use undo::{owner_is_seen, undo_copy};
