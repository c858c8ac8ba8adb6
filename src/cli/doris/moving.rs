//! `tabletctl doris move`, `drain` and `resume`: one run on a stopped node, planned, asked for, made and told.

use std::fmt::Write;
use std::path::Path;

use serde::Serialize;

use super::frontend::{self, Asked, Look};
use super::stopping::Stop;
use crate::cli::args::Output;
use crate::cli::doris_args::{DorisMoving, DorisNode};
use crate::cli::exit::{CliError, Exit, confirm, print, print_json};
use crate::cli::table::{Align, Table, human_bytes};
use crate::config::{Config, Loaded};
use crate::maintenance::{
    Committed, LeftBehind, Moved, NotOpened, Older, OtherMedia, Outcome, Plan, Planned, Request, Session,
    Told, Wishes, finish_tasks,
};
use crate::model::{counted, counted_as};

/// Lines of one kind that a person is shown; the JSON has all.
const SHOWN_MAX: usize = 20;

/// What a run did, for programs.
#[derive(Debug, Serialize)]
struct Report<'a> {
    dry_run: bool,
    run: &'a str,
    plan: &'a Plan,
    estimate_sec: u64,
    settled: Vec<Line<'a>>,
    moves: Vec<Line<'a>>,
    /// Of a damaged database: what could not be read.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    lost: Vec<String>,
    /// What the frontend says, where it was asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    frontend: Option<Look>,
}

#[derive(Debug, Serialize)]
struct Line<'a> {
    id: u64,
    tablet_id: i64,
    schema_hash: i32,
    from: &'a str,
    to: &'a str,
    bytes: u64,
    outcome: &'static str,
    reason: &'a str,
}

impl<'a> From<&'a Moved> for Line<'a> {
    fn from(moved: &'a Moved) -> Self {
        Self {
            id: moved.id,
            tablet_id: moved.tablet_id,
            schema_hash: moved.schema_hash,
            from: &moved.from,
            to: &moved.to,
            bytes: moved.bytes,
            outcome: moved.outcome.as_str(),
            reason: &moved.reason,
        }
    }
}

/// Moves what is asked for.
///
/// # Errors
/// [`Exit::Refused`] before anything was written; [`Exit::Failed`] when a move failed, or something that was asked for stays.
pub(super) fn run(request: &Request, how: &DorisMoving, output: Output) -> Result<(), CliError> {
    let wishes = Wishes {
        committed: if how.with_committed { Committed::Move } else { Committed::Stay },
        media: if how.cross_medium { OtherMedia::Allowed } else { OtherMedia::Never },
        // Of those alone that are named.
        older: Older::Accepted,
    };
    let (session, lost) = open_for(request, how)?;
    let looks_only = how.dry_run || matches!(request, Request::Rescue { accept, .. } if accept.is_empty());
    let refused = |why| CliError::new(Exit::Refused, why);
    if looks_only {
        let plan = session.plan(request, wishes).map_err(refused)?;
        let frontend = ask_frontend(&session, how, &plan)?;
        let report = Report {
            dry_run: true,
            run: session.run(),
            plan: &plan,
            estimate_sec: plan.estimate_sec(),
            settled: vec![],
            moves: vec![],
            lost,
            frontend,
        };
        return match output {
            Output::Json => print_json(&report),
            Output::Text => print(&before_text(request, &plan, &report.lost, report.frontend.as_ref())),
        };
    }
    let frontend = ask(request, how, wishes, (&session, &lost), output)?;
    let stop = Stop::at(how.until)?;
    let go_on = || stop.go_on();
    let settled = session.settle(&go_on)?;
    tell_settled(&settled, output);
    // What was settled may be what was asked for: planned on what is there now.
    let plan = session.plan(request, wishes).map_err(refused)?;
    let moves = session.carry_out(&plan, wishes, &go_on, &mut |told| tell(&told, output))?;
    match output {
        Output::Json => print_json(&Report {
            dry_run: false,
            run: session.run(),
            plan: &plan,
            estimate_sec: plan.estimate_sec(),
            settled: settled.iter().map(Into::into).collect(),
            moves: moves.iter().map(Into::into).collect(),
            lost,
            frontend,
        })?,
        Output::Text => print(&end_text(request, &plan, &moves))?,
    }
    ended(request, &plan, &settled, &moves)
}

/// How the command ends.
fn ended(request: &Request, plan: &Plan, settled: &[Moved], moves: &[Moved]) -> Result<(), CliError> {
    let failed = settled.iter().chain(moves).filter(|moved| moved.outcome != Outcome::Moved).count();
    let not_begun = plan.moves.len() - moves.len();
    if not_begun > 0 && failed == 0 {
        let text = format!("stopped before {}; the same command goes on", counted(not_begun, "move"));
        return Err(CliError::new(Exit::Failed, text));
    }
    let asked_for = |left: &&LeftBehind| match request {
        Request::Rescue { accept, .. } => accept.contains(&left.tablet_id),
        _ => true,
    };
    let stay = plan.left.iter().filter(asked_for).count() + plan.fits_nowhere.len();
    all_moved(failed, stay, moves.len())
}

/// Whether everything that was asked for is where it was to go.
fn all_moved(failed: usize, stay: usize, moved: usize) -> Result<(), CliError> {
    let are = counted_as(stay, "tablet stays where it is", "tablets stay where they are");
    match (failed, stay, moved) {
        (0, 0, _) => Ok(()),
        (0, _, 0) => Err(CliError::new(Exit::Refused, format!("nothing was moved: {are}; see above"))),
        (0, ..) => Err(CliError::new(Exit::Failed, format!("{are}; see above"))),
        (failed, ..) => Err(not_done(failed)),
    }
}

/// Shows what would be done, and asks; with `--yes` only the frontend is asked, where one is named.
fn ask(
    request: &Request,
    how: &DorisMoving,
    wishes: Wishes,
    (session, lost): (&Session, &[String]),
    output: Output,
) -> Result<Option<Look>, CliError> {
    if how.yes && how.frontend.fe.is_none() {
        return Ok(None);
    }
    let plan = session.plan(request, wishes).map_err(|why| CliError::new(Exit::Refused, why))?;
    let frontend = ask_frontend(session, how, &plan)?;
    if !how.yes {
        let text = before_text(request, &plan, lost, frontend.as_ref());
        confirm(&text, "Move them?", "nothing was moved")?;
    } else if output == Output::Text {
        eprint!("{}", frontend.as_ref().map(frontend::to_text).unwrap_or_default());
    }
    Ok(frontend)
}

fn ask_frontend(session: &Session, how: &DorisMoving, plan: &Plan) -> Result<Option<Look>, CliError> {
    let asked = |planned: &Planned| {
        let known = session.node().tablets_of(planned.tablet_id);
        let tablet = known.iter().find(|(root, _)| *root == planned.from)?;
        let (table_id, partition_id) = (tablet.1.table_id, tablet.1.partition_id);
        Some(Asked { tablet_id: planned.tablet_id, table_id, partition_id })
    };
    let asked: Vec<Asked> = plan.moves.iter().filter_map(asked).collect();
    frontend::look(&how.frontend, &asked, plan.estimate_sec())
}

fn before_text(request: &Request, plan: &Plan, lost: &[String], frontend: Option<&Look>) -> String {
    rescue_text(request, plan, lost) + &plan_text(plan) + &frontend.map(frontend::to_text).unwrap_or_default()
}

/// Brings to an end what earlier runs left.
///
/// # Errors
/// [`Exit::Failed`] when something is still left.
pub(super) fn resume(node: &DorisNode, output: Output) -> Result<(), CliError> {
    let session = open(node)?;
    let stop = Stop::at(None)?;
    let mut settled = session.settle(&|| stop.go_on())?;
    // A daemon that was stopped in the middle of a task leaves the rest of it.
    if settled.iter().all(|moved| moved.outcome != Outcome::InDoubt) {
        settled.extend(finish_tasks(&session, &|| stop.go_on())?);
    }
    match output {
        Output::Json => print_json(&settled.iter().map(Line::from).collect::<Vec<_>>())?,
        Output::Text if settled.is_empty() => print("nothing was left unfinished\n")?,
        Output::Text => tell_settled(&settled, output),
    }
    match settled.iter().filter(|moved| moved.outcome != Outcome::Moved).count() {
        0 => Ok(()),
        count => Err(not_done(count)),
    }
}

fn not_done(count: usize) -> CliError {
    let are = counted_as(count, "move is", "moves are");
    CliError::new(Exit::Failed, format!("{are} not done; see above"))
}

pub(super) fn open(node: &DorisNode) -> Result<Session, CliError> {
    Session::open(load(&node.conf)?, &node.without)
        .map_err(|refused: NotOpened| CliError::new(Exit::Refused, refused))
}

/// The node for what is asked, and what could not be read of a root that is rescued.
fn open_for(request: &Request, how: &DorisMoving) -> Result<(Session, Vec<String>), CliError> {
    let Request::Rescue { root, .. } = request else { return Ok((open(&how.node)?, Vec::new())) };
    let session = Session::open_for_rescue(load(&how.node.conf)?, &how.node.without, root)
        .map_err(|refused: NotOpened| CliError::new(Exit::Refused, refused))?;
    let lost = session.node().roots.iter().flat_map(|root| root.lost.clone()).collect();
    Ok((session, lost))
}

pub(super) fn load(conf: &Path) -> Result<Loaded, CliError> {
    Config::load(conf, &|name| std::env::var(name).ok()).map_err(|errors| CliError::new(Exit::Usage, errors))
}

fn tell_settled(settled: &[Moved], output: Output) {
    if output == Output::Text {
        for moved in settled {
            eprintln!("left by an earlier run: {}", line(moved));
        }
    }
}

fn tell(told: &Told<'_>, output: Output) {
    match (told, output) {
        (_, Output::Json) => {}
        (Told::Begins(planned, nth, of), Output::Text) => eprintln!(
            "[{nth}/{of}] tablet {}.{}: {} -> {}, {}",
            planned.tablet_id,
            planned.schema_hash,
            planned.from,
            planned.to,
            human_bytes(planned.bytes)
        ),
        (Told::Ended(moved), Output::Text) if moved.outcome != Outcome::Moved => eprintln!("{}", line(moved)),
        (Told::Ended(_), Output::Text) => {}
    }
}

fn line(moved: &Moved) -> String {
    format!(
        "move {}, tablet {}.{}, {} -> {}: {}: {}",
        moved.id,
        moved.tablet_id,
        moved.schema_hash,
        moved.from,
        moved.to,
        moved.outcome.as_str(),
        moved.reason
    )
}

fn plan_text(plan: &Plan) -> String {
    let mut out = String::new();
    let tablets = counted_as(plan.moves.len(), "tablet moves", "tablets move");
    let _ = writeln!(out, "{tablets}, {}", human_bytes(plan.bytes()));
    let time = match plan.estimate_sec().div_ceil(60) {
        0 | 1 => "a minute".to_owned(),
        minutes => counted(minutes, "minute"),
    };
    let _ = writeln!(out, "that takes about {time} at 100 MB/s, and the backend is down so long");
    if !plan.moves.is_empty() {
        let columns =
            [("  TABLET", Align::Left), ("FROM", Align::Left), ("TO", Align::Left), ("SIZE", Align::Right)];
        let mut table = Table::new(&columns);
        for planned in plan.moves.iter().take(SHOWN_MAX) {
            table.row([
                format!("  {}.{}", planned.tablet_id, planned.schema_hash),
                planned.from.clone(),
                planned.to.clone(),
                human_bytes(planned.bytes),
            ]);
        }
        out.push_str(&table.render());
        if plan.moves.len() > SHOWN_MAX {
            let _ = writeln!(out, "  and {} more (--json shows all)", plan.moves.len() - SHOWN_MAX);
        }
    }
    out.push_str(&staying_text(plan));
    out
}

/// What a person has to know before a tablet is taken from a damaged database; empty for anything else.
fn rescue_text(request: &Request, plan: &Plan, lost: &[String]) -> String {
    let Request::Rescue { root, .. } = request else { return String::new() };
    let mut out = String::new();
    for one in lost.iter().take(SHOWN_MAX) {
        let _ = writeln!(out, "lost: {one}");
    }
    if lost.len() > SHOWN_MAX {
        let _ = writeln!(out, "and {} more losses (--json shows all)", lost.len() - SHOWN_MAX);
    }
    let _ =
        writeln!(out, "what was lost may have been newer: each tablet may be older than it was, or dropped");
    let only_older = |left: &&LeftBehind| left.reasons == ["may-be-older"];
    let whole: Vec<String> =
        plan.left.iter().filter(only_older).map(|left| left.tablet_id.to_string()).collect();
    if !whole.is_empty() {
        let _ = writeln!(
            out,
            "{} whole and on no other root: tabletctl doris rescue {root} --accept-older {}",
            counted_as(whole.len(), "tablet is", "tablets are"),
            whole.join(",")
        );
    }
    out
}

fn staying_text(plan: &Plan) -> String {
    let mut out = String::new();
    for left in plan.left.iter().take(SHOWN_MAX) {
        let help = left.help.map(|help| format!(" ({help})")).unwrap_or_default();
        let reasons = left.reasons.join(", ");
        let _ = writeln!(
            out,
            "tablet {}.{} stays on {}: {reasons}{help}",
            left.tablet_id, left.schema_hash, left.root
        );
    }
    for misfit in plan.fits_nowhere.iter().take(SHOWN_MAX) {
        let _ = writeln!(
            out,
            "tablet {}.{} fits nowhere with {}: {}",
            misfit.tablet_id,
            misfit.schema_hash,
            human_bytes(misfit.bytes),
            misfit.tried
        );
    }
    let stay = plan.left.len() + plan.fits_nowhere.len();
    if stay > SHOWN_MAX {
        let _ =
            writeln!(out, "{} in all (--json shows all)", counted_as(stay, "tablet stays", "tablets stay"));
    }
    out
}

fn end_text(request: &Request, plan: &Plan, moves: &[Moved]) -> String {
    let done = moves.iter().filter(|moved| moved.outcome == Outcome::Moved);
    let (count, bytes) = done.fold((0, 0), |(count, bytes), moved| (count + 1, bytes + moved.bytes));
    let mut out = staying_text(plan);
    let _ = writeln!(out, "{count} of {} moved, {}", counted(plan.moves.len(), "tablet"), human_bytes(bytes));
    if let Request::Rescue { root, .. } = request {
        let _ = writeln!(
            out,
            "{root} is as it was: take it out of storage_root_path before the backend starts, which does not start with it"
        );
    }
    out
}
