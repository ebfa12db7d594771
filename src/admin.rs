//! Health, readiness, metrics and, for whoever brings a token, reload, on an address of their own; nothing else is there.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::constant_time;
use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, mpsc, oneshot};

use crate::answers::Purge;
use crate::digest::sha256;
use crate::gate::Current;
use crate::record::Metrics;
use crate::reload::Ask;

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
    /// Where reloads are asked for.
    reloads: mpsc::Sender<Ask>,
}

impl Admin {
    /// Tells of the snapshot that is current when it is asked.
    pub fn new(current: Current, metrics: Arc<Metrics>, reloads: mpsc::Sender<Ask>) -> Arc<Self> {
        Arc::new(Self { current, metrics, reloads })
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
                    let admin = Arc::clone(&admin);
                    async move { Ok::<_, Infallible>(admin.answer(&request).await) }
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

    async fn answer(&self, request: &Request<Incoming>) -> Response<Full<Bytes>> {
        let (method, path) = (request.method(), request.uri().path());
        match (path, method == Method::POST) {
            ("/-/reload", true) => return self.reload(request).await,
            ("/-/purge", true) => return self.purge(request),
            ("/-/reload" | "/-/purge", false) => return text(StatusCode::METHOD_NOT_ALLOWED, "text/plain", b"POST only\n".to_vec()),
            _ => {}
        }
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
            _ => text(StatusCode::NOT_FOUND, "text/plain", b"/-/healthy, /-/ready, /-/reload, /-/purge or /metrics\n".to_vec()),
        }
    }

    /// Lets go of kept answers for whoever brings the token.
    fn purge(&self, request: &Request<Incoming>) -> Response<Full<Bytes>> {
        if !self.may_change(request) {
            return no_token();
        }
        let query = request.uri().query().unwrap_or_default();
        let decoded = |value: &str| percent_encoding::percent_decode_str(value).decode_utf8().map(|text| text.into_owned()).unwrap_or_default();
        let (what, value) = query.split_once('=').map_or((query, String::new()), |(what, value)| (what, decoded(value)));
        let what = match what {
            "" => Purge::All,
            "rule" => Purge::Rule(&value),
            "caller" => Purge::Caller(&value),
            "table" => Purge::Table(&value),
            _ => {
                return text(
                    StatusCode::BAD_REQUEST,
                    "text/plain",
                    b"one of rule=NAME, caller=PROVIDER/SUBJECT, table=DATABASE.TABLE, or nothing for all\n".to_vec(),
                );
            }
        };
        match self.current.load().answers.purge(what) {
            Ok(count) => text(StatusCode::OK, "text/plain", format!("let go of {count} kept answer(s)\n").into_bytes()),
            Err(says) => text(StatusCode::BAD_REQUEST, "text/plain", format!("{says}\n").into_bytes()),
        }
    }

    /// Whether this brings the token of the config that runs.
    fn may_change(&self, request: &Request<Incoming>) -> bool {
        let brought = request.headers().get(AUTHORIZATION).and_then(|value| value.as_bytes().strip_prefix(b"Bearer "));
        let known = self.current.load().admin_token.as_ref().map(|token| sha256(token.expose().as_bytes()));
        known.zip(brought).is_some_and(|(known, brought)| constant_time::verify_slices_are_equal(&known, &sha256(brought)).is_ok())
    }

    /// Reloads for whoever brings the token of the config that runs, and says what came of it.
    async fn reload(&self, request: &Request<Incoming>) -> Response<Full<Bytes>> {
        if !self.may_change(request) {
            return no_token();
        }
        let (ask, answer) = oneshot::channel();
        let asked = self.reloads.send(ask).await.is_ok();
        match answer.await {
            Ok(Ok(summary)) if asked => text(StatusCode::OK, "text/plain", format!("reloaded: {summary}\n").into_bytes()),
            Ok(Err(problems)) => text(StatusCode::UNPROCESSABLE_ENTITY, "text/plain", format!("nothing was reloaded:\n{problems}").into_bytes()),
            Ok(Ok(_)) | Err(_) => text(StatusCode::SERVICE_UNAVAILABLE, "text/plain", b"Keyhouse is stopping\n".to_vec()),
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

fn no_token() -> Response<Full<Bytes>> {
    text(StatusCode::FORBIDDEN, "text/plain", b"bring the config's admin.token as `Authorization: Bearer <token>`\n".to_vec())
}

fn text(status: StatusCode, kind: &'static str, body: Vec<u8>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}
