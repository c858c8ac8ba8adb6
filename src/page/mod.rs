//! The page for people at `/`: disks, tasks, migrations, tablets, trash and events as HTML, made here from the answers of
//! the job API, which it asks as the visitor. It decides nothing, keeps nothing, and works without a script; the script
//! only draws the same page again when something has happened. No style and no script stands in the HTML itself.
//!
//! Rooms: `ask` is one request, `frame` what surrounds every view, `action` a button with the commands that do the same,
//! `picture` bars and words for numbers; the others are a view each.

mod action;
mod address;
mod alarm;
mod ask;
mod assets;
mod disk;
mod docs;
mod doris;
mod events;
mod frame;
mod lost;
mod markdown;
mod migration;
mod migrations;
mod node;
mod operations;
mod picture;
mod plan;
mod rows;
mod sign_in;
mod submit;
mod tablets;
mod task;
mod tasks;
mod trash;
mod view;
mod wish;

use axum::Router;
use axum::routing::{get, post};

use crate::api::Inside;

/// Every path of the page.
pub fn routes(inside: Inside) -> Router {
    Router::new()
        .route("/", get(node::show))
        .route("/ui/disk", get(disk::show))
        .route("/ui/disk/lost", get(lost::show))
        .route("/ui/tasks", get(tasks::list))
        .route("/ui/tasks/plan", get(plan::show))
        .route("/ui/tasks/{id}", get(task::show))
        .route("/ui/migrations", get(migrations::list))
        .route("/ui/migrations/plan", get(submit::show))
        .route("/ui/migrations/{id}", get(migration::show))
        .route("/ui/tablets", get(tablets::list))
        .route("/ui/tablets/{id}", get(tablets::show))
        .route("/ui/operations", get(operations::list))
        .route("/ui/operations/{id}", get(operations::show))
        .route("/ui/trash", get(trash::list))
        .route("/ui/events", get(events::list))
        .route("/ui/doris", get(doris::show))
        .route("/ui/api", get(docs::show))
        .route("/ui/sign-in", get(sign_in::show).post(sign_in::enter))
        .route("/ui/sign-out", post(sign_in::leave))
        .route("/ui/static/{name}", get(assets::show))
        .route("/ui/do/{*behind}", post(action::carry_out))
        .with_state(inside)
}
