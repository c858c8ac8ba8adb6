//! One storage root: its layout, its metadata records, its trash, and the durable verbs everything above is built from.

mod dir;
mod error;
mod file;
pub mod layout;
pub mod os;

pub use dir::{Barrier, Dir, DirectBarrier, Entry, EntryKind};
pub use error::{DiskError, StorageError};
pub use file::{ReadFrom, read_small, replace_durably, write_new};
