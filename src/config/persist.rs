//! Keeps a changed key in be_custom.conf, so that it is in force after the next start too.
//!
//! A crash leaves the old file or the new one, never half of either. Never touches be.conf, which is the operator's.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use super::grammar::Sheet;
use crate::model::quoted;
use crate::replace::replace_file;

/// Why a changed key was not kept. It is in force until the next start.
#[derive(Debug, thiserror::Error)]
pub enum PersistError {
    /// A file of lines cannot say this value.
    #[error(
        "{key} = {} cannot be written to a line of be_custom.conf; set it without persist",
        quoted(value)
    )]
    NotRepresentable { key: String, value: String },
    /// The file is a Doris backend's.
    #[error("{} is the Doris backend's, and is never written to; write the key into be.conf", path.display())]
    NotOurs { path: PathBuf },
    /// The file could not be replaced; the old one stands.
    #[error("cannot write {}: {source}; the change holds until the next start only", path.display())]
    Io {
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

const HEADER: &str =
    "# Written by the daemon when a key is changed with persist=true. Read after be.conf; wins over it.\n";

/// Two requests at once would each write the other's change away.
static ONE_WRITER: Mutex<()> = Mutex::new(());

/// Sets `key = value` in the file at `custom_file`, creating it if needed: written beside it, synced, renamed over
/// it, its folder synced. Comments and other keys stay.
///
/// # Errors
/// A value no line can say, or any failure of the file system; the file is then as it was.
pub fn persist(custom_file: &Path, key: &str, value: &str) -> Result<(), PersistError> {
    if !survives_a_line(key, value) {
        return Err(PersistError::NotRepresentable { key: key.to_owned(), value: value.to_owned() });
    }
    let _writer = ONE_WRITER.lock().unwrap_or_else(PoisonError::into_inner);
    replace(custom_file, key, value)
        .map_err(|source| PersistError::Io { path: custom_file.to_owned(), source })
}

/// Whether the file at `custom_file` has a line of `key`, which wins over be.conf's.
pub fn is_kept(custom_file: &Path, key: &str) -> bool {
    fs::read_to_string(custom_file).is_ok_and(|text| Sheet::parse("", &text).last(key).is_some())
}

/// The text of be_custom.conf with `key` set to `value`: in place of its last line, or at the end. Earlier lines of
/// the same key go.
pub fn with_key(text: &str, key: &str, value: &str) -> String {
    let is_of_key = |line: &&str| Sheet::parse("", line).last(key).is_some();
    // With their ends: what else stands in the file stays byte for byte.
    let lines: Vec<_> = text.split_inclusive('\n').collect();
    let last = lines.iter().rposition(is_of_key);
    let mut changed = String::with_capacity(text.len() + key.len() + value.len() + 4);
    for (index, line) in lines.into_iter().enumerate() {
        if Some(index) == last {
            changed.push_str(&format!("{key} = {value}\n"));
        } else if !is_of_key(&line) {
            changed.push_str(line);
        }
    }
    if !changed.is_empty() && !changed.ends_with('\n') {
        changed.push('\n');
    }
    if last.is_none() {
        changed.push_str(&format!("{key} = {value}\n"));
    }
    changed
}

fn survives_a_line(key: &str, value: &str) -> bool {
    let sheet = Sheet::parse("", &format!("{key} = {value}"));
    let [entry] = sheet.entries.as_slice() else { return false };
    entry.key == key && entry.value == value && !value.contains("${") && !value.chars().any(char::is_control)
}

fn replace(custom_file: &Path, key: &str, value: &str) -> io::Result<()> {
    // A link stays a link: its target is replaced.
    let (target, text, permissions) = match fs::canonicalize(custom_file) {
        Ok(target) => {
            let text = fs::read_to_string(&target)?;
            let permissions = fs::metadata(&target)?.permissions();
            (target, text, permissions)
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            (custom_file.to_owned(), HEADER.to_owned(), Permissions::from_mode(0o644))
        }
        Err(error) => return Err(error),
    };
    replace_file(&target, &with_key(&text, key, value), permissions)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_replaced_where_it_stands_or_appended() {
        for (text, expected) in [
            ("", "a = 2\n"),
            ("# note\nb = 1\n", "# note\nb = 1\na = 2\n"),
            ("b = 1", "b = 1\na = 2\n"),
            ("a = 1\nb = 1\n", "a = 2\nb = 1\n"),
            ("  a=1\n# a = 7\n\na = 3\nb = 1\n", "# a = 7\n\na = 2\nb = 1\n"),
        ] {
            assert_eq!(with_key(text, "a", "2"), expected, "{text:?}");
        }
    }

    #[test]
    fn a_change_is_in_the_file_and_nothing_is_left_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("be_custom.conf");
        persist(&file, "hdd_read_slots", "2").unwrap();
        persist(&file, "broken_storage_path", "/a;/b;").unwrap();
        persist(&file, "hdd_read_slots", "3").unwrap();
        assert_eq!(
            fs::read_to_string(&file).unwrap(),
            format!("{HEADER}hdd_read_slots = 3\nbroken_storage_path = /a;/b;\n")
        );
        let names: Vec<_> =
            fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(names, ["be_custom.conf"]);
        assert!(is_kept(&file, "hdd_read_slots") && !is_kept(&file, "b") && !is_kept(folder.path(), "b"));
    }

    #[test]
    fn mode_links_and_leftovers_are_respected() {
        use std::os::unix::fs::symlink;
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("real.conf");
        let link = folder.path().join("be_custom.conf");
        fs::write(&target, "a = 1\n").unwrap();
        fs::set_permissions(&target, Permissions::from_mode(0o640)).unwrap();
        fs::write(folder.path().join("real.conf.tmp"), "half of a crash").unwrap();
        symlink(&target, &link).unwrap();
        persist(&link, "a", "2").unwrap();
        assert_eq!(fs::read_to_string(&target).unwrap(), "a = 2\n");
        assert_eq!(fs::metadata(&target).unwrap().permissions().mode() & 0o777, 0o640);
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    }

    #[test]
    fn what_a_line_cannot_say_is_refused_and_the_file_stays() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("be_custom.conf");
        for value in ["/a\n/b", " /a", "/a ", "${HOME}", "/a\u{1}"] {
            let refused = persist(&file, "broken_storage_path", value);
            assert!(matches!(refused, Err(PersistError::NotRepresentable { .. })), "{value:?}");
        }
        assert!(!file.exists());
        let nowhere = folder.path().join("no/such/folder/be_custom.conf");
        let error = persist(&nowhere, "a", "1").unwrap_err().to_string();
        assert!(error.contains("no/such/folder/be_custom.conf") && error.contains("next start"), "{error}");
    }
}
