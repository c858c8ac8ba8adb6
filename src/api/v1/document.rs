//! `/api/v1/openapi.json` and `/api/v1/docs`, and which handlers of this room the document describes. A new handler is
//! named here; a test compares the document with the router.

use axum::http::request::Parts;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use utoipa::OpenApi;

use super::parameters;
use crate::api::document;
use crate::api::error::Problem;
use crate::api::wire::{ErrorBody, Event};

/// Where the page for people shows the document.
const PAGE: &str = "/ui/api";

/// Every operation of this room.
#[derive(OpenApi)]
#[openapi(
    paths(
        super::migrations::list,
        super::submit::create,
        super::migrations::show,
        super::migrations::abort,
        super::migrations::act,
        super::migrations::run,
        super::events::of_all,
        super::events::of_one,
        super::of_tablet::list,
        super::of_tablet::create,
        super::of_tablet::show,
        super::of_tablet::abort,
        super::of_tablet::act,
        super::of_tablet::run,
        super::of_tablet::events,
        super::tables::list,
        super::tablets::list,
        super::tablets::show,
        super::tablets::explain,
        super::tablets::heal,
        super::tablets::salvage,
        super::tablets::pin,
        super::tablets::unpin,
        super::tablets::verify,
        super::tablets::last_verification,
        super::tasks::list,
        super::tasks::create,
        super::tasks::show,
        super::tasks::update,
        super::tasks::put,
        super::tasks::status,
        super::tasks::act,
        super::tasks::targets,
        super::tasks::delete,
        super::disks::list,
        super::disks::show,
        super::disks::register,
        super::disks::forget,
        super::disks::replace,
        super::tasks::drain,
        super::disks::cancel_drain,
        super::disks::enable,
        super::disks::disable,
        super::disks::limit,
        super::trash::list,
        super::trash::restore,
        super::trash::purge,
        super::unrecorded::list,
        super::unrecorded::adopt,
        super::unrecorded::set_aside,
        super::quarantine::list,
        super::quarantine::show,
        super::quarantine::restore,
        super::quarantine::purge,
        super::config::reload,
        super::doris_roots::inspect,
        super::operations::verify,
        super::operations::list,
        super::operations::show,
        super::operations::cancel,
        super::status::show,
        json,
        page,
    ),
    components(schemas(ErrorBody, Event))
)]
pub(in crate::api) struct Described;

/// `GET /openapi.json`: this API as an OpenAPI 3.1 document.
#[utoipa::path(
    get,
    path = "/api/v1/openapi.json",
    operation_id = "openapi",
    tag = "node",
    responses((status = 200, body = serde_json::Value, description = "The document"))
)]
pub(super) async fn json(parts: Parts) -> Result<Response, Problem> {
    parameters(&parts, &[])?;
    Ok(([(header::CONTENT_TYPE, "application/json")], document::json()).into_response())
}

/// `GET /docs`: the same for people, who are sent to where the page at `/` shows it.
#[utoipa::path(
    get,
    path = "/api/v1/docs",
    operation_id = "docs",
    tag = "node",
    responses((status = 303, description = "`Location` says where"))
)]
pub(super) async fn page(parts: Parts) -> Result<Response, Problem> {
    parameters(&parts, &[])?;
    Ok((StatusCode::SEE_OTHER, [(header::LOCATION, PAGE)]).into_response())
}
