//! A migration that has ended, as the spans of one trace. Pure: the same row makes the same spans, identities too, so that
//! one that is sent twice is no second trace.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use opentelemetry::trace::{
    Event, SpanContext, SpanId, SpanKind, Status as SpanStatus, TraceFlags, TraceId, TraceState,
};
use opentelemetry::{InstrumentationScope, KeyValue};
use opentelemetry_sdk::trace::{SpanData, SpanEvents, SpanLinks};
use sha2::{Digest as _, Sha256};

use crate::model::{Migration, Phase, StepRecord, StepStatus, TimestampMs};

/// The migration itself first, then its steps in their order.
pub(super) fn trace_of(row: &Migration) -> Vec<SpanData> {
    let trace = Identity::of(row);
    let ended_ms = row.finished_ms.unwrap_or(row.updated_ms);
    let migration = SpanData {
        attributes: attributes_of(row),
        status: match (row.phase(), &row.failure) {
            (Phase::Complete, _) => SpanStatus::Ok,
            (_, Some(failure)) => SpanStatus::error(failure.message.clone()),
            (_, None) => SpanStatus::error(row.status_reason.clone()),
        },
        ..trace.span(0, None, "migration", row.created_ms, ended_ms)
    };
    let parent = migration.span_context.span_id();
    let steps = row.steps.iter().zip(1..).map(|(step, place)| {
        let ended_ms = step.ended_ms.unwrap_or(ended_ms);
        let mut span = trace.span(place, Some(parent), step.step.as_str(), step.started_ms, ended_ms);
        if step.status == StepStatus::Error {
            span.status = SpanStatus::error(step.logs.last().map_or(String::new(), |log| log.text.clone()));
        }
        span.events = events_of(step);
        span
    });
    std::iter::once(migration).chain(steps).collect()
}

fn attributes_of(row: &Migration) -> Vec<KeyValue> {
    let number = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
    let mut all = vec![
        KeyValue::new("tabletd.migration.id", number(row.id.0)),
        KeyValue::new("tabletd.migration.status", row.status.as_str()),
        KeyValue::new("tabletd.migration.mode", row.mode.as_str()),
        KeyValue::new("tabletd.migration.attempts", i64::from(row.attempts)),
        KeyValue::new("tabletd.migration.reason", row.request_reason.clone()),
        KeyValue::new("tabletd.tablet.id", row.key.tablet_id.0),
        KeyValue::new("tabletd.tablet.schema_hash", i64::from(row.key.schema_hash.0)),
        KeyValue::new("tabletd.source.disk", row.source.path.clone()),
        KeyValue::new("tabletd.destination.disk", row.destination.path.clone()),
        KeyValue::new("tabletd.bytes.total", number(row.counters.total_bytes)),
        KeyValue::new("tabletd.bytes.verified", number(row.counters.verified_bytes)),
        KeyValue::new("tabletd.files", number(row.counters.total_files)),
        KeyValue::new("tabletd.throttled_ms", number(row.counters.throttled_ms)),
    ];
    all.extend(row.task.map(|task| KeyValue::new("tabletd.task.id", number(task.0))));
    if let Some(failure) = &row.failure {
        all.push(KeyValue::new("error.type", failure.code.as_str()));
    }
    if let Some(receipt) = &row.receipt {
        all.push(KeyValue::new("tabletd.generation", number(receipt.generation)));
        all.push(KeyValue::new("tabletd.pause_us", number(receipt.pause_us)));
        all.push(KeyValue::new("tabletd.verified_cold", receipt.verified_cold));
    }
    all
}

fn events_of(step: &StepRecord) -> SpanEvents {
    let mut events = SpanEvents::default();
    events.events =
        step.logs.iter().map(|log| Event::new(log.text.clone(), time(log.at_ms), vec![], 0)).collect();
    events
}

/// What the identities of a trace and of its spans are made from.
struct Identity([u8; 32]);

impl Identity {
    /// Numbers begin anew with a new journal; disks and the moment tell such migrations apart.
    fn of(row: &Migration) -> Self {
        let text = format!("{} {} {} {}", row.id, row.created_ms, row.source.uuid, row.destination.uuid);
        Self(Sha256::digest(text.as_bytes()).into())
    }

    fn trace_id(&self) -> TraceId {
        TraceId::from_bytes(*self.0.first_chunk().expect("a hash is longer"))
    }

    fn span_id(&self, place: u64) -> SpanId {
        let hash = Sha256::new().chain_update(self.0).chain_update(place.to_be_bytes()).finalize();
        SpanId::from_bytes(*hash.first_chunk().expect("a hash is longer"))
    }

    fn span(
        &self,
        place: u64,
        parent: Option<SpanId>,
        name: &'static str,
        started_ms: TimestampMs,
        ended_ms: TimestampMs,
    ) -> SpanData {
        SpanData {
            span_context: SpanContext::new(
                self.trace_id(),
                self.span_id(place),
                TraceFlags::SAMPLED,
                false,
                TraceState::default(),
            ),
            parent_span_id: parent.unwrap_or(SpanId::INVALID),
            parent_span_is_remote: false,
            span_kind: SpanKind::Internal,
            name: name.into(),
            start_time: time(started_ms),
            // A clock that was set back in the middle makes no span of negative length.
            end_time: time(ended_ms.max(started_ms)),
            attributes: Vec::new(),
            dropped_attributes_count: 0,
            events: SpanEvents::default(),
            links: SpanLinks::default(),
            status: SpanStatus::Unset,
            instrumentation_scope: InstrumentationScope::builder("tabletd")
                .with_version(env!("CARGO_PKG_VERSION"))
                .build(),
        }
    }
}

fn time(ms: TimestampMs) -> SystemTime {
    UNIX_EPOCH + Duration::from_millis(u64::try_from(ms).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{
        DiskRef, DiskUuid, ErrorCode, Failure, LogEntry, MigrationId, Status, Step, TabletKey,
    };

    fn row() -> Migration {
        let disk = |path: &str| DiskRef { uuid: DiskUuid(uuid::Uuid::nil()), path: path.to_owned() };
        let mut row = Migration::new(TabletKey::new(10, 5), disk("/d1"), disk("/d2"), 1_000);
        row.id = MigrationId(7);
        row.status = Status::Completed;
        row.finished_ms = Some(9_000);
        let step = |step, started_ms, ended_ms, status, text: &str| StepRecord {
            step,
            status,
            started_ms,
            ended_ms,
            logs: vec![LogEntry { at_ms: started_ms, text: text.to_owned() }],
            checks: Vec::new(),
        };
        row.steps = vec![
            step(Step::Preflight, 2_000, Some(2_100), StepStatus::Done, "looked"),
            step(Step::Data, 2_100, Some(4_000), StepStatus::Error, "the daemon was stopped"),
            step(Step::Data, 5_000, None, StepStatus::Done, "copied"),
        ];
        row
    }

    #[test]
    fn a_migration_is_one_trace_and_every_run_of_a_step_a_span_in_it() {
        let spans = trace_of(&row());
        let names: Vec<_> = spans.iter().map(|span| span.name.as_ref()).collect();
        assert_eq!(names, ["migration", "preflight", "data", "data"]);
        let (migration, steps) = spans.split_first().unwrap();
        assert_eq!(migration.parent_span_id, SpanId::INVALID);
        for step in steps {
            assert_eq!(step.span_context.trace_id(), migration.span_context.trace_id());
            assert_eq!(step.parent_span_id, migration.span_context.span_id());
            assert!(step.start_time >= migration.start_time && step.end_time <= migration.end_time);
            assert_eq!(step.events.events.len(), 1);
        }
        let mut identities: Vec<_> =
            spans.iter().map(|span| span.span_context.span_id().to_bytes()).collect();
        identities.sort_unstable();
        identities.dedup();
        assert_eq!(identities.len(), spans.len());
        assert_eq!((&migration.status, &steps[0].status), (&SpanStatus::Ok, &SpanStatus::Unset));
        assert_eq!(steps[1].status, SpanStatus::error("the daemon was stopped"));
        assert_eq!(trace_of(&row()), spans, "sent again it is the same trace");
    }

    #[test]
    fn what_failed_says_why_and_another_migration_is_another_trace() {
        let mut failed = row();
        failed.id = MigrationId(8);
        failed.status = Status::Failed;
        failed.failure = Some(Failure::new(ErrorCode::SourceDamaged, "a.dat differs"));
        let spans = trace_of(&failed);
        assert_eq!(spans[0].status, SpanStatus::error("a.dat differs"));
        assert!(spans[0].attributes.contains(&KeyValue::new("error.type", "SOURCE_DAMAGED")));
        assert_ne!(spans[0].span_context.trace_id(), trace_of(&row())[0].span_context.trace_id());
    }

    #[test]
    fn a_clock_that_was_set_back_makes_no_span_of_negative_length() {
        let mut row = row();
        row.finished_ms = Some(0);
        assert!(trace_of(&row).iter().all(|span| span.end_time >= span.start_time));
    }
}
