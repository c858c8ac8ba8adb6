//! What a fleet does next, as pure functions: who is who, who may move now, what a part comes to, when a campaign stops.
//! Time is an argument.

pub mod be;
mod budget;
mod fingerprint;
mod identity;
mod select;
mod step;
#[cfg(test)]
mod tests;
mod turn;

pub use budget::{exhausted, is_over};
pub use fingerprint::fingerprint;
pub use identity::{is_the_same, twin};
pub use select::{Candidate, request_of, select};
pub use step::{Wanted, ended, moved, of_the_whole, wanted, within};
pub use turn::{MemberNow, Now, Turn, turns};
