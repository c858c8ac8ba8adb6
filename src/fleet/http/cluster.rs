//! `/cluster`: the processes of the fleet, as DM shows its masters and workers; who leads, and the audit.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode};
use axum::response::IntoResponse;
use axum::{Extension, Json};
use serde::Serialize;

use super::{ask, by};
use crate::api::kit::{Body, Caller, Problem, page, parameters, whole};
use crate::api::wire::fleet::{ClusterInfo, Master, Transfer, TransferSource, UpdateCluster, Worker};
use crate::api::wire::{List, Timestamp};
use crate::fleet::desk::Desk;

/// `GET /api/health`: whether the process answers; whether somebody leads is said beside it.
#[utoipa::path(
    get,
    path = "/api/health",
    operation_id = "health",
    tag = "cluster",
    responses((status = 200, body = serde_json::Value, description = "It answers"))
)]
pub(super) async fn health(State(desk): State<Arc<Desk>>) -> Json<serde_json::Value> {
    let leader = desk.leader().map(|leader| leader.process.name);
    Json(serde_json::json!({ "status": "OK", "msg": "To Be Added", "leader": leader }))
}

/// `GET /cluster/masters`: every process of the fleet, and who leads.
#[utoipa::path(
    get,
    path = "/api/v1/cluster/masters",
    operation_id = "list_masters",
    tag = "cluster",
    responses((status = 200, body = List<Master>, description = "Every process"))
)]
pub(super) async fn masters(
    State(desk): State<Arc<Desk>>,
    parts: Parts,
) -> Result<impl IntoResponse, Problem> {
    parameters(&parts, &[])?;
    Ok(whole(ask(&desk, Desk::masters).await?))
}

/// `DELETE /cluster/masters/{name}`: gives leadership up and leaves; 409 for the last.
#[utoipa::path(
    delete,
    path = "/api/v1/cluster/masters/{name}",
    operation_id = "remove_master",
    tag = "cluster",
    params(("name" = String, Path, description = "Its name")),
    responses((status = 204, description = "It has left"))
)]
pub(super) async fn remove_master(
    State(desk): State<Arc<Desk>>,
    Extension(caller): Extension<Caller>,
    Path(name): Path<String>,
    headers: HeaderMap,
    parts: Parts,
) -> Result<StatusCode, Problem> {
    parameters(&parts, &[])?;
    caller.asks(format_args!("stop the process {name}"));
    let by = by(&caller, "", &headers);
    ask(&desk, move |desk| desk.remove_process(&name, &by)).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// `GET /cluster/workers`: the same processes by the members that they drive. The leader drives all of them.
#[utoipa::path(
    get,
    path = "/api/v1/cluster/workers",
    operation_id = "list_workers",
    tag = "cluster",
    responses((status = 200, body = List<Worker>, description = "Every process"))
)]
pub(super) async fn workers(
    State(desk): State<Arc<Desk>>,
    parts: Parts,
) -> Result<impl IntoResponse, Problem> {
    parameters(&parts, &[])?;
    Ok(whole(ask(&desk, Desk::workers).await?))
}

/// `DELETE /cluster/workers/{name}`: as of a master, because they are one process.
#[utoipa::path(
    delete,
    path = "/api/v1/cluster/workers/{name}",
    operation_id = "remove_worker",
    tag = "cluster",
    params(("name" = String, Path, description = "Its name")),
    responses((status = 204, description = "It has left"))
)]
pub(super) async fn remove_worker(
    State(desk): State<Arc<Desk>>,
    Extension(caller): Extension<Caller>,
    Path(name): Path<String>,
    headers: HeaderMap,
    parts: Parts,
) -> Result<StatusCode, Problem> {
    remove_master(State(desk), Extension(caller), Path(name), headers, parts).await
}

/// `GET /cluster/info`: the fleet, its store, and where its monitoring is.
#[utoipa::path(
    get,
    path = "/api/v1/cluster/info",
    operation_id = "cluster_info",
    tag = "cluster",
    responses((status = 200, body = ClusterInfo, description = "The fleet"))
)]
pub(super) async fn info(State(desk): State<Arc<Desk>>, parts: Parts) -> Result<Json<ClusterInfo>, Problem> {
    parameters(&parts, &[])?;
    Ok(Json(ask(&desk, Desk::info).await?))
}

/// `PUT /cluster/info`: where the monitoring is.
#[utoipa::path(
    put,
    path = "/api/v1/cluster/info",
    operation_id = "update_cluster_info",
    tag = "cluster",
    request_body = UpdateCluster,
    responses((status = 200, body = ClusterInfo, description = "Changed"))
)]
pub(super) async fn update_info(
    State(desk): State<Arc<Desk>>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
    parts: Parts,
    Body(change): Body<UpdateCluster>,
) -> Result<Json<ClusterInfo>, Problem> {
    parameters(&parts, &[])?;
    let by = by(&caller, "", &headers);
    Ok(Json(ask(&desk, move |desk| desk.update_info(change, &by)).await?))
}

/// `POST /cluster/transfer`: hands leadership over.
#[utoipa::path(
    post,
    path = "/api/v1/cluster/transfer",
    operation_id = "transfer_leadership",
    tag = "cluster",
    request_body = Transfer,
    responses((status = 202, body = List<Master>, description = "It is being handed over"))
)]
pub(super) async fn transfer(
    State(desk): State<Arc<Desk>>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
    parts: Parts,
    Body(Transfer { to }): Body<Transfer>,
) -> Result<impl IntoResponse, Problem> {
    parameters(&parts, &[])?;
    caller.asks(format_args!("hand leadership over to {to}"));
    let by = by(&caller, "", &headers);
    let masters = ask(&desk, move |desk| desk.transfer(&to, &by).and_then(|()| desk.masters())).await?;
    Ok((StatusCode::ACCEPTED, whole(masters)))
}

/// `POST /sources/{name}/transfer`: which process drives a member. One drives all of them, so only that one can be named.
#[utoipa::path(
    post,
    path = "/api/v1/sources/{name}/transfer",
    operation_id = "transfer_source",
    tag = "sources",
    params(("name" = String, Path, description = "Its name")),
    request_body = TransferSource,
    responses((status = 200, body = List<Worker>, description = "It is driven by that process"))
)]
pub(super) async fn transfer_source(
    State(desk): State<Arc<Desk>>,
    Path(name): Path<String>,
    parts: Parts,
    Body(TransferSource { worker_name }): Body<TransferSource>,
) -> Result<impl IntoResponse, Problem> {
    parameters(&parts, &[])?;
    Ok(whole(ask(&desk, move |desk| desk.transfer_source(&name, &worker_name)).await?))
}

/// One line of the audit.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
pub(super) struct AuditEntry {
    /// When.
    at: Timestamp,
    /// Who.
    by: String,
    /// What was done.
    what: String,
    /// Why.
    reason: String,
    /// Number of the leadership under which it was done.
    epoch: u64,
}

/// `GET /audit`: who did what and why, newest first; the last 10,000 lines are kept.
#[utoipa::path(
    get,
    path = "/api/v1/audit",
    operation_id = "audit",
    tag = "cluster",
    params(("limit" = Option<usize>, Query, minimum = 1, maximum = 10000, description = "At most so many; 100 when left out")),
    responses((status = 200, body = List<AuditEntry>, description = "Newest first"))
)]
pub(super) async fn audit(State(desk): State<Arc<Desk>>, parts: Parts) -> Result<impl IntoResponse, Problem> {
    let query = parameters(&parts, &["limit"])?;
    let limit = query.read::<usize>("limit")?.unwrap_or(100);
    let (total, lines) = desk.audit_lines(limit);
    let entries = lines.into_iter().map(|line| AuditEntry {
        at: Timestamp(line.at_ms),
        by: line.by,
        what: line.what,
        reason: line.reason,
        epoch: line.epoch,
    });
    Ok(page(total, entries.collect()))
}
