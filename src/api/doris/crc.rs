//! `/api/calc_crc`: one number for the contents of a tablet, the same before and after a move.
//!
//! As Doris's `calc_local_file_crc`: per rowset the MD5 of each file in lower-case hexadecimal, sorted as text, chained
//! through CRC-32C from 0; the values of the rowsets, in order of their versions, chained the same way. File names,
//! rowset ids and disks do not enter. Files that belong to no rowset of the header are one more rowset at the end, so
//! that nothing of a tablet goes unchecked.

use std::time::Instant;

use axum::extract::{RawQuery, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::cpp_number::stoull;
use super::json;
use super::rapid_json::{pretty_object, status_json};
use crate::api::app::App;
use crate::api::calls::Touches;
use crate::api::query::Query;
use crate::model::TabletId;

/// What Doris says of a rowset without files.
const NO_FILES: u32 = 0x92a8_fc17;

/// One number for the contents of a tablet.
#[utoipa::path(
    get,
    path = "/api/calc_crc",
    operation_id = "calc_crc",
    tag = "doris",
    params(("tablet_id" = Option<String>, Query, description = "The tablet")),
    responses((status = 200, body = serde_json::Value, description = "One number for its contents, or why not"))
)]
pub(super) async fn calc(State(app): State<App>, RawQuery(raw): RawQuery) -> Response {
    let begin = Instant::now();
    let body = match answer(&app, &Query::parse(raw.as_deref())).await {
        Ok(found) => {
            let [crc, start, end] =
                [i64::from(found.crc), found.versions.start, found.versions.end].map(|n| n.to_string());
            pretty_object(&[
                ("crc_value", &crc),
                ("used_time_ms", &begin.elapsed().as_millis().to_string()),
                ("start_version", &start),
                ("end_version", &end),
                ("rowset_count", &found.rowset_count.to_string()),
                ("file_count", &found.file_count.to_string()),
            ])
        }
        Err((status, text)) => status_json(status, &text),
    };
    json(StatusCode::OK, body)
}

async fn answer(app: &App, query: &Query) -> Result<Found, (&'static str, String)> {
    let refused = |text: String| ("INTERNAL_ERROR", text);
    let text = query.first("tablet_id");
    if text.is_empty() {
        return Err(refused("tablet id can not be empty!".to_owned()));
    }
    let id = TabletId(
        stoull(text).map_err(|error| refused(format!("convert tablet id or failed, {}", error.what)))?,
    );
    let version = |name: &str, what: &str| match query.first(name) {
        "" => Ok(None),
        text => stoull(text).map(Some).map_err(|_| refused(format!("convert {what} version failed, stoll"))),
    };
    let asked = Asked { start: version("start_version", "start")?, end: version("end_version", "end")? };
    let words = |failure: crate::model::Failure| refused(failure.message);
    let found = app.ask(Touches::Memory, move |node| node.tablets_by_id(id)).await.map_err(words)?;
    let Some(tablet) = found.into_iter().next() else {
        return Err(("NOT_FOUND", format!("failed to get tablet {id}")));
    };
    app.try_ask(Touches::Disk, move |node| {
        let record = node.record(tablet.key)?;
        let digests = node.file_digests(tablet.key)?;
        Ok(tablet_crc(rowsets_of(&record.tablet_meta), &digests, asked))
    })
    .await
    .map_err(words)
}

/// The versions asked for; both ends inclusive.
#[derive(Debug, Clone, Copy, Default)]
struct Asked {
    start: Option<i64>,
    end: Option<i64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Versions {
    start: i64,
    end: i64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct RowsetName {
    id: String,
    versions: Versions,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Found {
    crc: u32,
    versions: Versions,
    rowset_count: usize,
    file_count: usize,
}

/// Under which id a rowset's files lie: the wide one, or in old headers the number.
pub(super) fn rowset_id(wide: Option<&str>, number: Option<&serde_json::Value>) -> Option<String> {
    let number = || number.map(|id| id.as_str().map_or_else(|| id.to_string(), str::to_owned));
    wide.filter(|id| !id.is_empty()).map(str::to_owned).or_else(number)
}

/// The rowsets of a header, in order of their versions. A header without any, or one that says something else there,
/// has none.
fn rowsets_of(header: &RawValue) -> Vec<RowsetName> {
    #[derive(Deserialize)]
    struct Header {
        #[serde(default)]
        rs_metas: Vec<Rowset>,
    }
    #[derive(Deserialize)]
    struct Rowset {
        #[serde(default)]
        rowset_id: Option<serde_json::Value>,
        #[serde(default)]
        rowset_id_v2: Option<String>,
        #[serde(default)]
        start_version: i64,
        #[serde(default)]
        end_version: i64,
    }
    let header: Header = serde_json::from_str(header.get()).unwrap_or(Header { rs_metas: Vec::new() });
    let mut rowsets: Vec<_> = header
        .rs_metas
        .into_iter()
        .filter_map(|rowset| {
            Some(RowsetName {
                id: rowset_id(rowset.rowset_id_v2.as_deref(), rowset.rowset_id.as_ref())?,
                versions: Versions { start: rowset.start_version, end: rowset.end_version },
            })
        })
        .collect();
    rowsets.sort_by_key(|rowset| (rowset.versions.end, rowset.versions.start));
    rowsets
}

fn tablet_crc(rowsets: Vec<RowsetName>, digests: &[(String, [u8; 16])], asked: Asked) -> Found {
    let newest = rowsets.iter().map(|rowset| rowset.versions.end).max().unwrap_or(-1);
    let versions =
        Versions { start: asked.start.unwrap_or(0), end: asked.end.map_or(newest, |end| end.min(newest)) };
    let belongs = |name: &str, rowset: &RowsetName| {
        name.strip_prefix(rowset.id.as_str()).is_some_and(|rest| rest.starts_with('_'))
    };
    let mut left: Vec<_> = digests.iter().collect();
    let mut found = Found { crc: 0, versions, rowset_count: 0, file_count: 0 };
    for rowset in rowsets {
        let (own, others): (Vec<_>, Vec<_>) = left.into_iter().partition(|(name, _)| belongs(name, &rowset));
        left = others;
        if rowset.versions.start >= versions.start && rowset.versions.end <= versions.end {
            found.add(&own);
        }
    }
    let whole_tablet = asked.start.is_none_or(|start| start <= 0) && asked.end.is_none();
    if whole_tablet && !left.is_empty() {
        found.add(&left);
    }
    found
}

impl Found {
    fn add(&mut self, files: &[&(String, [u8; 16])]) {
        self.crc = crc32c::crc32c_append(self.crc, &rowset_crc(files).to_le_bytes());
        self.rowset_count += 1;
        self.file_count += files.len();
    }
}

fn rowset_crc(files: &[&(String, [u8; 16])]) -> u32 {
    if files.is_empty() {
        return NO_FILES;
    }
    let hex = |digest: &[u8; 16]| digest.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let mut digests: Vec<_> = files.iter().map(|(_, digest)| hex(digest)).collect();
    digests.sort_unstable();
    digests.iter().fold(0, |crc, digest| crc32c::crc32c_append(crc, digest.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(text: &str) -> Box<RawValue> {
        RawValue::from_string(text.to_owned()).unwrap()
    }

    fn files(names: &[(&str, u8)]) -> Vec<(String, [u8; 16])> {
        names.iter().map(|(name, byte)| ((*name).to_owned(), [*byte; 16])).collect()
    }

    const HEADER: &str = r#"{"rs_metas":[
        {"rowset_id":0,"rowset_id_v2":"02ab","start_version":2,"end_version":5},
        {"rowset_id":7,"start_version":0,"end_version":1},
        {"rowset_id":"8","start_version":6,"end_version":6}]}"#;

    #[test]
    fn rowsets_are_in_order_of_their_versions_under_either_kind_of_name() {
        let names: Vec<_> = rowsets_of(&header(HEADER)).into_iter().map(|rowset| rowset.id).collect();
        assert_eq!(names, ["7", "02ab", "8"]);
        assert_eq!(rowsets_of(&header("{}")), []);
        assert_eq!(rowsets_of(&header(r#"{"rs_metas":3}"#)), []);
    }

    #[test]
    fn the_value_is_chained_as_doris_chains_it() {
        // Rowset 7 has two files, 02ab none, 8 one; by hand:
        let sevens = crc32c::crc32c(format!("{}{}", "01".repeat(16), "02".repeat(16)).as_bytes());
        let eights = crc32c::crc32c("03".repeat(16).as_bytes());
        let mut chained = Vec::new();
        for value in [sevens, NO_FILES, eights] {
            chained.extend(value.to_le_bytes());
        }
        let digests = files(&[("7_0.dat", 2), ("7_1.dat", 1), ("8_0.dat", 3)]);
        let found = tablet_crc(rowsets_of(&header(HEADER)), &digests, Asked::default());
        assert_eq!(found.crc, crc32c::crc32c(&chained));
        assert_eq!((found.rowset_count, found.file_count), (3, 3));
        assert_eq!(found.versions, Versions { start: 0, end: 6 });
    }

    #[test]
    fn names_and_their_order_do_not_enter_but_every_byte_does() {
        let of = |digests: &[(String, [u8; 16])]| tablet_crc(Vec::new(), digests, Asked::default()).crc;
        assert_eq!(of(&files(&[("a", 1), ("b", 2)])), of(&files(&[("y", 2), ("x", 1)])));
        assert_ne!(of(&files(&[("a", 1)])), of(&files(&[("a", 2)])));
        assert_ne!(of(&files(&[("a", 1)])), of(&files(&[("a", 1), ("b", 1)])));
    }

    #[test]
    fn a_range_of_versions_takes_the_rowsets_inside_it() {
        let digests = files(&[("7_0.dat", 1), ("8_0.dat", 2), ("stray", 3), ("70_0.dat", 4)]);
        let count = |start, end| {
            let found = tablet_crc(rowsets_of(&header(HEADER)), &digests, Asked { start, end });
            (found.rowset_count, found.file_count, found.versions.end)
        };
        assert_eq!(count(None, None), (4, 4, 6));
        assert_eq!(count(Some(0), Some(1)), (1, 1, 1));
        assert_eq!(count(Some(2), None), (2, 1, 6));
        assert_eq!(count(None, Some(99)), (3, 2, 6));
    }
}
