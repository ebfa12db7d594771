//! The outgoing request, built from nothing: a permit, the canonical text, the mapped credential, known parameters.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::error::Error;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::{ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_TYPE, HOST, USER_AGENT};
use http::{HeaderName, HeaderValue, Method, Request, Uri};
use http_body::{Body, Frame, SizeHint};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::form::Form;
use super::node::{Failure, Node};
use super::{Outgoing, User};
use crate::policy::Permitted;
use crate::record::RequestId;
use crate::refusal::{Reason, Refusal};
use crate::statement::{Address, Coding, Cut, Data, Turn};

/// Not `Authorization`: with these two, any other credential on the same request is an error in ClickHouse.
const USER: HeaderName = HeaderName::from_static("x-clickhouse-user");
const KEY: HeaderName = HeaderName::from_static("x-clickhouse-key");

const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");
const AGENT: HeaderValue = HeaderValue::from_static(concat!("keyhouse/", env!("CARGO_PKG_VERSION")));

/// Room for the headers that we write and those that the HTTP library adds.
const HEADERS: usize = 8;

/// Room for the address of most requests, in bytes.
const USUAL_TARGET: usize = 512;

/// What an address needs to have encoded: all but RFC 3986's unreserved characters.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The database that every user may name, on servers with `allow_databases` too.
const EVERYBODYS: &str = "system";

/// Longest address, in bytes: what the HTTP library takes, and a sixteenth of what ClickHouse does.
const LONGEST_ADDRESS: usize = 60 * 1024;

/// Values of parameters that are longer together, in bytes, go as fields of a form.
const LONG_VALUES: usize = 16 * 1024;

/// A body for ClickHouse.
pub(super) enum OutgoingBody {
    /// A statement; nothing once it is sent.
    One(Bytes),
    /// All of it.
    Whole(VecDeque<Bytes>),
    /// The head of an INSERT, or nothing where that is in the address, and its data.
    Data(Bytes, Box<Data>),
}

impl OutgoingBody {
    /// Whose turn it is, where the caller has a part in that.
    pub(super) fn turn(&self) -> Option<Turn> {
        match self {
            Self::One(_) | Self::Whole(_) => None,
            Self::Data(_, data) => Some(data.turn()),
        }
    }

    /// The data, where the request was not sent at all.
    pub(super) fn into_data(self) -> Option<Box<Data>> {
        match self {
            Self::One(_) | Self::Whole(_) => None,
            Self::Data(_, data) => Some(data),
        }
    }
}

impl Body for OutgoingBody {
    type Data = Bytes;
    type Error = Cut;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Cut>>> {
        match &mut *self {
            Self::One(statement) if statement.is_empty() => Poll::Ready(None),
            Self::One(statement) => Poll::Ready(Some(Ok(Frame::data(std::mem::take(statement))))),
            Self::Whole(pieces) => Poll::Ready(pieces.pop_front().map(|piece| Ok(Frame::data(piece)))),
            Self::Data(head, data) if head.is_empty() => Pin::new(data.as_mut()).poll_frame(context),
            Self::Data(head, _) => Poll::Ready(Some(Ok(Frame::data(std::mem::take(head))))),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::One(statement) => statement.is_empty(),
            Self::Whole(pieces) => pieces.is_empty(),
            Self::Data(head, data) => head.is_empty() && data.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::One(statement) => SizeHint::with_exact(statement.len() as u64),
            Self::Whole(pieces) => SizeHint::with_exact(pieces.iter().map(|piece| piece.len() as u64).sum()),
            Self::Data(head, data) => match data.size_hint().exact() {
                Some(exact) => SizeHint::with_exact(exact + head.len() as u64),
                None => SizeHint::default(),
            },
        }
    }
}

/// The request for a permitted statement, with the data that follows it.
pub(super) fn build(
    permitted: &Permitted,
    data: Option<Box<Data>>,
    id: &RequestId,
    user: &User,
    node: &Node,
    settings: &[(&str, Cow<'_, str>)],
) -> Result<Outgoing, Refusal> {
    let understood = permitted.understood();
    let mut target = Target::new();
    target.add("database", permitted.permit().database());
    target.add("query_id", id.as_str());
    target.add_answer(understood.address());
    for role in permitted.permit().roles() {
        target.add("role", role);
    }
    if let Some(key) = permitted.permit().quota_key() {
        target.add("quota_key", key);
    }
    if let Some(session) = permitted.permit().session() {
        target.add("session_id", session.id.as_str());
        target.add("session_timeout", &session.timeout.as_secs().to_string());
        if session.check {
            target.add("session_check", "1");
        }
    }
    for (name, value) in settings {
        target.add(name, value);
    }
    let mut request = with_body(permitted, data, id, user, node, target)?;
    if let Some(coding) = coding(permitted) {
        request.headers_mut().insert(ACCEPT_ENCODING, HeaderValue::from_static(coding.name()));
    }
    Ok(request)
}

/// The request that ends queries of the caller's: in its place, and maybe by another user.
pub(super) fn killing(
    permitted: &Permitted,
    text: &str,
    id: &RequestId,
    user: &User,
    node: &Node,
    comment: Option<(&str, String)>,
) -> Result<Outgoing, Refusal> {
    let (permit, mut target) = (permitted.permit(), Target::new());
    target.add("database", EVERYBODYS);
    target.add("query_id", id.as_str());
    target.add_answer(permitted.understood().address());
    for role in permit.roles().iter().filter(|_| user.config.name == **permit.act_as()) {
        target.add("role", role);
    }
    if let Some((name, value)) = comment {
        target.add(name, &value);
    }
    Ok(request(user, node, target.finish()?, TEXT, OutgoingBody::One(Bytes::copy_from_slice(text.as_bytes()))))
}

/// The coding that the answer may come in. One that is given again is asked for in none: errors in it would not be seen, and not every
/// caller takes the same.
pub(super) fn coding(permitted: &Permitted) -> Option<Coding> {
    permitted.understood().address().accepts().filter(|_| permitted.permit().answers().is_none())
}

fn with_body(
    permitted: &Permitted,
    data: Option<Box<Data>>,
    id: &RequestId,
    user: &User,
    node: &Node,
    mut target: Target,
) -> Result<Outgoing, Refusal> {
    let understood = permitted.understood();
    let values = values(permitted);
    let canonical = || Bytes::copy_from_slice(understood.statement().canonical().as_bytes());
    let long = values.iter().map(|(_, value)| value.len()).sum::<usize>() > LONG_VALUES;
    if data.is_none() && (long || !understood.uploads().is_empty()) {
        let form = Form::new(id, canonical(), &values, understood.uploads());
        let kind = HeaderValue::try_from(form.content_type()).map_err(|error| unbuilt(error.into()))?;
        return Ok(request(user, node, target.finish()?, kind, OutgoingBody::Whole(form.into_pieces())));
    }
    for (name, value) in values {
        target.add(&name, value);
    }
    Ok(match data {
        None => request(user, node, target.finish()?, TEXT, OutgoingBody::One(canonical())),
        Some(data) if data.codings().is_empty() => request(user, node, target.finish()?, TEXT, OutgoingBody::Data(canonical(), data)),
        Some(data) => {
            target.add("query", understood.statement().canonical());
            if data.codings().contains(&Coding::Blocks) {
                target.add("decompress", "1");
            }
            coded(user, node, target.finish()?, data)
        }
    })
}

fn unbuilt(error: http::Error) -> Refusal {
    Refusal::new(Reason::Internal, "The request to ClickHouse cannot be built.").because(error)
}

/// Values of the statement's parameters. An identifier's stands in the text already.
fn values(permitted: &Permitted) -> Vec<(String, &str)> {
    let (reach, given) = (permitted.understood().statement().reach(), permitted.understood().address().parameters());
    let used = reach.parameters.iter().filter(|(_, kind)| kind.as_str() != "Identifier");
    used.filter_map(|(name, _)| given.get(name).map(|value| (format!("param_{name}"), value.as_str()))).collect()
}

/// The request for data that goes on as it came: its head is in the address, as it was.
fn coded(user: &User, node: &Node, target: Uri, data: Box<Data>) -> Outgoing {
    let coding = data.codings().iter().find(|coding| **coding != Coding::Blocks).copied();
    let mut request = request(user, node, target, TEXT, OutgoingBody::Data(Bytes::new(), data));
    if let Some(coding) = coding {
        request.headers_mut().insert(CONTENT_ENCODING, HeaderValue::from_static(coding.name()));
    }
    request
}

/// A request that nobody sends.
pub struct Written {
    pub(super) request: Outgoing,
    pub(super) id: RequestId,
    /// What the caller asks for and is not sent on.
    pub(super) ignored: Vec<Cow<'static, str>>,
}

/// A request as it would be sent, for people.
pub struct Preview {
    /// Method and address.
    pub line: String,
    /// Header fields; of the credential only that it is there.
    pub headers: Vec<(String, String)>,
    /// What follows them.
    pub body: String,
    /// What the caller asks for and is not sent on.
    pub ignored: Vec<Cow<'static, str>>,
}

impl Written {
    /// The request without the secret.
    pub fn preview(self) -> Preview {
        let Self { request, id, ignored } = self;
        let (head, body) = request.into_parts();
        let named = |text: &str| text.replace(id.as_str(), "REQUEST-ID");
        let value = |value: &HeaderValue| if value.is_sensitive() { "(secret)".to_owned() } else { named(value.to_str().unwrap_or_default()) };
        let body = match body {
            OutgoingBody::One(statement) => String::from_utf8_lossy(&statement).into_owned(),
            OutgoingBody::Whole(pieces) => pieces.iter().map(|piece| String::from_utf8_lossy(piece).into_owned()).collect(),
            OutgoingBody::Data(head, _) => String::from_utf8_lossy(&head).into_owned(),
        };
        Preview {
            line: format!("{} {}", head.method, named(&head.uri.to_string())),
            headers: head.headers.iter().map(|(name, text)| (name.to_string(), value(text))).collect(),
            body: named(&body),
            ignored,
        }
    }
}

/// A question of our own, as for the settings that the server has for this user.
pub(super) fn question(user: &User, node: &Node, sql: String, role: Option<&str>) -> Result<Outgoing, Failure> {
    let mut target = Target::new();
    target.add("database", EVERYBODYS);
    if let Some(role) = role {
        target.add("role", role);
    }
    let unbuilt = |cause: Box<dyn Error + Send + Sync>| Failure::new(Reason::Internal, "The request to ClickHouse cannot be built.").because(cause);
    let target = target.finish().map_err(|refusal| unbuilt(refusal.says().into()))?;
    Ok(request(user, node, target, TEXT, OutgoingBody::One(Bytes::from(sql))))
}

/// The path and the parameters.
struct Target(String);

impl Target {
    fn new() -> Self {
        let mut target = String::with_capacity(USUAL_TARGET);
        target.push('/');
        Self(target)
    }

    fn add(&mut self, name: &str, value: &str) {
        self.0.push(if self.0.len() == 1 { '?' } else { '&' });
        self.0.push_str(name);
        self.0.push('=');
        self.0.extend(utf8_percent_encode(value, ENCODED));
    }

    /// How the caller reads the answer.
    fn add_answer(&mut self, address: &Address) {
        if let Some(format) = address.default_format() {
            self.add("default_format", format);
        }
        if address.wants_blocks() {
            self.add("compress", "1");
        }
    }

    fn finish(self) -> Result<Uri, Refusal> {
        if self.0.len() > LONGEST_ADDRESS {
            let says = "The values of the statement's parameters and settings, or the head of an INSERT with compressed data, are too long; send the head in the body.";
            return Err(Refusal::new(Reason::StatementTooLong, says));
        }
        Uri::try_from(self.0).map_err(|error| unbuilt(error.into()))
    }
}

fn request(user: &User, node: &Node, target: Uri, content_type: HeaderValue, body: OutgoingBody) -> Outgoing {
    // Only a config that was refused has none.
    let (name, key) = user.credential.clone().unwrap_or((HeaderValue::from_static(""), HeaderValue::from_static("")));
    let mut request = Request::new(body);
    *request.method_mut() = Method::POST;
    *request.uri_mut() = target;
    let headers = request.headers_mut();
    headers.reserve(HEADERS);
    headers.insert(HOST, node.authority().clone());
    headers.insert(USER, name);
    headers.insert(KEY, key);
    headers.insert(CONTENT_TYPE, content_type);
    headers.insert(USER_AGENT, AGENT);
    request
}
