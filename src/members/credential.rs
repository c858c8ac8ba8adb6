//! Credentials by reference: a name stands for a file in one directory, read when it is needed. No secret is kept, stored
//! or shown; a file that changes is believed at the next call.

use std::fs;
use std::path::PathBuf;

use crate::model::fleet::check_name;

/// The directory of credentials; such as `$CREDENTIALS_DIRECTORY` of systemd.
#[derive(Debug, Clone, Default)]
pub struct Credentials(Option<PathBuf>);

impl Credentials {
    /// Files in this directory; none at all without one.
    pub const fn new(directory: Option<PathBuf>) -> Self {
        Self(directory)
    }

    /// The secret of this name.
    ///
    /// # Errors
    /// In words, naming the file and never what is in it.
    pub fn read(&self, name: &str) -> Result<String, String> {
        check_name("credential", name).map_err(|error| error.to_string())?;
        let Some(directory) = &self.0 else {
            return Err(format!("credential {name}: tabletfleet was started without --credentials-dir"));
        };
        let path = directory.join(name);
        let text =
            fs::read_to_string(&path).map_err(|error| format!("credential {}: {error}", path.display()))?;
        let secret = text.trim_end_matches(['\r', '\n']);
        if secret.is_empty() || secret.contains(['\r', '\n']) {
            return Err(format!("credential {}: the file must have one line", path.display()));
        }
        Ok(secret.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_a_file_of_one_line_and_never_a_path() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("be"), "secret\n").unwrap();
        fs::write(dir.path().join("two"), "a\nb\n").unwrap();
        let credentials = Credentials::new(Some(dir.path().to_owned()));
        assert_eq!(credentials.read("be"), Ok("secret".to_owned()));
        for bad in ["two", "none", "../be", "/etc/passwd", ".hidden", ""] {
            assert!(credentials.read(bad).is_err(), "{bad}");
        }
        assert!(Credentials::new(None).read("be").unwrap_err().contains("--credentials-dir"));
    }
}
