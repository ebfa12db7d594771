//! The outgoing request, built from nothing: a permit, the canonical text, the mapped credential, known parameters.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE, HOST, USER_AGENT};
use http::{HeaderName, HeaderValue, Request};
use http_body::{Body, Frame, SizeHint};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::form::Form;
use super::node::{Failure, Node};
use super::{Outgoing, User};
use crate::policy::Permitted;
use crate::record::RequestId;
use crate::refusal::{Reason, Refusal};
use crate::statement::{Coding, Cut, Data, Turn};

/// Not `Authorization`: with these two, any other credential on the same request is an error in ClickHouse.
const USER: HeaderName = HeaderName::from_static("x-clickhouse-user");
const KEY: HeaderName = HeaderName::from_static("x-clickhouse-key");

const TEXT: &str = "text/plain; charset=utf-8";

/// What an address needs to have encoded: all but RFC 3986's unreserved characters.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Longest address, in bytes: what the HTTP library takes, and a sixteenth of what ClickHouse does.
const LONGEST_ADDRESS: usize = 60 * 1024;

/// Values of parameters that are longer together, in bytes, go as fields of a form.
const LONG_VALUES: usize = 16 * 1024;

/// A body for ClickHouse.
pub(super) enum OutgoingBody {
    /// All of it.
    Whole(VecDeque<Bytes>),
    /// The head of an INSERT, or nothing where that is in the address, and its data.
    Data(Bytes, Box<Data>),
}

impl OutgoingBody {
    /// Whose turn it is, where the caller has a part in that.
    pub(super) fn turn(&self) -> Option<Turn> {
        match self {
            Self::Whole(_) => None,
            Self::Data(_, data) => Some(data.turn()),
        }
    }

    /// The data, where the request was not sent at all.
    pub(super) fn into_data(self) -> Option<Box<Data>> {
        match self {
            Self::Whole(_) => None,
            Self::Data(_, data) => Some(data),
        }
    }
}

impl Body for OutgoingBody {
    type Data = Bytes;
    type Error = Cut;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Cut>>> {
        match &mut *self {
            Self::Whole(pieces) => Poll::Ready(pieces.pop_front().map(|piece| Ok(Frame::data(piece)))),
            Self::Data(head, data) if head.is_empty() => Pin::new(data.as_mut()).poll_frame(context),
            Self::Data(head, _) => Poll::Ready(Some(Ok(Frame::data(std::mem::take(head))))),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Whole(pieces) => pieces.is_empty(),
            Self::Data(head, data) => head.is_empty() && data.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
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
    let mut parameters = vec![("database", permitted.permit().database()), ("query_id", id.as_str())];
    if let Some(format) = understood.address().default_format() {
        parameters.push(("default_format", format));
    }
    parameters.extend(permitted.permit().roles().iter().map(|role| ("role", role.as_str())));
    parameters.extend(permitted.permit().quota_key().map(|key| ("quota_key", key)));
    parameters.extend(settings.iter().map(|(name, value)| (*name, value.as_ref())));
    let values = values(permitted);
    let canonical = || Bytes::copy_from_slice(understood.statement().canonical().as_bytes());
    let long = values.iter().map(|(_, value)| value.len()).sum::<usize>() > LONG_VALUES;
    if data.is_none() && (long || !understood.uploads().is_empty()) {
        let form = Form::new(id, canonical(), &values, understood.uploads());
        return request(user, node, address(&parameters)?, &form.content_type(), OutgoingBody::Whole(form.into_pieces())).map_err(unbuilt);
    }
    parameters.extend(values.iter().map(|(name, value)| (name.as_str(), *value)));
    match data {
        None => request(user, node, address(&parameters)?, TEXT, OutgoingBody::Whole(VecDeque::from([canonical()]))),
        Some(data) if data.codings().is_empty() => request(user, node, address(&parameters)?, TEXT, OutgoingBody::Data(canonical(), data)),
        Some(data) => {
            parameters.push(("query", understood.statement().canonical()));
            parameters.extend(data.codings().contains(&Coding::Blocks).then_some(("decompress", "1")));
            coded(user, node, address(&parameters)?, data)
        }
    }
    .map_err(unbuilt)
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
fn coded(user: &User, node: &Node, address: String, data: Box<Data>) -> Result<Outgoing, http::Error> {
    let coding = data.codings().iter().find(|coding| **coding != Coding::Blocks).copied();
    let mut request = request(user, node, address, TEXT, OutgoingBody::Data(Bytes::new(), data))?;
    if let Some(coding) = coding {
        request.headers_mut().insert(CONTENT_ENCODING, HeaderValue::from_static(coding.name()));
    }
    Ok(request)
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

impl Preview {
    pub(super) fn of(request: Outgoing, id: &RequestId, ignored: Vec<Cow<'static, str>>) -> Self {
        let (head, body) = request.into_parts();
        let named = |text: &str| text.replace(id.as_str(), "REQUEST-ID");
        let value = |value: &HeaderValue| if value.is_sensitive() { "(secret)".to_owned() } else { named(value.to_str().unwrap_or_default()) };
        let body = match body {
            OutgoingBody::Whole(pieces) => pieces.iter().map(|piece| String::from_utf8_lossy(piece).into_owned()).collect(),
            OutgoingBody::Data(head, _) => String::from_utf8_lossy(&head).into_owned(),
        };
        Self {
            line: format!("{} {}", head.method, named(&head.uri.to_string())),
            headers: head.headers.iter().map(|(name, text)| (name.to_string(), value(text))).collect(),
            body: named(&body),
            ignored,
        }
    }
}

/// A question of our own, as for the settings that the server has for this user.
pub(super) fn question(user: &User, node: &Node, sql: String, role: Option<&str>) -> Result<Outgoing, Failure> {
    // The one that every user may name, on servers with `allow_databases` too.
    let mut address = "/?database=system".to_owned();
    if let Some(role) = role {
        address.push_str("&role=");
        address.extend(utf8_percent_encode(role, ENCODED));
    }
    request(user, node, address, TEXT, OutgoingBody::Whole(VecDeque::from([Bytes::from(sql)])))
        .map_err(|error| Failure::new(Reason::Internal, "The request to ClickHouse cannot be built.").because(error))
}

/// The path and the parameters.
fn address(parameters: &[(&str, &str)]) -> Result<String, Refusal> {
    let mut target = String::from("/");
    for (index, (name, value)) in parameters.iter().enumerate() {
        target.push(if index == 0 { '?' } else { '&' });
        target.push_str(name);
        target.push('=');
        target.extend(utf8_percent_encode(value, ENCODED));
    }
    if target.len() > LONGEST_ADDRESS {
        let says = "The values of the statement's parameters and settings, or the head of an INSERT with compressed data, are too long; send the head in the body.";
        return Err(Refusal::new(Reason::StatementTooLong, says));
    }
    Ok(target)
}

fn request(user: &User, node: &Node, address: String, content_type: &str, body: OutgoingBody) -> Result<Outgoing, http::Error> {
    let mut key = HeaderValue::from_str(user.config.password.expose())?;
    key.set_sensitive(true);
    Request::post(address)
        .header(HOST, node.authority())
        .header(USER, user.config.user.as_str())
        .header(KEY, key)
        .header(CONTENT_TYPE, content_type)
        .header(USER_AGENT, concat!("keyhouse/", env!("CARGO_PKG_VERSION")))
        .body(body)
}
