//! The collector: OTLP over HTTP, as `opentelemetry-otlp` writes it, by the HTTP client that the project has anyway.

use std::fmt;
use std::pin::Pin;
use std::time::Duration;

use opentelemetry::KeyValue;
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use opentelemetry_otlp::{RetryPolicy, SpanExporter, WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{SpanData, SpanExporter as _};
use tokio::runtime::{Builder, Runtime};

/// Below the endpoint, where OTLP has its traces.
const TRACES: &str = "/v1/traces";
/// For one request, its answer too.
const TIMEOUT: Duration = Duration::from_secs(3);

/// Where traces go.
pub(super) struct Collector {
    exporter: SpanExporter,
    /// The exporter's interface is asynchronous; what is below it here is not, and its thread is ours alone.
    runtime: Runtime,
    endpoint: String,
}

impl Collector {
    /// The one at `endpoint`: `http://HOST:4318`. Nothing is sent yet.
    pub(super) fn new(endpoint: &str, instance: &str) -> Result<Self, String> {
        let endpoint = format!("{}{TRACES}", endpoint.trim_end_matches('/'));
        let unusable = |why: &dyn fmt::Display| format!("otlp_endpoint {endpoint}: {why}");
        let mut exporter = SpanExporter::builder()
            .with_http()
            .with_http_client(Http::new())
            // Ours is: kept, and sent again with what has come by then.
            .with_retry_policy(RetryPolicy::disabled())
            .with_endpoint(&endpoint)
            .with_timeout(TIMEOUT)
            .build()
            .map_err(|error| unusable(&error))?;
        exporter.set_resource(
            &Resource::builder_empty()
                .with_service_name("tabletd")
                .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
                .with_attribute(KeyValue::new("service.instance.id", instance.to_owned()))
                .build(),
        );
        let runtime =
            Builder::new_current_thread().enable_time().build().map_err(|error| unusable(&error))?;
        Ok(Self { exporter, runtime, endpoint })
    }

    /// Sends spans; in words, why they were not taken.
    pub(super) fn take(&self, spans: Vec<SpanData>) -> Result<(), String> {
        let sent = self.runtime.block_on(self.exporter.export(spans));
        sent.map_err(|error| format!("{}: {error}", self.endpoint))
    }
}

/// The HTTP client, as the exporter wants one.
#[derive(Debug)]
struct Http(ureq::Agent);

impl Http {
    fn new() -> Self {
        let config = ureq::Agent::config_builder().timeout_global(Some(TIMEOUT)).http_status_as_error(false);
        Self(config.build().into())
    }

    fn send(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let mut answer = self.0.run(request.map(|body| body.to_vec()))?;
        let body = answer.body_mut().read_to_vec()?;
        Ok(answer.map(|_| Bytes::from(body)))
    }
}

impl HttpClient for Http {
    // As `async_trait` writes it.
    fn send_bytes<'a, 'b>(
        &'a self,
        request: Request<Bytes>,
    ) -> Pin<Box<dyn Future<Output = Result<Response<Bytes>, HttpError>> + Send + 'b>>
    where
        'a: 'b,
        Self: 'b,
    {
        Box::pin(async move { self.send(request) })
    }
}
