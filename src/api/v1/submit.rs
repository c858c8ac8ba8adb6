//! `POST /api/v1/migrations`: a request becomes a migration, or is only looked at.

use axum::extract::State;
use axum::http::request::Parts;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use md5::{Digest, Md5};
use serde::Serialize;

use super::body::Body;
use super::migrations::{checked_ids, shown};
use super::parameters;
use super::tablets::key_of;
use crate::api::app::App;
use crate::api::caller::Caller;
use crate::api::calls::Touches;
use crate::api::error::Problem;
use crate::api::query::invalid;
use crate::api::wire::{CreateMigration, Migration, Validation};
use crate::engine::{Destination, Precondition, Submit};
use crate::model::{Failure, Idempotency, TabletKey};

/// Longest idempotency key, in bytes.
const KEY_MAX_BYTES: usize = 255;

/// `POST /migrations`: moves one tablet to another disk.
///
/// 201, and where to look; the same again for the same request under the same `Idempotency-Key`. With `dry_run` 200 and
/// every rule's answer, and nothing is accepted.
#[utoipa::path(
    post,
    path = "/api/v1/migrations",
    operation_id = "create_migration",
    tag = "migrations",
    params(
        ("Idempotency-Key" = Option<String>, Header, description = "The same key and body again: the same migration"),
    ),
    request_body = CreateMigration,
    responses((status = 201, body = Migration, description = "Accepted, and durable; it runs by itself"), (status = 200, body = Validation, description = "Only looked at: dry_run")),
    extensions(("x-execution" = json!("asynchronous")))
)]
pub(super) async fn create(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    parts: Parts,
    Body(request): Body<CreateMigration>,
) -> Result<Response, Problem> {
    parameters(&parts, &[])?;
    submit(app, caller, &parts, request).await
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
    let destination = destination(&request)?;
    let key = match hash {
        // The whole key needs no turn on another thread.
        Some(schema_hash) => TabletKey { tablet_id, schema_hash },
        None => app.try_ask(Touches::Memory, move |node| key_of(node, tablet_id, None)).await?,
    };
    let reason = caller.reason_or(&request.reason, "/api/v1/migrations");
    let submit = Submit {
        key,
        destination,
        mode: request.mode,
        priority: request.priority,
        reason,
        task: None,
        rate_bytes_per_sec: request.rate_bytes_per_sec,
        requested_by: caller.to_string(),
        idempotency,
        reverts: None,
        precondition: request.precondition.map_or_else(Precondition::default, |asked| Precondition {
            source_disk: asked.source_disk,
            generation: asked.generation,
        }),
    };
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

fn destination(request: &CreateMigration) -> Result<Destination, Failure> {
    match (&request.dest_disk, request.dest_medium) {
        (Some(disk), None) => Ok(Destination::Disk(disk.clone())),
        (None, Some(medium)) => Ok(Destination::Medium(medium)),
        _ => {
            Err(invalid("name either dest_disk, written as in storage_root_path, or dest_medium, SSD or HDD"))
        }
    }
}

/// The key of the request with what the request is: two bodies that say the same are the same.
pub(super) fn idempotency(parts: &Parts, request: &impl Serialize) -> Result<Option<Idempotency>, Failure> {
    let Some(key) = parts.headers.get("idempotency-key") else { return Ok(None) };
    let key = key.to_str().ok().filter(|key| (1..=KEY_MAX_BYTES).contains(&key.len()));
    let key = key.ok_or_else(|| {
        invalid(format!("the header Idempotency-Key must be 1 to {KEY_MAX_BYTES} printable characters"))
    })?;
    let said = serde_json::to_vec(request).map_err(|error| invalid(format!("the body: {error}")))?;
    let fingerprint = Md5::digest(&said).iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(Some(Idempotency { key: key.to_owned(), fingerprint }))
}
