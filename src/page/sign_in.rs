//! Signing in with a token, and out again. The token is looked at once and kept nowhere; what the browser holds from then
//! on is a number of this process's own.

use axum::Form;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use maud::html;
use serde::Deserialize;

use super::ask::Ask;
use super::frame;
use super::view::{Section, View};
use crate::api::SignIn;

#[derive(Deserialize)]
pub(super) struct Shown {
    #[serde(default)]
    token: String,
}

/// `GET /ui/sign-in`.
pub(super) async fn show(ask: Ask) -> Response {
    ask.html(StatusCode::OK, &view(&ask, None))
}

/// `POST /ui/sign-in`.
pub(super) async fn enter(ask: Ask, Form(Shown { token }): Form<Shown>) -> Response {
    match ask.inside.sign_in(&ask.visitor, token.trim()) {
        Ok(cookie) => go_to("/", cookie),
        Err(why) => ask.html(StatusCode::UNAUTHORIZED, &view(&ask, Some(why))),
    }
}

/// `POST /ui/sign-out`.
pub(super) async fn leave(ask: Ask) -> Response {
    match ask.inside.sign_out(&ask.visitor) {
        Ok(cookie) => go_to("/ui/sign-in", cookie),
        Err(refused) => ask.html(refused.status, &frame::trouble(&refused)),
    }
}

fn go_to(path: &'static str, cookie: HeaderValue) -> Response {
    let place = HeaderValue::from_static(path);
    (StatusCode::SEE_OTHER, [(header::LOCATION, place), (header::SET_COOKIE, cookie)]).into_response()
}

fn view(ask: &Ask, refused: Option<&str>) -> View {
    let body = html! {
        @if let Some(why) = refused { p.trouble role="alert" { "Not signed in: " (why) "." } }
        @match ask.visitor.entry {
            SignIn::NotPrivate => {
                p { "This connection is plain HTTP and comes from another host: a token sent over it could be read on the way." }
                p { "Give the daemon a certificate (" code { "tls_certificate_file" } " in be.conf), or come through " code { "ssh -L 8040:127.0.0.1:8040" } "." }
            }
            SignIn::NoTokens => p {
                "No token exists on this node. " code { "tabletctl token create NAME --role operator" } " makes one."
            },
            SignIn::Possible | SignIn::Done => {
                form.sheet method="post" action="/ui/sign-in" {
                    input type="hidden" name="csrf" value=(ask.visitor.csrf);
                    label for="token" { "Token" }
                    input id="token" name="token" type="password" autocomplete="off" required spellcheck="false" autofocus;
                    button type="submit" { "Sign in" }
                }
                p { "A sign-in ends after an hour without a request, after twelve hours, and with its token." }
            }
        }
    };
    View { title: "Sign in".to_owned(), section: Section::Elsewhere, body }
}
