//! Moves between the roots of a real Doris backend that is stopped: one run, no daemon.
//!
//! ```text
//! Session::open    every root of the configuration locked, read strictly, held against the others; or refused
//!   settle         what an earlier run left unfinished, by a table over what both databases say
//!   plan           who can move, where to, and who stays for which reason; nothing is written
//!   carry_out      one tablet after the other, a straight line that ends in one synced batch and then another
//!   undo           the newest run taken back, while no backend has started since
//! confirm, purge   once it has: look as a guest, then free what nobody needs
//! look             what the node has, for whoever asks while it is stopped
//! inspect          what a drain would move and leave, read while a backend may be at work
//! ```
//!
//! The order of durable writes is that of `doris-roots` 5.3, and [`line`] can be read beside it. Journal, copy engine and
//! planner are the daemon's own; a [`Session`] may be shared by its threads.
//!
//! Nothing of a backend's is changed in place, and outside `.tabletd/` nothing is made but what a moved tablet needs.

mod accept;
mod after;
mod book;
mod bytes;
mod inspect;
mod kind;
mod line;
mod look;
mod node;
mod plan;
mod records;
mod rescue;
mod root;
mod session;
mod settle;
mod tasks;
mod told;
mod undo;
mod walk;
mod watch;
mod wishes;

pub use after::{Confirmed, Now, Purged, confirm, purge};
pub(crate) use book::{advance, now_ms};
pub use inspect::inspect;
pub use kind::is_doris_node;
pub use look::{RootLook, TabletLook, digests};
pub use node::{Node, NotOpened};
pub use plan::{LeftBehind, Misfit, Plan, Planned, Request, estimate_sec};
pub use root::Root;
pub use session::{Asking, Session};
pub use tasks::{finish_tasks, wishes_of};
pub use told::{Moved, Outcome, Told};
pub use undo::TakenBack;
pub use watch::{Watch, WhenStopped};
pub use wishes::{Committed, Older, OtherMedia, Wishes};
