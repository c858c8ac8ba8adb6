//! The line grammar of be.conf: `key = value`, `#` lines, `${NAME}`. Knows no key.
//!
//! As in Doris (`Properties::load`, `replaceenv`): a line is trimmed; empty lines and lines that start with `#` are
//! skipped, a later `#` is part of the value; the first `=` splits; both halves are trimmed. One difference: a line
//! without `=` is a problem here, where Doris takes it for a key with an empty value.

use super::blanks::trim;
use super::problem::{FileLine, Problem};

/// One file, read into lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sheet {
    /// The file's name as problems show it.
    pub file: String,
    /// Its `key = value` lines, in order.
    pub entries: Vec<Setting>,
    /// Lines that are none.
    pub problems: Vec<Problem>,
}

/// One `key = value` line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// Left of the first `=`, trimmed; never empty.
    pub key: String,
    /// Right of it, trimmed, `${NAME}` not yet replaced.
    pub value: String,
    /// 1-based line number.
    pub line: usize,
}

/// Why `${...}` in a value cannot be replaced.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum ExpandError {
    /// The environment has no such name.
    #[error("{0} is not set in the environment")]
    Unset(String),
    /// `${` is never closed.
    #[error("'${{' without a closing '}}'")]
    Unclosed,
}

impl Sheet {
    /// Reads `text`; `file` is only its name in messages. Never fails: lines it cannot read become problems.
    pub fn parse(file: &str, text: &str) -> Self {
        let mut sheet = Self { file: file.to_owned(), entries: Vec::new(), problems: Vec::new() };
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        for (index, raw) in text.split('\n').enumerate() {
            let line = trim(raw);
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            match line.split_once('=').map(|(key, value)| (trim(key), trim(value))) {
                Some((key, value)) if !key.is_empty() => sheet.entries.push(Setting {
                    key: key.to_owned(),
                    value: value.to_owned(),
                    line: index + 1,
                }),
                _ => sheet
                    .problems
                    .push(Problem::of_line(FileLine { file: file.to_owned(), line: Some(index + 1) }, line)),
            }
        }
        sheet
    }

    /// The entry that counts for `key`: the last one.
    pub fn last(&self, key: &str) -> Option<&Setting> {
        self.entries.iter().rfind(|entry| entry.key == key)
    }
}

/// Replaces every `${NAME}` of `value` from `env`. What is put in is not searched again.
///
/// # Errors
/// A name that `env` does not know, or a `${` without `}`.
pub(super) fn expand(value: &str, env: &dyn Fn(&str) -> Option<String>) -> Result<String, ExpandError> {
    let mut expanded = String::with_capacity(value.len());
    let mut rest = value;
    while let Some((before, after)) = rest.split_once("${") {
        let (name, after) = after.split_once('}').ok_or(ExpandError::Unclosed)?;
        expanded.push_str(before);
        expanded.push_str(&env(name).ok_or_else(|| ExpandError::Unset(name.to_owned()))?);
        rest = after;
    }
    expanded.push_str(rest);
    Ok(expanded)
}

/// Whether a key is one the start scripts export to the environment (`JAVA_HOME`, `LOG_DIR`): the daemon has no
/// business with it.
pub(super) fn is_script_export(key: &str) -> bool {
    key.starts_with(|first: char| first.is_ascii_uppercase())
        && key.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_a_comment_a_setting_or_a_problem() {
        for (text, expected) in [
            ("", None),
            ("   \t\r", None),
            ("# a = b", None),
            ("   # a = b", None),
            ("a=b", Some(("a", "b"))),
            ("  a \t=  b  ", Some(("a", "b"))),
            ("a = b\r", Some(("a", "b"))),
            ("a = b # not a comment", Some(("a", "b # not a comment"))),
            ("a = b = c", Some(("a", "b = c"))),
            ("a =", Some(("a", ""))),
            ("a = \"b\"", Some(("a", "\"b\""))),
            ("\u{feff}a = b", Some(("a", "b"))),
            ("a = \u{a0}b", Some(("a", "\u{a0}b"))),
            ("export A = b", Some(("export A", "b"))),
        ] {
            let sheet = Sheet::parse("be.conf", text);
            let entry = sheet.entries.first().map(|entry| (entry.key.as_str(), entry.value.as_str()));
            assert_eq!(entry, expected, "{text:?}");
            assert_eq!(sheet.problems, [], "{text:?}");
        }
        for text in ["webserver_port 8040", "= 8040", "  =", "storage_root_path"] {
            let sheet = Sheet::parse("be.conf", text);
            assert_eq!((sheet.entries.len(), sheet.problems.len()), (0, 1), "{text:?}");
        }
    }

    #[test]
    fn lines_are_numbered_from_one_and_the_last_setting_counts() {
        let sheet = Sheet::parse("be.conf", "# head\na = 1\n\nb = 2\na = 3\n");
        assert_eq!(sheet.last("a").map(|entry| (entry.value.as_str(), entry.line)), Some(("3", 5)));
        assert_eq!(sheet.last("b").map(|entry| entry.line), Some(4));
        assert_eq!(sheet.last("c"), None);
    }

    #[test]
    fn environment_names_are_replaced_once() {
        let env = |name: &str| match name {
            "HOME" => Some("/h".to_owned()),
            "TRICK" => Some("${HOME}".to_owned()),
            "EMPTY" => Some(String::new()),
            _ => None,
        };
        for (value, expected) in [
            ("plain", Ok("plain")),
            ("${HOME}/x", Ok("/h/x")),
            ("${HOME}${HOME}", Ok("/h/h")),
            ("a${EMPTY}b", Ok("ab")),
            ("${TRICK}", Ok("${HOME}")),
            ("$HOME", Ok("$HOME")),
            ("a}b", Ok("a}b")),
            ("${NOPE}", Err(ExpandError::Unset("NOPE".into()))),
            ("${}", Err(ExpandError::Unset(String::new()))),
            ("x${HOME", Err(ExpandError::Unclosed)),
        ] {
            assert_eq!(expand(value, &env), expected.map(str::to_owned), "{value:?}");
        }
    }

    #[test]
    fn upper_case_keys_are_exports_of_the_scripts() {
        for (key, export) in [
            ("JAVA_HOME", true),
            ("JAVA_OPTS_FOR_JDK_17", true),
            ("java_home", false),
            ("Java", false),
            ("", false),
        ] {
            assert_eq!(is_script_export(key), export, "{key:?}");
        }
    }
}
