//! Which files a directory brings to a new tablet. Reads names and sizes; opens nothing.

use crate::model::{ErrorCode, Failure, FileEntry, Manifest};
use crate::storage::{Dir, EntryKind};

/// Lists a directory as a manifest without checksums: a copy takes them while it reads.
///
/// # Errors
/// `UNEXPECTED_ENTRY` naming the first entry that is not a plain, visible, regular file.
pub(super) fn list_files(dir: &Dir) -> Result<Manifest, Failure> {
    let mut files = Vec::new();
    for entry in dir.entries()? {
        let path = dir.path().join(&entry.name);
        let refused = |what: &str| {
            let text = format!("{}: {what}; a tablet has regular files only", path.display());
            Failure::new(ErrorCode::UnexpectedEntry, text)
        };
        if entry.kind != EntryKind::File {
            return Err(refused(entry.kind.as_str()));
        }
        let name = entry.name.to_str().ok_or_else(|| refused("a name that is not UTF-8"))?;
        if name.starts_with('.') {
            return Err(refused("a hidden file: remove it, or give it a plain name"));
        }
        let stat = dir.stat(name)?.ok_or_else(|| refused("vanished while the directory was read"))?;
        let size_bytes = u64::try_from(stat.st_size).unwrap_or(0);
        files.push(FileEntry { name: name.to_owned(), size_bytes, crc32: None });
    }
    Manifest::new(files).map_err(|error| Failure::new(ErrorCode::UnexpectedEntry, error.to_string()))
}
