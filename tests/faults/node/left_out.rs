//! Each rule of the protocol is left out on purpose, and the suite must see it: a test that cannot fail proves nothing.
//!
//! Wants a daemon built with the feature `fault-injection`.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::time::Instant;

use super::powercut::Recording;
use super::rig::Rig;
use super::{corruption, gone};
use crate::disk::log::CutModel;
use crate::mounts::FsKind;
use crate::scenario::{Bench, Need, Scale, Scenario};
use crate::scoreboard::NotRun;

pub(super) const SCENARIOS: &[Scenario] = &[Scenario {
    name: "left out on purpose",
    needs: &[Need::FaultInjection, Need::Root, Need::Fuse, Need::Fs(FsKind::Ext4), Need::Fs(FsKind::Xfs)],
    run: each_rule,
}];

/// What the suite saw of a daemon without a rule: the first thing that was wrong, or nothing.
type Found = io::Result<Option<String>>;

struct Rule {
    name: &'static str,
    look: fn(&Bench<'_>, &str) -> Found,
    /// Why its absence alone cannot be seen on these file systems, where that is so.
    unseen_because: Option<&'static str>,
}

const RULES: &[Rule] = &[
    Rule { name: "data_sync", look: by_power_cuts, unseen_because: None },
    Rule { name: "record_sync", look: by_power_cuts, unseen_because: None },
    Rule { name: "directory_sync", look: by_power_cuts, unseen_because: None },
    Rule { name: "commit_before_retire", look: by_power_cuts, unseen_because: None },
    Rule { name: "read_back", look: by_flips, unseen_because: None },
    Rule { name: "sync_again", look: by_failed_writes, unseen_because: None },
    Rule { name: "atime", look: by_access_times, unseen_because: None },
    Rule { name: "by_path", look: by_a_lazy_unmount, unseen_because: None },
];

fn each_rule(bench: &mut Bench<'_>) -> io::Result<()> {
    for rule in RULES {
        let kind = format!("{}: {}", bench.name, rule.name);
        let begun = Instant::now();
        match ((rule.look)(bench, rule.name)?, rule.unseen_because) {
            (Some(what), _) => {
                println!("  {kind}: caught: {}", what.lines().next().unwrap_or_default());
                bench.count_as(&kind, Ok(()), |_| Ok(()))?;
            }
            (None, Some(why)) => {
                bench.board.not_run(&kind, NotRun::LeftOut(format!("cannot be seen: {why}")));
            }
            (None, None) => {
                bench.count_as(&kind, Err("nothing saw that it was left out".into()), |_| Ok(()))?;
            }
        }
        bench.board.figure(&kind, "s", begun.elapsed().as_secs_f64());
    }
    Ok(())
}

fn by_power_cuts(bench: &Bench<'_>, rule: &str) -> Found {
    let positions = if bench.scale == Scale::Short { 60 } else { 200 };
    for kind in [FsKind::Ext4, FsKind::Xfs] {
        let recording = match Recording::make(bench, kind, Some(rule)) {
            Ok(recording) => recording,
            // Without the rule the batch itself may not survive.
            Err(error) => return Ok(Some(error.to_string())),
        };
        let mut rng = bench.rng();
        let cutters = recording.rig.cutters()?;
        for position in recording.some_positions(&mut rng, positions) {
            let found = recording.cut_and_settle(&cutters, position, CutModel::Lost, bench.seed);
            if let Err(what) = found {
                return Ok(Some(format!("{}, cut at {position}: {what}", kind.name())));
            }
        }
    }
    Ok(None)
}

fn by_flips(bench: &Bench<'_>, rule: &str) -> Found {
    for _ in 0..5 {
        if let Err(what) = corruption::flip_on_the_way_without(bench, rule)? {
            return Ok(Some(what));
        }
    }
    Ok(None)
}

/// The read-back hides this rule: a direct read of a file whose write-back failed answers EIO once, and the copy is made
/// again. So both are left out, and the read-back alone as well, for comparison.
fn by_failed_writes(bench: &Bench<'_>, rule: &str) -> Found {
    for kind in [FsKind::Ext4, FsKind::Xfs, FsKind::Btrfs].into_iter().filter(|kind| kind.missing().is_none())
    {
        for without in [rule.to_owned(), format!("{rule},read_back")] {
            for k in 1..=3 {
                let Some(Err(what)) = corruption::fail_a_write_without(bench, kind, &without, k)? else {
                    continue;
                };
                // What is lost without the read-back alone is not this rule's.
                if let Some(Ok(())) = corruption::fail_a_write_without(bench, kind, "read_back", k)? {
                    return Ok(Some(format!("{} without {without}: {what}", kind.name())));
                }
            }
        }
    }
    Ok(None)
}

fn by_a_lazy_unmount(bench: &Bench<'_>, rule: &str) -> Found {
    Ok(gone::lazily_unmounted(bench, Some(rule))?.err())
}

fn by_access_times(bench: &Bench<'_>, rule: &str) -> Found {
    Ok(access_times(bench, Some(rule))?.err())
}

/// Reading a tablet writes nothing to its disk: on one that flips bits, updated access times destroyed tablets.
pub(super) fn access_times(bench: &Bench<'_>, left_out: Option<&str>) -> io::Result<Result<(), String>> {
    let mut rig = Rig::new(bench, FsKind::Ext4)?;
    let key = rig.node.add_tablet(0, 1, &[200_000, 5000]);
    rig.mark_base()?;
    let times = |dir: &std::path::Path| -> io::Result<Vec<(i64, i64)>> {
        let names = crate::harness::read_dir_names(dir).into_iter().filter(|name| name.ends_with(".dat"));
        names
            .map(|name| std::fs::metadata(dir.join(name)).map(|meta| (meta.atime(), meta.atime_nsec())))
            .collect()
    };
    let before = times(&rig.node.tablet_dir(0, key))?;
    rig.node.env.extend(left_out.map(|rule| ("TABLETD_MUTANT", rule.to_owned())));
    let daemon = rig.node.try_start().map_err(io::Error::other)?;
    let id = daemon.try_accept(key, &rig.node.disk(1)).map_err(io::Error::other)?;
    daemon.try_wait_until_idle(super::PATIENCE).map_err(io::Error::other)?;
    let migration = daemon.get(&format!("/api/v1/migrations/{id}"));
    daemon.kill();
    let trash = migration["receipt"]["trash_path"].as_str().unwrap_or_default();
    let after = times(&rig.node.roots[0].join(trash))?;
    Ok(if before == after { Ok(()) } else { Err(format!("access times {before:?} became {after:?}")) })
}
