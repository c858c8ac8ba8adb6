//! Small file systems in memory for tests that need more than directories, and a visible word where they cannot be had.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::mount::{MntFlags, MsFlags};

/// Small file systems in memory, unmounted when dropped.
pub(crate) struct Mounted(Vec<PathBuf>);

impl Mounted {
    /// One on each of these directories; `None`, with a word, where mounting is not allowed.
    ///
    /// # Panics
    /// It is not allowed, and `TABLETD_REQUIRE_ROOT_TESTS=1` says that nothing may be skipped.
    pub(crate) fn on(dirs: &[PathBuf]) -> Option<Self> {
        let mut mounted = Self(Vec::new());
        for dir in dirs {
            let done =
                nix::mount::mount(Some("tmpfs"), dir, Some("tmpfs"), MsFlags::empty(), Some("size=64m"));
            if let Err(errno) = done {
                skip(&format!("cannot mount on {}: {}", dir.display(), errno.desc()));
                return None;
            }
            mounted.0.push(dir.clone());
        }
        Some(mounted)
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        for dir in &self.0 {
            let _ = nix::mount::umount2(dir, MntFlags::MNT_DETACH);
        }
    }
}

/// A disk of a test: an image on a loop device, mounted beside it; unmounted when dropped.
pub(crate) struct Image {
    file: PathBuf,
    at: PathBuf,
}

impl Image {
    /// A new one below `dir`; `None`, with a word, where that is not to be had.
    ///
    /// # Panics
    /// As [`Mounted::on`].
    pub(crate) fn ext4(dir: &Path, name: &str, bytes: u64) -> Option<Self> {
        Self::ext4_with(dir, name, bytes, &[])
    }

    /// The same, made with these options of `mkfs.ext4`.
    ///
    /// # Panics
    /// As [`Mounted::on`].
    pub(crate) fn ext4_with(dir: &Path, name: &str, bytes: u64, options: &[&str]) -> Option<Self> {
        let made =
            Self::made_by("mkfs.ext4", &[&["-q", "-F", "-m", "0"], options].concat(), dir, name, bytes)?;
        fs::remove_dir(made.at.join("lost+found")).expect("mkfs made it");
        Some(made)
    }

    /// As [`Image::ext4`], of xfs: at least 300 MiB, which mkfs.xfs demands.
    ///
    /// # Panics
    /// As [`Mounted::on`].
    pub(crate) fn xfs(dir: &Path, name: &str, bytes: u64) -> Option<Self> {
        Self::made_by("mkfs.xfs", &["-q"], dir, name, bytes)
    }

    fn made_by(mkfs: &str, options: &[&str], dir: &Path, name: &str, bytes: u64) -> Option<Self> {
        let image = Self { file: dir.join(format!("{name}.img")), at: dir.join(name) };
        let made = File::create(&image.file).and_then(|file| file.set_len(bytes));
        made.and_then(|()| fs::create_dir_all(&image.at)).expect("the test has room");
        let file = image.file.display().to_string();
        match run(mkfs, &[options, &[&file]].concat()).and_then(|()| image.mount()) {
            Ok(()) => Some(image),
            Err(why) => {
                skip(&why);
                None
            }
        }
    }

    /// The image `<name>.img` that is there already, mounted.
    ///
    /// # Panics
    /// It is no file system.
    pub(crate) fn of(dir: &Path, name: &str) -> Self {
        let image = Self { file: dir.join(format!("{name}.img")), at: dir.join(name) };
        fs::create_dir_all(&image.at).expect("the test has room");
        image.mount().expect("a file system");
        image
    }

    /// Where it is mounted.
    pub(crate) fn path(&self) -> &Path {
        &self.at
    }

    /// # Errors
    /// What `mount` says.
    pub(crate) fn mount(&self) -> Result<(), String> {
        run("mount", &["-o", "loop", &self.file.display().to_string(), &self.at.display().to_string()])
    }

    /// # Errors
    /// What `umount` says.
    pub(crate) fn unmount(&self) -> Result<(), String> {
        run("umount", &[&self.at.display().to_string()])
    }
}

impl Image {
    /// # Errors
    /// What `mount` says.
    pub(crate) fn mount_at(&self, at: &Path) -> Result<(), String> {
        run("mount", &["-o", "loop", &self.file.display().to_string(), &at.display().to_string()])
    }

    /// Gone from its path, as a disk that is pulled; whoever still holds it keeps it alive.
    pub(crate) fn pull(&self) {
        nix::mount::umount2(&self.at, MntFlags::MNT_DETACH).expect("it is mounted");
    }

    /// Gives it one more device, which goes when it is unmounted.
    ///
    /// # Errors
    /// What `losetup` says.
    pub(crate) fn attach(&self) -> Result<String, String> {
        said(Command::new("losetup").args(["--find", "--show"]).arg(&self.file))
    }

    /// Mounts it by a device that [`Self::attach`] gave it.
    ///
    /// # Errors
    /// What `mount` says.
    pub(crate) fn mount_by(&self, device: &str) -> Result<(), String> {
        run("mount", &[device, &self.at.display().to_string()])?;
        // Only marked: it goes with the mount.
        run("losetup", &["-d", device])
    }

    /// The devices it has.
    pub(crate) fn devices(&self) -> Vec<String> {
        let listed = said(Command::new("losetup").args(["-n", "-O", "NAME", "-j"]).arg(&self.file));
        listed.expect("losetup").lines().map(|line| line.trim().to_owned()).collect()
    }
}

impl Drop for Image {
    fn drop(&mut self) {
        let _ = nix::mount::umount2(&self.at, MntFlags::MNT_DETACH);
    }
}

pub(super) fn said(command: &mut Command) -> Result<String, String> {
    let output = command.output().map_err(|error| error.to_string())?;
    let why = || String::from_utf8_lossy(&output.stderr).trim().to_owned();
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned()).ok_or_else(why)
}

pub(crate) fn run(program: &str, args: &[&str]) -> Result<(), String> {
    let output = Command::new(program).args(args).output().map_err(|error| format!("{program}: {error}"))?;
    let said = || format!("{program}: {}", String::from_utf8_lossy(&output.stderr).trim());
    output.status.success().then_some(()).ok_or_else(said)
}

/// Fills the file system, and then the directory, until not one more name goes into it.
pub(crate) fn leave_no_room_for_a_name(root: &Path, dir: &Path) {
    for (name, block) in [("ballast", 1 << 20), ("crumbs", 512)] {
        let file = root.join(name);
        Command::new("dd")
            .args(["if=/dev/zero", &format!("of={}", file.display()), &format!("bs={block}")])
            .output()
            .expect("dd runs");
    }
    let one = dir.join("0");
    fs::hard_link(root.join("crumbs"), &one).expect("the first name finds room in the directory's own block");
    // Names as long as a record's. A directory is a tree of blocks: one full block is not yet a full directory.
    let mut refused_in_a_row = 0;
    for number in 1..60_000 {
        match fs::hard_link(&one, dir.join(format!("{number:0>8}"))) {
            Ok(()) => refused_in_a_row = 0,
            Err(error) => {
                assert_eq!(error.raw_os_error(), Some(nix::errno::Errno::ENOSPC as i32), "{error}");
                refused_in_a_row += 1;
            }
        }
        if refused_in_a_row == 500 {
            return;
        }
    }
    panic!("the directory never filled up");
}

/// How a file system is mounted.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    ReadOnly,
    ReadWrite,
}

/// `mount -o remount,ro` or `remount,rw`.
pub(crate) fn remount(dir: &Path, access: Access) -> nix::Result<()> {
    let read_only = if access == Access::ReadOnly { MsFlags::MS_RDONLY } else { MsFlags::empty() };
    nix::mount::mount(None::<&str>, dir, None::<&str>, MsFlags::MS_REMOUNT | read_only, None::<&str>)
}

/// Says that the test that calls this does not run here.
///
/// # Panics
/// Where `TABLETD_REQUIRE_ROOT_TESTS=1` says that everything must run.
pub(crate) fn skip(why: &str) {
    let required = std::env::var("TABLETD_REQUIRE_ROOT_TESTS").is_ok_and(|value| value == "1");
    assert!(!required, "{why}, and TABLETD_REQUIRE_ROOT_TESTS=1 says that nothing is skipped");
    eprintln!("skipped: {why}");
}
