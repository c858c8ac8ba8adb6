//! Tasks in the journal: each a row of its own, written when its status changes and never for a single move. What
//! became of a move is in the migration that carried it out.

use rusqlite::{OptionalExtension, named_params};

use crate::model::{Task, TaskId};

use super::{Journal, JournalError};

impl Journal {
    /// Records a new task, durably, and returns its number; `task.id` is ignored.
    ///
    /// # Errors
    /// As [`Self::commit`].
    pub fn add_task(&mut self, task: &Task) -> Result<TaskId, JournalError> {
        self.check_available()?;
        self.transact("adding a task", |tx| {
            let last: Option<i64> = tx
                .query_row("SELECT seq FROM sqlite_sequence WHERE name = 'task'", [], |row| row.get(0))
                .optional()?;
            let id = last.unwrap_or(0) + 1;
            let task = Task { id: TaskId(id.cast_unsigned()), ..task.clone() };
            write(
                tx,
                "INSERT INTO task (id, status, created_ms, updated_ms, doc_crc32, doc)
                 VALUES (:id, :status, :created_ms, :updated_ms, :doc_crc32, :doc)",
                &task,
            )?;
            Ok(task.id)
        })
    }

    /// Replaces the row of a task, durably. One that is not there is not added.
    ///
    /// # Errors
    /// As [`Self::commit`].
    pub fn update_task(&mut self, task: &Task) -> Result<(), JournalError> {
        self.check_available()?;
        self.transact("writing a task", |tx| replace(tx, task))
    }

    /// Removes a task, durably. Its number is not given out again.
    ///
    /// # Errors
    /// As [`Self::commit`].
    pub fn delete_task(&mut self, id: TaskId) -> Result<(), JournalError> {
        self.check_available()?;
        self.transact("deleting a task", |tx| {
            tx.execute("DELETE FROM task WHERE id = ?1", [id.0.cast_signed()]).map(drop)
        })
    }

    /// Every task, ascending by number, and in words the rows that cannot be read.
    ///
    /// # Errors
    /// SQLite's.
    pub fn tasks(&self) -> Result<(Vec<Task>, Vec<String>), JournalError> {
        let read = || -> rusqlite::Result<Vec<(i64, i64, Vec<u8>)>> {
            let mut statement =
                self.conn.prepare("SELECT id, doc_crc32, CAST(doc AS BLOB) FROM task ORDER BY id")?;
            statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?.collect()
        };
        let rows = read().map_err(|source| self.fail("reading the tasks", source))?;
        let (mut tasks, mut damaged) = (Vec::new(), Vec::new());
        for (id, crc32, doc) in rows {
            let parsed = match i64::from(crc32fast::hash(&doc)) == crc32 {
                true => serde_json::from_slice::<Task>(&doc).map_err(|error| error.to_string()),
                false => Err("its checksum is wrong".to_owned()),
            };
            match parsed {
                Ok(task) if task.id.0.cast_signed() == id => tasks.push(task),
                Ok(task) => damaged.push(format!("the row of task {id} says that it is task {}", task.id)),
                Err(why) => damaged.push(format!("the row of task {id} is damaged: {why}")),
            }
        }
        Ok((tasks, damaged))
    }
}

pub(super) fn replace(tx: &rusqlite::Transaction<'_>, task: &Task) -> rusqlite::Result<()> {
    let sql = "UPDATE task SET status = :status, created_ms = :created_ms, updated_ms = :updated_ms,
        doc_crc32 = :doc_crc32, doc = :doc WHERE id = :id";
    write(tx, sql, task).map(drop)
}

fn write(tx: &rusqlite::Transaction<'_>, sql: &str, task: &Task) -> rusqlite::Result<usize> {
    let doc = serde_json::to_string(task).expect("a task holds strings, whole numbers and finite scores");
    tx.prepare_cached(sql)?.execute(named_params! {
        ":id": task.id.0.cast_signed(),
        ":status": task.status.as_str(),
        ":created_ms": task.created_ms,
        ":updated_ms": task.updated_ms,
        ":doc_crc32": crc32fast::hash(doc.as_bytes()),
        ":doc": doc,
    })
}
