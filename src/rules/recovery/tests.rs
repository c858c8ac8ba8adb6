//! Every row of the tables, and that no sequence of findings removes the only good copy.

use super::*;

use proptest::prelude::*;

const A: DiskIndex = DiskIndex(0);
const B: DiskIndex = DiskIndex(1);
const C: DiskIndex = DiskIndex(2);

fn good(disk: DiskIndex, generation: u64) -> CopyFound {
    CopyFound { disk, generation, soundness: Soundness::Good, content_crc32: 7 }
}

fn bad(disk: DiskIndex, generation: u64) -> CopyFound {
    CopyFound { soundness: Soundness::Bad, ..good(disk, generation) }
}

fn owner(disk: DiskIndex, retire: &[DiskIndex], quarantine: &[DiskIndex]) -> Ownership {
    Ownership::Owner { disk, retire: retire.to_vec(), quarantine: quarantine.to_vec() }
}

#[test]
fn ownership_row_by_row() {
    use Disks::{AllPresent, SomeMissing};
    use Ownership::Unavailable as Nobody;
    let other_content = CopyFound { content_crc32: 8, ..good(B, 1) };
    type Row<'a> = (&'a str, &'a [CopyFound], Option<u64>, Disks, Ownership);
    let rows: &[Row<'_>] = &[
        ("one copy", &[good(A, 1)], None, AllPresent, owner(A, &[], &[])),
        ("crash after the commit", &[good(A, 1), good(B, 2)], None, AllPresent, owner(B, &[A], &[])),
        ("a newer but bad copy", &[good(A, 1), bad(B, 2)], None, AllPresent, owner(A, &[], &[B])),
        ("an older bad copy", &[bad(A, 1), good(B, 2)], None, AllPresent, owner(B, &[], &[A])),
        ("three", &[good(A, 1), good(B, 3), good(C, 2)], None, AllPresent, owner(B, &[A, C], &[])),
        ("equal twins", &[good(B, 1), good(A, 1)], None, AllPresent, owner(A, &[B], &[])),
        ("unequal twins", &[good(A, 1), other_content], None, AllPresent, Nobody(Unavailable::Contradiction)),
        ("all bad", &[bad(A, 1)], None, AllPresent, Nobody(Unavailable::NoGoodCopy)),
        ("a disk is missing: left alone", &[good(A, 1), good(B, 2)], None, SomeMissing, owner(B, &[], &[])),
        ("moved to a missing disk", &[], Some(2), SomeMissing, Nobody(Unavailable::NewerOnMissingDisk)),
        ("older here", &[good(A, 1)], Some(2), SomeMissing, Nobody(Unavailable::NewerOnMissingDisk)),
        (
            "perhaps committed there",
            &[good(A, 2)],
            Some(2),
            SomeMissing,
            Nobody(Unavailable::NewerOnMissingDisk),
        ),
        ("came back since", &[good(A, 3)], Some(2), SomeMissing, owner(A, &[], &[])),
    ];
    for (name, copies, elsewhere, disks, expected) in rows {
        let known = Known { elsewhere: *elsewhere, acknowledged: None };
        assert_eq!(settle_ownership(copies, known, *disks), *expected, "{name}");
    }
}

#[test]
fn what_was_acknowledged_on_a_disk_that_is_here_is_not_undone_row_by_row() {
    use Ownership::Unavailable as Nobody;
    let rows: &[(&str, &[CopyFound], Ownership)] = &[
        ("as it was", &[good(A, 1), good(B, 2)], owner(B, &[A], &[])),
        ("it came back older", &[good(B, 1)], Nobody(Unavailable::NoGoodCopy)),
        ("its record is gone, and the source is left", &[good(A, 1)], Nobody(Unavailable::NoGoodCopy)),
        ("it is damaged, and the source is left", &[good(A, 1), bad(B, 2)], Nobody(Unavailable::NoGoodCopy)),
        ("written again above it", &[good(A, 3), good(B, 1)], owner(A, &[B], &[])),
    ];
    for (name, copies, expected) in rows {
        for disks in [Disks::AllPresent, Disks::SomeMissing] {
            let known = Known { elsewhere: None, acknowledged: Some(2) };
            let found = settle_ownership(copies, known, disks);
            match (&found, disks) {
                (Ownership::Owner { disk, .. }, Disks::SomeMissing) => {
                    assert!(
                        matches!(expected, Ownership::Owner { disk: same, .. } if same == disk),
                        "{name}"
                    );
                }
                _ => assert_eq!(found, *expected, "{name}"),
            }
        }
    }
}

#[test]
fn trash_row_by_row() {
    use OwnerIs::{InItsPlace, Newer, NotHere};
    use TrashVerdict::{Finish, Leave, Note, Remove};
    for (reached, verdicts) in [
        (Reached::Nothing, [Leave, Remove, Remove]),
        (Reached::Header, [Leave, Finish, Leave]),
        (Reached::Place, [Leave, Note, Note]),
    ] {
        assert_eq!([NotHere, Newer, InItsPlace].map(|owner| settle_trash(reached, owner)), verdicts);
    }
}

const PLACES: [TabletIs; 5] = [
    TabletIs::OnSource,
    TabletIs::OnDestination,
    TabletIs::OnOtherDisk,
    TabletIs::Unavailable,
    TabletIs::Gone,
];

#[test]
fn migrations_row_by_row() {
    use Gate::{Passes, Waits};
    use MigrationVerdict::{Complete, Fail, FinishAbort, GoOn, StayAtGate, StayPaused, Wait};
    let goes_on = [GoOn, Complete, Fail, Wait, Fail];
    let rows = [
        (Status::Queued, Passes, goes_on),
        (Status::Preflight, Passes, goes_on),
        (Status::PreflightPassed, Passes, goes_on),
        (Status::PreflightPassed, Waits, [StayAtGate, Complete, Fail, Wait, Fail]),
        (Status::Prepared, Passes, goes_on),
        (Status::Prepared, Waits, [StayAtGate, Complete, Fail, Wait, Fail]),
        (Status::Copying, Passes, goes_on),
        (Status::Ready, Passes, goes_on),
        (Status::Ready, Waits, [StayAtGate, Complete, Fail, Wait, Fail]),
        (Status::Finalizing, Passes, goes_on),
        (Status::Paused, Passes, [StayPaused, Complete, Fail, Wait, Fail]),
        (Status::Aborting, Passes, [FinishAbort, Complete, FinishAbort, Wait, FinishAbort]),
    ];
    for (status, gate, expected) in rows {
        assert_eq!(
            PLACES.map(|tablet| settle_migration(status, gate, tablet)),
            expected,
            "{status} {gate:?}"
        );
    }
    for status in Status::ALL.iter().filter(|status| !status.is_final()) {
        assert!(rows.iter().any(|(told, ..)| told == status), "{status} has no row");
    }
}

#[test]
fn copies_of_migrations_row_by_row() {
    use CopyVerdict::{Keep, Remove, RemoveStaging, SetAside};
    use MigrationVerdict as M;
    for (migration, expected) in [
        (M::Complete, [Keep, RemoveStaging, Keep, Keep, Keep]),
        (M::FinishAbort, [Remove, Remove, Remove, Keep, SetAside]),
        (M::Fail, [Remove, Remove, Remove, Keep, SetAside]),
        (M::GoOn, [Keep; 5]),
        (M::StayPaused, [Keep; 5]),
        (M::StayAtGate, [Keep; 5]),
        (M::Wait, [Keep; 5]),
    ] {
        assert_eq!(PLACES.map(|tablet| settle_copy(migration, tablet)), expected, "{migration:?}");
    }
}

#[test]
fn staging_row_by_row() {
    use Disks::{AllPresent, SomeMissing};
    use StagingOwner as O;
    use StagingVerdict::{AcceptAgain, Keep, Leave, SetAside, Sweep, SweepItself};
    let rows = [
        (O::Unfinished, AllPresent, [Keep; 5]),
        (O::Unfinished, SomeMissing, [Keep; 5]),
        (O::Completed, AllPresent, [SweepItself, SweepItself, SweepItself, Leave, SetAside]),
        (O::Completed, SomeMissing, [SweepItself, SweepItself, SweepItself, Leave, Leave]),
        (O::Undone, AllPresent, [Sweep, Sweep, Sweep, Leave, SetAside]),
        (O::Undone, SomeMissing, [Sweep, Sweep, Sweep, Leave, Leave]),
        (O::UnknownMigration, AllPresent, [AcceptAgain, SweepItself, Sweep, Leave, SetAside]),
        (O::UnknownMigration, SomeMissing, [Leave; 5]),
        (O::CutShort, AllPresent, [Sweep, Sweep, Sweep, Leave, SetAside]),
        (O::CutShort, SomeMissing, [Leave; 5]),
        (O::Nobody, AllPresent, [SetAside; 5]),
        (O::Nobody, SomeMissing, [SetAside; 5]),
    ];
    for (owner, disks, expected) in rows {
        for (tablet, expected) in PLACES.into_iter().zip(expected) {
            let found = settle_staging(owner, Staged::Verified, disks, tablet);
            assert_eq!(found, expected, "{owner:?} {disks:?} {tablet:?}");
            // Files that nobody has verified are as good as verified ones, but for an import's or a restore's.
            let partial = match (owner, disks, tablet) {
                (O::CutShort, AllPresent, TabletIs::Gone) => Sweep,
                _ => expected,
            };
            assert_eq!(settle_staging(owner, Staged::Partial, disks, tablet), partial);
        }
    }
    for tablet in PLACES {
        for owner in [O::Completed, O::Undone, O::CutShort, O::Nobody] {
            assert_eq!(settle_staging(owner, Staged::Nothing, SomeMissing, tablet), SweepItself);
        }
        assert_eq!(settle_staging(O::Unfinished, Staged::Nothing, AllPresent, tablet), Keep);
    }
}

proptest! {
    #[test]
    fn the_owner_is_good_and_the_newest_good_one(
        copies in prop::collection::vec((0_u64..4, prop::bool::ANY, 0_u32..2), 0..4),
        elsewhere in prop::option::of(0_u64..4),
        acknowledged in prop::option::of(0_u64..4),
        missing: bool,
    ) {
        let copies: Vec<_> = copies
            .iter()
            .enumerate()
            .map(|(disk, (generation, is_good, crc))| CopyFound {
                disk: DiskIndex(u16::try_from(disk).unwrap()),
                generation: *generation,
                soundness: if *is_good { Soundness::Good } else { Soundness::Bad },
                content_crc32: *crc,
            })
            .collect();
        let disks = if missing { Disks::SomeMissing } else { Disks::AllPresent };
        let known = Known { elsewhere, acknowledged };
        if let Ownership::Owner { disk, retire, quarantine } = settle_ownership(&copies, known, disks) {
            let find = |wanted: DiskIndex| copies.iter().find(|copy| copy.disk == wanted).unwrap();
            prop_assert_eq!(find(disk).soundness, Soundness::Good);
            prop_assert!(elsewhere.is_none_or(|generation| generation < find(disk).generation));
            prop_assert!(acknowledged.is_none_or(|generation| generation <= find(disk).generation));
            for copy in copies.iter().filter(|copy| copy.soundness == Soundness::Good) {
                prop_assert!(copy.generation <= find(disk).generation);
            }
            prop_assert!(!retire.contains(&disk) && !quarantine.contains(&disk));
            prop_assert!(!missing || (retire.is_empty() && quarantine.is_empty()));
        }
    }

    #[test]
    fn no_sequence_of_findings_removes_the_only_good_copy(
        starts in prop::collection::vec((0..Status::ALL.len(), 0_usize..6, 0_usize..5, any::<bool>()), 1..8),
    ) {
        // A verified copy in staging, which is the only good one as long as no owner is seen: whatever the journal and
        // the disks say at one start after the other, it is removed only at a start that sees the owner.
        let owners = [
            StagingOwner::Unfinished, StagingOwner::Completed, StagingOwner::Undone,
            StagingOwner::UnknownMigration, StagingOwner::CutShort, StagingOwner::Nobody,
        ];
        for (status, owner, tablet, missing) in starts {
            let (status, tablet) = (Status::ALL[status], PLACES[tablet]);
            let disks = if missing { Disks::SomeMissing } else { Disks::AllPresent };
            let mut removed = false;
            if !status.is_final() {
                for gate in [Gate::Waits, Gate::Passes] {
                    let copy = settle_copy(settle_migration(status, gate, tablet), tablet);
                    removed |= matches!(copy, CopyVerdict::Remove | CopyVerdict::RemoveStaging);
                }
            }
            let staging = settle_staging(owners[owner], Staged::Verified, disks, tablet);
            removed |= matches!(
                staging,
                StagingVerdict::Sweep | StagingVerdict::SweepItself | StagingVerdict::AcceptAgain
            );
            prop_assert!(!removed || tablet.is_seen(), "{status} {:?} {disks:?} {tablet:?}", owners[owner]);
            if removed {
                break;
            }
        }
    }
}
