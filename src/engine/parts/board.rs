//! Migrations, alive and remembered.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

use super::job::Job;
use crate::model::{Migration, MigrationId, TabletKey};

/// Migrations, alive and remembered.
#[derive(Default)]
pub(crate) struct Board {
    pub(crate) alive: BTreeMap<MigrationId, Arc<Job>>,
    pub(crate) ended: HashMap<MigrationId, Arc<Migration>>,
    ended_order: VecDeque<MigrationId>,
    pub(crate) latest: HashMap<TabletKey, MigrationId>,
}

impl Board {
    /// Remembers an ended migration, and forgets the oldest beyond `keep`.
    pub(crate) fn remember(&mut self, migration: Migration, keep: usize) {
        let id = migration.id;
        self.latest.entry(migration.key).and_modify(|known| *known = id.max(*known)).or_insert(id);
        if self.ended.insert(id, Arc::new(migration)).is_none() {
            self.ended_order.push_back(id);
        }
        while self.ended_order.len() > keep {
            if let Some(old) = self.ended_order.pop_front().and_then(|old| self.ended.remove(&old))
                && self.latest.get(&old.key) == Some(&old.id)
            {
                self.latest.remove(&old.key);
            }
        }
    }

    /// Takes one off the board of the living, with its last row.
    pub(crate) fn end(&mut self, row: Migration, keep: usize) {
        self.alive.remove(&row.id);
        self.remember(row, keep);
    }

    /// No longer ended: an operator lets it try again.
    pub(crate) fn revive(&mut self, id: MigrationId) -> Option<Arc<Migration>> {
        self.ended_order.retain(|known| *known != id);
        self.ended.remove(&id)
    }
}
