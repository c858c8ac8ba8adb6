//! `/report`: the whole fleet at a glance; `/metrics`: the same for Prometheus.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::header;
use axum::http::request::Parts;
use axum::response::IntoResponse;

use super::ask;
use crate::api::kit::{Problem, parameters};
use crate::api::wire::fleet::Report;
use crate::fleet::desk::Desk;

/// `GET /report`: how full and how uneven every member is, which disks may be pulled, who was not reached, and which parts
/// wait for what.
#[utoipa::path(
    get,
    path = "/api/v1/report",
    operation_id = "report",
    tag = "sources",
    responses((status = 200, body = Report, description = "As it was seen last; each member says when"))
)]
pub(super) async fn report(State(desk): State<Arc<Desk>>, parts: Parts) -> Result<Json<Report>, Problem> {
    parameters(&parts, &[])?;
    Ok(Json(ask(&desk, |desk| Ok(desk.report())).await?))
}

/// `GET /metrics`, in Prometheus's text form.
#[utoipa::path(
    get,
    path = "/metrics",
    operation_id = "metrics",
    tag = "cluster",
    responses((status = 200, body = String, description = "In Prometheus's text form"))
)]
pub(super) async fn metrics(State(desk): State<Arc<Desk>>) -> Result<impl IntoResponse, Problem> {
    let text = ask(&desk, |desk| Ok(desk.metrics())).await?;
    Ok(([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], text))
}
