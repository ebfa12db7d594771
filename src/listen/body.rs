//! A request's body. What is not wanted of it is still taken for a while, because a caller that is writing reads no
//! answer, and a connection closed on unread bytes takes the answer with it (nginx calls this a lingering close).

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;
#[cfg(not(keyhouse_fuzz))]
use hyper::body::Incoming;
use tokio::runtime::Handle;

#[cfg(keyhouse_fuzz)]
use super::fuzzing::Incoming;

/// How long an unwanted body is taken.
const LINGER: Duration = Duration::from_secs(30);

/// How long the next piece of it may take.
const NEXT: Duration = Duration::from_secs(5);

/// The body of a request, as it comes.
pub struct Arriving(Option<Incoming>, Bytes);

impl Arriving {
    pub(super) fn new(incoming: impl Into<Incoming>) -> Self {
        Self(Some(incoming.into()), Bytes::new())
    }

    /// A body without bytes.
    pub(crate) fn nothing() -> Self {
        Self(None, Bytes::new())
    }

    /// A body that no connection brings: of a request that is only tried.
    pub(crate) fn of(bytes: Bytes) -> Self {
        Self(None, bytes)
    }
}

impl Body for Arriving {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let Self(incoming, given) = &mut *self;
        match incoming {
            Some(incoming) => Pin::new(incoming).poll_frame(context),
            None if given.is_empty() => Poll::Ready(None),
            None => Poll::Ready(Some(Ok(Frame::data(std::mem::take(given))))),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.0.as_ref().map_or(self.1.is_empty(), Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.0.as_ref().map_or_else(|| SizeHint::with_exact(self.1.len() as u64), Body::size_hint)
    }
}

impl Drop for Arriving {
    fn drop(&mut self) {
        if let Some(incoming) = self.0.take().filter(|incoming| !incoming.is_end_stream())
            && let Ok(runtime) = Handle::try_current()
        {
            runtime.spawn(tokio::time::timeout(LINGER, take(incoming)));
        }
    }
}

async fn take(mut incoming: Incoming) {
    while let Ok(Some(Ok(_unwanted))) = tokio::time::timeout(NEXT, incoming.frame()).await {}
}
