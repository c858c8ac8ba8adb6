//! Paths, mounts and descriptors of the machine, and what goes wrong with a disk while it runs.

use std::collections::BTreeMap;

use super::disk::{Body, Disk, Errno, Ino, Names, ROOT};

/// Everything of the machine's lies below; other paths are the real system's.
pub(crate) const TOP: &str = "/sim";

/// Descriptors from here on are the machine's.
pub(crate) const FIRST_DESCRIPTOR: i32 = 1 << 20;

/// What is open.
#[derive(Debug, Clone)]
pub(crate) struct Handle {
    pub(crate) disk: usize,
    pub(crate) ino: Ino,
    pub(crate) at: usize,
    pub(crate) flags: i32,
    /// Entries of a directory that is read, and how far; the next is the last.
    pub(crate) entries: Option<Vec<(Vec<u8>, Ino)>>,
}

/// A kind of call that a disk may answer with an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Look,
    Read,
    Write,
    Names,
    Sync,
}

/// Errors to come: of one kind of call or of any, after so many that are fine.
#[derive(Debug, Clone)]
pub(crate) struct Fail {
    pub(crate) disk: usize,
    pub(crate) kind: Option<Kind>,
    pub(crate) after: u64,
    pub(crate) errno: Errno,
}

/// What the machine knows of files.
#[derive(Default)]
pub(crate) struct Files {
    pub(crate) disks: Vec<Disk>,
    /// Where which disk is mounted; the first is the system's own, at [`TOP`].
    pub(crate) mounts: Vec<(String, usize)>,
    pub(crate) handles: BTreeMap<i32, Handle>,
    pub(crate) locks: BTreeMap<(usize, Ino), i32>,
    pub(crate) fails: Vec<Fail>,
    /// Disks that hang, until when.
    pub(crate) hangs: BTreeMap<usize, Option<u64>>,
    /// Streams of directories, by the address that stands for each.
    pub(crate) streams: BTreeMap<usize, i32>,
    pub(crate) next_descriptor: i32,
}

/// A place: on which disk, in which directory, by which name.
pub(crate) struct Place {
    pub(crate) disk: usize,
    pub(crate) dir: Ino,
    pub(crate) name: Vec<u8>,
}

impl Files {
    /// Whether an absolute path is the machine's.
    pub(crate) fn is_ours(path: &[u8]) -> bool {
        path.strip_prefix(TOP.as_bytes()).is_some_and(|rest| rest.is_empty() || rest[0] == b'/')
    }

    /// The disk and the path below its root.
    pub(crate) fn mount_of<'a>(&self, path: &'a [u8]) -> Result<(usize, &'a [u8]), Errno> {
        let below = |point: &str| {
            let rest = path.strip_prefix(point.as_bytes())?;
            (rest.is_empty() || rest[0] == b'/').then_some(rest)
        };
        let mounts = self.mounts.iter().filter_map(|(point, disk)| Some((point.len(), *disk, below(point)?)));
        let (_, disk, rest) = mounts.max_by_key(|(length, ..)| *length).ok_or(libc::ENOENT)?;
        Ok((disk, rest))
    }

    /// Where a path leads to, but for its last part. `/` and the empty path lead to the directory itself, by the name `.`.
    pub(crate) fn place(&self, disk: usize, from: Ino, path: &[u8]) -> Result<Place, Errno> {
        let mut parts: Vec<_> =
            path.split(|&byte| byte == b'/').filter(|part| !part.is_empty() && *part != b".").collect();
        let name = parts.pop().unwrap_or(b".").to_vec();
        let mut dir = from;
        for part in parts {
            dir = self.disks[disk].look(dir, part)?.ok_or(libc::ENOENT)?;
        }
        self.disks[disk].names(dir)?;
        Ok(Place { disk, dir, name })
    }

    /// As [`Files::place`], of a path beside an open directory, or an absolute one.
    pub(crate) fn place_at(&self, descriptor: i32, path: &[u8]) -> Result<Place, Errno> {
        if path.first() == Some(&b'/') {
            let (disk, rest) = self.mount_of(path)?;
            return self.place(disk, ROOT, rest);
        }
        let handle = self.handle(descriptor)?;
        self.place(handle.disk, handle.ino, path)
    }

    /// What a place is.
    pub(crate) fn ino(&self, place: &Place) -> Result<Ino, Errno> {
        self.disks[place.disk].look(place.dir, &place.name)?.ok_or(libc::ENOENT)
    }

    pub(crate) fn handle(&self, descriptor: i32) -> Result<&Handle, Errno> {
        self.handles.get(&descriptor).ok_or(libc::EBADF)
    }

    pub(crate) fn handle_mut(&mut self, descriptor: i32) -> Result<&mut Handle, Errno> {
        self.handles.get_mut(&descriptor).ok_or(libc::EBADF)
    }

    pub(crate) fn put(&mut self, handle: Handle) -> i32 {
        self.next_descriptor = self.next_descriptor.max(FIRST_DESCRIPTOR) + 1;
        self.handles.insert(self.next_descriptor, handle);
        self.next_descriptor
    }

    /// `open(2)`.
    pub(crate) fn open(&mut self, place: &Place, flags: i32, mode: u32, now: i64) -> Result<i32, Errno> {
        let disk = &mut self.disks[place.disk];
        let found = disk.look(place.dir, &place.name)?;
        let writes = flags & libc::O_ACCMODE != libc::O_RDONLY;
        let ino = match found {
            Some(_) if flags & libc::O_CREAT != 0 && flags & libc::O_EXCL != 0 => return Err(libc::EEXIST),
            Some(ino) => {
                let is_directory = disk.inode(ino)?.is_directory();
                match (is_directory, flags & libc::O_DIRECTORY != 0) {
                    (false, true) => return Err(libc::ENOTDIR),
                    (true, _) if writes => return Err(libc::EISDIR),
                    _ => {}
                }
                if writes && disk.is_read_only {
                    return Err(libc::EROFS);
                }
                if flags & libc::O_TRUNC != 0 {
                    disk.truncate(ino, 0, now)?;
                }
                ino
            }
            None if flags & libc::O_CREAT == 0 => return Err(libc::ENOENT),
            None => {
                let body = Body::File { bytes: Vec::new(), medium: Vec::new(), is_dirty: false };
                disk.make(place.dir, &place.name, body, libc::S_IFREG | mode & 0o7777, now)?
            }
        };
        Ok(self.put(Handle { disk: place.disk, ino, at: 0, flags, entries: None }))
    }

    pub(crate) fn close(&mut self, descriptor: i32) -> Result<(), Errno> {
        let handle = self.handles.remove(&descriptor).ok_or(libc::EBADF)?;
        let key = (handle.disk, handle.ino);
        if self.locks.get(&key) == Some(&descriptor) {
            self.locks.remove(&key);
        }
        Ok(())
    }

    pub(crate) fn make_directory(&mut self, place: &Place, mode: u32, now: i64) -> Result<(), Errno> {
        let body = Body::Directory(Names::new());
        let mode = libc::S_IFDIR | mode & 0o7777;
        self.disks[place.disk].make(place.dir, &place.name, body, mode, now).map(drop)
    }

    pub(crate) fn rename(&mut self, from: &Place, to: &Place, may_replace: bool) -> Result<(), Errno> {
        if from.disk != to.disk {
            return Err(libc::EXDEV);
        }
        self.disks[from.disk].rename((from.dir, &from.name), (to.dir, &to.name), may_replace)
    }

    /// What this call is answered with when something is wrong with the disk.
    pub(crate) fn trouble(&mut self, disk: usize, kind: Kind) -> Result<(), Errno> {
        if self.disks[disk].is_dead {
            return Err(libc::EIO);
        }
        let is_it = |fail: &Fail| fail.disk == disk && fail.kind.is_none_or(|of| of == kind);
        let mut answer = Ok(());
        self.fails.retain_mut(|fail| {
            if answer.is_err() || !is_it(fail) {
                return true;
            }
            if fail.after > 0 {
                fail.after -= 1;
                return true;
            }
            answer = Err(fail.errno);
            false
        });
        answer
    }

    /// `/proc/self/mountinfo`.
    pub(crate) fn mount_table(&self) -> String {
        let line = |(point, disk): &(String, usize)| {
            let options = if self.disks[*disk].is_read_only { "ro" } else { "rw" };
            format!("{} 1 8:{disk} / {point} {options} - ext4 /dev/sim{disk} {options}\n", 20 + disk)
        };
        self.mounts.iter().map(line).collect()
    }
}
