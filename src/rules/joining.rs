//! What becomes of the tablets of a disk that takes its place while the node serves: mounted late, back again, or
//! writable again after it was read-only. One table, decided before anything is written to the disk.
//!
//! A tablet that nobody serves is settled as a start settles it ([`super::recovery::settle_ownership`]).
//!
//! A read-only disk is a source and nothing else: locked by its `disk.json` where no lock file can be made, scanned,
//! served, moved from, never written to and never a destination. The destination's generation decides who owns what is
//! moved off it. While an owner is on such a disk no other copy of its tablet is retired or purged: what a file system
//! shows after an error may be in memory only.

use super::recovery::Soundness;

/// The copy a joining disk holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Held {
    pub generation: u64,
    /// Whether it can own.
    pub soundness: Soundness,
}

/// Who serves the tablet now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Served {
    /// The joining disk itself, which was here before, with this generation.
    Here(u64),
    /// Another disk, with this generation; and whether its content is that of the copy held, where the generations are
    /// equal.
    Elsewhere(u64, Twin),
}

/// Whether two copies of one generation have the same content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Twin {
    /// They have, or the generations differ.
    Equal,
    /// They have not, or one of them could not be read.
    Unequal,
}

/// What becomes of the copy held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    Keep,
    /// It is newer than what was known of this very disk, and nobody else serves the tablet: it owns.
    Own,
    /// It is older than the owner, or the same again: to trash.
    Retire,
    /// It is bad and somebody else owns: left where it is, for a start to set aside.
    Leave,
    /// Served from here until now, and not there or not good any more: nobody serves the tablet.
    Unserve,
    /// It contradicts what is served: the disk does not join.
    Refuse(Contradiction),
}

/// What a disk that joins says against what is served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Contradiction {
    /// A newer generation of a tablet that is served from elsewhere.
    NewerThanServed,
    /// The same generation with other content.
    UnequalTwin,
    /// An older generation than this disk had acknowledged.
    Forgotten,
}

impl Contradiction {
    /// In words, after the tablet and before the way out.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NewerThanServed => "has a newer generation there than the one that is served",
            Self::UnequalTwin => "has the same generation there with other content",
            Self::Forgotten => "has an older generation there than this disk had acknowledged",
        }
    }
}

/// Settles one tablet that is served; `None` where the disk has no copy of it.
pub fn settle_joining(held: Option<Held>, served: Served) -> Verdict {
    let good = held.filter(|held| held.soundness == Soundness::Good);
    match (good, served) {
        (None, Served::Here(_)) => Verdict::Unserve,
        (None, Served::Elsewhere(..)) if held.is_some() => Verdict::Leave,
        (None, Served::Elsewhere(..)) => Verdict::Keep,
        (Some(held), Served::Here(known)) if held.generation == known => Verdict::Keep,
        (Some(held), Served::Here(known)) if held.generation > known => Verdict::Own,
        (Some(_), Served::Here(_)) => Verdict::Refuse(Contradiction::Forgotten),
        (Some(held), Served::Elsewhere(known, _)) if held.generation < known => Verdict::Retire,
        (Some(held), Served::Elsewhere(known, _)) if held.generation > known => {
            Verdict::Refuse(Contradiction::NewerThanServed)
        }
        (Some(_), Served::Elsewhere(_, Twin::Equal)) => Verdict::Retire,
        (Some(_), Served::Elsewhere(_, Twin::Unequal)) => Verdict::Refuse(Contradiction::UnequalTwin),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn held(generation: u64, soundness: Soundness) -> Option<Held> {
        Some(Held { generation, soundness })
    }

    #[test]
    fn joining_row_by_row() {
        use Contradiction::{Forgotten, NewerThanServed, UnequalTwin};
        use Served::{Elsewhere, Here};
        use Soundness::{Bad, Good};
        let rows = [
            ("as it was", held(2, Good), Here(2), Verdict::Keep),
            ("a commit that was in doubt has lasted", held(3, Good), Here(2), Verdict::Own),
            ("a write that was acknowledged is gone", held(1, Good), Here(2), Verdict::Refuse(Forgotten)),
            ("its record is gone", None, Here(2), Verdict::Unserve),
            ("its files are gone", held(2, Bad), Here(2), Verdict::Unserve),
            ("moved away meanwhile", held(1, Good), Elsewhere(2, Twin::Equal), Verdict::Retire),
            ("a twin", held(2, Good), Elsewhere(2, Twin::Equal), Verdict::Retire),
            ("no twin", held(2, Good), Elsewhere(2, Twin::Unequal), Verdict::Refuse(UnequalTwin)),
            ("newer", held(3, Good), Elsewhere(2, Twin::Equal), Verdict::Refuse(NewerThanServed)),
            ("newer, but bad", held(3, Bad), Elsewhere(2, Twin::Equal), Verdict::Leave),
            ("not there, and elsewhere", None, Elsewhere(2, Twin::Equal), Verdict::Keep),
        ];
        for (name, held, served, expected) in rows {
            assert_eq!(settle_joining(held, served), expected, "{name}");
        }
    }

    proptest! {
        #[test]
        fn nothing_older_is_ever_served_and_only_what_is_outlived_is_retired(
            generation in 0_u64..4,
            known in 0_u64..4,
            good: bool,
            here: bool,
            equal: bool,
        ) {
            let soundness = if good { Soundness::Good } else { Soundness::Bad };
            let twin = if equal { Twin::Equal } else { Twin::Unequal };
            let served = if here { Served::Here(known) } else { Served::Elsewhere(known, twin) };
            match settle_joining(held(generation, soundness), served) {
                Verdict::Own => prop_assert!(good && here && generation > known),
                Verdict::Retire => {
                    prop_assert!(good && !here && (generation < known || (generation == known && equal)));
                }
                Verdict::Keep => prop_assert!(here && good && generation == known),
                Verdict::Unserve => prop_assert!(here && !good),
                Verdict::Leave => prop_assert!(!here && !good),
                Verdict::Refuse(_) => prop_assert!(good),
            }
        }
    }
}
