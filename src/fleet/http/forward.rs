//! Passes on what another process has to do: changes to whoever leads, and a process's own end to that process. Reads are
//! answered here, from what this process has read of the store.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::ask;
use crate::api::kit::Problem;
use crate::fleet::desk::Desk;
use crate::fleet::refusal::Refusal;

/// Said by whoever passes on, so that nothing goes in a circle.
const PASSED_ON: &str = "x-tabletfleet-passed-on";
/// Longer than a plan over many members takes.
const DEADLINE: Duration = Duration::from_secs(50);
const BODY_BYTES_MAX: usize = 16 << 20;
/// What goes along: who asks, why, and what.
const TAKEN_ALONG: [&str; 6] =
    ["authorization", "content-type", "accept", "x-reason", "x-request-id", "idempotency-key"];

/// The layer.
pub(super) async fn pass_on(State(desk): State<Arc<Desk>>, request: Request, next: Next) -> Response {
    let only_reads = matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS);
    if only_reads || request.headers().contains_key(PASSED_ON) {
        return next.run(request).await;
    }
    let path = request.uri().path().to_owned();
    match ask(&desk, move |desk| Ok(target(desk, &path))).await {
        Ok(None) => next.run(request).await,
        Ok(Some(address)) => send(&desk, address, request).await.unwrap_or_else(IntoResponse::into_response),
        Err(problem) => problem.into_response(),
    }
}

/// Who else has to do it.
fn target(desk: &Desk, path: &str) -> Option<String> {
    let named = ["/api/v1/cluster/masters/", "/api/v1/cluster/workers/"];
    if let Some(name) = named.iter().find_map(|prefix| path.strip_prefix(prefix)) {
        let all = desk.store().processes().unwrap_or_default();
        let other =
            all.into_iter().find(|process| process.name == name && process.name != desk.process().name);
        return other.map(|process| process.addr);
    }
    let leader = desk.leader().filter(|leader| leader.process.name != desk.process().name)?;
    Some(leader.process.addr)
}

async fn send(desk: &Arc<Desk>, address: String, request: Request) -> Result<Response, Problem> {
    let (parts, body) = request.into_parts();
    let too_large = |_| Refusal::invalid("the body did not arrive whole");
    let bytes = to_bytes(body, BODY_BYTES_MAX).await.map_err(too_large)?;
    let path = parts.uri.path_and_query().map_or("/", |path| path.as_str()).to_owned();
    let called = move |_: &Desk| {
        let url = format!("http://{address}{path}");
        call(&url, &parts.method, &parts.headers, bytes.to_vec()).map_err(|why| {
            let text = format!(
                "it was passed on to {address}, which did not answer, so that it may have been done or not: {why}"
            );
            Refusal::new(503, "OUTCOME_UNKNOWN", text)
        })
    };
    let (status, kind, body) = ask(desk, called).await?;
    let mut response = (status, body).into_response();
    if let Some(kind) = kind {
        response.headers_mut().insert(header::CONTENT_TYPE, kind);
    }
    Ok(response)
}

type Answered = (StatusCode, Option<HeaderValue>, Body);

fn call(url: &str, method: &Method, headers: &HeaderMap, body: Vec<u8>) -> Result<Answered, String> {
    let agent = ureq::Agent::config_builder()
        .http_status_as_error(false)
        .timeout_global(Some(DEADLINE))
        .proxy(None)
        .max_redirects(0);
    let agent: ureq::Agent = agent.build().into();
    let mut request =
        ureq::http::Request::builder().method(method.as_str()).uri(url).header(PASSED_ON, "yes");
    for name in TAKEN_ALONG {
        request = headers.get_all(name).iter().fold(request, |request, value| request.header(name, value));
    }
    let bad = |error: ureq::http::Error| error.to_string();
    let sent = match *method == Method::DELETE {
        true => agent.run(request.body(()).map_err(bad)?),
        false => agent.run(request.body(body).map_err(bad)?),
    };
    let mut answer = sent.map_err(|error| error.to_string())?;
    let kind = answer.headers().get(header::CONTENT_TYPE).cloned();
    let bytes = answer.body_mut().read_to_vec().map_err(|error| error.to_string())?;
    Ok((answer.status(), kind, Body::from(bytes)))
}
