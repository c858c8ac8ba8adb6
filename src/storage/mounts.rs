//! Which file system a directory is on, and whether two directories share one.

use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use nix::sys::statfs::{BTRFS_SUPER_MAGIC, EXT4_SUPER_MAGIC, FsType, TMPFS_MAGIC, XFS_SUPER_MAGIC};

use super::dir::Dir;
use super::error::DiskError;

/// The file system below a root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileSystem {
    /// `st_dev` of the root.
    pub device: u64,
    /// Kind, for messages: `ext4`, `xfs`, ...
    pub kind: String,
    /// Source device of the mount in mountinfo (`/dev/sdb1`); `None` where there is no device behind it.
    pub source: Option<String>,
    /// Where it is mounted.
    pub mount_point: String,
}

impl FileSystem {
    /// The file system `dir` is on.
    ///
    /// # Errors
    /// As `fstat(2)`, `fstatfs(2)`.
    pub fn of(dir: &Dir) -> Result<Self, DiskError> {
        let (device, _) = dir.device_and_inode()?;
        let statfs =
            nix::sys::statfs::fstatfs(dir).map_err(|errno| DiskError::new("statfs", dir.path(), errno))?;
        let table = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        let canonical = std::fs::canonicalize(dir.path()).unwrap_or_else(|_| dir.path().to_owned());
        let mount = containing_mount(&table, &canonical);
        Ok(Self {
            device,
            kind: mount.as_ref().map_or_else(|| magic_name(statfs.filesystem_type()), |m| m.kind.clone()),
            source: mount.as_ref().and_then(|m| m.source.starts_with('/').then(|| m.source.clone())),
            mount_point: mount.map_or_else(String::new, |m| m.point),
        })
    }
}

/// Whether a move between the two could never leave the file system: same `st_dev`, or the same source device (bind
/// mounts, double mounts, btrfs subvolumes).
pub fn same_file_system(a: &FileSystem, b: &FileSystem) -> bool {
    a.device == b.device || (a.source.is_some() && a.source == b.source)
}

fn magic_name(magic: FsType) -> String {
    match magic {
        EXT4_SUPER_MAGIC => "ext4".to_owned(),
        XFS_SUPER_MAGIC => "xfs".to_owned(),
        BTRFS_SUPER_MAGIC => "btrfs".to_owned(),
        TMPFS_MAGIC => "tmpfs".to_owned(),
        other => format!("{:#x}", other.0),
    }
}

struct Mount {
    point: String,
    kind: String,
    source: String,
}

/// `proc_pid_mountinfo(5)`: id, parent, major:minor, root, mount point, options, tags... `-`, kind, source, options.
fn parse_line(line: &str) -> Option<Mount> {
    let (left, right) = line.split_once(" - ")?;
    let mut right = right.split(' ');
    Some(Mount {
        point: unescape(left.split(' ').nth(4)?),
        kind: right.next()?.to_owned(),
        source: unescape(right.next()?),
    })
}

/// The kernel writes blank, tab, line feed and backslash as three octal digits.
fn unescape(text: &str) -> String {
    let mut out = text.to_owned();
    for (escaped, plain) in [("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")] {
        out = out.replace(escaped, plain);
    }
    out
}

fn containing_mount(table: &str, path: &Path) -> Option<Mount> {
    table
        .lines()
        .filter_map(parse_line)
        .filter(|mount| path.starts_with(&mount.point))
        // Later lines are mounted over earlier ones: of two equally long points the last one is seen.
        .enumerate()
        .max_by_key(|(line, mount)| (Path::new(&mount.point).as_os_str().as_bytes().len(), *line))
        .map(|(_, mount)| mount)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = "\
22 1 254:0 / / rw,relatime - ext4 /dev/vda rw
40 22 7:0 / /mnt/d1 rw,relatime shared:5 - xfs /dev/loop0 rw,attr2
41 22 7:0 /sub /mnt/with\\040blank rw - xfs /dev/loop0 rw
42 22 0:30 / /mnt/d1/tmp rw - tmpfs tmpfs rw";

    #[test]
    fn the_longest_mount_point_wins() {
        for (path, source) in [
            ("/mnt/d1", "/dev/loop0"),
            ("/mnt/d1/data", "/dev/loop0"),
            ("/mnt/d10", "/dev/vda"),
            ("/mnt/d1/tmp/x", "tmpfs"),
            ("/mnt/with blank/a", "/dev/loop0"),
        ] {
            assert_eq!(
                containing_mount(TABLE, Path::new(path)).map(|m| m.source).as_deref(),
                Some(source),
                "{path}"
            );
        }
    }

    #[test]
    fn one_device_mounted_twice_is_one_file_system() {
        let fs = |device, source: Option<&str>| FileSystem {
            device,
            kind: "xfs".into(),
            source: source.map(str::to_owned),
            mount_point: String::new(),
        };
        assert!(same_file_system(&fs(1, None), &fs(1, None)));
        assert!(same_file_system(&fs(1, Some("/dev/sda")), &fs(2, Some("/dev/sda"))));
        assert!(!same_file_system(&fs(1, None), &fs(2, None)));
        assert!(!same_file_system(&fs(1, Some("/dev/sda")), &fs(2, Some("/dev/sdb"))));
    }
}
