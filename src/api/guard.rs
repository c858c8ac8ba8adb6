//! Keeps web pages away from what changes the node. The main endpoint of Doris moves data on GET, so a page anywhere
//! could make a browser on the node's host move tablets with an image tag. Browsers say where a request comes from;
//! scripts and command lines say nothing and pass.

use axum::extract::Request;
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::error::Problem;

/// Refuses what a page of another site makes a browser ask for, unless it only reads.
pub(super) async fn refuse_other_sites(request: Request, next: Next) -> Response {
    let reads_only = matches!(*request.method(), Method::GET | Method::HEAD)
        && request.uri().path() != super::doris::TABLET_MIGRATION_PATH;
    if !reads_only && comes_from_another_site(request.headers()) {
        let text = "asked for by a page of another site; use a script or tabletctl";
        return Problem::of_http(StatusCode::FORBIDDEN, "CROSS_SITE", text).into_response();
    }
    next.run(request).await
}

fn comes_from_another_site(headers: &HeaderMap) -> bool {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    // `none` is a user typing the address.
    if matches!(text(header::HeaderName::from_static("sec-fetch-site")), Some("cross-site" | "same-site")) {
        return true;
    }
    match (headers.get(header::ORIGIN), text(header::HOST)) {
        (None, _) => false,
        (Some(origin), Some(host)) => {
            origin.to_str().ok().and_then(|origin| origin.split_once("://")).map(|(_, host)| host)
                != Some(host)
        }
        (Some(_), None) => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_pages_of_other_sites_are_refused() {
        let headers = |pairs: &[(&'static str, &'static str)]| {
            pairs.iter().fold(HeaderMap::new(), |mut headers, (name, value)| {
                headers.insert(*name, value.parse().unwrap());
                headers
            })
        };
        for (pairs, refused) in [
            (&[("host", "127.0.0.1:8040")][..], false),
            (&[("host", "n:8040"), ("origin", "http://n:8040")], false),
            (&[("host", "n:8040"), ("origin", "http://evil.example")], true),
            (&[("host", "n:8040"), ("origin", "null")], true),
            (&[("origin", "http://n:8040")], true),
            (&[("host", "n"), ("sec-fetch-site", "cross-site")], true),
            (&[("host", "n"), ("sec-fetch-site", "same-site")], true),
            (&[("host", "n"), ("sec-fetch-site", "same-origin")], false),
            (&[("host", "n"), ("sec-fetch-site", "none")], false),
        ] {
            assert_eq!(comes_from_another_site(&headers(pairs)), refused, "{pairs:?}");
        }
    }
}
