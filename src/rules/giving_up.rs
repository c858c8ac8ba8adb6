//! What becomes of the tablets and migrations of a disk that never comes back, once an operator has said so. Two small
//! tables; every row is a test.
//!
//! What is served afterwards stands above everything the lost disk may have, so that the disk changes nothing should it
//! ever be seen again.

use crate::model::Status;

/// What is known of one tablet of the lost disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TabletFacts {
    /// The highest generation the lost disk had of it; `None` when nothing says that it had any.
    pub lost: Option<u64>,
    /// The generation of a swap to the lost disk whose end nobody saw. Its content is that of the copy it was made from.
    pub in_doubt: Option<u64>,
    /// The newest good copy on a disk that is here.
    pub here: Option<u64>,
    /// The newest verified staging of it on a disk that is here: one above the copy it was made from.
    pub staged: Option<u64>,
    /// The highest generation in trash or anywhere else on this node.
    pub highest_seen: u64,
    /// The highest generation that another disk which is not here has, or may have.
    pub elsewhere: Option<u64>,
}

/// Whether something older than what is lost may be served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Older {
    /// Not before somebody says so.
    Leave,
    /// The operator has said so.
    Serve,
}

/// What becomes of one tablet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TabletFate {
    /// Nothing: what is here is newer than what the lost disk had.
    Untouched,
    /// The copy that is here is as good as what is lost: it gets a record of this generation.
    Kept(u64),
    /// The staged copy is as good as what is lost: checked cold, it becomes the tablet with this generation.
    Adopted(u64),
    /// The copy that is here is older, and served all the same with this generation.
    OlderServed(u64),
    /// The staged copy is older, and becomes the tablet all the same with this generation.
    OlderAdopted(u64),
    /// What is here is older and is left as it is; nobody serves the tablet.
    OlderLeft,
    /// Another disk that is not here may have it: it stays unavailable until that one is back, or given up as well.
    Elsewhere,
    /// Nothing of it is here: it is given up.
    GivenUp,
}

impl TabletFate {
    /// Its stable name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Untouched => "untouched",
            Self::Kept(_) => "kept",
            Self::Adopted(_) => "adopted",
            Self::OlderServed(_) => "older_served",
            Self::OlderAdopted(_) => "older_adopted",
            Self::OlderLeft => "older_left",
            Self::Elsewhere => "elsewhere",
            Self::GivenUp => "given_up",
        }
    }

    /// The generation it is served with from now on, where that changes.
    pub const fn generation(self) -> Option<u64> {
        match self {
            Self::Kept(generation)
            | Self::Adopted(generation)
            | Self::OlderServed(generation)
            | Self::OlderAdopted(generation) => Some(generation),
            Self::Untouched | Self::OlderLeft | Self::Elsewhere | Self::GivenUp => None,
        }
    }
}

/// Settles one tablet of a disk that is given up.
pub fn settle_tablet(facts: &TabletFacts, older: Older) -> TabletFate {
    let TabletFacts { lost, in_doubt, here, staged, highest_seen, elsewhere } = *facts;
    if here > lost.max(in_doubt).max(elsewhere) {
        return TabletFate::Untouched;
    }
    if elsewhere.is_some() {
        return TabletFate::Elsewhere;
    }
    let above = [lost, in_doubt, here, staged].into_iter().flatten().fold(highest_seen, u64::max) + 1;
    // A staged copy has the content of the generation below its own.
    let staged_content = staged.map(|generation| generation.saturating_sub(1));
    if here.is_some() && here >= lost {
        return TabletFate::Kept(above);
    }
    if staged_content.is_some() && staged_content >= lost {
        return TabletFate::Adopted(above);
    }
    match (here.max(staged_content), older) {
        (None, _) => TabletFate::GivenUp,
        (Some(_), Older::Leave) => TabletFate::OlderLeft,
        (newest, Older::Serve) if here == newest => TabletFate::OlderServed(above),
        (Some(_), Older::Serve) => TabletFate::OlderAdopted(above),
    }
}

/// Where the tablet of a migration is, once its fate is carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TabletNow {
    /// Served by the migration's source.
    OnSource,
    /// Served by its destination.
    OnDestination,
    /// Served by another disk.
    OnOtherDisk,
    NotServed,
}

/// Whether both ends of a migration are still disks of this node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ends {
    Both,
    /// One is the disk that is given up.
    OneIsLost,
}

/// What becomes of a migration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MigrationFate {
    /// What waited for the disk goes on.
    GoesOn,
    /// Its tablet is where it was to go.
    Completed,
    /// It was being called off, and nothing is left to undo.
    Aborted,
    /// It can never end as it was asked to.
    Failed,
}

impl MigrationFate {
    /// Its stable name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::GoesOn => "goes_on",
            Self::Completed => "completed",
            Self::Aborted => "aborted",
            Self::Failed => "failed",
        }
    }
}

/// Settles one migration that has not ended and that has to do with a disk that is given up.
pub const fn settle_migration(status: Status, ends: Ends, tablet: TabletNow) -> MigrationFate {
    match (ends, tablet) {
        (_, TabletNow::OnDestination) => MigrationFate::Completed,
        (Ends::Both, TabletNow::OnSource) => MigrationFate::GoesOn,
        _ if matches!(status, Status::Aborting) => MigrationFate::Aborted,
        _ => MigrationFate::Failed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::transition::{Event, transition};
    use proptest::prelude::*;

    fn facts(
        lost: Option<u64>,
        in_doubt: Option<u64>,
        here: Option<u64>,
        staged: Option<u64>,
    ) -> TabletFacts {
        TabletFacts { lost, in_doubt, here, staged, highest_seen: 0, elsewhere: None }
    }

    #[test]
    fn tablets_row_by_row() {
        use TabletFate as F;
        let rows = [
            ("only the lost disk had it", facts(Some(2), None, None, None), F::GivenUp, F::GivenUp),
            ("moved away from it", facts(Some(1), None, Some(2), None), F::Untouched, F::Untouched),
            ("never on it", facts(None, None, Some(2), None), F::Untouched, F::Untouched),
            ("a twin", facts(Some(2), None, Some(2), None), F::Kept(3), F::Kept(3)),
            ("perhaps swapped to it", facts(None, Some(2), Some(1), None), F::Kept(3), F::Kept(3)),
            ("moved to it", facts(Some(2), None, Some(1), None), F::OlderLeft, F::OlderServed(3)),
            ("a verified copy of it", facts(Some(1), None, None, Some(2)), F::Adopted(3), F::Adopted(3)),
            ("a copy of an older one", facts(Some(3), None, None, Some(2)), F::OlderLeft, F::OlderAdopted(4)),
            (
                "an older copy and a whole one",
                facts(Some(2), None, Some(1), Some(3)),
                F::Adopted(4),
                F::Adopted(4),
            ),
            ("two older ones", facts(Some(9), None, Some(5), Some(4)), F::OlderLeft, F::OlderServed(10)),
            ("nothing at all", facts(None, None, None, None), F::GivenUp, F::GivenUp),
        ];
        for (name, facts, left, served) in rows {
            assert_eq!(settle_tablet(&facts, Older::Leave), left, "{name}");
            assert_eq!(settle_tablet(&facts, Older::Serve), served, "{name}");
        }
        let elsewhere = TabletFacts { elsewhere: Some(1), ..facts(Some(2), None, Some(1), Some(3)) };
        assert_eq!(settle_tablet(&elsewhere, Older::Serve), F::Elsewhere);
    }

    #[test]
    fn migrations_row_by_row() {
        use MigrationFate::{Aborted, Completed, Failed, GoesOn};
        use TabletNow::{NotServed, OnDestination, OnOtherDisk, OnSource};
        const TABLET: [TabletNow; 4] = [OnDestination, OnSource, OnOtherDisk, NotServed];
        let rows = [
            (Ends::Both, [Completed, GoesOn, Failed, Failed], [Completed, GoesOn, Aborted, Aborted]),
            (Ends::OneIsLost, [Completed, Failed, Failed, Failed], [Completed, Aborted, Aborted, Aborted]),
        ];
        for (ends, wanted, no_longer_wanted) in rows {
            for status in Status::ALL.iter().copied().filter(|status| !status.is_final()) {
                let expected = if status == Status::Aborting { no_longer_wanted } else { wanted };
                let fates = TABLET.map(|tablet| settle_migration(status, ends, tablet));
                assert_eq!(fates, expected, "{status} {ends:?}");
                for fate in fates {
                    let event = match fate {
                        Completed => Event::Completed,
                        Aborted => Event::Undone,
                        Failed => Event::Fail,
                        GoesOn => continue,
                    };
                    assert!(transition(status, event).is_ok(), "{status} cannot end as {fate:?}");
                }
            }
        }
    }

    proptest! {
        #[test]
        fn what_is_served_is_as_good_as_what_is_lost_and_stands_above_everything(
            lost in prop::option::of(1_u64..6),
            in_doubt in prop::option::of(1_u64..6),
            here in prop::option::of(1_u64..6),
            staged in prop::option::of(2_u64..6),
            highest_seen in 0_u64..8,
            elsewhere in prop::option::of(1_u64..6),
        ) {
            let facts = TabletFacts { lost, in_doubt, here, staged, highest_seen, elsewhere };
            for older in [Older::Leave, Older::Serve] {
                let fate = settle_tablet(&facts, older);
                if let Some(generation) = fate.generation() {
                    for other in [lost, in_doubt, here, staged, Some(highest_seen)].into_iter().flatten() {
                        prop_assert!(generation > other);
                    }
                    prop_assert!(elsewhere.is_none());
                }
                match fate {
                    TabletFate::Untouched => prop_assert!(here > lost && here > in_doubt && here > elsewhere),
                    TabletFate::Kept(_) => prop_assert!(here >= lost),
                    TabletFate::Adopted(_) => prop_assert!(staged.unwrap() > lost.unwrap_or(0)),
                    TabletFate::OlderServed(_) | TabletFate::OlderAdopted(_) => {
                        prop_assert_eq!(older, Older::Serve);
                    }
                    TabletFate::OlderLeft => prop_assert!(here.is_some() || staged.is_some()),
                    TabletFate::Elsewhere => prop_assert!(elsewhere.is_some()),
                    TabletFate::GivenUp => prop_assert!(here.is_none() && staged.is_none()),
                }
            }
        }
    }
}
