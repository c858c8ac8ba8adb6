//! The API as the page asks it: the same handlers and the same roles, without a socket in between. What the API would not
//! do for somebody the page cannot do either.

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::IntoResponse as _;
use serde::de::DeserializeOwned;
use tower::ServiceExt as _;

use super::auth::{Access, Cookie, Visitor};
use super::error::{Problem, RefusedAs};
use super::wire::{ErrorBody, Timestamp};
use crate::access::{Need, needed};

/// Bytes of an answer at most; lists are asked for by the page.
const ANSWER_MAX: usize = 64 << 20;

/// The API from within.
#[derive(Clone)]
pub struct Inside {
    routes: Router,
    access: Access,
    cookie: Cookie,
    has_doris_roots: bool,
}

/// Why there is no answer.
#[derive(Debug, Clone)]
pub struct Refused {
    pub status: StatusCode,
    /// What the API says.
    pub error: Box<ErrorBody>,
}

impl Inside {
    pub(super) const fn new(routes: Router, access: Access, cookie: Cookie, has_doris_roots: bool) -> Self {
        Self { routes, access, cookie, has_doris_roots }
    }

    /// Whether the node's roots are those of a Doris backend.
    pub const fn has_doris_roots(&self) -> bool {
        self.has_doris_roots
    }

    /// `GET target` as JSON.
    ///
    /// # Errors
    /// [`Refused`].
    pub async fn get<T: DeserializeOwned>(&self, visitor: &Visitor, target: &str) -> Result<T, Refused> {
        read(&self.ask(visitor, "GET", target, String::new()).await?)
    }

    /// `GET target` as text.
    ///
    /// # Errors
    /// [`Refused`].
    pub async fn text(&self, visitor: &Visitor, target: &str) -> Result<String, Refused> {
        let bytes = self.ask(visitor, "GET", target, String::new()).await?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// Any method, with a body of JSON.
    ///
    /// # Errors
    /// [`Refused`].
    pub async fn send<T: DeserializeOwned>(
        &self,
        visitor: &Visitor,
        method: &str,
        target: &str,
        body: &serde_json::Value,
    ) -> Result<T, Refused> {
        read(&self.ask(visitor, method, target, body.to_string()).await?)
    }

    async fn ask(
        &self,
        visitor: &Visitor,
        method: &str,
        target: &str,
        body: String,
    ) -> Result<Vec<u8>, Refused> {
        let mut request = Request::builder()
            .method(method)
            .uri(target)
            .header(header::CONTENT_TYPE, "application/json")
            .body(Body::from(body))
            .map_err(|error| Refused::here(StatusCode::BAD_REQUEST, "INVALID_ARGUMENT", error.to_string()))?;
        let need = needed(request.method().as_str(), request.uri().path(), std::iter::empty());
        if let Need::Role(role) = need
            && visitor.role < role
        {
            let text = format!("this needs the role {role}; yours is {}", visitor.role);
            return Err(Refused::here(StatusCode::FORBIDDEN, "FORBIDDEN", text));
        }
        request.extensions_mut().insert(visitor.caller.clone());
        let response = self.routes.clone().oneshot(request).await.unwrap_or_else(|never| match never {});
        let status = response.status();
        if let Some(code) = response.extensions().get::<RefusedAs>().filter(|_| method != "GET") {
            visitor.caller.was_refused(code.0);
        }
        if let Some(error) = response.extensions().get::<ErrorBody>().cloned() {
            return Err(Refused { status, error: Box::new(error) });
        }
        let bytes = to_bytes(response.into_body(), ANSWER_MAX).await;
        let bytes = bytes.map_err(|error| Refused::internal(error.to_string()))?;
        if status.is_client_error() || status.is_server_error() {
            let text = String::from_utf8_lossy(&bytes).into_owned();
            return Err(Refused::here(status, "NOT_FOUND", text));
        }
        Ok(bytes.into())
    }

    /// Signs `visitor` in with the secret of a token; the header tells its browser.
    ///
    /// # Errors
    /// Why not, in words that repeat no secret.
    pub fn sign_in(&self, visitor: &Visitor, secret: &str) -> Result<HeaderValue, &'static str> {
        self.access.sign_in(visitor, secret, &self.cookie, Timestamp::now().0)
    }

    /// Ends the sign-in of `visitor`; the header tells its browser.
    ///
    /// # Errors
    /// [`Refused`].
    pub fn sign_out(&self, visitor: &Visitor) -> Result<HeaderValue, Refused> {
        self.access.sign_out(visitor, &self.cookie).map_err(|error| Refused::internal(error.to_string()))
    }
}

impl Refused {
    fn here(status: StatusCode, code: &'static str, text: String) -> Self {
        let response = Problem::of_http(status, code, text).into_response();
        let error = response.extensions().get::<ErrorBody>().cloned().expect("a problem carries its body");
        Self { status, error: Box::new(error) }
    }

    fn internal(text: String) -> Self {
        Self::here(StatusCode::INTERNAL_SERVER_ERROR, "INTERNAL", text)
    }
}

fn read<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Refused> {
    // What answers with nothing (204) has nothing to be read.
    let bytes = if bytes.is_empty() { b"null" } else { bytes };
    serde_json::from_slice(bytes).map_err(|error| Refused::internal(error.to_string()))
}
