//! The files of a `meta/` directory, as the reader needs them. Who opens them, and how, is the caller's business: below a
//! root's descriptor in the daemon, from memory in a test.

use super::error::DorisError;

/// One open file. Its bytes do not change: RocksDB never writes to a table file twice, and a log or MANIFEST that grows is
/// read up to the length it had when it was opened.
pub trait ReadAt: Send + Sync {
    /// Its length, in bytes.
    fn length_bytes(&self) -> u64;

    /// Bytes from `offset` on, exactly as many as asked for.
    ///
    /// # Errors
    /// What the system said, in words.
    fn read_at(&self, offset: u64, length: usize) -> Result<Vec<u8>, String>;
}

/// A `meta/` directory.
pub trait MetaFiles {
    /// Names of all entries, in no order.
    ///
    /// # Errors
    /// [`DorisError::Unreadable`].
    fn names(&self) -> Result<Vec<String>, DorisError>;

    /// Opens a file; `None` where there is none.
    ///
    /// # Errors
    /// [`DorisError::Unreadable`].
    fn open(&self, name: &str) -> Result<Option<Box<dyn ReadAt>>, DorisError>;
}

/// Opens a file that must be there.
pub(super) fn open_existing(files: &dyn MetaFiles, name: &str) -> Result<Box<dyn ReadAt>, DorisError> {
    files.open(name)?.ok_or_else(|| DorisError::Missing { file: name.to_owned() })
}

/// Reads a whole file.
pub(super) fn read_whole(file: &dyn ReadAt, name: &str) -> Result<Vec<u8>, DorisError> {
    let unreadable = |why: String| DorisError::Unreadable { file: name.to_owned(), why };
    let length = usize::try_from(file.length_bytes()).map_err(|_| unreadable("it is too long".to_owned()))?;
    file.read_at(0, length).map_err(unreadable)
}
