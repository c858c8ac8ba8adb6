//! A disk that never comes back, given up by an operator: what it held is listed, what is here as good as that is written
//! again above it, and the disk is remembered as lost before anything of it is let go.
//!
//! Until that one durable write nothing is given up: a refusal, or a crash, leaves copies here with higher generations,
//! which changes nothing of who has what. Decided in [`crate::rules::giving_up`].

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
