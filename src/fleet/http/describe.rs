//! `/openapi.json`: which handlers the document describes. A test holds it to the routes.

use std::sync::LazyLock;

use axum::http::header;
use axum::http::request::Parts;
use axum::response::{IntoResponse as _, Response};
use serde_json::Value;
use utoipa::OpenApi;

use crate::api::kit::{self, Problem, Titles, parameters};
use crate::api::wire::ErrorBody;

#[derive(OpenApi)]
#[openapi(
    paths(
        super::cluster::health,
        super::cluster::masters,
        super::cluster::remove_master,
        super::cluster::workers,
        super::cluster::remove_worker,
        super::cluster::info,
        super::cluster::update_info,
        super::cluster::transfer,
        super::cluster::transfer_source,
        super::cluster::audit,
        super::report::report,
        super::report::metrics,
        super::sources::list,
        super::sources::create,
        super::sources::show,
        super::sources::update,
        super::sources::remove,
        super::sources::status,
        super::sources::enable,
        super::sources::disable,
        super::sources::disks,
        super::campaigns::list,
        super::campaigns::create,
        super::campaigns::show,
        super::campaigns::update,
        super::campaigns::delete,
        super::campaigns::act,
        super::campaigns::sources,
        json,
    ),
    components(schemas(ErrorBody))
)]
struct Described;

static DOCUMENT: LazyLock<Value> = LazyLock::new(|| {
    let titles = Titles {
        title: "tabletfleet",
        summary: "Drives many nodes: campaigns that move tablets between the disks of each.",
        server: "This process",
    };
    kit::describe(Described::openapi(), &titles)
});

/// The document.
pub fn document() -> Value {
    DOCUMENT.clone()
}

/// `GET /openapi.json`: this API as an OpenAPI 3.1 document.
#[utoipa::path(
    get,
    path = "/api/v1/openapi.json",
    operation_id = "openapi",
    tag = "cluster",
    responses((status = 200, body = serde_json::Value, description = "The document"))
)]
pub(super) async fn json(parts: Parts) -> Result<Response, Problem> {
    parameters(&parts, &[])?;
    Ok(([(header::CONTENT_TYPE, "application/json")], DOCUMENT.to_string()).into_response())
}
