//! `/api/v1/disks`.

use axum::extract::State;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};

use super::body::Body;
use super::parameters;
use super::shape::IsList;
use crate::api::app::App;
use crate::api::caller::Caller;
use crate::api::calls::Touches;
use crate::api::error::Problem;
use crate::api::node::Node;
use crate::api::wire::{Disk, DiskLimits, DiskPath, List};

/// `GET /disks`, in the order of `storage_root_path`.
pub(super) async fn list(State(app): State<App>, parts: Parts) -> Result<Response, Problem> {
    parameters(&parts, &[])?;
    let data: Vec<Disk> =
        app.ask(Touches::Memory, <dyn Node>::disks).await?.into_iter().map(Into::into).collect();
    let total = u64::try_from(data.len()).unwrap_or(u64::MAX);
    Ok((Extension(IsList), Json(List { total, data })).into_response())
}

/// `POST /disks/enable`: back into service, after a probe.
pub(super) async fn enable(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    parts: Parts,
    Body(DiskPath { path }): Body<DiskPath>,
) -> Result<Json<Disk>, Problem> {
    parameters(&parts, &[])?;
    caller.asks(format_args!("enable disk {path:?}"));
    Ok(Json(app.try_ask(Touches::Disk, move |node| node.enable_disk(&path)).await?.into()))
}

/// `POST /disks/disable`: out of service; what it holds stays readable.
pub(super) async fn disable(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    parts: Parts,
    Body(DiskPath { path }): Body<DiskPath>,
) -> Result<Json<Disk>, Problem> {
    parameters(&parts, &[])?;
    caller.asks(format_args!("disable disk {path:?}"));
    Ok(Json(app.try_ask(Touches::Disk, move |node| node.disable_disk(&path)).await?.into()))
}

/// `POST /disks/limits`: how much may be copied from and to it, until the daemon stops.
pub(super) async fn limit(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    parts: Parts,
    Body(DiskLimits { path, rate_bytes_per_sec: rate }): Body<DiskLimits>,
) -> Result<Json<Disk>, Problem> {
    parameters(&parts, &[])?;
    caller.asks(format_args!("limit disk {path:?} to {rate:?} bytes per second"));
    Ok(Json(app.try_ask(Touches::Memory, move |node| node.set_disk_limits(&path, rate)).await?.into()))
}
