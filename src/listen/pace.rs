//! How a connection spends its time: hyper has one timer for idle connections and slow heads, and these need two.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::clock;
use crate::config::Limits;

/// For so long a connection on HTTP/1.1 waits for its next request before what served the last is let go.
pub(super) const QUIET: Duration = Duration::from_millis(500);

/// What a resting connection reads at once; more stays in the socket.
const FIRST: usize = 2048;

/// What one connection does, shared by its socket, its requests, its answers and its watch.
#[derive(Clone)]
pub(super) struct Pace(Arc<Shared>);

struct Shared {
    state: Mutex<State>,
    /// Whether something was written that the socket has not taken yet.
    unsent: AtomicBool,
    /// Whether some request's body was not read to its end: what comes next may still belong to it.
    unread: AtomicBool,
}

struct State {
    /// Requests whose answer has not ended, by number, each with the time since when the caller does not take it: one, on
    /// HTTP/1.1.
    running: Vec<(u64, Option<Instant>)>,
    next: u64,
    /// Since when nothing runs.
    idle_since: Instant,
    /// Since when a head is being read.
    head_since: Option<Instant>,
}

/// What a connection has taken too long for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Slow {
    Idle,
    Head,
    Taking,
}

impl Slow {
    /// The word for it, in metrics.
    pub(super) fn word(self) -> &'static str {
        match self {
            Slow::Idle => "idle",
            Slow::Head => "slow-head",
            Slow::Taking => "slow-taking",
        }
    }
}

impl Pace {
    /// A new connection: its first head is due.
    pub(super) fn new() -> Self {
        let now = clock::tick();
        let state = Mutex::new(State { running: Vec::new(), next: 0, idle_since: now, head_since: Some(now) });
        Self(Arc::new(Shared { state, unsent: AtomicBool::new(false), unread: AtomicBool::new(false) }))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A request's body was left before its end.
    pub(super) fn left_unread(&self) {
        self.0.unread.store(true, Ordering::Relaxed);
    }

    /// Whether it has waited for its next request for a while, and nothing is left of those before.
    pub(super) fn is_quiet(&self) -> bool {
        if self.0.unread.load(Ordering::Relaxed) || self.0.unsent.load(Ordering::Relaxed) {
            return false;
        }
        let state = self.state();
        state.running.is_empty() && state.head_since.is_none() && clock::tick().duration_since(state.idle_since) >= QUIET
    }

    /// A request begins; its answer's body keeps what is returned until its end.
    pub(super) fn request(&self) -> Running {
        let mut state = self.state();
        state.head_since = None;
        state.next += 1;
        let number = state.next;
        state.running.push((number, None));
        Running { pace: self.clone(), number }
    }

    fn bytes_came(&self) {
        let mut state = self.state();
        if state.running.is_empty() && state.head_since.is_none() {
            state.head_since = Some(clock::tick());
        }
    }

    /// How long to look away, or what takes too long. HTTP/2 has frames that are no heads, so that a head's time is
    /// its idle time there. What begins meanwhile is not told, so nobody looks away for longer than the shortest limit.
    pub(super) fn check(&self, limits: &Limits, heads_are_timed: bool) -> Result<Duration, Slow> {
        let now = clock::tick();
        let state = self.state();
        let left = |since: Instant, limit: Duration, slow| match limit.checked_sub(now.duration_since(since)) {
            Some(left) if !left.is_zero() => Ok(left),
            _ => Err(slow),
        };
        let mut shortest = limits.header_timeout.min(limits.idle_timeout).min(limits.write_timeout);
        if state.running.is_empty() {
            let left = match state.head_since.filter(|_| heads_are_timed) {
                Some(since) => left(since, limits.header_timeout, Slow::Head),
                None => left(state.idle_since, limits.idle_timeout, Slow::Idle),
            };
            return left.map(|left| left.min(shortest));
        }
        for since in state.running.iter().filter_map(|(_, since)| since.as_ref()) {
            shortest = shortest.min(left(*since, limits.write_timeout, Slow::Taking)?);
        }
        Ok(shortest)
    }
}

/// One request that runs.
pub(super) struct Running {
    pace: Pace,
    number: u64,
}

impl Running {
    /// Notes whether the caller has something to take.
    fn taking(&self, since: Option<Instant>) {
        if let Some((_, slot)) = self.pace.state().running.iter_mut().find(|(number, _)| *number == self.number) {
            *slot = since;
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let mut state = self.pace.state();
        state.running.retain(|(number, _)| *number != self.number);
        state.idle_since = clock::tick();
    }
}

/// An answer's body that tells since when the caller does not take it.
pub(super) struct Taken<B> {
    body: B,
    running: Running,
}

impl<B> Taken<B> {
    pub(super) fn new(body: B, running: Running) -> Self {
        Self { body, running }
    }
}

impl<B: Body + Unpin> Body for Taken<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(context);
        self.running.taking(polled.is_ready().then(clock::tick));
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A socket that tells when bytes come, and whether all that was written has gone out.
pub(super) struct Paced<S> {
    stream: S,
    pace: Pace,
    /// What was read of the next request already.
    read: Bytes,
}

impl<S> Paced<S> {
    pub(super) fn new(stream: S, pace: Pace) -> Self {
        Self { stream, pace, read: Bytes::new() }
    }

    /// The same, with what was read ahead of its next request: copied, because even nothing would keep the room that it was read to.
    pub(super) fn with_what_was_read(self, read: &[u8]) -> Self {
        Self { read: Bytes::copy_from_slice(read), ..self }
    }
}

impl<S: AsyncRead + Unpin> Paced<S> {
    /// Whether anything comes before the end: what does is read again afterwards. No room is held meanwhile.
    pub(super) async fn begins(&mut self) -> io::Result<bool> {
        if self.read.is_empty() {
            let read = poll_fn(|context| {
                let mut room = [0; FIRST];
                let mut buffer = ReadBuf::new(&mut room);
                ready!(Pin::new(&mut *self).poll_read(context, &mut buffer))?;
                Poll::Ready(Ok::<_, io::Error>(Bytes::copy_from_slice(buffer.filled())))
            });
            self.read = read.await?;
        }
        Ok(!self.read.is_empty())
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Paced<S> {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if !self.read.is_empty() {
            let fits = self.read.len().min(buffer.remaining());
            buffer.put_slice(&self.read.split_to(fits));
            return Poll::Ready(Ok(()));
        }
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(context, buffer);
        if buffer.filled().len() > before {
            self.pace.bytes_came();
        }
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Paced<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.pace.0.unsent.store(true, Ordering::Relaxed);
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(mut self: Pin<&mut Self>, context: &mut Context<'_>, slices: &[io::IoSlice<'_>]) -> Poll<io::Result<usize>> {
        self.pace.0.unsent.store(true, Ordering::Relaxed);
        Pin::new(&mut self.stream).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(context);
        // hyper asks for it only when it has written all that it holds.
        if matches!(flushed, Poll::Ready(Ok(()))) {
            self.pace.0.unsent.store(false, Ordering::Relaxed);
        }
        flushed
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
