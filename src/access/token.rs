//! A token: what is handed out once, and what is kept of it.
//!
//! A secret is 256 random bits, so its SHA-256 is all that needs to be kept: a slow or salted hash (KDF) protects words
//! that people choose, by making each guess dear; nobody guesses 256 bits at any price, and no two secrets are equal.
//! For Digest (RFC 7616) the server must be able to compute the client's answer, so `HA1` is kept beside it; whoever
//! reads it can answer challenges as that token. It can be left out.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use super::{Role, ha1};

/// Begins every secret, so that one that leaked into a log or a repository is recognised.
const PREFIX: &str = "tabletd_";
/// Bytes a name may have.
const NAME_MAX_BYTES: usize = 64;

/// What the caller holds. Shown once, kept nowhere.
pub struct Secret(String);

impl Secret {
    /// The secret made of 32 random bytes.
    pub fn from_random(bytes: [u8; 32]) -> Self {
        Self(format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(bytes)))
    }

    /// The text to hand out.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// A name that cannot be one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("\"{}\" is no token name; accepted: 1 to 64 of a-z A-Z 0-9 . _ -", .0.escape_default())]
pub struct InvalidName(String);

/// A token to be made.
#[derive(Debug)]
pub struct NewToken<'a> {
    /// Its name: who or what holds it. Also the user name for Digest.
    pub name: &'a str,
    /// What its holder may do.
    pub role: Role,
    /// Now, in milliseconds since the Unix epoch.
    pub now_ms: i64,
    /// When it ends; none is never.
    pub expires_ms: Option<i64>,
    /// Whether Digest can be answered with it.
    pub digest: bool,
}

/// What is kept of a token.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Token {
    pub name: String,
    /// What its holder may do.
    pub role: Role,
    sha256: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ha1_sha256: Option<String>,
    /// When it was made, in milliseconds since the Unix epoch.
    pub created_ms: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_ms: Option<i64>,
    /// When it was taken back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked_ms: Option<i64>,
}

/// Hashes are left out: a debug line must not help anybody.
impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Token({} {})", self.name, self.role)
    }
}

/// How a token stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It opens the door.
    Valid,
    /// Its time is over.
    Expired,
    /// It was taken back.
    Revoked,
}

impl Standing {
    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Valid => "valid",
            Self::Expired => "expired",
            Self::Revoked => "revoked",
        }
    }
}

impl Token {
    /// What is kept of `secret`.
    ///
    /// # Errors
    /// The name is not of its form.
    pub fn new(wish: &NewToken<'_>, secret: &Secret) -> Result<Self, InvalidName> {
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
        if wish.name.is_empty() || wish.name.len() > NAME_MAX_BYTES || !wish.name.bytes().all(fits) {
            return Err(InvalidName(wish.name.to_owned()));
        }
        Ok(Self {
            name: wish.name.to_owned(),
            role: wish.role,
            sha256: sha256_hex(secret.as_str()),
            ha1_sha256: wish.digest.then(|| ha1(wish.name, secret.as_str())),
            created_ms: wish.now_ms,
            expires_ms: wish.expires_ms,
            revoked_ms: None,
        })
    }

    /// How it stands at `now_ms`.
    pub fn standing(&self, now_ms: i64) -> Standing {
        if self.revoked_ms.is_some() {
            Standing::Revoked
        } else if self.expires_ms.is_some_and(|expires_ms| expires_ms <= now_ms) {
            Standing::Expired
        } else {
            Standing::Valid
        }
    }

    /// Whether Digest can be answered with it.
    pub fn takes_digest(&self) -> bool {
        self.ha1_sha256.is_some()
    }

    /// What tells it from every other one.
    pub(super) fn hash(&self) -> &str {
        &self.sha256
    }

    pub(super) fn ha1(&self) -> Option<&str> {
        self.ha1_sha256.as_deref()
    }
}

/// All tokens of a node, in the order they were made.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Tokens(pub Vec<Token>);

impl Tokens {
    /// Whether any was ever made and not forgotten. Expired and revoked ones count: an end must not open the door.
    pub fn exist(&self) -> bool {
        !self.0.is_empty()
    }

    /// The token of this name that stands; names of revoked ones can be used again.
    pub fn named(&self, name: &str) -> Option<&Token> {
        self.0.iter().find(|token| token.name == name && token.revoked_ms.is_none())
    }

    /// The token `secret` belongs to. Every hash is compared, in constant time each.
    pub fn of_secret(&self, secret: &str) -> Option<&Token> {
        let hash = sha256_hex(secret);
        self.0.iter().fold(None, |found, token| if same(&token.sha256, &hash) { Some(token) } else { found })
    }
}

/// The one comparison of secrets: takes the same time wherever the first difference is.
pub(super) fn same(left: &str, right: &str) -> bool {
    left.as_bytes().ct_eq(right.as_bytes()).into()
}

/// SHA-256 in lower-case hexadecimal digits.
pub(super) fn sha256_hex(text: &str) -> String {
    hex(&Sha256::digest(text.as_bytes()))
}

/// Lower-case hexadecimal digits.
pub(super) fn hex(bytes: &[u8]) -> String {
    use fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        write!(text, "{byte:02x}").expect("a String takes everything");
        text
    })
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(crate) fn token(name: &str, role: Role, seed: u8) -> (Token, Secret) {
        let secret = Secret::from_random([seed; 32]);
        let wish = NewToken { name, role, now_ms: 1_000, expires_ms: Some(9_000), digest: true };
        (Token::new(&wish, &secret).unwrap(), secret)
    }

    #[test]
    fn what_is_kept_does_not_hold_the_secret() {
        let (token, secret) = token("ops", Role::Operator, 7);
        let kept = serde_json::to_string(&token).unwrap();
        assert!(!kept.contains(secret.as_str()) && !kept.contains(&secret.as_str()[PREFIX.len()..]));
        assert!(!format!("{token:?}{secret:?}").contains(&token.sha256));
        assert_eq!(serde_json::from_str::<Token>(&kept).unwrap(), token);
    }

    #[test]
    fn a_token_ends_at_its_time_and_when_it_is_taken_back() {
        let (mut token, _) = token("ops", Role::Operator, 7);
        assert_eq!(token.standing(8_999), Standing::Valid);
        assert_eq!(token.standing(9_000), Standing::Expired);
        token.revoked_ms = Some(2_000);
        assert_eq!(token.standing(1_000), Standing::Revoked);
    }

    #[test]
    fn a_secret_finds_its_own_token_and_no_other() {
        let (one, secret_one) = token("one", Role::Viewer, 1);
        let (two, secret_two) = token("two", Role::Admin, 2);
        let tokens = Tokens(vec![one, two]);
        assert_eq!(tokens.of_secret(secret_one.as_str()).unwrap().name, "one");
        assert_eq!(tokens.of_secret(secret_two.as_str()).unwrap().name, "two");
        for wrong in ["", "tabletd_", &secret_one.as_str()[1..], &secret_one.as_str().to_uppercase()] {
            assert_eq!(tokens.of_secret(wrong), None);
        }
    }

    #[test]
    fn names_are_words() {
        let secret = Secret::from_random([0; 32]);
        let made = |name: &str| {
            let wish = NewToken { name, role: Role::Viewer, now_ms: 0, expires_ms: None, digest: false };
            Token::new(&wish, &secret).is_ok()
        };
        assert!(made("a.b_c-9") && made(&"x".repeat(64)));
        for bad in ["", "a b", "a:b", "a\"b", "ä", "a\n", &"x".repeat(65)] {
            assert!(!made(bad), "{bad:?}");
        }
    }
}
