//! A request's body. What is not wanted of it is still taken for a while, because a caller that is writing reads no
//! answer, and a connection closed on unread bytes takes the answer with it (nginx calls this a lingering close).

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;
#[cfg(not(keyhouse_fuzz))]
use hyper::body::Incoming;
use tokio::runtime::Handle;

#[cfg(keyhouse_fuzz)]
use super::fuzzing::Incoming;
use super::pace::Pace;

/// How long an unwanted body is taken.
const LINGER: Duration = Duration::from_secs(30);

/// How long the next piece of it may take.
const NEXT: Duration = Duration::from_secs(5);

/// The body of a request, as it comes.
pub struct Arriving {
    /// What a connection brings, until its end has come, and the connection.
    incoming: Option<(Incoming, Pace)>,
    given: Bytes,
}

impl Arriving {
    pub(super) fn new(incoming: impl Into<Incoming>, pace: Pace) -> Self {
        Self { incoming: Some((incoming.into(), pace)), given: Bytes::new() }
    }

    /// A body without bytes.
    pub(crate) fn nothing() -> Self {
        Self::of(Bytes::new())
    }

    /// A body that no connection brings: of a request that is only tried.
    pub(crate) fn of(given: Bytes) -> Self {
        Self { incoming: None, given }
    }
}

impl Body for Arriving {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let Self { incoming, given } = &mut *self;
        let Some((coming, _)) = incoming else {
            return Poll::Ready(Some(std::mem::take(given)).filter(|given| !given.is_empty()).map(|given| Ok(Frame::data(given))));
        };
        let frame = ready!(Pin::new(coming).poll_frame(context));
        if frame.is_none() {
            *incoming = None;
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.as_ref().map_or(self.given.is_empty(), |(incoming, _)| incoming.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.as_ref().map_or_else(|| SizeHint::with_exact(self.given.len() as u64), |(incoming, _)| incoming.size_hint())
    }
}

impl Drop for Arriving {
    fn drop(&mut self) {
        let Some((incoming, pace)) = self.incoming.take().filter(|(incoming, _)| !incoming.is_end_stream()) else { return };
        pace.left_unread();
        if let Ok(runtime) = Handle::try_current() {
            runtime.spawn(tokio::time::timeout(LINGER, take(incoming)));
        }
    }
}

async fn take(mut incoming: Incoming) {
    while let Ok(Some(Ok(_unwanted))) = tokio::time::timeout(NEXT, incoming.frame()).await {}
}
