//! The one field of a tablet's header that is read while the header itself is passed over.
//!
//! A header is kept byte for byte and belongs to Doris. Nothing here refuses one: what cannot be understood is not known.

use std::borrow::Cow;
use std::fmt;

use serde::de::{IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

/// `table_id` of a `TabletMetaPB` in JSON form (olap_file.proto, `TabletMetaPB`, field 1); 0 where the header has none.
///
/// The number may be quoted, as some JSON printers quote 64-bit ones. Of repeated keys the last one counts, as in
/// protobuf's own parsers. What is no positive number is 0. Reads from text only, since it borrows from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct HeaderTable(pub i64);

impl HeaderTable {
    /// Of a header that is at hand.
    pub fn of(header: &RawValue) -> Self {
        serde_json::from_str(header.get()).unwrap_or_default()
    }
}

impl<'de> Deserialize<'de> for HeaderTable {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Look)
    }
}

/// Finds the field in one pass, without an allocation per key or value.
struct Look;

impl<'de> Visitor<'de> for Look {
    type Value = HeaderTable;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a TabletMetaPB object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<HeaderTable, A::Error> {
        let mut found = HeaderTable::default();
        while let Some(Name(name)) = map.next_key()? {
            if name == "table_id" {
                let value: &RawValue = map.next_value()?;
                let number = value.get().trim_matches('"').parse().unwrap_or(0);
                found = HeaderTable(number.max(0));
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(found)
    }

    // A header that is no object has no table. That it is no header is for others to say.

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<HeaderTable, A::Error> {
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(HeaderTable::default())
    }

    fn visit_unit<E>(self) -> Result<HeaderTable, E> {
        Ok(HeaderTable::default())
    }

    fn visit_bool<E>(self, _: bool) -> Result<HeaderTable, E> {
        Ok(HeaderTable::default())
    }

    fn visit_i64<E>(self, _: i64) -> Result<HeaderTable, E> {
        Ok(HeaderTable::default())
    }

    fn visit_u64<E>(self, _: u64) -> Result<HeaderTable, E> {
        Ok(HeaderTable::default())
    }

    fn visit_f64<E>(self, _: f64) -> Result<HeaderTable, E> {
        Ok(HeaderTable::default())
    }

    fn visit_str<E>(self, _: &str) -> Result<HeaderTable, E> {
        Ok(HeaderTable::default())
    }
}

/// A key; borrowed unless it holds an escape.
struct Name<'a>(Cow<'a, str>);

impl<'de> Deserialize<'de> for Name<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl<'de> Visitor<'de> for Text {
            type Value = Name<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a key")
            }
            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Name<'de>, E> {
                Ok(Name(Cow::Borrowed(text)))
            }
            fn visit_str<E>(self, text: &str) -> Result<Name<'de>, E> {
                Ok(Name(Cow::Owned(text.to_owned())))
            }
        }
        deserializer.deserialize_str(Text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_found_wherever_it_stands_and_however_it_is_written() {
        for (header, table) in [
            (r#"{"table_id": 7, "tablet_id": 1}"#, 7),
            (
                r#"{"tablet_id": 1, "schema": {"table_id": 9}, "rs_metas": [{"table_id": 9}], "table_id": 7}"#,
                7,
            ),
            (r#"{"table_id": "9223372036854775807"}"#, i64::MAX),
            (r#"{"\u0074able_id": 7}"#, 7),
            (r#"{"table_id": 6, "table_id": 7}"#, 7),
            (r#"{"tablet_id": 1}"#, 0),
            (r#"{"table_id": 0}"#, 0),
            (r#"{"table_id": -3}"#, 0),
            (r#"{"table_id": 9223372036854775808}"#, 0),
            (r#"{"table_id": 1.5}"#, 0),
            (r#"{"table_id": {"table_id": 7}}"#, 0),
            (r#"{"table_id": null}"#, 0),
            ("{}", 0),
            (r#"[{"table_id": 7}]"#, 0),
            ("null", 0),
            ("true", 0),
            ("-7", 0),
            ("7", 0),
            ("7.5", 0),
            (r#""table_id""#, 0),
        ] {
            let raw = RawValue::from_string(header.to_owned()).unwrap();
            assert_eq!(HeaderTable::of(&raw), HeaderTable(table), "{header}");
            assert_eq!(serde_json::from_str::<HeaderTable>(header).unwrap(), HeaderTable(table), "{header}");
        }
    }
}
