//! The fleet, tested where its promises are made: a real `tabletfleet`, real `tabletd` processes, real HTTP, real kills.

mod campaigns;
mod cluster;
#[path = "../support/mod.rs"]
mod harness;
mod process;
mod sources;
mod store;
