//! A small file replaced whole: written aside, synced, renamed over the old one, its folder synced.
//!
//! A crash leaves the old file or the new one. What was written aside goes with an error, and after a kill with the next
//! change. For files that are no part of a storage root; callers see to it that one of them writes at a time.

use std::fs::{self, File, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use tempfile::Builder;

/// Puts `contents` in place of the file at `path`, with these permissions; its folder must be there.
///
/// # Errors
/// Any failure of the file system. Before the rename the file is as it was; after a failed sync of the folder it may be
/// the old one again when the power is lost.
pub fn replace_file(path: &Path, contents: &str, permissions: Permissions) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let name = path.file_name().ok_or(io::ErrorKind::IsADirectory)?;
    let mut aside_name = name.to_owned();
    aside_name.push(".tmp");
    match fs::remove_file(folder.join(&aside_name)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let readable_by_its_owner = Permissions::from_mode(0o600);
    let mut builder = Builder::new();
    // A name of its own each time would leave one file behind for each kill.
    let builder = builder.prefix(&aside_name).rand_bytes(0).permissions(readable_by_its_owner);
    let mut aside = builder.tempfile_in(folder)?;
    aside.write_all(contents.as_bytes())?;
    aside.as_file().set_permissions(permissions)?;
    // Before the rename: else a power cut could leave the name over an empty file.
    aside.as_file().sync_all()?;
    aside.persist(path).map_err(|error| error.error)?;
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_whole_and_what_a_kill_left_goes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tokens");
        fs::write(folder.path().join("tokens.tmp"), "half of it").unwrap();
        for (contents, mode) in [("one", 0o600), ("two", 0o644)] {
            replace_file(&path, contents, Permissions::from_mode(mode)).unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), contents);
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, mode);
            assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        }
    }

    #[test]
    fn what_cannot_be_put_in_place_leaves_nothing_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let in_the_way = folder.path().join("tokens");
        fs::create_dir(&in_the_way).unwrap();
        replace_file(&in_the_way, "x", Permissions::from_mode(0o600)).unwrap_err();
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
