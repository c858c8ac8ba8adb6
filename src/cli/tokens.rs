//! `tabletctl token ...`: who may use the daemon. Works on the file of tokens itself, whether a daemon runs or not; one
//! that runs sees the change within a second.

use std::path::PathBuf;

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Value, json};

use super::args::Output;
use super::exit::{CliError, Exit, print, print_json};
use super::table::{Align, Table};
use super::token_args::{TokenArgs, TokenCommand, TokenPlace};
use crate::access::{self, NewToken, Secret, Token, TokenFileError, change};
use crate::config::Config;

impl From<TokenFileError> for CliError {
    fn from(error: TokenFileError) -> Self {
        Self::new(Exit::Failed, error)
    }
}

/// Does it.
///
/// # Errors
/// [`Exit::Refused`] for a name that is taken or unknown, [`Exit::Failed`] when the file cannot be read or replaced.
pub(super) fn run(args: &TokenArgs, output: Output) -> Result<(), CliError> {
    let path = place(&args.place)?;
    let now_ms = Utc::now().timestamp_millis();
    match &args.command {
        TokenCommand::Create { name, role, expires, no_digest } => {
            let expires_ms = expires.0.map(|seconds| now_ms.saturating_add(seconds.saturating_mul(1000)));
            let wish = NewToken { name, role: *role, now_ms, expires_ms, digest: !no_digest };
            create(&path, &wish, output)
        }
        TokenCommand::List => list(&path, now_ms, output),
        TokenCommand::Revoke { name } => revoke(&path, name, now_ms, output),
    }
}

fn place(place: &TokenPlace) -> Result<PathBuf, CliError> {
    if let Some(file) = &place.file {
        return Ok(file.clone());
    }
    let home = std::env::var("DORIS_HOME").ok().filter(|home| !home.is_empty());
    let conf = match (&place.conf, home) {
        (Some(conf), _) => conf.clone(),
        (None, Some(home)) => PathBuf::from(home).join("conf/be.conf"),
        (None, None) => {
            return Err(CliError::new(Exit::Usage, "which node's tokens? Give --conf FILE (its be.conf)"));
        }
    };
    let loaded = Config::load(&conf, &|name| std::env::var(name).ok())
        .map_err(|errors| CliError::new(Exit::Usage, errors))?;
    Ok(loaded.config.tokens_file.into())
}

fn create(path: &std::path::Path, wish: &NewToken<'_>, output: Output) -> Result<(), CliError> {
    let random = access::random_bytes().map_err(|error| CliError::new(Exit::Failed, error))?;
    let secret = Secret::from_random(random);
    let token = Token::new(wish, &secret).map_err(|error| CliError::new(Exit::Usage, error))?;
    let is_first = change(path, |tokens| {
        let is_first = !tokens.exist();
        if tokens.named(wish.name).is_some() {
            let text =
                format!("there is a token {} already; revoke it first, or choose another name", wish.name);
            return Err(CliError::new(Exit::Refused, text));
        }
        tokens.0.push(token);
        Ok(is_first)
    })?;
    match output {
        Output::Json => print_json(&json!({
            "name": wish.name,
            "role": wish.role,
            "token": secret.as_str(),
            "expires_at": wish.expires_ms.map(time),
            "is_first": is_first,
        })),
        Output::Text => {
            let until = wish
                .expires_ms
                .map_or_else(|| "until it is revoked".to_owned(), |ms| format!("until {}", time(ms)));
            if is_first {
                eprintln!(
                    "this is the first token: within a second everybody without one is locked out, also on this host \
                     (allow_loopback_without_credentials, metrics_without_credentials in be.conf leave a way in)"
                );
            }
            eprintln!(
                "token {} with the role {}, good {until}; it is shown this once:",
                wish.name, wish.role
            );
            print(&format!("{}\n", secret.as_str()))
        }
    }
}

/// The tokens of a node as they are listed.
///
/// # Errors
/// [`Exit::Usage`] for a configuration that cannot be read, [`Exit::Failed`] for such a file of tokens.
pub(super) fn told(conf: PathBuf) -> Result<Vec<Value>, CliError> {
    let tokens = access::read(&place(&TokenPlace { conf: Some(conf), file: None })?)?;
    let now_ms = Utc::now().timestamp_millis();
    Ok(tokens.0.iter().map(|token| row(token, now_ms)).collect())
}

fn row(token: &Token, now_ms: i64) -> Value {
    json!({
        "name": token.name,
        "role": token.role,
        "status": token.standing(now_ms).as_str(),
        "digest": token.takes_digest(),
        "created_at": time(token.created_ms),
        "expires_at": token.expires_ms.map(time),
        "revoked_at": token.revoked_ms.map(time),
    })
}

fn list(path: &std::path::Path, now_ms: i64, output: Output) -> Result<(), CliError> {
    let tokens = access::read(path)?;
    if output == Output::Json {
        let rows: Vec<_> = tokens.0.iter().map(|token| row(token, now_ms)).collect();
        return print_json(&json!({ "total": rows.len(), "data": rows }));
    }
    let mut table =
        Table::new(&["NAME", "ROLE", "STATUS", "CREATED", "EXPIRES"].map(|name| (name, Align::Left)));
    for token in &tokens.0 {
        let expires = token.expires_ms.map_or_else(|| "never".to_owned(), time);
        let standing = token.standing(now_ms).as_str().to_owned();
        table.row([token.name.clone(), token.role.to_string(), standing, time(token.created_ms), expires]);
    }
    print(&table.render_or("no token: nobody is asked for one"))
}

fn revoke(path: &std::path::Path, name: &str, now_ms: i64, output: Output) -> Result<(), CliError> {
    change(path, |tokens| {
        let standing = tokens.0.iter_mut().find(|token| token.name == name && token.revoked_ms.is_none());
        let Some(token) = standing else {
            return Err(CliError::new(
                Exit::Refused,
                format!("there is no token {name} that could be revoked"),
            ));
        };
        token.revoked_ms = Some(now_ms);
        Ok(())
    })?;
    match output {
        Output::Json => print_json(&json!({ "name": name, "revoked_at": time(now_ms) })),
        Output::Text => print(&format!("token {name} is revoked\n")),
    }
}

fn time(ms: i64) -> String {
    let time = DateTime::from_timestamp_millis(ms).unwrap_or(DateTime::UNIX_EPOCH);
    time.to_rfc3339_opts(SecondsFormat::Secs, true)
}
