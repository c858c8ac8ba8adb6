//! What a fleet remembers: records by key, behind one trait, and who may write them.
//!
//! Every write is conditional on the leadership that makes it: a former leader's write lands nowhere, however late it
//! comes. `sqlite` is the store of one process. Nothing here knows what a record means.

mod clock;
mod record;
mod sqlite;

use std::path::Path;

pub use clock::Moment;
pub use record::{
    CHANGES_MAX, Change, Changes, Expect, LEASE, Leader, Leadership, Process, Record, Snapshot, Standing,
    Store, StoreError, VALUE_BYTES_MAX,
};
pub use sqlite::Sqlite;

/// Opens the store of a fleet: the state directory, for one process.
///
/// # Errors
/// [`StoreError`].
pub fn open(state_dir: &Path) -> Result<Box<dyn Store>, StoreError> {
    Ok(Box::new(Sqlite::open(state_dir)?))
}
