//! Each rule is left out on purpose, and a scenario must break a promise: what cannot fail proves nothing. With every rule in
//! its place the same scenarios hold.
//!
//! Wants a build with the feature `fault-injection`. A rule is left out of a process, so each is tried by one of its own.

use std::process::{Command, ExitCode};
use std::time::Instant;

/// A rule of the engine's.
struct Rule {
    /// As [`tabletd::fault`] knows it.
    name: &'static str,
    /// What went wrong before it stood.
    before: &'static str,
    /// From here on it is known to be found, within [`SCENARIOS`].
    seed: u64,
}

/// So many scenarios are lived for each rule.
const SCENARIOS: u64 = 24;

const fn rule(name: &'static str, seed: u64, before: &'static str) -> Rule {
    Rule { name, before, seed }
}

/// Not among them, since no life of a minute's was found that breaks without it: `last_word`, `only_itself` and `record_sync`.
/// The last is found by power cuts on real disks, in the fault suite.
const RULES: &[Rule] = &[
    rule("owner_seen", 1038, "a copy went although the owner of its tablet was not here"),
    rule("undone", 1045, "one thing that could not be settled kept the node from starting"),
    rule("ledger", 500016, "owner and generation were taken from what history was left"),
    rule("claim", 1017, "two operations made two owners of one generation"),
    rule("data_sync", 1002, "files were not durable before they were swapped in"),
    rule("directory_sync", 1019, "names were not durable before the source went"),
    rule("commit_before_retire", 1004, "the source went before the swap"),
];

/// Tries all of them: each for so many seconds from `seed` on, or where no seconds are given on the seeds that are known to
/// find it.
pub(crate) fn each_rule(search: Option<(u64, u64)>) -> ExitCode {
    if !cfg!(feature = "fault-injection") {
        println!("not run: wants a build with the feature fault-injection");
        return ExitCode::SUCCESS;
    }
    let mut missed = Vec::new();
    for rule in RULES {
        let begun = Instant::now();
        let lived = match search {
            Some((seconds, seed)) => lived(rule.name, &["--seconds", &seconds.to_string()], seed),
            None => lived(rule.name, &["--scenarios", &SCENARIOS.to_string()], rule.seed).and_then(|found| {
                // What is found is found by the rule, and not a defect that is there anyway.
                let whole = lived("", &["--scenarios", &SCENARIOS.to_string()], rule.seed)?;
                Ok(found.filter(|_| whole.is_none()))
            }),
        };
        match lived {
            Ok(Some(found)) => {
                println!("{}: found in {:.1} s: {found}", rule.name, begun.elapsed().as_secs_f64());
            }
            Ok(None) => {
                missed.push(format!("{}: nothing was broken without it ({})", rule.name, rule.before));
            }
            Err(error) => missed.push(format!("{}: {error}", rule.name)),
        }
    }
    missed.iter().for_each(|line| println!("{line}"));
    println!("{{\"rules\":{},\"found\":{}}}", RULES.len(), RULES.len() - missed.len());
    if missed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// The first promise that was broken without a rule.
fn lived(rule: &str, until: &[&str], seed: u64) -> std::io::Result<Option<String>> {
    let output = Command::new(std::env::current_exe()?)
        .args(until)
        .args(["--seed", &seed.to_string(), "--as-found"])
        .env("TABLETD_MUTANT", rule)
        .output()?;
    let said = String::from_utf8_lossy(&output.stdout);
    // A panic's first words are a line of their own.
    let found =
        said.lines().find(|line| line.starts_with("seed ")).map(|line| line.chars().take(160).collect());
    Ok(found.filter(|_| !output.status.success()))
}
