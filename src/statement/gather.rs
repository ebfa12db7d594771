//! Where ClickHouse looks for SQL: the `query` parameter, one line feed, the body. Every other place is refused by name.

use bytes::Bytes;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE, EXPECT};
use http::{HeaderName, HeaderValue, Method};
use http_body::Body;
use http_body_util::{BodyExt, LengthLimitError, Limited};

use super::address::Address;
use crate::config::Limits;
use crate::identity::BareHead;
use crate::listen::Arriving;
use crate::refusal::{Reason, Refusal};

/// The database of names without one, as some drivers say it. In ClickHouse it wins over the parameter.
const DATABASE: HeaderName = HeaderName::from_static("x-clickhouse-database");

/// Checks method and headers, and reads the address.
pub(super) fn check_head(head: &BareHead) -> Result<Address, Refusal> {
    if ![Method::GET, Method::POST].contains(head.method()) {
        return Err(Refusal::new(Reason::MethodNotAllowed, "Send the statement with POST, or a read with GET."));
    }
    let mut address = Address::read(head.query())?;
    for (name, value) in head.headers() {
        check_header(name, value)?;
        if name == DATABASE {
            address.also_says_database(value.to_str().unwrap_or("\0"))?;
        }
    }
    Ok(address)
}

/// Headers never reach ClickHouse; the ones below would have changed the statement there, so dropping them in silence
/// would run another statement than the caller meant. In 26.9 `X-ClickHouse-Format` even wins over the statement's own
/// FORMAT.
fn check_header(name: &HeaderName, value: &HeaderValue) -> Result<(), Refusal> {
    let refuse = |reason, says: &str| Err(Refusal::new(reason, says));
    // ClickHouse decodes RFC 2047 words in any header value.
    if value.as_bytes().windows(2).any(|pair| pair == b"=?") {
        return refuse(Reason::HeaderNotAllowed, &format!("The header `{name}` holds an encoded word (`=?`); write it in plain characters."));
    }
    if name == DATABASE {
        return Ok(());
    }
    if name.as_str().starts_with("x-clickhouse-") || name.as_str().starts_with("x-keyhouse-") {
        return refuse(
            Reason::HeaderNotAllowed,
            &format!("The header `{name}` is not passed on; use the address parameters `database` and `default_format`."),
        );
    }
    if name == CONTENT_ENCODING && !value.as_bytes().eq_ignore_ascii_case(b"identity") {
        return refuse(Reason::ContentEncoding, "The body is compressed (Content-Encoding); send it plain.");
    }
    if name == CONTENT_TYPE && value.as_bytes().to_ascii_lowercase().starts_with(b"multipart/") {
        return refuse(Reason::ContentType, "The body is a form (multipart); send the statement as the plain body.");
    }
    if name == EXPECT && !value.as_bytes().eq_ignore_ascii_case(b"100-continue") {
        return refuse(Reason::HeaderNotAllowed, "The header `Expect` asks for something other than 100-continue.");
    }
    Ok(())
}

/// The SQL as ClickHouse joins it, within `limits.statement_size` and `limits.body_timeout`.
pub(super) async fn text(head: &BareHead, query: &str, body: Arriving, limits: &Limits) -> Result<String, Refusal> {
    let room = limits.statement_size.saturating_sub(query.len());
    let body = read_body(body, room, limits).await?;
    if head.method() == Method::GET && !body.is_empty() {
        return Err(Refusal::new(Reason::MethodNotAllowed, "A GET with a body is read differently by every proxy; send the statement with POST."));
    }
    let body = std::str::from_utf8(&body).map_err(|error| Refusal::new(Reason::NotUtf8, "The body is not UTF-8.").because(error))?;
    let text = match (query.is_empty(), body.is_empty()) {
        (true, _) => body.to_owned(),
        (false, true) => query.to_owned(),
        (false, false) => format!("{query}\n{body}"),
    };
    Ok(text)
}

async fn read_body(body: Arriving, room: usize, limits: &Limits) -> Result<Bytes, Refusal> {
    let too_long = || {
        Refusal::new(
            Reason::StatementTooLong,
            format!("The statement is longer than {} bytes (limits.statement_size); send less at once.", limits.statement_size),
        )
    };
    if body.size_hint().lower() > room as u64 || room == 0 {
        return Err(too_long());
    }
    match tokio::time::timeout(limits.body_timeout, Limited::new(body, room).collect()).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(too_long()),
        Ok(Err(error)) => Err(Refusal::new(Reason::BodyBroken, "The body broke off.").because(error)),
        Err(_elapsed) => {
            Err(Refusal::new(Reason::BodyTimeout, format!("The body did not arrive within {}.", humantime::format_duration(limits.body_timeout))))
        }
    }
}
