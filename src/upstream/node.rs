//! One node and its connections. A connection carries no identity: every request brings its own credential.
//!
//! What a server's settings are is known per connection and user: a new connection may lead to another server, or to
//! the same one after an upgrade.

use std::collections::{HashMap, VecDeque};
use std::error::Error;
use std::fmt;
use std::future::{Future, poll_fn};
use std::num::NonZeroUsize;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::HeaderValue;
use http_body_util::{BodyExt, Limited};
use hyper::client::conn::TrySendError;
use hyper::client::conn::http1::SendRequest;

use super::settings::Known;
use super::{Incomings, Outgoing, OutgoingBody, User, answer, outgoing, settings};
use crate::clock;
use crate::config::{self, Endpoint};
use crate::dial::{self, Dialer, Driver};
use crate::record::Metrics;
use crate::refusal::{Reason, Refusal};
use crate::statement::{Cut, Data, Effect, Turn};
use crate::workers;

/// Most connections that wait for work, of each worker.
const MOST_IDLE: usize = 256;

/// Longest answer about settings: all that 26.9 has are a fifth of it.
const LONGEST_SETTINGS: usize = 1024 * 1024;

/// How often waiting connections are looked after.
const SWEEP: Duration = Duration::from_secs(1);

/// For a connection to notice that its answer has ended.
const NOTICE: Duration = Duration::from_secs(1);

/// For the answer about settings.
const SETTINGS_TIMEOUT: Duration = Duration::from_secs(10);

/// One server, or what stands for several.
pub(super) struct Node {
    endpoint: Endpoint,
    /// Its address, as records and messages show it.
    shown: Arc<str>,
    /// `host:port`.
    authority: HeaderValue,
    dialer: Dialer,
    answer_timeout: Duration,
    pub(super) stall_timeout: Duration,
    idle_timeout: Duration,
    /// Connections that wait for work, by the number of the worker that they belong to: nobody else takes them.
    idle: Vec<Mutex<Idle>>,
    /// Whether a server behind it did not have every column of `system.settings`.
    is_old: AtomicBool,
    metrics: Arc<Metrics>,
}

/// What waits for work.
#[derive(Default)]
struct Idle {
    /// Connections, and since when; what has waited longest first.
    connections: VecDeque<(Instant, Connection)>,
    /// Whether somebody looks after them.
    swept: bool,
}

/// One connection.
pub(super) struct Connection {
    sender: SendRequest<OutgoingBody>,
    /// What moves its bytes: polled by whoever waits for them, so that no other task has to be woken. Nothing once it ended.
    driver: Option<Driver>,
    known: HashMap<String, Arc<Known>>,
    reused: bool,
}

/// Why there is no answer.
pub(super) struct Failure {
    pub(super) reason: Reason,
    pub(super) says: &'static str,
    pub(super) cause: Option<Box<dyn std::error::Error + Send + Sync>>,
    /// Nothing of the request left.
    unsent: bool,
    /// The data that would have gone with it then.
    pub(super) data: Option<Box<Data>>,
    /// It was the caller's data that broke off.
    pub(super) cut: Option<Box<Refusal>>,
    /// The connection had waited for work.
    reused: bool,
    /// It was the question for settings that failed.
    at_the_question: bool,
}

/// How a failed try may be repeated.
pub(super) enum Repeat {
    No,
    /// The connection had waited for work, and the server hung up meanwhile: on a new one, of any node.
    OnAnother,
    /// The server told its settings and hung up: on the next connection to the same one, with what it told.
    OnTheNext,
}

impl Failure {
    pub(super) fn new(reason: Reason, says: &'static str) -> Self {
        Self { reason, says, cause: None, unsent: false, data: None, cut: None, reused: false, at_the_question: false }
    }

    /// How it may be tried again: only where that can do no harm, because nothing of the statement left or it was a read.
    pub(super) fn repeat(&self, effect: Effect) -> Repeat {
        let harmless = self.reason == Reason::UpstreamBroken && (self.unsent || effect == Effect::Read);
        match (harmless, self.reused) {
            (true, true) => Repeat::OnAnother,
            (true, false) if self.unsent && !self.at_the_question => Repeat::OnTheNext,
            _ => Repeat::No,
        }
    }

    /// Whether nothing of the request left.
    pub(super) fn is_unsent(&self) -> bool {
        self.unsent
    }

    /// It failed at the question for settings.
    pub(super) fn before_the_statement(self, data: Option<Box<Data>>) -> Self {
        Self { unsent: true, at_the_question: true, data, ..self }
    }

    /// Adds what led to it, for the log.
    pub(super) fn because(self, cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self { cause: Some(cause.into()), ..self }
    }
}

impl fmt::Display for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

impl Node {
    pub(super) fn new(endpoint: Endpoint, dialer: Dialer, config: &config::Cluster, workers: NonZeroUsize, metrics: Arc<Metrics>) -> Self {
        Self {
            shown: endpoint.to_string().into(),
            // A host and a port are plain text.
            authority: HeaderValue::try_from(endpoint.authority()).unwrap_or(HeaderValue::from_static("")),
            endpoint,
            dialer,
            answer_timeout: config.answer_timeout,
            stall_timeout: config.stall_timeout,
            idle_timeout: config.idle_timeout,
            idle: (0..=workers.get()).map(|_| Mutex::default()).collect(),
            is_old: AtomicBool::new(false),
            metrics,
        }
    }

    /// Its address, as records show it.
    pub(super) fn shown(&self) -> &Arc<str> {
        &self.shown
    }

    /// `host:port`.
    pub(super) fn authority(&self) -> &HeaderValue {
        &self.authority
    }

    /// The connection that waited least, or a new one.
    pub(super) async fn connection(&self, fresh: bool) -> Result<Connection, dial::Error> {
        if !fresh {
            while let Some(mut connection) = self.take_idle() {
                // Its last answer has ended; what is left of that is read here, or that the server hung up.
                if connection.is_ready().await {
                    connection.reused = true;
                    return Ok(connection);
                }
            }
        }
        // Apart, because it is long and rare: every request would carry its room.
        let (sender, driver) = Box::pin(self.dialer.open(&self.endpoint)).await?;
        self.metrics.upstream_connections.inc();
        Ok(Connection { sender, driver: Some(driver), known: HashMap::new(), reused: false })
    }

    /// The next connection to the same server, which has just told its settings on the one before.
    pub(super) async fn reconnect(&self, before: Connection) -> Result<Connection, dial::Error> {
        let known = before.known;
        Ok(Connection { known, ..self.connection(true).await? })
    }

    fn idle(&self) -> Option<MutexGuard<'_, Idle>> {
        self.idle.get(workers::number()).map(|idle| idle.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn take_idle(&self) -> Option<Connection> {
        let now = clock::tick();
        while let Some((since, connection)) = self.idle()?.connections.pop_back() {
            if self.is_good(&connection, since, now) {
                return Some(connection);
            }
        }
        None
    }

    /// Keeps a connection whose answer has ended.
    pub(super) fn keep(self: &Arc<Self>, connection: Connection) {
        let Some(mut idle) = self.idle() else { return };
        if connection.driver.is_none() || idle.connections.len() >= MOST_IDLE {
            return;
        }
        idle.connections.push_back((clock::tick(), connection));
        if !std::mem::replace(&mut idle.swept, true) {
            tokio::spawn(Arc::clone(self).sweep());
        }
    }

    /// Lets go of what waits too long or was closed by its server, while anything waits: nobody else looks at it meanwhile.
    async fn sweep(self: Arc<Self>) {
        loop {
            tokio::time::sleep(SWEEP).await;
            let (now, mut context) = (clock::tick(), Context::from_waker(Waker::noop()));
            let Some(mut idle) = self.idle() else { return };
            idle.connections.retain_mut(|(since, connection)| {
                connection.drive(&mut context);
                self.is_good(connection, *since, now)
            });
            idle.swept = !idle.connections.is_empty();
            if !idle.swept {
                return;
            }
        }
    }

    fn is_good(&self, connection: &Connection, since: Instant, now: Instant) -> bool {
        now.duration_since(since) < self.idle_timeout && connection.driver.is_some()
    }
}

impl Connection {
    /// Moves bytes, as far as that is possible now.
    pub(super) fn drive(&mut self, context: &mut Context<'_>) {
        drive(&mut self.driver, context);
    }

    /// Whether it takes a request, once it has noticed that its last answer has ended, or its server.
    async fn is_ready(&mut self) -> bool {
        let ready = poll_fn(|context| {
            self.drive(context);
            self.sender.poll_ready(context)
        });
        matches!(tokio::time::timeout(NOTICE, ready).await, Ok(Ok(())))
    }

    /// Sends one request and waits for the beginning of its answer.
    pub(super) fn send(&mut self, request: Outgoing, node: &Node) -> impl Future<Output = Result<Incomings, Failure>> {
        self.exchange(request, node.answer_timeout)
    }

    /// The time counts while ClickHouse has its turn: not while the caller has more data to send.
    async fn exchange(&mut self, request: Outgoing, timeout: Duration) -> Result<Incomings, Failure> {
        let turn = request.body().turn();
        let reused = self.reused;
        let Self { sender, driver, .. } = self;
        let sent = pin!(sender.try_send_request(request));
        let mut sending = driven(driver, sent);
        let mut look_again = timeout;
        loop {
            match tokio::time::timeout(look_again, &mut sending).await {
                Ok(Ok(response)) => return Ok(response),
                Ok(Err(error)) => return Err(failed(error, reused)),
                Err(_elapsed) => {
                    let had = turn.as_ref().map_or(Some(timeout), Turn::clickhouses_since).unwrap_or_default();
                    look_again = timeout.saturating_sub(had);
                    if look_again.is_zero() {
                        return Err(Failure::new(Reason::UpstreamTimeout, "ClickHouse did not begin to answer in time (answer_timeout)."));
                    }
                }
            }
        }
    }

    /// The settings that the server has for this user, asked on this very connection.
    pub(super) async fn settings_of(&mut self, user: &User, node: &Node) -> Result<Arc<Known>, Failure> {
        match self.known.get(&user.config.name) {
            Some(known) => Ok(Arc::clone(known)),
            // Boxed, because it is long and rare: every request would carry its room.
            None => Box::pin(self.learn_settings(user, node)).await,
        }
    }

    async fn learn_settings(&mut self, user: &User, node: &Node) -> Result<Arc<Known>, Failure> {
        if let Some(known) = &user.from_file {
            user.settings_known(known, node);
            self.known.insert(user.config.name.clone(), Arc::clone(known));
            return Ok(Arc::clone(known));
        }
        let mut told = self.ask(user, node, user.question.text(node.is_old.load(Ordering::Relaxed)), None).await?;
        if matches!(told, Err((settings::UNKNOWN_COLUMN, _))) {
            node.is_old.store(true, Ordering::Relaxed);
            // Some hang up behind an error; the next connection asks rightly at once.
            if !self.is_ready().await {
                let says = "ClickHouse closed the connection before it answered about its settings.";
                return Err(Failure { reused: true, ..Failure::new(Reason::UpstreamBroken, says) });
            }
            told = self.ask(user, node, user.question.text(true), None).await?;
        }
        let known = user.known(&told.map_err(|(code, body)| settings::failed(Some(code), &body))?)?;
        user.settings_known(&known, node);
        self.known.insert(user.config.name.clone(), Arc::clone(&known));
        Ok(known)
    }

    /// Asks one statement of our own; where ClickHouse answers an error, its code comes with the body, or 0 where it tells none.
    pub(super) async fn ask(&mut self, user: &User, node: &Node, sql: String, role: Option<&str>) -> Result<Result<Bytes, (u16, Bytes)>, Failure> {
        let request = outgoing::question(user, node, sql, role)?;
        let response = self.exchange(request, SETTINGS_TIMEOUT).await?;
        let status = response.status();
        let code = answer::code_in_header(response.headers());
        let whole = pin!(Limited::new(response.into_body(), LONGEST_SETTINGS).collect());
        let body = driven(&mut self.driver, whole);
        let body = match tokio::time::timeout(SETTINGS_TIMEOUT, body).await {
            Ok(Ok(body)) => body.to_bytes(),
            Ok(Err(error)) => return Err(Failure::new(Reason::UpstreamBroken, "ClickHouse's answer about its settings broke off.").because(error)),
            Err(_elapsed) => return Err(Failure::new(Reason::UpstreamTimeout, "ClickHouse did not answer about its settings in time.")),
        };
        Ok(match status.is_success() && code.is_none() {
            true => Ok(body),
            false => Err((code.or_else(|| answer::code_in_text(&body)).unwrap_or(0), body)),
        })
    }
}

fn drive(driver: &mut Option<Driver>, context: &mut Context<'_>) {
    if driver.as_mut().is_some_and(|driver| driver.as_mut().poll(context).is_ready()) {
        *driver = None;
    }
}

/// Waits for something of a connection, and moves its bytes meanwhile.
fn driven<'a, T>(driver: &'a mut Option<Driver>, mut awaited: Pin<&'a mut impl Future<Output = T>>) -> impl Future<Output = T> + Unpin {
    // No `async fn`: it would hold what is awaited twice.
    poll_fn(move |context| {
        if let Poll::Ready(done) = awaited.as_mut().poll(context) {
            return Poll::Ready(done);
        }
        drive(driver, context);
        awaited.as_mut().poll(context)
    })
}

/// Why a request was not answered: the caller's data broke off, or the connection.
fn failed(mut error: TrySendError<Outgoing>, reused: bool) -> Failure {
    let unsent = error.take_message();
    let failure = Failure::new(Reason::UpstreamBroken, "ClickHouse closed the connection before it answered.");
    let failure = Failure { unsent: unsent.is_some(), data: unsent.and_then(|request| request.into_body().into_data()), reused, ..failure };
    let error = error.into_error();
    match error.source().and_then(|source| source.downcast_ref::<Cut>()) {
        Some(cut) => Failure { cut: Some(Box::new(cut.refusal())), ..Failure::new(Reason::BodyBroken, "The body broke off.") },
        None => failure.because(error),
    }
}
