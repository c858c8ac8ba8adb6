//! A node whose roots and state directory each lie on a fault disk of their own: first the roots, then the state
//! directory, then as many disks again for what power cuts leave of them.

use std::fs::File;
use std::io;
use std::path::Path;

use crate::disk::{Cutter, FaultDisks};
use crate::harness::Node;
use crate::mounts::{FsKind, LoopMount};
use crate::scenario::Bench;

/// Room for the tablets and for what retired sources leave in trash.
const SIZE_MIB: usize = 128;

/// The node, its mounts and its disks.
pub(super) struct Rig {
    pub(super) node: Node,
    mounts: Vec<LoopMount>,
    pub(super) disks: FaultDisks,
    kind: FsKind,
}

impl Rig {
    /// An empty node of two roots on fresh file systems of this kind.
    pub(super) fn new(bench: &Bench<'_>, kind: FsKind) -> io::Result<Self> {
        Self::with_roots(bench, kind, 2)
    }

    /// The same with this many roots.
    pub(super) fn with_roots(bench: &Bench<'_>, kind: FsKind, roots: usize) -> io::Result<Self> {
        Self::with_spares(bench, kind, roots, 1)
    }

    /// The same with this many sets of disks for what power cuts leave.
    pub(super) fn with_spares(
        bench: &Bench<'_>,
        kind: FsKind,
        roots: usize,
        spares: usize,
    ) -> io::Result<Self> {
        let own_disks = roots + 1;
        let size_mib = kind.smallest_mib().max(SIZE_MIB);
        // A scenario may want a fresh one after it has broken another.
        let base = tempfile::Builder::new().prefix("rig").tempdir_in(bench.scratch.path())?.keep();
        let disks = FaultDisks::start(&base.join("farm"), (1 + spares) * own_disks, size_mib)?;
        let at = |disk: usize| base.join(format!("disk{disk}"));
        let mounts = (0..own_disks)
            .map(|disk| LoopMount::format(disks.attach(disk)?, kind, &at(disk)))
            .collect::<io::Result<Vec<_>>>()?;
        let dir = tempfile::Builder::new().prefix("node").tempdir_in(&base)?;
        // Not the mount point itself: ext4 has a lost+found there.
        let paths: Vec<_> = (0..roots).map(|disk| at(disk).join("root")).collect();
        paths.iter().try_for_each(std::fs::create_dir)?;
        let mut node = Node::on(dir, paths);
        node.settings = format!(
            "state_dir = {}\nmigration_retry_backoff_ms = 5\nmigration_max_attempts = 5\n",
            at(roots).join("state").display()
        );
        Ok(Self { node, mounts, disks, kind })
    }

    /// Adds a line to be.conf.
    pub(super) fn set(&mut self, line: &str) {
        self.node.settings.push_str(line);
        self.node.settings.push('\n');
    }

    /// Makes everything durable and begins the logs anew.
    pub(super) fn mark_base(&self) -> io::Result<u64> {
        for mount in &self.mounts {
            nix::unistd::syncfs(&File::open(mount.path())?)?;
        }
        self.disks.mark_base()
    }

    /// Takes a mount out of the rig's hands.
    pub(super) fn take_mount(&mut self, disk: usize) -> LoopMount {
        self.mounts.remove(disk)
    }

    /// Gives it back.
    pub(super) fn put_mount(&mut self, disk: usize, mount: LoopMount) {
        self.mounts.insert(disk, mount);
    }

    /// The mount of one disk.
    pub(super) fn mount(&self, disk: usize) -> &LoopMount {
        &self.mounts[disk]
    }

    /// Saves the images of the node's disks below `dir`, as they are now.
    pub(super) fn save(&self, dir: &Path) -> io::Result<()> {
        let own_disks = self.node.roots.len() + 1;
        (0..own_disks).try_for_each(|disk| self.disks.save(disk, &dir.join(format!("disk{disk}.img"))))
    }

    /// Unmounts everything, so that cuts can be mounted in its place.
    pub(super) fn unmount(&mut self) -> io::Result<()> {
        self.mounts.drain(..).try_for_each(|mount| mount.unmount().map(drop))
    }

    /// For each disk of the node, what mounts its cuts where it was.
    pub(super) fn cutters(&self) -> io::Result<Vec<Cutter<'_>>> {
        self.cutters_of(0)
    }

    /// The same for the disks of a set: 0 are those the node was made on, 1 what the cutters of set 0 leave, and so on.
    pub(super) fn cutters_of(&self, set: usize) -> io::Result<Vec<Cutter<'_>>> {
        let base = self.node.dir.path().parent().expect("below the directory of the rig");
        let own_disks = self.node.roots.len() + 1;
        (0..own_disks)
            .map(|disk| {
                let at = base.join(format!("disk{disk}"));
                let from = disk + set * own_disks;
                Cutter::new(&self.disks, self.kind, from, from + own_disks, &at)
            })
            .collect()
    }
}
