//! The job API, `/api/v1`: migrations as resources with steps, logs and counters; tasks; tablets, disks, trash; the node at a
//! glance.
//!
//! Lists are `{"total", "data"}`, errors `{"error_msg", "error_code"}` with the HTTP status that fits. Parameters and
//! fields that are not known are refused by name. `pretty` and `envelope` work on every path, also on errors.

mod asked;
pub(super) mod body;
mod config;
mod disks;
mod document;
mod doris_roots;
mod events;
mod migrations;
mod of_tablet;
mod operations;
mod quarantine;
pub(super) mod shape;
mod status;
mod submit;
mod submit_many;
mod tables;
mod tablets;
mod tasks;
mod trash;
mod unrecorded;

use axum::Router;
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::routing::{get, post};

use super::app::App;
use super::error::Problem;
use super::query::{Query, Strict};
use super::routes::Routes;

pub(super) use document::Described;
pub(super) use shape::shape;

/// Where this room is.
pub(super) const PREFIX: &str = "/api/v1";
/// Of the API: the first number changes when a client has to, the second when something was added.
pub(super) const VERSION: &str = "1.3";

/// Every path of this room, below [`PREFIX`].
pub(super) fn routes() -> Routes {
    Routes::new()
        .route("/migrations", get(migrations::list).post(submit::create))
        .route("/migrations/{id}", get(migrations::show).delete(migrations::abort))
        .route("/migrations/{id}/action", post(migrations::act))
        .route("/migrations/{id}/run", post(migrations::run))
        .route("/migrations/{id}/events", get(events::of_one))
        .route("/events", get(events::of_all))
        .route("/tablets", get(tablets::list))
        .route("/tablets/{tablet_id}", get(tablets::show))
        .route("/tablets/{tablet_id}/explain", get(tablets::explain))
        .route("/tablets/{tablet_id}/migrations", get(of_tablet::list).post(of_tablet::create))
        .route("/tablets/{tablet_id}/migrations/{id}", get(of_tablet::show).delete(of_tablet::abort))
        .route("/tablets/{tablet_id}/migrations/{id}/action", post(of_tablet::act))
        .route("/tablets/{tablet_id}/migrations/{id}/run", post(of_tablet::run))
        .route("/tablets/{tablet_id}/migrations/{id}/events", get(of_tablet::events))
        .route("/tables", get(tables::list))
        .route("/tasks", get(tasks::list).post(tasks::create))
        .route("/tablets/{tablet_id}/verify", get(tablets::last_verification).post(tablets::verify))
        .route("/tablets/{tablet_id}/heal", post(tablets::heal))
        .route("/tablets/{tablet_id}/salvage", post(tablets::salvage))
        .route("/tablets/{tablet_id}/pin", post(tablets::pin))
        .route("/tablets/{tablet_id}/unpin", post(tablets::unpin))
        .route("/tasks/{id}", get(tasks::show).patch(tasks::update).put(tasks::put).delete(tasks::delete))
        .route("/tasks/{id}/status", get(tasks::status))
        .route("/tasks/{id}/action", post(tasks::act))
        .route("/tasks/{id}/migrate_targets", get(tasks::targets))
        .route("/disks", get(disks::list).post(disks::register))
        .route("/disks/show", get(disks::show))
        .route("/disks/drain", post(tasks::drain))
        .route("/disks/cancel_drain", post(disks::cancel_drain))
        .route("/disks/forget", post(disks::forget))
        .route("/disks/replace", post(disks::replace))
        .route("/disks/enable", post(disks::enable))
        .route("/disks/disable", post(disks::disable))
        .route("/disks/limits", post(disks::limit))
        .route("/trash", get(trash::list))
        .route("/trash/restore", post(trash::restore))
        .route("/trash/purge", post(trash::purge))
        .route("/tablets/verify", post(operations::verify))
        .route("/tablets/adopt", post(unrecorded::adopt))
        .route("/unrecorded/set_aside", post(unrecorded::set_aside))
        .route("/unrecorded", get(unrecorded::list))
        .route("/quarantine", get(quarantine::list))
        .route("/quarantine/show", get(quarantine::show))
        .route("/quarantine/restore", post(quarantine::restore))
        .route("/quarantine/purge", post(quarantine::purge))
        .route("/operations", get(operations::list))
        .route("/operations/{id}", get(operations::show))
        .route("/operations/{id}/cancel", post(operations::cancel))
        .route("/status", get(status::show))
        .route("/doris/inspection", get(doris_roots::inspect))
        .route("/config/reload", post(config::reload))
        .route("/openapi.json", get(document::json))
        .route("/docs", get(document::page))
}

/// The same, with answers for everything else below [`PREFIX`].
pub(super) fn router() -> Router<App> {
    routes()
        .router
        .method_not_allowed_fallback(async || {
            let text = "this path does not answer that method; the header Allow says which it does";
            Problem::of_http(StatusCode::METHOD_NOT_ALLOWED, "METHOD_NOT_ALLOWED", text)
        })
        .fallback(async || Problem::of_http(StatusCode::NOT_FOUND, "NOT_FOUND", "no such path below /api/v1"))
}

/// The parameters of a request, of which only `accepted` are known.
///
/// # Errors
/// One is unknown, or given twice.
pub fn parameters(parts: &Parts, accepted: &'static [&'static str]) -> Result<Strict, Problem> {
    Ok(Query::parse(parts.uri.query()).strict(accepted)?)
}
