//! Tablets: searched, and one with all that can be asked about it.

use axum::response::{IntoResponse as _, Response};
use maud::{Markup, html};
use serde_json::{Value, json};

use super::action::Action;
use super::address::{escaped, link, pair};
use super::alarm::{heal, salvage};
use super::ask::Ask;
use super::picture::{badge, bytes};
use super::rows;
use super::view::{Section, View, next_page};
use crate::api::Refused;
use crate::api::wire::{Disk, List, Migration, RuleAnswer, Tablet, TabletCheck};
use crate::model::counted;

/// Rows of one page.
const PAGE: usize = 50;
/// What narrows the list.
const FILTERS: [&str; 5] = ["disk", "table_id", "partition_id", "pinned", "marker"];

/// `GET /ui/tablets`.
pub(super) async fn list(ask: Ask) -> Response {
    if let Some(id) = ask.parameter("tablet_id") {
        return axum::response::Redirect::to(&format!("/ui/tablets/{}", escaped(id.trim()))).into_response();
    }
    let view = list_view(&ask).await;
    ask.answer(view)
}

async fn list_view(ask: &Ask) -> Result<View, Refused> {
    let narrowed: Vec<_> =
        FILTERS.into_iter().map(|name| (name, ask.parameter(name).unwrap_or_default())).collect();
    let query: Vec<_> =
        narrowed.iter().map(|(name, value)| pair(name, value)).filter(|pair| !pair.is_empty()).collect();
    let list: List<Tablet> = ask.get(&format!("/api/v1/tablets?limit={PAGE}&{}", query.join("&"))).await?;
    let disks: List<Disk> = ask.get("/api/v1/disks").await?;
    let last = list.data.last().map(|one| one.tablet_id.to_string()).filter(|_| list.data.len() == PAGE);
    let next = last.map(|marker| {
        let mut pairs = narrowed.clone();
        pairs.retain(|(name, _)| *name != "marker");
        pairs.push(("marker", &marker));
        link("/ui/tablets", &pairs)
    });
    let body = html! {
        (filters(ask, &disks.data))
        div.wide id="tablets" data-live { (table(&list.data)) }
        (next_page(next, list.data.len(), list.total))
    };
    Ok(View { title: "Tablets".to_owned(), section: Section::Tablets, body })
}

fn filters(ask: &Ask, disks: &[Disk]) -> Markup {
    let given = |name| ask.parameter(name).unwrap_or_default();
    html! {
        form.filters method="get" action="/ui/tablets" {
            label for="tablet_id" { "Tablet" }
            input id="tablet_id" name="tablet_id" inputmode="numeric" size="12";
            label for="disk" { "Disk" }
            select id="disk" name="disk" {
                option value="" { "any" }
                @for disk in disks { option value=(disk.path) selected[given("disk") == disk.path] { (disk.path) } }
            }
            label for="table_id" { "Table" }
            input id="table_id" name="table_id" inputmode="numeric" size="10" value=(given("table_id"));
            label { input type="checkbox" name="pinned" value="true" checked[given("pinned") == "true"]; " pinned" }
            button type="submit" { "Show" }
        }
    }
}

fn table(list: &[Tablet]) -> Markup {
    html! {
        table {
            caption.unseen { "Tablets" }
            thead { tr { th scope="col" { "Tablet" } th scope="col" { "Schema" } th scope="col" { "Table" } th scope="col" { "Disk" } th scope="col" { "Size" } th scope="col" { "Files" } th scope="col" { "State" } } }
            tbody {
                @for one in list {
                    tr {
                        th scope="row" { a href=(link(&format!("/ui/tablets/{}", one.tablet_id), &[("schema_hash", &one.schema_hash.to_string())])) { (one.tablet_id) } }
                        td { (one.schema_hash) }
                        td { @if one.table_id != 0 { (one.table_id) } }
                        td { code { (one.disk) } }
                        td { (bytes(one.size_bytes)) }
                        td { (one.file_count) }
                        td { (state(one)) }
                    }
                }
            }
        }
        @if list.is_empty() { p { "None." } }
    }
}

fn state(one: &Tablet) -> Markup {
    html! {
        @if one.damaged.is_some() { (badge("damaged")) " " }
        @if one.unreadable.is_some() { (badge("unreadable")) " " }
        @if one.pinned.is_some() { (badge("pinned")) " " }
        @if let Some(id) = one.migration_id { a href=(format!("/ui/migrations/{id}")) { "moving" } }
    }
}

/// `GET /ui/tablets/{id}`.
pub(super) async fn show(axum::extract::Path(id): axum::extract::Path<String>, ask: Ask) -> Response {
    let view = one_view(&ask, &escaped(&id)).await;
    ask.answer(view)
}

async fn one_view(ask: &Ask, id: &str) -> Result<View, Refused> {
    let hash = pair("schema_hash", ask.parameter("schema_hash").unwrap_or_default());
    let one: Result<Tablet, Refused> = ask.get(&format!("/api/v1/tablets/{id}?{hash}")).await;
    let check: Result<TabletCheck, Refused> = ask.get(&format!("/api/v1/tablets/{id}/verify?{hash}")).await;
    let disks: List<Disk> = ask.get("/api/v1/disks").await?;
    let moves: Result<List<Migration>, Refused> =
        ask.get(&format!("/api/v1/migrations?tablet_id={id}&sort=-id&limit=10")).await;
    let one = match one {
        Ok(one) => one,
        // One that is not served may still be brought back.
        Err(refused) if refused.error.error_code == "TABLET_UNAVAILABLE" => {
            return Ok(lost(ask, id, &refused));
        }
        Err(refused) => return Err(refused),
    };
    let body = html! {
        (ask.done())
        div id="tablet" data-live { (standing(&one)) (checked(check.as_ref().ok(), one.generation)) }
        div.actions id="verbs" data-live { (verbs(ask, &one, &disks.data)) }
        (explained(ask, &one, &disks.data).await)
        h2 { "Its migrations" }
        div.wide id="moves" data-live {
            @match moves {
                Ok(list) => (rows::migrations(&list.data, "Its migrations")),
                Err(refused) => p.trouble { (refused.error.error_msg) },
            }
        }
    };
    Ok(View { title: format!("Tablet {}", one.tablet_id), section: Section::Tablets, body })
}

fn lost(ask: &Ask, id: &str, refused: &Refused) -> View {
    let hash = ask.parameter("schema_hash").unwrap_or_default();
    let body = html! {
        p.trouble role="alert" { (refused.error.error_msg) }
        @if !hash.is_empty() { div.actions { (heal(ask, id, hash)) } }
    };
    View { title: format!("Tablet {id} is not served"), section: Section::Tablets, body }
}

fn standing(one: &Tablet) -> Markup {
    html! {
        @if let Some(text) = &one.damaged { p.trouble role="alert" { (badge("damaged")) " " (text) } }
        @if let Some(text) = &one.unreadable { p.trouble role="alert" { (badge("unreadable")) " " (text) } }
        @if let Some(pin) = &one.pinned { p { "Pinned by " (pin.by) " since " (pin.since) ": no plan moves it. " (pin.reason) } }
        dl.figures {
            div { dt { "Disk" } dd { a href=(link("/ui/disk", &[("path", &one.disk)])) { code { (one.disk) } } } }
            div { dt { "Schema hash" } dd { (one.schema_hash) } }
            div { dt { "Table" } dd { (one.table_id) } }
            div { dt { "Size" } dd { (bytes(one.size_bytes)) ", " (counted(one.file_count, "file")) } }
            div { dt { "Generation" } dd { (one.generation) } }
            div { dt { "Shard" } dd { (one.shard_id) } }
            @if let Some(id) = one.migration_id { div { dt { "Moving" } dd { a href=(format!("/ui/migrations/{id}")) { "migration " (id) } } } }
        }
    }
}

fn checked(check: Option<&TabletCheck>, generation: u64) -> Markup {
    let Some(check) = check else { return html! {} };
    if check.generation == 0 && check.state.is_settled() {
        return html! { p.quiet { "Not verified since the daemon started." } };
    }
    if check.generation != generation && check.state.is_settled() {
        return html! { p.quiet { "Not verified since it came here; the last verification was of generation " (check.generation) "." } };
    }
    html! {
        p { "Last verification: " (badge(check.state.as_str())) " "
            @if check.total_bytes > 0 { (bytes(check.checked_bytes)) " of " (bytes(check.total_bytes)) " read " }
            @if let Some(at) = check.finished_at { "at " (at) }
        }
        @if let Some(error) = &check.error { p.trouble { (error.message) } }
        @if !check.damaged.is_empty() {
            ul { @for file in check.damaged.iter().take(PAGE) { li { code { (file.name) } ": " (file.reason) } } }
        }
        @if !check.unreadable.is_empty() {
            ul { @for file in check.unreadable.iter().take(PAGE) { li { code { (file.name) } ": " (file.reason) } } }
        }
    }
}

fn verbs(ask: &Ask, one: &Tablet, disks: &[Disk]) -> Markup {
    let (id, hash) = (one.tablet_id.to_string(), one.schema_hash.to_string());
    let which = json!({ "schema_hash": one.schema_hash });
    let ask_for = |verb: &str, label: &str, body: &Value| {
        Action::post(label, format!("/api/v1/tablets/{id}/{verb}"), body.clone(), &ask.here).command(&[
            "tablet",
            verb,
            &id,
            "--schema-hash",
            &hash,
        ])
    };
    html! {
        (ask_for("verify", "Verify", &which).show(&ask.visitor))
        @if one.damaged.is_some() || one.unreadable.is_some() {
            (heal(ask, &id, &hash))
            (salvage(ask, &id, &hash, disks, &one.disk))
        }
        @if one.pinned.is_some() {
            (ask_for("unpin", "Unpin", &which).show(&ask.visitor))
        } @else {
            (ask_for("pin", "Pin", &which).field("text:reason", "Why", "").show(&ask.visitor))
        }
    }
}

/// What each rule says about a move there, and the button that moves it.
async fn explained(ask: &Ask, one: &Tablet, disks: &[Disk]) -> Markup {
    let to = ask.parameter("to").unwrap_or_default();
    let hash = one.schema_hash.to_string();
    let target = format!(
        "/api/v1/tablets/{}/explain?{}&{}",
        one.tablet_id,
        pair("schema_hash", &hash),
        pair("disk", to)
    );
    let rules: Option<Result<List<RuleAnswer>, Refused>> =
        if to.is_empty() { None } else { Some(ask.get(&target).await) };
    let id = one.tablet_id.to_string();
    html! {
        h2 { "May it move?" }
        form.filters method="get" action=(format!("/ui/tablets/{id}")) {
            input type="hidden" name="schema_hash" value=(hash);
            label for="to" { "To" }
            select id="to" name="to" {
                @for disk in disks.iter().filter(|disk| disk.path != one.disk) { option value=(disk.path) selected[disk.path == to] { (disk.path) } }
            }
            button type="submit" { "Explain" }
        }
        @match rules {
            None => {},
            Some(Err(refused)) => p.trouble { (refused.error.error_msg) },
            Some(Ok(rules)) => {
                (rows::rules(&rules.data))
                (Action::post("Move it there", "/api/v1/migrations".to_owned(), json!({ "tablet_id": one.tablet_id, "schema_hash": one.schema_hash, "dest_disk": to }), "/ui/migrations/{id}")
                    .command(&["migrate", &id, "--schema-hash", &hash, "--disk", to]).field("text:reason", "Why, for the record", "").show(&ask.visitor))
            }
        }
    }
}
