//! A request's body. What is not wanted of it is still taken for a while, because a caller that is writing reads no
//! answer, and a connection closed on unread bytes takes the answer with it (nginx calls this a lingering close). The
//! answer itself waits for a moment: curl, on HTTP/2, cuts the body short where a refusal comes before it was sent, and
//! then loses the answer to the protocol error that this is.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;
#[cfg(not(keyhouse_fuzz))]
use hyper::body::Incoming;
use tokio::runtime::Handle;
use tokio::sync::oneshot;

#[cfg(keyhouse_fuzz)]
use super::fuzzing::Incoming;
use super::pace::Pace;

/// How long an unwanted body is taken.
const LINGER: Duration = Duration::from_secs(30);

/// How long the next piece of it may take.
const NEXT: Duration = Duration::from_secs(5);

/// How long an answer waits for it, and for how many bytes: any statement's that is on its way.
const MOMENT: Duration = Duration::from_millis(250);
const SHORT: usize = 64 * 1024;

/// The body of a request, as it comes.
pub struct Arriving {
    /// What a connection brings, until its end has come.
    incoming: Option<Coming>,
    given: Bytes,
}

struct Coming {
    body: Incoming,
    connection: Pace,
    /// Who answers the request.
    answers: oneshot::Sender<Incoming>,
}

/// What is unwanted of a body, for who answers the request.
pub(super) struct Unwanted(oneshot::Receiver<Incoming>);

impl Unwanted {
    /// Takes a short rest of a body whose caller sends it without being told to; what is long is taken behind the answer.
    pub(super) async fn taken(mut self) {
        let Ok(mut body) = self.0.try_recv() else { return };
        let mut left = SHORT;
        let all = async {
            while let Some(Ok(frame)) = body.frame().await {
                left = left.saturating_sub(frame.data_ref().map_or(0, Bytes::len));
                if left == 0 {
                    return false;
                }
            }
            true
        };
        if !tokio::time::timeout(MOMENT, all).await.unwrap_or(false) {
            take_behind(body);
        }
    }
}

impl Arriving {
    /// The body, and what is left of it for who answers.
    pub(super) fn new(body: impl Into<Incoming>, connection: Pace) -> (Self, Unwanted) {
        let (answers, unwanted) = oneshot::channel();
        (Self { incoming: Some(Coming { body: body.into(), connection, answers }), given: Bytes::new() }, Unwanted(unwanted))
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
        let Some(coming) = incoming else {
            return Poll::Ready(Some(std::mem::take(given)).filter(|given| !given.is_empty()).map(|given| Ok(Frame::data(given))));
        };
        let frame = ready!(Pin::new(&mut coming.body).poll_frame(context));
        if frame.is_none() {
            *incoming = None;
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.as_ref().map_or(self.given.is_empty(), |coming| coming.body.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.as_ref().map_or_else(|| SizeHint::with_exact(self.given.len() as u64), |coming| coming.body.size_hint())
    }
}

impl Drop for Arriving {
    fn drop(&mut self) {
        let Some(Coming { body, connection, answers }) = self.incoming.take().filter(|coming| !coming.body.is_end_stream()) else { return };
        connection.left_unread();
        if let Err(body) = answers.send(body) {
            // It was answered already.
            take_behind(body);
        }
    }
}

fn take_behind(body: Incoming) {
    if let Ok(runtime) = Handle::try_current() {
        runtime.spawn(tokio::time::timeout(LINGER, take(body)));
    }
}

async fn take(mut incoming: Incoming) {
    while let Ok(Some(Ok(_unwanted))) = tokio::time::timeout(NEXT, incoming.frame()).await {}
}
