//! Rows of tables that several views show.

use maud::{Markup, html};

use super::address::link;
use super::picture::{badge, bytes, progress, rate};
use crate::api::wire::{Migration, RuleAnswer};

/// Migrations as rows.
pub(super) fn migrations(list: &[Migration], caption: &str) -> Markup {
    if list.is_empty() {
        return html! { p.quiet { "None." } };
    }
    html! {
        table {
            caption.unseen { (caption) }
            thead { tr { th scope="col" { "Migration" } th scope="col" { "Tablet" } th scope="col" { "From" } th scope="col" { "To" } th scope="col" { "Status" } th scope="col" { "Progress" } th scope="col" { "Speed" } th scope="col" { "Why it stands there" } } }
            tbody {
                @for one in list {
                    @let counters = &one.counters;
                    tr {
                        th scope="row" { a href=(format!("/ui/migrations/{}", one.id)) { (one.id) } }
                        td { a href=(link(&format!("/ui/tablets/{}", one.tablet_id), &[("schema_hash", &one.schema_hash.to_string())])) { (one.tablet_id) } }
                        td { code { (one.source_disk) } }
                        td { code { (one.dest_disk) } }
                        td { (badge(one.status.as_str())) }
                        td { (progress(&format!("migration {}", one.id), counters.disk_verified_bytes, counters.disk_total_bytes)) div.small { (bytes(counters.disk_verified_bytes)) " of " (bytes(counters.disk_total_bytes)) } }
                        td.number { @if let Some(speed) = one.recent_bps.or(one.speed_bytes_per_sec) { (rate(speed)) } }
                        td.why { (one.status_reason) }
                    }
                }
            }
        }
    }
}

/// What each rule says of a move.
pub(super) fn rules(list: &[RuleAnswer]) -> Markup {
    html! {
        div.wide { table {
            caption.quiet { "What each rule says" }
            thead { tr { th scope="col" { "Rule" } th scope="col" { "Allows" } th scope="col" { "Numbers" } } }
            tbody { @for rule in list {
                tr {
                    th scope="row" { code { (rule.rule) } @if rule.plans_only { span.small { " (plans only)" } } }
                    td { @match rule.allows { Some(true) => "yes", Some(false) => strong { "no" }, None => "cannot be asked" } }
                    td { (rule.detail) }
                }
            } }
        } }
    }
}
