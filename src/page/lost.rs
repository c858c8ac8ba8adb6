//! A disk that never comes back: what would be given up with it is shown first, and only then there are buttons.

use axum::response::Response;
use maud::{Markup, html};
use serde_json::{Value, json};

use super::action::Action;
use super::address::link;
use super::ask::Ask;
use super::frame;
use super::view::{Section, View};
use crate::access::Role;
use crate::api::Refused;
use crate::api::wire::DiskLoss;
use crate::model::{counted, counted_as};

/// Tablets that are named.
const SHOWN_MAX: usize = 100;

/// Two ways to do without a disk.
struct Way {
    label: &'static str,
    path: &'static str,
    lost: bool,
    command: &'static [&'static str],
    warning: &'static str,
}

const WAYS: [Way; 2] = [
    Way {
        label: "Do without it",
        path: "/api/v1/disks/forget",
        lost: true,
        command: &["disk", "forget", "--lost"],
        warning: "The disk leaves the configuration, and what only it held is given up for good.",
    },
    Way {
        label: "Take a blank disk in its place",
        path: "/api/v1/disks/replace",
        lost: false,
        command: &["disk", "replace"],
        warning: "The blank file system at its path joins, and what only the lost disk held is given up for good.",
    },
];

/// `GET /ui/disk/lost?path=&accept_older=`.
pub(super) async fn show(ask: Ask) -> Response {
    let view = view(&ask).await;
    ask.answer(Ok(view))
}

async fn view(ask: &Ask) -> View {
    let path = ask.parameter("path").unwrap_or_default();
    let older = ask.parameter("accept_older") == Some("true");
    let mut ways = Vec::new();
    for way in &WAYS {
        ways.push(html! { h2 { (way.label) } (look(ask, way, path, older).await) });
    }
    let body = html! {
        p { "Copies on other disks are served on. What only this disk held is given up: restore it from a replica, or wait for the disk." }
        form.filters method="get" action="/ui/disk/lost" {
            input type="hidden" name="path" value=(path);
            label { input type="checkbox" name="accept_older" value="true" checked[older]; " serve copies that are older than what is lost" }
            button type="submit" { "Look" }
        }
        @for way in ways { (way) }
    };
    View { title: format!("Without disk {path}"), section: Section::Node, body }
}

fn body(way: &Way, path: &str, older: bool, rest: (&str, Value)) -> Value {
    let mut body = json!({ "path": path });
    if way.lost {
        body["lost"] = json!(true);
    }
    if older {
        body["accept_older"] = json!(true);
    }
    body[rest.0] = rest.1;
    body
}

async fn look(ask: &Ask, way: &Way, path: &str, older: bool) -> Markup {
    let mut command = way.command.to_vec();
    command.insert(2, path);
    command.extend(older.then_some("--accept-older"));
    if ask.visitor.role < Role::Admin {
        let action = Action::post(
            way.label,
            way.path.to_owned(),
            body(way, path, older, ("dry_run", json!(true))),
            "/",
        );
        return action.role(Role::Admin).command(&command).show(&ask.visitor);
    }
    let dry_run = body(way, path, older, ("dry_run", json!(true)));
    let answer: Result<DiskLoss, Refused> = ask.inside.send(&ask.visitor, "POST", way.path, &dry_run).await;
    let loss = match answer {
        Ok(loss) => loss,
        Err(refused) => return frame::trouble(&refused).body,
    };
    let carry_out = body(way, path, older, ("confirm", json!(loss.confirm)));
    html! {
        (listed(&loss))
        div.actions {
            (Action::post(way.label, way.path.to_owned(), carry_out, "/").role(Role::Admin).command(&command)
                .warn(way.warning).show(&ask.visitor))
        }
    }
}

fn listed(loss: &DiskLoss) -> Markup {
    html! {
        p { (counted(loss.total, "tablet")) ", "
                (counted_as(loss.migrations.len(), "migration waits", "migrations wait")) " for it." }
        @if !loss.data.is_empty() {
            div.wide { table {
                caption.quiet { "What becomes of its tablets" @if loss.data.len() > SHOWN_MAX { " (the first " (SHOWN_MAX) ")" } }
                thead { tr { th scope="col" { "Tablet" } th scope="col" { "What becomes of it" } th scope="col" { "In words" } } }
                tbody { @for one in loss.data.iter().take(SHOWN_MAX) {
                    tr {
                        th scope="row" { a href=(link(&format!("/ui/tablets/{}", one.tablet_id), &[("schema_hash", &one.schema_hash.to_string())])) { (one.tablet_id) } }
                        td { (one.fate.replace('_', " ")) }
                        td { (one.detail) }
                    }
                } }
            } }
        }
        @if !loss.migrations.is_empty() {
            ul { @for one in loss.migrations.iter().take(SHOWN_MAX) {
                li { a href=(format!("/ui/migrations/{}", one.migration_id)) { "migration " (one.migration_id) } " of tablet " (one.tablet_id) ": " (one.fate.replace('_', " ")) }
            } }
        }
    }
}
