//! A value that follows some files: a thread of its own looks at them, so that no request ever waits for their disk.
//!
//! When the files cannot be understood the last good value stays, for half-written pairs; what must not outlive its file
//! says so by returning a value for "nothing".

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock, Weak};
use std::time::Duration;

use crate::storage::os::own_descriptor_table;

/// How soon a change is seen.
const INTERVAL: Duration = Duration::from_millis(500);

/// The value as of now.
#[derive(Debug)]
pub(in crate::api) struct Watched<T>(Arc<RwLock<Arc<T>>>);

impl<T> Clone for Watched<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T: Send + Sync + 'static> Watched<T> {
    /// Follows `paths` for as long as somebody holds the value; `read` makes a new one after a change.
    ///
    /// # Errors
    /// No thread can be started.
    pub(in crate::api) fn start(
        what: &'static str,
        paths: Vec<PathBuf>,
        first: T,
        read: impl Fn() -> Result<T, String> + Send + 'static,
    ) -> io::Result<Self> {
        let value = Self::fixed(first);
        let weak = Arc::downgrade(&value.0);
        std::thread::Builder::new().name(format!("watch-{what}")).spawn(move || {
            // Stuck on the files' disk, it must not keep the port or a root's lock alive.
            match own_descriptor_table() {
                Ok(()) => follow(what, &paths, &weak, &read),
                Err(errno) => tracing::error!("{what}: changes will not be seen before a restart: {errno}"),
            }
        })?;
        Ok(value)
    }

    /// A value that stays.
    pub(in crate::api) fn fixed(value: T) -> Self {
        Self(Arc::new(RwLock::new(Arc::new(value))))
    }

    /// The value now.
    pub(in crate::api) fn get(&self) -> Arc<T> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }
}

/// What tells one content of a file from another: nobody replaces a file without changing one of these.
#[derive(Debug, PartialEq, Eq)]
struct Stamp(u64, u64, i64, i64, i64, i64);

fn stamp(path: &Path) -> Option<Stamp> {
    let meta = fs::metadata(path).ok()?;
    Some(Stamp(meta.ino(), meta.size(), meta.mtime(), meta.mtime_nsec(), meta.ctime(), meta.ctime_nsec()))
}

fn follow<T>(
    what: &str,
    paths: &[PathBuf],
    value: &Weak<RwLock<Arc<T>>>,
    read: &dyn Fn() -> Result<T, String>,
) {
    // None: what was read before this thread began may be older than the files are now.
    let mut seen = None;
    while let Some(value) = value.upgrade() {
        let now: Vec<_> = paths.iter().map(|path| stamp(path)).collect();
        if seen.as_ref() != Some(&now) {
            match read() {
                Ok(new) => {
                    *value.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(new);
                    if seen.is_some() {
                        tracing::info!("{what}: read again");
                    }
                }
                Err(why) => tracing::error!("{what}: cannot be read again, what was known stays: {why}"),
            }
            seen = Some(now);
        }
        drop(value);
        std::thread::sleep(INTERVAL);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    #[test]
    fn a_changed_file_is_read_again_and_a_broken_one_changes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("f");
        fs::write(&path, "1").unwrap();
        let read_path = path.clone();
        let read = move || {
            let text = fs::read_to_string(&read_path).map_err(|error| error.to_string())?;
            text.parse::<u32>().map_err(|error| error.to_string())
        };
        let value = Watched::start("test", vec![path.clone()], 1, read).unwrap();
        let wait_for = |wanted| {
            let deadline = Instant::now() + Duration::from_secs(20);
            while *value.get() != wanted {
                assert!(Instant::now() < deadline, "{} is not {wanted}", value.get());
                std::thread::yield_now();
            }
        };
        fs::write(&path, "no number").unwrap();
        fs::write(folder.path().join("g"), "22").unwrap();
        fs::rename(folder.path().join("g"), &path).unwrap();
        wait_for(22);
    }
}
