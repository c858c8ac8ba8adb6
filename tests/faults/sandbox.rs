//! Where the suite lives, so that it can die anywhere and leave nothing: a private mount namespace and a scratch
//! directory with its owner's process id in its name.
//!
//! When the last process of the namespace is gone, the kernel takes its mounts away, and with them the loop devices
//! (AUTOCLEAR). What can be left is a directory, and [`sweep_leftovers`] removes those of dead owners at every start.

use std::io;
use std::path::{Path, PathBuf};

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, unshare};
use nix::sys::signal::kill;
use nix::unistd::{Pid, Uid};

use crate::explain::Explain;

const PREFIX: &str = "tabletd-faults-";
const KEPT_PREFIX: &str = "tabletd-kept-";

/// Whether mounting is possible at all.
pub(crate) fn is_root() -> bool {
    Uid::effective().is_root()
}

/// Moves this process into a mount namespace of its own. To be called before any thread is made.
pub(crate) fn enter_private_namespace() -> io::Result<()> {
    unshare(CloneFlags::CLONE_NEWNS).when(|| "make a private mount namespace")?;
    mount(None::<&str>, "/", None::<&str>, MsFlags::MS_REC | MsFlags::MS_PRIVATE, None::<&str>)
        .when(|| "make all mounts private")
}

/// Moves this process out of the suite's namespace into one without the suite's mounts, so that it keeps none of them
/// alive. To be called before any thread is made.
pub(crate) fn leave_namespace() -> io::Result<()> {
    unshare(CloneFlags::CLONE_NEWNS).when(|| "leave the suite's mount namespace")?;
    let parent = std::env::temp_dir().canonicalize()?;
    let is_ours = |at: &PathBuf| scratch_of(&parent, at).is_some();
    mount_points().iter().rev().filter(|at| is_ours(at)).try_for_each(|at| {
        umount2(at, MntFlags::MNT_DETACH).when(|| format!("leave the mount {}", at.display()))
    })
}

/// A directory that is removed with everything mounted below it when dropped.
#[derive(Debug)]
pub(crate) struct Scratch(PathBuf);

impl Scratch {
    /// A new directory below the system's temporary one.
    pub(crate) fn new() -> io::Result<Self> {
        let parent = std::env::temp_dir().canonicalize()?;
        let prefix = format!("{PREFIX}{}-", std::process::id());
        let dir = tempfile::Builder::new().prefix(&prefix).tempdir_in(parent)?;
        Ok(Self(dir.keep()))
    }

    /// The directory.
    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// A new directory in it.
    pub(crate) fn subdir(&self, name: &str) -> io::Result<PathBuf> {
        let dir = self.0.join(name);
        std::fs::create_dir_all(&dir).when(|| format!("create {}", dir.display()))?;
        Ok(dir)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        unmount_below(&self.0);
        // Whatever is still mounted must not be emptied: remove only on this one file system.
        if mount_points_below(&self.0).is_empty() {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }
}

/// A directory for what a violation leaves: never removed by the suite.
pub(crate) fn keep_directory(name: &str) -> io::Result<PathBuf> {
    let parent = std::env::temp_dir().canonicalize()?;
    let prefix = format!("{KEPT_PREFIX}{}-", name.replace(|c: char| !c.is_ascii_alphanumeric(), "-"));
    Ok(tempfile::Builder::new().prefix(&prefix).tempdir_in(parent)?.keep())
}

/// Removes what suites left that no longer run. Returns one line per thing removed.
pub(crate) fn sweep_leftovers() -> Vec<String> {
    let Ok(parent) = std::env::temp_dir().canonicalize() else { return Vec::new() };
    let orphaned = |path: &Path| scratch_of(&parent, path).is_some_and(is_dead);
    let mut swept = Vec::new();
    for entry in std::fs::read_dir(&parent).into_iter().flatten().flatten() {
        let path = entry.path();
        if !orphaned(&path) {
            continue;
        }
        unmount_below(&path);
        if mount_points_below(&path).is_empty() && std::fs::remove_dir_all(&path).is_ok() {
            swept.push(format!("removed {}", path.display()));
        }
    }
    swept
}

/// The owner of the scratch directory below `parent` in which `path` lies, or which it is.
fn scratch_of(parent: &Path, path: &Path) -> Option<Pid> {
    let first = path.strip_prefix(parent).ok()?.components().next()?;
    let name = first.as_os_str().to_str()?;
    Some(Pid::from_raw(name.strip_prefix(PREFIX)?.split('-').next()?.parse().ok()?))
}

fn is_dead(pid: Pid) -> bool {
    kill(pid, None) == Err(nix::errno::Errno::ESRCH)
}

fn unmount_below(dir: &Path) {
    for at in mount_points_below(dir).iter().rev() {
        let _ = umount2(at, MntFlags::MNT_DETACH);
    }
}

fn mount_points_below(dir: &Path) -> Vec<PathBuf> {
    mount_points().into_iter().filter(|path| path.starts_with(dir)).collect()
}

/// All mount points in the order they were mounted (proc_pid_mountinfo(5), field 5; scratch paths have no characters
/// that it escapes).
fn mount_points() -> Vec<PathBuf> {
    let table = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    table.lines().filter_map(|line| line.split(' ').nth(4)).map(PathBuf::from).collect()
}
