//! What can be read of a tablet on a disk that does not give all of it. Reads past the page cache, around what is not
//! given, down to the unit that a disk gives or does not give at once; leaves holes.

use std::fs::File;
use std::os::fd::AsFd;

use crc32fast::Hasher;
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::sys::uio::{pread, pwrite};

use super::buffer::{ALIGN_BYTES, align_up};
use super::crew::Watch;
use super::hooks::{CopyHooks, Side, Traffic};
use crate::model::{DamagedFile, ErrorCode, Failure, FileEntry, LostRange, Manifest};
use crate::storage::{Dir, DiskError};

/// The longest read.
const BLOCK_BYTES: usize = 1 << 20;

/// What was saved.
#[derive(Debug)]
pub struct Saved {
    /// What the copy holds, with checksums: the manifest's files, holes read as zeros.
    pub manifest: Manifest,
    /// Bytes that were given.
    pub saved_bytes: u64,
    /// What was not given.
    pub lost: Vec<LostRange>,
    /// Files that were given whole and are not as the manifest says, or are not there.
    pub damaged: Vec<DamagedFile>,
}

/// Copies what can be read of a manifest's files. Nothing is durable before the caller's barrier, nor compared.
///
/// # Errors
/// A call's on the destination, or one on the source that is not about what it holds. Whatever a hook said to stop with.
pub fn salvage(
    source: &Dir,
    destination: &Dir,
    manifest: &Manifest,
    hooks: &dyn CopyHooks,
) -> Result<Saved, Failure> {
    let mut saving = Saving {
        watch: Watch::new(hooks),
        buffer: AlignedBuffer::new(BLOCK_BYTES),
        saved: Saved { manifest: Manifest::default(), saved_bytes: 0, lost: Vec::new(), damaged: Vec::new() },
    };
    let files: Result<Vec<_>, _> =
        manifest.files().iter().map(|entry| saving.file(source, destination, entry)).collect();
    saving.saved.manifest =
        Manifest::new(files?).map_err(|error| Failure::new(ErrorCode::Internal, error.to_string()))?;
    Ok(saving.saved)
}

/// Memory that direct reads may go to.
struct AlignedBuffer {
    memory: Vec<u8>,
    start: usize,
}

impl AlignedBuffer {
    fn new(bytes: usize) -> Self {
        let memory = vec![0; bytes + ALIGN_BYTES];
        let address = memory.as_ptr().addr();
        Self { start: address.next_multiple_of(ALIGN_BYTES) - address, memory }
    }

    fn first(&mut self, bytes: usize) -> &mut [u8] {
        &mut self.memory[self.start..self.start + bytes]
    }
}

struct Saving<'a> {
    watch: Watch<'a>,
    buffer: AlignedBuffer,
    saved: Saved,
}

/// One file on its way.
struct OneFile<'a> {
    entry: &'a FileEntry,
    source: File,
    source_dir: &'a Dir,
    target: File,
    target_dir: &'a Dir,
    sum: Hasher,
}

impl Saving<'_> {
    fn file(&mut self, source: &Dir, destination: &Dir, entry: &FileEntry) -> Result<FileEntry, Failure> {
        self.watch.checkpoint()?;
        let target = self.watch.call(Side::Destination, "open", || {
            destination.open_file(&entry.name, OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL)
        })?;
        // The whole length at once: what is never written is a hole.
        self.watch
            .call(Side::Destination, "ftruncate", || target.set_len(entry.size_bytes))
            .map_err(|error| DiskError::from_io("ftruncate", destination.path().join(&entry.name), &error))?;
        let lost_before = self.saved.lost.len();
        let mut one = match self.open(source, &entry.name) {
            Ok((file, size_bytes)) => OneFile {
                entry,
                source: self.of_size(entry, file, size_bytes),
                source_dir: source,
                target,
                target_dir: destination,
                sum: Hasher::new(),
            },
            Err(failure) => return self.none_of(entry, &failure),
        };
        let mut offset_bytes = 0;
        while offset_bytes < entry.size_bytes {
            let left = usize::try_from(entry.size_bytes - offset_bytes).unwrap_or(usize::MAX);
            let length = left.min(BLOCK_BYTES);
            self.range(&mut one, offset_bytes, length)?;
            offset_bytes += length as u64;
        }
        let crc32 = one.sum.finalize();
        let is_whole = self.saved.lost.len() == lost_before;
        if is_whole && entry.crc32.is_some_and(|recorded| recorded != crc32) {
            let recorded = entry.crc32.unwrap_or_default();
            self.damaged(entry, format!("CRC-32 {crc32:08x}, recorded {recorded:08x}"));
        }
        Ok(FileEntry { crc32: Some(crc32), ..entry.clone() })
    }

    /// Opened for direct reads, or where the file system has none, for others.
    fn open(&self, source: &Dir, name: &str) -> Result<(File, u64), Failure> {
        let open = |flags| self.watch.call(Side::Source, "open", || source.open_for_reading(name, flags));
        let opened = match open(OFlag::O_DIRECT) {
            Err(error) if error.errno == Errno::EINVAL => open(OFlag::empty()),
            answer => answer,
        };
        let file = opened.map_err(|error| match error.errno {
            Errno::ENOENT | Errno::ELOOP => Failure::new(ErrorCode::SourceDamaged, error.to_string()),
            _ => error.on_source(),
        })?;
        match file.metadata() {
            Ok(metadata) if metadata.is_file() => Ok((file, metadata.len())),
            _ => Err(Failure::new(ErrorCode::SourceDamaged, "it is not a regular file any more")),
        }
    }

    fn of_size(&mut self, entry: &FileEntry, file: File, size_bytes: u64) -> File {
        if size_bytes != entry.size_bytes {
            let reason = format!("it has {size_bytes} bytes, the manifest says {}", entry.size_bytes);
            self.damaged(entry, reason);
        }
        file
    }

    /// A file that cannot be opened at all.
    ///
    /// # Errors
    /// It says nothing of the file.
    fn none_of(&mut self, entry: &FileEntry, failure: &Failure) -> Result<FileEntry, Failure> {
        match failure.code {
            ErrorCode::SourceDamaged => self.damaged(entry, failure.message.clone()),
            ErrorCode::SourceUnreadable => {}
            _ => return Err(failure.clone()),
        }
        self.lose(entry, 0, entry.size_bytes);
        Ok(FileEntry { crc32: Some(crc_of_zeros(Hasher::new(), entry.size_bytes)), ..entry.clone() })
    }

    fn damaged(&mut self, entry: &FileEntry, reason: String) {
        self.saved.damaged.push(DamagedFile { name: entry.name.clone(), reason });
    }

    fn lose(&mut self, entry: &FileEntry, offset_bytes: u64, length_bytes: u64) {
        if length_bytes == 0 {
            return;
        }
        if let Some(last) = self.saved.lost.last_mut()
            && last.file == entry.name
            && last.offset_bytes + last.length_bytes == offset_bytes
        {
            last.length_bytes += length_bytes;
            return;
        }
        self.saved.lost.push(LostRange { file: entry.name.clone(), offset_bytes, length_bytes });
    }

    /// A range at a multiple of the unit: all of it, or its halves.
    fn range(&mut self, one: &mut OneFile<'_>, offset_bytes: u64, length: usize) -> Result<(), Failure> {
        self.watch.pace(Traffic::Copy, length as u64)?;
        match self.read(one, offset_bytes, length) {
            Ok(got) => {
                self.keep(one, offset_bytes, got)?;
                if got < length {
                    let rest = (length - got) as u64;
                    let end = offset_bytes + got as u64;
                    self.lose(one.entry, end, rest);
                    one.sum = hasher_after_zeros(std::mem::take(&mut one.sum), rest);
                }
                Ok(())
            }
            Err(failure) if failure.code != ErrorCode::SourceUnreadable => Err(failure),
            Err(_) if length <= ALIGN_BYTES => {
                self.lose(one.entry, offset_bytes, length as u64);
                one.sum = hasher_after_zeros(std::mem::take(&mut one.sum), length as u64);
                Ok(())
            }
            Err(_) => {
                let half = align_up(length / 2).min(length - 1) / ALIGN_BYTES * ALIGN_BYTES;
                let half = half.max(ALIGN_BYTES);
                self.range(one, offset_bytes, half)?;
                self.range(one, offset_bytes + half as u64, length - half)
            }
        }
    }

    /// Reads up to `length` bytes to the front of the buffer; fewer where the file ends.
    fn read(&mut self, one: &OneFile<'_>, offset_bytes: u64, length: usize) -> Result<usize, Failure> {
        let asked = align_up(length);
        let buffer = self.buffer.first(asked);
        let mut got = 0;
        while got < length {
            let at = offset_bytes + got as u64;
            let read = self.watch.call(Side::Source, "read", || {
                pread(&one.source, &mut buffer[got..], i64::try_from(at).unwrap_or(i64::MAX))
            });
            match read {
                Err(Errno::EINTR) => {}
                Err(Errno::EINVAL) if is_direct(&one.source) => use_cache(&one.source)?,
                Err(errno) => {
                    let path = one.source_dir.path().join(&one.entry.name);
                    return Err(DiskError::new("read", path, errno).on_source_at(at, (length - got) as u64));
                }
                Ok(0) => break,
                Ok(n) => {
                    got += n;
                    if got < length && !got.is_multiple_of(ALIGN_BYTES) {
                        // Only the end of the file is not aligned; through the cache that can be asked again.
                        use_cache(&one.source)?;
                    }
                }
            }
        }
        Ok(got.min(length))
    }

    fn keep(&mut self, one: &mut OneFile<'_>, offset_bytes: u64, length: usize) -> Result<(), Failure> {
        let bytes = self.buffer.first(length);
        one.sum.update(bytes);
        let mut done = 0;
        while done < length {
            let at = i64::try_from(offset_bytes + done as u64).unwrap_or(i64::MAX);
            match self.watch.call(Side::Destination, "write", || pwrite(&one.target, &bytes[done..], at)) {
                Err(Errno::EINTR) => {}
                Ok(0) => return Err(write_failed(one, Errno::EIO)),
                Ok(n) => done += n,
                Err(errno) => return Err(write_failed(one, errno)),
            }
        }
        self.saved.saved_bytes += length as u64;
        self.watch.hooks().copied(length as u64);
        Ok(())
    }
}

fn write_failed(one: &OneFile<'_>, errno: Errno) -> Failure {
    DiskError::new("write", one.target_dir.path().join(&one.entry.name), errno).into()
}

fn is_direct(file: &File) -> bool {
    fcntl(file.as_fd(), FcntlArg::F_GETFL).is_ok_and(|flags| flags & OFlag::O_DIRECT.bits() != 0)
}

fn use_cache(file: &File) -> Result<(), Failure> {
    let cleared = fcntl(file.as_fd(), FcntlArg::F_SETFL(OFlag::O_NONBLOCK));
    cleared.map(drop).map_err(|errno| DiskError::new("fcntl", "", errno).into())
}

fn hasher_after_zeros(mut sum: Hasher, mut bytes: u64) -> Hasher {
    const ZEROS: [u8; ALIGN_BYTES] = [0; ALIGN_BYTES];
    while bytes > 0 {
        let now = bytes.min(ALIGN_BYTES as u64);
        sum.update(&ZEROS[..usize::try_from(now).unwrap_or(ALIGN_BYTES)]);
        bytes -= now;
    }
    sum
}

fn crc_of_zeros(sum: Hasher, bytes: u64) -> u32 {
    hasher_after_zeros(sum, bytes).finalize()
}
