//! What was probably meant by a value that is refused, by a path that is not there, or by a key that nobody knows.

use super::blanks::trim;
use super::doris_keys;
use super::keys::Key;
use crate::model::Medium;

/// Names under which others have a key of ours.
static OTHER_NAMES: &[(&str, &str)] = &[
    ("be_http_port", "webserver_port"),
    ("be_http_num_workers", "webserver_num_workers"),
    ("http_port", "webserver_port"),
];

/// The likely slip in a value, as advice; none when it has none of the known ones.
pub(super) fn in_value(value: &str) -> Option<&'static str> {
    if value.starts_with(['"', '\'']) {
        return Some("quotes are part of the value, leave them out");
    }
    if value.contains(" #") || value.contains("\t#") {
        return Some("the '#' and what follows is part of the value; a comment has a line of its own");
    }
    if value.contains('\u{ff1b}') {
        return Some("it holds a full-width semicolon (U+FF1B), entries are separated by ';'");
    }
    if value.contains(['\u{ff0c}', '\u{ff1a}']) {
        return Some("it holds a full-width comma or colon (U+FF0C, U+FF1A), write ',' and ':'");
    }
    None
}

/// The same for a path of `storage_root_path`, which may carry its medium in the wrong way as well.
pub(super) fn in_root_path(path: &str) -> Option<&'static str> {
    let medium = path.rsplit_once(':').and_then(|(_, name)| trim(name).parse::<Medium>().ok());
    match (in_value(path), medium) {
        (None, Some(_)) => Some("the medium goes behind a comma: /disk1,medium:ssd"),
        (slip, _) => slip,
    }
}

/// The key that `unknown` was probably meant to be.
pub(super) fn meant_key(unknown: &str) -> Option<&'static str> {
    let name = without_export(unknown).unwrap_or(unknown);
    if let Some((_, ours)) = OTHER_NAMES.iter().find(|(other, _)| *other == name) {
        return Some(ours);
    }
    Key::find(name).map(|key| key.name).or_else(|| doris_keys::closest(name))
}

/// What follows the word `export`, which belongs to a shell.
pub(super) fn without_export(key: &str) -> Option<&str> {
    let rest = key.strip_prefix("export")?;
    rest.starts_with([' ', '\t']).then(|| trim(rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn likely_slips_are_named_and_plain_values_are_left_alone() {
        for (value, advice) in [
            ("\"/a\"", "quotes"),
            ("/a  # where the data is", "line of its own"),
            ("/a\t# x", "line of its own"),
            ("/a；/b", "U+FF1B"),
            ("/a，medium：ssd", "U+FF0C"),
        ] {
            assert!(in_value(value).is_some_and(|said| said.contains(advice)), "{value}");
        }
        for value in ["/a", "/a#1", "", "/a:b", "/with blank"] {
            assert_eq!((in_value(value), in_root_path(value)), (None, None), "{value}");
        }
        for path in ["/a:ssd", "/a:HDD", "/a: ssd"] {
            assert!(in_root_path(path).is_some_and(|said| said.contains(",medium:ssd")), "{path}");
        }
    }

    #[test]
    fn the_key_that_was_meant_is_found_behind_other_names_and_an_export() {
        for (unknown, meant) in [
            ("be_http_port", Some("webserver_port")),
            ("export storage_root_path", Some("storage_root_path")),
            ("export\twebserver_prot", Some("webserver_port")),
            ("storage_root_paht", Some("storage_root_path")),
            ("exported", None),
            ("x", None),
        ] {
            assert_eq!(meant_key(unknown), meant, "{unknown:?}");
        }
        assert!(
            OTHER_NAMES.iter().all(|(other, ours)| Key::find(other).is_none() && Key::find(ours).is_some())
        );
    }
}
