//! Whether something that was left undone may be done now. What was decided at a start, or at the end of a move, may have
//! been overtaken since: the tablet may have moved on, or back.

/// What is left to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Work {
    /// A copy below `data/` goes to trash: the owner had this generation.
    Retire(u64),
    /// A copy below `data/`, or its record, goes to quarantine.
    SetAside,
    /// A trash entry is finished: the owner had this generation.
    FinishRetiring(u64),
    /// A copy in staging is removed.
    RemoveCopy,
    /// No tablet is concerned.
    Tidy,
}

/// The owner of the tablet, seen from the disk on which something is left undone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OwnerIs {
    /// Nobody serves the tablet.
    NotHere,
    /// This disk has it, in the very place the work is about.
    InThisPlace,
    /// Another disk, or another place on this one, with this generation.
    Elsewhere(u64),
}

/// What becomes of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It is done now, once the owner is synced.
    Do,
    /// It stays, until it is known who owns the tablet.
    Wait,
    /// It is not wanted any more.
    Drop,
}

/// Decides about one thing.
pub const fn settle_undone(work: Work, owner: OwnerIs) -> Verdict {
    match (work, owner) {
        (Work::Tidy, _) | (Work::RemoveCopy, OwnerIs::InThisPlace | OwnerIs::Elsewhere(_)) => Verdict::Do,
        (_, OwnerIs::NotHere) => Verdict::Wait,
        (_, OwnerIs::InThisPlace) => Verdict::Drop,
        (Work::SetAside, OwnerIs::Elsewhere(_)) => Verdict::Do,
        (Work::Retire(outlived_by) | Work::FinishRetiring(outlived_by), OwnerIs::Elsewhere(generation)) => {
            if generation >= outlived_by {
                Verdict::Do
            } else {
                Verdict::Wait
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn row_by_row() {
        use Verdict::{Do, Drop, Wait};
        let owners = [OwnerIs::NotHere, OwnerIs::InThisPlace, OwnerIs::Elsewhere(2), OwnerIs::Elsewhere(3)];
        for (work, verdicts) in [
            (Work::Retire(3), [Wait, Drop, Wait, Do]),
            (Work::FinishRetiring(3), [Wait, Drop, Wait, Do]),
            (Work::SetAside, [Wait, Drop, Do, Do]),
            (Work::RemoveCopy, [Wait, Do, Do, Do]),
            (Work::Tidy, [Do, Do, Do, Do]),
        ] {
            assert_eq!(owners.map(|owner| settle_undone(work, owner)), verdicts, "{work:?}");
        }
    }

    proptest::proptest! {
        #[test]
        fn the_place_of_the_owner_is_never_given_up(generation: u64) {
            for work in [Work::Retire(generation), Work::FinishRetiring(generation), Work::SetAside] {
                proptest::prop_assert_eq!(settle_undone(work, OwnerIs::InThisPlace), Verdict::Drop);
            }
        }
    }
}
