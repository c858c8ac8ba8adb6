//! A record as Doris shows it: the JSON of `meta_tool --operation=get_meta`.
//!
//! One way only: no JSON is ever turned into a record. Names of fields as declared and in that order, enums by name, `bytes`
//! as base64, numbers bare, what is not set left out: the habits of brpc's json2pb (`doris-be` 4.4).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::ser::{Error, Serialize, SerializeMap, Serializer};

use super::cursor::Cursor;
use super::error::Malformed;
use super::messages::{FieldSpec, Kind, TABLET_META};
use super::proto::{Field, Message, Value};

/// A tablet's record (`TabletMetaPB`) as text, indented by four.
///
/// # Errors
/// The record, or a message in it, does not walk.
pub fn tablet_json(record: &[u8]) -> Result<String, Malformed> {
    let mut out = Vec::new();
    let four = serde_json::ser::PrettyFormatter::with_indent(b"    ");
    let mut writer = serde_json::Serializer::with_formatter(&mut out, four);
    let shown = Shown { message: Message::parse(record)?, fields: &TABLET_META };
    shown.serialize(&mut writer).map_err(|_| Malformed("a message in the record is damaged"))?;
    String::from_utf8(out).map_err(|_| Malformed("a text in the record is no text"))
}

struct Shown<'a> {
    message: Message<'a>,
    fields: &'static [FieldSpec],
}

impl Serialize for Shown<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for spec in self.fields {
            let found: Vec<&Field<'_>> =
                self.message.fields().iter().filter(|field| field.number == spec.number).collect();
            let values = shown_values(&found, spec.kind).map_err(Error::custom)?;
            match spec.kind {
                Kind::TextMap if !values.is_empty() => map.serialize_entry(spec.name, &Pairs(&found))?,
                Kind::TextMap => {}
                _ if values.is_empty() => {}
                _ if spec.repeated => map.serialize_entry(spec.name, &values)?,
                // A field that occurs twice has the value of its last occurrence.
                _ => map.serialize_entry(spec.name, values.last().unwrap_or(&One::Bool(false)))?,
            }
        }
        map.end()
    }
}

/// A single value, ready to be written.
enum One<'a> {
    Signed(i64),
    Unsigned(u32),
    Bool(bool),
    Double(f64),
    Text(String),
    Message(Shown<'a>),
}

impl Serialize for One<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Signed(number) => serializer.serialize_i64(*number),
            Self::Unsigned(number) => serializer.serialize_u32(*number),
            Self::Bool(value) => serializer.serialize_bool(*value),
            Self::Double(number) => serializer.serialize_f64(*number),
            Self::Text(text) => serializer.serialize_str(text),
            Self::Message(message) => message.serialize(serializer),
        }
    }
}

fn shown_values<'a>(found: &[&Field<'a>], kind: Kind) -> Result<Vec<One<'a>>, Malformed> {
    let mut values = Vec::with_capacity(found.len());
    for field in found {
        match (kind, field.value) {
            (Kind::Message(fields), Value::Bytes(bytes)) => {
                values.push(One::Message(Shown { message: Message::parse(bytes)?, fields }));
            }
            (Kind::Text | Kind::TextMap, Value::Bytes(bytes)) => {
                values.push(One::Text(String::from_utf8_lossy(bytes).into_owned()));
            }
            (Kind::Bytes, Value::Bytes(bytes)) => values.push(One::Text(STANDARD.encode(bytes))),
            (Kind::Double, Value::Fixed64(bytes)) => values.push(One::Double(f64::from_le_bytes(bytes))),
            (_, Value::Varint(number)) => values.extend(shown_number(number, kind)),
            // Repeated numbers may be written as one packed field.
            (_, Value::Bytes(packed)) => {
                let mut cursor = Cursor::new(packed);
                while !cursor.is_empty() {
                    values.extend(shown_number(cursor.varint()?, kind));
                }
            }
            _ => return Err(Malformed("a field is written as something else")),
        }
    }
    Ok(values)
}

/// A value of an enum that has no name is an unknown field to the backend, which leaves it out.
#[allow(clippy::cast_possible_truncation)] // As protobuf does with numbers of 32 bits.
fn shown_number<'a>(number: u64, kind: Kind) -> Option<One<'a>> {
    Some(match kind {
        Kind::Int64 => One::Signed(number.cast_signed()),
        Kind::Int32 => One::Signed(i64::from(number as u32 as i32)),
        Kind::Uint32 => One::Unsigned(number as u32),
        Kind::Bool => One::Bool(number != 0),
        Kind::Enum(names) => {
            let (_, name) = names.iter().find(|(value, _)| *value == number)?;
            One::Text((*name).to_owned())
        }
        Kind::Double | Kind::Text | Kind::Bytes | Kind::TextMap | Kind::Message(_) => return None,
    })
}

/// A map is written as repeated messages of a key (1) and a value (2).
struct Pairs<'a, 'b>(&'b [&'b Field<'a>]);

impl Serialize for Pairs<'_, '_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for field in self.0 {
            let Value::Bytes(bytes) = field.value else { continue };
            let pair = Message::parse(bytes).map_err(Error::custom)?;
            let text = |number| String::from_utf8_lossy(pair.bytes(number).unwrap_or_default()).into_owned();
            map.serialize_entry(&text(1), &text(2))?;
        }
        map.end()
    }
}

#[cfg(test)]
mod tests {
    use super::super::cursor::{put_length_prefixed, put_varint};
    use super::*;

    fn number(out: &mut Vec<u8>, field: u32, value: u64) {
        put_varint(out, u64::from(field) << 3);
        put_varint(out, value);
    }

    fn bytes(out: &mut Vec<u8>, field: u32, value: &[u8]) {
        put_varint(out, u64::from(field) << 3 | 2);
        put_length_prefixed(out, value);
    }

    #[test]
    fn names_enums_bytes_and_numbers_as_doris_prints_them() {
        let (mut schema, mut column, mut index, mut pair) = (vec![], vec![], vec![], vec![]);
        bytes(&mut pair, 1, b"parser");
        bytes(&mut pair, 2, b"english");
        bytes(&mut index, 5, &pair);
        number(&mut column, 1, u64::MAX);
        bytes(&mut column, 7, b"0");
        number(&mut schema, 1, 1);
        bytes(&mut schema, 2, &column);
        bytes(&mut schema, 16, &index);
        let packed = [1, 2];
        bytes(&mut schema, 24, &packed);
        let mut record = vec![];
        number(&mut record, 8, 1);
        number(&mut record, 4, u64::MAX - 6);
        number(&mut record, 3, 15007);
        number(&mut record, 7001, 5);
        bytes(&mut record, 9, &schema);
        let text = tablet_json(&record).unwrap();
        insta::assert_snapshot!(text, @r#"
        {
            "tablet_id": 15007,
            "schema_hash": -7,
            "tablet_state": "PB_RUNNING",
            "schema": {
                "keys_type": "UNIQUE_KEYS",
                "column": [
                    {
                        "unique_id": -1,
                        "default_value": "MA=="
                    }
                ],
                "index": [
                    {
                        "properties": {
                            "parser": "english"
                        }
                    }
                ],
                "cluster_key_idxes": [
                    1,
                    2
                ]
            }
        }
        "#);
    }

    #[test]
    fn a_damaged_message_inside_is_an_error() {
        let mut record = vec![];
        bytes(&mut record, 9, &[0x12, 9]);
        assert!(tablet_json(&record).is_err());
    }
}
