//! What a fleet remembers: records by key, behind one trait, and who may write them.
//!
//! Every write is conditional on the leadership that makes it: a former leader's write lands nowhere, however late it
//! comes. `sqlite` is the store of one process, `etcd` that of many. Nothing here knows what a record means.

mod clock;
mod etcd;
mod gateway;
mod record;
mod sqlite;

use std::path::Path;

use crate::model::fleet::check_name;
use crate::model::quoted;

pub use clock::Moment;
pub use etcd::Etcd;
pub use record::{
    CHANGES_MAX, Change, Changes, Expect, LEASE, Leader, Leadership, Process, Record, Snapshot, Standing,
    Store, StoreError, VALUE_BYTES_MAX,
};
pub use sqlite::Sqlite;

/// Opens the store of a fleet: `etcd://HOST:PORT,HOST:PORT/NAME`, or without an address the state directory, for one
/// process.
///
/// # Errors
/// [`StoreError`].
pub fn open(state_dir: &Path, address: Option<&str>) -> Result<Box<dyn Store>, StoreError> {
    let Some(address) = address else { return Ok(Box::new(Sqlite::open(state_dir)?)) };
    let unreadable = || {
        let text = format!("--store must be etcd://HOST:PORT,HOST:PORT/NAME, got {}", quoted(address));
        StoreError::Unavailable(text)
    };
    let (hosts, name) =
        address.strip_prefix("etcd://").and_then(|rest| rest.split_once('/')).ok_or_else(unreadable)?;
    check_name("the fleet's name in --store", name)
        .map_err(|error| StoreError::Unavailable(error.to_string()))?;
    let endpoints: Vec<_> =
        hosts.split(',').filter(|host| !host.is_empty()).map(|host| format!("http://{host}")).collect();
    if endpoints.is_empty() {
        return Err(unreadable());
    }
    Ok(Box::new(Etcd::new(&endpoints, name)))
}
