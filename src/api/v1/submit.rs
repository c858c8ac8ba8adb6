//! `POST /api/v1/migrations`: a request becomes a migration, or is only looked at.

use axum::extract::State;
use axum::http::request::Parts;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};

use super::asked::{idempotency, to_submit};
use super::body::Body;
use super::migrations::{checked_ids, shown};
use super::parameters;
use super::submit_many::submit_many;
use super::tablets::key_of;
use crate::api::app::App;
use crate::api::caller::Caller;
use crate::api::calls::Touches;
use crate::api::error::Problem;
use crate::api::wire::{CreateMigration, CreateMigrations, Migration, SubmittedMany, Validation};
use crate::engine::Submit;
use crate::model::TabletKey;

/// `POST /migrations`: moves one tablet to another disk, or each of a list.
///
/// 201, and where to look; the same again for the same request under the same `Idempotency-Key`. With `dry_run` 200 and
/// every rule's answer, and nothing is accepted. A list of up to 10,000 is answered with 207 and, for each item, its `id`
/// or its own refusal; what was accepted of it is one transaction, durable before the answer. The key then counts for each
/// item at its place: repeated, what was accepted has the same `id`, and what was refused is tried again.
#[utoipa::path(
    post,
    path = "/api/v1/migrations",
    operation_id = "create_migration",
    tag = "migrations",
    params(
        ("Idempotency-Key" = Option<String>, Header, description = "The same key and body again: the same migration"),
    ),
    request_body = CreateMigrations,
    responses(
        (status = 201, body = Migration, description = "Accepted, and durable; it runs by itself"),
        (status = 200, body = Validation, description = "Only looked at: dry_run"),
        (status = 207, body = SubmittedMany, description = "Of a list: one answer per item")
    ),
    extensions(("x-execution" = json!("asynchronous")))
)]
pub(super) async fn create(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    parts: Parts,
    Body(request): Body<CreateMigrations>,
) -> Result<Response, Problem> {
    parameters(&parts, &[])?;
    match request {
        CreateMigrations::One(request) => submit(app, caller, &parts, *request).await,
        CreateMigrations::Many(items) => submit_many(app, caller, &parts, items).await,
    }
}

/// Accepts a request, or only looks at it.
pub(super) async fn submit(
    app: App,
    caller: Caller,
    parts: &Parts,
    request: CreateMigration,
) -> Result<Response, Problem> {
    let idempotency = idempotency(parts, &request)?;
    let dry_run = request.dry_run;
    let (tablet_id, hash) = checked_ids(request.tablet_id, request.schema_hash)?;
    let key = match hash {
        // The whole key needs no turn on another thread.
        Some(schema_hash) => TabletKey { tablet_id, schema_hash },
        None => app.try_ask(Touches::Memory, move |node| key_of(node, tablet_id, None)).await?,
    };
    let submit = Submit { idempotency, ..to_submit(&request, key, &caller)? };
    if dry_run {
        let validation = app.ask(Touches::Memory, move |node| node.validate(&submit)).await?;
        return Ok(Json(Validation::from(validation)).into_response());
    }
    caller.asks(format_args!("move tablet {key} to {}: {}", submit.destination, submit.reason));
    let migration = app.try_ask(Touches::Journal, move |node| node.submit(&submit)).await?;
    let location = format!("/api/v1/migrations/{}", migration.id);
    let body = Json(shown(&app, migration));
    Ok((StatusCode::CREATED, [(header::LOCATION, location)], body).into_response())
}
