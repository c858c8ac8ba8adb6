//! A disk that never comes back, given up by an operator (`disk forget --lost`, `disk replace`); refused while it can be
//! read. Decided in [`crate::rules::giving_up`].
//!
//! In this order: what it held is listed; copies here that are as good as what it may have are written again above it;
//! verified copies from it are read cold and become the tablet, or go to quarantine; its uuid is written into `disks.json`
//! as lost, and that is the moment it is given up; then tablets are released and migrations end. Until that one durable
//! write nothing is given up: a refusal, or a crash, leaves copies here with higher generations, which changes nothing of
//! who has what.
//!
//! A lost disk never joins again. `disk replace` then takes a blank file system in its place, never the bare directory
//! below the mount.

mod give_up;
mod held;
mod loss;
mod replace;
mod settle;
mod survive;

pub(super) use give_up::forget;
pub use loss::{GiveUp, Loss, LostMigration, LostTablet};
pub(super) use replace::replace;
pub(super) use settle::end_those_of_lost_disks;
