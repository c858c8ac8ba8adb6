//! `/api/v1/events` and `/api/v1/migrations/{id}/events`: what happens, as server-sent events
//! (<https://html.spec.whatwg.org/multipage/server-sent-events.html>).
//!
//! A stream asks the node's ring a few times a second and only when its client has taken what was sent: a slow client
//! holds up nobody and, fallen behind the ring, is told with a `reset`. Streams end when the server stops.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{Path, State};
use axum::http::request::Parts;
use axum::http::{HeaderName, StatusCode, header};
use axum::response::{IntoResponse, Response};
use hyper::body::Frame;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, Interval, MissedTickBehavior};

use super::parameters;
use crate::api::app::{App, Streams};
use crate::api::calls::Touches;
use crate::api::error::Problem;
use crate::api::query::read_id;
use crate::api::wire::{Event, Timestamp};
use crate::engine::Contract;
use crate::engine::{Continuity, EventCursor, EventKind, EventView};
use crate::model::{ErrorCode, Failure, Migration, MigrationId};

/// The content type of a stream.
pub(super) const EVENT_STREAM: &str = "text/event-stream";
/// How often the ring is asked.
const LOOK: Duration = Duration::from_millis(200);
/// A client that has gone away is noticed when it is written to: so long after the last event there is a comment.
const QUIET: Duration = Duration::from_secs(10);

/// `GET /events`: of every migration, from now on or from `Last-Event-ID`. With `follow=false` what is remembered, and no
/// more.
#[utoipa::path(
    get,
    path = "/api/v1/events",
    operation_id = "events",
    tag = "migrations",
    params(
        ("follow" = Option<bool>, Query, description = "false: what is remembered, and no more"),
        ("Last-Event-ID" = Option<String>, Header, description = "Go on after this event"),
    ),
    responses((status = 200, body = String, content_type = "text/event-stream", description = "A stream that ends with the daemon, or at once with follow=false")),
    extensions(("x-execution" = json!("asynchronous")))
)]
pub(super) async fn of_all(State(app): State<App>, parts: Parts) -> Result<Response, Problem> {
    let then = match parameters(&parts, &["follow"])?.read("follow")? {
        Some(false) => Then::EndWhenNothingIsLeft,
        _ => Then::GoOn,
    };
    let begin = || if then == Then::GoOn { app.node().event_cursor() } else { unknown_cursor() };
    let cursor = last_event_id(&parts).unwrap_or_else(begin);
    stream(&app, None, cursor, VecDeque::from([comment("listening")]), then)
}

/// One that no run of a daemon has given out.
fn unknown_cursor() -> EventCursor {
    "0-0".parse().expect("a cursor is two numbers")
}

/// `GET /migrations/{id}/events`: first how it stands, then what happens to it, to its final status.
#[utoipa::path(
    get,
    path = "/api/v1/migrations/{id}/events",
    operation_id = "events_of_migration",
    tag = "migrations",
    params(
        ("id" = MigrationId, Path, description = "Its number"),
        ("Last-Event-ID" = Option<String>, Header, description = "Go on after this event"),
    ),
    responses((status = 200, body = String, content_type = "text/event-stream", description = "A stream to its final status")),
    extensions(("x-execution" = json!("asynchronous")))
)]
pub(super) async fn of_one(
    State(app): State<App>,
    Path(id): Path<String>,
    parts: Parts,
) -> Result<Response, Problem> {
    parameters(&parts, &[])?;
    let id: MigrationId = read_id(&id)?;
    // Before the look: what happens in between is told twice rather than not at all.
    let now = app.node().event_cursor();
    let found = app.try_ask(Touches::Journal, move |node| node.migration(id)).await?;
    let unknown = || Failure::new(ErrorCode::MigrationNotFound, format!("no migration {id} is known"));
    stream_of(&app, &parts, &found.ok_or_else(unknown)?, now)
}

/// The events of a migration that was looked at after the cursor `now` was taken.
pub(super) fn stream_of(
    app: &App,
    parts: &Parts,
    migration: &Migration,
    now: EventCursor,
) -> Result<Response, Problem> {
    let id = migration.id;
    let then = if migration.status.is_final() { Then::End } else { Then::GoOn };
    let is_known = |last| app.node().events_after(last, Some(id)).continuity == Continuity::Whole;
    let (cursor, first) = match last_event_id(parts) {
        Some(last) if then == Then::GoOn && is_known(last) => (last, VecDeque::new()),
        Some(_) if then == Then::GoOn => (now, VecDeque::from([reset().into(), standing(migration, now)])),
        _ => (now, VecDeque::from([standing(migration, now)])),
    };
    stream(app, Some(id), cursor, first, then)
}

/// One that cannot be read is as good as one that is no longer known.
fn last_event_id(parts: &Parts) -> Option<EventCursor> {
    let id = parts.headers.get("last-event-id")?.to_str().ok()?;
    Some(id.parse().unwrap_or_else(|()| unknown_cursor()))
}

/// What follows the first events of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Then {
    GoOn,
    EndWhenNothingIsLeft,
    End,
}

fn stream(
    app: &App,
    of: Option<MigrationId>,
    cursor: EventCursor,
    first: VecDeque<Bytes>,
    then: Then,
) -> Result<Response, Problem> {
    let streams = app.streams();
    let place = Arc::clone(&streams.places).try_acquire_owned().map_err(|_| {
        let text = "as many event streams are open as may be; close one, or ask again later";
        Problem::of_http(StatusCode::TOO_MANY_REQUESTS, "TOO_MANY_STREAMS", text)
    })?;
    let mut look = tokio::time::interval(LOOK);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let body = EventBody {
        node: app.node(),
        streams,
        of,
        cursor,
        pending: first,
        then,
        look,
        last_sent: Instant::now(),
        _place: place,
    };
    let headers = [
        (header::CONTENT_TYPE, EVENT_STREAM),
        (header::CACHE_CONTROL, "no-cache"),
        // Proxies that gather answers would hold events back.
        (HeaderName::from_static("x-accel-buffering"), "no"),
    ];
    Ok((headers, Body::new(body)).into_response())
}

/// The answer's body: polled by the connection only when the client has room for more.
struct EventBody {
    node: Arc<dyn Contract>,
    streams: Streams,
    of: Option<MigrationId>,
    cursor: EventCursor,
    pending: VecDeque<Bytes>,
    then: Then,
    look: Interval,
    last_sent: Instant,
    _place: OwnedSemaphorePermit,
}

impl EventBody {
    /// Takes what has happened since the last look.
    fn refill(&mut self) {
        let batch = self.node.events_after(self.cursor, self.of);
        let mut text = String::new();
        if batch.continuity == Continuity::Broken {
            text.push_str(&reset());
            if self.of.is_some() {
                // Its end may be among what is lost. Whoever asks again is told how it stands.
                self.then = Then::End;
                return self.pending.push_back(text.into());
            }
        }
        for event in &batch.events {
            text.push_str(&written(&shown(event), event.cursor));
            let is_end = matches!(event.kind, EventKind::Status { status, .. } if status.is_final());
            if self.of.is_some() && is_end {
                self.then = Then::End;
                break;
            }
        }
        self.cursor = batch.next;
        if batch.events.is_empty() && self.then == Then::EndWhenNothingIsLeft {
            self.then = Then::End;
        }
        if !text.is_empty() {
            self.pending.push_back(text.into());
        } else if self.last_sent.elapsed() >= QUIET {
            self.pending.push_back(comment("still here"));
        }
    }
}

impl hyper::body::Body for EventBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        loop {
            if let Some(bytes) = self.pending.pop_front() {
                self.last_sent = Instant::now();
                return Poll::Ready(Some(Ok(Frame::data(bytes))));
            }
            if self.then == Then::End || self.streams.are_ending() {
                return Poll::Ready(None);
            }
            ready!(self.look.poll_tick(cx));
            self.refill();
        }
    }
}

fn comment(text: &str) -> Bytes {
    format!(": {text}\n\n").into()
}

/// Without an id: whoever comes back after it still has the last event it had.
fn reset() -> String {
    let event = Event::of_kind("reset", Timestamp::now());
    let data = serde_json::to_string(&event).expect("an event holds only texts and whole numbers");
    format!("event: reset\ndata: {data}\n\n")
}

fn written(event: &Event, id: EventCursor) -> String {
    let data = serde_json::to_string(event).expect("an event holds only texts and whole numbers");
    format!("id: {id}\nevent: {}\ndata: {data}\n\n", event.kind)
}

/// How a migration stands, as the event that would have said so.
fn standing(migration: &Migration, at: EventCursor) -> Bytes {
    let event = Event {
        migration_id: Some(migration.id),
        tablet_id: Some(migration.key.tablet_id),
        status: Some(migration.status),
        phase: Some(migration.phase()),
        status_reason: Some(migration.status_reason.clone()),
        disk_total_bytes: Some(migration.counters.total_bytes),
        disk_processed_bytes: Some(migration.counters.copied_bytes),
        disk_verified_bytes: Some(migration.counters.verified_bytes),
        ..Event::of_kind("status", Timestamp(migration.updated_ms))
    };
    written(&event, at).into()
}

fn shown(view: &EventView) -> Event {
    let of = |kind| Event {
        migration_id: Some(view.migration),
        tablet_id: Some(view.key.tablet_id),
        ..Event::of_kind(kind, Timestamp(view.at_ms))
    };
    match &view.kind {
        EventKind::Status { status, phase, reason } => Event {
            status: Some(*status),
            phase: Some(*phase),
            status_reason: Some(reason.clone()),
            ..of("status")
        },
        EventKind::Step { step, status } => {
            Event { step: Some(*step), step_status: Some(*status), ..of("step") }
        }
        EventKind::Progress(counters) => Event {
            disk_total_bytes: Some(counters.total_bytes),
            disk_processed_bytes: Some(counters.copied_bytes),
            disk_verified_bytes: Some(counters.verified_bytes),
            recent_bps: Some(counters.recent_bytes_per_sec),
            ..of("progress")
        },
    }
}
