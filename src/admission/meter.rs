//! How fast bytes go, and how many: an answer to its caller, an INSERT's data to ClickHouse.

use std::future::Future;
use std::num::NonZeroU64;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes as Piece;
use http_body::{Body, Frame, SizeHint};
use tokio::time::Sleep;

use super::slots::{Bytes, State};
use super::{Scope, exhausted};
use crate::clock;
use crate::config::Window;
use crate::record::{Stopped, Told};
use crate::statement::Brake;

/// Holds bytes back to their rates.
pub(super) struct Throttle {
    state: Arc<State>,
    of: Bytes,
    rates: Vec<(Scope, NonZeroU64)>,
    waits: Option<Pin<Box<Sleep>>>,
}

impl Throttle {
    pub(super) fn new(state: Arc<State>, of: Bytes, rates: Vec<(Scope, NonZeroU64)>) -> Self {
        Self { state, of, rates, waits: None }
    }
}

impl Brake for Throttle {
    fn poll_go(&mut self, context: &mut Context<'_>) -> Poll<()> {
        while !self.rates.is_empty() {
            if let Some(waits) = &mut self.waits {
                ready!(waits.as_mut().poll(context));
                self.waits = None;
            }
            // Others may have gone meanwhile.
            let Some(wait) = self.state.wait_for_bytes(self.of, &self.rates, clock::tick()) else { break };
            self.waits = Some(Box::pin(tokio::time::sleep(wait)));
        }
        Poll::Ready(())
    }

    fn went(&mut self, bytes: usize) {
        if !self.rates.is_empty() {
            self.state.count_bytes(self.of, &self.rates, bytes, clock::tick());
        }
    }
}

/// What an answer's bytes count for.
pub struct Meter {
    throttle: Throttle,
    windows: Vec<(Scope, Window)>,
}

impl Meter {
    /// Nothing where bytes count for nothing.
    pub(super) fn new(state: &Arc<State>, rates: Vec<(Scope, NonZeroU64)>, windows: Vec<(Scope, Window)>) -> Option<Box<Self>> {
        let counts = !rates.is_empty() || !windows.is_empty();
        counts.then(|| Box::new(Self { throttle: Throttle::new(Arc::clone(state), Bytes::Answers, rates), windows }))
    }

    fn count(&mut self, bytes: usize) -> Result<(), Stopped> {
        if !self.windows.is_empty() {
            self.throttle.state.spend(&self.windows, bytes as u64, clock::tick()).map_err(|spent| Stopped::of(&exhausted(&spent)))?;
        }
        self.throttle.went(bytes);
        Ok(())
    }
}

/// An answer whose bytes are counted, where they count.
pub struct Metered<B> {
    body: B,
    meter: Option<Box<Meter>>,
}

impl<B> Metered<B> {
    /// A body with what it counts for.
    pub fn new(body: B, meter: Option<Box<Meter>>) -> Self {
        Self { body, meter }
    }
}

impl<B> Body for Metered<B>
where
    B: Body<Data = Piece> + Unpin,
    B::Error: From<Stopped>,
{
    type Data = Piece;
    type Error = B::Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Piece>, B::Error>>> {
        let Self { body, meter } = &mut *self;
        let Some(meter) = meter else { return Pin::new(body).poll_frame(context) };
        ready!(meter.throttle.poll_go(context));
        let frame = ready!(Pin::new(body).poll_frame(context));
        let bytes = frame.as_ref().and_then(|frame| frame.as_ref().ok()?.data_ref()).map_or(0, Piece::len);
        Poll::Ready(match meter.count(bytes) {
            Ok(()) => frame,
            Err(over) => Some(Err(over.into())),
        })
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl<B: Told> Told for Metered<B> {
    fn clickhouse_code(&self) -> Option<u16> {
        self.body.clickhouse_code()
    }
}
