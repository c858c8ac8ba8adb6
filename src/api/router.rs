//! Every path in one place, and what surrounds all of them: limits, compression, a catch for panics.

use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use axum::http::{HeaderValue, StatusCode, Uri, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::compression::CompressionLayer;
use tower_http::limit::RequestBodyLimitLayer;

use super::app::App;
use super::auth::{self, Access};
use super::caller::Transport;
use super::error::Problem;
use super::guard::Hosts;
use super::inside::Inside;
use super::limits::Limits;
use super::{doris, metrics, v1};

/// What surrounds every route, beside the limits.
pub(super) struct Around {
    pub(super) access: Access,
    pub(super) hosts: Hosts,
    pub(super) transport: Transport,
    /// The page for people, and the port its cookies are named after.
    pub(super) page: Option<(MakePage, u16)>,
}

/// Makes the routes of the page, which asks the API from within.
pub type MakePage = fn(Inside) -> Router;

/// Paths of Doris's that answer when all is done, however long that takes.
const WAIT_FOR_THEIR_END: [&str; 2] = ["/api/restore_tablet", "/api/reload_tablet"];

/// The service. Layers read from the bottom up: the last one meets a request first.
pub(super) fn build(app: App, limits: &Limits, around: Around) -> Router {
    let has_doris_roots = app.node().has_doris_roots();
    let mut all = routes().with_state(app);
    if let Some((make, port)) = around.page {
        let cookie = auth::Cookie::new(port, around.transport);
        let inside = Inside::new(all.clone(), around.access.clone(), cookie, has_doris_roots);
        all = all.merge(make(inside));
    }
    surround(all, limits, around)
}

/// Any routes, behind the door and within the limits.
pub(super) fn surround(routes: Router, limits: &Limits, around: Around) -> Router {
    let request_timeout = limits.request_timeout;
    let Around { access, hosts, transport, page } = around;
    let cookie = page.map(|(_, port)| auth::Cookie::new(port, transport));
    let gate = auth::Doorway { access, hosts: Arc::new(hosts), cookie };
    routes
        .fallback(async || (StatusCode::NOT_FOUND, "Not Found"))
        .layer(middleware::from_fn_with_state(gate, auth::let_in))
        .layer(RequestBodyLimitLayer::new(limits.body_bytes))
        .layer(middleware::from_fn(move |request: Request, next: Next| async move {
            if WAIT_FOR_THEIR_END.contains(&request.uri().path()) {
                return next.run(request).await;
            }
            tokio::time::timeout(request_timeout, next.run(request)).await.unwrap_or_else(|_| too_slow())
        }))
        .layer(middleware::map_response(explain_large_body))
        .layer(CatchPanicLayer::custom(|_| {
            let text = "the request failed inside; the daemon's log says where";
            Problem::of_http(StatusCode::INTERNAL_SERVER_ERROR, "INTERNAL", text).into_response()
        }))
        .layer(middleware::from_fn(v1::shape))
        .layer(middleware::from_fn(doris::shape_refusal))
        .layer(middleware::map_response(move |response| async move { dress(response, transport) }))
        .layer(CompressionLayer::new().gzip(true))
}

/// Every path that is served.
#[cfg(test)]
pub(super) fn paths() -> Vec<String> {
    let below = v1::routes().paths.into_iter().map(|path| format!("{}{path}", v1::PREFIX));
    let doris = doris::routes().paths.into_iter().map(str::to_owned);
    below.chain(doris).chain(["/metrics".to_owned()]).collect()
}

fn routes() -> Router<App> {
    Router::new()
        .merge(doris::routes().router)
        .nest(v1::PREFIX, v1::router())
        .route("/metrics", get(metrics::show))
}

/// What every answer says to browsers and about the API.
fn dress(mut response: Response, transport: Transport) -> Response {
    let headers = response.headers_mut();
    headers.insert("x-api-version", HeaderValue::from_static(v1::VERSION));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    headers.entry(header::REFERRER_POLICY).or_insert(HeaderValue::from_static("no-referrer"));
    headers
        .entry(header::CONTENT_SECURITY_POLICY)
        .or_insert(HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'"));
    if transport == Transport::Tls {
        let year = HeaderValue::from_static("max-age=31536000");
        headers.insert(header::STRICT_TRANSPORT_SECURITY, year);
    }
    response
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
    response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
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
