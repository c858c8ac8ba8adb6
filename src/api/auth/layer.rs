//! The one way in: other sites and foreign names are refused, credentials compared, changes written down.

use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::{FromRequest as _, Request, State};
use axum::http::{HeaderMap, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use serde::Deserialize;

use super::Access;
use super::audit::{Audit, Line, Outcome};
use super::challenge;
use crate::access::{Asking, Caller as Known, Need, Refusal, changes_something, needed};
use crate::api::caller::{Address, Caller};
use crate::api::error::RefusedAs;
use crate::api::guard::{self, Hosts};
use crate::api::query::Query;
use crate::api::v1::body::not_whole;
use crate::api::wire::Timestamp;

/// Characters of a reason, or of a target, that are written down.
const TEXT_MAX: usize = 2_000;
/// What may be open to everybody by a key of its own: who collects metrics often cannot show credentials.
const METRICS_PATH: &str = "/metrics";
/// For calls whose body has no room for a reason.
const REASON_HEADER: &str = "x-reason";

/// The target of a request as the client sent it; Digest is computed over it.
#[derive(Debug, Clone)]
pub(in crate::api) struct Target(pub(in crate::api) String);

/// The layer around every route.
pub(in crate::api) async fn let_in(
    State((access, hosts)): State<(Access, Arc<Hosts>)>,
    mut request: Request,
    next: Next,
) -> Response {
    let extensions = request.extensions();
    let address = extensions.get::<Address>().copied().expect("every connection has its address");
    let target =
        extensions.get::<Target>().map_or_else(|| request.uri().to_string(), |target| target.0.clone());
    let now = Timestamp::now();
    let (mut need, changes) = what_it_is(&request);
    if access.open_metrics && request.uri().path() == METRICS_PATH && !changes {
        need = Need::Nothing;
    }
    let mut record = Record::new(access.audit.clone().filter(|_| changes), address, &request, &target, now);

    if let Some(problem) = guard::refusal(&request, &target, changes, &hosts) {
        return record.end(problem.into_response());
    }
    let authorization =
        request.headers().get(header::AUTHORIZATION).map(|value| value.to_str().unwrap_or(""));
    let asking = Asking {
        method: request.method().as_str(),
        target: &target,
        need,
        from_loopback: address.0.ip().to_canonical().is_loopback(),
        authorization,
        now_ms: now.0,
    };
    let known = match access.door.decide(&asking, &access.tokens.get(), &access.nonces) {
        Ok(known) => known,
        Err(refusal) => {
            if let Refusal::Forbidden { caller, .. } = &refusal {
                record.is_by(caller);
            }
            return record.end(challenge::refuse(&refusal, &access.nonces, now.0));
        }
    };
    record.is_by(&known);
    let caller = Caller::new(address, known.token);
    record.caller = Some(caller.clone());
    request.extensions_mut().insert(caller);
    if changes {
        request = match with_reason(request, &mut record).await {
            Ok(request) => request,
            Err(response) => return record.end(response),
        };
    }
    record.end(next.run(request).await)
}

fn what_it_is(request: &Request) -> (Need, bool) {
    let query = Query::parse(request.uri().query());
    let (method, path) = (request.method().as_str(), request.uri().path());
    (needed(method, path, query.all("goal")), changes_something(method, path, query.all("goal")))
}

/// Takes the reason out of the body, which goes on as it came.
async fn with_reason(request: Request, record: &mut Record) -> Result<Request, Response> {
    #[derive(Deserialize)]
    struct Reasoned {
        reason: Option<String>,
    }
    let (parts, body) = request.into_parts();
    record.line.reason = reason_in_head(&parts.headers);
    let whole = Bytes::from_request(Request::from_parts(parts.clone(), body), &()).await;
    let bytes = whole.map_err(|rejection| not_whole(&rejection).into_response())?;
    if let Ok(Reasoned { reason: Some(reason) }) = serde_json::from_slice(&bytes) {
        record.line.reason = Some(short(&reason));
    }
    Ok(Request::from_parts(parts, Body::from(bytes)))
}

fn reason_in_head(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(REASON_HEADER)?;
    Some(short(&String::from_utf8_lossy(value.as_bytes())))
}

fn short(text: &str) -> String {
    text.chars().take(TEXT_MAX).collect()
}

/// The line to be written. Written when dropped, so that a request nobody waits for any more is in the log too.
struct Record {
    audit: Option<Arc<Audit>>,
    line: Line,
    caller: Option<Caller>,
}

impl Record {
    fn new(
        audit: Option<Arc<Audit>>,
        address: Address,
        request: &Request,
        target: &str,
        time: Timestamp,
    ) -> Self {
        let line = Line {
            time,
            caller: address.0.to_string(),
            token: None,
            role: None,
            method: request.method().to_string(),
            target: short(target),
            reason: None,
            asked: Vec::new(),
            status: None,
            error_code: None,
            outcome: Outcome::GivenUp,
        };
        Self { audit, line, caller: None }
    }

    fn is_by(&mut self, known: &Known) {
        self.line.token.clone_from(&known.token);
        self.line.role = Some(known.role);
    }

    fn end(&mut self, response: Response) -> Response {
        let status = response.status();
        self.line.status = Some(status.as_u16());
        self.line.error_code = response.extensions().get::<RefusedAs>().map(|code| code.0.to_owned());
        // The Doris paths answer 200 whatever happens: there the handler said what became of it.
        let notes = self.caller.as_ref().map(Caller::notes).unwrap_or_default();
        self.line.outcome = match notes.refused {
            Some(code) => {
                self.line.error_code = Some(code.to_owned());
                Outcome::Refused
            }
            None if status.is_server_error() => Outcome::Failed,
            None if status.is_client_error() => Outcome::Refused,
            None => Outcome::Accepted,
        };
        response
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        let Some(audit) = &self.audit else { return };
        if let Some(caller) = &self.caller {
            self.line.asked = caller.notes().asked;
        }
        audit.write(&self.line);
    }
}
