//! Whether who answers at an address is who answered there before.

use crate::model::fleet::{Member, MemberKind};

/// Marks are the disks, by their uuids. A node may gain and lose disks one at a time; a node none of whose disks is known
/// is another one. Nothing is known of a node that was never seen, and nothing of one that shows no disk.
pub fn is_the_same(known: &[String], seen: &[String]) -> bool {
    known.is_empty() || known.iter().any(|mark| seen.contains(mark))
}

/// The member that answers at another address too: one node under two names would be moved twice at once. Disks have uuids
/// on nodes of tabletd alone; roots of two BEs may well be called the same and be of one size.
pub fn twin<'a>(
    member: &Member,
    marks: &[String],
    others: impl IntoIterator<Item = &'a Member>,
) -> Option<&'a Member> {
    let shares = |other: &&Member| {
        other.name != member.name
            && other.kind == MemberKind::Tabletd
            && member.kind == MemberKind::Tabletd
            && other.identity.iter().any(|mark| marks.contains(mark))
    };
    others.into_iter().find(shares)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_is_known_by_any_of_its_disks() {
        let marks = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        for (known, seen, same) in [
            ("", "", true),
            ("", "a b", true),
            ("a b", "a b", true),
            ("a b", "b c", true),
            ("a b", "c d", false),
            ("a b", "", false),
        ] {
            assert_eq!(is_the_same(&marks(known), &marks(seen)), same, "{known} / {seen}");
        }
    }
}
