//! Addresses of the page and of the API, with everything in them escaped.

/// `/ui/x?a=b` with everything escaped; empty values left out.
pub(super) fn link(path: &str, parameters: &[(&str, &str)]) -> String {
    let pairs = parameters.iter().filter(|(_, value)| !value.is_empty());
    let pairs: Vec<_> = pairs.map(|(name, value)| format!("{name}={}", escaped(value))).collect();
    if pairs.is_empty() { path.to_owned() } else { format!("{path}?{}", pairs.join("&")) }
}

/// For a part of a path, or a value of a query.
pub(super) fn escaped(text: &str) -> String {
    use std::fmt::Write as _;
    text.bytes().fold(String::with_capacity(text.len()), |mut safe, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            safe.push(char::from(byte));
        } else {
            write!(safe, "%{byte:02X}").expect("a String takes everything");
        }
        safe
    })
}

/// `name=value` for a query, nothing where there is no value.
pub(super) fn pair(name: &str, value: &str) -> String {
    if value.is_empty() { String::new() } else { format!("{name}={}", escaped(value)) }
}
