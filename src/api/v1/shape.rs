//! `pretty=true` and `envelope=true`, on every path and on errors: the answer is made as usual and then laid out anew.
//!
//! `envelope` is for clients that see neither status nor headers: a single result becomes `{"status", "envelope"}`, a
//! list keeps its form and gains `status`. `envelope=content` names the second field `content`, as MongoDB's later APIs do.
//! The HTTP status stays, but for 204, which becomes 200.

use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::http::{HeaderValue, StatusCode, Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use serde::Serialize;

use super::super::error::Problem;
use super::super::query::{Query, invalid};
use super::super::wire::List;
use super::PREFIX;
use crate::model::{Failure, quoted};

/// Marks an answer that is a list.
#[derive(Debug, Clone, Copy)]
struct IsList;

/// One page of a list of `total`.
pub fn page<T: Serialize>(total: u64, data: Vec<T>) -> impl IntoResponse {
    (Extension(IsList), Json(List { total, data }))
}

/// A list that says more than its rows.
pub(super) fn list<T: Serialize>(list: T) -> impl IntoResponse {
    (Extension(IsList), Json(list))
}

/// A list that is all on one page.
pub fn whole<T: Serialize>(data: Vec<T>) -> impl IntoResponse {
    page(u64::try_from(data.len()).unwrap_or(u64::MAX), data)
}

/// Of a request that changes nothing yet, for the log.
pub(super) const fn only_look(dry_run: bool) -> &'static str {
    if dry_run { " (a dry run)" } else { "" }
}

const SWITCHES: [&str; 2] = ["pretty", "envelope"];

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Shape {
    layout: Layout,
    wrap: Wrap,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Layout {
    #[default]
    Compact,
    Pretty,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Wrap {
    #[default]
    Bare,
    Envelope,
    Content,
}

/// The layer: takes its two parameters out of the query, so that handlers need not know them.
pub(in crate::api) async fn shape(mut request: Request, next: Next) -> Response {
    if !request.uri().path().starts_with(PREFIX) {
        return next.run(request).await;
    }
    let shape = match take_switches(request.uri_mut()) {
        Ok(shape) => shape,
        Err(failure) => return Problem::from(failure).into_response(),
    };
    let response = next.run(request).await;
    let kind = response.headers().get(header::CONTENT_TYPE);
    let is_json = kind.is_none_or(|kind| kind.as_bytes().starts_with(b"application/json"));
    // A page, or a stream of events, is no result that could be wrapped.
    if shape == Shape::default() || !is_json {
        return response;
    }
    lay_out(response, shape).await
}

fn take_switches(uri: &mut Uri) -> Result<Shape, Failure> {
    let Some(query) = uri.query() else { return Ok(Shape::default()) };
    let is_switch = |pair: &&str| SWITCHES.contains(&pair.split('=').next().unwrap_or(""));
    let (switches, rest): (Vec<_>, Vec<_>) = query.split('&').partition(is_switch);
    let given = Query::parse(Some(&switches.join("&"))).strict(&SWITCHES)?;
    let is_on = |name| match given.text(name) {
        None | Some("false") => Ok(false),
        Some("true") => Ok(true),
        Some(other) => Err(invalid(format!("parameter {name} must be true or false, got {}", quoted(other)))),
    };
    let shape = Shape {
        layout: if is_on("pretty")? { Layout::Pretty } else { Layout::Compact },
        wrap: match given.text("envelope") {
            Some("content") => Wrap::Content,
            _ if is_on("envelope")? => Wrap::Envelope,
            _ => Wrap::Bare,
        },
    };
    let path = uri.path();
    let stripped = if rest.is_empty() { path.to_owned() } else { format!("{path}?{}", rest.join("&")) };
    *uri = stripped.parse().map_err(|_| invalid("the query string cannot be read"))?;
    Ok(shape)
}

async fn lay_out(response: Response, shape: Shape) -> Response {
    let (mut parts, body) = response.into_parts();
    // Our own answers; their size is what the node made it.
    let Ok(bytes) = to_bytes(body, usize::MAX).await else {
        return Problem::from(Failure::new(crate::model::ErrorCode::Internal, "the answer was lost"))
            .into_response();
    };
    let Ok(text) = String::from_utf8(bytes.into()) else {
        return Problem::from(Failure::new(crate::model::ErrorCode::Internal, "the answer is no text"))
            .into_response();
    };
    let status = parts.status.as_u16();
    let text = if text.is_empty() && shape.wrap != Wrap::Bare {
        // 204 has no room for an envelope.
        parts.status = StatusCode::OK;
        parts.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        "null".to_owned()
    } else {
        text
    };
    let text = match (shape.wrap, parts.extensions.get::<IsList>(), text.strip_prefix('{')) {
        (Wrap::Bare, _, _) => text,
        (_, Some(IsList), Some(rest)) => format!("{{\"status\":{status},{rest}"),
        (Wrap::Envelope, _, _) => format!("{{\"status\":{status},\"envelope\":{text}}}"),
        (Wrap::Content, _, _) => format!("{{\"status\":{status},\"content\":{text}}}"),
    };
    let text = match shape.layout {
        Layout::Compact => text,
        Layout::Pretty => pretty(&text),
    };
    parts.headers.insert(header::CONTENT_LENGTH, HeaderValue::from(text.len()));
    Response::from_parts(parts, Body::from(text))
}

/// Lays out compact JSON with two blanks per level; order and spelling of everything stay.
fn pretty(compact: &str) -> String {
    let mut out = String::with_capacity(compact.len() * 2);
    let mut depth = 0_usize;
    let mut in_string = false;
    let mut escaped = false;
    let new_line = |out: &mut String, depth: usize| {
        out.push('\n');
        out.extend(std::iter::repeat_n("  ", depth));
    };
    let mut chars = compact.chars().peekable();
    while let Some(c) = chars.next() {
        if in_string {
            out.push(c);
            in_string = escaped || c != '"';
            escaped = !escaped && c == '\\';
            continue;
        }
        match c {
            '{' | '[' => {
                out.push(c);
                if let Some(close) = chars.next_if(|next| matches!(next, '}' | ']')) {
                    out.push(close);
                } else {
                    depth += 1;
                    new_line(&mut out, depth);
                }
            }
            '}' | ']' => {
                depth = depth.saturating_sub(1);
                new_line(&mut out, depth);
                out.push(c);
            }
            ',' => {
                out.push(c);
                new_line(&mut out, depth);
            }
            ':' => out.push_str(": "),
            '"' => {
                in_string = true;
                out.push(c);
            }
            other => out.push(other),
        }
    }
    out.push('\n');
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_switches_are_taken_out_and_the_rest_stays() {
        for (given, left, layout, wrap) in [
            ("/m", "/m", Layout::Compact, Wrap::Bare),
            ("/m?pretty=true", "/m", Layout::Pretty, Wrap::Bare),
            ("/m?a=1&envelope=true&b=2", "/m?a=1&b=2", Layout::Compact, Wrap::Envelope),
            ("/m?envelope=content", "/m", Layout::Compact, Wrap::Content),
            ("/m?pretty=false&pretties=1", "/m?pretties=1", Layout::Compact, Wrap::Bare),
        ] {
            let mut uri: Uri = given.parse().unwrap();
            assert_eq!(take_switches(&mut uri), Ok(Shape { layout, wrap }), "{given}");
            assert_eq!(uri, left);
        }
        for bad in ["/m?pretty=1", "/m?pretty", "/m?pretty=true&pretty=true", "/m?envelope=TRUE"] {
            assert!(take_switches(&mut bad.parse().unwrap()).is_err(), "{bad}");
        }
    }

    #[test]
    fn pretty_is_two_blanks_per_level() {
        assert_eq!(
            pretty(r#"{"a":[1,"x,\"{:"],"b":{},"c":[]}"#),
            "{\n  \"a\": [\n    1,\n    \"x,\\\"{:\"\n  ],\n  \"b\": {},\n  \"c\": []\n}\n"
        );
    }

    proptest! {
        #[test]
        fn pretty_changes_no_value(texts: Vec<(String, Vec<i64>)>) {
            let value = serde_json::json!(texts);
            let laid_out: serde_json::Value = serde_json::from_str(&pretty(&value.to_string())).unwrap();
            prop_assert_eq!(laid_out, value);
        }
    }
}
