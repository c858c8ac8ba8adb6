//! The fleet, tested where its promises are made: a real `tabletfleet`, real `tabletd` processes, real HTTP, real kills.

mod be;
mod campaigns;
mod cluster;
#[path = "../support/mod.rs"]
mod harness;
mod lossy;
mod process;
mod sources;
mod store;
mod stub;
