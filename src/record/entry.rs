//! One request's line, filled in as the request walks.

use std::borrow::Cow;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Instant, SystemTime};

use serde::Serialize;

use crate::digest::hex;

/// A request's name: 128 random bits in hex. It is also the query's id in ClickHouse.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RequestId(String);

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
        Self(hex(&bytes))
    }

    /// As text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for RequestId {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// How a request ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// The answer of ClickHouse went out to its end.
    Answered,
    /// Keyhouse refused.
    Refused,
    /// The answer broke off, on ClickHouse's side.
    Broken,
    /// The caller left before the end.
    CallerLeft,
    /// Keyhouse stopped before the end.
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

/// The caller, as the record names it.
#[derive(Debug, Serialize)]
pub struct CallerLine {
    /// The provider's name.
    pub provider: String,
    /// The token's `sub`.
    pub subject: String,
    /// The mapped name.
    pub username: String,
    /// What is shown beside the name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub display: Option<String>,
    /// The groups.
    pub groups: Vec<String>,
}

/// What the statement reaches, as the record names it.
#[derive(Debug, Serialize)]
pub struct ReachLine {
    /// Tables read.
    pub tables: Vec<String>,
    /// Tables written.
    pub targets: Vec<String>,
    /// Calls.
    pub functions: Vec<String>,
    /// Calls in FROM.
    pub table_functions: Vec<String>,
    /// What is reached otherwise, with the clause or function that reaches it.
    pub also: Vec<String>,
    /// Settings in the statement.
    pub settings: Vec<String>,
    /// What names an object without a name.
    pub computed: Vec<String>,
    /// The format asked for.
    pub format: Option<String>,
}

/// The record of one request.
#[derive(Debug, Serialize)]
pub struct Entry {
    #[serde(serialize_with = "rfc3339")]
    time: SystemTime,
    /// The request's name.
    pub request_id: RequestId,
    /// The number of the config and rules that judged.
    pub generation: u64,
    /// Who connected.
    pub peer: SocketAddr,
    /// Where the request comes from, where a trusted proxy tells another address than the peer's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<IpAddr>,
    /// The HTTP method.
    pub method: String,
    /// The HTTP version.
    pub http: &'static str,
    /// Who asked.
    #[serde(flatten)]
    pub caller: Option<CallerLine>,
    /// The rule that judged.
    pub rule: Option<String>,
    /// The name under `clickhouse.users`.
    pub act_as: Option<String>,
    /// What the statement does.
    pub effect: Option<&'static str>,
    /// The database of names without one.
    pub database: Option<String>,
    /// ClickHouse's name for this kind of statement.
    pub kind: Option<&'static str>,
    /// What the statement reaches.
    pub reach: Option<ReachLine>,
    /// The statement in the form that the config asks for.
    pub statement: Option<String>,
    /// Tables that came with the statement.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub uploads: Vec<String>,
    /// Bytes of an INSERT's data that went to ClickHouse, as they went.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "counted")]
    pub data_bytes: Option<Arc<AtomicU64>>,
    /// Comments of the statement, which ClickHouse does not get.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub comments: Vec<String>,
    /// What the second reader made of a read: `agrees`, `none`, `disagrees`, `not-asked`.
    pub second_opinion: Option<&'static str>,
    /// SHA-256 of the statement as it came.
    pub statement_digest: Option<String>,
    /// How it ended.
    pub outcome: Outcome,
    /// The HTTP status of the answer.
    pub status: u16,
    /// Why it was refused.
    pub reason: Option<&'static str>,
    /// What a caller who could not be identified was told. What others are told may hold words of their statement.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// The ClickHouse error in the answer.
    pub clickhouse_code: Option<u16>,
    /// The node that answered.
    pub node: Option<String>,
    /// The query's id in ClickHouse.
    pub query_id: Option<String>,
    /// Address parameters that were understood and not sent on.
    pub ignored: Vec<Cow<'static, str>>,
    /// The reason for which a rule under observation would have refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed: Option<&'static str>,
    /// Rows of the result, or rows written, as far as ClickHouse told them when the answer began; servers before 19
    /// tell none.
    pub rows: Option<u64>,
    /// All that ClickHouse told of its work when the answer began (`X-ClickHouse-Summary`).
    pub summary: Option<serde_json::Value>,
    /// Bytes of the answer's body that went out.
    pub bytes: u64,
    /// From the head's arrival until the answer began, in milliseconds.
    pub first_byte_ms: Option<f64>,
    /// From the head's arrival until the end, in milliseconds.
    pub took_ms: f64,
    #[serde(skip)]
    began: Instant,
}

impl Entry {
    /// Opens the record of a request that arrived at `time`.
    pub fn open(time: SystemTime, began: Instant, peer: SocketAddr, method: &http::Method, version: http::Version) -> Self {
        Self {
            time,
            request_id: RequestId::new(),
            generation: 0,
            peer,
            address: None,
            method: method.as_str().chars().take(32).collect(),
            http: match version {
                http::Version::HTTP_2 => "2",
                http::Version::HTTP_11 => "1.1",
                _ => "1.0",
            },
            caller: None,
            rule: None,
            act_as: None,
            effect: None,
            database: None,
            kind: None,
            reach: None,
            uploads: Vec::new(),
            data_bytes: None,
            comments: Vec::new(),
            second_opinion: None,
            statement: None,
            statement_digest: None,
            outcome: Outcome::CallerLeft,
            status: 0,
            reason: None,
            message: None,
            clickhouse_code: None,
            node: None,
            query_id: None,
            ignored: Vec::new(),
            observed: None,
            rows: None,
            summary: None,
            bytes: 0,
            first_byte_ms: None,
            took_ms: 0.0,
            began,
        }
    }

    /// Notes that the answer begins.
    pub fn answer_begins(&mut self, status: http::StatusCode, now: Instant) {
        self.status = status.as_u16();
        self.first_byte_ms = Some(milliseconds(now - self.began));
    }

    /// Notes how long it all took.
    pub(super) fn ended(&mut self, now: Instant) {
        self.took_ms = milliseconds(now - self.began);
    }

    /// The line, with its line feed.
    pub(super) fn line(&self) -> Vec<u8> {
        let mut line = serde_json::to_vec(self)
            .unwrap_or_else(|error| format!("{{\"request_id\":\"{}\",\"fault\":{:?}}}", self.request_id, error.to_string()).into_bytes());
        line.push(b'\n');
        line
    }
}

fn milliseconds(duration: std::time::Duration) -> f64 {
    (duration.as_secs_f64() * 1_000_000.0).round() / 1000.0
}

fn counted<S: serde::Serializer>(count: &Option<Arc<AtomicU64>>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_some(&count.as_ref().map(|count| count.load(Ordering::Relaxed)))
}

fn rfc3339<S: serde::Serializer>(time: &SystemTime, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&humantime::format_rfc3339_millis(*time))
}
