//! `/api/v1/unrecorded`: files without a record, and how they become a tablet.

use axum::Extension;
use axum::extract::State;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};

use super::body::Body;
use super::operations::accepted;
use super::parameters;
use super::shape::page;
use super::tablets::{older, older_in_words};
use crate::api::app::App;
use crate::api::caller::Caller;
use crate::api::calls::Touches;
use crate::api::error::Problem;
use crate::api::wire::{AdoptTablet, List, Operation, SetAsideDirectory, Unrecorded};
use crate::engine::{Adopt, SetAside, UnrecordedFilter};
use crate::model::{TabletId, quoted};

const MAX_LIMIT: i64 = 100_000;

/// `GET /unrecorded`: directories of tablets that no record names.
///
/// Filters `disk` and `tablet_id`; pages by `marker` (path of the last row of the page before) and
/// `limit`.
#[utoipa::path(
    get,
    path = "/api/v1/unrecorded",
    operation_id = "list_unrecorded",
    tag = "tablets",
    params(
        ("disk" = Option<String>, Query, description = "On the disk at this path"),
        ("tablet_id" = Option<TabletId>, Query, description = "Where this tablet would stand"),
        ("marker" = Option<String>, Query, description = "Path of the last row of the page before"),
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 100000, description = "At most so many, 1 to 100000"),
    ),
    responses((status = 200, body = List<Unrecorded>, description = "Directories below data/ that no record names, as far as each disk was looked through: `unrecorded_not_looked_at` of a disk says whether there may be more"))
)]
pub(super) async fn list(State(app): State<App>, parts: Parts) -> Result<impl IntoResponse, Problem> {
    let query = parameters(&parts, &["disk", "tablet_id", "marker", "limit"])?;
    let filter = UnrecordedFilter {
        disk: query.text("disk").map(str::to_owned),
        tablet_id: query.read("tablet_id")?,
        after: query.text("marker").map(str::to_owned),
        limit: query.limit(MAX_LIMIT)?,
    };
    let found = app.try_ask(Touches::Disk, move |node| node.unrecorded(&filter)).await?;
    Ok(page(found.total, found.items.into_iter().map(Unrecorded::from).collect()))
}

/// `POST /tablets/adopt`: files that no good record names become a tablet, once they have been read past the page cache.
#[utoipa::path(
    post,
    path = "/api/v1/tablets/adopt",
    operation_id = "adopt_tablet",
    tag = "tablets",
    request_body = AdoptTablet,
    responses((status = 202, body = Operation, description = "They are looked into")),
    extensions(("x-execution" = json!("asynchronous")))
)]
pub(super) async fn adopt(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    parts: Parts,
    Body(request): Body<AdoptTablet>,
) -> Result<Response, Problem> {
    parameters(&parts, &[])?;
    let AdoptTablet { path, header, to, accept_older } = request;
    let with = if header.is_some() { " with a header" } else { "" };
    caller.asks(format_args!("adopt {}{with}{}", quoted(&path), older_in_words(accept_older)));
    let older = older(accept_older);
    let request = Adopt { path, header, to, older, requested_by: caller.to_string() };
    Ok(accepted(app.try_ask(Touches::Disk, move |node| node.adopt(&request)).await?))
}

/// `POST /unrecorded/set_aside`: a directory that no record names goes to quarantine, while its tablet is served from
/// elsewhere.
#[utoipa::path(
    post,
    path = "/api/v1/unrecorded/set_aside",
    operation_id = "set_aside_unrecorded",
    tag = "tablets",
    request_body = SetAsideDirectory,
    responses((status = 202, body = Operation, description = "It is looked into")),
    extensions(("x-execution" = json!("asynchronous")))
)]
pub(super) async fn set_aside(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    parts: Parts,
    Body(SetAsideDirectory { path }): Body<SetAsideDirectory>,
) -> Result<Response, Problem> {
    parameters(&parts, &[])?;
    caller.asks(format_args!("set {} aside", quoted(&path)));
    let request = SetAside { path, requested_by: caller.to_string() };
    Ok(accepted(app.try_ask(Touches::Disk, move |node| node.set_aside(&request)).await?))
}
