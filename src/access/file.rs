//! The file of tokens: read whole, replaced whole, by one writer at a time.
//!
//! A crash leaves the old file or the new one. Only its owner may read it (0600). Knows nothing of who asks for what.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Read as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use nix::fcntl::{Flock, FlockArg};
use serde::{Deserialize, Serialize};

use super::{Token, Tokens};
use crate::replace::replace_file;

const FORMAT: u32 = 1;

/// Why the file could not be read or replaced.
#[derive(Debug, thiserror::Error)]
pub enum TokenFileError {
    /// The file system says no.
    #[error("{}: {source}", path.display())]
    Io {
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It is not what is written there.
    #[error("{}: not a file of tokens ({why}); nobody is let in by it until it is mended or removed", path.display())]
    Damaged { path: PathBuf, why: String },
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Contents {
    format: u32,
    tokens: Vec<Token>,
}

/// The tokens in the file at `path`; none when there is no file.
///
/// # Errors
/// It cannot be read, or not understood.
pub fn read(path: &Path) -> Result<Tokens, TokenFileError> {
    // A pipe whose other end nobody opens would hold up the start for ever.
    if fs::metadata(path).is_ok_and(|meta| !meta.is_file()) {
        let source = io::Error::other("it is not a regular file");
        return Err(TokenFileError::Io { path: path.to_owned(), source });
    }
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Tokens::default()),
        Err(error) => {
            let source = name_the_culprit(path, error);
            return Err(TokenFileError::Io { path: path.to_owned(), source });
        }
    };
    let damaged = |why: String| TokenFileError::Damaged { path: path.to_owned(), why };
    let contents: Contents = serde_json::from_slice(&bytes).map_err(|error| damaged(error.to_string()))?;
    if contents.format != FORMAT {
        return Err(damaged(format!("format {} is not known to this release", contents.format)));
    }
    Ok(Tokens(contents.tokens))
}

/// "Not a directory" does not say which part of the path.
fn name_the_culprit(path: &Path, error: io::Error) -> io::Error {
    let in_the_way = |part: &&Path| fs::metadata(part).is_ok_and(|meta| !meta.is_dir());
    match path.ancestors().skip(1).find(in_the_way) {
        Some(part) if error.kind() == io::ErrorKind::NotADirectory => {
            let text = format!("{} is not a directory; move it away, or name another place", part.display());
            io::Error::new(io::ErrorKind::NotADirectory, text)
        }
        _ => error,
    }
}

/// Changes the tokens in the file at `path`; concurrent changes wait for each other.
///
/// # Errors
/// As [`read`]; the file cannot be replaced (it is then as it was); or what `change` says, and nothing is written.
pub fn change<T, E: From<TokenFileError>>(
    path: &Path,
    change: impl FnOnce(&mut Tokens) -> Result<T, E>,
) -> Result<T, E> {
    let io = |source| TokenFileError::Io { path: path.to_owned(), source };
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs::create_dir_all(folder).map_err(io)?;
    // A file beside it, because the file itself is another one after each change.
    let mut options = OpenOptions::new();
    options.create(true).truncate(false).write(true).mode(0o600);
    let lock = options.open(path.with_extension("lock")).map_err(io)?;
    let _lock = Flock::lock(lock, FlockArg::LockExclusive).map_err(|(_, errno)| io(errno.into()))?;
    let mut tokens = read(path)?;
    let answer = change(&mut tokens)?;
    replace(path, tokens).map_err(io)?;
    Ok(answer)
}

fn replace(path: &Path, tokens: Tokens) -> io::Result<()> {
    let mut text = serde_json::to_string_pretty(&Contents { format: FORMAT, tokens: tokens.0 })?;
    text.push('\n');
    // Only its owner may read what lets people in.
    replace_file(path, &text, Permissions::from_mode(0o600))
}

/// 32 bytes from the kernel's generator.
///
/// # Errors
/// `/dev/urandom` cannot be read.
pub fn random_bytes() -> io::Result<[u8; 32]> {
    let mut bytes = [0; 32];
    File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::super::Role;
    use super::super::token::tests::token;
    use super::*;

    #[test]
    fn tokens_are_kept_for_their_owner_only_and_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state/tokens");
        assert_eq!(read(&path).unwrap(), Tokens::default());
        let (made, _) = token("ops", Role::Operator, 1);
        let add = |tokens: &mut Tokens| -> Result<(), TokenFileError> {
            tokens.0.push(made.clone());
            Ok(())
        };
        change(&path, add).unwrap();
        assert_eq!(read(&path).unwrap(), Tokens(vec![made.clone()]));
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn a_refused_change_writes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tokens");
        let refused = change(&path, |tokens| -> Result<(), TokenFileError> {
            tokens.0.clear();
            Err(TokenFileError::Damaged { path: "x".into(), why: "no".into() })
        });
        assert!(refused.is_err() && !path.exists());
    }

    #[test]
    fn what_is_no_file_of_tokens_is_an_error_and_never_an_empty_list() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tokens");
        for text in ["", "{}", "[]", r#"{"format":2,"tokens":[]}"#, r#"{"format":1,"tokens":[],"x":1}"#] {
            fs::write(&path, text).unwrap();
            assert!(matches!(read(&path), Err(TokenFileError::Damaged { .. })), "{text}");
        }
    }
}
