//! A time as the API writes it: RFC 3339, UTC, milliseconds. Never compared to decide anything.

use std::fmt;

use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::model::{TimestampMs, quoted};

/// Milliseconds since the Unix epoch, written `2024-05-01T12:00:00.000Z`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, utoipa::ToSchema)]
#[schema(value_type = String, format = DateTime)]
pub struct Timestamp(pub TimestampMs);

impl Timestamp {
    /// Now, by the wall clock.
    pub fn now() -> Self {
        Self(Utc::now().timestamp_millis())
    }
}

impl std::str::FromStr for Timestamp {
    type Err = String;
    /// RFC 3339, or milliseconds since the Unix epoch.
    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(ms) = text.parse() {
            return Ok(Self(ms));
        }
        // In a query an unescaped plus is a blank.
        DateTime::parse_from_rfc3339(&text.replace(' ', "+"))
            .map(|time| Self(time.timestamp_millis()))
            .map_err(|_| format!("{} is neither an RFC 3339 time nor milliseconds since 1970", quoted(text)))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A time outside of what a calendar can say comes from a damaged clock, and is shown as the epoch.
        let time = DateTime::from_timestamp_millis(self.0).unwrap_or(DateTime::UNIX_EPOCH);
        f.write_str(&time.to_rfc3339_opts(SecondsFormat::Millis, true))
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        DateTime::parse_from_rfc3339(&text).map(|time| Self(time.timestamp_millis())).map_err(|error| {
            serde::de::Error::custom(format!("{} is no RFC 3339 time: {error}", quoted(&text)))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_in_a_query_is_rfc_3339_or_milliseconds() {
        for (text, ms) in [
            ("1700000000123", 1_700_000_000_123),
            ("2023-11-14T22:13:20.123Z", 1_700_000_000_123),
            ("2023-11-14T23:13:20 01:00", 1_700_000_000_000),
        ] {
            assert_eq!(text.parse(), Ok(Timestamp(ms)), "{text}");
        }
        assert!("yesterday".parse::<Timestamp>().is_err());
    }

    #[test]
    fn times_are_rfc_3339_in_utc_and_survive_a_round_trip() {
        let text = serde_json::to_string(&Timestamp(1_700_000_000_123)).unwrap();
        assert_eq!(text, "\"2023-11-14T22:13:20.123Z\"");
        assert_eq!(serde_json::from_str::<Timestamp>(&text).unwrap(), Timestamp(1_700_000_000_123));
        assert!(serde_json::from_str::<Timestamp>("\"yesterday\"").is_err());
        assert_eq!(Timestamp(i64::MAX).to_string(), "1970-01-01T00:00:00.000Z");
    }
}
