//! `/api/v1/quarantine`: what was set aside, the way back, and the way out.

use axum::extract::State;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};

use super::body::Body;
use super::migrations::checked_ids;
use super::operations::accepted;
use super::parameters;
use super::shape::page;
use super::tablets::{older, older_in_words};
use crate::api::app::App;
use crate::api::caller::Caller;
use crate::api::calls::Touches;
use crate::api::error::Problem;
use crate::api::query::invalid;
use crate::api::wire::{List, Operation, PurgeQuarantine, QuarantineItem, RestoreQuarantined};
use crate::engine::{self, LastCopy, QuarantineFilter};
use crate::model::{TabletId, quoted};

const MAX_LIMIT: i64 = 100_000;

/// `GET /quarantine`: what was set aside because it contradicts itself, or was salvaged.
///
/// Filters `disk` and `tablet_id`; pages by `marker` (disk and entry of the last row of the page before)
/// and `limit`.
#[utoipa::path(
    get,
    path = "/api/v1/quarantine",
    operation_id = "list_quarantine",
    tag = "quarantine",
    params(
        ("disk" = Option<String>, Query, description = "On the disk at this path"),
        ("tablet_id" = Option<TabletId>, Query, description = "Of this tablet; looks into every entry"),
        ("marker" = Option<String>, Query, description = "`<disk>:<entry>` of the last row of the page before"),
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 100000, description = "At most so many, 1 to 100000"),
    ),
    responses((status = 200, body = List<QuarantineItem>, description = "Oldest first on each disk"))
)]
pub(super) async fn list(State(app): State<App>, parts: Parts) -> Result<impl IntoResponse, Problem> {
    let query = parameters(&parts, &["disk", "tablet_id", "marker", "limit"])?;
    let filter = QuarantineFilter {
        disk: query.text("disk").map(str::to_owned),
        tablet_id: query.read("tablet_id")?,
        after: query.read("marker")?,
        limit: query.limit(MAX_LIMIT)?,
    };
    let found = app.try_ask(Touches::Disk, move |node| node.quarantine(&filter)).await?;
    Ok(page(found.total, found.items.into_iter().map(QuarantineItem::from).collect()))
}

/// `GET /quarantine/show?disk=&entry=`: one entry, and why it is there.
#[utoipa::path(
    get,
    path = "/api/v1/quarantine/show",
    operation_id = "show_quarantined",
    tag = "quarantine",
    params(
        ("disk" = String, Query, description = "Path of its disk"),
        ("entry" = String, Query, description = "Its name"),
    ),
    responses((status = 200, body = QuarantineItem, description = "As it is"))
)]
pub(super) async fn show(State(app): State<App>, parts: Parts) -> Result<Json<QuarantineItem>, Problem> {
    let query = parameters(&parts, &["disk", "entry"])?;
    let text = |name: &'static str| {
        query.text(name).map(str::to_owned).ok_or_else(|| invalid(format!("parameter {name} is missing")))
    };
    let (disk, entry) = (text("disk")?, text("entry")?);
    Ok(Json(app.try_ask(Touches::Disk, move |node| node.quarantined(&disk, &entry)).await?.into()))
}

/// `POST /quarantine/restore`: the tablet in an entry comes back, once it has been read past the page cache. The entry
/// stays.
#[utoipa::path(
    post,
    path = "/api/v1/quarantine/restore",
    operation_id = "restore_quarantined",
    tag = "quarantine",
    request_body = RestoreQuarantined,
    responses((status = 202, body = Operation, description = "It is looked into")),
    extensions(("x-execution" = json!("asynchronous")))
)]
pub(super) async fn restore(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    parts: Parts,
    Body(request): Body<RestoreQuarantined>,
) -> Result<Response, Problem> {
    parameters(&parts, &[])?;
    let RestoreQuarantined { disk, entry, to, accept_older } = request;
    caller.asks(format_args!(
        "restore from quarantine on {}, entry {}{}",
        quoted(&disk),
        quoted(&entry),
        older_in_words(accept_older)
    ));
    let request = engine::RestoreQuarantined {
        disk,
        entry,
        to,
        older: older(accept_older),
        requested_by: caller.to_string(),
    };
    let begun = app.try_ask(Touches::Disk, move |node| node.restore_quarantined(&request));
    Ok(accepted(begun.await?))
}

/// `POST /quarantine/purge`: what is named goes for good.
#[utoipa::path(
    post,
    path = "/api/v1/quarantine/purge",
    operation_id = "purge_quarantine",
    tag = "quarantine",
    request_body = PurgeQuarantine,
    responses((status = 202, body = Operation, description = "It is under way; its items say of each entry whether it went")),
    extensions(("x-execution" = json!("asynchronous")))
)]
pub(super) async fn purge(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    parts: Parts,
    Body(request): Body<PurgeQuarantine>,
) -> Result<Response, Problem> {
    parameters(&parts, &[])?;
    let PurgeQuarantine { disk, entry, tablet_id, all, last_copy } = request;
    if (disk.is_some() || entry.is_some() || tablet_id.is_some()) == all {
        let text = "say what to purge by disk, entry or tablet_id, or everything by \"all\": true, not both";
        return Err(invalid(text).into());
    }
    if let Some(tablet_id) = tablet_id {
        checked_ids(tablet_id, None)?;
    }
    let last_copy = if last_copy { LastCopy::Remove } else { LastCopy::Keep };
    let requested_by = caller.to_string();
    let request = engine::PurgeQuarantine { disk, entry, tablet_id, last_copy, requested_by };
    caller.asks(format_args!("remove every {request} for good"));
    Ok(accepted(app.try_ask(Touches::Memory, move |node| node.purge_quarantine(&request)).await?))
}
