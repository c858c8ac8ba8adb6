//! Completion of the command line. Scripts that shells load call `tabletctl` back at every TAB (`COMPLETE=<shell>`), so
//! that what they offer is what the daemon has at that moment.
//!
//! What an argument takes is told by the type of its value: nothing has to be said beside each argument, and none can be
//! forgotten. A daemon that does not answer soon offers nothing; completion is never an error.

use std::any::TypeId;
use std::ffi::OsStr;
use std::time::Duration;

use clap::{Arg, Command, CommandFactory, FromArgMatches as _};
use clap_complete::engine::{ArgValueCompleter, CompletionCandidate};
use clap_complete::env::Shells;
use clap_complete::{CompleteEnv, Shell};

use super::args::Cli;
use super::client::{Client, Query};
use super::disk_name::{DiskName, short_names};
use super::exit::{CliError, Exit};
use super::headline::headline;
use super::task_text;
use super::token_args::TrustArgs;
use crate::model::{
    Medium, MigrationId, MoveStatus, OperationId, Phase, Status, Step, TabletId, TaskId, TaskStatus,
    printable,
};

/// The variable by which a shell says that it wants completion, and which shell it is.
const VARIABLE: &str = "COMPLETE";
/// Whoever pressed TAB waits.
const PATIENCE: Duration = Duration::from_secs(2);
/// More than that nobody reads.
const OFFERED_MAX: usize = 100;
/// Characters of the words beside a candidate.
const HELP_MAX: usize = 60;

/// zsh loads a file from its function path at the first TAB, as the function of the file's name: that call is one to answer.
const ZSH_FIRST_CALL: &str =
    "if [ \"$funcstack[1]\" = _tabletctl ]; then\n    _clap_dynamic_completer_tabletctl \"$@\"\nfi\n";

/// bash puts a candidate into the line as it is, blanks and all.
const BASH_QUOTES: &str = r#"
_tabletctl() {
    _clap_complete_tabletctl "$@"
    # Within quotation marks everything is quoted already.
    [[ ${COMP_WORDS[COMP_CWORD]} != [\"\']* ]] || return 0
    local at
    for at in "${!COMPREPLY[@]}"; do
        printf -v "COMPREPLY[at]" %q "${COMPREPLY[at]}"
    done
}
complete -o nospace -o bashdefault -F _tabletctl tabletctl
[[ ${BASH_VERSINFO[0]} -lt 5 ]] || complete -o nospace -o bashdefault -o nosort -F _tabletctl tabletctl
"#;

/// Answers a shell that asks for completion, and ends the process then. Otherwise does nothing.
pub fn answer_shell() {
    CompleteEnv::with_factory(command).var(VARIABLE).complete();
}

/// What a shell loads.
///
/// # Errors
/// None that a user could meet: every shell that the command line takes has a script.
pub(super) fn script(shell: Shell) -> Result<String, CliError> {
    let shells = Shells::builtins();
    let name = shell.to_string();
    let completer = shells
        .completer(&name)
        .ok_or_else(|| CliError::new(Exit::Usage, format!("{name} has no completion script")))?;
    let mut script = Vec::new();
    completer
        .write_registration(VARIABLE, "tabletctl", "tabletctl", "tabletctl", &mut script)
        .map_err(|error| CliError::new(Exit::Failed, error))?;
    let mut script = String::from_utf8_lossy(&script).into_owned();
    match shell {
        Shell::Zsh => script += ZSH_FIRST_CALL,
        Shell::Bash => script += BASH_QUOTES,
        _ => {}
    }
    Ok(script)
}

/// The command line with what each of its values may be.
fn command() -> Command {
    with_candidates(Cli::command())
}

fn with_candidates(command: Command) -> Command {
    command.mut_args(with_candidates_of_its_type).mut_subcommands(with_candidates)
}

fn with_candidates_of_its_type(arg: Arg) -> Arg {
    let value = arg.get_value_parser().type_id();
    let offers: [(TypeId, Offers); 11] = [
        (TypeId::of::<DiskName>(), disks),
        (TypeId::of::<TabletId>(), tablets),
        (TypeId::of::<MigrationId>(), migrations),
        (TypeId::of::<TaskId>(), the_tasks),
        (TypeId::of::<OperationId>(), operations),
        (TypeId::of::<Status>(), |_| words(Status::ALL.iter().map(|word| word.as_str()))),
        (TypeId::of::<Phase>(), |_| words(Phase::ALL.iter().map(|word| word.as_str()))),
        (TypeId::of::<Step>(), |_| words(Step::ALL.iter().map(|word| word.as_str()))),
        (TypeId::of::<TaskStatus>(), |_| words(TaskStatus::ALL.iter().map(|word| word.as_str()))),
        (TypeId::of::<MoveStatus>(), |_| words(MoveStatus::ALL.iter().map(|word| word.as_str()))),
        (TypeId::of::<Medium>(), |_| words(["ssd", "hdd"].into_iter())),
    ];
    match offers.into_iter().find(|(of, _)| value == *of) {
        Some((_, offer)) => arg.add(ArgValueCompleter::new(move |word: &OsStr| candidates(word, offer))),
        None => arg,
    }
}

/// A value, and a few words about it.
type Offer = (String, String);
/// What there is for a word that was begun.
type Offers = fn(&str) -> Vec<Offer>;

fn candidates(word: &OsStr, offer: Offers) -> Vec<CompletionCandidate> {
    let Some(word) = word.to_str() else { return Vec::new() };
    let fitting = offer(word).into_iter().filter(|(value, _)| value.starts_with(word));
    let shown = fitting.take(OFFERED_MAX).map(|(value, help)| {
        let help: String = printable(&help).chars().take(HELP_MAX).collect();
        CompletionCandidate::new(value).help((!help.is_empty()).then(|| help.into()))
    });
    shown.collect()
}

fn words<'a>(all: impl Iterator<Item = &'a str>) -> Vec<Offer> {
    all.map(|word| (word.to_owned(), String::new())).collect()
}

/// Paths where one was begun, or nothing was; else the short names.
fn disks(word: &str) -> Vec<Offer> {
    let Some(Ok(answer)) = client().map(|client| client.disks()) else { return Vec::new() };
    let paths: Vec<_> = answer.value.data.iter().map(|disk| disk.path.clone()).collect();
    if !word.is_empty() && !word.starts_with('/') {
        return short_names(&paths).into_iter().map(|name| (name, String::new())).collect();
    }
    answer.value.data.into_iter().map(|disk| (disk.path, disk.condition)).collect()
}

/// In pages that begin where ids of `word` begin: a node has more tablets than one would ask for at once.
fn tablets(word: &str) -> Vec<Offer> {
    let Some(client) = client() else { return Vec::new() };
    let mut found = Vec::new();
    for before in places_before(word) {
        let mut query: Query<'_> = vec![("limit", OFFERED_MAX.to_string())];
        // Nothing lies before the first id.
        if before > 0 {
            query.push(("marker", before.to_string()));
        }
        let Ok(page) = client.tablets(&query) else { break };
        let fitting = page.value.data.into_iter().map(|tablet| (tablet.tablet_id.to_string(), tablet.disk));
        found.extend(fitting.filter(|(id, _)| id.starts_with(word)));
        if found.len() >= OFFERED_MAX {
            break;
        }
    }
    // Where there are few tablets, one page reaches into the next.
    found.sort();
    found.dedup();
    found
}

/// Behind which ids those lie that begin with `word`: 15 itself, 150 to 159, 1500 to 1599, and so on.
fn places_before(word: &str) -> Vec<i64> {
    if word.is_empty() {
        return vec![0];
    }
    let digits = word.bytes().all(|byte| byte.is_ascii_digit()).then(|| word.parse::<i64>().ok()).flatten();
    let first = digits.filter(|first| *first > 0);
    std::iter::successors(first, |first| first.checked_mul(10)).map(|first| first - 1).collect()
}

fn migrations(_: &str) -> Vec<Offer> {
    let query: Query<'_> = vec![("sort", "-id".to_owned()), ("limit", "1000".to_owned())];
    let Some(Ok(answer)) = client().map(|client| client.migrations(&query)) else { return Vec::new() };
    let rows = answer.value.data.into_iter();
    rows.map(|row| (row.id.to_string(), tail_of(&headline(&row)))).collect()
}

fn the_tasks(_: &str) -> Vec<Offer> {
    let Some(Ok(answer)) = client().map(|client| client.tasks(&vec![])) else { return Vec::new() };
    let rows = answer.value.data.into_iter().rev();
    rows.filter_map(|task| Some((task.id?.to_string(), tail_of(&task_text::headline(&task))))).collect()
}

fn operations(_: &str) -> Vec<Offer> {
    let Some(Ok(answer)) = client().map(|client| client.operations(&vec![])) else { return Vec::new() };
    let rows = answer.value.data.into_iter();
    rows.map(|row| (row.id.to_string(), format!("{} {}", row.kind.as_str(), row.subject))).collect()
}

/// A headline without its beginning, which says the number.
fn tail_of(headline: &str) -> String {
    headline.splitn(3, ' ').nth(2).unwrap_or_default().to_owned()
}

/// The daemon that the words typed so far, or the environment, name.
fn client() -> Option<Client> {
    let typed = std::env::args_os().skip_while(|word| word != "--").skip(1);
    let matches = Cli::command().ignore_errors(true).try_get_matches_from(typed).ok()?;
    let addr = matches.get_one::<String>("addr")?;
    let trust = TrustArgs::from_arg_matches(&matches).ok()?;
    Client::with_patience(addr, &trust, PATIENCE).ok()
}

#[cfg(test)]
mod tests {
    use clap::ValueEnum;

    use super::*;

    #[test]
    fn every_shell_that_is_taken_has_a_script_that_calls_back() {
        for shell in Shell::value_variants() {
            let script = script(*shell).expect("a script");
            assert!(script.contains("tabletctl") && script.contains(VARIABLE), "{shell}: {script}");
        }
    }

    #[test]
    fn what_names_something_of_the_daemon_is_completed_wherever_it_stands() {
        fn named(command: &Command, found: &mut Vec<String>) {
            for arg in command.get_arguments().filter(|arg| arg.get::<ArgValueCompleter>().is_some()) {
                found.push(format!("{} {}", command.get_name(), arg.get_id()));
            }
            command.get_subcommands().for_each(|below| named(below, found));
        }
        let mut found = Vec::new();
        named(&command(), &mut found);
        for wanted in [
            "migrate disk",
            "drain path",
            "move from",
            "abort id",
            "pause disk",
            "heal tablet_id",
            "cancel id",
        ] {
            assert!(found.iter().any(|arg| arg == wanted), "{wanted} in {found:?}");
        }
        assert!(!found.contains(&"register path".to_owned()), "a new disk is not one of those that are here");
    }

    #[test]
    fn ids_that_begin_with_a_word_lie_behind_known_places() {
        assert_eq!(places_before(""), [0]);
        assert_eq!(places_before("15")[..3], [14, 149, 1499]);
        assert!(
            places_before("x").is_empty() && places_before("-1").is_empty() && places_before("0").is_empty()
        );
        assert_eq!(places_before(&i64::MAX.to_string()), [i64::MAX - 1]);
    }
}
