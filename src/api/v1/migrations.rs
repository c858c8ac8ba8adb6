//! `/api/v1/migrations`.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use serde_json::json;

use super::body::Body;
use super::parameters;
use super::shape::page;
use crate::api::app::App;
use crate::api::caller::Caller;
use crate::api::calls::Touches;
use crate::api::error::Problem;
use crate::api::query::{Strict, invalid, read_id};
use crate::api::wire::{Action, Extend, List, Migration, RunStep, Timestamp};
use crate::engine::{ListOrder, MigrationFilter};
use crate::model::{self, ErrorCode, Failure, MigrationId, SchemaHash, Step, TabletId, TaskId, quoted};

/// Most migrations on one page.
const MAX_LIMIT: i64 = 10_000;

pub(super) fn shown(app: &App, migration: model::Migration) -> Migration {
    Migration::from_model(migration, Timestamp::now().0, app.node_name())
}

/// `GET /migrations`: the migrations, by number.
///
/// Filters `status` and `phase` (several, separated by commas), `tablet_id`, `disk` (at either end),
/// `source_disk`, `dest_disk`, `task`, `since` and `before` (when it was accepted); `sort` is `id` or `-id`; pages by
/// `marker` (the last id of the page before) and `limit`. Without what the steps said unless `with_steps=true`.
#[utoipa::path(
    get,
    path = "/api/v1/migrations",
    operation_id = "list_migrations",
    tag = "migrations",
    params(ListParameters),
    responses((status = 200, body = List<Migration>, description = "One page of them, ascending by number"))
)]
pub(super) async fn list(State(app): State<App>, parts: Parts) -> Result<Response, Problem> {
    let query = parameters(&parts, LIST_PARAMETERS)?;
    answer_list(app, &query, filter(&query)?).await
}

/// What narrows, orders and cuts a list, as the document has it.
#[derive(utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "read one by one, so that a refusal names the parameter")]
pub(super) struct ListParameters {
    /// Several, separated by commas
    #[param(explode = false)]
    status: Option<Vec<model::Status>>,
    /// Several, separated by commas
    #[param(explode = false)]
    phase: Option<Vec<model::Phase>>,
    /// Of this tablet
    tablet_id: Option<TabletId>,
    /// From or to the disk at this path
    disk: Option<String>,
    /// From it
    source_disk: Option<String>,
    /// To it
    dest_disk: Option<String>,
    /// Made by this task
    task: Option<TaskId>,
    /// Accepted then or later
    since: Option<Timestamp>,
    /// Accepted before
    before: Option<Timestamp>,
    /// id or -id
    #[param(pattern = "^-?id$")]
    sort: Option<String>,
    /// With what the steps said
    with_steps: Option<bool>,
    /// The last number of the page before
    marker: Option<MigrationId>,
    /// At most so many, 1 to 10000
    #[param(minimum = 1, maximum = 10000)]
    limit: Option<u32>,
}

/// The same, as a query is read.
pub(super) const LIST_PARAMETERS: &[&str] = &[
    "status",
    "phase",
    "tablet_id",
    "disk",
    "source_disk",
    "dest_disk",
    "task",
    "since",
    "before",
    "sort",
    "marker",
    "limit",
    "with_steps",
];

pub(super) async fn answer_list(
    app: App,
    query: &Strict,
    filter: MigrationFilter,
) -> Result<Response, Problem> {
    let with_steps = query.read::<bool>("with_steps")?.unwrap_or(false);
    let found = app.try_ask(Touches::Journal, move |node| node.migrations(&filter)).await?;
    let data = found.items.into_iter().map(|migration| {
        let shown = shown(&app, migration);
        if with_steps { shown } else { Migration { steps: None, ..shown } }
    });
    Ok(page(found.total, data.collect()).into_response())
}

pub(super) fn filter(query: &Strict) -> Result<MigrationFilter, Failure> {
    let text = |name| query.text(name).map(str::to_owned);
    let time = |name| Ok::<_, Failure>(query.read::<Timestamp>(name)?.map(|time| time.0));
    let (since_ms, before_ms) = (time("since")?, time("before")?);
    if since_ms.zip(before_ms).is_some_and(|(since, before)| since > before) {
        return Err(invalid("parameter since is later than before"));
    }
    Ok(MigrationFilter {
        statuses: query.several("status")?,
        phases: query.several("phase")?,
        tablet_id: query.read("tablet_id")?,
        disk: text("disk"),
        source: text("source_disk"),
        destination: text("dest_disk"),
        task: query.read("task")?,
        since_ms,
        before_ms,
        order: match query.text("sort") {
            None | Some("id") => ListOrder::OldestFirst,
            Some("-id") => ListOrder::NewestFirst,
            Some(other) => {
                return Err(invalid(format!("parameter sort must be id or -id, got {}", quoted(other))));
            }
        },
        after: query.read("marker")?,
        limit: query.limit(MAX_LIMIT)?,
    })
}

/// JSON numbers are wider than ids.
pub(super) fn checked_ids(
    tablet_id: TabletId,
    schema_hash: Option<SchemaHash>,
) -> Result<(TabletId, Option<SchemaHash>), Failure> {
    let schema_hash = schema_hash.map(|hash| read_id(&hash.to_string())).transpose()?;
    Ok((read_id(&tablet_id.to_string())?, schema_hash))
}

/// `GET /migrations/{id}`: one migration, with what its steps said.
#[utoipa::path(
    get,
    path = "/api/v1/migrations/{id}",
    operation_id = "show_migration",
    tag = "migrations",
    params(
        ("id" = MigrationId, Path, description = "Its number"),
    ),
    responses((status = 200, body = Migration, description = "As it stands; also after its end"))
)]
pub(super) async fn show(
    State(app): State<App>,
    Path(id): Path<String>,
    parts: Parts,
) -> Result<Json<Migration>, Problem> {
    parameters(&parts, &[])?;
    let id: MigrationId = read_id(&id)?;
    let found = app.try_ask(Touches::Journal, move |node| node.migration(id)).await?;
    let unknown = || Failure::new(ErrorCode::MigrationNotFound, format!("no migration {id} is known"));
    Ok(Json(shown(&app, found.ok_or_else(unknown)?)))
}

/// `DELETE /migrations/{id}`: aborts it. 202 and not 204, because undoing takes its time; the body is the migration, so that
/// whoever asked sees how it stands without asking again.
#[utoipa::path(
    delete,
    path = "/api/v1/migrations/{id}",
    operation_id = "abort_migration",
    tag = "migrations",
    params(
        ("id" = MigrationId, Path, description = "Its number"),
    ),
    responses((status = 202, body = Migration, description = "It is being undone"))
)]
pub(super) async fn abort(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
    parts: Parts,
) -> Result<Response, Problem> {
    parameters(&parts, &[])?;
    apply(app, caller, read_id(&id)?, Action::Abort(None)).await
}

/// `POST /migrations/{id}/action`: steers one: pauses, resumes, limits and what else its `actions` name.
///
/// 202 and the migration as it stands then. Also `force_complete`, which has no body at Nova:
/// it only lets the migration go ahead of everything, the end comes later, and the body says how far it is.
#[utoipa::path(
    post,
    path = "/api/v1/migrations/{id}/action",
    operation_id = "act_on_migration",
    tag = "migrations",
    params(
        ("id" = MigrationId, Path, description = "Its number"),
    ),
    request_body = Action,
    responses((status = 202, body = Migration, description = "As it stands then"))
)]
pub(super) async fn act(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
    parts: Parts,
    Body(action): Body<Action>,
) -> Result<Response, Problem> {
    parameters(&parts, &[])?;
    apply(app, caller, read_id(&id)?, action).await
}

/// `POST /migrations/{id}/run {"step": "data"}`: drives one step of a migration that waits for it.
///
/// 202; a step that is not in `next_steps` is refused with those that are.
#[utoipa::path(
    post,
    path = "/api/v1/migrations/{id}/run",
    operation_id = "run_step",
    tag = "migrations",
    params(
        ("id" = MigrationId, Path, description = "Its number"),
    ),
    request_body = RunStep,
    responses((status = 202, body = Migration, description = "As it stands then"))
)]
pub(super) async fn run(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
    parts: Parts,
    Body(RunStep { step }): Body<RunStep>,
) -> Result<Response, Problem> {
    parameters(&parts, &[])?;
    run_step(app, caller, read_id(&id)?, step).await
}

pub(super) async fn run_step(
    app: App,
    caller: Caller,
    id: MigrationId,
    step: Step,
) -> Result<Response, Problem> {
    caller.asks(format_args!("run {step} of migration {id}"));
    let asked = app.try_ask(Touches::Journal, move |node| node.run_step(id, step)).await;
    answer_steered(&app, id, asked).await
}

/// The migration as it stands, or the refusal with what it takes instead, for programs.
async fn answer_steered(
    app: &App,
    id: MigrationId,
    asked: Result<model::Migration, Failure>,
) -> Result<Response, Problem> {
    let failure = match asked {
        Ok(migration) => return Ok((StatusCode::ACCEPTED, Json(shown(app, migration))).into_response()),
        Err(failure) => failure,
    };
    if !matches!(failure.code, ErrorCode::IllegalTransition | ErrorCode::StepNotAllowed) {
        return Err(failure.into());
    }
    let found = app.try_ask(Touches::Journal, move |node| node.migration(id)).await?;
    let Some(Migration { status, next_steps, actions, .. }) = found.map(|migration| shown(app, migration))
    else {
        return Err(failure.into());
    };
    let takes = json!({ "status": status, "next_steps": next_steps, "actions": actions });
    Err(Problem::from(failure).details(takes))
}

/// Most seconds a deadline is moved at once: a year.
const MAX_EXTEND_SECONDS: u64 = 31_536_000;

pub(super) async fn apply(
    app: App,
    caller: Caller,
    id: MigrationId,
    action: Action,
) -> Result<Response, Problem> {
    if let Action::Extend(Extend { seconds }) = action
        && !(1..=MAX_EXTEND_SECONDS).contains(&seconds)
    {
        let text = format!("extend: seconds must be from 1 to {MAX_EXTEND_SECONDS}, got {seconds}");
        return Err(invalid(text).into());
    }
    caller.asks(format_args!("{} migration {id}", action.as_str()));
    // Whether a move can be taken back is seen in the trash of its source, who owns the tablet is written to a disk.
    let touches = match action {
        Action::Revert(_) | Action::Settle(_) => Touches::Disk,
        _ => Touches::Journal,
    };
    let asked = app.try_ask(touches, move |node| match action {
        Action::Pause(_) => node.pause(id),
        Action::Resume(_) => node.resume(id),
        Action::Abort(_) => node.abort(id),
        Action::Retry(_) => node.retry(id),
        Action::Cutover(_) => node.cutover(id),
        Action::ForceComplete(_) => node.force_complete(id),
        Action::Extend(extend) => node.extend(id, extend.seconds),
        Action::Limits(limits) => node.set_rate(id, limits.rate_bytes_per_sec),
        Action::Priority(priority) => node.set_priority(id, priority),
        Action::Revert(_) => node.revert(id, &caller.to_string()),
        Action::Settle(_) => node.settle(id),
    });
    let asked = asked.await;
    answer_steered(&app, id, asked).await
}
