//! The fleet's API: `/api/v1` on port 8240, with the daemon's own door, shapes and limits.
//!
//! A handler turns a request into one call of the [`Desk`] and its answer into JSON; nothing is decided here.

mod campaigns;
mod cluster;
mod describe;
mod forward;
mod report;
mod sources;

use std::sync::Arc;

use axum::Router;
use axum::http::{HeaderMap, StatusCode};
use axum::middleware;
use axum::routing::{MethodRouter, get, post};

pub use describe::document;

use super::desk::Desk;
use super::refusal::Refusal;
use super::sources::By;
use crate::api::kit::{Caller, Problem};

const PREFIX: &str = "/api/v1";

/// Every path below the prefix.
fn table() -> Vec<(&'static str, MethodRouter<Arc<Desk>>)> {
    vec![
        ("/cluster/masters", get(cluster::masters)),
        ("/cluster/masters/{name}", axum::routing::delete(cluster::remove_master)),
        ("/cluster/workers", get(cluster::workers)),
        ("/cluster/workers/{name}", axum::routing::delete(cluster::remove_worker)),
        ("/cluster/info", get(cluster::info).put(cluster::update_info)),
        ("/cluster/transfer", post(cluster::transfer)),
        ("/sources", get(sources::list).post(sources::create)),
        ("/sources/{name}", get(sources::show).put(sources::update).delete(sources::remove)),
        ("/sources/{name}/status", get(sources::status)),
        ("/sources/{name}/enable", post(sources::enable)),
        ("/sources/{name}/disable", post(sources::disable)),
        ("/sources/{name}/transfer", post(cluster::transfer_source)),
        ("/disks", get(sources::disks)),
        ("/campaigns", get(campaigns::list).post(campaigns::create)),
        ("/campaigns/{id}", get(campaigns::show).patch(campaigns::update).delete(campaigns::delete)),
        ("/campaigns/{id}/action", post(campaigns::act)),
        ("/campaigns/{id}/sources", get(campaigns::sources)),
        ("/report", get(report::report)),
        ("/audit", get(cluster::audit)),
        ("/openapi.json", get(describe::json)),
    ]
}

/// Everything that is served.
pub fn routes(desk: Arc<Desk>) -> Router {
    let mut below = Router::new();
    for (path, methods) in table() {
        below = below.route(path, methods);
    }
    let below = below
        .method_not_allowed_fallback(async || {
            let text = "this path does not answer that method; the header Allow says which it does";
            Problem::of_http(StatusCode::METHOD_NOT_ALLOWED, "METHOD_NOT_ALLOWED", text)
        })
        .fallback(async || {
            Problem::of_http(StatusCode::NOT_FOUND, "NOT_FOUND", "no such path below /api/v1")
        });
    Router::new()
        .route("/api/health", get(cluster::health))
        .route("/metrics", get(report::metrics))
        .nest(PREFIX, below)
        .layer(middleware::from_fn_with_state(Arc::clone(&desk), forward::pass_on))
        .with_state(desk)
}

/// Asks the desk on a thread that may wait.
async fn ask<T: Send + 'static>(
    desk: &Arc<Desk>,
    call: impl FnOnce(&Desk) -> Result<T, Refusal> + Send + 'static,
) -> Result<T, Problem> {
    let desk = Arc::clone(desk);
    match tokio::task::spawn_blocking(move || call(&desk)).await {
        Ok(answer) => Ok(answer?),
        Err(_) => {
            let text = "the request failed inside; the log says where";
            Err(Problem::of_http(StatusCode::INTERNAL_SERVER_ERROR, "INTERNAL", text))
        }
    }
}

/// Who asks and why; the audit of the fleet has both.
fn by(caller: &Caller, given: &str, headers: &HeaderMap) -> By {
    let in_head = headers.get("x-reason").map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
    let why = if given.is_empty() { in_head.unwrap_or_default() } else { given.to_owned() };
    By { who: caller.to_string(), why: crate::model::cut(why) }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        let status = StatusCode::from_u16(refusal.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let problem = Self::of_http(status, refusal.code, refusal.message);
        match refusal.hint {
            Some(hint) => problem.hint(hint),
            None => problem,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_document_has_every_path_and_no_other() {
        let document = document();
        let described: std::collections::BTreeSet<_> =
            document["paths"].as_object().unwrap().keys().cloned().collect();
        let served = table().into_iter().map(|(path, _)| format!("{PREFIX}{path}"));
        let served: std::collections::BTreeSet<_> =
            served.chain(["/api/health".to_owned(), "/metrics".to_owned()]).collect();
        assert_eq!(described, served);
    }
}
