//! Which copy of a damaged or lost tablet is brought back, and when none may be.
//!
//! A copy is as good as the lost one when it has the highest generation known of the tablet, or the same content. All
//! else is older: it is served only when an operator accepts that aloud. The same goes for everything while a disk is
//! away that may have something newer. A copy is believed only after it was read past the page cache, which is left to
//! the caller: here it is decided in which order they are tried.
//!
//! Healing (`engine/heal`, decided in `rules::healing`): the tablet is claimed, with a generation that nobody else
//! gets; its copy is read past the page cache; every disk that answers is searched (trash, staging, quarantine, sources
//! that were never retired); the newest good copy is brought back *beside* what stands there and committed by its
//! record; only then the damaged one goes to quarantine. Something older, or anything while a newer generation may be
//! on a disk that is away, only by `--accept-older`, with what would be missing. On the disk that has the copy its
//! files get second names, so that a full disk can be healed too.

use std::cmp::Reverse;

use super::giving_up::Older;
use crate::model::Manifest;

/// Where a copy was found. The order is that of preference among copies of one generation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum FoundIn {
    /// Below `data/`, with a record: a source that could not be retired.
    Place,
    /// In trash, whose header alone has arrived in its place: its retirement was cut short.
    Retiring,
    Trash,
    /// In staging: a copy that was never committed.
    Staging,
    /// In quarantine: something was wrong with it, or with another part of it.
    Quarantine,
    /// Files that no good record names, with a record made for them.
    Unrecorded,
}

/// Where the files of a tablet are whose header is in trash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FilesIn {
    Entry,
    /// Below `data/` still.
    Place,
}

/// Where the files of a tablet in trash are; `None` where they are gone, or are another copy's. `named` says whether a
/// record on that disk names the place below `data/` that the header names.
pub const fn files_of_trashed(in_entry: bool, in_place: bool, named: bool) -> Option<FilesIn> {
    match (in_entry, in_place, named) {
        (true, ..) => Some(FilesIn::Entry),
        (false, true, false) => Some(FilesIn::Place),
        (false, ..) => None,
    }
}

/// What a copy holds, beside what the tablet held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Content {
    Same,
    Other,
    /// What the tablet held is not known.
    Unknown,
}

/// One copy that might be brought back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Candidate {
    pub generation: u64,
    pub content: Content,
    pub found_in: FoundIn,
}

/// What is known of the newest state of the tablet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Newest {
    /// The record of the highest generation known is here, and can be read.
    Here,
    /// It is not here, but every disk is: there is no newer one.
    Gone,
    /// A disk is away that has, or may have, a newer one; or two copies contradict each other.
    Unsure,
}

/// In which order copies are tried; indices of the candidates.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Attempts {
    /// Those that may be served without a further word.
    pub current: Vec<usize>,
    /// Those that may be served only when that is accepted; the newest first.
    pub older: Vec<usize>,
}

impl Attempts {
    /// What is to be tried, in order.
    pub fn allowed(&self, older: Older) -> impl Iterator<Item = usize> {
        let older = self.older.iter().filter(move |_| older == Older::Serve);
        self.current.iter().chain(older).copied()
    }
}

/// Orders the candidates. `highest` is the highest generation ever seen of the tablet.
pub fn order(candidates: &[Candidate], highest: u64, newest: Newest) -> Attempts {
    let mut attempts = Attempts::default();
    for (index, candidate) in candidates.iter().enumerate() {
        if is_current(*candidate, highest, newest) {
            attempts.current.push(index);
        } else {
            attempts.older.push(index);
        }
    }
    let by_worth = |index: &usize| {
        let Candidate { generation, content, found_in } = candidates[*index];
        (Reverse(generation), content != Content::Same, found_in)
    };
    attempts.current.sort_by_key(by_worth);
    attempts.older.sort_by_key(by_worth);
    attempts
}

fn is_current(candidate: Candidate, highest: u64, newest: Newest) -> bool {
    if newest == Newest::Unsure {
        return false;
    }
    match candidate.content {
        Content::Same => true,
        Content::Other => false,
        // A staged record has the number it would have got: that says nothing of what it holds.
        Content::Unknown => candidate.found_in != FoundIn::Staging && candidate.generation >= highest,
    }
}

/// Whether two manifests say the same of every file. A checksum that one of them does not record is not compared: the
/// copy is read and compared with what is recorded anyway.
pub fn same_files(a: &Manifest, b: &Manifest) -> bool {
    a.files().len() == b.files().len() && missing_files(a, b).next().is_none()
}

/// Names of the files of `newest` that `copy` does not have as they were.
pub fn missing_files<'a>(newest: &'a Manifest, copy: &'a Manifest) -> impl Iterator<Item = &'a str> {
    let as_it_was = |wanted: &crate::model::FileEntry| {
        copy.get(&wanted.name).is_some_and(|found| {
            let same_sum = wanted.crc32.zip(found.crc32).is_none_or(|(wanted, found)| wanted == found);
            wanted.size_bytes == found.size_bytes && same_sum
        })
    };
    newest.files().iter().filter(move |wanted| !as_it_was(wanted)).map(|wanted| wanted.name.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::FileEntry;
    use proptest::prelude::*;

    const fn candidate(generation: u64, content: Content, found_in: FoundIn) -> Candidate {
        Candidate { generation, content, found_in }
    }

    #[test]
    fn row_by_row() {
        use Content::{Other, Same, Unknown};
        use FoundIn::{Place, Quarantine, Staging, Trash};
        let rows = [
            ("equal in content", vec![candidate(1, Same, Trash)], 2, Newest::Here, vec![0], vec![]),
            ("older content", vec![candidate(1, Other, Trash)], 2, Newest::Here, vec![], vec![0]),
            ("nothing to compare with", vec![candidate(1, Unknown, Trash)], 2, Newest::Gone, vec![], vec![0]),
            ("the newest itself", vec![candidate(2, Unknown, Quarantine)], 2, Newest::Gone, vec![0], vec![]),
            ("staged, not compared", vec![candidate(3, Unknown, Staging)], 2, Newest::Gone, vec![], vec![0]),
            ("staged and equal", vec![candidate(3, Same, Staging)], 2, Newest::Here, vec![0], vec![]),
            ("one may be newer", vec![candidate(9, Same, Trash)], 9, Newest::Unsure, vec![], vec![0]),
            (
                "the newest first, then where it was safest",
                vec![
                    candidate(1, Same, Trash),
                    candidate(2, Same, Quarantine),
                    candidate(2, Same, Place),
                    candidate(1, Other, Place),
                ],
                3,
                Newest::Here,
                vec![2, 1, 0],
                vec![3],
            ),
        ];
        for (name, candidates, highest, newest, current, older) in rows {
            let expected = Attempts { current, older };
            assert_eq!(order(&candidates, highest, newest), expected, "{name}");
        }
    }

    #[test]
    fn the_directory_of_another_copy_is_never_taken_for_a_trashed_one() {
        for (in_entry, in_place, named, expected) in [
            (true, false, false, Some(FilesIn::Entry)),
            (true, true, true, Some(FilesIn::Entry)),
            (true, true, false, Some(FilesIn::Entry)),
            (true, false, true, Some(FilesIn::Entry)),
            (false, true, false, Some(FilesIn::Place)),
            (false, true, true, None),
            (false, false, false, None),
            (false, false, true, None),
        ] {
            let found = files_of_trashed(in_entry, in_place, named);
            assert_eq!(found, expected, "{in_entry} {in_place} {named}");
        }
    }

    #[test]
    fn what_is_missing_is_named() {
        let manifest = |files: &[(&str, u64, Option<u32>)]| {
            let entry = |(name, size_bytes, crc32): &(&str, u64, Option<u32>)| FileEntry {
                name: (*name).to_owned(),
                size_bytes: *size_bytes,
                crc32: *crc32,
            };
            Manifest::new(files.iter().map(entry).collect()).expect("names")
        };
        let newest = manifest(&[("a", 1, Some(1)), ("b", 2, Some(2)), ("c", 3, None)]);
        let copy = manifest(&[("a", 1, Some(7)), ("c", 3, Some(3)), ("d", 1, None)]);
        assert_eq!(missing_files(&newest, &copy).collect::<Vec<_>>(), ["a", "b"]);
        assert!(!same_files(&newest, &copy));
        assert!(same_files(&newest, &manifest(&[("a", 1, None), ("b", 2, Some(2)), ("c", 3, Some(9))])));
        assert!(!same_files(&copy, &manifest(&[("a", 1, Some(7)), ("c", 3, Some(3))])), "one file more");
    }

    fn any_candidate() -> impl Strategy<Value = Candidate> {
        let content = prop::sample::select(vec![Content::Same, Content::Other, Content::Unknown]);
        let found_in = prop::sample::select(vec![
            FoundIn::Place,
            FoundIn::Retiring,
            FoundIn::Trash,
            FoundIn::Staging,
            FoundIn::Quarantine,
            FoundIn::Unrecorded,
        ]);
        (0_u64..5, content, found_in).prop_map(|(generation, content, found_in)| Candidate {
            generation,
            content,
            found_in,
        })
    }

    proptest! {
        #[test]
        fn nothing_older_is_tried_unless_it_is_accepted(
            candidates in prop::collection::vec(any_candidate(), 0..6),
            highest in 0_u64..5,
            newest in prop::sample::select(vec![Newest::Here, Newest::Gone, Newest::Unsure]),
        ) {
            let attempts = order(&candidates, highest, newest);
            for index in attempts.allowed(Older::Leave) {
                let tried = candidates[index];
                prop_assert!(newest != Newest::Unsure);
                prop_assert!(tried.content != Content::Other);
                prop_assert!(tried.content == Content::Same || tried.generation >= highest);
            }
            let mut all: Vec<_> = attempts.allowed(Older::Serve).collect();
            all.sort_unstable();
            prop_assert_eq!(all, (0..candidates.len()).collect::<Vec<_>>(), "each once");
        }
    }
}
