//! `/api/v1/disks`.

use axum::extract::State;
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};

use super::body::Body;
use super::parameters;
use super::shape::{only_look, whole};
use crate::api::app::App;
use crate::api::caller::Caller;
use crate::api::calls::Touches;
use crate::api::error::Problem;
use crate::api::wire::{
    DisableDisk, Disk, DiskLimits, DiskLoss, DiskPath, ForgetDisk, List, RegisterDisk, ReplaceDisk, Task,
};
use crate::engine::Contract;
use crate::engine::{GiveUp, Older};
use crate::model::{ErrorCode, Failure, cut, limit_in_words, quoted};

/// `GET /disks`, in the order of `storage_root_path`. How each stands is part of it, whatever `with_status` says.
#[utoipa::path(
    get,
    path = "/api/v1/disks",
    operation_id = "list_disks",
    tag = "disks",
    params(("with_status" = Option<bool>, Query, description = "Taken, and always so")),
    responses((status = 200, body = List<Disk>, description = "Every configured disk"))
)]
pub(super) async fn list(State(app): State<App>, parts: Parts) -> Result<impl IntoResponse, Problem> {
    parameters(&parts, &["with_status"])?.read::<bool>("with_status")?;
    let disks = app.ask(Touches::Memory, <dyn Contract>::disks).await?;
    Ok(whole(disks.into_iter().map(Disk::from).collect()))
}

/// `POST /disks/enable`: back into service, after a probe.
#[utoipa::path(
    post,
    path = "/api/v1/disks/enable",
    operation_id = "enable_disk",
    tag = "disks",
    request_body = DiskPath,
    responses((status = 200, body = Disk, description = "In service"))
)]
pub(super) async fn enable(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    parts: Parts,
    Body(DiskPath { path }): Body<DiskPath>,
) -> Result<Json<Disk>, Problem> {
    parameters(&parts, &[])?;
    caller.asks(format_args!("enable disk {}", quoted(&path)));
    Ok(Json(app.try_ask(Touches::Disk, move |node| node.enable_disk(&path)).await?.into()))
}

/// `POST /disks/disable`: out of service; what it holds stays readable, and what is being copied to it is paused.
#[utoipa::path(
    post,
    path = "/api/v1/disks/disable",
    operation_id = "disable_disk",
    tag = "disks",
    request_body = DisableDisk,
    responses((status = 200, body = Disk, description = "Out of service"))
)]
pub(super) async fn disable(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    parts: Parts,
    Body(DisableDisk { path, reason }): Body<DisableDisk>,
) -> Result<Json<Disk>, Problem> {
    parameters(&parts, &[])?;
    let reason = cut(reason);
    caller.asks(format_args!("disable disk {}: {reason}", quoted(&path)));
    let by = caller.to_string();
    Ok(Json(app.try_ask(Touches::Disk, move |node| node.disable_disk(&path, by, reason)).await?.into()))
}

/// `GET /disks/show?path=`: one disk.
#[utoipa::path(
    get,
    path = "/api/v1/disks/show",
    operation_id = "show_disk",
    tag = "disks",
    params(
        ("path" = String, Query, description = "As in storage_root_path"),
        ("with_status" = Option<bool>, Query, description = "Taken, and always so"),
    ),
    responses((status = 200, body = Disk, description = "The disk"))
)]
pub(super) async fn show(State(app): State<App>, parts: Parts) -> Result<Json<Disk>, Problem> {
    let query = parameters(&parts, &["path", "with_status"])?;
    query.read::<bool>("with_status")?;
    let path: String = query.require("path", "a path, written as in storage_root_path")?;
    Ok(Json(app.try_ask(Touches::Memory, move |node| node.disk(&path)).await?.into()))
}

/// `POST /disks/cancel_drain`: calls off every drain of a disk.
///
/// 202 and the drains that are cancelled; what has moved stays where it is.
#[utoipa::path(
    post,
    path = "/api/v1/disks/cancel_drain",
    operation_id = "cancel_drain",
    tag = "disks",
    request_body = DiskPath,
    responses((status = 202, body = List<Task>, description = "The drains that are cancelled"))
)]
pub(super) async fn cancel_drain(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    parts: Parts,
    Body(DiskPath { path }): Body<DiskPath>,
) -> Result<impl IntoResponse, Problem> {
    parameters(&parts, &[])?;
    caller.asks(format_args!("cancel every drain of {}", quoted(&path)));
    let tasks = app.try_ask(Touches::Journal, move |node| node.cancel_drains(&path)).await?;
    Ok((StatusCode::ACCEPTED, whole(tasks.into_iter().map(Task::in_list).collect())))
}

/// `POST /disks`: lets a disk join.
///
/// 201; opened, probed and scanned as at a start, it serves from now on and after the next start.
#[utoipa::path(
    post,
    path = "/api/v1/disks",
    operation_id = "register_disk",
    tag = "disks",
    request_body = RegisterDisk,
    responses((status = 201, body = Disk, description = "It serves"))
)]
pub(super) async fn register(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    parts: Parts,
    Body(RegisterDisk { path, medium }): Body<RegisterDisk>,
) -> Result<Response, Problem> {
    parameters(&parts, &[])?;
    caller.asks(format_args!("register disk {}, {medium}", quoted(&path)));
    let view = app.try_ask(Touches::Disk, move |node| node.register_disk(&path, medium)).await?;
    Ok((StatusCode::CREATED, Json(Disk::from(view))).into_response())
}

/// `POST /disks/forget`: lets a disk go.
///
/// 204; refused unless nothing of it is needed. With `lost`: 200 and what is given up with a disk
/// that never comes back; refused while it can be read.
#[utoipa::path(
    post,
    path = "/api/v1/disks/forget",
    operation_id = "forget_disk",
    tag = "disks",
    request_body = ForgetDisk,
    responses(
        (status = 204, description = "Forgotten"),
        (status = 200, body = DiskLoss, description = "Given up as lost, or with `dry_run` what that would mean")
    )
)]
pub(super) async fn forget(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    parts: Parts,
    Body(asked): Body<ForgetDisk>,
) -> Result<Response, Problem> {
    parameters(&parts, &[])?;
    let ForgetDisk { path, lost, accept_older, dry_run, confirm } = asked;
    if !lost && (accept_older || dry_run || confirm.is_some()) {
        let why = "accept_older, dry_run and confirm are for a disk that never comes back: say lost as well";
        return Err(Failure::new(ErrorCode::InvalidArgument, why).into());
    }
    if !lost {
        caller.asks(format_args!("forget disk {}", quoted(&path)));
        app.try_ask(Touches::Disk, move |node| node.forget_disk(&path)).await?;
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    let (named, older_too) = (quoted(&path), older(accept_older));
    caller.asks(format_args!("give up disk {named} as lost{older_too}{}", only_look(dry_run)));
    let request = GiveUp { path, older: accepted(accept_older), dry_run, confirm, by: caller.to_string() };
    let loss = app.try_ask(Touches::Disk, move |node| node.forget_lost_disk(&request)).await?;
    Ok(Json(DiskLoss::of(loss, dry_run, None)).into_response())
}

/// `POST /disks/replace`: takes a blank disk in the place of a lost one.
///
/// 200 and what is given up; the blank file system that is mounted at the path of a lost disk joins
/// in its place.
#[utoipa::path(
    post,
    path = "/api/v1/disks/replace",
    operation_id = "replace_disk",
    tag = "disks",
    request_body = ReplaceDisk,
    responses((status = 200, body = DiskLoss, description = "It serves, or with `dry_run` what would be given up"))
)]
pub(super) async fn replace(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    parts: Parts,
    Body(asked): Body<ReplaceDisk>,
) -> Result<Json<DiskLoss>, Problem> {
    parameters(&parts, &[])?;
    let ReplaceDisk { path, accept_older, dry_run, confirm } = asked;
    let (named, older_too) = (quoted(&path), older(accept_older));
    caller.asks(format_args!("replace disk {named}{older_too}{}", only_look(dry_run)));
    let request = GiveUp { path, older: accepted(accept_older), dry_run, confirm, by: caller.to_string() };
    let (loss, disk) = app
        .try_ask(Touches::Disk, move |node| {
            let loss = node.replace_disk(&request)?;
            let disk = if request.dry_run { None } else { Some(node.disk(&request.path)?) };
            Ok((loss, disk))
        })
        .await?;
    Ok(Json(DiskLoss::of(loss, dry_run, disk)))
}

const fn accepted(accept_older: bool) -> Older {
    if accept_older { Older::Serve } else { Older::Leave }
}

const fn older(accept_older: bool) -> &'static str {
    if accept_older { ", older copies accepted" } else { "" }
}

/// `POST /disks/limits`: how much may be copied from and to it, until the daemon stops.
#[utoipa::path(
    post,
    path = "/api/v1/disks/limits",
    operation_id = "limit_disk",
    tag = "disks",
    request_body = DiskLimits,
    responses((status = 200, body = Disk, description = "With its limits"))
)]
pub(super) async fn limit(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    parts: Parts,
    Body(DiskLimits { path, rate_bytes_per_sec: rate }): Body<DiskLimits>,
) -> Result<Json<Disk>, Problem> {
    parameters(&parts, &[])?;
    caller.asks(format_args!("copy from and to disk {} with {}", quoted(&path), limit_in_words(rate)));
    Ok(Json(app.try_ask(Touches::Memory, move |node| node.set_disk_limits(&path, rate)).await?.into()))
}
