//! `tabletctl`: reads the command line, does what it says, and ends with a status scripts may rely on.

use std::process::ExitCode;

use clap::Parser;
use tabletd::cli::{args::Cli, run};

fn main() -> ExitCode {
    match run(&Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            if !error.message.is_empty() {
                eprintln!("tabletctl: {error}");
            }
            ExitCode::from(error.exit as u8)
        }
    }
}
