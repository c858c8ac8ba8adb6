//! What the journal has of a session's moves and tasks.

use super::session::Session;
use crate::journal::{Filter, Listed};
use crate::model::{ErrorCode, Failure, Migration, MigrationId, TabletKey, Task, TaskId};

impl Session {
    /// Changes a row that nothing works on: the row as it is then is durable when this returns.
    ///
    /// # Errors
    /// What `change` says; the journal cannot be written.
    pub fn change(
        &self,
        id: MigrationId,
        change: &dyn Fn(&mut Migration) -> Result<(), Failure>,
    ) -> Result<Migration, Failure> {
        let mut book = self.book()?;
        let known = book.get(id)?;
        let mut row = known.ok_or_else(|| {
            Failure::new(ErrorCode::MigrationNotFound, format!("no migration {id} is known on this node"))
        })?;
        change(&mut row)?;
        book.note(&row)?;
        Ok(row)
    }

    /// A page of what the journal has.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn rows(&self, filter: &Filter) -> Result<Listed, Failure> {
        self.book()?.list(filter)
    }

    /// The moves of one task, ended or not.
    ///
    /// # Errors
    /// The journal cannot be read.
    pub fn rows_of(&self, task: TaskId) -> Result<Vec<Migration>, Failure> {
        let mut filter = Filter { task: Some(task), limit: 1000, ..Filter::default() };
        let mut rows = Vec::new();
        loop {
            let page = self.book()?.list(&filter)?;
            rows.extend(page.rows.migrations);
            filter.after = page.next_after;
            if filter.after.is_none() {
                return Ok(rows);
            }
        }
    }

    /// One row.
    ///
    /// # Errors
    /// The journal cannot be read.
    pub fn row(&self, id: MigrationId) -> Result<Option<Migration>, Failure> {
        self.book()?.get(id)
    }

    /// The move that a request under this key became.
    ///
    /// # Errors
    /// The journal cannot be read.
    pub fn by_request_key(&self, key: &str) -> Result<Option<Migration>, Failure> {
        self.book()?.by_request_key(key)
    }

    /// The newest move of a tablet.
    ///
    /// # Errors
    /// The journal cannot be read.
    pub fn latest(&self, key: TabletKey) -> Result<Option<Migration>, Failure> {
        self.book()?.latest(key)
    }

    /// Every task the journal has.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn tasks(&self) -> Result<Vec<Task>, Failure> {
        self.book()?.tasks()
    }

    /// Records a new task, durably.
    ///
    /// # Errors
    /// The journal cannot be written.
    pub fn add_task(&self, task: &Task) -> Result<TaskId, Failure> {
        self.book()?.add_task(task)
    }

    /// Records how a task stands, durably.
    ///
    /// # Errors
    /// The journal cannot be written.
    pub fn note_task(&self, task: &Task) -> Result<(), Failure> {
        self.book()?.note_task(task)
    }

    /// Forgets a task.
    ///
    /// # Errors
    /// The journal cannot be written.
    pub fn forget_task(&self, id: TaskId) -> Result<(), Failure> {
        self.book()?.forget_task(id)
    }
}
