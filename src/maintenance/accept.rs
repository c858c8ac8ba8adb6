//! Accepting a move: everything is looked at once more, what is chosen is chosen once, and the journal has the row.
//!
//! The row carries uid, time, shard and both sums, so that a second attempt writes the same bytes, and the next start can
//! tell a tablet as it was left from one that a backend has had since.

use super::book::{Book, advance, now_ms};
use super::node::Node;
use super::root::Root;
use super::wishes::{Committed, Older, OtherMedia, Wishes};
use crate::doris::database::Pair;
use crate::doris::files::TabletFiles;
use crate::doris::inventory::Found;
use crate::doris::judge::Reason;
use crate::doris::keys::TabletIds;
use crate::doris::moving::{Batches, NewPlace, Stale, batches};
use crate::doris::record::TabletState;
use crate::doris::uid::Uid;
use crate::model::{
    DorisMove, ErrorCode, Failure, Migration, Replaced, SHARD_COUNT, ShardId, SourceAfter, Space,
    StaleRowsets, Status, Swap, TabletKey,
};
use crate::rules::capacity::fits;
use crate::rules::transition::Event;
use crate::storage::layout::tablet_parent;
use crate::storage::{look_at_tablet, sum_of_pairs};

/// A move that is accepted: its row is durable.
pub(super) struct Accepted {
    pub(super) row: Migration,
    pub(super) from: usize,
    pub(super) to: usize,
    pub(super) ids: TabletIds,
    pub(super) files: TabletFiles,
    pub(super) before: Vec<Pair>,
    pub(super) batches: Batches,
    /// All pairs of a copy that a backend had retired at the destination.
    pub(super) replaced: Vec<Pair>,
}

pub(super) const fn ids_of(key: TabletKey) -> TabletIds {
    TabletIds { tablet_id: key.tablet_id.0, schema_hash: key.schema_hash.0 }
}

pub(super) fn key_of(ids: TabletIds) -> TabletKey {
    TabletKey::new(ids.tablet_id, ids.schema_hash)
}

/// What is asked for.
pub(super) struct Asked<'a> {
    pub(super) ids: TabletIds,
    pub(super) from: usize,
    pub(super) to: usize,
    pub(super) wishes: &'a Wishes,
    /// Promised at the destination to others.
    pub(super) reserved: Space,
    /// What else goes into the row.
    pub(super) dress: &'a dyn Fn(&mut Migration),
}

/// The files of a tablet that may move as it is asked for.
///
/// # Errors
/// Something speaks against it.
pub(super) fn may_begin(node: &Node, asked: &Asked<'_>) -> Result<TabletFiles, Failure> {
    let (source, destination) = (&node.roots[asked.from], &node.roots[asked.to]);
    check_places(source, destination, asked.ids, *asked.wishes)?;
    let files = judged_files(source, asked.ids, asked.wishes)?;
    retired_copy(destination, asked.ids)?;
    check_space(node, destination, &files, asked.reserved)?;
    Ok(files)
}

/// Looks at everything once more, chooses what is chosen once, and accepts the move.
///
/// # Errors
/// Something speaks against it, or the journal takes no row: nothing has happened.
pub(super) fn begin(node: &Node, book: &mut Book, asked: &Asked<'_>) -> Result<Accepted, Failure> {
    let Asked { ids, from, to, .. } = *asked;
    let (source, destination) = (&node.roots[from], &node.roots[to]);
    let files = may_begin(node, asked)?;
    let before = pairs(source, ids)?;
    let replaced = retired_copy(destination, ids)?;
    let shard = free_shard(source, destination, ids)?;
    let stale = if files.stale_missing { StaleRowsets::Drop } else { StaleRowsets::Keep };
    let uid = new_uid();
    let mut doris = DorisMove {
        run: node.run.clone(),
        uid_hi: uid.hi,
        uid_lo: uid.lo,
        now_s: now_ms() / 1000,
        stale,
        before_sha256: sum_of_pairs(&before),
        after_sha256: String::new(),
        replaces: replaces(destination, ids, &replaced)?,
        swap: Swap::Open,
        source_after: if source.is_damaged() { SourceAfter::LeftAlone } else { SourceAfter::Retired },
        retired_run: None,
        confirmed_ms: None,
        files: Vec::new(),
    };
    let batches = written(ids, &before, &doris, shard)?;
    doris.after_sha256 = sum_of_pairs(&batches.put);
    // From here on something is made: the rooms first, since they say which disks these are.
    destination.disk.ensure_room().map_err(Failure::from)?;
    if !source.read_only {
        source.disk.ensure_room().map_err(Failure::from)?;
    }
    let mut row = Migration::new(key_of(ids), source.reference(), destination.reference(), now_ms());
    row.source_shard = Some(shard_of(source, ids)?);
    row.destination_shard = Some(shard);
    row.counters.total_bytes = files.files.values().sum();
    row.counters.total_files = files.files.len() as u64;
    row.doris = Some(Box::new(doris));
    (asked.dress)(&mut row);
    book.accept(&mut row)?;
    Ok(Accepted { row, from, to, ids, files, before, batches, replaced })
}

/// Takes up a move that an earlier run accepted and did not commit.
///
/// # Errors
/// The tablet is not what it was.
pub(super) fn take_up(
    node: &Node,
    mut row: Migration,
    from: usize,
    to: usize,
) -> Result<Accepted, (Box<Migration>, Failure)> {
    let ids = ids_of(row.key);
    let again = || -> Result<_, Failure> {
        // What was allowed when it was accepted is allowed.
        let wishes = Wishes { committed: Committed::Move, older: Older::Accepted, ..Wishes::default() };
        let files = judged_files(&node.roots[from], ids, &wishes)?;
        let before = pairs(&node.roots[from], ids)?;
        let (Some(doris), Some(shard)) = (&row.doris, row.destination_shard) else {
            return Err(Failure::new(
                ErrorCode::Internal,
                "a row of a Doris move does not say what it moves",
            ));
        };
        let batches = written(ids, &before, doris, shard)?;
        if sum_of_pairs(&before) != doris.before_sha256 || sum_of_pairs(&batches.put) != doris.after_sha256 {
            let text = format!("tablet {ids} is not what it was when its move was accepted");
            return Err(Failure::new(ErrorCode::PreconditionFailed, text));
        }
        let replaced = retired_copy(&node.roots[to], ids)?;
        if replaces(&node.roots[to], ids, &replaced)? != doris.replaces {
            let text = format!("what the destination had of tablet {ids} is not what it was");
            return Err(Failure::new(ErrorCode::PreconditionFailed, text));
        }
        Ok((files, before, batches, replaced))
    };
    match again() {
        Ok((files, before, batches, replaced)) => {
            // It stands where a kill left it; nothing of that is believed but what is on the disks.
            let event = if row.status == Status::Paused { Event::Resume } else { Event::Interrupted };
            let _ = advance(&mut row, event, "goes on");
            Ok(Accepted { row, from, to, ids, files, before, batches, replaced })
        }
        Err(failure) => Err((Box::new(row), failure)),
    }
}

/// The batches of a move, by what was chosen for it.
///
/// # Errors
/// A message does not walk.
pub(super) fn written(
    ids: TabletIds,
    before: &[Pair],
    doris: &DorisMove,
    shard: ShardId,
) -> Result<Batches, Failure> {
    let place = NewPlace {
        shard: u32::from(shard.0),
        uid: Uid { hi: doris.uid_hi, lo: doris.uid_lo },
        now: doris.now_s,
        stale: match doris.stale {
            StaleRowsets::Keep => Stale::Keep,
            StaleRowsets::Drop => Stale::Drop,
        },
    };
    batches(ids, before, &place)
        .map_err(|why| Failure::new(ErrorCode::RecordDamaged, format!("tablet {ids}: {why}")))
}

/// Random, and not zero, which no backend takes.
pub(super) fn new_uid() -> Uid {
    let (hi, lo) = uuid::Uuid::new_v4().as_u64_pair();
    Uid { hi: hi.cast_signed(), lo: lo.cast_signed() }
}

fn judged_files(source: &Root, ids: TabletIds, wishes: &Wishes) -> Result<TabletFiles, Failure> {
    let Some(found) = source.inventory.tablets.get(&ids) else {
        let text = format!("there is no record of tablet {ids} on {}", source.path);
        return Err(Failure::new(ErrorCode::TabletNotFound, text));
    };
    let judged = look_at_tablet(source.disk.dir(), found)?;
    let against: Vec<&str> = wishes.against(&judged.reasons).map(Reason::as_str).collect();
    match against.is_empty() {
        true => Ok(judged.files),
        false => {
            let text = format!("tablet {ids} on {} is left: {}", source.path, against.join(", "));
            Err(Failure::new(ErrorCode::PreconditionFailed, text))
        }
    }
}

/// All pairs of a tablet; none is an error.
pub(super) fn pairs(root: &Root, ids: TabletIds) -> Result<Vec<Pair>, Failure> {
    let pairs = root.store.get(ids).map_err(|why| {
        Failure::new(ErrorCode::RecordDamaged, format!("tablet {ids} on {}: {why}", root.path))
    })?;
    match pairs.is_empty() {
        false => Ok(pairs),
        true => Err(Failure::new(
            ErrorCode::TabletNotFound,
            format!("no record of tablet {ids} on {}", root.path),
        )),
    }
}

/// All pairs of a copy that a backend has retired at the destination, which goes in the batch that commits; none is usual.
///
/// # Errors
/// A record is in the way that is not such a copy.
fn retired_copy(destination: &Root, ids: TabletIds) -> Result<Vec<Pair>, Failure> {
    // Keys by number alone would be of both: whatever its schema.
    let of_number =
        destination.inventory.tablets.iter().filter(|(known, _)| known.tablet_id == ids.tablet_id);
    let there: Vec<_> = of_number.collect();
    let is_garbage = |found: &Found| {
        let state = found.record.as_ref().map(|tablet| tablet.state);
        let odd = [
            Reason::UnknownKey,
            Reason::BinlogRow,
            Reason::KeyAndRecordDiffer,
            Reason::RowsetDamaged,
            Reason::UidZero,
        ];
        state == Ok(TabletState::Shutdown) && !found.reasons().iter().any(|reason| odd.contains(reason))
    };
    match there[..] {
        [] => Ok(Vec::new()),
        [(known, found)] if *known == ids && is_garbage(found) => pairs(destination, ids),
        [(there, _), ..] => {
            let text = format!(
                "{} has a record of tablet {there} already; start the backend once and stop it again: it settles this",
                destination.path
            );
            // Not "already on disk": to a task that would say that its move is made.
            Err(Failure::new(ErrorCode::PreconditionFailed, text))
        }
    }
}

fn replaces(destination: &Root, ids: TabletIds, pairs: &[Pair]) -> Result<Option<Replaced>, Failure> {
    match pairs.is_empty() {
        true => Ok(None),
        false => Ok(Some(Replaced { shard: shard_of(destination, ids)?, sha256: sum_of_pairs(pairs) })),
    }
}

fn shard_of(root: &Root, ids: TabletIds) -> Result<ShardId, Failure> {
    let record = root.inventory.tablets.get(&ids).and_then(|found| found.record.as_ref().ok());
    let shard =
        record.and_then(|tablet| u16::try_from(tablet.shard).ok()).filter(|shard| *shard < SHARD_COUNT);
    shard.map(ShardId).ok_or_else(|| {
        Failure::new(
            ErrorCode::RecordDamaged,
            format!("the record of tablet {ids} names no shard there can be"),
        )
    })
}

/// The shard it had, or the next one where nothing of that number stands.
fn free_shard(source: &Root, destination: &Root, ids: TabletIds) -> Result<ShardId, Failure> {
    let wanted = shard_of(source, ids)?;
    for offset in 0..SHARD_COUNT {
        let shard = ShardId((wanted.0 + offset) % SHARD_COUNT);
        if destination.disk.dir().kind(tablet_parent(shard, key_of(ids).tablet_id))?.is_none() {
            return Ok(shard);
        }
    }
    let text = format!("every shard of {} has a directory of tablet {ids}", destination.path);
    Err(Failure::new(ErrorCode::PreconditionFailed, text))
}

/// Whether a tablet may go from the one root to the other at all.
fn check_places(source: &Root, destination: &Root, ids: TabletIds, wishes: Wishes) -> Result<(), Failure> {
    let refused = |code, text: String| Err(Failure::new(code, text));
    let to = &destination.path;
    if std::ptr::eq(source, destination) {
        return refused(ErrorCode::AlreadyOnDisk, format!("tablet {ids} is on {to} already"));
    }
    if destination.read_only {
        return refused(ErrorCode::DiskUnavailable, format!("{to} takes no writes"));
    }
    if wishes.media == OtherMedia::Never && source.medium != destination.medium {
        let (here, there) = (source.medium, destination.medium);
        return refused(
            ErrorCode::PreconditionFailed,
            format!("{to} is {there}, and tablet {ids} is on {here}: the frontend would order it back"),
        );
    }
    Ok(())
}

fn check_space(node: &Node, destination: &Root, files: &TabletFiles, reserved: Space) -> Result<(), Failure> {
    let need = Space::of_tablet(files.files.values().sum(), files.files.len() as u64);
    let capacity = destination.disk.capacity()?;
    fits(capacity, reserved, need, node.limits())
        .map_err(|full| Failure::new(ErrorCode::DiskFull, format!("{}: {full}", destination.path)))
}
