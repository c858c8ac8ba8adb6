//! `tabletctl`: reads the command line, does what it says, and ends with a status scripts may rely on.

use std::process::ExitCode;

use clap::Parser;
use tabletd::cli::{args::Cli, complete, exit::CliError, exit::Exit, run};

fn main() -> ExitCode {
    complete::answer_shell();
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        // A page that was asked for is no error, and a program that wants JSON wants it of a slip too.
        Err(error) if error.use_stderr() && std::env::args_os().any(|word| word == "--json") => {
            let said = error.render().to_string();
            let message = said.trim().trim_start_matches("error: ");
            eprintln!("{}", CliError::new(Exit::Usage, message).json());
            return ExitCode::from(Exit::Usage as u8);
        }
        Err(error) => error.exit(),
    };
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
