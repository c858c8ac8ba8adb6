//! An open file of one end of a copy: how blocks of it are read and written, what is kept of it, and how it is made durable.

use std::fs::File;
use std::sync::atomic::Ordering;

use nix::errno::Errno;
use nix::fcntl::{FallocateFlags, FcntlArg, OFlag, PosixFadviseAdvice, fallocate, fcntl, posix_fadvise};
use nix::sys::uio::{pread, pwrite};

use super::attributes::{Attributes, Keeper};
use super::buffer::{ALIGN_BYTES, align_up};
use super::coldness::{Coldness, coldness_of};
use super::crew::Watch;
use super::end::{Access, End};
use super::holes::data_in;
use super::hooks::Side;
use crate::fault;
use crate::model::{ErrorCode, Failure};
use crate::storage::{DiskError, os};

/// Why a file is no longer read or written past the cache.
const NO_DIRECT: &str = "a read or write says EINVAL";

impl<'a> End<'a> {
    /// Opens a file for reading, without touching its atime, and checks that it is a regular one of exactly that size.
    pub(super) fn open<'n>(
        &self,
        watch: &Watch<'_>,
        name: &'n str,
        size_bytes: u64,
    ) -> Result<OpenFile<'_, 'a, 'n>, Failure> {
        let opened = watch.call(self.side, "open", || -> Result<_, DiskError> {
            if self.access() == Access::Direct {
                match self.dir().open_for_reading(name, OFlag::O_DIRECT) {
                    Err(error) if error.errno == Errno::EINVAL => self.use_cache("open says EINVAL"),
                    answer => return Ok((answer?, Access::Direct)),
                }
            }
            Ok((self.dir().open_for_reading(name, OFlag::empty())?, Access::Buffered))
        });
        let (file, access) = opened.map_err(|error| self.failed(error))?;
        let metadata = file
            .metadata()
            .map_err(|error| self.failed(DiskError::from_io("stat", self.path(name), &error)))?;
        if !metadata.is_file() {
            let why = format!("{}: not a regular file any more", self.path(name).display());
            return Err(Failure::new(ErrorCode::UnexpectedEntry, why));
        }
        if metadata.len() != size_bytes {
            let why = format!("it has {} bytes, the manifest says {size_bytes}", metadata.len());
            return Err(self.damaged(name, &why));
        }
        let attributes = Some(Attributes::of(&metadata));
        Ok(OpenFile { end: self, name, file, wished: Access::Direct, access, size_bytes, attributes })
    }

    /// Makes a file that must not exist, a copy of one with these attributes. `access` is what is wished; the file system
    /// may not have it.
    pub(super) fn create<'n>(
        &self,
        watch: &Watch<'_>,
        name: &'n str,
        size_bytes: u64,
        access: Access,
        original: Attributes,
    ) -> Result<OpenFile<'_, 'a, 'n>, Failure> {
        let mode = original.mode_to_create();
        let file = watch.call(self.side, "open", || self.dir().create_file(name, mode))?;
        Ok(self.open_to_write(file, name, size_bytes, access))
    }

    /// Opens a file that [`End::create`] made, for writing one of its windows.
    pub(super) fn reopen_to_write<'n>(
        &self,
        watch: &Watch<'_>,
        name: &'n str,
        size_bytes: u64,
        access: Access,
    ) -> Result<OpenFile<'_, 'a, 'n>, Failure> {
        let file = watch.call(self.side, "open", || self.dir().open_file(name, OFlag::O_RDWR))?;
        Ok(self.open_to_write(file, name, size_bytes, access))
    }

    fn open_to_write<'n>(
        &self,
        file: File,
        name: &'n str,
        size_bytes: u64,
        wished: Access,
    ) -> OpenFile<'_, 'a, 'n> {
        let mut access = Access::Buffered;
        if wished == Access::Direct && self.access() == Access::Direct {
            // Set after the open: an open with O_CREAT that fails for O_DIRECT may leave the file behind.
            match fcntl(&file, FcntlArg::F_SETFL(OFlag::O_DIRECT | OFlag::O_NONBLOCK)) {
                Ok(_) => access = Access::Direct,
                Err(errno) => self.use_cache(errno.desc()),
            }
        }
        OpenFile { end: self, name, file, wished, access, size_bytes, attributes: None }
    }
}

/// A file of one end.
pub(super) struct OpenFile<'e, 'a, 'n> {
    pub(super) end: &'e End<'a>,
    name: &'n str,
    file: File,
    wished: Access,
    access: Access,
    size_bytes: u64,
    /// Of a file that was opened for reading.
    pub(super) attributes: Option<Attributes>,
}

impl OpenFile<'_, '_, '_> {
    pub(super) fn access(&self) -> Access {
        self.access
    }

    /// From here on what was written to this file, and made durable, is read: past the cache where the file system can, and
    /// without touching its atime.
    ///
    /// # Errors
    /// As `fcntl(2)`.
    pub(super) fn turn_to_reading(&mut self) -> Result<(), Failure> {
        self.access = self.end.access();
        let direct = if self.access == Access::Direct { OFlag::O_DIRECT } else { OFlag::empty() };
        let flags = OFlag::O_NONBLOCK | direct;
        match fcntl(&self.file, FcntlArg::F_SETFL(flags | OFlag::O_NOATIME)) {
            Ok(_) => Ok(()),
            // Given to another user, by a process that may not.
            Err(Errno::EPERM) if fcntl(&self.file, FcntlArg::F_SETFL(flags)).is_ok() => Ok(()),
            Err(errno) => self.give_up_direct(errno.desc()),
        }
    }

    fn error(&self, operation: &'static str, errno: Errno) -> Failure {
        DiskError::new(operation, self.end.path(self.name), errno).into()
    }

    /// A read failed. A disk gives what it can: what is before `offset_bytes` has come.
    fn not_given(&self, errno: Errno, offset_bytes: u64, length_bytes: u64) -> Failure {
        let error = DiskError::new("read", self.end.path(self.name), errno);
        match self.end.side {
            Side::Source => error.on_source_at(offset_bytes, length_bytes),
            Side::Destination => error.into(),
        }
    }

    /// From here on this file, and those opened later on this end, go through the page cache.
    fn give_up_direct(&mut self, why: &str) -> Result<(), Failure> {
        self.end.use_cache(why);
        self.clear_direct()
    }

    fn clear_direct(&mut self) -> Result<(), Failure> {
        self.access = Access::Buffered;
        fcntl(&self.file, FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).map(drop).map_err(|e| self.error("fcntl", e))
    }

    /// Reads exactly `length` bytes at `offset_bytes` to the front of `buffer`, which must be aligned and have room for
    /// one aligned unit more. The last read of a file also finds out whether the file goes on.
    ///
    /// # Errors
    /// The call's, or damage: the file ends too early or too late.
    pub(super) fn read(
        &mut self,
        watch: &Watch<'_>,
        buffer: &mut [u8],
        offset_bytes: u64,
        length: usize,
    ) -> Result<(), Failure> {
        let is_last = offset_bytes + length as u64 == self.size_bytes;
        let asked = if is_last { align_up(length + 1) } else { length };
        let read =
            watch.call(self.end.side, "read", || self.read_up_to(&mut buffer[..asked], offset_bytes, length));
        let got = match read {
            Err(failure) if failure.code == ErrorCode::SourceUnreadable => {
                return Err(self.narrow_down(watch, buffer, offset_bytes, length, failure));
            }
            read => read?,
        };
        if got == length {
            return Ok(());
        }
        let size_bytes = self.size_bytes;
        Err(self.end.damaged(
            self.name,
            &if got < length {
                format!("it ends at byte {}, the manifest says {size_bytes}", offset_bytes + got as u64)
            } else {
                format!("it goes on after byte {size_bytes}, where it should end")
            },
        ))
    }

    /// Reads at least `enough` bytes, unless the file ends before.
    pub(super) fn read_up_to(
        &mut self,
        buffer: &mut [u8],
        offset_bytes: u64,
        enough: usize,
    ) -> Result<usize, Failure> {
        let mut got = 0;
        loop {
            let end = got + fault::at_most("read", buffer.len() - got);
            match pread(&self.file, &mut buffer[got..end], signed(offset_bytes + got as u64)) {
                Err(Errno::EINTR) => {}
                Err(Errno::EINVAL) if self.access == Access::Direct => self.give_up_direct(NO_DIRECT)?,
                Err(errno) => {
                    let at_bytes = offset_bytes + got as u64;
                    return Err(self.not_given(errno, at_bytes, (enough.saturating_sub(got)) as u64));
                }
                Ok(0) => return Ok(got),
                Ok(n) => {
                    let before = got;
                    got += n;
                    if got >= enough {
                        return Ok(got);
                    }
                    if self.access == Access::Direct && got % ALIGN_BYTES != 0 {
                        // Going on needs an aligned offset. No whole unit more than last time: this is the end, or a
                        // file system that gives less than a unit. Through the cache any offset will do to find out.
                        let aligned = got - got % ALIGN_BYTES;
                        if aligned == before {
                            self.give_up_direct("a read gives less than a unit")?;
                        } else {
                            got = aligned;
                        }
                    }
                }
            }
        }
    }

    /// Writes the first `length` bytes of `buffer`, that were read at `offset_bytes` of `from`, to the same place, but for
    /// what is a hole there.
    ///
    /// # Errors
    /// A call's.
    pub(super) fn write_around_holes(
        &mut self,
        watch: &Watch<'_>,
        from: &OpenFile<'_, '_, '_>,
        buffer: &[u8],
        offset_bytes: u64,
        length: usize,
    ) -> Result<(), Failure> {
        let look = || data_in(&from.file, &buffer[..length], offset_bytes);
        let ranges = watch.call(from.end.side, "lseek", look).map_err(|errno| from.error("lseek", errno))?;
        for range in ranges {
            let at = offset_bytes + range.start as u64;
            self.write(watch, &buffer[range.clone()], at, range.len())?;
        }
        Ok(())
    }

    /// What the file was when it was opened for reading.
    ///
    /// # Errors
    /// `INTERNAL` for one that was made.
    pub(super) fn attributes(&self) -> Result<Attributes, Failure> {
        let missing = || Failure::new(ErrorCode::Internal, "a file that is written is no original");
        self.attributes.ok_or_else(missing)
    }

    /// Gives this file what its original has; nothing is written to it any more.
    ///
    /// # Errors
    /// As [`Keeper::give`].
    pub(super) fn keep(
        &self,
        watch: &Watch<'_>,
        keeper: &Keeper,
        original: Attributes,
    ) -> Result<(), Failure> {
        keeper.give(watch, &self.file, &self.end.path(self.name), original)
    }

    /// Writes the first `length` bytes of `buffer` at `offset_bytes`. What is left over of the last block of a file, less
    /// than an aligned unit, goes through the page cache: padded and cut off again, the file would for a moment be longer
    /// than the manifest says, while another thread reads back one of its windows.
    ///
    /// # Errors
    /// The call's.
    pub(super) fn write(
        &mut self,
        watch: &Watch<'_>,
        buffer: &[u8],
        offset_bytes: u64,
        length: usize,
    ) -> Result<(), Failure> {
        watch.call(self.end.side, "write", || {
            let mut done = 0;
            while done < length {
                if self.access == Access::Direct && length - done < ALIGN_BYTES {
                    self.clear_direct()?;
                }
                let end = match self.access {
                    Access::Direct => length - length % ALIGN_BYTES,
                    Access::Buffered => length,
                };
                let end = done + fault::at_most("write", end - done);
                match pwrite(&self.file, &buffer[done..end], signed(offset_bytes + done as u64)) {
                    Err(Errno::EINTR) => {}
                    Err(Errno::EINVAL) if self.access == Access::Direct => self.give_up_direct(NO_DIRECT)?,
                    Err(errno) => return Err(self.error("write", errno)),
                    // A short write, e.g. just before the disk is full: on from the last whole unit.
                    Ok(n) => match self.access {
                        Access::Direct if n >= ALIGN_BYTES => done += n - n % ALIGN_BYTES,
                        Access::Buffered if n > 0 => done += n,
                        _ => return Err(self.error("write", Errno::EIO)),
                    },
                }
            }
            Ok(())
        })?;
        match (self.wished, self.end.access()) {
            (Access::Direct, Access::Buffered) => self.start_write_back(offset_bytes, length as u64),
            _ => Ok(()),
        }
    }

    /// A large file in the cache: so that the sync finds little to do. An error of write-back is final; not to have the
    /// call is none.
    fn start_write_back(&self, offset_bytes: u64, length_bytes: u64) -> Result<(), Failure> {
        match os::start_write_back(&self.file, offset_bytes, length_bytes) {
            Err(Errno::EIO) => Err(self.sync_failed("sync_file_range", Errno::EIO)),
            _ => Ok(()),
        }
    }

    /// Gives the file its size and, unless its original has holes, reserves its blocks, so that a full disk is known before
    /// bytes are copied.
    ///
    /// # Errors
    /// As `fallocate(2)`; on a file system without it the file only gets its size.
    pub(super) fn reserve(&self, watch: &Watch<'_>, original: Attributes) -> Result<(), Failure> {
        let size = signed(self.size_bytes);
        let side = self.end.side;
        if original.is_sparse {
            return self.set_size(watch);
        }
        match watch.call(side, "fallocate", || fallocate(&self.file, FallocateFlags::empty(), 0, size)) {
            Err(Errno::EOPNOTSUPP | Errno::ENOSYS) => self.set_size(watch),
            answer => answer
                .map(|()| watch.hooks().allocated(self.size_bytes))
                .map_err(|errno| self.error("fallocate", errno)),
        }
    }

    fn set_size(&self, watch: &Watch<'_>) -> Result<(), Failure> {
        watch
            .call(self.end.side, "ftruncate", || nix::unistd::ftruncate(&self.file, signed(self.size_bytes)))
            .map_err(|errno| self.error("ftruncate", errno))
    }

    /// Makes this empty file share all blocks of `from`, of which what is not yet on the medium is written first.
    ///
    /// # Errors
    /// As `FICLONE`, where it is not just that the two cannot share.
    pub(super) fn clone_from(
        &self,
        watch: &Watch<'_>,
        from: &OpenFile<'_, '_, '_>,
    ) -> Result<Cloned, Failure> {
        match watch.call(self.end.side, "ficlone", || os::clone_file(&self.file, &from.file)) {
            Ok(()) => Ok(Cloned::Shared),
            // ioctl_ficlonerange(2): other file systems, none that can, files of another kind.
            Err(
                Errno::EXDEV
                | Errno::EOPNOTSUPP
                | Errno::EINVAL
                | Errno::ENOTTY
                | Errno::ENOSYS
                | Errno::EPERM
                | Errno::ETXTBSY,
            ) => Ok(Cloned::NotHere),
            Err(errno) => Err(self.error("ficlone", errno)),
        }
    }

    /// Makes what was written to this file durable.
    ///
    /// # Errors
    /// `SYNC_FAILED`, whatever the number: the copy has failed, and a second sync would only hide it.
    pub(super) fn sync_data(&self, watch: &Watch<'_>) -> Result<(), Failure> {
        watch
            .call(self.end.side, "fdatasync", || nix::unistd::fdatasync(&self.file))
            .map_err(|errno| self.sync_failed("fdatasync", errno))
    }

    fn sync_failed(&self, operation: &'static str, errno: Errno) -> Failure {
        sync_failed(&DiskError::new(operation, self.end.path(self.name), errno))
    }

    /// Pages of this file in the cache; 0 where that cannot be told.
    pub(super) fn cached_pages(&self) -> u64 {
        os::cached_pages(&self.file).unwrap_or(0)
    }

    /// Drops clean pages of a range from the cache. Only advice.
    pub(super) fn drop_pages(&self, watch: &Watch<'_>, offset_bytes: u64, length_bytes: u64) {
        let (offset, length) = (signed(offset_bytes), signed(length_bytes));
        let advice = PosixFadviseAdvice::POSIX_FADV_DONTNEED;
        let _ = watch.call(self.end.side, "fadvise", || posix_fadvise(&self.file, offset, length, advice));
    }

    /// Whether reads of this file, whose pages of the range were just dropped, come from the medium. Noted in the log,
    /// once, when that cannot be said.
    pub(super) fn coldness(&self) -> Coldness {
        if self.access == Access::Direct {
            return Coldness::Cold;
        }
        match coldness_of(os::cached_pages(&self.file)) {
            Ok(()) => Coldness::Cold,
            Err(why) => {
                if !self.end.warm_noted.swap(true, Ordering::Relaxed) {
                    let path = self.end.path(self.name);
                    self.end.hooks.log(format!("not verified cold: {}: {why}", path.display()));
                }
                Coldness::NotProven
            }
        }
    }
}

/// What came of an attempt to share.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cloned {
    /// The files share their blocks.
    Shared,
    /// They cannot; nothing was changed.
    NotHere,
}

/// A sync that failed. Never to be repeated on the same file: the second one says "ok" over the old bytes.
pub(super) fn sync_failed(error: &DiskError) -> Failure {
    Failure::new(ErrorCode::SyncFailed, format!("{error}; what was written since the last sync is lost"))
}

/// Offsets are below 2^63: they come from sizes of files.
fn signed(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}
