//! Doors for tests/fuzz: bodies that no connection brings, and what proxies say.

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};
use ipnet::IpNet;

use super::pace::Pace;
use super::{Arriving, origin};

/// What a body comes from.
#[derive(Debug)]
pub enum Incoming {
    /// A connection, as always.
    Connection(hyper::body::Incoming),
    /// These frames, each after a wait, and whether the next has been waited for.
    Frames(VecDeque<Bytes>, bool),
}

impl From<hyper::body::Incoming> for Incoming {
    fn from(incoming: hyper::body::Incoming) -> Self {
        Self::Connection(incoming)
    }
}

impl Body for Incoming {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        match self.get_mut() {
            Self::Connection(incoming) => Pin::new(incoming).poll_frame(context),
            Self::Frames(frames, waited) => {
                *waited = !*waited;
                if *waited && !frames.is_empty() {
                    context.waker().wake_by_ref();
                    return Poll::Pending;
                }
                Poll::Ready(frames.pop_front().map(|frame| Ok(Frame::data(frame))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Connection(incoming) => incoming.is_end_stream(),
            Self::Frames(frames, _) => frames.is_empty(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Connection(incoming) => incoming.size_hint(),
            Self::Frames(frames, _) => SizeHint::with_exact(frames.iter().map(|frame| frame.len() as u64).sum()),
        }
    }
}

/// A body that comes in these frames.
pub fn arriving(frames: impl IntoIterator<Item = Bytes>) -> Arriving {
    Arriving::new(Incoming::Frames(frames.into_iter().collect(), false), Pace::new()).0
}

/// What a PROXY header at the beginning of these bytes tells, and how many bytes it took.
///
/// # Errors
/// A sentence for the log.
pub fn proxy_header(bytes: &[u8]) -> Result<(Option<SocketAddr>, usize), String> {
    let mut stream = bytes;
    // A slice has all its bytes at once, so that nothing is waited for.
    let told = pin!(origin::proxy_header(&mut stream)).poll(&mut Context::from_waker(Waker::noop()));
    let Poll::Ready(told) = told else { return Err("it waits for more".to_owned()) };
    told.map(|told| (told, bytes.len() - stream.len()))
}

/// Where a request of this peer comes from by these headers; nothing where they cannot be read.
pub fn forwarded(peer: IpAddr, headers: &HeaderMap, trusted: &[IpNet]) -> Option<IpAddr> {
    origin::forwarded(peer, headers, trusted).ok()
}
