//! Which web pages may ask from a browser (Fetch, 3.2): by the config alone, and answered here. What ClickHouse would say of that
//! (`add_http_cors_header`) is any page.

use std::time::Duration;

use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE,
    ACCESS_CONTROL_REQUEST_METHOD, ORIGIN, VARY,
};
use http::{HeaderMap, HeaderValue};

use super::stands;
use crate::config::Config;

/// What a page may send: a credential, what clients of ClickHouse send, and the choice of a rule.
const SENT: HeaderValue = HeaderValue::from_static(
    "authorization, content-type, content-encoding, accept, cache-control, x-clickhouse-user, x-clickhouse-key, x-clickhouse-database, x-clickhouse-format, \
     x-clickhouse-query-id, x-keyhouse-rule",
);

/// What a page may read of an answer's head.
const READ: HeaderValue = HeaderValue::from_static(
    "x-clickhouse-query-id, x-clickhouse-summary, x-clickhouse-format, x-clickhouse-timezone, x-clickhouse-exception-code, x-clickhouse-exception-tag, \
     x-keyhouse-request-id, x-keyhouse-reason, x-keyhouse-ignored, x-keyhouse-answer, age, retry-after, www-authenticate",
);

const METHODS: HeaderValue = HeaderValue::from_static("GET, HEAD, POST");

/// Whether a browser asks if a page may ask.
pub(super) fn is_preflight(headers: &HeaderMap) -> bool {
    stands(headers, &ORIGIN) && stands(headers, &ACCESS_CONTROL_REQUEST_METHOD)
}

/// Pages that may ask.
#[derive(Debug)]
pub struct Cors {
    any: bool,
    origins: Vec<HeaderValue>,
    max_age: Duration,
}

impl Cors {
    /// By the config.
    pub fn new(config: &Config) -> Self {
        let written = &config.cors;
        let origins = written.allowed_origins.iter().filter_map(|origin| HeaderValue::from_str(origin).ok()).collect();
        Self { any: written.allowed_origins.iter().any(|origin| origin == "*"), origins, max_age: written.max_age }
    }

    /// The origin of the page that sent these headers, where it may ask.
    pub fn allowed(&self, headers: &HeaderMap) -> Option<HeaderValue> {
        let nobody = !self.any && self.origins.is_empty();
        if nobody || !stands(headers, &ORIGIN) {
            return None;
        }
        let mut origins = headers.get_all(ORIGIN).iter();
        match (origins.next(), origins.next()) {
            (Some(_), None) if self.any => Some(HeaderValue::from_static("*")),
            (Some(origin), None) => self.origins.iter().find(|known| *known == origin).cloned(),
            _ => None,
        }
    }

    /// What the browser is told of any answer to such a page.
    pub fn tell(origin: HeaderValue, headers: &mut HeaderMap) {
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, READ);
        headers.append(VARY, HeaderValue::from_static("origin"));
    }

    /// What it is told besides, where it asks before the page does.
    pub fn tell_before(&self, headers: &mut HeaderMap) {
        headers.insert(ACCESS_CONTROL_ALLOW_METHODS, METHODS);
        headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, SENT);
        headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from(self.max_age.as_secs()));
    }
}
