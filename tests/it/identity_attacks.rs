//! The attacks on who asks, one row each or more, by their numbers: what arrives, and what is owed to it.
//!
//! | numbers | what is attacked | rows |
//! | --- | --- | --- |
//! | 1-11, 95-102, 112 | where a credential stands, and what stands beside it | `arrivals` |
//! | 12-21 | the form of a token | `form` |
//! | 22-40 | its algorithm and its key | `keys` |
//! | 41-61 | issuer, audience and type | `issuers` |
//! | 62-69 | times and claims | `claims` |
//! | 71-80 | who the caller is made of it | `callers` |
//! | 81-87 | the provider of its keys | `provider` |
//!
//! Of every request that is refused the recording upstream hears nothing; of every other one it hears exactly the request
//! that Keyhouse writes. Both leave one record, and neither shows a token to anybody.

mod arrivals;
mod callers;
mod claims;
mod covered;
mod form;
mod issuers;
mod keys;
mod provider;
pub mod published;

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::support::{
    clickhouse::ANALYST,
    client::{Answer, Caller, get, post, send_plain},
    house::{House, Plan},
    recorder::{Heard, Recorder},
    script::Script,
};
use published::Keys;

/// One arrival, and what is owed to it.
pub struct Case {
    attack: u8,
    what: &'static str,
    request: String,
    status: u16,
    /// Empty where it is let through.
    reason: &'static str,
    /// Words that the sentence must hold, or where it is let through the log comment that ClickHouse is told.
    says: &'static [&'static str],
}

fn refused(attack: u8, what: &'static str, request: String, status: u16, reason: &'static str, says: &'static [&'static str]) -> Case {
    Case { attack, what, request, status, reason, says }
}

fn permitted(attack: u8, what: &'static str, request: String, caller: &'static [&'static str]) -> Case {
    Case { attack, what, request, status: 200, reason: "", says: caller }
}

/// A token where it belongs, which is refused.
fn bearer(attack: u8, what: &'static str, token: impl AsRef<str>, reason: &'static str, says: &'static [&'static str]) -> Case {
    refused(attack, what, post("/", token.as_ref(), "SELECT 1"), 401, reason, says)
}

/// A good token of somebody who may not ask.
fn forbidden(attack: u8, what: &'static str, token: impl AsRef<str>, reason: &'static str, says: &'static [&'static str]) -> Case {
    Case { status: 403, ..bearer(attack, what, token, reason, says) }
}

/// A token where it belongs, which is let through.
fn good(attack: u8, what: &'static str, token: impl AsRef<str>, caller: &'static [&'static str]) -> Case {
    permitted(attack, what, post("/", token.as_ref(), "SELECT 1"), caller)
}

/// Sections of the table, each made just before it is run: some of its tokens are seconds from their end.
const SECTIONS: [fn(&Keys) -> Vec<Case>; 6] = [arrivals::rows, form::rows, keys::rows, issuers::rows, claims::rows, callers::rows];

/// The signatures in a request: what nobody but the caller may ever see.
fn signatures(request: &str) -> Vec<String> {
    let words = request.split([' ', '=', ',', '\r', '\n', '&']).filter(|word| word.starts_with("ey"));
    let signatures = words.filter_map(|token| token.rsplit_once('.')).map(|(_, signature)| signature);
    signatures.filter(|signature| signature.len() >= 40).map(str::to_owned).collect()
}

/// ClickHouse's number for a refusal, as its clients know it.
fn code(case: &Case) -> &'static str {
    match (case.status, case.reason) {
        (403, _) => "497",
        (400, "header-not-allowed" | "parameter-not-allowed") => "36",
        _ => "516",
    }
}

fn judge(case: &Case, answer: &Answer) {
    let (what, text) = (format!("attack {}, {}", case.attack, case.what), answer.text());
    let reason = Some(case.reason).filter(|reason| !reason.is_empty());
    assert_eq!((answer.status, answer.header("x-keyhouse-reason")), (case.status, reason), "{what}: {text}");
    for signature in signatures(&case.request) {
        assert!(!format!("{answer:?}").contains(&signature), "{what}: it echoes the token: {answer:?}");
    }
    if reason.is_none() {
        return assert_eq!(text, "1\n", "{what}");
    }
    for words in case.says {
        assert!(text.contains(words), "{what}: no {words:?} in {text}");
    }
    assert_eq!(answer.header("x-clickhouse-exception-code"), Some(code(case)), "{what}");
    let error = match (case.status, case.reason) {
        (401, "no_credentials") => Some(None),
        (401, _) => Some(Some("error=\"invalid_token\"")),
        (400, "multiple_credentials" | "token_in_url") => Some(Some("error=\"invalid_request\"")),
        (403, "insufficient_scope") => Some(Some("error=\"insufficient_scope\"")),
        _ => None,
    };
    let challenge = answer.header("www-authenticate");
    assert_eq!(challenge.is_some(), error.is_some(), "{what}: {challenge:?}");
    if let (Some(challenge), Some(error)) = (challenge, error) {
        assert!(challenge.contains("resource_metadata=\"https://localhost:8443/.well-known/"), "{what}: {challenge}");
        assert_eq!(challenge.contains("error="), error.is_some(), "{what}: {challenge}");
        assert!(challenge.contains(error.unwrap_or("Bearer")), "{what}: {challenge}");
    }
}

/// The request that Keyhouse writes, with nothing of the caller's in it but the statement.
fn written_anew(case: &Case, heard: &Heard) {
    let what = format!("attack {}, {}: {heard:?}", case.attack, case.what);
    let mut headers: Vec<String> = heard.head.headers.iter().map(|(name, _)| name.to_lowercase()).collect();
    headers.sort();
    assert_eq!(headers, ["content-length", "content-type", "host", "user-agent", "x-clickhouse-key", "x-clickhouse-user"], "{what}");
    assert_eq!((heard.header("x-clickhouse-user"), heard.header("x-clickhouse-key")), (Some(ANALYST.name), Some(ANALYST.password)), "{what}");
    let names: Vec<String> = heard.parameters().into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["database", "query_id", "log_comment", "readonly"], "{what}");
    assert_eq!((heard.method(), heard.text().as_str()), ("POST", "SELECT 1"), "{what}");
    let comment = heard.parameter("log_comment").unwrap();
    assert!(case.says.iter().all(|words| comment.contains(words)), "{what}: {:?} not in {comment}", case.says);
}

/// Sends one arrival and holds the answer, what the upstream heard and the one record against its row.
async fn run(case: &Case, house: &House, recorder: &Recorder) {
    let before = recorder.requests().len();
    let answer = send_plain(house.http(), &case.request).await;
    judge(case, &answer);
    let heard = recorder.requests_since(before);
    assert_eq!(heard.len(), usize::from(case.reason.is_empty()), "attack {}, {}: {heard:?}", case.attack, case.what);
    heard.iter().for_each(|heard| written_anew(case, heard));
    let record = house.record_of(&answer).await;
    let (outcome, reason) = if case.reason.is_empty() { ("answered", Value::Null) } else { ("refused", json!(case.reason)) };
    assert_eq!((&record["outcome"], &record["reason"], &record["status"]), (&json!(outcome), &reason, &json!(case.status)), "{}", case.what);
}

#[tokio::test]
async fn every_attack_is_answered_as_its_row_says() {
    let keys = Keys::publish().await;
    let (house, recorder) = keys.house().await;
    let (mut count, mut said) = (0, Vec::new());
    for section in SECTIONS {
        for case in section(&keys) {
            run(&case, &house, &recorder).await;
            said.extend(signatures(&case.request));
            count += 1;
        }
    }
    // What a token names is never asked, and of a provider only what the config says.
    assert_eq!(keys.bait.asked(), [], "an address out of a token was asked");
    let paths: BTreeSet<String> = keys.issuer.asked().into_iter().map(|asked| asked.path).collect();
    assert!(paths.iter().map(String::as_str).eq(["/.well-known/openid-configuration", "/jwks"]), "{paths:?}");
    let records = house.records_in_the_end().await;
    assert_eq!(records.len(), count, "one record each");
    let (log, record) = (house.program.log(), serde_json::to_string(&records).unwrap());
    assert!(said.len() > 80, "{}", said.len());
    for signature in said {
        assert!(!log.contains(&signature) && !record.contains(&signature), "{signature} is in the log or in the record");
    }
    for words in ["publishes to everybody", "2048 to 8192", "is not for signatures"] {
        assert!(log.contains(words), "the log does not say that a key was left out: {words}");
    }
}

#[tokio::test]
async fn two_tokens_are_refused_even_where_one_may_stand_in_the_address() {
    let keys = Keys::publish().await;
    let recorder = Recorder::start(Script::ok("1\n")).await;
    let house = Plan::new(&keys.issuer.url, &[&recorder.url]).section("allow_tokens_in_addresses_that_logs_keep", "true").start().await;
    let token = keys.token();
    let bad = [token.clone().expires_in(-600), token.clone().header("alg", "none"), token.clone().claim("aud", "other-api"), token.clone()];
    for first in bad {
        let case = Case {
            attack: 112,
            what: "a token and another one as password",
            request: post(&format!("/?password={}", token.make()), &first.make(), "SELECT 1"),
            status: 400,
            reason: "multiple_credentials",
            says: &["`password` in the address and a bearer token"],
        };
        run(&case, &house, &recorder).await;
    }
    assert_eq!(house.records_in_the_end().await.len(), 4);
}

#[tokio::test]
async fn what_is_no_http_is_no_request() {
    let keys = Keys::publish().await;
    let (house, recorder) = keys.house().await;
    let token = keys.token().make();
    let line = format!("Authorization: Bearer {token}");
    for (attack, what, headers, status) in [
        (10, "a header of 40 KB", vec![format!("{line}{}", "a".repeat(40_000))], 431),
        (11, "a NUL in the token", vec![format!("Authorization: Bearer a\0{token}")], 400),
        (11, "a line break in the token", vec![format!("Authorization: Bearer a\r{token}")], 400),
        (98, "a space before the colon", vec![line.clone(), "X-ClickHouse-User : admin".to_owned()], 400),
        (98, "a header on two lines", vec![line.clone(), "X-Other: x\r\n X-ClickHouse-User: admin".to_owned()], 400),
        (98, "a name with a space in it", vec![line.clone(), "X-ClickHouse User: admin".to_owned()], 400),
    ] {
        let headers: Vec<&str> = headers.iter().map(String::as_str).collect();
        let answer = send_plain(house.http(), get("/?query=SELECT%201", &headers)).await;
        assert_eq!((answer.status, answer.text().as_str()), (status, ""), "attack {attack}, {what}");
        assert!(!format!("{answer:?}").contains("Bearer"), "attack {attack}, {what}: {answer:?}");
    }
    // It is answered before it is read: the caller gets the answer, or only finds that nobody takes the rest.
    let mut caller = Caller::plain(house.http()).await;
    let sent = caller.try_send(get("/", &[&format!("Authorization: Bearer {}", "a".repeat(1 << 20))])).await;
    let answer = caller.through("\r\n").await;
    assert!(answer.as_ref().map_or(true, |line| line.starts_with(b"HTTP/1.1 431 ")), "{sent:?} {answer:?}");
    assert!(recorder.requests().is_empty(), "what is no HTTP reached ClickHouse");
    assert!(house.records_in_the_end().await.is_empty(), "no request came to be");
    let signature = token.rsplit('.').next().unwrap();
    assert!(!house.program.log().contains(signature), "the token is in the log");
}
