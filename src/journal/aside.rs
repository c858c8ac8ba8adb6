//! The files of the journal in the state directory: their names, the lock, setting a damaged journal aside, syncs.
//!
//! It knows nothing of what is in the files, and deletes none but the leftovers of an interrupted creation.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use super::JournalError;

/// What SQLite appends to a database's name for the files beside it.
const SIDE_FILES: [&str; 3] = ["-wal", "-shm", "-journal"];

/// A damaged journal that was moved out of the way, or copied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SetAside {
    /// Its new name; the `-wal` beside it, if there was one, came along, so that `sqlite3` can still try it.
    pub file: PathBuf,
    /// What was wrong with it.
    pub reason: String,
}

/// The paths of one journal.
#[derive(Debug)]
pub(super) struct Files {
    pub(super) dir: PathBuf,
    pub(super) db: PathBuf,
    lock: PathBuf,
    fresh: PathBuf,
}

impl Files {
    /// The paths in `state_dir`, which is created if it is not there, durably.
    pub(super) fn in_dir(state_dir: &Path) -> Result<Self, JournalError> {
        let known = fs::metadata(state_dir).is_ok();
        let in_the_way = |part: &&Path| fs::metadata(part).is_ok_and(|meta| !meta.is_dir());
        if let Some(part) = state_dir.ancestors().find(in_the_way) {
            return Err(JournalError::NoDirectory { dir: state_dir.to_owned(), part: part.to_owned() });
        }
        io_error("creating", state_dir, fs::create_dir_all(state_dir))?;
        // Every new level has to be synced into the level above; for levels that were there it does no harm.
        if !known {
            let absolute = io_error("resolving", state_dir, state_dir.canonicalize())?;
            absolute.ancestors().try_for_each(sync_dir)?;
        }
        Ok(Self {
            dir: state_dir.to_owned(),
            db: state_dir.join("journal.db"),
            lock: state_dir.join("journal.lock"),
            fresh: state_dir.join("journal.db.new"),
        })
    }

    /// Takes the lock that keeps a second daemon away. It is a lock of the descriptor (`flock`): it goes with the
    /// process, and it does not depend on the database being readable.
    pub(super) fn lock(&self) -> Result<File, JournalError> {
        let opened = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&self.lock);
        let mut file = io_error("opening", &self.lock, opened)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut pid = String::new();
                let holder = match file.take(20).read_to_string(&mut pid) {
                    Ok(_) if !pid.is_empty() => format!("another daemon (process {})", pid.trim()),
                    _ => "another daemon".to_owned(),
                };
                return Err(JournalError::InUse { file: self.db.clone(), holder });
            }
            Err(TryLockError::Error(source)) => return io_error("locking", &self.lock, Err(source)),
        }
        // For the message above only, hence not synced, and on a full disk not there.
        let _ = file.set_len(0).and_then(|()| writeln!(file, "{}", std::process::id()));
        Ok(file)
    }

    /// The first `N` bytes of the database, fewer if it is shorter, and its length; `None` if it is not there.
    pub(super) fn head<const N: usize>(&self) -> Result<Option<(Vec<u8>, u64)>, JournalError> {
        let length_bytes = match fs::symlink_metadata(&self.db) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return io_error("examining", &self.db, Err(error)),
            Ok(meta) if !meta.is_file() => return Err(JournalError::NotRegular { file: self.db.clone() }),
            Ok(meta) => meta.len(),
        };
        let mut head = Vec::with_capacity(N);
        let read = File::open(&self.db).and_then(|file| file.take(N as u64).read_to_end(&mut head));
        io_error("reading", &self.db, read)?;
        Ok(Some((head, length_bytes)))
    }

    /// A side file that would be replayed into a database put beside it.
    pub(super) fn replayable_side_file(&self) -> Option<PathBuf> {
        ["-wal", "-journal"].map(|end| with_end(&self.db, end)).into_iter().find(|path| is_there(path))
    }

    /// Reads the database and its log from end to end, whatever they say.
    ///
    /// # Errors
    /// A part of them cannot be read: nothing is known of what it says.
    pub(super) fn read_through(&self) -> Result<(), JournalError> {
        for path in [self.db.clone(), with_end(&self.db, "-wal")] {
            match File::open(&path).and_then(|mut file| io::copy(&mut file, &mut io::sink())) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return io_error("reading", &path, Err(error));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Whether there is a write-ahead log with anything in it.
    pub(super) fn has_log(&self) -> bool {
        fs::metadata(with_end(&self.db, "-wal")).is_ok_and(|meta| meta.len() > 0)
    }

    /// Renames the database and its side files to the first free `journal.db.damaged-<n>`.
    ///
    /// The database goes first: were the write-ahead log renamed first and the power lost, the next start would take
    /// what is left for a whole journal.
    pub(super) fn set_aside(&self, reason: String) -> Result<SetAside, JournalError> {
        let target = self.free_name();
        for end in [""].into_iter().chain(SIDE_FILES) {
            let from = with_end(&self.db, end);
            if is_there(&from) {
                io_error("setting aside", &from, fs::rename(&from, with_end(&target, end)))?;
                sync_dir(&self.dir)?;
            }
        }
        Ok(SetAside { file: target, reason })
    }

    /// Copies the database and its log to the first free `journal.db.damaged-<n>`, durably.
    ///
    /// A start that was killed on the way leaves a copy that is not whole, and the next one makes another.
    pub(super) fn keep_copies(&self, reason: String) -> Result<SetAside, JournalError> {
        let target = self.free_name();
        for end in ["", "-wal"] {
            let (from, to) = (with_end(&self.db, end), with_end(&target, end));
            if is_there(&from) {
                let copied = fs::copy(&from, &to).and_then(|_| File::open(&to)?.sync_all());
                io_error("copying", &from, copied)?;
            }
        }
        sync_dir(&self.dir)?;
        Ok(SetAside { file: target, reason })
    }

    /// The first free name for what is damaged.
    fn free_name(&self) -> PathBuf {
        let taken = |target: &PathBuf| {
            is_there(target) || SIDE_FILES.iter().any(|end| is_there(&with_end(target, end)))
        };
        (1_u64..)
            .map(|n| with_end(&self.db, &format!(".damaged-{n}")))
            .find(|target| !taken(target))
            .expect("a directory holds fewer than 2^64 names")
    }

    /// The bytes of the write-ahead log, at most `most_bytes` of them; `None` when there is none.
    pub(super) fn log(&self, most_bytes: u64) -> Result<Option<Vec<u8>>, JournalError> {
        let path = with_end(&self.db, "-wal");
        let mut bytes = Vec::new();
        match File::open(&path).and_then(|file| file.take(most_bytes).read_to_end(&mut bytes)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            read => io_error("reading", &path, read).map(|_| Some(bytes)),
        }
    }

    /// A path to build a fresh database at; leftovers of a build that was interrupted are removed, nothing was ever
    /// recorded in them.
    pub(super) fn begin_fresh(&self) -> Result<&Path, JournalError> {
        for end in [""].into_iter().chain(SIDE_FILES) {
            let path = with_end(&self.fresh, end);
            match fs::remove_file(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return io_error("removing", &path, Err(error));
                }
                _ => {}
            }
        }
        Ok(&self.fresh)
    }

    /// Makes the fresh database the journal, durably. Until then there is none: an empty or half-made `journal.db` is
    /// therefore always damage, never a creation that was interrupted.
    pub(super) fn publish_fresh(&self) -> Result<(), JournalError> {
        let synced = File::open(&self.fresh).and_then(|file| file.sync_all());
        io_error("syncing", &self.fresh, synced)?;
        io_error("renaming", &self.fresh, fs::rename(&self.fresh, &self.db))?;
        sync_dir(&self.dir)
    }
}

fn with_end(path: &Path, end: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(end);
    PathBuf::from(name)
}

/// Whether there is anything of that name, a dangling link included.
fn is_there(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok()
}

fn sync_dir(dir: &Path) -> Result<(), JournalError> {
    io_error("syncing", dir, File::open(dir).and_then(|dir| dir.sync_all()))
}

pub(super) fn io_error<T>(
    doing: &'static str,
    path: &Path,
    result: io::Result<T>,
) -> Result<T, JournalError> {
    result.map_err(|source| JournalError::Io { doing, path: path.to_owned(), source })
}
