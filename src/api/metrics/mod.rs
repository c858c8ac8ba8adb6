//! `/metrics`: Prometheus's text format 0.0.4, and Doris's two others.
//!
//! Written out here rather than by a registry: Doris's names are what dashboards already ask for, and every value is read
//! from the node at the time of the scrape. Ours follow, prefix `tabletd_`.

mod disks;
mod doris;
mod node;
mod page;
mod tasks;

use axum::extract::{RawQuery, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};

use self::doris::Process;
use self::page::Family;
use super::app::App;
use super::calls::Touches;
use super::query::Query;
use super::wire::Timestamp;
use crate::engine::Contract;
use crate::engine::TaskFilter;
use crate::model::TimestampMs;

/// Tasks looked at: a node keeps few.
const TASKS_MAX: usize = 10_000;

/// Counters and gauges for Prometheus; `type=json` and `type=core` write them as Doris does.
#[utoipa::path(
    get,
    path = "/metrics",
    operation_id = "metrics",
    tag = "node",
    params(
        ("type" = Option<String>, Query,
            description = "`core`: `name LONG value` of the few that Doris calls core; `json`: a list of tags, unit and value; else Prometheus's text"),
    ),
    responses((status = 200, body = String, content_type = "text/plain", description = "Counters and gauges"))
)]
pub(super) async fn show(State(app): State<App>, RawQuery(raw): RawQuery) -> Response {
    // Doris reads any other type as none.
    let write = match Query::parse(raw.as_deref()).first("type") {
        "core" => page::core,
        "json" => page::json,
        _ => page::text,
    };
    let now = Timestamp::now().0;
    match app.ask(Touches::Memory, move |node| write(&families(node, now))).await {
        Ok(text) => ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], text).into_response(),
        Err(failure) => (StatusCode::SERVICE_UNAVAILABLE, failure.message).into_response(),
    }
}

fn families(node: &dyn Contract, now: TimestampMs) -> Vec<Family> {
    let (totals, disks) = (node.totals(), node.disks());
    let tasks = node.tasks(&TaskFilter { limit: TASKS_MAX, ..TaskFilter::default() }).items;
    let told = tasks.into_iter().filter(|task| tasks::is_told(task, now));
    // One that is deleted meanwhile is not told of; how it goes on each disk is only in the whole view.
    let tasks: Vec<_> = told.filter_map(|task| node.task(task.task.id).ok()).collect();
    let mut all = doris::families(&totals, &disks, Process::look());
    all.extend(node::families(&totals));
    all.extend(disks::families(&disks));
    all.extend(tasks::families(&tasks));
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::tests::sample;
    use crate::engine::{DiskView, HistogramView, JournalView, StateSpace, StepTotals, TaskView, Totals};
    use crate::model::{DiskCondition, ErrorCode, Step, TaskDisk, TaskStatus};

    fn render(totals: &Totals, disks: &[DiskView]) -> String {
        let mut all = doris::families(totals, disks, Process { threads: 9, open_files: 20 });
        all.extend(node::families(totals));
        all.extend(disks::families(disks));
        all.extend(tasks::families(&[running_task()]));
        page::text(&all)
    }

    /// Half done at 10 bytes a second.
    fn running_task() -> TaskView {
        let mut view = sample::task();
        let disk = TaskDisk::new("/d1".into(), TaskStatus::Running);
        let (total_bytes, finished_bytes, bytes_per_sec) = (1000, 500, Some(10));
        view.disks = vec![TaskDisk { total_bytes, finished_bytes, bytes_per_sec, ..disk }];
        view
    }

    #[test]
    fn the_page_has_doris_names_and_ours() {
        let totals = Totals {
            started: 5,
            failed: 2,
            throttled_ms: 1_020,
            refused: vec![(ErrorCode::DiskFull, 3)],
            steps: vec![StepTotals { step: Step::Data, seconds: 1.5, done: 3, failed: 1 }],
            step_seconds: vec![(Step::Data, HistogramView { bounds: &[1.0], counts: vec![1, 2], sum: 7.5 })],
            journal: JournalView {
                failed: true,
                full: true,
                space: Some(StateSpace { available_bytes: 1, total_bytes: 8 }),
                ..JournalView::default()
            },
            ..Totals::default()
        };
        let mut hung = sample::disk("/d\"2");
        hung.condition = DiskCondition::Hung { operation: "fsync".into() };
        let page = render(&totals, &[sample::disk("/d1"), hung]);
        for line in [
            "# TYPE doris_be_disks_state gauge",
            "doris_be_disks_state{path=\"/d1\"} 1",
            "doris_be_disks_state{path=\"/d\\\"2\"} 0",
            "doris_be_engine_requests_total{type=\"storage_migrate\",status=\"total\"} 5",
            "doris_be_engine_requests_total{type=\"storage_migrate\",status=\"failed\"} 2",
            "tabletd_throttled_seconds_total 1.02",
            "tabletd_migrations_refused_total{code=\"DISK_FULL\"} 3",
            "tabletd_step_seconds_total{step=\"data\"} 1.5",
            "tabletd_step_runs_total{step=\"data\",outcome=\"error\"} 1",
            "tabletd_disk_condition{path=\"/d\\\"2\",condition=\"hung\"} 1",
            "tabletd_disk_condition{path=\"/d\\\"2\",condition=\"online\"} 0",
            "tabletd_disk_undone{path=\"/d1\"} 1",
            "tabletd_disk_undone_bytes{path=\"/d1\"} 9",
            "tabletd_disk_unrecorded{path=\"/d1\"} 2",
            "tabletd_disk_unrecorded_bytes{path=\"/d1\"} 7",
            "tabletd_disk_looked_through{path=\"/d1\"} 1",
            "tabletd_disk_write_slots_limit{path=\"/d1\"} 4",
            "tabletd_disk_throttled_seconds_total{path=\"/d1\"} 2.5",
            "tabletd_disk_pace_bytes_per_second{path=\"/d1\"} 6000000",
            "tabletd_disk_safe_to_remove{path=\"/d1\"} 0",
            "doris_be_process_fd_num_used 20",
            "tabletd_step_duration_seconds_bucket{step=\"data\",le=\"1\"} 1",
            "tabletd_step_duration_seconds_count{step=\"data\"} 3",
            "tabletd_journal_failed 1",
            "tabletd_journal_lost 0",
            "tabletd_state_dir_full 1",
            "tabletd_state_dir_available_bytes 1",
            concat!("tabletd_build_info{version=\"", env!("CARGO_PKG_VERSION"), "\"} 1"),
            "tabletd_task_finished_bytes{task=\"3\"} 500",
            "tabletd_task_eta_seconds{task=\"3\"} 50",
            "tabletd_disk_small_read_seconds{path=\"/d1\",when=\"now\"} 0.00009",
        ] {
            assert!(page.lines().any(|found| found == line), "{line} in\n{page}");
        }
    }

    #[test]
    fn every_family_is_explained_and_declared_once_and_before_its_samples() {
        let page = render(&Totals::default(), &[sample::disk("/d1"), sample::disk("/d2")]);
        let mut declared: Vec<&str> = Vec::new();
        let mut explained = "";
        for line in page.lines() {
            if let Some(rest) = line.strip_prefix("# HELP ") {
                explained = rest.split(' ').next().unwrap();
                assert!(rest.len() > explained.len() + 1, "no help: {line}");
            } else if let Some(rest) = line.strip_prefix("# TYPE ") {
                let name = rest.split(' ').next().unwrap();
                assert_eq!(name, explained, "{line}");
                assert!(!declared.contains(&name), "{name} twice");
                declared.push(name);
            } else {
                let name = line.split(['{', ' ']).next().unwrap();
                let of = declared.last().unwrap();
                let rest = name.strip_prefix(of).unwrap_or_else(|| panic!("{line}"));
                assert!(["", "_bucket", "_sum", "_count"].contains(&rest), "{line}");
            }
        }
    }

    #[test]
    fn tasks_that_are_over_are_told_of_for_a_day() {
        let mut view = running_task();
        let mut task = (*view.task).clone();
        assert!(tasks::is_told(&view, i64::MAX), "not over");
        (task.status, task.finished_ms) = (TaskStatus::Finished, Some(1_000));
        view.task = task.into();
        assert!(tasks::is_told(&view, 1_000 + 86_399_999));
        assert!(!tasks::is_told(&view, 1_000 + 86_400_000));
    }
}
