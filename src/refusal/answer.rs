//! A refusal as an answer: ClickHouse's text, which its clients show to people, or JSON for those who ask for it.

use bytes::Bytes;
use http::header::{ACCEPT, CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE, X_CONTENT_TYPE_OPTIONS};
use http::request::Parts;
use http::{HeaderName, HeaderValue, Response, StatusCode};
use serde_json::json;

use super::{Reason, Refusal};
use crate::statement::block;

const EXCEPTION_CODE: HeaderName = HeaderName::from_static("x-clickhouse-exception-code");
const REASON: HeaderName = HeaderName::from_static("x-keyhouse-reason");

/// Longest `error_description`, in characters.
const LONGEST_DESCRIPTION: usize = 300;

/// How a caller reads refusals.
#[derive(Debug, Clone, Copy, Default)]
pub struct Shape {
    /// JSON is asked for by name; `*/*` does not.
    pub json: bool,
    /// ClickHouse's compressed blocks are asked for.
    pub blocks: bool,
}

impl Shape {
    /// As the head of a request tells, whatever else is wrong with it.
    pub fn wanted(head: &Parts) -> Self {
        let accepted = head.headers.get_all(ACCEPT).into_iter().filter_map(|value| value.to_str().ok());
        let mut kinds = accepted.flat_map(|value| value.split(',')).filter_map(|item| item.split(';').next());
        let mut asked = head.uri.query().unwrap_or_default().split('&');
        Self {
            json: kinds.any(|kind| kind.trim().eq_ignore_ascii_case("application/json")),
            blocks: asked.any(|pair| pair == "compress=1" || pair == "compress=true"),
        }
    }

    /// Whether a refusal of this status is one compressed block. Who asks for blocks reads what comes with these two as it is, because
    /// ClickHouse refuses callers before it knows what they want.
    fn is_block(self, status: StatusCode) -> bool {
        self.blocks && status != StatusCode::UNAUTHORIZED && status != StatusCode::FORBIDDEN
    }
}

/// What a challenge says of the place that it guards.
#[derive(Debug, Default)]
pub struct Realm {
    /// The realm (RFC 7235 2.2).
    pub name: String,
    /// Where OAuth clients find out who issues tokens for it (RFC 9728 5.1).
    pub metadata: Option<String>,
}

impl Refusal {
    /// The answer. The body ends with the reason and the request's id, so that what a person copies from a client's
    /// window is enough to find the record.
    pub fn answer(&self, shape: Shape, realm: &Realm, request_id: &str) -> Response<Bytes> {
        let reason = self.reason();
        let error = reason.clickhouse();
        let (kind, body) = if shape.json {
            let body = json!({
                "reason": reason.code(),
                "message": self.says(),
                "code": error.number,
                "name": error.name,
                "request_id": request_id,
            });
            ("application/json", format!("{body}\n"))
        } else {
            let says = self.says();
            (
                "text/plain; charset=UTF-8",
                format!("Code: {}. DB::Exception: {says} ({}) [{reason}, request {request_id}]\n", error.number, error.name),
            )
        };
        let body = Bytes::from(body);
        let mut response = Response::new(if shape.is_block(reason.status()) { block(body) } else { body });
        *response.status_mut() = reason.status();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        headers.insert(EXCEPTION_CODE, HeaderValue::from(error.number));
        headers.insert(REASON, HeaderValue::from_static(reason.code()));
        if let Some(after) = self.retry() {
            headers.insert(RETRY_AFTER, HeaderValue::from(after.as_secs().max(1)));
        }
        if let Some(challenge) = self.challenge(realm) {
            headers.insert(WWW_AUTHENTICATE, challenge);
        }
        response
    }

    /// RFC 6750 3: without a credential only the scheme; with a bad one also what is wrong with it.
    fn challenge(&self, realm: &Realm) -> Option<HeaderValue> {
        let error = match (self.reason(), self.reason().status()) {
            (Reason::NoCredentials, _) => None,
            (_, StatusCode::UNAUTHORIZED) => Some("invalid_token"),
            (Reason::InsufficientScope, _) => Some("insufficient_scope"),
            (Reason::MultipleCredentials | Reason::TokenInUrl, _) => Some("invalid_request"),
            _ => return None,
        };
        let mut challenge = format!("Bearer realm=\"{}\"", quotable(&realm.name));
        if let Some(metadata) = &realm.metadata {
            challenge.push_str(&format!(", resource_metadata=\"{}\"", quotable(metadata)));
        }
        if let Some(error) = error {
            challenge.push_str(&format!(", error=\"{error}\", error_description=\"{}\"", quotable(self.says())));
        }
        if let Some(scope) = &self.scope {
            challenge.push_str(&format!(", scope=\"{}\"", quotable(scope)));
        }
        HeaderValue::from_str(&challenge).ok()
    }
}

/// What RFC 6750 3 lets stand between the quotes.
fn quotable(text: &str) -> String {
    let allowed = |c: char| matches!(c, ' '..='!' | '#'..='[' | ']'..='~');
    text.chars().take(LONGEST_DESCRIPTION).map(|c| if allowed(c) { c } else { '\'' }).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests fail by panicking")]
    use super::*;
    use http::Request;

    fn realm(name: &str, metadata: Option<&str>) -> Realm {
        Realm { name: name.to_owned(), metadata: metadata.map(str::to_owned) }
    }

    #[test]
    fn clients_read_it_as_an_exception_of_clickhouse() {
        let answer = Refusal::new(Reason::AudienceMismatch, "Token audience is [\"x\"].").answer(
            Shape::default(),
            &realm("https://ch", Some("https://ch/m")),
            "0af",
        );
        assert_eq!(answer.status(), 401);
        assert_eq!(answer.headers()["x-clickhouse-exception-code"], "516");
        assert_eq!(answer.headers()["x-keyhouse-reason"], "audience_mismatch");
        assert_eq!(
            answer.headers()["www-authenticate"],
            "Bearer realm=\"https://ch\", resource_metadata=\"https://ch/m\", error=\"invalid_token\", error_description=\"Token audience is ['x'].\""
        );
        assert_eq!(answer.body(), "Code: 516. DB::Exception: Token audience is [\"x\"]. (AUTHENTICATION_FAILED) [audience_mismatch, request 0af]\n");
    }

    #[test]
    fn without_a_credential_the_challenge_names_no_error() {
        let answer = Refusal::new(Reason::NoCredentials, "Send a token.").answer(Shape::default(), &realm("clickhouse", None), "0af");
        assert_eq!(answer.headers()["www-authenticate"], "Bearer realm=\"clickhouse\"");
    }

    #[test]
    fn json_is_for_those_who_ask_for_it_by_name() {
        let asks = |accept: &'static str| Shape::wanted(&Request::get("/").header(ACCEPT, accept).body(()).unwrap().into_parts().0).json;
        assert!(asks("text/html, application/json;q=0.9"));
        assert!(!asks("*/*"));
        let answer = Refusal::new(Reason::NoRule, "a \"b\"").answer(Shape { json: true, blocks: false }, &realm("clickhouse", None), "0af");
        let body: serde_json::Value = serde_json::from_slice(answer.body()).unwrap();
        assert_eq!(body["reason"], "no-rule");
        assert_eq!(body["code"], 497);
    }

    #[test]
    fn nothing_of_a_token_can_break_out_of_a_header() {
        let answer = Refusal::new(Reason::UnknownIssuer, "a\r\nset-cookie: x\u{1b}[2J\"é").answer(Shape::default(), &realm("r", None), "0af");
        let challenge = answer.headers()["www-authenticate"].to_str().unwrap();
        assert!(!challenge.contains(['\r', '\n', '\u{1b}']), "{challenge}");
    }
}
