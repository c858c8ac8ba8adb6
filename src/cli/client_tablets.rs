//! What a daemon is asked about tablets and their trash.

use super::client::{Answer, Client, Query};
use super::exit::CliError;
use crate::api::wire::{List, PinTablet, RuleAnswer, Table, Tablet, TabletCheck, Trash, WhichSchema};
use crate::model::TabletId;

impl Client {
    /// Pins a tablet.
    pub(super) fn pin(&self, id: TabletId, request: &PinTablet) -> Result<Answer<Tablet>, CliError> {
        self.post(&format!("/api/v1/tablets/{id}/pin"), request)
    }

    /// Unpins a tablet.
    pub(super) fn unpin(&self, id: TabletId, request: &WhichSchema) -> Result<Answer<Tablet>, CliError> {
        self.post(&format!("/api/v1/tablets/{id}/unpin"), request)
    }

    /// Asks for a verification.
    pub(super) fn verify(&self, id: TabletId, which: &WhichSchema) -> Result<Answer<TabletCheck>, CliError> {
        self.post(&format!("/api/v1/tablets/{id}/verify"), which)
    }

    /// How the last verification of a tablet stands.
    pub(super) fn verification(
        &self,
        id: TabletId,
        query: &Query<'_>,
    ) -> Result<Answer<TabletCheck>, CliError> {
        self.get(&format!("/api/v1/tablets/{id}/verify"), query)
    }

    /// What each rule says to a move of a tablet to a disk.
    pub(super) fn explain(
        &self,
        tablet: TabletId,
        query: &Query<'_>,
    ) -> Result<Answer<List<RuleAnswer>>, CliError> {
        self.get(&format!("/api/v1/tablets/{tablet}/explain"), query)
    }

    /// One tablet.
    pub(super) fn tablet(&self, id: TabletId, query: &Query<'_>) -> Result<Answer<Tablet>, CliError> {
        self.get(&format!("/api/v1/tablets/{id}"), query)
    }

    /// Tables with tablets on a disk.
    pub(super) fn tables(&self, query: &Query<'_>) -> Result<Answer<List<Table>>, CliError> {
        self.get("/api/v1/tables", query)
    }

    /// Tablets, ascending by id.
    pub(super) fn tablets(&self, query: &Query<'_>) -> Result<Answer<List<Tablet>>, CliError> {
        self.get("/api/v1/tablets", query)
    }

    /// What is in trash.
    pub(super) fn trash(&self, query: &Query<'_>) -> Result<Answer<Trash>, CliError> {
        self.get("/api/v1/trash", query)
    }
}
