//! What can be wrong with the metadata database of a Doris root.

/// Why a database, or a part of it, is not taken.
///
/// Damage and what is not understood are told apart: the first calls for a rescue, the second for another program. Neither
/// is ever guessed around.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DorisError {
    /// Bytes are not what their checksum, length or format say.
    #[error("{file}, offset {offset}: {why}")]
    Damaged {
        /// Name of the file below `meta/`.
        file: String,
        /// Where in it, in bytes.
        offset: u64,
        why: String,
    },
    /// Well formed, and of a kind that the backend's own library does not write, or that is not handled here.
    #[error("{file}: {what} is not understood; nothing is guessed")]
    NotUnderstood {
        /// Name of the file below `meta/`.
        file: String,
        what: String,
    },
    /// A file that must be there is not.
    #[error("{file} is missing")]
    Missing {
        /// Its name below `meta/`.
        file: String,
    },
    /// The bytes were not given.
    #[error("{file} cannot be read: {why}")]
    Unreadable {
        /// Name of the file below `meta/`.
        file: String,
        /// What the system said.
        why: String,
    },
}

impl DorisError {
    pub(super) fn damaged(file: &str, offset: u64, why: impl Into<String>) -> Self {
        Self::Damaged { file: file.to_owned(), offset, why: why.into() }
    }

    pub(super) fn not_understood(file: &str, what: impl Into<String>) -> Self {
        Self::NotUnderstood { file: file.to_owned(), what: what.into() }
    }
}

/// A message, key or batch that does not say what it should: what is wrong, in words. Its caller knows where it lies.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Malformed(pub &'static str);
