//! `tabletctl`: reads the command line, does what it says, and ends with a status scripts may rely on.

use std::process::ExitCode;

use clap::Parser;
use tabletd::cli::{args::Cli, run};

fn main() -> ExitCode {
    let cli = Cli::parse();
    match run(&cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            if cli.json && !error.message.is_empty() {
                eprintln!("{}", error.json());
            } else if !error.message.is_empty() {
                eprintln!("tabletctl: {error}");
            }
            ExitCode::from(error.exit as u8)
        }
    }
}
