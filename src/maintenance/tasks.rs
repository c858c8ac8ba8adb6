//! What tasks of the daemon still want, made by a run: whoever is there ends what the other began.

use super::book::now_ms;
use super::session::{Asking, Session};
use super::told::{Moved, Outcome};
use super::watch::Watch;
use super::wishes::{OtherMedia, Wishes};
use crate::model::{DrainMedia, ErrorCode, Failure, Migration, Space, Task, TaskRequest, TaskStatus};
use crate::rules::task_standing::{Standing, end, standings};

/// What the request of a task allows.
pub fn wishes_of(request: &TaskRequest) -> Wishes {
    let media = match request {
        TaskRequest::Drain { media: DrainMedia::Any, .. } => OtherMedia::Allowed,
        _ => OtherMedia::Never,
    };
    Wishes { media, ..Wishes::default() }
}

/// Makes what running tasks have not had made yet.
///
/// # Errors
/// The journal was not opened; it cannot be read or written.
pub fn finish_tasks(session: &Session, watch: &dyn Watch) -> Result<Vec<Moved>, Failure> {
    let mut ended = Vec::new();
    for mut task in session.tasks()? {
        if task.status != TaskStatus::Running {
            continue;
        }
        let rows = session.rows_of(task.id)?;
        let mut moves = standings(&task, &rows);
        for (at, standing) in moves.iter_mut().enumerate() {
            let paused = task.paused_disks.contains(&task.plan.moves[at].source.uuid);
            if *standing != Standing::Pending || paused || watch.go_on().is_err() {
                continue;
            }
            let moved = make(session, &task, at, watch, standing)?;
            let in_doubt = moved.as_ref().is_some_and(|moved| moved.outcome == Outcome::InDoubt);
            ended.extend(moved);
            if in_doubt {
                return Ok(ended);
            }
        }
        if end(&mut task, &moves, now_ms()) {
            session.note_task(&task)?;
        }
    }
    Ok(ended)
}

fn make(
    session: &Session,
    task: &Task,
    at: usize,
    watch: &dyn Watch,
    standing: &mut Standing,
) -> Result<Option<Moved>, Failure> {
    let planned = &task.plan.moves[at];
    let dress = |row: &mut Migration| {
        row.task = Some(task.id);
        row.request_reason.clone_from(&task.reason);
    };
    let (key, to) = (planned.key, planned.destination.path.as_str());
    let asking =
        Asking { key, to, wishes: wishes_of(&task.request), reserved: Space::default(), dress: &dress };
    match session.accept(&asking) {
        Ok(row) => {
            let id = row.id;
            let moved = session.finish(row, watch)?;
            if let Some(row) = session.row(id)? {
                *standing = Standing::of(&row);
            }
            Ok(Some(moved))
        }
        Err(failure) if failure.code == ErrorCode::AlreadyOnDisk => {
            *standing = Standing::Completed;
            Ok(None)
        }
        Err(failure) => {
            *standing = Standing::Failed(failure.message.clone());
            Ok(Some(Moved {
                id: 0,
                tablet_id: key.tablet_id.0,
                schema_hash: key.schema_hash.0,
                from: planned.source.path.clone(),
                to: to.to_owned(),
                bytes: planned.size_bytes,
                outcome: Outcome::Failed,
                reason: failure.message,
            }))
        }
    }
}
