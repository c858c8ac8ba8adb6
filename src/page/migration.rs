//! One migration: counters, what can be done with it, its receipt, and what its steps said.

use axum::response::Response;
use maud::{Markup, html};
use serde_json::json;

use super::action::Action;
use super::address::{escaped, link};
use super::ask::Ask;
use super::picture::{badge, bytes, progress, rate, seconds};
use super::view::{Section, View};
use crate::api::Refused;
use crate::api::wire::Migration;
use crate::model::counted;

/// `GET /ui/migrations/{id}`.
pub(super) async fn show(axum::extract::Path(id): axum::extract::Path<String>, ask: Ask) -> Response {
    let view = view(&ask, &id).await;
    ask.answer(view)
}

async fn view(ask: &Ask, id: &str) -> Result<View, Refused> {
    let one: Migration = ask.get(&format!("/api/v1/migrations/{}", escaped(id))).await?;
    let body = html! {
        (ask.done())
        div id="migration" data-live { (standing(&one)) (verbs(ask, &one)) }
        div id="steps" data-live { (steps(&one)) }
    };
    Ok(View { title: format!("Migration {}", one.id), section: Section::Migrations, body })
}

fn standing(one: &Migration) -> Markup {
    let counters = &one.counters;
    html! {
        p { (badge(one.status.as_str())) " " (one.status_reason) }
        p {
            "Tablet " a href=(link(&format!("/ui/tablets/{}", one.tablet_id), &[("schema_hash", &one.schema_hash.to_string())])) { (one.tablet_id) }
            " from " code { (one.source_disk) } " to " code { (one.dest_disk) }
            @if let Some(task) = one.task_id { ", of " a href=(format!("/ui/tasks/{task}")) { "task " (task) } }
        }
        (progress("bytes verified", counters.disk_verified_bytes, counters.disk_total_bytes))
        dl.figures {
            div { dt { "Copied" } dd { (bytes(counters.disk_processed_bytes)) } }
            div { dt { "Verified" } dd { (bytes(counters.disk_verified_bytes)) } }
            div { dt { "Size" } dd { (bytes(counters.disk_total_bytes)) ", " (counted(counters.disk_total_files, "file")) } }
            @if let Some(speed) = one.recent_bps.or(one.speed_bytes_per_sec) { div { dt { "Speed" } dd { (rate(speed)) } } }
            @if let Some(left) = one.eta_seconds { div { dt { "Left" } dd { (seconds(left)) } } }
            div { dt { "Attempts" } dd { (one.attempts) } }
            div { dt { "Waited for limits" } dd { (counters.throttled_ms) " ms" } }
            div { dt { "Accepted" } dd { (one.created_at) } }
            @if let Some(at) = one.finished_at { div { dt { "Ended" } dd { (at) } } }
            div { dt { "Asked by" } dd { (one.requested_by) } }
        }
        @if !one.reason.is_empty() { p { "Why: " (one.reason) } }
        @for blocker in &one.blockers { p.wary { "Waits for " (blocker.kind) ": " (blocker.text) } }
        @if let Some(error) = &one.error { p.trouble { code { (error.code) } ": " (error.message) } }
        @if let Some(receipt) = &one.receipt {
            h2 { "Receipt" }
            dl.figures {
                div { dt { "Generation" } dd { (receipt.generation) } }
                div { dt { "Files" } dd { (receipt.files) } }
                div { dt { "Bytes" } dd { (receipt.bytes) } }
                div { dt { "Checksum" } dd { code { (receipt.manifest_crc32) } } }
                div { dt { "Read past the cache" } dd { @if receipt.verified_cold { "yes" } @else { "not all of it is known to be" } } }
                div { dt { "Tablet closed for" } dd { (receipt.pause_us) " µs" } }
                div { dt { "Took" } dd { (receipt.duration_ms) " ms" } }
                @if let Some(path) = &receipt.trash_path { div { dt { "Source waits in" } dd { code { (path) } } } }
            }
        }
    }
}

fn verbs(ask: &Ask, one: &Migration) -> Markup {
    let id = one.id.to_string();
    let here = format!("/ui/migrations/{id}");
    let act = |verb: &str, label: &str| {
        let path = format!("/api/v1/migrations/{id}/action");
        Action::post(label, path, json!({ verb: {} }), &here).command(&[
            "migration",
            &verb.replace('_', "-"),
            &id,
        ])
    };
    html! {
        div.actions {
            @for step in &one.next_steps {
                (Action::post(&format!("Run {}", step.as_str()), format!("/api/v1/migrations/{id}/run"), json!({ "step": step }), &here)
                    .command(&["migration", "run", &id, step.as_str()]).show(&ask.visitor))
            }
            @for verb in &one.actions {
                (match verb.as_str() {
                    "pause" => act("pause", "Pause"),
                    "resume" => act("resume", "Resume"),
                    "retry" => act("retry", "Retry"),
                    "cutover" => act("cutover", "Cut over"),
                    "abort" => act("abort", "Abort").warn("What is copied is thrown away. The source stays as it is."),
                    "force_complete" => act("force_complete", "Force").warn("It goes first, past every bandwidth limit and every gate, and cannot be told to wait again."),
                    "revert" => act("revert", "Revert").warn("Another migration takes the tablet back to where it came from."),
                    "settle" => act("settle", "Settle").warn("The source owns the tablet from then on if it can be written to, else the destination."),
                    "extend" => act("extend", "Give more time").command(&["migration", "extend", &id, "3600"]).field("number:extend.seconds", "Seconds more", "3600"),
                    "limits" => act("limits", "Limit").command(&["migration", "limits", &id, "--rate", "0"]).field("number:limits.rate_bytes_per_sec", "Bytes per second (0: no limit)", "0"),
                    "priority" => priority(&id, &here, if one.priority == crate::model::Priority::High { "normal" } else { "high" }),
                    other => act(other, other),
                }.show(&ask.visitor))
            }
        }
    }
}

fn priority(id: &str, here: &str, to: &str) -> Action {
    let path = format!("/api/v1/migrations/{id}/action");
    Action::post(&format!("Priority {to}"), path, json!({ "priority": to }), here).command(&[
        "migration",
        "priority",
        id,
        to,
    ])
}

fn steps(one: &Migration) -> Markup {
    html! {
        h2 { "Steps" }
        @for (number, step) in one.steps.as_deref().unwrap_or_default().iter().enumerate() {
            details.step open id=(format!("step-{number}")) {
                summary { (step.step.as_str()) " " (badge(step.status.as_str())) " " span.small { (step.started_at) @if let Some(at) = step.ended_at { " to " (at) } } }
                @if !step.checks.is_empty() {
                    ul.log { @for check in &step.checks { li { (check.name) " " (badge(check.status.as_str())) " " (check.found) } } }
                }
                ul.log { @for line in &step.logs { li { time { (line.at) } " " (line.text) } } }
            }
        }
    }
}
