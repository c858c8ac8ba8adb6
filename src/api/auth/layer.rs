//! The one way in: other sites and foreign names are refused, credentials compared, changes written down.

use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::{FromRequest as _, Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use serde::Deserialize;
use uuid::Uuid;

use super::Access;
use super::audit::{Audit, Line, RequestEnd};
use super::challenge;
use super::visitor::{Cookie, SignIn, Visitor};
use crate::access::{
    Admitted as Known, Asking, Need, Refusal, SessionId, Token, changes_something, is_drawing, is_page,
    needed, takes_session,
};
use crate::api::caller::{Address, Caller};
use crate::api::error::{Problem, RefusedAs};
use crate::api::guard::{self, Hosts};
use crate::api::query::Query;
use crate::api::v1::body::not_whole;
use crate::api::wire::Timestamp;

/// Characters of a reason, or of a target, that are written down.
const TEXT_MAX: usize = 2_000;
/// What may be open to everybody by a key of its own: who collects metrics often cannot show credentials.
const METRICS_PATH: &str = "/metrics";
/// What a form of the page is sent as, and its field for a reason.
const FORM: &str = "application/x-www-form-urlencoded";
const REASON_FIELD: &str = "text:reason";
/// For calls whose body has no room for a reason.
const REASON_HEADER: &str = "x-reason";

/// What ties an answer to the lines about it in the log and in the audit log; a client may bring its own.
const REQUEST_ID_HEADER: &str = "x-request-id";

/// The target of a request as the client sent it; Digest is computed over it.
#[derive(Debug, Clone)]
pub(in crate::api) struct RequestTarget(pub(in crate::api) String);

/// What the layer goes by.
#[derive(Clone)]
pub(in crate::api) struct Doorway {
    pub(in crate::api) access: Access,
    pub(in crate::api) hosts: Arc<Hosts>,
    /// How browsers are known again; none where no page is served.
    pub(in crate::api) cookie: Option<Cookie>,
}

/// The layer around every route.
pub(in crate::api) async fn let_in(
    State(Doorway { access, hosts, cookie }): State<Doorway>,
    mut request: Request,
    next: Next,
) -> Response {
    let asked = Asked::of(&request, access.open_metrics);
    let mut record = Record::new(access.audit.clone().filter(|_| asked.changes), &asked, &request);

    // First of all: what a page of another site has sent is refused whatever its credentials are.
    if let Some(problem) = guard::refusal(&request, &asked.target, asked.changes, &hosts) {
        return record.end(problem.into_response());
    }
    let tokens = access.tokens.get();
    let browser = Browser::of(&request, cookie.as_ref().filter(|_| asked.authorization.is_none()));
    let shown = browser
        .id
        .as_ref()
        .filter(|_| browser.cookie.is_some_and(|cookie| cookie.is_private(asked.from_loopback)));
    let signed_in = shown.and_then(|id| access.signed_in(id, &tokens, asked.at.0));
    let known = match access.door.decide(&asked.at_door(&request, signed_in), &tokens, &access.nonces) {
        Ok(known) => known,
        Err(Refusal::Unproven { .. }) if browser.page && cookie.is_some() => {
            return record.end_with(StatusCode::UNAUTHORIZED, to_sign_in());
        }
        Err(refusal) => {
            if let Refusal::Forbidden { caller, .. } = &refusal {
                record.is_by(caller);
            }
            return record.end(challenge::refuse(&refusal, &access.nonces, asked.at.0));
        }
    };
    record.is_by(&known);
    record.line.reason = reason_in_head(request.headers());
    let reason = record.line.reason.clone();
    let caller = Caller::new(asked.address, &record.line.request_id, known.token.clone(), reason);
    record.caller = Some(caller.clone());
    request.extensions_mut().insert(caller.clone());
    // Not before: of who is not let in no body is read.
    if asked.changes {
        let must_prove = cookie.is_some() && (browser.page || browser.id.is_some());
        request = match read_change(request, &mut record, &access, must_prove.then_some(&browser)).await {
            Ok(whole) => whole,
            Err(response) => return record.end(response),
        };
    }
    let Some(cookie) = cookie.as_ref().filter(|_| browser.page) else {
        return record.end(next.run(request).await);
    };
    let entry = SignIn::of(signed_in.is_some(), tokens.exist(), cookie.is_private(asked.from_loopback));
    let (id, set_cookie) = match access.known_or_new(browser.id, cookie) {
        Ok(known) => known,
        Err(error) => return record.end(no_randomness(&error)),
    };
    let (csrf, origin) = (access.proof(&id), cookie.origin(request.headers()));
    let visitor = Visitor { token: known.token, role: known.role, csrf, entry, origin, id, caller };
    request.extensions_mut().insert(visitor);
    let mut response = next.run(request).await;
    // Whoever signs in or out is given another number by that.
    if let Some(set) = set_cookie.filter(|_| !browser.draws) {
        response.headers_mut().entry(header::SET_COOKIE).or_insert(set);
    }
    record.end(response)
}

/// What a request shows before anybody is asked who has sent it.
struct Asked {
    at: Timestamp,
    address: Address,
    from_loopback: bool,
    /// As the client sent it.
    target: String,
    need: Need,
    changes: bool,
    authorization: Option<String>,
}

impl Asked {
    fn of(request: &Request, open_metrics: bool) -> Self {
        let extensions = request.extensions();
        let address = extensions.get::<Address>().copied().expect("every connection has its address");
        let target = extensions.get::<RequestTarget>();
        let target = target.map_or_else(|| request.uri().to_string(), |target| target.0.clone());
        let authorization = request.headers().get(header::AUTHORIZATION);
        let (need, changes) = what_it_is(request, open_metrics);
        Self {
            at: Timestamp::now(),
            address,
            from_loopback: address.0.ip().to_canonical().is_loopback(),
            target,
            need,
            changes,
            authorization: authorization.map(|value| value.to_str().unwrap_or("").to_owned()),
        }
    }

    fn at_door<'a>(&'a self, request: &'a Request, signed_in: Option<&'a Token>) -> Asking<'a> {
        Asking {
            method: request.method().as_str(),
            target: &self.target,
            need: self.need,
            from_loopback: self.from_loopback,
            authorization: self.authorization.as_deref(),
            signed_in,
            now_ms: self.at.0,
        }
    }
}

/// Reads a change whole and writes its reason down. One of a browser has to show that it comes from our page.
async fn read_change(
    request: Request,
    record: &mut Record,
    access: &Access,
    of_page: Option<&Browser<'_>>,
) -> Result<Request, Response> {
    let (whole, form) = with_reason(request, record).await?;
    match of_page {
        Some(browser) if !access.is_proven(browser.id.as_ref(), whole.headers(), &form) => {
            Err(not_from_our_page())
        }
        _ => Ok(whole),
    }
}

/// What a request shows of a browser.
struct Browser<'a> {
    page: bool,
    draws: bool,
    cookie: Option<&'a Cookie>,
    id: Option<SessionId>,
}

impl<'a> Browser<'a> {
    fn of(request: &Request, cookie: Option<&'a Cookie>) -> Self {
        let path = request.uri().path();
        let cookie = cookie.filter(|_| takes_session(path));
        let id = cookie.and_then(|cookie| cookie.read(request.headers()));
        Self { page: is_page(path), draws: is_drawing(path), cookie, id }
    }
}

fn to_sign_in() -> Response {
    (StatusCode::SEE_OTHER, [(header::LOCATION, HeaderValue::from_static("/ui/sign-in"))]).into_response()
}

fn not_from_our_page() -> Response {
    let text = "the request does not show that it comes from this service's own page; load the page again";
    Problem::of_http(StatusCode::FORBIDDEN, "CROSS_SITE", text).into_response()
}

fn no_randomness(error: &std::io::Error) -> Response {
    let text = format!("there is no randomness to be had: {error}");
    Problem::of_http(StatusCode::INTERNAL_SERVER_ERROR, "INTERNAL", text).into_response()
}

/// What a request needs, and whether it changes something.
fn what_it_is(request: &Request, open_metrics: bool) -> (Need, bool) {
    let query = Query::parse(request.uri().query());
    let (method, path) = (request.method().as_str(), request.uri().path());
    let changes = changes_something(method, path, query.all("goal"));
    let is_open = open_metrics && path == METRICS_PATH && !changes;
    let need = if is_open { Need::Nothing } else { needed(method, path, query.all("goal")) };
    (need, changes)
}

/// Takes the reason out of the body, which goes on as it came; also the body as text, where it is a form.
async fn with_reason(request: Request, record: &mut Record) -> Result<(Request, String), Response> {
    #[derive(Deserialize)]
    struct Reasoned {
        reason: Option<String>,
    }
    let (parts, body) = request.into_parts();
    let whole = Bytes::from_request(Request::from_parts(parts.clone(), body), &()).await;
    let bytes = whole.map_err(|rejection| not_whole(&rejection).into_response())?;
    let kind = parts.headers.get(header::CONTENT_TYPE).map(HeaderValue::as_bytes);
    let mut form = String::new();
    if kind.is_some_and(|kind| kind.starts_with(FORM.as_bytes())) {
        form = String::from_utf8_lossy(&bytes).into_owned();
        let reason = Query::parse(Some(&form)).first(REASON_FIELD).to_owned();
        record.line.reason = record.line.reason.take().or((!reason.is_empty()).then(|| short(&reason)));
    } else if let Ok(Reasoned { reason: Some(reason) }) = serde_json::from_slice(&bytes) {
        record.line.reason = Some(short(&reason));
    }
    Ok((Request::from_parts(parts, Body::from(bytes)), form))
}

fn reason_in_head(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(REASON_HEADER)?;
    Some(short(&String::from_utf8_lossy(value.as_bytes())))
}

/// The caller's own, where it can stand in a log as it is; else a new one.
fn request_id(headers: &HeaderMap) -> String {
    const LONGEST: usize = 64;
    let plain = |text: &str| {
        let harmless = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:/".contains(&byte);
        !text.is_empty() && text.len() <= LONGEST && text.bytes().all(harmless)
    };
    let theirs = headers.get(REQUEST_ID_HEADER).and_then(|value| value.to_str().ok());
    theirs.filter(|text| plain(text)).map_or_else(|| Uuid::new_v4().to_string(), str::to_owned)
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
    fn new(audit: Option<Arc<Audit>>, asked: &Asked, request: &Request) -> Self {
        let line = Line {
            time: asked.at,
            request_id: request_id(request.headers()),
            caller: asked.address.0.to_string(),
            token: None,
            role: None,
            method: request.method().to_string(),
            target: short(&asked.target),
            reason: None,
            asked: Vec::new(),
            status: None,
            error_code: None,
            outcome: RequestEnd::GivenUp,
        };
        Self { audit, line, caller: None }
    }

    fn is_by(&mut self, known: &Known) {
        self.line.token.clone_from(&known.token);
        self.line.role = Some(known.role);
    }

    /// As [`Self::end`], where a browser is told something else than the log.
    fn end_with(&mut self, status: StatusCode, response: Response) -> Response {
        self.end(status.into_response());
        self.named(response)
    }

    fn named(&self, mut response: Response) -> Response {
        if let Ok(id) = HeaderValue::from_str(&self.line.request_id) {
            response.headers_mut().insert(REQUEST_ID_HEADER, id);
        }
        response
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
                RequestEnd::Refused
            }
            None if status.is_server_error() => RequestEnd::Failed,
            None if status.is_client_error() => RequestEnd::Refused,
            None => RequestEnd::Accepted,
        };
        self.named(response)
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
