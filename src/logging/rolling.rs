//! A file of lines that is put aside when it is full.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

/// Appends to `path`; at `max_bytes` that becomes `path.1`, what was that `path.2`, up to `keep`.
#[derive(Debug)]
pub struct Rolling {
    path: PathBuf,
    max_bytes: u64,
    keep: u32,
    open: Option<(File, u64)>,
}

impl Rolling {
    /// Opens, or begins, the file at `path`, and its folder.
    ///
    /// # Errors
    /// It cannot be written, or is no regular file.
    pub fn open(path: &Path, max_bytes: u64, keep: u32) -> io::Result<Self> {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).map_err(|error| why_no_folder(folder, error))?;
        }
        append_to(path)?;
        Ok(Self { path: path.to_owned(), max_bytes, keep, open: None })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Appends bytes that belong together: they are in one file and come by one call.
    ///
    /// # Errors
    /// They could not be written whole. The file is opened again for the next ones.
    pub fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        let appended = self.try_append(bytes);
        if appended.is_err() {
            self.open = None;
        }
        appended
    }

    fn try_append(&mut self, bytes: &[u8]) -> io::Result<()> {
        let added = bytes.len() as u64;
        if self.open.as_ref().is_some_and(|(_, size)| size + added > self.max_bytes) {
            self.open = None;
            self.put_aside()?;
        }
        if self.open.is_none() {
            let file = append_to(&self.path)?;
            let size = file.metadata()?.len();
            self.open = Some((file, size));
        }
        let Some((file, size)) = &mut self.open else { return Ok(()) };
        file.write_all(bytes)?;
        *size += added;
        Ok(())
    }

    fn put_aside(&self) -> io::Result<()> {
        let numbered = |number: u32| PathBuf::from(format!("{}.{number}", self.path.display()));
        for number in (1..self.keep).rev() {
            match fs::rename(numbered(number), numbered(number + 1)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        fs::rename(&self.path, numbered(1))
    }
}

impl Write for Rolling {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.append(bytes).map(|()| bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// "File exists" says neither which file nor what to do about it.
fn why_no_folder(folder: &Path, error: io::Error) -> io::Error {
    let in_the_way = |part: &&Path| fs::metadata(part).is_ok_and(|meta| !meta.is_dir());
    folder.ancestors().find(in_the_way).map_or(error, |part| {
        let text = format!("{} is not a directory; move it away, or name another file", part.display());
        io::Error::new(io::ErrorKind::NotADirectory, text)
    })
}

fn append_to(path: &Path) -> io::Result<File> {
    // A pipe whose other end nobody opens would hold up the start, or every line, for ever.
    if fs::metadata(path).is_ok_and(|meta| !meta.is_file()) {
        return Err(io::Error::other("it is not a regular file"));
    }
    OpenOptions::new().create(true).append(true).mode(0o640).open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_log_is_put_aside_and_only_so_many_are_kept() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log/some.log");
        let mut log = Rolling::open(&path, 10, 2).unwrap();
        for text in ["first\n", "second\n", "third\n", "fourth\n"] {
            log.append(text.as_bytes()).unwrap();
        }
        let read = |name: &str| fs::read_to_string(folder.path().join("log").join(name)).unwrap();
        assert_eq!(
            [read("some.log"), read("some.log.1"), read("some.log.2")],
            ["fourth\n", "third\n", "second\n"]
        );
        assert_eq!(fs::read_dir(folder.path().join("log")).unwrap().count(), 3);
    }
}
