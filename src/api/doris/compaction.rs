//! `/api/compaction/run_status` and `/api/compaction/show`: nothing is ever compacted here, said in Doris's shape.
//!
//! Rowsets are immutable and no writer is in this process. A script that waits for a compaction to end, before it moves a
//! tablet, is told that none is running; one that counts rowsets finds them.

use axum::extract::{RawQuery, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::cpp_number::stoull;
use super::crc::rowset_id;
use super::json;
use super::rapid_json::{quoted, status_json};
use crate::api::app::App;
use crate::api::calls::Touches;
use crate::api::query::Query;
use crate::engine::TabletView;
use crate::model::{Failure, TabletId};

/// Doris's time that never was, in its own zone there; here in UTC.
const NEVER: &str = "1970-01-01 00:00:00.000";
const KINDS: [&str; 3] = ["cumulative", "base", "full"];

/// Which tablets are being compacted: none.
#[utoipa::path(
    get,
    path = "/api/compaction/run_status",
    operation_id = "compaction_run_status",
    tag = "doris",
    params(("tablet_id" = Option<String>, Query, description = "Of this tablet; left out or 0, of the node")),
    responses((status = 200, body = serde_json::Value, description = "Nothing is running, or why that cannot be said"))
)]
pub(super) async fn run_status(State(app): State<App>, RawQuery(raw): RawQuery) -> Response {
    let body = match tablet_of(&app, &Query::parse(raw.as_deref())).await {
        Ok((TabletId(0), _)) => {
            "{\n    \"CumulativeCompaction\": {},\n    \"BaseCompaction\": {}\n}".to_owned()
        }
        Ok((id, None)) => status_json("INTERNAL_ERROR", &format!("fail to get {id}")),
        Ok((_, Some(tablet))) => not_running(tablet.key.tablet_id),
        Err(why) => status_json("INTERNAL_ERROR", &why),
    };
    json(StatusCode::OK, body)
}

/// Of one tablet, in the layout of Doris's template.
fn not_running(id: TabletId) -> String {
    format!(
        "{{\n            \"status\" : \"Success\",\n            \"run_status\" : false,\n            \
         \"msg\" : \"compaction task for this tablet is not running\",\n            \
         \"tablet_id\" : {id},\n            \"compact_type\" : \"\"\n        }}"
    )
}

/// The rowsets of a tablet, and that it was never compacted here.
#[utoipa::path(
    get,
    path = "/api/compaction/show",
    operation_id = "compaction_show",
    tag = "doris",
    params(("tablet_id" = Option<String>, Query, description = "The tablet")),
    responses((status = 200, body = serde_json::Value, description = "Its rowsets, or why they cannot be told"))
)]
pub(super) async fn show(State(app): State<App>, RawQuery(raw): RawQuery) -> Response {
    let body = match shown(&app, &Query::parse(raw.as_deref())).await {
        Ok(body) => body,
        Err((status, why)) => status_json(status, &why),
    };
    json(StatusCode::OK, body)
}

async fn shown(app: &App, query: &Query) -> Result<String, (&'static str, String)> {
    let refused = |why| ("INTERNAL_ERROR", why);
    let not_found = || ("NOT_FOUND", "Tablet not found".to_owned());
    let tablet = tablet_of(app, query).await.map_err(refused)?.1.ok_or_else(not_found)?;
    let record = app.try_ask(Touches::Disk, move |node| node.record(tablet.key)).await;
    let header = record.map_err(|failure: Failure| refused(failure.message))?.tablet_meta;
    Ok(layout(&Header::of(&header)))
}

/// The number a query names, 0 where it names none, and its tablet.
async fn tablet_of(app: &App, query: &Query) -> Result<(TabletId, Option<TabletView>), String> {
    let id = TabletId(match query.first("tablet_id") {
        "" => 0,
        text => stoull(text).map_err(|error| format!("convert tablet_id failed, {}", error.what))?,
    });
    if id.0 == 0 {
        return Ok((id, None));
    }
    let found = app.ask(Touches::Memory, move |node| node.tablets_by_id(id)).await;
    Ok((id, found.map_err(|failure| failure.message)?.into_iter().next()))
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Header {
    compaction_policy: Option<String>,
    cumulative_layer_point: Option<i64>,
    rs_metas: Vec<Rowset>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Rowset {
    rowset_id: Option<serde_json::Value>,
    rowset_id_v2: Option<String>,
    start_version: i64,
    end_version: i64,
    num_segments: u64,
    segments_overlap_pb: Option<String>,
    total_disk_size: u64,
    delete_predicate: Option<serde_json::Value>,
}

impl Header {
    /// One that says something else where Doris has its rowsets has none.
    fn of(text: &RawValue) -> Self {
        let mut header: Self = serde_json::from_str(text.get()).unwrap_or_default();
        header.rs_metas.sort_by_key(|rowset| (rowset.start_version, rowset.end_version));
        header
    }
}

impl Rowset {
    /// `[0-48] 10 DATA OVERLAPPING 0200… 574.00 MB`.
    fn line(&self) -> String {
        let id = rowset_id(self.rowset_id_v2.as_deref(), self.rowset_id.as_ref()).unwrap_or_default();
        let kind = if self.delete_predicate.is_some() { "DELETE" } else { "DATA" };
        let overlap = self.segments_overlap_pb.as_deref().unwrap_or("OVERLAP_UNKNOWN");
        let size = pretty_bytes(self.total_disk_size);
        format!(
            "[{}-{}] {} {kind} {overlap} {id} {size}",
            self.start_version, self.end_version, self.num_segments
        )
    }
}

/// As Doris prints a size: `2.86 GB`, below 1024 whole bytes with two places.
#[allow(clippy::cast_precision_loss, reason = "for people, two places")]
fn pretty_bytes(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["B", "KB", "MB", "GB"];
    let mut size = bytes as f64;
    let mut unit = 0;
    while size >= 1024.0 && unit + 1 < UNITS.len() {
        size /= 1024.0;
        unit += 1;
    }
    format!("{size:.2} {}", UNITS[unit])
}

fn layout(header: &Header) -> String {
    let policy = header.compaction_policy.as_deref().unwrap_or("size_based");
    let point = header.cumulative_layer_point.unwrap_or(-1);
    let mut lines = vec![
        format!("    \"cumulative policy type\": {}", quoted(policy)),
        format!("    \"cumulative point\": {point}"),
    ];
    for outcome in ["failure", "success"] {
        lines.extend(
            KINDS.iter().map(|kind| format!("    \"last {kind} {outcome} time\": {}", quoted(NEVER))),
        );
    }
    let rowsets: Vec<_> =
        header.rs_metas.iter().map(|rowset| format!("        {}", quoted(&rowset.line()))).collect();
    lines.push(match rowsets.as_slice() {
        [] => "    \"rowsets\": []".to_owned(),
        rowsets => format!("    \"rowsets\": [\n{}\n    ]", rowsets.join(",\n")),
    });
    lines.extend(
        ["missing_rowsets", "stale_rowsets", "stale version path"].map(|name| format!("    \"{name}\": []")),
    );
    format!("{{\n{}\n}}", lines.join(",\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rowsets_are_listed_as_doris_lists_them() {
        let text = r#"{"compaction_policy":"size_based","cumulative_layer_point":49,"rs_metas":[
            {"rowset_id":0,"rowset_id_v2":"02ab","start_version":49,"end_version":49,"num_segments":2,
             "segments_overlap_pb":"OVERLAPPING","total_disk_size":574},
            {"rowset_id":7,"start_version":0,"end_version":48,"num_segments":10,
             "segments_overlap_pb":"NONOVERLAPPING","total_disk_size":71936287,"delete_predicate":{}}]}"#;
        let body = layout(&Header::of(&RawValue::from_string(text.to_owned()).unwrap()));
        let shown: serde_json::Value = serde_json::from_str(&body).unwrap();
        assert_eq!(shown["rowsets"][0], "[0-48] 10 DELETE NONOVERLAPPING 7 68.60 MB");
        assert_eq!(shown["rowsets"][1], "[49-49] 2 DATA OVERLAPPING 02ab 574.00 B");
        assert_eq!(
            (&shown["cumulative point"], &shown["missing_rowsets"]),
            (&49.into(), &serde_json::json!([]))
        );
        assert!(body.starts_with("{\n    \"cumulative policy type\": \"size_based\",\n"), "{body}");
    }

    #[test]
    fn a_header_that_says_something_else_has_no_rowsets() {
        for text in ["{}", r#"{"rs_metas":3}"#] {
            let body = layout(&Header::of(&RawValue::from_string(text.to_owned()).unwrap()));
            let shown: serde_json::Value = serde_json::from_str(&body).unwrap();
            assert_eq!(shown["rowsets"], serde_json::json!([]), "{text}");
        }
        let one: serde_json::Value = serde_json::from_str(&not_running(TabletId(15))).unwrap();
        assert_eq!((&one["run_status"], &one["tablet_id"]), (&false.into(), &15.into()));
    }
}
