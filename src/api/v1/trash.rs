//! `/api/v1/trash`.

use axum::Extension;
use axum::extract::State;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};

use super::body::Body;
use super::migrations::checked_ids;
use super::operations::accepted;
use super::parameters;
use super::shape::{self, only_look, whole};
use super::tablets::{older, older_in_words};
use crate::api::app::App;
use crate::api::caller::Caller;
use crate::api::calls::Touches;
use crate::api::error::Problem;
use crate::api::query::invalid;
use crate::api::wire::{List, Operation, PurgeTrash, PurgedItem, RestoreTablet, Trash};
use crate::engine::{CopyNamed, PurgeSelect, Restore, TrashFilter};
use crate::model::{TabletId, TabletKey};

const MAX_LIMIT: i64 = 100_000;

/// `GET /trash`: what waits in trash, and why it is kept.
///
/// Filters `disk` and `tablet_id`; pages by `marker` (disk and entry of the last row of the page before) and
/// `limit`. Without `tablet_id` the total counts entries: one holds one tablet, unless another program put it there.
#[utoipa::path(
    get,
    path = "/api/v1/trash",
    operation_id = "list_trash",
    tag = "trash",
    params(
        ("disk" = Option<String>, Query, description = "In the trash of the disk at this path"),
        ("tablet_id" = Option<TabletId>, Query, description = "Of this tablet; looks at every entry"),
        ("marker" = Option<String>, Query, description = "`<disk>:<entry>` of the last row of the page before"),
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 100000, description = "At most so many, 1 to 100000; an entry is never divided"),
    ),
    responses((status = 200, body = Trash, description = "One page of it, oldest first on each disk, and the entries that cannot be read"))
)]
pub(super) async fn list(State(app): State<App>, parts: Parts) -> Result<impl IntoResponse, Problem> {
    let query = parameters(&parts, &["disk", "tablet_id", "marker", "limit"])?;
    let filter = TrashFilter {
        disk: query.text("disk").map(str::to_owned),
        tablet_id: query.read("tablet_id")?,
        after: query.read("marker")?,
        limit: query.limit(MAX_LIMIT)?,
    };
    let found = app.try_ask(Touches::Disk, move |node| node.trash(&filter)).await?;
    Ok(shape::list(Trash::from(found)))
}

/// `POST /trash/restore`: a tablet that nobody serves, or that is known to be damaged, comes back: the newest good copy,
/// or that of a trash entry.
#[utoipa::path(
    post,
    path = "/api/v1/trash/restore",
    operation_id = "restore_tablet",
    tag = "trash",
    request_body = RestoreTablet,
    responses((status = 202, body = Operation, description = "It is looked into")),
    extensions(("x-execution" = json!("asynchronous")))
)]
pub(super) async fn restore(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    parts: Parts,
    Body(request): Body<RestoreTablet>,
) -> Result<Response, Problem> {
    parameters(&parts, &[])?;
    checked_ids(request.tablet_id, Some(request.schema_hash))?;
    let key = TabletKey { tablet_id: request.tablet_id, schema_hash: request.schema_hash };
    caller.asks(format_args!(
        "restore tablet {key} from trash, entry {}{}",
        request.entry.as_deref().unwrap_or("newest"),
        older_in_words(request.accept_older)
    ));
    let request = Restore {
        key,
        from: request.entry.map(CopyNamed::InTrash),
        header: None,
        to: request.to,
        older: older(request.accept_older),
        requested_by: caller.to_string(),
    };
    Ok(accepted(app.try_ask(Touches::Disk, move |node| node.restore(&request)).await?))
}

/// `POST /trash/purge`: what is not needed any more goes, each after a cold check of its live copy.
#[utoipa::path(
    post,
    path = "/api/v1/trash/purge",
    operation_id = "purge_trash",
    tag = "trash",
    request_body = PurgeTrash,
    responses((status = 202, body = Operation, description = "It is under way; its items say of each tablet whether it went"), (status = 200, body = List<PurgedItem>, description = "Only looked at: dry_run")),
    extensions(("x-execution" = json!("asynchronous")))
)]
pub(super) async fn purge(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    parts: Parts,
    Body(request): Body<PurgeTrash>,
) -> Result<Response, Problem> {
    parameters(&parts, &[])?;
    let narrowed = request.disk.is_some() || request.entry.is_some() || request.tablet_id.is_some();
    if narrowed == request.all {
        let text = "say what to purge by disk, entry or tablet_id, or everything by \"all\": true, not both";
        return Err(invalid(text).into());
    }
    if let Some(tablet_id) = request.tablet_id {
        checked_ids(tablet_id, None)?;
    }
    let select = PurgeSelect { disk: request.disk, entry: request.entry, tablet_id: request.tablet_id };
    let all = if request.all { "all " } else { "" };
    caller.asks(format_args!("purge {all}{select}{}", only_look(request.dry_run)));
    if request.dry_run {
        let outcomes = app.try_ask(Touches::Disk, move |node| node.would_purge(&select)).await?;
        return Ok(whole(outcomes.into_iter().map(PurgedItem::from).collect()).into_response());
    }
    let requested_by = caller.to_string();
    Ok(accepted(app.try_ask(Touches::Memory, move |node| node.purge(&select, &requested_by)).await?))
}
