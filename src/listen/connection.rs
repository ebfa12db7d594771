//! One connection: a slot, a handshake, the protocol that was agreed on, and a watch over its pace.

use std::convert::Infallible;
use std::error::Error;
use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use bytes::Bytes;
use futures_util::stream::{FuturesUnordered, StreamExt};
use http::{Request, Response};
use http_body::Body;
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use ipnet::IpNet;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;

use super::drain::{Drain, Draining};
use super::pace::{Pace, Paced, Taken};
use super::{Arrived, origin};
use crate::config::{Config, Limits, network};
use crate::record::Metrics;

/// How often a caller on HTTP/2 is asked whether it is still there, and how long it may take to say so.
const STILL_THERE: Duration = Duration::from_secs(20);

/// The pause after an `accept` that failed: out of descriptors, most likely.
const AFTER_FAILURE: Duration = Duration::from_millis(100);

/// What is spoken on a listener before HTTP.
#[derive(Clone)]
pub struct Spoken {
    /// Whether connections begin with a PROXY header.
    pub proxy_protocol: bool,
    /// TLS, where the listener has it.
    pub tls: Option<TlsAcceptor>,
}

/// What answers requests.
pub trait Handler: Clone + Send + Sync + 'static {
    /// The answer's body.
    type Body: Body<Data = Bytes, Error: Into<Box<dyn Error + Send + Sync>>> + Send + Unpin + 'static;

    /// Answers one request; it cannot fail, because a refusal is an answer.
    fn answer(&self, arrived: Arrived) -> impl Future<Output = Response<Self::Body>> + Send;
}

/// A connection's two ends as far as they are known: who opened it, and for whom.
#[derive(Clone, Copy)]
struct Ends {
    peer: SocketAddr,
    origin: IpAddr,
}

/// What connections are held to; a reload changes it under them.
struct Bounds {
    limits: Limits,
    trusted_proxies: Vec<IpNet>,
}

impl Bounds {
    fn of(config: &Config) -> Arc<Self> {
        Arc::new(Self { limits: config.limits.clone(), trusted_proxies: config.trusted_proxies.clone() })
    }
}

/// What all listeners share.
pub struct Front<H> {
    bounds: ArcSwap<Bounds>,
    slots: Arc<Semaphore>,
    metrics: Arc<Metrics>,
    handler: H,
}

impl<H: Handler> Front<H> {
    /// Listeners that hand their requests to this handler.
    pub fn new(config: &Config, metrics: Arc<Metrics>, handler: H) -> Arc<Self> {
        let slots = Arc::new(Semaphore::new(config.limits.connections.min(Semaphore::MAX_PERMITS)));
        Arc::new(Self { bounds: ArcSwap::new(Bounds::of(config)), slots, metrics, handler })
    }

    /// Holds connections to this config from now on; how many there may be stays as it was.
    pub fn reload(&self, config: &Config) {
        self.bounds.store(Bounds::of(config));
    }

    /// Accepts until the drain begins.
    pub fn listen(self: Arc<Self>, listener: TcpListener, spoken: Arc<ArcSwap<Spoken>>, drain: &Drain) -> impl Future<Output = ()> + Send + use<H> {
        let member = drain.member();
        async move {
            let mut draining = member.clone();
            let mut begun = pin!(draining.begun());
            loop {
                let accepted = tokio::select! {
                    accepted = listener.accept() => accepted,
                    () = &mut begun => return,
                };
                match accepted {
                    Ok((stream, peer)) => self.accept(stream, peer, spoken.load_full(), member.clone()),
                    Err(error) => {
                        tracing::warn!(%error, "a connection cannot be accepted");
                        tokio::time::sleep(AFTER_FAILURE).await;
                    }
                }
            }
        }
    }

    fn accept(self: &Arc<Self>, stream: TcpStream, peer: SocketAddr, spoken: Arc<Spoken>, draining: Draining) {
        let Ok(slot) = Arc::clone(&self.slots).try_acquire_owned() else {
            self.refused("connections");
            return;
        };
        let front = Arc::clone(self);
        tokio::spawn(async move {
            front.metrics.connections.inc();
            front.connection(stream, peer, spoken, draining).await;
            front.metrics.connections.dec();
            drop(slot);
        });
    }

    fn refused(&self, why: &str) {
        self.metrics.connections_refused.with_label_values(&[why]).inc();
    }

    async fn connection(self: &Arc<Self>, mut stream: TcpStream, peer: SocketAddr, spoken: Arc<Spoken>, draining: Draining) {
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, %peer, "a socket option cannot be set");
        }
        let mut ends = Ends { peer, origin: peer.ip() };
        if spoken.proxy_protocol {
            match self.introduced(&mut stream, peer).await {
                Ok(origin) => ends.origin = origin,
                Err(says) => {
                    tracing::warn!(%peer, "a connection without a PROXY header that can be believed: {says}");
                    return self.refused("proxy-header");
                }
            }
        }
        let Some(tls) = &spoken.tls else {
            return self.http1(stream, ends, draining).await;
        };
        match tokio::time::timeout(self.handshake_timeout(), tls.accept(stream)).await {
            Ok(Ok(stream)) if stream.get_ref().1.alpn_protocol() == Some(b"h2") => Box::pin(self.http2(stream, ends, draining)).await,
            Ok(Ok(stream)) => self.http1(stream, ends, draining).await,
            Ok(Err(error)) => {
                tracing::debug!(%error, %peer, "no TLS handshake");
                self.refused("handshake");
            }
            Err(_elapsed) => self.refused("handshake"),
        }
    }

    fn handshake_timeout(&self) -> Duration {
        self.bounds.load().limits.handshake_timeout
    }

    /// For whom a proxy opened this connection, by its PROXY header.
    async fn introduced(&self, stream: &mut TcpStream, peer: SocketAddr) -> Result<IpAddr, String> {
        if !network::hold(&self.bounds.load().trusted_proxies, peer.ip()) {
            return Err("it is none of trusted_proxies".to_owned());
        }
        match tokio::time::timeout(self.handshake_timeout(), origin::proxy_header(stream)).await {
            Ok(told) => told.map(|told| told.map_or(peer.ip(), |told| told.ip())),
            Err(_elapsed) => Err("it did not come in time".to_owned()),
        }
    }

    async fn http1<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(self: &Arc<Self>, stream: S, ends: Ends, draining: Draining) {
        let pace = Pace::new();
        let service = self.service(ends, &pace);
        let io = TokioIo::new(Paced::new(stream, pace.clone()));
        let bounds = self.bounds.load_full();
        let connection = http1::Builder::new()
            .header_read_timeout(None)
            .half_close(false)
            .max_headers(bounds.limits.header_count)
            .max_header_size(bounds.limits.header_size)
            .serve_connection(io, service);
        self.watch(pin!(connection), http1::Connection::graceful_shutdown, &pace, true, draining).await;
    }

    async fn http2<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(self: &Arc<Self>, stream: S, ends: Ends, draining: Draining) {
        let pace = Pace::new();
        let service = self.service(ends, &pace);
        let io = TokioIo::new(Paced::new(stream, pace.clone()));
        let bounds = self.bounds.load_full();
        let limits = &bounds.limits.http2;
        let connection = http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .keep_alive_interval(STILL_THERE)
            .keep_alive_timeout(STILL_THERE)
            .max_concurrent_streams(limits.streams)
            .max_pending_accept_reset_streams(limits.pending_resets)
            .max_local_error_reset_streams(limits.local_resets)
            .max_header_list_size(limits.header_list_size)
            .serve_connection(io, service);
        self.watch(pin!(connection), http2::Connection::graceful_shutdown, &pace, false, draining).await;
    }

    /// What hyper calls for each request; on HTTP/2 these run side by side in tasks of their own.
    fn service(
        self: &Arc<Self>,
        Ends { peer, origin }: Ends,
        pace: &Pace,
    ) -> impl Service<Request<Incoming>, Response = Response<Taken<H::Body>>, Error = Infallible, Future: Send + 'static> + use<H> {
        let (front, pace) = (Arc::clone(self), pace.clone());
        service_fn(move |request| {
            let (front, running) = (Arc::clone(&front), pace.request());
            // Boxed, because a connection keeps the room of its last request's while it waits for the next.
            Box::pin(async move {
                let answer = front.handler.answer(Arrived::new(peer, origin, &front.bounds.load().trusted_proxies, request)).await;
                Ok(answer.map(|body| Taken::new(body, running)))
            })
        })
    }

    /// Drives a connection to its end: its own, the drain's, or that of our patience.
    async fn watch<C>(&self, mut connection: Pin<&mut C>, finish: fn(Pin<&mut C>), pace: &Pace, heads_are_timed: bool, draining: Draining)
    where
        C: Future<Output = hyper::Result<()>>,
    {
        // Looked at when they have something to tell, and not with every byte that comes or goes.
        let mut events: FuturesUnordered<Pin<Box<dyn Future<Output = Event> + Send>>> = FuturesUnordered::new();
        let look = |away: Duration| {
            Box::pin(async move {
                tokio::time::sleep(away).await;
                Event::Look
            })
        };
        // Another one tells of the drain: this connection is a member of it to its own end.
        let mut told = draining.clone();
        events.push(Box::pin(async move {
            told.begun().await;
            Event::Drain
        }));
        // Nothing can have taken too long yet.
        events.push(look(pace.check(&self.bounds.load().limits, heads_are_timed).unwrap_or_default()));
        loop {
            tokio::select! {
                biased;
                ended = connection.as_mut() => {
                    if let Err(error) = ended {
                        tracing::debug!(%error, "a caller's connection ended");
                        // hyper has answered 400 or 431 itself: there was no request that could be recorded.
                        if error.is_parse() {
                            self.refused("malformed-head");
                        }
                    }
                    return;
                }
                Some(event) = events.next() => match event {
                    Event::Drain => finish(connection.as_mut()),
                    Event::Look => match pace.check(&self.bounds.load().limits, heads_are_timed) {
                        Ok(away) => events.push(look(away)),
                        Err(slow) => return self.refused(slow.word()),
                    },
                },
            }
        }
    }
}

/// What a connection is looked at for, beside its own bytes.
enum Event {
    /// The drain has begun.
    Drain,
    /// It may have taken too long for something.
    Look,
}
