//! Real Doris roots: databases that RocksDB 5.14.2 wrote with a backend's options, and what they must read as.

mod adding;
mod afterwards;
mod calls;
mod databases;
mod fixtures;
#[cfg(feature = "fault-injection")]
mod kills;
mod moves;
mod one_shot;
mod start_model;
mod tablets;
