//! Who looks at the page: the cookie, the session behind it, and the proof that a form comes from the page itself.

use std::io;

use axum::http::{HeaderMap, HeaderValue, header};

use super::Access;
use crate::access::{self, Role, SessionId, Token, Tokens};
use crate::api::caller::{Caller, Transport};
use crate::api::query::Query;

/// A script shows the proof of its page here; a form in the field of the same meaning, [`PROOF_FIELD`].
const PROOF_HEADER: &str = "x-csrf-token";
/// The hidden field of every form.
pub(super) const PROOF_FIELD: &str = "csrf";

/// The cookie of this service. Cookies know no ports, so that two services of one host need two names.
#[derive(Debug, Clone)]
pub(in crate::api) struct Cookie {
    name: String,
    transport: Transport,
}

impl Cookie {
    /// For the service at `port`.
    pub(in crate::api) fn new(port: u16, transport: Transport) -> Self {
        // Browsers let nobody but this very host set a name with that prefix, and only over TLS.
        let prefix = if transport == Transport::Tls { "__Host-" } else { "" };
        Self { name: format!("{prefix}tabletd_session_{port}"), transport }
    }

    /// The number a browser shows. Of two, neither: one of them was set by somebody else.
    pub(super) fn read(&self, headers: &HeaderMap) -> Option<SessionId> {
        let values = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
        let pairs = values.flat_map(|value| value.split(';')).filter_map(|pair| pair.trim().split_once('='));
        let mut shown = pairs.filter(|(name, _)| *name == self.name).map(|(_, value)| value);
        let one = shown.next()?;
        if shown.next().is_some() { None } else { SessionId::read(one) }
    }

    /// Has the browser show `id` from now on, until it is closed.
    fn set(&self, id: &SessionId) -> HeaderValue {
        let secure = if self.transport == Transport::Tls { "; Secure" } else { "" };
        let text = format!("{}={}; Path=/; HttpOnly; SameSite=Strict{secure}", self.name, id.as_str());
        HeaderValue::try_from(text).expect("a cookie of visible ASCII")
    }

    /// The service as the browser that asks names it.
    pub(super) fn origin(&self, headers: &HeaderMap) -> String {
        let scheme = if self.transport == Transport::Tls { "https" } else { "http" };
        let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
        format!("{scheme}://{}", host.unwrap_or("127.0.0.1"))
    }

    /// Whether what is said here stays between the two: over TLS, or within this host.
    pub(super) fn is_private(&self, from_loopback: bool) -> bool {
        self.transport == Transport::Tls || from_loopback
    }
}

/// Who looks at the page.
#[derive(Debug, Clone)]
pub struct Visitor {
    /// The token it acts for; none for who needs no credentials.
    pub token: Option<String>,
    /// What it may do.
    pub role: Role,
    /// What every form carries in the field `csrf`, and every script in the header `X-CSRF-Token`.
    pub csrf: String,
    /// Whether it could sign in.
    pub entry: SignIn,
    /// Under which name and scheme it has come: `http://127.0.0.1:8040`.
    pub origin: String,
    pub(in crate::api) id: SessionId,
    pub(in crate::api) caller: Caller,
}

/// Whether somebody can sign in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SignIn {
    Possible,
    /// It has been done.
    Done,
    /// No token exists, so that there is nothing to show.
    NoTokens,
    /// The token would go over the network for everybody to read.
    NotPrivate,
}

impl SignIn {
    /// `is_private`: see [`Cookie::is_private`]. A secret is asked for only where nobody listens.
    pub(super) const fn of(is_signed_in: bool, tokens_exist: bool, is_private: bool) -> Self {
        match (is_signed_in, tokens_exist, is_private) {
            (true, _, _) => Self::Done,
            (_, false, _) => Self::NoTokens,
            (_, _, false) => Self::NotPrivate,
            _ => Self::Possible,
        }
    }
}

impl Access {
    /// The token behind a number.
    pub(super) fn signed_in<'a>(&self, id: &SessionId, tokens: &'a Tokens, now_ms: i64) -> Option<&'a Token> {
        self.sessions().token_of(id, tokens, now_ms)
    }

    /// What the forms of a page carry that is shown to `id`.
    pub(super) fn proof(&self, id: &SessionId) -> String {
        self.sessions().proof(id)
    }

    /// Whether a request carries the proof of its page, in its head or in its form.
    pub(super) fn is_proven(&self, id: Option<&SessionId>, headers: &HeaderMap, form: &str) -> bool {
        let in_form = Query::parse(Some(form));
        let in_head = headers.get(PROOF_HEADER).and_then(|value| value.to_str().ok());
        let shown = in_head.unwrap_or_else(|| in_form.first(PROOF_FIELD));
        id.is_some_and(|id| self.sessions().proves(id, shown))
    }

    /// The number a browser has shown, or a new one with the header that tells it.
    ///
    /// # Errors
    /// There is no randomness to be had.
    pub(super) fn known_or_new(
        &self,
        shown: Option<SessionId>,
        cookie: &Cookie,
    ) -> io::Result<(SessionId, Option<HeaderValue>)> {
        if let Some(id) = shown {
            return Ok((id, None));
        }
        let id = SessionId::from_random(access::random_bytes()?);
        let header = cookie.set(&id);
        Ok((id, Some(header)))
    }

    /// Signs `visitor` in with a token's secret, under a number that nobody has seen before; the header tells the browser.
    ///
    /// # Errors
    /// Why not, in words that repeat no secret.
    pub(in crate::api) fn sign_in(
        &self,
        visitor: &Visitor,
        secret: &str,
        cookie: &Cookie,
        now_ms: i64,
    ) -> Result<HeaderValue, &'static str> {
        match visitor.entry {
            SignIn::NotPrivate => return Err("a token is not sent over plain HTTP beyond this host"),
            SignIn::NoTokens => return Err("no token exists: nobody has to sign in, or nobody can"),
            SignIn::Possible | SignIn::Done => {}
        }
        let tokens = self.tokens.get();
        let token = tokens.of_secret(secret).ok_or("the token is not known")?;
        if token.standing(now_ms) != access::Standing::Valid {
            return Err("the token has ended");
        }
        let id =
            SessionId::from_random(access::random_bytes().map_err(|_| "there is no randomness to be had")?);
        let mut sessions = self.sessions();
        sessions.end(&visitor.id);
        sessions.begin(&id, token, now_ms);
        visitor.caller.asks(format_args!("sign in to the page as {}", token.name));
        Ok(cookie.set(&id))
    }

    /// Ends the sign-in of `visitor`; the header gives its browser another number.
    ///
    /// # Errors
    /// There is no randomness to be had.
    pub(in crate::api) fn sign_out(&self, visitor: &Visitor, cookie: &Cookie) -> io::Result<HeaderValue> {
        self.sessions().end(&visitor.id);
        visitor.caller.asks(format_args!("sign out of the page"));
        Ok(cookie.set(&SessionId::from_random(access::random_bytes()?)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::caller::Address;

    #[test]
    fn a_cookie_is_read_by_its_name_and_of_two_neither() {
        let cookie = Cookie::new(8040, Transport::Plain);
        let id = SessionId::from_random([1; 32]);
        let own = format!("tabletd_session_8040={}", id.as_str());
        let read = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::COOKIE, value.parse().unwrap());
            cookie.read(&headers)
        };
        assert_eq!(read(&format!("a=b; {own}; c=d")), Some(id.clone()));
        assert_eq!(read(&format!("tabletd_session_8041={}", id.as_str())), None);
        assert_eq!(read(&format!("{own}; {own}")), None);
        assert_eq!(read("tabletd_session_8040=x"), None);
    }

    #[test]
    fn a_token_is_taken_over_tls_or_within_this_host_and_nowhere_else() {
        for (transport, from_loopback, private) in [
            (Transport::Plain, true, true),
            (Transport::Plain, false, false),
            (Transport::Tls, true, true),
            (Transport::Tls, false, true),
        ] {
            assert_eq!(Cookie::new(8040, transport).is_private(from_loopback), private, "{transport:?}");
        }
        let secret = access::Secret::from_random([9; 32]);
        let wish = access::NewToken {
            name: "ops",
            role: Role::Operator,
            now_ms: 0,
            expires_ms: None,
            digest: false,
        };
        let access = Access::of_tokens(Tokens(vec![Token::new(&wish, &secret).unwrap()]));
        let caller = Caller::new(Address("10.0.0.9:4000".parse().unwrap()), "r", None, None);
        let mut visitor = Visitor {
            token: None,
            role: Role::Viewer,
            csrf: String::new(),
            entry: SignIn::NotPrivate,
            origin: String::new(),
            id: SessionId::from_random([1; 32]),
            caller,
        };
        let cookie = Cookie::new(8040, Transport::Plain);
        assert!(access.sign_in(&visitor, secret.as_str(), &cookie, 1).is_err());
        visitor.entry = SignIn::Possible;
        assert!(access.sign_in(&visitor, secret.as_str(), &cookie, 1).is_ok());
    }

    #[test]
    fn a_cookie_is_for_this_site_and_no_script_and_over_tls_for_tls_alone() {
        let id = SessionId::from_random([1; 32]);
        let set = |transport| Cookie::new(8040, transport).set(&id).to_str().unwrap().to_owned();
        let plain = set(Transport::Plain);
        assert!(plain.ends_with("; Path=/; HttpOnly; SameSite=Strict"), "{plain}");
        let tls = set(Transport::Tls);
        assert!(tls.starts_with("__Host-") && tls.ends_with("; HttpOnly; SameSite=Strict; Secure"), "{tls}");
    }
}
