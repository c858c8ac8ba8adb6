//! Moves between the roots of a real Doris backend that is stopped: one run, no daemon.
//!
//! ```text
//! Session::open    every root of the configuration locked, read strictly, held against the others; or refused
//!   settle         what an earlier run left unfinished, by a table over what both databases say
//!   plan           who can move, where to, and who stays for which reason; nothing is written
//!   carry_out      one tablet after the other, a straight line that ends in one synced batch and then another
//!   undo           the newest run taken back, while no backend has started since
//! confirm, purge   once it has: look as a guest, then free what nobody needs
//! inspect          what a drain would move and leave, read while a backend may be at work
//! ```
//!
//! The order of durable writes is that of `doris-roots` 5.3, and [`line`] can be read beside it. Journal, copy engine and
//! planner are the daemon's own; the daemon does not open Doris roots yet, and leaves rows of such moves alone.
//!
//! Nothing of a backend's is changed in place, and outside `.tabletd/` nothing is made but what a moved tablet needs.

mod accept;
mod after;
mod book;
mod bytes;
mod inspect;
mod line;
mod node;
mod plan;
mod session;
mod settle;
mod undo;
mod walk;
mod wishes;

pub use after::{Confirmed, Now, Purged, confirm, purge};
pub use inspect::inspect;
pub use node::{Node, NotOpened, Root};
pub use plan::{LeftBehind, Misfit, Plan, Planned, Request};
pub use session::{GoOn, Moved, Outcome, Session, Told};
pub use undo::TakenBack;
pub use wishes::{Committed, OtherMedia, Wishes};
