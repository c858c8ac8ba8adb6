//! Tasks in the journal.

use rusqlite::Connection;
use tempfile::tempdir;

use super::samples::sample;
use super::{accept, open};
use crate::model::{
    Idempotency, PlanCompleteness, PlanOutcome, Task, TaskId, TaskPlan, TaskRequest, TaskStatus,
};

fn task() -> Task {
    Task {
        id: TaskId(0),
        name: "even out".to_owned(),
        request: TaskRequest::Rebalance { medium: None, start_points: Some(8), stop_points: None },
        plan: TaskPlan {
            moves: Vec::new(),
            total_bytes: 0,
            disks: Vec::new(),
            left_out: Vec::new(),
            fits_nowhere: Vec::new(),
            score_before: 2.25,
            score_after: 0.5,
            falls_short: Vec::new(),
            outcome: PlanOutcome::Reaches,
            completeness: PlanCompleteness::WhatFits,
            fingerprint: 9,
        },
        options: Default::default(),
        status: TaskStatus::Stopped,
        replans: Vec::new(),
        paused_disks: Vec::new(),
        reason: String::new(),
        idempotency: None,
        created_ms: 1,
        updated_ms: 1,
        started_ms: None,
        finished_ms: None,
        result: None,
    }
}

#[test]
fn tasks_are_kept_changed_and_deleted_and_their_numbers_never_come_again() {
    let dir = tempdir().unwrap();
    let (mut journal, _) = open(dir.path());
    let first = journal.add_task(&task()).unwrap();
    let second = journal.add_task(&task()).unwrap();
    assert_eq!((first, second), (TaskId(1), TaskId(2)));
    let running = Task { id: first, status: TaskStatus::Running, started_ms: Some(5), ..task() };
    journal.update_task(&running).unwrap();
    journal.delete_task(second).unwrap();
    journal.close().unwrap();
    let (mut journal, _) = open(dir.path());
    assert_eq!(journal.tasks().unwrap(), (vec![running], Vec::new()));
    assert_eq!(journal.add_task(&task()).unwrap(), TaskId(3));
}

#[test]
fn a_damaged_task_is_told_and_stops_nobody() {
    let dir = tempdir().unwrap();
    let (mut journal, _) = open(dir.path());
    journal.add_task(&task()).unwrap();
    let kept = journal.add_task(&task()).unwrap();
    journal.close().unwrap();
    let raw = Connection::open(dir.path().join("journal.db")).unwrap();
    raw.execute_batch("UPDATE task SET doc = replace(doc, 'even', 'odd!') WHERE id = 1").unwrap();
    drop(raw);
    let (tasks, damaged) = open(dir.path()).0.tasks().unwrap();
    assert_eq!(tasks.iter().map(|task| task.id).collect::<Vec<_>>(), [kept]);
    assert!(damaged[0].contains("task 1"), "{damaged:?}");
}

#[test]
fn a_migration_is_found_by_the_key_of_its_request() {
    let dir = tempdir().unwrap();
    let (mut journal, _) = open(dir.path());
    accept(&mut journal, &sample(1));
    let mut keyed = sample(2);
    keyed.steering.idempotency = Some(Idempotency { key: "k-1".into(), fingerprint: "f".into() });
    let id = accept(&mut journal, &keyed);
    journal.close().unwrap();
    let (journal, _) = open(dir.path());
    let found = journal.by_request_key("k-1").unwrap().unwrap();
    assert_eq!((found.id, found.steering), (id, keyed.steering));
    assert_eq!(journal.by_request_key("k").unwrap(), None);
}
