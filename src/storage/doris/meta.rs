//! The `meta/` directory of a Doris root, for reading only. Takes no lock and changes nothing, access times included.

use std::collections::BTreeSet;
use std::fs::File;
use std::os::unix::fs::FileExt;

use nix::fcntl::OFlag;

use crate::doris::database::{Database, Strictness};
use crate::doris::error::DorisError;
use crate::doris::source::{MetaFiles, ReadAt};
use crate::storage::Dir;

/// Files of a directory, read below its descriptor.
#[derive(Debug)]
pub struct DorisFiles(pub Dir);

struct OpenFile {
    file: File,
    length_bytes: u64,
}

impl ReadAt for OpenFile {
    fn length_bytes(&self) -> u64 {
        self.length_bytes
    }

    fn read_at(&self, offset: u64, length: usize) -> Result<Vec<u8>, String> {
        let mut bytes = vec![0; length];
        self.file.read_exact_at(&mut bytes, offset).map_err(|error| error.to_string())?;
        Ok(bytes)
    }
}

impl MetaFiles for DorisFiles {
    fn names(&self) -> Result<Vec<String>, DorisError> {
        let entries = self.0.entries().map_err(|error| DorisError::Unreadable {
            file: self.0.path().display().to_string(),
            why: error.to_string(),
        })?;
        Ok(entries.into_iter().filter_map(|entry| entry.name.into_string().ok()).collect())
    }

    fn open(&self, name: &str) -> Result<Option<Box<dyn ReadAt>>, DorisError> {
        let unreadable = |why: String| DorisError::Unreadable { file: name.to_owned(), why };
        if self.0.kind(name).map_err(|error| unreadable(error.to_string()))?.is_none() {
            return Ok(None);
        }
        let file = self
            .0
            .open_for_reading(name, OFlag::O_NONBLOCK)
            .map_err(|error| unreadable(error.to_string()))?;
        let metadata = file.metadata().map_err(|error| unreadable(error.to_string()))?;
        if !metadata.is_file() {
            return Err(unreadable("it is no regular file".to_owned()));
        }
        Ok(Some(Box::new(OpenFile { file, length_bytes: metadata.len() })))
    }
}

/// How often the database is read anew because its backend changed it meanwhile.
const ATTEMPTS: u32 = 5;

/// Reads from one state of the database, whatever its backend does meanwhile.
///
/// # Errors
/// In words: it is damaged, or changes under every reading.
pub fn read_one_state<T>(
    root: &Dir,
    strictness: Strictness,
    read: impl Fn(&Database) -> Result<T, DorisError>,
) -> Result<T, String> {
    let meta = || root.open("meta").map(DorisFiles).map_err(|error| error.to_string());
    let state = |files: &DorisFiles| files.names().map(|names| names.into_iter().collect::<BTreeSet<_>>());
    let words = |error: DorisError| error.to_string();
    for _ in 0..ATTEMPTS {
        let files = meta()?;
        let before = state(&files).map_err(words)?;
        let found = Database::open(&files, strictness).and_then(|database| read(&database));
        let after = state(&files).map_err(words)?;
        // A table or a log that came or went: what was read may be of two states.
        if before == after {
            return found.map_err(words);
        }
    }
    Err("its database changed while it was read, again and again; stop the backend, or try at a quieter hour"
        .to_owned())
}
