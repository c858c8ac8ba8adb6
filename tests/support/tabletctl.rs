//! `tabletctl` as an operator types it, and the waiting for what it brings about.

use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use super::daemon::{Daemon, PATIENCE};

/// The command, of no daemon; with nothing to read from.
pub(crate) fn tabletctl(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tabletctl"));
    command.env_remove("TABLETD_ADDR").env_remove("TABLETD_TOKEN").args(args).stdin(Stdio::null());
    command
}

impl Daemon {
    /// The command, said to this daemon.
    pub(crate) fn tabletctl_command(&self, args: &[&str]) -> Command {
        let mut command = tabletctl(args);
        command.env("TABLETD_ADDR", self.url(""));
        command
    }

    /// What comes of it.
    pub(crate) fn tabletctl(&self, args: &[&str]) -> Output {
        self.tabletctl_command(args).output().expect("tabletctl")
    }
}

/// Its exit status and all that it says.
pub(crate) fn status_and_words(output: Output) -> (Option<i32>, String) {
    let said = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8_lossy(&said).into_owned())
}

/// Waits until it is so.
///
/// # Panics
/// It never is.
pub(crate) fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < deadline, "never: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}
