//! The decision about one request: who asks, whether that needs proof, whether the proof holds, whether the role suffices.
//!
//! Pure: no clock, no file, no log. The table of who needs no proof:
//!
//! | tokens exist | `enable_all_http_auth` | from loopback | from elsewhere |
//! |---|---|---|---|
//! | no | `false` | no proof | no proof (the port is open to the network only if that was written) |
//! | no | `true` | proof | proof |
//! | yes | either | proof | proof |
//!
//! `allow_loopback_without_credentials = true` lets loopback in without proof in every row.

use super::credentials::Credentials;
use super::digest::{NonceState, Nonces, REALM, proves};
use super::rules::Need;
use super::token::{Standing, Token, Tokens};
use super::{DigestAnswer, Role};

/// Who may come in without credentials, by configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Anonymous {
    /// Anybody, while no token exists.
    UntilTokensExist,
    Never,
}

/// The configuration of the door.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Door {
    /// `enable_all_http_auth`.
    pub anonymous: Anonymous,
    /// `allow_loopback_without_credentials`.
    pub loopback: Loopback,
}

/// Whether loopback has a way in of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Loopback {
    /// It is like any other address.
    AsOthers,
    /// It needs no credentials.
    Free,
}

/// What is asked.
#[derive(Debug)]
pub struct Asking<'a> {
    pub method: &'a str,
    /// The target as the client sent it, path and query.
    pub target: &'a str,
    pub need: Need,
    /// Whether it comes from this host.
    pub from_loopback: bool,
    /// The header `Authorization`.
    pub authorization: Option<&'a str>,
    /// The token that a browser has signed in with; looked at when there is no header.
    pub signed_in: Option<&'a Token>,
    /// Milliseconds since the Unix epoch.
    pub now_ms: i64,
}

/// Who was let in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Admitted {
    /// Name of the token; none for who needed no credentials.
    pub token: Option<String>,
    /// What it may do.
    pub role: Role,
}

/// Why not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// 401: who asks is not known.
    Unproven {
        /// What is wrong, in words that repeat no secret.
        why: &'static str,
        /// The nonce has ended and nothing else is wrong.
        stale: bool,
    },
    /// 403: who asks is known, and may not.
    Forbidden { caller: Admitted, needed: Role },
}

impl Door {
    /// Whether a request has to show credentials.
    pub fn asks_for_proof(&self, tokens: &Tokens, from_loopback: bool) -> bool {
        if from_loopback && self.loopback == Loopback::Free {
            return false;
        }
        self.anonymous == Anonymous::Never || tokens.exist()
    }

    /// Lets a request in, or says why not.
    ///
    /// # Errors
    /// [`Refusal`].
    pub fn decide(&self, asking: &Asking<'_>, tokens: &Tokens, nonces: &Nonces) -> Result<Admitted, Refusal> {
        let Need::Role(needed) = asking.need else {
            return Ok(Admitted { token: None, role: Role::Viewer });
        };
        let caller = match asking.authorization {
            // While there is nothing to compare with, what old scripts send along means nothing.
            Some(header) if tokens.exist() => {
                let token = identify(header, asking, tokens, nonces)?;
                Admitted { token: Some(token.name.clone()), role: token.role }
            }
            None if let Some(token) = asking.signed_in => {
                Admitted { token: Some(token.name.clone()), role: token.role }
            }
            _ if self.asks_for_proof(tokens, asking.from_loopback) => {
                let why = match tokens.exist() {
                    true => "credentials are needed: a token as Bearer, as password of Basic, or by Digest",
                    false => "credentials are needed and no token exists: tabletctl token create makes one",
                };
                return Err(Refusal::Unproven { why, stale: false });
            }
            _ => Admitted { token: None, role: Role::Admin },
        };
        if caller.role < needed { Err(Refusal::Forbidden { caller, needed }) } else { Ok(caller) }
    }
}

fn identify<'a>(
    header: &str,
    asking: &Asking<'_>,
    tokens: &'a Tokens,
    nonces: &Nonces,
) -> Result<&'a Token, Refusal> {
    let unproven = |why| Refusal::Unproven { why, stale: false };
    let token = match Credentials::read(header).map_err(unproven)? {
        Credentials::Secret(secret) => tokens.of_secret(&secret).ok_or(unproven("the token is not known"))?,
        Credentials::Digest(answer) => by_digest(&answer, asking, tokens, nonces)?,
    };
    match token.standing(asking.now_ms) {
        Standing::Valid => Ok(token),
        Standing::Expired => Err(unproven("the token has expired")),
        Standing::Revoked => Err(unproven("the token was revoked")),
    }
}

fn by_digest<'a>(
    answer: &DigestAnswer,
    asking: &Asking<'_>,
    tokens: &'a Tokens,
    nonces: &Nonces,
) -> Result<&'a Token, Refusal> {
    let unproven = |why| Refusal::Unproven { why, stale: false };
    let state = nonces.state(&answer.nonce, asking.now_ms);
    if state == NonceState::Unknown || answer.realm != REALM {
        return Err(unproven("the Digest answer is to a challenge that is not from here"));
    }
    if answer.uri != asking.target {
        return Err(unproven("the Digest answer is for another request target"));
    }
    let token = tokens.named(&answer.username);
    let ha1 = token.and_then(Token::ha1);
    let proven = ha1.is_some_and(|ha1| proves(answer, ha1, asking.method));
    match (token, proven, state) {
        (Some(token), true, NonceState::Fresh) => Ok(token),
        (Some(_), true, _) => {
            Err(Refusal::Unproven { why: "the challenge has ended; here is another", stale: true })
        }
        _ => Err(unproven("the Digest answer is wrong, or its token takes no Digest")),
    }
}

#[cfg(test)]
mod tests {
    use super::super::token::tests::token;
    use super::super::{Secret, ha1};
    use super::*;
    use crate::access::token::sha256_hex;

    const OPEN: Door = Door { anonymous: Anonymous::UntilTokensExist, loopback: Loopback::AsOthers };

    fn nonces() -> Nonces {
        Nonces::new([3; 32])
    }

    fn asking(needed: Role, authorization: Option<&str>) -> Asking<'_> {
        Asking {
            method: "POST",
            target: "/api/v1/migrations?pretty=true",
            need: Need::Role(needed),
            from_loopback: true,
            authorization,
            signed_in: None,
            now_ms: 2_000,
        }
    }

    fn two() -> (Tokens, Secret, Secret) {
        let (viewer, viewer_secret) = token("look", Role::Viewer, 1);
        let (admin, admin_secret) = token("root", Role::Admin, 2);
        (Tokens(vec![viewer, admin]), viewer_secret, admin_secret)
    }

    #[test]
    fn the_table_of_who_needs_no_proof_holds() {
        let (tokens, ..) = two();
        let none = Tokens::default();
        for (tokens, anonymous, loopback, here, elsewhere) in [
            (&none, Anonymous::UntilTokensExist, Loopback::AsOthers, false, false),
            (&none, Anonymous::Never, Loopback::AsOthers, true, true),
            (&tokens, Anonymous::UntilTokensExist, Loopback::AsOthers, true, true),
            (&tokens, Anonymous::Never, Loopback::AsOthers, true, true),
            (&none, Anonymous::UntilTokensExist, Loopback::Free, false, false),
            (&none, Anonymous::Never, Loopback::Free, false, true),
            (&tokens, Anonymous::UntilTokensExist, Loopback::Free, false, true),
            (&tokens, Anonymous::Never, Loopback::Free, false, true),
        ] {
            let door = Door { anonymous, loopback };
            for (from_loopback, proof) in [(true, here), (false, elsewhere)] {
                let asking = Asking { from_loopback, ..asking(Role::Admin, None) };
                let let_in = door.decide(&asking, tokens, &nonces());
                assert_eq!(let_in.is_err(), proof, "{door:?} {from_loopback} {let_in:?}");
            }
        }
    }

    #[test]
    fn an_ended_or_revoked_last_token_does_not_open_the_door() {
        let (mut tokens, ..) = two();
        tokens.0.truncate(1);
        let late = Asking { now_ms: 10_000, ..asking(Role::Viewer, None) };
        assert!(OPEN.decide(&late, &tokens, &nonces()).is_err());
        tokens.0[0].revoked_ms = Some(5);
        assert!(OPEN.decide(&late, &tokens, &nonces()).is_err());
    }

    #[test]
    fn a_token_opens_what_its_role_may_and_names_the_role_it_lacks() {
        let (tokens, viewer, admin) = two();
        let header = |secret: &Secret| format!("Bearer {}", secret.as_str());
        let decide = |needed, header: &str| OPEN.decide(&asking(needed, Some(header)), &tokens, &nonces());
        assert_eq!(decide(Role::Viewer, &header(&viewer)).unwrap().token.as_deref(), Some("look"));
        assert_eq!(decide(Role::Admin, &header(&admin)).unwrap().role, Role::Admin);
        let Err(Refusal::Forbidden { caller, needed }) = decide(Role::Operator, &header(&viewer)) else {
            panic!("a viewer may not move tablets")
        };
        assert_eq!((caller.token.as_deref(), needed), (Some("look"), Role::Operator));
        assert!(matches!(decide(Role::Viewer, "Bearer wrong"), Err(Refusal::Unproven { .. })));
    }

    #[test]
    fn wrong_credentials_are_refused_even_where_none_are_needed_once_tokens_exist() {
        let (tokens, ..) = two();
        let free = Door { loopback: Loopback::Free, ..OPEN };
        let wrong = asking(Role::Viewer, Some("Bearer wrong"));
        assert!(free.decide(&wrong, &tokens, &nonces()).is_err());
        assert!(OPEN.decide(&wrong, &Tokens::default(), &nonces()).is_ok(), "nothing to compare with yet");
    }

    fn answer(secret: &Secret, nonce: &str, target: &str) -> String {
        let ha1 = ha1("root", secret.as_str());
        let ha2 = sha256_hex(&format!("POST:{target}"));
        let response = sha256_hex(&format!("{ha1}:{nonce}:00000001:c:auth:{ha2}"));
        format!(
            "Digest username=\"root\", realm=\"{REALM}\", nonce=\"{nonce}\", uri=\"{target}\", cnonce=\"c\", \
             nc=00000001, qop=auth, algorithm=SHA-256, response=\"{response}\""
        )
    }

    #[test]
    fn digest_proves_the_token_for_this_target_and_until_the_nonce_ends() {
        let (tokens, viewer, admin) = two();
        let nonces = nonces();
        let nonce = nonces.issue(1_500);
        let target = "/api/v1/migrations?pretty=true";
        let decide = |header: &str, now_ms| {
            let asking = Asking { now_ms, ..asking(Role::Admin, Some(header)) };
            OPEN.decide(&asking, &tokens, &nonces)
        };
        assert_eq!(decide(&answer(&admin, &nonce, target), 2_000).unwrap().token.as_deref(), Some("root"));
        let refused = |header: &str, now_ms| match decide(header, now_ms) {
            Err(Refusal::Unproven { stale, .. }) => stale,
            other => panic!("{other:?}"),
        };
        assert!(refused(&answer(&admin, &nonce, target), 1_000_000), "stale");
        assert!(
            !refused(&answer(&viewer, &nonce, target), 1_000_000),
            "a wrong answer is not told to repeat"
        );
        assert!(!refused(&answer(&viewer, &nonce, target), 2_000));
        assert!(!refused(&answer(&admin, &nonce, "/api/v1/disks"), 2_000));
        assert!(!refused(&answer(&admin, "x", target), 2_000));
    }

    #[test]
    fn who_has_signed_in_has_the_role_of_the_token_and_a_header_outranks_it() {
        let (tokens, viewer, _) = two();
        let signed_in = Some(&tokens.0[1]);
        let decide = |authorization: Option<&str>| {
            OPEN.decide(&Asking { signed_in, ..asking(Role::Admin, authorization) }, &tokens, &nonces())
        };
        assert_eq!(decide(None).unwrap().token.as_deref(), Some("root"));
        assert!(matches!(decide(Some("Bearer wrong")), Err(Refusal::Unproven { .. })));
        let header = format!("Bearer {}", viewer.as_str());
        assert!(matches!(decide(Some(&header)), Err(Refusal::Forbidden { .. })));
    }

    #[test]
    fn health_is_open_to_everybody() {
        let (tokens, ..) = two();
        let health = Asking { need: Need::Nothing, ..asking(Role::Admin, Some("Bearer wrong")) };
        let door = Door { anonymous: Anonymous::Never, loopback: Loopback::AsOthers };
        assert!(door.decide(&health, &tokens, &nonces()).is_ok());
    }
}
