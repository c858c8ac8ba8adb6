//! A disk as bytes, to be handed from a process that ends to the one that started it.

use super::disk::{Body, Change, Disk, Inode, Names};

/// What is written.
#[derive(Default)]
pub(crate) struct Writer(pub(crate) Vec<u8>);

impl Writer {
    pub(crate) fn number(&mut self, number: u64) {
        self.0.extend_from_slice(&number.to_le_bytes());
    }

    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        self.number(bytes.len() as u64);
        self.0.extend_from_slice(bytes);
    }

    pub(crate) fn text(&mut self, text: &str) {
        self.bytes(text.as_bytes());
    }

    fn names(&mut self, names: &Names) {
        self.number(names.len() as u64);
        for (name, ino) in names {
            self.bytes(name);
            self.number(*ino);
        }
    }

    fn inode(&mut self, inode: &Inode) {
        self.number(u64::from(inode.mode));
        self.number(u64::from(inode.owner.0));
        self.number(u64::from(inode.owner.1));
        self.number(inode.modified_ns.cast_unsigned());
        self.number(u64::from(inode.links));
        match &inode.body {
            Body::Directory(names) => {
                self.number(0);
                self.names(names);
            }
            Body::File { bytes, medium, is_dirty } => {
                self.number(1 + u64::from(*is_dirty));
                self.bytes(bytes);
                self.bytes(medium);
            }
        }
    }

    fn change(&mut self, change: &Change) {
        match change {
            Change::Set { dir, name, ino } => {
                [0, *dir, *ino].into_iter().for_each(|n| self.number(n));
                self.bytes(name);
            }
            Change::Clear { dir, name, ino } => {
                [1, *dir, *ino].into_iter().for_each(|n| self.number(n));
                self.bytes(name);
            }
            Change::Move { from, name, to, to_name, ino } => {
                [2, *from, *ino].into_iter().for_each(|n| self.number(n));
                self.bytes(name);
                self.number(*to);
                self.bytes(to_name);
            }
        }
    }

    /// A whole disk.
    pub(crate) fn disk(&mut self, disk: &Disk) {
        self.number(disk.next_ino);
        self.number(disk.capacity_bytes);
        self.number(u64::from(disk.is_read_only));
        self.number(u64::from(disk.is_dead));
        self.number(disk.inodes.len() as u64);
        for (ino, inode) in &disk.inodes {
            self.number(*ino);
            self.inode(inode);
        }
        self.number(disk.durable.len() as u64);
        for (dir, names) in &disk.durable {
            self.number(*dir);
            self.names(names);
        }
        self.number(disk.changes.len() as u64);
        disk.changes.iter().for_each(|change| self.change(change));
    }
}

/// What is read back; `None` where it ends too early.
pub(crate) struct Reader<'a>(pub(crate) &'a [u8]);

impl Reader<'_> {
    pub(crate) fn number(&mut self) -> Option<u64> {
        let (head, rest) = self.0.split_at_checked(8)?;
        self.0 = rest;
        Some(u64::from_le_bytes(head.try_into().ok()?))
    }

    pub(crate) fn bytes(&mut self) -> Option<Vec<u8>> {
        let length = usize::try_from(self.number()?).ok()?;
        let (head, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(head.to_vec())
    }

    pub(crate) fn text(&mut self) -> Option<String> {
        String::from_utf8(self.bytes()?).ok()
    }

    fn small(&mut self) -> Option<u32> {
        u32::try_from(self.number()?).ok()
    }

    fn names(&mut self) -> Option<Names> {
        (0..self.number()?).map(|_| Some((self.bytes()?, self.number()?))).collect()
    }

    fn inode(&mut self) -> Option<Inode> {
        let mode = self.small()?;
        let owner = (self.small()?, self.small()?);
        let modified_ns = self.number()?.cast_signed();
        let links = self.small()?;
        let body = match self.number()? {
            0 => Body::Directory(self.names()?),
            kind => Body::File { bytes: self.bytes()?, medium: self.bytes()?, is_dirty: kind == 2 },
        };
        Some(Inode { body, mode, owner, modified_ns, links })
    }

    fn change(&mut self) -> Option<Change> {
        let (kind, dir, ino, name) = (self.number()?, self.number()?, self.number()?, self.bytes()?);
        Some(match kind {
            0 => Change::Set { dir, name, ino },
            1 => Change::Clear { dir, name, ino },
            _ => Change::Move { from: dir, name, to: self.number()?, to_name: self.bytes()?, ino },
        })
    }

    /// A whole disk.
    pub(crate) fn disk(&mut self) -> Option<Disk> {
        let (next_ino, capacity_bytes) = (self.number()?, self.number()?);
        let (is_read_only, is_dead) = (self.number()? == 1, self.number()? == 1);
        let inodes =
            (0..self.number()?).map(|_| Some((self.number()?, self.inode()?))).collect::<Option<_>>()?;
        let durable =
            (0..self.number()?).map(|_| Some((self.number()?, self.names()?))).collect::<Option<_>>()?;
        let changes = (0..self.number()?).map(|_| self.change()).collect::<Option<_>>()?;
        Some(Disk { inodes, next_ino, durable, changes, capacity_bytes, is_read_only, is_dead })
    }
}
