//! How `tabletctl` ends: the statuses scripts may rely on, and the one error type that carries them.

use std::fmt;
use std::io::{self, IsTerminal, Write};

use crate::api::wire::ErrorBody;
use crate::model::Failure;

/// Exit status of the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// What was asked for is done.
    Done = 0,
    /// It was tried and failed: a migration failed, damage was found, a disk said no.
    Failed = 1,
    /// The command line makes no sense. (The status clap uses as well.)
    Usage = 2,
    /// No daemon answers at the address.
    Unreachable = 3,
    /// It was refused before anything was touched: by the daemon (4xx), by a root's lock, or because what is to be
    /// imported is no tablet.
    Refused = 4,
}

/// Why a command did not end well, in words that say what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct CliError {
    /// The status to exit with.
    pub exit: Exit,
    /// The sentence for standard error. Empty where the output has said it all.
    pub message: String,
    /// What the daemon refused with, where it was the daemon.
    pub refusal: Option<Box<ErrorBody>>,
}

impl CliError {
    /// An error that ends the process with `exit`.
    pub fn new(exit: Exit, message: impl fmt::Display) -> Self {
        Self { exit, message: message.to_string(), refusal: None }
    }

    /// One that the daemon has refused with `body`, whose hint is in the words of this tool.
    pub(super) fn refused(exit: Exit, body: ErrorBody) -> Self {
        let hint = body.hint.as_ref().map(|hint| format!("; {hint}")).unwrap_or_default();
        let message = format!("{} ({}){hint}", body.error_msg, body.error_code);
        Self { exit, message, refusal: Some(Box::new(body)) }
    }

    /// As one line of JSON, for a program that asked with `--json`: of a refusal the fields that the daemon answered.
    pub fn json(&self) -> String {
        let mut fields = match &self.refusal {
            Some(body) => serde_json::json!(body),
            None => serde_json::json!({ "error_msg": self.message }),
        };
        fields["exit_status"] = serde_json::json!(self.exit as u8);
        fields.to_string()
    }

    /// [`Exit::Failed`] without a further word: the report on standard output is the message.
    pub const fn reported() -> Self {
        Self { exit: Exit::Failed, message: String::new(), refusal: None }
    }
}

impl From<Failure> for CliError {
    fn from(failure: Failure) -> Self {
        Self::new(Exit::Failed, failure)
    }
}

/// Writes to standard output. A reader that has gone away (`| head`) is no error of ours.
///
/// # Errors
/// Standard output cannot be written for another reason, such as a full disk behind it.
pub fn print(text: &str) -> Result<(), CliError> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        Err(error) => Err(CliError::new(Exit::Failed, format!("standard output cannot be written: {error}"))),
        Ok(()) => Ok(()),
    }
}

/// Writes a value as one JSON document to standard output.
///
/// # Errors
/// As [`print()`].
pub fn print_json(value: &impl serde::Serialize) -> Result<(), CliError> {
    let text = serde_json::to_string_pretty(value).map_err(|error| CliError::new(Exit::Failed, error))?;
    print(&(text + "\n"))
}

/// Shows `what` and asks; anything but a yes ends the command with `refused`.
///
/// # Errors
/// [`Exit::Usage`] when nobody is there to be asked, [`Exit::Refused`] without a yes.
pub fn confirm(what: &str, question: &str, refused: &str) -> Result<(), CliError> {
    if !io::stdin().is_terminal() {
        let text = "nobody is here to be asked: add --yes, or --dry-run to look first";
        return Err(CliError::new(Exit::Usage, text));
    }
    let unreadable = |error| CliError::new(Exit::Failed, format!("the answer cannot be read: {error}"));
    eprint!("{what}{question} [y/N] ");
    io::stderr().flush().map_err(unreadable)?;
    let mut answer = String::new();
    io::stdin().read_line(&mut answer).map_err(unreadable)?;
    if ["y", "yes"].contains(&answer.trim().to_ascii_lowercase().as_str()) {
        Ok(())
    } else {
        Err(CliError::new(Exit::Refused, refused))
    }
}
