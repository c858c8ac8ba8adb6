//! `/sources`: members, in DM's form; and their disks, all in one list.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode};
use axum::response::IntoResponse;
use axum::{Extension, Json};

use super::{ask, by};
use crate::api::kit::{Body, Caller, Problem, parameters, whole};
use crate::api::wire::List;
use crate::api::wire::fleet::{CreateSource, Source, SourceDisk, SourceStatus, UpdateSource};
use crate::fleet::desk::Desk;
use crate::fleet::refusal::Refusal;

/// `POST /sources`: adds a member. 201; it is looked at at once.
#[utoipa::path(
    post,
    path = "/api/v1/sources",
    operation_id = "create_source",
    tag = "sources",
    request_body = CreateSource,
    responses((status = 201, body = Source, description = "Added"))
)]
pub(super) async fn create(
    State(desk): State<Arc<Desk>>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
    parts: Parts,
    Body(asked): Body<CreateSource>,
) -> Result<impl IntoResponse, Problem> {
    parameters(&parts, &[])?;
    caller.asks(format_args!("add the member {}", asked.source_name));
    let by = by(&caller, &asked.reason, &headers);
    let source = ask(&desk, move |desk| desk.add_source(asked, &by)).await?;
    Ok((StatusCode::CREATED, Json(source)))
}

/// `GET /sources`, by name. How each stands is part of it, whatever `with_status` says; `enable`, `cluster` and `label`
/// (`rack=r7`) narrow it.
#[utoipa::path(
    get,
    path = "/api/v1/sources",
    operation_id = "list_sources",
    tag = "sources",
    params(
        ("with_status" = Option<bool>, Query, description = "Taken, and always so"),
        ("enable" = Option<bool>, Query, description = "Those that may be given work, or those that may not"),
        ("cluster" = Option<String>, Query, description = "Of this cluster"),
        ("label" = Option<String>, Query, description = "With this label, as NAME=VALUE"),
    ),
    responses((status = 200, body = List<Source>, description = "Members"))
)]
pub(super) async fn list(State(desk): State<Arc<Desk>>, parts: Parts) -> Result<impl IntoResponse, Problem> {
    let query = parameters(&parts, &["with_status", "enable", "cluster", "label"])?;
    query.read::<bool>("with_status")?;
    let enable = query.read::<bool>("enable")?;
    let cluster = query.text("cluster").map(str::to_owned);
    let label = match query.text("label").map(|text| (text, text.split_once('='))) {
        None => None,
        Some((_, Some((name, value)))) => Some((name.to_owned(), value.to_owned())),
        Some((text, None)) => {
            let text = format!("parameter label must be NAME=VALUE, got {}", crate::model::quoted(text));
            return Err(Refusal::invalid(text).into());
        }
    };
    let mut sources = ask(&desk, |desk| Ok(desk.sources())).await?;
    sources.retain(|source| {
        enable.is_none_or(|enable| source.enable == enable)
            && cluster.as_ref().is_none_or(|cluster| source.cluster == *cluster)
            && label.as_ref().is_none_or(|(name, value)| source.labels.get(name) == Some(value))
    });
    Ok(whole(sources))
}

/// `GET /sources/{name}`.
#[utoipa::path(
    get,
    path = "/api/v1/sources/{name}",
    operation_id = "show_source",
    tag = "sources",
    params(
        ("name" = String, Path, description = "Its name"),
        ("with_status" = Option<bool>, Query, description = "Taken, and always so"),
    ),
    responses((status = 200, body = Source, description = "The member"))
)]
pub(super) async fn show(
    State(desk): State<Arc<Desk>>,
    Path(name): Path<String>,
    parts: Parts,
) -> Result<Json<Source>, Problem> {
    parameters(&parts, &["with_status"])?.read::<bool>("with_status")?;
    Ok(Json(ask(&desk, move |desk| desk.source(&name)).await?))
}

/// `GET /sources/{name}/status`: how it stands; a list of one, as DM has it.
#[utoipa::path(
    get,
    path = "/api/v1/sources/{name}/status",
    operation_id = "source_status",
    tag = "sources",
    params(("name" = String, Path, description = "Its name")),
    responses((status = 200, body = List<SourceStatus>, description = "How it stands"))
)]
pub(super) async fn status(
    State(desk): State<Arc<Desk>>,
    Path(name): Path<String>,
    parts: Parts,
) -> Result<impl IntoResponse, Problem> {
    parameters(&parts, &[])?;
    Ok(whole(ask(&desk, move |desk| desk.source(&name)).await?.status_list))
}

/// `PUT /sources/{name}`: describes it anew, all of it; refused while a campaign has a part of it. A `password` of
/// `******` keeps the credential.
#[utoipa::path(
    put,
    path = "/api/v1/sources/{name}",
    operation_id = "update_source",
    tag = "sources",
    params(("name" = String, Path, description = "Its name")),
    request_body = UpdateSource,
    responses((status = 200, body = Source, description = "Changed"))
)]
pub(super) async fn update(
    State(desk): State<Arc<Desk>>,
    Extension(caller): Extension<Caller>,
    Path(name): Path<String>,
    headers: HeaderMap,
    parts: Parts,
    Body(UpdateSource { source }): Body<UpdateSource>,
) -> Result<Json<Source>, Problem> {
    parameters(&parts, &[])?;
    caller.asks(format_args!("change the member {name}"));
    let by = by(&caller, &source.reason, &headers);
    Ok(Json(ask(&desk, move |desk| desk.update_source(&name, source, &by)).await?))
}

/// `DELETE /sources/{name}`: 204; one with a part in a campaign that is not over only with `force=true`.
#[utoipa::path(
    delete,
    path = "/api/v1/sources/{name}",
    operation_id = "delete_source",
    tag = "sources",
    params(
        ("name" = String, Path, description = "Its name"),
        ("force" = Option<bool>, Query, description = "Also one that a campaign is not done with; what is under way there goes on"),
    ),
    responses((status = 204, description = "Removed"))
)]
pub(super) async fn remove(
    State(desk): State<Arc<Desk>>,
    Extension(caller): Extension<Caller>,
    Path(name): Path<String>,
    headers: HeaderMap,
    parts: Parts,
) -> Result<StatusCode, Problem> {
    let force = parameters(&parts, &["force"])?.read::<bool>("force")?.unwrap_or(false);
    caller.asks(format_args!("remove the member {name}"));
    let by = by(&caller, "", &headers);
    ask(&desk, move |desk| desk.remove_source(&name, force, &by)).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// `POST /sources/{name}/enable`: it may be given work; its parts go on.
#[utoipa::path(
    post,
    path = "/api/v1/sources/{name}/enable",
    operation_id = "enable_source",
    tag = "sources",
    params(("name" = String, Path, description = "Its name")),
    responses((status = 200, body = Source, description = "In service"))
)]
pub(super) async fn enable(
    State(desk): State<Arc<Desk>>,
    Extension(caller): Extension<Caller>,
    Path(name): Path<String>,
    headers: HeaderMap,
    parts: Parts,
) -> Result<Json<Source>, Problem> {
    parameters(&parts, &[])?;
    caller.asks(format_args!("enable the member {name}"));
    let by = by(&caller, "", &headers);
    Ok(Json(ask(&desk, move |desk| desk.enable_source(&name, true, &by)).await?))
}

/// `POST /sources/{name}/disable`: it is given nothing new, and its parts are paused.
#[utoipa::path(
    post,
    path = "/api/v1/sources/{name}/disable",
    operation_id = "disable_source",
    tag = "sources",
    params(("name" = String, Path, description = "Its name")),
    responses((status = 200, body = Source, description = "Out of service"))
)]
pub(super) async fn disable(
    State(desk): State<Arc<Desk>>,
    Extension(caller): Extension<Caller>,
    Path(name): Path<String>,
    headers: HeaderMap,
    parts: Parts,
) -> Result<Json<Source>, Problem> {
    parameters(&parts, &[])?;
    caller.asks(format_args!("disable the member {name}"));
    let by = by(&caller, "", &headers);
    Ok(Json(ask(&desk, move |desk| desk.enable_source(&name, false, &by)).await?))
}

/// `GET /disks`: every disk of every member, as they were seen last, fullest first.
#[utoipa::path(
    get,
    path = "/api/v1/disks",
    operation_id = "list_disks",
    tag = "sources",
    params(
        ("used_above" = Option<u32>, Query, description = "Fuller than this, in per cent"),
        ("safe_to_remove" = Option<bool>, Query, description = "Those that may be pulled, or those that may not"),
    ),
    responses((status = 200, body = List<SourceDisk>, description = "Disks"))
)]
pub(super) async fn disks(State(desk): State<Arc<Desk>>, parts: Parts) -> Result<impl IntoResponse, Problem> {
    let query = parameters(&parts, &["used_above", "safe_to_remove"])?;
    let above = query.read::<u32>("used_above")?.map(f64::from);
    let safe = query.read::<bool>("safe_to_remove")?;
    let sources = ask(&desk, |desk| Ok(desk.sources())).await?;
    let all = sources.into_iter().flat_map(|source| source.status_list).flat_map(|status| status.disks);
    let mut disks: Vec<_> = all
        .filter(|disk| above.is_none_or(|above| disk.used_percent > above))
        .filter(|disk| safe.is_none_or(|safe| disk.safe_to_remove == safe))
        .collect();
    disks.sort_by(|a, b| b.used_percent.total_cmp(&a.used_percent));
    Ok(whole(disks))
}
