//! be.conf: its grammar, its keys with their defaults, and what is wrong with a given file.
//!
//! The grammar, the keys and the list of storage roots are pure: text and an environment go in, a [`Config`] or every
//! problem at once comes out. Only [`Config::load`], [`Loaded::look`] and [`persist`] touch files. Nothing here opens a
//! storage root, logs, or decides what a broken disk means for the daemon.
//!
//! Grammar and names are those of the Doris BE (`be/src/common/config.cpp`, `be/src/olap/options.cpp`), so that a
//! node's existing file starts this daemon: keys that mean nothing here are reported as ignored, never refused.

mod blanks;
mod doris_keys;
#[cfg(test)]
mod fuzz;
mod grammar;
mod interpret;
mod keys;
mod load;
mod look;
mod persist;
mod problem;
mod rates;
mod reload;
mod schema;
mod settings;
mod slips;
mod storage_root;
#[cfg(test)]
mod tests;
mod value;

pub use grammar::{Setting, Sheet};
pub use interpret::{Loaded, Surroundings, interpret};
pub use keys::{Config, KEYS, Key};
pub use look::{Before, Found};
pub use persist::{PersistError, is_kept, persist, with_key};
pub use problem::{ConfigErrors, FileLine, IgnoredKey, IgnoredWhy, Problem};
pub use rates::DiskRates;
pub use reload::{KeyChange, Reload};
pub use schema::{Mutability, Row};
pub use settings::{SetError, ShownKey};
pub use storage_root::{
    BrokenEntry, EntryError, InvalidEntry, StorageRootSpec, StorageRoots, parse_broken_storage_path,
    parse_storage_root_path,
};
pub use value::{
    BrokenDisks, CatalogCheck, Dialect, HttpAuth, IoClass, LogFormat, LogLevel, LoopbackAccess,
    MetricsAccess, SameFileSystem, Throttle,
};
