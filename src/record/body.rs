//! An answer's body that holds the record: the line is written when the last byte leaves, or when it never will.

use std::error::Error;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Instant, SystemTime};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use super::audit::{Ack, Audit, Lost};
use super::entry::{Entry, Outcome};
use super::metrics::Metrics;
use crate::clock;
use crate::refusal::{Reason, Refusal};

/// What a body knows when it ends.
pub trait Told {
    /// The ClickHouse error that it carried, where it was seen.
    fn clickhouse_code(&self) -> Option<u16>;
}

/// Keyhouse ended an answer, and why.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{says}")]
pub struct Stopped {
    reason: Reason,
    says: Arc<str>,
}

impl Stopped {
    /// For the reason that a refusal would have, had the answer not begun.
    pub fn of(refusal: &Refusal) -> Self {
        Self { reason: refusal.reason(), says: refusal.says().into() }
    }
}

/// The record of what Keyhouse may have to do of itself because of a request. Nothing is written unless it is opened.
#[derive(Clone)]
pub struct Draft {
    entry: Arc<Entry>,
    audit: Arc<Audit>,
    metrics: Arc<Metrics>,
}

impl Draft {
    /// What is known of the request so far.
    pub fn new(entry: Entry, audit: Arc<Audit>, metrics: Arc<Metrics>) -> Self {
        Self { entry: Arc::new(entry), audit, metrics }
    }

    /// The record, of something that begins now.
    pub fn open(self, time: SystemTime, began: Instant) -> Recording {
        Recording::new(self.entry.asked_again(time, began), self.audit, self.metrics)
    }
}

/// An open record. Dropped, it is closed: by a caller who left, or by a fault.
pub struct Recording {
    entry: Box<Entry>,
    open: bool,
    audit: Arc<Audit>,
    metrics: Arc<Metrics>,
}

impl Recording {
    /// A record that will be written whatever happens.
    pub fn new(entry: Entry, audit: Arc<Audit>, metrics: Arc<Metrics>) -> Self {
        metrics.requests_running.inc();
        Self { entry: Box::new(entry), open: true, audit, metrics }
    }

    /// What is known so far.
    pub fn entry(&mut self) -> &mut Entry {
        &mut self.entry
    }

    /// Writes the record of what has no answer for anybody.
    pub fn ends(mut self, outcome: Outcome) {
        self.entry.outcome = outcome;
        drop(self.close());
    }

    /// Hands the record over to be written; what is returned is to be waited for.
    fn close(&mut self) -> Option<Ack> {
        if !std::mem::take(&mut self.open) {
            return None;
        }
        self.entry.ended(clock::tick());
        self.metrics.request_ended(&self.entry);
        let spent = self.entry.spent();
        self.audit.write(std::mem::replace(&mut self.entry, Box::new(spent)))
    }
}

impl Drop for Recording {
    fn drop(&mut self) {
        self.metrics.requests_running.dec();
        if self.open {
            self.entry.outcome = self.audit.outcome_of_dropped();
            drop(self.close());
        }
    }
}

/// A body with its record.
pub struct Recorded<B: Body + Told> {
    inner: B,
    recording: Recording,
    state: State,
}

enum State {
    Flowing,
    /// All is there but the record: what is held goes out when that is written, and not at all when it is not.
    Waiting(Ack, Option<Frame<Bytes>>),
    /// It broke, which is told after a pause: hyper drops what it holds then, and what came before is to go out.
    Breaking(Option<Box<dyn Error + Send + Sync>>),
    Over,
}

impl<B: Body + Told> Recorded<B> {
    /// Ties a record to a body. The entry's outcome is what it is when all goes well.
    pub fn new(inner: B, recording: Recording) -> Self {
        Self { inner, recording, state: State::Flowing }
    }

    fn close(&mut self) -> Option<Ack> {
        self.state = State::Over;
        let entry = self.recording.entry();
        entry.clickhouse_code = entry.clickhouse_code.or(self.inner.clickhouse_code());
        // Who is refused because nothing can be written is told so, also when this cannot be written either.
        let says_so = entry.reason == Some(Reason::RecordUnavailable.code());
        self.recording.close().filter(|_| !says_so)
    }
}

impl<B> Body for Recorded<B>
where
    B: Body<Data = Bytes> + Told + Unpin,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    type Data = Bytes;
    type Error = Box<dyn Error + Send + Sync>;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let this = &mut *self;
        loop {
            match &mut this.state {
                State::Over => return Poll::Ready(None),
                State::Breaking(error) => {
                    let error = error.take();
                    this.state = State::Over;
                    return Poll::Ready(error.map(Err));
                }
                State::Waiting(ack, held) => {
                    let written = ready!(ack.poll(context));
                    let held = held.take();
                    this.state = State::Over;
                    return Poll::Ready(if written { held.map(Ok) } else { Some(Err(Lost.into())) });
                }
                State::Flowing => {
                    let last = match ready!(Pin::new(&mut this.inner).poll_frame(context)) {
                        Some(Ok(frame)) => {
                            // Bodies have no trailers here.
                            let Some(data) = frame.data_ref() else { continue };
                            this.recording.entry().bytes += data.len() as u64;
                            if !this.inner.is_end_stream() {
                                return Poll::Ready(Some(Ok(frame)));
                            }
                            Some(frame)
                        }
                        Some(Err(error)) => {
                            let error = error.into();
                            let entry = this.recording.entry();
                            match error.downcast_ref::<Stopped>() {
                                Some(stopped) => (entry.outcome, entry.reason) = (Outcome::CutOff, Some(stopped.reason.code())),
                                None => {
                                    tracing::warn!(request_id = %entry.request_id, cause = %error, "an answer broke off");
                                    entry.outcome = Outcome::Broken;
                                }
                            }
                            drop(this.close());
                            this.state = State::Breaking(Some(error));
                            context.waker().wake_by_ref();
                            return Poll::Pending;
                        }
                        None => None,
                    };
                    match this.close() {
                        Some(ack) => this.state = State::Waiting(ack, last),
                        None => return Poll::Ready(last.map(Ok)),
                    }
                }
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self.state, State::Over)
    }

    fn size_hint(&self) -> SizeHint {
        match &self.state {
            State::Flowing => self.inner.size_hint(),
            State::Waiting(_, Some(held)) => SizeHint::with_exact(held.data_ref().map_or(0, |data| data.len() as u64)),
            State::Breaking(_) => SizeHint::default(),
            State::Waiting(_, None) | State::Over => SizeHint::with_exact(0),
        }
    }
}

impl<B: Body + Told> Drop for Recorded<B> {
    fn drop(&mut self) {
        // hyper does not poll a body without bytes; that one ended well. Any other is closed by its recording.
        if matches!(self.state, State::Flowing) && self.inner.is_end_stream() {
            drop(self.close());
        }
    }
}
