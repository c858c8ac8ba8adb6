//! A router that knows its own paths, so that a test can hold the OpenAPI document to them.

use axum::Router;
use axum::routing::MethodRouter;

use super::app::App;

/// Routes, as axum's router takes them.
pub(super) struct Routes {
    pub(super) router: Router<App>,
    pub(super) paths: Vec<&'static str>,
}

impl Routes {
    /// None.
    pub(super) fn new() -> Self {
        Self { router: Router::new(), paths: Vec::new() }
    }

    /// One more.
    pub(super) fn route(mut self, path: &'static str, methods: MethodRouter<App>) -> Self {
        self.paths.push(path);
        Self { router: self.router.route(path, methods), ..self }
    }
}
