//! Everything that reads the journal. Damaged rows are told beside the others, they never stop a query.

use rusqlite::types::Value;
use rusqlite::{OptionalExtension, Params, Row, params_from_iter};

use crate::model::{
    DiskUuid, Migration, MigrationId, Phase, Status, TabletId, TabletKey, TaskId, TimestampMs,
};

use super::row::{self, COLUMNS, DamagedRow};
use super::{Journal, JournalError, schema};

/// Migrations, and the rows in their place that could not be read.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Rows {
    /// In the order of the query.
    pub migrations: Vec<Migration>,
    /// In the order of the query.
    pub damaged: Vec<DamagedRow>,
}

/// What [`Journal::list`] looks for: a migration has to satisfy every part that is given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filter {
    /// Any of these; empty for all.
    pub statuses: Vec<Status>,
    pub phase: Option<Phase>,
    /// The tablet, under whatever schema.
    pub tablet_id: Option<TabletId>,
    /// The disk it leaves.
    pub source: Option<DiskMatch>,
    /// The disk it goes to.
    pub destination: Option<DiskMatch>,
    /// A disk at either end.
    pub either_end: Option<DiskMatch>,
    /// Part of this task.
    pub task: Option<TaskId>,
    /// Accepted at this time or later.
    pub created_since_ms: Option<TimestampMs>,
    /// Accepted before this time.
    pub created_until_ms: Option<TimestampMs>,
    pub order: RowOrder,
    /// Only what follows this one in `order`; [`Listed::next_after`] of the page before.
    pub after: Option<MigrationId>,
    /// Most rows on the page; 0 asks for the total alone.
    pub limit: u32,
}

impl Default for Filter {
    /// The newest hundred of all.
    fn default() -> Self {
        Self {
            statuses: Vec::new(),
            phase: None,
            tablet_id: None,
            source: None,
            destination: None,
            either_end: None,
            task: None,
            created_since_ms: None,
            created_until_ms: None,
            order: RowOrder::default(),
            after: None,
            limit: 100,
        }
    }
}

/// A disk, one way or the other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DiskMatch {
    Uuid(DiskUuid),
    /// By the path it was configured under when the migration was accepted.
    Path(String),
}

/// RowOrder of a list, by number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum RowOrder {
    /// The highest number first.
    #[default]
    NewestFirst,
    /// The lowest number first.
    OldestFirst,
}

/// Part of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// How many the filter matches in all, on every page.
    pub total: u64,
    /// Those on this page.
    pub rows: Rows,
    /// The marker for the next page, if there is one.
    pub next_after: Option<MigrationId>,
}

impl Journal {
    /// Every migration that is not at an end, the lowest number first.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn unfinished(&self) -> Result<Rows, JournalError> {
        self.rows("finished_seq IS NULL ORDER BY id", [])
    }

    /// The `limit` migrations that finished last, the very last first.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn recent_finished(&self, limit: u32) -> Result<Rows, JournalError> {
        self.rows("finished_seq IS NOT NULL ORDER BY finished_seq DESC LIMIT ?1", [limit])
    }

    /// The migration of that number.
    ///
    /// # Errors
    /// The file cannot be read, or the row is damaged.
    pub fn get(&self, id: MigrationId) -> Result<Option<Migration>, JournalError> {
        match i64::try_from(id.0) {
            Ok(id) => self.one("id = ?1", [id]),
            Err(_) => Ok(None),
        }
    }

    /// The migration of that tablet with the highest number.
    ///
    /// # Errors
    /// The file cannot be read, or the row is damaged.
    pub fn latest_for(&self, key: TabletKey) -> Result<Option<Migration>, JournalError> {
        self.one(
            "tablet_id = ?1 AND schema_hash = ?2 ORDER BY id DESC LIMIT 1",
            (key.tablet_id.0, key.schema_hash.0),
        )
    }

    /// The migration that was asked for with this key; of several the one with the highest number.
    ///
    /// # Errors
    /// The file cannot be read, or the row is damaged.
    pub fn by_request_key(&self, key: &str) -> Result<Option<Migration>, JournalError> {
        self.one("request_key = ?1 ORDER BY id DESC LIMIT 1", [key])
    }

    /// One page of the migrations `filter` matches, and how many there are.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn list(&self, filter: &Filter) -> Result<Listed, JournalError> {
        let mut conditions = Conditions::of(filter);
        let total: i64 = self
            .conn
            .prepare_cached(&format!("SELECT count(*) FROM migration WHERE {}", conditions.sql))
            .and_then(|mut count| count.query_row(params_from_iter(&conditions.values), |row| row.get(0)))
            .map_err(|source| self.fail("counting migrations", source))?;
        let (direction, beyond) = match filter.order {
            RowOrder::NewestFirst => ("DESC", "id < ?"),
            RowOrder::OldestFirst => ("ASC", "id > ?"),
        };
        if let Some(after) = filter.after {
            conditions.add(beyond, i64::try_from(after.0).unwrap_or(i64::MAX));
        }
        // One more than asked for tells whether there is a next page.
        let sql = format!("{} ORDER BY id {direction} LIMIT {}", conditions.sql, u64::from(filter.limit) + 1);
        let mut found = self.select(&sql, params_from_iter(&conditions.values))?;
        let limit = filter.limit as usize;
        let next_after = (found.len() > limit && limit > 0).then(|| id_of(&found[limit - 1]));
        found.truncate(limit);
        Ok(Listed { total: total.cast_unsigned(), rows: Rows::from(found), next_after })
    }

    /// The counted up-time of all daemons with this journal, in seconds. A value that is no number counts as 0: too
    /// little makes trash wait longer, too much would purge it early.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn uptime_seconds(&self) -> Result<u64, JournalError> {
        Ok(self.state_number(schema::UPTIME_SECONDS, "reading the up-time")?.unwrap_or(0))
    }

    /// The first number of which this journal had a row itself; `None` where it does not say.
    pub(super) fn history_from(&self) -> Result<Option<u64>, JournalError> {
        self.state_number(schema::HISTORY_FROM, "reading where its history begins")
    }

    fn state_number(&self, key: &str, doing: &'static str) -> Result<Option<u64>, JournalError> {
        let number = self
            .conn
            .prepare_cached("SELECT value FROM state WHERE key = ?1")
            .and_then(|mut statement| {
                let read = |row: &Row<'_>| Ok(row.get_ref(0)?.as_i64().unwrap_or(0));
                statement.query_row([key], read).optional()
            })
            .map_err(|source| self.fail(doing, source))?;
        Ok(number.and_then(|number| u64::try_from(number).ok()))
    }

    fn one(&self, condition: &str, params: impl Params) -> Result<Option<Migration>, JournalError> {
        match self.select(condition, params)?.pop() {
            None => Ok(None),
            Some(Ok(migration)) => Ok(Some(migration)),
            Some(Err(row)) => Err(JournalError::Damaged { file: self.file.clone(), row }),
        }
    }

    fn rows(&self, condition: &str, params: impl Params) -> Result<Rows, JournalError> {
        self.select(condition, params).map(Rows::from)
    }

    fn select(&self, condition: &str, params: impl Params) -> Result<Vec<Found>, JournalError> {
        self.conn
            .prepare_cached(&format!("SELECT {COLUMNS} FROM migration WHERE {condition}"))
            .and_then(|mut statement| statement.query_map(params, row::read)?.collect())
            .map_err(|source| self.fail("reading migrations", source))
    }
}

type Found = Result<Migration, DamagedRow>;

fn id_of(found: &Found) -> MigrationId {
    match found {
        Ok(migration) => migration.id,
        Err(row) => row.id,
    }
}

impl From<Vec<Found>> for Rows {
    fn from(found: Vec<Found>) -> Self {
        let mut rows = Self::default();
        for one in found {
            match one {
                Ok(migration) => rows.migrations.push(migration),
                Err(row) => rows.damaged.push(row),
            }
        }
        rows
    }
}

/// The text after WHERE and the values of its question marks.
struct Conditions {
    sql: String,
    values: Vec<Value>,
}

impl Conditions {
    fn of(filter: &Filter) -> Self {
        let mut conditions = Self { sql: "TRUE".to_owned(), values: Vec::new() };
        if !filter.statuses.is_empty() {
            let marks = vec!["?"; filter.statuses.len()].join(", ");
            conditions.sql.push_str(&format!(" AND status IN ({marks})"));
            conditions.values.extend(filter.statuses.iter().map(|status| Value::from(status.to_string())));
        }
        if let Some(phase) = filter.phase {
            conditions.add("phase = ?", phase.to_string());
        }
        if let Some(tablet_id) = filter.tablet_id {
            conditions.add("tablet_id = ?", tablet_id.0);
        }
        match &filter.source {
            Some(DiskMatch::Uuid(uuid)) => conditions.add("source_uuid = ?", uuid.to_string()),
            Some(DiskMatch::Path(path)) => conditions.add("source_path = ?", path.clone()),
            None => {}
        }
        match &filter.destination {
            Some(DiskMatch::Uuid(uuid)) => conditions.add("dest_uuid = ?", uuid.to_string()),
            Some(DiskMatch::Path(path)) => conditions.add("dest_path = ?", path.clone()),
            None => {}
        }
        match &filter.either_end {
            Some(DiskMatch::Uuid(uuid)) => conditions.add("? IN (source_uuid, dest_uuid)", uuid.to_string()),
            Some(DiskMatch::Path(path)) => conditions.add("? IN (source_path, dest_path)", path.clone()),
            None => {}
        }
        if let Some(task) = filter.task {
            conditions.add("task = ?", task.to_string());
        }
        if let Some(since) = filter.created_since_ms {
            conditions.add("created_ms >= ?", since);
        }
        if let Some(until) = filter.created_until_ms {
            conditions.add("created_ms < ?", until);
        }
        conditions
    }

    fn add(&mut self, condition: &str, value: impl Into<Value>) {
        self.sql.push_str(" AND ");
        self.sql.push_str(condition);
        self.values.push(value.into());
    }
}
