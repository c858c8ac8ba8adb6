//! Prepare: a place for the files, and a staging directory that says whose it is.

use super::base::Line;
use super::preflight::Passed;
use crate::engine::parts::unfinished::reclaim_placed;
use crate::fault;
use crate::model::{ErrorCode, Failure, SHARD_COUNT, ShardId, counted};
use crate::storage::{Asked, Dir, Owner, Purpose, Staging, is_placed};

/// Everything a copy needs.
pub(super) struct Prepared {
    pub(super) passed: Passed,
    pub(super) staging: Staging,
}

pub(super) fn prepare(line: &Line<'_>, passed: Passed) -> Result<Prepared, Failure> {
    line.job.checkpoint()?;
    let destination = passed.destination.0.dir();
    // An earlier attempt may have chosen, and copied; its staging is kept and goes on.
    let name = line.id.to_string();
    let noted = line.job.lock().destination_shard;
    let (root, store) = &passed.destination;
    let chosen =
        reclaim_placed(root, store, &name, line.key, noted).map_err(|error| line.on_destination(error))?;
    let shard_id = match chosen {
        Some(shard) if !placed(line, destination, shard)? => shard,
        _ => free_shard(line, destination, passed.record.shard_id)?,
    };
    let asked = {
        let row = line.job.lock();
        Asked { mode: row.mode, by: row.steering.requested_by.clone() }
    };
    let owner = Owner {
        purpose: Purpose::Migration,
        migration_id: Some(line.id),
        key: line.key,
        shard_id,
        source: Some(line.source_ref.clone()),
        source_shard: Some(passed.record.shard_id),
        destination: line.destination_ref.clone(),
        asked: Some(asked),
    };
    line.job.note_row(&line.node.journal, |row| row.destination_shard = Some(shard_id));
    let staging =
        Staging::open_or_create(destination, &name, &owner).map_err(|error| line.on_destination(error))?;
    fault::point("staging_created");
    line.job.log(format!(
        "{} -> {}, {}, {} bytes, shard {shard_id}",
        line.source.path,
        line.destination.path,
        counted(passed.record.manifest.files().len(), "file"),
        passed.record.manifest.total_bytes()
    ));
    Ok(Prepared { passed, staging })
}

fn placed(line: &Line<'_>, destination: &Dir, shard: ShardId) -> Result<bool, Failure> {
    is_placed(destination, shard, line.key).map_err(|error| line.on_destination(error))
}

/// The tablet keeps its shard where it can: then its header stays right. Something that stands there without a record
/// is nobody's to remove here; the next shard is as good.
fn free_shard(line: &Line<'_>, destination: &Dir, wanted: ShardId) -> Result<ShardId, Failure> {
    for offset in 0..SHARD_COUNT {
        let shard = ShardId((wanted.0 + offset) % SHARD_COUNT);
        if !placed(line, destination, shard)? {
            return Ok(shard);
        }
        line.job
            .log(format!("shard {shard} of {} is occupied by an unowned directory", line.destination.path));
    }
    let why = format!("every shard of {} has a directory of tablet {}", line.destination.path, line.key);
    Err(Failure::new(ErrorCode::AlreadyOnDisk, why))
}
