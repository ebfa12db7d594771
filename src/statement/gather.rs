//! Where ClickHouse looks for SQL: the `query` parameter, one line feed, the body with its codings undone; or a form's
//! field `query`. Every other place is refused by name.
//!
//! Measured where versions differ, in tests/it/ways: `decompress` is yes for 18.16 where its value does not begin with `0`, and
//! for 26.9 as `1`, `2`, `t` or `true` in any case; of two values the first counts for 18.16 and the last for 26.9. Of codings
//! `identity` is an error for both, and `auto`, `none` and nothing are no coding for 26.9. `GET /` with a body is a ping, and
//! only with a `?` a statement. 26.9 takes two `Transfer-Encoding: chunked` and 18.16 fields of a form for settings. A body
//! in zstd or lz4 that lacks its last byte is whole for 26.9.

use std::future::poll_fn;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::TryFutureExt;
use http::header::{ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_TYPE, EXPECT, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderName, HeaderValue, Method};

use super::Effect;
use super::address::Address;
use super::coding::Coding;
use super::data::{CODED_TIMES, Data};
use super::grammar::{self, Begins};
use super::kept::Fact;
use super::pieces::Pieces;
use crate::config::Limits;
use crate::identity::BareHead;
use crate::listen::stands;
use crate::refusal::{Reason, Refusal};

/// The database of names without one, as some drivers say it. In ClickHouse it wins over the parameter.
const DATABASE: HeaderName = HeaderName::from_static("x-clickhouse-database");

/// The format of the answer, and the id of the query, as some drivers say them.
const FORMAT: HeaderName = HeaderName::from_static("x-clickhouse-format");
const QUERY_ID: HeaderName = HeaderName::from_static("x-clickhouse-query-id");

/// How a body is to be read.
#[derive(Debug)]
pub(super) enum Shape {
    /// SQL, or data of an INSERT, with these codings, the outermost first.
    Text(Vec<Coding>),
    /// A form with this boundary.
    Form(String),
}

/// What was gathered.
pub(super) struct Gathered {
    /// The text; of an INSERT with data its head and maybe the beginning of its data.
    pub(super) text: Bytes,
    /// What was understood of it, where that had to be known to see where it ends.
    pub(super) fact: Option<Fact>,
    /// What follows of an INSERT's data.
    pub(super) data: Option<Box<Data>>,
}

impl Gathered {
    /// A text that is all there is.
    pub(super) fn whole(text: &str, limits: &Limits) -> Result<Self, Refusal> {
        if text.len() > limits.statement_size {
            return Err(too_long_a_statement(limits));
        }
        Ok(Self { text: Bytes::copy_from_slice(text.as_bytes()), fact: None, data: None })
    }
}

/// Checks method and headers, and reads the address.
pub(super) fn check_head(head: &BareHead) -> Result<(Address, Shape), Refusal> {
    if ![Method::GET, Method::HEAD, Method::POST].contains(head.method()) {
        return Err(Refusal::new(Reason::MethodNotAllowed, "Send the statement with POST, or a read with GET or HEAD."));
    }
    for (name, value) in head.headers() {
        check_header(name, value)?;
    }
    only(head.headers(), &TRANSFER_ENCODING)?;
    let shape = shape(head)?;
    let mut address = Address::read(head.query(), matches!(shape, Shape::Form(_)))?;
    if let Some(value) = only(head.headers(), &DATABASE)? {
        address.also_says_database(value)?;
    }
    if let Some(value) = only(head.headers(), &FORMAT)? {
        address.also_says_format(value)?;
    }
    if let Some(value) = only(head.headers(), &QUERY_ID)? {
        address.names_query(value)?;
    }
    if stands(head.headers(), &ACCEPT_ENCODING) {
        // What is no text takes nothing.
        head.headers().get_all(ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok()).for_each(|value| address.accept(value));
    }
    match shape {
        Shape::Form(_) if address.decompress() => {
            Err(Refusal::new(Reason::ContentEncoding, "A form is not compressed (`decompress=1`): ClickHouse would read it as it is."))
        }
        Shape::Form(boundary) => Ok((address, Shape::Form(boundary))),
        Shape::Text(mut codings) => {
            codings.extend(address.decompress().then_some(Coding::Blocks));
            Ok((address, Shape::Text(codings)))
        }
    }
}

/// Headers never reach ClickHouse; the ones below would have changed the statement there, so dropping them in silence
/// would run another statement than the caller meant.
fn check_header(name: &HeaderName, value: &HeaderValue) -> Result<(), Refusal> {
    let refuse = |says: &str| Err(Refusal::new(Reason::HeaderNotAllowed, says));
    // ClickHouse decodes RFC 2047 words in any header value.
    if value.as_bytes().windows(2).any(|pair| pair == b"=?") {
        return refuse(&format!("The header `{name}` holds an encoded word (`=?`); write it in plain characters."));
    }
    let is_read = [DATABASE, FORMAT, QUERY_ID].contains(name);
    if !is_read && (name.as_str().starts_with("x-clickhouse-") || name.as_str().starts_with("x-keyhouse-")) {
        return refuse(&format!("The header `{name}` is not passed on; use the address parameters `database` and `default_format`."));
    }
    if name == EXPECT && !value.as_bytes().eq_ignore_ascii_case(b"100-continue") {
        return refuse("The header `Expect` asks for something other than 100-continue.");
    }
    // The HTTP library undoes chunks alone, and once, whatever else stands there.
    if name == TRANSFER_ENCODING && !value.as_bytes().eq_ignore_ascii_case(b"chunked") {
        return refuse("The header `transfer-encoding` says something other than chunked; a coding of the body is named by Content-Encoding.");
    }
    Ok(())
}

/// The one value of a header. Of two ClickHouse takes the first, others the last.
fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a str>, Refusal> {
    if !stands(headers, name) {
        return Ok(None);
    }
    let mut values = headers.get_all(name).into_iter();
    let (first, second) = (values.next(), values.next());
    if second.is_some() {
        return Err(Refusal::new(Reason::HeaderNotAllowed, format!("The header `{name}` stands there twice; send it once.")));
    }
    let unreadable = |error| Refusal::new(Reason::HeaderNotAllowed, format!("The header `{name}` is not plain text.")).because(error);
    first.map(HeaderValue::to_str).transpose().map_err(unreadable)
}

/// A body is a form where ClickHouse and RFC 7578 both say so, and text where neither does: what only one takes for a form
/// is refused. Other types say nothing, `application/x-www-form-urlencoded` neither, which is what curl calls any body.
fn shape(head: &BareHead) -> Result<Shape, Refusal> {
    let codings = codings(head.headers())?;
    let content_type = only(head.headers(), &CONTENT_TYPE)?.unwrap_or_default();
    let media_type = content_type.split(';').next().unwrap_or_default().trim_end();
    if !content_type.trim_start().to_ascii_lowercase().starts_with("multipart/") {
        return Ok(Shape::Text(codings));
    }
    let refuse = |reason, says: &str| Err(Refusal::new(reason, says));
    if media_type != "multipart/form-data" {
        return refuse(Reason::ContentType, "The only form that is read is `multipart/form-data`, written so.");
    }
    if head.method() != Method::POST {
        return refuse(Reason::ContentType, "A form comes with POST.");
    }
    if !codings.is_empty() {
        return refuse(Reason::ContentEncoding, "A form is not compressed (Content-Encoding): ClickHouse would read it as it is.");
    }
    match multer::parse_boundary(content_type) {
        Ok(boundary) => Ok(Shape::Form(boundary)),
        Err(error) => Err(Refusal::new(Reason::ContentType, "The form's boundary is missing in Content-Type.").because(error)),
    }
}

fn codings(headers: &HeaderMap) -> Result<Vec<Coding>, Refusal> {
    match only(headers, &CONTENT_ENCODING)? {
        None => Ok(Vec::new()),
        Some(coding) if coding.eq_ignore_ascii_case("identity") => Ok(Vec::new()),
        Some(coding) => Coding::named(coding).map(|coding| vec![coding]).ok_or_else(|| {
            let shown: String = coding.chars().take(40).collect();
            Refusal::new(
                Reason::ContentEncoding,
                format!(
                    "The coding `{shown}` (Content-Encoding) is not undone here; send the body plain, or as one of gzip, deflate, br, zstd, lz4."
                ),
            )
        }),
    }
}

/// The SQL as ClickHouse joins it, within `limits.statement_size`. `read` reads a head, and says nothing where the text is none.
pub(super) async fn text(
    head: &BareHead,
    query: &str,
    mut pieces: Pieces,
    limits: &Limits,
    read: impl Fn(&str) -> Option<Fact>,
) -> Result<Gathered, Refusal> {
    if head.method() != Method::POST {
        return without_body(query, pieces, limits).await;
    }
    if query.len() > limits.statement_size {
        return Err(too_long_a_statement(limits));
    }
    if let Some(fact) = could_be_an_insert(query.as_bytes()).then(|| read(&format!("{query}\n"))).flatten()
        && ends_before_its_data(query, &fact)
    {
        let text = Bytes::copy_from_slice(query.as_bytes());
        return Ok(Gathered { text, fact: Some(fact), data: Some(Data::as_it_comes(pieces, limits)) });
    }
    let mut text = BytesMut::new();
    if !query.is_empty() {
        text.extend_from_slice(query.as_bytes());
        text.extend_from_slice(b"\n");
    }
    let mut next_look = 0;
    loop {
        let Some(piece) = next(&mut pieces).await? else {
            return Ok(Gathered { text: text.freeze(), fact: None, data: None });
        };
        append(&mut text, piece);
        let too_long = text.len() > limits.statement_size;
        if too_long || text.len() >= next_look {
            match look(&text, limits.statement_size, &read) {
                Look::Found(fact) => return Ok(with_the_rest(text.freeze(), *fact, pieces, limits)),
                Look::After(more) => next_look = text.len() + more,
            }
        }
        if too_long || pieces.came() > CODED_TIMES * limits.statement_size as u64 {
            return Err(too_long_a_statement(limits));
        }
    }
}

/// A statement that stands in the address, and no body behind it: proxies differ on whether that is read.
async fn without_body(query: &str, mut pieces: Pieces, limits: &Limits) -> Result<Gathered, Refusal> {
    match next(&mut pieces).await? {
        None => Gathered::whole(query, limits),
        Some(_) => {
            Err(Refusal::new(Reason::MethodNotAllowed, "A GET or HEAD with a body is read differently by every proxy; send the statement with POST."))
        }
    }
}

/// What a look at an unfinished text shows.
enum Look {
    /// The head of an INSERT, and enough behind it to see that data begins there.
    Found(Box<Fact>),
    /// Nothing yet; so many more bytes may change that.
    After(usize),
}

/// Each look reads from the beginning, so what it looks for doubles until the next.
fn look(text: &[u8], longest: usize, read: impl Fn(&str) -> Option<Fact>) -> Look {
    let head = text.get(..longest).unwrap_or(text);
    let Some(fact) = could_be_an_insert(head).then(|| read(readable(head))).flatten() else {
        return Look::After(text.len());
    };
    // However it comes in pieces, as much of it is looked at.
    let Some(behind) = data_of(&fact).and_then(|at| head.get(at..)) else {
        return Look::After(text.len());
    };
    match grammar::data_begins(behind, false) {
        Begins::Data => Look::Found(Box::new(fact)),
        // Where that is more than a statement may have, it is too long: old servers may find SETTINGS behind it.
        Begins::Unknown => Look::After(behind.len().max(1)),
        Begins::Statement => Look::After(text.len()),
    }
}

/// Where data begins that goes on unread: that of an INSERT alone. Behind one that is explained SQL may follow again.
fn data_of(fact: &Fact) -> Option<usize> {
    fact.statement.data().filter(|_| fact.statement.effect() == Effect::Insert)
}

/// Whether all data of a statement is still to come. ClickHouse skips blanks and one line feed before it, which is the one
/// that joins the body; a line feed before that one is data.
fn ends_before_its_data(query: &str, fact: &Fact) -> bool {
    let rest = data_of(fact).and_then(|at| query.as_bytes().get(at..));
    rest.is_some_and(|rest| rest.iter().all(|byte| matches!(byte, b' ' | b'\t' | b'\x0c')))
}

/// The text up to the first byte that is not UTF-8: data may hold any.
pub(super) fn readable(text: &[u8]) -> &str {
    match std::str::from_utf8(text) {
        Ok(text) => text,
        Err(error) => text.get(..error.valid_up_to()).and_then(|text| std::str::from_utf8(text).ok()).unwrap_or_default(),
    }
}

fn with_the_rest(text: Bytes, fact: Fact, pieces: Pieces, limits: &Limits) -> Gathered {
    let at = fact.statement.data().unwrap_or(text.len()).min(text.len());
    let data = Data::undone(text.slice(at..), pieces, limits);
    Gathered { text: text.slice(..at), fact: Some(fact), data: Some(data) }
}

/// Saves reading what is surely none.
fn could_be_an_insert(text: &[u8]) -> bool {
    text.windows(6).any(|word| word.eq_ignore_ascii_case(b"insert"))
}

/// The first piece becomes the text itself, where nobody else holds it.
fn append(text: &mut BytesMut, piece: Bytes) {
    if text.is_empty() {
        *text = piece.try_into_mut().unwrap_or_else(|piece| BytesMut::from(piece.as_ref()));
    } else {
        text.extend_from_slice(&piece);
    }
}

async fn next(pieces: &mut Pieces) -> Result<Option<Bytes>, Refusal> {
    poll_fn(|context| pieces.poll_piece(context)).await
}

/// Waits no longer than `limits.body_timeout`.
pub(super) fn in_time<T>(timeout: Duration, read: impl Future<Output = T>) -> impl Future<Output = Result<T, Refusal>> {
    // No `async fn`: it would hold what is read twice.
    tokio::time::timeout(timeout, read).map_err(move |elapsed| {
        let says = format!("The body did not arrive within {} (limits.body_timeout).", humantime::format_duration(timeout));
        Refusal::new(Reason::BodyTimeout, says).because(elapsed)
    })
}

fn too_long_a_statement(limits: &Limits) -> Refusal {
    Refusal::new(
        Reason::StatementTooLong,
        format!("The statement is longer than {} bytes (limits.statement_size); send less at once.", limits.statement_size),
    )
}

#[cfg(test)]
mod tests {
    #![allow(clippy::panic, reason = "tests fail by panicking")]
    use super::super::{Kept, Parameters, Reader, Values};
    use super::*;
    use crate::config::StatementForm;

    #[test]
    fn a_body_goes_on_unread_only_behind_the_bare_head_of_an_insert() {
        let kept = Kept::new(1024 * 1024);
        let reader = Reader { kept: &kept, values: Values::Data, form: StatementForm::Masked };
        for (query, bare) in [
            ("INSERT INTO t VALUES", true),
            ("INSERT INTO t FORMAT TSV \t", true),
            ("INSERT INTO t FORMAT TSV\n", false),
            ("INSERT INTO t FORMAT TSV \u{a0}", false),
            ("INSERT INTO t FORMAT TSV 1", false),
            ("INSERT INTO t SELECT 1", false),
            ("EXPLAIN INSERT INTO t VALUES", false),
            ("EXPLAIN AST INSERT INTO t FORMAT CSV", false),
        ] {
            let fact = reader.fact(&format!("{query}\n"), &Parameters::new()).unwrap_or_else(|refusal| panic!("{}", refusal.says()));
            assert_eq!(ends_before_its_data(query, &fact), bare, "{query}");
        }
    }

    #[test]
    fn what_is_explained_is_read_to_its_end() {
        let kept = Kept::new(1024 * 1024);
        let reader = Reader { kept: &kept, values: Values::Data, form: StatementForm::Masked };
        let read = |text: &str| reader.fact(text, &Parameters::new()).ok();
        assert!(matches!(look(b"INSERT INTO t VALUES (1)", 100, read), Look::Found(_)));
        assert!(matches!(look(b"EXPLAIN INSERT INTO t VALUES (1)", 100, read), Look::After(_)));
    }

    #[test]
    fn where_data_begins_is_seen_within_a_statement_or_not_at_all() {
        let kept = Kept::new(1024 * 1024);
        let reader = Reader { kept: &kept, values: Values::Data, form: StatementForm::Masked };
        let read = |text: &str| reader.fact(text, &Parameters::new()).ok();
        let text = b"INSERT INTO t VALUES /* x */ (1)";
        for (longest, found) in [(text.len(), true), (31, true), (30, false), (28, false), (22, false)] {
            assert_eq!(matches!(look(text, longest, read), Look::Found(_)), found, "{longest}");
        }
    }
}
