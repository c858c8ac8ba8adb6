//! The names in a directory. Read with `getdents64(2)` itself: four calls a directory, where a C library's stream of entries
//! costs seven.

use std::ffi::{OsStr, OsString};
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::sys::stat::Mode;

use super::dir::{Dir, DirEntry, EntryKind};
use super::error::DiskError;
use super::os;

/// Room for the entries of one call. A small directory is read with one, and a second finds its end.
const BUFFER_BYTES: usize = 32 << 10;

/// `linux_dirent64`: inode and offset, eight bytes each, then the length of the entry and its kind, then the name and a NUL.
const LENGTH_AT: usize = 16;
const KIND_AT: usize = 18;
const NAME_AT: usize = 19;

impl Dir {
    /// Calls `visit` for every name but `.` and `..`, in the order the file system gives.
    ///
    /// # Errors
    /// As `getdents64(2)`; a visit's own error ends the walk.
    pub fn for_each<E: From<DiskError>>(
        &self,
        mut visit: impl FnMut(OsString, EntryKind) -> Result<(), E>,
    ) -> Result<(), E> {
        self.for_each_inode(|name, kind, _| visit(name, kind))
    }

    /// The same, with the inode of each: its place on the disk, more or less.
    ///
    /// # Errors
    /// As [`Dir::for_each`].
    pub fn for_each_inode<E: From<DiskError>>(
        &self,
        visit: impl FnMut(OsString, EntryKind, u64) -> Result<(), E>,
    ) -> Result<(), E> {
        // A descriptor of its own: a position in the directory is shared by all who hold one descriptor.
        let fd = self
            .resolve(Path::new("."), OFlag::O_RDONLY | OFlag::O_DIRECTORY, Mode::empty())
            .map_err(self.error("open", ""))?;
        self.walk(&fd, visit)
    }

    /// As [`Dir::for_each`], of a directory that was opened to be listed, and is not used for anything else.
    ///
    /// # Errors
    /// As [`Dir::for_each`].
    pub fn for_each_once<E: From<DiskError>>(
        self,
        mut visit: impl FnMut(OsString, EntryKind) -> Result<(), E>,
    ) -> Result<(), E> {
        self.walk(&self, |name, kind, _| visit(name, kind))
    }

    fn walk<E: From<DiskError>>(
        &self,
        fd: &impl AsFd,
        mut visit: impl FnMut(OsString, EntryKind, u64) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut buffer = vec![0; BUFFER_BYTES];
        loop {
            let filled = match os::read_directory(fd, &mut buffer) {
                Err(Errno::EINTR) => continue,
                answer => answer.map_err(self.error("readdir", ""))?,
            };
            if filled == 0 {
                return Ok(());
            }
            let mut left = &buffer[..filled];
            while let Some(Entry { name, told, inode, rest }) = split_entry(left) {
                left = rest;
                if name == "." || name == ".." {
                    continue;
                }
                let kind = match told {
                    Some(kind) => kind,
                    // Not every file system says; a name that is gone by now was never ours to see.
                    None => match self.kind(name)? {
                        Some(kind) => kind,
                        None => continue,
                    },
                };
                visit(name.to_owned(), kind, inode)?;
            }
        }
    }

    /// All names, sorted.
    ///
    /// # Errors
    /// As [`Dir::for_each`].
    pub fn entries(&self) -> Result<Vec<DirEntry>, DiskError> {
        let mut entries = Vec::new();
        self.for_each::<DiskError>(|name, kind| {
            entries.push(DirEntry { name, kind });
            Ok(())
        })?;
        entries.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        Ok(entries)
    }
}

/// One entry of a buffer.
struct Entry<'b> {
    name: &'b OsStr,
    told: Option<EntryKind>,
    inode: u64,
    rest: &'b [u8],
}

/// The first of these entries, its kind where the file system says, and what follows it. `None` at the end, and for what is
/// no entry: the kernel writes whole ones only.
fn split_entry(entries: &[u8]) -> Option<Entry<'_>> {
    let inode = u64::from_ne_bytes(*entries.first_chunk()?);
    let length = u16::from_ne_bytes([*entries.get(LENGTH_AT)?, *entries.get(LENGTH_AT + 1)?]);
    let (entry, rest) = entries.split_at_checked(usize::from(length).max(NAME_AT))?;
    let name = entry[NAME_AT..].split(|byte| *byte == 0).next()?;
    let told = match entry[KIND_AT] {
        libc::DT_REG => Some(EntryKind::File),
        libc::DT_DIR => Some(EntryKind::Directory),
        libc::DT_LNK => Some(EntryKind::Symlink),
        libc::DT_UNKNOWN => None,
        _ => Some(EntryKind::Special),
    };
    Some(Entry { name: OsStr::from_bytes(name), told, inode, rest })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_listed_once_with_its_kind_however_many_there_are() {
        let at = tempfile::tempdir().unwrap();
        let long = "x".repeat(250);
        // Several buffers full.
        let names: Vec<String> = (0..1000).map(|n| format!("{long}{n:04}")).collect();
        for name in &names {
            std::fs::write(at.path().join(name), b"").unwrap();
        }
        std::fs::create_dir(at.path().join("directory")).unwrap();
        std::os::unix::fs::symlink("nowhere", at.path().join("symlink")).unwrap();
        nix::unistd::mkfifo(&at.path().join("fifo"), Mode::S_IRWXU).unwrap();
        let dir = Dir::open_absolute(at.path()).unwrap();
        let found = dir.entries().unwrap();
        let of_kind = |kind| found.iter().filter(move |entry| entry.kind == kind).map(|entry| &entry.name);
        assert!(of_kind(EntryKind::File).eq(names.iter().map(OsStr::new)));
        assert!(of_kind(EntryKind::Directory).eq(["directory"]));
        assert!(of_kind(EntryKind::Symlink).eq(["symlink"]));
        assert!(of_kind(EntryKind::Special).eq(["fifo"]));
        assert_eq!(dir.entries().unwrap(), found, "a second time from the beginning");
        assert!(dir.open("directory").unwrap().entries().unwrap().is_empty());
    }

    proptest::proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes: Vec<u8>) {
            let mut left = bytes.as_slice();
            while let Some(entry) = split_entry(left) {
                left = entry.rest;
            }
        }
    }
}
