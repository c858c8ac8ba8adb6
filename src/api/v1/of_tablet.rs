//! `/api/v1/tablets/{tablet_id}/migrations[/{id}]`: the same resources as below `/migrations`, of one tablet. One of another
//! tablet is not found here.

use axum::extract::{Path, State};
use axum::http::request::Parts;
use axum::response::Response;
use axum::{Extension, Json};
use serde_json::{Map, Value, json};

use super::body::Body;
use super::events::stream_of;
use super::migrations::{LIST_PARAMETERS, ListParameters, answer_list, apply, filter, run_step, shown};
use super::parameters;
use super::submit::submit;
use super::tablets::key_of;
use crate::api::app::App;
use crate::api::caller::Caller;
use crate::api::calls::Touches;
use crate::api::error::Problem;
use crate::api::query::{invalid, read_id};
use crate::api::wire::{Action, CreateMigration, List, Migration, RunStep, Validation};
use crate::engine::MigrationFilter;
use crate::model::{self, ErrorCode, Failure, MigrationId, TabletId};

/// `GET .../migrations`: the migrations of one tablet.
///
/// Filters as those of all migrations. A tablet that is not known, and of which no migration is
/// remembered, is not found.
#[utoipa::path(
    get,
    path = "/api/v1/tablets/{tablet_id}/migrations",
    operation_id = "list_migrations_of_tablet",
    tag = "tablets",
    params(
        ("tablet_id" = TabletId, Path, description = "The tablet"),
        ListParameters,
    ),
    responses((status = 200, body = List<Migration>, description = "One page of them"))
)]
pub(super) async fn list(
    State(app): State<App>,
    Path(tablet): Path<String>,
    parts: Parts,
) -> Result<Response, Problem> {
    let query = parameters(&parts, LIST_PARAMETERS)?;
    let mut filter = filter(&query)?;
    let tablet: TabletId = read_id(&tablet)?;
    if filter.tablet_id.is_some_and(|asked| asked != tablet) {
        return Err(invalid(format!("parameter tablet_id: the path is about tablet {tablet}")).into());
    }
    let ever = MigrationFilter { tablet_id: Some(tablet), limit: 1, ..MigrationFilter::default() };
    app.try_ask(Touches::Journal, move |node| match key_of(node, tablet, None) {
        Err(unknown) if unknown.code == ErrorCode::TabletNotFound && node.migrations(&ever)?.total == 0 => {
            Err(unknown)
        }
        _ => Ok(()),
    })
    .await?;
    filter.tablet_id = Some(tablet);
    answer_list(app, &query, filter).await
}

/// The migration the path names, which must be one of the tablet it names.
async fn found(app: &App, (tablet, id): (String, String)) -> Result<model::Migration, Problem> {
    let (tablet, id) = (read_id::<TabletId>(&tablet)?, read_id::<MigrationId>(&id)?);
    let found = app.try_ask(Touches::Journal, move |node| node.migration(id)).await?;
    let unknown = || {
        Failure::new(ErrorCode::MigrationNotFound, format!("no migration {id} of tablet {tablet} is known"))
    };
    Ok(found.filter(|migration| migration.key.tablet_id == tablet).ok_or_else(unknown)?)
}

async fn id_of(app: &App, path: (String, String)) -> Result<MigrationId, Problem> {
    Ok(found(app, path).await?.id)
}

/// `GET .../migrations/{id}`: one of them, with what its steps said.
#[utoipa::path(
    get,
    path = "/api/v1/tablets/{tablet_id}/migrations/{id}",
    operation_id = "show_migration_of_tablet",
    tag = "tablets",
    params(
        ("tablet_id" = TabletId, Path, description = "The tablet"),
        ("id" = MigrationId, Path, description = "Its number"),
    ),
    responses((status = 200, body = Migration, description = "As it stands"))
)]
pub(super) async fn show(
    State(app): State<App>,
    Path(path): Path<(String, String)>,
    parts: Parts,
) -> Result<Json<Migration>, Problem> {
    parameters(&parts, &[])?;
    Ok(Json(shown(&app, found(&app, path).await?)))
}

/// `GET .../migrations/{id}/events`: how it stands, then what happens to it, to its end.
#[utoipa::path(
    get,
    path = "/api/v1/tablets/{tablet_id}/migrations/{id}/events",
    operation_id = "events_of_migration_of_tablet",
    tag = "tablets",
    params(
        ("tablet_id" = TabletId, Path, description = "The tablet"),
        ("id" = MigrationId, Path, description = "Its number"),
        ("Last-Event-ID" = Option<String>, Header, description = "Go on after this event"),
    ),
    responses((status = 200, body = String, content_type = "text/event-stream", description = "A stream to its final status")),
    extensions(("x-execution" = json!("asynchronous")))
)]
pub(super) async fn events(
    State(app): State<App>,
    Path(path): Path<(String, String)>,
    parts: Parts,
) -> Result<Response, Problem> {
    parameters(&parts, &[])?;
    let now = app.node().event_cursor();
    stream_of(&app, &parts, &found(&app, path).await?, now)
}

/// `POST .../migrations`: as that of all migrations; `tablet_id` may be left out of the body, since the path names it.
#[utoipa::path(
    post,
    path = "/api/v1/tablets/{tablet_id}/migrations",
    operation_id = "create_migration_of_tablet",
    tag = "tablets",
    params(
        ("tablet_id" = TabletId, Path, description = "The tablet"),
        ("Idempotency-Key" = Option<String>, Header, description = "The same key and body again: the same migration"),
    ),
    request_body = CreateMigration,
    responses((status = 201, body = Migration, description = "Accepted, and durable; it runs by itself"), (status = 200, body = Validation, description = "Only looked at: dry_run")),
    extensions(("x-execution" = json!("asynchronous")))
)]
pub(super) async fn create(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Path(tablet): Path<String>,
    parts: Parts,
    Body(mut request): Body<Map<String, Value>>,
) -> Result<Response, Problem> {
    parameters(&parts, &[])?;
    let tablet: TabletId = read_id(&tablet)?;
    request.entry("tablet_id").or_insert_with(|| json!(tablet));
    let request: CreateMigration =
        serde_json::from_value(request.into()).map_err(|error| invalid(format!("the body: {error}")))?;
    if request.tablet_id != tablet {
        return Err(invalid(format!("tablet_id: the path is about tablet {tablet}")).into());
    }
    submit(app, caller, &parts, request).await
}

/// `DELETE .../migrations/{id}`: aborts it.
///
/// 202 and the migration, for the reasons of `DELETE /migrations/{id}`.
#[utoipa::path(
    delete,
    path = "/api/v1/tablets/{tablet_id}/migrations/{id}",
    operation_id = "abort_migration_of_tablet",
    tag = "tablets",
    params(
        ("tablet_id" = TabletId, Path, description = "The tablet"),
        ("id" = MigrationId, Path, description = "Its number"),
    ),
    responses((status = 202, body = Migration, description = "It is being undone"))
)]
pub(super) async fn abort(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Path(path): Path<(String, String)>,
    parts: Parts,
) -> Result<Response, Problem> {
    parameters(&parts, &[])?;
    let id = id_of(&app, path).await?;
    apply(app, caller, id, Action::Abort(None)).await
}

/// `POST .../migrations/{id}/action`: steers it: pauses, resumes, limits and what else `actions` names.
///
/// 202 and the migration, also for `force_complete`: `POST /migrations/{id}/action` says why.
#[utoipa::path(
    post,
    path = "/api/v1/tablets/{tablet_id}/migrations/{id}/action",
    operation_id = "act_on_migration_of_tablet",
    tag = "tablets",
    params(
        ("tablet_id" = TabletId, Path, description = "The tablet"),
        ("id" = MigrationId, Path, description = "Its number"),
    ),
    request_body = Action,
    responses((status = 202, body = Migration, description = "As it stands then"))
)]
pub(super) async fn act(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Path(path): Path<(String, String)>,
    parts: Parts,
    Body(action): Body<Action>,
) -> Result<Response, Problem> {
    parameters(&parts, &[])?;
    let id = id_of(&app, path).await?;
    apply(app, caller, id, action).await
}

/// `POST .../migrations/{id}/run`: drives one step of it; a step that is not in `next_steps` is refused with those that are.
#[utoipa::path(
    post,
    path = "/api/v1/tablets/{tablet_id}/migrations/{id}/run",
    operation_id = "run_step_of_tablet",
    tag = "tablets",
    params(
        ("tablet_id" = TabletId, Path, description = "The tablet"),
        ("id" = MigrationId, Path, description = "Its number"),
    ),
    request_body = RunStep,
    responses((status = 202, body = Migration, description = "As it stands then"))
)]
pub(super) async fn run(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Path(path): Path<(String, String)>,
    parts: Parts,
    Body(RunStep { step }): Body<RunStep>,
) -> Result<Response, Problem> {
    parameters(&parts, &[])?;
    let id = id_of(&app, path).await?;
    run_step(app, caller, id, step).await
}
