//! Health, readiness and metrics, on an address of their own; nothing else is there.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

use crate::gate::Current;
use crate::record::Metrics;

/// Most connections at the same time.
const CONNECTIONS: usize = 64;

/// For a head, and for a connection without one.
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);

/// The pause after an `accept` that failed.
const AFTER_FAILURE: Duration = Duration::from_millis(100);

/// What the admin address tells.
pub struct Admin {
    current: Current,
    metrics: Arc<Metrics>,
}

impl Admin {
    /// Tells of the snapshot that is current when it is asked.
    pub fn new(current: Current, metrics: Arc<Metrics>) -> Arc<Self> {
        Arc::new(Self { current, metrics })
    }

    /// Answers until the process ends.
    pub async fn listen(self: Arc<Self>, listener: TcpListener) {
        let slots = Arc::new(Semaphore::new(CONNECTIONS));
        loop {
            let Ok(slot) = Arc::clone(&slots).acquire_owned().await else { return };
            let stream = match listener.accept().await {
                Ok((stream, _peer)) => stream,
                Err(error) => {
                    tracing::warn!(%error, "a connection to the admin address cannot be accepted");
                    tokio::time::sleep(AFTER_FAILURE).await;
                    continue;
                }
            };
            let admin = Arc::clone(&self);
            tokio::spawn(async move {
                let service = service_fn(|request: Request<Incoming>| {
                    let answer = admin.answer(request.method(), request.uri().path());
                    async move { Ok::<_, Infallible>(answer) }
                });
                let connection = http1::Builder::new()
                    .timer(TokioTimer::new())
                    .header_read_timeout(HEADER_TIMEOUT)
                    .serve_connection(TokioIo::new(stream), service);
                if let Err(error) = connection.await {
                    tracing::debug!(%error, "a connection to the admin address ended");
                }
                drop(slot);
            });
        }
    }

    fn answer(&self, method: &Method, path: &str) -> Response<Full<Bytes>> {
        if ![Method::GET, Method::HEAD].contains(method) {
            return text(StatusCode::METHOD_NOT_ALLOWED, "text/plain", b"GET only\n".to_vec());
        }
        match path {
            "/-/healthy" => text(StatusCode::OK, "text/plain", b"healthy\n".to_vec()),
            "/-/ready" => self.ready(),
            "/metrics" => match self.metrics.text(self.is_ready()) {
                Ok(metrics) => text(StatusCode::OK, "text/plain; version=0.0.4", metrics),
                Err(error) => text(StatusCode::INTERNAL_SERVER_ERROR, "text/plain", format!("{error}\n").into_bytes()),
            },
            _ => text(StatusCode::NOT_FOUND, "text/plain", b"/-/healthy, /-/ready or /metrics\n".to_vec()),
        }
    }

    /// Ready: the settings of every credential are known, and some provider's tokens can be judged. One provider that
    /// is down must not take the others' callers away.
    fn is_ready(&self) -> bool {
        let snapshot = self.current.load();
        snapshot.upstream.is_ready() && snapshot.identities.issuers().iter().any(|issuer| issuer.is_ready())
    }

    fn ready(&self) -> Response<Full<Bytes>> {
        let snapshot = self.current.load();
        let providers: serde_json::Map<_, _> = snapshot
            .identities
            .issuers()
            .iter()
            .map(|issuer| (issuer.config().name.clone(), json!(if issuer.is_ready() { "ready" } else { "waiting for keys" })))
            .collect();
        let ready = self.is_ready();
        let body = json!({
            "ready": ready,
            "identity_providers": providers,
            "clickhouse_users_waiting": snapshot.upstream.waiting_for(),
        });
        let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
        text(status, "application/json", format!("{body}\n").into_bytes())
    }
}

fn text(status: StatusCode, kind: &'static str, body: Vec<u8>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}
