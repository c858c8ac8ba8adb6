//! Identifiers. Each is a newtype, so that a tablet id cannot be passed where a migration id is meant.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::text::quoted;

/// Number of shard directories below `data/`, as Doris lays them out (`MAX_SHARD_NUM`).
pub const SHARD_COUNT: u16 = 1024;

/// A text that is not an identifier: says which kind, what was given and what is accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{kind} must be {accepted}, got {}", quoted(given))]
pub struct InvalidId {
    /// What was being read, e.g. `tablet_id`.
    pub kind: &'static str,
    /// The text as given.
    pub given: String,
    /// The accepted range, in words.
    pub accepted: &'static str,
}

fn parse_plain_decimal<T: FromStr>(
    kind: &'static str,
    accepted: &'static str,
    text: &str,
    in_range: impl Fn(&T) -> bool,
) -> Result<T, InvalidId> {
    let plain = text == "0" || (!text.starts_with('0') && !text.is_empty());
    (plain && text.bytes().all(|byte| byte.is_ascii_digit()))
        .then(|| text.parse().ok())
        .flatten()
        .filter(in_range)
        .ok_or_else(|| InvalidId { kind, given: text.to_owned(), accepted })
}

/// Identity of a tablet on the cluster. Positive, 63 bits, as in `TabletMetaPB.tablet_id`.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, utoipa::ToSchema,
)]
#[serde(transparent)]
pub struct TabletId(pub i64);

/// Identity of a tablet's schema. Not negative, 31 bits, as in `TabletMetaPB.schema_hash`.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, utoipa::ToSchema,
)]
#[serde(transparent)]
pub struct SchemaHash(pub i32);

/// One of the [`SHARD_COUNT`] directories below `data/`.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, utoipa::ToSchema,
)]
#[serde(transparent)]
pub struct ShardId(pub u16);

/// Number of a migration: assigned by the journal, increasing, never reused.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, utoipa::ToSchema,
)]
#[serde(transparent)]
pub struct MigrationId(pub u64);

/// Number of a task: assigned by the journal, increasing, never reused.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, utoipa::ToSchema,
)]
#[serde(transparent)]
pub struct TaskId(pub u64);

/// Number of an operation: counted from 1 in each run of the daemon.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, utoipa::ToSchema,
)]
#[serde(transparent)]
pub struct OperationId(pub u64);

/// What identifies a tablet on one node.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, utoipa::ToSchema,
)]
pub struct TabletKey {
    /// The tablet.
    pub tablet_id: TabletId,
    /// Its schema.
    pub schema_hash: SchemaHash,
}

impl TabletKey {
    /// The key of `tablet_id` under `schema_hash`.
    pub const fn new(tablet_id: i64, schema_hash: i32) -> Self {
        Self { tablet_id: TabletId(tablet_id), schema_hash: SchemaHash(schema_hash) }
    }
}

impl FromStr for TabletId {
    type Err = InvalidId;
    fn from_str(text: &str) -> Result<Self, InvalidId> {
        parse_plain_decimal("tablet_id", "a whole number from 1 to 9223372036854775807", text, |n| *n > 0)
            .map(Self)
    }
}

impl FromStr for SchemaHash {
    type Err = InvalidId;
    fn from_str(text: &str) -> Result<Self, InvalidId> {
        parse_plain_decimal("schema_hash", "a whole number from 0 to 2147483647", text, |_| true).map(Self)
    }
}

impl FromStr for ShardId {
    type Err = InvalidId;
    fn from_str(text: &str) -> Result<Self, InvalidId> {
        parse_plain_decimal("shard", "a whole number from 0 to 1023", text, |n| *n < SHARD_COUNT).map(Self)
    }
}

impl MigrationId {
    /// With zeros in front, as many digits as an identifier of MongoDB has.
    pub fn in_24_digits(self) -> String {
        format!("{:0width$}", self.0, width = LONG_ID_DIGITS)
    }
}

const LONG_ID_DIGITS: usize = 24;

/// Plain, or as [`MigrationId::in_24_digits`] writes it.
impl FromStr for MigrationId {
    type Err = InvalidId;
    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let short = if text.len() == LONG_ID_DIGITS { text.trim_start_matches('0') } else { text };
        parse_plain_decimal("migration id", "a positive whole number", short, |n| *n > 0)
            .map(Self)
            .map_err(|error| InvalidId { given: text.to_owned(), ..error })
    }
}

impl FromStr for TaskId {
    type Err = InvalidId;
    fn from_str(text: &str) -> Result<Self, InvalidId> {
        parse_plain_decimal("task id", "a positive whole number", text, |n| *n > 0).map(Self)
    }
}

impl FromStr for OperationId {
    type Err = InvalidId;
    fn from_str(text: &str) -> Result<Self, InvalidId> {
        parse_plain_decimal("operation id", "a positive whole number", text, |n| *n > 0).map(Self)
    }
}

/// `<tablet_id>_<schema_hash>`, the stem of a metadata record's file name.
impl FromStr for TabletKey {
    type Err = InvalidId;
    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let (tablet_id, schema_hash) = text.split_once('_').ok_or_else(|| InvalidId {
            kind: "tablet key",
            given: text.to_owned(),
            accepted: "<tablet_id>_<schema_hash>",
        })?;
        Ok(Self { tablet_id: tablet_id.parse()?, schema_hash: schema_hash.parse()? })
    }
}

macro_rules! display_inner {
    ($($name:ident),*) => {$(
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }
    )*};
}
display_inner!(TabletId, SchemaHash, ShardId, MigrationId, TaskId, OperationId);

impl fmt::Display for TabletKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}_{}", self.tablet_id, self.schema_hash)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_decimals_only() {
        for (text, accepted) in [
            ("1", true),
            ("9223372036854775807", true),
            ("0", false),
            ("-1", false),
            ("+1", false),
            ("01", false),
            (" 1", false),
            ("1x", false),
            ("", false),
            ("9223372036854775808", false),
            ("99999999999999999999999", false),
        ] {
            assert_eq!(text.parse::<TabletId>().is_ok(), accepted, "{text:?}");
        }
        assert!("1024".parse::<ShardId>().is_err());
        assert!("2147483648".parse::<SchemaHash>().is_err());
        assert_eq!("0".parse(), Ok(SchemaHash(0)));
    }

    #[test]
    fn keys_survive_a_round_trip() {
        let key = TabletKey::new(15672, 567_997_577);
        assert_eq!(key.to_string().parse(), Ok(key));
        assert!("15672".parse::<TabletKey>().is_err());
    }
}
