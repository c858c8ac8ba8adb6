//! Proof that the tools work: each scenario here would fail if a disk, a cut, a fault or a count did nothing.
//!
//! Nothing here knows the daemon; its scenarios build on the same tools.

mod cold;
mod devices;
mod model;
mod player;
mod powercut;
mod syscalls;
mod teardown;
mod trap;

use std::ffi::OsString;
use std::io;

use crate::scenario::Scenario;

/// Runs the hidden subcommand `name`, a small program that a scenario starts to hurt, if it is one of ours.
pub(crate) fn play(name: &str, arguments: &[OsString]) -> Option<io::Result<()>> {
    match name {
        player::SUBCOMMAND => Some(player::play(arguments)),
        teardown::SUBCOMMAND => Some(teardown::play()),
        _ => None,
    }
}

/// All of them.
pub(crate) fn scenarios() -> Vec<Scenario> {
    [
        model::SCENARIOS,
        powercut::SCENARIOS,
        trap::SCENARIOS,
        devices::SCENARIOS,
        syscalls::SCENARIOS,
        teardown::SCENARIOS,
    ]
    .into_iter()
    .flatten()
    .copied()
    .collect()
}
