//! `/api/v1/tablets`.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};

use super::body::{Body, MaybeBody};
use super::operations::accepted;
use super::parameters;
use super::shape::{page, whole};
use crate::api::app::App;
use crate::api::caller::Caller;
use crate::api::calls::Touches;
use crate::api::error::Problem;
use crate::api::query::{invalid, read_id};
use crate::api::wire::{
    HealTablet, List, Operation, PinTablet, RuleAnswer, SalvageTablet, Tablet, TabletCheck, WhichSchema,
};
use crate::engine::Contract;
use crate::engine::{self, Older, Pin, TabletFilter};
use crate::model::{Failure, SchemaHash, TabletId, TabletKey, cut};

const MAX_LIMIT: i64 = 100_000;

/// `GET /tablets`: the tablets of this node.
///
/// Filters `disk`, `table_id`, `partition_id` and `pinned`; pages by `marker` (the last id of the page before) and `limit`.
#[utoipa::path(
    get,
    path = "/api/v1/tablets",
    operation_id = "list_tablets",
    tag = "tablets",
    params(
        ("disk" = Option<String>, Query, description = "On the disk at this path"),
        ("table_id" = Option<i64>, Query, minimum = 0, description = "Of this table, by the `table_id` of its header; 0: of none that is known"),
        ("partition_id" = Option<i64>, Query, minimum = 0, description = "Of this partition"),
        ("pinned" = Option<bool>, Query, description = "Only those that are pinned, or only those that are not"),
        ("marker" = Option<TabletId>, Query, description = "The last id of the page before"),
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 100000, description = "At most so many, 1 to 100000"),
    ),
    responses((status = 200, body = List<Tablet>, description = "One page of them, ascending by id"))
)]
pub(super) async fn list(State(app): State<App>, parts: Parts) -> Result<impl IntoResponse, Problem> {
    let query = parameters(&parts, &["disk", "table_id", "partition_id", "pinned", "marker", "limit"])?;
    let filter = TabletFilter {
        disk: query.text("disk").map(str::to_owned),
        table_id: query.number("table_id", 0..=i64::MAX)?,
        partition_id: query.number("partition_id", 0..=i64::MAX)?,
        pin: query.read("pinned")?.map(|pinned: bool| if pinned { Pin::Pinned } else { Pin::Free }),
        after: query.read("marker")?,
        limit: query.limit(MAX_LIMIT)?,
    };
    let found = app.ask(Touches::Memory, move |node| node.tablets(&filter)).await?;
    Ok(page(found.total, found.items.into_iter().map(Tablet::from).collect()))
}

/// `GET /tablets/{tablet_id}[?schema_hash=]`: one tablet, where it is and what is known of it.
#[utoipa::path(
    get,
    path = "/api/v1/tablets/{tablet_id}",
    operation_id = "show_tablet",
    tag = "tablets",
    params(
        ("tablet_id" = TabletId, Path, description = "Its id"),
        ("schema_hash" = Option<SchemaHash>, Query, description = "Needed where it is known under several"),
    ),
    responses((status = 200, body = Tablet, description = "The tablet"))
)]
pub(super) async fn show(
    State(app): State<App>,
    Path(id): Path<String>,
    parts: Parts,
) -> Result<Json<Tablet>, Problem> {
    let query = parameters(&parts, &["schema_hash"])?;
    let tablet_id = read_id(&id)?;
    let schema_hash = query.read("schema_hash")?;
    let tablet = app.try_ask(Touches::Memory, move |node| {
        let key = key_of(node, tablet_id, schema_hash)?;
        node.tablet(key).ok_or_else(|| node.why_not_served(tablet_id, Some(key.schema_hash)))
    });
    Ok(Json(tablet.await?.into()))
}

/// `GET /tablets/{tablet_id}/explain?disk=[&schema_hash=]`: may it go there, and what does each rule say?
#[utoipa::path(
    get,
    path = "/api/v1/tablets/{tablet_id}/explain",
    operation_id = "explain_move",
    tag = "tablets",
    params(
        ("tablet_id" = TabletId, Path, description = "Its id"),
        ("disk" = String, Query, description = "Where it would go: a path as in storage_root_path"),
        ("schema_hash" = Option<SchemaHash>, Query, description = "Needed where it is known under several"),
    ),
    responses((status = 200, body = List<RuleAnswer>, description = "What each rule says"))
)]
pub(super) async fn explain(
    State(app): State<App>,
    Path(id): Path<String>,
    parts: Parts,
) -> Result<impl IntoResponse, Problem> {
    let query = parameters(&parts, &["schema_hash", "disk"])?;
    let tablet_id = read_id(&id)?;
    let schema_hash = query.read("schema_hash")?;
    let disk: String = query.require("disk", "a path, written as in storage_root_path")?;
    let answers = app.try_ask(Touches::Memory, move |node| {
        let key = key_of(node, tablet_id, schema_hash)?;
        Ok(node.explain(key, &disk))
    });
    Ok(whole(answers.await?.into_iter().map(RuleAnswer::from).collect()))
}

/// `POST /tablets/{tablet_id}/pin`: no plan moves it from now on.
#[utoipa::path(
    post,
    path = "/api/v1/tablets/{tablet_id}/pin",
    operation_id = "pin_tablet",
    tag = "tablets",
    params(
        ("tablet_id" = TabletId, Path, description = "Its id"),
    ),
    request_body = Option<PinTablet>,
    responses((status = 200, body = Tablet, description = "Pinned"))
)]
pub(super) async fn pin(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
    parts: Parts,
    MaybeBody(PinTablet { schema_hash, reason }): MaybeBody<PinTablet>,
) -> Result<Json<Tablet>, Problem> {
    parameters(&parts, &[])?;
    let id = read_id(&id)?;
    let reason = cut(reason);
    caller.asks(format_args!("pin tablet {id}: {reason}"));
    let by = caller.to_string();
    let pinned =
        app.try_ask(Touches::Journal, move |node| node.pin(key_of(node, id, schema_hash)?, by, reason));
    Ok(Json(pinned.await?.into()))
}

/// `POST /tablets/{tablet_id}/unpin`: plans may move it again.
#[utoipa::path(
    post,
    path = "/api/v1/tablets/{tablet_id}/unpin",
    operation_id = "unpin_tablet",
    tag = "tablets",
    params(
        ("tablet_id" = TabletId, Path, description = "Its id"),
    ),
    request_body = Option<WhichSchema>,
    responses((status = 200, body = Tablet, description = "Not pinned"))
)]
pub(super) async fn unpin(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
    parts: Parts,
    MaybeBody(WhichSchema { schema_hash }): MaybeBody<WhichSchema>,
) -> Result<Json<Tablet>, Problem> {
    parameters(&parts, &[])?;
    let id = read_id(&id)?;
    caller.asks(format_args!("unpin tablet {id}"));
    let unpinned = app.try_ask(Touches::Journal, move |node| node.unpin(key_of(node, id, schema_hash)?));
    Ok(Json(unpinned.await?.into()))
}

/// `POST /tablets/{tablet_id}/verify`: reads a tablet again past the page cache and compares it with its manifest.
///
/// 200 with what was found where it ends within a second, else 202 with how far it has
/// come.
#[utoipa::path(
    post,
    path = "/api/v1/tablets/{tablet_id}/verify",
    operation_id = "verify_tablet",
    tag = "tablets",
    params(
        ("tablet_id" = TabletId, Path, description = "Its id"),
    ),
    request_body = Option<WhichSchema>,
    responses((status = 200, body = TabletCheck, description = "What was found"), (status = 202, body = TabletCheck, description = "How far it has come"))
)]
pub(super) async fn verify(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
    parts: Parts,
    MaybeBody(WhichSchema { schema_hash }): MaybeBody<WhichSchema>,
) -> Result<Response, Problem> {
    parameters(&parts, &[])?;
    let id = read_id(&id)?;
    caller.asks(format_args!("verify tablet {id}"));
    let check = app.try_ask(Touches::Disk, move |node| node.verify(key_of(node, id, schema_hash)?)).await?;
    let status = if check.state.is_settled() { StatusCode::OK } else { StatusCode::ACCEPTED };
    Ok((status, Json(TabletCheck::from(check))).into_response())
}

/// `POST /tablets/{tablet_id}/heal`: its newest good copy comes back, from trash or wherever one is. What is damaged is
/// set aside after that; a tablet that reads well is refused.
#[utoipa::path(
    post,
    path = "/api/v1/tablets/{tablet_id}/heal",
    operation_id = "heal_tablet",
    tag = "tablets",
    params(
        ("tablet_id" = TabletId, Path, description = "Its id"),
    ),
    request_body = Option<HealTablet>,
    responses((status = 202, body = Operation, description = "It is looked into")),
    extensions(("x-execution" = json!("asynchronous")))
)]
pub(super) async fn heal(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
    parts: Parts,
    MaybeBody(request): MaybeBody<HealTablet>,
) -> Result<Response, Problem> {
    parameters(&parts, &[])?;
    let tablet_id = read_id(&id)?;
    caller.asks(format_args!("heal tablet {id}{}", older_in_words(request.accept_older)));
    let request = engine::Heal {
        tablet_id,
        schema_hash: request.schema_hash,
        to: request.to,
        older: older(request.accept_older),
        requested_by: caller.to_string(),
    };
    Ok(accepted(app.try_ask(Touches::Memory, move |node| node.heal(&request)).await?))
}

/// `POST /tablets/{tablet_id}/salvage`: what can be read of an unreadable or damaged tablet is copied to another disk's
/// quarantine, with the list of what cannot. Who owns the tablet does not change, and its source stays as it is.
#[utoipa::path(
    post,
    path = "/api/v1/tablets/{tablet_id}/salvage",
    operation_id = "salvage_tablet",
    tag = "tablets",
    params(
        ("tablet_id" = TabletId, Path, description = "Its id"),
    ),
    request_body = SalvageTablet,
    responses((status = 202, body = Operation, description = "It is under way")),
    extensions(("x-execution" = json!("asynchronous")))
)]
pub(super) async fn salvage(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
    parts: Parts,
    Body(SalvageTablet { schema_hash, to }): Body<SalvageTablet>,
) -> Result<Response, Problem> {
    parameters(&parts, &[])?;
    let tablet_id = read_id(&id)?;
    caller.asks(format_args!("salvage tablet {id} to {to}"));
    let request = engine::SalvageTo { tablet_id, schema_hash, to, requested_by: caller.to_string() };
    Ok(accepted(app.try_ask(Touches::Memory, move |node| node.salvage(&request)).await?))
}

/// What `accept_older` says.
pub(super) const fn older(accepted: bool) -> Older {
    if accepted { Older::Serve } else { Older::Leave }
}

/// The same, for the record.
pub(super) const fn older_in_words(accepted: bool) -> &'static str {
    if accepted { ", an older copy will do" } else { "" }
}

/// `GET /tablets/{tablet_id}/verify[?schema_hash=]`: the last verification, also one of an earlier run of the daemon.
#[utoipa::path(
    get,
    path = "/api/v1/tablets/{tablet_id}/verify",
    operation_id = "last_verification",
    tag = "tablets",
    params(
        ("tablet_id" = TabletId, Path, description = "Its id"),
        ("schema_hash" = Option<SchemaHash>, Query, description = "Needed where it is known under several"),
    ),
    responses((status = 200, body = TabletCheck, description = "The last one, or how far it has come; never, when none is remembered"))
)]
pub(super) async fn last_verification(
    State(app): State<App>,
    Path(id): Path<String>,
    parts: Parts,
) -> Result<Json<TabletCheck>, Problem> {
    let query = parameters(&parts, &["schema_hash"])?;
    let id = read_id(&id)?;
    let schema_hash = query.read("schema_hash")?;
    let check =
        app.try_ask(Touches::Memory, move |node| node.last_verification(key_of(node, id, schema_hash)?));
    Ok(Json(check.await?.into()))
}

/// The key of the tablet that is meant; without a schema hash it must be known under one only.
pub(super) fn key_of(
    node: &dyn Contract,
    tablet_id: TabletId,
    schema_hash: Option<SchemaHash>,
) -> Result<TabletKey, Failure> {
    if let Some(schema_hash) = schema_hash {
        return Ok(TabletKey { tablet_id, schema_hash });
    }
    match node.tablets_by_id(tablet_id).as_slice() {
        [one] => Ok(one.key),
        [] => Err(node.why_not_served(tablet_id, None)),
        several => {
            let hashes: Vec<_> = several.iter().map(|tablet| tablet.key.schema_hash.to_string()).collect();
            Err(invalid(format!(
                "tablet {tablet_id} has several schema hashes, say which: {}",
                hashes.join(", ")
            )))
        }
    }
}
