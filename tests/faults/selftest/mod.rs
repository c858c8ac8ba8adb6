//! Proof that the tools work: each scenario here would fail if a disk, a cut, a fault or a count did nothing.
//!
//! Nothing here knows the daemon; its scenarios build on the same tools.

mod cold;
mod devices;
mod model;
mod player;
mod powercut;
mod syscalls;
mod trap;

use std::ffi::OsString;
use std::io;

use crate::scenario::Scenario;

/// The hidden subcommand by which the test binary becomes the small program that the system-call sweep hurts.
pub(crate) const SUBCOMMAND: &str = "play-careful-writer";

/// The small program's main.
pub(crate) fn play(arguments: &[OsString]) -> io::Result<()> {
    player::play(arguments)
}

/// All of them.
pub(crate) fn scenarios() -> Vec<Scenario> {
    [model::SCENARIOS, powercut::SCENARIOS, trap::SCENARIOS, devices::SCENARIOS, syscalls::SCENARIOS]
        .into_iter()
        .flatten()
        .copied()
        .collect()
}
