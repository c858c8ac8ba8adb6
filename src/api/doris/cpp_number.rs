//! Numbers as `std::stoull` and `std::stoul` read them: leading white space, a sign, then digits; what follows is
//! ignored, and a minus wraps around. Real releases read their parameters this way.

/// The text is no number, or too large a one. Doris prints the name of the function either way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct NotConverted {
    /// `stoull` or `stoul`.
    pub(super) what: &'static str,
}

/// `std::stoull` into a signed 64-bit number.
///
/// # Errors
/// No digits, or more than 64 bits.
pub(super) fn stoull(text: &str) -> Result<i64, NotConverted> {
    unsigned(text).map(u64::cast_signed).ok_or(NotConverted { what: "stoull" })
}

/// `std::stoul` (64 bits on Linux) into a signed 32-bit number: the upper half is lost.
///
/// # Errors
/// No digits, or more than 64 bits.
#[allow(clippy::cast_possible_truncation)]
pub(super) fn stoul_to_i32(text: &str) -> Result<i32, NotConverted> {
    unsigned(text).map(|number| (number as u32).cast_signed()).ok_or(NotConverted { what: "stoul" })
}

fn unsigned(text: &str) -> Option<u64> {
    // `isspace` in the C locale.
    let text = text.trim_start_matches([' ', '\t', '\n', '\u{b}', '\u{c}', '\r']);
    let (negative, text) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let number: u64 = text[..digits].parse().ok()?;
    Some(if negative { number.wrapping_neg() } else { number })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_as_the_standard_library_of_cpp_reads_them() {
        let failed = Err(NotConverted { what: "stoull" });
        for (text, expected) in [
            ("12", Ok(12)),
            ("12abc", Ok(12)),
            (" \t\n\u{b}\u{c}\r12", Ok(12)),
            ("+12", Ok(12)),
            ("-1", Ok(-1)),
            ("- 1", failed),
            ("+-1", failed),
            ("0012", Ok(12)),
            ("0x10", Ok(0)),
            ("1.9", Ok(1)),
            ("", failed),
            ("abc", failed),
            ("\u{a0}1", failed),
            ("9223372036854775807", Ok(i64::MAX)),
            ("9223372036854775808", Ok(i64::MIN)),
            ("18446744073709551615", Ok(-1)),
            ("18446744073709551616", failed),
            ("-18446744073709551616", failed),
        ] {
            assert_eq!(stoull(text), expected, "{text:?}");
        }
        assert_eq!(stoul_to_i32("2147483648"), Ok(i32::MIN));
        assert_eq!(stoul_to_i32("4294967297"), Ok(1));
        assert_eq!(stoul_to_i32("x"), Err(NotConverted { what: "stoul" }));
    }
}
