//! `tablet_uid`, by which a backend tells a live tablet's rowsets from those of an earlier stay.

use std::fmt;

use super::error::Malformed;
use super::proto::{Change, Message, patch};

/// `tablet_uid`: tells a live tablet's rowsets from those of an earlier stay.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Uid {
    /// Field 1 of `PUniqueId`.
    pub hi: i64,
    /// Field 2 of `PUniqueId`.
    pub lo: i64,
}

impl Uid {
    const TEXT_BYTES: usize = 33;

    /// Whether no backend would take it: a record with it fails the start.
    pub fn is_zero(self) -> bool {
        self == Self::default()
    }

    /// The uid at the beginning of `text`, and what follows its `_`.
    pub fn split_from(text: &str) -> Option<(Self, &str)> {
        let (uid, rest) = text.split_at_checked(Self::TEXT_BYTES)?;
        let (hi, lo) = uid.split_once('-').filter(|(hi, _)| hi.len() == 16)?;
        let word = |digits: &str| u64::from_str_radix(digits, 16).ok().map(u64::cast_signed);
        Some((Self { hi: word(hi)?, lo: word(lo)? }, rest.strip_prefix('_')?))
    }

    pub(super) fn read(bytes: &[u8]) -> Result<Self, Malformed> {
        let message = Message::parse(bytes)?;
        Ok(Self { hi: message.int64(1).unwrap_or(0), lo: message.int64(2).unwrap_or(0) })
    }

    /// As `PUniqueId`.
    pub fn encode(self) -> Result<Vec<u8>, Malformed> {
        let numbers =
            [(1, Change::Number(self.hi.cast_unsigned())), (2, Change::Number(self.lo.cast_unsigned()))];
        patch(&Message::parse(&[])?, &numbers, &[])
    }
}

impl fmt::Display for Uid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}-{:016x}", self.hi, self.lo)
    }
}
