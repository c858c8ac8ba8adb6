//! The socket: accepts a bounded number of connections, gives each a bounded time, and stops gracefully.
//!
//! Connections above the bound wait in the kernel's listen queue: nobody is turned away by a short burst, and a place
//! comes free within the time limits below. Nothing here knows a path.

use std::convert::Infallible;
use std::error::Error;
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
use hyper_util::server::graceful::{GracefulConnection, GracefulShutdown, Watcher};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tower::ServiceExt;

use super::app::{App, own_name};
use super::auth::{Access, RequestTarget};
use super::caller::{Address, Transport};
use super::calls::Calls;
use super::guard::Hosts;
use super::limits::Limits;
use super::router::{self, Around, MakePage, normalize};
use super::stall::StallGuard;
use super::tls::Tls;
use crate::engine::Contract;

/// How serving ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stopped {
    /// Every request was answered.
    Drained,
    /// Requests were still under way at the deadline and were cut off.
    CutOff,
}

/// A bound listener.
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
    limits: Limits,
    access: Access,
    allowed_hosts: String,
    tls: Option<Tls>,
    page: Option<MakePage>,
}

impl Server {
    /// Takes the address; with port 0 any free port. Needs no runtime, so that it can come after the disk threads have
    /// given up the process's table of descriptors and before anything is served.
    ///
    /// # Errors
    /// As `bind(2)`.
    pub fn bind(host: IpAddr, port: u16, limits: Limits, access: Access) -> io::Result<Self> {
        let listener = TcpListener::bind((host, port))?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        Ok(Self { listener, address, limits, access, allowed_hosts: String::new(), tls: None, page: None })
    }

    /// Answers to these names too, beside the node's own, while it listens on loopback; separated by commas.
    #[must_use]
    pub fn also_named(self, hosts: &str) -> Self {
        Self { allowed_hosts: hosts.to_owned(), ..self }
    }

    /// Speaks TLS, and nothing else, when there is a certificate.
    #[must_use]
    pub fn with_tls(self, tls: Option<Tls>) -> Self {
        Self { tls, ..self }
    }

    /// Serves a page for people at `/` too.
    #[must_use]
    pub fn with_page(self, page: MakePage) -> Self {
        Self { page: Some(page), ..self }
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
        node: Arc<dyn Contract>,
        stop: impl Future<Output = ()>,
        grace: Duration,
    ) -> io::Result<Stopped> {
        // A call into the node answers for itself before the whole request is given up.
        let calls = Calls::new(self.limits.workers, self.limits.request_timeout.mul_f64(0.9));
        // Streams hold their connections: they leave most of the places to requests that end.
        let app = App::new(node, calls, self.address, self.limits.connections / 4);
        let streams = app.streams();
        let router = router::build(app, &self.limits, self.around());
        self.accept(router, stop, grace, || streams.end()).await
    }

    /// Serves another program's routes behind the same door, in the same shape and within the same limits.
    ///
    /// # Errors
    /// As [`Self::serve`].
    pub async fn serve_routes(
        self,
        routes: Router,
        stop: impl Future<Output = ()>,
        grace: Duration,
    ) -> io::Result<Stopped> {
        let router = router::surround(routes, &self.limits, self.around());
        self.accept(router, stop, grace, || ()).await
    }

    /// Who may, under which names, over which transport.
    fn around(&self) -> Around {
        let transport = if self.tls.is_some() { Transport::Tls } else { Transport::Plain };
        // Nobody else's page can be served under the node's own name, whole or without its domain.
        let own = own_name().unwrap_or_default();
        let short = own.split('.').next().unwrap_or_default();
        let hosts = Hosts::new(self.address, &format!("{},{own},{short}", self.allowed_hosts));
        let page = self.page.map(|page| (page, self.address.port()));
        Around { access: self.access.clone(), hosts, transport, page }
    }

    async fn accept(
        self,
        router: Router,
        stop: impl Future<Output = ()>,
        grace: Duration,
        stopping: impl FnOnce(),
    ) -> io::Result<Stopped> {
        let Self { listener, address, limits, tls, .. } = self;
        let listener = tokio::net::TcpListener::from_std(listener)?;
        let scheme = if tls.is_some() { "https" } else { "http" };
        tracing::info!("listening on {scheme}://{address}");

        let places = Arc::new(Semaphore::new(limits.connections));
        let graceful = GracefulShutdown::new();
        let accept_all = async {
            loop {
                let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
                match listener.accept().await {
                    Ok((stream, peer)) => {
                        let (watcher, router) = (graceful.watcher(), router.clone());
                        let (acceptor, limits) = (tls.as_ref().map(Tls::acceptor), limits.clone());
                        tokio::spawn(async move {
                            if let Err(why) =
                                serve_one(stream, peer, acceptor, router, &limits, watcher).await
                            {
                                tracing::debug!(%peer, "connection ended: {why}");
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
        stopping();
        tracing::info!("no longer listening; {} connections open", graceful.count());
        match timeout(grace, graceful.shutdown()).await {
            Ok(()) => Ok(Stopped::Drained),
            Err(_) => Ok(Stopped::CutOff),
        }
    }
}

/// Greets, then answers the requests of one connection until it ends.
async fn serve_one(
    stream: TcpStream,
    peer: SocketAddr,
    acceptor: Option<TlsAcceptor>,
    router: Router,
    limits: &Limits,
    watcher: Watcher,
) -> Result<(), Box<dyn Error + Send + Sync>> {
    // Answers are small and written whole; waiting to fill a packet only delays them.
    let _ = stream.set_nodelay(true);
    let stream = StallGuard::new(stream, limits.request_timeout);
    let ended = match acceptor {
        None => watcher.watch(connection(stream, Address(peer), router, limits)).await,
        Some(acceptor) => {
            // A client that never ends its greeting costs a place, for as long as one that never ends its head.
            let greeted = timeout(limits.header_read_timeout, acceptor.accept(stream)).await;
            let stream = greeted.map_err(|_| "the TLS handshake was not complete in time")??;
            watcher.watch(connection(stream, Address(peer), router, limits)).await
        }
    };
    Ok(ended?)
}

fn connection<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
    stream: S,
    address: Address,
    router: Router,
    limits: &Limits,
) -> impl GracefulConnection<Error = hyper::Error, Output = hyper::Result<()>> + Send + 'static {
    let service = service_fn(move |mut request: Request<Incoming>| {
        let target = RequestTarget(request.uri().to_string());
        normalize(request.uri_mut());
        request.extensions_mut().insert(target);
        request.extensions_mut().insert(address);
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
        .serve_connection(TokioIo::new(stream), service)
}
