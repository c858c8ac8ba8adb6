//! Small file systems in memory for tests that need more than directories, and a visible word where they cannot be had.

use std::path::{Path, PathBuf};

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

/// `mount -o remount,ro`.
pub(crate) fn remount_read_only(dir: &Path) -> nix::Result<()> {
    let flags = MsFlags::MS_REMOUNT | MsFlags::MS_RDONLY;
    nix::mount::mount(None::<&str>, dir, None::<&str>, flags, None::<&str>)
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
