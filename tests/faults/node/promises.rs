//! What a node acknowledged, and whether it kept its word.

use std::collections::BTreeMap;

use serde_json::Value;
use tabletd::model::TabletKey;
use tabletd::storage::ReadFrom;

use crate::disk::log::Position;
use crate::harness::{Daemon, Node, check_counters, records};

/// One acknowledged migration.
#[derive(Debug, Clone)]
pub(super) struct Promise {
    pub(super) id: u64,
    pub(super) key: TabletKey,
    /// Number of the root it goes to.
    pub(super) to: usize,
    /// Where the disks were, at the latest, when the client had the answer.
    pub(super) accepted_at: Position,
    /// The same for the moment at which a client saw "completed".
    pub(super) completed_at: Option<Position>,
}

/// What is true of a node at rest before a daemon touches it: a move that a client saw completed is not on its source.
pub(super) fn check_nothing_came_back<'p>(
    node: &Node,
    completed: impl Iterator<Item = &'p Promise>,
) -> Result<(), String> {
    let mut on_disk = Vec::new();
    for root in &node.roots {
        on_disk.push(records(root)?.into_iter().map(|record| record.key).collect::<Vec<_>>());
    }
    for promise in completed {
        let source = 1 - promise.to;
        if on_disk[source].contains(&promise.key) {
            return Err(format!("tablet {} is back on disk {source} after \"completed\"", promise.key));
        }
        if !on_disk[promise.to].contains(&promise.key) {
            return Err(format!("tablet {} is not on disk {} after \"completed\"", promise.key, promise.to));
        }
    }
    Ok(())
}

/// What became of an acknowledged migration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Owed {
    /// It must have been completed: a crash is no reason to fail.
    Completed,
    /// It must have ended, as completed or as failed: a disk that refuses is a reason.
    Ended,
}

/// Waits until nothing is under way, then holds every migration the daemon knows against what was promised. Ends the
/// daemon with SIGKILL, and asks the oracle about the disks.
pub(super) fn settle(
    node: &Node,
    daemon: Daemon,
    promises: &[&Promise],
    owed: Owed,
    from: ReadFrom,
) -> Result<(), String> {
    daemon.try_wait_until_idle(crate::node::PATIENCE)?;
    let known: BTreeMap<u64, Value> = daemon
        .try_migrations()?
        .into_iter()
        .filter_map(|migration| Some((migration["id"].as_u64()?, migration)))
        .collect();
    for migration in known.values() {
        check_counters(migration)?;
    }
    for promise in promises {
        let Some(migration) = known.get(&promise.id) else {
            return Err(format!("migration {} was acknowledged and is forgotten", promise.id));
        };
        let kept = migration["status"] == "completed"
            || (owed == Owed::Ended && promise.completed_at.is_none() && migration["status"] == "failed");
        if !kept {
            return Err(format!(
                "migration {} was acknowledged and did not complete: {migration:#}",
                promise.id
            ));
        }
    }
    let said = daemon.said();
    daemon.kill();
    check_at_rest(node, known.values(), from).map_err(|what| format!("{what}\n{said}"))
}

/// Removes what was set aside.
pub(super) fn empty_quarantine(node: &Node) -> Result<(), String> {
    for root in &node.roots {
        let quarantine = root.join("quarantine");
        for name in crate::harness::read_dir_names(&quarantine) {
            std::fs::remove_dir_all(quarantine.join(name)).map_err(|error| error.to_string())?;
        }
    }
    Ok(())
}

/// The oracle, and that every tablet is where the last completed migration of it took it.
pub(super) fn check_at_rest<'m>(
    node: &Node,
    migrations: impl Iterator<Item = &'m Value>,
    from: ReadFrom,
) -> Result<(), String> {
    let placement = node.examine(from)?;
    let quarantined = node.quarantined();
    if !quarantined.is_empty() {
        return Err(format!("set aside, although nothing was damaged: {quarantined:?}"));
    }
    // In rising order of their numbers: the last one counts.
    let mut last: BTreeMap<TabletKey, &Value> = BTreeMap::new();
    for migration in migrations.filter(|migration| migration["status"] == "completed") {
        let (Some(id), Some(hash)) = (migration["tablet_id"].as_i64(), migration["schema_hash"].as_i64())
        else {
            return Err(format!("a migration without a tablet: {migration}"));
        };
        let hash = i32::try_from(hash).map_err(|error| error.to_string())?;
        last.insert(TabletKey::new(id, hash), migration);
    }
    for (key, migration) in last {
        let at = placement.get(&key).map(|&root| node.disk(root));
        if at.as_deref() != migration["dest_disk"].as_str() {
            return Err(format!(
                "tablet {key} is on {at:?}, but the last migration of it says {migration:#}"
            ));
        }
    }
    Ok(())
}
