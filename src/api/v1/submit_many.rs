//! A list of migrations in one request: one transaction of the journal, and an answer for each item.

use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::{IntoResponse as _, Response};
use serde_json::value::RawValue;

use super::asked::{fingerprint, idempotency_key, to_submit};
use super::migrations::checked_ids;
use super::shape;
use super::tablets::key_of;
use crate::api::app::App;
use crate::api::caller::Caller;
use crate::api::calls::Touches;
use crate::api::error::Problem;
use crate::api::query::invalid;
use crate::api::wire::{CreateMigration, Submitted, SubmittedMany};
use crate::engine::{Contract, Submit};
use crate::model::{Failure, Idempotency, counted, cut};

/// Accepts what can be accepted of a list.
pub(super) async fn submit_many(
    app: App,
    caller: Caller,
    parts: &Parts,
    items: Vec<Box<RawValue>>,
) -> Result<Response, Problem> {
    let key = idempotency_key(parts)?.map(str::to_owned);
    caller.asks(format_args!("move {}", counted(items.len(), "tablet")));
    let answered = app.ask(Touches::Journal, move |node| submit_each(node, &caller, key.as_deref(), &items));
    let data = answered.await?;
    let accepted = data.iter().filter(|answer| answer.id.is_some()).count() as u64;
    let answer = SubmittedMany { total: data.len() as u64, accepted, data };
    Ok((StatusCode::MULTI_STATUS, shape::list(answer)).into_response())
}

fn submit_each(
    node: &dyn Contract,
    caller: &Caller,
    key: Option<&str>,
    items: &[Box<RawValue>],
) -> Vec<Submitted> {
    let mut answers = Vec::with_capacity(items.len());
    let (mut submits, mut places) = (Vec::new(), Vec::new());
    for (at, item) in items.iter().enumerate() {
        let mut answer = Submitted::default();
        match read(node, caller, item, &mut answer) {
            Ok((asked, mut submit)) => {
                submit.idempotency = key.map(|key| of_item(key, at, &asked));
                places.push(at);
                submits.push(submit);
            }
            Err(failure) => refuse(&mut answer, failure),
        }
        answers.push(answer);
    }
    for (at, outcome) in places.into_iter().zip(node.submit_all(&submits)) {
        match outcome {
            Ok(migration) => answers[at].id = Some(migration.id),
            Err(failure) => refuse(&mut answers[at], failure),
        }
    }
    answers
}

/// The key of an item: the request's and the item's place. No header can carry a line feed, so no other request has it.
fn of_item(key: &str, at: usize, asked: &CreateMigration) -> Idempotency {
    Idempotency { key: format!("{key}\n{at}"), fingerprint: fingerprint(asked).unwrap_or_default() }
}

fn read(
    node: &dyn Contract,
    caller: &Caller,
    item: &RawValue,
    answer: &mut Submitted,
) -> Result<(CreateMigration, Submit), Failure> {
    let asked: CreateMigration =
        serde_json::from_str(item.get()).map_err(|error| invalid(error.to_string()))?;
    answer.tablet_id = Some(asked.tablet_id);
    answer.schema_hash = asked.schema_hash;
    if asked.dry_run {
        return Err(invalid("dry_run is for one migration at a time: send it without the list"));
    }
    let (tablet_id, schema_hash) = checked_ids(asked.tablet_id, asked.schema_hash)?;
    let key = key_of(node, tablet_id, schema_hash)?;
    answer.schema_hash = Some(key.schema_hash);
    let submit = to_submit(&asked, key, caller)?;
    Ok((asked, submit))
}

fn refuse(answer: &mut Submitted, failure: Failure) {
    answer.error_code = Some(failure.code.as_str().to_owned());
    answer.error_msg = Some(cut(failure.message));
}
