//! What counts as a blank in be.conf.

/// Trims the blanks C's `isspace` knows, no others: a no-break space stays part of a path, as it does in Doris.
pub(super) fn trim(text: &str) -> &str {
    text.trim_matches(|c: char| c.is_ascii_whitespace() || c == '\u{b}')
}
