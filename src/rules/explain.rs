//! Why may this tablet go to that disk, or why not: every rule's answer with its numbers, not only the first that says no.
//!
//! The rules of admission are those of [`admit`](super::admission::admit), in its order: it grants what gets only yes
//! here, and its refusal is the first no. Those of plans follow; they bind plans, not a request that names the disk.

use super::admission::{DestinationFacts, Facts, HeldBy, TabletFacts};
use super::capacity::fits;
use super::planning::Pin;
use crate::model::{
    Capacity, DiskCondition, ErrorCode, Medium, Space, TabletKey, TimestampMs, counted_as, quoted, utc,
};

macro_rules! rules {
    ($($(#[$doc:meta])* $variant:ident = $name:literal, $refusal:expr;)*) => {
        /// One rule, worded so that yes lets the tablet go.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Rule {
            $($(#[$doc])* $variant,)*
        }

        impl Rule {
            /// Every rule, in the order in which they are answered.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// A stable name.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// The code admission refuses with; `None` for a rule that binds plans only.
            pub const fn refusal(self) -> Option<ErrorCode> {
                match self { $(Self::$variant => $refusal,)* }
            }
        }
    };
}

rules! {
    /// The tablet is on this node.
    TabletKnown = "tablet_known", Some(ErrorCode::TabletNotFound);
    /// It is of the schema hash given.
    SchemaHash = "schema_hash", Some(ErrorCode::SchemaHashMismatch);
    /// It is served.
    TabletServed = "tablet_served", Some(ErrorCode::TabletUnavailable);
    /// The disk is configured.
    DiskKnown = "disk_known", Some(ErrorCode::DiskNotFound);
    /// The tablet is on another disk.
    OtherDisk = "other_disk", Some(ErrorCode::AlreadyOnDisk);
    /// Its disk can be read.
    SourceReadable = "source_readable", Some(ErrorCode::DiskUnavailable);
    /// The destination takes new copies.
    DestinationWritable = "destination_writable", Some(ErrorCode::DiskUnavailable);
    /// It fits, bytes in flight counted.
    Space = "space", Some(ErrorCode::DiskFull);
    /// No migration owns it.
    NotMoving = "not_moving", Some(ErrorCode::MigrationExists);
    /// The queue takes one more.
    QueueRoom = "queue_room", Some(ErrorCode::QueueFull);
    /// It is not pinned.
    NotPinned = "not_pinned", None;
    /// It was not moved too recently for a rebalance.
    CooledDown = "cooled_down", None;
    /// It is large enough for a rebalance.
    WorthMoving = "worth_moving", None;
    /// Source and destination are of one medium.
    SameMedium = "same_medium", None;
    /// They are on two file systems.
    OtherFileSystem = "other_file_system", None;
}

/// What a rule says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Answer {
    Yes,
    No,
    /// It cannot be asked, because the tablet or the disk is not known.
    Unanswered,
}

/// One rule's answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    pub rule: Rule,
    pub answer: Answer,
    /// The numbers it looked at, in words.
    pub detail: String,
}

/// Whether two disks share a file system.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FileSystems {
    Shared,
    /// They do not.
    Two,
}

/// What plans look at beside admission's facts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PlanFacts {
    pub pin: Pin,
    /// When it last changed its disk.
    pub last_moved_ms: Option<TimestampMs>,
    pub now_ms: TimestampMs,
    /// How long a rebalance leaves a moved tablet alone.
    pub cool_down_ms: TimestampMs,
    /// The smallest tablet a rebalance moves.
    pub min_move_bytes: u64,
    /// Media of source and destination.
    pub media: (Medium, Medium),
    /// File systems of source and destination.
    pub file_systems: FileSystems,
}

/// Every rule's answer, in the order of [`Rule::ALL`]. Rules of plans are left out when their facts are not given.
pub fn explain(key: TabletKey, disk: &str, facts: &Facts<'_>, plans: Option<&PlanFacts>) -> Vec<Check> {
    let served = match facts.tablet {
        TabletFacts::On { disk, condition, need } => Some((disk, condition, need)),
        _ => None,
    };
    let both = served.zip(facts.destination);
    let one = |rule| {
        let found = match rule {
            Rule::TabletKnown | Rule::SchemaHash | Rule::TabletServed => tablet(rule, key, facts),
            Rule::DiskKnown => Some(match facts.destination {
                Some(_) => (true, format!("{disk} is configured")),
                None => (false, format!("{} is none of {}", quoted(disk), facts.known_disks.join(", "))),
            }),
            Rule::OtherDisk => both.map(|((source, _, _), _)| (source != disk, format!("it is on {source}"))),
            Rule::SourceReadable => {
                served.map(|(source, condition, _)| (condition.is_readable(), state(source, condition)))
            }
            Rule::DestinationWritable => facts
                .destination
                .map(|DestinationFacts { condition, .. }| (condition.is_writable(), state(disk, condition))),
            Rule::Space => both.map(|((_, _, need), destination)| space(need, destination, facts)),
            Rule::NotMoving => served.map(|_| match (facts.held, facts.claimed) {
                (Some(HeldBy::Migration(id, to)), _) => {
                    (false, format!("migration {id} is moving it to {to}"))
                }
                (Some(HeldBy::SomebodyForAMoment), _) => (false, "somebody has it at this moment".to_owned()),
                (None, Some(id)) => (false, format!("operation {id} has it")),
                (None, None) => (true, "no migration owns it, and no operation has it".to_owned()),
            }),
            Rule::QueueRoom => Some((
                facts.queue_length < facts.queue_limit,
                format!("{} of {} places in the queue are taken", facts.queue_length, facts.queue_limit),
            )),
            Rule::NotPinned
            | Rule::CooledDown
            | Rule::WorthMoving
            | Rule::SameMedium
            | Rule::OtherFileSystem => {
                both.zip(plans).map(|(((_, _, need), _), plans)| planned(rule, need.bytes, plans))
            }
        };
        let (answer, detail) = match found {
            Some((true, detail)) => (Answer::Yes, detail),
            Some((false, detail)) => (Answer::No, detail),
            None => (Answer::Unanswered, "the tablet or the disk is not known".to_owned()),
        };
        Check { rule, answer, detail }
    };
    let asked = |rule: &&Rule| plans.is_some() || rule.refusal().is_some();
    Rule::ALL.iter().filter(asked).copied().map(one).collect()
}

fn tablet(rule: Rule, key: TabletKey, facts: &Facts<'_>) -> Option<(bool, String)> {
    match (rule, facts.tablet) {
        (Rule::TabletKnown, TabletFacts::Unknown) => {
            Some((false, format!("tablet {} is not on this node", key.tablet_id)))
        }
        (Rule::TabletKnown, _) => Some((true, format!("tablet {} is on this node", key.tablet_id))),
        (_, TabletFacts::Unknown) => None,
        (Rule::SchemaHash, TabletFacts::OtherSchema(found)) => {
            Some((false, format!("its schema_hash is {found}, not {}", key.schema_hash)))
        }
        (Rule::SchemaHash, _) => Some((true, format!("its schema_hash is {}", key.schema_hash))),
        (_, TabletFacts::OtherSchema(_)) => None,
        (_, TabletFacts::Unavailable(why)) => Some((false, why.to_owned())),
        (_, TabletFacts::On { disk, need, .. }) => {
            Some((true, format!("served from {disk}, {} bytes", need.bytes)))
        }
    }
}

fn state(disk: &str, condition: &DiskCondition) -> String {
    match condition {
        DiskCondition::Online => format!("{disk} is online"),
        other => other.refusal(disk),
    }
}

fn space(need: Space, destination: DestinationFacts<'_>, facts: &Facts<'_>) -> (bool, String) {
    let DestinationFacts { capacity, reserved, .. } = destination;
    if let Err(full) = fits(capacity, reserved, need, facts.limits) {
        return (false, full.to_string());
    }
    let Capacity { total_bytes, avail_bytes, .. } = capacity;
    let left = avail_bytes.saturating_sub(reserved.bytes).saturating_sub(need.bytes);
    let used = u128::from(total_bytes - left) * 100 / u128::from(total_bytes.max(1));
    let limits = facts.limits.for_disk(total_bytes);
    let inodes = capacity.inodes_left().map(|avail| {
        let (inodes, reserved) = (need.inodes, reserved.inodes);
        let files = counted_as(inodes, "file or directory", "files and directories");
        let avail = counted_as(avail, "inode is", "inodes are");
        format!("; {files}, {avail} left, {reserved} of them meant for other moves")
    });
    let detail = format!(
        "{} bytes fit: with {} bytes of other moves in flight the disk would be {used} % full with {left} bytes left \
         (limits: {} % used, {} bytes left){}",
        need.bytes,
        reserved.bytes,
        limits.usage_percent,
        limits.left_bytes,
        inodes.unwrap_or_default()
    );
    (true, detail)
}

fn planned(rule: Rule, size_bytes: u64, plans: &PlanFacts) -> (bool, String) {
    match rule {
        Rule::NotPinned => match plans.pin {
            Pin::Free => (true, "it is not pinned".to_owned()),
            Pin::Pinned => (false, "it is pinned".to_owned()),
        },
        Rule::CooledDown => match plans.last_moved_ms {
            None => (true, "it was never moved".to_owned()),
            Some(moved_ms) => {
                let until_ms = moved_ms.saturating_add(plans.cool_down_ms);
                let detail = format!(
                    "moved at {}, a rebalance may move it again from {} on (rebalance_cool_down_sec)",
                    utc(moved_ms),
                    utc(until_ms)
                );
                (until_ms <= plans.now_ms, detail)
            }
        },
        Rule::WorthMoving => {
            let detail = format!(
                "{size_bytes} bytes, a rebalance moves from {} bytes (rebalance_min_move_bytes)",
                plans.min_move_bytes
            );
            (size_bytes >= plans.min_move_bytes, detail)
        }
        Rule::SameMedium => {
            let (source, destination) = plans.media;
            (source == destination, format!("from {source} to {destination}"))
        }
        _ => match plans.file_systems {
            FileSystems::Two => (true, "on two file systems".to_owned()),
            FileSystems::Shared => (false, "on one file system: a move frees no space".to_owned()),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{MigrationId, SchemaHash};
    use crate::rules::admission::admit;
    use crate::rules::capacity::{CapacityLimits, CapacityRule, LeftBytesFrom};
    use proptest::prelude::*;

    const KEY: TabletKey = TabletKey::new(10, 20);

    fn facts<'a>(source: &'a DiskCondition, destination: &'a DiskCondition) -> Facts<'a> {
        Facts {
            tablet: TabletFacts::On { disk: "/d1", condition: source, need: Space::of_bytes(100) },
            destination: Some(DestinationFacts {
                condition: destination,
                capacity: Capacity { total_bytes: 10_000, avail_bytes: 9_000, ..Capacity::default() },
                reserved: Space::of_bytes(50),
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

    fn answer(checks: &[Check], rule: Rule) -> &Check {
        checks.iter().find(|check| check.rule == rule).expect("every rule answers")
    }

    #[test]
    fn every_no_is_told_at_once_and_with_its_numbers() {
        let broken = DiskCondition::Broken { reason: "gone".into() };
        let disabled = DiskCondition::Disabled { reason: "by ops: audit".into() };
        let mut now = facts(&broken, &disabled);
        now.queue_length = 10;
        now.held = Some(HeldBy::Migration(MigrationId(7), "/d3"));
        let plans = PlanFacts {
            pin: Pin::Pinned,
            last_moved_ms: Some(1_000),
            now_ms: 1_500,
            cool_down_ms: 501,
            min_move_bytes: 101,
            media: (Medium::Ssd, Medium::Hdd),
            file_systems: FileSystems::Shared,
        };
        let checks = explain(KEY, "/d2", &now, Some(&plans));
        assert_eq!(checks.iter().map(|check| check.rule).collect::<Vec<_>>(), Rule::ALL);
        for (rule, detail) in [
            (Rule::SourceReadable, "/d1 is broken: gone"),
            (
                Rule::DestinationWritable,
                "/d2 is disabled: by ops: audit; tabletctl disk enable /d2 lets copies go there again",
            ),
            (Rule::NotMoving, "migration 7 is moving it to /d3"),
            (Rule::QueueRoom, "10 of 10 places in the queue are taken"),
            (Rule::NotPinned, "it is pinned"),
            (
                Rule::CooledDown,
                "moved at 1970-01-01T00:00:01Z, a rebalance may move it again from 1970-01-01T00:00:01Z on \
                 (rebalance_cool_down_sec)",
            ),
            (Rule::WorthMoving, "100 bytes, a rebalance moves from 101 bytes (rebalance_min_move_bytes)"),
            (Rule::SameMedium, "from SSD to HDD"),
            (Rule::OtherFileSystem, "on one file system: a move frees no space"),
        ] {
            let check = answer(&checks, rule);
            assert_eq!((check.answer, check.detail.as_str()), (Answer::No, detail));
        }
        let space = answer(&checks, Rule::Space);
        assert_eq!(space.answer, Answer::Yes);
        assert_eq!(
            space.detail,
            "100 bytes fit: with 50 bytes of other moves in flight the disk would be 11 % full with 8850 bytes left \
             (limits: 90 % used, 0 bytes left)"
        );
    }

    #[test]
    fn what_is_not_known_is_not_answered() {
        let online = DiskCondition::Online;
        let mut now = facts(&online, &online);
        now.tablet = TabletFacts::Unknown;
        let checks = explain(KEY, "/d2", &now, None);
        assert_eq!(checks.len(), 10, "no facts of plans, no rules of plans");
        assert_eq!(answer(&checks, Rule::TabletKnown).answer, Answer::No);
        assert_eq!(answer(&checks, Rule::Space).answer, Answer::Unanswered);
        assert_eq!(answer(&checks, Rule::DestinationWritable).answer, Answer::Yes);
    }

    fn condition() -> impl Strategy<Value = DiskCondition> {
        prop_oneof![
            Just(DiskCondition::Online),
            Just(DiskCondition::Disabled { reason: "by ops".into() }),
            Just(DiskCondition::Suspect { reason: "s".into() }),
            Just(DiskCondition::Hung { operation: "h".into() }),
            Just(DiskCondition::Broken { reason: "b".into() }),
        ]
    }

    proptest! {
        /// The explanation and the decision are two texts of one law.
        #[test]
        fn admission_refuses_with_the_first_no(
            source in condition(), destination in condition(), tablet in 0_u8..6, known: bool, running: bool, claimed: bool,
            queue_length in 9_usize..12, reserved_bytes in 7_000_u64..9_100, same: bool,
        ) {
            let mut now = facts(&source, &destination);
            now.tablet = match tablet {
                0 => TabletFacts::Unknown,
                1 => TabletFacts::OtherSchema(SchemaHash(5)),
                2 => TabletFacts::Unavailable("x"),
                _ if same => TabletFacts::On { disk: "/d2", condition: &source, need: Space::of_bytes(100) },
                _ => now.tablet,
            };
            now.destination = now.destination.filter(|_| known).map(|to| DestinationFacts { reserved: Space::of_bytes(reserved_bytes), ..to });
            now.held = running.then_some(HeldBy::Migration(MigrationId(1), "/d2"));
            now.claimed = claimed.then_some(crate::model::OperationId(1));
            now.queue_length = queue_length;
            let checks = explain(KEY, "/d2", &now, None);
            let first_no = checks.iter().find(|check| check.answer == Answer::No);
            match admit(KEY, "/d2", &now) {
                Ok(()) => prop_assert!(checks.iter().all(|check| check.answer == Answer::Yes)),
                Err(failure) => prop_assert_eq!(first_no.and_then(|check| check.rule.refusal()), Some(failure.code)),
            }
        }
    }
}
