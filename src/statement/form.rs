//! A form (`multipart/form-data`): the statement, values of its parameters, and tables that are uploaded with it.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::HeaderName;
use http_body::{Body, Frame};
use http_body_util::BodyDataStream;
use multer::{Constraints, Field, Multipart, SizeLimit};

use super::address::Address;
use super::grammar;
use crate::config::Limits;
use crate::listen::Arriving;
use crate::refusal::{Reason, Refusal};

/// Most parts of a form, ClickHouse's own `http_max_fields`.
const MOST_PARTS: usize = 1000;

/// Longest value of a field, in bytes, ClickHouse's own `http_max_field_value_size`.
const LONGEST_FIELD: usize = 128 * 1024;

/// Longest name of a table, in bytes.
const LONGEST_NAME: usize = 128;

const TRANSFER_ENCODING: HeaderName = HeaderName::from_static("content-transfer-encoding");

/// Formats that say no more than the rows: none of them evaluates expressions, as `Values` does even in a read, or reads
/// files of the server, as `Template` and the ones with schemas do.
const FORMATS: [&str; 31] = [
    "TabSeparated",
    "TabSeparatedRaw",
    "TabSeparatedWithNames",
    "TabSeparatedWithNamesAndTypes",
    "TabSeparatedRawWithNames",
    "TabSeparatedRawWithNamesAndTypes",
    "TSV",
    "TSVRaw",
    "TSVWithNames",
    "TSVWithNamesAndTypes",
    "CSV",
    "CSVWithNames",
    "CSVWithNamesAndTypes",
    "JSONEachRow",
    "JSONLines",
    "NDJSON",
    "JSONCompactEachRow",
    "JSONCompactEachRowWithNames",
    "JSONCompactEachRowWithNamesAndTypes",
    "JSONStringsEachRow",
    "JSON",
    "JSONCompact",
    "JSONColumns",
    "RowBinary",
    "RowBinaryWithNames",
    "RowBinaryWithNamesAndTypes",
    "Native",
    "Parquet",
    "Arrow",
    "ArrowStream",
    "ORC",
];

/// A table that is uploaded with a statement, and is there for it alone.
#[derive(Debug, Clone)]
pub struct Upload {
    /// Its name in the statement.
    pub name: String,
    /// The format of its content.
    pub format: &'static str,
    /// Names and types of its columns, or types alone.
    pub columns: Columns,
    /// Its rows, as they came.
    pub content: Bytes,
}

/// The columns of an upload, written anew.
#[derive(Debug, Clone)]
pub enum Columns {
    /// `name Type, ...` (`_structure`).
    Named(String),
    /// `Type, ...` (`_types`).
    Unnamed(String),
}

/// Reads a form within `limits.form_size`. The statement and its parameters are added to the address.
pub(super) async fn read(body: Arriving, boundary: String, address: &mut Address, limits: &Limits) -> Result<Vec<Upload>, Refusal> {
    let sizes = SizeLimit::new().whole_stream(limits.form_size as u64);
    let mut form = Multipart::with_constraints(BodyDataStream::new(EndsAlone::new(body)), boundary, Constraints::new().size_limit(sizes));
    let mut files: Vec<(String, Bytes)> = Vec::new();
    let mut parts = 0;
    while let Some(part) = form.next_field().await.map_err(|error| broken(error, limits))? {
        parts += 1;
        if parts > MOST_PARTS {
            return Err(malformed(format!("The form has more than {MOST_PARTS} parts.")));
        }
        let name = name(&part)?;
        let is_file = part.file_name().is_some();
        let content = part.bytes().await.map_err(|error| broken(error, limits))?;
        match is_file {
            true if files.iter().any(|(other, _)| *other == name) => return Err(malformed(format!("The form has two tables `{name}`."))),
            true => files.push((name, content)),
            false => field(name, &content, address)?,
        }
    }
    let mut described = address.take_described();
    let uploads = files.into_iter().map(|(name, content)| upload(name, content, &mut described)).collect::<Result<Vec<Upload>, Refusal>>()?;
    match described.keys().next() {
        Some(name) => Err(Refusal::new(
            Reason::ParameterNotAllowed,
            format!("`{}` belongs to no table of the form; in forms `query`, `param_...` and what describes tables are read.", name.escape_debug()),
        )),
        None => Ok(uploads),
    }
}

/// A body whose end is told on its own, never together with its last piece: multer looks for the first boundary only in
/// what came before, and an end that comes with the rest is one too early for it.
struct EndsAlone<B> {
    body: B,
    piece_came: bool,
    ended: bool,
}

impl<B> EndsAlone<B> {
    fn new(body: B) -> Self {
        Self { body, piece_came: false, ended: false }
    }
}

impl<B: Body + Unpin> Body for EndsAlone<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        if self.ended {
            return Poll::Ready(None);
        }
        let polled = Pin::new(&mut self.body).poll_frame(context);
        self.ended = matches!(polled, Poll::Ready(None));
        if self.ended && self.piece_came {
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        self.piece_came = matches!(polled, Poll::Ready(Some(_)));
        polled
    }
}

fn name(part: &Field<'_>) -> Result<String, Refusal> {
    let encoding = part.headers().get(TRANSFER_ENCODING).map(http::HeaderValue::as_bytes);
    if encoding.is_some_and(|encoding| ![&b"binary"[..], b"8bit", b"7bit"].contains(&encoding)) {
        return Err(malformed("A part of the form is encoded (Content-Transfer-Encoding); send it as it is.".to_owned()));
    }
    match part.name() {
        Some(name) if !name.is_empty() && name.len() <= LONGEST_NAME + 32 => Ok(name.to_owned()),
        _ => Err(malformed("A part of the form has no name, or a very long one.".to_owned())),
    }
}

fn field(name: String, content: &Bytes, address: &mut Address) -> Result<(), Refusal> {
    if content.len() > LONGEST_FIELD {
        return Err(malformed(format!("The field `{}` of the form is longer than {LONGEST_FIELD} bytes.", name.escape_debug())));
    }
    let unreadable = |error| Refusal::new(Reason::NotUtf8, format!("The field `{}` of the form is not UTF-8.", name.escape_debug())).because(error);
    let value = std::str::from_utf8(content).map_err(unreadable)?;
    if value.contains('\0') {
        return Err(malformed(format!("The field `{}` of the form holds a zero byte.", name.escape_debug())));
    }
    address.field(&name, value)
}

fn upload(name: String, content: Bytes, described: &mut BTreeMap<String, String>) -> Result<Upload, Refusal> {
    let is_word =
        |name: &str| name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') && !name.starts_with(|c: char| c.is_ascii_digit());
    // The parameters that describe these would be others.
    if !is_word(&name) || name.len() > LONGEST_NAME || name == "default" || name.starts_with("param_") {
        return Err(malformed(format!("`{}` cannot be the name of an uploaded table: letters, digits and underscores can.", name.escape_debug())));
    }
    let format = described.remove(&format!("{name}_format")).unwrap_or_else(|| "TabSeparated".to_owned());
    let Some(format) = FORMATS.iter().find(|known| **known == format) else {
        let says = format!(
            "The table `{name}` comes as `{}`; of uploads only formats of plain rows are read, such as TSV, CSV, JSONEachRow, Native or Parquet.",
            format.escape_debug()
        );
        return Err(Refusal::new(Reason::UploadNotAllowed, says));
    };
    let columns = match (described.remove(&format!("{name}_structure")), described.remove(&format!("{name}_types"))) {
        (Some(structure), None) => grammar::structure(&structure).map(Columns::Named),
        (None, Some(types)) => grammar::types(&types).map(Columns::Unnamed),
        (Some(_), Some(_)) | (None, None) => None,
    };
    let says = || {
        malformed(format!(
            "The columns of the table `{name}` cannot be read; send `{name}_structure` with names and types, as in `id UInt64, day Date`."
        ))
    };
    Ok(Upload { columns: columns.ok_or_else(says)?, name, format, content })
}

fn broken(error: multer::Error, limits: &Limits) -> Refusal {
    let refusal = if matches!(error, multer::Error::StreamSizeExceeded { .. }) {
        Refusal::new(Reason::BodyTooLarge, format!("The form is longer than {} bytes (limits.form_size).", limits.form_size))
    } else if matches!(error, multer::Error::StreamReadFailed(_)) {
        Refusal::new(Reason::BodyBroken, "The body broke off.")
    } else {
        malformed("The form cannot be read; is its boundary the one of Content-Type, also at its end?".to_owned())
    };
    refusal.because(error)
}

fn malformed(says: String) -> Refusal {
    Refusal::new(Reason::MalformedBody, says)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests fail by panicking")]
    use super::*;

    /// One piece, which is not there when it is first asked for.
    struct Late(Option<Bytes>, bool);

    impl Body for Late {
        type Data = Bytes;
        type Error = std::convert::Infallible;

        fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
            if !std::mem::replace(&mut self.1, true) {
                context.waker().wake_by_ref();
                return Poll::Pending;
            }
            Poll::Ready(self.0.take().map(|piece| Ok(Frame::data(piece))))
        }
    }

    #[tokio::test]
    async fn a_form_that_comes_between_two_looks_is_read() {
        let body = Late(Some(Bytes::from_static(b"--x\r\nContent-Disposition: form-data; name=\"query\"\r\n\r\nSELECT 1\r\n--x--\r\n")), false);
        let mut form = Multipart::new(BodyDataStream::new(EndsAlone::new(body)), "x");
        let part = form.next_field().await.unwrap().unwrap();
        assert_eq!(part.text().await.unwrap(), "SELECT 1");
        assert!(form.next_field().await.unwrap().is_none());
    }
}
