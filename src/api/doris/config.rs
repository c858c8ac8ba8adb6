//! `/api/show_config` and `/api/update_config`.

use axum::Extension;
use axum::extract::{RawQuery, State};
use axum::http::StatusCode;
use axum::response::Response;

use super::json;
use super::rapid_json::{pretty_array, quoted, status_json};
use crate::api::app::App;
use crate::api::caller::Caller;
use crate::api::calls::Touches;
use crate::api::query::Query;
use crate::api::reload::follow_log_level;
use crate::config::{Mutability, ShownKey};
use crate::engine::Contract;
use crate::engine::Persistence;

/// `[["name","type","value","true"],…]`, the fourth saying whether it can be changed; all of them, or one.
#[utoipa::path(
    get,
    path = "/api/show_config",
    operation_id = "show_config",
    tag = "doris",
    params(
        ("conf_item" = Option<String>, Query, description = "Only this key"),
    ),
    responses((status = 200, body = serde_json::Value, description = "Name, type, value, whether it can be changed"))
)]
pub(super) async fn show(State(app): State<App>, RawQuery(raw): RawQuery) -> Response {
    let wanted = Query::parse(raw.as_deref()).first("conf_item").to_owned();
    match app.ask(Touches::Memory, <dyn Contract>::shown_config).await {
        Ok(keys) => {
            let rows: Vec<_> =
                keys.iter().filter(|key| wanted.is_empty() || key.name == wanted).map(row).collect();
            json(StatusCode::OK, format!("[{}]", rows.join(",")))
        }
        Err(failure) => {
            json(StatusCode::INTERNAL_SERVER_ERROR, status_json("INTERNAL_ERROR", &failure.message))
        }
    }
}

fn row(key: &ShownKey) -> String {
    let mutable = match key.mutability {
        Mutability::Mutable => "true",
        Mutability::Fixed => "false",
    };
    let cells = [key.name, key.type_name, &key.value, mutable].map(quoted);
    format!("[{}]", cells.join(","))
}

/// Sets every key given, in order; `persist=true` keeps them. One answer per key.
#[utoipa::path(
    post,
    path = "/api/update_config",
    operation_id = "update_config",
    tag = "doris",
    params(
        ("persist" = Option<String>, Query, description = "true keeps it in be_custom.conf"),
    ),
    responses((status = 200, body = serde_json::Value, description = "What became of each key"))
)]
pub(super) async fn update(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    RawQuery(raw): RawQuery,
) -> Response {
    let query = Query::parse(raw.as_deref());
    let persistence = match query.first("persist") {
        "true" => Persistence::Kept,
        _ => Persistence::UntilStop,
    };
    let mut answers = Vec::new();
    for (key, value) in query.firsts().into_iter().filter(|(key, _)| *key != "persist") {
        let until = match persistence {
            Persistence::Kept => "kept",
            Persistence::UntilStop => "until the daemon stops",
        };
        caller.asks(format_args!("set {key} to {} ({until})", crate::model::quoted(value)));
        let (name, text) = (key.to_owned(), value.to_owned());
        let set = app.ask(Touches::Disk, move |node| node.set_config(&name, &text, persistence)).await;
        // The answer is 200 either way.
        if !matches!(set, Ok(Ok(()))) {
            caller.was_refused("BAD");
        }
        let reason = match set {
            Ok(Ok(())) => {
                follow_log_level(key, value);
                None
            }
            Ok(Err(error)) => Some(error.to_string()),
            Err(failure) => Some(failure.message),
        };
        answers.push(match reason {
            None => (key, "OK", String::new()),
            Some(reason) => (key, "BAD", format!("set {key}={value} failed, reason: {reason}")),
        });
    }
    let objects: Vec<_> = answers
        .iter()
        .map(|(key, status, msg)| vec![("config_name", *key), ("status", *status), ("msg", msg.as_str())])
        .collect();
    json(StatusCode::OK, pretty_array(&objects))
}
