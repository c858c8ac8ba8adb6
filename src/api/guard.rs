//! Keeps web pages away from the node. The main endpoint of Doris moves data on GET, so a page anywhere could make a
//! browser on the node's host move tablets with an image tag; and a page whose own name is made to point at loopback
//! (DNS rebinding) could read the answers as well. Browsers say where a request comes from and which name they asked
//! for; scripts and command lines say nothing, or an address, and pass.

use std::net::{IpAddr, SocketAddr};

use axum::extract::Request;
use axum::http::{HeaderMap, StatusCode, Uri, Version, header};

use super::error::Problem;

/// The names under which the service may be asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Hosts {
    /// Any: it listens beyond loopback, where names are the network's business.
    Any,
    /// Addresses, `localhost` and these.
    Named(Vec<String>),
}

impl Hosts {
    /// For a service at `address`; `more` as the key `http_allowed_hosts` has it.
    pub(super) fn new(address: SocketAddr, more: &str) -> Self {
        if !address.ip().is_loopback() {
            return Self::Any;
        }
        let more =
            more.split(',').map(|name| name.trim().to_ascii_lowercase()).filter(|name| !name.is_empty());
        Self::Named(std::iter::once("localhost".to_owned()).chain(more).collect())
    }

    /// Whether the value of the header Host may be this. An address is always fine: no page is served under it unless
    /// the service itself serves it.
    fn allow(&self, host: &str) -> bool {
        let Self::Named(names) = self else { return true };
        let name = match host.rsplit_once(':') {
            Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
            _ => host,
        };
        let address = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name);
        address.parse::<IpAddr>().is_ok() || names.contains(&name.trim_end_matches('.').to_ascii_lowercase())
    }
}

/// Why a request is not listened to, whoever sends it: a foreign name, or another site's page that would change something.
/// `target` as the client sent it.
pub(super) fn refusal(request: &Request, target: &str, changes: bool, hosts: &Hosts) -> Option<Problem> {
    if let Some(problem) = wrong_host(request, target, hosts) {
        return Some(problem);
    }
    // The Doris endpoint as a whole: also its status is asked for by scripts only.
    let changes = changes || request.uri().path() == super::doris::TABLET_MIGRATION_PATH;
    if changes && comes_from_another_site(request.headers()) {
        let text = "asked for by a page of another site; use a script or tabletctl";
        return Some(Problem::of_http(StatusCode::FORBIDDEN, "CROSS_SITE", text));
    }
    None
}

/// What is wrong with the name a request asks for. An absolute target names one too, and outranks the header (RFC 9112,
/// section 3.2): a check of the header alone could be walked around with either of two.
fn wrong_host(request: &Request, target: &str, hosts: &Hosts) -> Option<Problem> {
    let malformed = |text| Some(Problem::of_http(StatusCode::BAD_REQUEST, "BAD_HOST", text));
    let mut headers = request.headers().get_all(header::HOST).iter();
    let host = headers.next();
    if headers.next().is_some() {
        return malformed("the request has more than one header Host");
    }
    if host.is_none() && request.version() >= Version::HTTP_11 {
        return malformed("a request of HTTP/1.1 has the header Host");
    }
    let target = target.parse::<Uri>().ok();
    let authority = target.as_ref().and_then(Uri::authority).map(|authority| authority.as_str().as_bytes());
    let host = host.map(axum::http::HeaderValue::as_bytes);
    if let (Some(authority), Some(host)) = (authority, host)
        && !authority.eq_ignore_ascii_case(host)
    {
        return malformed("the request's target and its header Host name different hosts");
    }
    let named = authority.or(host)?;
    if std::str::from_utf8(named).is_ok_and(|name| hosts.allow(name)) {
        return None;
    }
    let text = "the service does not answer to the name in the header Host, or in the target";
    Some(
        Problem::of_http(StatusCode::MISDIRECTED_REQUEST, "HOST_NOT_ALLOWED", text)
            .hint("use an address or localhost, or add the name to http_allowed_hosts in be.conf"),
    )
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

    #[test]
    fn on_loopback_names_are_known_or_refused_and_addresses_pass() {
        let hosts = Hosts::new("127.0.0.1:8040".parse().unwrap(), " node7.example , n");
        for (host, allowed) in [
            ("127.0.0.1:8040", true),
            ("[::1]:8040", true),
            ("[::1]", true),
            ("10.1.2.3", true),
            ("localhost", true),
            ("LOCALHOST:1", true),
            ("localhost.", true),
            ("node7.example:8040", true),
            ("n", true),
            ("evil.example", false),
            ("localhost.evil.example", false),
            ("127.0.0.1.evil.example:8040", false),
            ("", false),
            ("localhost:evil", false),
        ] {
            assert_eq!(hosts.allow(host), allowed, "{host}");
        }
        assert!(Hosts::new("0.0.0.0:1".parse().unwrap(), "").allow("any.example"));
    }
}
