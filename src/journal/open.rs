//! Opening the journal: lock, examine, set aside what is damaged, create what is missing.
//!
//! Nothing is written to a file before it was found to be a whole journal of a version this release knows.

use std::cell::{Cell, OnceCell};
use std::path::Path;

use rusqlite::{Connection, ErrorCode};

use crate::model::{MigrationId, quoted};

use super::aside::{Files, SetAside};
use super::wal::{self, LogDamage};
use super::{Journal, JournalError, schema};

/// What opening found, for the log and for alarms.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opened {
    /// Where the journal came from.
    pub origin: Origin,
    /// The number the next accepted migration gets, unless [`Journal::ensure_next_id_above`] raises it.
    pub next_id: MigrationId,
    /// What has a number from here up to `next_id` and no row was accepted by this very journal, and has ended: only
    /// what has ended is pruned. Numbers before it are of a journal that was lost.
    pub history_from: MigrationId,
}

/// Where an open journal came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// It was there and whole.
    Existing,
    /// There was none: the first start with this state directory.
    Created,
    /// What was there was damaged and kept under another name; a fresh one was begun, without history and with an
    /// up-time of 0. Raise an alarm, and recover from what the disks hold.
    Replaced(SetAside),
    /// It was there, but its log is damaged: what was committed from some point on is lost, and copies of the files were
    /// kept. What it says may be outdated. Raise an alarm, and believe the disks.
    CutShort {
        /// The copies, and what is wrong in words.
        kept: SetAside,
        /// Where the log is damaged, and how much of it is lost.
        damage: LogDamage,
    },
    /// It is there and whole, and the disks know more: an older state of it was put in its place. What is wrong, in words.
    Outdated(String),
}

impl Origin {
    /// What was lost, in words; `None` when everything that was ever committed is there, as far as the file can tell.
    pub fn loss(&self) -> Option<String> {
        match self {
            Self::Existing | Self::Created => None,
            Self::Replaced(aside) => Some(format!(
                "the journal was damaged ({}) and is kept as {}; what the disks hold decides",
                aside.reason,
                aside.file.display()
            )),
            Self::CutShort { kept, .. } => Some(format!(
                "the journal's log was damaged ({}), and all that it said behind that is lost: what was accepted, ended, \
                 pinned or disabled last; the files as they were are kept as {}; what the disks hold decides, and no \
                 migration or task of before goes on unasked",
                kept.reason,
                kept.file.display()
            )),
            Self::Outdated(why) => Some(why.clone()),
        }
    }

    /// Whether it is there and may have forgotten what was acknowledged last.
    pub const fn lost_its_end(&self) -> bool {
        matches!(self, Self::CutShort { .. } | Self::Outdated(_))
    }
}

/// Rows of migrations that a page of the database holds at most, generously: none is shorter than 256 bytes.
const ROWS_PER_FRAME_MAX: u64 = 16;

/// Bytes of the log that are looked at: many times what it grows to.
const LOG_BYTES_MAX: u64 = 1 << 30;

/// What is at the journal's path.
enum Finding {
    Nothing,
    Good(Connection),
    Damaged {
        reason: String,
        /// The highest number ever given out, if it could still be read.
        last_id: Option<u64>,
    },
}

/// Why a database is not taken as it is.
enum Rejection {
    Damage(String),
    /// Leave it alone and do not start.
    Stop(JournalError),
}

impl Journal {
    /// Opens the journal in `state_dir`; both are created, durably, if they are not there.
    ///
    /// The whole file is read once (`PRAGMA quick_check`).
    ///
    /// # Errors
    /// The directory or file cannot be made, read or locked; another daemon holds it; the file is of a newer release
    /// or of another program. A damaged file is no error, see [`Origin::Replaced`].
    pub fn open(state_dir: &Path) -> Result<(Self, Opened), JournalError> {
        let files = Files::in_dir(state_dir)?;
        let lock = files.lock()?;
        // Before SQLite writes: it forgets what is behind a bad frame, and then writes over it.
        let damage = files.log(LOG_BYTES_MAX)?.as_deref().and_then(wal::damage);
        let (conn, origin, salvaged) = match examine_twice(&files)? {
            Finding::Good(conn) => (conn, existing(&files, damage)?, None),
            Finding::Nothing => (create(&files)?, Origin::Created, None),
            Finding::Damaged { reason, last_id } => {
                let aside = files.set_aside(reason)?;
                (create(&files)?, Origin::Replaced(aside), last_id)
            }
        };
        let mut journal = Self {
            conn,
            file: files.db,
            next_id: 1,
            first_error: OnceCell::new(),
            wants_space: Cell::new(false),
            _lock: lock,
        };
        schema::allow_writes(&journal.conn)
            .and_then(|()| schema::upgrade(&journal.conn))
            .map_err(|source| journal.fail("setting up the journal", source))?;
        for sql in [LAST_NUMBERED, LAST_ROW] {
            let last_id = last_id(&journal.conn, sql)
                .map_err(|source| journal.fail("reading the last number", source))?;
            journal.next_id = journal.next_id.max(last_id + 1);
        }
        if let Some(id) = salvaged {
            journal.ensure_next_id_above(MigrationId(id))?;
        }
        if let Origin::CutShort { damage, .. } = &origin {
            // Numbers that were given out in what is lost are not given out again.
            let given_out = damage.frames_lost.saturating_mul(ROWS_PER_FRAME_MAX);
            journal.distrust(MigrationId(journal.next_id.saturating_add(given_out)))?;
        }
        schema::fold_log(&journal.conn).map_err(|source| journal.fail("folding the log in", source))?;
        let next_id = MigrationId(journal.next_id);
        // One that does not say may have begun after another was lost: then nothing counts as pruned.
        let history_from = journal.history_from()?.map_or(next_id, MigrationId);
        Ok((journal, Opened { origin, next_id, history_from }))
    }
}

/// Keeps a copy of everything when the log is damaged.
fn existing(files: &Files, damage: Option<LogDamage>) -> Result<Origin, JournalError> {
    let Some(damage) = damage else { return Ok(Origin::Existing) };
    let reason = format!(
        "a bad frame at byte {} of journal.db-wal, and {} sound ones of later transactions behind it",
        damage.at_byte, damage.frames_lost
    );
    Ok(Origin::CutShort { kept: files.keep_copies(reason)?, damage })
}

/// [`examine`], and once more before anything is called damaged. SQLite answers a read that failed with "malformed"
/// (`SQLITE_IOERR_CORRUPTFS`, `src/os_unix.c` and `src/vdbe.c`): only a file that can be read from end to end and is found
/// damaged all the same is.
fn examine_twice(files: &Files) -> Result<Finding, JournalError> {
    match examine(files)? {
        Finding::Damaged { .. } => {
            files.read_through()?;
            examine(files)
        }
        found => Ok(found),
    }
}

/// Looks at what is there, without changing it.
fn examine(files: &Files) -> Result<Finding, JournalError> {
    let damaged = |reason: String| Ok(Finding::Damaged { reason, last_id: None });
    let Some((head, length_bytes)) = files.head::<HEADER_BYTES>()? else {
        return match files.replayable_side_file() {
            Some(orphan) => {
                damaged(format!("{} is there, but not the database it belongs to", quoted(&orphan)))
            }
            None => Ok(Finding::Nothing),
        };
    };
    // By hand first: SQLite takes an empty file for a new database, and deletes the log beside it.
    match check_header(files, &head, length_bytes) {
        Ok(()) => {}
        Err(Rejection::Damage(reason)) => return damaged(reason),
        Err(Rejection::Stop(error)) => return Err(error),
    }
    let conn = match schema::connect_untouching(&files.db) {
        Ok(conn) => conn,
        Err(error) => match sqlite_rejection(files, "opening the journal", error) {
            Rejection::Damage(reason) => return damaged(reason),
            Rejection::Stop(error) => return Err(error),
        },
    };
    match check_database(files, &conn) {
        Ok(()) => Ok(Finding::Good(conn)),
        Err(Rejection::Stop(error)) => Err(error),
        Err(Rejection::Damage(reason)) => {
            // A damaged number must not use up all others; 2^53 is also what JSON clients can count to.
            let readable = [LAST_NUMBERED, LAST_ROW].map(|sql| last_id(&conn, sql).unwrap_or(0));
            let last_id = readable.into_iter().max().filter(|id| (1..1 << 53).contains(id));
            Ok(Finding::Damaged { reason, last_id })
        }
    }
}

/// Makes a fresh journal where there is none, and opens it.
fn create(files: &Files) -> Result<Connection, JournalError> {
    let path = files.begin_fresh()?;
    Connection::open(path)
        .and_then(|conn| schema::create(&conn).and_then(|()| conn.close().map_err(|(_, error)| error)))
        .map_err(|source| JournalError::Sqlite {
            file: path.to_owned(),
            doing: "creating a fresh journal",
            source,
        })?;
    files.publish_fresh()?;
    let reason = match examine(files)? {
        Finding::Good(conn) => return Ok(conn),
        Finding::Nothing => "it is gone".to_owned(),
        Finding::Damaged { reason, .. } => reason,
    };
    Err(JournalError::FreshUnreadable { file: files.db.clone(), reason })
}

/// Length of the header of an SQLite database (<https://sqlite.org/fileformat.html#the_database_header>).
const HEADER_BYTES: usize = 100;

fn check_header(files: &Files, head: &[u8], length_bytes: u64) -> Result<(), Rejection> {
    if head.is_empty() {
        return Err(Rejection::Damage("it is empty".to_owned()));
    }
    let word =
        |at: usize| head.get(at..at + 4).and_then(|bytes| bytes.try_into().ok()).map(u32::from_be_bytes);
    let (Some(user_version), Some(application_id), true) =
        (word(60), word(68), head.starts_with(b"SQLite format 3\0"))
    else {
        return Err(Rejection::Damage("it does not begin with the header of an SQLite database".to_owned()));
    };
    check_stamp(files, application_id, user_version.cast_signed())?;
    // We write nothing else, and SQLite notices only when it is too late to set the file aside.
    if word(56) != Some(1) {
        return Err(Rejection::Damage("its text is not said to be UTF-8".to_owned()));
    }
    // SQLite fills up a page that is cut with zeros and says nothing. A copy of the log into the file that was
    // interrupted (full disk) may leave one, but then the log still has the whole page.
    let page_bytes = u64::from(word(16).unwrap_or(0) >> 16);
    if page_bytes > 1 && !length_bytes.is_multiple_of(page_bytes) && !files.has_log() {
        return Err(Rejection::Damage(format!(
            "its {length_bytes} bytes are no whole number of pages of {page_bytes} bytes"
        )));
    }
    Ok(())
}

fn check_stamp(files: &Files, application_id: u32, user_version: i32) -> Result<(), Rejection> {
    let file = files.db.clone();
    if application_id != schema::APPLICATION_ID {
        return Err(Rejection::Stop(JournalError::Foreign { file, found: application_id }));
    }
    if user_version > schema::VERSION {
        let known = schema::VERSION;
        return Err(Rejection::Stop(JournalError::Newer { file, found: user_version, known }));
    }
    if user_version < 1 {
        return Err(Rejection::Damage(format!("it claims format version {user_version}, which never was")));
    }
    if user_version < schema::OLDEST {
        let oldest = schema::OLDEST;
        return Err(Rejection::Stop(JournalError::TooOld { file, found: user_version, oldest }));
    }
    Ok(())
}

fn check_database(files: &Files, conn: &Connection) -> Result<(), Rejection> {
    let reject = |error| sqlite_rejection(files, "checking the journal", error);
    let stamp = |pragma| conn.pragma_query_value(None, pragma, |row| row.get::<_, i32>(0)).map_err(reject);
    // Again, now through the write-ahead log: a newer release may have stopped half-way through an upgrade.
    let version = stamp("user_version")?;
    check_stamp(files, stamp("application_id")?.cast_unsigned(), version)?;
    let verdict: String = conn.query_row("PRAGMA quick_check(1)", [], |row| row.get(0)).map_err(reject)?;
    if verdict != "ok" {
        return Err(Rejection::Damage(verdict));
    }
    for probe in schema::probes(version) {
        conn.prepare(probe).map_err(|error| match error.sqlite_error_code() {
            Some(ErrorCode::Unknown) | None => Rejection::Damage(error.to_string()),
            Some(_) => reject(error),
        })?;
    }
    Ok(())
}

/// Tells damage of the file (set aside) from trouble around it (do not start: the file may well be whole).
fn sqlite_rejection(files: &Files, doing: &'static str, error: rusqlite::Error) -> Rejection {
    let file = files.db.clone();
    match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => Rejection::Damage(error.to_string()),
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            Rejection::Stop(JournalError::InUse { file, holder: "another program".to_owned() })
        }
        _ => Rejection::Stop(JournalError::Sqlite { file, doing, source: error }),
    }
}

/// The highest number SQLite remembers to have given out.
const LAST_NUMBERED: &str = "SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'migration'";
/// The highest number a row has: the same or lower, from another part of the file.
const LAST_ROW: &str = "SELECT coalesce(max(id), 0) FROM migration";

fn last_id(conn: &Connection, sql: &str) -> rusqlite::Result<u64> {
    let last: i64 = conn.query_row(sql, [], |row| row.get(0))?;
    Ok(u64::try_from(last).unwrap_or(0))
}
