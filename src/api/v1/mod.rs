//! The job API, `/api/v1`: migrations as resources with steps, logs and counters; tasks; tablets, disks, trash; the node at a
//! glance.
//!
//! Lists are `{"total", "data"}`, errors `{"error_msg", "error_code"}` with the HTTP status that fits. Parameters and
//! fields that are not known are refused by name. `pretty` and `envelope` work on every path, also on errors.

pub(super) mod body;
mod disks;
mod events;
mod migrations;
mod of_tablet;
mod shape;
mod status;
mod submit;
mod tablets;
mod tasks;
mod trash;

use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::routing::{get, post};
use axum::{Router, middleware};

use super::app::App;
use super::error::Problem;
use super::query::{Query, Strict};

/// Every path of this room, below `/api/v1`.
pub(super) fn routes() -> Router<App> {
    Router::new()
        .route("/migrations", get(migrations::list).post(submit::create))
        .route("/migrations/{id}", get(migrations::show).delete(migrations::abort))
        .route("/migrations/{id}/action", post(migrations::act))
        .route("/migrations/{id}/run", post(migrations::run))
        .route("/migrations/{id}/events", get(events::of_one))
        .route("/events", get(events::of_all))
        .route("/tablets", get(tablets::list))
        .route("/tablets/{tablet_id}", get(tablets::show))
        .route("/tablets/{tablet_id}/explain", get(tablets::explain))
        .route("/tablets/{tablet_id}/migrations", get(of_tablet::list))
        .route("/tablets/{tablet_id}/migrations/{id}", get(of_tablet::show).delete(of_tablet::abort))
        .route("/tablets/{tablet_id}/migrations/{id}/action", post(of_tablet::act))
        .route("/tablets/{tablet_id}/migrations/{id}/run", post(of_tablet::run))
        .route("/tasks", get(tasks::list).post(tasks::create))
        .route("/tasks/{id}", get(tasks::show).delete(tasks::delete))
        .route("/tasks/{id}/action", post(tasks::act))
        .route("/disks", get(disks::list))
        .route("/disks/enable", post(disks::enable))
        .route("/disks/disable", post(disks::disable))
        .route("/disks/limits", post(disks::limit))
        .route("/trash", get(trash::list))
        .route("/trash/restore", post(trash::restore))
        .route("/trash/purge", post(trash::purge))
        .route("/status", get(status::show))
        .method_not_allowed_fallback(async || {
            let text = "this path does not answer that method; the header Allow says which it does";
            Problem::of_http(StatusCode::METHOD_NOT_ALLOWED, "METHOD_NOT_ALLOWED", text)
        })
        .fallback(async || Problem::of_http(StatusCode::NOT_FOUND, "NOT_FOUND", "no such path below /api/v1"))
        .layer(middleware::from_fn(shape::shape))
}

/// The parameters of a request, of which only `accepted` are known.
fn parameters(parts: &Parts, accepted: &'static [&'static str]) -> Result<Strict, Problem> {
    Ok(Query::parse(parts.uri.query()).strict(accepted)?)
}
