//! JSON with the spacing Doris's writers give it: scripts `grep` and `sed` these answers.

use std::fmt::Write;

/// A string as rapidjson writes it: non-ASCII as it is, control characters as `\u00XX` in upper case.
pub(super) fn quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for c in text.chars() {
        match c {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\u{8}' => quoted.push_str("\\b"),
            '\u{c}' => quoted.push_str("\\f"),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            c if c < ' ' => {
                let _ = write!(quoted, "\\u{:04X}", u32::from(c));
            }
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

/// An object as `PrettyWriter` writes it: four blanks, one field a line, no line end at the end. All values are strings.
pub(super) fn pretty_object(fields: &[(&str, &str)]) -> String {
    pretty_object_at("", fields)
}

/// An array of such objects; `[]` when empty.
pub(super) fn pretty_array(objects: &[Vec<(&str, &str)>]) -> String {
    if objects.is_empty() {
        return "[]".to_owned();
    }
    let items: Vec<_> =
        objects.iter().map(|fields| format!("    {}", pretty_object_at("    ", fields))).collect();
    format!("[\n{}\n]", items.join(",\n"))
}

fn pretty_object_at(indent: &str, fields: &[(&str, &str)]) -> String {
    let lines: Vec<_> = fields
        .iter()
        .map(|(name, value)| format!("{indent}    {}: {}", quoted(name), quoted(value)))
        .collect();
    format!("{{\n{}\n{indent}}}", lines.join(",\n"))
}

/// The form in which Doris reports a status: `OK`, an error name, or `E-217`.
pub(super) fn status_json(status: &str, message: &str) -> String {
    pretty_object(&[("status", status), ("msg", message)])
}

/// An object on one line, one blank after each comma and colon, as Doris's hand-written answers have it. Values are
/// JSON already.
pub(super) fn one_line(fields: &[(&str, String)]) -> String {
    let fields: Vec<_> = fields.iter().map(|(name, value)| format!("{}: {value}", quoted(name))).collect();
    format!("{{{}}}", fields.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_are_laid_out_as_rapidjson_does() {
        assert_eq!(
            status_json("NOT_FOUND", "Tablet not found"),
            "{\n    \"status\": \"NOT_FOUND\",\n    \"msg\": \"Tablet not found\"\n}"
        );
        assert_eq!(pretty_array(&[]), "[]");
        assert_eq!(
            pretty_array(&[vec![("a", "1")], vec![("a", "2"), ("b", "")]]),
            "[\n    {\n        \"a\": \"1\"\n    },\n    {\n        \"a\": \"2\",\n        \"b\": \"\"\n    }\n]"
        );
        assert_eq!(quoted("é\"\\\n\u{1f}\u{7f}"), "\"é\\\"\\\\\\n\\u001F\u{7f}\"");
    }

    proptest::proptest! {
        #[test]
        fn whatever_the_text_the_answer_is_json(text: String) {
            let body = status_json("Fail", &text);
            let back: serde_json::Value = serde_json::from_str(&body).unwrap();
            proptest::prop_assert_eq!(back["msg"].as_str(), Some(text.as_str()));
        }
    }
}
