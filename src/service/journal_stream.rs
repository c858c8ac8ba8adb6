//! Whether standard error goes to systemd's journal, which keeps time and priority of a line by itself.

use std::os::unix::fs::MetadataExt as _;

/// As `systemd.exec(5)` has it: `JOURNAL_STREAM` names the device and inode of the stream that the manager made. Somebody
/// may have put another one in its place since.
pub fn stderr_is_the_journal() -> bool {
    let Some(named) = std::env::var("JOURNAL_STREAM").ok() else { return false };
    let stream = std::fs::metadata("/dev/stderr").ok();
    stream.is_some_and(|stream| named == format!("{}:{}", stream.dev(), stream.ino()))
}
