//! May this request become a migration? The checks, and their order, are those of Doris's endpoint; each refusal names
//! the value and the way out.

use super::capacity::{CapacityLimits, fits};
use crate::model::{
    Capacity, DiskCondition, ErrorCode, Failure, MigrationId, OperationId, SchemaHash, Space, TabletKey,
    counted_as, quoted,
};

/// What the catalog says of the tablet asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TabletFacts<'a> {
    /// No such tablet id.
    Unknown,
    /// It exists under another schema hash.
    OtherSchema(SchemaHash),
    /// Known, but not served now.
    Unavailable(&'a str),
    /// Served from the disk at this path.
    On {
        /// Path of its disk.
        disk: &'a str,
        /// Condition of that disk.
        condition: &'a DiskCondition,
        /// What it needs where it is copied to.
        need: Space,
    },
}

/// What is known of the destination asked for.
#[derive(Debug, Clone, Copy)]
pub struct DestinationFacts<'a> {
    pub condition: &'a DiskCondition,
    pub capacity: Capacity,
    /// Promised to moves in flight and queued.
    pub reserved: Space,
}

/// Who has a tablet: nobody else may move it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HeldBy<'a> {
    /// The migration of this number, to the disk at this path.
    Migration(MigrationId, &'a str),
    /// Somebody who lets go of it soon: a move that is being accepted, what was left undone of it, or whoever gives up a
    /// disk that may have had it.
    SomebodyForAMoment,
}

/// Everything admission looks at.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'a> {
    pub tablet: TabletFacts<'a>,
    /// The disk; `None` when no configured disk is written that way.
    pub destination: Option<DestinationFacts<'a>>,
    /// Configured paths, for the message.
    pub known_disks: &'a [&'a str],
    /// Who has the tablet, if anybody.
    pub held: Option<HeldBy<'a>>,
    /// An operation that has the tablet, such as one that heals it.
    pub claimed: Option<OperationId>,
    pub queue_length: usize,
    pub queue_limit: usize,
    pub limits: CapacityLimits,
}

/// What a request takes for granted of the tablet. Absent parts ask nothing.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Precondition {
    /// Path of the disk it is on.
    pub source_disk: Option<String>,
    /// Generation of its record.
    pub generation: Option<u64>,
}

impl Precondition {
    /// Whether it is so.
    ///
    /// # Errors
    /// `PRECONDITION_FAILED` with what was taken for granted and what is.
    pub fn check(&self, key: TabletKey, disk: &str, generation: u64) -> Result<(), Failure> {
        let mut wrong = Vec::new();
        if let Some(wanted) = self.source_disk.as_deref().filter(|wanted| *wanted != disk) {
            wrong.push(format!("source_disk: expected {}, it is {}", quoted(wanted), quoted(disk)));
        }
        if let Some(wanted) = self.generation.filter(|wanted| *wanted != generation) {
            wrong.push(format!("generation: expected {wanted}, it is {generation}"));
        }
        if wrong.is_empty() {
            return Ok(());
        }
        let way_out = format!("tabletctl tablet show {} says what it is now", key.tablet_id);
        let text = format!("tablet {key}: {}; {way_out}", wrong.join("; "));
        Err(Failure::new(ErrorCode::PreconditionFailed, text))
    }
}

/// Decides. The first reason in the endpoint's order is the answer.
///
/// # Errors
/// The refusal.
pub fn admit(key: TabletKey, disk: &str, facts: &Facts<'_>) -> Result<(), Failure> {
    let refuse = |code, message: String| Err(Failure::new(code, message));
    let (source, source_condition, need) = match facts.tablet {
        TabletFacts::Unknown => {
            return refuse(
                ErrorCode::TabletNotFound,
                format!("tablet {} is not on this node; /tablets_json lists those that are", key.tablet_id),
            );
        }
        TabletFacts::OtherSchema(found) => {
            return refuse(
                ErrorCode::SchemaHashMismatch,
                format!("tablet {} has schema_hash {found}, not {}", key.tablet_id, key.schema_hash),
            );
        }
        TabletFacts::Unavailable(why) => {
            return refuse(ErrorCode::TabletUnavailable, format!("tablet {key} is unavailable: {why}"));
        }
        TabletFacts::On { disk, condition, need } => (disk, condition, need),
    };
    let Some(destination) = facts.destination else {
        return refuse(
            ErrorCode::DiskNotFound,
            format!(
                "no configured disk is written {}; write it as in storage_root_path: {}",
                quoted(disk),
                facts.known_disks.join(", ")
            ),
        );
    };
    if source == disk {
        return refuse(ErrorCode::AlreadyOnDisk, format!("tablet {key} is on {disk} already"));
    }
    if !source_condition.is_readable() {
        return refuse(
            ErrorCode::DiskUnavailable,
            format!("source disk {}", source_condition.refusal(source)),
        );
    }
    if !destination.condition.is_writable() {
        return refuse(ErrorCode::DiskUnavailable, format!("disk {}", destination.condition.refusal(disk)));
    }
    if let Err(full) = fits(destination.capacity, destination.reserved, need, facts.limits) {
        return refuse(ErrorCode::DiskFull, format!("disk {disk}: {full}"));
    }
    if let Some(why) = who_has_it(key, facts) {
        return refuse(ErrorCode::MigrationExists, why);
    }
    if facts.queue_length >= facts.queue_limit {
        return refuse(
            ErrorCode::QueueFull,
            format!(
                "{} queued, the limit is migration_queue_size = {}",
                counted_as(facts.queue_length, "migration is", "migrations are"),
                facts.queue_limit
            ),
        );
    }
    Ok(())
}

/// Who has the tablet, in words; two of them at once would each think that it moves alone.
fn who_has_it(key: TabletKey, facts: &Facts<'_>) -> Option<String> {
    match (facts.held, facts.claimed) {
        (Some(HeldBy::Migration(id, to)), _) => {
            Some(format!("migration {id} is moving tablet {key} to {to} already; wait for it or abort it"))
        }
        (Some(HeldBy::SomebodyForAMoment), _) => {
            Some(format!("somebody has tablet {key} at this moment; ask again"))
        }
        (None, Some(id)) => {
            Some(format!("operation {id} has tablet {key}; tabletctl operation show {id} says how far it is"))
        }
        (None, None) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_precondition_names_both_values_of_everything_that_is_not_so() {
        let key = TabletKey::new(1, 2);
        let wanted = |disk: Option<&str>, generation| Precondition {
            source_disk: disk.map(str::to_owned),
            generation,
        };
        for fine in [wanted(None, None), wanted(Some("/a"), None), wanted(Some("/a"), Some(3))] {
            assert_eq!(fine.check(key, "/a", 3), Ok(()));
        }
        let refused = wanted(Some("/b"), Some(4)).check(key, "/a", 3).unwrap_err();
        assert_eq!(refused.code, ErrorCode::PreconditionFailed);
        assert_eq!(
            refused.message,
            "tablet 1_2: source_disk: expected \"/b\", it is \"/a\"; generation: expected 4, it is 3; tabletctl tablet \
             show 1 says what it is now"
        );
    }
    use crate::rules::capacity::{CapacityRule, LeftBytesFrom};

    const KEY: TabletKey = TabletKey::new(10, 20);

    fn facts<'a>(online: &'a DiskCondition) -> Facts<'a> {
        Facts {
            tablet: TabletFacts::On { disk: "/d1", condition: online, need: Space::of_bytes(100) },
            destination: Some(DestinationFacts {
                condition: online,
                capacity: Capacity { total_bytes: 10_000, avail_bytes: 9_000, ..Capacity::default() },
                reserved: Space::default(),
            }),
            known_disks: &["/d1", "/d2"],
            held: None,
            claimed: None,
            queue_length: 0,
            queue_limit: 10,
            limits: CapacityLimits {
                usage_percent: 90,
                left_bytes: 0,
                left_bytes_from: LeftBytesFrom::Setting,
                rule: CapacityRule::Or,
            },
        }
    }

    fn code(facts: &Facts<'_>) -> Option<ErrorCode> {
        admit(KEY, "/d2", facts).err().map(|failure| failure.code)
    }

    #[test]
    fn the_first_reason_in_order_is_the_answer() {
        let online = DiskCondition::Online;
        let broken = DiskCondition::Broken { reason: "gone".into() };
        let good = facts(&online);
        assert_eq!(code(&good), None);
        // From the last check to the first: each new fault hides the ones before it.
        let mut now = good;
        now.queue_length = 10;
        assert_eq!(code(&now), Some(ErrorCode::QueueFull));
        now.claimed = Some(OperationId(3));
        assert_eq!(code(&now), Some(ErrorCode::MigrationExists));
        now.held = Some(HeldBy::Migration(MigrationId(1), "/d2"));
        assert_eq!(code(&now), Some(ErrorCode::MigrationExists));
        if let Some(destination) = &mut now.destination {
            destination.reserved = Space::of_bytes(8_500);
        }
        assert_eq!(code(&now), Some(ErrorCode::DiskFull));
        if let Some(destination) = &mut now.destination {
            destination.condition = &broken;
        }
        assert_eq!(code(&now), Some(ErrorCode::DiskUnavailable));
        now.tablet = TabletFacts::On { disk: "/d2", condition: &online, need: Space::of_bytes(1) };
        assert_eq!(code(&now), Some(ErrorCode::AlreadyOnDisk));
        now.destination = None;
        assert_eq!(code(&now), Some(ErrorCode::DiskNotFound));
        now.tablet = TabletFacts::Unavailable("x");
        assert_eq!(code(&now), Some(ErrorCode::TabletUnavailable));
        now.tablet = TabletFacts::OtherSchema(SchemaHash(5));
        assert_eq!(code(&now), Some(ErrorCode::SchemaHashMismatch));
        now.tablet = TabletFacts::Unknown;
        assert_eq!(code(&now), Some(ErrorCode::TabletNotFound));
    }

    #[test]
    fn a_suspect_source_may_be_drained_but_not_filled() {
        let online = DiskCondition::Online;
        let suspect = DiskCondition::Suspect { reason: "fsync failed".into() };
        let mut now = facts(&online);
        now.tablet = TabletFacts::On { disk: "/d1", condition: &suspect, need: Space::of_bytes(1) };
        assert_eq!(code(&now), None);
        if let Some(destination) = &mut now.destination {
            destination.condition = &suspect;
        }
        assert_eq!(code(&now), Some(ErrorCode::DiskUnavailable));
    }
}
