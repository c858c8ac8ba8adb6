//! The socket: accepts a bounded number of connections, gives each a bounded time, and stops gracefully.
//!
//! Connections above the bound wait in the kernel's listen queue: nobody is turned away by a short burst, and a place
//! comes free within the time limits below. Nothing here knows a path.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tower::ServiceExt;

use super::app::App;
use super::caller::Caller;
use super::calls::Calls;
use super::node::Node;
use super::router::{self, normalize};
use super::stall::StallGuard;
use crate::config::Config;

/// What the service may cost.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Calls into the node at once.
    pub workers: usize,
    /// Connections open at once; more wait.
    pub connections: usize,
    /// Time for a request's head; also how long a connection may be idle between two requests.
    pub header_read_timeout: Duration,
    /// Time for a request; also how long a client may leave an answer unread.
    pub request_timeout: Duration,
    /// Largest request head, in bytes.
    pub header_bytes: usize,
    /// Largest request body, in bytes.
    pub body_bytes: usize,
}

impl From<&Config> for Limits {
    fn from(config: &Config) -> Self {
        let size = |bytes: u64| usize::try_from(bytes).unwrap_or(usize::MAX);
        let time = |ms: u32| Duration::from_millis(ms.into());
        Self {
            workers: size(config.webserver_num_workers.into()),
            connections: size(config.http_max_connections.into()),
            header_read_timeout: time(config.http_header_read_timeout_ms),
            request_timeout: time(config.http_request_timeout_ms),
            header_bytes: size(config.http_max_header_bytes),
            body_bytes: size(config.http_max_body_bytes),
        }
    }
}

/// How serving ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stopped {
    /// Every request was answered.
    Drained,
    /// Requests were still under way at the deadline and were cut off.
    CutOff,
}

/// A bound listener.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
    limits: Limits,
}

impl Server {
    /// Takes the address; with port 0 any free port. Needs no runtime, so that it can come after the disk threads have
    /// given up the process's table of descriptors and before anything is served.
    ///
    /// # Errors
    /// As `bind(2)`.
    pub fn bind(host: IpAddr, port: u16, limits: Limits) -> io::Result<Self> {
        let listener = TcpListener::bind((host, port))?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        Ok(Self { listener, address, limits })
    }

    /// The address taken, with its real port.
    pub const fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Serves `node` until `stop` is ready; then takes no more connections and gives the requests under way `grace` to
    /// be answered.
    ///
    /// # Errors
    /// The listener cannot be handed to the runtime.
    pub async fn serve(
        self,
        node: Arc<dyn Node>,
        stop: impl Future<Output = ()>,
        grace: Duration,
    ) -> io::Result<Stopped> {
        let Self { listener, address, limits } = self;
        let listener = tokio::net::TcpListener::from_std(listener)?;
        // A call into the node answers for itself before the whole request is given up.
        let calls = Calls::new(limits.workers, limits.request_timeout.mul_f64(0.9));
        // Streams hold their connections: they leave most of the places to requests that end.
        let app = App::new(node, calls, address, limits.connections / 4);
        let streams = app.streams();
        let router = router::build(app, &limits);
        tracing::info!("listening on http://{address}");

        let places = Arc::new(Semaphore::new(limits.connections));
        let graceful = GracefulShutdown::new();
        let accept_all = async {
            loop {
                let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
                match listener.accept().await {
                    Ok((stream, peer)) => {
                        let connection =
                            graceful.watch(connection(stream, Caller(peer), router.clone(), &limits));
                        tokio::spawn(async move {
                            if let Err(error) = connection.await {
                                tracing::debug!(%peer, "connection ended: {error}");
                            }
                            drop(place);
                        });
                    }
                    // Out of descriptors, or the client was gone already: neither is mended by asking at once again.
                    Err(error) => {
                        tracing::warn!("cannot accept a connection: {error}");
                        tokio::time::sleep(Duration::from_millis(100)).await;
                    }
                }
            }
        };
        tokio::select! {
            () = accept_all => {}
            () = stop => {}
        }
        drop(listener);
        streams.end();
        tracing::info!("no longer listening; {} connections open", graceful.count());
        match tokio::time::timeout(grace, graceful.shutdown()).await {
            Ok(()) => Ok(Stopped::Drained),
            Err(_) => Ok(Stopped::CutOff),
        }
    }
}

fn connection(
    stream: TcpStream,
    caller: Caller,
    router: Router,
    limits: &Limits,
) -> impl hyper_util::server::graceful::GracefulConnection<Error = hyper::Error> + Send + 'static {
    // Answers are small and written whole; waiting to fill a packet only delays them.
    let _ = stream.set_nodelay(true);
    let service = service_fn(move |mut request: Request<Incoming>| {
        normalize(request.uri_mut());
        request.extensions_mut().insert(caller);
        let router = router.clone();
        async move {
            Ok::<_, Infallible>(
                router.oneshot(request.map(Body::new)).await.unwrap_or_else(|never| match never {}),
            )
        }
    });
    http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.header_read_timeout)
        .max_header_size(limits.header_bytes)
        .max_buf_size(limits.header_bytes.max(64 << 10))
        .serve_connection(TokioIo::new(StallGuard::new(stream, limits.request_timeout)), service)
}
