//! A small program to hurt: it saves one file durably, and says so by its exit status.
//!
//! `careful` checks every answer and reads back, before the rename and after; `careless` ignores what write and fsync
//! say, and must be caught.

use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

/// The hidden subcommand by which the test binary becomes this program.
pub(crate) const SUBCOMMAND: &str = "save-a-record";
/// The file's name.
pub(crate) const NAME: &str = "record";

/// What the file holds. Made anew for each use: what corrupts one buffer must not reach the one it is compared with.
pub(crate) fn content() -> Vec<u8> {
    vec![b'c'; 3000]
}

/// `careful|careless dir`: saves [`content`] as [`NAME`] in the directory.
pub(crate) fn play(arguments: &[OsString]) -> io::Result<()> {
    match arguments {
        [how, dir] if how == "careful" => save_carefully(Path::new(dir)),
        [how, dir] if how == "careless" => save_carelessly(Path::new(dir)),
        _ => Err(io::Error::other("wants careful or careless, and a directory")),
    }
}

fn save_carefully(dir: &Path) -> io::Result<()> {
    let new = staged(dir);
    let mut file = OpenOptions::new().write(true).create_new(true).open(&new)?;
    file.write_all(&content())?;
    file.sync_all()?;
    read_back(&new)?;
    std::fs::rename(&new, dir.join(NAME))?;
    File::open(dir)?.sync_all()?;
    read_back(&dir.join(NAME))
}

fn save_carelessly(dir: &Path) -> io::Result<()> {
    let new = staged(dir);
    let mut file = File::create(&new)?;
    let _ = file.write(&content());
    let _ = file.sync_all();
    std::fs::rename(&new, dir.join(NAME))
}

/// Where the file lies before it has its name.
pub(crate) fn staged(dir: &Path) -> PathBuf {
    dir.join("record.new")
}

fn read_back(path: &Path) -> io::Result<()> {
    let mut stored = Vec::new();
    File::open(path)?.read_to_end(&mut stored)?;
    (stored == content())
        .then_some(())
        .ok_or_else(|| io::Error::other("read back other bytes than were written"))
}
