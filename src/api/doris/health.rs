//! `/api/health` and `/api/be_version_info`. Neither waits for anything.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;

use super::json;
use super::rapid_json::quoted;
use crate::api::app::App;

/// Doris's answer, byte for byte, on a good day; it says no more than that the process answers.
const HEALTHY: &str = r#"{"status": "OK","msg": "To Be Added"}"#;

/// What is said over the roots of a Doris backend.
const MAINTENANCE: &str =
    "the Doris backend is stopped and tabletd has its roots; stop tabletd before the backend starts";

/// Whether the process answers. It is `OK` as long as tablets are served; `msg` says so when nothing can be accepted, or
/// when this start found the journal damaged. While no disk can be read it is 503, since nothing is served. Over the roots of a
/// stopped backend it is 503 as well: nobody may take the node for that backend.
#[utoipa::path(
    get,
    path = "/api/health",
    operation_id = "health",
    tag = "doris",
    responses(
        (status = 200, body = serde_json::Value, description = "The process answers"),
        (status = 503, body = serde_json::Value, description = "maintenance: it works on the roots of a stopped backend; \
            no_disk: none can be read, and nothing is served"),
    )
)]
pub(super) async fn health(State(app): State<App>) -> Response {
    let node = app.node();
    if node.has_doris_roots() {
        let about = node.journal_trouble().unwrap_or_else(|| MAINTENANCE.to_owned());
        return json(StatusCode::SERVICE_UNAVAILABLE, answer("maintenance", &about));
    }
    if let Some(why) = node.nothing_is_served() {
        return json(StatusCode::SERVICE_UNAVAILABLE, answer("no_disk", &why));
    }
    let body = node.journal_trouble().map_or_else(|| HEALTHY.to_owned(), |trouble| answer("OK", &trouble));
    json(StatusCode::OK, body)
}

fn answer(status: &str, about: &str) -> String {
    format!("{{\"status\": \"{status}\",\"msg\": {}}}", quoted(about))
}

/// Which release this is, in the form of Doris.
#[utoipa::path(
    get,
    path = "/api/be_version_info",
    operation_id = "be_version_info",
    tag = "doris",
    responses((status = 200, body = serde_json::Value, description = "Which release this is"))
)]
pub(super) async fn version() -> Response {
    let version = serde_json::json!(env!("CARGO_PKG_VERSION"));
    let [major, minor, patch] =
        [env!("CARGO_PKG_VERSION_MAJOR"), env!("CARGO_PKG_VERSION_MINOR"), env!("CARGO_PKG_VERSION_PATCH")];
    let body = format!(
        "{{\"msg\":\"success\",\"code\":0,\"data\":{{\"beVersionInfo\":{{\
         \"dorisBuildVersionPrefix\":\"tabletd\",\"dorisBuildVersionMajor\":{major},\
         \"dorisBuildVersionMinor\":{minor},\"dorisBuildVersionPatch\":{patch},\"dorisBuildVersionRcVersion\":\"\",\
         \"dorisBuildVersion\":{version},\"dorisBuildHash\":\"\",\"dorisBuildShortHash\":\"\",\
         \"dorisBuildTime\":\"\",\"dorisBuildInfo\":\"\"}}}},\"count\":0}}"
    );
    json(StatusCode::OK, body)
}
