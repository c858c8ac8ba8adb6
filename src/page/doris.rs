//! The roots of a real Doris backend, looked at: what a drain would move, what it would leave and why. The same look as
//! that of `tabletctl doris inspect`.

use axum::response::Response;
use maud::{Markup, html};

use super::action::quoted;
use super::ask::Ask;
use super::picture::{Part, bar, bytes, count, legend};
use super::view::{Section, View};
use crate::api::Refused;
use crate::model::{InspectedRoot, Inspection, SeveralCopies, counted};

/// Lines of one kind that are shown.
const SHOWN_MAX: usize = 20;

/// `GET /ui/doris`.
pub(super) async fn show(ask: Ask) -> Response {
    let view = view(&ask).await;
    ask.answer(view)
}

async fn view(ask: &Ask) -> Result<View, Refused> {
    let age_max = if ask.parameter("again").is_some() { 0 } else { AGE_MAX_SEC };
    let found: Inspection = ask.get(&format!("/api/v1/doris/inspection?age_max_sec={age_max}")).await?;
    let whole = found.roots.iter().map(|root| root.would_move.bytes + root.would_leave.bytes).max();
    let paths: Vec<_> = found.roots.iter().map(|root| quoted(&root.root)).collect();
    let command = format!("tabletctl doris inspect {}", paths.join(" "));
    let curl = format!("curl {}", quoted(&format!("{}/api/v1/doris/inspection", ask.visitor.origin)));
    let body = html! {
        p {
            "The roots as they were read " (read(found.age_seconds)) "; " a href="/ui/doris?again=1" { "look again" }
            ". Nothing is written by looking."
        }
        (clusters(&found))
        div.disks { @for root in &found.roots { (card(root, whole.unwrap_or(0))) } }
        @if !found.on_several_roots.is_empty() { (several(&found.on_several_roots)) }
        h2 { "The same as commands" }
        pre { code { (command) "\n\n" (curl) } }
    };
    Ok(View { title: "Doris roots".to_owned(), section: Section::Doris, body })
}

/// A view reads all records of all roots: not at each load, while nothing was moved.
const AGE_MAX_SEC: u64 = 300;

fn read(age_seconds: u64) -> String {
    match age_seconds {
        0 => "just now".to_owned(),
        seconds => format!("{} ago, since when nothing was moved", counted(seconds, "second")),
    }
}

fn clusters(found: &Inspection) -> Markup {
    let mut ids: Vec<_> = found.roots.iter().filter_map(|root| root.cluster_id.as_deref()).collect();
    ids.sort_unstable();
    ids.dedup();
    html! { @if ids.len() > 1 { p.trouble role="alert" { "These roots are of different clusters: " (ids.join(", ")) } } }
}

fn card(root: &InspectedRoot, whole: u64) -> Markup {
    let parts = [
        Part { class: "tablets", name: "would move", bytes: root.would_move.bytes },
        Part { class: "others", name: "would stay", bytes: root.would_leave.bytes },
        Part { class: "trash", name: "stray", bytes: root.strays.iter().map(|stray| stray.bytes).sum() },
    ];
    let key = format!("{:08x}", crc32fast::hash(root.root.as_bytes()));
    html! {
        article.disk aria-label=(root.root) {
            h2 { code { (root.root) } }
            @if let Some(why) = &root.unreadable {
                p.trouble { "Cannot be read: " (why) }
                p.small { "What is left of a damaged database: " code { "tabletctl doris inspect --rescue " (root.root) } }
            } @else {
                (bar(&root.root, &parts, whole, None))
                (legend(&parts))
                p { "A drain would move " (counted(root.would_move.tablets, "tablet")) ", " (bytes(root.would_move.bytes))
                    ", and leave " (count(root.would_leave.tablets)) ", " (bytes(root.would_leave.bytes)) "." }
            }
            @if let Some(why) = &root.refused_for_writing { p.wary { "For looking only: " (why) } }
            @for lost in root.lost.iter().take(SHOWN_MAX) { p.trouble { "Lost: " (lost) } }
            @if !root.left_for.is_empty() { (left_for(root)) }
            (findings(root, &key))
            @if !root.partitions.is_empty() { (partitions(root, &key)) }
            (rest(root, &key))
        }
    }
}

fn left_for(root: &InspectedRoot) -> Markup {
    html! {
        div.wide { table {
            caption.quiet { "Why tablets would stay" }
            thead { tr { th scope="col" { "Reason" } th scope="col" { "Tablets" } th scope="col" { "What helps" } } }
            tbody { @for one in &root.left_for { tr {
                th scope="row" { (one.reason) } td { (count(one.tablets)) } td.why { (one.way_out) }
            } } }
        } }
    }
}

fn findings(root: &InspectedRoot, key: &str) -> Markup {
    let damaged: Vec<_> = root.tablets.iter().filter(|tablet| tablet.is_damaged).collect();
    html! {
        @if !damaged.is_empty() {
            details id=(format!("damaged-{key}")) open {
                summary.trouble { (counted(damaged.len(), "damaged tablet")) }
                ul { @for tablet in damaged.iter().take(SHOWN_MAX) {
                    li {
                        "tablet " (tablet.tablet_id) ": " (Vec::from_iter(tablet.reasons.iter().map(String::as_str)).join(", "))
                        @for file in tablet.missing.iter().take(SHOWN_MAX) { "; " code { (file) } " is missing" }
                        @for file in tablet.damaged.iter().take(SHOWN_MAX) { "; " code { (file.file) } ": " (file.what) }
                    }
                } }
            }
        }
    }
}

fn partitions(root: &InspectedRoot, key: &str) -> Markup {
    html! {
        details id=(format!("partitions-{key}")) {
            summary { (root.partitions.len()) " partitions" }
            div.wide { table {
                caption.unseen { "Partitions" }
                thead { tr { th scope="col" { "Partition" } th scope="col" { "Tablets" } th scope="col" { "Size" } } }
                tbody { @for one in root.partitions.iter().take(SHOWN_MAX) { tr {
                    th scope="row" { (one.partition_id) } td { (count(one.tablets)) } td { (bytes(one.bytes)) }
                } } }
            } }
            @if root.partitions.len() > SHOWN_MAX { p.small { "and " (root.partitions.len() - SHOWN_MAX) " more" } }
        }
    }
}

/// What no tablet is: directories and keys that nobody owns.
fn rest(root: &InspectedRoot, key: &str) -> Markup {
    let garbage: usize = root.tablets.iter().map(|tablet| tablet.garbage.len()).sum();
    html! {
        @if !root.strays.is_empty() {
            details id=(format!("strays-{key}")) {
                summary { (root.strays.len()) " stray directories" }
                ul { @for stray in root.strays.iter().take(SHOWN_MAX) { li { code { (stray.path) } ", " (bytes(stray.bytes)) } } }
            }
        }
        @if garbage > 0 { p.small { (counted(garbage, "file")) " of no rowset: not moved" } }
        @if root.left_over_keys + root.unknown_keys.len() > 0 {
            p.small { "Other keys: " (root.left_over_keys) " left over, " (root.unknown_keys.len()) " not understood" }
        }
    }
}

fn several(list: &[SeveralCopies]) -> Markup {
    html! {
        h2 { "On several roots: " (list.len()) }
        ul { @for one in list.iter().take(SHOWN_MAX) {
            li {
                "tablet " (one.tablet_id) ": "
                @for (at, copy) in one.copies.iter().enumerate() { @if at > 0 { " and " } code { (copy.root) } " (" (copy.state) ")" }
                "; a backend would keep " @match &one.owner { Some(root) => { "the one on " code { (root) } }, None => "either" }
            }
        } }
    }
}
