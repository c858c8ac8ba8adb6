//! Small files: whole in, whole out.

use std::fs::{File, Metadata};
use std::io::{Read, Write};

use nix::errno::Errno;
use nix::fcntl::{OFlag, PosixFadviseAdvice, posix_fadvise};

use super::dir::Dir;
use super::error::DiskError;

/// Records and owner files are small; whatever claims to be larger is not one of ours.
const SMALL_FILE_BYTES_MAX: u64 = 64 << 20;

/// Where the bytes of a read may come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReadFrom {
    /// Wherever they are at hand.
    Cache,
    /// The medium, as far as the file system lets us: the pages are dropped first. Only meaningful after a sync.
    Medium,
}

/// Reads a whole small file; `None` where there is none.
///
/// # Errors
/// As `open`, `read`; `EFBIG` above 64 MiB.
pub fn read_small(dir: &Dir, name: &str, from: ReadFrom) -> Result<Option<Vec<u8>>, DiskError> {
    Ok(read_small_as_found(dir, name, from)?.map(|(bytes, _)| bytes))
}

/// The same, with what the file system said of the file before it was read.
pub(super) fn read_small_as_found(
    dir: &Dir,
    name: &str,
    from: ReadFrom,
) -> Result<Option<(Vec<u8>, Metadata)>, DiskError> {
    let mut file = match dir.open_for_reading(name, OFlag::empty()) {
        Ok(file) => file,
        Err(error) if error.errno == Errno::ENOENT => return Ok(None),
        Err(error) => return Err(error),
    };
    let failed =
        |operation, error: &std::io::Error| DiskError::from_io(operation, dir.path().join(name), error);
    if from == ReadFrom::Medium {
        // Advice: where it is not taken, the read is merely a warm one.
        let _ = posix_fadvise(&file, 0, 0, PosixFadviseAdvice::POSIX_FADV_DONTNEED);
    }
    let found = file.metadata().map_err(|error| failed("stat", &error))?;
    let size = found.len();
    if size > SMALL_FILE_BYTES_MAX {
        return Err(DiskError::new("read", dir.path().join(name), Errno::EFBIG));
    }
    let mut bytes = Vec::with_capacity(usize::try_from(size).unwrap_or(0) + 1);
    Read::by_ref(&mut file)
        .take(SMALL_FILE_BYTES_MAX)
        .read_to_end(&mut bytes)
        .map_err(|error| failed("read", &error))?;
    Ok(Some((bytes, found)))
}

/// Writes a file that must not exist. Not durable until a [`super::Barrier`] has been passed.
///
/// # Errors
/// As `open`, `write`; `EEXIST`.
pub fn write_new(dir: &Dir, name: &str, bytes: &[u8]) -> Result<File, DiskError> {
    let mut file = dir.open_file(name, OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL)?;
    file.write_all(bytes).map_err(|error| DiskError::from_io("write", dir.path().join(name), &error))?;
    Ok(file)
}

/// Writes a file in place of an older one, durably: temporary name, fsync, rename, fsync of the directory.
///
/// # Errors
/// Any step's. The old file stays whole until the rename.
pub fn replace_durably(dir: &Dir, name: &str, bytes: &[u8]) -> Result<(), DiskError> {
    let temporary = format!("{name}.tmp");
    dir.unlink(&temporary)?;
    let file = write_new(dir, &temporary, bytes)?;
    file.sync_all().map_err(|error| DiskError::from_io("fsync", dir.path().join(&temporary), &error))?;
    dir.replace(&temporary, dir, name)?;
    dir.sync()
}
