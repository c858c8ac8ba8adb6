//! Commands that make a plan: drain a disk, move selected tablets, even out a medium. The plan is shown, a question is
//! asked, and then it is a task.

use super::args::Output;
use super::client::{Answer, Client};
use super::exit::{CliError, Exit, confirm, print};
use super::task_args::{DrainArgs, MoveArgs, PlanArgs, RebalanceArgs};
use super::task_text::{headline, plan};
use super::tasks::follow;
use crate::api::wire::{CreateTask, NoParameters, TaskAction};
use crate::model::{
    DrainMedia, MoveTarget, PlanCompleteness, ReplanPolicy, TabletSelector, TaskRequest, counted,
};

/// `disk drain`.
pub(super) fn drain(client: &Client, args: &DrainArgs, output: Output) -> Result<(), CliError> {
    let path = client.path_of(&args.path)?;
    let name = format!("drain {path}");
    let request = TaskRequest::Drain {
        disks: vec![path],
        media: if args.any_medium { DrainMedia::Any } else { DrainMedia::Same },
    };
    carry_out(client, name, request, &args.plan, output)
}

/// `task move`.
pub(super) fn move_tablets(client: &Client, args: &MoveArgs, output: Output) -> Result<(), CliError> {
    let (to, name) = match args.to_medium {
        Some(medium) => (MoveTarget::Medium(medium), format!("move to {medium}")),
        None => {
            let to = client.paths_of(&args.to)?;
            let name = format!("move to {}", to.join(", "));
            (MoveTarget::Disks(to), name)
        }
    };
    let select = TabletSelector {
        disks: client.paths_of(&args.from)?,
        tables: args.table.clone(),
        partitions: args.partition.clone(),
        tablets: args.tablet.clone(),
        min_size_bytes: args.min_size_bytes,
        max_size_bytes: args.max_size_bytes,
        medium: args.medium,
    };
    carry_out(client, name, TaskRequest::Move { select, to }, &args.plan, output)
}

/// `task rebalance`.
pub(super) fn rebalance(client: &Client, args: &RebalanceArgs, output: Output) -> Result<(), CliError> {
    let RebalanceArgs { medium, start_points, stop_points, plan } = args;
    let (medium, start_points, stop_points) = (*medium, *start_points, *stop_points);
    let request = TaskRequest::Rebalance { medium, start_points, stop_points };
    carry_out(client, "rebalance".to_owned(), request, plan, output)
}

/// The plan, a question, a task, and on request its end.
fn carry_out(
    client: &Client,
    name: String,
    request: TaskRequest,
    args: &PlanArgs,
    output: Output,
) -> Result<(), CliError> {
    let request = CreateTask {
        name,
        request,
        completeness: if args.what_fits {
            PlanCompleteness::WhatFits
        } else {
            PlanCompleteness::AllOrNothing
        },
        dry_run: true,
        fingerprint: None,
        priority: args.priority.into(),
        rate_bytes_per_sec: args.rate_bytes_per_sec,
        replan: if args.replan { ReplanPolicy::Automatic } else { ReplanPolicy::WhenAsked },
        reason: args.reason.clone(),
    };
    let Answer { value: planned, text } = client.create_task(&request)?;
    if args.dry_run {
        return match output {
            Output::Json => print(&text),
            Output::Text => print(&plan(&planned)),
        };
    }
    let mut fingerprint = None;
    if !args.yes && !args.stopped {
        let question = match planned.progress.moves_total {
            0 => "Nothing moves by this plan. Make the task all the same?".to_owned(),
            moves => format!("Move {}?", counted(moves, "tablet")),
        };
        confirm(&plan(&planned), &question, "nothing was moved")?;
        // What was agreed to, or nothing: the node may have changed while it was read.
        fingerprint = planned.plan.as_ref().map(|plan| plan.fingerprint);
    }
    let created = client.create_task(&CreateTask { dry_run: false, fingerprint, ..request })?;
    let id =
        created.value.id.ok_or_else(|| CliError::new(Exit::Failed, "the daemon gave the task no number"))?;
    if args.stopped {
        return match output {
            Output::Json => print(&created.text),
            Output::Text => {
                let (headline, plan) = (headline(&created.value), plan(&created.value));
                print(&format!("{headline}\n{plan}start it with: tabletctl task start {id}\n"))
            }
        };
    }
    let started = client.act_on_task(id, &TaskAction::Start(Some(NoParameters {})));
    let started = started.inspect_err(|_| {
        // A task that cannot start is of no use to anybody.
        let _ = client.delete_task(id);
    })?;
    if args.follow {
        return follow(client, id, output);
    }
    match output {
        Output::Json => print(&started.text),
        Output::Text => {
            let headline = headline(&started.value);
            print(&format!("started: {headline}\nwatch it with: tabletctl task follow {id}\n"))
        }
    }
}
