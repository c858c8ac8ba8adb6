//! Each rule is left out on purpose, and a scenario must break a promise: what cannot fail proves nothing.
//!
//! Wants a build with the feature `fault-injection`. A rule is left out of a process, so each is tried by one of its own.

use std::process::{Command, ExitCode};
use std::time::Instant;

/// Rules of the engine's, by the name that [`tabletd::fault`] knows, and what went wrong before they stood.
const RULES: &[(&str, &str)] = &[
    ("owner_seen", "a copy went although the owner of its tablet was not here"),
    ("last_word", "orders were written after the last row of a migration"),
    ("undone", "one thing that could not be settled kept the node from starting"),
    ("ledger", "owner and generation were taken from what history was left"),
    ("claim", "two operations made two owners of one generation"),
    ("only_itself", "a staging directory of a completed move took the tablet with it"),
    ("data_sync", "files were not durable before they were swapped in"),
    ("record_sync", "the record was not durable before it was swapped in"),
    ("directory_sync", "names were not durable before the source went"),
    ("commit_before_retire", "the source went before the swap"),
];

/// Tries all of them.
pub(crate) fn each_rule(seconds: u64, seed: u64) -> ExitCode {
    if !cfg!(feature = "fault-injection") {
        println!("not run: wants a build with the feature fault-injection");
        return ExitCode::SUCCESS;
    }
    let mut missed = Vec::new();
    for (rule, before) in RULES {
        let begun = Instant::now();
        match without(rule, seconds, seed) {
            Ok(Some(found)) => {
                println!("{rule}: found in {:.1} s: {found}", begun.elapsed().as_secs_f64());
            }
            Ok(None) => missed.push(format!("{rule}: nothing was broken without it ({before})")),
            Err(error) => missed.push(format!("{rule}: {error}")),
        }
    }
    missed.iter().for_each(|line| println!("{line}"));
    println!("{{\"rules\":{},\"found\":{}}}", RULES.len(), RULES.len() - missed.len());
    if missed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// The first promise that was broken without a rule.
fn without(rule: &str, seconds: u64, seed: u64) -> std::io::Result<Option<String>> {
    let output = Command::new(std::env::current_exe()?)
        .args(["--seconds", &seconds.to_string(), "--seed", &seed.to_string(), "--as-found"])
        .env("TABLETD_MUTANT", rule)
        .output()?;
    let said = String::from_utf8_lossy(&output.stdout);
    let found =
        said.lines().find(|line| line.starts_with("seed ")).map(|line| line.chars().take(160).collect());
    Ok(found.filter(|_| !output.status.success()))
}
