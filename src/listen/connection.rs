//! One connection: a slot, a handshake, the protocol that was agreed on, and a watch over its pace.

use std::convert::Infallible;
use std::error::Error;
use std::future::{Future, poll_fn};
use std::net::{IpAddr, SocketAddr};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use arc_swap::ArcSwap;
use bytes::Bytes;
use futures_util::stream::{FuturesUnordered, StreamExt};
use http::header::EXPECT;
use http::{Request, Response};
use http_body::Body;
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use ipnet::IpNet;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::drain::{Drain, Draining};
use super::pace::{Pace, Paced, QUIET, Slow, Taken};
use super::{Arrived, origin, stands};
use crate::config::{Config, Limits, network};
use crate::record::Metrics;

/// How often a caller on HTTP/2 is asked whether it is still there, and how long it may take to say so.
const STILL_THERE: Duration = Duration::from_secs(20);

/// The pause after an `accept` that failed: out of descriptors, most likely.
const AFTER_FAILURE: Duration = Duration::from_millis(100);

/// Most bytes of an answer, or of a request, that are held before they go on, and of a request's head.
const IN_FLIGHT: usize = 64 * 1024;

/// Most bytes that TLS takes at once. The caller reads one part while the next is sealed: it was measured against 16 KiB, 64 KiB
/// and more.
const SEALED: usize = 32 * 1024;

/// How long a caller may take to hear that its connection is closed.
const FAREWELL: Duration = Duration::from_secs(1);

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
    fn answer(&self, arrived: Box<Arrived>) -> impl Future<Output = Response<Self::Body>> + Send;
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
        // Boxed, each of these: a connection that waits takes no room for what others are doing.
        let Some(stream) = Box::pin(self.shake_hands(tls, stream, peer)).await else { return };
        match stream.get_ref().1.alpn_protocol() {
            Some(b"h2") => Box::pin(self.http2(stream, ends, draining)).await,
            Some(_) | None => self.http1(stream, ends, draining).await,
        }
    }

    async fn shake_hands(&self, tls: &TlsAcceptor, stream: TcpStream, peer: SocketAddr) -> Option<Box<TlsStream<TcpStream>>> {
        match tokio::time::timeout(self.handshake_timeout(), tls.accept(stream)).await {
            Ok(Ok(mut stream)) => {
                stream.get_mut().1.set_buffer_limit(Some(SEALED));
                return Some(Box::new(stream));
            }
            Ok(Err(error)) => tracing::debug!(%error, %peer, "no TLS handshake"),
            Err(_elapsed) => {}
        }
        self.refused("handshake");
        None
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
        let mut watch = Watch::new(self, &pace, true, draining);
        let mut socket = Paced::new(stream, pace.clone());
        loop {
            // While it waits, a connection holds its socket alone: hyper would keep its buffers.
            let begun = watch.over(pin!(socket.begins()), |_waiting| false, false).await;
            match begun {
                Some(Over::Itself(Ok(true))) => {}
                Some(Over::Itself(Ok(false)) | Over::Drained | Over::Quiet) => return farewell(socket).await,
                Some(Over::Itself(Err(error))) => return tracing::debug!(%error, "a caller's connection ended"),
                None => return,
            }
            let bounds = self.bounds.load_full();
            let connection = http1::Builder::new()
                .header_read_timeout(None)
                .half_close(false)
                .max_headers(bounds.limits.header_count)
                .max_header_size(bounds.limits.header_size)
                .max_buf_size(IN_FLIGHT.max(bounds.limits.header_size))
                .serve_connection(TokioIo::new(socket), self.service(ends, &pace));
            let mut connection = Box::new(connection);
            let finish = |connection: Pin<&mut http1::Connection<_, _>>| {
                connection.graceful_shutdown();
                true
            };
            match watch.over(Pin::new(&mut *connection), finish, true).await {
                Some(Over::Quiet) => {}
                Some(Over::Itself(ended)) => return self.ended(ended),
                Some(Over::Drained) | None => return,
            }
            // Between two requests hyper ends at once and leaves the socket open, anywhere else when it comes to be there.
            Pin::new(&mut *connection).graceful_shutdown();
            match poll_fn(|context| Poll::Ready(connection.poll_without_shutdown(context))).await {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(error)) => return self.ended(Err(error)),
                Poll::Pending => {
                    if let Some(Over::Itself(ended)) = watch.over(Pin::new(&mut *connection), finish, false).await {
                        self.ended(ended);
                    }
                    return;
                }
            }
            let parts = connection.into_parts();
            socket = parts.io.into_inner().with_what_was_read(&parts.read_buf);
        }
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
        let finish = |connection: Pin<&mut http2::Connection<_, _, _>>| {
            connection.graceful_shutdown();
            true
        };
        if let Some(Over::Itself(ended)) = Watch::new(self, &pace, false, draining).over(pin!(connection), finish, false).await {
            self.ended(ended);
        }
    }

    /// What hyper calls for each request; on HTTP/2 these run side by side in tasks of their own.
    fn service(
        self: &Arc<Self>,
        Ends { peer, origin }: Ends,
        pace: &Pace,
    ) -> impl Service<Request<Incoming>, Response = Response<Taken<H::Body>>, Error = Infallible, Future: Send + Unpin + 'static> + Unpin + use<H>
    {
        let (front, pace) = (Arc::clone(self), pace.clone());
        service_fn(move |request| {
            let (front, pace, running) = (Arc::clone(&front), pace.clone(), pace.request());
            // Boxed, because a connection keeps the room of its last request's while it waits for the next.
            Box::pin(async move {
                let waits_to_be_told = stands(request.headers(), &EXPECT);
                let (arrived, unwanted) = Arrived::new(peer, origin, &front.bounds.load().trusted_proxies, pace, request);
                let answer = front.handler.answer(arrived).await;
                if !waits_to_be_told {
                    unwanted.taken().await;
                }
                Ok(answer.map(|body| Taken::new(body, running)))
            })
        })
    }

    fn ended(&self, ended: hyper::Result<()>) {
        let Err(error) = ended else { return };
        tracing::debug!(%error, "a caller's connection ended");
        // hyper has answered 400 or 431 itself: there was no request that could be recorded.
        if error.is_parse() {
            self.refused("malformed-head");
        }
    }
}

/// Closes a connection on which nothing runs.
async fn farewell<S: AsyncWrite + Unpin>(mut socket: S) {
    if let Ok(Err(error)) = tokio::time::timeout(FAREWELL, socket.shutdown()).await {
        tracing::debug!(%error, "a caller's connection was not closed well");
    }
}

/// Looks after one connection: the drain, and our patience with what it does.
struct Watch<'a, H> {
    front: &'a Front<H>,
    pace: &'a Pace,
    heads_are_timed: bool,
    /// Looked at when they have something to tell, and not with every byte that comes or goes.
    events: FuturesUnordered<Pin<Box<dyn Future<Output = Event> + Send>>>,
    /// The connection is a member of the drain to its own end.
    _member: Draining,
}

/// What a connection is looked at for, beside its own bytes.
enum Event {
    /// The drain has begun.
    Drain,
    /// It may have taken too long for something.
    Look,
    /// It may have waited for its next request for a while.
    Quiet,
}

/// What something that is watched has come to.
enum Over<T> {
    /// Its own end.
    Itself(T),
    /// The drain's.
    Drained,
    /// Nothing has happened for a while.
    Quiet,
}

impl<'a, H: Handler> Watch<'a, H> {
    fn new(front: &'a Front<H>, pace: &'a Pace, heads_are_timed: bool, draining: Draining) -> Self {
        let mut told = draining.clone();
        let watch = Self { front, pace, heads_are_timed, events: FuturesUnordered::new(), _member: draining };
        watch.events.push(Box::pin(async move {
            told.begun().await;
            Event::Drain
        }));
        // Nothing can have taken too long yet.
        watch.after(watch.check().unwrap_or_default(), Event::Look);
        watch
    }

    fn check(&self) -> Result<Duration, Slow> {
        self.pace.check(&self.front.bounds.load().limits, self.heads_are_timed)
    }

    fn after(&self, pause: Duration, event: Event) {
        self.events.push(Box::pin(async move {
            tokio::time::sleep(pause).await;
            event
        }));
    }

    /// Polls a connection, or what waits for one, until it is over; nothing where it has taken too long. `finish` tells it that
    /// the drain has begun, and says whether it goes on to an end of its own.
    async fn over<C: Future>(&mut self, mut connection: Pin<&mut C>, finish: fn(Pin<&mut C>) -> bool, may_rest: bool) -> Option<Over<C::Output>> {
        if may_rest {
            self.after(QUIET, Event::Quiet);
        }
        loop {
            tokio::select! {
                biased;
                ended = connection.as_mut() => return Some(Over::Itself(ended)),
                Some(event) = self.events.next() => match event {
                    Event::Drain if finish(connection.as_mut()) => {}
                    Event::Drain => return Some(Over::Drained),
                    Event::Quiet if self.pace.is_quiet() => return Some(Over::Quiet),
                    Event::Quiet => self.after(QUIET, Event::Quiet),
                    Event::Look => match self.check() {
                        Ok(away) => self.after(away, Event::Look),
                        Err(slow) => {
                            self.front.refused(slow.word());
                            return None;
                        }
                    },
                },
            }
        }
    }
}
