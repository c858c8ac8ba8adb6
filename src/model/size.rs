//! Numbers of bytes as people write and read them. `K`, `M`, `G` and `T` are powers of 1024, as in Doris's configuration.

use bytesize::ByteSize;

/// `1.5 GiB`.
pub fn human_bytes(bytes: u64) -> String {
    ByteSize::b(bytes).display().iec().to_string()
}

/// Reads `52428800`, `50M` or `50MiB`.
///
/// Not by the crate: it reads `50M` as fifty million, and rounds what it cannot hold. `50MB`, which some read as the one
/// and some as the other, and fractions are refused.
pub fn parse_bytes(text: &str) -> Option<u64> {
    let digits = text.trim_end_matches(|c: char| !c.is_ascii_digit());
    let shift = match text[digits.len()..].to_ascii_lowercase().as_str() {
        "" => 0,
        "k" | "ki" | "kib" => 10,
        "m" | "mi" | "mib" => 20,
        "g" | "gi" | "gib" => 30,
        "t" | "ti" | "tib" => 40,
        _ => return None,
    };
    // A sign would be read as well.
    let number: u64 = digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok())??;
    number.checked_mul(1 << shift)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_one_digit_behind_the_point() {
        for (bytes, text) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.0 KiB"),
            (1536, "1.5 KiB"),
            (25_125_000_000, "23.4 GiB"),
            (104_857_600, "100.0 MiB"),
            (u64::MAX, "16.0 EiB"),
        ] {
            assert_eq!(human_bytes(bytes), text, "{bytes}");
        }
    }

    #[test]
    fn bytes_take_a_suffix() {
        for (text, bytes) in [
            ("0", 0),
            ("52428800", 52_428_800),
            ("50M", 52_428_800),
            ("50MiB", 52_428_800),
            ("2k", 2048),
            ("1T", 1 << 40),
        ] {
            assert_eq!(parse_bytes(text), Some(bytes), "{text}");
        }
        for text in ["", "M", "-1", "+1", "1.5M", "50MB", "50 M", "99999999999T", "é", "5é"] {
            assert_eq!(parse_bytes(text), None, "{text}");
        }
    }
}
