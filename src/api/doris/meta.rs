//! `/api/meta/header/{tablet_id}` and `/api/meta/data_size/{tablet_id}`.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;

use super::cpp_number::stoull;
use super::json;
use super::rapid_json::status_json;
use crate::api::app::App;
use crate::api::calls::Touches;
use crate::engine::TabletView;
use crate::model::{Failure, TabletId};
use crate::storage::header_with_shard;

/// Shows the tablet's `TabletMetaPB`, or its size. `byte_to_base64` is taken and changes nothing: the header is kept as
/// it was given, and the shipped way of giving one has its bytes in base64 already.
#[utoipa::path(
    get,
    path = "/api/meta/{operation}/{tablet_id}",
    operation_id = "tablet_meta",
    tag = "doris",
    params(
        ("operation" = String, Path, description = "header or data_size"),
        ("tablet_id" = String, Path, description = "The tablet"),
        ("byte_to_base64" = Option<String>, Query, description = "Changes nothing"),
    ),
    responses((status = 200, body = serde_json::Value, description = "The header, or the sizes"))
)]
pub(super) async fn show(
    State(app): State<App>,
    Path((operation, tablet_id)): Path<(String, String)>,
) -> Response {
    shown(answer(&app, &operation, &tablet_id, None).await)
}

/// As releases up to 2.0 had it: the tablet under that schema hash.
#[utoipa::path(
    get,
    path = "/api/meta/{operation}/{tablet_id}/{schema_hash}",
    operation_id = "tablet_meta_with_hash",
    tag = "doris",
    params(
        ("operation" = String, Path, description = "header or data_size"),
        ("tablet_id" = String, Path, description = "The tablet"),
        ("schema_hash" = String, Path, description = "Its schema"),
    ),
    responses((status = 200, body = serde_json::Value, description = "The header, or the sizes"))
)]
pub(super) async fn show_with_hash(
    State(app): State<App>,
    Path((operation, tablet_id, schema_hash)): Path<(String, String, String)>,
) -> Response {
    shown(answer(&app, &operation, &tablet_id, Some(&schema_hash)).await)
}

fn shown(answer: Result<String, String>) -> Response {
    match answer {
        Ok(body) => json(StatusCode::OK, body),
        Err(text) => json(StatusCode::INTERNAL_SERVER_ERROR, status_json("INTERNAL_ERROR", &text)),
    }
}

async fn answer(
    app: &App,
    operation: &str,
    tablet_id: &str,
    schema_hash: Option<&str>,
) -> Result<String, String> {
    let words = |failure: Failure| failure.message;
    let number = |text: &str| stoull(text).map_err(|error| format!("convert failed, {}", error.what));
    let id = TabletId(number(tablet_id)?);
    let hash = schema_hash.map(number).transpose()?;
    let found = app.ask(Touches::Memory, move |node| node.tablets_by_id(id)).await.map_err(words)?;
    let wanted = |tablet: &TabletView| hash.is_none_or(|hash| i64::from(tablet.key.schema_hash.0) == hash);
    let Some(tablet) = found.into_iter().find(wanted) else { return Err("no tablet exist".to_owned()) };
    match operation {
        "header" => {
            let record =
                app.try_ask(Touches::Disk, move |node| node.record(tablet.key)).await.map_err(words)?;
            header_with_shard(&record.tablet_meta, record.shard_id)
                .map_err(|error| format!("the header of tablet {id} is no JSON object: {error}"))
        }
        "data_size" => Ok(format!("{{\"local_data_size\":{},\"remote_data_size\":0}}", tablet.size_bytes)),
        _ => Err("invalid operation".to_owned()),
    }
}
