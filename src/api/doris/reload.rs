//! `GET /api/reload_tablet`: a tablet's directory that stands below a shard becomes a tablet, without a restart.
//!
//! It is the adoption of the job API under Doris's name, so that a record or a header has to say what the files are, and
//! every byte of them is read before they are believed. It changes the node, on a GET: who may is asked as for a change.

use axum::Extension;
use axum::extract::{RawQuery, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get};

use super::require;
use super::restore::until_it_ends;
use crate::api::app::App;
use crate::api::caller::Caller;
use crate::api::calls::Touches;
use crate::api::query::Query;
use crate::engine::{Adopt, Older};
use crate::model::{SchemaHash, TabletId, quoted};

/// GET only: a HEAD would take the tablet in for whoever only looks.
pub(super) fn route() -> MethodRouter<App> {
    get(reload).head(only_get).fallback(only_get)
}

async fn only_get() -> Response {
    let allow = [(header::ALLOW, HeaderValue::from_static("GET"))];
    (StatusCode::METHOD_NOT_ALLOWED, allow, "use GET").into_response()
}

/// Takes the files of a tablet in, and answers when that is done.
#[utoipa::path(
    get,
    path = "/api/reload_tablet",
    operation_id = "reload_tablet",
    tag = "doris",
    params(
        ("path" = Option<String>, Query, description = "The shard: <disk>/data/<shard>"),
        ("tablet_id" = Option<String>, Query, description = "The tablet"),
        ("schema_hash" = Option<String>, Query, description = "Its schema"),
    ),
    responses(
        (status = 200, body = String, content_type = "text/plain", description = "Served: load header succeed"),
        (status = 400, body = String, content_type = "text/plain", description = "A parameter that is missing or no number"),
        (status = 500, body = String, content_type = "text/plain", description = "load header failed, and why"),
    )
)]
pub(super) async fn reload(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    RawQuery(raw): RawQuery,
) -> Response {
    let path = match read(&Query::parse(raw.as_deref())) {
        Ok(path) => path,
        Err(why) => return (StatusCode::BAD_REQUEST, why).into_response(),
    };
    caller.asks(format_args!("adopt {}", quoted(&path)));
    let requested_by = caller.to_string();
    let adopt = Adopt { path, header: None, to: None, older: Older::Leave, requested_by };
    let begun = app.try_ask(Touches::Disk, move |node| node.adopt(&adopt)).await;
    let done = match begun {
        Ok(operation) => until_it_ends(&app, operation).await,
        Err(failure) => Err(failure),
    };
    match done {
        Ok(()) => "load header succeed".into_response(),
        Err(failure) => {
            caller.was_refused(failure.code.as_str());
            let text = format!("load header failed: {}", failure.message);
            (StatusCode::INTERNAL_SERVER_ERROR, text).into_response()
        }
    }
}

/// The directory of the tablet. Doris reads the numbers with `stoll` and `stoi`; a tablet is worth an exact name.
fn read(query: &Query) -> Result<String, String> {
    require(query, &["path", "tablet_id", "schema_hash"])?;
    let no_number = |name: &str| format!("param format is invalid: {name} {}", quoted(query.first(name)));
    let id: TabletId = query.first("tablet_id").parse().map_err(|_| no_number("tablet_id"))?;
    let hash: SchemaHash = query.first("schema_hash").parse().map_err(|_| no_number("schema_hash"))?;
    Ok(format!("{}/{id}/{hash}", query.first("path").trim_end_matches('/')))
}
