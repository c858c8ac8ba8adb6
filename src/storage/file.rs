//! Small files: whole in, whole out.

use std::fs::{File, Metadata};
use std::io::{Read, Write};

use nix::errno::Errno;
use nix::fcntl::{OFlag, PosixFadviseAdvice, posix_fadvise};

use super::dir::Dir;
use super::error::DiskError;

/// Records and owner files are small; whatever claims to be larger is not one of ours.
const SMALL_FILE_BYTES_MAX: u64 = 64 << 20;
/// What nearly all of them are smaller than.
const SMALL_FILE_BYTES: usize = 8 << 10;

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
    let Some(mut file) = open_small(dir, name, from)? else { return Ok(None) };
    let mut bytes = Vec::with_capacity(SMALL_FILE_BYTES);
    read_rest(&mut file, &mut bytes, dir, name)?;
    Ok(Some(bytes))
}

/// Reads a whole small file that says by itself whether it is whole, and hands its bytes to `parse`: what parses after one
/// read need not be asked for more. `None` where there is no such file.
///
/// # Errors
/// Outer: as [`read_small`]. Inner: what `parse` says of the whole file.
pub(super) fn read_parsed<T, E>(
    dir: &Dir,
    name: &str,
    from: ReadFrom,
    parse: impl Fn(&[u8]) -> Result<T, E>,
) -> Result<Option<Result<T, E>>, DiskError> {
    let Some(mut file) = open_small(dir, name, from)? else { return Ok(None) };
    let mut bytes = vec![0; SMALL_FILE_BYTES];
    let got = loop {
        match file.read(&mut bytes) {
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            got => break got.map_err(|error| DiskError::from_io("read", dir.path().join(name), &error))?,
        }
    };
    bytes.truncate(got);
    if got < SMALL_FILE_BYTES
        && let Ok(parsed) = parse(&bytes)
    {
        return Ok(Some(Ok(parsed)));
    }
    read_rest(&mut file, &mut bytes, dir, name)?;
    Ok(Some(parse(&bytes)))
}

/// As [`read_small`], with what the file system said of the file before it was read.
///
/// # Errors
/// As [`read_small`].
pub(super) fn read_small_as_found(
    dir: &Dir,
    name: &str,
    from: ReadFrom,
) -> Result<Option<(Vec<u8>, Metadata)>, DiskError> {
    let Some(mut file) = open_small(dir, name, from)? else { return Ok(None) };
    let found = file.metadata().map_err(|error| DiskError::from_io("stat", dir.path().join(name), &error))?;
    let mut bytes = Vec::with_capacity(SMALL_FILE_BYTES);
    read_rest(&mut file, &mut bytes, dir, name)?;
    Ok(Some((bytes, found)))
}

fn open_small(dir: &Dir, name: &str, from: ReadFrom) -> Result<Option<File>, DiskError> {
    let file = match dir.open_for_reading(name, OFlag::empty()) {
        Ok(file) => file,
        Err(error) if error.errno == Errno::ENOENT => return Ok(None),
        Err(error) => return Err(error),
    };
    if from == ReadFrom::Medium {
        // Advice: where it is not taken, the read is merely a warm one.
        let _ = posix_fadvise(&file, 0, 0, PosixFadviseAdvice::POSIX_FADV_DONTNEED);
    }
    Ok(Some(file))
}

/// Reads up to the end, which is found by reading: nobody asks for the size first.
fn read_rest(file: &mut File, bytes: &mut Vec<u8>, dir: &Dir, name: &str) -> Result<(), DiskError> {
    file.take(SMALL_FILE_BYTES_MAX + 1)
        .read_to_end(bytes)
        .map_err(|error| DiskError::from_io("read", dir.path().join(name), &error))?;
    if bytes.len() as u64 > SMALL_FILE_BYTES_MAX {
        return Err(DiskError::new("read", dir.path().join(name), Errno::EFBIG));
    }
    Ok(())
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
