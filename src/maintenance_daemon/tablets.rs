//! Tablets as the API shows them.

use super::inner::Inner;
use crate::engine::{Page, TabletFilter, TabletView, page_limit};
use crate::maintenance::TabletLook;
use crate::model::{ErrorCode, Failure, MigrationId, SchemaHash, TabletId, TabletKey};
use crate::rules::planning::Pin;

fn view(root: &str, tablet: &TabletLook, migration: Option<MigrationId>) -> TabletView {
    TabletView {
        key: tablet.key,
        table_id: tablet.table_id,
        partition_id: tablet.partition_id,
        disk: root.to_owned(),
        shard_id: tablet.shard,
        generation: tablet.generation,
        size_bytes: tablet.bytes,
        file_count: tablet.segments,
        migration,
        unavailable: tablet.unavailable.clone(),
        pinned: None,
        damaged: None,
        unreadable: None,
    }
}

impl Inner {
    fn moves(&self, key: TabletKey) -> Option<MigrationId> {
        self.queue.of_tablet(key).map(|row| row.id)
    }

    pub(super) fn tablets_of(&self, id: TabletId) -> Vec<TabletView> {
        let found = self.session.node().tablets_of(id.0);
        found.iter().map(|(root, tablet)| view(root, tablet, self.moves(tablet.key))).collect()
    }

    /// A page, in order of the tablets' numbers.
    pub(super) fn tablet_page(&self, filter: &TabletFilter) -> Page<TabletView> {
        let limit = page_limit(filter.limit);
        let wanted = |root: &str, tablet: &TabletLook| {
            filter.disk.as_ref().is_none_or(|disk| disk == root)
                && filter.table_id.is_none_or(|table| table == tablet.table_id)
                && filter.partition_id.is_none_or(|partition| partition == tablet.partition_id)
                && filter.pin.is_none_or(|pin| pin == Pin::Free)
        };
        let mut total = 0;
        // Of each root only what can be on the page is kept.
        let mut found: Vec<(String, TabletLook)> = Vec::new();
        let (mut root_now, mut kept) = (String::new(), 0);
        self.session.node().for_each_tablet(&mut |root, tablet| {
            if !wanted(root, tablet) {
                return;
            }
            total += 1;
            if root != root_now {
                (root_now, kept) = (root.to_owned(), 0);
            }
            if kept < limit && filter.after.is_none_or(|after| tablet.key.tablet_id > after) {
                kept += 1;
                found.push((root.to_owned(), tablet.clone()));
            }
        });
        found.sort_by_key(|(_, tablet)| tablet.key);
        let items = found
            .iter()
            .take(limit)
            .map(|(root, tablet)| view(root, tablet, self.moves(tablet.key)))
            .collect();
        Page { total, items }
    }

    pub(super) fn each_tablet(&self, visit: &mut dyn FnMut(&TabletView)) {
        let mut moving = std::collections::HashMap::new();
        moving.extend(self.queue.all().into_iter().map(|row| (row.key, row.id)));
        self.session.node().for_each_tablet(&mut |root, tablet| {
            visit(&view(root, tablet, moving.get(&tablet.key).copied()));
        });
    }

    pub(super) fn why_not_served(&self, id: TabletId, hash: Option<SchemaHash>) -> Failure {
        let known = self.session.node().tablets_of(id.0);
        let wanted = |key: TabletKey| hash.is_none_or(|hash| key.schema_hash == hash);
        match known.iter().find(|(_, tablet)| wanted(tablet.key)) {
            Some((root, tablet)) => {
                let why = tablet.unavailable.as_deref().unwrap_or("it is served");
                Failure::new(ErrorCode::TabletUnavailable, format!("tablet {} on {root}: {why}", tablet.key))
            }
            None => {
                let name = hash.map_or(id.to_string(), |hash| format!("{id}_{hash}"));
                Failure::new(ErrorCode::TabletNotFound, format!("no tablet {name} on this node"))
            }
        }
    }

    /// Tablets of which a segment is not there.
    pub(super) fn lost_segments(&self) -> Result<Vec<TabletKey>, Failure> {
        let mut keys = Vec::new();
        self.session.node().for_each_tablet(&mut |_, tablet| keys.push(tablet.key));
        let mut lost = Vec::new();
        for key in keys {
            if self.queue.is_stopping() {
                return Err(super::queue::stopping());
            }
            // The node is asked anew for each: a move may end in between.
            match self.session.node().lost_segments(key) {
                Ok(missing) if missing.is_empty() => {}
                Ok(_) => lost.push(key),
                Err(failure) if failure.code == ErrorCode::TabletNotFound => {}
                Err(failure) => return Err(failure),
            }
        }
        Ok(lost)
    }
}
