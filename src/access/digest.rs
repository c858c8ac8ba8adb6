//! Digest access authentication (RFC 7616) with SHA-256 and qop=auth: nonces, and what the answer must be.
//!
//! Nonces are not remembered: each says when it ends and carries an HMAC over that, with a key made at start. An answer is
//! bound to the method and the target, and to nothing else: `qop=auth` does not cover the body, so that within the life of
//! its nonce an answer can be sent again, with another body too. Who can listen to the wire, or change what is on it, is
//! kept away by TLS. MD5, which the Atlas form used, is not offered.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use super::credentials::DigestAnswer;
use super::token::{same, sha256_hex};

/// What passwords are for, as the challenge names it.
pub const REALM: &str = "tabletd";
/// How long a challenge can be answered, in milliseconds.
pub const NONCE_LIFETIME_MS: i64 = 300_000;

/// `SHA-256(user:realm:password)`.
pub fn ha1(user: &str, secret: &str) -> String {
    sha256_hex(&format!("{user}:{REALM}:{secret}"))
}

/// What a nonce turned out to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NonceState {
    /// Ours, and its time is not over.
    Fresh,
    /// Ours, but over: the client may answer a new one without asking its user again.
    Stale,
    /// Not ours.
    Unknown,
}

/// Makes and recognises nonces.
pub struct Nonces {
    key: [u8; 32],
}

impl Nonces {
    /// With a key of random bytes. Nonces of another key are unknown, so a restart ends all of them.
    pub const fn new(key: [u8; 32]) -> Self {
        Self { key }
    }

    /// A nonce that can be answered until [`NONCE_LIFETIME_MS`] from now.
    pub fn issue(&self, now_ms: i64) -> String {
        self.sealed(now_ms.saturating_add(NONCE_LIFETIME_MS))
    }

    fn sealed(&self, ends_ms: i64) -> String {
        let mut bytes = ends_ms.to_be_bytes().to_vec();
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.key).expect("HMAC takes keys of every length");
        mac.update(&bytes);
        bytes.extend_from_slice(&mac.finalize().into_bytes());
        URL_SAFE_NO_PAD.encode(bytes)
    }

    pub(super) fn state(&self, nonce: &str, now_ms: i64) -> NonceState {
        let bytes = URL_SAFE_NO_PAD.decode(nonce).unwrap_or_default();
        let Some(ends) = bytes.first_chunk::<8>() else { return NonceState::Unknown };
        let ends_ms = i64::from_be_bytes(*ends);
        if !same(&self.sealed(ends_ms), nonce) {
            NonceState::Unknown
        } else if now_ms < ends_ms {
            NonceState::Fresh
        } else {
            NonceState::Stale
        }
    }
}

/// Whether `answer` was made by who knows the secret behind `ha1`, for this method and its target. Says nothing of a body.
pub(super) fn proves(answer: &DigestAnswer, ha1: &str, method: &str) -> bool {
    let ha2 = sha256_hex(&format!("{method}:{}", answer.uri));
    let DigestAnswer { nonce, nc, cnonce, .. } = answer;
    let expected = sha256_hex(&format!("{ha1}:{nonce}:{nc}:{cnonce}:auth:{ha2}"));
    same(&expected, &answer.response.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 7616, section 3.9.1.
    #[test]
    fn the_example_of_the_rfc_is_answered_as_there() {
        let answer = DigestAnswer {
            username: "Mufasa".into(),
            realm: "http-auth@example.org".into(),
            nonce: "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v".into(),
            uri: "/dir/index.html".into(),
            response: "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1".into(),
            cnonce: "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ".into(),
            nc: "00000001".into(),
        };
        let ha1 = sha256_hex("Mufasa:http-auth@example.org:Circle of Life");
        assert!(proves(&answer, &ha1, "GET"));
        assert!(!proves(&answer, &ha1, "POST"));
        assert!(!proves(&DigestAnswer { nc: "00000002".into(), ..answer }, &ha1, "GET"));
    }

    #[test]
    fn nonces_end_and_cannot_be_made_by_others() {
        let ours = Nonces::new([1; 32]);
        let nonce = ours.issue(1_000);
        assert_eq!(ours.state(&nonce, 1_000), NonceState::Fresh);
        assert_eq!(ours.state(&nonce, 1_000 + NONCE_LIFETIME_MS), NonceState::Stale);
        assert_eq!(Nonces::new([2; 32]).state(&nonce, 1_000), NonceState::Unknown);
        let mut later = URL_SAFE_NO_PAD.decode(&nonce).unwrap();
        later[0] ^= 1;
        for forged in [URL_SAFE_NO_PAD.encode(later), String::new(), "!".into(), nonce[..20].into()] {
            assert_eq!(ours.state(&forged, 1_000), NonceState::Unknown, "{forged}");
        }
    }
}
