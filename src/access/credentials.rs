//! The header `Authorization`, read: Bearer (RFC 6750), Basic (RFC 7617) and Digest (RFC 7616).
//!
//! Says only what is written there; whether it opens anything is the door's business.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// What a caller shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Credentials {
    /// A token as it is: Bearer, or the password of Basic, whoever the user is said to be.
    Secret(String),
    /// The answer to a challenge.
    Digest(DigestAnswer),
}

/// `Authorization: Digest …`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DigestAnswer {
    /// Name of the token.
    pub username: String,
    /// As the challenge said.
    pub realm: String,
    pub nonce: String,
    /// The request target the client believes it asks for.
    pub uri: String,
    /// The proof, in hexadecimal digits.
    pub response: String,
    /// The client's own random part.
    pub cnonce: String,
    /// How often it has used the nonce.
    pub nc: String,
}

impl Credentials {
    /// Reads the value of the header.
    ///
    /// # Errors
    /// What is wrong with it, in words that do not repeat it.
    pub fn read(header: &str) -> Result<Self, &'static str> {
        let (scheme, rest) = header.trim().split_once(' ').unwrap_or((header.trim(), ""));
        let rest = rest.trim();
        if scheme.eq_ignore_ascii_case("Bearer") {
            Ok(Self::Secret(rest.to_owned()))
        } else if scheme.eq_ignore_ascii_case("Basic") {
            let pair = STANDARD.decode(rest).ok().and_then(|bytes| String::from_utf8(bytes).ok());
            let pair = pair.ok_or("Basic credentials are base64 of USER:TOKEN")?;
            let (_, password) = pair.split_once(':').ok_or("Basic credentials are base64 of USER:TOKEN")?;
            Ok(Self::Secret(password.to_owned()))
        } else if scheme.eq_ignore_ascii_case("Digest") {
            DigestAnswer::read(rest).map(Self::Digest)
        } else {
            Err("the scheme is none of Bearer, Basic and Digest")
        }
    }
}

impl DigestAnswer {
    fn read(text: &str) -> Result<Self, &'static str> {
        let pairs = parameters(text).ok_or("the Digest answer is not of its form")?;
        let find = |name: &str| pairs.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone());
        let get = |name: &str| find(name).ok_or("the Digest answer leaves something out");
        if !get("algorithm")?.eq_ignore_ascii_case("SHA-256") {
            return Err("Digest is spoken with algorithm=SHA-256 only");
        }
        if get("qop")? != "auth" {
            return Err("Digest is spoken with qop=auth only");
        }
        Ok(Self {
            username: get("username")?,
            realm: get("realm")?,
            nonce: get("nonce")?,
            uri: get("uri")?,
            response: get("response")?,
            cnonce: get("cnonce")?,
            nc: get("nc")?,
        })
    }
}

/// `a=b, c="d, \"e\""`; names in lower case. None when it is not of that form or a name comes twice.
fn parameters(text: &str) -> Option<Vec<(String, String)>> {
    let mut found: Vec<(String, String)> = Vec::new();
    let mut rest = text.trim();
    while !rest.is_empty() {
        let (name, after) = rest.split_once('=')?;
        let name = name.trim().to_ascii_lowercase();
        let after = after.trim_start();
        let (value, after) = match after.strip_prefix('"') {
            Some(quoted) => unquote(quoted)?,
            None => {
                let end = after.find(',').unwrap_or(after.len());
                (after[..end].trim().to_owned(), &after[end..])
            }
        };
        if found.iter().any(|(known, _)| *known == name) {
            return None;
        }
        found.push((name, value));
        let after = after.trim_start();
        rest = if after.is_empty() { after } else { after.strip_prefix(',')?.trim_start() };
    }
    Some(found)
}

/// The text up to the closing quote, and what follows.
fn unquote(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Some((value, &text[at + 1..])),
            '\\' => value.push(chars.next()?.1),
            other => value.push(other),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bearer_and_basic_carry_the_token_itself() {
        let secret = |text: &str| Ok(Credentials::Secret(text.to_owned()));
        for (header, expected) in [
            ("Bearer abc", secret("abc")),
            ("bearer   abc ", secret("abc")),
            // user:tok, :tok, u:a:b
            ("Basic dXNlcjp0b2s=", secret("tok")),
            ("Basic OnRvaw==", secret("tok")),
            ("Basic dTphOmI=", secret("a:b")),
        ] {
            assert_eq!(Credentials::read(header), expected, "{header}");
        }
        for bad in ["", "Basic", "Basic !!!", "Basic dG9r", "Negotiate abc", "tok"] {
            assert!(Credentials::read(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_digest_answer_is_read_whatever_its_order_and_quotes() {
        let header = "Digest username=\"o\\\"ps\", realm=\"t\", nonce=\"n=,1\", uri=\"/a?b=1,2\", \
                      algorithm=SHA-256, qop=auth, nc=00000001, cnonce=\"c\", response=\"ff\", opaque=\"\"";
        let Ok(Credentials::Digest(answer)) = Credentials::read(header) else { panic!("a digest") };
        assert_eq!((answer.username.as_str(), answer.nonce.as_str()), ("o\"ps", "n=,1"));
        assert_eq!((answer.uri.as_str(), answer.nc.as_str()), ("/a?b=1,2", "00000001"));
        for (from, to) in
            [("SHA-256", "MD5"), ("qop=auth", "qop=auth-int"), ("nc=00000001, ", ""), ("\"ff\"", "\"ff")]
        {
            assert!(Credentials::read(&header.replace(from, to)).is_err(), "{from} -> {to}");
        }
        assert!(Credentials::read(&format!("{header}, nc=2")).is_err());
    }

    proptest::proptest! {
        #[test]
        fn any_header_is_read_without_panic(text: String) {
            let _ = Credentials::read(&text);
            let _ = Credentials::read(&format!("Digest {text}"));
        }
    }
}
