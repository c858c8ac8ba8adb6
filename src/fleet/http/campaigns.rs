//! `/campaigns`: with the verbs, statuses and list form of a node's tasks.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};

use super::{ask, by};
use crate::api::kit::{Body, Caller, Problem, parameters, whole};
use crate::api::wire::List;
use crate::api::wire::fleet::{Campaign, CampaignAction, CampaignPart, CreateCampaign, UpdateCampaign};
use crate::fleet::desk::Desk;
use crate::fleet::refusal::Refusal;
use crate::model::fleet::{CampaignId, CampaignStatus};
use crate::model::quoted;

/// `POST /campaigns`: plans over the selected members and shows it, with the fit of each; with `dry_run: false` and the
/// fingerprint of what was looked at it becomes a campaign, stopped.
#[utoipa::path(
    post,
    path = "/api/v1/campaigns",
    operation_id = "create_campaign",
    tag = "campaigns",
    params(("Idempotency-Key" = Option<String>, Header, description = "The same key and request again: the same campaign")),
    request_body = CreateCampaign,
    responses(
        (status = 200, body = Campaign, description = "Only planned: a dry run, which is the default"),
        (status = 201, body = Campaign, description = "Made, and stopped"),
    )
)]
pub(super) async fn create(
    State(desk): State<Arc<Desk>>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
    parts: Parts,
    Body(asked): Body<CreateCampaign>,
) -> Result<Response, Problem> {
    parameters(&parts, &[])?;
    let status = if asked.dry_run { StatusCode::OK } else { StatusCode::CREATED };
    if !asked.dry_run {
        caller.asks(format_args!("make a campaign: {}", asked.request.kind()));
    }
    let by = by(&caller, &asked.reason, &headers);
    let key = headers.get("idempotency-key").map(|key| String::from_utf8_lossy(key.as_bytes()).into_owned());
    if let Some(key) = key.as_ref().filter(|key| !(1..=200).contains(&key.len())) {
        let text = format!("Idempotency-Key: 1 to 200 bytes, got {}", key.len());
        return Err(Refusal::invalid(text).into());
    }
    let campaign = ask(&desk, move |desk| desk.create_campaign(asked, key, &by)).await?;
    Ok((status, Json(campaign)).into_response())
}

/// `GET /campaigns`, ascending by number, without their parts.
#[utoipa::path(
    get,
    path = "/api/v1/campaigns",
    operation_id = "list_campaigns",
    tag = "campaigns",
    params(("status" = Option<Vec<CampaignStatus>>, Query, explode = false, description = "Several, separated by commas")),
    responses((status = 200, body = List<Campaign>, description = "All of them"))
)]
pub(super) async fn list(State(desk): State<Arc<Desk>>, parts: Parts) -> Result<impl IntoResponse, Problem> {
    let query = parameters(&parts, &["status"])?;
    let words: Vec<String> = query.several("status")?;
    let read = |word: String| {
        let text = serde_json::Value::String(word.clone());
        serde_json::from_value::<CampaignStatus>(text).map_err(|_| {
            let accepted = "stopped, running, paused, finished, cancelled";
            let word = quoted(&word);
            Refusal::invalid(format!("parameter status: {word} is no status; accepted: {accepted}"))
        })
    };
    let statuses = words.into_iter().map(read).collect::<Result<Vec<_>, _>>()?;
    Ok(whole(ask(&desk, move |desk| Ok(desk.campaigns(&statuses))).await?))
}

/// `GET /campaigns/{id}`, with its parts.
#[utoipa::path(
    get,
    path = "/api/v1/campaigns/{id}",
    operation_id = "show_campaign",
    tag = "campaigns",
    params(("id" = CampaignId, Path, description = "Its number")),
    responses((status = 200, body = Campaign, description = "The campaign"))
)]
pub(super) async fn show(
    State(desk): State<Arc<Desk>>,
    Path(id): Path<String>,
    parts: Parts,
) -> Result<Json<Campaign>, Problem> {
    parameters(&parts, &[])?;
    let id = number(&id)?;
    Ok(Json(ask(&desk, move |desk| desk.campaign(id)).await?))
}

/// `PATCH /campaigns/{id}`: limits and windows, also while it runs.
#[utoipa::path(
    patch,
    path = "/api/v1/campaigns/{id}",
    operation_id = "update_campaign",
    tag = "campaigns",
    params(("id" = CampaignId, Path, description = "Its number")),
    request_body = UpdateCampaign,
    responses((status = 200, body = Campaign, description = "Changed"))
)]
pub(super) async fn update(
    State(desk): State<Arc<Desk>>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
    headers: HeaderMap,
    parts: Parts,
    Body(change): Body<UpdateCampaign>,
) -> Result<Json<Campaign>, Problem> {
    parameters(&parts, &[])?;
    let id = number(&id)?;
    let by = by(&caller, "", &headers);
    Ok(Json(ask(&desk, move |desk| desk.update_campaign(id, &change, &by)).await?))
}

/// `DELETE /campaigns/{id}`: 204; refused while it is under way, cancel it first.
#[utoipa::path(
    delete,
    path = "/api/v1/campaigns/{id}",
    operation_id = "delete_campaign",
    tag = "campaigns",
    params(("id" = CampaignId, Path, description = "Its number")),
    responses((status = 204, description = "Forgotten"))
)]
pub(super) async fn delete(
    State(desk): State<Arc<Desk>>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
    headers: HeaderMap,
    parts: Parts,
) -> Result<StatusCode, Problem> {
    parameters(&parts, &[])?;
    let id = number(&id)?;
    let by = by(&caller, "", &headers);
    ask(&desk, move |desk| desk.delete_campaign(id, &by)).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// `POST /campaigns/{id}/action`: 202; `start`, `pause`, `resume`, `cancel`, `approve`.
#[utoipa::path(
    post,
    path = "/api/v1/campaigns/{id}/action",
    operation_id = "act_on_campaign",
    tag = "campaigns",
    params(("id" = CampaignId, Path, description = "Its number")),
    request_body = CampaignAction,
    responses((status = 202, body = Campaign, description = "It is done, and felt at the members soon"))
)]
pub(super) async fn act(
    State(desk): State<Arc<Desk>>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
    headers: HeaderMap,
    parts: Parts,
    Body(action): Body<CampaignAction>,
) -> Result<impl IntoResponse, Problem> {
    parameters(&parts, &[])?;
    let id = number(&id)?;
    let by = by(&caller, "", &headers);
    let campaign = ask(&desk, move |desk| desk.act_on_campaign(id, &action, &by)).await?;
    Ok((StatusCode::ACCEPTED, Json(campaign)))
}

/// `GET /campaigns/{id}/sources`: its parts, in the order in which they begin.
#[utoipa::path(
    get,
    path = "/api/v1/campaigns/{id}/sources",
    operation_id = "campaign_sources",
    tag = "campaigns",
    params(("id" = CampaignId, Path, description = "Its number")),
    responses((status = 200, body = List<CampaignPart>, description = "Its parts"))
)]
pub(super) async fn sources(
    State(desk): State<Arc<Desk>>,
    Path(id): Path<String>,
    parts: Parts,
) -> Result<impl IntoResponse, Problem> {
    parameters(&parts, &[])?;
    let id = number(&id)?;
    let campaign = ask(&desk, move |desk| desk.campaign(id)).await?;
    Ok(whole(campaign.status_list.unwrap_or_default()))
}

fn number(text: &str) -> Result<CampaignId, Refusal> {
    let number = text.parse().ok().filter(|number| *number > 0).map(CampaignId);
    number.ok_or_else(|| Refusal::invalid(format!("{} is no number of a campaign", quoted(text))))
}
