//! Who may ask for what: roles, tokens at rest, credentials as HTTP carries them, and the one decision about a request.
//!
//! Rooms in reading order: `role` and `rules` say what a request needs; `token` and `file` what is kept of a token;
//! `credentials` and `digest` how a caller proves to hold one, `session` what a browser holds instead; `door` puts them together. All but `file` is pure: time
//! and randomness are arguments. Nothing here knows HTTP beyond the text of one header, and nothing writes a log.

mod credentials;
mod digest;
mod door;
mod file;
mod role;
mod rules;
mod session;
mod token;

pub use credentials::{Credentials, DigestAnswer};
pub use digest::{NONCE_LIFETIME_MS, Nonces, REALM, ha1};
pub use door::{Admitted, Anonymous, Asking, Door, Loopback, Refusal};
pub use file::{TokenFileError, change, random_bytes, read};
pub use role::{Role, UnknownRole};
pub use rules::{Need, changes_something, is_drawing, is_page, needed, takes_session};
pub use session::{SessionId, Sessions};
pub use token::{InvalidName, NewToken, Secret, Standing, Token, Tokens};
