//! Which files a directory brings to a new tablet. Reads names and sizes; opens nothing.

use std::path::Path;

use walkdir::WalkDir;

use crate::model::{ErrorCode, Failure, FileEntry, Manifest, counted, printable};
use crate::storage::{Dir, EntryKind};

/// Entries that a refusal names; of the others it says how many there are.
const NAMED: usize = 5;

/// Lists a directory as a manifest without checksums: a copy takes them while it reads.
///
/// # Errors
/// `UNEXPECTED_ENTRY` naming what is not a plain, visible, regular file: all at once, so that nobody mends one per try.
pub(super) fn list_files(dir: &Dir) -> Result<Manifest, Failure> {
    let (mut files, mut refused) = (Vec::new(), Vec::new());
    for entry in dir.entries()? {
        let mut refuse = |what: String| refused.push((entry.name.clone(), what));
        match (entry.kind, entry.name.to_str()) {
            (EntryKind::Directory, _) => refuse(directory(&dir.path().join(&entry.name))),
            (kind @ (EntryKind::Symlink | EntryKind::Special), _) => refuse(kind.as_str().to_owned()),
            (EntryKind::File, None) => refuse("its name is not UTF-8".to_owned()),
            (EntryKind::File, Some(name)) if name.starts_with('.') => {
                refuse("a hidden file: remove it, or give it a plain name".to_owned());
            }
            (EntryKind::File, Some(name)) => match dir.stat(name)? {
                Some(stat) => {
                    let size_bytes = u64::try_from(stat.st_size).unwrap_or(0);
                    files.push(FileEntry { name: name.to_owned(), size_bytes, crc32: None });
                }
                None => refuse("vanished while the directory was read".to_owned()),
            },
        }
    }
    if !refused.is_empty() {
        refused.sort();
        let named = refused.iter().take(NAMED);
        let named = named.map(|(name, what)| format!("{} ({what})", printable(&name.to_string_lossy())));
        let mut text = named.collect::<Vec<_>>().join(", ");
        if refused.len() > NAMED {
            text += &format!(" and {} more", refused.len() - NAMED);
        }
        let text = format!("{}: {text}; a tablet has regular files only", dir.path().display());
        return Err(Failure::new(ErrorCode::UnexpectedEntry, text));
    }
    Manifest::new(files).map_err(|error| Failure::new(ErrorCode::UnexpectedEntry, error.to_string()))
}

/// How much is in a directory decides whether it may be left behind. What cannot be read is not counted.
fn directory(path: &Path) -> String {
    let below = WalkDir::new(path).same_file_system(true).into_iter().flatten();
    match below.filter(|entry| entry.file_type().is_file()).count() {
        0 => "a directory without files".to_owned(),
        files => format!("a directory with {}", counted(files, "file")),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn everything_that_no_tablet_has_is_named_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::create_dir_all(at("_binlog/deeper")).unwrap();
        for name in ["0_0.dat", "_binlog/1", "_binlog/deeper/2", ".hidden"] {
            fs::write(at(name), "x").unwrap();
        }
        symlink("0_0.dat", at("link")).unwrap();
        let message = list_files(&Dir::open_absolute(folder.path()).unwrap()).unwrap_err().message;
        let expected = ".hidden (a hidden file: remove it, or give it a plain name), \
                        _binlog (a directory with 2 files), link (a symlink); a tablet has regular files only";
        assert_eq!(message, format!("{}: {expected}", folder.path().display()));
        for number in 0..NAMED {
            fs::create_dir(at(&format!("_{number}"))).unwrap();
        }
        let message = list_files(&Dir::open_absolute(folder.path()).unwrap()).unwrap_err().message;
        assert!(message.contains(" and 3 more; "), "{message}");
    }
}
