//! What becomes of an unfinished move between Doris roots, by what both databases say at the next start of ours
//! (`doris-roots` 5.4). A backend may have run meanwhile: then its word counts, and nothing is deleted.

use crate::model::Swap;

/// What the source's database says of the tablet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AtSource {
    /// Exactly what the move began with.
    AsBefore,
    Gone,
    /// A record that serves, and is not the one the move began with.
    Serves,
    /// A record that a backend has retired.
    Retired,
}

impl AtSource {
    /// For the log.
    pub const fn in_words(self) -> &'static str {
        match self {
            Self::AsBefore => "as the move began",
            Self::Gone => "no record",
            Self::Serves => "another record that serves",
            Self::Retired => "a record that a backend has retired",
        }
    }
}

/// What the destination's database says of the tablet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AtDestination {
    Gone,
    /// The record that the move wrote, by its uid; where the source can still tell, every key and value of it.
    AsWritten,
    /// A record that serves, and is not the one that was written.
    Serves,
    /// A record that a backend has retired.
    Retired,
}

impl AtDestination {
    /// For the log.
    pub const fn in_words(self) -> &'static str {
        match self {
            Self::Gone => "no record",
            Self::AsWritten => "the record that was written",
            Self::Serves => "another record that serves",
            Self::Retired => "a record that a backend has retired",
        }
    }
}

/// What is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settling {
    /// Nothing was committed: the move goes on, with the same bytes.
    GoOn,
    /// Committed: the source's keys are deleted, then its directory is put away.
    RetireSource,
    /// Committed, and the source's keys are gone: only its directory is left to put away.
    PutAway,
    /// The commit is in doubt: the source gets a record that outranks it.
    Outrank,
    /// It ends; the tablet is at its destination. Nothing of it is touched.
    EndsMoved,
    /// It ends; the tablet is at its source. Only what never owned anything goes.
    EndsAtSource,
    /// It ends; a backend has to say who owns. Nothing is touched.
    EndsOpen,
}

impl Settling {
    /// For the log.
    pub const fn in_words(self) -> &'static str {
        match self {
            Self::GoOn => "the move goes on",
            Self::RetireSource => "the source's keys go",
            Self::PutAway => "the source's directory is put away",
            Self::Outrank => "the source gets a record that outranks the other",
            Self::EndsMoved => "it has ended at its destination",
            Self::EndsAtSource => "it has ended at its source",
            Self::EndsOpen => "it ends, and a backend has to say who owns the tablet",
        }
    }
}

/// Settles one unfinished move.
pub const fn settle(swap: Swap, source: AtSource, destination: AtDestination) -> Settling {
    use AtDestination as D;
    use AtSource as S;
    match (swap, source, destination) {
        (Swap::Open, S::AsBefore, D::Gone) => Settling::GoOn,
        (Swap::Open | Swap::Durable, S::AsBefore, D::AsWritten) => Settling::RetireSource,
        (Swap::InDoubt, S::AsBefore, D::AsWritten) => Settling::Outrank,
        (Swap::InDoubt | Swap::TakenBack | Swap::Undone, S::Serves, _) => Settling::EndsAtSource,
        (Swap::Open | Swap::Durable, S::Gone, D::AsWritten) => Settling::PutAway,
        (_, S::Gone | S::Retired, D::AsWritten | D::Serves) => Settling::EndsMoved,
        // What was acknowledged and is not there any more was never durable there, or the disk is an old one.
        (_, S::AsBefore | S::Serves, D::Gone | D::Retired) => Settling::EndsAtSource,
        _ => Settling::EndsOpen,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SWAPS: [Swap; 5] = [Swap::Open, Swap::Durable, Swap::InDoubt, Swap::TakenBack, Swap::Undone];
    const SOURCES: [AtSource; 4] = [AtSource::AsBefore, AtSource::Gone, AtSource::Serves, AtSource::Retired];
    const DESTINATIONS: [AtDestination; 4] =
        [AtDestination::Gone, AtDestination::AsWritten, AtDestination::Serves, AtDestination::Retired];

    fn each(mut check: impl FnMut(Swap, AtSource, AtDestination, Settling)) {
        for swap in SWAPS {
            for source in SOURCES {
                for destination in DESTINATIONS {
                    check(swap, source, destination, settle(swap, source, destination));
                }
            }
        }
    }

    #[test]
    fn a_source_is_retired_only_by_a_destination_that_is_as_it_was_written() {
        each(|swap, source, destination, settling| {
            if matches!(settling, Settling::RetireSource | Settling::PutAway) {
                assert_eq!(destination, AtDestination::AsWritten);
                assert!(matches!(source, AtSource::AsBefore | AtSource::Gone));
                assert!(matches!(swap, Swap::Open | Swap::Durable), "{swap:?}");
            }
        });
    }

    #[test]
    fn a_backend_that_has_run_has_the_last_word() {
        each(|swap, source, destination, settling| {
            let ran = matches!(source, AtSource::Serves | AtSource::Retired)
                || matches!(destination, AtDestination::Serves | AtDestination::Retired);
            let ends = matches!(settling, Settling::EndsMoved | Settling::EndsAtSource | Settling::EndsOpen);
            assert!(!ran || ends, "{swap:?} {source:?} {destination:?}: {settling:?}");
        });
    }

    #[test]
    fn a_move_goes_on_only_where_nothing_was_committed() {
        each(|swap, source, destination, settling| {
            let untouched =
                swap == Swap::Open && source == AtSource::AsBefore && destination == AtDestination::Gone;
            assert_eq!(settling == Settling::GoOn, untouched);
        });
    }
}
