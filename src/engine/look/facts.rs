//! What the rules are told when a move is asked for or only thought of: gathered here, decided in [`crate::rules`].

use crate::engine::node::Node;
use crate::engine::parts::catalog::{Catalog, Claimant};
use crate::engine::parts::clock::now_ms;
use crate::engine::parts::disk::Disk;
use crate::engine::parts::entry::Holder;
use crate::engine::parts::limits;
use crate::engine::parts::limits::cool_down_ms;
use crate::engine::view::{RuleAnswer, RuleBinds};
use crate::model::{
    DiskCondition, DiskIndex, ErrorCode, Failure, Marked, Medium, MigrationId, Status, TabletKey, TimestampMs,
};
use crate::rules::admission::{DestinationFacts, Facts, HeldBy, TabletFacts, admit};
use crate::rules::capacity::CapacityLimits;
use crate::rules::explain::{Answer, FileSystems, PlanFacts, explain};
use crate::rules::placement::{Candidate, choose};
use crate::rules::planning::Pin;
use crate::storage::same_file_system;

/// What is known beside the catalog, looked up before it is locked.
pub(crate) struct Known<'a> {
    node: &'a Node,
    key: TabletKey,
    conditions: Vec<DiskCondition>,
    joins: DiskCondition,
    paths: Vec<&'a str>,
    limits: CapacityLimits,
    queue: (usize, usize),
    running: Option<(MigrationId, String)>,
}

impl<'a> Known<'a> {
    /// Looks around for the tablet `key`.
    pub(crate) fn look(node: &'a Node, key: TabletKey) -> Self {
        let hang_after = node.hang_after();
        let queue_limit = node.config().migration_queue_size as usize;
        // What is being accepted at this moment has its place already.
        let accepting = node.disks.iter().map(|disk| disk.grants.count()).sum::<usize>() / 2;
        let queue_length = node.schedule().waiting_count() + accepting;
        let running = node.board().latest.get(&key).copied();
        let running = running.and_then(|id| node.job(id)).map(|job| {
            let row = job.lock();
            (row.id, row.destination.path.clone())
        });
        Self {
            node,
            key,
            conditions: node.disks.iter().map(|disk| disk.condition(hang_after)).collect(),
            joins: DiskCondition::InTransit { reason: "it joins at this moment" },
            paths: node.shown_disks().map(|disk| disk.path.as_str()).collect(),
            limits: limits::capacity(&node.config()),
            queue: (queue_length, queue_limit),
            running,
        }
    }

    /// What is registered after the look takes nothing yet.
    fn condition(&self, disk: DiskIndex) -> &DiskCondition {
        self.conditions.get(usize::from(disk.0)).unwrap_or(&self.joins)
    }

    /// Everything admission looks at, with `destination` as the disk asked for.
    pub(crate) fn facts<'b>(&'b self, catalog: &'b Catalog, destination: &str) -> Facts<'b> {
        let entry = catalog.get(self.key);
        let other_schema = catalog.with_id(self.key.tablet_id).map(|(key, _)| key.schema_hash).next();
        let tablet = match (entry, catalog.why_unavailable(self.key), other_schema) {
            (Some(entry), _, _) => TabletFacts::On {
                disk: &self.node.disk(entry.disk).path,
                condition: self.condition(entry.disk),
                need: entry.need(),
            },
            (None, Some(why), _) => TabletFacts::Unavailable(why),
            (None, None, Some(found)) => TabletFacts::OtherSchema(found),
            (None, None, None) => TabletFacts::Unknown,
        };
        let holder = entry.and_then(|entry| entry.holder);
        let (running, claimant) = (self.running.as_ref(), catalog.claimant(self.key));
        Facts {
            tablet,
            destination: self.node.disk_at(destination).map(|disk| DestinationFacts {
                condition: self.condition(disk.index),
                capacity: disk.space.capacity(),
                reserved: disk.space.reserved(),
            }),
            known_disks: &self.paths,
            held: match (holder, running, claimant) {
                (Some(_), Some((id, to)), _) => Some(HeldBy::Migration(*id, to)),
                (Some(Holder::Migration(id)), None, _) => Some(HeldBy::Migration(id, "another disk")),
                (Some(Holder::BeingAccepted | Holder::BeingTidied), None, _)
                | (None, _, Some(Claimant::GivingUp)) => Some(HeldBy::SomebodyForAMoment),
                (None, _, Some(Claimant::Operation(_)) | None) => None,
            },
            claimed: match claimant {
                Some(Claimant::Operation(id)) => Some(id),
                Some(Claimant::GivingUp) | None => None,
            },
            queue_length: self.queue.0,
            queue_limit: self.queue.1,
            limits: self.limits,
        }
    }
}

/// The path of the disk of a medium that is best for a tablet now.
///
/// # Errors
/// As [`choose`].
pub(crate) fn best_of_medium(node: &Node, key: TabletKey, medium: Medium) -> Result<String, Failure> {
    let known = Known::look(node, key);
    let catalog = node.catalog();
    let entry = catalog.get(key);
    let source = entry.map(|entry| node.disk(entry.disk));
    let candidates: Vec<_> = node
        .disks
        .iter()
        .map(|disk| {
            let shared =
                source.filter(|source| source.index != disk.index && share_file_system(source, disk));
            let answer = match shared {
                Some(source) => Err(Failure::new(
                    ErrorCode::PlanRefused,
                    format!("on the same file system as {}: nothing would be gained", source.path),
                )),
                None => admit(key, &disk.path, &known.facts(&catalog, &disk.path)),
            };
            Candidate {
                path: &disk.path,
                medium: disk.medium,
                answer,
                capacity: disk.space.capacity(),
                reserved_bytes: disk.space.reserved().bytes,
            }
        })
        .collect();
    choose(key, medium, entry.map_or(0, |entry| entry.size_bytes), &candidates).map(str::to_owned)
}

fn share_file_system(a: &Disk, b: &Disk) -> bool {
    match (a.opened.get(), b.opened.get()) {
        (Some(a), Some(b)) => same_file_system(&a.file_system, &b.file_system),
        _ => false,
    }
}

/// Every rule's answer to a move that nobody has asked for yet.
pub(crate) fn explain_move(node: &Node, key: TabletKey, disk: &str) -> Vec<RuleAnswer> {
    let known = Known::look(node, key);
    let last_moved_ms = last_moved_ms(node, key);
    let (cool_down_ms, min_move_bytes) = {
        let config = node.config();
        (cool_down_ms(&config), config.rebalance_min_move_bytes)
    };
    let pin = if node.marks().contains_key(&Marked::Pinned(key)) { Pin::Pinned } else { Pin::Free };
    let catalog = node.catalog();
    let source = catalog.get(key).map(|entry| node.disk(entry.disk));
    let plans = source.zip(node.disk_at(disk)).map(|(source, destination)| {
        let shared = share_file_system(source, destination);
        PlanFacts {
            pin,
            last_moved_ms,
            now_ms: now_ms(),
            cool_down_ms,
            min_move_bytes,
            media: (source.medium, destination.medium),
            file_systems: if shared { FileSystems::Shared } else { FileSystems::Two },
        }
    });
    explain(key, disk, &known.facts(&catalog, disk), plans.as_ref())
        .into_iter()
        .map(|check| RuleAnswer {
            rule: check.rule.as_str(),
            allows: match check.answer {
                Answer::Yes => Some(true),
                Answer::No => Some(false),
                Answer::Unanswered => None,
            },
            detail: check.detail,
            binds: check.rule.refusal().map_or(RuleBinds::Plans, |_| RuleBinds::EveryMove),
        })
        .collect()
}

fn last_moved_ms(node: &Node, key: TabletKey) -> Option<TimestampMs> {
    let board = node.board();
    let ended = board.latest.get(&key).and_then(|id| board.ended.get(id))?;
    (ended.status == Status::Completed).then_some(ended.finished_ms)?
}
