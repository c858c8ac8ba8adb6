//! The nodes that a fleet drives, over HTTP, each call with a deadline of its own.
//!
//! [`Driver`] is what the leader's loop sees; it does not know who is behind it. Every call is safe to repeat: what was
//! asked twice is done once. Nothing here decides what a campaign does next.

mod be;
mod client;
mod credential;
mod driver;
mod tabletd;

pub use credential::Credentials;
pub use driver::{CallError, DiskSeen, Driver, Identity, Order, Planned, fullest_percent, skew_points};

use crate::model::fleet::{Member, MemberKind};

/// Codes of [`CallError::Refused`] that this room gives itself.
pub mod code {
    /// The member is not what it was added as.
    pub const KIND_CHANGED: &str = super::driver::KIND_CHANGED;
    /// Which moves of a part are left is not known in this process: they are planned anew.
    pub const FEED_LOST: &str = super::driver::FEED_LOST;
}

/// How members are reached: their credentials, and what is remembered for those that remember nothing themselves.
#[derive(Default)]
pub struct Reach {
    credentials: Credentials,
    feeds: be::Feeds,
}

impl Reach {
    /// With these credentials.
    pub fn new(credentials: Credentials) -> Self {
        Self { credentials, feeds: be::Feeds::default() }
    }

    /// What drives `member`. `may_ask` says, right before a plain BE is asked to move something, whether it still may be.
    ///
    /// # Errors
    /// [`CallError::Credential`] when its credential cannot be read.
    pub fn driver<'a>(
        &'a self,
        member: &'a Member,
        may_ask: &'a (dyn Fn() -> bool + Sync),
    ) -> Result<Box<dyn Driver + 'a>, CallError> {
        let client = client::Client::new(member, &self.credentials)?;
        Ok(match member.kind {
            MemberKind::Tabletd => Box::new(tabletd::Tabletd::new(client)),
            MemberKind::Be => Box::new(be::Be::new(client, member, &self.feeds, may_ask)),
        })
    }
}
