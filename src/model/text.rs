//! Text of others in texts of ours: what somebody sent, and what stands on a disk, is repeated escaped, and never at
//! length.

use std::ffi::OsStr;
use std::fmt;

/// Bytes of a text that is logged, journalled or answered.
const KEEP: usize = 4_000;
/// Bytes of a single value in it.
const KEEP_OF_VALUE: usize = 500;

/// `text` with control characters escaped: it neither breaks a line nor reaches a terminal.
pub fn printable(text: &str) -> String {
    let escaped = |c: char| if c.is_control() { c.escape_default().collect() } else { vec![c] };
    if text.contains(char::is_control) { text.chars().flat_map(escaped).collect() } else { text.to_owned() }
}

/// `text`, which may repeat what somebody sent, short enough to be logged, journalled and answered.
pub fn cut(text: String) -> String {
    cut_to(text, KEEP)
}

fn cut_to(mut text: String, keep: usize) -> String {
    let whole = text.len();
    if whole > keep {
        text.truncate(text.floor_char_boundary(keep));
        text.push_str(&format!("... (cut, {whole} bytes in all)"));
    }
    text
}

/// A number and its noun: `1 tablet`, `3 tablets`, `0 copies`.
pub fn counted<N: fmt::Display + PartialEq + Copy + From<u8>>(count: N, noun: &str) -> String {
    let many = match noun.strip_suffix('y') {
        Some(stem) if !stem.ends_with(['a', 'e', 'o', 'u']) => format!("{stem}ies"),
        _ => format!("{noun}s"),
    };
    counted_as(count, noun, &many)
}

/// A number before what it changes more of than a noun: `1 move is`, `3 moves are`.
pub fn counted_as<N: fmt::Display + PartialEq + Copy + From<u8>>(count: N, one: &str, many: &str) -> String {
    let what = if count == N::from(1) { one } else { many };
    format!("{count} {what}")
}

/// A value as it was given, between quotation marks, escaped and cut.
pub fn quoted<T: AsRef<OsStr> + ?Sized>(value: &T) -> Quoted {
    Quoted(cut_to(value.as_ref().to_string_lossy().into_owned(), KEEP_OF_VALUE))
}

/// As [`quoted`] writes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quoted(String);

impl fmt::Display for Quoted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", printable(&self.0.replace('\\', "\\\\").replace('"', "\\\"")))
    }
}

#[cfg(test)]
mod tests {
    use super::super::{ErrorCode, Failure};
    use super::*;

    #[test]
    fn a_noun_follows_its_number() {
        assert_eq!([counted(0_u64, "copy"), counted(1_u64, "copy")], ["0 copies", "1 copy"]);
        assert_eq!([counted(1_i64, "day"), counted(2_i64, "day")], ["1 day", "2 days"]);
        assert_eq!(counted_as(1_u32, "move is", "moves are"), "1 move is");
        assert_eq!(counted_as(12_usize, "move is", "moves are"), "12 moves are");
    }

    #[test]
    fn long_texts_are_cut_between_letters_and_short_ones_stay() {
        for text in ["", "short", &"x".repeat(4_000)] {
            assert_eq!(cut(text.to_owned()), text);
        }
        let failure = Failure::new(ErrorCode::DiskNotFound, format!("x{}", "é".repeat(450_000)));
        assert!(failure.message.len() < 4_100 && failure.message.ends_with("(cut, 900001 bytes in all)"));
    }

    #[test]
    fn a_value_stays_between_its_marks_on_its_line_and_short() {
        for (value, shown) in [
            ("/d1", r#""/d1""#),
            ("", r#""""#),
            ("a\nb\u{1b}[2J", r#""a\nb\u{1b}[2J""#),
            (r#"a" b\"#, r#""a\" b\\""#),
            ("Größe", r#""Größe""#),
        ] {
            assert_eq!(quoted(value).to_string(), shown);
        }
        let long = quoted(&"x".repeat(900_000)).to_string();
        assert!(long.len() < 600 && long.ends_with("(cut, 900000 bytes in all)\""), "{long}");
    }
}
