//! One file system in memory: what its users see, and apart from it what would be left after a power cut.
//!
//! Names follow the journal of ext4 and xfs: changes become durable in their order, and a sync of a file or directory takes
//! with it every change before the last one that concerns it. Bytes become durable by a sync of their file or of the whole
//! file system; until then a cut may leave any block of them, old or new. Nothing here knows of paths, threads or time.

use std::collections::{BTreeMap, BTreeSet};

use crate::rng::Rng;

/// Number of an inode.
pub(crate) type Ino = u64;
/// An error number of the kernel.
pub(crate) type Errno = i32;
/// Names of one directory.
pub(crate) type Names = BTreeMap<Vec<u8>, Ino>;

/// The root directory.
pub(crate) const ROOT: Ino = 2;
/// What a cut tears writes at.
const BLOCK_BYTES: usize = 4096;
/// What a name or a directory takes from the space.
const NAME_BYTES: u64 = 64;

/// A file or a directory.
#[derive(Debug, Clone)]
pub(crate) struct Inode {
    pub(crate) body: Body,
    pub(crate) mode: u32,
    pub(crate) owner: (u32, u32),
    pub(crate) modified_ns: i64,
    pub(crate) links: u32,
}

/// What is in it.
#[derive(Debug, Clone)]
pub(crate) enum Body {
    Directory(Names),
    File {
        /// As the page cache has it.
        bytes: Vec<u8>,
        /// As the medium has it.
        medium: Vec<u8>,
        /// Whether the two may differ and a sync would write.
        is_dirty: bool,
    },
}

/// A change of names that is not durable yet.
#[derive(Debug, Clone)]
pub(crate) enum Change {
    Set { dir: Ino, name: Vec<u8>, ino: Ino },
    Clear { dir: Ino, name: Vec<u8>, ino: Ino },
    Move { from: Ino, name: Vec<u8>, to: Ino, to_name: Vec<u8>, ino: Ino },
}

impl Change {
    fn ino(&self) -> Ino {
        match self {
            Self::Set { ino, .. } | Self::Clear { ino, .. } | Self::Move { ino, .. } => *ino,
        }
    }

    fn concerns(&self, it: Ino) -> bool {
        match self {
            Self::Set { dir, ino, .. } | Self::Clear { dir, ino, .. } => *dir == it || *ino == it,
            Self::Move { from, to, ino, .. } => *from == it || *to == it || *ino == it,
        }
    }
}

/// One file system and its state.
#[derive(Debug, Clone)]
pub(crate) struct Disk {
    pub(crate) inodes: BTreeMap<Ino, Inode>,
    pub(crate) next_ino: Ino,
    /// Names of each directory as a cut would leave them, but for `changes`.
    pub(crate) durable: BTreeMap<Ino, Names>,
    pub(crate) changes: Vec<Change>,
    pub(crate) capacity_bytes: u64,
    pub(crate) is_read_only: bool,
    /// Every call fails: the cable is out.
    pub(crate) is_dead: bool,
}

impl Disk {
    /// A blank one.
    pub(crate) fn new(capacity_bytes: u64) -> Self {
        let mut disk = Self {
            inodes: BTreeMap::new(),
            next_ino: ROOT + 1,
            durable: BTreeMap::new(),
            changes: Vec::new(),
            capacity_bytes,
            is_read_only: false,
            is_dead: false,
        };
        disk.inodes.insert(ROOT, Inode::new(Body::Directory(Names::new()), 0o40755, 0));
        disk
    }

    pub(crate) fn inode(&self, ino: Ino) -> Result<&Inode, Errno> {
        self.inodes.get(&ino).ok_or(libc::ESTALE)
    }

    pub(crate) fn inode_mut(&mut self, ino: Ino) -> Result<&mut Inode, Errno> {
        self.inodes.get_mut(&ino).ok_or(libc::ESTALE)
    }

    pub(crate) fn names(&self, dir: Ino) -> Result<&Names, Errno> {
        match &self.inode(dir)?.body {
            Body::Directory(names) => Ok(names),
            Body::File { .. } => Err(libc::ENOTDIR),
        }
    }

    fn names_mut(&mut self, dir: Ino) -> Result<&mut Names, Errno> {
        match &mut self.inode_mut(dir)?.body {
            Body::Directory(names) => Ok(names),
            Body::File { .. } => Err(libc::ENOTDIR),
        }
    }

    /// What a name stands for.
    pub(crate) fn look(&self, dir: Ino, name: &[u8]) -> Result<Option<Ino>, Errno> {
        if name == b"." {
            return Ok(Some(dir));
        }
        Ok(self.names(dir)?.get(name).copied())
    }

    /// Bytes in use.
    pub(crate) fn used_bytes(&self) -> u64 {
        let size = |inode: &Inode| match &inode.body {
            Body::Directory(names) => NAME_BYTES * (1 + names.len() as u64),
            Body::File { bytes, .. } => bytes.len() as u64,
        };
        self.inodes.values().filter(|inode| inode.links > 0).map(size).sum()
    }

    fn check_room(&self, more: u64) -> Result<(), Errno> {
        self.check_writable()?;
        if self.used_bytes() + more > self.capacity_bytes { Err(libc::ENOSPC) } else { Ok(()) }
    }

    fn check_writable(&self) -> Result<(), Errno> {
        if self.is_read_only { Err(libc::EROFS) } else { Ok(()) }
    }

    /// Makes a file or a directory.
    pub(crate) fn make(
        &mut self,
        dir: Ino,
        name: &[u8],
        body: Body,
        mode: u32,
        now: i64,
    ) -> Result<Ino, Errno> {
        if self.look(dir, name)?.is_some() {
            return Err(libc::EEXIST);
        }
        self.check_room(NAME_BYTES)?;
        let ino = self.next_ino;
        self.next_ino += 1;
        self.inodes.insert(ino, Inode::new(body, mode, now));
        self.names_mut(dir)?.insert(name.to_vec(), ino);
        self.inode_mut(dir)?.modified_ns = now;
        self.changes.push(Change::Set { dir, name: name.to_vec(), ino });
        Ok(ino)
    }

    pub(crate) fn link(&mut self, ino: Ino, dir: Ino, name: &[u8]) -> Result<(), Errno> {
        if self.look(dir, name)?.is_some() {
            return Err(libc::EEXIST);
        }
        self.check_room(NAME_BYTES)?;
        self.inode_mut(ino)?.links += 1;
        self.names_mut(dir)?.insert(name.to_vec(), ino);
        self.changes.push(Change::Set { dir, name: name.to_vec(), ino });
        Ok(())
    }

    pub(crate) fn unlink(&mut self, dir: Ino, name: &[u8], want_directory: bool) -> Result<(), Errno> {
        let ino = self.look(dir, name)?.ok_or(libc::ENOENT)?;
        match &self.inode(ino)?.body {
            Body::Directory(_) if !want_directory => return Err(libc::EISDIR),
            Body::File { .. } if want_directory => return Err(libc::ENOTDIR),
            Body::Directory(names) if !names.is_empty() => return Err(libc::ENOTEMPTY),
            _ => {}
        }
        self.check_writable()?;
        self.names_mut(dir)?.remove(name);
        self.inode_mut(ino)?.links -= 1;
        self.changes.push(Change::Clear { dir, name: name.to_vec(), ino });
        Ok(())
    }

    pub(crate) fn rename(
        &mut self,
        (from, name): (Ino, &[u8]),
        (to, to_name): (Ino, &[u8]),
        may_replace: bool,
    ) -> Result<(), Errno> {
        let ino = self.look(from, name)?.ok_or(libc::ENOENT)?;
        let there = self.look(to, to_name)?;
        if there.is_some() && !may_replace {
            return Err(libc::EEXIST);
        }
        self.check_writable()?;
        if there == Some(ino) {
            return Ok(());
        }
        // A directory of another name may need one more block for it.
        if there.is_none() {
            self.check_room(if from == to { 0 } else { NAME_BYTES })?;
        }
        if let Some(there) = there {
            self.inode_mut(there)?.links -= 1;
        }
        self.names_mut(from)?.remove(name);
        self.names_mut(to)?.insert(to_name.to_vec(), ino);
        self.changes.push(Change::Move { from, name: name.to_vec(), to, to_name: to_name.to_vec(), ino });
        Ok(())
    }

    pub(crate) fn write(&mut self, ino: Ino, at: usize, new: &[u8], now: i64) -> Result<usize, Errno> {
        let length = self.bytes(ino)?.len();
        let grows = (at + new.len()).saturating_sub(length) as u64;
        self.check_room(grows)?;
        let inode = self.inode_mut(ino)?;
        inode.modified_ns = now;
        if let Body::File { bytes, is_dirty, .. } = &mut inode.body {
            if bytes.len() < at + new.len() {
                bytes.resize(at + new.len(), 0);
            }
            bytes[at..at + new.len()].copy_from_slice(new);
            *is_dirty = true;
        }
        Ok(new.len())
    }

    pub(crate) fn truncate(&mut self, ino: Ino, length: usize, now: i64) -> Result<(), Errno> {
        let grows = length.saturating_sub(self.bytes(ino)?.len()) as u64;
        self.check_room(grows)?;
        let inode = self.inode_mut(ino)?;
        inode.modified_ns = now;
        if let Body::File { bytes, is_dirty, .. } = &mut inode.body {
            bytes.resize(length, 0);
            *is_dirty = true;
        }
        Ok(())
    }

    /// Bytes of a file as its users see them.
    pub(crate) fn bytes(&self, ino: Ino) -> Result<&[u8], Errno> {
        match &self.inode(ino)?.body {
            Body::File { bytes, .. } => Ok(bytes),
            Body::Directory(_) => Err(libc::EISDIR),
        }
    }

    /// Drops what the cache has of a file and need not be written: what is read then is what the medium has.
    pub(crate) fn drop_cache(&mut self, ino: Ino) {
        if let Some(Inode { body: Body::File { bytes, medium, is_dirty: false }, .. }) =
            self.inodes.get_mut(&ino)
        {
            bytes.clone_from(medium);
        }
    }

    /// Makes a file's bytes, or a directory's names, durable, and the names that lead to it. On a disk that lies, or fails,
    /// the bytes are not written and count as clean all the same, as the kernel has it.
    pub(crate) fn sync(&mut self, ino: Ino, fails: bool) {
        self.sync_bytes(ino, fails);
        if fails {
            return;
        }
        if let Some(last) = self.changes.iter().rposition(|change| change.concerns(ino)) {
            self.commit(last + 1);
        }
    }

    /// Makes everything durable.
    pub(crate) fn sync_all(&mut self, fails: bool) {
        let all: Vec<_> = self.inodes.keys().copied().collect();
        all.into_iter().for_each(|ino| self.sync_bytes(ino, fails));
        if !fails {
            self.commit(self.changes.len());
        }
    }

    fn sync_bytes(&mut self, ino: Ino, fails: bool) {
        if let Some(Inode { body: Body::File { bytes, medium, is_dirty }, .. }) = self.inodes.get_mut(&ino)
            && *is_dirty
        {
            *is_dirty = false;
            if !fails {
                medium.clone_from(bytes);
            }
        }
    }

    fn commit(&mut self, changes: usize) {
        for change in self.changes.drain(..changes) {
            apply(&mut self.durable, change);
        }
    }

    /// What is left after the worst power cut: nothing that was not synced.
    pub(crate) fn worst(&self) -> Self {
        let mut disk = self.clone();
        disk.changes.clear();
        disk.forget_cache();
        disk
    }

    /// What is left after a power cut: of the names a first part of the changes, of bytes that were not synced any blocks.
    pub(crate) fn cut(&mut self, rng: &mut Rng) {
        let kept = rng.index(self.changes.len() + 1);
        self.commit(kept);
        self.changes.clear();
        for inode in self.inodes.values_mut() {
            if let Body::File { bytes, medium, is_dirty: true } = &mut inode.body {
                tear(medium, bytes, rng);
            }
        }
        self.forget_cache();
        self.sweep();
    }

    /// Names and bytes are what the medium has.
    fn forget_cache(&mut self) {
        for (ino, names) in &self.durable {
            if let Some(Inode { body: Body::Directory(seen), .. }) = self.inodes.get_mut(ino) {
                seen.clone_from(names);
            }
        }
        for (ino, inode) in &mut self.inodes {
            match &mut inode.body {
                // Never durable: nothing below it is.
                Body::Directory(seen) if !self.durable.contains_key(ino) => seen.clear(),
                Body::Directory(_) => {}
                Body::File { bytes, medium, is_dirty } => {
                    bytes.clone_from(medium);
                    *is_dirty = false;
                }
            }
        }
    }

    /// What a process that ends leaves: files without a name go.
    pub(crate) fn sweep(&mut self) {
        let mut links: BTreeMap<Ino, u32> = BTreeMap::from([(ROOT, 1)]);
        let mut seen = BTreeSet::new();
        let mut next = vec![ROOT];
        while let Some(ino) = next.pop() {
            if !seen.insert(ino) {
                continue;
            }
            if let Some(Inode { body: Body::Directory(names), .. }) = self.inodes.get(&ino) {
                for child in names.values() {
                    *links.entry(*child).or_default() += 1;
                    next.push(*child);
                }
            }
        }
        // What a cut may bring back is not gone yet.
        let mut durable: BTreeSet<_> =
            self.durable.values().flat_map(|names| names.values().copied()).collect();
        durable.extend(self.changes.iter().map(Change::ino));
        self.inodes.retain(|ino, _| links.contains_key(ino) || durable.contains(ino));
        for (ino, inode) in &mut self.inodes {
            inode.links = links.get(ino).copied().unwrap_or(0);
        }
        self.durable.retain(|dir, _| self.inodes.contains_key(dir));
    }
}

impl Inode {
    fn new(body: Body, mode: u32, now: i64) -> Self {
        Self { body, mode, owner: (0, 0), modified_ns: now, links: 1 }
    }

    pub(crate) fn is_directory(&self) -> bool {
        matches!(self.body, Body::Directory(_))
    }

    pub(crate) fn size_bytes(&self) -> usize {
        match &self.body {
            Body::Directory(_) => BLOCK_BYTES,
            Body::File { bytes, .. } => bytes.len(),
        }
    }
}

fn apply(durable: &mut BTreeMap<Ino, Names>, change: Change) {
    match change {
        Change::Set { dir, name, ino } => {
            durable.entry(dir).or_default().insert(name, ino);
        }
        Change::Clear { dir, name, .. } => {
            durable.entry(dir).or_default().remove(&name);
        }
        Change::Move { from, name, to, to_name, ino } => {
            durable.entry(from).or_default().remove(&name);
            durable.entry(to).or_default().insert(to_name, ino);
        }
    }
}

/// Any block of what was written may have reached the medium, and so may the new length.
fn tear(medium: &mut Vec<u8>, bytes: &[u8], rng: &mut Rng) {
    match rng.below(4) {
        0 => return,
        1 => return bytes.clone_into(medium),
        _ => {}
    }
    if rng.coin() || medium.len() < bytes.len() {
        let length = if rng.coin() { bytes.len() } else { medium.len().max(rng.index(bytes.len() + 1)) };
        medium.resize(length, 0);
    }
    for at in (0..medium.len().min(bytes.len())).step_by(BLOCK_BYTES) {
        if rng.coin() {
            let end = (at + BLOCK_BYTES).min(medium.len()).min(bytes.len());
            medium[at..end].copy_from_slice(&bytes[at..end]);
        }
    }
}
