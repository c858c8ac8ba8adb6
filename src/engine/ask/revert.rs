//! A finished move is taken back by an ordinary migration, while the trash holds what it retired.

use std::sync::Arc;

use super::admit::submit;
use crate::engine::look::{migrations, trash};
use crate::engine::node::Node;
use crate::engine::parts::verbs::check;
use crate::engine::view::Submit;
use crate::model::{ErrorCode, Failure, Migration, MigrationId, Status};
use crate::rules::gate::Verb;

/// Takes a finished move back: an ordinary migration to where the tablet came from, with whatever it has become since.
/// Legal while the trash of that disk still holds what was retired; a move that is the tablet's last one only.
pub(crate) fn revert(node: &Arc<Node>, id: MigrationId, caller: &str) -> Result<Migration, Failure> {
    let ended = migrations::migration(node, id)?
        .ok_or_else(|| Failure::new(ErrorCode::MigrationNotFound, format!("there is no migration {id}")))?;
    check(&ended, Verb::Revert)?;
    let refuse = |why: String| Failure::new(ErrorCode::NotRevertible, format!("migration {id}: {why}"));
    if let Some(by) = ended.steering.reverted_by
        && !migrations::migration(node, by)?.is_some_and(|other| ended_without_a_move(&other))
    {
        return Err(refuse(format!("migration {by} takes it back already, or has")));
    }
    let Some(source) = node.disk_by_uuid(ended.source.uuid) else {
        return Err(refuse(format!("its source disk {} is not here", ended.source.path)));
    };
    let now_on = node.catalog().get(ended.key).map(|entry| node.disk(entry.disk).path.clone());
    let destination = node.disk_by_uuid(ended.destination.uuid).map(|disk| disk.path.clone());
    if now_on.is_none() || now_on != destination {
        let now_on = now_on.unwrap_or_else(|| "no disk that is here".to_owned());
        return Err(refuse(format!("the tablet is on {now_on} now, not on {}", ended.destination.path)));
    }
    if !trash::holds(node, source, id)? {
        return Err(refuse(format!("what it retired is no longer in the trash of {}", source.path)));
    }
    let back = submit(
        node,
        &Submit {
            reason: format!("reverts migration {id}"),
            requested_by: caller.to_owned(),
            reverts: Some(id),
            ..Submit::new(ended.key, source.path.clone())
        },
    )?;
    // The way back is in the new row; this way is for whoever looks at the old one.
    let mut ended = ended;
    ended.steering.reverted_by = Some(back.id);
    let keep = node.config().finished_migration_tasks_size as usize;
    if let Err(failure) = node.journal.post_update(ended.clone()).wait_unless_full() {
        tracing::warn!(migration = %id, "that migration {} takes it back could not be noted: {failure}", back.id);
    }
    let mut board = node.board();
    if board.ended.contains_key(&id) {
        board.revive(id);
        board.remember(ended, keep);
    }
    Ok(back)
}

fn ended_without_a_move(other: &Migration) -> bool {
    other.status.is_final() && other.status != Status::Completed
}
