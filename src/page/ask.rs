//! One request for a page: who asks, for what, and the API to ask for it.

use std::collections::BTreeMap;
use std::convert::Infallible;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use maud::{Markup, html};
use serde::de::DeserializeOwned;

use super::frame;
use super::view::View;
use crate::api::{Inside, Refused, Visitor};

/// A request.
pub(super) struct Ask {
    pub(super) visitor: Visitor,
    pub(super) inside: Inside,
    /// The parameters that say something.
    pub(super) query: BTreeMap<String, String>,
    /// Path and query, to come back to.
    pub(super) here: String,
}

impl FromRequestParts<Inside> for Ask {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, inside: &Inside) -> Result<Self, Infallible> {
        let visitor = parts.extensions.get::<Visitor>().cloned().expect("the layer says who visits the page");
        let query = axum::extract::Query::<Vec<(String, String)>>::try_from_uri(&parts.uri);
        let query = query.map(|query| query.0).unwrap_or_default();
        let query = query.into_iter().filter(|(_, value)| !value.trim().is_empty());
        let here = parts.uri.path_and_query().map_or("/", |target| target.as_str()).to_owned();
        Ok(Self { visitor, inside: inside.clone(), query: query.collect(), here })
    }
}

impl Ask {
    /// Asks the API.
    ///
    /// # Errors
    /// [`Refused`].
    pub(super) async fn get<T: DeserializeOwned>(&self, target: &str) -> Result<T, Refused> {
        self.inside.get(&self.visitor, target).await
    }

    /// A parameter.
    pub(super) fn parameter(&self, name: &str) -> Option<&str> {
        self.query.get(name).map(String::as_str)
    }

    /// What was asked for has been accepted; the word comes from the address, so that only words are shown.
    pub(super) fn done(&self) -> Markup {
        let is_word = |word: &&str| {
            word.len() < 30 && word.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')
        };
        let word = self.parameter("done").filter(is_word);
        html! { @if let Some(word) = word { p.done role="status" { "Accepted: " (word.replace('_', " ")) } } }
    }

    /// The page, or what is wrong in words.
    pub(super) fn answer(&self, view: Result<View, Refused>) -> Response {
        match view {
            Ok(view) => self.html(StatusCode::OK, &view),
            Err(refused) => self.html(refused.status, &frame::trouble(&refused)),
        }
    }

    /// The page with another status.
    pub(super) fn html(&self, status: StatusCode, view: &View) -> Response {
        let headers = [
            (header::CONTENT_SECURITY_POLICY, frame::POLICY),
            // With `no-referrer` a browser sends our own forms as if they came from nowhere.
            (header::REFERRER_POLICY, "same-origin"),
            // What is shown is of this moment and of this visitor.
            (header::CACHE_CONTROL, "no-store"),
        ];
        (status, headers, frame::around(&self.visitor, &self.here, self.inside.has_doris_roots(), view))
            .into_response()
    }
}
