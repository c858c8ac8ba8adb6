//! What an operator allows beyond what is moved anyway.

use std::collections::BTreeSet;

use crate::doris::judge::Reason;

/// What an operator allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Wishes {
    /// Loads that are not published.
    pub committed: Committed,
    /// Roots of another medium.
    pub media: OtherMedia,
    /// What is left of a damaged database.
    pub older: Older,
}

/// What becomes of a tablet that may be older than what was lost of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Older {
    #[default]
    Refused,
    /// Its operator has said so, of this tablet.
    Accepted,
}

/// What becomes of tablets with loads that are not published.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Committed {
    /// They stay, as in Doris's own migration.
    #[default]
    Stay,
    /// They move, with those loads.
    Move,
}

/// Whether a tablet may go to a root of another medium, from where the frontend would order it back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OtherMedia {
    #[default]
    Never,
    /// Where it is asked for.
    Allowed,
}

impl Wishes {
    /// Those reasons that hold in spite of what is allowed.
    pub(super) fn against(self, reasons: &BTreeSet<Reason>) -> impl Iterator<Item = Reason> {
        let is_allowed = move |reason: Reason| match reason {
            Reason::CommittedRowsets => self.committed == Committed::Move,
            Reason::MayBeOlder => self.older == Older::Accepted,
            _ => false,
        };
        reasons.iter().copied().filter(move |reason| !is_allowed(*reason))
    }
}
