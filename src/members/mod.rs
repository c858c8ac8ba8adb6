//! The nodes that a fleet drives, over HTTP, each call with a deadline of its own.
//!
//! [`Driver`] is what the leader's loop sees; it does not know who is behind it. Every call is safe to repeat: what was
//! asked twice is done once. Nothing here decides what a campaign does next.

mod client;
mod credential;
mod driver;
mod tabletd;

pub use credential::Credentials;
pub use driver::{CallError, DiskSeen, Driver, Identity, Order, Planned, fullest_percent, skew_points};

use crate::model::fleet::{Member, MemberKind};

/// What drives `member`.
///
/// # Errors
/// [`CallError::Refused`] when its credential cannot be read, or when nothing here speaks as it does.
pub fn driver(member: &Member, credentials: &Credentials) -> Result<Box<dyn Driver>, CallError> {
    let client = client::Client::new(member, credentials)?;
    match member.kind {
        MemberKind::Tabletd => Ok(Box::new(tabletd::Tabletd::new(client))),
        MemberKind::Be => Err(CallError::Refused {
            code: "NOT_SUPPORTED".to_owned(),
            message: format!("{}: this release drives members of kind tabletd only", member.name),
        }),
    }
}
