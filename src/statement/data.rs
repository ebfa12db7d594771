//! What follows the head of an INSERT: a stream that goes on as it comes, within bounds, and is never read.

use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use http_body::{Body, Frame, SizeHint};
use tokio::time::Sleep;

use super::coding::Coding;
use super::grammar::{self, Begins};
use super::pieces::Pieces;
use crate::clock;
use crate::config::Limits;
use crate::refusal::{Reason, Refusal};

/// Most bytes of a coded body that are taken to bring forth so many times fewer.
pub(super) const CODED_TIMES: u64 = 2;

/// Data of an INSERT on its way to ClickHouse.
pub struct Data {
    pieces: Pieces,
    /// What was read of it to see where it begins; it goes first.
    first: VecDeque<Bytes>,
    /// Its codings, where it goes on as it came.
    codings: Vec<Coding>,
    /// How much is read at most to see what it begins with, where nobody has looked.
    unseen: Option<usize>,
    passed: Arc<AtomicU64>,
    most: u64,
    stall_timeout: Duration,
    stalled: Pin<Box<Sleep>>,
    turn: Turn,
    brake: Option<Box<dyn Brake>>,
    /// Whether it was the brake that let nothing go the last time.
    is_held: bool,
}

/// What holds data back so that no more of it goes in a second than may.
pub trait Brake: Send + Sync {
    /// Waits until more may go.
    fn poll_go(&mut self, context: &mut Context<'_>) -> Poll<()>;

    /// So many bytes went.
    fn went(&mut self, bytes: usize);
}

/// Why data broke off. The answer to the caller is made of it, so it keeps a refusal's parts.
#[derive(Debug, thiserror::Error)]
#[error("{says}")]
pub struct Cut {
    reason: Reason,
    says: String,
    #[source]
    cause: Option<Arc<dyn std::error::Error + Send + Sync>>,
}

impl Cut {
    /// The refusal that it is.
    pub fn refusal(&self) -> Refusal {
        let refusal = Refusal::new(self.reason, self.says.clone());
        match &self.cause {
            Some(cause) => refusal.because(Arc::clone(cause)),
            None => refusal,
        }
    }
}

impl From<Refusal> for Cut {
    fn from(refusal: Refusal) -> Self {
        let (reason, says, cause) = refusal.into_parts();
        Self { reason, says, cause: cause.map(Arc::from) }
    }
}

/// Whose turn it is: ClickHouse's to take what there is, since then, or the caller's to send more.
#[derive(Clone)]
pub struct Turn(Arc<Mutex<Option<Instant>>>);

impl Turn {
    fn new() -> Self {
        Self(Arc::new(Mutex::new(Some(clock::tick()))))
    }

    fn state(&self) -> MutexGuard<'_, Option<Instant>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_clickhouses(&self) {
        *self.state() = Some(clock::tick());
    }

    /// It is the caller's now; whether it was not before.
    fn passes_to_the_caller(&self) -> bool {
        self.state().take().is_some()
    }

    /// How long ClickHouse has had its turn; nothing while the caller has.
    pub fn clickhouses_since(&self) -> Option<Duration> {
        self.state().map(|since| clock::tick().duration_since(since))
    }
}

impl Data {
    /// Data of which `first` is here already, its codings undone.
    pub(super) fn undone(first: Bytes, pieces: Pieces, limits: &Limits) -> Box<Self> {
        Box::new(Self::new(VecDeque::from_iter((!first.is_empty()).then_some(first)), pieces, Vec::new(), limits))
    }

    /// Data that is the whole body, as it came.
    pub(super) fn as_it_comes(pieces: Pieces, limits: &Limits) -> Box<Self> {
        let codings = pieces.codings();
        Box::new(Self { unseen: Some(limits.statement_size), ..Self::new(VecDeque::new(), pieces, codings, limits) })
    }

    fn new(first: VecDeque<Bytes>, pieces: Pieces, codings: Vec<Coding>, limits: &Limits) -> Self {
        Self {
            pieces,
            first,
            codings,
            unseen: None,
            passed: Arc::default(),
            most: limits.max_insert_bytes,
            stall_timeout: limits.data_timeout,
            stalled: Box::pin(tokio::time::sleep(limits.data_timeout)),
            turn: Turn::new(),
            brake: None,
            is_held: false,
        }
    }

    /// The same, held back.
    pub fn braked(mut self: Box<Self>, brake: Option<Box<dyn Brake>>) -> Box<Self> {
        self.brake = brake;
        self
    }

    /// The codings that it still has.
    pub fn codings(&self) -> &[Coding] {
        &self.codings
    }

    /// How many bytes went on so far.
    pub fn passed(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.passed)
    }

    /// Whose turn it is.
    pub fn turn(&self) -> Turn {
        self.turn.clone()
    }

    /// Data that may go on. It reads as much of the body as it takes to see that neither SETTINGS nor PARALLEL WITH stand at its
    /// beginning, which are none of the data for some servers. Call it when the statement is permitted: a caller who waits for
    /// `100 Continue` is told a no without.
    ///
    /// # Errors
    /// 400 where they stand there or the body cannot be read, 408 where it does not come in time, 413 where it is too long
    /// or nothing but blanks and comments come.
    pub async fn begins(mut self: Box<Self>) -> Result<Box<Self>, Refusal> {
        if self.size_hint().lower() > self.most {
            return Err(too_much(self.most));
        }
        let Some(longest) = self.unseen.take() else { return Ok(self) };
        self.pieces.keep_what_came();
        let (mut seen, mut next_look) = (BytesMut::new(), 0);
        loop {
            let piece = poll_fn(|context| self.poll_piece(context)).await?;
            let ended = piece.is_none();
            seen.extend_from_slice(&piece.unwrap_or_default());
            // However it comes in pieces, as much of it is looked at.
            let most = seen.get(..longest);
            if ended || most.is_some() || seen.len() >= next_look {
                // Each look reads from the beginning, so what it reads doubles until the next.
                next_look = 2 * seen.len();
                match grammar::data_begins(most.unwrap_or(&seen), ended) {
                    Begins::Statement => return Err(statement_in_data()),
                    Begins::Unknown if most.is_some() => return Err(nothing_yet(longest)),
                    Begins::Unknown if !ended => {}
                    Begins::Data | Begins::Unknown => break,
                }
            }
            if self.pieces.came() > CODED_TIMES * longest as u64 {
                return Err(Refusal::new(Reason::BodyTooLarge, "The body is long and unpacks to next to nothing."));
            }
        }
        self.first = self.pieces.what_came();
        if self.codings.is_empty() {
            // ClickHouse joins them so, where the head is in the address; here it goes before the data.
            self.first.push_front(Bytes::from_static(b"\n"));
        }
        Ok(self)
    }

    /// The next piece with its codings undone, within the time that it may take.
    fn poll_piece(&mut self, context: &mut Context<'_>) -> Poll<Result<Option<Bytes>, Refusal>> {
        let polled = self.pieces.poll_piece(context);
        self.in_time(polled, context)
    }

    fn in_time(&mut self, polled: Poll<Result<Option<Bytes>, Refusal>>, context: &mut Context<'_>) -> Poll<Result<Option<Bytes>, Refusal>> {
        if polled.is_ready() {
            self.turn.is_clickhouses();
            return polled;
        }
        if self.turn.passes_to_the_caller() {
            self.stalled.as_mut().reset(tokio::time::Instant::now() + self.stall_timeout);
        }
        self.stalled.as_mut().poll(context).map(|()| {
            let timeout = humantime::format_duration(self.stall_timeout);
            Err(Refusal::new(Reason::BodyTimeout, format!("No more of the data came for {timeout} (limits.data_timeout).")))
        })
    }

    fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Result<Option<Bytes>, Refusal>> {
        if let Some(brake) = &mut self.brake {
            if brake.poll_go(context).is_pending() {
                // ClickHouse waits, as it does for the caller.
                self.turn.passes_to_the_caller();
                self.is_held = true;
                return Poll::Pending;
            }
            if std::mem::take(&mut self.is_held) {
                // The caller's time begins when they are asked for more.
                self.turn.is_clickhouses();
            }
        }
        if let Some(first) = self.first.pop_front() {
            self.turn.is_clickhouses();
            return Poll::Ready(Ok(Some(first)));
        }
        let polled = if self.codings.is_empty() { self.pieces.poll_piece(context) } else { self.pieces.poll_raw(context) };
        self.in_time(polled, context)
    }

    fn count(&mut self, piece: &Bytes) -> Result<(), Refusal> {
        let bytes = piece.len() as u64;
        if let Some(brake) = &mut self.brake {
            brake.went(piece.len());
        }
        if self.passed.fetch_add(bytes, Ordering::Relaxed) + bytes > self.most {
            return Err(too_much(self.most));
        }
        Ok(())
    }
}

impl Body for Data {
    type Data = Bytes;
    type Error = Cut;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Cut>>> {
        self.poll_next(context).map(|next| {
            let next = next.and_then(|piece| piece.map_or(Ok(None), |piece| self.count(&piece).map(|()| Some(Frame::data(piece)))));
            next.map_err(Cut::from).transpose()
        })
    }

    fn is_end_stream(&self) -> bool {
        self.first.is_empty() && self.pieces.is_end()
    }

    fn size_hint(&self) -> SizeHint {
        let first: u64 = self.first.iter().map(|piece| piece.len() as u64).sum();
        match self.pieces.left(!self.codings.is_empty()) {
            Some(left) => SizeHint::with_exact(first + left),
            None => SizeHint::default(),
        }
    }
}

fn too_much(most: u64) -> Refusal {
    Refusal::new(Reason::BodyTooLarge, format!("The data is longer than {most} bytes (limits.max_insert_bytes); send it in several INSERTs."))
}

fn statement_in_data() -> Refusal {
    Refusal::new(
        Reason::NotUnderstood,
        "The data begins with SETTINGS or PARALLEL WITH, which some servers take for a part of the statement; SETTINGS stand before FORMAT and VALUES.",
    )
}

/// Old servers may read a longer statement than Keyhouse does, and so find SETTINGS behind all that.
fn nothing_yet(longest: usize) -> Refusal {
    let says = format!("More than {longest} bytes of blanks or comments stand before the data (limits.statement_size); begin it with its first row.");
    Refusal::new(Reason::StatementTooLong, says)
}
