//! What every handler has at hand.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::Semaphore;

use super::calls::{Calls, Touches};
use crate::engine::Contract;
use crate::model::Failure;

/// Shared by all requests; cheap to clone.
#[derive(Clone)]
pub(super) struct App {
    node: Arc<dyn Contract>,
    calls: Arc<Calls>,
    host: Arc<str>,
    node_name: Arc<str>,
    streams: Streams,
}

/// How many answers that never end by themselves may be under way, and when they all end.
#[derive(Clone)]
pub(super) struct Streams {
    pub(super) places: Arc<Semaphore>,
    stopping: Arc<AtomicBool>,
}

impl Streams {
    fn new(places: usize) -> Self {
        Self { places: Arc::new(Semaphore::new(places.max(1))), stopping: Arc::default() }
    }

    /// Every stream ends at its next look.
    pub(super) fn end(&self) {
        self.stopping.store(true, Ordering::Relaxed);
    }

    pub(super) fn are_ending(&self) -> bool {
        self.stopping.load(Ordering::Relaxed)
    }
}

impl App {
    /// The API of `node`, served at `address`, with at most `streams` answers at once that do not end by themselves.
    pub(super) fn new(node: Arc<dyn Contract>, calls: Calls, address: SocketAddr, streams: usize) -> Self {
        let streams = Streams::new(streams);
        let host: Arc<str> = host_name(address).into();
        let node_name = own_name().map_or_else(|| Arc::clone(&host), Arc::from);
        Self { node, calls: Arc::new(calls), host, node_name, streams }
    }

    /// The bound on streams.
    pub(super) fn streams(&self) -> Streams {
        self.streams.clone()
    }

    /// The node itself, for calls that wait for nothing.
    pub(super) fn node(&self) -> Arc<dyn Contract> {
        Arc::clone(&self.node)
    }

    /// Asks the node on a thread that may block.
    ///
    /// # Errors
    /// The call did not return in time, or failed inside.
    pub(super) async fn ask<T: Send + 'static>(
        &self,
        touches: Touches,
        call: impl FnOnce(&dyn Contract) -> T + Send + 'static,
    ) -> Result<T, Failure> {
        let node = Arc::clone(&self.node);
        self.calls.run(touches, move || call(&*node)).await
    }

    /// As [`Self::ask`], for calls that can be refused.
    ///
    /// # Errors
    /// Those too.
    pub(super) async fn try_ask<T: Send + 'static>(
        &self,
        touches: Touches,
        call: impl FnOnce(&dyn Contract) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, Failure> {
        self.ask(touches, call).await.flatten()
    }

    /// The name of the machine; where it has none, its address.
    pub(super) fn node_name(&self) -> &str {
        &self.node_name
    }

    /// The node as answers name it: the address it listens on or, when that is every address, the host's name.
    pub(super) fn host(&self) -> &str {
        &self.host
    }
}

fn host_name(address: SocketAddr) -> String {
    let ip = address.ip();
    if !ip.is_unspecified() {
        return ip.to_string();
    }
    own_name().unwrap_or_else(|| ip.to_string())
}

/// The host's name, as it was given to the kernel.
pub(super) fn own_name() -> Option<String> {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").ok()?;
    Some(name.trim().to_owned()).filter(|name| !name.is_empty() && name != "(none)")
}
