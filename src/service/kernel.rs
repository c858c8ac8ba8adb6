//! The kernel's floor, found by asking rather than by its version: distributions carry calls back.

use nix::errno::Errno;

/// Makes sure that the kernel has what nothing here works without.
///
/// # Errors
/// What is missing, in words, with the release that brought it.
pub fn check_kernel() -> Result<(), String> {
    let missing: Vec<_> = [("openat2", "5.6", has_openat2()), ("close_range", "5.9", has_close_range())]
        .into_iter()
        .filter(|(_, _, there)| !there)
        .map(|(call, since, _)| format!("{call} (Linux {since})"))
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    Err(format!(
        "Linux {} has no {}, or a filter of system calls forbids it: tabletd needs Linux 5.9 or later",
        release.trim(),
        missing.join(" and no ")
    ))
}

fn has_openat2() -> bool {
    let how = nix::fcntl::OpenHow::new().flags(nix::fcntl::OFlag::O_PATH | nix::fcntl::OFlag::O_CLOEXEC);
    !matches!(nix::fcntl::openat2(nix::fcntl::AT_FDCWD, "/", how), Err(Errno::ENOSYS | Errno::EPERM))
}

fn has_close_range() -> bool {
    // SAFETY: takes three integers; no descriptor has the highest number, so nothing is closed.
    let answer = unsafe { libc::syscall(libc::SYS_close_range, u32::MAX, u32::MAX, 0) };
    !matches!(Errno::result(answer), Err(Errno::ENOSYS | Errno::EPERM))
}
