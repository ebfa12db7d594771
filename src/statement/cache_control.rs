//! Which kept answers the caller takes: `Cache-Control` of a request (RFC 9111 5.2.1), as far as it can ask for more care.

use std::time::Duration;

use http::HeaderMap;
use http::header::CACHE_CONTROL;

use crate::listen::stands;

/// What the caller asks for. Other directives, and those that cannot be read, ask for nothing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CacheControl {
    /// A new answer, which may be kept in its turn.
    pub no_cache: bool,
    /// A new answer that nobody keeps.
    pub no_store: bool,
    /// None that is older.
    pub max_age: Option<Duration>,
}

impl CacheControl {
    /// Of these headers.
    pub(super) fn of(headers: &HeaderMap) -> Self {
        let mut asked = Self::default();
        if !stands(headers, &CACHE_CONTROL) {
            return asked;
        }
        let values = headers.get_all(CACHE_CONTROL).into_iter().filter_map(|value| value.to_str().ok());
        for directive in values.flat_map(|value| value.split(',')) {
            let (name, value) = directive.split_once('=').unwrap_or((directive, ""));
            match name.trim().to_ascii_lowercase().as_str() {
                "no-cache" => asked.no_cache = true,
                "no-store" => asked.no_store = true,
                "max-age" => asked.max_age = value.trim().trim_matches('"').parse().ok().map(Duration::from_secs).or(asked.max_age),
                _ => {}
            }
        }
        asked
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests fail by panicking")]
    use super::*;

    fn asked(values: &[&str]) -> CacheControl {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(CACHE_CONTROL, value.parse().unwrap());
        }
        CacheControl::of(&headers)
    }

    #[test]
    fn what_asks_for_care_is_heard_wherever_it_stands() {
        assert_eq!(asked(&[]), CacheControl::default());
        assert_eq!(asked(&["max-stale=5, No-Cache"]), CacheControl { no_cache: true, ..CacheControl::default() });
        assert_eq!(asked(&["max-age=0", "no-store"]), CacheControl { no_store: true, max_age: Some(Duration::ZERO), ..CacheControl::default() });
        assert_eq!(asked(&["max-age=\"30\""]).max_age, Some(Duration::from_secs(30)));
        assert_eq!(asked(&["max-age=x, only-if-cached"]), CacheControl::default());
    }
}
