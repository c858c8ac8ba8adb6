//! 401 and 403: what a caller is told who is not let in. Never repeats what was shown.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use serde_json::json;

use crate::access::{Nonces, REALM, Refusal};
use crate::api::error::Problem;

/// The refusal as an answer; a 401 offers every way to prove oneself, the strongest first.
pub(super) fn refuse(refusal: &Refusal, nonces: &Nonces, now_ms: i64) -> Response {
    match refusal {
        Refusal::Unproven { why, stale } => {
            let problem = Problem::of_http(StatusCode::UNAUTHORIZED, "UNAUTHENTICATED", *why)
                .hint("tabletctl token create makes a token; --token or TABLETD_TOKEN shows it");
            let mut response = problem.into_response();
            let nonce = nonces.issue(now_ms);
            let stale = if *stale { ", stale=true" } else { "" };
            for challenge in [
                format!(
                    "Digest realm=\"{REALM}\", qop=\"auth\", algorithm=SHA-256, nonce=\"{nonce}\"{stale}"
                ),
                format!("Basic realm=\"{REALM}\", charset=\"UTF-8\""),
                format!("Bearer realm=\"{REALM}\""),
            ] {
                let value = HeaderValue::try_from(challenge).expect("a challenge is visible ASCII");
                response.headers_mut().append(header::WWW_AUTHENTICATE, value);
            }
            response
        }
        Refusal::Forbidden { caller, needed } => {
            let name = caller.token.as_deref().unwrap_or("nobody");
            let text = format!("this needs the role {needed}; token {name} has the role {}", caller.role);
            Problem::of_http(StatusCode::FORBIDDEN, "FORBIDDEN", text)
                .hint("use a token of that role")
                .details(json!({ "role_needed": needed, "role": caller.role }))
                .into_response()
        }
    }
}
