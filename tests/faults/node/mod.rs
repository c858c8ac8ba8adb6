//! The daemon under faults: each scenario hurts a real node and then asks the one oracle (`harness::oracle`).
//!
//! Every tablet exists exactly once with the bytes that were put in, every acknowledged migration is known and ends,
//! nothing is left in staging, no directory is unowned, no counter is impossible, and a move that was acknowledged as
//! completed is never back on its source.

mod attack;
mod clock;
mod corruption;
mod damage;
mod flushes;
mod gone;
mod hang;
mod kills;
mod left_out;
mod powercut;
mod promises;
mod recovery_cuts;
mod rig;
mod short_io;
mod shutdown;
mod startup;
mod syscalls;
mod two;

use std::time::Duration;

use crate::scenario::Scenario;

/// How long a healthy node may take to settle whatever it finds, on a machine that does other things too.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// All of them.
pub(crate) fn scenarios() -> Vec<Scenario> {
    [
        powercut::SCENARIOS,
        recovery_cuts::SCENARIOS,
        shutdown::SCENARIOS,
        kills::SCENARIOS,
        syscalls::SCENARIOS,
        short_io::SCENARIOS,
        startup::SCENARIOS,
        corruption::SCENARIOS,
        flushes::SCENARIOS,
        gone::SCENARIOS,
        hang::SCENARIOS,
        clock::SCENARIOS,
        damage::SCENARIOS,
        two::SCENARIOS,
        attack::SCENARIOS,
        left_out::SCENARIOS,
    ]
    .into_iter()
    .flatten()
    .copied()
    .collect()
}
