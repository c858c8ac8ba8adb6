//! The endpoints that existing scripts for a Doris node call, answered as Doris answers them.
//!
//! Names, shapes and texts are those of `be/src/http/action` (release 3.0 unless a room says otherwise), mistakes in
//! their English included: scripts match them. Reading is lenient, as there: the first of equal parameters counts and
//! unknown ones are ignored; only the documented `/api/tablet_migration` is strict.

mod compaction;
mod config;
mod cpp_number;
mod crc;
mod document;
mod glog;
mod health;
mod meta;
mod migration;
mod rapid_json;
mod reload;
mod restore;
mod segments;
mod tablets;

use axum::Json;
use axum::extract::Request;
use axum::http::{StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};

use serde::Serialize;

use super::query::Query;
use super::routes::Routes;
use super::v1;
use super::wire::ErrorBody;

pub(super) use document::Described;

/// The endpoint that moves tablets, on GET.
pub(super) const TABLET_MIGRATION_PATH: &str = "/api/tablet_migration";

/// Every path of this room.
pub(super) fn routes() -> Routes {
    Routes::new()
        .route(TABLET_MIGRATION_PATH, migration::route())
        .route("/api/health", get(health::health))
        .route("/api/be_version_info", get(health::version))
        .route("/api/tablets_distribution", get(tablets::distribution))
        .route("/tablets_json", get(tablets::list))
        .route("/api/meta/{operation}/{tablet_id}", get(meta::show))
        .route("/api/meta/{operation}/{tablet_id}/{schema_hash}", get(meta::show_with_hash))
        .route("/api/check_tablet_segment_lost", post(segments::check))
        .route("/api/calc_crc", get(crc::calc))
        .route("/api/restore_tablet", post(restore::restore))
        .route("/api/reload_tablet", reload::route())
        .route("/api/compaction/run_status", get(compaction::run_status))
        .route("/api/compaction/show", get(compaction::show))
        .route("/api/glog/adjust", post(glog::adjust))
        .route("/api/show_config", get(config::show))
        .route("/api/update_config", post(config::update))
}

/// What a script of Doris's reads, and what else is known.
#[derive(Serialize)]
struct Refused {
    status: &'static str,
    msg: String,
    #[serde(flatten)]
    body: ErrorBody,
}

/// The layer: a request that is refused before it reaches its handler (401, 403, 421, too slow, too large) is answered
/// here in this room's form, not in that of the job API.
pub(super) async fn shape_refusal(request: Request, next: Next) -> Response {
    let is_ours = !request.uri().path().starts_with(v1::PREFIX);
    let mut response = next.run(request).await;
    match response.extensions_mut().remove::<ErrorBody>() {
        Some(body) if is_ours => {
            let refused = Refused { status: "Fail", msg: body.error_msg.clone(), body };
            let (parts, _) = response.into_parts();
            Response::from_parts(parts, Json(refused).into_response().into_body())
        }
        _ => response,
    }
}

/// In Doris's words, the first of these that a query leaves out.
fn require(query: &Query, names: &[&str]) -> Result<(), String> {
    match names.iter().find(|name| query.first(name).is_empty()) {
        Some(name) => Err(format!("parameter {name} not specified in url.")),
        None => Ok(()),
    }
}

/// Text that is JSON already.
fn json(status: StatusCode, body: String) -> Response {
    (status, [(header::CONTENT_TYPE, "application/json")], body).into_response()
}
