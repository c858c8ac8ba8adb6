//! One migration as one row, there and back. A row that cannot be read is described, never guessed at.

use std::fmt;

use rusqlite::types::ValueRef;
use rusqlite::{Row, Statement, named_params};

use crate::model::{Migration, MigrationId};

/// A row of the journal that does not parse or contradicts itself. It stays in the file until the migration is
/// written again or retention takes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DamagedRow {
    /// Number of the migration.
    pub id: MigrationId,
    /// The tablet as the row's columns name it: `<tablet_id>_<schema_hash>`. Not checked against anything.
    pub tablet: String,
    /// The status as the row's column names it. Not checked against anything.
    pub status: String,
    pub reason: String,
}

impl fmt::Display for DamagedRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { id, tablet, status, reason } = self;
        write!(f, "the row of migration {id} (tablet {tablet}, {status}) is damaged: {reason}")
    }
}

/// The columns [`read`] wants, in its order.
pub(super) const COLUMNS: &str = "id, tablet_id, schema_hash, status, doc_crc32, doc";

/// Reads a row of [`COLUMNS`].
///
/// # Errors
/// Outer: SQLite. Inner: the row is damaged.
pub(super) fn read(row: &Row<'_>) -> rusqlite::Result<Result<Migration, DamagedRow>> {
    let cells = (row.get_ref(0)?, row.get_ref(1)?, row.get_ref(2)?, row.get_ref(3)?);
    let migration = parse(row.get_ref(4)?, row.get_ref(5)?).and_then(|migration| {
        let told = (
            ValueRef::Integer(migration.id.0.cast_signed()),
            ValueRef::Integer(migration.key.tablet_id.0),
            ValueRef::Integer(migration.key.schema_hash.0.into()),
            ValueRef::Text(migration.status.as_str().as_bytes()),
        );
        if told == cells { Ok(migration) } else { Err("its columns and its document disagree".to_owned()) }
    });
    Ok(migration.map_err(|reason| DamagedRow {
        id: MigrationId(cells.0.as_i64().unwrap_or(0).cast_unsigned()),
        tablet: format!("{}_{}", show(cells.1), show(cells.2)),
        status: show(cells.3),
        reason,
    }))
}

fn parse(crc32: ValueRef<'_>, doc: ValueRef<'_>) -> Result<Migration, String> {
    // As bytes: a flipped bit can leave text that is not UTF-8.
    let doc = doc.as_bytes().map_err(|error| error.to_string())?;
    let (found, recorded) = (crc32fast::hash(doc), show(crc32));
    if found.to_string() != recorded {
        return Err(format!("its document has CRC-32 {found}, recorded is {recorded}"));
    }
    serde_json::from_slice(doc).map_err(|error| format!("its document is no migration: {error}"))
}

fn show(value: ValueRef<'_>) -> String {
    match value {
        ValueRef::Integer(number) => number.to_string(),
        ValueRef::Text(text) => String::from_utf8_lossy(text).into_owned(),
        other => format!("({})", other.data_type()),
    }
}

/// Adds a row under the migration's own number.
pub(super) const INSERT: &str = "
    INSERT INTO migration (
        id, tablet_id, schema_hash, status, phase, finished_seq, source_uuid, source_path, dest_uuid, dest_path,
        task, created_ms, updated_ms, finished_ms, request_key, doc_crc32, doc)
    VALUES (
        :id, :tablet_id, :schema_hash, :status, :phase,
        CASE WHEN :is_final THEN (SELECT coalesce(max(finished_seq), 0) + 1 FROM migration) END,
        :source_uuid, :source_path, :dest_uuid, :dest_path,
        :task, :created_ms, :updated_ms, :finished_ms, :request_key, :doc_crc32, :doc)";

/// What [`UPDATE`] and [`REOPEN`] have in common.
macro_rules! replace {
    () => {
        "
    UPDATE migration SET
        status = :status, phase = :phase,
        finished_seq = CASE WHEN :is_final
            THEN coalesce(finished_seq, (SELECT coalesce(max(finished_seq), 0) + 1 FROM migration)) END,
        source_uuid = :source_uuid, source_path = :source_path, dest_uuid = :dest_uuid, dest_path = :dest_path,
        task = :task, created_ms = :created_ms, updated_ms = :updated_ms, finished_ms = :finished_ms,
        request_key = :request_key, doc_crc32 = :doc_crc32, doc = :doc
    WHERE id = :id AND tablet_id = :tablet_id AND schema_hash = :schema_hash"
    };
}

/// Replaces a row whole. The number and the tablet say which one; a row of another tablet is not it. One that has ended
/// stays as it ended, whatever comes late.
pub(super) const UPDATE: &str = concat!(replace!(), " AND (finished_seq IS NULL OR status = :status)");

/// Replaces a row whole, also one that has ended.
pub(super) const REOPEN: &str = replace!();

/// Runs [`INSERT`], [`UPDATE`] or [`REOPEN`]; `id` is the migration's, known to fit SQLite's integers. Returns the rows changed.
pub(super) fn write(
    statement: &mut Statement<'_>,
    id: i64,
    migration: &Migration,
) -> rusqlite::Result<usize> {
    let doc = serde_json::to_string(migration).expect("a migration holds only strings and whole numbers");
    statement.execute(named_params! {
        ":id": id,
        ":tablet_id": migration.key.tablet_id.0,
        ":schema_hash": migration.key.schema_hash.0,
        ":status": migration.status.as_str(),
        ":phase": migration.status.phase().as_str(),
        ":is_final": migration.status.is_final(),
        ":source_uuid": migration.source.uuid.to_string(),
        ":source_path": migration.source.path,
        ":dest_uuid": migration.destination.uuid.to_string(),
        ":dest_path": migration.destination.path,
        ":task": migration.task.map(|task| task.to_string()),
        ":created_ms": migration.created_ms,
        ":updated_ms": migration.updated_ms,
        ":finished_ms": migration.finished_ms,
        ":request_key": migration.steering.idempotency.as_ref().map(|request| &request.key),
        ":doc_crc32": crc32fast::hash(doc.as_bytes()),
        ":doc": doc,
    })
}
