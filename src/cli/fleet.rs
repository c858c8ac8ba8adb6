//! `fleet`: what tabletfleet knows, and what it is told about its members and itself.

use serde_json::Value;

use super::args::Output;
use super::client::{Answer, Client, Query};
use super::exit::{CliError, Exit, confirm, print};
use super::fleet_args::{AddSource, FleetCommand, SourceCommand};
use super::fleet_campaign;
use super::table::{Align, Table, human_bytes};
use crate::api::wire::List;
use crate::api::wire::fleet::{
    ClusterInfo, CreateSource, Master, Source, SourceDisk, Transfer, TransferSource, Worker,
};

/// Does what the command line says.
pub(super) fn run(client: &Client, command: &FleetCommand, output: Output) -> Result<(), CliError> {
    match command {
        FleetCommand::Source { command } => run_source(client, command, output),
        FleetCommand::Drain { disks, how } => fleet_campaign::drain(client, disks, how, output),
        FleetCommand::Rebalance { how } => fleet_campaign::rebalance(client, how, output),
        FleetCommand::Campaign { command } => fleet_campaign::run(client, command, output),
        FleetCommand::Disks { used_above, safe_to_remove } => {
            let mut query: Query<'_> = Vec::new();
            query.extend(used_above.map(|above| ("used_above", above.to_string())));
            query.extend(safe_to_remove.then(|| ("safe_to_remove", "true".to_owned())));
            show(client.get("/api/v1/disks", &query)?, output, |list: &List<SourceDisk>| disks(&list.data))
        }
        FleetCommand::Masters => show(client.get("/api/v1/cluster/masters", &vec![])?, output, masters),
        FleetCommand::Workers => show(client.get("/api/v1/cluster/workers", &vec![])?, output, workers),
        FleetCommand::Leave { name } => client.delete(&format!("/api/v1/cluster/masters/{name}")),
        FleetCommand::Transfer { to } => {
            let asked = Transfer { to: to.clone() };
            show(client.post("/api/v1/cluster/transfer", &asked)?, output, masters)
        }
        FleetCommand::Info => show(client.get("/api/v1/cluster/info", &vec![])?, output, info),
        FleetCommand::Audit { limit } => {
            let query = vec![("limit", limit.to_string())];
            show(client.get("/api/v1/audit", &query)?, output, audit)
        }
    }
}

fn run_source(client: &Client, command: &SourceCommand, output: Output) -> Result<(), CliError> {
    let at = |name: &str, verb: &str| format!("/api/v1/sources/{name}{verb}");
    match command {
        SourceCommand::List => show(client.get("/api/v1/sources", &vec![])?, output, sources),
        SourceCommand::Show { name } => show(client.get(&at(name, ""), &vec![])?, output, source),
        SourceCommand::Add(args) => show(client.post("/api/v1/sources", &described(args)?)?, output, source),
        SourceCommand::Enable { name } => {
            show(client.post_query(&at(name, "/enable"), &vec![])?, output, source)
        }
        SourceCommand::Disable { name } => {
            show(client.post_query(&at(name, "/disable"), &vec![])?, output, source)
        }
        SourceCommand::Transfer { name, to } => {
            let asked = TransferSource { worker_name: to.clone() };
            show(client.post(&at(name, "/transfer"), &asked)?, output, workers)
        }
        SourceCommand::Remove { name, force, yes } => {
            if !yes {
                let what = format!("{name} is no member any more, and what is under way there goes on");
                confirm(&what, "Remove it?", "nothing was changed; --yes does not ask")?;
            }
            client.delete(&at(name, if *force { "?force=true" } else { "" }))
        }
    }
}

/// The answer as it came, or in words.
fn show<T>(answer: Answer<T>, output: Output, in_words: impl Fn(&T) -> String) -> Result<(), CliError> {
    print(&match output {
        Output::Json => answer.text,
        Output::Text => in_words(&answer.value),
    })
}

fn described(args: &AddSource) -> Result<CreateSource, CliError> {
    let usage = || {
        let text = format!("{}: write HOST:PORT, such as 10.0.0.7:8040", args.address);
        CliError::new(Exit::Usage, text)
    };
    let (host, port) = args.address.rsplit_once(':').ok_or_else(usage)?;
    Ok(CreateSource {
        source_name: args.name.clone(),
        host: host.trim_start_matches('[').trim_end_matches(']').to_owned(),
        port: port.parse().map_err(|_| usage())?,
        user: args.user.clone(),
        password: None,
        credential: args.credential.clone(),
        enable: !args.disabled,
        kind: args.kind(),
        cluster: args.cluster.clone(),
        labels: args.labels.iter().cloned().collect(),
        dialect: None,
        accept_known_defects: args.accept_known_defects,
        reason: args.reason.clone(),
    })
}

fn masters(list: &List<Master>) -> String {
    let mut table = Table::new(&[
        ("NAME", Align::Left),
        ("ADDRESS", Align::Left),
        ("VERSION", Align::Left),
        ("LEADS", Align::Left),
    ]);
    for one in &list.data {
        let leads = one.epoch.map_or_else(|| "no".to_owned(), |epoch| format!("yes, epoch {epoch}"));
        table.row([one.name.clone(), one.addr.clone(), one.version.clone(), leads]);
    }
    table.render_or("no process")
}

fn workers(list: &List<Worker>) -> String {
    let mut table = Table::new(&[
        ("NAME", Align::Left),
        ("ADDRESS", Align::Left),
        ("STAGE", Align::Left),
        ("MEMBERS", Align::Left),
    ]);
    for one in &list.data {
        let members = one.bound_sources.join(" ");
        table.row([one.name.clone(), one.addr.clone(), one.bound_stage.clone(), members]);
    }
    table.render_or("no process")
}

fn info(info: &ClusterInfo) -> String {
    let leads = info.epoch.map_or_else(|| "nobody leads".to_owned(), |epoch| format!("epoch {epoch}"));
    let trouble = info.trouble.as_ref().map(|trouble| format!("\ntrouble: {trouble}")).unwrap_or_default();
    let prometheus = info.topology.prometheus.as_deref().unwrap_or("not said");
    format!(
        "fleet {}, {leads}\nstore: {}, revision {}\nprocesses: {}\nPrometheus: {prometheus}{trouble}\n",
        info.cluster_id,
        info.store,
        info.store_revision,
        info.topology.master_topology_list.join(", ")
    )
}

fn audit(list: &List<Value>) -> String {
    let text = |line: &Value, name: &str| line[name].as_str().unwrap_or_default().to_owned();
    let mut table = Table::new(&[("AT", Align::Left), ("BY", Align::Left), ("WHAT", Align::Left)]);
    for line in list.data.iter().rev() {
        let (what, reason) = (text(line, "what"), text(line, "reason"));
        let what = if reason.is_empty() { what } else { format!("{what}: {reason}") };
        table.row([text(line, "at"), text(line, "by"), what]);
    }
    table.render_or("nothing is written down")
}

fn sources(list: &List<Source>) -> String {
    let mut table = Table::new(&[
        ("NAME", Align::Left),
        ("ADDRESS", Align::Left),
        ("KIND", Align::Left),
        ("STATUS", Align::Left),
        ("DISKS", Align::Right),
        ("FULLEST", Align::Right),
        ("CAMPAIGNS", Align::Left),
        ("REMARKS", Align::Left),
    ]);
    for one in &list.data {
        let status = one.status_list.first();
        let disks = status.map_or(&[][..], |status| &status.disks);
        let fullest = disks.iter().map(|disk| disk.used_percent).fold(0.0, f64::max);
        let stage = status.map_or("unknown", |status| status.stage.as_str());
        let stage = if one.enable { stage.to_owned() } else { format!("{stage}, disabled") };
        table.row([
            one.source_name.clone(),
            format!("{}:{}", one.host, one.port),
            one.kind.as_str().to_owned(),
            stage,
            disks.len().to_string(),
            format!("{fullest:.0} %"),
            one.task_name_list.join(" "),
            status.map(|status| status.error_msg.clone()).unwrap_or_default(),
        ]);
    }
    table.render_or("no member; tabletctl fleet source add NAME HOST:PORT adds one")
}

fn source(one: &Source) -> String {
    let labels: Vec<_> = one.labels.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let status = one.status_list.first();
    let stage = status.map_or("unknown", |status| status.stage.as_str());
    let error = status.map(|status| status.error_msg.as_str()).filter(|error| !error.is_empty());
    let mut text =
        format!("{} at {}:{}, {}, {stage}", one.source_name, one.host, one.port, one.kind.as_str());
    if !one.enable {
        text.push_str(", disabled");
    }
    if !labels.is_empty() {
        text.push_str(&format!("\nlabels: {}", labels.join(" ")));
    }
    text.extend(error.map(|error| format!("\n{error}")));
    text.push('\n');
    if let Some(status) = status.filter(|status| !status.disks.is_empty()) {
        text.push_str(&disks(&status.disks));
    }
    text
}

fn disks(disks: &[SourceDisk]) -> String {
    let mut table = Table::new(&[
        ("MEMBER", Align::Left),
        ("DISK", Align::Left),
        ("MEDIUM", Align::Left),
        ("CONDITION", Align::Left),
        ("USED", Align::Right),
        ("FREE", Align::Right),
        ("TABLETS", Align::Right),
        ("MAY BE PULLED", Align::Left),
    ]);
    for disk in disks {
        let safe = disk.not_safe_because.clone().map_or_else(|| "yes".to_owned(), |why| format!("no: {why}"));
        table.row([
            disk.source_name.clone(),
            disk.path.clone(),
            disk.medium.clone(),
            disk.condition.clone(),
            format!("{:.1} %", disk.used_percent),
            human_bytes(disk.avail_bytes),
            disk.tablet_count.to_string(),
            safe,
        ]);
    }
    table.render_or("no disk")
}
