//! Protocol Buffers' wire form: walked, and patched in place.
//!
//! A message is never decoded into a type and encoded again: that would drop what a newer backend wrote. Fields that are
//! not asked for keep their bytes, whatever they are (`doris-roots` section 7).
//! Source: <https://protobuf.dev/programming-guides/encoding/>.

use super::cursor::{Cursor, put_length_prefixed, put_varint};
use super::error::Malformed;

const VARINT: u64 = 0;
const FIXED64: u64 = 1;
const LENGTH_DELIMITED: u64 = 2;
const FIXED32: u64 = 5;

/// The value of a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Value<'a> {
    /// A number, a bool or an enum.
    Varint(u64),
    /// Eight bytes.
    Fixed64([u8; 8]),
    /// A string, bytes, or a message.
    Bytes(&'a [u8]),
    /// Four bytes.
    Fixed32([u8; 4]),
}

/// A field, and the bytes it takes with its tag.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Field<'a> {
    pub number: u32,
    pub value: Value<'a>,
    raw: &'a [u8],
}

/// A message whose fields walk exactly to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message<'a> {
    fields: Vec<Field<'a>>,
}

impl<'a> Message<'a> {
    /// Walks `bytes`.
    ///
    /// # Errors
    /// They do not end where a field does, or hold a group, which no message of Doris's has.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Malformed> {
        let mut cursor = Cursor::new(bytes);
        let mut fields = Vec::new();
        while !cursor.is_empty() {
            let from = cursor.left();
            let tag = cursor.varint()?;
            let number = u32::try_from(tag >> 3).ok().filter(|number| *number > 0);
            let number = number.ok_or(Malformed("a field has no number"))?;
            let value = match tag & 7 {
                VARINT => Value::Varint(cursor.varint()?),
                FIXED64 => Value::Fixed64(cursor.u64_le()?.to_le_bytes()),
                LENGTH_DELIMITED => Value::Bytes(cursor.length_prefixed()?),
                FIXED32 => Value::Fixed32(cursor.u32_le()?.to_le_bytes()),
                _ => return Err(Malformed("a field is of a kind that no message here has")),
            };
            let raw = &from[..from.len() - cursor.left().len()];
            fields.push(Field { number, value, raw });
        }
        Ok(Self { fields })
    }

    /// All fields, in order.
    pub fn fields(&self) -> &[Field<'a>] {
        &self.fields
    }

    /// A number. The last occurrence counts; `None` where there is none, or it is no number.
    pub fn number(&self, number: u32) -> Option<u64> {
        self.fields.iter().rev().find(|field| field.number == number).and_then(|field| match field.value {
            Value::Varint(value) => Some(value),
            _ => None,
        })
    }

    /// An int64, or an int32, which is written the same way.
    pub fn int64(&self, number: u32) -> Option<i64> {
        self.number(number).map(u64::cast_signed)
    }

    /// A string, bytes, or a message; the last occurrence.
    pub fn bytes(&self, number: u32) -> Option<&'a [u8]> {
        self.all_bytes(number).last()
    }

    /// All occurrences of a repeated string or message.
    pub fn all_bytes(&self, number: u32) -> impl Iterator<Item = &'a [u8]> {
        self.fields.iter().filter(move |field| field.number == number).filter_map(|field| match field.value {
            Value::Bytes(bytes) => Some(bytes),
            _ => None,
        })
    }

    /// Whether the field occurs.
    pub fn has(&self, number: u32) -> bool {
        self.fields.iter().any(|field| field.number == number)
    }
}

/// Makes another message of one.
pub type Rewrite<'a> = dyn Fn(&[u8]) -> Result<Vec<u8>, Malformed> + 'a;

/// What happens to the fields of one number.
pub enum Change<'a> {
    /// One number, where its first occurrence stood, else at the end.
    Number(u64),
    /// One string or message, likewise.
    Bytes(Vec<u8>),
    /// Each occurrence becomes what this makes of it; there is none where there was none.
    Each(&'a Rewrite<'a>),
    Drop,
}

/// Writes a message again with some fields changed, all others byte for byte as they were, and `appended` messages as
/// further occurrences of their fields at its end.
///
/// # Errors
/// It does not walk, or a change of one of its messages fails.
pub fn patch(
    message: &Message<'_>,
    changes: &[(u32, Change<'_>)],
    appended: &[(u32, Vec<u8>)],
) -> Result<Vec<u8>, Malformed> {
    let mut out = Vec::with_capacity(message.fields.iter().map(|field| field.raw.len()).sum::<usize>() + 64);
    let mut done: Vec<u32> = Vec::new();
    for field in &message.fields {
        let Some((number, change)) = changes.iter().find(|(number, _)| *number == field.number) else {
            out.extend_from_slice(field.raw);
            continue;
        };
        match (change, field.value) {
            (Change::Each(map), Value::Bytes(bytes)) => put_bytes(&mut out, *number, &map(bytes)?),
            (Change::Each(_), _) => return Err(Malformed("a message is written as something else")),
            (Change::Drop, _) => {}
            (set, _) if !done.contains(number) => {
                put(&mut out, *number, set);
                done.push(*number);
            }
            _ => {}
        }
    }
    for (number, change) in changes.iter().filter(|(number, _)| !done.contains(number)) {
        put(&mut out, *number, change);
    }
    appended.iter().for_each(|(number, bytes)| put_bytes(&mut out, *number, bytes));
    Ok(out)
}

fn put(out: &mut Vec<u8>, number: u32, change: &Change<'_>) {
    match change {
        Change::Number(value) => {
            put_varint(out, u64::from(number) << 3 | VARINT);
            put_varint(out, *value);
        }
        Change::Bytes(bytes) => put_bytes(out, number, bytes),
        Change::Each(_) | Change::Drop => {}
    }
}

fn put_bytes(out: &mut Vec<u8>, number: u32, bytes: &[u8]) {
    put_varint(out, u64::from(number) << 3 | LENGTH_DELIMITED);
    put_length_prefixed(out, bytes);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn message(fields: &[(u32, Change<'_>)]) -> Vec<u8> {
        let mut out = Vec::new();
        fields.iter().for_each(|(number, change)| put(&mut out, *number, change));
        out
    }

    #[test]
    fn a_change_stands_where_the_first_occurrence_stood() {
        let before = message(&[
            (9, Change::Bytes(vec![1])),
            (5, Change::Number(7)),
            (7001, Change::Number(300)),
            (5, Change::Number(8)),
            (10, Change::Bytes(vec![2])),
        ]);
        let add_one = |bytes: &[u8]| Ok(bytes.iter().map(|byte| byte + 1).collect());
        let parsed = Message::parse(&before).unwrap();
        assert_eq!(parsed.number(5), Some(8));
        let after = patch(
            &parsed,
            &[
                (5, Change::Number(1)),
                (14, Change::Bytes(vec![9])),
                (10, Change::Each(&add_one)),
                (9, Change::Drop),
            ],
            &[(10, vec![4])],
        );
        let expected = message(&[
            (5, Change::Number(1)),
            (7001, Change::Number(300)),
            (10, Change::Bytes(vec![3])),
            (14, Change::Bytes(vec![9])),
            (10, Change::Bytes(vec![4])),
        ]);
        assert_eq!(after.unwrap(), expected);
    }

    #[test]
    fn what_does_not_walk_is_refused() {
        for bytes in [&[0x08_u8][..], &[0x12, 5, 1], &[0x0b], &[0x00, 1], &[0x0d, 1, 2]] {
            assert!(Message::parse(bytes).is_err(), "{bytes:?}");
        }
    }

    proptest! {
        #[test]
        fn nothing_is_lost_by_a_patch_of_nothing(bytes: Vec<u8>) {
            if let Ok(parsed) = Message::parse(&bytes) {
                prop_assert_eq!(patch(&parsed, &[], &[]).unwrap(), bytes);
            }
        }
    }
}
