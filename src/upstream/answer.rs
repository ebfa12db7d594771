//! ClickHouse's answer: known headers, and frames as they come. A broken one breaks the caller's too.

use std::borrow::Cow;
use std::error::Error;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, TRANSFER_ENCODING, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};
use http_body::{Body, Frame, SizeHint};
use http_body_util::Full;
use hyper::body::Incoming;
use tokio::time::Sleep;

use super::kill::Sent;
use super::node::{Connection, Failure, Node};
use super::{Incomings, overdue};
use crate::admission::Slot;
use crate::record::{RequestId, Stopped, Told};
use crate::refusal::{Reason, Refusal};
use crate::sessions::Lease;
use crate::statement::Coding;

type BoxError = Box<dyn Error + Send + Sync>;

const EXCEPTION_CODE: HeaderName = HeaderName::from_static("x-clickhouse-exception-code");
/// What the query is called.
pub const QUERY_ID: HeaderName = HeaderName::from_static("x-clickhouse-query-id");
const SUMMARY: HeaderName = HeaderName::from_static("x-clickhouse-summary");

/// Headers of an answer that callers get. A statement can set any header in ClickHouse, so that the rest stays here.
const PASSED_ON: [HeaderName; 8] = [
    CONTENT_TYPE,
    CONTENT_ENCODING,
    EXCEPTION_CODE,
    QUERY_ID,
    SUMMARY,
    HeaderName::from_static("x-clickhouse-format"),
    HeaderName::from_static("x-clickhouse-timezone"),
    HeaderName::from_static("x-clickhouse-exception-tag"),
];

/// A piece of so many bytes goes on as it is.
const LARGE: usize = 16 * 1024;

/// Most bytes that are put together, unless the last piece is longer.
const TOGETHER: usize = 32 * 1024;

/// Room for the headers of an answer, with those that others add.
const ANSWERED: usize = 16;

/// The beginning of an answer, and its body to come.
pub struct Answer<B = AnswerBody> {
    /// What goes to the caller.
    pub response: Response<B>,
    /// The node that answered, where ClickHouse was asked.
    pub node: Option<Arc<str>>,
    /// The query's id in ClickHouse.
    pub query_id: Option<HeaderValue>,
    /// Parameters of the caller that were not sent on.
    pub ignored: Vec<Cow<'static, str>>,
    /// `X-ClickHouse-Summary`, where it was sent.
    pub summary: Option<HeaderValue>,
}

impl Answer {
    pub(super) fn new(
        response: Incomings,
        connection: Connection,
        node: Arc<Node>,
        id: &RequestId,
        ignored: Vec<Cow<'static, str>>,
        coding: Option<Coding>,
        mut sent: Sent,
    ) -> Result<Self, Refusal> {
        let (head, body) = response.into_parts();
        let code = code_in_header(&head.headers);
        // A 401 of ClickHouse is about our credential; passed on, it would send callers off to renew their tokens.
        if matches!(code, Some(192..=194 | 516)) || head.status == StatusCode::UNAUTHORIZED {
            sent.ended();
            return Err(super::settings::failed(code.or(Some(516)), b"").refusal(&node));
        }
        // An answer that ends with its connection looks whole when it is cut.
        if !head.headers.contains_key(CONTENT_LENGTH) && !head.headers.contains_key(TRANSFER_ENCODING) {
            return Err(Failure::new(Reason::UpstreamBroken, "ClickHouse's answer does not say where it ends.").refusal(&node));
        }
        let coded = head.headers.get(CONTENT_ENCODING);
        if coded.is_some_and(|coded| coding.is_none_or(|coding| coded != coding.name())) {
            return Err(Failure::new(Reason::UpstreamBroken, "ClickHouse's answer is in a coding that was not asked for.").refusal(&node));
        }
        let query_id = head.headers.get(&QUERY_ID).cloned().or_else(|| HeaderValue::from_str(id.as_str()).ok());
        let summary = head.headers.get(&SUMMARY).cloned();
        let shown = Arc::clone(node.shown());
        let mut response = Response::new(AnswerBody::Flowing(Box::new(Flowing::new(body, connection, node, code, head.status, sent))));
        *response.status_mut() = head.status;
        response.headers_mut().reserve(ANSWERED);
        for (name, value) in &head.headers {
            // A name of ours, which keeps nothing of what was read, and the first of several.
            if let Some(name) = PASSED_ON.iter().find(|known| *known == name) {
                response.headers_mut().entry(name).or_insert_with(|| value.clone());
            }
        }
        response.headers_mut().insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        Ok(Self { response, node: Some(shown), query_id, ignored, summary })
    }

    /// The same, with what is given back at its end, and the time when that has to be.
    pub(super) fn holding(mut self, slot: Option<Slot>, session: Option<Box<Lease>>, deadline: Option<Instant>) -> Self {
        if let AnswerBody::Flowing(flowing) = self.response.body_mut() {
            flowing.slot = slot;
            flowing.session = session;
            flowing.deadline = deadline.map(|deadline| Box::pin(tokio::time::sleep_until(deadline.into())));
        }
        self
    }

    /// What ClickHouse answers to `/ping`.
    pub(super) fn pong() -> Self {
        Self::own(Bytes::from_static(b"Ok.\n"), "text/html; charset=UTF-8")
    }

    /// That there is nothing to say (204).
    pub fn nothing() -> Self {
        let mut response = Response::new(AnswerBody::Whole(Full::default()));
        *response.status_mut() = StatusCode::NO_CONTENT;
        Self { response, node: None, query_id: None, ignored: Vec::new(), summary: None }
    }

    /// A document of ours.
    pub fn json(document: Bytes) -> Self {
        Self::own(document, "application/json")
    }

    fn own(body: Bytes, kind: &'static str) -> Self {
        let mut response = Response::new(AnswerBody::Whole(Full::new(body)));
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
        Self { response, node: None, query_id: None, ignored: Vec::new(), summary: None }
    }
}

impl<B> Answer<B> {
    /// The same with another body.
    pub fn with<C>(self, body: impl FnOnce(B) -> C) -> Answer<C> {
        let Self { response, node, query_id, ignored, summary } = self;
        Answer { response: response.map(body), node, query_id, ignored, summary }
    }
}

/// The ClickHouse error in the head.
pub(super) fn code_in_header(headers: &HeaderMap) -> Option<u16> {
    headers.get(EXCEPTION_CODE)?.to_str().ok()?.parse().ok()
}

/// The ClickHouse error at the beginning of a body, as servers before 20 tell it: `Code: 62, e.displayText() = ...`.
pub(super) fn code_in_text(body: &[u8]) -> Option<u16> {
    let digits: Vec<u8> = body.strip_prefix(b"Code: ")?.iter().copied().take_while(u8::is_ascii_digit).take(5).collect();
    std::str::from_utf8(&digits).ok()?.parse().ok()
}

/// A body for callers: ours, whole, or ClickHouse's, as it comes.
pub enum AnswerBody {
    /// Written here.
    Whole(Full<Bytes>),
    /// From ClickHouse.
    Flowing(Box<Flowing>),
}

impl AnswerBody {
    /// Takes what has to be held until the last of it has left, for who passes it on.
    pub fn take_slot(&mut self) -> Option<Slot> {
        match self {
            Self::Whole(_) => None,
            Self::Flowing(flowing) => flowing.slot.take(),
        }
    }
}

/// Frames of an answer. Dropped before its end it takes the connection with it, which is how ClickHouse learns that
/// the caller left.
pub struct Flowing {
    incoming: Incoming,
    connection: Option<(Connection, Arc<Node>)>,
    stall_timeout: Duration,
    /// Since when something is waited for, and what ends that; made when something has to be.
    stalled: Option<Pin<Box<Sleep>>>,
    code: Option<u16>,
    /// Whether the next piece may begin with an error's text.
    expects_error: bool,
    /// What came behind the last piece that was given.
    behind: Option<Behind>,
    /// When it has to be over.
    deadline: Option<Pin<Box<Sleep>>>,
    /// The statement, until its answer has ended.
    sent: Sent,
    /// Free when this is dropped: the last of the answer was taken, or its caller has left.
    slot: Option<Slot>,
    /// The session that it runs in.
    session: Option<Box<Lease>>,
}

/// What ends an answer.
enum Behind {
    End,
    Broken(BoxError),
}

/// No frame in time.
#[derive(Debug, thiserror::Error)]
#[error("ClickHouse sent nothing for {0:?} in the middle of an answer")]
struct Stalled(Duration);

type Piece = Option<Result<Bytes, BoxError>>;

impl Flowing {
    fn new(incoming: Incoming, connection: Connection, node: Arc<Node>, code: Option<u16>, status: StatusCode, sent: Sent) -> Self {
        let (stall_timeout, connection) = (node.stall_timeout, Some((connection, node)));
        let expects_error = code.is_none() && !status.is_success();
        Self {
            incoming,
            connection,
            stall_timeout,
            stalled: None,
            code,
            expects_error,
            behind: None,
            deadline: None,
            sent,
            slot: None,
            session: None,
        }
    }

    /// The next bytes. ClickHouse writes small chunks: what is there of them goes on as one, so that it costs one TLS record
    /// and not many; nothing is waited for.
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Piece> {
        match self.behind.take() {
            Some(Behind::End) => {
                self.behind = Some(Behind::End);
                return Poll::Ready(None);
            }
            Some(Behind::Broken(error)) => return Poll::Ready(Some(Err(error))),
            None => {}
        }
        if let Some(deadline) = &mut self.deadline
            && deadline.as_mut().poll(context).is_ready()
        {
            return Poll::Ready(Some(Err(Stopped::of(&overdue()).into())));
        }
        let first = match self.poll_piece(context) {
            Poll::Ready(Some(Ok(first))) => first,
            Poll::Ready(Some(Err(error))) => return Poll::Ready(Some(Err(error))),
            Poll::Ready(None) => return Poll::Ready(None),
            Poll::Pending => return self.poll_stalled(context).map(|stalled| Some(Err(stalled.into()))),
        };
        self.stalled = None;
        if std::mem::take(&mut self.expects_error) {
            self.code = code_in_text(&first);
        }
        Poll::Ready(Some(Ok(if first.len() < LARGE { self.with_what_is_there(first, context) } else { first })))
    }

    fn with_what_is_there(&mut self, first: Bytes, context: &mut Context<'_>) -> Bytes {
        let mut together = BytesMut::new();
        while together.len() < TOGETHER {
            match self.poll_piece(context) {
                Poll::Ready(Some(Ok(piece))) => {
                    if together.is_empty() {
                        together.reserve(TOGETHER);
                        together.extend_from_slice(&first);
                    }
                    together.extend_from_slice(&piece);
                }
                Poll::Ready(Some(Err(error))) => {
                    self.behind = Some(Behind::Broken(error));
                    break;
                }
                Poll::Ready(None) => {
                    self.behind = Some(Behind::End);
                    break;
                }
                Poll::Pending => break,
            }
        }
        if together.is_empty() { first } else { together.freeze() }
    }

    /// The next frame's bytes, as far as they are there.
    fn poll_piece(&mut self, context: &mut Context<'_>) -> Poll<Piece> {
        loop {
            let mut polled = Pin::new(&mut self.incoming).poll_frame(context);
            if let (Poll::Pending, Some((connection, _))) = (&polled, &mut self.connection) {
                connection.drive(context);
                polled = Pin::new(&mut self.incoming).poll_frame(context);
            }
            let frame = ready!(polled);
            let ended = frame.is_none() || (matches!(frame, Some(Ok(_))) && self.incoming.is_end_stream());
            if ended && let Some((connection, node)) = self.connection.take() {
                self.sent.ended();
                node.keep(connection);
            }
            match frame.map(|frame| frame.map(Frame::into_data)) {
                Some(Ok(Ok(piece))) => return Poll::Ready(Some(Ok(piece))),
                // Trailers of an upstream are nothing that we promised to pass on.
                Some(Ok(Err(_trailers))) => {}
                Some(Err(error)) => return Poll::Ready(Some(Err(error.into()))),
                None => return Poll::Ready(None),
            }
        }
    }

    fn poll_stalled(&mut self, context: &mut Context<'_>) -> Poll<Stalled> {
        let timeout = self.stall_timeout;
        let stalled = self.stalled.get_or_insert_with(|| Box::pin(tokio::time::sleep(timeout)));
        stalled.as_mut().poll(context).map(|()| Stalled(timeout))
    }

    fn is_over(&self) -> bool {
        match self.behind {
            Some(Behind::End) => true,
            Some(Behind::Broken(_)) => false,
            None => self.incoming.is_end_stream(),
        }
    }
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        match &mut *self {
            AnswerBody::Whole(whole) => Pin::new(whole).poll_frame(context).map_err(|never| match never {}),
            AnswerBody::Flowing(flowing) => flowing.poll(context).map_ok(Frame::data),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            AnswerBody::Whole(whole) => whole.is_end_stream(),
            AnswerBody::Flowing(flowing) => flowing.is_over(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            AnswerBody::Whole(whole) => whole.size_hint(),
            AnswerBody::Flowing(flowing) if flowing.is_over() => SizeHint::with_exact(0),
            AnswerBody::Flowing(flowing) => flowing.incoming.size_hint(),
        }
    }
}

impl Told for AnswerBody {
    fn clickhouse_code(&self) -> Option<u16> {
        match self {
            AnswerBody::Whole(_) => None,
            AnswerBody::Flowing(flowing) => flowing.code,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_old_servers_error_is_read_from_its_text() {
        assert_eq!(code_in_text(b"Code: 62, e.displayText() = DB::Exception: Syntax error"), Some(62));
        assert_eq!(code_in_text(b"Code: x"), None);
        assert_eq!(code_in_text(b"1\n"), None);
    }
}
