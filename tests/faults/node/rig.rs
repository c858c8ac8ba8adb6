//! A node whose source, destination and state directory each lie on a fault disk of their own.

use std::fs::File;
use std::io;

use crate::disk::{Cutter, FaultDisks};
use crate::harness::Node;
use crate::mounts::{FsKind, LoopMount};
use crate::scenario::Bench;

/// Disks 0 and 1 are the roots, disk 2 has the state directory. Cuts of them go to disks 3 to 5.
pub(super) const DISKS: usize = 3;
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
    /// An empty node on fresh file systems of this kind.
    pub(super) fn new(bench: &Bench<'_>, kind: FsKind) -> io::Result<Self> {
        let size_mib = kind.smallest_mib().max(SIZE_MIB);
        // A scenario may want a fresh one after it has broken another.
        let base = tempfile::Builder::new().prefix("rig").tempdir_in(bench.scratch.path())?.keep();
        let disks = FaultDisks::start(&base.join("farm"), 2 * DISKS, size_mib)?;
        let at = |disk: usize| base.join(format!("disk{disk}"));
        let mounts = (0..DISKS)
            .map(|disk| LoopMount::format(disks.attach(disk)?, kind, &at(disk)))
            .collect::<io::Result<Vec<_>>>()?;
        let dir = tempfile::Builder::new().prefix("node").tempdir_in(&base)?;
        // Not the mount point itself: ext4 has a lost+found there.
        let roots: Vec<_> = (0..2).map(|disk| at(disk).join("root")).collect();
        roots.iter().try_for_each(std::fs::create_dir)?;
        let mut node = Node::on(dir, roots);
        node.settings = format!(
            "state_dir = {}\nmigration_retry_backoff_ms = 5\nmigration_max_attempts = 5\n",
            at(2).join("state").display()
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

    /// The mount of one disk.
    pub(super) fn mount(&self, disk: usize) -> &LoopMount {
        &self.mounts[disk]
    }

    /// Unmounts everything, so that cuts can be mounted in its place.
    pub(super) fn unmount(&mut self) -> io::Result<()> {
        self.mounts.drain(..).try_for_each(|mount| mount.unmount().map(drop))
    }

    /// For each disk of the node, what mounts its cuts where it was.
    pub(super) fn cutters(&self) -> io::Result<Vec<Cutter<'_>>> {
        let base = self.node.dir.path().parent().expect("below the directory of the rig");
        (0..DISKS)
            .map(|disk| {
                let at = base.join(format!("disk{disk}"));
                Cutter::new(&self.disks, self.kind, disk, disk + DISKS, &at)
            })
            .collect()
    }
}
