//! `tabletctl doris header`: one tablet's record as Doris's JSON.

use std::path::{Path, PathBuf};

use crate::cli::exit::{CliError, Exit};
use crate::doris::database::{Pair, Strictness};
use crate::doris::display::tablet_json;
use crate::doris::keys::{Key, TabletIds};
use crate::storage::{Dir, read_one_state};

/// The record of a tablet in the one root that has it.
///
/// # Errors
/// No root has it, or several do; a root cannot be read; the record is damaged.
pub(super) fn header(
    tablet_id: i64,
    schema_hash: Option<i32>,
    roots: &[PathBuf],
) -> Result<String, CliError> {
    let mut found = Vec::new();
    for root in roots {
        let failed = |why: String| CliError::new(Exit::Failed, format!("{}: {why}", root.display()));
        for (ids, record) in records(root, tablet_id).map_err(failed)? {
            if schema_hash.is_none_or(|hash| hash == ids.schema_hash) {
                found.push((ids, root, record));
            }
        }
    }
    let [(_, root, record)] = &found[..] else { return Err(not_one(tablet_id, &found)) };
    let failed =
        |error| CliError::new(Exit::Failed, format!("tablet {tablet_id} on {}: {error}", root.display()));
    tablet_json(record).map(|text| text + "\n").map_err(failed)
}

fn records(root: &Path, tablet_id: i64) -> Result<Vec<(TabletIds, Vec<u8>)>, String> {
    let dir = Dir::open_absolute(root).map_err(|error| error.to_string())?;
    let prefix = format!("tabletmeta_{tablet_id}_");
    let pairs = read_one_state(&dir, Strictness::Refuse, |database| database.with_prefix(prefix.as_bytes()))?;
    let tablet = |(key, value): Pair| match Key::parse(&key) {
        Key::Tablet(ids) => Some((ids, value)),
        _ => None,
    };
    Ok(pairs.into_iter().filter_map(tablet).collect())
}

fn not_one(tablet_id: i64, found: &[(TabletIds, &PathBuf, Vec<u8>)]) -> CliError {
    let places: Vec<String> =
        found.iter().map(|(ids, root, _)| format!("{ids} on {}", root.display())).collect();
    let message = match places.is_empty() {
        true => format!("no record of tablet {tablet_id} is on these roots"),
        false => format!(
            "tablet {tablet_id} has several records: {}; name one root, and --schema-hash where they differ in it",
            places.join(", ")
        ),
    };
    CliError::new(Exit::Failed, message)
}
