//! Whose the files of a tablet are on the disk it was brought to.

use std::fmt;
use std::str::FromStr;

/// `keep`, or `1000:1000`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum FileOwner {
    #[default]
    Keep,
    /// Of this user and this group, by number.
    Set { uid: u32, gid: u32 },
}

/// A text that is neither.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InvalidFileOwner;

impl FromStr for FileOwner {
    type Err = InvalidFileOwner;

    fn from_str(text: &str) -> Result<Self, InvalidFileOwner> {
        if text == "keep" {
            return Ok(Self::Keep);
        }
        let (user, group) = text.split_once(':').ok_or(InvalidFileOwner)?;
        match (user.parse(), group.parse()) {
            // All ones means "as it is" to chown(2).
            (Ok(u32::MAX), _) | (_, Ok(u32::MAX)) => Err(InvalidFileOwner),
            (Ok(uid), Ok(gid)) => Ok(Self::Set { uid, gid }),
            _ => Err(InvalidFileOwner),
        }
    }
}

impl fmt::Display for FileOwner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Keep => f.write_str("keep"),
            Self::Set { uid, gid } => write!(f, "{uid}:{gid}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn owners_are_read_as_they_are_written() {
        for text in ["keep", "0:0", "1000:27"] {
            assert_eq!(text.parse::<FileOwner>().map(|owner| owner.to_string()), Ok(text.to_owned()));
        }
        for text in ["", "1000", "1000:", ":5", "-1:0", "4294967295:0", "0:4294967295", "Keep", "a:b"] {
            assert_eq!(text.parse::<FileOwner>(), Err(InvalidFileOwner), "{text}");
        }
    }
}
