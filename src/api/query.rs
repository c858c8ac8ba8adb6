//! The query string: decoding, and the two ways of reading it. Doris takes the first of equal keys and ignores what it
//! does not know; the documented endpoint and the job API refuse both, naming the parameter.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::str::FromStr;

use crate::model::{ErrorCode, Failure, quoted};

/// The parameters of a request, decoded, in order.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Query(Vec<(String, String)>);

impl Query {
    /// Splits at `&` and at the first `=`; `+` is a blank, `%41` an `A`, and a `%` that begins no escape stays. Bytes
    /// that are no UTF-8 become U+FFFD, which no number and no configured path contains.
    pub(super) fn parse(raw: Option<&str>) -> Self {
        let pairs = raw.unwrap_or("").split('&').filter(|pair| !pair.is_empty());
        Self(
            pairs
                .map(|pair| {
                    let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
                    (decode(name), decode(value))
                })
                .collect(),
        )
    }

    /// The first value of `name`; empty when there is none.
    pub(super) fn first(&self, name: &str) -> &str {
        self.0.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value)
    }

    /// Every value of `name`, in order.
    pub(super) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// All parameters, the first of equal names only.
    pub(super) fn firsts(&self) -> Vec<(&str, &str)> {
        let mut seen: Vec<(&str, &str)> = Vec::new();
        for (name, value) in &self.0 {
            if !seen.iter().any(|(known, _)| known == name) {
                seen.push((name, value));
            }
        }
        seen
    }

    /// Accepts each of `accepted` at most once and nothing else.
    ///
    /// # Errors
    /// A parameter that is unknown or given twice.
    pub(super) fn strict(self, accepted: &'static [&'static str]) -> Result<Strict, Failure> {
        let mut values = BTreeMap::new();
        for (name, value) in self.0 {
            let Some(&known) = accepted.iter().find(|known| **known == name) else {
                let list = if accepted.is_empty() { "none".to_owned() } else { accepted.join(", ") };
                return Err(invalid(format!("unknown parameter {}; accepted: {list}", quoted(&name))));
            };
            if let Some(before) = values.insert(known, value.clone()) {
                let text = format!(
                    "parameter {known} is given more than once, as {} and {}; give it once",
                    quoted(&before),
                    quoted(&value)
                );
                return Err(invalid(text));
            }
        }
        Ok(Strict(values))
    }
}

/// Parameters that are known and not repeated.
#[derive(Debug)]
pub struct Strict(BTreeMap<&'static str, String>);

impl Strict {
    /// The value as it is.
    pub fn text(&self, name: &'static str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// The value, read.
    ///
    /// # Errors
    /// It cannot be read; the message is that of `T`, which names the value and what is accepted.
    pub fn read<T: FromStr<Err: Display>>(&self, name: &'static str) -> Result<Option<T>, Failure> {
        let Some(text) = self.text(name) else { return Ok(None) };
        text.parse().map(Some).map_err(|error: T::Err| invalid(format!("parameter {name}: {error}")))
    }

    /// As [`Self::read`], and absence is refused too.
    ///
    /// # Errors
    /// It is missing or cannot be read.
    pub fn require<T: FromStr<Err: Display>>(
        &self,
        name: &'static str,
        accepted: &'static str,
    ) -> Result<T, Failure> {
        self.read(name)?.ok_or_else(|| invalid(format!("parameter {name} is missing; accepted: {accepted}")))
    }

    /// Several values, separated by commas; none when it is absent.
    ///
    /// # Errors
    /// As [`Self::read`], for the first that cannot be read.
    pub fn several<T: FromStr<Err: Display>>(&self, name: &'static str) -> Result<Vec<T>, Failure> {
        let words = self.text(name).into_iter().flat_map(|text| text.split(','));
        words
            .map(|word| word.parse().map_err(|error: T::Err| invalid(format!("parameter {name}: {error}"))))
            .collect()
    }

    /// `limit`, of a page: 1 to `most`; 0, which is the engine's own, when it is absent.
    ///
    /// # Errors
    /// Anything else.
    pub(super) fn limit(&self, most: i64) -> Result<usize, Failure> {
        Ok(self.number("limit", 1..=most)?.and_then(|limit| limit.try_into().ok()).unwrap_or(0))
    }

    /// A whole number within bounds.
    ///
    /// # Errors
    /// Anything else.
    pub(super) fn number(
        &self,
        name: &'static str,
        range: std::ops::RangeInclusive<i64>,
    ) -> Result<Option<i64>, Failure> {
        let Some(text) = self.text(name) else { return Ok(None) };
        text.parse().ok().filter(|number| range.contains(number)).map(Some).ok_or_else(|| {
            let (low, high) = range.into_inner();
            let got = quoted(text);
            invalid(format!("parameter {name} must be a whole number from {low} to {high}, got {got}"))
        })
    }
}

/// An id out of a path, read.
///
/// # Errors
/// It cannot be read; the message is that of `T`.
pub(super) fn read_id<T: FromStr<Err: Display>>(text: &str) -> Result<T, Failure> {
    text.parse().map_err(|error: T::Err| invalid(error.to_string()))
}

/// A refusal of what the caller sent.
pub(super) fn invalid(message: impl Into<String>) -> Failure {
    Failure::new(ErrorCode::InvalidArgument, message)
}

fn decode(text: &str) -> String {
    let digit = |byte: Option<&u8>| byte.and_then(|byte| char::from(*byte).to_digit(16));
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        at += 1;
        decoded.push(match byte {
            b'+' => b' ',
            b'%' => match (digit(bytes.get(at)), digit(bytes.get(at + 1))) {
                (Some(high), Some(low)) => {
                    at += 2;
                    u8::try_from(high * 16 + low).expect("two hexadecimal digits make one byte")
                }
                _ => b'%',
            },
            other => other,
        });
    }
    String::from_utf8(decoded).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_are_decoded_once_and_bad_ones_stay() {
        for (raw, expected) in [
            ("a+b", "a b"),
            ("a%2Bb", "a+b"),
            ("%2Fdisk%201", "/disk 1"),
            ("%252F", "%2F"),
            ("100%", "100%"),
            ("%4", "%4"),
            ("%zz%41", "%zzA"),
            ("%C3%A9", "é"),
            ("%FF", "\u{FFFD}"),
        ] {
            assert_eq!(decode(raw), expected, "{raw}");
        }
    }

    #[test]
    fn the_lenient_reading_takes_the_first() {
        let query = Query::parse(Some("a=1&a=2&b&=x&c=d=e"));
        assert_eq!((query.first("a"), query.first("b"), query.first("c")), ("1", "", "d=e"));
        assert_eq!(query.first("missing"), "");
        assert_eq!(query.firsts(), [("a", "1"), ("b", ""), ("", "x"), ("c", "d=e")]);
        assert_eq!(Query::parse(None), Query::parse(Some("&&")));
    }

    #[test]
    fn the_strict_reading_names_what_it_refuses() {
        let refused = |raw| Query::parse(Some(raw)).strict(&["a", "b"]).unwrap_err().message;
        assert_eq!(refused("a=1&c=2"), "unknown parameter \"c\"; accepted: a, b");
        assert_eq!(
            refused("a=1&a=1"),
            "parameter a is given more than once, as \"1\" and \"1\"; give it once"
        );
        let strict = Query::parse(Some("a=1&b=-2")).strict(&["a", "b"]).unwrap();
        assert_eq!(strict.number("a", 0..=9), Ok(Some(1)));
        let message = strict.number("b", 0..=9).unwrap_err().message;
        assert_eq!(message, "parameter b must be a whole number from 0 to 9, got \"-2\"");
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_read_without_panic(raw: String) {
            let _ = Query::parse(Some(&raw)).strict(&["a"]);
        }
    }
}
