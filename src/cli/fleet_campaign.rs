//! `fleet drain`, `fleet rebalance`, `fleet campaign`: planned and shown first, made of what was shown.

use super::args::Output;
use super::client::Client;
use super::exit::{CliError, Exit, confirm, print};
use super::fleet_campaign_args::{CampaignArgs, CampaignCommand};
use super::table::{Align, Table, human_bytes};
use crate::api::wire::List;
use crate::api::wire::fleet::{Campaign, CampaignAction, CreateCampaign, UpdateCampaign};
use crate::model::fleet::{CampaignStatus, MemberSelector, PartStatus, Policy};
use crate::model::{DrainMedia, PlanCompleteness, TaskRequest, counted};

const PATH: &str = "/api/v1/campaigns";

/// `fleet drain`.
pub(super) fn drain(
    client: &Client,
    disks: &[String],
    args: &CampaignArgs,
    output: Output,
) -> Result<(), CliError> {
    let request = TaskRequest::Drain { disks: disks.to_vec(), media: DrainMedia::default() };
    plan_and_make(client, request, args, output)
}

/// `fleet rebalance`.
pub(super) fn rebalance(client: &Client, args: &CampaignArgs, output: Output) -> Result<(), CliError> {
    let request = TaskRequest::Rebalance { medium: None, start_points: None, stop_points: None };
    plan_and_make(client, request, args, output)
}

fn plan_and_make(
    client: &Client,
    request: TaskRequest,
    args: &CampaignArgs,
    output: Output,
) -> Result<(), CliError> {
    let asked = described(request, args)?;
    let shown = client.post::<Campaign>(PATH, &asked)?;
    if args.dry_run {
        return show(&shown.value, &shown.text, output);
    }
    if output == Output::Text {
        print(&in_words(&shown.value))?;
    }
    if !args.yes {
        let question = if args.stopped { "Make this campaign?" } else { "Make this campaign and start it?" };
        confirm("", question, "nothing was made")?;
    }
    let asked = CreateCampaign { dry_run: false, fingerprint: Some(shown.value.fingerprint), ..asked };
    let made = client.post::<Campaign>(PATH, &asked)?;
    let (Some(id), false) = (made.value.id, args.stopped) else {
        return show(&made.value, &made.text, output);
    };
    act(client, id.0, &CampaignAction::Start(None), output)
}

fn described(request: TaskRequest, args: &CampaignArgs) -> Result<CreateCampaign, CliError> {
    let limit = |(label, most): &(String, String)| -> Result<(String, u32), CliError> {
        let text = format!("--max-per {label}={most}: write LABEL=N, such as rack=1");
        let most = most.parse().map_err(|_| CliError::new(Exit::Usage, text))?;
        Ok((label.clone(), most))
    };
    let policy = Policy {
        max_members: args.max,
        max_per_label: args.max_per.iter().map(limit).collect::<Result<_, CliError>>()?,
        canary: args.canary,
        approve_after_canary: args.approve_after_canary,
        windows: args.window.clone(),
        failures_max: args.failures,
        completeness: if args.what_fits {
            PlanCompleteness::WhatFits
        } else {
            PlanCompleteness::AllOrNothing
        },
        ..Policy::default()
    };
    let select = MemberSelector {
        sources: args.sources.clone(),
        labels: args.labels.iter().cloned().collect(),
        cluster: args.cluster.clone(),
        used_above: args.used_above,
        skew_above: args.skew_above,
    };
    let reason = args.reason.clone();
    Ok(CreateCampaign {
        name: String::new(),
        request,
        select,
        policy,
        dry_run: true,
        fingerprint: None,
        reason,
    })
}

/// `fleet campaign ...`.
pub(super) fn run(client: &Client, command: &CampaignCommand, output: Output) -> Result<(), CliError> {
    match command {
        CampaignCommand::List => {
            let answer = client.get::<List<Campaign>>(PATH, &vec![])?;
            print(&match output {
                Output::Json => answer.text,
                Output::Text => list(&answer.value.data),
            })
        }
        CampaignCommand::Show { id } => {
            let answer = client.get::<Campaign>(&format!("{PATH}/{id}"), &vec![])?;
            show(&answer.value, &answer.text, output)
        }
        CampaignCommand::Start { id } => act(client, *id, &CampaignAction::Start(None), output),
        CampaignCommand::Pause { id } => act(client, *id, &CampaignAction::Pause(None), output),
        CampaignCommand::Resume { id } => act(client, *id, &CampaignAction::Resume(None), output),
        CampaignCommand::Approve { id } => act(client, *id, &CampaignAction::Approve(None), output),
        CampaignCommand::Cancel { id } => act(client, *id, &CampaignAction::Cancel(None), output),
        CampaignCommand::Limits { id, max, window, failures } => {
            let change = UpdateCampaign {
                max_members: max.map(|max| max.to_string()),
                windows: window.clone(),
                failures_max: *failures,
            };
            let answer = client.patch::<Campaign>(&format!("{PATH}/{id}"), &change)?;
            show(&answer.value, &answer.text, output)
        }
        CampaignCommand::Delete { id } => client.delete(&format!("{PATH}/{id}")),
    }
}

fn act(client: &Client, id: u64, action: &CampaignAction, output: Output) -> Result<(), CliError> {
    let answer = client.post::<Campaign>(&format!("{PATH}/{id}/action"), action)?;
    show(&answer.value, &answer.text, output)
}

fn show(campaign: &Campaign, text: &str, output: Output) -> Result<(), CliError> {
    match output {
        Output::Json => print(text),
        Output::Text => print(&in_words(campaign)),
    }
}

fn in_words(campaign: &Campaign) -> String {
    let number = campaign.id.map_or_else(|| "plan".to_owned(), |id| format!("campaign {id}"));
    let status = campaign.status.map_or("only planned", CampaignStatus::as_str);
    let mut text = format!(
        "{number}, {}, {status}\n{} of {} done, {} under way, {} failed, {} left out; {} of {}, {}\n",
        campaign.name,
        campaign.totals.parts_done,
        counted(campaign.totals.parts_total, "member"),
        campaign.totals.parts_under_way,
        campaign.totals.parts_failed,
        campaign.totals.parts_skipped,
        campaign.counters.moves_completed,
        counted(campaign.counters.moves_total, "move"),
        human_bytes(campaign.counters.bytes_total)
    );
    if campaign.id.is_none() {
        text.push_str("only planned: without --dry-run the same command asks, and makes it a campaign\n");
    } else if !campaign.status_reason.is_empty() {
        text.push_str(&format!("{}\n", campaign.status_reason));
    }
    let mut table = Table::new(&[
        ("MEMBER", Align::Left),
        ("STATUS", Align::Left),
        ("MOVES", Align::Right),
        ("BYTES", Align::Right),
        ("TASK", Align::Right),
        ("WHY", Align::Left),
    ]);
    for part in campaign.status_list.iter().flatten() {
        table.row([
            part.source_name.clone(),
            part.status.map_or("fits", PartStatus::as_str).to_owned(),
            format!("{}/{}", part.counters.moves_completed, part.planned.moves),
            human_bytes(part.planned.bytes),
            part.task_id.map(|task| task.to_string()).unwrap_or_default(),
            part.status_reason.clone(),
        ]);
    }
    text + &table.render_or("no member is part of it")
}

fn list(campaigns: &[Campaign]) -> String {
    let mut table = Table::new(&[
        ("ID", Align::Right),
        ("NAME", Align::Left),
        ("STATUS", Align::Left),
        ("MEMBERS", Align::Right),
        ("DONE", Align::Right),
        ("FAILED", Align::Right),
        ("WHY", Align::Left),
    ]);
    for one in campaigns {
        table.row([
            one.id.map(|id| id.to_string()).unwrap_or_default(),
            one.name.clone(),
            one.status.map_or("", CampaignStatus::as_str).to_owned(),
            one.totals.parts_total.to_string(),
            one.totals.parts_done.to_string(),
            one.totals.parts_failed.to_string(),
            one.status_reason.clone(),
        ]);
    }
    table.render_or("no campaign")
}
