//! The manifest: which files make up a tablet, with size and checksum.

use serde::{Deserialize, Serialize};

use super::text::quoted;

/// One file of a tablet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileEntry {
    /// A plain file name: no slash, not `.` or `..`.
    pub name: String,
    pub size_bytes: u64,
    /// CRC-32 (ISO-HDLC, as zlib's) of the whole file. `None` only where the metadata store keeps no checksum per file
    /// (a Doris root): the copy is then checked against what was read, not against what was once written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub crc32: Option<u32>,
}

/// The files of a tablet, sorted by name, no name twice.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Manifest {
    files: Vec<FileEntry>,
}

/// Why a name cannot be a tablet file's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{} cannot be the name of a tablet file: {why}", quoted(name))]
pub struct InvalidFileName {
    pub name: String,
    /// What is wrong with it.
    pub why: &'static str,
}

/// Accepts plain file names of at most 255 bytes (`NAME_MAX`).
pub fn check_file_name(name: &str) -> Result<(), InvalidFileName> {
    let why = if name.is_empty() {
        "it is empty"
    } else if name == "." || name == ".." {
        "it names a directory"
    } else if name.contains('/') {
        "it contains a slash"
    } else if name.contains('\0') {
        "it contains a NUL byte"
    } else if name.len() > 255 {
        "it is longer than 255 bytes"
    } else {
        return Ok(());
    };
    Err(InvalidFileName { name: name.to_owned(), why })
}

impl Manifest {
    /// Sorts the files by name and checks every name.
    ///
    /// # Errors
    /// A name that cannot be a tablet file's, or one that occurs twice.
    pub fn new(mut files: Vec<FileEntry>) -> Result<Self, InvalidFileName> {
        files.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        let manifest = Self { files };
        manifest.check()?;
        Ok(manifest)
    }

    /// Checks what a manifest read from a disk must satisfy: valid names in strictly ascending order.
    ///
    /// # Errors
    /// The first name that breaks it.
    pub fn check(&self) -> Result<(), InvalidFileName> {
        self.files.iter().try_for_each(|file| check_file_name(&file.name))?;
        match self.files.windows(2).find(|pair| pair[0].name >= pair[1].name) {
            Some(pair) => {
                Err(InvalidFileName { name: pair[1].name.clone(), why: "it occurs twice or is out of order" })
            }
            None => Ok(()),
        }
    }

    /// The files, ascending by name.
    pub fn files(&self) -> &[FileEntry] {
        &self.files
    }

    /// The entry of that name.
    pub fn get(&self, name: &str) -> Option<&FileEntry> {
        self.files.binary_search_by(|file| file.name.as_str().cmp(name)).ok().map(|at| &self.files[at])
    }

    /// Sum of all sizes.
    pub fn total_bytes(&self) -> u64 {
        self.files.iter().map(|file| file.size_bytes).fold(0, u64::saturating_add)
    }
}
