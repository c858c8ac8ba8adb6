//! Real Doris roots: databases that RocksDB 5.14.2 wrote with a backend's options, and what they must read as.

mod adding;
mod afterwards;
mod any_start;
mod calls;
mod daemon;
mod databases;
mod fixtures;
mod frontend;
mod hostile;
#[cfg(feature = "fault-injection")]
mod kills;
#[allow(dead_code)] // each suite uses its part
#[path = "../support/mounts.rs"]
mod mounts;
mod moves;
mod on_disks;
mod one_shot;
mod rescue;
mod start_model;
mod tablets;
