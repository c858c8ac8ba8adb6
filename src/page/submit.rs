//! One move that is only looked at: what each rule says of it, and both disks before and after. From here it becomes a
//! migration.

use axum::response::Response;
use maud::{Markup, html};
use serde_json::{Value, json};

use super::action::Action;
use super::address::{escaped, pair};
use super::ask::Ask;
use super::frame;
use super::node::{Traffic, parts};
use super::picture::{Part, bar, bytes};
use super::rows;
use super::view::{Section, View};
use super::wish;
use crate::access::Role;
use crate::api::Refused;
use crate::api::wire::{Disk, List, Tablet, Validation};
use crate::model::counted;

/// How far a migration goes by itself.
const MODES: [(&str, &str); 3] = [
    ("auto", "to its end"),
    ("manual_cutover", "until the tablet could be switched"),
    ("stepwise", "one step at a time"),
];

/// `GET /ui/migrations/plan?tablet_id=&schema_hash=&to=&mode=&priority=`.
pub(super) async fn show(ask: Ask) -> Response {
    let view = view(&ask).await;
    ask.answer(view)
}

async fn view(ask: &Ask) -> Result<View, Refused> {
    let disks: List<Disk> = ask.get("/api/v1/disks").await?;
    let may = ask.visitor.role >= Role::Operator;
    let (tablet, to) = (ask.parameter("tablet_id"), ask.parameter("to"));
    let looked_at = match (tablet, to) {
        (Some(tablet), Some(to)) if may => match look(ask, tablet.trim(), to, &disks.data).await {
            Ok(looked_at) => looked_at,
            Err(refused) if refused.status.is_client_error() => frame::trouble(&refused).body,
            Err(refused) => return Err(refused),
        },
        _ => html! {},
    };
    let body = html! { (form(ask, &disks.data, may)) (looked_at) };
    Ok(View { title: "Plan a migration".to_owned(), section: Section::Migrations, body })
}

fn form(ask: &Ask, disks: &[Disk], may: bool) -> Markup {
    let given = |name| ask.parameter(name).unwrap_or_default();
    html! {
        form.filters method="get" action="/ui/migrations/plan" {
            label for="tablet_id" { "Tablet" }
            input id="tablet_id" name="tablet_id" inputmode="numeric" size="12" required value=(given("tablet_id"));
            @if !given("schema_hash").is_empty() { input type="hidden" name="schema_hash" value=(given("schema_hash")); }
            (wish::destination(disks, given("to")))
            label for="mode" { "Go" }
            select id="mode" name="mode" {
                @for (mode, label) in MODES { option value=(mode) selected[mode == given("mode")] { (label) } }
            }
            label { input type="checkbox" name="priority" value="high" checked[given("priority") == "high"]; " before other moves" }
            @if may { button type="submit" { "Look" } }
            @else { button type="button" disabled title="needs the role operator" { "Look" } }
        }
    }
}

async fn look(ask: &Ask, tablet: &str, to: &str, disks: &[Disk]) -> Result<Markup, Refused> {
    let hash = pair("schema_hash", ask.parameter("schema_hash").unwrap_or_default());
    let one: Tablet = ask.get(&format!("/api/v1/tablets/{}?{hash}", escaped(tablet))).await?;
    let (mut body, mut command) = request(&one, to);
    for (name, usual, option) in [("mode", "auto", "--mode"), ("priority", "normal", "--priority")] {
        if let Some(value) = ask.parameter(name).filter(|value| *value != usual) {
            body[name] = json!(value);
            command.extend([option.to_owned(), value.replace('_', "-")]);
        }
    }
    let mut asked = body.clone();
    asked["dry_run"] = json!(true);
    let answer: Validation = ask.inside.send(&ask.visitor, "POST", "/api/v1/migrations", &asked).await?;
    let command: Vec<&str> = command.iter().map(String::as_str).collect();
    let destination = answer.dest_disk.as_deref();
    Ok(html! {
        section.plan aria-label="The move" {
            p { "Tablet " (one.tablet_id) ", " (bytes(one.size_bytes)) " in " (counted(one.file_count, "file")) ", from " code { (one.disk) }
                @if let Some(to) = destination { " to " code { (to) } } }
            @if let Some(to) = destination { (picture(&one, to, disks)) }
            (rows::rules(&answer.checks))
            @match &answer.error {
                Some(error) => p.trouble role="alert" { "It would be refused: " code { (error.code) } ": " (error.message) },
                None => {
                    (Action::post("Move it there", "/api/v1/migrations".to_owned(), body, "/ui/migrations/{id}")
                        .command(&command).field("text:reason", "Why, for the record", "").show(&ask.visitor))
                }
            }
        }
    })
}

/// The move as the API is asked for it, and as `tabletctl` is.
fn request(one: &Tablet, to: &str) -> (Value, Vec<String>) {
    let mut body = json!({ "tablet_id": one.tablet_id, "schema_hash": one.schema_hash });
    let (id, hash) = (one.tablet_id.to_string(), one.schema_hash.to_string());
    let mut command = vec!["migrate".to_owned(), id, "--schema-hash".to_owned(), hash];
    match to.strip_prefix(wish::ANY_OF) {
        Some(medium) => {
            body["dest_medium"] = json!(medium);
            command.extend(["--to-medium".to_owned(), medium.to_owned()]);
        }
        None => {
            body["dest_disk"] = json!(to);
            command.extend(["--disk".to_owned(), to.to_owned()]);
        }
    }
    (body, command)
}

/// Both disks, before and after; the source keeps a retired copy until its trash is purged.
fn picture(one: &Tablet, to: &str, disks: &[Disk]) -> Markup {
    let size = one.size_bytes;
    html! {
        div.wide { table.levels {
            caption.quiet { "Each disk before and after" }
            thead { tr { th scope="col" { "Disk" } th scope="col" { "Before" } th scope="col" { "After" } } }
            tbody { @for disk in disks.iter().filter(|disk| disk.path == one.disk || disk.path == to) {
                @let before = parts(disk, Traffic::default());
                @let leaves = disk.path == one.disk;
                @let after = parts(disk, Traffic::default()).into_iter().map(|part| Part { bytes: match part.class {
                    "tablets" if leaves => part.bytes.saturating_sub(size),
                    "tablets" | "trash" if leaves != (part.class == "tablets") => part.bytes.saturating_add(size),
                    _ => part.bytes,
                }, ..part });
                tr {
                    th scope="row" { code { (disk.path) } }
                    td { (bar(&format!("{} before", disk.path), &before, disk.total_bytes, None)) span.small { (words(&before)) } }
                    @let after: Vec<_> = after.collect();
                    td { (bar(&format!("{} after", disk.path), &after, disk.total_bytes, None)) span.small { (words(&after)) } }
                }
            } }
        } }
    }
}

fn words(parts: &[Part]) -> String {
    let said =
        parts.iter().filter(|part| part.bytes > 0).map(|part| format!("{} {}", part.name, bytes(part.bytes)));
    said.collect::<Vec<_>>().join(", ")
}
