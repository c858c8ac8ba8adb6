//! `/api/v1/trash`.

use axum::extract::State;
use axum::http::request::Parts;
use axum::response::IntoResponse;
use axum::{Extension, Json};

use super::body::Body;
use super::migrations::checked_ids;
use super::parameters;
use super::shape::whole;
use crate::api::app::App;
use crate::api::caller::Caller;
use crate::api::calls::Touches;
use crate::api::error::Problem;
use crate::api::node::Node;
use crate::api::query::invalid;
use crate::api::wire::{List, PurgeTrash, PurgedItem, RestoreTablet, Tablet, TrashItem};
use crate::engine::PurgeSelect;
use crate::model::TabletKey;

/// `GET /trash`.
#[utoipa::path(
    get,
    path = "/api/v1/trash",
    operation_id = "list_trash",
    tag = "trash",
    responses((status = 200, body = List<TrashItem>, description = "Everything in trash"))
)]
pub(super) async fn list(State(app): State<App>, parts: Parts) -> Result<impl IntoResponse, Problem> {
    parameters(&parts, &[])?;
    let items = app.try_ask(Touches::Disk, <dyn Node>::trash).await?;
    Ok(whole(items.into_iter().map(TrashItem::from).collect()))
}

/// `POST /trash/restore`: the tablet is served again from the disk whose trash it was in.
#[utoipa::path(
    post,
    path = "/api/v1/trash/restore",
    operation_id = "restore_tablet",
    tag = "trash",
    request_body = RestoreTablet,
    responses((status = 200, body = Tablet, description = "Served again"))
)]
pub(super) async fn restore(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    parts: Parts,
    Body(request): Body<RestoreTablet>,
) -> Result<Json<Tablet>, Problem> {
    parameters(&parts, &[])?;
    checked_ids(request.tablet_id, Some(request.schema_hash))?;
    let key = TabletKey { tablet_id: request.tablet_id, schema_hash: request.schema_hash };
    let entry = request.entry;
    caller.asks(format_args!(
        "restore tablet {key} from trash, entry {}",
        entry.as_deref().unwrap_or("newest")
    ));
    let tablet = app.try_ask(Touches::Disk, move |node| node.restore(key, entry.as_deref())).await?;
    Ok(Json(tablet.into()))
}

/// `POST /trash/purge`: what is not needed any more goes; the answer says of each tablet whether it went.
#[utoipa::path(
    post,
    path = "/api/v1/trash/purge",
    operation_id = "purge_trash",
    tag = "trash",
    request_body = PurgeTrash,
    responses((status = 200, body = List<PurgedItem>, description = "What became of each"))
)]
pub(super) async fn purge(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    parts: Parts,
    Body(request): Body<PurgeTrash>,
) -> Result<impl IntoResponse, Problem> {
    parameters(&parts, &[])?;
    let narrowed = request.disk.is_some() || request.entry.is_some() || request.tablet_id.is_some();
    if narrowed == request.all {
        let text = "say what to purge by disk, entry or tablet_id, or everything by \"all\": true, not both";
        return Err(invalid(text).into());
    }
    if let Some(tablet_id) = request.tablet_id {
        checked_ids(tablet_id, None)?;
    }
    caller.asks(format_args!("purge trash: {request:?}"));
    let select = PurgeSelect {
        disk: request.disk,
        entry: request.entry,
        tablet_id: request.tablet_id,
        dry_run: request.dry_run,
    };
    let outcomes = app.try_ask(Touches::Disk, move |node| node.purge(&select)).await?;
    Ok(whole(outcomes.into_iter().map(PurgedItem::from).collect()))
}
