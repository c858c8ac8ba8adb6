//! On which of its two disks the doubt about a swap may be ended.

use crate::model::DiskCondition;

/// One of the two disks of a migration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// It owned the tablet before, and has it whole: asked first.
    Source,
    /// It may own it.
    Destination,
}

/// The ends that may be given a record, in the order in which they are asked. A suspect disk is one of them: what is
/// written is read back.
pub fn ends_to_try(source: &DiskCondition, destination: &DiskCondition) -> impl Iterator<Item = End> + use<> {
    let ends = [(End::Source, takes_a_record(source)), (End::Destination, takes_a_record(destination))];
    ends.into_iter().filter(|(_, takes)| *takes).map(|(end, _)| end)
}

const fn takes_a_record(condition: &DiskCondition) -> bool {
    match condition {
        DiskCondition::Online
        | DiskCondition::Suspect { .. }
        | DiskCondition::Disabled { .. }
        | DiskCondition::InTransit { .. } => true,
        DiskCondition::ReadOnly { .. } | DiskCondition::Broken { .. } | DiskCondition::Hung { .. } => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_source_first_and_never_a_disk_that_takes_nothing() {
        let reason = || String::new();
        let takes = [
            DiskCondition::Online,
            DiskCondition::Suspect { reason: reason() },
            DiskCondition::Disabled { reason: reason() },
        ];
        let takes_not = [
            DiskCondition::ReadOnly { reason: reason() },
            DiskCondition::Broken { reason: reason() },
            DiskCondition::Hung { operation: reason() },
        ];
        for good in &takes {
            for other in takes.iter().chain(&takes_not) {
                assert_eq!(ends_to_try(good, other).next(), Some(End::Source));
            }
            for bad in &takes_not {
                assert_eq!(ends_to_try(bad, good).collect::<Vec<_>>(), [End::Destination]);
            }
        }
        for (source, destination) in takes_not.iter().zip(takes_not.iter().rev()) {
            assert_eq!(ends_to_try(source, destination).next(), None);
        }
    }
}
