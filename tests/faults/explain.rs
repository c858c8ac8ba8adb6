//! Errors that say what was being done: a fault suite is read when something went wrong.

use std::fmt::Display;
use std::io;

/// Adds what was being done to an I/O error. The errno is kept for the reader, not for the program.
pub(crate) trait Explain<T> {
    /// `doing` is a clause such as `mount /dev/loop3 at /tmp/x`.
    fn when<D: Display>(self, doing: impl FnOnce() -> D) -> io::Result<T>;
}

impl<T, E: Into<io::Error>> Explain<T> for Result<T, E> {
    fn when<D: Display>(self, doing: impl FnOnce() -> D) -> io::Result<T> {
        self.map_err(|error| {
            let error = error.into();
            io::Error::new(error.kind(), format!("{}: {error}", doing()))
        })
    }
}

/// Runs a command to its end; an exit status other than 0 is an error that carries its standard error.
pub(crate) fn run(command: &mut std::process::Command) -> io::Result<String> {
    let output = command.output().when(|| format!("start {command:?}"))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(io::Error::other(format!("{command:?} ended with {}: {}", output.status, said.trim())))
}
