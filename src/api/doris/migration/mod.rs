//! `GET /api/tablet_migration`: the one endpoint this program exists for.
//!
//! HTTP 200 and JSON whatever happens; only another method than GET is refused otherwise. Which words are used is a setting, because
//! the documentation and the releases differ and scripts were written against each: `documented` speaks the first,
//! `releases` the others. Both are pure; this room asks the node in between.

mod documented;
mod releases;
mod request;

use axum::Extension;
use axum::extract::{RawQuery, State};
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, any};

use super::json;
use crate::api::app::App;
use crate::api::caller::Caller;
use crate::api::calls::Touches;
use crate::api::query::{Query, invalid};
use crate::engine::{Submit, TabletView};
use crate::model::{ErrorCode, Failure, Migration, TabletKey, quoted};
use releases::Release;
use request::{Goal, Request};
use utoipa::ToSchema;

/// GET only. A HEAD is a GET to most routers, and would move a tablet for whoever only looks; and they add a header Allow
/// of their own, which the releases do not send.
pub(super) fn route() -> MethodRouter<App> {
    any(async |method: Method, app: State<App>, caller: Extension<Caller>, query: RawQuery| match method {
        Method::GET => handle(app, caller, query).await,
        _ => only_get(app).await,
    })
}

/// The releases know the path for GET only, and of any other method they know no path.
async fn only_get(State(app): State<App>) -> Response {
    if Release::of(app.node().dialect()).is_some() {
        return (StatusCode::NOT_FOUND, "Not Found").into_response();
    }
    let failure = invalid("use GET");
    let mut response = json(StatusCode::METHOD_NOT_ALLOWED, documented::refused(&failure));
    response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET"));
    response
}

/// The answer of `/api/tablet_migration`; other dialects leave fields out.
#[derive(ToSchema)]
#[allow(dead_code, reason = "describes what the handler writes by hand")]
pub(super) struct DorisAnswer {
    /// `Success` or `Fail`; the dialects of the releases from 1.2 on name the error.
    status: String,
    /// What happened, in the words of the documentation.
    msg: String,
    /// Where the tablet goes, or went.
    dest_disk: Option<String>,
    /// Number of the migration.
    migration_id: Option<u64>,
    /// Why not, by a stable name.
    error_code: Option<String>,
    /// Why not, in words.
    reason: Option<String>,
}

/// Moves a tablet, or says how its move stands.
#[utoipa::path(
    get,
    path = "/api/tablet_migration",
    operation_id = "tablet_migration",
    tag = "doris",
    params(
        ("goal" = Option<String>, Query, description = "run or status"),
        ("tablet_id" = Option<String>, Query, description = "The tablet"),
        ("schema_hash" = Option<String>, Query, description = "Its schema"),
        ("disk" = Option<String>, Query, description = "Where to; for run"),
    ),
    responses((status = 200, body = DorisAnswer, description = "Whatever happens; the field status says what")),
    extensions(("x-execution" = json!("asynchronous")))
)]
pub(super) async fn handle(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    RawQuery(raw): RawQuery,
) -> Response {
    let query = Query::parse(raw.as_deref());
    let body = match Release::of(app.node().dialect()) {
        None => answer_documented(&app, &caller, query).await,
        Some(release) => answer_as_release(&app, &caller, &query, release).await,
    };
    // The answer is 200 all the same; without this the audit log would take a misread request for an accepted one.
    if caller.notes().asked.is_empty() {
        caller.was_refused(ErrorCode::InvalidArgument.as_str());
    }
    // Neither a submission nor a moving state may come out of a cache.
    ([(header::CACHE_CONTROL, "no-store")], json(StatusCode::OK, body)).into_response()
}

async fn submit(app: &App, caller: &Caller, key: TabletKey, disk: String) -> Result<Migration, Failure> {
    caller.asks(format_args!("move tablet {key} to {}", quoted(&disk)));
    let submit = Submit {
        reason: caller.reason_or("", "/api/tablet_migration"),
        requested_by: caller.to_string(),
        ..Submit::new(key, disk)
    };
    let submitted = app.try_ask(Touches::Journal, move |node| node.submit(&submit)).await;
    submitted.inspect_err(|failure| caller.was_refused(failure.code.as_str()))
}

async fn answer_documented(app: &App, caller: &Caller, query: Query) -> String {
    let Request { goal, key, disk } = match documented::read(query) {
        Ok(request) => request,
        Err((Some(Goal::Status), failure)) => return documented::not_told(&failure),
        Err((_, failure)) => return documented::refused(&failure),
    };
    match goal {
        Goal::Run => match submit(app, caller, key, disk).await {
            Ok(migration) => documented::accepted(&migration),
            Err(failure) => documented::refused(&failure),
        },
        Goal::Status => match app.try_ask(Touches::Journal, move |node| node.latest_migration(key)).await {
            Ok(Some(migration)) => documented::standing(&migration),
            Ok(None) => documented::not_told(&documented::unknown(key)),
            Err(failure) => documented::not_told(&failure),
        },
    }
}

async fn answer_as_release(app: &App, caller: &Caller, query: &Query, release: Release) -> String {
    let Request { goal, key, disk } = match releases::read(query, release) {
        Ok(request) => request,
        Err(body) => return body,
    };
    match goal {
        Goal::Run => run_as_release(app, caller, key, disk, release).await,
        Goal::Status => {
            let found = app.try_ask(Touches::Journal, move |node| {
                let latest = node.latest_migration(key)?;
                if latest.is_some() || !release.looks_up_by_id() {
                    return Ok(latest);
                }
                // A script may have submitted under a wrong schema hash, which is not looked at.
                let of_id = node.tablets_by_id(key.tablet_id).into_iter();
                let latest = of_id.map(|tablet| node.latest_migration(tablet.key));
                let latest: Vec<_> = latest.collect::<Result<_, _>>()?;
                Ok(latest.into_iter().flatten().max_by_key(|migration| migration.id))
            });
            match found.await {
                Ok(Some(migration)) => releases::standing(&migration, release),
                Ok(None) => releases::unknown(release),
                Err(failure) => releases::not_answered(&failure, release),
            }
        }
    }
}

async fn run_as_release(
    app: &App,
    caller: &Caller,
    key: TabletKey,
    disk: String,
    release: Release,
) -> String {
    let found = app.ask(Touches::Memory, move |node| match release.looks_up_by_id() {
        false => node.tablet(key),
        true => best_match(node.tablets_by_id(key.tablet_id), key),
    });
    let tablet = match found.await {
        Ok(Some(tablet)) if tablet.unavailable.is_none() => tablet,
        Ok(_) => return releases::tablet_not_found(release),
        Err(failure) => return releases::not_answered(&failure, release),
    };
    let key = tablet.key;
    let Err(failure) = submit(app, caller, key, disk.clone()).await else {
        return releases::ACCEPTED.to_owned();
    };
    let busy_with = match failure.code {
        ErrorCode::MigrationExists => {
            app.try_ask(Touches::Journal, move |node| node.latest_migration(key)).await.ok().flatten()
        }
        _ => None,
    };
    let facts = releases::Facts {
        disk: &disk,
        tablet_size: tablet.size_bytes,
        busy_with: busy_with.as_ref().map_or("", |migration| &migration.destination.path),
    };
    releases::refused(&failure, release, &facts)
}

/// The tablet of that id; where it has several schemas, the one asked for.
fn best_match(mut tablets: Vec<TabletView>, key: TabletKey) -> Option<TabletView> {
    let at = tablets.iter().position(|tablet| tablet.key == key).unwrap_or(0);
    (at < tablets.len()).then(|| tablets.swap_remove(at))
}
