//! A plain Doris BE, as far as it can be decided without asking it: what its answers mean, which releases may be asked at
//! all, and which of its moves comes next.

mod answer;
mod feed;
mod release;

pub use answer::{Answer, of_run, of_status};
pub use feed::{Feed, Mode, Move, Next, Place, Standing, TRIES_MAX};
pub use release::{Release, refusal};
