//! Every path in one place, and what surrounds all of them: limits, compression, a catch for panics.

use axum::Router;
use axum::extract::Request;
use axum::http::{StatusCode, Uri, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::compression::CompressionLayer;
use tower_http::limit::RequestBodyLimitLayer;

use super::app::App;
use super::error::Problem;
use super::server::Limits;
use super::{doris, guard, metrics, v1};

/// The service. Layers read from the bottom up: the last one meets a request first.
pub(super) fn build(app: App, limits: &Limits) -> Router {
    let request_timeout = limits.request_timeout;
    Router::new()
        .merge(doris::routes())
        .nest("/api/v1", v1::routes())
        .route("/metrics", get(metrics::show))
        .fallback(async || (StatusCode::NOT_FOUND, "Not Found"))
        .with_state(app)
        .layer(middleware::from_fn(guard::refuse_other_sites))
        .layer(RequestBodyLimitLayer::new(limits.body_bytes))
        .layer(middleware::from_fn(move |request: Request, next: Next| async move {
            tokio::time::timeout(request_timeout, next.run(request)).await.unwrap_or_else(|_| too_slow())
        }))
        .layer(CompressionLayer::new().gzip(true))
        .layer(middleware::map_response(explain_large_body))
        .layer(CatchPanicLayer::custom(|_| {
            let text = "the request failed inside; the daemon's log says where";
            Problem::of_http(StatusCode::INTERNAL_SERVER_ERROR, "INTERNAL", text).into_response()
        }))
}

/// Doris splits paths at `/` and forgets empty parts, so `//api//health/` is `/api/health`.
pub(super) fn normalize(uri: &mut Uri) {
    let path = uri.path();
    if !path.contains("//") && (path == "/" || !path.ends_with('/')) {
        return;
    }
    let parts: Vec<_> = path.split('/').filter(|part| !part.is_empty()).collect();
    let query = uri.query().map(|query| format!("?{query}")).unwrap_or_default();
    // A path that cannot be written again stays as it is, and is not found.
    if let Ok(normal) = format!("/{}{query}", parts.join("/")).parse() {
        *uri = normal;
    }
}

fn too_slow() -> Response {
    let text = "the request was not complete, or not answered, in time";
    let mut response = Problem::of_http(StatusCode::SERVICE_UNAVAILABLE, "TIMED_OUT", text).into_response();
    // The rest of the request may still be on its way.
    response.headers_mut().insert(header::CONNECTION, header::HeaderValue::from_static("close"));
    response
}

/// The limit on bodies answers in plain text; everything else here is JSON.
async fn explain_large_body(response: Response) -> Response {
    let is_json = response.headers().get(header::CONTENT_TYPE).is_some_and(|kind| kind == "application/json");
    if response.status() == StatusCode::PAYLOAD_TOO_LARGE && !is_json {
        return v1::body::too_large();
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_parts_of_a_path_do_not_count() {
        for (given, expected) in [
            ("/api/health", "/api/health"),
            ("//api//health/?a=//", "/api/health?a=//"),
            ("/", "/"),
            ("//", "/"),
            ("/metrics/", "/metrics"),
            ("/a%2F%2Fb", "/a%2F%2Fb"),
        ] {
            let mut uri: Uri = given.parse().unwrap();
            normalize(&mut uri);
            assert_eq!(uri, expected, "{given}");
        }
    }
}
