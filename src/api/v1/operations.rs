//! `/api/v1/operations`: calls that may take long, as jobs. What begins one answers 202 with it.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::body::Body;
use super::parameters;
use super::shape::page;
use crate::api::app::App;
use crate::api::caller::Caller;
use crate::api::calls::Touches;
use crate::api::error::Problem;
use crate::api::query::{invalid, read_id};
use crate::api::wire::{List, Operation, VerifyTablets};
use crate::engine::{OperationView, VerifyMany};
use crate::model::{OperationId, counted, quoted};

const MAX_LIMIT: i64 = 1000;

/// The answer of what begins an operation: 202, and where to follow it.
pub(super) fn accepted(view: OperationView) -> Response {
    let at = format!("/api/v1/operations/{}", view.id);
    let mut response = (StatusCode::ACCEPTED, Json(Operation::from(view))).into_response();
    if let Ok(at) = HeaderValue::try_from(at) {
        response.headers_mut().insert(header::LOCATION, at);
    }
    response
}

/// `GET /operations`: the newest first, without what became of single tablets.
#[utoipa::path(
    get,
    path = "/api/v1/operations",
    operation_id = "list_operations",
    tag = "operations",
    params(
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 1000, description = "At most so many, 1 to 1000"),
    ),
    responses((status = 200, body = List<Operation>, description = "Those of this run of the daemon that are remembered"))
)]
pub(super) async fn list(State(app): State<App>, parts: Parts) -> Result<impl IntoResponse, Problem> {
    let query = parameters(&parts, &["limit"])?;
    let limit = match query.limit(MAX_LIMIT)? {
        0 => usize::try_from(MAX_LIMIT).unwrap_or(usize::MAX),
        limit => limit,
    };
    let found = app.ask(Touches::Memory, move |node| node.operations(limit)).await?;
    Ok(page(found.total, found.items.into_iter().map(Operation::from).collect()))
}

/// `GET /operations/{id}`: how far one has come, and what became of each tablet.
#[utoipa::path(
    get,
    path = "/api/v1/operations/{id}",
    operation_id = "show_operation",
    tag = "operations",
    params(
        ("id" = OperationId, Path, description = "Its number"),
    ),
    responses((status = 200, body = Operation, description = "As it stands"))
)]
pub(super) async fn show(
    State(app): State<App>,
    Path(id): Path<String>,
    parts: Parts,
) -> Result<Json<Operation>, Problem> {
    parameters(&parts, &[])?;
    let id: OperationId = read_id(&id)?;
    Ok(Json(app.try_ask(Touches::Memory, move |node| node.operation(id)).await?.into()))
}

/// `POST /operations/{id}/cancel`: stops at its next step; what is done stays.
#[utoipa::path(
    post,
    path = "/api/v1/operations/{id}/cancel",
    operation_id = "cancel_operation",
    tag = "operations",
    params(
        ("id" = OperationId, Path, description = "Its number"),
    ),
    responses((status = 202, body = Operation, description = "As it stands then"))
)]
pub(super) async fn cancel(
    State(app): State<App>,
    axum::Extension(caller): axum::Extension<Caller>,
    Path(id): Path<String>,
    parts: Parts,
) -> Result<Response, Problem> {
    parameters(&parts, &[])?;
    let id: OperationId = read_id(&id)?;
    caller.asks(format_args!("stop operation {id}"));
    Ok(accepted(app.try_ask(Touches::Memory, move |node| node.cancel_operation(id)).await?))
}

/// `POST /tablets/verify`: many tablets are read again past the page cache and compared with their manifests.
#[utoipa::path(
    post,
    path = "/api/v1/tablets/verify",
    operation_id = "verify_tablets",
    tag = "tablets",
    request_body = VerifyTablets,
    responses((status = 202, body = Operation, description = "They are read; its items are the tablets that are not good")),
    extensions(("x-execution" = json!("asynchronous")))
)]
pub(super) async fn verify(
    State(app): State<App>,
    axum::Extension(caller): axum::Extension<Caller>,
    parts: Parts,
    Body(request): Body<VerifyTablets>,
) -> Result<Response, Problem> {
    parameters(&parts, &[])?;
    let VerifyTablets { disk, tablet_ids, all } = request;
    if all == (disk.is_some() || !tablet_ids.is_empty()) {
        let text = "say which tablets: disk, tablet_ids, or all: true";
        return Err(invalid(text).into());
    }
    let on = disk.as_ref().map(|disk| format!(" of {}", quoted(disk))).unwrap_or_default();
    match tablet_ids.len() {
        0 => caller.asks(format_args!("verify every tablet{on}")),
        count => caller.asks(format_args!("verify {}{on}", counted(count, "tablet"))),
    }
    let request = VerifyMany { disk, tablet_ids, requested_by: caller.to_string() };
    Ok(accepted(app.try_ask(Touches::Memory, move |node| node.verify_many(&request)).await?))
}
