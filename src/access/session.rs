//! Sessions of the page for people: what a browser holds instead of a token.
//!
//! A cookie reaches every port of its host, so it is never the token, only a random number that means something in the
//! memory of this process. A visitor who needs no credentials has such a number too, known to nobody but the browser: the
//! proof that a form comes from our own page (CSRF) is computed from it. Pure: time and randomness are arguments.
//!
//! Browsers. The page at `/` is signed in to with a token, once; the cookie is a random number that means something in
//! this process's memory alone (`access/session.rs`), since cookies cross ports. It counts on the page and `/api/v1`,
//! never on Doris's paths, where a GET moves tablets. Every change by a browser shows a proof (CSRF) made from that
//! number, also where nobody has to sign in. Over plain HTTP from another host nobody signs in. Nothing stands inline:
//! `script-src 'self'`, `style-src 'self'`.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use super::token::{Standing, Token, Tokens, hex, same, sha256_hex};

/// A sign-in ends after so long, whatever is done with it.
const LIFETIME_MS: i64 = 12 * 3600 * 1000;
/// And after so long without a request.
const IDLE_MS: i64 = 3600 * 1000;
/// Sign-ins at once; the one that was idle longest gives way.
const SIGNED_IN_MAX: usize = 1000;
/// Characters of 32 bytes in base64 without padding.
const ID_CHARS: usize = 43;

/// The number in the cookie.
#[derive(Clone, PartialEq, Eq)]
pub struct SessionId(String);

impl std::fmt::Debug for SessionId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SessionId(…)")
    }
}

impl SessionId {
    /// The one made of 32 random bytes.
    pub fn from_random(bytes: [u8; 32]) -> Self {
        Self(URL_SAFE_NO_PAD.encode(bytes))
    }

    /// One as a browser shows it.
    pub fn read(text: &str) -> Option<Self> {
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        (text.len() == ID_CHARS && text.bytes().all(fits)).then(|| Self(text.to_owned()))
    }

    /// For the cookie.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

struct SignedIn {
    token: String,
    since_ms: i64,
    seen_ms: i64,
}

impl SignedIn {
    const fn is_over(&self, now_ms: i64) -> bool {
        now_ms - self.since_ms >= LIFETIME_MS || now_ms - self.seen_ms >= IDLE_MS
    }
}

/// Who is signed in, by the hashes of their numbers and of their tokens.
pub struct Sessions {
    key: [u8; 32],
    signed_in: BTreeMap<String, SignedIn>,
}

impl Sessions {
    /// Nobody yet; `key` is random and this process's own.
    pub const fn new(key: [u8; 32]) -> Self {
        Self { key, signed_in: BTreeMap::new() }
    }

    /// `id` acts for the holder of `token` from now on.
    pub fn begin(&mut self, id: &SessionId, token: &Token, now_ms: i64) {
        self.signed_in.retain(|_, session| !session.is_over(now_ms));
        if self.signed_in.len() >= SIGNED_IN_MAX {
            let idlest = self.signed_in.iter().min_by_key(|(_, session)| session.seen_ms);
            if let Some(idlest) = idlest.map(|(id, _)| id.clone()) {
                self.signed_in.remove(&idlest);
            }
        }
        let session = SignedIn { token: token.hash().to_owned(), since_ms: now_ms, seen_ms: now_ms };
        self.signed_in.insert(sha256_hex(&id.0), session);
    }

    /// The token `id` acts for, as it is now: one that has ended or is gone ends its sign-ins with it.
    pub fn token_of<'a>(&mut self, id: &SessionId, tokens: &'a Tokens, now_ms: i64) -> Option<&'a Token> {
        let session = self.signed_in.get_mut(&sha256_hex(&id.0))?;
        let token = tokens.0.iter().find(|token| same(token.hash(), &session.token));
        let token = token.filter(|token| token.standing(now_ms) == Standing::Valid);
        if session.is_over(now_ms) || token.is_none() {
            self.end(id);
            return None;
        }
        session.seen_ms = now_ms;
        token
    }

    /// Nobody is signed in as `id` any more.
    pub fn end(&mut self, id: &SessionId) {
        self.signed_in.remove(&sha256_hex(&id.0));
    }

    /// What every form of a page shown to `id` carries.
    pub fn proof(&self, id: &SessionId) -> String {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.key).expect("HMAC takes a key of any length");
        mac.update(b"form:");
        mac.update(id.0.as_bytes());
        hex(&mac.finalize().into_bytes())
    }

    /// Whether a form comes from a page shown to `id`.
    pub fn proves(&self, id: &SessionId, shown: &str) -> bool {
        same(&self.proof(id), shown)
    }
}

#[cfg(test)]
mod tests {
    use super::super::Role;
    use super::super::token::tests::token;
    use super::*;

    fn id(seed: u8) -> SessionId {
        SessionId::from_random([seed; 32])
    }

    fn signed_in() -> (Sessions, Tokens) {
        let (mut token, _) = token("ops", Role::Operator, 7);
        token.expires_ms = None;
        let mut sessions = Sessions::new([1; 32]);
        sessions.begin(&id(1), &token, 0);
        (sessions, Tokens(vec![token]))
    }

    #[test]
    fn a_number_stands_for_its_token_and_no_other_number_does() {
        let (mut sessions, tokens) = signed_in();
        assert_eq!(sessions.token_of(&id(1), &tokens, 5).unwrap().name, "ops");
        assert!(sessions.token_of(&id(2), &tokens, 5).is_none());
        sessions.end(&id(1));
        assert!(sessions.token_of(&id(1), &tokens, 6).is_none());
    }

    #[test]
    fn a_sign_in_ends_when_idle_at_its_time_and_with_its_token() {
        for (seen_ms, now_ms, stands) in
            [(vec![], IDLE_MS - 1, true), (vec![], IDLE_MS, false), (vec![IDLE_MS - 1], IDLE_MS + 1, true)]
        {
            let (mut sessions, tokens) = signed_in();
            for at_ms in seen_ms {
                assert!(sessions.token_of(&id(1), &tokens, at_ms).is_some());
            }
            assert_eq!(sessions.token_of(&id(1), &tokens, now_ms).is_some(), stands, "{now_ms}");
        }
        let (mut sessions, tokens) = signed_in();
        let mut at_ms = 0;
        while sessions.token_of(&id(1), &tokens, at_ms).is_some() {
            at_ms += IDLE_MS / 2;
        }
        assert_eq!(at_ms, LIFETIME_MS);
        let (mut sessions, mut tokens) = signed_in();
        tokens.0[0].revoked_ms = Some(3);
        assert!(sessions.token_of(&id(1), &tokens, 4).is_none());
        tokens.0[0].revoked_ms = None;
        assert!(sessions.token_of(&id(1), &tokens, 5).is_none(), "what has ended stays so");
        let (mut sessions, _) = signed_in();
        assert!(sessions.token_of(&id(1), &Tokens::default(), 5).is_none());
    }

    #[test]
    fn sign_ins_are_bounded_and_the_idlest_gives_way() {
        let (mut sessions, tokens) = signed_in();
        for number in 0..SIGNED_IN_MAX as u64 {
            let mut bytes = [9; 32];
            bytes[..8].copy_from_slice(&number.to_le_bytes());
            sessions.begin(&SessionId::from_random(bytes), &tokens.0[0], 1);
        }
        assert_eq!(sessions.signed_in.len(), SIGNED_IN_MAX);
        assert!(sessions.token_of(&id(1), &tokens, 2).is_none());
    }

    #[test]
    fn the_proof_of_a_form_is_that_of_its_own_number_and_process() {
        let (sessions, _) = signed_in();
        let proof = sessions.proof(&id(1));
        assert!(sessions.proves(&id(1), &proof) && !sessions.proves(&id(2), &proof));
        assert!(!Sessions::new([2; 32]).proves(&id(1), &proof));
        assert!(!sessions.proves(&id(1), "") && !sessions.proves(&id(1), id(1).as_str()));
    }

    #[test]
    fn a_number_is_read_as_it_was_written_and_nothing_else_is() {
        assert_eq!(SessionId::read(id(3).as_str()), Some(id(3)));
        for wrong in ["", "x", &"a".repeat(44), &format!("{}=", &id(3).as_str()[..42])] {
            assert_eq!(SessionId::read(wrong), None, "{wrong}");
        }
    }
}
