//! The list of a node's disks, as each of its roots keeps a copy of it: what is left of it when the state directory is
//! lost. What is in the list is the engine's business.

use std::path::Path;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::dir::Dir;
use super::envelope;
use super::error::DiskError;
use super::file::{ReadFrom, read_small, replace_durably};
use super::layout::DISK_LIST_FILE;

/// Puts a copy on a root, durably, unless it is there.
///
/// # Errors
/// As the calls made.
pub fn put_disk_list(root: &Dir, list: &impl Serialize) -> Result<(), DiskError> {
    let bytes = envelope::seal(list).expect("a list holds strings and numbers");
    match read_small(root, DISK_LIST_FILE, ReadFrom::Cache)? {
        Some(found) if found == bytes => Ok(()),
        _ => replace_durably(root, DISK_LIST_FILE, &bytes),
    }
}

/// The copy on the root at `path`; `None` when there is none.
///
/// # Errors
/// In words: it cannot be read, or is damaged.
pub fn get_disk_list<T: DeserializeOwned>(path: &str) -> Result<Option<T>, String> {
    let dir = Dir::open_absolute(Path::new(path)).map_err(|error| error.to_string())?;
    let Some(bytes) = read_small(&dir, DISK_LIST_FILE, ReadFrom::Cache).map_err(|error| error.to_string())?
    else {
        return Ok(None);
    };
    let record = envelope::open(&bytes)?;
    serde_json::from_str(record.get()).map(Some).map_err(|error| error.to_string())
}
