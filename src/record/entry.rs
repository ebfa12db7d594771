//! One request's line, filled in as the request walks.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Instant, SystemTime};

use http::{HeaderValue, Method};
use serde::Serialize;
use serde_json::value::RawValue;

use crate::digest::Hex;

/// Longest name of a method that is told: any word can be one.
const LONGEST_METHOD: usize = 32;

/// A request's name: 128 random bits in hex. It is also the query's id in ClickHouse.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequestId(Hex<32>);

impl RequestId {
    /// A new one.
    pub fn new() -> Self {
        let mut bytes = [0; 16];
        // aws-lc's generator fails only where the system has no randomness at all; the id then still tells requests
        // apart by their time, and nothing rests on its being unguessable.
        if aws_lc_rs::rand::fill(&mut bytes).is_err() {
            let since = crate::clock::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
            bytes = since.as_nanos().to_be_bytes();
        }
        Self(Hex::of(&bytes))
    }

    /// As text.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

impl Default for RequestId {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How a request ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The answer of ClickHouse went out to its end.
    Answered,
    /// Keyhouse refused.
    Refused,
    /// The answer broke off, on ClickHouse's side.
    Broken,
    /// The caller left before the end.
    CallerLeft,
    /// Keyhouse stopped before the end, or ended it at a limit, which the reason tells.
    CutOff,
}

impl Outcome {
    /// The word for it, in metrics.
    pub fn word(self) -> &'static str {
        match self {
            Outcome::Answered => "answered",
            Outcome::Refused => "refused",
            Outcome::Broken => "broken",
            Outcome::CallerLeft => "caller-left",
            Outcome::CutOff => "cut-off",
        }
    }
}

/// A part of the line that is the same for many requests, rendered once.
#[derive(Debug, Clone)]
pub struct Rendered(Arc<RawValue>);

impl Rendered {
    /// Renders it; nothing where it cannot be, which a test would have found.
    pub fn of(part: &impl Serialize) -> Option<Self> {
        serde_json::value::to_raw_value(part).ok().map(|rendered| Self(rendered.into()))
    }

    /// What stands between the braces of an object.
    fn members(&self) -> &str {
        self.0.get().strip_prefix('{').and_then(|rest| rest.strip_suffix('}')).unwrap_or_default()
    }
}

/// The caller, as the record names it.
#[derive(Debug, Serialize)]
pub struct CallerLine<'a> {
    /// The provider's name.
    pub provider: &'a str,
    /// The token's `sub`.
    pub subject: &'a str,
    /// The mapped name.
    pub username: &'a str,
    /// What is shown beside the name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub display: Option<&'a str>,
    /// The groups.
    pub groups: &'a [String],
}

/// What the statement reaches, as the record names it.
#[derive(Debug, Serialize)]
pub struct ReachLine<'a> {
    /// Tables read.
    pub tables: Vec<String>,
    /// Tables written.
    pub targets: Vec<String>,
    /// Calls.
    pub functions: &'a BTreeSet<String>,
    /// Calls in FROM.
    pub table_functions: &'a BTreeSet<String>,
    /// What is reached otherwise, with the clause or function that reaches it.
    pub also: Vec<String>,
    /// Settings in the statement.
    pub settings: Vec<&'a str>,
    /// What names an object without a name.
    pub computed: &'a BTreeSet<String>,
    /// The format asked for.
    pub format: Option<&'a str>,
}

/// The record of one request.
#[derive(Debug, Clone)]
pub struct Entry {
    time: SystemTime,
    /// The request's name.
    pub request_id: RequestId,
    /// The number of the config and rules that judged.
    pub generation: u64,
    /// Who connected.
    pub peer: SocketAddr,
    /// Where the request comes from, where a trusted proxy tells another address than the peer's.
    pub address: Option<IpAddr>,
    /// The HTTP method.
    pub method: Method,
    /// The HTTP version.
    pub http: &'static str,
    /// Who asked.
    pub caller: Option<Rendered>,
    /// The rule that judged.
    pub rule: Option<Arc<str>>,
    /// The name under `clickhouse.users`.
    pub act_as: Option<Arc<str>>,
    /// What the statement does.
    pub effect: Option<&'static str>,
    /// The database of names without one.
    pub database: Option<Arc<str>>,
    /// ClickHouse's name for this kind of statement.
    pub kind: Option<&'static str>,
    /// What the statement reaches.
    pub reach: Option<Rendered>,
    /// The statement in the form that the config asks for.
    pub statement: Option<Rendered>,
    /// Tables that came with the statement.
    pub uploads: Vec<String>,
    /// Bytes of an INSERT's data that went to ClickHouse, as they went.
    data_bytes: Option<u64>,
    /// The same while they go.
    pub data_passed: Option<Arc<AtomicU64>>,
    /// Comments of the statement, which ClickHouse does not get.
    pub comments: Option<Rendered>,
    /// What the second reader made of a read: `agrees`, `none`, `disagrees`, `not-asked`.
    pub second_opinion: Option<&'static str>,
    /// SHA-256 of the statement as it came.
    pub statement_digest: Option<Hex<64>>,
    /// How it ended.
    pub outcome: Outcome,
    /// The HTTP status of the answer.
    pub status: u16,
    /// Why it was refused.
    pub reason: Option<&'static str>,
    /// What a caller who could not be identified was told. What others are told may hold words of their statement.
    pub message: Option<String>,
    /// The ClickHouse error in the answer.
    pub clickhouse_code: Option<u16>,
    /// How the answer came about, by a rule that keeps answers: `kept`, `stale`, `joined`, `asked`, `bypassed`.
    pub answer: Option<&'static str>,
    /// The request that asked for it, where it was another one.
    pub answer_of: Option<RequestId>,
    /// The request whose statement this one is to end (`KILL QUERY`).
    kills: Option<RequestId>,
    /// Whether ClickHouse had it to end.
    pub is_killed: Option<bool>,
    /// The node that answered.
    pub node: Option<Arc<str>>,
    /// The query's id in ClickHouse.
    pub query_id: Option<HeaderValue>,
    /// What the caller called the query.
    pub client_query_id: Option<HeaderValue>,
    /// Address parameters that were understood and not sent on.
    pub ignored: Vec<Cow<'static, str>>,
    /// The reason for which a rule under observation would have refused.
    pub observed: Option<&'static str>,
    /// All that ClickHouse told of its work when the answer began (`X-ClickHouse-Summary`).
    pub summary: Option<HeaderValue>,
    /// Bytes of the answer's body that went out.
    pub bytes: u64,
    /// How long the statement waited for its turn, in milliseconds, where it had to.
    waited_ms: Option<f64>,
    /// From the head's arrival until the answer began, in milliseconds.
    pub first_byte_ms: Option<f64>,
    /// From the head's arrival until the end, in milliseconds.
    pub took_ms: f64,
    began: Instant,
}

impl Entry {
    /// Opens the record of a request that arrived at `time`.
    pub fn open(time: SystemTime, began: Instant, peer: SocketAddr, method: &Method, version: http::Version) -> Self {
        let http = match version {
            http::Version::HTTP_2 => "2",
            http::Version::HTTP_11 => "1.1",
            _ => "1.0",
        };
        Self::named(RequestId::new(), time, began, peer, method.clone(), http)
    }

    /// The record of the same statement, asked again behind its caller from now on.
    pub fn asked_again(&self, time: SystemTime, began: Instant) -> Self {
        Self { request_id: RequestId::new(), time, began, ..self.clone() }
    }

    /// What is left in the place of one that was handed over.
    pub(super) fn spent(&self) -> Self {
        Self::named(self.request_id, self.time, self.began, self.peer, Method::GET, self.http)
    }

    fn named(request_id: RequestId, time: SystemTime, began: Instant, peer: SocketAddr, method: Method, http: &'static str) -> Self {
        Self {
            time,
            request_id,
            generation: 0,
            peer,
            address: None,
            method,
            http,
            caller: None,
            rule: None,
            act_as: None,
            effect: None,
            database: None,
            kind: None,
            reach: None,
            uploads: Vec::new(),
            data_bytes: None,
            data_passed: None,
            comments: None,
            second_opinion: None,
            statement: None,
            statement_digest: None,
            outcome: Outcome::CallerLeft,
            status: 0,
            reason: None,
            message: None,
            clickhouse_code: None,
            answer: None,
            answer_of: None,
            kills: None,
            is_killed: None,
            node: None,
            query_id: None,
            client_query_id: None,
            ignored: Vec::new(),
            observed: None,
            summary: None,
            bytes: 0,
            waited_ms: None,
            first_byte_ms: None,
            took_ms: 0.0,
            began,
        }
    }

    /// Makes it the record of the end of a request's statement, by this user.
    pub fn kills(&mut self, user: Arc<str>, request: RequestId) {
        *self = Self {
            request_id: self.request_id,
            generation: self.generation,
            address: self.address,
            caller: self.caller.take(),
            rule: self.rule.take(),
            act_as: Some(user),
            kind: Some("KillQueryQuery"),
            kills: Some(request),
            ..Self::named(self.request_id, self.time, self.began, self.peer, Method::POST, self.http)
        };
    }

    /// Notes that the statement waited for its turn.
    pub fn waited(&mut self, time: std::time::Duration) {
        self.waited_ms = Some(milliseconds(time));
    }

    /// Notes that the answer begins.
    pub fn answer_begins(&mut self, status: http::StatusCode, now: Instant) {
        self.status = status.as_u16();
        self.first_byte_ms = Some(milliseconds(now - self.began));
    }

    /// Notes how long it all took, and how much went by.
    pub fn ended(&mut self, now: Instant) {
        self.took_ms = milliseconds(now - self.began);
        self.data_bytes = self.data_passed.take().map(|passed| passed.load(Ordering::Relaxed));
    }

    /// Writes the line, with its line feed.
    pub fn write_line(&self, out: &mut Vec<u8>) {
        let begins = out.len();
        if let Err(error) = self.write(&mut Line(out)) {
            out.truncate(begins);
            out.extend_from_slice(format!("{{\"request_id\":\"{}\",\"fault\":{:?}}}", self.request_id, error.to_string()).as_bytes());
        }
        out.push(b'\n');
    }

    /// Each field, in the order of the documents. That none is left out is seen where they are taken apart.
    fn write(&self, line: &mut Line<'_>) -> serde_json::Result<()> {
        let Self {
            time,
            request_id,
            generation,
            peer,
            address,
            method,
            http,
            caller,
            rule,
            act_as,
            effect,
            database,
            kind,
            reach,
            statement,
            uploads,
            data_bytes,
            data_passed: _,
            comments,
            second_opinion,
            statement_digest,
            outcome,
            status,
            reason,
            message,
            clickhouse_code,
            answer,
            answer_of,
            kills,
            is_killed,
            node,
            query_id,
            client_query_id,
            ignored,
            observed,
            summary,
            bytes,
            waited_ms,
            first_byte_ms,
            took_ms,
            began: _,
        } = self;
        line.begin();
        line.shown("time", &humantime::format_rfc3339_millis(*time));
        line.word("request_id", Some(request_id.as_str()));
        line.field("generation", generation)?;
        line.shown("peer", peer);
        if let Some(address) = address {
            line.shown("address", address);
        }
        line.field("method", method.as_str().get(..LONGEST_METHOD).unwrap_or(method.as_str()))?;
        line.word("http", Some(http));
        line.field("rule", rule)?;
        line.field("act_as", act_as)?;
        line.word("effect", *effect);
        line.field("database", database)?;
        line.word("kind", *kind);
        line.rendered("reach", reach.as_ref());
        line.rendered("statement", statement.as_ref());
        if !uploads.is_empty() {
            line.field("uploads", uploads)?;
        }
        if data_bytes.is_some() {
            line.field("data_bytes", data_bytes)?;
        }
        if comments.is_some() {
            line.rendered("comments", comments.as_ref());
        }
        line.word("second_opinion", *second_opinion);
        line.word("statement_digest", statement_digest.as_ref().map(Hex::as_str));
        line.word("outcome", Some(outcome.word()));
        line.field("status", status)?;
        line.word("reason", *reason);
        if message.is_some() {
            line.field("message", message)?;
        }
        line.field("clickhouse_code", clickhouse_code)?;
        line.word("answer", *answer);
        if let Some(id) = answer_of {
            line.word("answer_of", Some(id.as_str()));
        }
        if let Some(id) = kills {
            line.word("kills", Some(id.as_str()));
            line.field("killed", is_killed)?;
        }
        line.field("node", node)?;
        line.field("query_id", &query_id.as_ref().and_then(|id| id.to_str().ok()))?;
        if let Some(id) = client_query_id {
            line.field("client_query_id", &id.to_str().ok())?;
        }
        line.field("ignored", ignored)?;
        if observed.is_some() {
            line.word("observed", *observed);
        }
        line.field("rows", &self.rows_told())?;
        line.field("summary", &summary.as_ref().and_then(raw))?;
        line.field("bytes", bytes)?;
        if waited_ms.is_some() {
            line.field("waited_ms", waited_ms)?;
        }
        line.field("first_byte_ms", first_byte_ms)?;
        line.field("took_ms", took_ms)?;
        if let Some(caller) = caller {
            line.members(caller);
        }
        line.end();
        Ok(())
    }

    /// Rows of the result, or rows written, as far as ClickHouse told them when the answer began; servers before 19
    /// tell none.
    fn rows_told(&self) -> Option<u64> {
        // Its numbers are strings. ClickHouse writes it without blanks.
        let summary = self.summary.as_ref()?.to_str().ok()?;
        let told = |name: &str| summary.split_once(name)?.1.split_once('"')?.0.parse().ok().filter(|rows| *rows > 0);
        told("\"result_rows\":\"").or_else(|| told("\"written_rows\":\""))
    }
}

fn milliseconds(duration: std::time::Duration) -> f64 {
    (duration.as_secs_f64() * 1_000_000.0).round() / 1000.0
}

/// What is no JSON is not told: it would break the line.
fn raw(value: &HeaderValue) -> Option<&RawValue> {
    serde_json::from_str(value.to_str().ok()?).ok()
}

/// One JSON object on its way out. Its names and words are ours and need no escapes, which is most of what a serializer would look
/// for.
struct Line<'a>(&'a mut Vec<u8>);

impl Line<'_> {
    fn begin(&mut self) {
        self.0.push(b'{');
    }

    /// In place of the last comma.
    fn end(&mut self) {
        self.0.pop();
        self.0.push(b'}');
    }

    fn name(&mut self, name: &str) {
        self.0.push(b'"');
        self.0.extend_from_slice(name.as_bytes());
        self.0.extend_from_slice(b"\":");
    }

    /// A word that needs no escapes.
    fn word(&mut self, name: &str, word: Option<&str>) {
        self.name(name);
        match word {
            Some(word) => {
                self.0.push(b'"');
                self.0.extend_from_slice(word.as_bytes());
                self.0.extend_from_slice(b"\",");
            }
            None => self.0.extend_from_slice(b"null,"),
        }
    }

    /// What is written without anything that needs escapes: a time, an address.
    fn shown(&mut self, name: &str, shown: &impl fmt::Display) {
        use std::io::Write as _;
        self.name(name);
        // A vector takes all that is written to it.
        write!(self.0, "\"{shown}\",").unwrap_or_default();
    }

    /// Anything, as a serializer writes it.
    fn field(&mut self, name: &str, value: &(impl Serialize + ?Sized)) -> serde_json::Result<()> {
        self.name(name);
        serde_json::to_writer(&mut *self.0, value)?;
        self.0.push(b',');
        Ok(())
    }

    fn rendered(&mut self, name: &str, rendered: Option<&Rendered>) {
        self.name(name);
        self.0.extend_from_slice(rendered.map_or("null", |rendered| rendered.0.get()).as_bytes());
        self.0.push(b',');
    }

    /// The members of an object, beside the others.
    fn members(&mut self, object: &Rendered) {
        let members = object.members();
        if !members.is_empty() {
            self.0.extend_from_slice(members.as_bytes());
            self.0.push(b',');
        }
    }
}
