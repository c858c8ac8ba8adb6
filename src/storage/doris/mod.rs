//! The root of a real Doris backend, opened.
//!
//! Nothing of it is ever changed in place: a run adds one log of its own ([`AddedLog`]) while it holds the backend's lock
//! ([`DorisLock`]). [`DorisStore`] says who owns which tablet there; everything of ours stands below [`DORIS_ROOM`].

mod added_log;
mod directory;
mod keep;
mod lock;
mod meta;
mod retire;
mod root;
mod store;

pub use added_log::{AddedLog, tablets_in_log};
pub use directory::{Judged, doris_directory, judge, list_tablet, look_at_tablet};
pub use keep::{SinceKept, forget_kept, keep_meta, kept_runs, since_kept};
pub use lock::{DorisLock, DorisLockError};
pub use meta::{DorisFiles, read_one_state};
pub use retire::{bring_back, keep_record, purge_retired, retire_directory, retired_path};
pub use root::{DORIS_ROOM, DorisRoot, give_as};
pub use store::{DorisStore, sum_of_pairs};
