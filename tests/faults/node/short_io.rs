//! Reads and writes of a tablet's bytes that move fewer than they were asked to, truly: the kernel is asked for less.
//!
//! strace can only claim a short count (those claims are among the lies of [`super::syscalls`]); this is done by the
//! daemon itself, in its one reading and its one writing call of the copy.

use std::io;
use std::time::Instant;

use tabletd::model::TabletKey;
use tabletd::storage::ReadFrom;

use super::rig::Rig;
use crate::mounts::FsKind;
use crate::scenario::{Bench, Need, Scenario};

pub(super) const SCENARIOS: &[Scenario] = &[Scenario {
    name: "short reads and short writes of a tablet's bytes",
    needs: &[Need::FaultInjection, Need::Root, Need::Fuse, Need::Fs(FsKind::Ext4)],
    run: each,
}];

/// Moved instead of what was asked for: less than any unit, less than a page, a page, pages and a half.
const BYTES: &[usize] = &[1, 512, 4096, 8704];

fn each(bench: &mut Bench<'_>) -> io::Result<()> {
    let mut rig = Rig::new(bench, FsKind::Ext4)?;
    // Written past the cache in blocks, through the cache, with a rest that is no whole page, empty.
    let key = rig.node.add_tablet(0, 1, &[1_500_001, 200_000, 12_289, 5000, 0]);
    rig.mark_base()?;
    let (begun, mut at, mut tried) = (Instant::now(), 0, 0);
    for call in ["read", "write"] {
        // The smallest count comes first: where not even that is short, there is no such call any more.
        for (nth, &bytes) in (1..).flat_map(|nth| BYTES.iter().map(move |bytes| (nth, bytes))) {
            let (hit, found) = one_move(&mut rig, key, &mut at, &format!("{call}:{nth}:{bytes}"))?;
            if !hit && found.is_ok() {
                if bytes == BYTES[0] {
                    break;
                }
                continue;
            }
            tried += 1;
            let broken = found.is_err();
            bench.count(found.map_err(|what| format!("{bytes} bytes of {call} {nth}: {what}")), |dir| {
                rig.save(dir)
            })?;
            if broken {
                return Ok(());
            }
            rig.mark_base()?;
        }
    }
    bench.board.pace(bench.name, "ms per cell", begun.elapsed(), tried);
    Ok(())
}

/// Moves the tablet to the other disk with one short call. Whether it was one, and what the oracle says.
fn one_move(
    rig: &mut Rig,
    key: TabletKey,
    at: &mut usize,
    short: &str,
) -> io::Result<(bool, Result<(), String>)> {
    rig.node.env = vec![("TABLETD_SHORT", short.to_owned())];
    let daemon = rig.node.try_start().map_err(io::Error::other)?;
    let id = daemon.try_accept(key, &rig.node.disk(1 - *at)).map_err(io::Error::other)?;
    daemon.try_wait_until_idle(super::PATIENCE).map_err(io::Error::other)?;
    let migration = daemon.try_get(&format!("/api/v1/migrations/{id}")).map_err(io::Error::other)?;
    daemon.operate("/api/v1/trash/purge", &serde_json::json!({"all": true}));
    let hit = daemon.said().contains("fault: short ");
    daemon.kill();
    let found = rig.node.examine(ReadFrom::Medium).and_then(|placement| {
        let from = std::mem::replace(at, placement[&key]);
        if migration["status"] != "completed" || *at == from {
            return Err(format!("not moved: {migration:#}"));
        }
        crate::harness::check_counters(&migration)
    });
    Ok((hit, found))
}
